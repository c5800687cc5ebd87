package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/rest/resttest"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/verifier"
)

// house is a verifier with its API on a real socket.
type house struct {
	*resttest.Client
	*testkit.Clock
	t        *testing.T
	db       *db.DB
	tokens   *rest.Tokens
	verifier *verifier.Verifier
	log      *testkit.Log
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

const shop = "https://shop.example"

func newHouse(t *testing.T, dsn string) *house {
	t.Helper()
	h := &house{t: t, log: &testkit.Log{}, Clock: testkit.NewClock()}
	var err error
	h.db, err = db.Open(t.Context(), dsn, "verifier", verifier.Schema)
	h.check(err)
	t.Cleanup(func() { h.db.Close() })
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{7}, 32)})
	h.check(err)
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	h.verifier, err = verifier.New(verifier.Config{Tenants: []verifier.Tenant{
		{ID: "default", Name: "Shop", Retain: 48 * time.Hour, Origins: []string{shop}, RedirectURIs: []string{shop + "/back"}},
		{ID: "second", Name: "Second", TransactionTypes: []verifier.TransactionType{{Type: "payment"}, {Type: transaction.Payment}},
			Compatibility: verifier.Compatibility{Unsigned: true, ResponseModes: []string{oid4vp.DirectPost}}},
	}}, verifier.Deps{
		DB: h.db, Area: area, Now: h.Now, Log: log,
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return assure.NewAnchors() },
	})
	h.check(err)
	h.tokens = NewTokens(h.db, h.verifier.Books())
	s, err := New(h.verifier, rest.Deps{DB: h.db, Tokens: h.tokens, Loopback: true, Now: h.Now, Log: log})
	h.check(err)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	h.Client = &resttest.Client{T: t, URL: server.URL, Operations: s.operations()}
	return h
}

// token makes one for a tenant.
func (h *house) token(tenant string, scopes ...rest.Scope) string {
	h.t.Helper()
	_, text, err := h.tokens.Create(h.t.Context(), rest.Token{Tenant: tenant, Name: "test", Scopes: scopes, Expires: h.Now().Add(30 * 24 * time.Hour)}, h.Now())
	h.check(err)
	return text
}

// public asks the verifier's public side, as wallets and pages do.
func (h *house) public(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.verifier.Handler().ServeHTTP(w, r)
	return w
}

// refuse answers a request as a wallet whose holder says no.
func (h *house) refuse(link string) {
	h.t.Helper()
	l, err := oid4vp.ParseLink("openid4vp://?" + link[strings.Index(link, "?")+1:])
	h.check(err)
	do := func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		var headers []string
		for k, v := range r.Header {
			headers = append(headers, k, v)
		}
		w := h.public(r.Method, r.URL, string(r.Body), headers...)
		return fetch.Response{Status: w.Code, Body: w.Body.Bytes(), Header: map[string]string{"content-type": w.Header().Get("Content-Type")}}, nil
	}
	object, nonce, err := l.Fetch(h.t.Context(), do)
	h.check(err)
	req, _, err := oid4vp.Open(h.t.Context(), object, l, nonce, oid4vp.Environment{}, h.Now())
	h.check(err)
	msg, err := req.Refuse(oid4vp.AccessDenied, "no")
	h.check(err)
	resp, err := do(h.t.Context(), msg)
	h.check(err)
	if resp.Status != 200 {
		h.t.Fatalf("%d %s", resp.Status, resp.Body)
	}
}

const path = "/v1/default/transactions"

func TestTransactions(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		ask, read := h.token("default", Ask), h.token("default", Read)
		a := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18","qr":"png"}`), 201, "")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a.Text("qr"), "data:image/png;base64,"))
		h.check(err)
		_, err = png.Decode(bytes.NewReader(raw))
		h.check(err)
		if !strings.HasPrefix(a.Text("link"), "openid4vp://?client_id=") || !strings.Contains(a.Text("link"), "request_uri_method=post") {
			t.Errorf("link %s", a.Text("link"))
		}
		button, err := json.Marshal(a.JSON["button"])
		h.check(err)
		if bytes.Contains(button, []byte(a.Text("secret"))) {
			t.Errorf("the page gets the secret: %s", button)
		}
		one := path + "/" + a.Text("id")
		if got := h.Want(h.Ask(read, "GET", one, ""), 200, ""); got.Text("state") != "waiting" {
			t.Errorf("%s", got.Body)
		}
		result := func(secret string) resttest.Answer {
			return h.Ask(ask, "POST", one+"/result", `{"secret":"`+secret+`"}`)
		}
		if got := h.Want(result(a.Text("secret")), 200, ""); got.Text("state") != "waiting" {
			t.Errorf("%s", got.Body)
		}
		h.Want(result("guess"), 403, "wrong_secret")
		h.Want(result(a.Text("id")), 403, "wrong_secret")
		h.refuse(a.Text("link"))
		if got := h.Want(result(a.Text("secret")), 200, ""); got.Text("state") != "refused" || !strings.Contains(got.Text("error"), "did not agree") {
			t.Errorf("%s", got.Body)
		}
		if got := h.Want(h.Ask(read, "GET", one, ""), 200, ""); got.Text("state") != "refused" || got.Text("asked") == "" {
			t.Errorf("%s", got.Body)
		}
		h.Want(h.Ask(h.token("default", Data), "GET", one+"/evidence", ""), 404, "nothing_kept")

		// A wallet's own endpoint; DCQL; what is kept.
		a = h.Want(h.Ask(ask, "POST", path, `{"wallet":"https://wallet.example/authorize?x=1","retain_hours":2,"same_device":true,"redirect_uri":"https://shop.example/back",
			"dcql":{"credentials":[{"id":"mdl","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},"claims":[{"path":["org.iso.18013.5.1","age_over_21"]}]}]}}`), 201, "")
		if u, err := url.Parse(a.Text("link")); err != nil || u.Host != "wallet.example" || u.Query().Get("x") != "1" || u.Query().Get("request_uri") != a.Text("request_uri") ||
			u.Query().Get("client_id") == "" || u.Query().Get("request_uri_method") != "post" {
			t.Errorf("link %s", a.Text("link"))
		}
		h.refuse(a.Text("link"))
		e := h.Want(h.Ask(h.token("default", Data), "GET", path+"/"+a.Text("id")+"/evidence", ""), 200, "")
		if strings.Count(e.Text("request"), ".") != 2 {
			t.Errorf("evidence: %s", e.Body)
		}

		other := h.Want(h.Ask(ask, "POST", path, `{"dcql":{"credentials":[{"id":"pid","format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]},
			"claims":[{"path":["address","locality"]},{"path":["nationalities",null]},{"path":["family_name"]}]}]}}`), 201, "")
		if w := h.public("GET", other.Text("page"), ""); w.Code != 200 || !strings.Contains(w.Body.String(), "Town, Nationality, Family name") {
			t.Errorf("page: %d %s", w.Code, w.Body)
		}

		h.Want(h.Ask(ask, "DELETE", one, ""), 204, "")
		h.Want(h.Ask(ask, "DELETE", one, ""), 204, "")
		h.Want(h.Ask(read, "GET", one, ""), 404, "unknown_transaction")
		for _, secret := range []string{a.Text("secret"), a.Text("link"), ask} {
			if strings.Contains(h.log.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		h.Want(h.Ask(h.token("default", Read), "GET", "/v1/default/health", ""), 200, "")
	})
}

// Lists go on where they stopped, whatever comes in between.
func TestList(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		ask, read := h.token(rest.AllTenants, Ask), h.token("default", Read)
		want := map[string]bool{}
		for i := range 13 {
			a := h.Want(h.Ask(ask, "POST", path, `{"ask":"driving"}`), 201, "")
			want[a.Text("id")] = true
			if i%3 == 0 {
				h.refuse(a.Text("link"))
			}
			if i%2 == 0 {
				h.Pass(time.Second)
			}
		}
		h.Want(h.Ask(ask, "POST", "/v1/second/transactions", `{"ask":"driving"}`), 201, "")
		seen, pages := map[string]bool{}, 0
		for cursor := ""; ; pages++ {
			a := h.Want(h.Ask(read, "GET", path+"?limit=4&cursor="+cursor, ""), 200, "")
			for _, p := range a.JSON["transactions"].([]any) {
				id := p.(map[string]any)["id"].(string)
				if seen[id] || !want[id] {
					t.Errorf("%s comes twice, or is not ours", id)
				}
				seen[id] = true
			}
			if cursor = a.Text("next"); cursor == "" {
				break
			}
			h.Want(h.Ask(ask, "POST", path, `{"ask":"driving"}`), 201, "")
		}
		if len(seen) != 13 || pages != 3 {
			t.Errorf("%d of 13, on %d pages", len(seen), pages+1)
		}
	})
}

func TestRefusals(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	ask := h.token("default", Ask)
	for body, want := range map[string]string{
		`{"ask":"nothing:x"}`:         "422 invalid",
		`{}`:                          "422 invalid",
		`{"ask":"age18","dcql":{}}`:   "422 invalid",
		`{"dcql":{"credentials":[]}}`: "422 invalid",
		`{"dcql":[]}`:                 "422 invalid",
		`{"dcql":"x"}`:                "422 invalid",
		`{"ask":"age18","redirect_uri":"https://evil.example/"}`:           "422 invalid",
		`{"ask":"age18","wallet":"javascript:alert(1)"}`:                   "422 invalid",
		`{"ask":"age18","wallet":"https://wallet.example/#x"}`:             "422 invalid",
		`{"ask":"age18","same_device":true,"qr":"svg"}`:                    "422 invalid",
		`{"ask":"age18","retain_hours":49}`:                                "422 invalid",
		`{"ask":"age18","retain_hours":-1}`:                                "422 invalid",
		`{"ask":"age18","purpose":"` + strings.Repeat("x", 201) + `"}`:     "422 invalid",
		`{"ask":"age18","ask":"age21"}`:                                    "400 malformed_json",
		`{"ask":"` + strings.Repeat("a", 70000) + `"}`:                     "413 invalid_request",
		`{"dcql":` + strings.Repeat(`{"a":`, 20) + strings.Repeat("}", 21): "400 malformed_json",
	} {
		a := h.Ask(ask, "POST", path, body)
		if got := fmt.Sprint(a.Status, " ", a.Text("code")); got != want {
			t.Errorf("%.80s: %s, want %s: %.200s", body, got, want, a.Body)
		}
	}
	h.Want(h.Ask(ask, "POST", "/v1/second/transactions", `{"ask":"age18"}`), 403, "other_tenant")
	h.Want(h.Ask(h.token("default", Read, Data, Admin), "POST", path, `{"ask":"age18"}`), 403, "insufficient_scope")
	h.Want(h.Ask(h.token("default", Read), "GET", path+"?cursor=AAAA", ""), 422, "invalid_cursor")
	// A token of the issuer's API is none here.
	h.Want(h.Ask(strings.Replace(ask, "eiv.", "eia.", 1), "POST", path, `{"ask":"age18"}`), 401, "invalid_token")
	first := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18"}`, "Idempotency-Key", "the-same-order"), 201, "")
	if again := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18"}`, "Idempotency-Key", "the-same-order"), 201, ""); again.Text("secret") != first.Text("secret") {
		t.Error("one order, two transactions")
	}
	h.Want(h.Ask(h.token("default", Read), "GET", "/v1/default/presets", ""), 200, "")
}

func TestOpenAPI(t *testing.T) { newHouse(t, testkit.SQLite(t)).IsDescribed() }

// The states come as events, for the relying party's own systems too.
func TestWatch(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	ask, read := h.token("default", Ask), h.token("default", Read)
	a := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18"}`), 201, "")
	req, err := http.NewRequestWithContext(t.Context(), "GET", h.URL+path+"/"+a.Text("id")+"/events", nil)
	h.check(err)
	req.Header.Set("Authorization", "Bearer "+read)
	resp, err := http.DefaultClient.Do(req)
	h.check(err)
	defer resp.Body.Close()
	h.refuse(a.Text("link"))
	var all bytes.Buffer
	_, err = all.ReadFrom(resp.Body)
	h.check(err)
	if text := all.String(); !strings.Contains(text, `"state":"waiting"`) && !strings.Contains(text, `"state":"fetched"`) || !strings.Contains(text, `"state":"refused"`) {
		t.Errorf("%s", text)
	}
	h.Want(h.Ask(read, "GET", path+"/none/events", ""), 404, "unknown_transaction")
}

// Requests to delete come in from strangers, are told and listed, once each.
func TestDeletionRequests(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		data := h.token("default", Data)
		hook := h.Want(h.Ask(h.token("default", Admin), "POST", "/v1/default/webhooks", `{"url":"https://shop.example/hook","events":["deletion.requested"]}`), 201, "")
		const to = "http://verifier.localhost:8080/default/deletion"
		message := `{"id":"A1","response_uri":"https://verifier.example/default/response/X","shared":"2026-11-20T10:00:00Z","elements":["family_name"],"contact":"erika@example.org"}`
		for range 2 {
			if w := h.public("POST", to, message, "Content-Type", "application/json"); w.Code != 202 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
		form := url.Values{"contact": {"+49 30 1234"}, "shared": {"last week"}, "message": {"all of it\r\nplease"}}.Encode()
		if w := h.public("POST", to, form, "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"); w.Code != 200 || !strings.Contains(w.Body.String(), "recorded") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for body, mediaType := range map[string]string{
			`{"id":"x","shared":"2026-11-20T10:00:00Z"} x`:        "application/json",
			`{"id":"x","id":"y","shared":"2026-11-20T10:00:00Z"}`: "application/json",
			`{"contact":"a\u0000b"}`:                              "application/json",
			`[]`:                                                  "application/json",
			`{"elements":[` + strings.Repeat(`"x",`, 300) + `"x"]}`: "application/json",
			`{"message":"` + strings.Repeat("x", 20000) + `"}`:      "application/json",
			`message=all`:         "application/x-www-form-urlencoded",
			`contact=a&contact=b`: "application/x-www-form-urlencoded",
			`contact=a`:           "text/plain",
		} {
			if w := h.public("POST", to, body, "Content-Type", mediaType); w.Code/100 != 4 {
				t.Errorf("%.60s: %d", body, w.Code)
			}
		}
		a := h.Want(h.Ask(data, "GET", "/v1/default/deletion-requests", ""), 200, "")
		list := a.JSON["deletion_requests"].([]any)
		if len(list) != 2 {
			t.Fatalf("%s", a.Body)
		}
		id := list[0].(map[string]any)["id"].(string)
		d := h.Want(h.Ask(h.token("default", Admin), "GET", "/v1/default/webhooks/"+hook.Text("id")+"/deliveries", ""), 200, "")
		if n := len(d.JSON["deliveries"].([]any)); n != 2 {
			t.Errorf("%d events: %s", n, d.Body)
		}
		if got := h.Want(h.Ask(h.token("second", Data), "GET", "/v1/second/deletion-requests", ""), 200, ""); strings.Contains(string(got.Body), "erika") {
			t.Error("another tenant sees it")
		}
		h.Want(h.Ask(h.token("second", Data), "POST", "/v1/second/deletion-requests/"+id+"/close", ""), 404, "unknown_deletion_request")
		h.Want(h.Ask(data, "POST", "/v1/default/deletion-requests/"+id+"/close", ""), 204, "")
		h.Want(h.Ask(data, "POST", "/v1/default/deletion-requests/"+id+"/close", ""), 404, "unknown_deletion_request")
		if strings.Contains(h.log.String(), "erika") {
			t.Error("the log says who asked")
		}
		h.Pass(200 * 24 * time.Hour)
		h.check(h.verifier.Sweep(t.Context()))
		if list, err := h.verifier.Deletions(t.Context(), "default", 10); err != nil || len(list) != 0 {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// Events say which transaction and how it ended, and nothing else.
func TestEventsWithoutAttributes(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		ask, admin := h.token("default", Ask), h.token("default", Admin)
		h.Want(h.Ask(admin, "POST", "/v1/default/webhooks", `{"url":"https://shop.example/hook"}`), 201, "")
		h.Want(h.Ask(admin, "POST", "/v1/default/webhooks", `{"url":"https://shop.example/hook","events":["document.issued"]}`), 422, "invalid")
		a := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18"}`), 201, "")
		h.refuse(a.Text("link"))
		late := h.Want(h.Ask(ask, "POST", path, `{"ask":"age18"}`), 201, "")
		h.Pass(10 * time.Minute)
		h.check(h.verifier.Sweep(t.Context()))
		h.check(h.verifier.Sweep(t.Context()))
		var bodies []string
		h.check(h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			bodies, err = tx.Texts(ctx, `select body from outbox_message order by kind`)
			return err
		}))
		if len(bodies) != 2 || !strings.Contains(bodies[0], `"data":{"transaction":"`+late.Text("id")+`"}`) || !strings.Contains(bodies[0], verifier.EventExpired) ||
			!strings.Contains(bodies[1], `"data":{"transaction":"`+a.Text("id")+`"}`) || !strings.Contains(bodies[1], verifier.EventRefused) {
			t.Errorf("events: %q", bodies)
		}
	})
}

// What departs from HAIP 1.0, and what a holder is to agree to, goes out where the
// tenant lets it, and not elsewhere.
func TestStartOtherwise(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	const body = `{"ask":"urn:example:card@sd-jwt:family_name","unsigned":true,"by_value":true,"response_mode":"direct_post","transaction_data":[{"type":"payment","data":{"amount":"5.00"}}],"qr":"svg"}`
	answer := h.Want(h.Ask(h.token("second", Ask), "POST", "/v1/second/transactions", body), 201, "")
	u, err := url.Parse(answer.Text("link"))
	h.check(err)
	q := u.Query()
	var data []string
	if err := json.Unmarshal([]byte(q.Get("transaction_data")), &data); err != nil || len(data) != 1 {
		t.Fatalf("%v: %v", u, err)
	}
	object, err := base64.RawURLEncoding.DecodeString(data[0])
	if !strings.HasPrefix(q.Get("client_id"), "redirect_uri:http://verifier.localhost:8080/second/response/") || q.Get("response_mode") != "direct_post" ||
		err != nil || string(object) != `{"amount":"5.00","credential_ids":["document-sd-jwt"],"type":"payment"}` || !strings.HasPrefix(answer.Text("qr"), "data:image/svg") {
		t.Errorf("%s %s", u, object)
	}
	h.Want(h.Ask(h.token("default", Ask), "POST", "/v1/default/transactions", body), 422, "invalid")
	for _, wrong := range []string{
		`{"ask":"age18","response_mode":"fragment"}`, `{"ask":"age18","response_mode":"query"}`, `{"ask":"age18","transaction_data":[{"type":"gift"}]}`,
		`{"ask":"mdl:family_name","transaction_data":[{"type":"payment"}]}`, `{"ask":"pid@sd-jwt:family_name","transaction_data":[{"type":"payment"}]}`,
		`{"ask":"urn:example:card@sd-jwt:family_name","transaction_data":[{"type":"payment","credential_ids":["x"]}]}`,
		`{"ask":"urn:example:card@sd-jwt:family_name","transaction_data":[{"type":"urn:eudi:sca:payment:1","data":{"payload":{"amount":5}}}]}`,
	} {
		h.Want(h.Ask(h.token("second", Ask), "POST", "/v1/second/transactions", wrong), 422, "invalid")
	}
}
