package provider

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/keyring"
)

// keyCA is the root of the attestation and status signers.
const keyCA keyring.Purpose = "provider-ca"

const (
	day            = 24 * time.Hour
	caLifetime     = 10 * 365 * day
	caReserve      = signerLifetime + 90*day // until then a root can certify a signer for its whole life
	signerLifetime = 397 * day
	signerReserve  = 60 * day // a new signer comes this long before the old one ends
)

// newCA is the tenant's root with its signers.
func (t *tenant) newCA() *keyring.CA {
	p := t.provider
	subject := func(role string) pki.Template {
		return pki.Template{Subject: pki.Name{Country: t.config.Country, Organization: t.config.Organization, CommonName: t.config.Name + " " + role}}
	}
	return keyring.NewCA(p.ring, p.db.Records(), keyring.CAConfig{
		Tenant: t.config.ID,
		Root:   keyring.Certified{Purpose: keyCA, Profile: pki.ServiceCA, Template: subject("CA"), Lifetime: caLifetime, Reserve: caReserve},
		Signers: []keyring.Certified{
			{Purpose: keyring.Attestation, Profile: pki.WalletProvider, Template: subject("attestations"), Lifetime: signerLifetime, Reserve: signerReserve},
			{Purpose: keyring.Status, Profile: pki.StatusSigner, Template: subject("status"), Lifetime: signerLifetime, Reserve: signerReserve, Linked: true},
		},
		Changed: func(ctx context.Context, c keyring.Change) error {
			return p.audit.Write(ctx, c.At, audit.Event{Tenant: c.Tenant, What: c.What, Object: c.Key, Detail: c.Detail})
		},
	})
}

// nonceKey is the MAC key of the tenant's challenges.
func (t *tenant) nonceKey(ctx context.Context) (key [32]byte, err error) {
	secret, err := keyring.Secret(ctx, t.provider.area, t.provider.db.Records(), t.config.ID, "nonces")
	if err != nil {
		return key, err
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, "eidos provider challenges", len(key))
	copy(key[:], derived)
	return key, err
}

// Close writes the last checkpoint of the audit. Nothing may be asked of the
// provider afterwards.
func (p *Provider) Close(ctx context.Context) error { return p.audit.Close(ctx, p.now()) }
