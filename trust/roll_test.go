package trust

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
)

// showing is a service that shows these certificates as its roots and links.
func showing(ask fetch.Func, certs ...*x509.Certificate) fetch.Func {
	return func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if strings.HasSuffix(r.URL, assure.PathRoots) {
			return fetch.Response{Status: 200, Body: pki.EncodePEM(certs...)}, nil
		}
		return ask(ctx, r)
	}
}

// TestRoll: those who follow a trust service come to its next root over the
// link certificate, and over nothing else.
func TestRoll(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, testkit.SQLite(t))
	s := w.process(Config{})
	w.demo()
	ca, err := s.CA("default")
	if err != nil {
		t.Fatal(err)
	}
	ask := testkit.Through(s.Handler())
	step := func() { // time passes, and the service looks at its sources
		t.Helper()
		w.Pass(2 * day)
		if err := s.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
	}
	step()
	old, err := ca.Root(ctx, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	pinned, named, behind := once.NewMemory(), once.NewMemory(), once.NewMemory()
	good := func(when string, f fetch.Func, store *once.Memory, fingerprint string) {
		t.Helper()
		who := follow(f, store, fingerprint)
		if err := who.Refresh(ctx, w.Now()); err != nil {
			t.Errorf("%s: %v", when, err)
		} else if set, err := who.Anchors(ctx, w.Now()); err != nil || len(set.For(trustlist.Issuer)) != 1 {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused := func(when string, f fetch.Func, store *once.Memory, fingerprint string, want error) {
		t.Helper()
		if err := follow(f, store, fingerprint).Refresh(ctx, w.Now()); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", when, err)
		}
	}
	good("first use", ask, pinned, "")
	good("first use of one that falls behind", ask, behind, "")
	good("configured", ask, named, hexSum(old.Raw))

	w.Pass(2 * day)
	done, err := ca.Roll(ctx, true, w.Now())
	if err != nil || done.Link == nil {
		t.Fatalf("%+v %v", done, err)
	}
	// The new root has signed nothing yet: all stay with the old one.
	good("pinned, between the roots", ask, pinned, "")
	good("met between the roots", ask, once.NewMemory(), "")
	refused("configured with the new root, which has signed nothing", ask, once.NewMemory(), hexSum(done.Root.Raw), nil)
	first := number(t, ask)
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if got := number(t, ask); got != first+1 {
		t.Errorf("list %d after %d and a new signer", got, first)
	}
	if key, err := ca.Key(ctx, keyring.TrustList, w.Now()); err != nil {
		t.Error(err)
	} else if cert, err := key.Certificate(); err != nil || !pki.IssuedUnder(cert, done.Root) {
		t.Errorf("the signer is not under the new root: %v", err)
	}
	// Now it has. Nobody comes to it without the link, nor over one of somebody
	// else.
	k := testkit.Signer(t, elliptic.P256())
	stranger := selfSigned(t, w, "eidos trust CA", k)
	forged := pkitest.Link(t, pki.ServiceCA, stranger, done.Root, "http://crl.example", k)
	refused("without its link", showing(ask, done.Root, old), pinned, "", nil)
	refused("the new root alone", showing(ask, done.Root), pinned, "", assure.ErrChanged)
	refused("a stranger's link", showing(ask, done.Root, stranger, forged), pinned, "", assure.ErrChanged)
	refused("the old root and a stranger's link", showing(ask, done.Root, old, forged), pinned, "", nil)
	refused("a link to another root", showing(ask, stranger, done.Link), pinned, "", assure.ErrChanged)
	refused("configured, without its link", showing(ask, done.Root, old), named, hexSum(old.Raw), nil)
	good("pinned, over the link", ask, pinned, "")
	good("configured, over the link", ask, named, hexSum(old.Raw))
	good("configured with the new root", ask, once.NewMemory(), hexSum(done.Root.Raw))
	good("configured with the old root, only now", ask, once.NewMemory(), hexSum(old.Raw))

	// The pin is the new root's: the old one is needed no more, and counts no
	// more either.
	step()
	alone := showing(ask, done.Root)
	good("the new root alone, after the link", alone, pinned, "")
	good("configured, the new root alone, after the link", alone, named, hexSum(old.Raw))
	refused("another fingerprint begins anew", alone, named, hexSum(stranger.Raw), assure.ErrChanged)
	refused("the new root alone, for one that fell behind", alone, behind, "", assure.ErrChanged)
	refused("the old root alone", showing(ask, old), pinned, "", assure.ErrChanged)
	step()
	good("one that fell behind, over the link", ask, behind, "")

	// Without a link the next root is a stranger's.
	w.Pass(2 * day)
	unlinked, err := ca.Roll(ctx, false, w.Now())
	if err != nil || unlinked.Link != nil {
		t.Fatal(err)
	}
	good("a root without link, which has signed nothing", ask, pinned, "")
	for _, p := range []keyring.Purpose{keyring.VICAL, keyring.TrustList} {
		if _, err := ca.Rotate(ctx, p, w.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	refused("a root without link", ask, pinned, "", nil)
	if err := s.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	good("a root without link, by its fingerprint", ask, pinned, hexSum(unlinked.Root.Raw))
}

func selfSigned(t *testing.T, w *world, name string, k *testkit.Key) *x509.Certificate {
	t.Helper()
	from, to := pki.Validity(w.Now(), 3650*day)
	return pkitest.Issue(t, pki.ServiceCA, pki.Template{
		Subject: pki.Name{Country: "UT", Organization: "eidos", CommonName: name}, PublicKey: k.Public(), NotBefore: from, NotAfter: to, Contact: "https://example.com",
	}, k)
}
