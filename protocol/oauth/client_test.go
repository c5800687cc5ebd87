package oauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oauth"
)

func TestCodeRefusesForeignResponses(t *testing.T) {
	a := oauth.Authorization{Issuer: issuer, ExpectISS: true, State: "st", RedirectURI: redirect}
	iss := url.QueryEscape(issuer)
	for name, tc := range map[string]struct {
		response string
		ok       bool
	}{
		"good":             {redirect + "?code=c&state=st&iss=" + iss, true},
		"other order":      {redirect + "?iss=" + iss + "&x=y&state=st&code=c", true},
		"wrong iss":        {redirect + "?code=c&state=st&iss=" + iss + "x", false},
		"no iss":           {redirect + "?code=c&state=st", false},
		"wrong state":      {redirect + "?code=c&state=su&iss=" + iss, false},
		"no state":         {redirect + "?code=c&iss=" + iss, false},
		"no code":          {redirect + "?state=st&iss=" + iss, false},
		"two codes":        {redirect + "?code=c&code=d&state=st&iss=" + iss, false},
		"in the fragment":  {redirect + "#code=c&state=st&iss=" + iss, false},
		"other redirect":   {"https://wallet.example/cb2?code=c&state=st&iss=" + iss, false},
		"error":            {redirect + "?error=access_denied&state=st&iss=" + iss, false},
		"error, wrong iss": {redirect + "?error=access_denied&state=st&iss=x", false},
	} {
		code, err := a.Code(tc.response)
		if (err == nil) != tc.ok || (tc.ok && code != "c") || (!tc.ok && code != "") {
			t.Errorf("%s: %q, %v", name, code, err)
		}
		var refusal *oauth.Error
		if got := errors.As(err, &refusal); got != (name == "error") {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.ExpectISS = false // a server that does not announce iss may leave it out, but not send a wrong one
	if _, err := a.Code(redirect + "?code=c&state=st"); err != nil {
		t.Error(err)
	}
	if _, err := a.Code(redirect + "?code=c&state=st&iss=x"); err == nil {
		t.Error("wrong iss accepted where none is expected")
	}
	a.RedirectURI += "?dummy1=lorem"
	if code, err := a.Code(a.RedirectURI + "&code=c&state=st"); err != nil || code != "c" {
		t.Error(code, err)
	}
}

func TestAuthorizationSurvivesStorage(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	a, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back oauth.Authorization
	if err := json.Unmarshal(data, &back); err != nil || back != *a {
		t.Fatalf("%+v became %+v, %v", *a, back, err)
	}
}

// wrapped changes answers on the way to the client.
func (w *world) wrapped(change func(r fetch.Request, resp *fetch.Response)) fetch.Func {
	return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		resp, err := w.fetch(ctx, r)
		if err == nil {
			change(r, &resp)
		}
		return resp, err
	}
}

func TestDiscoverRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]func(m map[string]any, resp *fetch.Response){
		"issuer mismatch":        func(m map[string]any, _ *fetch.Response) { m["issuer"] = issuer + "/" },
		"no token endpoint":      func(m map[string]any, _ *fetch.Response) { delete(m, "token_endpoint") },
		"http token endpoint":    func(m map[string]any, _ *fetch.Response) { m["token_endpoint"] = "http://issuer.example/token" },
		"not found":              func(_ map[string]any, resp *fetch.Response) { resp.Status = 404 },
		"HTML":                   func(_ map[string]any, resp *fetch.Response) { resp.Header["content-type"] = "text/html" },
		"endpoint is not a text": func(m map[string]any, _ *fetch.Response) { m["token_endpoint"] = 7 },
	} {
		_, err := oauth.Discover(w.ctx, w.wrapped(func(_ fetch.Request, resp *fetch.Response) {
			var m map[string]any
			if err := json.Unmarshal(resp.Body, &m); err != nil {
				t.Fatal(err)
			}
			header := resp.Header
			change(m, resp)
			status := resp.Status
			*resp = fetch.JSONResponse(status, m)
			resp.Header = header
		}), issuer)
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := oauth.Discover(w.ctx, w.fetch, "http://issuer.example"); err == nil {
		t.Error("http issuer accepted")
	}
}

func TestTokenResponses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(m map[string]any)
		ok     bool
	}{
		"no expires_in":          {func(m map[string]any) { delete(m, "expires_in") }, true},
		"type in another case":   {func(m map[string]any) { m["token_type"] = "dPOP" }, true},
		"unknown members":        {func(m map[string]any) { m["x"] = map[string]any{"y": 1} }, true},
		"other type of details":  {func(m map[string]any) { m["authorization_details"] = []any{map[string]any{"type": "payment"}} }, true},
		"bearer":                 {func(m map[string]any) { m["token_type"] = "Bearer" }, false},
		"no token":               {func(m map[string]any) { delete(m, "access_token") }, false},
		"token with a line feed": {func(m map[string]any) { m["access_token"] = "a\nX-Header: b" }, false},
		"details without identifiers": {func(m map[string]any) {
			m["authorization_details"] = []any{map[string]any{"type": "openid_credential", "credential_configuration_id": mdl}}
		}, false},
	} {
		w := newWorld(t, nil)
		c := w.client(clientID)
		c.Fetch = w.wrapped(func(r fetch.Request, resp *fetch.Response) {
			if !strings.HasSuffix(r.URL, "/token") || resp.Status != 200 {
				return
			}
			var m map[string]any
			if err := json.Unmarshal(resp.Body, &m); err != nil {
				t.Fatal(err)
			}
			tc.change(m)
			*resp = fetch.JSONResponse(200, m)
		})
		token, err := c.RedeemPreAuthorized(w.ctx, w.offer(""), "", nil, w.Now())
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no expires_in" && (token == nil || !token.Expires.IsZero()) {
			t.Errorf("%s: %+v", name, token)
		}
	}
}

func TestResourceNonceErrorInAnyCase(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	w.Pass(12 * time.Minute)
	c.Fetch = w.wrapped(func(_ fetch.Request, resp *fetch.Response) {
		if resp.Status == 401 {
			resp.Header["www-authenticate"], resp.Body = `dpOp ERROR="use_dpop_nonce"`, nil
		}
	})
	if resp, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now()); err != nil || resp.Status != 200 {
		t.Errorf("%d %v", resp.Status, err)
	}
}

func TestNonceFromAnyEndpointSavesARoundTrip(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	w.Pass(12 * time.Minute)
	route := c.Fetch
	c.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if r.URL != issuer+"/nonce" {
			return route(ctx, r)
		}
		if r.Get("dpop") != "" || r.Get("authorization") != "" {
			t.Error("token or proof sent to the nonce endpoint")
		}
		resp := fetch.JSONResponse(200, map[string]string{"c_nonce": "n"})
		resp.Header["dpop-nonce"] = w.server.DPoPNonce(w.Now())
		return resp, nil
	}
	if _, err := c.Send(w.ctx, fetch.Request{Method: "POST", URL: issuer + "/nonce"}); err != nil {
		t.Fatal(err)
	}
	sent := len(w.log)
	if resp, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now()); err != nil || resp.Status != 200 || len(w.log) != sent+1 {
		t.Errorf("%d after %d requests, %v", resp.Status, len(w.log)-sent, err)
	}
}

func TestClientGivesUp(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	asks := 0
	c.Fetch = func(context.Context, fetch.Request) (fetch.Response, error) {
		asks++
		resp := fetch.JSONResponse(401, map[string]string{"error": "use_dpop_nonce"})
		resp.Header["dpop-nonce"] = "again"
		return resp, nil
	}
	if resp, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now()); err != nil || resp.Status != 401 || asks != 2 {
		t.Errorf("resource: %d after %d requests, %v", resp.Status, asks, err)
	}
	asks = 0
	var refusal *oauth.Error
	if _, err := c.RedeemPreAuthorized(w.ctx, "code", "", nil, w.Now()); !errors.As(err, &refusal) || refusal.Code != "use_dpop_nonce" || asks != 2 {
		t.Errorf("token: %v after %d requests", err, asks)
	}
	c.Fetch = func(context.Context, fetch.Request) (fetch.Response, error) {
		return fetch.Response{Status: 500, Body: []byte("<html>"), Header: map[string]string{"content-type": "text/html"}}, nil
	}
	if _, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err == nil {
		t.Error("a page of HTML is no answer")
	}
	c.Fetch = func(context.Context, fetch.Request) (fetch.Response, error) {
		return fetch.Response{}, fetch.ErrTooLarge
	}
	if _, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); !errors.Is(err, fetch.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func TestProofsAreNeverReusedAndCarryTheNewestChallenge(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	if _, err := c.Resource(w.ctx, token, fetch.GetRequest(resource, ""), w.Now()); err != nil {
		t.Fatal(err)
	}
	w.token(c)
	seen, newest, proofs := map[string]bool{}, "", 0
	for i, r := range w.log {
		for _, name := range []string{"dpop", "oauth-client-attestation-pop"} {
			if r.Get(name) == "" {
				continue
			}
			p, err := jose.Parse(r.Get(name), jose.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var claims struct{ JTI, Challenge string }
			if err := p.Claims(&claims); err != nil {
				t.Fatal(err)
			}
			if seen[claims.JTI] || claims.JTI == "" {
				t.Errorf("jti %q again", claims.JTI)
			}
			seen[claims.JTI] = true
			proofs++
			if name != "dpop" && claims.Challenge != newest {
				t.Errorf("request %d carries challenge %q, newest is %q", i, claims.Challenge, newest)
			}
		}
		if i >= len(w.replies) {
			break
		}
		var body struct {
			Challenge string `json:"attestation_challenge"`
		}
		if json.Unmarshal(w.replies[i].Body, &body) == nil && body.Challenge != "" {
			newest = body.Challenge
		}
		if h := w.replies[i].Get("oauth-client-attestation-challenge"); h != "" {
			newest = h
		}
	}
	if proofs < 7 {
		t.Errorf("%d proofs", proofs)
	}
}
