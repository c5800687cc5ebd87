package trust

import (
	"crypto/elliptic"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
)

// iaca is a root of an issuing authority with its key.
type iaca struct {
	key  *testkit.Key
	cert *x509.Certificate
}

func newIACA(t *testing.T, now time.Time, years int) iaca {
	t.Helper()
	k := testkit.Signer(t, elliptic.P256())
	from, to := pki.Validity(now, time.Duration(years)*365*day)
	return iaca{k, pkitest.Issue(t, pki.IACARoot, pki.Template{
		Subject: pki.Name{Country: "UT", CommonName: "IACA"}, PublicKey: k.Public(), NotBefore: from, NotAfter: to, Contact: "https://example.com"}, k)}
}

func (i iaca) link(t *testing.T, to iaca) *x509.Certificate {
	t.Helper()
	return pkitest.Link(t, pki.IACARoot, i.cert, to.cert, "https://example.com/crl", i.key)
}

// A root that follows the listed one over its link is listed beside it, by
// nobody's order; the old one stays until it ends or is shown no more. Any other
// root waits.
func TestRootsFollow(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, w := t.Context(), newWorld(t, dsn)
		s := w.process(Config{})
		w.demo()
		old, next, third, stranger := newIACA(t, w.Now(), 2), newIACA(t, w.Now(), 5), newIACA(t, w.Now(), 6), newIACA(t, w.Now(), 5)
		show := func(certs ...*x509.Certificate) {
			t.Helper()
			w.serve(issuerURL, pki.EncodePEM(certs...))
			w.Pass(time.Hour)
			if err := s.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
		}
		listed := func(what string, want ...iaca) {
			t.Helper()
			set, err := follow(testkit.Through(s.Handler()), once.NewMemory(), "").Anchors(ctx, w.Now())
			if err != nil {
				t.Fatal(err)
			}
			got := set.For(trustlist.Issuer)
			if len(got) != len(want) || slices.ContainsFunc(want, func(i iaca) bool {
				return !slices.ContainsFunc(got, func(a assure.Anchor) bool { return a.Certificate.Equal(i.cert) })
			}) {
				t.Errorf("%s: %d listed", what, len(got))
			}
		}
		waits := func() bool {
			t.Helper()
			list, err := s.Anchors(ctx, "default")
			if err != nil {
				t.Fatal(err)
			}
			return list[0].Pending != ""
		}
		show(old.cert, stranger.cert)
		listed("a stranger beside the first", old)
		show(stranger.cert, old.cert, stranger.link(t, old))
		if listed("a stranger that leads to the old root", old); !waits() {
			t.Error("nobody is told")
		}
		show(next.cert, old.cert, next.link(t, old))
		listed("the link the wrong way", old)
		show(next.cert, old.cert, stranger.link(t, next))
		if listed("the link of a stranger", old); !waits() {
			t.Error("nobody is told")
		}
		show(next.cert, old.cert, old.link(t, next))
		if listed("the next root", old, next); waits() {
			t.Error("something waits")
		}
		if list, err := s.Anchors(ctx, "default"); err != nil || list[0].By != byLink || list[0].Fingerprint != hexSum(next.cert.Raw) {
			t.Errorf("%+v, %v", list[0], err)
		}
		show(next.cert, old.cert) // what is listed needs no link any more
		listed("without the link", old, next)
		show(third.cert, next.cert, old.cert, next.link(t, third), old.link(t, next))
		listed("the third root", old, next, third)
		w.Pass(2 * 365 * day)
		show(third.cert, next.cert, next.link(t, third))
		listed("the first has ended", next, third)
		show(third.cert)
		listed("the second is shown no more", third)
	})
}
