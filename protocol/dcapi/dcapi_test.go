package dcapi_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/dcapi"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const origin = "https://shop.example"

// vector is a conversation of somebody else's verifier and wallet.
type vector struct {
	Hex  string
	Data struct {
		DeviceRequest     string `json:"deviceRequest_b64u"`
		EncryptedResponse string `json:"encryptedResponse_b64u"`
		EncryptionInfo    string `json:"encryptionInfo_b64u"`
		Origin            string
	}
	Keys     map[string]string
	Expected map[string]string
}

func load(t testing.TB, name string) vector {
	t.Helper()
	var v vector
	vectors.Load(t, "iso18013-5/thirdparty_annexc_"+name+".json", &v)
	return v
}

func (v vector) request() dcapi.Request {
	return request(v.Data.DeviceRequest, v.Data.EncryptionInfo)
}

func request(deviceRequest, encryptionInfo string) dcapi.Request {
	data, err := json.Marshal(map[string]string{"deviceRequest": deviceRequest, "encryptionInfo": encryptionInfo})
	if err != nil {
		panic(err)
	}
	return dcapi.Request{Protocol: dcapi.ProtocolMdoc, Data: data}
}

// answer is the wallet's answer as the browser gives it to the page.
func answer(t testing.TB, r *dcapi.MdocRequest, response []byte) dcapi.Response {
	t.Helper()
	data, err := r.Answer(response)
	if err != nil {
		t.Fatal(err)
	}
	return dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: data}
}

func response(encoded string) dcapi.Response {
	return dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: json.RawMessage(`{"response":"` + encoded + `"}`)}
}

// A response of somebody else's wallet opens, and the wallet's end computes the
// same transcript from the request.
func TestVector(t *testing.T) {
	v := load(t, "deterministic-001")
	tx := dcapi.Transaction{Origin: v.Data.Origin, EncryptionInfo: v.Data.EncryptionInfo, Expires: now.Add(time.Minute),
		PrivateKey: vectors.Hex(t, v.Keys["recipient_private_key_d"])}
	got, err := tx.Open(response(v.Data.EncryptedResponse), now)
	if err != nil || hex.EncodeToString(got) != v.Expected["device_response"] {
		t.Errorf("%x %v", got, err)
	}
	r, err := dcapi.OpenMdoc(v.request(), v.Data.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(r.Transcript()) != v.Expected["session_transcript"] || !bytes.Equal(r.Transcript(), tx.Transcript()) {
		t.Errorf("transcript %x", r.Transcript())
	}
	if r.Device.Documents[0].DocType != mdoc.DocTypeMDL || r.Origin != v.Data.Origin {
		t.Errorf("%+v", r.Device)
	}
	// What we write ourselves differs from the vector in nothing but chance.
	again, err := tx.Open(answer(t, r, got), now)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("our own answer: %x %v", again, err)
	}
}

// A request of a deployed verifier: its reader authentication verifies over our
// transcript. The private key printed beside it is another request's, so its
// response has to be refused.
func TestVectorReaderAuth(t *testing.T) {
	v := load(t, "real-001")
	r, err := dcapi.OpenMdoc(v.request(), v.Data.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if auth := mdoc.VerifyReader(r.Device, r.Transcript(), nil); auth.Verdict != mdoc.ReaderValid {
		t.Errorf("%s\n%s", auth.Verdict, auth.Report)
	}
	other, err := dcapi.OpenMdoc(v.request(), "https://other.example")
	if err != nil {
		t.Fatal(err)
	}
	if auth := mdoc.VerifyReader(other.Device, other.Transcript(), nil); auth.Verdict != mdoc.ReaderInvalid {
		t.Errorf("from another origin: %s", auth.Verdict)
	}
	tx := dcapi.Transaction{Origin: v.Data.Origin, EncryptionInfo: v.Data.EncryptionInfo, Expires: now.Add(time.Minute),
		PrivateKey: vectors.Hex(t, v.Keys["recipient_private_key_d"])}
	if _, err := tx.Open(response(v.Data.EncryptedResponse), now); !errors.Is(err, dcapi.ErrDecrypt) {
		t.Errorf("with another key: %v", err)
	}
}

// ask begins a transaction that is stored between the calls.
func ask(t *testing.T, reader *mdoc.ReaderSigner) (*dcapi.Transaction, dcapi.Request) {
	t.Helper()
	tx, err := dcapi.Begin(origin, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(tx)
	if err != nil {
		t.Fatal(err)
	}
	tx = new(dcapi.Transaction)
	if err := json.Unmarshal(stored, tx); err != nil {
		t.Fatal(err)
	}
	r, err := tx.Request(t.Context(), mdoc.RequestParams{Reader: reader, Documents: []mdoc.DocRequest{{
		DocType:    mdoc.DocTypeMDL,
		NameSpaces: []mdoc.RequestedNameSpace{{Name: mdoc.NameSpaceMDL, Elements: []mdoc.RequestedElement{{ID: "age_over_18"}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return tx, r
}

func certified(t *testing.T) *mdoc.ReaderSigner {
	t.Helper()
	k, cert := pkitest.Certified(t, now)
	return &mdoc.ReaderSigner{Key: k, Chain: [][]byte{cert.Raw}}
}

func TestConversation(t *testing.T) {
	signer := certified(t)
	tx, r := ask(t, signer)
	if signer.Transcript != nil {
		t.Error("the caller's signer was changed")
	}
	// The page hands it to the browser, and that to the wallet.
	page, err := json.Marshal(map[string]any{"digital": map[string]any{"requests": []dcapi.Request{{Protocol: "x", Data: json.RawMessage(`{}`)}, r}}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := dcapi.ParseRequests(page)
	if err != nil || len(list) != 2 || list[1].Protocol != "org-iso-mdoc" {
		t.Fatalf("%+v %v", list, err)
	}
	w, err := dcapi.OpenMdoc(list[1], origin)
	if err != nil {
		t.Fatal(err)
	}
	if auth := mdoc.VerifyReader(w.Device, w.Transcript(), nil); auth.Verdict != mdoc.ReaderValid {
		t.Errorf("%s\n%s", auth.Verdict, auth.Report)
	}
	raw, err := json.Marshal(answer(t, w, []byte("the response")))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := dcapi.ParseResponse(raw)
	if err != nil || !bytes.Contains(answer.Data, []byte(`"response":"`)) {
		t.Fatalf("%s %v", raw, err)
	}
	got, err := tx.Open(answer, now.Add(time.Minute))
	if err != nil || string(got) != "the response" {
		t.Errorf("%q %v", got, err)
	}
	if _, err := tx.Open(answer, now.Add(time.Hour)); !errors.Is(err, dcapi.ErrExpired) {
		t.Errorf("late: %v", err)
	}
	// The spellings of the draft.
	answer.Protocol = "org.iso.mdoc"
	answer.Data = bytes.Replace(answer.Data, []byte("response"), []byte("Response"), 1)
	if got, err := tx.Open(answer, now); err != nil || string(got) != "the response" {
		t.Errorf("%q %v", got, err)
	}
	two, _ := ask(t, nil)
	if two.EncryptionInfo == tx.EncryptionInfo || bytes.Equal(two.PrivateKey, tx.PrivateKey) {
		t.Error("nonce or key came twice")
	}
}

// An answer opens with the key, the nonce and the origin of its own request
// only, and only as it was sent.
func TestOpenRefuses(t *testing.T) {
	tx, r := ask(t, nil)
	w, err := dcapi.OpenMdoc(r, origin)
	if err != nil {
		t.Fatal(err)
	}
	good := answer(t, w, []byte("the response"))
	relayed, err := dcapi.OpenMdoc(r, "https://evil.example")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := answer(t, relayed, []byte("the response"))
	other, _ := ask(t, nil)
	nonce := *tx // the same key, another nonce
	raw, err := jose.Decode(tx.EncryptionInfo)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(`..dcapi..nonce..`)+4] ^= 1
	nonce.EncryptionInfo = jose.Encode(raw)
	if nonce.EncryptionInfo == tx.EncryptionInfo {
		t.Fatal("nonce not changed")
	}
	for name, tc := range map[string]struct {
		tx     *dcapi.Transaction
		answer dcapi.Response
	}{
		"another origin":         {tx, elsewhere},
		"another transaction":    {other, good},
		"another nonce":          {&nonce, good},
		"another key":            {&dcapi.Transaction{Origin: tx.Origin, EncryptionInfo: tx.EncryptionInfo, Expires: tx.Expires, PrivateKey: other.PrivateKey}, good},
		"the verifier's mistake": {&dcapi.Transaction{Origin: "https://www.shop.example", EncryptionInfo: tx.EncryptionInfo, Expires: tx.Expires, PrivateKey: tx.PrivateKey}, good},
	} {
		if _, err := tc.tx.Open(tc.answer, now); !errors.Is(err, dcapi.ErrDecrypt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var data struct{ Response string }
	if err := json.Unmarshal(good.Data, &data); err != nil {
		t.Fatal(err)
	}
	sealed, err := jose.Decode(data.Response)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		spoilt := bytes.Clone(sealed)
		spoilt[i] ^= 1
		if got, err := tx.Open(response(jose.Encode(spoilt)), now); err == nil {
			t.Errorf("byte %d changed: %q", i, got)
		}
		if _, err := tx.Open(response(jose.Encode(sealed[:i])), now); !errors.Is(err, dcapi.ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := tx.Open(response(jose.Encode(append(bytes.Clone(sealed), 0))), now); !errors.Is(err, dcapi.ErrMalformed) {
		t.Errorf("one byte more: %v", err)
	}
	for name, r := range map[string]dcapi.Response{
		"of another protocol": {Protocol: "openid4vp-v1-unsigned", Data: good.Data},
		"padded":              response(data.Response + "="),
		"not base64url":       response(strings.Repeat("+", 8)),
		"empty":               response(""),
		"no string":           {Protocol: dcapi.ProtocolMdoc, Data: json.RawMessage(`{"response":1}`)},
		"twice":               {Protocol: dcapi.ProtocolMdoc, Data: json.RawMessage(`{"response":"","response":""}`)},
		"huge":                response(strings.Repeat("A", dcapi.MaxResponse)),
	} {
		if _, err := tx.Open(r, now); !errors.Is(err, dcapi.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenMdocRefuses(t *testing.T) {
	v := load(t, "deterministic-001")
	info, err := jose.Decode(v.Data.EncryptionInfo)
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, with string) string { // in the hex of EncryptionInfo
		h := hex.EncodeToString(info)
		if !strings.Contains(h, old) {
			t.Fatalf("%s is not in %s", old, h)
		}
		return jose.Encode(vectors.Hex(t, strings.Replace(h, old, with, 1)))
	}
	onP384, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384 := onP384.PublicKey().Bytes()
	pub := v.Expected["recipient_public_key_cose"]
	for name, r := range map[string]dcapi.Request{
		"no encryptionInfo":    {Data: json.RawMessage(`{"deviceRequest":"` + v.Data.DeviceRequest + `"}`)},
		"no deviceRequest":     {Data: json.RawMessage(`{"encryptionInfo":"` + v.Data.EncryptionInfo + `"}`)},
		"no strings":           {Data: json.RawMessage(`{"deviceRequest":{},"encryptionInfo":[]}`)},
		"padded":               request(v.Data.DeviceRequest+"=", v.Data.EncryptionInfo),
		"no request":           request(v.Data.EncryptionInfo, v.Data.EncryptionInfo),
		"no info":              request(v.Data.DeviceRequest, v.Data.DeviceRequest),
		"trailing":             request(v.Data.DeviceRequest, jose.Encode(append(bytes.Clone(info), 0))),
		"another name":         request(v.Data.DeviceRequest, change("656463617069", "656463617068")),
		"short nonce":          request(v.Data.DeviceRequest, change("50000102030405060708090a0b0c0d0e0f", "4f0102030405060708090a0b0c0d0e0f")),
		"no nonce":             request(v.Data.DeviceRequest, change("656e6f6e6365", "656e6f6e6366")),
		"nonce is text":        request(v.Data.DeviceRequest, change("50000102030405060708090a0b0c0d0e0f", "70000102030405060708090a0b0c0d0e0f")),
		"no key":               request(v.Data.DeviceRequest, change("72726563697069656e745075626c69634b6579", "72726563697069656e745075626c69634b657a")),
		"key off its curve":    request(v.Data.DeviceRequest, change("d2eebc0a", "d2eebc0b")),
		"key on another curve": request(v.Data.DeviceRequest, change(pub, "a4010220022158"+hexByte(48)+hex.EncodeToString(p384[1:49])+"2258"+hexByte(48)+hex.EncodeToString(p384[49:]))),
		"key is text":          request(v.Data.DeviceRequest, change(pub, "6161")),
	} {
		if _, err := dcapi.OpenMdoc(r, origin); !errors.Is(err, dcapi.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := dcapi.OpenMdoc(v.request(), ""); !errors.Is(err, dcapi.ErrOrigin) {
		t.Errorf("no origin: %v", err)
	}
	// Members of later editions are no error.
	later := change("a2656e6f6e6365", "a3636e6577f5656e6f6e6365")
	if _, err := dcapi.OpenMdoc(request(v.Data.DeviceRequest, later), origin); err != nil {
		t.Errorf("a member more: %v", err)
	}
}

func hexByte(b byte) string { return hex.EncodeToString([]byte{b}) }

func TestParseRequests(t *testing.T) {
	for _, good := range []string{
		`[{"protocol":"p","data":{"a":1}}]`,
		`{"requests":[{"protocol":"p","data":{"a":1},"more":0}]}`,
		` {"mediation":"required","digital":{"requests":[{"protocol":"p","data": {"a":1} }]}}`,
	} {
		list, err := dcapi.ParseRequests([]byte(good))
		if err != nil || len(list) != 1 || list[0].Protocol != "p" || string(list[0].Data) != `{"a":1}` {
			t.Errorf("%s: %+v %v", good, list, err)
		}
	}
	for _, bad := range []string{
		``, `null`, `1`, `"x"`, `{}`, `[]`, `[null]`, `[1]`, `[[]]`, `{"requests":{}}`, `{"digital":{}}`, `{"digital":null}`,
		`[{"protocol":"p"}]`, `[{"data":{}}]`, `[{"protocol":"","data":{}}]`, `[{"protocol":"p","data":"{}"}]`, `[{"protocol":"p","data":null}]`,
		`[{"protocol":1,"data":{}}]`, `[{"protocol":"p","protocol":"q","data":{}}]`, `[{"protocol":"p","data":{}}] x`,
		`[{"protocol":"` + strings.Repeat("p", 129) + `","data":{}}]`,
		`[` + strings.Repeat(`{"protocol":"p","data":{}},`, 32) + `{"protocol":"p","data":{}}]`,
		`[{"protocol":"p","data":{"a":"` + strings.Repeat("a", 1<<20) + `"}}]`,
		`[{"protocol":"p","data":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}]`,
	} {
		if list, err := dcapi.ParseRequests([]byte(bad)); !errors.Is(err, dcapi.ErrMalformed) {
			t.Errorf("%.80s: %+v %v", bad, list, err)
		}
	}
}

func TestCheckOrigin(t *testing.T) {
	for _, good := range []string{
		"https://shop.example", "https://shop.example:8443", "https://xn--bcher-kva.example", "https://192.0.2.1", "https://[2001:db8::1]:8443",
		"http://localhost", "http://verifier.localhost:8080", "http://127.0.0.1:8080",
	} {
		if err := dcapi.CheckOrigin(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "null", "shop.example", "https://", "http://shop.example", "https://shop.example/", "https://shop.example/a", "https://shop.example?a",
		"https://shop.example#a", "https://a@shop.example", "https://shop.example:443", "http://localhost:80", "https://shop.example:", "https://Shop.example",
		"HTTPS://shop.example", "https://bücher.example", "https://shop.example\n", " https://shop.example", "https://%61.example", "ftp://shop.example",
		"android:apk-key-hash:x", "https://" + strings.Repeat("a", 300) + ".example",
	} {
		if err := dcapi.CheckOrigin(bad); !errors.Is(err, dcapi.ErrOrigin) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := dcapi.Begin("https://shop.example/", 0, now); !errors.Is(err, dcapi.ErrOrigin) {
		t.Errorf("begin: %v", err)
	}
}

func FuzzParseRequests(f *testing.F) {
	f.Add([]byte(`{"digital":{"requests":[{"protocol":"org-iso-mdoc","data":{"deviceRequest":"","encryptionInfo":""}}]}}`))
	f.Add([]byte(`[{"protocol":"openid4vp-v1-unsigned","data":{}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := dcapi.ParseRequests(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		back, err := dcapi.ParseRequests(again)
		if err != nil || len(back) != len(list) {
			t.Fatalf("read, but not what was written of it: %v", err)
		}
	})
}

func FuzzOpenMdoc(f *testing.F) {
	for _, name := range []string{"deterministic-001", "real-001"} {
		r := load(f, name).request()
		f.Add([]byte(r.Data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := dcapi.OpenMdoc(dcapi.Request{Protocol: dcapi.ProtocolMdoc, Data: data}, origin)
		if err != nil {
			if !errors.Is(err, dcapi.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if _, err := r.Answer([]byte{0}); err != nil {
			t.Fatalf("opened, but cannot be answered: %v", err)
		}
	})
}

func FuzzTransactionOpen(f *testing.F) {
	v := load(f, "deterministic-001")
	f.Add([]byte(v.Data.EncryptedResponse))
	tx := dcapi.Transaction{Origin: v.Data.Origin, EncryptionInfo: v.Data.EncryptionInfo, Expires: now.Add(time.Minute),
		PrivateKey: vectors.Hex(f, v.Keys["recipient_private_key_d"])}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		data, err := json.Marshal(map[string]string{"response": string(encoded)})
		if err != nil {
			t.Skip("not to be written as JSON")
		}
		got, err := tx.Open(dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: data}, now)
		if err == nil && hex.EncodeToString(got) != v.Expected["device_response"] {
			t.Fatalf("opened to %x", got)
		}
	})
}
