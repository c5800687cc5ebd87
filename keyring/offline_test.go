package keyring_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
)

// ceremony is the machine without a network that holds the root.
type ceremony struct {
	t    *testing.T
	key  key.Signer
	root *x509.Certificate
	// crlURL is what signers' certificates name.
	crlURL string
}

func newCeremony(t *testing.T, country string) *ceremony {
	t.Helper()
	c := &ceremony{t: t, key: testkit.Signer(t, p256), crlURL: "https://issuer.example/iaca.crl"}
	from, to := pki.Validity(now, 10*365*day)
	c.root = c.issue(pki.IACARoot, pki.Template{
		Subject: pki.Name{Country: country, CommonName: "root"}, PublicKey: c.key.Public(), NotBefore: from, NotAfter: to, Contact: "ca@utopia.example",
	})
	return c
}

// naming is the root again, with the address of a revocation list.
func (c *ceremony) naming(list string) *x509.Certificate {
	c.t.Helper()
	return c.issue(pki.IACARoot, pki.Template{
		Subject: must(pki.NameOf(c.root.RawSubject))(c.t), PublicKey: c.key.Public(), NotBefore: c.root.NotBefore, NotAfter: c.root.NotAfter,
		Contact: "ca@utopia.example", CRLURL: list,
	})
}

func (c *ceremony) issue(p pki.Profile, t pki.Template) *x509.Certificate {
	c.t.Helper()
	return pkitest.Issue(c.t, p, t, c.key)
}

// certify answers a request.
func (c *ceremony) certify(p pki.Profile, request []byte, at time.Time, life time.Duration) *x509.Certificate {
	c.t.Helper()
	r := must(pki.ParseRequest(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request})))(c.t)
	from, to := pki.Validity(at, life)
	return c.issue(p, pki.Template{
		Subject: must(pki.NameOf(r.RawSubject))(c.t), PublicKey: r.PublicKey, Issuer: c.root, NotBefore: from, NotAfter: to, CRLURL: c.crlURL,
	})
}

func (c *ceremony) crl(number int64, at time.Time, revoked ...*x509.Certificate) []byte {
	c.t.Helper()
	t := pki.CRLTemplate{Issuer: c.root, Number: big.NewInt(number), ThisUpdate: at, NextUpdate: at.Add(80 * day)}
	for _, cert := range revoked {
		t.Revoked = append(t.Revoked, pki.RevokedCertificate{SerialNumber: cert.SerialNumber, At: at})
	}
	return must(pki.IssueCRL(context.Background(), t, c.key))(c.t)
}

// The whole way with a root that is kept elsewhere, from nothing to the second
// signer, on both engines.
func TestRootElsewhere(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		i := newIssuing(t, dsn)
		i.offline = true
		ca, ctx, elsewhere := i.ca(), t.Context(), newCeremony(t, "UT")

		// Nothing is there: upkeep does not fail, it says what to do, once a day.
		for range 3 {
			if err := ca.Maintain(ctx, now); err != nil {
				t.Fatal(err)
			}
		}
		if len(i.notices) != 3 || !strings.Contains(i.notices[0], "eidos pki iaca import") || !strings.Contains(i.notices[1], "eidos pki ds csr") {
			t.Fatalf("notices %q", i.notices)
		}
		if _, err := ca.Key(ctx, keyring.DocSigner, now); !errors.Is(err, keyring.ErrOffline) || !strings.Contains(err.Error(), "eidos pki ds csr") {
			t.Errorf("without a signer: %v", err)
		}
		if _, err := ca.Root(ctx, now); !errors.Is(err, keyring.ErrOffline) {
			t.Errorf("without a root: %v", err)
		}
		if ids := must(i.area.Keys(ctx))(t); len(ids) != 0 {
			t.Errorf("keys were made: %v", ids)
		}
		must(ca.ImportRoot(ctx, elsewhere.root, now))(t)
		must(ca.ImportRoot(ctx, elsewhere.root, now.Add(time.Hour)))(t) // twice is once
		if got := must(i.ca().Root(ctx, now))(t); !got.Equal(elsewhere.root) {
			t.Error("another root is published")
		}
		if list := must(ca.Keys(ctx, keyring.IACA, now))(t); len(list) != 1 || !list[0].Elsewhere {
			t.Errorf("roots %+v", list)
		}
		if _, err := ca.Key(ctx, keyring.IACA, now); !errors.Is(err, keyring.ErrOffline) {
			t.Errorf("the root's key: %v", err)
		}

		// Requests for both signers; asked again, the same key waits.
		ds := must(ca.Request(ctx, keyring.DocSigner, false, now))(t)
		if again := must(i.ca().Request(ctx, keyring.DocSigner, false, now))(t); again.Key != ds.Key {
			t.Error("a second key was made")
		}
		if _, err := ca.Key(ctx, keyring.DocSigner, now); !errors.Is(err, keyring.ErrOffline) || !strings.Contains(err.Error(), "waits") {
			t.Errorf("while the request is out: %v", err)
		}
		status := must(ca.Request(ctx, keyring.Status, false, now))(t)
		first := elsewhere.certify(pki.DocumentSigner, ds.DER, now, 400*day)
		if info := must(ca.Import(ctx, first, now))(t); !info.Signs || info.ID != ds.Key {
			t.Errorf("%+v", info)
		}
		must(ca.Import(ctx, first, now))(t)
		must(ca.Import(ctx, elsewhere.certify(pki.StatusSigner, status.DER, now, 1000*day), now))(t)
		k := must(i.ca().Key(ctx, keyring.DocSigner, now))(t)
		if _, err := verdict(elsewhere.root, must(k.Certificate())(t), nil, now); err != nil {
			t.Error(err)
		}
		if r, err := ca.Request(ctx, keyring.DocSigner, false, now); r != nil || err != nil {
			t.Errorf("nothing is due: %v, %v", r, err)
		}

		// It is due again: the old one goes on while the request is out.
		due := first.NotAfter.Add(-59 * day)
		i.notices = nil
		if err := ca.Maintain(ctx, due); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(i.notices, func(n string) bool { return strings.Contains(n, first.NotAfter.Format(time.DateOnly)) }) {
			t.Errorf("notices %q", i.notices)
		}
		next := must(ca.Request(ctx, keyring.DocSigner, false, due))(t)
		if k := must(ca.Key(ctx, keyring.DocSigner, due))(t); k.Record.ID != ds.Key {
			t.Error("the old signer does not sign while its successor waits")
		}
		if _, err := ca.Retire(ctx, ds.Key, due); !errors.Is(err, keyring.ErrLast) {
			t.Errorf("the last signer was retired: %v", err)
		}
		must(ca.Import(ctx, elsewhere.certify(pki.DocumentSigner, next.DER, due, 400*day), due))(t)
		if k := must(ca.Key(ctx, keyring.DocSigner, due))(t); k.Record.ID != next.Key {
			t.Error("the new signer does not sign")
		}
		must(ca.Retire(ctx, ds.Key, due))(t)

		// What only the root can do is refused.
		if _, err := ca.Rotate(ctx, keyring.DocSigner, due); !errors.Is(err, keyring.ErrOffline) {
			t.Errorf("rotate: %v", err)
		}
		if _, err := ca.Revoke(ctx, first, "superseded", due); !errors.Is(err, keyring.ErrOffline) {
			t.Errorf("revoke: %v", err)
		}
		listsFromElsewhere(t, i, elsewhere, first, due)
	})
}

// listsFromElsewhere brings revocation lists in.
func listsFromElsewhere(t *testing.T, i *issuing, elsewhere *ceremony, revoked *x509.Certificate, at time.Time) {
	ca, ctx := i.ca(), t.Context()
	if _, err := ca.CRL(ctx, "", at); !errors.Is(err, keyring.ErrOffline) {
		t.Errorf("no list yet: %v", err)
	}
	second := elsewhere.crl(2, at, revoked)
	if n := must(ca.ImportCRL(ctx, second, at))(t); n != 1 {
		t.Errorf("%d entries", n)
	}
	must(ca.ImportCRL(ctx, second, at))(t) // twice is once
	got := must(pki.ParseCRL(must(i.ca().CRL(ctx, "", at))(t)))(t)
	if _, err := verdict(elsewhere.root, revoked, got, at); err == nil {
		t.Error("what a revoked signer signed is accepted")
	}
	published := must(ca.Published(ctx, at))(t)
	if last := published[len(published)-1]; last.Purpose != "crl" || !last.NotAfter.Equal(at.Add(80*day)) {
		t.Errorf("%+v", last)
	}
	for name, der := range map[string][]byte{
		"an older one":      elsewhere.crl(1, at),
		"the same number":   elsewhere.crl(2, at),
		"one that is over":  elsewhere.crl(3, at.Add(-81*day)),
		"one of the future": elsewhere.crl(3, at.Add(time.Hour)),
		"another root's":    newCeremony(t, "UT").crl(3, at),
	} {
		if _, err := ca.ImportCRL(ctx, der, at); !errors.Is(err, keyring.ErrRefusedList) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A list that names the signer at work takes it out of use.
	k := must(ca.Key(ctx, keyring.DocSigner, at))(t)
	must(ca.ImportCRL(ctx, elsewhere.crl(3, at, revoked, must(k.Certificate())(t)), at))(t)
	if _, err := ca.Key(ctx, keyring.DocSigner, at); !errors.Is(err, keyring.ErrOffline) {
		t.Errorf("a revoked key signs: %v", err)
	}
	i.notices = nil
	if err := i.ca().Maintain(ctx, at.Add(71*day)); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(i.notices, func(n string) bool { return strings.Contains(n, "eidos pki crl import") }) {
		t.Errorf("the list is about to end: %q", i.notices)
	}
}

// What must not be brought in.
func TestImportRefuses(t *testing.T) {
	i := newIssuing(t, testkit.SQLite(t))
	i.offline = true
	ca, ctx, elsewhere := i.ca(), t.Context(), newCeremony(t, "UT")
	request := must(ca.Request(ctx, keyring.DocSigner, false, now))(t)
	good := elsewhere.certify(pki.DocumentSigner, request.DER, now, 400*day)
	if _, err := ca.Import(ctx, good, now); !errors.Is(err, keyring.ErrOffline) {
		t.Errorf("before its root: %v", err)
	}
	for name, cert := range map[string]*x509.Certificate{"of another country": newCeremony(t, "NL").root, "a signer's": good} {
		if _, err := ca.ImportRoot(ctx, cert, now); err == nil {
			t.Errorf("root %s was brought in", name)
		}
	}
	if _, err := ca.ImportRoot(ctx, elsewhere.root, elsewhere.root.NotAfter.Add(time.Hour)); err == nil {
		t.Error("a root that has ended was brought in")
	}
	must(ca.ImportRoot(ctx, elsewhere.root, now))(t)
	stranger := newCeremony(t, "UT")
	other := testkit.Signer(t, p256)
	from, to := pki.Validity(now, 100*day)
	for name, cert := range map[string]*x509.Certificate{
		"of another profile":  elsewhere.certify(pki.StatusSigner, request.DER, now, 400*day),
		"under another root":  stranger.certify(pki.DocumentSigner, request.DER, now, 400*day),
		"that has ended":      elsewhere.certify(pki.DocumentSigner, request.DER, now, 2*day+time.Second),
		"for a key elsewhere": elsewhere.issue(pki.DocumentSigner, pki.Template{Subject: pki.Name{Country: "UT", CommonName: "x"}, PublicKey: other.Public(), Issuer: elsewhere.root, NotBefore: from, NotAfter: to, CRLURL: "https://x.example/crl"}),
	} {
		if _, err := ca.Import(ctx, cert, now.Add(24*time.Hour)); err == nil {
			t.Errorf("a certificate %s was brought in", name)
		}
	}
	// A request that is given up leaves no key.
	if info := must(ca.Retire(ctx, request.Key, now))(t); info.State != keyring.Destroyed {
		t.Errorf("%+v", info)
	}
	if _, err := ca.Import(ctx, good, now); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("after the request was given up: %v", err)
	}
	if ids := must(i.area.Keys(ctx))(t); len(ids) != 0 {
		t.Errorf("keys left behind: %v", ids)
	}
	i.offline = false
	for _, err := range []error{
		func() error { _, err := i.ca().ImportRoot(ctx, elsewhere.root, now); return err }(),
		func() error { _, err := i.ca().Import(ctx, good, now); return err }(),
		func() error { _, err := i.ca().Request(ctx, keyring.DocSigner, true, now); return err }(),
	} {
		if err == nil {
			t.Error("a root that is here took something from elsewhere")
		}
	}
}
