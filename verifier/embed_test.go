package verifier_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
)

const (
	public = "http://verifier.localhost:8080/default"
	shop   = "https://shop.example"
)

// asPage asks as a page of an origin does, "" for our own or no page at all.
func (w *world) asPage(method, to, origin, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, to, strings.NewReader(body))
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	w.v.Handler().ServeHTTP(rec, r)
	return rec
}

// The script is small, has nothing inline to run, and may be used everywhere.
func TestScript(t *testing.T) {
	script, err := os.ReadFile("pages/eidos-verify.js")
	if err != nil || len(script) > 10<<10 {
		t.Errorf("%d bytes, at most 10 KiB: %v", len(script), err)
	}
	for _, unsafe := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "new Function", ".style", "document.write", "localStorage", "setAttribute(\"style\""} {
		if strings.Contains(string(script), unsafe) {
			t.Errorf("%s: a strict content security policy forbids it, or it is not needed", unsafe)
		}
	}
	w := newWorld(t, testkit.SQLite(t), keeping())
	rec := w.asPage("GET", public+"/eidos-verify.js", shop, "")
	if rec.Code != 200 || rec.Header().Get("Access-Control-Allow-Origin") != "*" || rec.Header().Get("Cross-Origin-Resource-Policy") != "cross-origin" ||
		!strings.HasPrefix(rec.Header().Get("Content-Type"), "text/javascript") {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

// Where anybody may begin, the page of an error leads there; elsewhere nowhere.
func TestErrorLeadsOn(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{Tenants: []verifier.Tenant{{ID: "default", Name: "Open", Page: true}, {ID: "closed", Name: "Closed"}}})
	for tenant, want := range map[string]bool{"default": true, "closed": false} {
		r := httptest.NewRequest("GET", "http://verifier.localhost:8080/"+tenant+"/t/over", nil)
		r.Header.Set("Accept", "text/html")
		rec := httptest.NewRecorder()
		w.v.Handler().ServeHTTP(rec, r)
		if rec.Code != 404 || strings.Contains(rec.Body.String(), `/default/">Begin again</a>`) != want {
			t.Errorf("%s: %d %s", tenant, rec.Code, rec.Body)
		}
	}
}

// A page that the relying party names begins by itself, reads the answer, and no
// other page does.
func TestDirect(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), keeping())
	for origin, want := range map[string]string{shop: shop, "https://evil.example": "", "null": "", "": ""} {
		rec := w.asPage("OPTIONS", public+"/transactions", origin, "")
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != want || (want != "") != (rec.Header().Get("Access-Control-Allow-Headers") != "") {
			t.Errorf("%q may ask: %q %v", origin, got, rec.Header())
		}
		if rec := w.asPage("POST", public+"/transactions", origin, `{"ask":"age18"}`); want == "" && rec.Code != 403 {
			t.Errorf("%q began: %d", origin, rec.Code)
		}
	}
	for body, want := range map[string]int{`{"ask":"mdl:document_number"}`: 400, `{}`: 400, `{"ask":"age18","retain_hours":1}`: 400, `x`: 400} {
		if rec := w.asPage("POST", public+"/transactions", shop, body); rec.Code != want {
			t.Errorf("%s: %d", body, rec.Code)
		}
	}
	rec := w.asPage("POST", public+"/transactions", shop, `{"ask":"driving"}`)
	var begun struct {
		verifier.Button
		ID, Result string
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &begun); err != nil || rec.Code != 201 || begun.QRSize < 30 || !strings.HasPrefix(begun.QRPath, "M") {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	req, err := w.opened(verifier.Transaction{Link: begun.Link})
	w.check(err)
	_, err = w.post(w.issue(5).answer(req, "family_name", "given_name", "portrait", "expiry_date"))
	w.check(err)
	for origin, want := range map[string]string{shop: shop, "https://evil.example": ""} {
		rec := w.asPage("GET", begun.Result, origin, "")
		if got := rec.Header().Get("Access-Control-Allow-Origin"); rec.Code != 200 || got != want || rec.Header().Get("Vary") != "Origin" {
			t.Errorf("%q reads the answer: %d %v", origin, rec.Code, rec.Header())
		}
	}
	private := newWorld(t, testkit.SQLite(t), verifier.Config{Tenants: []verifier.Tenant{{ID: "default", Name: "x", Origins: []string{shop}}}})
	if rec := private.asPage("POST", public+"/transactions", shop, `{"ask":"age18"}`); rec.Code != 404 {
		t.Errorf("a relying party without public pages: %d", rec.Code)
	}
}

// A page asks the browser and hands on what it was given; other pages may not,
// and a second answer comes too late.
func TestDigitalPage(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		h := w.issue(5)
		tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, SameDevice: true, RedirectURI: "https://shop.example/back"})
		w.check(err)
		at := tr.Watch + "/dc"
		for _, origin := range []string{"https://evil.example", "null", ""} {
			if rec := w.asPage("GET", at, origin, ""); rec.Code != 403 {
				t.Errorf("%q asks: %d", origin, rec.Code)
			}
			if rec := w.asPage("POST", at, origin, `{"protocol":"org-iso-mdoc","data":{}}`); rec.Code != 403 {
				t.Errorf("%q answers: %d", origin, rec.Code)
			}
		}
		rec := w.asPage("GET", at, shop, "")
		requests, err := dcapi.ParseRequests(rec.Body.Bytes())
		if err != nil || len(requests) == 0 {
			t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
		}
		var answer string
		for _, r := range requests {
			if r.Protocol == dcapi.ProtocolMdoc {
				req, err := dcapi.OpenMdoc(r, shop)
				w.check(err)
				response, err := req.Answer(h.present(req.Transcript(), "family_name", "age_over_21", "portrait"))
				w.check(err)
				raw, err := json.Marshal(dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: response})
				w.check(err)
				answer = string(raw)
			}
		}
		for body, says := range map[string]string{
			`{}`: "protocol", `x`: "invalid_request", `{"protocol":"other","data":{}}`: "none of the request", `{"protocol":"org-iso-mdoc","data":{"response":"AAAA"}}`: "invalid_request",
		} {
			if rec := w.asPage("POST", at, shop, body); rec.Code != 400 || !strings.Contains(rec.Body.String(), says) {
				t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
			}
		}
		rec = w.asPage("POST", at, shop, answer)
		var said struct {
			RedirectURI string `json:"redirect_uri"`
		}
		w.check(json.Unmarshal(rec.Body.Bytes(), &said))
		_, code, ok := strings.Cut(said.RedirectURI, "https://shop.example/back?response_code=")
		if rec.Code != 200 || !ok {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		o, err := w.v.Outcome(t.Context(), "default", tr.ID, code)
		w.check(err)
		if o.State != verifier.Done || !o.Result.OK() {
			t.Errorf("%+v", o)
		}
		if rec := w.asPage("POST", at, shop, answer); rec.Code != 400 || !strings.Contains(rec.Body.String(), "finished") {
			t.Errorf("again: %d %s", rec.Code, rec.Body)
		}
	})
}

// The same page asks by OpenID4VP, signed and not; the answer is bound to its
// origin.
func TestDigitalPageOpenID4VP(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, keeping())
		h := w.issue(5)
		for _, protocol := range []string{oid4vp.ProtocolSigned, oid4vp.ProtocolUnsigned} {
			tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Retain: time.Hour})
			w.check(err)
			at := tr.Watch + "/dc"
			requests, err := dcapi.ParseRequests(w.asPage("GET", at, shop, "").Body.Bytes())
			w.check(err)
			i := slices.IndexFunc(requests, func(r dcapi.Request) bool { return r.Protocol == protocol })
			if i < 0 {
				t.Fatalf("%s is not asked by: there are %d others", protocol, len(requests))
			}
			answer := func(origin string) string {
				req, rep, err := oid4vp.OpenDC(t.Context(), protocol, requests[i].Data, origin, oid4vp.Environment{}, w.Now())
				if err != nil {
					t.Fatalf("%s from %s: %v\n%s", protocol, origin, err, rep)
				}
				transcript, err := req.Transcript()
				w.check(err)
				data, err := req.AnswerDC(oid4vp.Presentations{"mdl": {oid4vp.EncodeMdoc(h.present(transcript, "family_name", "age_over_21", "portrait"))}})
				w.check(err)
				raw, err := json.Marshal(dcapi.Response{Protocol: protocol, Data: data})
				w.check(err)
				return string(raw)
			}
			if protocol == oid4vp.ProtocolUnsigned { // nothing in it says whose page asks
				other, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask})
				w.check(err)
				relayed, err := dcapi.ParseRequests(w.asPage("GET", other.Watch+"/dc", shop, "").Body.Bytes())
				w.check(err)
				mine := requests
				requests = relayed
				rec := w.asPage("POST", other.Watch+"/dc", shop, answer("https://evil.example"))
				requests = mine
				if rec.Code != 400 {
					t.Errorf("what another page had a holder answer: %d %s", rec.Code, rec.Body)
				}
			}
			if rec := w.asPage("POST", at, shop, answer(shop)); rec.Code != 200 {
				t.Fatalf("%s: %d %s", protocol, rec.Code, rec.Body)
			}
			if o := w.outcome(tr); o.State != verifier.Done || !o.Result.OK() {
				t.Errorf("%s: %+v", protocol, o)
			}
			e, err := w.v.Evidence(t.Context(), "default", tr.Number)
			w.check(err)
			if !strings.Contains(e.Request, protocol) || len(e.Received) != 2 || e.Received[0].Value != protocol {
				t.Errorf("%s: evidence %+v", protocol, e.Received)
			}
		}
	})
}
