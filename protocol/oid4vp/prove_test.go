package oid4vp_test

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// paramsOf are the claims of the request object of a new transaction.
func paramsOf(t testing.TB, v *oid4vp.Verifier) (map[string]any, *oid4vp.Transaction) {
	t.Helper()
	tx := begin(t, v)
	object, err := v.RequestObject(t.Context(), tx, oid4vp.WalletPost{}, now)
	check(t, err)
	token, err := jose.Parse(object, jose.Limits{})
	check(t, err)
	var m map[string]any
	check(t, json.Unmarshal(token.Payload, &m))
	return m, tx
}

// refused opens a request object that has to be refused, without anybody told.
func refused(t *testing.T, name, object, clientID string, env oid4vp.Environment, seen string) {
	t.Helper()
	req, rep, err := oid4vp.Open(t.Context(), object, oid4vp.Link{ClientID: clientID}, "", env, now)
	e, ok := errors.AsType[*oid4vp.Error](err)
	switch {
	case err == nil || rep.OK() || req != nil:
		t.Errorf("%s: accepted", name)
	case !ok || e.Code != oid4vp.InvalidRequest || e.Tell != nil || !strings.Contains(err.Error(), seen):
		t.Errorf("%s: refused as %v, want %q", name, err, seen)
	}
}

// TestAttestationRefused: a verifier attestation that is not one, not for this
// verifier, or not from somebody trusted.
func TestAttestationRefused(t *testing.T) {
	n := newNames(t)
	v := n.verifiers["verifier_attestation"]
	claims, _ := paramsOf(t, v)
	stranger := testkit.Signer(t, elliptic.P256())
	good := n.attest(t, v.Key.Public(), nil)
	with := func(change func(m map[string]any)) string { return n.attest(t, v.Key.Public(), change) }
	byStranger, err := jose.Sign(t.Context(), stranger, jose.Header{Typ: oid4vp.AttestationType}, map[string]any{
		"iss": "https://attester.example", "sub": "shop", "exp": now.Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": jose.JWK{Key: v.Key.Public()}}})
	check(t, err)
	otherType, err := jose.Sign(t.Context(), n.attester, jose.Header{Typ: "JWT"}, map[string]any{"iss": "https://attester.example", "sub": "shop"})
	check(t, err)
	for _, c := range []struct {
		name, attestation string
		signer            key.Signer
		env               oid4vp.Environment
		seen              string
	}{
		{"none", "", v.Key, n.env, "without a verifier attestation"},
		{"no JWT", "x", v.Key, n.env, "verifier attestation"},
		{"other typ", otherType, v.Key, n.env, "typ"},
		{"nobody trusted", good, v.Key, oid4vp.Environment{}, "no issuer"},
		{"unknown issuer", with(func(m map[string]any) { m["iss"] = "https://evil.example" }), v.Key, n.env, "not trusted"},
		{"signed by a stranger", byStranger, v.Key, n.env, "signature"},
		{"expired", with(func(m map[string]any) { m["exp"] = now.Add(-time.Hour).Unix() }), v.Key, n.env, "expired"},
		{"for ever", with(func(m map[string]any) { delete(m, "exp") }), v.Key, n.env, "without exp"},
		{"not yet", with(func(m map[string]any) { m["nbf"] = now.Add(time.Hour).Unix() }), v.Key, n.env, "not yet"},
		{"of another verifier", with(func(m map[string]any) { m["sub"] = "bank" }), v.Key, n.env, "subject"},
		{"subject with prefix", with(func(m map[string]any) { m["sub"] = v.ClientID }), v.Key, n.env, "subject"},
		{"without key", with(func(m map[string]any) { delete(m, "cnf") }), v.Key, n.env, "cnf"},
		{"replayed by somebody else", good, stranger, n.env, "not signed by the key"},
		{"address not attested", with(func(m map[string]any) { m["redirect_uris"] = []string{"https://shop.example/response/2"} }), v.Key, n.env, "none of this client's"},
		{"no address attested", with(func(m map[string]any) { m["redirect_uris"] = []string{} }), v.Key, n.env, "none of this client's"},
	} {
		h := jose.Header{Typ: oid4vp.RequestObjectType, Raw: map[string]json.RawMessage{}}
		if c.attestation != "" {
			h.Raw["jwt"], err = json.Marshal(c.attestation)
			check(t, err)
		}
		object, err := jose.Sign(t.Context(), c.signer, h, claims)
		check(t, err)
		refused(t, c.name, object, v.ClientID, c.env, c.seen)
	}
	v.Attestation = with(func(m map[string]any) { delete(m, "redirect_uris") }) // then any address is its own
	tx := begin(t, v)
	n.received(t, v, tx, tx.Link("openid4vp"), true)
}

// TestDIDRefused: keys that are not of the DID, documents that are not its.
func TestDIDRefused(t *testing.T) {
	n := newNames(t)
	v := n.verifiers["did:web"]
	did := strings.TrimPrefix(v.ClientID, "decentralized_identifier:")
	claims, _ := paramsOf(t, v)
	good, err := oid4vp.DIDDocument(did, did+"#1", v.Key.Public())
	check(t, err)
	stranger := testkit.Signer(t, elliptic.P256())
	others, err := oid4vp.DIDDocument(did, did+"#1", stranger.Public())
	check(t, err)
	serve := func(status int, body string) oid4vp.Environment {
		return oid4vp.Environment{Fetch: func(context.Context, fetch.Request) (fetch.Response, error) {
			return fetch.Response{Status: status, Body: []byte(body)}, nil
		}}
	}
	for _, c := range []struct {
		name, kid string
		env       oid4vp.Environment
		seen      string
	}{
		{"as it is", did + "#1", serve(200, string(good)), ""},
		{"relative", "#1", serve(200, string(good)), ""},
		{"no kid", "", serve(200, string(good)), "kid"},
		{"kid of another DID", "did:web:evil.example#1", serve(200, string(good)), "kid"},
		{"kid of a longer DID", did + "x#1", serve(200, string(good)), "kid"},
		{"key not in the document", did + "#2", serve(200, string(good)), "without the key"},
		{"key of somebody else", did + "#1", serve(200, string(others)), "signature"},
		{"document of another DID", did + "#1", serve(200, strings.ReplaceAll(string(good), "shop.example", "evil.example")), "not of the verifier"},
		{"key in another form", did + "#1", serve(200, strings.Replace(string(good), "publicKeyJwk", "publicKeyMultibase", 1)), "publicKeyJwk"},
		{"private key", did + "#1", serve(200, strings.Replace(string(good), `"kty"`, `"d":"AAAA","kty"`, 1)), "private"},
		{"no JSON", did + "#1", serve(200, "<html>"), "DID document"},
		{"huge", did + "#1", serve(200, `{"id":"`+strings.Repeat("x", 70<<10)+`"}`), "limit"},
		{"redirected", did + "#1", serve(302, ""), "302"},
		{"not looked up", did + "#1", oid4vp.Environment{}, "not looked up"},
		{"unreachable", did + "#1", oid4vp.Environment{Fetch: func(context.Context, fetch.Request) (fetch.Response, error) {
			return fetch.Response{}, fetch.ErrForbidden
		}}, "not allowed"},
	} {
		object, err := jose.Sign(t.Context(), v.Key, jose.Header{Typ: oid4vp.RequestObjectType, KID: c.kid}, claims)
		check(t, err)
		if c.seen != "" {
			refused(t, c.name, object, v.ClientID, c.env, c.seen)
			continue
		}
		if _, _, err := oid4vp.Open(t.Context(), object, oid4vp.Link{ClientID: v.ClientID}, "", c.env, now); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, did := range []string{"did:web:", "did:web:a%2Fb", "did:web:user%40shop.example", "did:web:shop.example:..:x", "did:web:shop.example::x",
		"did:web:shop.example:a%00/b", "did:jwk:e30", "did:jwk:%%%", "did:example:123", "did:web:" + strings.Repeat("a", 3000)} {
		id := oid4vp.DIDID(did)
		claims["client_id"] = id
		object, err := jose.Sign(t.Context(), v.Key, jose.Header{Typ: oid4vp.RequestObjectType, KID: did + "#0"}, claims)
		check(t, err)
		fetched := oid4vp.Environment{Fetch: func(_ context.Context, r fetch.Request) (fetch.Response, error) {
			t.Errorf("%.60s: the wallet asks %.80s", did, r.URL)
			return fetch.Response{}, fetch.ErrForbidden
		}}
		refused(t, did, object, id, fetched, "")
	}
}

func TestDIDWeb(t *testing.T) {
	// The examples of the method specification, 3.2.
	for base, did := range map[string]string{
		"https://w3c-ccg.github.io":            "did:web:w3c-ccg.github.io",
		"https://w3c-ccg.github.io/user/alice": "did:web:w3c-ccg.github.io:user:alice",
		"https://example.com:3000/user/alice/": "did:web:example.com%3A3000:user:alice",
	} {
		if got, err := oid4vp.DIDWeb(base); err != nil || got != did {
			t.Errorf("%s: %s, %v", base, got, err)
		}
	}
	if _, err := oid4vp.DIDWeb("http://shop.example"); err == nil {
		t.Error("did:web over plain http")
	}
}

// TestRegisteredRefused: who claims to be a verifier that is known beforehand.
func TestRegisteredRefused(t *testing.T) {
	n := newNames(t)
	v := n.verifiers["pre-registered"]
	claims, _ := paramsOf(t, v)
	sign := func(k key.Signer, kid string) string {
		s, err := jose.Sign(t.Context(), k, jose.Header{Typ: oid4vp.RequestObjectType, KID: kid}, claims)
		check(t, err)
		return s
	}
	known := func(r oid4vp.Registered) oid4vp.Environment {
		return oid4vp.Environment{Registered: func(context.Context, string) (oid4vp.Registered, bool) { return r, true }}
	}
	keys := jose.Set{Keys: []jose.JWK{{Key: v.Key.Public(), KID: "k1"}}}
	uris := []string{"https://shop.example/response/1"}
	good := sign(v.Key, "k1")
	refused(t, "not known", good, "shop", oid4vp.Environment{}, "not known here")
	refused(t, "key of somebody else", sign(testkit.Signer(t, elliptic.P256()), "k1"), "shop", n.env, "signature")
	refused(t, "key not registered", sign(v.Key, "k2"), "shop", n.env, "no key")
	refused(t, "signed, though no key is registered", good, "shop", known(oid4vp.Registered{URIs: uris}), "no key")
	refused(t, "address not registered", good, "shop", known(oid4vp.Registered{Keys: keys, URIs: []string{"https://shop.example/other"}}), "none of this client's")

	_, _, err := oid4vp.Open(t.Context(), good, oid4vp.Link{ClientID: "shop"}, "", known(oid4vp.Registered{Keys: keys, URIs: uris, Metadata: json.RawMessage(`{}`)}), now)
	if e, ok := errors.AsType[*oid4vp.Error](err); !ok || e.Code != oid4vp.InvalidClient || e.Tell == nil {
		t.Errorf("metadata both registered and sent: %v", err)
	}
	metadata := claims["client_metadata"]
	delete(claims, "client_metadata")
	text, err := json.Marshal(metadata)
	check(t, err)
	req, _, err := oid4vp.Open(t.Context(), sign(v.Key, ""), oid4vp.Link{ClientID: "shop"}, "", known(oid4vp.Registered{Name: "The shop", Keys: keys, URIs: uris, Metadata: text}), now)
	if err != nil || req.Name != "The shop" || !req.Encrypted {
		t.Errorf("metadata registered: %+v, %v", req, err)
	}

	// Without keys requests come unsigned, and go to registered addresses only.
	link := "openid4vp://?client_id=shop&response_type=vp_token&response_mode=direct_post&nonce=n&response_uri=https%3A%2F%2Fshop.example%2Fresponse%2F1" +
		"&dcql_query=" + `%7B%22credentials%22%3A%5B%7B%22id%22%3A%22pid%22%2C%22format%22%3A%22mso_mdoc%22%2C%22meta%22%3A%7B%7D%7D%5D%7D`
	for _, c := range []struct {
		name string
		link string
		env  oid4vp.Environment
		ok   bool
	}{
		{"registered", link, known(oid4vp.Registered{URIs: uris}), true},
		{"signs otherwise", link, known(oid4vp.Registered{URIs: uris, Keys: keys}), false},
		{"address not registered", strings.Replace(link, "response%2F1", "response%2F2", 1), known(oid4vp.Registered{URIs: uris}), false},
		{"with a certificate's name", strings.Replace(link, "client_id=shop", "client_id=x509_san_dns%3Ashop.example", 1), n.env, false},
	} {
		l, err := oid4vp.ParseLink(c.link)
		check(t, err)
		if req, _, err := oid4vp.Open(t.Context(), "", l, "", c.env, now); (err == nil) != c.ok || err == nil && req.Proof != oid4vp.ProofRegistration {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestRedirectURIVector: the unsigned request of OpenID4VP 1.0, 5.9.3, with a
// query for the dots.
func TestRedirectURIVector(t *testing.T) {
	var v struct {
		Text string `json:"text"`
	}
	vectors.Load(t, "openid4vp/s5_9_3_redirect_uri_request.json", &v)
	var simple struct {
		Data struct {
			Query json.RawMessage `json:"query"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vp/dcql_simple.json", &simple)
	query := strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", "+", "%2B", " ", "", "\n", "").Replace(string(simple.Data.Query))
	l, err := oid4vp.ParseLink(strings.Replace(v.Text, "...", query, 1))
	check(t, err)
	req, rep, err := oid4vp.Open(t.Context(), "", l, "", oid4vp.Environment{}, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep)
	}
	if req.Mode != oid4vp.Fragment || req.ResponseURI != "https://client.example.org/cb" || req.Nonce != "n-0S6_WzA2Mj" || req.Proof != oid4vp.ProofNone || req.Query.Credentials[0].ID != "my_credential" {
		t.Errorf("opened as %+v", req)
	}
	msg, err := req.Answer(oid4vp.Presentations{"my_credential": {"x~"}})
	if err != nil || msg.Method != "GET" || !strings.HasPrefix(msg.URL, "https://client.example.org/cb#vp_token=") {
		t.Errorf("%+v, %v", msg, err)
	}
	for name, change := range map[string][2]string{
		"another address":        {"redirect_uri=https%3A%2F%2Fclient.example.org%2Fcb", "redirect_uri=https%3A%2F%2Fclient.example.org%2Fother"},
		"address over http":      {"https%3A%2F%2Fclient.example.org%2Fcb", "http%3A%2F%2Fclient.example.org%2Fcb"},
		"address of a script":    {"https%3A%2F%2Fclient.example.org%2Fcb", "javascript%3Aalert(1)"},
		"direct_post beside it":  {"&nonce=", "&response_mode=direct_post&nonce="},
		"encrypted without keys": {"&redirect_uri=https%3A%2F%2Fclient.example.org%2Fcb", "&response_mode=direct_post.jwt"},
	} {
		l, err := oid4vp.ParseLink(strings.ReplaceAll(strings.Replace(v.Text, "...", query, 1), change[0], change[1]))
		check(t, err)
		if _, _, err := oid4vp.Open(t.Context(), "", l, "", oid4vp.Environment{}, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// response_uri may be left out with this prefix.
	l, err = oid4vp.ParseLink(strings.Replace(strings.Replace(v.Text, "...", query, 1), "&redirect_uri=https%3A%2F%2Fclient.example.org%2Fcb", "&response_mode=direct_post", 1))
	check(t, err)
	if req, _, err := oid4vp.Open(t.Context(), "", l, "", oid4vp.Environment{}, now); err != nil || req.ResponseURI != "https://client.example.org/cb" {
		t.Errorf("response_uri left out: %v", err)
	}
}
