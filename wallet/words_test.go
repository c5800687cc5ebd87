package wallet_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// A bad request is refused before anybody is asked, in words that say what is
// wrong with it and by which clause.
func TestWordsForBadRequests(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	other := certify(t, pki.ReaderAuth, w.Now(), "Somebody", &w.readerCA)
	d, _ := w.holder(nil)
	v := w.relyingParty(rp)
	const wrong = "the verifier's request is not in order, nothing was shown: "
	type claims = map[string]any
	metadata := func(m claims) claims { return m["client_metadata"].(claims) }
	resigned := func(by signer, change func(m claims, h *jose.Header)) func(string) string {
		return func(object string) string {
			token, err := jose.Parse(object, jose.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var m claims
			if err := json.Unmarshal(token.Payload, &m); err != nil {
				t.Fatal(err)
			}
			change(m, &token.Header)
			signed, err := jose.Sign(t.Context(), by, token.Header, m)
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
	}
	with := func(change func(m claims)) func(string) string {
		return resigned(rp, func(m claims, _ *jose.Header) { change(m) })
	}
	set := func(name string, value any) func(string) string { return with(func(m claims) { m[name] = value }) }
	same := func(s string) string { return s }
	link := func(old, with string) func(string) string {
		return func(s string) string { return strings.Replace(s, old, with, 1) }
	}
	for _, c := range []struct {
		name   string
		object func(string) string
		link   func(string) string
		words  string
	}{
		{"changed on the way", func(s string) string { return s[:len(s)-6] + "AAAAAA" }, same, wrong + "invalid_request: request signature: JWS: signature does not verify (OpenID4VP 1.0, 5.9.3)"},
		{"signed by another", resigned(other, func(_ claims, _ *jose.Header) {}), same, wrong + "invalid_request: request signature: JWS: signature does not verify (OpenID4VP 1.0, 5.9.3)"},
		{"with the certificate of another", resigned(other, func(_ claims, h *jose.Header) { h.X5C = other.chain() }), same, wrong + "invalid_request: client_id is not the hash of the signer's certificate (OpenID4VP 1.0, 5.9.3)"},
		{"for another client than the link", same, link("x509_hash", "x509_san_dns"), wrong + "invalid_request: client_id of the request object differs from the link's (OpenID4VP 1.0, 5.10.1)"},
		{"without a certificate", resigned(rp, func(_ claims, h *jose.Header) { h.X5C = nil }), same, wrong + "invalid_request: request object without x5c (OpenID4VP 1.0, 5.9.3)"},
		{"of another type", resigned(rp, func(_ claims, h *jose.Header) { h.Typ = "JWT" }), same, wrong + `invalid_request: typ is "JWT", not oauth-authz-req+jwt (OpenID4VP 1.0, 5)`},
		{"not signed", func(s string) string {
			return jose.Encode([]byte(`{"alg":"none"}`)) + "." + strings.Split(s, ".")[1] + "."
		}, same, wrong + `invalid_request: request object without signature, with alg "none" and typ "" (OpenID4VP 1.0, 5)`},
		{"no request", func(string) string { return "<html>not found</html>" }, same, wrong + "invalid_request: request object: JWS of 1 parts, not 3: malformed (OpenID4VP 1.0, 5; RFC 9101, 10.8)"},
		{"too large", func(s string) string { return s + strings.Repeat("A", 256<<10) }, same, wrong + "invalid_request: request object: JWS of 264964 bytes, limit 262144: malformed (OpenID4VP 1.0, 5; RFC 9101, 10.8)"},
		{"deep", set("client_metadata", deep(100)), same, wrong + "invalid_request: request object: JWT claims: JSON at byte 152: nested too deeply: malformed (OpenID4VP 1.0, 5; RFC 9101, 10.8)"},
		{"expired", set("exp", w.Now().Add(-time.Hour).Unix()), same, wrong + `invalid_request: request times: "exp" 2026-11-23T11:00:00Z: expired (RFC 7519, 4.1.4)`},
		{"of the future", set("iat", w.Now().Add(time.Hour).Unix()), same, wrong + `invalid_request: request times: "iat" 2026-11-23T13:00:00Z: not yet valid (RFC 7519, 4.1.4)`},
		{"unknown response mode", set("response_mode", "query"), same, wrong + `invalid_request: response_mode "query" is not direct_post.jwt, direct_post or fragment (OpenID4VP 1.0, 8.2)`},
		{"no response_uri", with(func(m claims) { delete(m, "response_uri") }), same, wrong + `invalid_request: response_uri: URL "" has no host (OpenID4VP 1.0, 5.2)`},
		{"answer in the clear over http", set("response_uri", "http://bank.example/response"), same, wrong + `invalid_request: response_uri: URL "http://bank.example/response": https wanted, or http on loopback (OpenID4VP 1.0, 5.2)`},
		{"both addresses", set("redirect_uri", "https://bank.example/"), same, wrong + "invalid_request: both redirect_uri and response_uri (OpenID4VP 1.0, 8.2)"},
		{"no nonce", with(func(m claims) { delete(m, "nonce") }), same, wrong + "invalid_request: nonce of 0 characters, from 1 to 512 (OpenID4VP 1.0, 5.2)"},
		{"no query", with(func(m claims) { delete(m, "dcql_query") }), same, wrong + "invalid_request: dcql_query is missing (OpenID4VP 1.0, 8.5)"},
		{"malformed query", set("dcql_query", claims{"credentials": []claims{{"id": "a"}}}), same, wrong + "invalid_request: credentials[0]: query not valid: format is missing (OpenID4VP 1.0, 6.1)"},
		{"a query of the drafts", with(func(m claims) { delete(m, "dcql_query"); m["presentation_definition"] = claims{} }), same, wrong + `invalid_client: client_id_scheme "": x509_san_dns and x509_san_uri are supported (ISO/IEC TS 18013-7, B.4.2.3.4)`},
		{"no key for the answer", with(func(m claims) { delete(metadata(m), "jwks") }), same, wrong + "invalid_request: direct_post.jwt without keys in client_metadata (OpenID4VP 1.0, 8.3)"},
		{"unknown encryption", with(func(m claims) { metadata(m)["encrypted_response_enc_values_supported"] = []string{"A128CBC-HS256"} }), same, wrong + "invalid_request: no content encryption in common (OpenID4VP 1.0, 8.3)"},
		{"unknown formats", with(func(m claims) { metadata(m)["vp_formats_supported"] = claims{"jwt_vc_json": claims{}} }), same, wrong + "vp_formats_not_supported: asked for is mso_mdoc: not known here, or not in vp_formats_supported with algorithms in common (OpenID4VP 1.0, 8.5)"},
		{"unknown transaction data", set("transaction_data", []string{"eyJ0eXBlIjoieCJ9"}), same, wrong + "invalid_transaction_data: transaction_data[0]: without credential_ids (OpenID4VP 1.0, 8.5)"},
		{"link without request", same, func(string) string { return "openid4vp://?client_id=x509_hash:x" }, wrong + "invalid_request: a request with the prefix x509_hash has to be signed (OpenID4VP 1.0, 5.9.3)"},
		{"link with a parameter twice", same, func(s string) string { return s + "&client_id=x" }, `request link: invalid_request: query of the link: malformed form: parameter "client_id" comes 2 times (RFC 6749, 3.1)`},
		{"link with another method", same, func(s string) string { return s + "&request_uri_method=put" }, `request link: invalid_request_uri_method: request_uri_method is "put", not get or post (OpenID4VP 1.0, 5.10)`},
		{"link that is too long", same, func(s string) string { return s + "&x=" + strings.Repeat("x", 512<<10) }, "request link: invalid_request: link of 524444 bytes, at most 131072"},
	} {
		v.object, v.got = c.object, nil
		entry, _, err := d.Answer(t.Context(), c.link(v.link(nameAndAge)))
		if err == nil || entry.ID != "" {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		if err.Error() != c.words {
			t.Errorf("%s:\n got %s\nwant %s", c.name, err, c.words)
		}
		plain(t, c.name, err.Error())
		if !strings.HasSuffix(err.Error(), ")") && !strings.Contains(err.Error(), "at most") { // a limit of ours
			t.Errorf("%s: no clause in: %v", c.name, err)
		}
		if v.got != nil && (v.got.Error == "" || v.got.Error == oid4vp.AccessDenied || len(v.got.Presentations) > 0) {
			t.Errorf("%s: the verifier got %+v", c.name, v.got)
		}
	}
	if len(d.consent.asked) != 0 {
		t.Error("the holder was bothered")
	}
	if log, err := d.Log(t.Context()); err != nil || len(log) > 1 { // the issuance
		t.Errorf("%d entries of the log, %v", len(log), err)
	}
}

// deep is an array in an array, so many times.
func deep(n int) any {
	var v any = 1
	for range n {
		v = []any{v}
	}
	return v
}
