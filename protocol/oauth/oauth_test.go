package oauth_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
)

func TestAuthorisationCodeEndToEnd(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	a, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "openid mdl pid", IssuerState: "offer-7"}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	front, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	if q := front.Query(); len(q) != 2 || q.Get("client_id") != clientID || !strings.HasPrefix(q.Get("request_uri"), "urn:ietf:params:oauth:request_uri:") {
		t.Errorf("front channel has %v", q)
	}
	w.Pass(30 * time.Second)
	p, _, err := w.server.Authorize(w.ctx, w.store, fetch.GetRequest(a.URL+"&state=evil&foo=bar", ""), w.Now())
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	if p.IssuerState != "offer-7" || p.Attester != "Provider One" || p.WalletName != "eidos" || p.Client.Name != "Wallet" || !cmp.Equal(p.Configurations, []string{pid, mdl}) {
		t.Errorf("pending %+v", p)
	}
	w.Pass(5 * time.Minute) // people take their time once the page is open
	location := w.browse(a.URL)
	if q, _ := url.Parse(location); q.Query().Get("state") != a.State || q.Query().Get("iss") != issuer || q.Fragment != "" || len(q.Query().Get("code")) != 43 {
		t.Errorf("redirect to %s", location)
	}
	code, err := a.Code(location)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.RedeemCode(w.ctx, a, code, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	if token.Scope != "mdl pid" || token.Details != nil || len(token.AccessToken) != 43 || !token.Expires.Equal(w.Now().Add(15*time.Minute)) {
		t.Errorf("token %+v", token)
	}
	for range 2 { // a token serves several requests
		resp, err := c.Resource(w.ctx, token, fetch.Request{Method: "POST", URL: resource + "?a=b", Body: []byte("{}")}, w.Now())
		if err != nil || resp.Status != 200 {
			t.Fatalf("resource: %d %s %v", resp.Status, resp.Body, err)
		}
	}
	g := w.grant
	if g.Subject != "person-1" || g.ClientID != clientID || g.Scope != "mdl pid" || g.Details || string(g.Data) != `{"proof":"desk"}` ||
		!cmp.Equal(g.Credentials, []oauth.GrantedCredential{{Configuration: pid, Identifiers: []string{pid}}, {Configuration: mdl, Identifiers: []string{mdl}}}) {
		t.Errorf("grant %+v", g)
	}
	want := &oauth.Instance{Attester: "Provider One", Level: attestation.LevelLow, WalletName: "eidos", WalletVersion: "1.2.3", Expires: start.Add(12 * time.Hour),
		Status: attestation.Status{Reference: attestation.StatusReference{Index: 42, URI: "https://provider.example/status"}, Ends: start.Add(31 * 24 * time.Hour)}, Thumbprint: g.Instance.Thumbprint}
	if d := cmp.Diff(want, g.Instance); d != "" {
		t.Error(d)
	}
	for _, r := range w.log {
		if strings.Contains(string(r.Body), token.AccessToken) || strings.Contains(r.URL, token.AccessToken) {
			t.Error("the token left outside of its header")
		}
	}
}

func TestAuthorizationDetails(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	a, err := c.Push(w.ctx, oauth.AuthorizationRequest{Details: []oauth.Details{{Configuration: "no-scope", Locations: []string{issuer}}, {Configuration: mdl}}}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	code, err := a.Code(w.browse(a.URL))
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.RedeemCode(w.ctx, a, code, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := []oauth.Details{
		{Type: "openid_credential", Configuration: "no-scope", CredentialIdentifiers: []string{"no-scope"}},
		{Type: "openid_credential", Configuration: mdl, CredentialIdentifiers: []string{mdl}},
	}
	if d := cmp.Diff(want, token.Details); d != "" {
		t.Error(d)
	}
}

func TestPreAuthorizedCodeEndToEnd(t *testing.T) {
	for _, anonymous := range []bool{false, true} {
		w := newWorld(t, func(c *oauth.ServerConfig) { c.AnonymousPreAuthorized = anonymous })
		c := w.client(clientID)
		if anonymous {
			c.Attestation, c.Instance = "", nil
		}
		token, err := c.RedeemPreAuthorized(w.ctx, w.offer("493536"), "493536", []oauth.Details{{Configuration: mdl}}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]oauth.Details{{Type: "openid_credential", Configuration: mdl, CredentialIdentifiers: []string{"mdl-1"}}}, token.Details); d != "" {
			t.Error(d)
		}
		if resp, err := c.Resource(w.ctx, token, fetch.Request{Method: "POST", URL: resource}, w.Now()); err != nil || resp.Status != 200 {
			t.Fatalf("resource: %d %v", resp.Status, err)
		}
		if w.grant.Subject != "person-2" || !w.grant.Details || (w.grant.ClientID == "") != anonymous || (w.grant.Instance == nil) != anonymous {
			t.Errorf("grant %+v", w.grant)
		}
	}
}

func TestPublicClientWithoutAttesters(t *testing.T) {
	w := newWorld(t, func(c *oauth.ServerConfig) { c.Attesters, c.Challenges, c.DPoPNonces = nil, nil, nil })
	c := w.client(clientID)
	c.Attestation, c.Instance = "", nil
	token := w.token(c)
	if _, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now()); err != nil || w.grant == nil || w.grant.Instance != nil {
		t.Errorf("grant %+v, error %v", w.grant, err)
	}
	if m := w.server.Metadata(); m.ChallengeEndpoint != "" || !cmp.Equal(m.TokenEndpointAuthMethodsSupported, []string{"none"}) {
		t.Errorf("metadata %+v", m)
	}
}

func TestNoncesAndChallengesAreRenewed(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	w.Pass(12 * time.Minute) // nonces and challenges have gone stale, the token has not
	sent := len(w.log)
	resp, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now())
	if err != nil || resp.Status != 200 || len(w.log) != sent+2 {
		t.Fatalf("resource: %d after %d requests, %v", resp.Status, len(w.log)-sent, err)
	}
	sent = len(w.log)
	if _, err := c.RedeemPreAuthorized(w.ctx, w.offer(""), "", nil, w.Now()); err != nil || len(w.log) != sent+2 {
		t.Fatalf("token: %v after %d requests", err, len(w.log)-sent) // one more for the challenge; the nonce is fresh
	}
}

func TestSecondRedirectURIAndState(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	form := parFormOf(c)
	form.Set("redirect_uri", redirect+"?dummy1=lorem&dummy2=ipsum")
	form.Set("state", strings.Repeat("s", 128))
	if location := w.decision(t, c, form, true); !strings.HasPrefix(location, redirect+"?dummy1=lorem&dummy2=ipsum&code=") || !strings.HasSuffix(location, "&state="+strings.Repeat("s", 128)) {
		t.Errorf("redirect to %s", location)
	}
	form.Del("state") // no state in, none out
	if location := w.decision(t, c, form, true); strings.Contains(location, "state=") {
		t.Errorf("redirect to %s", location)
	}
	form.Set("state", "s")
	location := w.decision(t, c, form, false)
	if u, _ := url.Parse(location); u.Query().Get("error") != "access_denied" || u.Query().Get("state") != "s" || u.Query().Get("iss") != issuer || u.Query().Has("code") {
		t.Errorf("redirect to %s", location)
	}
}

// decision pushes a form, opens the page and decides; it returns the redirect.
func (w *world) decision(t *testing.T, c *oauth.Client, form url.Values, yes bool) string {
	t.Helper()
	if err := w.form(c, "/par", form, nil); err != nil {
		t.Fatal(err)
	}
	uri := w.requestURI()
	open := fetch.FormRequest(issuer+"/authorize", url.Values{"client_id": {c.ID}, "request_uri": {uri}}) // POST is as good as GET
	if p, rep, err := w.server.Authorize(w.ctx, w.store, open, w.Now()); p == nil || err != nil {
		t.Fatal(rep.Refusal, err)
	}
	decide := func() (oauth.Reply, error) { return w.server.Refuse(w.ctx, w.store, uri, w.Now()) }
	if yes {
		decide = func() (oauth.Reply, error) {
			return w.server.Approve(w.ctx, w.store, uri, oauth.Approval{Subject: "p"}, w.Now())
		}
	}
	rep, err := decide()
	if err != nil || rep.Response.Status != 303 {
		t.Fatal(rep, err)
	}
	return rep.Response.Get("location")
}

// requestURI is the one in the last answer.
func (w *world) requestURI() string {
	w.t.Helper()
	var body struct {
		URI     string `json:"request_uri"`
		Expires int    `json:"expires_in"`
	}
	last := w.replies[len(w.replies)-1]
	if err := json.Unmarshal(last.Body, &body); err != nil || last.Status != 201 || body.Expires != 60 {
		w.t.Fatalf("PAR answered %d %s", last.Status, last.Body)
	}
	return body.URI
}

func parFormOf(c *oauth.Client) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {redirect}, "scope": {"mdl"}, "state": {"s"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, "unknown": {"ignored"},
	}
}

func TestServerMetadata(t *testing.T) {
	w := newWorld(t, nil)
	m := w.server.Metadata()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"issuer": issuer, "require_pushed_authorization_requests": true, "authorization_response_iss_parameter_supported": true,
		"response_types_supported": []any{"code"}, "code_challenge_methods_supported": []any{"S256"},
		"grant_types_supported":                               []any{"authorization_code", "urn:ietf:params:oauth:grant-type:pre-authorized_code"},
		"token_endpoint_auth_methods_supported":               []any{"attest_jwt_client_auth"},
		"client_attestation_signing_alg_values_supported":     []any{"ES256", "ES384", "ES512"},
		"client_attestation_pop_signing_alg_values_supported": []any{"ES256", "ES384", "ES512"},
		"dpop_signing_alg_values_supported":                   []any{"ES256", "EdDSA"},
		"scopes_supported":                                    []any{"mdl", "pid"},
		"challenge_endpoint":                                  issuer + "/challenge",
		"authorization_details_types_supported":               []any{"openid_credential"},
	} {
		if d := cmp.Diff(want, members[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if _, ok := members["jwks_uri"]; ok {
		t.Error("there are no keys to publish")
	}
}

func TestNewServerRefuses(t *testing.T) {
	good := oauth.ServerConfig{Issuer: issuer, Clients: oauth.Fixed()}
	for name, change := range map[string]func(*oauth.ServerConfig){
		"http":               func(c *oauth.ServerConfig) { c.Issuer = "http://issuer.example" },
		"query":              func(c *oauth.ServerConfig) { c.Issuer += "?x" },
		"long codes":         func(c *oauth.ServerConfig) { c.CodeLifetime = 2 * time.Minute },
		"no clients":         func(c *oauth.ServerConfig) { c.Clients = nil },
		"bad scope":          func(c *oauth.ServerConfig) { c.Configurations = []oauth.Configuration{{ID: "a", Scope: "a b"}} },
		"twice":              func(c *oauth.ServerConfig) { c.Configurations = []oauth.Configuration{{ID: "a"}, {ID: "a"}} },
		"fragment in a path": func(c *oauth.ServerConfig) { c.TokenEndpoint = issuer + "#f" },
	} {
		c := good
		change(&c)
		if _, err := oauth.NewServer(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good.Issuer = "http://issuer.localhost:8080"
	if _, err := oauth.NewServer(good); err != nil {
		t.Error(err)
	}
	for uri, ok := range map[string]bool{redirect: true, "eidos://cb": true, "http://127.0.0.1:1/cb": true, "http://x.example/": false, "javascript:alert(1)": false, "data:,x": false, redirect + "#f": false, "/cb": false} {
		if err := (oauth.Registration{ID: "c", RedirectURIs: []string{uri}}).Check(); (err == nil) != ok {
			t.Errorf("redirect URI %s: %v", uri, err)
		}
	}
}
