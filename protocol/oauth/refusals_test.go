package oauth_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
)

func TestPushRefusals(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	key := testkit.Signer(t, elliptic.P256())
	jkt, err := jose.ThumbprintString(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(url.Values)
		codes  string
	}{
		{"request_uri inside", func(f url.Values) { f.Set("request_uri", "urn:x") }, "invalid_request"},
		{"request object", func(f url.Values) { f.Set("request", "eyJ") }, "invalid_request"},
		{"no redirect_uri", func(f url.Values) { f.Del("redirect_uri") }, "invalid_request"},
		{"foreign redirect_uri", func(f url.Values) { f.Set("redirect_uri", "https://evil.example/cb") }, "invalid_request"},
		{"redirect_uri with more behind it", func(f url.Values) { f.Set("redirect_uri", redirect+"/../evil") }, "invalid_request"},
		{"no PKCE", func(f url.Values) { f.Del("code_challenge") }, "invalid_request"},
		{"PKCE without method", func(f url.Values) { f.Del("code_challenge_method") }, "invalid_request"},
		{"plain PKCE", func(f url.Values) { f.Set("code_challenge_method", "plain") }, "invalid_request"},
		{"short challenge", func(f url.Values) { f.Set("code_challenge", "abc") }, "invalid_request"},
		{"response_type token", func(f url.Values) { f.Set("response_type", "token") }, "unsupported_response_type"},
		{"response_type code id_token", func(f url.Values) { f.Set("response_type", "code id_token") }, "unsupported_response_type"},
		{"no response_type", func(f url.Values) { f.Del("response_type") }, "invalid_request"},
		{"response_mode fragment", func(f url.Values) { f.Set("response_mode", "fragment") }, "invalid_request"},
		{"unknown scope", func(f url.Values) { f.Set("scope", "other") }, "invalid_scope"},
		{"nothing asked for", func(f url.Values) { f.Del("scope") }, "invalid_scope"},
		{"long state", func(f url.Values) { f.Set("state", strings.Repeat("s", 3000)) }, "invalid_request"},
		{"huge body", func(f url.Values) { f.Set("x", strings.Repeat("s", 1<<17)) }, "invalid_request"},
		{"unknown details", func(f url.Values) {
			f.Set("authorization_details", `[{"type":"openid_credential","credential_configuration_id":"?"}]`)
		}, "invalid_authorization_details"},
		{"other type of details", func(f url.Values) {
			f.Set("authorization_details", `[{"type":"payment","credential_configuration_id":"no-scope"}]`)
		}, "invalid_authorization_details"},
		{"details are no array", func(f url.Values) { f.Set("authorization_details", `{}`) }, "invalid_authorization_details"},
		{"identifiers in a request", func(f url.Values) {
			f.Set("authorization_details", `[{"type":"openid_credential","credential_configuration_id":"no-scope","credential_identifiers":["x"]}]`)
		}, "invalid_authorization_details"},
		{"details for another issuer", func(f url.Values) {
			f.Set("authorization_details", `[{"type":"openid_credential","credential_configuration_id":"no-scope","locations":["https://other.example"]}]`)
		}, "invalid_authorization_details"},
		{"dpop_jkt of another key", func(f url.Values) { f.Set("dpop_jkt", strings.Repeat("A", 43)) }, "invalid_request invalid_dpop_proof"},
		{"malformed dpop_jkt", func(f url.Values) { f.Set("dpop_jkt", "?") }, "invalid_request"},
		{"client_id of another client", func(f url.Values) { f.Set("client_id", "client2") }, "invalid_client"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := parFormOf(c)
			tc.change(f)
			w.wantCode(t, w.form(c, "/par", f, key), strings.Fields(tc.codes)...)
		})
	}
	f := parFormOf(c)
	f.Set("dpop_jkt", jkt)
	if err := w.form(c, "/par", f, key); err != nil {
		t.Errorf("matching dpop_jkt: %v", err)
	}
	for _, method := range []string{"PUT", "GET", "DELETE"} {
		rep, err := w.server.Push(w.ctx, w.store, fetch.Request{Method: method, URL: issuer + "/par"}, w.Now())
		if err != nil || rep.Response.Status != 405 || rep.Response.Get("allow") != "POST" {
			t.Errorf("%s: %+v %v", method, rep.Response, err)
		}
	}
	twice := fetch.FormRequest(issuer+"/par", parFormOf(c))
	twice.Body = append(twice.Body, "&scope=pid"...)
	w.attestTo(&twice, c)
	if rep, err := w.server.Push(w.ctx, w.store, twice, w.Now()); err != nil || rep.Refusal == nil || rep.Refusal.Code != "invalid_request" {
		t.Errorf("a parameter twice: %v %v", rep.Refusal, err)
	}
}

func TestClientAttestationRefusals(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	other := testkit.Signer(t, elliptic.P256())
	strangers := newWorld(t, nil)
	pop := func(change func(*attestation.PoP)) string {
		p := attestation.PoP{ClientID: clientID, Audience: issuer, Challenge: w.challenge(), IssuedAt: w.Now()}
		if change != nil {
			change(&p)
		}
		token, err := p.Sign(w.ctx, c.Instance)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	mangle := func(s string) string { return s[:len(s)-4] + "AAAA" }
	used := pop(nil)
	send := func(endpoint string, form url.Values, att, pop string) (oauth.Reply, error) {
		r := fetch.FormRequest(issuer+endpoint, form)
		if att != "" {
			r.Header["oauth-client-attestation"] = att
		}
		if pop != "" {
			r.Header["oauth-client-attestation-pop"] = pop
		}
		if endpoint == "/token" {
			r.Header["dpop"] = w.proof(other, "POST", r.URL, "")
		}
		return w.route(w.ctx, r)
	}
	if rep, err := send("/par", parFormOf(c), c.Attestation, used); err != nil || rep.Refusal != nil {
		t.Fatal(rep.Refusal, err)
	}
	expired := w.attest(clientID, c.Instance.Public(), func(a *attestation.WalletInstance) {
		a.IssuedAt, a.Expires = w.Now().Add(-time.Hour), w.Now().Add(-10*time.Minute)
	})
	noSub := w.jwt(w.attester, jose.Header{Typ: attestation.TypeClientAttestation, X5C: [][]byte{w.chain[0].Raw}},
		map[string]any{"iss": "x", "exp": w.Now().Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": jose.JWK{Key: c.Instance.Public()}}})
	for _, tc := range []struct{ name, attestation, pop, code string }{
		{"none", "", "", "invalid_client"},
		{"no proof of possession", c.Attestation, "", "invalid_client"},
		{"no attestation", "", pop(nil), "invalid_client"},
		{"two attestations", c.Attestation + ", " + c.Attestation, pop(nil), "invalid_client"},
		{"bad signature", mangle(c.Attestation), pop(nil), "invalid_client"},
		{"bad signature of the proof", c.Attestation, mangle(pop(nil)), "invalid_client"},
		{"proof by another key", w.attest(clientID, other.Public(), nil), pop(nil), "invalid_client"},
		{"expired", expired, pop(nil), "invalid_client"},
		{"no sub", noSub, pop(nil), "invalid_client"},
		{"untrusted attester", strangers.attest(clientID, c.Instance.Public(), nil), pop(nil), "invalid_client"},
		{"proof for another server", c.Attestation, pop(func(p *attestation.PoP) { p.Audience = "https://other.example" }), "invalid_client"},
		{"proof of another client", c.Attestation, pop(func(p *attestation.PoP) { p.ClientID = "client2" }), "invalid_client"},
		{"attestation of another client", w.attest("client2", c.Instance.Public(), nil), pop(func(p *attestation.PoP) { p.ClientID = "client2" }), "invalid_client"},
		{"unregistered client", w.attest("nobody", c.Instance.Public(), nil), pop(func(p *attestation.PoP) { p.ClientID = "nobody" }), "invalid_client"},
		{"jti used before", c.Attestation, used, "invalid_client"},
		{"no challenge", c.Attestation, pop(func(p *attestation.PoP) { p.Challenge = "" }), "use_attestation_challenge"},
		{"somebody else's challenge", c.Attestation, pop(func(p *attestation.PoP) { p.Challenge = strings.Repeat("A", 75) }), "use_attestation_challenge"},
		{"old proof", c.Attestation, pop(func(p *attestation.PoP) { p.IssuedAt = w.Now().Add(-10 * time.Minute) }), "invalid_client"},
	} {
		for _, endpoint := range []string{"/par", "/token"} {
			t.Run(tc.name+endpoint, func(t *testing.T) {
				form := parFormOf(c)
				if endpoint == "/token" {
					form = url.Values{"client_id": {clientID}, "grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {w.offer("")}}
				}
				if tc.name == "unregistered client" {
					form.Set("client_id", "nobody")
				}
				rep, err := send(endpoint, form, tc.attestation, tc.pop)
				if err != nil {
					t.Fatal(err)
				}
				if rep.Refusal == nil || rep.Refusal.Code != tc.code {
					t.Fatalf("refusal %v, want %s", rep.Refusal, tc.code)
				}
				wantErrorBody(t, rep.Response)
				if rep.Response.Get("oauth-client-attestation-challenge") == "" {
					t.Error("no challenge for the next try")
				}
			})
		}
	}
}

func TestAuthorizationEndpointRefusals(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	a, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	front, _ := url.Parse(a.URL)
	uri := front.Query().Get("request_uri")
	open := func(q url.Values, method string) (*oauth.Pending, oauth.Reply) {
		t.Helper()
		p, rep, err := w.server.Authorize(w.ctx, w.store, fetch.Request{Method: method, URL: issuer + "/authorize?" + q.Encode()}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if (p == nil) == (rep.Refusal == nil) {
			t.Fatalf("%v beside %v", p, rep.Refusal)
		}
		return p, rep
	}
	for _, tc := range []struct {
		name, method, code string
		query              url.Values
		redirects          bool
	}{
		{"foreign client", "GET", "invalid_request_uri", url.Values{"client_id": {"client2"}, "request_uri": {uri}}, false},
		{"unknown client", "GET", "invalid_request", url.Values{"client_id": {"nobody"}, "request_uri": {uri}}, false},
		{"no client", "GET", "invalid_request", url.Values{"request_uri": {uri}}, false},
		{"unknown request_uri", "GET", "invalid_request_uri", url.Values{"client_id": {clientID}, "request_uri": {uri + "x"}}, false},
		{"not pushed", "GET", "invalid_request", url.Values{"client_id": {clientID}, "redirect_uri": {redirect}, "state": {"s"}, "response_type": {"code"}}, true},
		{"not pushed, foreign redirect", "GET", "invalid_request", url.Values{"client_id": {clientID}, "redirect_uri": {"https://evil.example"}}, false},
		{"PUT", "PUT", "invalid_request", url.Values{"client_id": {clientID}, "request_uri": {uri}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, rep := open(tc.query, tc.method)
			if rep.Refusal == nil || rep.Refusal.Code != tc.code {
				t.Fatalf("refusal %v, want %s", rep.Refusal, tc.code)
			}
			location := rep.Response.Get("location")
			if (location != "") != tc.redirects || (tc.redirects && !strings.HasPrefix(location, redirect+"?")) {
				t.Errorf("redirect to %q", location)
			}
			if u, _ := url.Parse(location); tc.redirects && (u.Query().Get("iss") != issuer || u.Query().Get("state") != "s" || u.Query().Get("error") != tc.code) {
				t.Errorf("redirect to %q", location)
			}
		})
	}
	good := url.Values{"client_id": {clientID}, "request_uri": {uri}}
	for range 2 { // opening the page twice works
		if p, rep := open(good, "GET"); p == nil {
			t.Fatal(rep.Refusal)
		}
	}
	w.browse(a.URL)
	if _, rep := open(good, "GET"); rep.Refusal == nil || rep.Refusal.Code != "invalid_request_uri" {
		t.Errorf("after consent: %v", rep.Refusal)
	}
	for name, decide := range map[string]func() (oauth.Reply, error){
		"approve": func() (oauth.Reply, error) {
			return w.server.Approve(w.ctx, w.store, uri, oauth.Approval{Subject: "p"}, w.Now())
		},
		"refuse": func() (oauth.Reply, error) { return w.server.Refuse(w.ctx, w.store, uri, w.Now()) },
	} {
		if rep, err := decide(); err != nil || rep.Refusal == nil || rep.Response.Get("location") != "" {
			t.Errorf("%s a second time: %+v %v", name, rep, err)
		}
	}

	if a, err = c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err != nil {
		t.Fatal(err)
	}
	w.Pass(61 * time.Second)
	front, _ = url.Parse(a.URL)
	if _, rep := open(front.Query(), "GET"); rep.Refusal == nil || rep.Refusal.Code != "invalid_request_uri" {
		t.Errorf("expired: %v", rep.Refusal)
	}
	if _, err := w.server.Approve(w.ctx, w.store, "x", oauth.Approval{}, w.Now()); err != nil {
		t.Errorf("unknown request_uri is a refusal, not %v", err)
	}
}

func TestApproveOnlyWhatWasAsked(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	for _, approval := range []oauth.Approval{
		{Subject: "p", Credentials: []oauth.GrantedCredential{{Configuration: pid}}},
		{Credentials: []oauth.GrantedCredential{{Configuration: mdl}}},
		{Subject: "p", Data: make([]byte, 1<<15)},
	} {
		a, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		front, _ := url.Parse(a.URL)
		if rep, err := w.server.Approve(w.ctx, w.store, front.Query().Get("request_uri"), approval, w.Now()); err == nil {
			t.Errorf("approved %+v: %+v", approval, rep)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	const invalidGrant = "invalid_grant"
	for _, tc := range []struct {
		name, codes string
		change      func(w *world, c *oauth.Client, f url.Values)
		noProof     bool
		otherKey    bool
	}{
		{name: "no code", codes: "invalid_request", change: func(_ *world, _ *oauth.Client, f url.Values) { f.Del("code") }},
		{name: "unknown code", codes: invalidGrant, change: func(_ *world, _ *oauth.Client, f url.Values) { f.Set("code", "x") }},
		{name: "no verifier", codes: invalidGrant, change: func(_ *world, _ *oauth.Client, f url.Values) { f.Del("code_verifier") }},
		{name: "wrong verifier", codes: invalidGrant, change: func(_ *world, _ *oauth.Client, f url.Values) { f.Set("code_verifier", oauth.NewVerifier()) }},
		{name: "challenge as verifier", codes: invalidGrant, change: func(_ *world, _ *oauth.Client, f url.Values) {
			f.Set("code_verifier", oauth.CodeChallenge(f.Get("code_verifier")))
		}},
		{name: "other redirect_uri", codes: invalidGrant, change: func(_ *world, _ *oauth.Client, f url.Values) { f.Set("redirect_uri", "eidos://cb") }},
		{name: "old code", codes: invalidGrant, change: func(w *world, _ *oauth.Client, _ url.Values) { w.Pass(62 * time.Second) }},
		{name: "no DPoP", codes: "invalid_dpop_proof", noProof: true},
		{name: "another DPoP key", codes: invalidGrant, otherKey: true},
		{name: "client_id of another client", codes: "invalid_client", change: func(_ *world, _ *oauth.Client, f url.Values) { f.Set("client_id", "client2") }},
		{name: "another client", codes: invalidGrant, change: func(w *world, c *oauth.Client, f url.Values) {
			c.ID, c.Attestation = "client2", w.attest("client2", c.Instance.Public(), nil)
			f.Set("client_id", "client2")
		}},
		{name: "no grant_type", codes: "invalid_request", change: func(_ *world, _ *oauth.Client, f url.Values) { f.Del("grant_type") }},
		{name: "password grant", codes: "unsupported_grant_type", change: func(_ *world, _ *oauth.Client, f url.Values) { f.Set("grant_type", "password") }},
		{name: "refresh grant", codes: "unsupported_grant_type", change: func(_ *world, _ *oauth.Client, f url.Values) { f.Set("grant_type", "refresh_token") }},
		{name: "more details than authorised", codes: "invalid_authorization_details", change: func(_ *world, _ *oauth.Client, f url.Values) {
			f.Set("authorization_details", `[{"type":"openid_credential","credential_configuration_id":"no-scope"}]`)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			c := w.client(clientID)
			a, code := w.authorised(c)
			f := url.Values{"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {code}, "code_verifier": {a.Verifier}, "redirect_uri": {redirect}, "unknown": {"x"}}
			if tc.change != nil {
				tc.change(w, c, f)
			}
			by := c.DPoP
			if tc.otherKey {
				by = testkit.Signer(t, elliptic.P256())
			}
			if tc.noProof {
				by = nil
			}
			w.wantCode(t, w.form(c, "/token", f, by), strings.Fields(tc.codes)...)
		})
	}
}

func TestReusedCodeRevokesItsToken(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	a, code := w.authorised(c)
	token, err := c.RedeemCode(w.ctx, a, code, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	use := func() fetch.Response {
		resp, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if resp := use(); resp.Status != 200 {
		t.Fatalf("before: %d", resp.Status)
	}
	w.Pass(time.Second)
	_, err = c.RedeemCode(w.ctx, a, code, w.Now())
	w.wantCode(t, err, "invalid_grant")
	if resp := use(); resp.Status != 401 || !strings.Contains(resp.Get("www-authenticate"), `error="invalid_token"`) {
		t.Errorf("after: %d %s", resp.Status, resp.Get("www-authenticate"))
	}
}

func TestRevokeAndExpiry(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	for name, end := range map[string]func(id string){
		"revoked": func(id string) {
			for range 2 {
				if err := w.server.Revoke(w.ctx, w.store, id, w.Now()); err != nil {
					t.Fatal(err)
				}
			}
		},
		"expired": func(string) { w.Pass(15 * time.Minute) },
	} {
		token := w.token(c)
		if _, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now()); err != nil {
			t.Fatal(err)
		}
		end(w.grant.ID)
		resp, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now())
		if err != nil || resp.Status != 401 {
			t.Errorf("%s: %d %v", name, resp.Status, err)
		}
	}
}

func TestTransactionCodes(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	try := func(code, txCode string) error {
		token, err := c.RedeemPreAuthorized(w.ctx, code, txCode, nil, w.Now())
		if err == nil && w.use(c, token) != 200 {
			t.Error("the token is of no use")
		}
		return err
	}
	code := w.offer("493536")
	w.wantCode(t, try(code, ""), "invalid_request") // asked for, but no try
	for i := range oauth.MaxTries {
		w.wantCode(t, try(code, fmt.Sprint(100000+i)), "invalid_grant")
	}
	w.wantCode(t, try(code, "493536"), "invalid_grant") // the sixth, even right

	code = w.offer("493536")
	for i := range oauth.MaxTries - 1 {
		w.wantCode(t, try(code, fmt.Sprint(100000+i)), "invalid_grant")
	}
	if err := try(code, "493536"); err != nil {
		t.Errorf("the fifth, right: %v", err)
	}
	w.wantCode(t, try(code, "493536"), "invalid_grant") // used

	code = w.offer("")
	w.wantCode(t, try(code, "1234"), "invalid_request")
	w.wantCode(t, try(code, strings.Repeat("1", 65)), "invalid_request")
	if err := try(code, ""); err != nil {
		t.Error(err)
	}
	w.wantCode(t, try(code, ""), "invalid_grant")
	w.wantCode(t, try("unknown", ""), "invalid_grant")

	code = w.offer("")
	if err := w.server.WithdrawOffer(w.ctx, w.store, code, w.Now()); err != nil {
		t.Fatal(err)
	}
	w.wantCode(t, try(code, ""), "invalid_grant")

	code = w.offer("")
	w.Pass(time.Hour)
	w.wantCode(t, try(code, ""), "invalid_grant")

	c.Attestation, c.Instance = "", nil
	w.wantCode(t, try(w.offer(""), ""), "invalid_client") // anonymous, and not allowed
}

func TestAccessRefusals(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c).AccessToken
	other := testkit.Signer(t, elliptic.P256())
	private := `{"kty":"EC","crv":"P-256","x":"Rxw-dYxJBChbun5TEY7Q9SSt6wdX0lvS-Oew1236cUw","y":"3VIPesqKi5F6zDf1HejwybvjrYWDgucC3CWhLQn3qFg","d":"EjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8"}`
	jwk := &jose.JWK{Key: c.DPoP.Public()}
	header := jose.Header{Typ: "dpop+jwt", JWK: jwk}
	ath := "" // of the token, taken from a proof made by us
	if p, err := jose.Parse(w.proof(c.DPoP, "POST", resource, token), jose.Limits{}); err == nil {
		var claims map[string]any
		if err := p.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		ath = claims["ath"].(string)
	}
	proof := func(change func(map[string]any)) string {
		claims := map[string]any{"jti": oauth.NewVerifier(), "htm": "POST", "htu": resource, "iat": w.Now().Unix(), "ath": ath, "nonce": w.nonce()}
		if change != nil {
			change(claims)
		}
		return w.jwt(c.DPoP, header, claims)
	}
	del := func(name string) func(map[string]any) { return func(m map[string]any) { delete(m, name) } }
	set := func(name string, v any) func(map[string]any) { return func(m map[string]any) { m[name] = v } }
	used := proof(nil)
	good := proof(nil)
	dpop := "DPoP " + token
	for _, tc := range []struct {
		name, authorization, proof string
		ok                         bool
		code                       string
	}{
		{"good", dpop, used, true, ""},
		{"jti again", dpop, used, false, "invalid_dpop_proof"},
		{"scheme in another case", "dPoP " + token, proof(nil), true, ""},
		{"htu with query and fragment", dpop, proof(set("htu", resource+"?x=y#z")), true, ""},
		{"htu in upper case with port", dpop, proof(set("htu", strings.Replace(resource, "https://issuer.example", "HTTPS://ISSUER.EXAMPLE:443", 1))), true, ""},
		{"extra claims", dpop, proof(set("extra", 1)), true, ""},
		{"nbf and exp", dpop, proof(func(m map[string]any) { m["nbf"], m["exp"] = w.Now().Unix(), w.Now().Unix()+60 }), true, ""},
		{"10 s early", dpop, proof(set("iat", w.Now().Unix()-10)), true, ""},
		{"10 s late", dpop, proof(set("iat", w.Now().Unix()+10)), true, ""},
		{"exp past", dpop, proof(set("exp", w.Now().Unix()-600)), false, "invalid_dpop_proof"},
		{"two headers", dpop, good + ", " + good, false, "invalid_dpop_proof"},
		{"no JWT", dpop, "x", false, "invalid_dpop_proof"},
		{"no jti", dpop, proof(del("jti")), false, "invalid_dpop_proof"},
		{"no htm", dpop, proof(del("htm")), false, "invalid_dpop_proof"},
		{"no htu", dpop, proof(del("htu")), false, "invalid_dpop_proof"},
		{"no iat", dpop, proof(del("iat")), false, "invalid_dpop_proof"},
		{"no ath", dpop, proof(del("ath")), false, "invalid_dpop_proof"},
		{"no nonce", dpop, proof(del("nonce")), false, "use_dpop_nonce"},
		{"foreign nonce", dpop, proof(set("nonce", "abc")), false, "use_dpop_nonce"},
		{"wrong typ", dpop, w.jwt(c.DPoP, jose.Header{Typ: "JWT", JWK: jwk}, map[string]any{}), false, "invalid_dpop_proof"},
		{"no jwk", dpop, w.jwt(c.DPoP, jose.Header{Typ: "dpop+jwt"}, map[string]any{}), false, "invalid_dpop_proof"},
		{"RS256", dpop, jose.Encode([]byte(`{"typ":"dpop+jwt","alg":"RS256"}`)) + "." + jose.Encode([]byte(`{}`)) + ".AAAA", false, "invalid_dpop_proof"},
		{"none", dpop, jose.Encode([]byte(`{"typ":"dpop+jwt","alg":"none"}`)) + "." + jose.Encode([]byte(`{}`)) + ".", false, "invalid_dpop_proof"},
		{"private key", dpop, jose.Encode([]byte(`{"typ":"dpop+jwt","alg":"ES256","jwk":`+private+`}`)) + "." + jose.Encode([]byte(`{}`)) + ".AAAA", false, "invalid_dpop_proof"},
		{"bad signature", dpop, good[:len(good)-4] + "AAAA", false, "invalid_dpop_proof"},
		{"htm", dpop, proof(set("htm", "GET")), false, "invalid_dpop_proof"},
		{"htu", dpop, proof(set("htu", issuer+"/other")), false, "invalid_dpop_proof"},
		{"iat an hour ago", dpop, proof(set("iat", w.Now().Unix()-3600)), false, "invalid_dpop_proof"},
		{"iat in an hour", dpop, proof(set("iat", w.Now().Unix()+3600)), false, "invalid_dpop_proof"},
		{"ath", dpop, proof(set("ath", strings.Repeat("A", 43))), false, "invalid_dpop_proof"},
		{"another key", dpop, w.proof(other, "POST", resource, token), false, "invalid_token"},
		{"no proof", dpop, "", false, "invalid_dpop_proof"},
		{"Bearer", "Bearer " + token, proof(nil), false, "invalid_token"},
		{"no token", "", proof(nil), false, "invalid_token"},
		{"unknown token", "DPoP abc", proof(nil), false, "invalid_token"},
		{"two tokens", dpop + ", DPoP abc", proof(nil), false, "invalid_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := fetch.Request{Method: "POST", URL: resource + "?q=1", Header: map[string]string{}}
			if tc.authorization != "" {
				r.Header["Authorization"] = tc.authorization
			}
			if tc.proof != "" {
				r.Header["DPOP"] = tc.proof
			}
			g, rep, err := w.server.CheckAccess(w.ctx, w.store, r, w.Now())
			if err != nil || (g != nil) != tc.ok {
				t.Fatalf("grant %v, refusal %v, error %v", g, rep.Refusal, err)
			}
			if tc.ok {
				return
			}
			if rep.Refusal.Code != tc.code || !strings.HasPrefix(rep.Response.Get("www-authenticate"), `DPoP error="`+tc.code+`"`) || rep.Response.Get("dpop-nonce") == "" {
				t.Errorf("refused with %v, headers %v", rep.Refusal, rep.Response.Header)
			}
			wantErrorBody(t, rep.Response)
		})
	}
	r := fetch.Request{Method: "POST", URL: resource + "?access_token=" + token, Header: map[string]string{"dpop": proof(nil)}}
	if g, _, err := w.server.CheckAccess(w.ctx, w.store, r, w.Now()); g != nil || err != nil {
		t.Errorf("token in the query: %v %v", g, err)
	}
}

// failing is a store that is down.
type failing struct{}

var errDown = errors.New("store is down")

func (failing) Put(context.Context, string, string, []byte, time.Time) error   { return errDown }
func (failing) Get(context.Context, string, string, time.Time) ([]byte, error) { return nil, errDown }
func (failing) Claim(_ context.Context, _, _ string, _ time.Time) ([]byte, error) {
	return nil, errDown
}

func TestStoreFailuresAreNotRefusals(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	par := fetch.FormRequest(issuer+"/par", parFormOf(c))
	w.attestTo(&par, c)
	access := fetch.Request{Method: "POST", URL: resource, Header: map[string]string{"authorization": "DPoP " + token.AccessToken, "dpop": w.proof(c.DPoP, "POST", resource, token.AccessToken)}}
	_, err1 := w.server.Push(w.ctx, failing{}, par, w.Now())
	_, _, err2 := w.server.CheckAccess(w.ctx, failing{}, access, w.Now())
	_, _, err3 := w.server.Authorize(w.ctx, failing{}, fetch.GetRequest(issuer+"/authorize?request_uri=x&client_id="+url.QueryEscape(clientID), ""), w.Now())
	_, err4 := w.server.Approve(w.ctx, failing{}, "x", oauth.Approval{Subject: "p"}, w.Now())
	_, err5 := w.server.Offer(w.ctx, failing{}, oauth.Offer{Approval: oauth.Approval{Subject: "p", Credentials: []oauth.GrantedCredential{{Configuration: mdl}}}})
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, errDown) {
			t.Errorf("%d: %v", i+1, err)
		}
	}
}
