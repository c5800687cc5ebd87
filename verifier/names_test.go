package verifier_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
)

const rpURL, rpTrust = "https://rp.example", "https://trust.example/default"

// newNamed is a relying party on the internet, with something that it says of
// itself.
func newNamed(t *testing.T, tenant verifier.Tenant) *world {
	t.Helper()
	tenant.ID, tenant.Name, tenant.Origins = "default", "Shop", []string{shop}
	return newWorld(t, testkit.SQLite(t), verifier.Config{URL: rpURL, Trust: rpTrust, Tenants: []verifier.Tenant{tenant}})
}

// What HAIP 1.0 does not allow has to be allowed by the configuration.
func TestCompatibility(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	for name, p := range map[string]verifier.AskParams{
		"unsigned": {Unsigned: true}, "in the clear": {ResponseMode: oid4vp.DirectPost}, "fragment": {ResponseMode: oid4vp.Fragment}, "no mode": {ResponseMode: "query"},
	} {
		p.Ask = ask
		if _, err := w.v.Begin(t.Context(), "default", p); !errors.Is(err, verifier.ErrInvalid) || !strings.Contains(err.Error(), "configuration") {
			t.Errorf("%s: %v", name, err)
		}
	}
	tr := w.begin(ask)
	address := strings.Replace(tr.RequestURI, "/request/", "/response/", 1)
	if resp := w.serve(fetch.GetRequest(address, "")); resp.Status != http.StatusNotFound {
		t.Errorf("a page for fragments: %d", resp.Status)
	}
	if resp := w.serve(fetch.GetRequest("http://verifier.localhost:8080/default/did.json", "")); resp.Status != http.StatusNotFound {
		t.Errorf("a DID document: %d", resp.Status)
	}
	// Who has an address for each answer takes none at the one for all.
	req, err := w.opened(tr)
	w.check(err)
	msg := w.issue(5).answer(req, "family_name", "age_over_21", "portrait")
	msg.URL = "http://verifier.localhost:8080/default/response"
	if _, err := w.post(msg); err == nil || !strings.Contains(err.Error(), "no such request") {
		t.Errorf("at the address for all: %v", err)
	}
	if o := w.outcome(tr); o.State != verifier.Fetched {
		t.Errorf("%+v", o)
	}
}

// A link may hold the whole request; the code for another device does not, and
// what is kept says what was asked.
func TestByValue(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), keeping())
	tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, ByValue: true, Retain: time.Hour, Wallet: "https://wallet.example/authorize?x=1"})
	w.check(err)
	value, err := url.Parse(tr.Link)
	w.check(err)
	if q := value.Query(); !strings.HasPrefix(tr.Link, "https://wallet.example/authorize?x=1&") || q.Get("request") == "" || q.Has("request_uri") {
		t.Errorf("link %s", tr.Link)
	}
	code, err := url.Parse(tr.Code)
	w.check(err)
	if q := code.Query(); q.Get("request_uri") != tr.RequestURI || q.Has("request") || q.Get("x") != "1" {
		t.Errorf("code %s", tr.Code)
	}
	if b, err := tr.Button(); err != nil || b.Link != tr.Link || b.QRSize > 100 {
		t.Errorf("%+v %v", b, err)
	}
	if rec := w.asPage("GET", tr.Page, "", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "request=") || !strings.Contains(rec.Body.String(), "data:image") {
		t.Errorf("page: %d %s", rec.Code, rec.Body)
	}
	req, err := w.opened(tr)
	w.check(err)
	_, err = w.post(w.issue(5).answer(req, "family_name", "age_over_21", "portrait"))
	w.check(err)
	w.answered(tr)
	if e, err := w.v.Evidence(t.Context(), "default", tr.Number); err != nil || e.Request != tr.Link {
		t.Errorf("kept %+v %v", e, err)
	}
}

// What others say of the relying party goes along, in the form that it has, and
// the newest.
func TestInfo(t *testing.T) {
	dir := t.TempDir()
	object, token := filepath.Join(dir, "object.json"), filepath.Join(dir, "token.jwt")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(object, `{"a": 1}`)
	write(token, "a.b.c\n")
	w := newNamed(t, verifier.Tenant{Info: []verifier.Info{{Format: "x", File: object}, {Format: "jwt", File: token}}})
	write(object, `{"a": 2}`)
	req, err := w.opened(w.beginAs(verifier.AskParams{Ask: ask}))
	w.check(err)
	if i := req.Info; len(i) != 2 || i[0].Format != "x" || string(i[0].Data) != `{"a":2}` || i[1].Format != "jwt" || string(i[1].Data) != `"a.b.c"` {
		t.Errorf("%+v", i)
	}
	write(object, `{"a": `)
	if _, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask}); err == nil {
		t.Error("said what is no JSON")
	}
	bad := verifier.Config{URL: rpURL, Trust: rpTrust, Tenants: []verifier.Tenant{{ID: "a", Name: "A", Info: []verifier.Info{{Format: "x", File: object}}}}}
	if err := bad.Check(); err == nil || !strings.Contains(err.Error(), "info:") {
		t.Errorf("%v", err)
	}
}

func (w *world) beginAs(p verifier.AskParams) verifier.Transaction {
	w.t.Helper()
	tr, err := w.v.Begin(context.Background(), "default", p)
	w.check(err)
	return tr
}

// Every name that the relying party has signs; each alone is enough.
func TestMultisigned(t *testing.T) {
	w := newNamed(t, verifier.Tenant{AlsoNamed: []string{verifier.ClientX509SANDNS, verifier.ClientDIDJWK, verifier.ClientDIDWeb}})
	tr := w.beginAs(verifier.AskParams{Ask: ask})
	list := w.asked(tr, shop)
	i := slices.IndexFunc(list, func(r dcapi.Request) bool { return r.Protocol == oid4vp.ProtocolMultisigned })
	if i != 1 || len(list) != 4 {
		t.Fatalf("%+v", list)
	}
	env := oid4vp.Environment{Fetch: func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		if r.URL != rpURL+"/default/did.json" {
			t.Errorf("looks up %s", r.URL)
		}
		return w.serve(r), nil
	}}
	req, rep, err := oid4vp.OpenDC(t.Context(), list[i].Protocol, list[i].Data, shop, env, w.Now())
	if err != nil {
		t.Fatalf("%v\n%s", err, rep)
	}
	var names []string
	for _, c := range append([]oid4vp.Client{req.Client}, req.Others...) {
		name, _, _ := strings.Cut(c.ClientID, ":")
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"x509_hash", "x509_san_dns", "decentralized_identifier", "decentralized_identifier"}) {
		t.Errorf("%v", names)
	}
	answer := w.issue(5).answersPage(list, oid4vp.ProtocolMultisigned, shop)
	if rec := w.asPage("POST", tr.Watch+"/dc", shop, answer); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.answered(tr)
}

// A verifier attestation that is not for our key, not for now, or none at all
// lets nothing go out: wallets would refuse it.
func TestAttestation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "attestation.jwt")
	if err := os.WriteFile(file, []byte("none yet"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newNamed(t, verifier.Tenant{ClientID: verifier.ClientAttestation, Attestation: file})
	ca, err := w.v.CA("default")
	w.check(err)
	k, err := ca.Key(t.Context(), keyring.Reader, w.Now())
	w.check(err)
	attester := testkit.Signer(t, elliptic.P256())
	for name, c := range map[string]struct {
		change func(m map[string]any)
		typ    string
		says   string
	}{
		"good":        {func(map[string]any) {}, oid4vp.AttestationType, ""},
		"another key": {func(m map[string]any) { m["cnf"] = map[string]any{"jwk": jose.JWK{Key: attester.Public()}} }, oid4vp.AttestationType, "another key"},
		"no key":      {func(m map[string]any) { delete(m, "cnf") }, oid4vp.AttestationType, "without"},
		"over":        {func(m map[string]any) { m["exp"] = w.Now().Add(-time.Hour).Unix() }, oid4vp.AttestationType, "new one"},
		"endless":     {func(m map[string]any) { delete(m, "exp") }, oid4vp.AttestationType, "without"},
		"other token": {func(map[string]any) {}, "JWT", "typ"},
	} {
		m := map[string]any{"iss": "https://attester.example", "sub": "shop", "exp": w.Now().Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": jose.JWK{Key: k.Public()}}}
		c.change(m)
		text, err := jose.Sign(t.Context(), attester, jose.Header{Typ: c.typ}, m)
		w.check(err)
		w.check(os.WriteFile(file, []byte(text), 0o600))
		tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask})
		if c.says == "" {
			if err != nil || !strings.Contains(tr.Link, url.QueryEscape("verifier_attestation:shop")) {
				t.Errorf("%s: %s %v", name, tr.Link, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, wanted %q", name, err, c.says)
		}
	}
}

// At one address for all answers each finds its transaction, an error in the
// clear too, and a replay none.
func TestOneAddress(t *testing.T) {
	w := newNamed(t, verifier.Tenant{ClientID: verifier.ClientRegistered, RegisteredAs: "shop",
		Compatibility: verifier.Compatibility{ResponseModes: []string{oid4vp.DirectPost}}})
	const address = rpURL + "/default/response"
	k, err := w.readerKey()
	w.check(err)
	open := func(tr verifier.Transaction) *oid4vp.Request {
		t.Helper()
		l, err := oid4vp.ParseLink(tr.Link)
		w.check(err)
		object, nonce, err := l.Fetch(t.Context(), func(_ context.Context, r fetch.Request) (fetch.Response, error) { return w.serve(r), nil })
		w.check(err)
		req, rep, err := oid4vp.Open(t.Context(), object, l, nonce, oid4vp.Environment{Registered: func(_ context.Context, id string) (oid4vp.Registered, bool) {
			return oid4vp.Registered{Name: "Shop", URIs: []string{address}, Keys: jose.Set{Keys: []jose.JWK{{Key: k.Public()}}}}, id == "shop"
		}}, w.Now())
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		return req
	}
	post := func(msg fetch.Request) error { _, err := oid4vp.ParseResult(w.serve(msg)); return err }
	for _, mode := range []string{oid4vp.DirectPostJWT, oid4vp.DirectPost} {
		first, second, third := w.beginAs(verifier.AskParams{Ask: ask, ResponseMode: mode}), w.beginAs(verifier.AskParams{Ask: ask, ResponseMode: mode}), w.beginAs(verifier.AskParams{Ask: ask, ResponseMode: mode})
		a, b := open(first), open(second)
		if a.ResponseURI != address || b.ResponseURI != address {
			t.Fatalf("%s %s", a.ResponseURI, b.ResponseURI)
		}
		good := w.issue(5).answer(b, "family_name", "age_over_21", "portrait")
		w.check(post(good))
		w.answered(second)
		if err := post(good); err == nil || !strings.Contains(err.Error(), "finished") {
			t.Errorf("%s: replay: %v", mode, err)
		}
		w.check(post(w.issue(5).answer(a, "family_name", "age_over_21", "portrait")))
		w.answered(first)
		c := open(third)
		w.check(post(fetch.FormRequest(address, url.Values{"error": {"access_denied"}, "state": {c.State}})))
		if o := w.outcome(third); o.State != verifier.Refused {
			t.Errorf("%s: %+v", mode, o)
		}
	}
	for name, form := range map[string]url.Values{"nothing": {}, "unknown": {"state": {"guess"}, "error": {"x"}}, "garbage": {"response": {"a.b"}}} {
		if resp := w.serve(fetch.FormRequest(address, form)); resp.Status != http.StatusBadRequest || !bytes.Contains(resp.Body, []byte("invalid_request")) {
			t.Errorf("%s: %d %s", name, resp.Status, resp.Body)
		}
	}
}

func (w *world) readerKey() (keyring.Key, error) {
	ca, err := w.v.CA("default")
	if err != nil {
		return keyring.Key{}, err
	}
	return ca.Key(context.Background(), keyring.Reader, w.Now())
}

func TestNamesConfig(t *testing.T) {
	for says, c := range map[string]struct {
		url    string
		tenant verifier.Tenant
	}{
		"clientID: \"did\"":                  {rpURL, verifier.Tenant{ClientID: "did"}},
		"did:web is looked up by https":      {"", verifier.Tenant{ClientID: verifier.ClientDIDWeb}},
		"alsoNamed: x509_hash is there":      {rpURL, verifier.Tenant{AlsoNamed: []string{verifier.ClientX509Hash}}},
		"alsoNamed: did:jwk is there":        {rpURL, verifier.Tenant{AlsoNamed: []string{verifier.ClientDIDJWK, verifier.ClientDIDJWK}}},
		"registeredAs: goes with":            {rpURL, verifier.Tenant{ClientID: verifier.ClientRegistered}},
		"registeredAs: wanted an identifier": {rpURL, verifier.Tenant{ClientID: verifier.ClientRegistered, RegisteredAs: "x509_hash:abc"}},
		"attestation: goes with":             {rpURL, verifier.Tenant{Attestation: "/nowhere"}},
		"compatibility.responseModes":        {rpURL, verifier.Tenant{Compatibility: verifier.Compatibility{ResponseModes: []string{"query"}}}},
	} {
		c.tenant.ID, c.tenant.Name = "a", "A"
		cfg := verifier.Config{URL: c.url, Trust: rpTrust, Tenants: []verifier.Tenant{c.tenant}}
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, wanted %q", err, says)
		}
	}
}

// A key that goes between question and answer changes who asks, where the name
// is of the key: then nothing more is served. Where it is not, the new one signs.
func TestKeyChanges(t *testing.T) {
	for kind, goesOn := range map[string]bool{verifier.ClientX509Hash: false, verifier.ClientX509SANDNS: true, verifier.ClientDIDJWK: false} {
		w := newNamed(t, verifier.Tenant{ClientID: kind})
		tr := w.beginAs(verifier.AskParams{Ask: ask})
		w.asked(tr, shop)
		k, err := w.readerKey()
		w.check(err)
		cert := pkitest.Parse(t, k.Record.Chain[0])
		ca, err := w.v.CA("default")
		w.check(err)
		_, err = ca.Revoke(t.Context(), cert, "superseded", w.Now())
		w.check(err)
		w.Pass(time.Minute)
		if _, err := w.opened(tr); (err == nil) != goesOn || err != nil && !strings.Contains(err.Error(), "start again") {
			t.Errorf("%s: the link: %v", kind, err)
		}
		if _, err := w.v.DigitalRequests(t.Context(), "default", tr.ID, shop); (err == nil) != goesOn || err != nil && !errors.Is(err, verifier.ErrInvalid) {
			t.Errorf("%s: the page: %v", kind, err)
		}
	}
}
