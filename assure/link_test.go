package assure_test

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/statuslist"
)

// link is the link certificate from one authority's root to another's, as if
// both were roots of one.
func link(t testing.TB, from, to authority) *x509.Certificate {
	t.Helper()
	return pkitest.Link(t, pki.IACARoot, from.root, to.root, "http://crl.example", from.rootKey)
}

// An authority has changed its root: documents and status lists of either root
// verify for who knows the old root, the new one, or both.
func TestDocumentsOfTwoRoots(t *testing.T) {
	old, next, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	l := link(t, old, next)
	tomorrow := now.Add(24 * time.Hour)
	trust := func(certs ...*x509.Certificate) *assure.Anchors { return trusting(t, trustlist.Issuer, certs...) }
	linked := [][]byte{next.listSigner.Raw, l.Raw} // what the new status signer shows
	for name, tc := range map[string]struct {
		anchors *assure.Anchors
		of      authority // whose document
		chain   [][]byte  // of the status list
		signer  authority // whose status signer
		ok      bool      // the document
		known   bool      // its status
	}{
		"old document, old root":                        {trust(old.root), old, linked, next, true, true},
		"old document, both roots":                      {trust(old.root, next.root), old, linked, next, true, true},
		"old document, old root, link at hand":          {trust(old.root, l), old, [][]byte{next.listSigner.Raw}, next, true, true},
		"old document, list without the link":           {trust(old.root), old, [][]byte{next.listSigner.Raw}, next, true, false},
		"old document, new root":                        {trust(next.root, l), old, linked, next, false, false},
		"new document, new root":                        {trust(next.root), next, linked, next, true, true},
		"new document, old root":                        {trust(old.root), next, linked, next, false, false},
		"new document, old root, link at hand":          {trust(l, old.root), next, linked, next, true, true},
		"new document, link at hand, list of before":    {trust(old.root, l), next, [][]byte{old.listSigner.Raw}, old, true, true},
		"new document, both and link, list of before":   {trust(old.root, next.root, l), next, [][]byte{old.listSigner.Raw}, old, true, true},
		"new document, the link alone":                  {trust(l), next, linked, next, false, false},
		"new document, the link and a stranger":         {trust(l, stranger.root), next, linked, next, false, false},
		"new document, link at hand, a stranger's list": {trust(old.root, l, stranger.root), next, [][]byte{stranger.listSigner.Raw}, stranger, true, false},
		"a stranger's document":                         {trust(old.root, l), stranger, linked, next, false, false},
	} {
		doc := tc.of.document(t, "d", nil)
		got, r := assure.VerifyIssued(context.Background(), doc, assure.DocumentParams{Now: now, Anchors: tc.anchors, Status: list(t, tc.anchors, false, tomorrow, tc.chain, tc.signer.statusKey)})
		if r.OK() != tc.ok || tc.ok && (got.Revocation.Outcome == statuslist.Valid) != tc.known {
			t.Errorf("%s: outcome %q\n%s", name, got.Revocation.Outcome, r)
		}
	}
	// What an anchor says of document types holds for the roots that follow it;
	// a set that grows keeps its links; a link is none for readers.
	narrow := assure.FromCertificates(trustlist.Issuer, "test", old.root, l)
	narrow[0].DocTypes = []string{"d"}
	grown, err := anchors(t, narrow...).With(assure.FromCertificates(trustlist.Reader, "test", stranger.root)...)
	if err != nil {
		t.Fatal(err)
	}
	for docType, ok := range map[string]bool{"d": true, "e": false} {
		doc, r := assure.VerifyIssued(context.Background(), next.document(t, docType, nil), assure.DocumentParams{Now: now, Anchors: grown})
		if r.OK() != ok || ok && !doc.Signer.Anchor.Certificate.Equal(old.root) {
			t.Errorf("%s: %s", docType, r)
		}
	}
	if n := len(grown.For(trustlist.Issuer)); n != 1 {
		t.Errorf("%d anchors", n)
	}
	if a := assure.FromCertificates(trustlist.Reader, "test", l); a[0].Link {
		t.Error("taken as a link between readers' roots")
	}
	// When the old root has ended nothing leads over it any more.
	after := old.root.NotAfter.Add(time.Second)
	if _, r := trust(old.root, l).VerifyChain([][]byte{next.ds.Raw}, trustlist.Issuer, after, assure.ChainOptions{}); r.OK() {
		t.Error("a path over a root that has ended")
	}
}
