package issuer

import (
	"context"
	"crypto/elliptic"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/google/go-cmp/cmp"
)

func TestRevoke(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p, token := w.accept("ada", "mdl")
		var all []assure.Document
		for range 2 {
			list, signers, err := p.get(token, "mdl", 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				d, state := w.verify(c, signers)
				if state != status.Valid {
					t.Fatalf("before: %v", state)
				}
				all = append(all, d)
			}
		}
		other, token2 := w.accept("jonas", "mdl")
		list, signers, err := other.get(token2, "mdl", 1)
		if err != nil {
			t.Fatal(err)
		}
		// A second process has the old list in memory.
		second := w.open()
		uri := all[0].Result.Status.List.URI
		before, err := via(second)(t.Context(), fetch.GetRequest(uri, ""))
		if err != nil || before.Status != 200 {
			t.Fatalf("list: %v %d", err, before.Status)
		}

		var ids []string
		for range 2 { // twice is the same as once
			got, err := w.authority.Revoke(t.Context(), "default", Selection{Subject: "ada", Offering: "mdl"}, "stolen")
			if err != nil || len(got) != 1 || ids != nil && ids[0] != got[0] {
				t.Fatalf("revoke: %v, %v", got, err)
			}
			ids = got
		}
		for _, d := range all {
			if state := w.published(d); state != status.Invalid {
				t.Errorf("after: index %d is %v", d.Result.Status.List.Index, state)
			}
		}
		if _, state := w.verify(list[0], signers); state != status.Valid {
			t.Error("somebody else's document was revoked too")
		}
		if err := second.maintain(t.Context()); err != nil { // by which it learns of it
			t.Fatal(err)
		}
		after, err := via(second)(t.Context(), fetch.GetRequest(uri, ""))
		if err != nil || after.Get("etag") == before.Get("etag") {
			t.Errorf("the second process serves the old list: %v", err)
		}
		found, err := w.authority.List(t.Context(), "default", Filter{State: StateRevoked})
		if err != nil || len(found) != 1 || found[0].ID != ids[0] || found[0].Reason != "stolen" {
			t.Errorf("revoked: %+v, %v", found, err)
		}
		_, _, err = p.get(token, "mdl", 1)
		wantCode(t, "more copies of a revoked document", err, oid4vci.CodeDenied)
		if _, err := w.authority.Revoke(t.Context(), "default", Selection{Document: "none"}, ""); !errors.Is(err, ErrUnknownDocument) {
			t.Errorf("unknown document: %v", err)
		}
		audited(t, w)
		noPersonalData(t, w)
	})
}

// audited verifies the chains and looks for the events.
func audited(t *testing.T, w *world) {
	t.Helper()
	err := w.authority.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		chains, err := audit.Chains(ctx, tx)
		if err != nil {
			return err
		}
		rows := int64(0)
		for _, c := range chains {
			head, err := audit.Verify(ctx, tx, c, audit.Head{})
			if err != nil {
				return err
			}
			rows += head.Seq
		}
		if rows < 6 { // two keys, two offers, three batches, a revocation: less a race
			t.Errorf("%d audit events", rows)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Two processes on one database: everything that is for one use is used once.
func TestTwoProcesses(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		both := []*Authority{w.authority, w.open()}
		oneRoot(t, both)
		p, token := w.oneWinner(t, both)
		w.oneBatch(t, both, p, token)
		w.noIndexTwice(t, both)
	})
}

// oneRoot starts both at once.
func oneRoot(t *testing.T, both []*Authority) {
	var wg sync.WaitGroup
	for _, a := range both {
		wg.Go(func() {
			if err := a.maintain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	roots := map[string]bool{}
	for _, a := range both {
		resp, err := via(a)(t.Context(), fetch.GetRequest(base+"/iaca.cer", ""))
		if err != nil || resp.Status != 200 {
			t.Fatalf("root: %v, %d", err, resp.Status)
		}
		roots[string(resp.Body)] = true
	}
	if len(roots) != 1 {
		t.Errorf("%d roots", len(roots))
	}
}

// oneWinner redeems an offer at both at once.
func (w *world) oneWinner(t *testing.T, both []*Authority) (*app, *oauth.Token) {
	o := w.offer("ada", "mdl")
	apps := []*app{w.newApp(both[0]), w.newApp(both[1])}
	offer, err := oid4vci.ReadOffer(t.Context(), apps[0].fetch, o.Link)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	tokens := make([]*oauth.Token, 2)
	for i, p := range apps {
		wg.Go(func() {
			tokens[i], _ = p.oauth.RedeemPreAuthorized(t.Context(), offer.PreAuthorized.Code, o.TxCode, nil, w.Now())
		})
	}
	wg.Wait()
	if (tokens[0] == nil) == (tokens[1] == nil) {
		t.Fatalf("tokens: %v and %v, want exactly one", tokens[0] != nil, tokens[1] != nil)
	}
	if tokens[0] == nil {
		return apps[1], tokens[1]
	}
	return apps[0], tokens[0]
}

// oneBatch uses a nonce of one at both at once.
func (w *world) oneBatch(t *testing.T, both []*Authority, p *app, token *oauth.Token) {
	c := &oid4vci.Client{Metadata: p.metadata, OAuth: p.oauth, Token: token}
	nonce, err := c.Nonce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signers, attested := p.keys(3, nonce)
	var wg sync.WaitGroup
	got := make([]oid4vci.Answer, 2)
	for i, a := range both {
		client := &oauth.Client{Server: p.oauth.Server, ID: walletID, DPoP: p.oauth.DPoP, Fetch: via(a), Attestation: p.oauth.Attestation, Instance: p.oauth.Instance}
		wg.Go(func() {
			c := &oid4vci.Client{Metadata: p.metadata, OAuth: client, Token: token}
			got[i], _ = c.Request(t.Context(), "mdl", signers, nonce, attested, w.Now())
		})
	}
	wg.Wait()
	if (got[0].Credentials == nil) == (got[1].Credentials == nil) {
		t.Errorf("documents for one nonce: %d and %d", len(got[0].Credentials), len(got[1].Credentials))
	}
}

// noIndexTwice issues at both at once.
func (w *world) noIndexTwice(t *testing.T, both []*Authority) {
	var wg sync.WaitGroup
	seen, mu := map[uint64]bool{}, sync.Mutex{}
	for i, a := range both {
		o := w.offer([]string{"ada", "jonas"}[i], "mdl")
		p := w.newApp(a)
		wg.Go(func() {
			token, _, err := p.redeem(o, o.TxCode)
			for range 2 {
				if err != nil {
					break
				}
				var list []string
				if list, _, err = p.get(token, "mdl", 5); err != nil {
					break
				}
				for _, c := range list {
					mu.Lock()
					seen[index(t, c)] = true
					mu.Unlock()
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(seen) != 20 {
		t.Errorf("%d indexes for 20 copies", len(seen))
	}
}

// index is where a copy stands in its status list.
func index(t *testing.T, credential string) uint64 {
	raw, err := oid4vci.DecodeMdoc(credential)
	if err != nil {
		t.Error(err)
		return 0
	}
	signed, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		t.Error(err)
		return 0
	}
	return signed.Auth.MSO.Status.List.Index
}

func TestStatusCaching(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, token := w.accept("ada", "mdl")
	list, signers, err := p.get(token, "mdl", 1)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := w.verify(list[0], signers)
	uri := d.Result.Status.List.URI
	request := fetch.GetRequest(uri, status.MediaListJWT)
	first, _ := p.fetch(t.Context(), request)
	if first.Get("cache-control") != "public, max-age=300" || first.Get("etag") == "" {
		t.Errorf("headers: %v", first.Header)
	}
	request.Header["if-none-match"] = first.Get("etag")
	if again, _ := p.fetch(t.Context(), request); again.Status != 304 {
		t.Errorf("unchanged: %d", again.Status)
	}
	if bad, _ := p.fetch(t.Context(), fetch.GetRequest(uri, "text/plain")); bad.Status != 406 {
		t.Errorf("neither format wanted: %d", bad.Status)
	}
	if bad, _ := p.fetch(t.Context(), fetch.GetRequest(base+"/status/unknown", "")); bad.Status != 404 {
		t.Errorf("unknown list: %d", bad.Status)
	}
	w.Pass(13 * time.Hour) // more than half of its life
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if renewed, _ := p.fetch(t.Context(), request); renewed.Status != 200 {
		t.Errorf("after half of its life: %d", renewed.Status)
	}
}

// Signers are replaced before they are too old for what they sign.
func TestRotation(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := w.authority.tenants["default"].ca.Key(t.Context(), "ds", w.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(signerLifetime - 40*day)
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := w.authority.tenants["default"].ca.Key(t.Context(), "ds", w.Now())
	if err != nil || after.Record.ID == before.Record.ID {
		t.Errorf("the old document signer is still current: %v", err)
	}
	alive, err := w.authority.ring.Alive(t.Context(), "default", "ds", w.Now())
	if err != nil || len(alive) != 2 {
		t.Errorf("%d document signers alive, want both: %v", len(alive), err)
	}
	if cert, err := after.Certificate(); err != nil || cert.NotAfter.Sub(cert.NotBefore) > 457*day || cert.NotBefore.After(w.Now().Add(-2*day)) {
		t.Errorf("certificate of the new one: %v", err)
	}
}

func BenchmarkIssueBatchOf10(b *testing.B) {
	w := newWorld(b, testkit.SQLite(b))
	w.authority.config.BatchesPerDay = 1 << 30
	p, token := w.accept("ada", "mdl")
	// What counts is the time that the authority takes for a request.
	var spent time.Duration
	send := p.fetch
	p.oauth.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		start := time.Now()
		defer func() {
			if strings.HasSuffix(r.URL, "/credential") {
				spent += time.Since(start)
			}
		}()
		return send(ctx, r)
	}
	for b.Loop() {
		if _, _, err := p.get(token, "mdl", 10); err != nil {
			b.Fatal(err)
		}
	}
	k := testkit.Signer(b, elliptic.P256())
	start, n := time.Now(), 2000
	for range n {
		if _, err := k.Sign(b.Context(), []byte("x")); err != nil {
			b.Fatal(err)
		}
	}
	one := time.Since(start) / time.Duration(n)
	b.ReportMetric(float64(spent)/float64(b.N)/1e6, "ms/batch")
	b.ReportMetric(float64(spent)/float64(b.N)/float64(one)/10, "signatures/copy")
}

func TestMetadata(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.newApp(w.authority)
	if p.metadata.BatchSize() != 10 || p.oauth.Server.ChallengeEndpoint == "" {
		t.Errorf("batch size %d, challenge endpoint %q", p.metadata.BatchSize(), p.oauth.Server.ChallengeEndpoint)
	}
	mdl := p.metadata.Configurations["mdl"]
	if mdl.DocType != "org.iso.18013.5.1.mDL" || mdl.Scope != "mdl" || mdl.ProofTypes[oid4vci.ProofAttestation].KeyAttestations == nil {
		t.Errorf("mdl: %+v", mdl)
	}
	found := map[string]oid4vci.Claim{}
	for _, c := range mdl.CredentialMetadata.Claims {
		found[c.Path[1].(string)] = c
	}
	if c := found["family_name"]; !c.Mandatory || len(c.Display) < 2 || c.Display[0].Name == "" {
		t.Errorf("family_name: %+v", c)
	}
	if _, ok := found["age_over_18"]; !ok {
		t.Error("age_over_18 is not announced")
	}
	for id, c := range p.metadata.Configurations["photoid"].CredentialMetadata.Claims {
		if c.Path[1] == "person_id" {
			t.Errorf("claim %d is left out of the offering, but announced", id)
		}
	}
}

// The published list says that the signer is good.
func TestCRL(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	crl := w.crl(t, "/iaca.crl")
	signer, err := w.authority.tenants["default"].ca.Key(t.Context(), keyring.DocSigner, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, report := w.anchors().VerifyChain(signer.Record.Chain, trustlist.Issuer, w.Now(), assure.ChainOptions{
		Strict: true, CRLs: []*pki.CRL{crl}, RequireRevocation: true,
	})
	if !report.OK() {
		t.Error(report.Failed())
	}
	w.Pass(20 * day)
	if again := w.crl(t, "/iaca.crl"); again.Number().Cmp(crl.Number()) <= 0 {
		t.Error("the list was not renewed")
	}
}

// What an offering says about its copies and about the status of app and keys
// stands in the metadata; without it, nothing does.
func TestReuseInMetadata(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	read := func() *oid4vci.Metadata {
		t.Helper()
		m, err := oid4vci.Discover(t.Context(), via(w.authority), base)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	plain := read()
	if _, ok := plain.Configurations["mdl"].Reuse(); ok || plain.ClientStatusPeriod != 0 ||
		plain.Configurations["mdl"].ProofTypes["jwt"].KeyAttestations.StatusPeriod != 0 {
		t.Errorf("%+v", plain.Configurations["mdl"])
	}
	offer := func(id string, change func(*offering.Offering)) offering.Offering {
		t.Helper()
		o := w.authority.tenants["default"].offerings[id]
		change(&o)
		o, err := o.Complete(w.authority.types)
		if err != nil {
			t.Fatal(err)
		}
		w.authority.tenants["default"].offerings[id] = o
		return o
	}
	offer("mdl", func(o *offering.Offering) { o.Reuse, o.StatusPeriod = offering.Methods{offering.ReuseOnce}, 31 })
	offer("pid", func(o *offering.Offering) { o.Reuse, o.Batch = offering.Methods{offering.ReuseLimited}, 1 })
	offer("photoid", func(o *offering.Offering) {
		o.Reuse, o.ReissueUnused, o.ReissueLeft = offering.Methods{offering.ReusePerParty, offering.ReuseRotating, offering.ReuseOnce}, 2, 3
	})
	offer("pid-sd-jwt", func(o *offering.Offering) { o.Reuse = offering.Methods{offering.ReuseRotating, offering.ReuseLimited} })
	m := read()
	const day = 24 * 3600
	for id, want := range map[string][]oid4vci.ReuseOption{
		"mdl": {{Details: []string{"once_only"}, BatchSize: 10, Unused: 2}},
		"pid": {{Details: []string{"limited_time"}, LifetimeLeft: 14 * day / 3}},
		"photoid": {{Details: []string{"per-relying-party"}, BatchSize: 5, Unused: 2, LifetimeLeft: 3 * day},
			{Details: []string{"rotating-batch"}, BatchSize: 5, LifetimeLeft: 3 * day}, {Details: []string{"once_only"}, BatchSize: 5, Unused: 2}},
		"pid-sd-jwt": {{Details: []string{"rotating-batch"}, BatchSize: 10, LifetimeLeft: 14 * day / 3},
			{Details: []string{"limited_time"}, LifetimeLeft: 14 * day / 3}},
	} {
		policy := m.Configurations[id].CredentialMetadata.ReusePolicy
		if policy == nil || policy.ID != oid4vci.ReusePolicyARF || !cmp.Equal(policy.Options, want) {
			t.Errorf("%s: %+v", id, policy)
		}
		if r, ok := m.Configurations[id].Reuse(); !ok || !cmp.Equal(r, want[0]) {
			t.Errorf("%s: a wallet reads %+v, %v", id, r, ok)
		}
	}
	if month := int64(31 * 24 * 3600); m.ClientStatusPeriod != month || m.Configurations["mdl"].ProofTypes["jwt"].KeyAttestations.StatusPeriod != month {
		t.Errorf("%d", m.ClientStatusPeriod)
	}
}
