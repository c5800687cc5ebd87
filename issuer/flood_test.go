package issuer

import (
	"context"
	"crypto/elliptic"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// flood is how often each kind of request is sent.
const flood = 40

// Strangers write nothing, however much they send, and however much of it looks
// right: not a row more after all of it, on either engine.
func TestFloodByStrangers(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		w.registerApp(serverApp, testkit.Signer(t, elliptic.P256()))
		p := w.newApp(w.authority)
		w.offer("ada", "mdl")
		strange := w.strangers(t, p)
		if err := w.authority.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := w.rows(t)
		for name, make := range strange {
			answers := map[string]int{}
			for i := range flood {
				resp, err := p.fetch(t.Context(), make(i))
				if err != nil || resp.Status >= 500 {
					t.Fatalf("%s: %d %s, %v", name, resp.Status, resp.Body, err)
				}
				answers[fmt.Sprint(resp.Status)]++
			}
			if d := cmp.Diff(before, w.rows(t)); d != "" {
				t.Errorf("%s, answered %v, left rows:\n%s", name, answers, d)
				before = w.rows(t)
			}
		}
	})
}

// strangers are requests of those who cannot prove who they are.
func (w *world) strangers(t *testing.T, p *app) map[string]func(i int) fetch.Request {
	t.Helper()
	unknown := testkit.Signer(t, elliptic.P256())
	forger := newWorld(t, testkit.SQLite(t)).newApp(w.authority) // vouched for by a provider that nobody knows
	par := func() url.Values {
		return url.Values{
			"response_type": {"code"}, "client_id": {walletID}, "redirect_uri": {redirect}, "scope": {"mdl"},
			"code_challenge": {oauth.CodeChallenge(oauth.NewVerifier())}, "code_challenge_method": {"S256"},
		}
	}
	token := func(i int) url.Values {
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "client_id": {walletID}, "pre-authorized_code": {fmt.Sprint("code", i)}}
	}
	prove := func(r fetch.Request, accessToken string) fetch.Request {
		resp, err := p.fetch(t.Context(), fetch.Request{Method: "POST", URL: base + "/nonce"})
		if err != nil {
			t.Fatal(err)
		}
		proof, err := oauth.DPoP{Method: r.Method, URL: r.URL, IssuedAt: w.Now(), AccessToken: accessToken, Nonce: resp.Get("dpop-nonce")}.Sign(t.Context(), unknown)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["dpop"] = proof
		return r
	}
	// forged are what a client sends, which does not arrive here.
	forged := func(client *oauth.Client, endpoint string) fetch.Request {
		var sent fetch.Request
		c := *client
		c.Fetch = func(ctx context.Context, q fetch.Request) (fetch.Response, error) {
			if !strings.HasSuffix(q.URL, endpoint) {
				return p.fetch(ctx, q)
			}
			sent = q
			return fetch.JSONResponse(400, nil), nil
		}
		if endpoint == "/par" {
			c.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
		} else {
			c.RedeemPreAuthorized(t.Context(), "code", "", nil, w.Now())
		}
		return sent
	}
	out := map[string]func(i int) fetch.Request{
		"nonce":                   func(int) fetch.Request { return fetch.Request{Method: "POST", URL: base + "/nonce"} },
		"challenge":               func(int) fetch.Request { return fetch.Request{Method: "POST", URL: base + "/challenge"} },
		"offer":                   func(i int) fetch.Request { return fetch.GetRequest(fmt.Sprint(base, "/offers/", i), "") },
		"PAR":                     func(int) fetch.Request { return prove(fetch.FormRequest(base+"/par", par()), "") },
		"PAR, forged attestation": func(int) fetch.Request { return forged(forger.oauth, "/par") },
		"PAR, forged assertion":   func(int) fetch.Request { return forged(w.newServerApp(serverApp, unknown).oauth, "/par") },
		"PAR, unknown client": func(i int) fetch.Request {
			f := par()
			f.Set("client_id", fmt.Sprint("client", i))
			return fetch.FormRequest(base+"/par", f)
		},
		"PAR, client with keys": func(int) fetch.Request {
			f := par()
			f.Set("client_id", serverApp)
			return fetch.FormRequest(base+"/par", f)
		},
		"authorize": func(i int) fetch.Request {
			q := url.Values{"client_id": {walletID}, "request_uri": {fmt.Sprint("urn:ietf:params:oauth:request_uri:", i)}}
			return fetch.GetRequest(base+"/authorize?"+q.Encode(), "text/html")
		},
		"identify": func(i int) fetch.Request {
			return fetch.FormRequest(base+"/authorize/identify", url.Values{"form": {"x"}, "subject": {fmt.Sprint("person", i)}, "code": {"1"}})
		},
		"token":                     func(i int) fetch.Request { return prove(fetch.FormRequest(base+"/token", token(i)), "") },
		"token, forged attestation": func(int) fetch.Request { return forged(forger.oauth, "/token") },
		"token, forged assertion":   func(int) fetch.Request { return forged(w.newServerApp(serverApp, unknown).oauth, "/token") },
		"refresh": func(i int) fetch.Request {
			return prove(fetch.FormRequest(base+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {walletID}, "refresh_token": {fmt.Sprint(i)}}), "")
		},
	}
	for _, endpoint := range []string{"credential", "deferred", "notification"} {
		out[endpoint] = func(i int) fetch.Request {
			r := fetch.Request{Method: "POST", URL: base + "/" + endpoint, Body: []byte("{}"), Header: map[string]string{
				"content-type": "application/json", "authorization": fmt.Sprint("DPoP token", i),
			}}
			return prove(r, fmt.Sprint("token", i))
		}
	}
	return out
}

// An app that has proved who it is leaves rows, but no more than the limit of its
// requests allows, and none a quarter of an hour later.
func TestFloodByAnApp(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		const limit = 10
		w := newWorld(t, dsn)
		w.authority.guard = web.NewGuard(web.GuardOptions{PerAddress: 1000, PerTenant: 1000, PerClient: limit, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 1, Now: w.Now})
		w.withApproval()
		p, token := w.accept("ada", "mdl")
		for name, send := range map[string]func() error{
			"PAR": func() error {
				_, err := p.oauth.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
				return err
			},
			"token": func() error {
				_, err := p.oauth.RedeemPreAuthorized(t.Context(), "no code", "", nil, w.Now())
				return err
			},
			"credential": func() error {
				_, _, err := p.get(token, "pid", 1)
				return err
			},
			"deferred": func() error {
				_, err := p.again(t, token, "unknown")
				return err
			},
		} {
			w.Pass(time.Minute)
			before, held := total(w.rows(t)), 0
			for range flood {
				if err := send(); err != nil && code(err) == oauth.CodeUnavailable {
					held++
				}
			}
			if grown := total(w.rows(t)) - before; grown > 3*limit || held != flood-limit {
				t.Errorf("%s: %d rows more, held back %d times", name, grown, held)
			}
		}
		var resp fetch.Response
		var err error
		for range limit + 1 {
			if resp, err = p.oauth.Resource(t.Context(), token, fetch.Request{Method: "POST", URL: base + "/notification"}, w.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if wantForm(t, resp, 429, oauth.CodeUnavailable); resp.Get("retry-after") == "" {
			t.Errorf("no Retry-After: %v", resp.Header)
		}

		w.Pass(16 * time.Minute)
		if err := w.authority.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		left := w.rows(t)
		maps.DeleteFunc(left, func(name string, _ int) bool {
			return !strings.Contains(name, " oauth-") || strings.HasSuffix(name, "oauth-grant") || strings.HasSuffix(name, "oauth-refresh") || strings.HasSuffix(name, "oauth-offer")
		})
		if len(left) > 0 {
			t.Errorf("left after its time: %v", left)
		}
	})
}

// A service with keys of its own has a bound of its own.
func TestFloodByAService(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	k := testkit.Signer(t, elliptic.P256())
	w.registerApp(serverApp, k)
	w.authority.guard = web.NewGuard(web.GuardOptions{PerAddress: 1, PerTenant: 1, PerClient: 1, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 1, Now: w.Now})
	p := w.newServerApp(serverApp, k)
	before := total(w.rows(t))
	for i := range flood {
		_, err := p.oauth.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
		if held := code(err) == oauth.CodeUnavailable; held != (i >= 7) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if grown := total(w.rows(t)) - before; grown > 2*7 {
		t.Errorf("%d rows more", grown)
	}
}

func total(rows map[string]int) (n int) {
	for _, c := range rows {
		n += c
	}
	return n
}

// What an app can have written for good is bounded as well: what became of its
// copies, and requests for an operator.
func TestFloodOfTheBooks(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	h := w.hold(t, "ada", "mdl")
	c := &oid4vci.Client{Metadata: h.app.metadata, OAuth: h.app.oauth, Token: h.token}
	before := w.rows(t)["audit"]
	for range flood / 3 {
		for _, event := range []oid4vci.Event{oid4vci.EventFailure, oid4vci.EventAccepted, oid4vci.EventDeleted} {
			if err := c.Notify(t.Context(), oid4vci.Notification{ID: h.app.answer.Notification, Event: event}, w.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := w.rows(t)["audit"] - before; n != 3 {
		t.Errorf("%d notifications in the audit", n)
	}

	w.withApproval()
	p, token := w.accept("jonas", "mdl")
	before = w.rows(t)["audit"]
	for i := range flood {
		_, _, err := p.get(token, "mdl", 1)
		if i < w.authority.config.BatchesPerDay && err != nil {
			t.Fatal(err)
		}
		if i >= w.authority.config.BatchesPerDay {
			wantCode(t, "asked too often", err, oid4vci.CodeDenied)
		}
	}
	if n := w.rows(t)["audit"] - before; n != w.authority.config.BatchesPerDay {
		t.Errorf("%d requests in the audit", n)
	}
}

// A code tried for many persons meets the bound of the address, and codes from
// many addresses that of the tenant; log-in pages are not opened without end.
func TestSprayedCodes(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.authority.guard = web.NewGuard(web.GuardOptions{PerAddress: 20, PerTenant: 1000, PerClient: 1000, PerServer: 7, WrongPerAddress: 5, WrongPerTenant: 8, Now: w.Now})
	p := w.newApp(w.authority)
	tried := 0
	try := func(address string) bool {
		t.Helper()
		b := w.browser(t, w.authority)
		b.from = address
		w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
		tried++
		b.identify(fmt.Sprint("person", tried), "123456")
		if b.status == 429 && !strings.Contains(b.page, "too many wrong codes") {
			t.Errorf("page:\n%s", b.page)
		}
		return b.status != 429
	}
	for i := range 7 {
		if got := try("192.0.2.1:1"); got != (i < 5) {
			t.Errorf("try %d: %v", i, got)
		}
	}
	for i := range 5 {
		if got := try(fmt.Sprintf("192.0.2.%d:1", 10+i)); got != (i < 3) {
			t.Errorf("try %d of other addresses: %v", i, got)
		}
	}
	w.Pass(time.Hour)
	p = w.newApp(w.authority)
	if !try("192.0.2.1:1") {
		t.Error("held back an hour later")
	}

	authorization, err := p.oauth.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := w.rows(t)["once issuer-session"]
	for range flood {
		r := httptest.NewRequest("GET", authorization.URL, nil)
		r.RemoteAddr = "192.0.2.77:1"
		w.authority.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := w.rows(t)["once issuer-session"] - before; n != 20 {
		t.Errorf("%d sessions of one request", n)
	}
}
