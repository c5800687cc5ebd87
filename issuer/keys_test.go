package issuer

import (
	"crypto/elliptic"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
)

// issue gets one copy of ada's licence.
func (w *world) issue(t *testing.T) (string, []key.Signer, error) {
	t.Helper()
	p, token := w.accept("ada", "mdl")
	list, signers, err := p.get(token, "mdl", 1)
	return append(list, "")[0], signers, err
}

// refused returns the checks that a verifier with the published revocation
// list reports as failed.
func (w *world) refused(t *testing.T, credential string) []string {
	t.Helper()
	crl := w.crl(t, "/iaca.crl")
	signed := parsed(t, credential)
	_, report := assure.VerifyIssued(t.Context(), signed, assure.DocumentParams{
		Now: w.Now(), Anchors: w.anchors(), Strict: true, CRLs: []*pki.CRL{crl}, RequireRevocation: true,
	})
	var names []string
	for _, c := range report.Failed() {
		names = append(names, c.Name)
	}
	return names
}

// Documents of a signer verify after its successor has taken over, and are
// refused by whoever has the revocation list once it was revoked.
func TestSignersAtWork(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	ca, err := w.authority.CA("default")
	if err != nil {
		t.Fatal(err)
	}
	first, firstKeys, err := w.issue(t)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ca.Key(t.Context(), keyring.DocSigner, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(time.Minute)
	if _, err := ca.Rotate(t.Context(), keyring.DocSigner, w.Now()); err != nil {
		t.Fatal(err)
	}
	second, secondKeys, err := w.issue(t)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := w.verify(first, firstKeys)
	b, state := w.verify(second, secondKeys)
	if string(a.Signer.Path.Chain[0]) == string(b.Signer.Path.Chain[0]) || state != status.Valid {
		t.Error("the new document is signed with the old key")
	}
	if failed := append(w.refused(t, first), w.refused(t, second)...); len(failed) > 0 {
		t.Errorf("before the revocation: %v", failed)
	}
	cert, err := old.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Revoke(t.Context(), cert, "keyCompromise", w.Now()); err != nil {
		t.Fatal(err)
	}
	if failed := w.refused(t, first); !slices.Contains(failed, "issuer chain: signer certificate revocation") {
		t.Errorf("a document of the revoked signer: %v", failed)
	}
	if failed := w.refused(t, second); len(failed) > 0 {
		t.Errorf("a document of its successor: %v", failed)
	}
	if _, err := w.authority.CA("nobody"); !errors.Is(err, ErrUnknownTenant) {
		t.Errorf("unknown tenant: %v", err)
	}
}

// An authority whose root is kept elsewhere comes up, says what it needs, and
// issues once it has it.
func TestOfflineRoot(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	tenant := w.authority.tenants["default"]
	tenant.config.OfflineRoot = true
	tenant.ca = tenant.newCA()
	ctx, ca := t.Context(), tenant.ca
	for range 2 {
		if err := w.authority.maintain(ctx); err != nil {
			t.Fatalf("upkeep without a root: %v", err)
		}
	}
	if log := w.log.String(); strings.Count(log, "eidos pki ds csr") != 1 || strings.Count(log, "eidos pki iaca import") != 1 {
		t.Errorf("what the operator is told: %s", log)
	}
	for _, path := range []string{"/iaca.cer", "/iaca.crl"} {
		if resp, err := via(w.authority)(ctx, fetch.GetRequest(base+path, "")); err != nil || resp.Status != 404 {
			t.Errorf("%s: %d, %v", path, resp.Status, err)
		}
	}
	if _, _, err := w.issue(t); err == nil {
		t.Error("issued without a signer")
	}

	root := testkit.Signer(t, elliptic.P384())
	from, to := pki.Validity(w.Now(), iacaLifetime)
	rootCert := pkitest.Issue(t, pki.IACARoot, pki.Template{Subject: pki.Name{Country: "UT", CommonName: "Utopia root"}, PublicKey: root.Public(), NotBefore: from, NotAfter: to, Contact: "ca@utopia.example"}, root)
	if _, err := ca.ImportRoot(ctx, rootCert, w.Now()); err != nil {
		t.Fatal(err)
	}
	for purpose, profile := range map[keyring.Purpose]pki.Profile{keyring.DocSigner: pki.DocumentSigner, keyring.Status: pki.StatusSigner} {
		r, err := ca.Request(ctx, purpose, false, w.Now())
		if err != nil || r == nil {
			t.Fatal(r, err)
		}
		asked, err := pki.ParseRequest(r.DER)
		if err != nil {
			t.Fatal(err)
		}
		name, err := pki.NameOf(asked.RawSubject)
		if err != nil {
			t.Fatal(err)
		}
		from, to := pki.Validity(w.Now(), signerLifetime)
		leaf := pkitest.Issue(t, profile, pki.Template{Subject: name, PublicKey: asked.PublicKey, Issuer: rootCert, NotBefore: from, NotAfter: to, CRLURL: base + "/iaca.crl"}, root)
		if _, err := ca.Import(ctx, leaf, w.Now()); err != nil {
			t.Fatal(err)
		}
	}
	crl, err := pki.IssueCRL(ctx, pki.CRLTemplate{Issuer: rootCert, Number: big.NewInt(1), ThisUpdate: w.Now(), NextUpdate: w.Now().Add(80 * day)}, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.ImportCRL(ctx, crl, w.Now()); err != nil {
		t.Fatal(err)
	}
	credential, keys, err := w.issue(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, state := w.verify(credential, keys); state != status.Valid {
		t.Errorf("state %v", state)
	}
	if failed := w.refused(t, credential); len(failed) > 0 {
		t.Errorf("with the list from elsewhere: %v", failed)
	}
	held, err := ca.Keys(ctx, keyring.IACA, w.Now())
	if err != nil || len(held) != 1 || !held[0].Elsewhere {
		t.Errorf("keys of roots here: %+v, %v", held, err)
	}
}
