//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit/chromium"
)

// newStage is a demonstration with everything up and Ada's documents on her
// phone, before anybody asked for one.
func newStage(t *testing.T) *demo {
	t.Helper()
	var out, errs bytes.Buffer
	m := &machine{ctx: t.Context(), in: strings.NewReader(""), out: &out, err: &errs, getenv: os.Getenv, now: time.Now}
	d := &demo{m: m, json: true, ok: true}
	dir := t.TempDir() // is removed after the demonstration has closed
	t.Cleanup(func() {
		d.close()
		if errs.Len() > 0 {
			t.Error(errs.String())
		}
	})
	if d.prepare(t.Context(), demoConfig("127.0.0.1:0"), dir); !d.ok {
		t.Fatal(out.String())
	}
	return d
}

// TestShopInABrowser is what a person does who tries the demonstration: buy wine
// with the app in the same browser and with a phone, say no, and look at the
// verifier's console.
func TestShopInABrowser(t *testing.T) {
	c := chromium.Open(t)
	d := newStage(t)
	shop := d.servers.house.shop
	c.Go(<-d.link).Says("Your documents", "as mdoc", "as SD-JWT VC").Fits()
	if n := c.Eval("document.querySelectorAll('.doc img.portrait').length"); n != 4.0 {
		t.Errorf("%v of four documents show whose they are", n)
	}

	c.Go(shop.origin + "/").Says("Are you over 18?").Fits().Press(".eidos-button").Says("Your browser asks").Fits()
	c.Press(".eidos-other").Until("!!document.querySelector('svg.eidos-qr')").Fits() // the browser has nobody to ask
	c.Press("summary").Press(".eidos-link").Says("A website asks", "verifier.localhost").Fits().Press("main form button")
	c.Says("Share this?", "Utopia Wine", "trusted", "Sell wine to adults only", "Over 18", "Nothing was shared yet").Fits()
	if text := c.Text("main"); strings.Contains(text, "Sommerfeld") || strings.Contains(text, "1984") { // its page says so
		t.Errorf("the wine shop is asked to be shown more than an age: %s", text)
	}
	c.Press("button[value=allow]").Says("Shared", "Your answer has arrived", "shop.localhost").Press("a.button").Says("Over 18: yes", "Utopia Registry of Persons").Fits()
	if at, _ := c.Eval("location.href").(string); !strings.HasPrefix(at, shop.origin+"/verified?response_code=") {
		t.Errorf("back at %s", at)
	}

	focused := func(class string) string { return fmt.Sprintf("document.activeElement.className === %q", class) }
	c.Go(shop.origin + "/").Until("!!document.querySelector('.eidos-button')").Eval("document.querySelector('.eidos-button').focus()")
	c.Press(".eidos-button").Until(focused("eidos-other")).Press(".eidos-other").Until("document.activeElement.tagName === 'SUMMARY'")
	c.Eval("document.querySelector('.eidos-cancel').focus()")
	c.Press(".eidos-cancel").Until("document.querySelector('.eidos-panel').hidden").Until(focused("eidos-button"))

	begin := func() (link string) {
		t.Helper()
		c.Go(shop.origin + "/").Press(".eidos-button").Press(".eidos-other").Until("!!document.querySelector('.eidos-link')")
		link, _ = c.Eval("document.querySelector('.eidos-link').href").(string)
		return link
	}
	if _, _, err := d.wallet.Answer(t.Context(), begin()); err != nil {
		t.Fatal(err)
	}
	c.Says("Over 18: yes") // by itself

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
	c.Says("Nothing was shared.")
	if c.Go(shop.origin + "/verified").Says("We could not check your age"); strings.Contains(c.Text("main"), "Over 18") {
		t.Errorf("after a refusal: %s", c.Text("main"))
	}
	consoleInABrowser(t, c, d)
}

// consoleInABrowser logs in by token and reads what became of the four
// transactions.
func consoleInABrowser(t *testing.T, c *chromium.Page, d *demo) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(d.servers.house.dir, roleVerifier, verifierTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	home := d.servers.house.apiURL + "/console/"
	c.Go(home).Says("Log in").Fits().Until("document.activeElement.id === 'token'").Fill("#token", "eiv_wrong").Press("main button")
	c.Says("is not valid").Until("!!document.querySelector('[role=alert]') && document.activeElement.id === 'token'")
	c.Go(home + "shop/").Says("Log in") // nothing without a session
	c.Fill("#token", strings.TrimSpace(string(token))).Press("main button").Says("Relying parties", "Utopia Wine").Fits()
	c.Press(`a[href="/console/shop/"]`).Says("Console of Utopia Wine", "Transactions", "Over 18", "valid", "refused", "waiting").Fits()
	if rows := c.Eval("document.querySelectorAll('tbody tr').length"); rows != 4.0 {
		t.Errorf("%v transactions instead of four", rows)
	}
	c.Eval("[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('valid')).querySelector('a').click()")
	c.Says("it is in order", "Photo ID: Over 18", "Driving licence: Over 18").Press("summary").Says("issuer signature", "ISO/IEC 18013-5:2021, 9.1.2.4").Fits()
	if text := c.Text("body"); strings.Contains(text, "Sommerfeld") {
		t.Errorf("the console shows attributes: %s", text)
	}
	c.Go(home + "?all").Says("Log out").Press("form[action$=logout] button").Says("Access token")
	c.Go(home + "shop/").Says("Log in")
}
