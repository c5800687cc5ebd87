package provider

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/statuslist"
)

// world is a provider, or several processes of one, and a clock.
type world struct {
	*testkit.Clock
	t       *testing.T
	dsn     string
	storage software.Storage
}

func newWorld(t *testing.T, dsn string) *world {
	return &world{t: t, dsn: dsn, storage: software.NewMemory(), Clock: testkit.NewClock()}
}

// process starts one process of the provider.
func (w *world) process(cfg Config) *Provider {
	w.t.Helper()
	ctx := w.t.Context()
	d, err := db.Open(ctx, w.dsn, "provider", Schema)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	area, err := software.Open(ctx, software.Options{Storage: w.storage, Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := New(cfg, Deps{DB: d, Area: area, Now: w.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// app is an installation with its instance key.
func app(t *testing.T, p *Provider) *attestation.Client {
	return &attestation.Client{Base: p.config.URL + "/default", Instance: testkit.Signer(t, elliptic.P256()), Fetch: testkit.Through(p.Handler())}
}

func installRequest() attestation.InstallRequest {
	return attestation.InstallRequest{
		Format: attestation.EvidenceSoftwareTOFU,
		App:    attestation.App{Name: "eidos", Version: "1.0", Platform: "linux/amd64"},
		Area:   attestation.Area{Type: "software"},
	}
}

// anchors trusts the CA that the provider publishes.
func anchors(t *testing.T, p *Provider) *assure.Anchors {
	t.Helper()
	resp, err := testkit.Through(p.Handler())(t.Context(), fetch.GetRequest(p.config.URL+"/default/ca.cer", ""))
	if err != nil || resp.Status != 200 || resp.MediaType() != "application/pkix-cert" {
		t.Fatalf("ca.cer: %v %d %s", err, resp.Status, resp.Body)
	}
	ca := pkitest.Parse(t, resp.Body)
	set, err := assure.NewAnchors(assure.FromCertificates(trustlist.WalletProvider, "test", ca)...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func trustIn(set *assure.Anchors) attestation.Trust {
	return func(_ context.Context, chain []*x509.Certificate, now time.Time) (attestation.Attester, error) {
		der := make([][]byte, len(chain))
		for i, c := range chain {
			der[i] = c.Raw
		}
		s, r := set.VerifyChain(der, trustlist.WalletProvider, now, assure.ChainOptions{Strict: true})
		return attestation.Attester{Name: s.Anchor.Name}, r.Err()
	}
}

// ask finds out what the provider's status lists say, as an issuer would.
func ask(t *testing.T, p *Provider, set *assure.Anchors, s attestation.Status, now time.Time) statuslist.Outcome {
	t.Helper()
	f := statuslist.NewFetcher(testkit.Through(p.Handler()), assure.StatusTrust(trustlist.WalletProvider, set.Snapshot), statuslist.Options{})
	q := statuslist.Question{Claim: status.Claim{List: &status.ListReference{Index: s.Reference.Index, URI: s.Reference.URI}}}
	ca := set.For(trustlist.WalletProvider)[0].Certificate
	signer, err := p.ring.Current(t.Context(), "default", "attestation", now)
	if err != nil {
		t.Fatal(err)
	}
	q.Issuer = [][]byte{signer.Record.Chain[0]}
	v, r := f.Check(t.Context(), q, now)
	if v.Outcome == statuslist.Unknown {
		t.Errorf("status list under %s: %v", ca.Subject, r.Err())
	}
	return v.Outcome
}

func TestLife(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		w := newWorld(t, dsn)
		p := w.process(Config{})
		if err := p.Prepare(ctx); err != nil {
			t.Fatal(err)
		}
		set := anchors(t, p)
		c := app(t, p)
		installed, err := c.Install(ctx, installRequest(), w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if installed.Level != attestation.LevelLow || installed.ClientID != "eidos-wallet" {
			t.Errorf("installed as %s, level %s", installed.ClientID, installed.Level)
		}
		wia, report := attestation.VerifyWalletInstance(ctx, installed.Attestation, trustIn(set), w.Now())
		if !report.OK() {
			t.Fatal(report.Err())
		}
		if wia.Level != attestation.LevelLow || wia.WalletName != "eidos wallet" || wia.Expires.Sub(wia.IssuedAt) >= 24*time.Hour {
			t.Errorf("attestation: %+v", wia)
		}
		if h, m, s := wia.Status.Ends.Clock(); h+m+s != 0 || wia.Status.Ends.Sub(w.Now()) < 400*day {
			t.Errorf("status ends %v: wanted a midnight in 400 days", wia.Status.Ends)
		}
		if got := ask(t, p, set, wia.Status, w.Now()); got != statuslist.Valid {
			t.Errorf("fresh instance is %s", got)
		}

		// Renewed for the same key, the place stays; for another key it is another.
		w.Pass(6 * time.Hour)
		renew := attestation.RenewRequest{InstanceID: installed.InstanceID, App: attestation.App{Name: "eidos", Version: "1.1", Platform: "linux/amd64"}}
		same := mustRenew(t, c, renew, nil, set, w.Now())
		if same.Status.Reference != wia.Status.Reference || same.WalletVersion != "1.1" {
			t.Errorf("renewed: %+v", same)
		}
		next := testkit.Signer(t, elliptic.P256())
		other := mustRenew(t, c, renew, next, set, w.Now())
		if other.Status.Reference == wia.Status.Reference {
			t.Error("two keys of one instance share a place in the status list")
		}
		if again := mustRenew(t, c, renew, next, set, w.Now()); again.Status.Reference != other.Status.Reference {
			t.Error("the same key got another place")
		}

		keys := []crypto.PublicKey{testkit.Signer(t, elliptic.P256()).Public(), testkit.Signer(t, elliptic.P256()).Public()}
		attested, err := c.AttestKeys(ctx, attestation.KeyAttestationRequest{
			InstanceID: installed.InstanceID, Keys: keys, Nonce: "c-nonce", Area: attestation.Area{Type: "tpm"},
		}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		ka, report := attestation.VerifyKeyAttestation(ctx, attested.KeyAttestation, trustIn(set), func(n string) error {
			if n != "c-nonce" {
				return errors.New("another nonce")
			}
			return nil
		}, w.Now())
		if !report.OK() {
			t.Fatal(report.Err())
		}
		if ka.Holds(keys[1]) != 1 || assure.LevelOfKey(ka.KeyStorage, ka.UserAuthentication) != assure.Low {
			t.Errorf("key attestation claims %v and %v", ka.KeyStorage, ka.UserAuthentication)
		}
		if got := ask(t, p, set, ka.Status, w.Now()); got != statuslist.Valid {
			t.Errorf("fresh keys are %s", got)
		}

		bystander := app(t, p)
		unharmed, err := bystander.Install(ctx, installRequest(), w.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.Pass(time.Minute)
		if err := p.Revoke(ctx, "default", installed.InstanceID, "lost"); err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]attestation.Status{"instance": wia.Status, "other key": other.Status, "keys": ka.Status} {
			if got := ask(t, p, set, s, w.Now()); got != statuslist.Invalid {
				t.Errorf("%s of a revoked instance: %s", name, got)
			}
		}
		left, err := attestation.ParseWalletInstance(unharmed.Attestation)
		if err != nil {
			t.Fatal(err)
		}
		if got := ask(t, p, set, left.Status, w.Now()); got != statuslist.Valid {
			t.Errorf("another instance is %s", got)
		}
		_, err = c.Renew(ctx, renew, nil, w.Now())
		wantCode(t, "renew", err, attestation.CodeRevoked)
		_, err = c.AttestKeys(ctx, attestation.KeyAttestationRequest{InstanceID: installed.InstanceID, Keys: keys, Area: attestation.Area{Type: "tpm"}}, w.Now())
		wantCode(t, "keys", err, attestation.CodeRevoked)
		_, err = c.Install(ctx, installRequest(), w.Now())
		wantCode(t, "install", err, attestation.CodeRevoked)
		_, err = bystander.Install(ctx, installRequest(), w.Now())
		wantCode(t, "install twice", err, attestation.CodeDuplicate)
		if _, err := bystander.Renew(ctx, attestation.RenewRequest{InstanceID: unharmed.InstanceID, App: renew.App}, nil, w.Now()); err != nil {
			t.Errorf("another instance: %v", err)
		}

		list, err := p.List(ctx, "default", Filter{})
		if err != nil || len(list) != 2 {
			t.Fatalf("list: %v, %d instances", err, len(list))
		}
		gone := list[1]
		if gone.ID != installed.InstanceID || gone.Reason != "lost" || gone.Revoked.IsZero() || gone.App.Version != "1.1" || gone.Evidence != "software-tofu" ||
			gone.Status != wia.Status.Reference || !gone.LastSeen.After(gone.Created) {
			t.Errorf("revoked instance: %+v", gone)
		}
		yes := true
		if list, err = p.List(ctx, "default", Filter{Revoked: &yes}); err != nil || len(list) != 1 || list[0].ID != gone.ID {
			t.Errorf("revoked ones: %v, %+v", err, list)
		}
		if err := p.Revoke(ctx, "default", gone.ID, "again"); err != nil {
			t.Error(err)
		}
		if list, err = p.List(ctx, "default", Filter{ID: gone.ID}); err != nil || list[0].Reason != "lost" {
			t.Errorf("revoked again: %v, %+v", err, list)
		}
		if err := p.Revoke(ctx, "default", "nobody", ""); !errors.Is(err, ErrUnknownInstance) {
			t.Errorf("revoke nobody: %v", err)
		}
		if err := p.Revoke(ctx, "elsewhere", gone.ID, ""); !errors.Is(err, ErrUnknownTenant) {
			t.Errorf("revoke elsewhere: %v", err)
		}
		err = p.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
			head, err := p.audit.Verify(ctx, tx, audit.Head{})
			if head.Seq != 7 { // three keys made, two instances registered, one revoked, a checkpoint
				t.Errorf("audit chain of %d events", head.Seq)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The status of app and keys is published for as long as an issuer prefers, at
// the last moment at which it may be shown the attestation; but no shorter than
// issuers can count on, and no longer than the provider wants.
func TestStatusPeriod(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.process(Config{MaxStatusPeriod: 500 * day})
	if err := p.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	set, c := anchors(t, p), app(t, p)
	installed, err := c.Install(t.Context(), installRequest(), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	renew := attestation.RenewRequest{InstanceID: installed.InstanceID, App: installRequest().App}
	ask := attestation.KeyAttestationRequest{InstanceID: installed.InstanceID, Area: installRequest().Area}
	first := mustRenew(t, c, renew, nil, set, w.Now())
	for preferred, want := range map[time.Duration]time.Duration{
		0: 400 * day, time.Second: 31 * day, 31 * day: 31 * day, 90 * day: 90 * day, 500 * day: 500 * day, 501 * day: 500 * day, attestation.MaxStatusPeriod: 500 * day,
	} {
		renew.StatusPeriod, ask.StatusPeriod = preferred, preferred
		wia := mustRenew(t, c, renew, testkit.Signer(t, elliptic.P256()), set, w.Now())
		ask.Keys = []crypto.PublicKey{testkit.Signer(t, elliptic.P256()).Public()}
		resp, err := c.AttestKeys(t.Context(), ask, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		keys, report := attestation.VerifyKeyAttestation(t.Context(), resp.KeyAttestation, trustIn(set), nil, w.Now())
		if !report.OK() {
			t.Fatal(report.Err())
		}
		for what, left := range map[string]time.Duration{"client": wia.Status.Ends.Sub(wia.Expires), "keys": keys.Status.Ends.Sub(keys.Expires)} {
			if left < want || left > want+day {
				t.Errorf("%s: %v preferred, status for %v after the attestation, wanted %v", what, preferred, left, want)
			}
		}
	}
	// What was promised once is kept, whatever is asked for later.
	renew.StatusPeriod = time.Second
	if wia := mustRenew(t, c, renew, nil, set, w.Now()); wia.Status.Reference != first.Status.Reference {
		t.Errorf("another place: %+v", wia.Status)
	}
	var kept bool
	err = p.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		thumb, err := jose.ThumbprintString(c.Instance.Public())
		if err != nil {
			return err
		}
		e, _, err := entryByName(ctx, tx, "default", installed.InstanceID, kindInstance, thumb)
		kept = !e.ends.Before(first.Status.Ends)
		return err
	})
	if err != nil || !kept {
		t.Errorf("an entry was promised for longer than it is kept, %v", err)
	}
}

func mustRenew(t *testing.T, c *attestation.Client, r attestation.RenewRequest, next *testkit.Key, set *assure.Anchors, now time.Time) *attestation.WalletInstance {
	t.Helper()
	var resp *attestation.InstallResponse
	var err error
	if next == nil {
		resp, err = c.Renew(t.Context(), r, nil, now)
	} else {
		resp, err = c.Renew(t.Context(), r, next, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, report := attestation.VerifyWalletInstance(t.Context(), resp.Attestation, trustIn(set), now)
	if !report.OK() {
		t.Fatal(report.Err())
	}
	return w
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*attestation.Error](err); !ok || e.Code != code {
		t.Errorf("%s: %v, wanted %s", what, err, code)
	}
}

// TestProcesses lets two processes of one provider start at once on an empty
// database: there is one root, and no place is given twice.
func TestProcesses(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		w := newWorld(t, dsn)
		processes := []*Provider{w.process(Config{}), w.process(Config{})}
		var mu sync.Mutex
		places := map[attestation.StatusReference]int{}
		var clients []*attestation.Client
		for _, p := range processes {
			clients = append(clients, app(t, p))
		}
		var wg sync.WaitGroup
		for i := range processes {
			wg.Go(func() {
				installed, err := clients[i].Install(ctx, installRequest(), w.Now())
				if err != nil {
					t.Error(err)
					return
				}
				first, err := attestation.ParseWalletInstance(installed.Attestation)
				if err != nil {
					t.Error(err)
					return
				}
				refs := []attestation.StatusReference{first.Status.Reference}
				for range 20 {
					r, err := clients[i].AttestKeys(ctx, attestation.KeyAttestationRequest{
						InstanceID: installed.InstanceID, Keys: []crypto.PublicKey{testkit.Signer(t, elliptic.P256()).Public()}, Area: attestation.Area{Type: "software"},
					}, w.Now())
					if err != nil {
						t.Error(err)
						return
					}
					k, err := attestation.ParseKeyAttestation(r.KeyAttestation)
					if err != nil {
						t.Error(err)
						return
					}
					refs = append(refs, k.Status.Reference)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, r := range refs {
					places[r]++
				}
			})
		}
		wg.Wait()
		if len(places) != 42 {
			t.Errorf("%d different places for 42 attestations", len(places))
		}
		one, other := anchors(t, processes[0]), anchors(t, processes[1])
		a, b := one.For(trustlist.WalletProvider)[0].Certificate, other.For(trustlist.WalletProvider)[0].Certificate
		if !a.Equal(b) {
			t.Error("two processes made two roots")
		}
		// A revocation in one process is seen through the other after its upkeep.
		list, err := processes[0].List(ctx, "default", Filter{})
		if err != nil || len(list) != 2 {
			t.Fatalf("%v, %d instances", err, len(list))
		}
		s := attestation.Status{Reference: list[0].Status}
		if got := ask(t, processes[1], one, s, w.Now()); got != statuslist.Valid {
			t.Fatalf("before: %s", got)
		}
		w.Pass(time.Second)
		if err := processes[0].Revoke(ctx, "default", list[0].ID, ""); err != nil {
			t.Fatal(err)
		}
		if err := processes[1].Prepare(ctx); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, processes[1], one, s, w.Now()); got != statuslist.Invalid {
			t.Errorf("through the other process: %s", got)
		}
	})
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, testkit.SQLite(t))
	p := w.process(Config{})
	c := app(t, p)
	installed, err := c.Install(ctx, installRequest(), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	stranger := &attestation.Client{Base: c.Base, Instance: testkit.Signer(t, elliptic.P256()), Fetch: c.Fetch}
	_, err = stranger.Renew(ctx, attestation.RenewRequest{InstanceID: installed.InstanceID, App: installRequest().App}, nil, w.Now())
	wantCode(t, "a stranger's key", err, attestation.CodeInvalidProof)
	_, err = stranger.Renew(ctx, attestation.RenewRequest{InstanceID: "nobody", App: installRequest().App}, nil, w.Now())
	wantCode(t, "unknown instance", err, attestation.CodeUnknownInstance)
	r := installRequest()
	r.Format, r.Evidence = "android-key", []byte("evidence")
	_, err = stranger.Install(ctx, r, w.Now())
	wantCode(t, "evidence", err, attestation.CodeEvidence)

	// The same request a second time: its challenge is used up.
	var seen fetch.Request
	recorder := &attestation.Client{Base: c.Base, Instance: stranger.Instance, Fetch: func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		seen = r
		return c.Fetch(ctx, r)
	}}
	if _, err := recorder.Install(ctx, installRequest(), w.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Fetch(ctx, seen)
	if err != nil || resp.Status != 400 || !bytes.Contains(resp.Body, []byte(attestation.CodeUseChallenge)) {
		t.Errorf("replayed: %v %d %s", err, resp.Status, resp.Body)
	}

	strict := w.process(Config{Tenants: []Tenant{{ID: "default", Name: "strict", Organization: "strict", ClientID: "strict", RefuseTOFU: true}}})
	_, err = app(t, strict).Install(ctx, installRequest(), w.Now())
	wantCode(t, "refused TOFU", err, attestation.CodeEvidence)
}

func TestPages(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, testkit.SQLite(t))
	p := w.process(Config{})
	if _, err := app(t, p).Install(ctx, installRequest(), w.Now()); err != nil {
		t.Fatal(err)
	}
	get := func(path string, header map[string]string) fetch.Response {
		t.Helper()
		r := fetch.GetRequest("http://provider.localhost:8080"+path, "")
		for k, v := range header {
			if r.Header == nil {
				r.Header = map[string]string{}
			}
			r.Header[k] = v
		}
		resp, err := testkit.Through(p.Handler())(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/default/ca.cer": 200, "/default/certificates": 200, "/.well-known/eidos-provider/default": 200,
		"/default/status": 200, "/default/status/none": 404, "/nobody/status": 404, "/nobody/ca.cer": 404,
	} {
		if got := get(path, nil); got.Status != want {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	var lists struct {
		StatusLists []string `json:"status_lists"`
	}
	if err := json.Unmarshal(get("/default/status", nil).Body, &lists); err != nil || len(lists.StatusLists) != 1 {
		t.Fatalf("lists: %v %v", err, lists)
	}
	path := strings.TrimPrefix(lists.StatusLists[0], "http://provider.localhost:8080")
	jwt := get(path, nil)
	if jwt.MediaType() != status.MediaListJWT || jwt.Get("cache-control") != "public, max-age=300" {
		t.Errorf("list: %v", jwt.Header)
	}
	if cwt := get(path, map[string]string{"Accept": status.MediaListCWT}); cwt.MediaType() != status.MediaListCWT || cwt.Get("etag") == jwt.Get("etag") {
		t.Errorf("CWT: %v", cwt.Header)
	}
	if again := get(path, map[string]string{"If-None-Match": jwt.Get("etag")}); again.Status != 304 || len(again.Body) != 0 {
		t.Errorf("known list: %d", again.Status)
	}
	if got := get(path, map[string]string{"Accept": "text/html"}); got.Status != 406 {
		t.Errorf("list as text/html: %d", got.Status)
	}
	// Half over, Prepare signs it again; over and unprepared, a request does.
	w.Pass(13 * time.Hour)
	if err := p.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	fresh := get(path, nil)
	if fresh.Get("etag") == jwt.Get("etag") {
		t.Error("a list that is half over was not signed again")
	}
	w.Pass(25 * time.Hour)
	if last := get(path, nil); last.Get("etag") == fresh.Get("etag") {
		t.Error("a list that has expired was served")
	}
	// Signers are renewed in time, the root is not.
	ca := get("/default/ca.cer", nil).Body
	w.Pass(350 * day)
	if err := p.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	var certs []struct {
		Name, Purpose       string
		NotBefore, NotAfter time.Time
	}
	if err := json.Unmarshal(get("/default/certificates", nil).Body, &certs); err != nil || len(certs) != 5 {
		t.Errorf("certificates: %v %+v", err, certs)
	}
	if !bytes.Equal(ca, get("/default/ca.cer", nil).Body) {
		t.Error("the root changed")
	}
}

func TestConfig(t *testing.T) {
	if err := (Config{}).Check(); err != nil {
		t.Error(err)
	}
	product := Tenant{ID: "app", Name: "App", Organization: "Makers", ClientID: "app"}
	for name, c := range map[string]Config{
		"url: wanted https":    {URL: "http://example.com", Tenants: []Tenant{product}},
		"url: wanted an":       {URL: "https://example.com/x", Tenants: []Tenant{product}},
		"loopback only":        {URL: "https://example.com"},
		"given twice":          {Tenants: []Tenant{product, product}},
		"attestationLifetime":  {AttestationLifetime: 24 * time.Hour},
		"statusTTL":            {StatusTTL: 48 * time.Hour},
		"maxStatusPeriod":      {StatusPeriod: 40 * day, MaxStatusPeriod: 39 * day},
		"clientID: wanted":     {Tenants: []Tenant{{ID: "a", Name: "a", Organization: "a"}}},
		"id: wanted":           {Tenants: []Tenant{{ID: "A/b", Name: "a", Organization: "a", ClientID: "a"}}},
		"country: wanted":      {Tenants: []Tenant{{ID: "a", Name: "a", Organization: "a", ClientID: "a", Country: "xx"}}},
		"revokeLink: wanted":   {Tenants: []Tenant{{ID: "a", Name: "a", Organization: "a", ClientID: "a", RevokeLink: "javascript:x"}}},
		"organization: wanted": {Tenants: []Tenant{{ID: "a", Name: "a", ClientID: "a"}}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Config{URL: "https://wallet.example", Tenants: []Tenant{product}}).Check(); err != nil {
		t.Error(err)
	}
}

// FuzzRequest sends anything to the endpoints that take a signed request:
// nothing but a refusal may come of it.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{"", "{}", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.e30.AA", strings.Repeat("x", 300<<10)} {
		f.Add("instances", []byte(s))
		f.Add("instances/abc/keys", []byte(s))
	}
	dsn := "sqlite:" + f.TempDir() + "/fuzz.db"
	d, err := db.Open(f.Context(), dsn, "provider", Schema)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	area, err := software.Open(f.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		f.Fatal(err)
	}
	p, err := New(Config{}, Deps{DB: d, Area: area})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if !slices.Contains([]string{"instances", "instances/abc/keys", "instances/abc/attestation"}, path) {
			return
		}
		r := httptest.NewRequest("POST", fmt.Sprintf("http://provider.localhost:8080/default/%s", path), bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/jwt")
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, r)
		if text, _ := io.ReadAll(w.Body); w.Code < 400 || w.Code >= 500 {
			t.Errorf("%d %s", w.Code, text)
		}
	})
}
