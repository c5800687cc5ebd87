package trust

import (
	"context"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/keyring"
)

const (
	day            = 24 * time.Hour
	caLifetime     = 10 * 365 * day
	caReserve      = 5 * 365 * day // a new root comes this long before the old one ends, time to meet the link
	signerLifetime = 397 * day
	signerReserve  = 60 * day // a new signer comes this long before the old one ends
)

// newCA is the tenant's root with its signers. Those who follow the lists have
// pinned the root: they accept its successor over the link certificate, so the
// signers come under it as soon as there is one.
func (t *tenant) newCA() *keyring.CA {
	s := t.service
	template := func(role string) pki.Template {
		return pki.Template{
			Subject: pki.Name{Country: t.config.Country, Organization: t.config.Name, CommonName: t.config.Name + " " + role},
			CRLURL:  t.base + "/ca.crl",
		}
	}
	root := template("CA")
	root.CRLURL = ""
	return keyring.NewCA(s.ring, s.db.Records(), keyring.CAConfig{
		Tenant: t.config.ID,
		Root:   keyring.Certified{Purpose: keyring.TrustCA, Profile: pki.ServiceCA, Template: root, Lifetime: caLifetime, Reserve: caReserve},
		Signers: []keyring.Certified{
			{Purpose: keyring.VICAL, Profile: pki.VICALSigner, Template: template("VICAL"), Lifetime: signerLifetime, Reserve: signerReserve, Linked: true},
			{Purpose: keyring.TrustList, Profile: pki.TrustListSigner, Template: template("anchors"), Lifetime: signerLifetime, Reserve: signerReserve, Linked: true},
		},
		Changed: func(ctx context.Context, c keyring.Change) error {
			return s.audit.Write(ctx, c.At, audit.Event{Tenant: c.Tenant, What: c.What, Object: c.Key, Detail: c.Detail})
		},
	})
}

// CA returns the tenant's root with its signers, for its operator. Error:
// ErrUnknownTenant.
func (s *Service) CA(tenant string) (*keyring.CA, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.ca, nil
}

// Close writes the last checkpoint of the audit. Nothing may be asked of the
// service afterwards.
func (s *Service) Close(ctx context.Context) error { return s.audit.Close(ctx, s.now()) }
