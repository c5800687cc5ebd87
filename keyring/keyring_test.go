package keyring_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea"
	"github.com/eidos-id/eidos/securearea/software"
)

var (
	_    key.Signer = keyring.Key{}
	now             = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p256            = elliptic.P256()
	day             = 24 * time.Hour
)

// counting is a Store that forgets when the process ends, and counts what the
// ring asks of it.
type counting struct {
	mu      sync.Mutex
	records []keyring.Record
	reads   int
	fail    error
}

func (c *counting) Keys(_ context.Context, tenant string, purpose keyring.Purpose) ([]keyring.Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	var records []keyring.Record
	for _, rec := range c.records {
		if rec.Tenant == tenant && rec.Purpose == purpose {
			records = append(records, rec)
		}
	}
	return records, nil
}

func (c *counting) PutKey(_ context.Context, rec keyring.Record) error {
	if c.fail != nil {
		return c.fail
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.records, func(have keyring.Record) bool { return have.Tenant == rec.Tenant && have.ID == rec.ID })
	if i < 0 {
		c.records = append(c.records, rec)
	} else {
		c.records[i] = rec
	}
	return nil
}

func ring(t *testing.T) (*keyring.Ring, *counting, *software.Area) {
	t.Helper()
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	store := &counting{}
	return keyring.New(area, store), store, area
}

// certify makes a certificate for pub, by parent (nil: self-signed).
func certify(t *testing.T, pub crypto.PublicKey, signer key.Signer, parent *x509.Certificate, from, to time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to,
		BasicConstraintsValid: true, IsCA: parent == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key.CryptoSigner(t.Context(), signer))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func rotate(t *testing.T, r *keyring.Ring, at, from, to time.Time) keyring.Key {
	t.Helper()
	spec := keyring.Spec{Tenant: "default", Purpose: keyring.DocSigner}
	k, err := r.Rotate(t.Context(), spec, at, func(_ context.Context, k keyring.Key) ([][]byte, error) {
		return [][]byte{certify(t, k.Public(), k, nil, from, to)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func current(t *testing.T, r *keyring.Ring, at time.Time) string {
	t.Helper()
	k, err := r.Current(t.Context(), "default", keyring.DocSigner, at)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.Sign(t.Context(), []byte("m"))
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(k.Public(), []byte("m"), signature); err != nil {
		t.Fatal(err)
	}
	return k.Record.ID
}

func TestLife(t *testing.T) {
	r, _, area := ring(t)
	ctx := t.Context()
	if _, err := r.Current(ctx, "default", keyring.DocSigner, now); !errors.Is(err, keyring.ErrNoKey) {
		t.Fatalf("an empty ring: %v", err)
	}
	first := rotate(t, r, now, now, now.Add(10*day))
	if got := current(t, r, now); got != first.Record.ID {
		t.Error("the only key is not current")
	}
	// A second one is certified for tomorrow: the first signs until then.
	second := rotate(t, r, now.Add(time.Hour), now.Add(day), now.Add(20*day))
	if got := current(t, r, now.Add(2*time.Hour)); got != first.Record.ID {
		t.Error("a key signs before its certificate is valid")
	}
	if got := current(t, r, now.Add(2*day)); got != second.Record.ID {
		t.Error("the newer key is not current when its day has come")
	}
	alive, err := r.Alive(ctx, "default", keyring.DocSigner, now.Add(2*day))
	if err != nil || len(alive) != 2 || alive[0].Record.ID != second.Record.ID || alive[1].Record.ID != first.Record.ID {
		t.Fatalf("alive: %v, %v", alive, err)
	}
	if _, err := r.Retire(ctx, second); err != nil {
		t.Fatal(err)
	}
	if got := current(t, r, now.Add(2*day)); got != first.Record.ID {
		t.Error("a retired key is current")
	}
	if alive, err := r.Alive(ctx, "default", keyring.DocSigner, now.Add(12*day)); err != nil || len(alive) != 1 || alive[0].Record.State != keyring.Retired {
		t.Errorf("alive after the first has expired: %v, %v", alive, err)
	}
	if _, err := r.Current(ctx, "default", keyring.DocSigner, now.Add(12*day)); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("an expired and a retired key: %v", err)
	}
	if err := r.Destroy(ctx, first); err != nil {
		t.Fatal(err)
	}
	if _, err := area.Key(ctx, first.Record.KeyID); !errors.Is(err, securearea.ErrNotFound) {
		t.Errorf("a destroyed key is in the area: %v", err)
	}
	if err := r.Destroy(ctx, first); err != nil {
		t.Errorf("destroyed twice: %v", err)
	}
	if alive, err := r.Alive(ctx, "default", keyring.DocSigner, now); err != nil || len(alive) != 1 {
		t.Errorf("alive after destruction: %v, %v", alive, err)
	}
}

func TestTenantsAndPurposesAreApart(t *testing.T) {
	r, _, _ := ring(t)
	rotate(t, r, now, now, now.Add(day))
	for _, other := range []keyring.Spec{{Tenant: "other", Purpose: keyring.DocSigner}, {Tenant: "default", Purpose: keyring.IACA}} {
		if _, err := r.Current(t.Context(), other.Tenant, other.Purpose, now); !errors.Is(err, keyring.ErrNoKey) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	for _, spec := range []keyring.Spec{{Purpose: keyring.IACA}, {Tenant: "default"}} {
		if _, err := r.Create(t.Context(), spec, now); err == nil {
			t.Errorf("%+v: created", spec)
		}
	}
}

// The way of an authority that keeps its root offline: requests out,
// certificates in, perhaps days later and from another process.
func TestOfflineAuthority(t *testing.T) {
	r, store, area := ring(t)
	spec := keyring.Spec{Tenant: "default", Purpose: keyring.DocSigner, Curve: securearea.P384}
	made, err := r.Create(t.Context(), spec, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Current(t.Context(), "default", keyring.DocSigner, now); !errors.Is(err, keyring.ErrNoKey) {
		t.Fatalf("a pending key is current: %v", err)
	}
	r = keyring.New(area, store)
	waiting, err := r.Waiting(t.Context(), "default", keyring.DocSigner)
	if err != nil || len(waiting) != 1 || waiting[0].Record.ID != made.Record.ID {
		t.Fatalf("waiting: %v, %v", waiting, err)
	}
	root, stranger := rotate(t, r, now.Add(-time.Hour), now, now.Add(day)), rotate(t, r, now.Add(-2*time.Hour), now, now.Add(day))
	rootCert, err := x509.ParseCertificate(root.Record.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	leaf := certify(t, waiting[0].Public(), root, rootCert, now, now.Add(day))
	for name, chain := range map[string][][]byte{
		"not a certificate": {{1, 2, 3}},
		"of another key":    {root.Record.Chain[0]},
		"broken order":      {leaf, stranger.Record.Chain[0]},
	} {
		if _, err := r.Activate(t.Context(), waiting[0], chain); err == nil {
			t.Errorf("%s: activated", name)
		}
	}
	active, err := r.Activate(t.Context(), waiting[0], [][]byte{leaf, root.Record.Chain[0]})
	if err != nil {
		t.Fatal(err)
	}
	if !active.Record.NotAfter.Equal(now.Add(day)) || len(active.Record.Chain) != 2 {
		t.Errorf("record %+v", active.Record)
	}
	if got := current(t, r, now); got != active.Record.ID {
		t.Error("the certified key is not current")
	}
}

func TestRotateFails(t *testing.T) {
	r, store, area := ring(t)
	refused := errors.New("the authority says no")
	spec := keyring.Spec{Tenant: "default", Purpose: keyring.DocSigner}
	_, err := r.Rotate(t.Context(), spec, now, func(context.Context, keyring.Key) ([][]byte, error) { return nil, refused })
	if !errors.Is(err, refused) {
		t.Error(err)
	}
	if ids, err := area.Keys(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("keys left behind: %v, %v", ids, err)
	}
	spec.Curve = securearea.X25519
	if _, err := r.Create(t.Context(), spec, now); !errors.Is(err, securearea.ErrUnsupported) {
		t.Errorf("a curve that cannot sign: %v", err)
	}
	store.fail = errors.New("disk full")
	spec.Curve = securearea.P256
	if _, err := r.Rotate(t.Context(), spec, now, nil); !errors.Is(err, store.fail) {
		t.Errorf("a store that fails: %v", err)
	}
}

func TestEnsureWithoutCertificate(t *testing.T) {
	r, _, _ := ring(t)
	spec := keyring.Spec{Tenant: "default", Purpose: keyring.Attestation}
	first, err := r.Ensure(t.Context(), spec, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Ensure(t.Context(), spec, now.Add(1000*day), nil)
	if err != nil || again.Record.ID != first.Record.ID {
		t.Errorf("a key without end was made again: %v", err)
	}
}

// A protected key asks each time, also when the ring remembers it.
func TestUnlock(t *testing.T) {
	r, _, _ := ring(t)
	unlock := securearea.Unlock{Passphrase: []byte("of the ceremony")}
	k, err := r.Ensure(t.Context(), keyring.Spec{Tenant: "default", Purpose: keyring.Attestation, Unlock: unlock}, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Sign(t.Context(), nil); !errors.Is(err, securearea.ErrLocked) {
		t.Errorf("without unlock data: %v", err)
	}
	open, err := k.WithUnlock(func(context.Context) (securearea.Unlock, error) { return unlock, nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Sign(t.Context(), nil); err != nil {
		t.Errorf("with unlock data: %v", err)
	}
}

// Signing costs no query each time, and what another process changed is seen
// within a minute.
func TestCurrentIsRemembered(t *testing.T) {
	r, store, area := ring(t)
	rotate(t, r, now, now, now.Add(day))
	current(t, r, now)
	before := store.reads
	for range 10 {
		current(t, r, now.Add(30*time.Second))
	}
	if store.reads != before {
		t.Errorf("%d reads for ten signatures", store.reads-before)
	}
	newer := rotate(t, keyring.New(area, store), now.Add(time.Second), now, now.Add(day))
	if got := current(t, r, now.Add(2*time.Minute)); got != newer.Record.ID {
		t.Error("another process's rotation is not seen")
	}
	mine := rotate(t, r, now.Add(3*time.Second), now, now.Add(day))
	if got := current(t, r, now.Add(2*time.Minute)); got != mine.Record.ID {
		t.Error("the own rotation is not seen at once")
	}
}
