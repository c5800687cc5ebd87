package oid4vp_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// when is within the life of the certificate in the standard's example.
var when = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)

// annexB are the examples of ISO/IEC TS 18013-7, B.6.
type annexB struct {
	object, jarm, transcript, response string
	private                            []byte
	definition                         json.RawMessage
}

func loadAnnexB(t testing.TB) annexB {
	t.Helper()
	type file struct {
		Text, Hex string
		Data      map[string]json.RawMessage
		Keys      map[string]struct{ D string }
	}
	read := func(name string) (f file) {
		vectors.Load(t, "iso18013-5/"+name+".json", &f)
		return f
	}
	jarm := read("p7_b6_7_authorization_response_jarm")
	d, err := jose.Decode(jarm.Keys["reader_ephemeral_private_jwk"].D)
	if err != nil {
		t.Fatal(err)
	}
	return annexB{
		object: read("p7_b6_3_authorization_request_jar").Text, jarm: jarm.Text, private: d,
		transcript: read("p7_b6_9_session_transcript").Hex, response: read("p7_b6_5_vp_token_device_response").Hex,
		definition: read("p7_b6_1_presentation_definition").Data["presentation_definition"],
	}
}

// The standard's request opens to the standard's question.
func TestAnnexBVectorRequest(t *testing.T) {
	v := loadAnnexB(t)
	if !oid4vp.IsAnnexB(v.object) {
		t.Error("not recognised")
	}
	r, rep, err := oid4vp.OpenAnnexB(v.object, oid4vp.Link{ClientID: "example.com"}, when)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep)
	}
	if r.Nonce != "abcdefgh1234567890" || r.ResponseURI != "https://example.com/12345/response" || r.State != "34asfd34_34$34" || !rep.OK() {
		t.Errorf("%+v\n%s", r, rep)
	}
	c := r.Query.Credentials
	if len(c) != 1 || !slices.Equal(c[0].Types, []string{mdoc.DocTypeMDL}) || len(c[0].Claims) != 11 ||
		!c[0].Claims[0].Path.Equal(query.Element(mdoc.NameSpaceMDL, "birth_date")) || c[0].Claims[0].Retain {
		t.Errorf("%+v", c)
	}
}

// The standard's answer opens to the standard's DeviceResponse and transcript.
func TestAnnexBVectorResponse(t *testing.T) {
	v := loadAnnexB(t)
	tx := oid4vp.AnnexBTransaction{ClientID: "example.com", ResponseURI: "https://example.com/12345/response", Nonce: "abcdefgh1234567890",
		Definition: v.definition, Expires: when.Add(time.Minute), PrivateKeys: [][]byte{v.private}}
	for _, c := range []ecdh.Curve{ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		k, err := c.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tx.PrivateKeys = append(tx.PrivateKeys, k.Bytes())
	}
	a, err := tx.Open(t.Context(), url.Values{"response": {v.jarm}}, when)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(a.Response) != v.response || hex.EncodeToString(a.Transcript) != v.transcript {
		t.Errorf("%x\n%x", a.Response, a.Transcript)
	}
	if a.EReaderKey == nil || a.EReaderKey.Public().Curve() != ecdh.P256() {
		t.Errorf("MAC key %v", a.EReaderKey)
	}
	tx.Nonce = "bbcdefgh1234567890"
	if _, err := tx.Open(t.Context(), url.Values{"response": {v.jarm}}, when); oid4vp.CodeOf(err) != oid4vp.InvalidRequest {
		t.Errorf("of another request: %v", err)
	}
}

// certified is a verifier whose certificate has the names.
func certified(t testing.TB, names ...string) *oid4vp.Verifier {
	t.Helper()
	k, cert := pkitest.Certified(t, now, names...)
	return &oid4vp.Verifier{Key: k, Chain: [][]byte{cert.Raw}}
}

func annexBParams() oid4vp.Params {
	element := func(id string, retain bool) query.Claim {
		return query.Claim{Path: query.Element(mdoc.NameSpaceMDL, id), Retain: retain}
	}
	return oid4vp.Params{RequestURI: "https://shop.example/request/1", ResponseURI: "https://shop.example/response/1", Query: query.Query{Credentials: []query.Credential{
		{ID: "a", Format: query.FormatMdoc, Types: []string{mdoc.DocTypeMDL}, Claims: []query.Claim{element("family_name", true), element("age_over_18", false)}},
		{ID: "b", Format: query.FormatMdoc, Types: []string{"org.example.other"}, Claims: []query.Claim{{Path: query.Element("org.example", "x")}}},
	}}}
}

// beginAnnexB is a verifier with a transaction that has begun.
func beginAnnexB(t testing.TB) (*oid4vp.Verifier, *oid4vp.AnnexBTransaction) {
	t.Helper()
	v := certified(t, "shop.example", "https://shop.example/cb")
	tx, err := v.BeginAnnexB(annexBParams(), now)
	if err != nil {
		t.Fatal(err)
	}
	return v, tx
}

// openAnnexB plays the wallet up to the opened request.
func openAnnexB(t *testing.T, v *oid4vp.Verifier, tx *oid4vp.AnnexBTransaction) *oid4vp.AnnexBRequest {
	t.Helper()
	l, err := oid4vp.ParseLink(tx.Link())
	if err != nil {
		t.Fatal(err)
	}
	object, _, err := l.Fetch(t.Context(), func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if r.Method != "GET" || r.URL != tx.RequestURI {
			t.Errorf("wallet asks %s %s", r.Method, r.URL)
		}
		o, err := v.AnnexBObject(ctx, tx, now)
		return fetch.Response{Status: 200, Body: []byte(o)}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !oid4vp.IsAnnexB(object) {
		t.Error("not recognised")
	}
	r, rep, err := oid4vp.OpenAnnexB(object, l, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep)
	}
	return r
}

// deviceResponse is the standard's, which holds a licence.
func deviceResponse(t *testing.T) []byte { return vectors.Hex(t, loadAnnexB(t).response) }

func TestAnnexBConversation(t *testing.T) {
	v, tx := beginAnnexB(t)
	stored, err := json.Marshal(tx)
	if err != nil {
		t.Fatal(err)
	}
	tx = new(oid4vp.AnnexBTransaction)
	if err := json.Unmarshal(stored, tx); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(tx.Link(), "mdoc-openid4vp://?client_id=shop.example&request_uri=https%3A%2F%2F") {
		t.Errorf("link %s", tx.Link())
	}
	r := openAnnexB(t, v, tx)
	c := r.Query.Credentials
	if len(c) != 2 || c[0].Types[0] != mdoc.DocTypeMDL || len(c[0].Claims) != 2 || !c[0].Claims[0].Retain || c[0].Claims[1].Retain || !c[1].Claims[0].Path.Equal(query.Element("org.example", "x")) {
		t.Errorf("%+v", c)
	}
	msg, err := r.Answer(deviceResponse(t))
	if err != nil || msg.URL != tx.ResponseURI {
		t.Fatalf("%s %v", msg.URL, err)
	}
	form, err := msg.Form()
	if err != nil {
		t.Fatal(err)
	}
	a, err := tx.Open(t.Context(), form, now)
	if err != nil || a.Error != "" || !bytes.Equal(a.Response, deviceResponse(t)) || !bytes.Equal(a.Transcript, r.Transcript()) {
		t.Fatalf("%+v %v", a, err)
	}
	if again := openAnnexB(t, v, tx); bytes.Equal(again.Transcript(), r.Transcript()) {
		t.Error("mdocGeneratedNonce came twice")
	}
	if _, err := tx.Open(t.Context(), form, tx.Expires); err == nil {
		t.Error("late answer accepted")
	}
	if _, err := v.AnnexBObject(t.Context(), tx, tx.Expires); err == nil {
		t.Error("late request served")
	}
	other, err := v.BeginAnnexB(annexBParams(), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(t.Context(), form, now); oid4vp.CodeOf(err) != oid4vp.InvalidRequest {
		t.Errorf("answer to another request: %v", err)
	}
	if msg, err = r.Refuse(oid4vp.AccessDenied, "no\x00"); err != nil {
		t.Fatal(err)
	}
	if form, err = msg.Form(); err != nil {
		t.Fatal(err)
	}
	if a, err := tx.Open(t.Context(), form, now); err != nil || a.Error != oid4vp.AccessDenied || a.Description != "no?" || a.Response != nil {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := tx.Open(t.Context(), url.Values{"error": {"invalid_request"}}, now); err != nil || a.Error != oid4vp.InvalidRequest {
		t.Errorf("in the clear: %+v %v", a, err)
	}
}

// A wallet encrypts to whatever curve of ours it has.
func TestAnnexBCurves(t *testing.T) {
	v, tx := beginAnnexB(t)
	object, err := v.AnnexBObject(t.Context(), tx, now)
	if err != nil {
		t.Fatal(err)
	}
	claims := annexBClaims(t, object)
	var meta struct {
		JWKS jose.Set `json:"jwks"`
	}
	if err := json.Unmarshal(claims["client_metadata"], &meta); err != nil || len(meta.JWKS.Keys) != 4 {
		t.Fatalf("%s %v", claims["client_metadata"], err)
	}
	var d struct{ ID string }
	if err := json.Unmarshal(claims["presentation_definition"], &d); err != nil {
		t.Fatal(err)
	}
	answer := `{"vp_token":"AA","presentation_submission":{"id":"1","definition_id":"` + d.ID + `","descriptor_map":[]}}`
	for _, k := range meta.JWKS.Keys {
		if k.Use != "enc" || k.Alg != "ECDH-ES" {
			t.Errorf("%+v", k)
		}
		seal := func(o jose.EncryptOptions, payload string) url.Values {
			o.Enc = jose.A256GCM
			jwe, err := jose.Encrypt([]byte(payload), o)
			if err != nil {
				t.Fatal(err)
			}
			return url.Values{"response": {jwe}}
		}
		good := jose.EncryptOptions{Recipient: k, APU: []byte("1234567890abcdefgh"), APV: []byte(tx.Nonce)}
		if a, err := tx.Open(t.Context(), seal(good, answer), now); err != nil || !bytes.Equal(a.Response, []byte{0}) || a.EReaderKey != nil {
			t.Errorf("%+v %v", a, err)
		}
		for name, change := range map[string]func(o *jose.EncryptOptions) string{
			"no apu":             func(o *jose.EncryptOptions) string { o.APU = nil; return answer },
			"apu no text":        func(o *jose.EncryptOptions) string { o.APU = []byte{0xff}; return answer },
			"apu huge":           func(o *jose.EncryptOptions) string { o.APU = bytes.Repeat([]byte("a"), 513); return answer },
			"no apv":             func(o *jose.EncryptOptions) string { o.APV = nil; return answer },
			"another apv":        func(o *jose.EncryptOptions) string { o.APV = []byte(tx.Nonce + "x"); return answer },
			"another kid":        func(o *jose.EncryptOptions) string { o.KID = "x"; return answer },
			"another definition": func(*jose.EncryptOptions) string { return strings.Replace(answer, d.ID, "x", 1) },
			"no submission":      func(*jose.EncryptOptions) string { return `{"vp_token":"AA"}` },
			"no vp_token":        func(*jose.EncryptOptions) string { return strings.Replace(answer, "AA", "", 1) },
			"vp_token padded":    func(*jose.EncryptOptions) string { return strings.Replace(answer, "AA", "AA==", 1) },
			"no JSON":            func(*jose.EncryptOptions) string { return "x" },
		} {
			o := good
			payload := change(&o)
			if _, err := tx.Open(t.Context(), seal(o, payload), now); oid4vp.CodeOf(err) != oid4vp.InvalidRequest || err == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		form := seal(good, answer)
		parts := strings.Split(form.Get("response"), ".")
		parts[3] = "AAAA" + parts[3][4:]
		if _, err := tx.Open(t.Context(), url.Values{"response": {strings.Join(parts, ".")}}, now); err == nil {
			t.Error("changed ciphertext opens")
		}
	}
}

// annexBClaims are the claims of a request object.
func annexBClaims(t testing.TB, object string) map[string]json.RawMessage {
	t.Helper()
	token, err := jose.Parse(object, jose.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]json.RawMessage{}
	if err := token.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestOpenAnnexBRefuses(t *testing.T) {
	v, tx := beginAnnexB(t)
	object, err := v.AnnexBObject(t.Context(), tx, now)
	if err != nil {
		t.Fatal(err)
	}
	good := annexBClaims(t, object)
	sign := func(change map[string]string, h jose.Header) string {
		claims := map[string]json.RawMessage{}
		for name, v := range good {
			claims[name] = v
		}
		for name, v := range change {
			if claims[name] = json.RawMessage(v); v == "" {
				delete(claims, name)
			}
		}
		object, err := jose.Sign(t.Context(), v.Key, h, claims)
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	header := jose.Header{Typ: oid4vp.RequestObjectType, X5C: v.Chain}
	descriptors := func(s string) map[string]string {
		return map[string]string{"presentation_definition": `{"id":"1","input_descriptors":[` + s + `]}`}
	}
	fields := func(s string) map[string]string {
		return descriptors(`{"id":"d","format":{"mso_mdoc":{}},"constraints":{"limit_disclosure":"required","fields":[` + s + `]}}`)
	}
	one := `{"id":"d","format":{"mso_mdoc":{}},"constraints":{"fields":[{"path":["$['n']['e']"]}]}}`
	link := oid4vp.Link{ClientID: "shop.example"}
	for name, tc := range map[string]struct {
		change map[string]string
		code   string
	}{
		"another client":           {map[string]string{"client_id": `"other.example"`}, oid4vp.InvalidRequest},
		"response elsewhere":       {map[string]string{"response_uri": `"https://evil.example/1"`}, oid4vp.InvalidRequest},
		"response in the clear":    {map[string]string{"response_uri": `"http://shop.example/1"`}, oid4vp.InvalidRequest},
		"no response_uri":          {map[string]string{"response_uri": ""}, oid4vp.InvalidRequest},
		"scheme unknown":           {map[string]string{"client_id_scheme": `"did"`}, oid4vp.InvalidClient},
		"scheme missing":           {map[string]string{"client_id_scheme": ""}, oid4vp.InvalidClient},
		"no such URI name":         {map[string]string{"client_id_scheme": `"x509_san_uri"`}, oid4vp.InvalidClient},
		"response_type":            {map[string]string{"response_type": `"code"`}, oid4vp.InvalidRequest},
		"response_mode":            {map[string]string{"response_mode": `"direct_post"`}, oid4vp.InvalidRequest},
		"redirect_uri":             {map[string]string{"redirect_uri": `"https://shop.example"`}, oid4vp.InvalidRequest},
		"no nonce":                 {map[string]string{"nonce": ""}, oid4vp.InvalidRequest},
		"late":                     {map[string]string{"exp": "1"}, oid4vp.InvalidRequest},
		"no metadata":              {map[string]string{"client_metadata": ""}, oid4vp.InvalidRequest},
		"no keys":                  {map[string]string{"client_metadata": `{"jwks":{"keys":[]}}`}, oid4vp.InvalidRequest},
		"another encryption":       {map[string]string{"client_metadata": `{"authorization_encrypted_response_enc":"A128CBC-HS256"}`}, oid4vp.InvalidRequest},
		"another key agreement":    {map[string]string{"client_metadata": `{"authorization_encrypted_response_alg":"RSA-OAEP"}`}, oid4vp.InvalidRequest},
		"other formats":            {map[string]string{"client_metadata": `{"vp_formats":{"jwt_vp":{}}}`}, oid4vp.FormatsNotSupported},
		"both questions":           {map[string]string{"dcql_query": `{}`}, oid4vp.InvalidRequest},
		"no question":              {map[string]string{"presentation_definition": ""}, oid4vp.InvalidRequest},
		"no descriptors":           {descriptors(``), oid4vp.InvalidRequest},
		"a type twice":             {descriptors(one + "," + strings.Replace(one, `"d"`, `"d "`, 1)), oid4vp.InvalidRequest},
		"many descriptors":         {descriptors(strings.Repeat(one+",", 32) + one), oid4vp.InvalidRequest},
		"another format":           {descriptors(strings.Replace(one, "mso_mdoc", "jwt_vc", 1)), oid4vp.FormatsNotSupported},
		"no fields":                {fields(``), oid4vp.InvalidRequest},
		"no path":                  {fields(`{}`), oid4vp.InvalidRequest},
		"two paths":                {fields(`{"path":["$['n']['e']","$['n']['f']"]}`), oid4vp.InvalidRequest},
		"JSONPath":                 {fields(`{"path":["$.n.e"]}`), oid4vp.InvalidRequest},
		"path of one":              {fields(`{"path":["$['n']"]}`), oid4vp.InvalidRequest},
		"path of three":            {fields(`{"path":["$['n']['e']['f']"]}`), oid4vp.InvalidRequest},
		"an element twice":         {fields(`{"path":["$['n']['e']"]},{"path":["$[\"n\"][\"e\"]"]}`), oid4vp.InvalidRequest},
		"an element without name":  {fields(`{"path":["$['n']['']"]}`), oid4vp.InvalidRequest},
		"an element with brackets": {fields(`{"path":["$['n']['e]']"]}`), oid4vp.InvalidRequest},
	} {
		r, rep, err := oid4vp.OpenAnnexB(sign(tc.change, header), link, now)
		if r != nil || oid4vp.CodeOf(err) != tc.code || err == nil || rep.OK() {
			t.Errorf("%s: %v\n%s", name, err, rep)
		}
	}
	for name, h := range map[string]jose.Header{
		"typ": {Typ: "openid4vci-proof+jwt", X5C: v.Chain}, "no x5c": {Typ: "JWT"}, "no certificate": {Typ: "JWT", X5C: [][]byte{{0}}},
		"another's certificate": {Typ: "JWT", X5C: certified(t, "shop.example").Chain},
	} {
		if r, _, err := oid4vp.OpenAnnexB(sign(nil, h), link, now); r != nil || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := oid4vp.OpenAnnexB(object[:len(object)-4]+"AAAA", link, now); err == nil {
		t.Error("changed signature")
	}
	// A URI as the name of the client.
	byURI := sign(map[string]string{"client_id_scheme": `"x509_san_uri"`, "client_id": `"https://shop.example/cb"`}, jose.Header{X5C: v.Chain})
	if r, rep, err := oid4vp.OpenAnnexB(byURI, oid4vp.Link{ClientID: "https://shop.example/cb"}, now); err != nil || r.ClientID != "https://shop.example/cb" {
		t.Errorf("%v\n%s", err, rep)
	}
	elsewhere := sign(map[string]string{"client_id_scheme": `"x509_san_uri"`, "client_id": `"https://shop.example/cb"`, "response_uri": `"https://shop.example:8443/1"`}, header)
	if _, _, err := oid4vp.OpenAnnexB(elsewhere, oid4vp.Link{ClientID: "https://shop.example/cb"}, now); err == nil {
		t.Error("response on another port of a client named by URI")
	}
}

func TestIsAnnexB(t *testing.T) {
	k := testkit.Signer(t, elliptic.P256())
	for claims, want := range map[string]bool{
		`{"presentation_definition":{}}`:                 true,
		`{"dcql_query":{}}`:                              false,
		`{"dcql_query":{},"presentation_definition":{}}`: false,
		`{}`: false, `[]`: false,
	} {
		object, err := jose.SignBytes(t.Context(), k, jose.Header{}, []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		if oid4vp.IsAnnexB(object) != want {
			t.Errorf("%s: %t", claims, !want)
		}
	}
	for _, s := range []string{"", "x", "a.b.c"} {
		if oid4vp.IsAnnexB(s) {
			t.Errorf("%q taken for Annex B", s)
		}
	}
}

// What Annex B has no words for is not asked.
func TestBeginAnnexBRefuses(t *testing.T) {
	v := certified(t, "shop.example")
	for name, change := range map[string]func(p *oid4vp.Params){
		"SD-JWT VC":    func(p *oid4vp.Params) { p.Query.Credentials[0].Format = query.FormatSDJWT },
		"a value":      func(p *oid4vp.Params) { p.Query.Credentials[0].Claims[0].Values = []any{"x"} },
		"a type twice": func(p *oid4vp.Params) { p.Query.Credentials[1].Types = p.Query.Credentials[0].Types },
		"alternatives": func(p *oid4vp.Params) {
			p.Query.Sets = []query.Set{{Required: true, Options: [][]string{{"a"}, {"b"}}}}
		},
		"a size":           func(p *oid4vp.Params) { p.Query.Credentials[0].MaxResponse = 1 },
		"no such name":     func(p *oid4vp.Params) { p.ResponseURI = "https://other.example/1" },
		"request in clear": func(p *oid4vp.Params) { p.RequestURI = "http://shop.example/1" },
		"an element's name": func(p *oid4vp.Params) {
			p.Query.Credentials[0].Claims[0].Path = query.Element("a']['b", "c")
		},
	} {
		p := annexBParams()
		change(&p)
		if tx, err := v.BeginAnnexB(p, now); err == nil {
			t.Errorf("%s: %s", name, tx.Definition)
		}
	}
	if _, err := (&oid4vp.Verifier{}).BeginAnnexB(annexBParams(), now); err == nil {
		t.Error("without a certificate")
	}
}

func FuzzOpenAnnexB(f *testing.F) {
	v := loadAnnexB(f)
	f.Add([]byte(v.definition))
	f.Add([]byte(`{"id":"1","input_descriptors":[{"id":"d","constraints":{"fields":[{"path":["$[\"n\"][\"e\"]"],"intent_to_retain":true}]}}]}`))
	verifier, tx := beginAnnexB(f)
	f.Fuzz(func(t *testing.T, definition []byte) {
		asked := *tx
		asked.Definition = definition
		object, err := verifier.AnnexBObject(t.Context(), &asked, now)
		if err != nil {
			t.Skip("not to be written as JSON")
		}
		r, rep, err := oid4vp.OpenAnnexB(object, oid4vp.Link{ClientID: "shop.example"}, now)
		if err != nil {
			if e := (*oid4vp.Error)(nil); !errors.As(err, &e) || rep.OK() {
				t.Fatalf("%v\n%s", err, rep)
			}
			return
		}
		for _, c := range r.Query.Credentials {
			if len(c.Types) != 1 || len(c.Claims) == 0 {
				t.Fatalf("%+v", c)
			}
		}
	})
}

func FuzzAnnexBTransactionOpen(f *testing.F) {
	v := loadAnnexB(f)
	f.Add(v.jarm)
	_, tx := beginAnnexB(f)
	f.Fuzz(func(t *testing.T, response string) {
		if a, err := tx.Open(t.Context(), url.Values{"response": {response}}, now); err == nil {
			t.Fatalf("opened: %+v", a)
		}
	})
}
