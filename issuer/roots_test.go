package issuer

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/statuslist"
)

// The root changes in the middle of issuing: documents from before and after
// verify with their status for who knows both roots and for who knows the old
// one; an old signer that is revoked afterwards is refused.
func TestRootChangesAtWork(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w, ctx := newWorld(t, dsn), t.Context()
		ca, err := w.authority.CA("default")
		if err != nil {
			t.Fatal(err)
		}
		before, _, err := w.issue(t)
		if err != nil {
			t.Fatal(err)
		}
		old, err := ca.Root(ctx, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ca.Key(ctx, keyring.DocSigner, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.Pass(time.Hour)
		rolled, err := ca.Roll(ctx, true, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.authority.maintain(ctx); err != nil {
			t.Fatal(err)
		}
		w.Pass(48 * time.Hour)
		if _, err := ca.Rotate(ctx, keyring.DocSigner, w.Now()); err != nil {
			t.Fatal(err)
		}
		after, _, err := w.issue(t)
		if err != nil {
			t.Fatal(err)
		}
		accepted := func(credential string, known ...*x509.Certificate) bool {
			t.Helper()
			anchors, err := assure.NewAnchors(assure.FromCertificates(trustlist.Issuer, "test", known...)...)
			if err != nil {
				t.Fatal(err)
			}
			var lists []*pki.CRL
			for _, path := range []string{"/iaca.crl", "/iaca.crl/" + rolled.List} {
				lists = append(lists, w.crl(t, path))
			}
			signed := parsed(t, credential)
			_, report := assure.VerifyIssued(ctx, signed, assure.DocumentParams{
				Now: w.Now(), Anchors: anchors, Strict: true, CRLs: lists, RequireRevocation: true, RequireStatus: true,
				Status: statuslist.NewFetcher(w.fetch(), assure.StatusTrust(trustlist.Issuer, anchors.Snapshot), statuslist.Options{}),
			})
			return report.OK()
		}
		if !accepted(before, old) || !accepted(before, old, rolled.Root) || !accepted(after, rolled.Root) || !accepted(after, old, rolled.Root) || !accepted(after, old, rolled.Link) {
			t.Error("not accepted")
		}
		if accepted(after, old) || accepted(before, rolled.Root, rolled.Link) {
			t.Error("accepted without a way to its root")
		}
		cert, err := signer.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ca.Revoke(ctx, cert, "superseded", w.Now()); err != nil {
			t.Fatal(err)
		}
		if accepted(before, old, rolled.Root) || !accepted(after, old, rolled.Root) {
			t.Error("the revocation of the old root's signer")
		}
	})
}
