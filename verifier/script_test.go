//go:build unix

package verifier_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/testkit/chromium"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
)

// shopPage is a page of a relying party under a strict content security policy.
// Its script has the holder answer, and reports what the element says.
const shopPage = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shop</title>
<script src="VERIFIER/default/eidos-verify.js" defer></script><script src="/shop.js" defer></script></head>
<body><eidos-verify verifier="VERIFIER/default" ask="driving"></eidos-verify></body></html>`

const shopScript = `"use strict";
const say = (what, more) => fetch("/" + what, { method: "POST", body: JSON.stringify(more) });
document.addEventListener("securitypolicyviolation", (e) => say("failed", "CSP " + e.violatedDirective + " " + e.blockedURI));
addEventListener("error", (e) => say("failed", e.message));
document.addEventListener("eidos-error", (e) => say("failed", e.detail));
document.addEventListener("eidos-done", async (e) => {
	const result = await (await fetch(e.detail.result)).json();
	await say("done", { state: e.detail.state, verdict: result.result.verdict, status: document.querySelector(".eidos-status").textContent });
});
new MutationObserver((_, observer) => {
	const link = document.querySelector(".eidos-link");
	if (!link) return;
	observer.disconnect();
	const qr = document.querySelector("svg.eidos-qr[role=img]");
	say("shown", { link: link.href, qr: qr ? qr.getAttribute("aria-label") : "" });
}).observe(document.body, { childList: true, subtree: true });
document.querySelector(".eidos-button").click();`

// A browser shows the button on a page of another origin, under a policy that
// allows nothing inline, and learns when the holder has answered.
func TestScriptInABrowser(t *testing.T) {
	page := chromium.Open(t)
	type event struct {
		what string
		body map[string]string
		text string
	}
	events := make(chan event, 16)
	listen := func(h http.Handler) (port string) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go s.Serve(ln)
		t.Cleanup(func() { s.Close() })
		_, port, err = net.SplitHostPort(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	var served atomic.Pointer[verifier.Verifier] // its URL needs the port first
	origin := "http://verifier.localhost:" + listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { served.Load().Handler().ServeHTTP(rw, r) }))
	shop := "http://shop.localhost:" + listen(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self' "+origin+"; connect-src 'self' "+origin)
		switch {
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			e := event{what: strings.TrimPrefix(r.URL.Path, "/"), text: string(body)}
			json.Unmarshal(body, &e.body) // a text is no object
			events <- e
		case r.URL.Path == "/shop.js":
			rw.Header().Set("Content-Type", "text/javascript")
			io.WriteString(rw, shopScript)
		case r.URL.Path == "/":
			rw.Header().Set("Content-Type", "text/html")
			io.WriteString(rw, strings.ReplaceAll(shopPage, "VERIFIER", origin))
		default:
			rw.WriteHeader(http.StatusNotFound)
		}
	}))
	w := newWorld(t, testkit.SQLite(t), verifier.Config{URL: origin, Trust: trustURL, Tenants: []verifier.Tenant{{ID: "default", Name: "Shop", Page: true, Origins: []string{shop}}}})
	served.Store(w.v)
	h := w.issue(5)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	page.Go(shop + "/")
	next := func(want string) event {
		t.Helper()
		select {
		case e := <-events:
			if e.what != want {
				t.Fatalf("the page says %s: %s, want %s", e.what, e.text, want)
			}
			return e
		case <-ctx.Done():
			t.Fatalf("the page never says %s", want)
		}
		panic("not reached")
	}
	shown := next("shown")
	if shown.body["qr"] == "" {
		t.Errorf("no QR code: %s", shown.text)
	}
	req, err := w.opened(verifier.Transaction{Link: shown.body["link"]})
	w.check(err)
	_, err = w.post(h.answer(req, "family_name", "given_name", "portrait", "expiry_date"))
	w.check(err)
	done := next("done")
	if done.body["state"] != "done" || done.body["verdict"] == "" || !strings.Contains(done.body["status"], "arrived") {
		t.Errorf("%s", done.text)
	}
}

// A wallet sends the browser to our page with the answer behind "#"; the page
// hands it over and goes on to the relying party, and keeps nothing of it.
func TestFragmentInABrowser(t *testing.T) {
	page := chromium.Open(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	origin, back := "http://verifier.localhost:"+port, "http://shop.localhost:"+port+"/back"
	w := newWorld(t, testkit.SQLite(t), verifier.Config{URL: origin, Trust: trustURL, Tenants: []verifier.Tenant{{
		ID: "default", Name: "Shop", RedirectURIs: []string{back}, Compatibility: verifier.Compatibility{ResponseModes: []string{oid4vp.Fragment}},
	}}})
	came := make(chan *http.Request, 4)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "shop.localhost:") {
			if r.URL.Path == "/back" {
				came <- r
			}
			return
		}
		w.v.Handler().ServeHTTP(rw, r)
	})}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	tr := w.beginAs(verifier.AskParams{Ask: ask, ResponseMode: oid4vp.Fragment, RedirectURI: back, SameDevice: true})
	req, err := w.opened(tr)
	w.check(err)
	answer := w.issue(5).answer(req, "family_name", "age_over_21", "portrait")
	if answer.Method != "GET" || !strings.Contains(answer.URL, "#") {
		t.Fatalf("%s %s", answer.Method, answer.URL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	page.Go(answer.URL)
	select {
	case r := <-came:
		if strings.Contains(r.Referer(), "vp_token") || strings.Contains(r.URL.String(), "vp_token") {
			t.Error("the answer goes along to the relying party's page")
		}
		o, err := w.v.Outcome(t.Context(), "default", tr.ID, r.URL.Query().Get("response_code"))
		if err != nil || o.State != verifier.Done || !o.Result.OK() {
			t.Errorf("%+v %v", o, err)
		}
	case <-ctx.Done():
		t.Fatal("the browser never comes back")
	}
}
