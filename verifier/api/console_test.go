package api

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/testkit"
)

// operator is somebody with a browser at the console.
type operator struct {
	h      *house
	client *http.Client
}

func (h *house) operator() *operator {
	jar, err := cookiejar.New(nil)
	h.check(err)
	return &operator{h, &http.Client{Jar: jar}}
}

// get and post return where it ended, and the page.
func (o *operator) do(req *http.Request) (int, string, string) {
	o.h.t.Helper()
	resp, err := o.client.Do(req)
	o.h.check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	o.h.check(err)
	if s := resp.Header.Get("Cache-Control"); s != "no-store" && resp.StatusCode == 200 {
		o.h.t.Errorf("%s may be kept by caches: %q", resp.Request.URL, s)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'self'") || strings.Contains(csp, "unsafe") {
		o.h.t.Errorf("content security policy %q", csp)
	}
	return resp.StatusCode, resp.Request.URL.Path, string(body)
}

func (o *operator) get(path string) (int, string, string) {
	o.h.t.Helper()
	req, err := http.NewRequest("GET", o.h.URL+path, nil)
	o.h.check(err)
	req.Header.Set("Accept", "text/html")
	return o.do(req)
}

func (o *operator) post(path string, form url.Values, headers ...string) (int, string, string) {
	o.h.t.Helper()
	req, err := http.NewRequest("POST", o.h.URL+path, strings.NewReader(form.Encode()))
	o.h.check(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "text/html")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return o.do(req)
}

func (o *operator) login(token string) (int, string, string) {
	o.h.t.Helper()
	return o.post("/console/", url.Values{"token": {token}})
}

func TestConsole(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		o := h.operator()
		ask := h.token("default", Ask)
		a := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18"}`), 201, "")
		h.refuse(a.Text("link"))
		kept := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18","retain_hours":1}`), 201, "")
		h.refuse(kept.Text("link"))
		h.public("POST", "http://verifier.localhost:8080/default/deletion", `{"id":"1","shared":"2026-11-20T10:00:00Z","contact":"erika@example.org"}`, "Content-Type", "application/json")

		// Everything is closed to who is not logged in.
		one := "/console/default/transactions/" + a.Text("id")
		for _, p := range []string{"/console/default/", one, one + "/answer", "/console/default/deletions", "/console/nobody/"} {
			if status, at, body := o.get(p); status != 200 || at != "/console/" || !strings.Contains(body, "Log in") {
				t.Errorf("%s: %d at %s", p, status, at)
			}
		}
		if status, _, body := o.login("guess"); status != 401 || !strings.Contains(body, `role="alert"`) || !strings.Contains(body, `name="token"`) || strings.Contains(body, "guess") {
			t.Errorf("a wrong token: %d %s", status, body)
		}
		text := h.token("default", Read, Data, Ask)
		if status, at, body := o.login(text); status != 200 || at != "/console/default/" || !strings.Contains(body, a.Text("id")) || !strings.Contains(body, ">Over 18</a>") || !strings.Contains(body, "refused") {
			t.Fatalf("%d at %s: %s", status, at, body)
		}
		u, err := url.Parse(h.URL + "/console/")
		h.check(err)
		for _, c := range o.client.Jar.Cookies(u) {
			if strings.Contains(text, c.Value) {
				t.Error("the cookie holds the token")
			}
		}
		status, _, body := o.get(one)
		if status != 200 || !strings.Contains(body, "Nothing was shared") || strings.Contains(body, "Show what was shared") {
			t.Errorf("%d %s", status, body)
		}
		if _, _, body := o.get("/console/default/transactions/" + kept.Text("id")); !strings.Contains(body, "is kept until") || !strings.Contains(body, "Show what was shared") {
			t.Errorf("%s", body)
		}
		if status, _, body := o.get("/console/default/transactions/" + kept.Text("id") + "/answer"); status != 200 || !strings.Contains(body, "personal data") {
			t.Errorf("%d %s", status, body)
		}
		_, _, body = o.get("/console/default/deletions")
		if !strings.Contains(body, "erika@example.org") {
			t.Errorf("%s", body)
		}
		action := body[strings.Index(body, `action="`)+8:]
		action = action[:strings.IndexByte(action, '"')]
		if status, _, _ := o.post(action, nil, "Sec-Fetch-Site", "cross-site"); status != 403 {
			t.Errorf("a form of another site: %d", status)
		}
		if status, at, body := o.post(action, nil); status != 200 || at != "/console/default/deletions" || strings.Contains(body, "erika") {
			t.Errorf("%d at %s: %s", status, at, body)
		}
		for p, want := range map[string]int{"/console/second/": 403, "/console/nobody/": 403, "/console/default/transactions/none": 404, "/console/default/?cursor=AAAA": 422} {
			if status, _, body := o.get(p); status != want || !strings.Contains(body, `<a class="button second" href="/console/`) {
				t.Errorf("%s: %d, want %d and a way on: %s", p, status, want, body)
			}
		}
		if status, at, _ := o.post(one+"/delete", nil); status != 200 || at != "/console/default/" {
			t.Errorf("%d at %s", status, at)
		}
		h.Want(h.Ask(h.token("default", Read), "GET", path+"/"+a.Text("id"), ""), 404, "unknown_transaction")

		if _, at, body := o.post("/console/logout", nil); at != "/console/" || !strings.Contains(body, "Log in") {
			t.Errorf("after log-out: %s", body)
		}
		if _, at, _ := o.get("/console/default/"); at != "/console/" {
			t.Error("the session goes on after log-out")
		}
	})
}

// A session may do what its token may, and ends with it.
func TestConsoleEnds(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	o := h.operator()
	text := h.token(rest.AllTenants, Read)
	if status, _, body := o.login(text); status != 200 || !strings.Contains(body, "/console/second/") {
		t.Fatalf("%d %s", status, body)
	}
	if status, _, body := o.get("/console/second/"); status != 200 || strings.Contains(body, "Requests to delete") {
		t.Errorf("%d %s", status, body)
	}
	if status, _, _ := o.get("/console/second/deletions"); status != 403 {
		t.Errorf("without the scope: %d", status)
	}
	if status, _, _ := o.post("/console/second/transactions/x/delete", nil); status != 403 {
		t.Errorf("without the scope: %d", status)
	}
	h.check(h.tokens.Revoke(t.Context(), rest.AllTenants, strings.Split(text, ".")[2], h.Now()))
	if _, at, _ := o.get("/console/second/"); at != "/console/" {
		t.Error("the session outlives its token")
	}
	o.login(h.token("default", Read))
	h.Pass(8 * time.Hour)
	if _, at, _ := o.get("/console/default/"); at != "/console/" {
		t.Error("the session goes on for ever")
	}
}
