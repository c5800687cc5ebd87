package keyring

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/record"
)

// Certified says which certificates the keys of a purpose get.
type Certified struct {
	Purpose  Purpose
	Profile  pki.Profile
	Template pki.Template // all but key, issuer and dates
	Lifetime time.Duration
	// Reserve is how long before the end of a signer its successor is made.
	Reserve time.Duration
}

// CAConfig configures a CA.
type CAConfig struct {
	Tenant  string
	Root    Certified // signs its own certificate
	Signers []Certified
	// Made is told of each new key, for the audit. Optional.
	Made func(ctx context.Context, k Key, now time.Time) error
}

// CA is a root and the signers that it certifies, of one tenant: it makes what
// is missing and the successors of what is about to end, in one process at a
// time, so that there is one root. It may be used concurrently.
type CA struct {
	ring    *Ring
	records record.Store
	config  CAConfig

	mu     sync.Mutex
	looked bool // Maintain has succeeded in this process
	crl    signedCRL
}

type signedCRL struct {
	der    []byte
	update time.Time
	root   string // Record.ID
}

const (
	day         = 24 * time.Hour
	crlEvery    = 12 * time.Hour
	crlLifetime = 30 * day // for those who verify without network
)

// NewCA returns a CA. It makes no keys yet.
func NewCA(ring *Ring, records record.Store, config CAConfig) *CA {
	return &CA{ring: ring, records: records, config: config}
}

// Key returns the current key of the root's or a signer's purpose. The first
// call of a process sees to it that all keys are there.
func (ca *CA) Key(ctx context.Context, purpose Purpose, now time.Time) (Key, error) {
	ca.mu.Lock()
	looked := ca.looked
	ca.mu.Unlock()
	if looked {
		k, err := ca.ring.Current(ctx, ca.config.Tenant, purpose, now)
		if !errors.Is(err, ErrNoKey) {
			return k, err
		}
	}
	if err := ca.Maintain(ctx, now); err != nil {
		return Key{}, err
	}
	return ca.ring.Current(ctx, ca.config.Tenant, purpose, now)
}

// Root returns the current root and its certificate.
func (ca *CA) Root(ctx context.Context, now time.Time) (Key, *x509.Certificate, error) {
	k, err := ca.Key(ctx, ca.config.Root.Purpose, now)
	if err != nil {
		return Key{}, nil, err
	}
	cert, err := k.Certificate()
	return k, cert, err
}

// Certificate is the certificate of a key that has one.
func (k Key) Certificate() (*x509.Certificate, error) {
	if len(k.Record.Chain) == 0 {
		return nil, fmt.Errorf("keyring: %s key without certificate", k.Record.Purpose)
	}
	return pki.ParseCertificate(k.Record.Chain[0])
}

// Maintain makes the keys that are missing and those that are due. A role
// calls it now and then.
func (ca *CA) Maintain(ctx context.Context, now time.Time) error {
	_, due, err := ca.due(ctx, now)
	if err == nil && due {
		err = ca.records.Alone(ctx, ca.config.Tenant, "keys", func(ctx context.Context) error { return ca.make(ctx, now) })
	}
	if err != nil {
		return fmt.Errorf("keyring: keys of %s: %w", ca.config.Tenant, err)
	}
	ca.mu.Lock()
	ca.looked = true
	ca.mu.Unlock()
	return nil
}

// due returns the signers that need a new key, and whether there is anything
// to make.
func (ca *CA) due(ctx context.Context, now time.Time) (signers []Certified, any bool, err error) {
	root, err := ca.ring.active(ctx, ca.config.Tenant, ca.config.Root.Purpose, now)
	if err != nil {
		return nil, false, err
	}
	for _, s := range ca.config.Signers {
		keys, err := ca.ring.active(ctx, ca.config.Tenant, s.Purpose, now)
		if err != nil {
			return nil, false, err
		}
		if len(root) == 0 || !slices.ContainsFunc(keys, func(r Record) bool { return s.lasts(r, root[0], now) && s.fits(r) }) {
			signers = append(signers, s)
		}
	}
	return signers, len(root) == 0 || len(signers) > 0, nil
}

// lasts reports whether a key needs no successor yet, or a successor would end
// with the root too.
func (c Certified) lasts(r, root Record, now time.Time) bool {
	return r.NotAfter.Sub(now) >= c.Reserve || !r.NotAfter.Before(root.NotAfter)
}

// fits reports whether the certificate of a key is for the names of today.
func (c Certified) fits(r Record) bool {
	if len(c.Template.DNS) == 0 {
		return true
	}
	cert, err := Key{Record: r}.Certificate()
	return err == nil && !slices.ContainsFunc(c.Template.DNS, func(name string) bool { return cert.VerifyHostname(name) != nil })
}

// make makes what is due, now that no other process does.
func (ca *CA) make(ctx context.Context, now time.Time) error {
	root, err := ca.ring.Current(ctx, ca.config.Tenant, ca.config.Root.Purpose, now)
	if errors.Is(err, ErrNoKey) {
		root, err = ca.certified(ctx, ca.config.Root, nil, now)
	}
	if err != nil {
		return err
	}
	signers, _, err := ca.due(ctx, now)
	if err != nil {
		return err
	}
	for _, s := range signers {
		if _, err := ca.certified(ctx, s, &root, now); err != nil {
			return err
		}
	}
	return nil
}

// certified makes a key with a certificate by the root; nil is a new root.
func (ca *CA) certified(ctx context.Context, c Certified, root *Key, now time.Time) (Key, error) {
	k, err := ca.ring.Rotate(ctx, Spec{Tenant: ca.config.Tenant, Purpose: c.Purpose}, now, func(ctx context.Context, k Key) ([][]byte, error) {
		t, signer := c.Template, k
		t.PublicKey = k.Public()
		t.NotBefore, t.NotAfter = pki.Validity(now, c.Lifetime)
		if root != nil {
			cert, err := root.Certificate()
			if err != nil {
				return nil, err
			}
			t.Issuer, signer = cert, *root
			if t.NotBefore.Before(cert.NotBefore) {
				t.NotBefore = cert.NotBefore
			}
			if t.NotAfter.After(cert.NotAfter) {
				t.NotAfter = cert.NotAfter
			}
		}
		der, err := pki.Issue(ctx, c.Profile, t, signer)
		return [][]byte{der}, err
	})
	if err == nil && ca.config.Made != nil {
		err = ca.config.Made(ctx, k, now)
	}
	return k, err
}

// Published is a certificate as a role lists it for those who watch.
type Published struct {
	Name      string    `json:"name"`
	Purpose   Purpose   `json:"purpose"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
}

// Published lists the certificates whose keys' signatures count, the root's
// first.
func (ca *CA) Published(ctx context.Context, now time.Time) ([]Published, error) {
	if err := ca.Maintain(ctx, now); err != nil {
		return nil, err
	}
	var list []Published
	for _, c := range append([]Certified{ca.config.Root}, ca.config.Signers...) {
		keys, err := ca.ring.Alive(ctx, ca.config.Tenant, c.Purpose, now)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			cert, err := k.Certificate()
			if err != nil {
				return nil, err
			}
			list = append(list, Published{cert.Subject.CommonName, c.Purpose, cert.NotBefore.UTC(), cert.NotAfter.UTC()})
		}
	}
	return list, nil
}

// CRL returns the root's revocation list, DER, signed anew twice a day. No
// certificate has been revoked so far: the list says so. Its number is its
// time, so that all processes publish the same.
func (ca *CA) CRL(ctx context.Context, now time.Time) ([]byte, error) {
	root, cert, err := ca.Root(ctx, now)
	if err != nil {
		return nil, err
	}
	update := now.UTC().Truncate(crlEvery)
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.crl.root == root.Record.ID && ca.crl.update.Equal(update) {
		return ca.crl.der, nil
	}
	der, err := pki.IssueCRL(ctx, pki.CRLTemplate{
		Issuer: cert, Number: big.NewInt(update.Unix()), ThisUpdate: update, NextUpdate: update.Add(crlLifetime),
	}, root)
	if err != nil {
		return nil, err
	}
	ca.crl = signedCRL{der, update, root.Record.ID}
	return der, nil
}
