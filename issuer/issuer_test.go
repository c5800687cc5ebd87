package issuer

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/statuslist"
)

const (
	base     = "http://issuer.localhost:8080/default"
	walletID = "eidos-wallet"
	redirect = "http://127.0.0.1:8423/authorized"
)

// world is an authority, and a provider that it trusts.
type world struct {
	*testkit.Clock
	t         testing.TB
	dsn       string
	storage   *software.Memory
	register  string
	authority *Authority
	log       *testkit.Log
	clients   []Client // besides the demonstration's

	// Where the authority runs in processes of its own: see process_test.go.
	keys, sockets string
	remote        fetch.Func

	provider struct {
		key   *testkit.Key
		chain []*x509.Certificate
		root  *x509.Certificate
	}
	level    assure.Level // that the provider is believed about
	unlisted bool         // the provider is not in the list until the next refresh
}

func newWorld(t testing.TB, dsn string) *world {
	t.Helper()
	w := &world{
		t: t, dsn: dsn, storage: software.NewMemory(), register: t.TempDir(), log: &testkit.Log{},
		Clock: testkit.NewClock(),
	}
	if err := os.CopyFS(w.register, os.DirFS("../cmd/eidos/demodata")); err != nil {
		t.Fatal(err)
	}
	w.makeProvider()
	w.authority = w.open()
	return w
}

func (w *world) registerFile() string { return filepath.Join(w.register, "registry.csv") }

// open starts an authority on the world's database and secure area.
func (w *world) open() *Authority {
	w.t.Helper()
	ctx := context.Background()
	database, err := db.Open(ctx, w.dsn, "issuer", Schema)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { database.Close() })
	area, err := software.Open(ctx, software.Options{Storage: w.storage, Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		w.t.Fatal(err)
	}
	tenant := DemoTenant()
	tenant.Source = w.registerFile()
	tenant.Clients = append(tenant.Clients, w.clients...)
	a, err := New(Config{Tenants: []Tenant{tenant}}, Deps{
		DB: database, Area: area, Now: w.Now, Log: slog.New(slog.NewJSONHandler(w.log, nil)),
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) {
			if w.unlisted {
				return assure.NewAnchors()
			}
			list := assure.FromCertificates(trustlist.WalletProvider, "test", w.provider.root)
			list[0].LoA = w.level
			return assure.NewAnchors(list...)
		},
		Refresh: func(context.Context, time.Time) error {
			w.unlisted = false
			return nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) makeProvider() {
	w.t.Helper()
	ca := testkit.Signer(w.t, elliptic.P256())
	notBefore, notAfter := pki.Validity(w.Now(), 400*day)
	w.provider.root = pkitest.Issue(w.t, pki.ServiceCA, pki.Template{
		Subject: pki.Name{CommonName: "Test provider CA"}, PublicKey: ca.Public(), NotBefore: notBefore, NotAfter: notAfter,
	}, ca)
	w.provider.key = testkit.Signer(w.t, elliptic.P256())
	w.provider.chain = []*x509.Certificate{pkitest.Issue(w.t, pki.WalletProvider, pki.Template{
		Subject: pki.Name{CommonName: "Test provider"}, PublicKey: w.provider.key.Public(), Issuer: w.provider.root, NotBefore: notBefore, NotAfter: notAfter,
	}, ca)}
}

// via is a fetch.Func that calls an authority's handler.
func via(a *Authority) fetch.Func { return testkit.Through(a.Handler()) }

// fetch reaches the world's authority.
func (w *world) fetch() fetch.Func {
	if w.remote != nil {
		return w.remote
	}
	return via(w.authority)
}

// app is the wallet's side, without the wallet.
type app struct {
	world    *world
	fetch    fetch.Func
	oauth    *oauth.Client
	metadata *oid4vci.Metadata
	ends     time.Time // of the status of instance and keys
	answer   oid4vci.Answer
}

// newApp installs an app: its provider vouches for it.
func (w *world) newApp(a *Authority) *app {
	w.t.Helper()
	p, err := w.install(via(a))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// install is newApp for an authority that may not answer.
func (w *world) install(reach fetch.Func) (*app, error) {
	w.t.Helper()
	ctx := context.Background()
	p := &app{world: w, fetch: reach, ends: w.Now().Add(31 * day)}
	var err error
	if p.metadata, err = oid4vci.Discover(ctx, p.fetch, base); err != nil {
		return nil, err
	}
	server, err := oauth.Discover(ctx, p.fetch, base)
	if err != nil {
		return nil, err
	}
	instance := testkit.Signer(w.t, elliptic.P256())
	p.oauth = &oauth.Client{
		Server: server, ID: walletID, RedirectURI: redirect, DPoP: testkit.Signer(w.t, elliptic.P256()), Fetch: p.fetch,
		Attestation: w.attest(walletID, instance.Public(), p), Instance: instance,
	}
	return p, nil
}

// attest is what the provider says of an instance of a client now.
func (w *world) attest(clientID string, instance crypto.PublicKey, p *app) string {
	w.t.Helper()
	attested, err := attestation.WalletInstance{
		Issuer: "http://provider.localhost:8080/default", ClientID: clientID, Key: instance, IssuedAt: w.Now(), Expires: w.Now().Add(12 * time.Hour),
		WalletName: "eidos", WalletVersion: "1", Level: attestation.LevelLow, Status: p.status(3),
	}.Sign(context.Background(), w.provider.key, w.provider.chain)
	if err != nil {
		w.t.Fatal(err)
	}
	return attested
}

func (p *app) status(index uint64) attestation.Status {
	return attestation.Status{Reference: attestation.StatusReference{Index: index, URI: "http://provider.localhost:8080/default/status/x"}, Ends: p.ends}
}

// keys makes keys and what the provider says about them.
func (p *app) keys(n int, nonce string) ([]key.Signer, string) {
	p.world.t.Helper()
	var signers []key.Signer
	var publics []crypto.PublicKey
	for range n {
		k := testkit.Signer(p.world.t, elliptic.P256())
		signers, publics = append(signers, k), append(publics, k.Public())
	}
	token, err := attestation.KeyAttestation{
		IssuedAt: p.world.Now(), Expires: p.world.Now().Add(time.Hour), Keys: publics, Nonce: nonce, Status: p.status(4),
	}.Sign(context.Background(), p.world.provider.key, p.world.provider.chain)
	if err != nil {
		p.world.t.Fatal(err)
	}
	return signers, token
}

// get asks for n copies with a token.
func (p *app) get(token *oauth.Token, configuration string, n int) ([]string, []key.Signer, error) {
	p.world.t.Helper()
	ctx := context.Background()
	c := &oid4vci.Client{Metadata: p.metadata, OAuth: p.oauth, Token: token}
	nonce, err := c.Nonce(ctx)
	if err != nil {
		return nil, nil, err
	}
	signers, attested := p.keys(n, nonce)
	answer, err := c.Request(ctx, configuration, signers, nonce, attested, p.world.Now())
	p.answer = answer
	return answer.Credentials, signers, err
}

// redeem reads an offer and gets a token for it.
func (p *app) redeem(o Offer, pin string) (*oauth.Token, *oid4vci.Offer, error) {
	ctx := context.Background()
	offer, err := oid4vci.ReadOffer(ctx, p.fetch, o.Link)
	if err != nil {
		return nil, nil, err
	}
	token, err := p.oauth.RedeemPreAuthorized(ctx, offer.PreAuthorized.Code, pin, nil, p.world.Now())
	return token, offer, err
}

func (w *world) offer(subject string, offerings ...string) Offer {
	w.t.Helper()
	o, err := w.authority.Offer(context.Background(), "default", OfferParams{Offerings: offerings, Subject: subject, TxCode: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// accept is an app that has redeemed an offer, with its token.
func (w *world) accept(subject string, offerings ...string) (*app, *oauth.Token) {
	w.t.Helper()
	p, o := w.newApp(w.authority), w.offer(subject, offerings...)
	token, _, err := p.redeem(o, o.TxCode)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, token
}

// parsed is an mdoc as the app got it.
func parsed(t testing.TB, credential string) *mdoc.IssuerSigned {
	t.Helper()
	raw, err := oid4vci.DecodeMdoc(credential)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// crl is a revocation list of the authority.
func (w *world) crl(t testing.TB, path string) *pki.CRL {
	t.Helper()
	resp, err := via(w.authority)(t.Context(), fetch.GetRequest(base+path, ""))
	if err != nil || resp.Status != 200 {
		t.Fatal(err, resp.Status)
	}
	crl, err := pki.ParseCRL(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return crl
}

// anchors of a verifier that trusts the authority.
func (w *world) anchors() *assure.Anchors {
	w.t.Helper()
	resp, err := w.fetch()(context.Background(), fetch.GetRequest(base+"/iaca.cer", ""))
	if err != nil || resp.Status != 200 {
		w.t.Fatalf("root: %v, status %d", err, resp.Status)
	}
	root := pkitest.Parse(w.t, resp.Body)
	anchors, err := assure.NewAnchors(assure.FromCertificates(trustlist.Issuer, "test", root)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return anchors
}

// verify checks a credential as the app that takes it in, and returns it with
// the state that the authority publishes.
func (w *world) verify(credential string, signers []key.Signer) (assure.Document, status.Status) {
	w.t.Helper()
	raw, err := oid4vci.DecodeMdoc(credential)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	if report := mdoc.Lint(raw); !report.OK() {
		w.t.Fatalf("lint: %v", report.Failed())
	}
	bound, err := signed.Auth.MSO.DevicePublicKey()
	if err != nil || !slices.ContainsFunc(signers, func(s key.Signer) bool { return key.Equal(s.Public(), bound) }) {
		w.t.Fatalf("bound to a key that is not ours: %v", err)
	}
	d, report := assure.VerifyIssued(context.Background(), signed, assure.DocumentParams{Now: w.Now(), Anchors: w.anchors(), Strict: true})
	if !report.OK() {
		w.t.Fatalf("verify: %v", report.Failed())
	}
	return d, w.published(d)
}

// published is what the fetched status list says of a document.
func (w *world) published(d assure.Document) status.Status {
	w.t.Helper()
	return w.publishedAt(d.Result.Status, d.Signer, true)
}

func (w *world) publishedAt(claim *status.Claim, signer assure.Signer, mso bool) status.Status {
	w.t.Helper()
	ref := claim.List
	resp, err := w.fetch()(context.Background(), fetch.GetRequest(ref.URI, status.MediaListCWT))
	if err != nil || resp.Status != 200 || resp.MediaType() != status.MediaListCWT {
		w.t.Fatalf("status list: %v, status %d, %s", err, resp.Status, resp.MediaType())
	}
	token, err := status.Parse(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	question := statuslist.Question{Claim: *claim, MSO: mso, Issuer: [][]byte{signer.Path.Chain[0]}}
	pub, report := w.anchors().ListSigner(trustlist.Issuer, question, token.X5Chain, w.Now())
	if !report.OK() {
		w.t.Fatalf("status signer: %v", report.Failed())
	}
	s, report := token.Verify(pub, *claim, w.Now(), status.Policy{MSO: mso})
	if !report.OK() {
		w.t.Fatalf("status: %v", report.Failed())
	}
	return s
}

func element(d assure.Document, id string) []byte {
	for _, ns := range d.NameSpaces {
		for _, e := range ns.Elements {
			if e.ID == id {
				return e.Value
			}
		}
	}
	return nil
}

func TestPreAuthorized(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p := w.newApp(w.authority)
		o := w.offer("ada", "mdl", "pid")
		token, offer, err := p.redeem(o, o.TxCode)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(offer.Configurations, []string{"mdl", "pid"}) || offer.PreAuthorized.TxCode.Length != 6 {
			t.Fatalf("offer: %+v", offer)
		}
		for _, configuration := range offer.Configurations {
			list, signers, err := p.get(token, configuration, 10)
			if err != nil {
				t.Fatal(configuration, err)
			}
			seen := map[uint64]bool{}
			for _, credential := range list {
				d, state := w.verify(credential, signers)
				if state != status.Valid {
					t.Errorf("%s: status %v", configuration, state)
				}
				seen[d.Result.Status.List.Index] = true
				if element(d, "family_name") == nil {
					t.Errorf("%s: no family name", configuration)
				}
				for _, at := range []time.Time{d.Validity.Signed, d.Validity.ValidFrom, d.Validity.ValidUntil} {
					if !at.Equal(at.Truncate(day)) {
						t.Errorf("%s: %v is not midnight", configuration, at)
					}
				}
				if !d.Validity.ValidUntil.Before(p.ends) {
					t.Errorf("%s: valid until %v, the wallet's status ends %v", configuration, d.Validity.ValidUntil, p.ends)
				}
			}
			if len(seen) != 10 {
				t.Errorf("%s: %d status indexes for 10 copies", configuration, len(seen))
			}
		}
		documents, err := w.authority.List(t.Context(), "default", Filter{Subject: "ada"})
		if err != nil || len(documents) != 2 || documents[0].State != StateValid || documents[0].Copies != 10 {
			t.Errorf("documents: %+v, %v", documents, err)
		}
		if _, _, err := p.redeem(o, o.TxCode); err == nil {
			t.Error("a used offer is still served")
		}
		recorded(t, w, p)
		noPersonalData(t, w)
	})
}

// recorded looks for what monitoring needs later in the rows of the batches.
func recorded(t *testing.T, w *world, p *app) {
	t.Helper()
	type row struct {
		Instance, Keys         string
		InstanceIndex, KeyIdx  uint64
		InstanceEnds, KeyEnds  int64
		Level, Client, Version string
		Attester, Signer       string
	}
	const uri = "http://provider.localhost:8080/default/status/x"
	err := w.authority.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		var r row
		err := tx.QueryRow(ctx, `select instance_list, instance_index, instance_ends, key_list, key_index, key_ends, level, client, wallet_version, attester, signer_serial
			from batch limit 1`).Scan(&r.Instance, &r.InstanceIndex, &r.InstanceEnds, &r.Keys, &r.KeyIdx, &r.KeyEnds, &r.Level, &r.Client, &r.Version, &r.Attester, &r.Signer)
		if r.Signer == "" {
			t.Error("the batch does not name its signer")
		}
		r.Signer = ""
		if want := (row{uri, uri, 3, 4, p.ends.UnixMilli(), p.ends.UnixMilli(), "low", walletID, "1", "Test provider CA", ""}); r != want {
			t.Errorf("recorded %+v, want %+v", r, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// random is what of a log line may spell anything: times and hashes.
var random = regexp.MustCompile(`"time":"[^"]*"|"[A-Za-z0-9_-]{43}"`)

// noPersonalData scans the log.
func noPersonalData(t *testing.T, w *world) {
	t.Helper()
	log := random.ReplaceAllString(w.log.String(), "")
	if !strings.Contains(log, "document issued") {
		t.Error("the log does not tell of issued documents")
	}
	for _, secret := range []string{"Ada", "Sommerfeld", "1984-03-17", `"ada"`, "528316", "Ahornweg", "D84S0317201"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	for _, path := range []string{"/livez", "/readyz", "/default", "/default/certificates", "/default/iaca.crl"} {
		resp, err := via(w.authority)(t.Context(), fetch.GetRequest("http://issuer.localhost:8080"+path, ""))
		if err != nil || resp.Status != http.StatusOK {
			t.Errorf("%s: %d, %v\n%s", path, resp.Status, err, resp.Body)
		}
	}
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Error(err)
	}
}

// The same offer as a link that refers to it and as one that holds it, under
// either scheme.
func TestOfferLinks(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.newApp(w.authority)
	for _, scheme := range []string{"", "openid-credential-offer", "haip-vci"} {
		for _, byValue := range []bool{false, true} {
			for _, grant := range []Grant{PreAuthorized, AuthorizationCode} {
				o, err := w.authority.Offer(t.Context(), "default", OfferParams{
					Offerings: []string{"mdl"}, Subject: "ada", Grant: grant, TxCode: grant == PreAuthorized, Scheme: scheme, ByValue: byValue,
				})
				if err != nil {
					t.Fatal(err)
				}
				if want := cmp.Or(scheme, "openid-credential-offer") + "://?credential_offer"; !strings.HasPrefix(o.Link, want) ||
					strings.HasPrefix(o.Link, want+"_uri=") == byValue {
					t.Errorf("%s %v: %.60s", scheme, byValue, o.Link)
				}
				read, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link)
				if err != nil || (read.Code != nil) != (grant == AuthorizationCode) {
					t.Fatalf("%+v, %v", read, err)
				}
				if grant == PreAuthorized {
					if _, _, err := p.redeem(o, o.TxCode); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
	_, err := w.authority.Offer(t.Context(), "default", OfferParams{Offerings: []string{"mdl"}, Subject: "ada", TxCode: true, Scheme: "https"})
	if !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}
