package oid4vci_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

func agreementKey(t testing.TB) key.Ephemeral {
	t.Helper()
	k, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.Ephemeral{Private: k}
}

// encrypt gives the authority two encryption keys, of which the first is current.
func (a *authority) encrypt(t testing.TB, required bool) {
	a.Encryption = &oid4vci.Encryption{Required: required, Keys: []oid4vci.EncryptionKey{
		{ID: "new", Key: agreementKey(t)}, {ID: "old", Key: agreementKey(t)},
	}}
}

func jwkOf(t testing.TB, k key.Agreer, kid, alg string) jose.JWK {
	t.Helper()
	pub, err := key.FromECDH(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return jose.JWK{Key: pub, KID: kid, Alg: alg, Use: "enc"}
}

// sealed is a request encrypted to one of the authority's keys.
func (a *authority) sealed(t testing.TB, key int, body any) fetch.Request {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	k := a.Encryption.Keys[key]
	jwe, err := jose.Encrypt(text, jose.EncryptOptions{Recipient: jwkOf(t, k.Key, k.ID, "ECDH-ES"), Enc: "A256GCM", Zip: true})
	if err != nil {
		t.Fatal(err)
	}
	return fetch.Request{Method: "POST", URL: issuerID + "/credential", Body: []byte(jwe), Header: map[string]string{"content-type": "application/jwt"}}
}

func TestEncryptionRefusals(t *testing.T) {
	a := newAuthority(t)
	k := holders(t, 1)[0]
	proof := func() any {
		s, err := oid4vci.Proof{Issuer: issuerID, Nonce: a.Nonces.Issue(now)}.Sign(t.Context(), k, now)
		if err != nil {
			t.Fatal(err)
		}
		return m("jwt", s)
	}
	mine := agreementKey(t)
	body := func(encryption any) map[string]any {
		b := map[string]any{"credential_configuration_id": "card", "proofs": proof()}
		if encryption != nil {
			b["credential_response_encryption"] = encryption
		}
		return b
	}
	type e struct {
		JWK jose.JWK `json:"jwk"`
		Enc string   `json:"enc,omitempty"`
		Zip string   `json:"zip,omitempty"`
	}
	good := e{jwkOf(t, mine, "k", "ECDH-ES"), "A128GCM", "DEF"}
	with := func(change func(*e)) e { v := good; change(&v); return v }
	for name, c := range map[string]struct {
		required bool
		request  func() fetch.Request
		code     string // "" for none
	}{
		"in clear":              {false, func() fetch.Request { return jsonRequest(t, body(nil)) }, ""},
		"encrypted":             {false, func() fetch.Request { return a.sealed(t, 0, body(nil)) }, ""},
		"with the key before":   {false, func() fetch.Request { return a.sealed(t, 1, body(good)) }, ""},
		"clear where required":  {true, func() fetch.Request { return jsonRequest(t, body(nil)) }, oid4vci.CodeInvalidEncryption},
		"no response key":       {true, func() fetch.Request { return a.sealed(t, 0, body(nil)) }, oid4vci.CodeInvalidEncryption},
		"response key in clear": {false, func() fetch.Request { return jsonRequest(t, body(good)) }, oid4vci.CodeInvalidEncryption},
		"unsupported alg": {false, func() fetch.Request {
			return a.sealed(t, 0, body(with(func(v *e) { v.JWK.Alg = "UNSUPPORTED_ALG" })))
		}, oid4vci.CodeInvalidEncryption},
		"no alg":  {false, func() fetch.Request { return a.sealed(t, 0, body(with(func(v *e) { v.JWK.Alg = "" }))) }, oid4vci.CodeInvalidEncryption},
		"enc":     {false, func() fetch.Request { return a.sealed(t, 0, body(with(func(v *e) { v.Enc = "A128CBC-HS256" }))) }, oid4vci.CodeInvalidEncryption},
		"no enc":  {false, func() fetch.Request { return a.sealed(t, 0, body(with(func(v *e) { v.Enc = "" }))) }, oid4vci.CodeInvalidEncryption},
		"zip":     {false, func() fetch.Request { return a.sealed(t, 0, body(with(func(v *e) { v.Zip = "GZ" }))) }, oid4vci.CodeInvalidEncryption},
		"no jwk":  {false, func() fetch.Request { return a.sealed(t, 0, body(map[string]any{"enc": "A256GCM"})) }, oid4vci.CodeInvalidEncryption},
		"not JWE": {false, func() fetch.Request { r := a.sealed(t, 0, body(nil)); r.Body = []byte("a.b.c.d.e"); return r }, oid4vci.CodeInvalidEncryption},
		"other kid": {false, func() fetch.Request {
			b := *a
			b.Encryption = &oid4vci.Encryption{Keys: []oid4vci.EncryptionKey{{ID: "unknown", Key: a.Encryption.Keys[0].Key}}}
			return b.sealed(t, 0, body(nil))
		}, oid4vci.CodeInvalidEncryption},
		"other key": {false, func() fetch.Request {
			b := *a
			b.Encryption = &oid4vci.Encryption{Keys: []oid4vci.EncryptionKey{{ID: "new", Key: agreementKey(t)}}}
			return b.sealed(t, 0, body(nil))
		}, oid4vci.CodeInvalidEncryption},
		"bomb": {false, func() fetch.Request {
			b := body(nil)
			b["padding"] = strings.Repeat(" ", 2<<20)
			return a.sealed(t, 0, b)
		}, oid4vci.CodeInvalidEncryption},
		"no JSON": {false, func() fetch.Request { return a.sealed(t, 0, "text") }, oid4vci.CodeInvalidRequest},
		"media type": {false, func() fetch.Request {
			r := jsonRequest(t, body(nil))
			r.Header["content-type"] = "text/plain"
			return r
		}, oid4vci.CodeInvalidRequest},
	} {
		a.encrypt(t, c.required)
		req, refusal, err := a.Open(t.Context(), a.store, grant(), c.request(), now)
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case c.code == "" && refusal != nil:
			t.Errorf("%s: %v", name, refusal)
		case c.code != "" && (refusal == nil || refusal.Code != c.code):
			t.Errorf("%s: %v, want %s", name, refusal, c.code)
		case c.code != "" && bytes.Contains(refusal.Response().Body, []byte(`\`)):
			t.Errorf("%s: %s", name, refusal.Response().Body)
		case c.code == "" && name == "with the key before":
			resp, err := req.Reply(oid4vci.Answer{Credentials: []string{"one", "two"}})
			if err != nil || resp.MediaType() != "application/jwt" || resp.Status != 200 {
				t.Fatalf("reply %d %s, %v", resp.Status, resp.MediaType(), err)
			}
			jwe, err := jose.ParseJWE(string(resp.Body))
			if err != nil || jwe.Header.KID != "k" || jwe.Header.Zip != "DEF" || jwe.Header.Enc != "A128GCM" {
				t.Fatalf("reply %+v, %v", jwe, err)
			}
			if text, err := jwe.Decrypt(t.Context(), mine); err != nil || string(text) != `{"credentials":[{"credential":"one"},{"credential":"two"}]}` {
				t.Errorf("reply %s, %v", text, err)
			}
		}
	}
}

// exchange is a wallet's client whose only request is answered by do.
func exchange(t testing.TB, meta *oid4vci.Metadata, do func(r fetch.Request) (fetch.Response, error)) *oid4vci.Client {
	meta.CredentialEndpoint = issuerID + "/credential"
	meta.Configurations = map[string]oid4vci.Configuration{"plain": {Format: "mso_mdoc"}}
	return &oid4vci.Client{Metadata: meta, Token: &oauth.Token{AccessToken: "t"}, OAuth: &oauth.Client{
		Server: &oauth.Metadata{}, ID: "wallet", DPoP: holders(t, 1)[0],
		Fetch: func(_ context.Context, r fetch.Request) (fetch.Response, error) { return do(r) },
	}}
}

// A wallet that asked for an encrypted answer takes no other, but for errors.
func TestEncryptionByTheWallet(t *testing.T) {
	a := newAuthority(t)
	a.encrypt(t, true)
	req, resp, err := a.Encryption.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(meta oid4vci.Metadata, answer fetch.Response) (int, error) {
		sent := 0
		_, err := exchange(t, &meta, func(fetch.Request) (fetch.Response, error) { sent++; return answer, nil }).
			Request(t.Context(), "plain", nil, "", "", now)
		return sent, err
	}
	both := oid4vci.Metadata{RequestEncryption: req, ResponseEncryption: resp}
	if _, err := ask(both, fetch.JSONResponse(200, map[string]any{"credentials": []any{map[string]any{"credential": "x"}}})); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("answer in clear: %v", err)
	}
	var refused *oid4vci.Error
	if _, err := ask(both, (&oid4vci.Error{Code: oid4vci.CodeDenied}).Response()); !errors.As(err, &refused) || refused.Code != oid4vci.CodeDenied {
		t.Errorf("error in clear: %v", err)
	}
	other := jwkOf(t, agreementKey(t), "", "ECDH-ES") // a key of somebody else
	jwe, err := jose.Encrypt([]byte(`{}`), jose.EncryptOptions{Recipient: other, Enc: "A256GCM"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(both, fetch.Response{Status: 200, Header: map[string]string{"content-type": "application/jwt"}, Body: []byte(jwe)}); !errors.Is(err, jose.ErrDecrypt) {
		t.Errorf("answer for somebody else: %v", err)
	}
	for name, meta := range map[string]oid4vci.Metadata{
		"responses only":    {ResponseEncryption: resp},
		"no usable key":     {RequestEncryption: &oid4vci.RequestEncryption{JWKS: oid4vci.KeySet{Keys: []json.RawMessage{[]byte(`{"kty":"AKP","kid":"1"}`)}}, Enc: req.Enc, Required: true}},
		"no usable enc":     {RequestEncryption: &oid4vci.RequestEncryption{JWKS: req.JWKS, Enc: []string{"X"}, Required: true}},
		"no usable answers": {RequestEncryption: req, ResponseEncryption: &oid4vci.ResponseEncryption{Alg: []string{"RSA-OAEP"}, Enc: req.Enc, Required: true}},
	} {
		if sent, err := ask(meta, fetch.JSONResponse(200, "")); err == nil || sent > 0 {
			t.Errorf("%s: sent %d, %v", name, sent, err)
		}
	}
}

// Sets hold keys for other wallets beside ours.
func TestEncryptionPicksAKey(t *testing.T) {
	a := newAuthority(t)
	a.encrypt(t, false)
	req, _, err := a.Encryption.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	decoys := []json.RawMessage{[]byte(`{"kty":"AKP","alg":"ML-KEM-768","kid":"pq"}`), []byte(`{"kty":"odd"}`), []byte(`7`)}
	req.JWKS.Keys = append(decoys, req.JWKS.Keys...)
	var sent fetch.Request
	c := exchange(t, &oid4vci.Metadata{RequestEncryption: req}, func(r fetch.Request) (fetch.Response, error) {
		sent = r
		return fetch.JSONResponse(200, map[string]any{"credentials": []any{map[string]any{"credential": "x"}}}), nil
	})
	if _, err := c.Request(t.Context(), "plain", nil, "", "", now); err != nil {
		t.Fatal(err)
	}
	if jwe, err := jose.ParseJWE(string(sent.Body)); err != nil || jwe.Header.KID != "new" {
		t.Errorf("%+v, %v", jwe, err)
	}
}
