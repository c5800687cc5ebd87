package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
)

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// ask sends a request to a handler and returns the answer.
func ask(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServeDrains(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	begun := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			time.Sleep(50 * time.Millisecond)
			io.WriteString(w, "finished")
		}), ServeOptions{})
	}()
	go func() {
		<-begun
		stop()
	}()
	resp, err := newClient(t, Options{AllowLoopback: true})(t.Context(), fetch.GetRequest("http://"+ln.Addr().String(), ""))
	if err != nil || string(resp.Body) != "finished" {
		t.Errorf("running request: %q, error %v", resp.Body, err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

// What no route takes is answered as any other error: JSON for programs, a page
// for browsers, with the methods that there are.
func TestNoRoute(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{tenant}/nonce", func(w http.ResponseWriter, _ *http.Request) { JSON(w, 200, "here") })
	mux.HandleFunc("GET /missing", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }) // a handler's own words stay
	h := Wrap(mux, WrapOptions{Role: "issuer"})
	for _, c := range []struct {
		method, path, accept string
		status               int
		media, says          string
	}{
		{"GET", "/nothing/at/all", "", 404, "application/json", `"error":"not_found"`},
		{"GET", "/nothing/at/all", "text/html", 404, "text/html; charset=utf-8", "There is nothing at this address."},
		{"GET", "/default/nonce", "application/json", 405, "application/json", "GET is not possible here, but POST"},
		{"DELETE", "/default/nonce", "text/html", 405, "text/html; charset=utf-8", "DELETE is not possible here, but POST"},
		{"HEAD", "/default/nonce", "", 405, "application/json", ""},
		{"GET", "/missing", "", 404, "text/plain; charset=utf-8", "404 page not found"},
		{"POST", "/default/nonce", "", 200, "application/json", `"here"`},
	} {
		w := ask(h, c.method, c.path, "", "Accept", c.accept)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.media || !strings.Contains(w.Body.String(), c.says) || strings.Count(w.Body.String(), "{") > 1 {
			t.Errorf("%s %s for %q: %d %s %s", c.method, c.path, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if allow := w.Header().Get("Allow"); (allow == "POST") != (c.status == 405) {
			t.Errorf("%s %s: Allow %q", c.method, c.path, allow)
		}
		if w.Header().Get("Cache-Control") != "no-store" && c.path != "/missing" {
			t.Errorf("%s %s may be cached", c.method, c.path)
		}
	}
}

func TestHostMux(t *testing.T) {
	var m HostMux
	m.Handle("issuer.localhost", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "issuer") }))
	for host, want := range map[string]int{
		"issuer.localhost": 200, "issuer.localhost:8080": 200, "ISSUER.localhost:80": 200, "issuer.localhost.": 200,
		"other.localhost": 421, "issuer.localhost.evil.example": 421, "": 421, "127.0.0.1:8080": 421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestWrap(t *testing.T) {
	var logged bytes.Buffer
	mux := http.NewServeMux()
	mux.Handle("GET /offers/{id}", ErrFunc(func(http.ResponseWriter, *http.Request) error {
		return errors.New("row for Erika Mustermann is broken")
	}))
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("secret of the handler") })
	mux.Handle("GET /refused", ErrFunc(func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("issue: %w", &Error{Status: 400, Code: "invalid_grant", Message: "The code is used up.", Err: errors.New("inner")})
	}))
	h := Wrap(mux, WrapOptions{Log: slog.New(slog.NewTextHandler(&logged, nil)), Role: "issuer", HTTPS: true})

	w := ask(h, "GET", "/offers/secret-id?token=secret-token", "")
	var reply struct {
		Error       string
		Description string `json:"error_description"`
		Reference   string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	if w.Code != 500 || reply.Error != "server_error" || len(reply.Reference) != 12 || strings.Contains(w.Body.String(), "Erika") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s := logged.String(); !strings.Contains(s, reply.Reference) || !strings.Contains(s, "is broken") || !strings.Contains(s, "/offers/{id}") || strings.Contains(s, "secret") {
		t.Errorf("log: %s", s)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		"Strict-Transport-Security": "max-age=31536000", "X-Frame-Options": "DENY",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("content security policy %q", csp)
	}

	if w := ask(h, "GET", "/panic", ""); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("panic: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/refused", ""); w.Code != 400 || !strings.Contains(w.Body.String(), `"error":"invalid_grant"`) || strings.Contains(w.Body.String(), "inner") {
		t.Errorf("refused: %d %s", w.Code, w.Body)
	}
	w = ask(h, "GET", "/refused", "", "Accept", "text/html,application/xhtml+xml")
	if w.Code != 400 || !strings.Contains(w.Body.String(), "<p>The code is used up.</p>") || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("refused, in a browser: %d %s", w.Code, w.Body)
	}
}

// Pages of errors say in plain words what happened, and lead on where there is a
// way.
func TestErrorPages(t *testing.T) {
	for status, title := range map[int]string{
		400: "That did not work", 401: "Not allowed", 403: "Not allowed", 404: "Not found", 413: "That did not work", 429: "One moment, please", 500: "Something went wrong", 503: "One moment, please",
	} {
		for _, next := range []Link{{}, {Text: "Begin again", URL: "/default/"}} {
			h := Wrap(ErrFunc(func(http.ResponseWriter, *http.Request) error {
				return &Error{Status: status, Message: "So it is.", Next: next}
			}), WrapOptions{})
			w := ask(h, "GET", "/", "", "Accept", "text/html")
			led := strings.Contains(w.Body.String(), `<a class="button second" href="/default/">Begin again</a>`)
			if w.Code != status || !strings.Contains(w.Body.String(), "<h1>"+title+"</h1>") || led != (next.URL != "") || strings.Count(w.Body.String(), "<a ") != 1+len(next.URL)/len("/default/") {
				t.Errorf("%d %v: %d %s", status, next, w.Code, w.Body)
			}
		}
	}
}

func TestPages(t *testing.T) {
	p := MustPages("Demo Authority", []Link{{Text: "Offers", URL: "/offers", Here: true}}, fstest.MapFS{
		"pages/offer.html": {Data: []byte(`{{define "main"}}<p>{{.Data}}</p>{{end}}`)},
	}, "pages/*.html")
	h := Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.Page(w, "Your offer", "offer.html", "<script>") }), WrapOptions{})
	w := ask(h, "GET", "/", "")
	body := w.Body.String()
	for _, want := range []string{"<!doctype html>", `<html lang="en">`, "<title>Your offer · Demo Authority</title>", "<p>&lt;script&gt;</p>", `aria-current="page"`} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %s:\n%s", want, body)
		}
	}
	_, rest, _ := strings.Cut(body, `<link rel="stylesheet" href="`)
	style, _, _ := strings.Cut(rest, `"`)
	if w := ask(h, "GET", style, ""); w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("style sheet %q: %d %v", style, w.Code, w.Header())
	}
	for _, path := range []string{"/-/", "/-/layout.html", "/-/pages/", "/-/pages/error.html", "/-/../client.go"} {
		if w := ask(h, "GET", path, ""); w.Code == 200 {
			t.Errorf("%s is served", path)
		}
	}
}

func TestReadBody(t *testing.T) {
	h := Wrap(ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := ReadBody(w, r, 10)
		if err == nil {
			w.Write(body)
		}
		return err
	}), WrapOptions{})
	if w := ask(h, "POST", "/", "0123456789"); w.Code != 200 || w.Body.Len() != 10 {
		t.Errorf("at the limit: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/", "0123456789a"); w.Code != 413 {
		t.Errorf("above the limit: %d %s", w.Code, w.Body)
	}
}

func TestReadJSON(t *testing.T) {
	h := ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		var v struct {
			A int `json:"a"`
		}
		if err := ReadJSON(w, r, 100, &v); err != nil {
			return err
		}
		JSON(w, 200, v)
		return nil
	})
	for body, want := range map[string]int{
		`{"a":1}`: 200, `{"a":1} `: 200, `{"a":1}{}`: 400, `{"a":1,"b":2}`: 400, `{"a":"x"}`: 400, ``: 400, `{"a":1`: 400,
		`{"a":` + strings.Repeat("1", 100) + `}`: 413,
	} {
		if w := ask(h, "POST", "/", body, "Content-Type", "application/json; charset=utf-8"); w.Code != want {
			t.Errorf("%s: %d %s, want %d", body, w.Code, w.Body, want)
		}
	}
	if w := ask(h, "POST", "/", `{"a":1}`, "Content-Type", "text/plain"); w.Code != 415 {
		t.Errorf("text/plain: %d", w.Code)
	}
}

func TestForm(t *testing.T) {
	h := ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		form, err := Form(w, r)
		if err == nil {
			io.WriteString(w, form.Get("code"))
		}
		return err
	})
	const mt = "application/x-www-form-urlencoded"
	if w := ask(h, "POST", "/?code=query", url.Values{"code": {"body"}}.Encode(), "Content-Type", mt); w.Code != 200 || w.Body.String() != "body" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/", "code=a&code=b", "Content-Type", mt); w.Code != 400 {
		t.Errorf("parameter twice: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/", "code="+strings.Repeat("a", DefaultBodyLimit), "Content-Type", mt); w.Code != 413 {
		t.Errorf("too large: %d", w.Code)
	}
}

func TestEngine(t *testing.T) {
	var got fetch.Request
	h := Engine("https://issuer.example", 100, func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		got = r
		if r.Get("fail") != "" {
			return fetch.Response{}, errors.New("database is gone")
		}
		return fetch.JSONResponse(201, map[string]string{"ok": "yes"}), nil
	})
	w := ask(h, "POST", "http://10.0.0.1:8080/a%2Fb?x=1", "body", "DPoP", "proof", "Accept", "a", "Accept", "b")
	if got.Method != "POST" || got.URL != "https://issuer.example/a%2Fb?x=1" || got.Header["dpop"] != "proof" || got.Header["accept"] != "a, b" || string(got.Body) != "body" {
		t.Errorf("engine saw %+v", got)
	}
	if w.Code != 201 || w.Body.String() != `{"ok":"yes"}` || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, name := range []string{"DPoP", "Authorization", "OAuth-Client-Attestation", "OAuth-Client-Attestation-PoP"} {
		if w := ask(h, "POST", "/", "", name, "one", name, "two"); w.Code != 400 {
			t.Errorf("%s twice: %d", name, w.Code)
		}
	}
	if w := ask(h, "POST", "/", "", "Fail", "1"); w.Code != 500 || strings.Contains(w.Body.String(), "gone") {
		t.Errorf("engine failed: %d %s", w.Code, w.Body)
	}
}

func TestHealth(t *testing.T) {
	var broken error
	health := NewHealth(map[string]func(context.Context) error{"database": func(context.Context) error { return broken }})
	mux := http.NewServeMux()
	health.Register(mux)
	expect := func(path string, want int) {
		t.Helper()
		if w := ask(mux, "GET", path, ""); w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	expect("/readyz", 200)
	broken = errors.New("password secret refused")
	expect("/readyz", 503)
	expect("/healthz", 503)
	expect("/livez", 200)
	if w := ask(mux, "GET", "/readyz", ""); w.Body.String() != `{"status":"failing","failing":["database"]}` {
		t.Errorf("not ready: %s", w.Body)
	}
	broken = nil
	expect("/readyz", 200)
	health.Drain()
	expect("/readyz", 503)
}
