package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
	"github.com/eidos-id/eidos/wallet"
)

// The shop remembers a bounded number of visits, sends strangers to its first
// page, and begins only for its own pages.
func TestShop(t *testing.T) {
	now := time.Now()
	s := &shop{origin: "http://shop.localhost", script: "http://verifier.localhost/shop", now: func() time.Time { return now }, visits: make(map[string]visit)}
	for i := range 2 * maxVisits {
		s.remember(strings.Repeat("v", i+1), visit{id: "x", begun: now.Add(time.Duration(i))})
	}
	if len(s.visits) != maxVisits || s.visits["v"].id != "" {
		t.Errorf("%d visits are remembered, of %d at most", len(s.visits), maxVisits)
	}
	ask := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, r)
		return w
	}
	for _, cookie := range []string{"", "unknown"} {
		r := httptest.NewRequest("GET", "/verified", nil)
		if cookie != "" {
			r.AddCookie(&http.Cookie{Name: shopCookie, Value: cookie})
		}
		if w := ask(r); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" {
			t.Errorf("cookie %q: %d", cookie, w.Code)
		}
	}
	r := httptest.NewRequest("POST", "/start-verification", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := ask(r); w.Code != http.StatusForbidden {
		t.Errorf("another site's page begins: %d", w.Code)
	}
	w := ask(httptest.NewRequest("GET", "/", nil))
	if !strings.Contains(w.Body.String(), `src="http://verifier.localhost/shop/eidos-verify.js"`) || regexp.MustCompile(` style=|<style| on[a-z]+=|<script>`).MatchString(w.Body.String()) {
		t.Errorf("the page has no button, or something inline: %s", w.Body)
	}
}

// The shop takes a yes from nothing but a valid answer.
func TestShopReads(t *testing.T) {
	answer := func(verdict core.Verdict, id string, value any) core.Result {
		return core.Result{Verdict: verdict, Documents: []core.Document{{Verdict: verdict, Elements: []core.Element{{ID: id, Value: value}}}}}
	}
	older := answer(core.Valid, "age_over_21", true)
	older.Documents[0].Elements[0].Asked = "age_over_18"
	for _, c := range []struct {
		res  core.Result
		want string
	}{
		{answer(core.Valid, "age_over_18", true), "yes"},
		{older, "yes"},
		{answer(core.Valid, "age_over_18", false), "no"},
		{answer(core.Valid, "age_over_18", "true"), "no"},
		{answer(core.Valid, "age_over_16", true), ""},
		{answer(core.Invalid, "age_over_18", true), ""},
		{answer(core.Incomplete, "age_over_18", true), ""},
		{core.Result{Verdict: core.Empty}, ""},
	} {
		a := ageChecked{State: verifier.Done}
		if a.read(c.res); a.Answer != c.want {
			t.Errorf("%+v: %q, want %q", c.res, a.Answer, c.want)
		}
	}
}

// TestShopRegistered: the app learns from the demonstration's trust service whom to
// believe about the shop, shows what it is registered for, and answers with a PID,
// of which the shop learns that its holder is of age and nothing else.
func TestShopRegistered(t *testing.T) {
	s := hostWith(t, func(m *machine, _ *Config) { m.shop = true })
	var asked wallet.Question
	follower := s.house.followIn(wallet.OnceTx(wallet.NewMemory()))
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := wallet.New(wallet.Config{}, wallet.Deps{Storage: wallet.NewMemory(), Area: area, Fetch: s.house.fetch, Anchors: follower.Anchors, Refresh: follower.Refresh,
		Now: time.Now, Consent: consentFunc(func(q wallet.Question) (wallet.Answer, error) {
			asked = q
			return wallet.AutoApprove{Issuers: true}.Ask(t.Context(), q)
		})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Install(t.Context(), s.urls[roleProvider]+"/default"); err != nil {
		t.Fatal(err)
	}
	made := s.offer(t, "photoid", issuer.OfferParams{TxCode: true})
	offer, err := w.ReadOffer(t.Context(), made.Link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Accept(t.Context(), offer, wallet.AcceptOptions{TxCode: made.TxCode}); err != nil {
		t.Fatal(err)
	}
	link, outcome := s.askAs(t, shopTenant, shopAsk)
	if _, _, err := w.Answer(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	if r := asked.Party.Registration; r == nil || r.Owner != shopName || r.Identifier != shopIdentifier || r.Registrar != registerName || len(r.Beyond) != 0 {
		t.Errorf("%+v\n%s", r, asked.Text())
	}
	a := ageChecked{State: verifier.Done}
	o := outcome()
	if o.Result == nil {
		t.Fatalf("%+v", o)
	}
	e := o.Result.Documents[0].Elements
	if a.read(*o.Result); a.Answer != "yes" || len(e) != 1 {
		t.Errorf("%q %+v", a.Answer, e)
	}
}
