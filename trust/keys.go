package trust

import (
	"context"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
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

// newCA is the tenant's root with its signers.
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
		Made: func(ctx context.Context, k keyring.Key, now time.Time) error {
			return s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
				return s.audit(ctx, tx, now, audit.Event{
					Tenant: t.config.ID, What: "signing key made", Object: k.Record.ID, Detail: map[string]string{"purpose": string(k.Record.Purpose)},
				})
			})
		},
	})
}

func (t *tenant) serveCA(w http.ResponseWriter, r *http.Request) error {
	_, root, err := t.ca.Root(r.Context(), t.service.now())
	if err != nil {
		return err
	}
	web.NewFile("application/pkix-cert", root.Raw).Serve(w, r, 5*time.Minute)
	return nil
}

func (t *tenant) serveCRL(w http.ResponseWriter, r *http.Request) error {
	crl, err := t.ca.CRL(r.Context(), t.service.now())
	if err != nil {
		return err
	}
	web.NewFile("application/pkix-crl", crl).Serve(w, r, time.Hour)
	return nil
}

// serveCertificates lists what is alive, for those who watch.
func (t *tenant) serveCertificates(w http.ResponseWriter, r *http.Request) error {
	list, err := t.ca.Published(r.Context(), t.service.now())
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, list)
	return nil
}
