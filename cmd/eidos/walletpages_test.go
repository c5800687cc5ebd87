package main

import (
	"bytes"
	"context"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// tab is a browser tab without scripts. Like a browser it says where a request
// comes from, and keeps a SameSite=Strict cookie to itself when another site
// leads somewhere.
type tab struct {
	t       *testing.T
	client  *http.Client
	cookies map[string]string // by host; the wallet's is strict
	at      *url.URL          // nil at first
	status  int
	body    string
}

func newTab(t *testing.T) *tab {
	dialer := &net.Dialer{}
	return &tab{t: t, cookies: make(map[string]string), client: &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, "127.0.0.1:"+port)
		}},
	}}
}

// do makes a request and follows redirects.
func (b *tab) do(method, to, body string) {
	b.t.Helper()
	site := "none"
	for range 10 {
		u, err := url.Parse(to)
		if err != nil {
			b.t.Fatal(err)
		}
		if b.at != nil && site != "cross-site" { // a chain that left the site stays foreign
			u = b.at.ResolveReference(u)
			if site = "same-origin"; u.Host != b.at.Host {
				site = "cross-site"
			}
		}
		r, err := http.NewRequestWithContext(b.t.Context(), method, u.String(), strings.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		strict := strings.HasPrefix(u.Host, "wallet.")
		if c := b.cookies[u.Host]; c != "" && !(strict && site == "cross-site") {
			r.Header.Set("Cookie", c)
		}
		resp, err := b.client.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		if err := resp.Body.Close(); err != nil {
			b.t.Fatal(err)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range resp.Cookies() {
			b.cookies[u.Host] = c.Name + "=" + c.Value
		}
		if strict && resp.Header.Get("Cache-Control") != "no-store" {
			b.t.Errorf("%s may be kept by caches: %q", u.Path, resp.Header.Get("Cache-Control"))
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			b.at, b.status, b.body = u, resp.StatusCode, string(data)
			return
		}
		method, to, body = http.MethodGet, resp.Header.Get("Location"), ""
		if b.at == nil || site != "cross-site" {
			b.at = u
		} else if next, err := u.Parse(to); err == nil {
			to = next.String()
		}
	}
	b.t.Fatal("the pages lead in circles")
}

func (b *tab) get(to string) *tab {
	b.t.Helper()
	b.do(http.MethodGet, to, "")
	return b
}

// typed goes to an address that the person typed.
func (b *tab) typed(to string) *tab {
	b.t.Helper()
	b.at = nil
	return b.get(to)
}

var (
	aForm  = regexp.MustCompile(`(?s)<form method="post"( action="([^"]*)")?.*?</form>`)
	aField = regexp.MustCompile(`<input[^>]*>`)
	anAttr = regexp.MustCompile(`(type|name|value)="([^"]*)"|( checked)`)
)

// submit sends the form of the page whose action ends with suffix, as it
// stands, but for the changes; an empty value takes the tick away.
func (b *tab) submit(suffix string, changes url.Values) *tab {
	b.t.Helper()
	for _, m := range aForm.FindAllStringSubmatch(b.body, -1) {
		if !strings.HasSuffix(m[2], suffix) {
			continue
		}
		form := url.Values{}
		for _, input := range aField.FindAllString(m[0], -1) {
			a := map[string]string{"value": "on"}
			for _, attr := range anAttr.FindAllStringSubmatch(input, -1) {
				if attr[3] != "" {
					a["checked"] = "yes"
				} else {
					a[attr[1]] = html.UnescapeString(attr[2])
				}
			}
			if kind := a["type"]; a["name"] != "" && (kind == "hidden" || kind == "url" || a["checked"] == "yes") {
				form.Set(a["name"], a["value"])
			}
		}
		for name, v := range changes {
			if form.Del(name); v[0] != "" {
				form[name] = v
			}
		}
		action := html.UnescapeString(m[2])
		if action == "" {
			action = b.at.Path
		}
		b.do(http.MethodPost, action, form.Encode())
		return b
	}
	b.t.Fatalf("no form to …%s at %s:\n%s", suffix, b.at, b.text())
	return nil
}

// text is the page without its tags.
func (b *tab) text() string {
	t := regexp.MustCompile(`(?s)<head>.*?</head>|<[^>]*>`).ReplaceAllString(b.body, " ")
	return strings.Join(strings.Fields(html.UnescapeString(t)), " ")
}

// says fails unless the page has all the words, waiting for it where it waits.
func (b *tab) says(words ...string) *tab {
	b.t.Helper()
	for range 50 {
		if !strings.Contains(b.body, `id="wait"`) || has(b.text(), words) {
			break
		}
		time.Sleep(50 * time.Millisecond)
		b.get(b.at.Path)
	}
	if !has(b.text(), words) {
		b.t.Fatalf("wanted %q at %s (status %d):\n%s", words, b.at.Path, b.status, b.text())
	}
	return b
}

func has(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// hosted is everything on one listener, with the link to the app's pages.
type hosted struct {
	*running
	m    *machine
	link chan string
}

func host(t *testing.T) *hosted { return hostWith(t, func(*machine, *Config) {}) }

func hostWith(t *testing.T, change func(*machine, *Config)) *hosted {
	t.Helper()
	var errs bytes.Buffer
	m := &machine{ctx: t.Context(), in: strings.NewReader(""), out: io.Discard, err: &errs, getenv: os.Getenv, now: time.Now}
	s := &hosted{m: m, link: make(chan string, 16)}
	cfg := demoConfig("127.0.0.1:0")
	change(m, &cfg)
	var err error
	s.running, err = m.start(context.WithoutCancel(t.Context()), cfg, t.TempDir(), cfg.rolesHere([]string{"all"}), slog.New(slog.DiscardHandler),
		func(link string) { s.link <- link })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the end: %v", err)
		}
	})
	return s
}

func (s *hosted) offer(t *testing.T, offering string, p issuer.OfferParams) issuer.Offer {
	t.Helper()
	d := &demo{servers: s.running}
	p.Offerings, p.Subject = []string{offering}, holder
	var o issuer.Offer
	err := d.operate(t.Context(), func(a *issuer.Authority) (err error) {
		o, err = a.Offer(t.Context(), "default", p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// ask begins a request of the website.
func (s *hosted) ask(t *testing.T, ask string) (link string, outcome func() verifier.Outcome) {
	return s.askAs(t, "default", ask)
}

func (s *hosted) askAs(t *testing.T, tenant, ask string) (link string, outcome func() verifier.Outcome) {
	t.Helper()
	h := *s.house
	h.closers = nil
	v, err := h.verifier(t.Context(), h.fetch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	tx, err := v.Begin(t.Context(), tenant, verifier.AskParams{Ask: ask})
	if err != nil {
		t.Fatal(err)
	}
	return tx.Link, func() verifier.Outcome {
		out, err := v.Outcome(t.Context(), tenant, tx.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// TestWalletPages walks a holder through the whole app in a browser: install,
// get documents both ways, answer websites and a reader, look back, delete.
func TestWalletPages(t *testing.T) {
	s := host(t)
	origin := s.urls[roleWallet]
	b := newTab(t)
	b.typed(origin+"/history").says("This wallet is locked", "eidos serve")
	b.typed(<-s.link).says("Install the app", "Provider")
	b.submit("/app/install", url.Values{"provider": {s.urls[roleProvider] + "/nobody"}}).says("This did not work")
	b.submit("/app/install", url.Values{"provider": {s.urls[roleProvider] + "/default"}}).says("Installed", "low", "first use", "renewed by itself")

	acceptOnPages(t, s, b)

	b.get("/").says("Driving licence", "Personal ID", "Ada Marlene Sommerfeld", "10 of 10 copies left", "valid")
	b.get(regexp.MustCompile(`/documents/[^"]+`).FindString(b.body)).says("Date of birth", "17 March 1984", "Copies")
	if !strings.Contains(b.body, `src="data:image/jpeg;base64,`) {
		t.Error("no portrait on the page of a document")
	}
	b.submit("/check", nil).says("The issuer said so", "Last asked")

	remoteOnPages(t, s, b)
	nearbyOnPages(t, s, b)

	b.get("/history").says("Shared with Eidos Demo Verifier", "you refused", "Document from Utopia Registry of Persons", "over the internet", "nearby")
	if strings.Contains(b.text(), "Sommerfeld") {
		t.Error("the history holds values")
	}
	n := strings.Count(b.body, "Forget this entry")
	if b.submit("/history/forget", nil); strings.Count(b.body, "Forget this entry") != n-1 {
		t.Errorf("%d entries before one was forgotten, %d after it", n, strings.Count(b.body, "Forget this entry"))
	}
	b.get("/").get(regexp.MustCompile(`/documents/[^"]+`).FindString(b.body)).submit("/delete", nil)
	if b.says("Your documents"); strings.Contains(b.text(), "Driving licence") {
		t.Error("the deleted document is still there")
	}
	b.get("/app").submit("/lock", nil).says("This wallet is locked")
	b.typed(<-s.link).says("Your documents")
}

// acceptOnPages gets a document with a PIN and one through the issuer's page.
func acceptOnPages(t *testing.T, s *hosted, b *tab) {
	t.Helper()
	o := s.offer(t, "mdl", issuer.OfferParams{TxCode: true})
	_, query, _ := strings.Cut(o.Link, "?")
	b.typed("http://issuer.localhost:" + port(t, s) + "/default") // the offer is a link on the issuer's page
	b.get(s.urls[roleWallet]+"/offer?"+query).says("An offer of documents", "issuer.localhost")
	b.submit("/add", nil).says("Utopia Registry of Persons", "Driving licence", "PIN")
	wrong := "0" + o.TxCode[1:]
	if o.TxCode[0] == '0' {
		wrong = "1" + o.TxCode[1:]
	}
	b.submit("/accept", url.Values{"pin": {wrong}}).says("The PIN is not right", "PIN")
	b.submit("/accept", url.Values{"pin": {o.TxCode}}).says("Added", "Driving licence", "10 of 10 copies left")
	b.get("/add").submit("/add", url.Values{"link": {o.Link}}).says("cannot be read", "used already")

	code, err := s.house.enrolmentCode(t.Context(), holder)
	if err != nil {
		t.Fatal(err)
	}
	o = s.offer(t, "pid", issuer.OfferParams{Grant: issuer.AuthorizationCode})
	b.get("/add").submit("/add", url.Values{"link": {o.Link}}).says("Personal ID", "wants to know first that it is you")
	b.submit("/accept", nil).says("Identify with the issuer", "issuer.localhost")
	b.submit("/authority", nil)
	if !strings.HasPrefix(b.at.Host, "issuer.") {
		t.Fatalf("the issuer's page is at %s", b.at)
	}
	b.submit("/identify", url.Values{"subject": {holder}, "code": {code}})
	b.submit("/decision", url.Values{"decision": {"approve"}})
	b.says("Back from the issuer")
	b.submit("/callback", nil).says("Added", "Personal ID")
	b.get("/add").submit("/add", url.Values{"link": {"hello"}}).says("cannot be read")
}

// remoteOnPages refuses one request of a website and grants another.
func remoteOnPages(t *testing.T, s *hosted, b *tab) {
	t.Helper()
	link, outcome := s.ask(t, "pid:family_name,portrait")
	_, query, _ := strings.Cut(link, "?")
	b.typed(s.urls[roleVerifier] + "/default/")
	b.get(s.urls[roleWallet]+"/request?"+query).says("A website asks", "verifier.localhost")
	if out := outcome(); out.State != verifier.Waiting {
		t.Errorf("before the holder looked at it the request is %s", out.State)
	}
	b.submit("/show/website", nil).says("Share this?", "Eidos Demo Verifier", "trusted", "Sommerfeld", "Nothing was shared yet")
	question := b.at.Path
	if !strings.HasPrefix(question, "/consent/") {
		t.Fatalf("the question is at %s", question)
	}
	b.submit(question, url.Values{"decision": {"refuse"}}).says("Not shared", "You refused")
	if out := outcome(); out.State != verifier.Refused || out.Result != nil {
		t.Errorf("after the refusal the website holds %s", out.State)
	}
	b.do(http.MethodPost, question, "decision=allow")
	if b.status != http.StatusConflict {
		t.Errorf("a second answer got status %d", b.status)
	}

	link, outcome = s.ask(t, "pid:family_name,birth_date")
	b.get("/show").submit("/show/website", url.Values{"link": {link}}).says("Share this?", "Date of birth", "17 March 1984")
	b.submit(b.at.Path, url.Values{"decision": {"allow"}}).says("Shared", "Your answer has arrived", "Family name, Date of birth")
	if out := outcome(); out.State != verifier.Done || out.Result == nil || !out.Result.OK() {
		t.Errorf("the website has %s %s", out.State, reasonOf(out))
	}
	b.typed(s.urls[roleVerifier]+"/default/").submit("", nil).says("Open the wallet of this machine")
	b.get(html.UnescapeString(regexp.MustCompile(`http://wallet\.localhost[^"]+`).FindString(b.body)))
	b.submit("/show/website", nil).says("Share this?", "Driving licence", "Over 18")
	b.submit(b.at.Path, url.Values{"decision": {"allow"}}).says("Shared", "Driving licence : Over 18")
	link, _ = s.ask(t, "photoid:family_name")
	b.get("/show").submit("/show/website", url.Values{"link": {link}}).says("None of your documents")
}

// nearbyOnPages shows the code to a reader, strikes one element out, and shares.
func nearbyOnPages(t *testing.T, s *hosted, b *tab) {
	t.Helper()
	h := *s.house
	h.closers = nil
	v, err := h.verifier(t.Context(), h.fetch)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if _, err := v.Pack(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	reader, err := v.Reader("default")
	if err != nil {
		t.Fatal(err)
	}
	b.get("/show").submit("/show/nearby", nil).says("Show this to the reader", "Waiting for the reader")
	code := regexp.MustCompile(`mdoc:[A-Za-z0-9_-]+`).FindString(b.body)
	waiting := b.at.Path
	type reading struct {
		res core.Result
		err error
	}
	read := make(chan reading, 1)
	go func() {
		res, err := reader.Read(t.Context(), code, "mdl:age_over_18,family_name,portrait", verifier.ReadOptions{})
		read <- reading{res, err}
	}()
	b.says("Share this?", "Over 18", "Sommerfeld", "asks nearby", "trusted")
	field := regexp.MustCompile(`name="(element-[0-9-]+)" checked>\s*<span><span class="label">Family name`).FindStringSubmatch(b.body)
	if field == nil {
		t.Fatalf("the family name cannot be struck out:\n%s", b.body)
	}
	b.submit(b.at.Path, url.Values{"decision": {"allow"}, field[1]: {""}}).says("Shared", "Over 18")
	if b.at.Path != waiting {
		t.Errorf("the end is at %s, not where the code was, %s", b.at.Path, waiting)
	}
	got := <-read
	if got.err != nil || len(got.res.Documents) != 1 {
		t.Fatalf("the reader has %v, %v", got.res.Verdict, got.err)
	}
	if left := strings.Join(elementsOf(got.res.Documents[0]), " "); left != "age_over_18 portrait" {
		t.Errorf("%s left the phone", left)
	}
}

func port(t *testing.T, s *hosted) string {
	t.Helper()
	_, p, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
