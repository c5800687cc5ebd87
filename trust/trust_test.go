package trust

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/securearea/software"
)

const base = "http://trust.localhost:8080/default"

// world is a trust service, the sources it looks at, and a clock.
type world struct {
	*testkit.Clock
	t       *testing.T
	dsn     string
	storage software.Storage

	mu      sync.Mutex
	sources map[string][]byte // by URL
}

func newWorld(t *testing.T, dsn string) *world {
	return &world{
		t: t, dsn: dsn, storage: software.NewMemory(), Clock: testkit.NewClock(),
		sources: map[string][]byte{},
	}
}

func (w *world) serve(url string, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sources[url] = body
}

func (w *world) fetch(_ context.Context, r fetch.Request) (fetch.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, ok := w.sources[r.URL]
	if !ok {
		return fetch.Response{}, errors.New("connection refused")
	}
	return fetch.Response{Status: 200, Body: bytes.Clone(body)}, nil
}

func (w *world) process(cfg Config) *Service {
	w.t.Helper()
	ctx := w.t.Context()
	d, err := db.Open(ctx, w.dsn, "trust", Schema)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	area, err := software.Open(ctx, software.Options{Storage: w.storage, Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := New(cfg, Deps{DB: d, Area: area, Fetch: w.fetch, Now: w.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// published is a trust service that has published its lists.
func published(t *testing.T) (*world, *Service) {
	t.Helper()
	w := newWorld(t, testkit.SQLite(t))
	s := w.process(Config{})
	w.demo()
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, s
}

// authority makes the certificate of a CA.
func authority(t *testing.T, p pki.Profile, name string, now time.Time) *x509.Certificate {
	t.Helper()
	k := testkit.Signer(t, elliptic.P256())
	notBefore, notAfter := pki.Validity(now, 5*365*24*time.Hour)
	return pkitest.Issue(t, p, pki.Template{
		Subject: pki.Name{Country: "UT", CommonName: name}, PublicKey: k.Public(), NotBefore: notBefore, NotAfter: notAfter,
		Contact: "https://example.com",
	}, k)
}

// The addresses of the demonstration's sources.
const (
	issuerURL   = "http://issuer.localhost:8080/default/iaca.pem"
	providerURL = "http://provider.localhost:8080/default/ca.pem"
	verifierURL = "http://verifier.localhost:8080/default/reader-ca.pem"
)

func (w *world) demo() (iaca, provider, reader *x509.Certificate) {
	iaca = authority(w.t, pki.IACARoot, "IACA", w.Now())
	provider = authority(w.t, pki.ServiceCA, "Provider CA", w.Now())
	reader = authority(w.t, pki.ReaderCA, "Reader CA", w.Now())
	w.serve(issuerURL, iaca.Raw)
	w.serve(providerURL, pki.EncodePEM(provider))
	w.serve(verifierURL, reader.Raw)
	return iaca, provider, reader
}

// follow returns a follower of a service as another role has it, and its store.
func follow(f fetch.Func, store *once.Memory, fingerprint string) *assure.Follower {
	return assure.NewFollower(assure.FollowerConfig{
		URL: base, Fetch: f, Fingerprint: fingerprint,
		Tx: func(_ context.Context, f func(once.Store) error) error { return store.Tx(f) },
	})
}

func TestFollow(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		w := newWorld(t, dsn)
		s := w.process(Config{})
		if err := s.Refresh(ctx); err == nil {
			t.Error("sources that do not answer are no error")
		}
		ask := testkit.Through(s.Handler())
		if resp, _ := ask(ctx, fetch.GetRequest(base+"/vical", "")); resp.Status != 503 {
			t.Errorf("before any source has answered: %d", resp.Status)
		}
		iaca, provider, reader := w.demo()
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		f := follow(ask, once.NewMemory(), "")
		set, err := f.Anchors(ctx, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range map[trustlist.Purpose]*x509.Certificate{
			trustlist.Issuer: iaca, trustlist.WalletProvider: provider, trustlist.Reader: reader, trustlist.Verifier: reader,
		} {
			if got := set.For(p); len(got) != 1 || !got[0].Certificate.Equal(want) {
				t.Errorf("%s: %d anchors, or another one", p, len(got))
			}
		}
		if got := set.For(trustlist.Issuer)[0]; len(got.DocTypes) != 4 || got.Name != "issuing authority" {
			t.Errorf("issuer: %+v", got)
		}

		// Nothing changes, nothing is signed; half of the time over, all is.
		first := number(t, ask)
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := number(t, ask); got != first {
			t.Errorf("issue %d after %d without a change", got, first)
		}
		w.Pass(4 * day)
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := number(t, ask); got != first+1 {
			t.Errorf("issue %d after %d and half of the time", got, first)
		}
		other := w.process(Config{}) // another process goes on counting
		if err := other.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		w.Pass(8 * day)
		if got := number(t, testkit.Through(other.Handler())); got != first+2 {
			t.Errorf("issue %d through another process, after the end", got)
		}
		if set, err = f.Anchors(ctx, w.Now()); err != nil || len(set.For(trustlist.Issuer)) != 1 {
			t.Errorf("after the end: %v", err)
		}
	})
}

// number verifies the published VICAL strictly and returns its issue.
func number(t *testing.T, ask fetch.Func) uint64 {
	t.Helper()
	resp, err := ask(t.Context(), fetch.GetRequest(base+"/vical", ""))
	if err != nil || resp.Status != 200 || resp.MediaType() != trustlist.MediaTypeVICAL {
		t.Fatalf("vical: %v %d %s", err, resp.Status, resp.Body)
	}
	v, err := trustlist.ParseVICAL(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return v.IssueID
}

func TestStrict(t *testing.T) {
	ctx := t.Context()
	w, s := published(t)
	get := func(path string) []byte {
		resp, err := testkit.Through(s.Handler())(ctx, fetch.GetRequest(base+path, ""))
		if err != nil || resp.Status != 200 {
			t.Fatalf("%s: %v %d %s", path, err, resp.Status, resp.Body)
		}
		return resp.Body
	}
	ca := pkitest.Parse(t, get("/ca.cer"))
	crl, err := pki.ParseCRL(get("/ca.crl"))
	if err != nil {
		t.Fatal(err)
	}
	o := trustlist.VerifyOptions{Now: w.Now(), Anchors: pki.NewPool(ca), CRLs: []*pki.CRL{crl}, Strict: true}
	v, err := trustlist.ParseVICAL(get("/vical"))
	if err != nil {
		t.Fatal(err)
	}
	if r := v.Verify(o); !r.OK() {
		t.Error(r.Err())
	}
	l, err := trustlist.ParseList(string(get("/anchors")))
	if err != nil {
		t.Fatal(err)
	}
	if r := l.Verify(o); !r.OK() {
		t.Error(r.Err())
	}
	get("/")
	get("/certificates")
}

func TestChange(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		w := newWorld(t, dsn)
		s := w.process(Config{})
		iaca, _, _ := w.demo()
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		listedIssuer := func() *x509.Certificate {
			t.Helper()
			set, err := follow(testkit.Through(s.Handler()), once.NewMemory(), "").Anchors(ctx, w.Now())
			if err != nil || len(set.For(trustlist.Issuer)) != 1 {
				t.Fatalf("%v", err)
			}
			return set.For(trustlist.Issuer)[0].Certificate
		}
		if err := s.Accept(ctx, "default", "issuing authority", ""); !errors.Is(err, ErrNothing) {
			t.Errorf("accept without a change: %v", err)
		}
		changed := authority(t, pki.IACARoot, "IACA", w.Now())
		w.serve(issuerURL, changed.Raw)
		w.Pass(time.Hour)
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := listedIssuer(); !got.Equal(iaca) {
			t.Error("a changed key is published before it was accepted")
		}
		anchors, err := s.Anchors(ctx, "default")
		if err != nil {
			t.Fatal(err)
		}
		if a := anchors[0]; a.Pending != hexSum(changed.Raw) || a.Fingerprint != hexSum(iaca.Raw) || !a.PendingSince.Equal(w.Now()) || a.By != "first use" {
			t.Errorf("changed source: %+v", a)
		}
		page, _ := testkit.Through(s.Handler())(ctx, fetch.GetRequest(base+"/", "text/html"))
		if !bytes.Contains(page.Body, []byte("changed, waits")) || !bytes.Contains(page.Body, []byte(grouped(hexSum(changed.Raw)))) {
			t.Error("the page does not show the change")
		}
		// The wrong fingerprint accepts nothing; nobody else can.
		if err := s.Accept(ctx, "default", "issuing authority", hexSum(iaca.Raw)); !errors.Is(err, ErrNothing) {
			t.Errorf("accept another one: %v", err)
		}
		if err := s.Accept(ctx, "default", "nobody", ""); !errors.Is(err, ErrUnknownSource) {
			t.Errorf("accept nobody: %v", err)
		}
		if err := s.Accept(ctx, "elsewhere", "issuing authority", ""); !errors.Is(err, ErrUnknownTenant) {
			t.Errorf("accept elsewhere: %v", err)
		}
		before := number(t, testkit.Through(s.Handler()))
		if err := s.Accept(ctx, "default", "issuing authority", hexSum(changed.Raw)); err != nil {
			t.Fatal(err)
		}
		if got := listedIssuer(); !got.Equal(changed) {
			t.Error("the accepted certificate is not published")
		}
		if got := number(t, testkit.Through(s.Handler())); got != before+1 {
			t.Errorf("issue %d after %d", got, before)
		}
		if anchors, err = s.Anchors(ctx, "default"); err != nil || anchors[0].Pending != "" || anchors[0].By != "operator" {
			t.Errorf("accepted source: %v %+v", err, anchors[0])
		}
		// The old one comes back: a change again. A change that goes away waits no more.
		w.serve(issuerURL, iaca.Raw)
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := listedIssuer(); !got.Equal(changed) {
			t.Error("the old key came back unasked")
		}
		w.serve(issuerURL, changed.Raw)
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if anchors, err = s.Anchors(ctx, "default"); err != nil || anchors[0].Pending != "" {
			t.Errorf("after the change went away: %v %+v", err, anchors[0])
		}
		if err := s.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := s.audit.Verify(ctx, tx, audit.Head{})
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestOffline lets a follower live on its copy, and refuses what somebody in
// between might send it.
func TestOffline(t *testing.T) {
	ctx := t.Context()
	w, s := published(t)
	ask, store := testkit.Through(s.Handler()), once.NewMemory()
	if _, err := follow(ask, store, "").Anchors(ctx, w.Now()); err != nil {
		t.Fatal(err)
	}
	offline := func(context.Context, fetch.Request) (fetch.Response, error) {
		return fetch.Response{}, errors.New("network is unreachable")
	}
	restarted := follow(offline, store, "")
	w.Pass(6 * day)
	if set, err := restarted.Anchors(ctx, w.Now()); err != nil || len(set.For(trustlist.Issuer)) != 1 {
		t.Errorf("offline for six days: %v", err)
	}
	w.Pass(2 * day)
	if _, err := restarted.Anchors(ctx, w.Now()); err == nil {
		t.Error("a copy is used after its end")
	}
	if _, err := follow(offline, once.NewMemory(), "").Anchors(ctx, w.Now()); err == nil {
		t.Error("anchors out of nothing")
	}
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}

	tampered := func(path string) fetch.Func {
		return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
			resp, err := ask(ctx, r)
			if strings.HasSuffix(r.URL, path) {
				resp.Body[len(resp.Body)/2] ^= 1
			}
			return resp, err
		}
	}
	for _, path := range []string{"/vical", "/anchors", "/ca.pem"} {
		if _, err := follow(tampered(path), once.NewMemory(), "").Anchors(ctx, w.Now()); err == nil {
			t.Errorf("tampered %s accepted", path)
		}
	}
	// Another service in its place: the pin does not fit, whether set at first
	// use or configured.
	elsewhere := newWorld(t, testkit.SQLite(t))
	elsewhere.Clock = w.Clock
	impostor := elsewhere.process(Config{})
	elsewhere.demo()
	if err := impostor.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := follow(testkit.Through(impostor.Handler()), store, "").Anchors(ctx, w.Now()); !errors.Is(err, assure.ErrChanged) {
		t.Errorf("elsewhere after first use: %v", err)
	}
	ca, err := ask(ctx, fetch.GetRequest(base+"/ca.cer", ""))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ca.Body)
	if _, err := follow(testkit.Through(impostor.Handler()), once.NewMemory(), hex.EncodeToString(sum[:])).Anchors(ctx, w.Now()); !errors.Is(err, assure.ErrChanged) {
		t.Errorf("elsewhere with a configured fingerprint: %v", err)
	}
	if _, err := follow(ask, once.NewMemory(), hex.EncodeToString(sum[:])).Anchors(ctx, w.Now()); err != nil {
		t.Errorf("the right one with a configured fingerprint: %v", err)
	}
	// The right CA, but the lists of another one.
	mixed := func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if strings.HasSuffix(r.URL, "/ca.pem") {
			return ask(ctx, r)
		}
		return testkit.Through(impostor.Handler())(ctx, r)
	}
	if _, err := follow(mixed, once.NewMemory(), "").Anchors(ctx, w.Now()); err == nil {
		t.Error("lists under another CA accepted")
	}
}

func TestProcesses(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		w := newWorld(t, dsn)
		w.demo()
		a, b := w.process(Config{}), w.process(Config{})
		var wg sync.WaitGroup
		for _, s := range []*Service{a, b} {
			wg.Go(func() {
				if err := s.Refresh(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		ra, _ := testkit.Through(a.Handler())(ctx, fetch.GetRequest(base+"/anchors", ""))
		rb, _ := testkit.Through(b.Handler())(ctx, fetch.GetRequest(base+"/anchors", ""))
		if ra.Status != 200 || !bytes.Equal(ra.Body, rb.Body) || ra.Get("etag") == "" || ra.Get("etag") != rb.Get("etag") {
			t.Errorf("two processes publish different lists: %d and %d bytes", len(ra.Body), len(rb.Body))
		}
	})
}

// TestConfigured pins only the certificate that the configuration names, and
// follows the configuration when it names another.
func TestConfigured(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, testkit.SQLite(t))
	iaca, _, _ := w.demo()
	next := authority(t, pki.IACARoot, "IACA", w.Now())
	configured := func(cert *x509.Certificate) Config {
		return Config{Tenants: []Tenant{{ID: "default", Name: "T", Country: "UT", Sources: []Source{{
			Name: "a", Purpose: trustlist.Issuer, URL: issuerURL, DocTypes: []string{"org.iso.18013.5.1.mDL"}, Fingerprint: colons(hexSum(cert.Raw)),
		}}}}}
	}
	s := w.process(configured(next))
	if err := s.Refresh(ctx); err == nil || !strings.Contains(err.Error(), "not the configured one") {
		t.Errorf("another certificate than the configured: %v", err)
	}
	if a, err := s.Anchors(ctx, "default"); err != nil || a[0].Fingerprint != "" || a[0].Problem == "" {
		t.Errorf("%v %+v", err, a)
	}
	for _, cert := range []*x509.Certificate{iaca, next} {
		w.serve(issuerURL, cert.Raw)
		s = w.process(configured(cert))
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Anchors(ctx, "default"); err != nil || a[0].Fingerprint != hexSum(cert.Raw) || a[0].By != "configuration" {
			t.Errorf("%v %+v", err, a)
		}
	}
	if got := number(t, testkit.Through(s.Handler())); got != 2 {
		t.Errorf("issue %d after two configurations", got)
	}
}

// colons writes a fingerprint in pairs with colons, as many tools do.
func colons(hex string) string {
	var out []string
	for i := 0; i < len(hex); i += 2 {
		out = append(out, hex[i:i+2])
	}
	return strings.Join(out, ":")
}

func TestReadAnchor(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	iaca, reader := authority(t, pki.IACARoot, "IACA", now), authority(t, pki.ReaderCA, "R", now)
	for name, c := range map[string]struct {
		data    []byte
		purpose trustlist.Purpose
		now     time.Time
		ok      bool
	}{
		"DER":           {iaca.Raw, trustlist.Issuer, now, true},
		"PEM":           {pki.EncodePEM(reader), trustlist.Verifier, now, true},
		"two":           {pki.EncodePEM(reader, iaca), trustlist.Reader, now, true},
		"with rubbish":  {append(pki.EncodePEM(reader), []byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")...), trustlist.Reader, now, false},
		"none":          {[]byte("<html>"), trustlist.Reader, now, false},
		"expired":       {iaca.Raw, trustlist.Issuer, now.AddDate(6, 0, 0), false},
		"not yet valid": {iaca.Raw, trustlist.Issuer, now.AddDate(-1, 0, 0), false},
		"changed":       {append(bytes.Clone(iaca.Raw[:len(iaca.Raw)-1]), iaca.Raw[len(iaca.Raw)-1]^1), trustlist.Issuer, now, false},
	} {
		if _, err := readAnchors(c.data, c.purpose, c.now); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := (Config{}).Check(); err != nil {
		t.Error(err)
	}
	source := Source{Name: "a", Purpose: trustlist.Reader, URL: "https://example.com/ca.cer"}
	with := func(f func(*Source)) Config {
		s := source
		f(&s)
		return Config{Tenants: []Tenant{{ID: "a", Name: "A", Country: "UT", Sources: []Source{s}}}}
	}
	if err := with(func(*Source) {}).Check(); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]Config{
		"loopback only":     {URL: "https://trust.example"},
		"lifetime":          {Lifetime: time.Second},
		"maxAge":            {MaxAge: 6 * day},
		"purpose":           with(func(s *Source) { s.Purpose = "friend" }),
		"docTypes":          with(func(s *Source) { s.Purpose = trustlist.Issuer }),
		"url: wanted https": with(func(s *Source) { s.URL = "http://example.com" }),
		"fingerprint":       with(func(s *Source) { s.Fingerprint = "abcd" }),
		"loa":               with(func(s *Source) { s.LoA = "highest" }),
		"given twice":       {Tenants: []Tenant{{ID: "a", Name: "A", Country: "UT", Sources: []Source{source, source}}}},
		"country":           {Tenants: []Tenant{{ID: "a", Name: "A"}}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzReadAnchor(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"), "issuer")
	f.Add([]byte{0x30, 0x82, 0x01}, "reader")
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte, purpose string) {
		s, err := readAnchors(data, trustlist.Purpose(purpose), now)
		if err == nil && len(s.roots) == 0 {
			t.Error("accepted without a root")
		}
		for _, cert := range s.roots {
			if !cert.IsCA || cert.CheckSignatureFrom(cert) != nil {
				t.Error("accepted what is no self-signed CA")
			}
		}
	})
}
