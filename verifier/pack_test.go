package verifier_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// formerRoot is the root that the authority has changed for another one.
type formerRoot struct {
	root, link *x509.Certificate
	key        *testkit.Key
}

// nextCRL is where the new root has its revocation list.
const nextCRL = issuerURL + "/iaca.crl/next"

// roll changes the authority's root. Documents and status lists are signed
// under the new one from now on, the lists with the link in their chain.
func (w *world) roll() {
	w.t.Helper()
	w.before = &formerRoot{root: w.iaca, key: w.iacaKey}
	w.iacaKey, w.dsKey = testkit.Signer(w.t, elliptic.P256()), testkit.Signer(w.t, elliptic.P256())
	w.iaca = w.certificate(pki.IACARoot, "Utopia IACA", w.iacaKey, nil, w.iacaKey)
	w.before.link = pkitest.Link(w.t, pki.IACARoot, w.before.root, w.iaca, issuerURL+"/iaca.crl", w.before.key)
	w.ds = w.certificate(pki.DocumentSigner, "Utopia DS 2", w.dsKey, w.iaca, w.iacaKey)
	w.listSigner = w.certificate(pki.StatusSigner, "Utopia status 2", w.lstKey, w.iaca, w.iacaKey)
}

// TestPackAcrossRoots: a reader without a network reads the documents of both
// roots of an authority, if its pack is from after the change; one from before
// goes on with those of the old root.
func TestPackAcrossRoots(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{RequireStatus: true})
	pack := func(anchors, crls int) {
		t.Helper()
		w.unplugged = false
		w.Pass(time.Minute)
		p, err := w.v.Pack(t.Context(), "default")
		if err != nil || p.Anchors != anchors || len(p.CRLs) != crls || len(p.Lists) != 1 || len(p.Problems) != 0 {
			t.Fatalf("%+v, %v", p, err)
		}
		w.unplugged = true
		w.open(verifier.Config{RequireStatus: true}) // as another process
	}
	read := func(when string, h *holder, want core.Verdict) {
		t.Helper()
		p := w.phone(engagement.TCP("127.0.0.1:9999"), shares(h, "family_name"))
		r, err := w.overLoop(p, "mdl:family_name", verifier.ReadOptions{})
		if err != nil || r.Verdict != want || len(r.Documents) != 1 || (r.Documents[0].Elements != nil) != (want == core.Valid) {
			t.Errorf("%s: %s %s, %v", when, r.Verdict, r.Reason, err)
		}
	}
	old := w.issue(5)
	pack(1, 1)
	read("before the change", old, core.Valid)

	oldRoot := w.iaca
	w.roll()
	fresh := w.issue(6)
	read("a pack of before, an old document", old, core.Valid)
	read("a pack of before, a new document", fresh, core.Invalid)

	// The list has the old root alone still: what is signed under the new one
	// is not trusted, but the status of old documents is known over the link.
	pack(1, 1)
	read("an old list, an old document", old, core.Valid)
	read("an old list, a new document", fresh, core.Invalid)

	w.listed = []*x509.Certificate{w.iaca, oldRoot}
	pack(2, 2)
	read("both roots, an old document", old, core.Valid)
	read("both roots, a new document", fresh, core.Valid)
	w.revoked[5] = true
	pack(2, 2)
	read("both roots, an old document that is revoked", old, core.Invalid)
	read("both roots, beside a revoked one", fresh, core.Valid)
	delete(w.revoked, 5)

	w.listed = []*x509.Certificate{w.iaca}
	pack(1, 1)
	read("the new root, an old document", old, core.Invalid)
	read("the new root, a new document", fresh, core.Valid)
}
