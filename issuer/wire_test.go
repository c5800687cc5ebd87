package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// These tests look at what goes over the wire, as a conformance suite does:
// members that a specification does not know make it complain.

// members checks that an answer is JSON with these members, of which those with
// a "?" may be missing, and no others; it returns them.
func members(t *testing.T, what string, resp fetch.Response, status int, want string) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(resp.Body, &got); err != nil || resp.Status != status || resp.MediaType() != "application/json" {
		t.Fatalf("%s: %d %s %.200s, %v", what, resp.Status, resp.MediaType(), resp.Body, err)
	}
	if at, err := http.ParseTime(resp.Get("date")); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("%s: date %q", what, resp.Get("date"))
	}
	allowed := strings.Fields(want)
	for name := range got {
		if !slices.Contains(allowed, name) && !slices.Contains(allowed, name+"?") {
			t.Errorf("%s: member %s is none of the specification's", what, name)
		}
	}
	for _, name := range allowed {
		if _, ok := got[name]; !ok && !strings.HasSuffix(name, "?") {
			t.Errorf("%s: member %s is missing", what, name)
		}
	}
	return got
}

// secret wants 32 random bytes or more in base64url. RFC 6749, 10.10.
func secret(t *testing.T, what string, v any) {
	t.Helper()
	s, _ := v.(string)
	s = s[strings.LastIndexByte(s, ':')+1:]
	if raw, err := jose.Decode(s); err != nil || len(raw) < 32 {
		t.Errorf("%s: %q is no secret", what, s)
	}
}

// OpenID4VCI 1.0, 12.2.4 and B.2; RFC 8414, 2 with its extensions.
func TestMetadataOnTheWire(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.withApproval()
	do := testkit.OverHTTP(t, w.authority.Handler())
	get := func(name string) fetch.Response {
		t.Helper()
		resp, err := do(t.Context(), fetch.GetRequest("http://issuer.localhost:8080/.well-known/"+name+"/default", "application/json"))
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	m := members(t, "metadata", get("openid-credential-issuer"), 200,
		`credential_issuer credential_endpoint nonce_endpoint deferred_credential_endpoint notification_endpoint credential_request_encryption
		credential_response_encryption batch_credential_issuance display credential_configurations_supported preferred_client_status_period?`)
	if m["credential_issuer"] != base {
		t.Errorf("credential_issuer %v", m["credential_issuer"])
	}
	for id, v := range m["credential_configurations_supported"].(map[string]any) {
		c := v.(map[string]any)
		only(t, id, c, `format scope credential_signing_alg_values_supported cryptographic_binding_methods_supported proof_types_supported doctype vct credential_metadata`)
		if c["scope"] == nil || (c["format"] == "mso_mdoc") != (c["doctype"] != nil) || (c["format"] == "dc+sd-jwt") != (c["vct"] != nil) {
			t.Errorf("%s: %v", id, c)
		}
		shown := c["credential_metadata"].(map[string]any)
		only(t, id, shown, "display claims credential_reuse_policy")
		oneOfEachLanguage(t, id, shown["display"])
		for _, v := range shown["claims"].([]any) {
			claim := v.(map[string]any)
			only(t, id, claim, "path mandatory display")
			if len(claim["path"].([]any)) == 0 {
				t.Errorf("%s: a claim without path", id)
			}
			oneOfEachLanguage(t, id, claim["display"])
		}
	}
	encryption := m["credential_request_encryption"].(map[string]any)
	only(t, "request encryption", encryption, "jwks enc_values_supported zip_values_supported encryption_required")
	k := encryption["jwks"].(map[string]any)["keys"].([]any)[0].(map[string]any)
	only(t, "encryption key", k, "kty crv x y kid use alg")
	if k["kid"] == "" || k["use"] != "enc" || k["alg"] != "ECDH-ES" {
		t.Errorf("encryption key %v", k)
	}
	only(t, "response encryption", m["credential_response_encryption"].(map[string]any), "alg_values_supported enc_values_supported zip_values_supported encryption_required")

	s := members(t, "server metadata", get("oauth-authorization-server"), 200,
		`issuer authorization_endpoint token_endpoint pushed_authorization_request_endpoint require_pushed_authorization_requests challenge_endpoint
		scopes_supported response_types_supported response_modes_supported grant_types_supported token_endpoint_auth_methods_supported
		token_endpoint_auth_signing_alg_values_supported? code_challenge_methods_supported authorization_details_types_supported
		authorization_response_iss_parameter_supported dpop_signing_alg_values_supported client_attestation_signing_alg_values_supported
		client_attestation_pop_signing_alg_values_supported pre-authorized_grant_anonymous_access_supported?`)
	if s["issuer"] != base || !slices.Contains(s["grant_types_supported"].([]any), any("refresh_token")) {
		t.Errorf("server metadata: %v", s)
	}
}

func only(t *testing.T, what string, got map[string]any, allowed string) {
	t.Helper()
	for name := range got {
		if !slices.Contains(strings.Fields(allowed), name) {
			t.Errorf("%s: member %s is none of the specification's", what, name)
		}
	}
}

// oneOfEachLanguage wants locales as RFC 5646, 2.1.1 writes them, each once.
func oneOfEachLanguage(t *testing.T, what string, display any) {
	t.Helper()
	list, _ := display.([]any)
	seen := map[string]bool{}
	for _, v := range list {
		locale, _ := v.(map[string]any)["locale"].(string)
		if tag, region, _ := strings.Cut(locale, "-"); tag != strings.ToLower(tag) || len(region) == 2 && region != strings.ToUpper(region) || tag == "" || seen[locale] {
			t.Errorf("%s: locale %q is not canonical, or occurs twice", what, locale)
		}
		seen[locale] = true
	}
}

// All answers of one issuance. Unknown parameters and members are ignored at
// every step: RFC 6749, 3.1 and 3.2; OpenID4VCI 1.0, 8.2 and 11.1.
func TestAnswersOnTheWire(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.newApp(w.authority)
	do, answers := testkit.OverHTTP(t, w.authority.Handler()), map[string]fetch.Response{}
	p.fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if form, err := r.Form(); err == nil {
			form.Set("unknown", "ignored")
			r.Body = []byte(form.Encode())
		}
		resp, err := do(ctx, r)
		answers[r.URL[strings.LastIndexByte(r.URL, '/'):]] = resp
		return resp, err
	}
	p.oauth.Fetch = p.fetch
	b := w.browser(t, w.authority)
	authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Details: []oauth.Details{{Configuration: "mdl"}}})
	par := members(t, "PAR", answers["/par"], 201, "request_uri expires_in")
	secret(t, "request_uri", par["request_uri"])
	if s := par["expires_in"].(float64); s < 5 || s > 120 {
		t.Errorf("request_uri expires in %v", s)
	}
	challenge := members(t, "challenge", answers["/challenge"], 200, "attestation_challenge")
	if c := challenge["attestation_challenge"].(string); len(c) < 22 || len(c) > 256 || answers["/challenge"].Get("cache-control") != "no-store" {
		t.Errorf("challenge %q, %v", c, answers["/challenge"].Header)
	}
	b.identify("ada", adasCode)
	b.decide("approve")
	if strings.Contains(b.location, "#") {
		t.Errorf("redirect to %s", b.location)
	}
	code, err := authorization.Code(b.location)
	if err != nil {
		t.Fatal(err)
	}
	secret(t, "code", code)
	token, err := p.oauth.RedeemCode(t.Context(), authorization, code, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	body := members(t, "token", answers["/token"], 200, "access_token token_type expires_in refresh_token authorization_details")
	secret(t, "access token", body["access_token"])
	secret(t, "refresh token", body["refresh_token"])
	details := body["authorization_details"].([]any)[0].(map[string]any)
	only(t, "authorization_details", details, "type credential_configuration_id credential_identifiers")

	a := w.asking(t, p, token)
	members(t, "nonce", answers["/nonce"], 200, "c_nonce")
	if n := answers["/nonce"]; n.Get("cache-control") != "no-store" || n.Get("dpop-nonce") == "" {
		t.Errorf("nonce endpoint: %v", n.Header)
	}
	delete(a.body, "credential_configuration_id")
	a.body["credential_identifier"] = details["credential_identifiers"].([]any)[0]
	a.request.Header["accept"], a.request.Header["content-type"] = "application/json;charset=UTF-8", "application/json; charset=UTF-8"
	first := members(t, "credential", a.send(t), 200, "credentials notification_id")
	if list := first["credentials"].([]any); len(list) != 2 || len(list[0].(map[string]any)) != 1 {
		t.Errorf("%d credentials", len(list))
	}
	again := w.asking(t, p, token) // with the same token, by the configuration
	again.request.Header["accept"] = "*/*"
	again.request.Header["x-fapi-customer-ip-address"] = "2001:db8::1893:25c8:1946"
	members(t, "credential, again", again.send(t), 200, "credentials notification_id")

	resp, err := p.oauth.Resource(t.Context(), token, fetch.Request{
		Method: "POST", URL: base + "/notification", Header: map[string]string{"content-type": "application/json"},
		Body: []byte(`{"notification_id":"` + first["notification_id"].(string) + `","event":"credential_accepted","unknown":{}}`),
	}, w.Now())
	if err != nil || resp.Status != 204 || len(resp.Body) > 0 {
		t.Errorf("notification: %d %s, %v", resp.Status, resp.Body, err)
	}
}

// A document that has to wait: 202, with a number of seconds.
func TestDeferredOnTheWire(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.withApproval()
	p, o := w.newApp(w.authority), w.offer("ada", "mdl")
	p.fetch = testkit.OverHTTP(t, w.authority.Handler())
	p.oauth.Fetch = p.fetch
	token, _, err := p.redeem(o, o.TxCode)
	if err != nil {
		t.Fatal(err)
	}
	body := members(t, "credential", w.asking(t, p, token).send(t), 202, "transaction_id interval")
	if s, ok := body["interval"].(float64); !ok || s < 1 {
		t.Errorf("interval %v", body["interval"])
	}
	ask := func(body string) fetch.Response {
		t.Helper()
		resp, err := p.oauth.Resource(t.Context(), token, fetch.Request{
			Method: "POST", URL: base + "/deferred", Header: map[string]string{"content-type": "application/json"}, Body: []byte(body),
		}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	request := `{"transaction_id":"` + body["transaction_id"].(string) + `","unknown":1}`
	members(t, "deferred", ask(request), 202, "transaction_id interval")
	before := w.rows(t)
	for name, c := range map[string]struct{ body, code string }{
		"unknown": {`{"transaction_id":"unknown"}`, oid4vci.CodeInvalidTransaction},
		"none":    {`{}`, oid4vci.CodeInvalidTransaction},
		"no JSON": {`{`, oid4vci.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			wantForm(t, ask(c.body), 400, c.code)
			unchanged(t, maps.Clone(before), w.rows(t))
		})
	}
	if err := w.authority.Decide(t.Context(), "default", body["transaction_id"].(string), true, ""); err != nil {
		t.Fatal(err)
	}
	members(t, "deferred, ready", ask(request), 200, "credentials notification_id")
}

// The documents themselves, bit by bit where a verifier is strict: OpenID4VCI
// 1.0, A.2.4 and A.3; HAIP 1.0, 6.1.1; SD-JWT VC, 3.
func TestDocumentsOnTheWire(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, token := w.accept("ada", "mdl", "pid-sd-jwt")
	root, err := w.authority.tenants["default"].ca.Root(t.Context(), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := p.get(token, "pid-sd-jwt", 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sdjwt.Parse(list[0], sdjwt.Limits{})
	if err != nil || !strings.HasSuffix(list[0], "~") {
		t.Fatalf("%v: %.80s", err, list[0])
	}
	header, claims := map[string]any{}, map[string]any{}
	head, _, _ := strings.Cut(list[0], ".")
	raw, err := jose.Decode(head)
	if err != nil || json.Unmarshal(raw, &header) != nil || json.Unmarshal(s.Token.Payload, &claims) != nil {
		t.Fatal(err)
	}
	only(t, "header", header, "alg typ x5c")
	cnf := claims["cnf"].(map[string]any)
	only(t, "cnf", cnf, "jwk")
	only(t, "cnf.jwk", cnf["jwk"].(map[string]any), "kty crv x y")
	if header["typ"] != "dc+sd-jwt" || claims["vct"] != "urn:eudi:pid:1" || claims["exp"] == nil || claims["status"] == nil {
		t.Errorf("%v %v", header, claims)
	}
	chains := map[string][][]byte{"SD-JWT VC": s.Token.Header.X5C}

	if list, _, err = p.get(token, "mdl", 1); err != nil {
		t.Fatal(err)
	}
	if raw, err = oid4vci.DecodeMdoc(list[0]); err != nil || strings.Contains(list[0], "=") {
		t.Fatal(err)
	}
	signed, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		t.Fatal(err)
	}
	chains["mdoc"] = signed.Auth.Sign1.X5Chain
	for name, chain := range chains {
		for _, der := range chain {
			if bytes.Equal(der, root.Raw) || len(chain) == 0 {
				t.Errorf("%s: the chain holds the trust anchor", name)
			}
		}
	}
	var have []string
	for _, ns := range signed.NameSpaces {
		for _, item := range ns.Items {
			have = append(have, item.ID)
		}
	}
	for _, id := range strings.Fields(`family_name given_name birth_date issue_date expiry_date issuing_country issuing_authority
		document_number portrait driving_privileges un_distinguishing_sign`) { // ISO/IEC 18013-5:2021, 7.2.1
		if !slices.Contains(have, id) {
			t.Errorf("mDL without %s", id)
		}
	}
}
