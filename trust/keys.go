package trust

import (
	"context"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/keyring"
)

// keyCA is the root of the signers of both lists.
const keyCA keyring.Purpose = "trust-ca"

const (
	day            = 24 * time.Hour
	caLifetime     = 10 * 365 * day
	signerLifetime = 397 * day
	signerReserve  = 60 * day // a new signer comes this long before the old one ends
)

// newCA is the tenant's root with its signers. It has no successor before it
// ends: those who follow the lists have pinned it and accept no other.
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
		Root:   keyring.Certified{Purpose: keyCA, Profile: pki.ServiceCA, Template: root, Lifetime: caLifetime},
		Signers: []keyring.Certified{
			{Purpose: keyring.VICAL, Profile: pki.VICALSigner, Template: template("VICAL"), Lifetime: signerLifetime, Reserve: signerReserve},
			{Purpose: keyring.TrustList, Profile: pki.TrustListSigner, Template: template("anchors"), Lifetime: signerLifetime, Reserve: signerReserve},
		},
		Changed: func(ctx context.Context, c keyring.Change) error {
			return s.audit.Write(ctx, c.At, audit.Event{Tenant: c.Tenant, What: c.What, Object: c.Key, Detail: c.Detail})
		},
	})
}

// Close writes the last checkpoint of the audit. Nothing may be asked of the
// service afterwards.
func (s *Service) Close(ctx context.Context) error { return s.audit.Close(ctx, s.now()) }
