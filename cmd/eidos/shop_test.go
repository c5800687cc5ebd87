package main

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
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
