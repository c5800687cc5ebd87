package keyring_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/record"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea/software"
)

// issuing is the configuration of an issuing authority, which notes what
// happens and what an operator is told.
type issuing struct {
	t       *testing.T
	area    *software.Area
	records record.Store
	tenant  string
	offline bool
	reserve time.Duration // of the root
	mu      sync.Mutex
	changes []string
	notices []string
}

func newIssuing(t *testing.T, dsn string) *issuing {
	return &issuing{t: t, area: area(t), records: records(t, dsn), tenant: "default"}
}

// ca is a process of the authority.
func (i *issuing) ca() *keyring.CA {
	name := func(cn string) pki.Template {
		return pki.Template{Subject: pki.Name{Country: "UT", Organization: "Test", CommonName: cn}, CRLURL: "https://issuer.example/iaca.crl"}
	}
	root := name("root")
	root.Contact = "https://issuer.example"
	return keyring.NewCA(keyring.New(i.area, keyring.StoreIn(i.records)), i.records, keyring.CAConfig{
		Tenant: i.tenant, Offline: i.offline,
		Root: keyring.Certified{Purpose: keyring.IACA, Profile: pki.IACARoot, Lifetime: 10 * 365 * day, Reserve: i.reserve, Template: root},
		Signers: []keyring.Certified{
			{Purpose: keyring.DocSigner, Profile: pki.DocumentSigner, Template: name("DS"), Lifetime: 456 * day, Reserve: 60 * day},
			{Purpose: keyring.Status, Profile: pki.StatusSigner, Template: name("status"), Lifetime: 456 * day, Reserve: 30 * day, Linked: true},
		},
		Changed: func(_ context.Context, c keyring.Change) error {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.changes = append(i.changes, c.What)
			return nil
		},
		Notify: func(_ context.Context, notice string) { i.notices = append(i.notices, notice) },
	})
}

// noted is what has happened.
func (i *issuing) noted() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.changes)
}

// listAt is the list that is published at an address of the configuration.
func (i *issuing) listAt(url string, at time.Time) *pki.CRL {
	i.t.Helper()
	below, ok := strings.CutPrefix(url, "https://issuer.example/iaca.crl")
	if !ok {
		i.t.Fatalf("no list is published at %s", url)
	}
	return must(pki.ParseCRL(must(i.ca().CRL(i.t.Context(), strings.TrimPrefix(below, "/"), at))(i.t)))(i.t)
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// verdict validates a signer's certificate as a verifier with that list does.
func verdict(root, cert *x509.Certificate, crl *pki.CRL, at time.Time) (pki.Revocation, error) {
	o := pki.VerifyOptions{Now: at, Profile: pki.DocumentSigner, Strict: true, RequireRevocation: crl != nil}
	if crl != nil {
		o.CRLs = []*pki.CRL{crl}
	}
	path, report := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(root), o)
	return path.Revocation, report.Err()
}

// Several signers are alive at once: the newest signs, what its predecessors
// have signed counts until their end, a retired one signs nothing.
func TestSigners(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		i := newIssuing(t, dsn)
		ca, ctx := i.ca(), t.Context()
		signer := func(at time.Time) (string, *x509.Certificate) {
			t.Helper()
			k := must(i.ca().Key(ctx, keyring.DocSigner, at))(t)
			return k.Record.ID, must(k.Certificate())(t)
		}
		first, firstCert := signer(now)
		second := must(ca.Rotate(ctx, keyring.DocSigner, now.Add(time.Hour)))(t)
		if got, _ := signer(now.Add(time.Hour)); got != second.Record.ID {
			t.Error("the newest does not sign")
		}
		root := must(ca.Root(ctx, now))(t)
		if _, err := verdict(root, firstCert, nil, firstCert.NotAfter); err != nil {
			t.Errorf("the predecessor's signatures do not count to its end: %v", err)
		}
		list := must(ca.Keys(ctx, keyring.DocSigner, now.Add(time.Hour)))(t)
		if len(list) != 2 || list[0].ID != second.Record.ID || !list[0].Signs || list[1].Signs || list[1].State != keyring.Active ||
			list[1].Successor != firstCert.NotAfter.Add(-60*day) || list[1].Serial == list[0].Serial {
			t.Errorf("%+v", list)
		}
		// Retired by its serial number: the one before signs again.
		retired := must(ca.Retire(ctx, list[0].Serial, now.Add(2*time.Hour)))(t)
		if retired.ID != second.Record.ID || retired.State != keyring.Retired {
			t.Errorf("%+v", retired)
		}
		if got, _ := signer(now.Add(2 * time.Hour)); got != first {
			t.Error("the one before does not sign again")
		}
		// The last one: a successor is made first.
		must(ca.Retire(ctx, first, now.Add(3*time.Hour)))(t)
		if third, _ := signer(now.Add(3 * time.Hour)); third == first || third == second.Record.ID {
			t.Error("a retired key signs")
		}
		if again := must(ca.Retire(ctx, first, now.Add(4*time.Hour)))(t); again.State != keyring.Retired {
			t.Errorf("retired twice: %+v", again)
		}
		if n := len(must(ca.Keys(ctx, keyring.DocSigner, now))(t)); n != 3 {
			t.Errorf("%d signers, want 3", n)
		}
		published := must(ca.Published(ctx, now.Add(time.Hour)))(t)
		if len(published) != 5 { // root, three document signers, status
			t.Errorf("published %+v", published)
		}
		for _, which := range []string{"", "nobody", "0"} {
			if _, err := ca.Retire(ctx, which, now); !errors.Is(err, keyring.ErrUnknownKey) {
				t.Errorf("retire %q: %v", which, err)
			}
		}
		if _, err := ca.Rotate(ctx, keyring.IACA, now); err == nil {
			t.Error("the root was rotated as if it were a signer")
		}
	})
}

// A revoked signer is on the list of every process at once, signs no more, and
// what it signed is refused.
func TestRevoke(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		i := newIssuing(t, dsn)
		one, two, ctx := i.ca(), i.ca(), t.Context()
		revoked := must(must(one.Key(ctx, keyring.DocSigner, now))(t).Certificate())(t)
		root := must(one.Root(ctx, now))(t)
		before := must(two.CRL(ctx, "", now))(t)
		if state, err := verdict(root, revoked, must(pki.ParseCRL(before))(t), now); err != nil || state != pki.Good {
			t.Fatalf("before: %s, %v", state, err)
		}
		later := now.Add(time.Minute)
		entry := must(one.Revoke(ctx, revoked, "keyCompromise", later))(t)
		a, b := must(one.CRL(ctx, "", later))(t), must(two.CRL(ctx, "", later.Add(time.Minute)))(t)
		if !bytes.Equal(a, b) {
			t.Error("two processes publish two lists")
		}
		crl := must(pki.ParseCRL(a))(t)
		if crl.Number().Cmp(must(pki.ParseCRL(before))(t).Number()) <= 0 || crl.Len() != 1 {
			t.Errorf("number %s, %d entries", crl.Number(), crl.Len())
		}
		if _, err := verdict(root, revoked, crl, later); err == nil {
			t.Error("what a revoked signer signed is accepted")
		}
		next := must(two.Key(ctx, keyring.DocSigner, later.Add(2*time.Minute)))(t)
		if cert := must(next.Certificate())(t); cert.SerialNumber.Cmp(revoked.SerialNumber) == 0 {
			t.Error("the revoked key signs")
		} else if state, err := verdict(root, cert, crl, later); err != nil || state != pki.Good {
			t.Errorf("the successor: %s, %v", state, err)
		}
		list := must(one.Keys(ctx, keyring.DocSigner, later))(t)
		if old := list[len(list)-1]; old.State != keyring.Retired || old.Reason != "keyCompromise" || !old.Revoked.Equal(entry.At) {
			t.Errorf("%+v", old)
		}
		// Twice is once, with the reason and the time of the first.
		if again := must(two.Revoke(ctx, revoked, "superseded", later.Add(time.Hour)))(t); again != entry {
			t.Errorf("again: %+v, first %+v", again, entry)
		}
		// Strangers, roots and reasons that are none.
		stranger := newIssuing(t, testkit.SQLite(t)).ca()
		foreign := must(must(stranger.Key(ctx, keyring.DocSigner, now))(t).Certificate())(t)
		for name, cert := range map[string]*x509.Certificate{"foreign": foreign, "root": root} {
			if _, err := one.Revoke(ctx, cert, "unspecified", later); err == nil {
				t.Errorf("%s: revoked", name)
			}
		}
		for _, reason := range []keyring.Reason{"", "certificateHold", "removeFromCRL", "KeyCompromise"} {
			if _, err := one.Revoke(ctx, must(next.Certificate())(t), reason, later); err == nil {
				t.Errorf("reason %q: revoked", reason)
			}
		}
		// A list is renewed, never with a smaller number, also when the clock goes back.
		renewed := must(pki.ParseCRL(must(one.CRL(ctx, "", later.Add(13*time.Hour)))(t)))(t)
		back := must(pki.ParseCRL(must(one.CRL(ctx, "", later.Add(-24*time.Hour)))(t)))(t)
		if renewed.Number().Cmp(crl.Number()) <= 0 || back.Number().Cmp(renewed.Number()) <= 0 || back.Len() != 1 {
			t.Errorf("numbers %s, %s, %s", crl.Number(), renewed.Number(), back.Number())
		}
	})
}

// A store that was restored from a backup takes over the list that was
// published last: nothing is forgotten, and its number rises.
func TestRevocationsAfterRestore(t *testing.T) {
	ctx := t.Context()
	i := newIssuing(t, testkit.SQLite(t))
	ca := i.ca()
	cert := must(must(ca.Key(ctx, keyring.DocSigner, now))(t).Certificate())(t)
	must(ca.CRL(ctx, "", now))(t)
	kept := must(ca.CRL(ctx, "", now))(t)
	if n, err := ca.ImportCRL(ctx, kept, now); err != nil || n != 0 {
		t.Errorf("its own list: %d, %v", n, err)
	}
	// What the backup does not know: the same root in another store.
	lost := &issuing{t: t, area: i.area, records: records(t, testkit.SQLite(t)), tenant: i.tenant}
	copyKeys(t, i.records, lost.records)
	must(lost.ca().Revoke(ctx, cert, "superseded", now.Add(time.Hour)))(t)
	published := must(lost.ca().CRL(ctx, "", now.Add(time.Hour)))(t)

	at := now.Add(90 * 24 * time.Hour) // the list is long over
	if n, err := ca.ImportCRL(ctx, published, at); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	crl := must(pki.ParseCRL(must(i.ca().CRL(ctx, "", at))(t)))(t)
	if crl.Len() != 1 || crl.Number().Cmp(must(pki.ParseCRL(published))(t).Number()) <= 0 {
		t.Errorf("%d entries, number %s", crl.Len(), crl.Number())
	}
	if k := must(i.ca().Key(ctx, keyring.DocSigner, at))(t); must(k.Certificate())(t).SerialNumber.Cmp(cert.SerialNumber) == 0 {
		t.Error("a key whose certificate is revoked signs")
	}
	for name, der := range map[string][]byte{
		"nothing": nil, "cut": published[:len(published)-1], "of another root": must(newIssuing(t, testkit.SQLite(t)).ca().CRL(ctx, "", now))(t),
	} {
		if _, err := ca.ImportCRL(ctx, der, at); !errors.Is(err, keyring.ErrRefusedList) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func copyKeys(t *testing.T, from, to record.Store) {
	t.Helper()
	for _, p := range []keyring.Purpose{keyring.IACA, keyring.DocSigner, keyring.Status} {
		for _, r := range must(keyring.StoreIn(from).Keys(t.Context(), "default", p))(t) {
			if err := keyring.StoreIn(to).PutKey(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
}
