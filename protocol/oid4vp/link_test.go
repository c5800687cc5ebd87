package oid4vp_test

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// TestWalletPostVector: the form of OpenID4VP 1.0, 5.10.
func TestWalletPostVector(t *testing.T) {
	var f struct {
		Text string `json:"text"`
	}
	vectors.Load(t, "openid4vp/s5_10_request_uri_post.json", &f)
	form, err := fetch.ParseForm(f.Text)
	check(t, err)
	post, err := oid4vp.ParseWalletPost(form)
	if err != nil || post.Nonce != "qPmxiNFCR3QTm19POc8u" {
		t.Errorf("%+v, %v", post, err)
	}
	for name, form := range map[string]url.Values{
		"huge nonce":     {"wallet_nonce": {strings.Repeat("n", 513)}},
		"no JSON":        {"wallet_metadata": {"x"}},
		"huge metadata":  {"wallet_metadata": {`{"x":"` + strings.Repeat("x", 70<<10) + `"}`}},
		"private key":    {"wallet_metadata": {`{"jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"x","y":"y","d":"d"}]}}`}},
		"empty metadata": {"wallet_metadata": {""}},
	} {
		if _, err := oid4vp.ParseWalletPost(form); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if post, err := oid4vp.ParseWalletPost(url.Values{"x": {"y"}}); err != nil || post.Nonce != "" {
		t.Errorf("parameters that are not known: %v", err)
	}
}

// TestWalletMetadata: what the wallet posts is what the verifier can read, and
// hides which wallet it is.
func TestWalletMetadata(t *testing.T) {
	posted := func(clientID string) map[string]any {
		l, err := oid4vp.ParseLink("openid4vp://?" + url.Values{"client_id": {clientID}, "request_uri": {"https://shop.example/r"}, "request_uri_method": {"post"}}.Encode())
		check(t, err)
		var m map[string]any
		_, nonce, err := l.Fetch(t.Context(), func(_ context.Context, r fetch.Request) (fetch.Response, error) {
			form, err := r.Form()
			check(t, err)
			check(t, json.Unmarshal([]byte(form.Get("wallet_metadata")), &m))
			if r.Get("accept") != oid4vp.RequestObjectMediaType || len(form) != 2 {
				t.Errorf("%v %v", r.Header, form)
			}
			return fetch.Response{Status: 200, Body: []byte(" x\n")}, nil
		})
		if err != nil || len(nonce) < 22 {
			t.Errorf("nonce %q, %v", nonce, err)
		}
		return m
	}
	formats, _ := posted("x509_hash:x")["vp_formats_supported"].(map[string]any)
	if formats["mso_mdoc"] == nil || formats["dc+sd-jwt"] == nil {
		t.Errorf("formats %v", formats)
	}
	if posted("x509_hash:x")["request_object_signing_alg_values_supported"] == nil || posted("redirect_uri:https://shop.example/")["request_object_signing_alg_values_supported"] != nil {
		t.Error("signing algorithms are for prefixes that sign")
	}
	for _, status := range []int{302, 400, 404, 500} {
		l := oid4vp.Link{ClientID: "x", RequestURI: "https://shop.example/r", Post: true}
		asked := 0
		_, _, err := l.Fetch(t.Context(), func(context.Context, fetch.Request) (fetch.Response, error) {
			asked++
			return fetch.Response{Status: status, Header: map[string]string{"location": "http://127.0.0.1/"}}, nil
		})
		if err == nil || asked != 1 {
			t.Errorf("status %d: asked %d times, %v", status, asked, err)
		}
	}
}

// TestEncryptedRequest: a wallet that sends a key gets the request encrypted to
// it, signed inside.
func TestEncryptedRequest(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	tx := begin(t, v)
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	check(t, err)
	pub, err := key.FromECDH(priv.PublicKey())
	check(t, err)
	metadata := encode(t, map[string]any{
		"jwks": map[string]any{"keys": []any{map[string]string{"kty": "AKP", "pub": "AAAA", "kid": "0"}, jose.JWK{Key: pub, KID: "1", Use: "enc", Alg: "ECDH-ES"}}},
		"request_object_encryption_enc_values_supported": []string{"A128CBC-HS256", "A256GCM"}, "vp_formats_supported": map[string]any{"dc+sd-jwt": nil},
	})
	post, err := oid4vp.ParseWalletPost(url.Values{"wallet_metadata": {string(metadata)}, "wallet_nonce": {"kxbJ//QQ/qheqcBnVzjZPg=="}})
	check(t, err)
	object, err := v.RequestObject(t.Context(), tx, post, now)
	check(t, err)
	jwe, err := jose.ParseJWE(object)
	if err != nil || jwe.Header.KID != "1" || jwe.Header.Enc != jose.A256GCM || jwe.Header.CTY != "JWT" {
		t.Fatalf("%+v, %v", jwe, err)
	}
	signed, err := jwe.Decrypt(t.Context(), key.Ephemeral{Private: priv})
	check(t, err)
	if _, _, err := oid4vp.Open(t.Context(), string(signed), oid4vp.Link{ClientID: v.ClientID}, post.Nonce, oid4vp.Environment{}, now); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(string) string{
		"another algorithm": func(s string) string {
			return strings.Replace(s, `{`, `{"request_object_encryption_alg_values_supported":["RSA-OAEP-256"],`, 1)
		},
		"another encryption": func(s string) string { return strings.Replace(s, `"A256GCM"`, `"A256CBC-HS512"`, 1) },
		"no usable key":      func(s string) string { return strings.Replace(s, `"EC"`, `"AKP"`, 1) },
	} {
		post, err := oid4vp.ParseWalletPost(url.Values{"wallet_metadata": {change(string(metadata))}})
		check(t, err)
		object, err := v.RequestObject(t.Context(), tx, post, now)
		check(t, err)
		if strings.Count(object, ".") != 2 {
			t.Errorf("%s: %d dots", name, strings.Count(object, "."))
		}
	}
}

// TestEncryptedRequestBothEnds: the wallet asks for it with a new key each time,
// reads what was encrypted to it, and nothing that was encrypted to another.
func TestEncryptedRequestBothEnds(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	signed := begin(t, v)
	unsigned, err := v.Begin(oid4vp.Params{Query: pidQuery(t), RequestURI: "https://shop.example/r", ResponseURI: "https://shop.example/a", Unsigned: true}, now)
	check(t, err)
	keys := map[string]bool{}
	fetched := func(tx *oid4vp.Transaction, change func(string) string) (string, string, oid4vp.Link, error) {
		l, err := oid4vp.ParseLink("openid4vp://?" + url.Values{"client_id": {tx.ClientID}, "request_uri": {"https://shop.example/r"}, "request_uri_method": {"post"}}.Encode())
		check(t, err)
		object, nonce, err := l.Fetch(t.Context(), func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
			form, err := r.Form()
			check(t, err)
			var m struct {
				JWKS struct{ Keys []map[string]string }
			}
			check(t, json.Unmarshal([]byte(form.Get("wallet_metadata")), &m))
			if k := m.JWKS.Keys[0]; keys[k["x"]] || k["d"] != "" || k["alg"] != "ECDH-ES" {
				t.Errorf("key %v", k)
			}
			keys[m.JWKS.Keys[0]["x"]] = true
			post, err := oid4vp.ParseWalletPost(form)
			check(t, err)
			object, err := v.RequestObject(ctx, tx, post, now)
			check(t, err)
			if strings.Count(object, ".") != 4 {
				t.Errorf("not encrypted: %s", object)
			}
			return fetch.Response{Status: 200, Body: []byte(change(object))}, nil
		})
		return object, nonce, l, err
	}
	same := func(s string) string { return s }
	for name, tx := range map[string]*oid4vp.Transaction{"signed": signed, "unsigned": unsigned} {
		object, nonce, l, err := fetched(tx, same)
		check(t, err)
		if req, _, err := oid4vp.Open(t.Context(), object, l, nonce, oid4vp.Environment{}, now); err != nil || req.Nonce != tx.Nonce {
			t.Errorf("%s: %v", name, err)
		}
	}
	var old string
	_, _, _, err = fetched(signed, func(s string) string { old = s; return s })
	check(t, err)
	inside := func(cty string) func(string) string {
		return func(s string) string {
			jwe, err := jose.ParseJWE(s)
			check(t, err)
			return strings.Replace(s, s[:strings.IndexByte(s, '.')], jose.Encode(encode(t, map[string]any{"alg": "ECDH-ES", "enc": jwe.Header.Enc, "epk": jwe.Header.EPK, "cty": cty})), 1)
		}
	}
	for name, change := range map[string]func(string) string{
		"for another key": func(string) string { return old },
		"changed":         func(s string) string { return s[:len(s)-4] + "AAAA" },
		"no JWE":          func(string) string { return "a.b.c.d.e" },
		"another header":  inside("JWT"),
		"no JWT in it":    inside("text/html"),
	} {
		if object, _, _, err := fetched(signed, change); err == nil || oid4vp.CodeOf(err) != oid4vp.InvalidRequest || object != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if object, _, _, err := fetched(signed, func(string) string { return " x.y.z\n" }); err != nil || object != "x.y.z" {
		t.Errorf("a verifier that does not encrypt: %q %v", object, err)
	}
}

// TestEncryptionVector: of the keys in OpenID4VP 1.0, 8.3 the wallet takes one
// that it can use, and of the algorithms one that it has.
func TestEncryptionVector(t *testing.T) {
	var f struct {
		Data struct {
			Request map[string]any `json:"request"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vp/s8_3_encrypted_response.json", &f)
	metadata := f.Data.Request["client_metadata"].(map[string]any)
	keys := metadata["jwks"].(map[string]any)["keys"].([]any)
	// Keys of kinds that nobody here knows stand before the good ones.
	odd := []any{map[string]any{"kty": "AKP", "alg": "ML-KEM-768", "pub": "AAAA", "kid": "a"}, map[string]any{"kty": "eidos", "kid": "b"}, map[string]any{"kty": "EC", "crv": "P-256K", "x": "AA", "y": "AA", "kid": "c"}}
	for _, c := range []struct {
		name string
		keys []any
		kid  string
	}{
		{"as printed", keys, "ac"},
		{"odd keys first", append(odd, keys...), "ac"},
		{"X25519", keys[1:], "jc"},
		{"P-384", keys[2:], "lc"},
		{"X448", keys[3:], ""},
		{"odd keys alone", odd, ""},
		{"without use", []any{without2(keys[0], "use")}, "ac"},
		{"for signatures", []any{with2(keys[0], "use", "sig")}, ""},
	} {
		metadata["jwks"] = map[string]any{"keys": c.keys}
		req, _, err := oid4vp.OpenDC(t.Context(), oid4vp.ProtocolUnsigned, encode(t, f.Data.Request), origin, oid4vp.Environment{}, now)
		if c.kid == "" {
			if err == nil {
				t.Errorf("%s: accepted", c.name)
			}
			continue
		}
		check(t, err)
		data, err := req.AnswerDC(oid4vp.Presentations{"my_credential": {"x~"}})
		check(t, err)
		var sealed struct {
			Response string `json:"response"`
		}
		check(t, json.Unmarshal(data, &sealed))
		if jwe, err := jose.ParseJWE(sealed.Response); err != nil || jwe.Header.KID != c.kid || jwe.Header.Enc != jose.A128GCM || jwe.Header.Alg != "ECDH-ES" {
			t.Errorf("%s: %+v, %v", c.name, jwe, err)
		}
	}
}

func with2(v any, name string, value any) map[string]any {
	out := map[string]any{name: value}
	for k, x := range v.(map[string]any) {
		if k != name {
			out[k] = x
		}
	}
	return out
}

func without2(v any, name string) map[string]any { return without(with2(v, name, nil), name) }

// TestHAIP: what a verifier sends by default has nothing in it that HAIP 1.0,
// or a strict reader of OpenID4VP 1.0, would object to.
func TestHAIP(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	m, tx := paramsOf(t, v)
	another, _ := paramsOf(t, v)
	for name := range m {
		switch name {
		case "aud", "client_id", "client_metadata", "dcql_query", "exp", "iat", "nonce", "response_mode", "response_type", "response_uri", "state":
		default:
			t.Errorf("parameter %s", name)
		}
	}
	metadata := m["client_metadata"].(map[string]any)
	for name := range metadata {
		switch name {
		case "jwks", "vp_formats_supported", "encrypted_response_enc_values_supported":
		default:
			t.Errorf("metadata %s", name)
		}
	}
	enc := metadata["encrypted_response_enc_values_supported"].([]any)
	k := metadata["jwks"].(map[string]any)["keys"].([]any)[0].(map[string]any)
	if len(enc) != 2 || k["crv"] != "P-256" || k["alg"] != "ECDH-ES" || k["use"] != "enc" || k["kid"] == "" || m["response_mode"] != "direct_post.jwt" {
		t.Errorf("%v", metadata)
	}
	if k["x"] == another["client_metadata"].(map[string]any)["jwks"].(map[string]any)["keys"].([]any)[0].(map[string]any)["x"] || m["nonce"] == another["nonce"] {
		t.Error("key or nonce is used twice")
	}
	formats := metadata["vp_formats_supported"].(map[string]any)
	for format, lists := range map[string][]string{"mso_mdoc": {"issuerauth_alg_values", "deviceauth_alg_values"}, "dc+sd-jwt": {"sd-jwt_alg_values", "kb-jwt_alg_values"}} {
		for _, name := range lists {
			if list, _ := formats[format].(map[string]any)[name].([]any); len(list) == 0 {
				t.Errorf("%s of %s", name, format)
			}
		}
	}
	requests, err := v.DCRequests(t.Context(), tx, []string{origin}, now)
	check(t, err)
	var unsigned map[string]any
	check(t, json.Unmarshal(requests[2].Data, &unsigned))
	if unsigned["client_id"] != nil || unsigned["expected_origins"] != nil || unsigned["state"] != nil || unsigned["response_mode"] != "dc_api.jwt" {
		t.Errorf("unsigned %v", unsigned)
	}
}

// TestBeginRefuses: what a verifier must not ask.
func TestBeginRefuses(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	const request, response = "https://shop.example/request", "https://shop.example/response"
	for name, p := range map[string]oid4vp.Params{
		"no address":                   {RequestURI: request},
		"plain http":                   {RequestURI: request, ResponseURI: "http://shop.example/response"},
		"request over plain http":      {RequestURI: "http://shop.example/request", ResponseURI: response},
		"redirect_uri with a post":     {RequestURI: request, ResponseURI: response, RedirectURI: "https://shop.example/cb"},
		"response_uri with a fragment": {RequestURI: request, ResponseURI: response, RedirectURI: "https://shop.example/cb", Mode: oid4vp.Fragment},
		"fragment without address":     {RequestURI: request, Mode: oid4vp.Fragment},
		"mode of nobody":               {RequestURI: request, ResponseURI: response, Mode: "query"},
		"info without format":          {RequestURI: request, ResponseURI: response, Info: []oid4vp.VerifierInfo{{Data: json.RawMessage(`"x"`)}}},
		"info about nothing":           {RequestURI: request, ResponseURI: response, Info: []oid4vp.VerifierInfo{{Format: "jwt", Data: json.RawMessage(`"x"`), CredentialIDs: []string{"mdl"}}}},
	} {
		p.Query = pidQuery(t)
		if tx, err := v.Begin(p, now); err == nil {
			t.Errorf("%s: %+v", name, tx)
		}
	}
	tx, err := v.Begin(oid4vp.Params{Query: pidQuery(t)}, now)
	check(t, err)
	if _, err := v.RequestObject(t.Context(), tx, oid4vp.WalletPost{}, now); err == nil {
		t.Error("a request of the browser is served")
	}
	if _, err := v.LinkByValue(t.Context(), tx, "openid4vp", now); err == nil {
		t.Error("a request of the browser is put into a link")
	}
	other, _ := newVerifier(t, "shop.example")
	if _, err := other.RequestObject(t.Context(), begin(t, v), oid4vp.WalletPost{}, now); err == nil {
		t.Error("a verifier asks under the name of another")
	}
	if link := begin(t, v).Link("https://wallet.example/authorize?x=1"); !strings.HasPrefix(link, "https://wallet.example/authorize?x=1&client_id=x509_hash") {
		t.Error(link)
	}
}

func TestParseResult(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: "", `{"redirect_uri":"https://shop.example/done#x"}`: "https://shop.example/done#x", `{"x":1,"redirect_uri":"app.shop:/done"}`: "app.shop:/done",
		`{"redirect_uri":"/done"}`: "!", `{"redirect_uri":"javascript:alert(1)"}`: "!", `{"redirect_uri":"JavaScript:alert(1)"}`: "!",
		`{"redirect_uri":"data:text/html,x"}`: "!", `{"redirect_uri":"file:///etc/passwd"}`: "!", `<html>`: "!", `{"redirect_uri":1}`: "!",
	} {
		got, err := oid4vp.ParseResult(fetch.Response{Status: 200, Body: []byte(body)})
		if (err != nil) != (want == "!") || err == nil && got != want {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
	if _, err := oid4vp.ParseResult(fetch.Response{Status: 303, Header: map[string]string{"location": "https://shop.example/"}}); err == nil {
		t.Error("an HTTP redirect is followed")
	}
}

// FuzzParseLink: no link makes ParseLink or Open of what it holds panic.
func FuzzParseLink(f *testing.F) {
	v, _ := newVerifier(f, "shop.example")
	tx := begin(f, v)
	link, err := v.LinkByValue(context.Background(), tx, "openid4vp", now)
	check(f, err)
	f.Add(link)
	f.Add(tx.Link("openid4vp"))
	unsigned, err := v.Begin(oid4vp.Params{Query: pidQuery(f), Unsigned: true, Mode: oid4vp.Fragment, RedirectURI: "https://shop.example/cb"}, now)
	check(f, err)
	link, err = v.LinkByValue(context.Background(), unsigned, "openid4vp", now)
	check(f, err)
	f.Add(link)
	f.Fuzz(func(t *testing.T, s string) {
		l, err := oid4vp.ParseLink(s)
		if err != nil {
			return
		}
		object, nonce, err := l.Fetch(t.Context(), func(context.Context, fetch.Request) (fetch.Response, error) {
			return fetch.Response{}, fetch.ErrForbidden
		})
		if err != nil {
			return
		}
		req, _, err := oid4vp.Open(t.Context(), object, l, nonce, oid4vp.Environment{}, now)
		if err == nil && (req.ClientID != l.ClientID || req.ResponseURI == "") {
			t.Fatalf("opened as %+v", req)
		}
	})
}

// FuzzWalletPost: no form makes ParseWalletPost panic.
func FuzzWalletPost(f *testing.F) {
	f.Add(`{"jwks":{"keys":[{"kty":"EC"}]}}`, "n")
	f.Fuzz(func(t *testing.T, metadata, nonce string) {
		if p, err := oid4vp.ParseWalletPost(url.Values{"wallet_metadata": {metadata}, "wallet_nonce": {nonce}}); err == nil && len(p.Nonce) > 512 {
			t.Fatal("a long nonce")
		}
	})
}

// FuzzDIDDocument: no document makes Open panic, and none lets a stranger's
// signature pass.
func FuzzDIDDocument(f *testing.F) {
	n := newNames(f)
	v := n.verifiers["did:web"]
	tx := begin(f, v)
	object, err := v.RequestObject(context.Background(), tx, oid4vp.WalletPost{}, now)
	check(f, err)
	did := strings.TrimPrefix(v.ClientID, "decentralized_identifier:")
	doc, err := oid4vp.DIDDocument(did, v.KeyID, v.Key.Public())
	check(f, err)
	f.Add(doc)
	f.Fuzz(func(t *testing.T, doc []byte) {
		env := oid4vp.Environment{Fetch: func(context.Context, fetch.Request) (fetch.Response, error) {
			return fetch.Response{Status: 200, Body: doc}, nil
		}}
		req, _, err := oid4vp.Open(t.Context(), object, oid4vp.Link{ClientID: v.ClientID}, "", env, now)
		if err == nil && !key.Equal(req.Key, v.Key.Public()) {
			t.Fatal("opened with another key")
		}
	})
}
