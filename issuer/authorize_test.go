package issuer

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// browser is a person's browser: cookies, one page at a time.
type browser struct {
	t       testing.TB
	handler http.Handler
	cookies map[string]string
	header  http.Header
	from    string // address and port; httptest's if empty

	status   int
	page     string
	location string // of a redirect that leaves the authority
}

func (w *world) browser(t *testing.T, a *Authority) *browser {
	return &browser{t: t, handler: a.Handler(), cookies: map[string]string{}, header: http.Header{}}
}

func (b *browser) send(r *http.Request) {
	b.t.Helper()
	r.Header.Set("Accept", "text/html")
	for k, v := range b.header {
		r.Header[k] = v
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if b.from != "" {
		r.RemoteAddr = b.from
	}
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	b.status, b.page, b.location = rec.Code, rec.Body.String(), rec.Header().Get("Location")
	if strings.HasPrefix(b.location, "/") {
		b.open("http://issuer.localhost:8080" + b.location)
	}
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.send(httptest.NewRequest("GET", address, nil))
}

func (b *browser) token() string {
	b.t.Helper()
	m := regexp.MustCompile(`name="form" value="([^"]+)"`).FindStringSubmatch(b.page)
	if m == nil {
		b.t.Fatalf("no form on the page (status %d):\n%s", b.status, b.page)
	}
	return m[1]
}

func (b *browser) post(path string, form url.Values) {
	b.t.Helper()
	r := httptest.NewRequest("POST", base+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.send(r)
}

func (b *browser) identify(subject, code string) {
	b.t.Helper()
	b.post("/authorize/identify", url.Values{"form": {b.token()}, "subject": {subject}, "code": {code}})
}

func (b *browser) decide(decision string) {
	b.t.Helper()
	b.post("/authorize/decision", url.Values{"form": {b.token()}, "decision": {decision}})
}

// approve consents, and redeems the code that the app gets.
func (b *browser) approve(p *app, a *oauth.Authorization) *oauth.Token {
	b.t.Helper()
	b.decide("approve")
	code, err := a.Code(b.location)
	if err != nil {
		b.t.Fatal(err)
	}
	token, err := p.oauth.RedeemCode(b.t.Context(), a, code, p.world.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// begin pushes a request and opens the first page.
func (w *world) begin(t *testing.T, p *app, b *browser, r oauth.AuthorizationRequest) *oauth.Authorization {
	t.Helper()
	authorization, err := p.oauth.Push(t.Context(), r, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.open(authorization.URL)
	return authorization
}

const adasCode = "528316"

func TestAuthorizationCode(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p, b := w.newApp(w.authority), w.browser(t, w.authority)
		authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
		if b.status != http.StatusOK || !strings.Contains(b.page, "eidos wallet") {
			t.Fatalf("first page: %d\n%s", b.status, b.page)
		}
		b.identify("ada", "000000")
		if b.status != http.StatusUnprocessableEntity || !strings.Contains(b.page, wrongCode) {
			t.Fatalf("wrong code: %d\n%s", b.status, b.page)
		}
		b.identify("ada", adasCode)
		for _, want := range []string{`id="approve"`, `id="refuse"`, "Sommerfeld", "Family name"} {
			if b.status != http.StatusOK || !strings.Contains(b.page, want) {
				t.Fatalf("second page: %d, wanted %q\n%s", b.status, want, b.page)
			}
		}
		b.decide("approve")
		code, err := authorization.Code(b.location)
		if err != nil {
			t.Fatal(err)
		}
		token, err := p.oauth.RedeemCode(t.Context(), authorization, code, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		list, signers, err := p.get(token, "mdl", 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, state := w.verify(list[0], signers); state != status.Valid {
			t.Errorf("status %v", state)
		}
		if _, err := p.oauth.RedeemCode(t.Context(), authorization, code, w.Now()); err == nil {
			t.Error("a code was redeemed twice")
		}
		b.open(authorization.URL)
		if b.status != http.StatusBadRequest {
			t.Errorf("a finished request opens again: %d", b.status)
		}
		noPersonalData(t, w)
	})
}

func TestRefuseAndForgedForms(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, b := w.newApp(w.authority), w.browser(t, w.authority)

	authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "pid"})
	first := b.token()
	b.open(base + "/authorize/consent")
	if b.status != http.StatusForbidden {
		t.Errorf("consent before identification: %d", b.status)
	}
	b.post("/authorize/decision", url.Values{"form": {first}, "decision": {"approve"}})
	if b.status != http.StatusForbidden {
		t.Errorf("approval before identification: %d", b.status)
	}
	b.post("/authorize/identify", url.Values{"form": {"forged"}, "subject": {"ada"}, "code": {adasCode}})
	if b.status != http.StatusConflict {
		t.Errorf("forged form: %d", b.status)
	}
	b.post("/authorize/identify", url.Values{"form": {first}, "subject": {"ada"}, "code": {adasCode}})
	second := b.token()
	b.post("/authorize/identify", url.Values{"form": {first}, "subject": {"ada"}, "code": {adasCode}})
	if b.status != http.StatusConflict {
		t.Errorf("form sent twice: %d", b.status)
	}
	b.header.Set("Sec-Fetch-Site", "cross-site")
	b.post("/authorize/decision", url.Values{"form": {second}, "decision": {"approve"}})
	if b.status != http.StatusForbidden {
		t.Errorf("form from another site: %d", b.status)
	}
	b.header.Set("Sec-Fetch-Site", "same-origin")
	thief := w.browser(t, w.authority)
	thief.post("/authorize/decision", url.Values{"form": {second}, "decision": {"approve"}})
	if thief.status != http.StatusBadRequest {
		t.Errorf("form from another browser: %d", thief.status)
	}
	b.post("/authorize/decision", url.Values{"form": {second}, "decision": {"refuse"}})
	if _, err := authorization.Code(b.location); err == nil || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("refusal: %v", err)
	}
	b.post("/authorize/decision", url.Values{"form": {second}, "decision": {"approve"}})
	if b.status != http.StatusBadRequest {
		t.Errorf("approval after refusal: %d", b.status)
	}
}

func TestWrongCodes(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, b := w.newApp(w.authority), w.browser(t, w.authority)
	authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
	for range 4 {
		b.identify("nobody", "1")
		if !strings.Contains(b.page, wrongCode) {
			t.Fatalf("unknown person: %s", b.page)
		}
	}
	b.identify("ada", "")
	if _, err := authorization.Code(b.location); err == nil || !strings.Contains(err.Error(), "access_denied") {
		t.Fatalf("fifth wrong code: %v", err)
	}

	// Wrong codes count for the person in all requests together.
	for range 4 {
		b = w.browser(t, w.authority)
		w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
		b.identify("ada", "1")
	}
	b = w.browser(t, w.authority)
	w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
	b.identify("ada", adasCode)
	if !strings.Contains(b.page, blocked) {
		t.Errorf("the right code after five wrong ones: %d\n%s", b.status, b.page)
	}
	w.Pass(triesLifetime + time.Second)
	p = w.newApp(w.authority)
	w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
	b.identify("ada", adasCode)
	if !strings.Contains(b.page, `id="approve"`) {
		t.Errorf("an hour later: %d\n%s", b.status, b.page)
	}
}

// What scripts that play a person hold on to, and that one can say no at once.
func TestPagesHaveStableIDs(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, b := w.newApp(w.authority), w.browser(t, w.authority)
	authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
	for _, id := range []string{"subject", "code", "continue", "refuse"} {
		if strings.Count(b.page, ` id="`+id+`"`) != 1 {
			t.Errorf("first page: no %s\n%s", id, b.page)
		}
	}
	if strings.Contains(b.page, "<script") {
		t.Error("the page needs a script")
	}
	b.decide("refuse")
	if _, err := authorization.Code(b.location); code(err) != oauth.CodeAccessDenied {
		t.Errorf("refused on the first page: %v", err)
	}
}

// A document in two formats is one document to people.
func TestPagesNameOnce(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, b := w.newApp(w.authority), w.browser(t, w.authority)
	w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "pid pid-sd-jwt mdl"})
	if strings.Count(b.page, "Personal ID") != 1 || strings.Count(b.page, "Driving licence") != 1 {
		t.Errorf("first page:\n%s", b.page)
	}
	b.identify("ada", adasCode)
	if strings.Count(b.page, "Personal ID") != 1 || strings.Count(b.page, "Driving licence") != 1 {
		t.Errorf("second page:\n%s", b.page)
	}
}

func TestForeignRedirect(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.newApp(w.authority)
	p.oauth.RedirectURI = "https://elsewhere.example/callback"
	if _, err := p.oauth.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err == nil {
		t.Error("a foreign redirect URI was taken")
	}
}

func TestOfferByCode(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.newApp(w.authority)
	o, err := w.authority.Offer(t.Context(), "default", OfferParams{Offerings: []string{"pid"}, Subject: "ada", Grant: AuthorizationCode})
	if err != nil {
		t.Fatal(err)
	}
	offer, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link)
	if err != nil || offer.Code == nil || offer.PreAuthorized != nil {
		t.Fatalf("offer: %+v, %v", offer, err)
	}
	request := oauth.AuthorizationRequest{Scope: "pid", IssuerState: offer.Code.IssuerState}
	b := w.browser(t, w.authority)
	w.begin(t, p, b, request)
	b.identify("jonas", "204887")
	if !strings.Contains(b.page, otherness) {
		t.Fatalf("somebody else's offer: %d\n%s", b.status, b.page)
	}
	b.identify("ada", adasCode)
	b.decide("approve")
	if !strings.HasPrefix(b.location, redirect+"?") {
		t.Fatalf("approved: %d %s", b.status, b.location)
	}
	// The redirect is lost: the person approves again, and again.
	var tokens []*oauth.Token
	for range 2 {
		if _, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link); err != nil {
			t.Fatal(err)
		}
		b = w.browser(t, w.authority)
		authorization := w.begin(t, p, b, request)
		b.identify("ada", adasCode)
		token := b.approve(p, authorization)
		tokens = append(tokens, token)
	}
	for range 2 {
		if _, _, err := p.get(tokens[1], "pid", 1); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = p.get(tokens[0], "pid", 1)
	wantCode(t, "another grant of the same offer", err, oid4vci.CodeDenied)
	w.closed(t, p, o, request)
	if documents, err := w.authority.List(t.Context(), "default", Filter{}); err != nil || len(documents) != 1 {
		t.Errorf("documents %+v, %v", documents, err)
	}

	// Approved, and then nothing.
	if o, err = w.authority.Offer(t.Context(), "default", OfferParams{Offerings: []string{"pid"}, Subject: "ada", Grant: AuthorizationCode}); err != nil {
		t.Fatal(err)
	}
	request.IssuerState = o.ID
	for range 2 {
		b = w.browser(t, w.authority)
		w.begin(t, p, b, request)
		b.identify("ada", adasCode)
		b.decide("approve")
		w.Pass(approvedOpen / 2) // the second does not put the end off
	}
	w.closed(t, w.newApp(w.authority), o, request)
}

// closed checks that an offer is over.
func (w *world) closed(t *testing.T, p *app, o Offer, request oauth.AuthorizationRequest) {
	t.Helper()
	if _, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link); err == nil {
		t.Error("a used offer is still served")
	}
	b := w.browser(t, w.authority)
	w.begin(t, p, b, request)
	b.identify("ada", adasCode)
	if !strings.Contains(b.page, "used or has expired") {
		t.Errorf("an offer used twice: %d\n%s", b.status, b.page)
	}
}

// Whether something is wrong with a person in the register makes no difference
// to what a stranger sees, and the person gets in.
func TestIdentifyUnfit(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	if err := os.Remove(filepath.Join(w.register, "people", "ada.jpg")); err != nil {
		t.Fatal(err)
	}
	e := w.authority.tenants["default"]
	for code, want := range map[string]bool{"528316": true, "528317": false} {
		if ok, err := e.enrolled(t.Context(), "ada", code); ok != want || err != nil {
			t.Errorf("%s: %v, %v", code, ok, err)
		}
	}
}
