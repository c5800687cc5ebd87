package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/wallet"
)

const origin = "http://wallet.localhost:8080"

// world is an app that knows nobody, with its clock and its links.
type world struct {
	*App
	*testkit.Clock
	t     *testing.T
	links []string
	calls int // to the network
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, Clock: testkit.NewClock()}
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	w.App, err = New(Config{}, Deps{
		Wallet: func(consent wallet.Consent, redirectURI string) (*wallet.Wallet, error) {
			if redirectURI != origin+"/callback" {
				t.Errorf("redirect URI %s", redirectURI)
			}
			return wallet.New(wallet.Config{RedirectURI: redirectURI}, wallet.Deps{
				Storage: wallet.NewMemory(), Area: area, Now: w.Now, Consent: consent,
				Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return nil, errors.New("nobody is known") },
				Fetch: func(context.Context, fetch.Request) (fetch.Response, error) {
					w.calls++
					return fetch.Response{}, errors.New("there is no network")
				},
			})
		},
		Listen: func(context.Context) (wallet.Listener, error) { return nil, errors.New("nobody is near") },
		Invite: func(link string) { w.links = append(w.links, link) },
		Now:    w.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.invite()
	return w
}

// request is one from a browser on this machine, typed in by a person.
func request(method, target string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, origin+target, strings.NewReader(form.Encode()))
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "none")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if method == http.MethodPost {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	w.t.Helper()
	out := httptest.NewRecorder()
	w.Handler().ServeHTTP(out, r)
	if out.Header().Get("Cache-Control") != "no-store" {
		w.t.Errorf("%s %s: Cache-Control %q", r.Method, r.URL.Path, out.Header().Get("Cache-Control"))
	}
	return out
}

// enterWith uses the newest link.
func (w *world) enter() *http.Cookie {
	w.t.Helper()
	link := w.links[len(w.links)-1]
	out := w.do(request("GET", strings.TrimPrefix(link, origin), nil))
	cookies := out.Result().Cookies()
	if out.Code != http.StatusSeeOther || out.Header().Get("Location") != "/" || len(cookies) != 1 {
		w.t.Fatalf("the link: status %d to %q with %d cookies", out.Code, out.Header().Get("Location"), len(cookies))
	}
	return cookies[0]
}

func with(r *http.Request, c *http.Cookie) *http.Request {
	r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	return r
}

func TestStartLink(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || len(c.Value) < 43 {
		t.Errorf("cookie %v", c)
	}
	if len(w.links) != 2 || w.links[0] == w.links[1] {
		t.Errorf("%d links after one was used", len(w.links))
	}
	if out := w.do(request("GET", strings.TrimPrefix(w.links[0], origin), nil)); out.Code != http.StatusUnauthorized || len(out.Result().Cookies()) > 0 {
		t.Errorf("the link a second time: status %d", out.Code)
	}
	if out := w.do(with(request("GET", strings.TrimPrefix(w.links[0], origin), nil), c)); out.Code != http.StatusSeeOther {
		t.Errorf("the link again in the same browser: status %d", out.Code)
	}
	for _, key := range []string{"x", newSecret(), " "} {
		if out := w.do(request("GET", "/?key="+url.QueryEscape(key), nil)); out.Code != http.StatusUnauthorized {
			t.Errorf("a wrong key: status %d", out.Code)
		}
	}
	w.Pass(11 * time.Hour)
	if out := w.do(with(request("GET", "/app", nil), c)); out.Code != http.StatusOK {
		t.Errorf("after 11 hours: status %d", out.Code)
	}
	w.Pass(13 * time.Hour)
	w.sweep()
	if out := w.do(with(request("GET", "/app", nil), c)); out.Code != http.StatusUnauthorized {
		t.Errorf("after 13 more without use: status %d", out.Code)
	}
}

// TestGate: what does not come from the holder in front of this machine gets
// nothing and changes nothing.
func TestGate(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	tests := []struct {
		name   string
		change func(r *http.Request)
		method string
		target string
		want   int
	}{
		{"let in", func(*http.Request) {}, "GET", "/app", 200},
		{"another machine", func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" }, "GET", "/app", 403},
		{"IPv6 loopback", func(r *http.Request) { r.RemoteAddr = "[::1]:4711" }, "GET", "/app", 200},
		{"another name for the address", func(r *http.Request) { r.Host = "evil.example:8080" }, "GET", "/app", 421},
		{"another port", func(r *http.Request) { r.Host = "wallet.localhost:80" }, "GET", "/app", 421},
		{"a link on another site to a page", foreignNavigation, "GET", "/history", 403},
		{"a link on another site to the front", foreignNavigation, "GET", "/show", 403},
		{"another role's page", func(r *http.Request) { foreignNavigation(r); r.Header.Set("Sec-Fetch-Site", "same-site") }, "GET", "/history", 403},
		{"a frame on another site", func(r *http.Request) { foreignNavigation(r); r.Header.Set("Sec-Fetch-Dest", "iframe") }, "GET", "/offer?credential_offer=%7B%7D", 403},
		{"an image on another site", func(r *http.Request) {
			foreignNavigation(r)
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
			r.Header.Set("Sec-Fetch-Dest", "image")
		}, "GET", "/", 403},
		{"a form on another site", foreignNavigation, "POST", "/history/forget", 403},
		{"a form on another site, to what others may reach", foreignNavigation, "POST", "/callback", 403},
		{"an old browser's form on another site", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "http://evil.example")
		}, "POST", "/app/lock", 403},
		{"our own form, from an old browser", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", origin)
		}, "POST", "/history/forget", 400},
		{"an offer on another site", foreignNavigation, "GET", "/offer?credential_offer=%7B%7D", 200},
		{"no such flow", func(*http.Request) {}, "GET", "/flow/" + newSecret(), 404},
		{"no such document", func(*http.Request) {}, "POST", "/documents/x/delete", 404},
		{"too long a link", foreignNavigation, "GET", "/request?request_uri=" + strings.Repeat("x", maxLink), 414},
	}
	for _, test := range tests {
		r := with(request(test.method, test.target, nil), c)
		test.change(r)
		if out := w.do(r); out.Code != test.want {
			t.Errorf("%s: status %d, wanted %d", test.name, out.Code, test.want)
		}
	}
}

func foreignNavigation(r *http.Request) {
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "http://evil.example")
}

// TestLocked: without the cookie every page says how to get in, and nothing
// happens; where others may lead a person, nothing is fetched and nothing of
// the holder's is shown.
func TestLocked(t *testing.T) {
	w := newWorld(t)
	for _, target := range []string{"GET /", "GET /documents/x", "GET /app", "GET /add", "GET /show", "GET /history", "GET /flow/x", "GET /flow/x/state",
		"GET /consent/x", "GET /nothing", "POST /app/install", "POST /app/uninstall", "POST /app/lock", "POST /add", "POST /show/nearby", "POST /show/website",
		"POST /history/forget", "POST /documents/x/delete", "POST /documents/x/check", "POST /flow/x/accept", "POST /consent/x", "POST /callback", "POST /offer"} {
		method, path, _ := strings.Cut(target, " ")
		out := w.do(request(method, path, url.Values{"link": {"openid4vp://?client_id=x&request_uri=https://v.example/"}}))
		if out.Code != http.StatusUnauthorized || !strings.Contains(out.Body.String(), "eidos serve") {
			t.Errorf("%s: status %d", target, out.Code)
		}
		out = w.do(with(request(method, path, nil), &http.Cookie{Name: cookieName, Value: newSecret()}))
		if out.Code != http.StatusUnauthorized {
			t.Errorf("%s with somebody's cookie: status %d", target, out.Code)
		}
	}
	for path, host := range map[string]string{
		"/request?client_id=x&request_uri=https%3A%2F%2Fv.example%2Fr": "v.example",
		"/offer?credential_offer_uri=https%3A%2F%2Fi.example%2Fo":      "i.example",
		"/callback?code=c&state=s":                                     "Continue",
	} {
		out := w.do(request("GET", path, nil))
		if out.Code != http.StatusOK || !strings.Contains(out.Body.String(), host) {
			t.Errorf("%s: status %d\n%s", path, out.Code, out.Body)
		}
	}
	if w.calls > 0 || len(w.flows) > 0 {
		t.Errorf("%d calls and %d flows without the holder", w.calls, len(w.flows))
	}
}

func TestHostIn(t *testing.T) {
	for raw, want := range map[string]string{
		"https://issuer.example:8443/x": "issuer.example:8443", "https://user:pw@issuer.example/": "issuer.example",
		"https://[::1]:80/": "[::1]:80", "javascript:alert(1)": "", "https://ev\u202eil/": "", "https://a b/": "", "": "", "https://" + strings.Repeat("a", 200): "",
	} {
		if got := hostIn(raw); got != want {
			t.Errorf("%q: %q, wanted %q", raw, got, want)
		}
	}
	for raw, want := range map[string]bool{
		"https://i.example/authorize": true, "http://issuer.localhost:8080/x": true, "http://i.example/": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "file:///etc/passwd": false, "": false, "/relative": false,
	} {
		if got := isPage(raw); got != want {
			t.Errorf("%q is a page: %v", raw, got)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, url := range []string{"https://wallet.example", "http://192.0.2.1:8080", "https://wallet.localhost", "http://wallet.localhost:8080/x", "http://a@wallet.localhost", "http://evil.example:8080"} {
		if err := (Config{URL: url}).Check(); err == nil {
			t.Errorf("%s is taken as the origin of the pages", url)
		}
	}
	if err := (Config{}).Check(); err != nil {
		t.Error(err)
	}
	if err := (Config{Provider: "http://provider.example", SessionLifetime: time.Second}).Check(); err == nil ||
		!strings.Contains(err.Error(), "provider") || !strings.Contains(err.Error(), "sessionLifetime") {
		t.Errorf("not everything that is wrong is named: %v", err)
	}
}
