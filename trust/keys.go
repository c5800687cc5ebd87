package trust

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/keyring"
)

// keyCA is the root of the signers of both lists.
const keyCA keyring.Purpose = "trust-ca"

const (
	day            = 24 * time.Hour
	caLifetime     = 10 * 365 * day
	signerLifetime = 397 * day
	signerReserve  = 60 * day // a new signer comes this long before the old one ends

	leaseKeys  = "keys"
	leaseTime  = 30 * time.Second
	leaseRetry = 50 * time.Millisecond
)

// key returns the tenant's current key of a purpose, and makes all of its keys
// if there is none.
func (t *tenant) key(ctx context.Context, purpose keyring.Purpose) (keyring.Key, error) {
	s := t.service
	k, err := s.ring.Current(ctx, t.config.ID, purpose, s.now())
	if !errors.Is(err, keyring.ErrNoKey) {
		return k, err
	}
	if err := t.makeKeys(ctx); err != nil {
		return keyring.Key{}, err
	}
	return s.ring.Current(ctx, t.config.ID, purpose, s.now())
}

// makeKeys makes the keys that are missing and those that are about to end.
// One process does so at a time, so that there is one root.
func (t *tenant) makeKeys(ctx context.Context) error {
	return t.alone(ctx, leaseKeys, func(ctx context.Context) error {
		s, now := t.service, t.service.now()
		root, err := s.ring.Ensure(ctx, keyring.Spec{Tenant: t.config.ID, Purpose: keyCA}, now, t.certifyRoot)
		if err != nil {
			return err
		}
		for purpose, profile := range map[keyring.Purpose]pki.Profile{keyring.VICAL: pki.VICALSigner, keyring.TrustList: pki.TrustListSigner} {
			k, err := s.ring.Current(ctx, t.config.ID, purpose, now)
			if err == nil && !tooOld(k, now) {
				continue
			}
			if err != nil && !errors.Is(err, keyring.ErrNoKey) {
				return err
			}
			certify := func(ctx context.Context, k keyring.Key) ([][]byte, error) { return t.certify(ctx, root, k, profile) }
			if k, err = s.ring.Rotate(ctx, keyring.Spec{Tenant: t.config.ID, Purpose: purpose}, now, certify); err != nil {
				return err
			}
			err = s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
				return s.audit(ctx, tx, now, audit.Event{
					Tenant: t.config.ID, What: "signing key made", Object: k.Record.ID, Detail: map[string]string{"purpose": string(purpose)},
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func tooOld(k keyring.Key, now time.Time) bool { return k.Record.NotAfter.Sub(now) < signerReserve }

// maintainKeys makes what is missing and renews what is due.
func (t *tenant) maintainKeys(ctx context.Context) error {
	for _, purpose := range []keyring.Purpose{keyCA, keyring.VICAL, keyring.TrustList} {
		k, err := t.key(ctx, purpose)
		if err == nil && purpose != keyCA && tooOld(k, t.service.now()) {
			err = t.makeKeys(ctx)
		}
		if err != nil {
			return fmt.Errorf("trust: keys of %s: %w", t.config.ID, err)
		}
	}
	return nil
}

// alone runs f while no other process runs the same for this tenant.
func (t *tenant) alone(ctx context.Context, name string, f func(ctx context.Context) error) error {
	s, holder := t.service, rand.Text()
	for {
		var mine bool
		err := s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			mine, err = takeLease(ctx, tx, t.config.ID, name, holder, s.now(), s.now().Add(leaseTime))
			return err
		})
		if err != nil {
			return fmt.Errorf("trust: lease of %s: %w", name, err)
		}
		if mine {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leaseRetry):
		}
	}
	err := f(ctx)
	return errors.Join(err, s.db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		return dropLease(ctx, tx, t.config.ID, name, holder)
	}))
}

// certifyRoot makes the self-signed certificate of a new root.
func (t *tenant) certifyRoot(ctx context.Context, k keyring.Key) ([][]byte, error) {
	notBefore, notAfter := pki.Validity(t.service.now(), caLifetime)
	der, err := pki.Issue(ctx, pki.ServiceCA, pki.Template{
		Subject: t.subject("CA"), PublicKey: k.Public(), NotBefore: notBefore, NotAfter: notAfter,
	}, k)
	return [][]byte{der}, err
}

// certify has the root make the certificate of a signer.
func (t *tenant) certify(ctx context.Context, root, k keyring.Key, profile pki.Profile) ([][]byte, error) {
	ca, err := leaf(root)
	if err != nil {
		return nil, err
	}
	notBefore, notAfter := pki.Validity(t.service.now(), signerLifetime)
	if notAfter.After(ca.NotAfter) {
		notAfter = ca.NotAfter
	}
	name := "anchors"
	if profile == pki.VICALSigner {
		name = "VICAL"
	}
	der, err := pki.Issue(ctx, profile, pki.Template{
		Subject: t.subject(name), PublicKey: k.Public(), Issuer: ca, NotBefore: notBefore, NotAfter: notAfter,
		CRLURL: t.base + "/ca.crl",
	}, root)
	return [][]byte{der}, err
}

func (t *tenant) subject(role string) pki.Name {
	return pki.Name{Country: t.config.Country, Organization: t.config.Name, CommonName: t.config.Name + " " + role}
}

// leaf is the certificate of a key.
func leaf(k keyring.Key) (*x509.Certificate, error) {
	if len(k.Record.Chain) == 0 {
		return nil, fmt.Errorf("trust: %s key without certificate", k.Record.Purpose)
	}
	return pki.ParseCertificate(k.Record.Chain[0])
}
