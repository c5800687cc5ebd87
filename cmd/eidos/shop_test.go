package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// newStage is a demonstration with everything up and Ada's documents on her
// phone, before anybody asked for one.
func newStage(t *testing.T) *demo {
	t.Helper()
	var out, errs bytes.Buffer
	m := &machine{ctx: t.Context(), in: strings.NewReader(""), out: &out, err: &errs, getenv: os.Getenv, now: time.Now}
	d := &demo{m: m, json: true, ok: true}
	t.Cleanup(func() {
		d.close()
		if errs.Len() > 0 {
			t.Error(errs.String())
		}
	})
	if d.prepare(t.Context(), demoConfig("127.0.0.1:0"), t.TempDir()); !d.ok {
		t.Fatal(out.String())
	}
	return d
}

// TestShopInABrowser is what a person does who tries the demonstration: buy wine
// with the app in the same browser and with a phone, say no, and look at the
// verifier's console.
func TestShopInABrowser(t *testing.T) {
	c := newChromium(t)
	d := newStage(t)
	shop := d.servers.house.shop
	c.open(<-d.link).says("Your documents", "as mdoc", "as SD-JWT VC").fits()
	if n := c.eval("document.querySelectorAll('.doc img.portrait').length"); n != 4.0 {
		t.Errorf("%v of four documents show whose they are", n)
	}

	c.open(shop.origin + "/").says("Are you over 18?").fits().press(".eidos-button").until("!!document.querySelector('svg.eidos-qr')").fits()
	c.press("summary").press(".eidos-link").says("A website asks", "verifier.localhost").fits().press("main form button")
	c.says("Share this?", "Utopia Wine", "trusted", "Sell wine to adults only", "Over 18", "Nothing was shared yet").fits()
	if text := c.trimmed("main"); strings.Contains(text, "Sommerfeld") {
		t.Errorf("the wine shop is asked to be shown more than an age: %s", text)
	}
	c.press("button[value=allow]").says("Shared", "Your answer has arrived", "shop.localhost").press("a.button").says("Over 18: yes", "Utopia Registry of Persons").fits()
	if at, _ := c.eval("location.href").(string); !strings.HasPrefix(at, shop.origin+"/verified?response_code=") {
		t.Errorf("back at %s", at)
	}

	c.open(shop.origin + "/").press(".eidos-button").until("!!document.querySelector('.eidos-cancel')")
	c.eval("document.querySelector('.eidos-cancel').focus()")
	c.press(".eidos-cancel").until("document.querySelector('.eidos-panel').hidden && document.activeElement.className === 'eidos-button'")

	begin := func() (link string) {
		t.Helper()
		c.open(shop.origin + "/").press(".eidos-button").until("!!document.querySelector('.eidos-link')")
		link, _ = c.eval("document.querySelector('.eidos-link').href").(string)
		return link
	}
	if _, _, err := d.wallet.Answer(t.Context(), begin()); err != nil {
		t.Fatal(err)
	}
	c.says("Over 18: yes") // by itself

	phone := *d.phone
	phone.closers = nil
	defer phone.close()
	no, err := phone.wallet(t.Context(), refuser{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := no.Answer(t.Context(), begin()); err == nil {
		t.Fatal("the holder said no, and the app nothing")
	}
	c.says("Nothing was shared.")
	if c.open(shop.origin + "/verified").says("We could not check your age"); strings.Contains(c.trimmed("main"), "Over 18") {
		t.Errorf("after a refusal: %s", c.trimmed("main"))
	}
	consoleInABrowser(t, c, d)
}

// consoleInABrowser logs in by token and reads what became of the four
// transactions.
func consoleInABrowser(t *testing.T, c *chromium, d *demo) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(d.servers.house.dir, roleVerifier, verifierTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	home := d.servers.house.apiURL + "/console/"
	c.open(home).says("Log in").fits().fill("#token", "eiv_wrong").press("main button").says("token")
	c.open(home + "shop/").says("Log in") // nothing without a session
	c.fill("#token", strings.TrimSpace(string(token))).press("main button").says("Relying parties", "shop").fits()
	c.press(`a[href="/console/shop/"]`).says("Transactions", "valid", "refused", "waiting").fits()
	if rows := c.eval("document.querySelectorAll('tbody tr').length"); rows != 4.0 {
		t.Errorf("%v transactions instead of four", rows)
	}
	c.eval("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('valid')).querySelector('a').click()")
	c.says("it is in order", "Photo ID", "Over 18").press("summary").says("issuer signature", "ISO/IEC 18013-5:2021, 9.1.2.4").fits()
	if text := c.trimmed("body"); strings.Contains(text, "Sommerfeld") {
		t.Errorf("the console shows attributes: %s", text)
	}
	c.open(home + "?all").says("Log out").press("form[action$=logout] button").says("Access token")
	c.open(home + "shop/").says("Log in")
}

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
	for _, c := range []struct {
		res  core.Result
		want string
	}{
		{answer(core.Valid, "age_over_18", true), "yes"},
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
