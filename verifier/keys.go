package verifier

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/verifier/core"
)

const (
	day          = 24 * time.Hour
	caLifetime   = 10 * 365 * day
	caReserve    = leafLifetime + 90*day // until then a root can certify a reader for its whole life
	leafLifetime = 397 * day
	leafReserve  = 60 * day // a new reader certificate comes this long before the old one ends
)

// tenant is one relying party.
type tenant struct {
	v        *Verifier
	config   Tenant
	base     string // public address, without trailing slash
	host     string // of the reader certificate
	anchors  anchorsFunc
	follower *assure.Follower    // nil if the anchors come from elsewhere
	status   *statuslist.Fetcher // with network
	presets  []core.Preset       // the tenant's own
	ca       *keyring.CA
	noted    notedLists

	mu      sync.Mutex // guards what is below
	sealing sealer
	packed  time.Time // when the pack was last made
	crls    []*pki.CRL
	loaded  bool // crls are those of the store
}

func (v *Verifier) newTenant(c Tenant, anchors func(context.Context, time.Time) (*assure.Anchors, error)) (*tenant, error) {
	u, err := url.Parse(v.config.URL)
	if err != nil {
		return nil, err
	}
	t := &tenant{v: v, config: c, base: v.config.URL + "/" + c.ID, host: u.Hostname(), anchors: anchors, presets: c.Presets}
	if anchors == nil {
		fetch := v.fetch
		if fetch == nil {
			fetch = noNetwork
		}
		t.follower = assure.NewFollower(assure.FollowerConfig{
			URL: v.config.Trust, Fetch: fetch, Fingerprint: v.config.TrustFingerprint,
			Tx: func(ctx context.Context, f func(once.Store) error) error {
				return v.db.Tx(ctx, func(_ context.Context, tx *db.Tx) error { return f(tx.Once(c.ID)) })
			},
		})
		t.anchors = t.follower.Anchors
	}
	pins, err := c.Policy.pins()
	if err != nil {
		return nil, err
	}
	t.anchors = withPins(t.anchors, pins)
	t.status = statuslist.NewFetcher(v.fetch, assure.StatusTrust(trustlist.Issuer, t.anchors), statuslist.Options{
		MaxTTL: v.config.StatusMaxAge, MaxCopies: maxKnownLists,
	})
	t.ca = t.newCA()
	return t, nil
}

// ask reads a question with the tenant's presets.
func (t *tenant) ask(text, purpose string) (core.Ask, error) {
	a, err := core.ParseAsk(text, t.v.types, t.presets...)
	if err == nil && purpose != "" {
		a, err = a.WithPurpose(purpose)
	}
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return a, nil
}

// onSite is ask for where people see each other.
func (t *tenant) onSite(text string) (core.Ask, error) {
	a, err := core.ParseOnSite(text, t.v.types, t.presets...)
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return a, nil
}

// newCA is the tenant's reader CA with the key that signs requests, on-site and
// over the internet, with one certificate for both.
func (t *tenant) newCA() *keyring.CA {
	template := func(cn string) pki.Template {
		return pki.Template{
			Subject: pki.Name{Country: t.config.Country, Organization: t.config.Name, CommonName: cn}, CRLURL: t.base + "/reader-ca.crl",
		}
	}
	root, reader := template(t.config.Name+" Reader CA"), template(t.config.Name)
	reader.Subject.OrganizationID = t.config.Identifier
	root.Contact, reader.DNS = t.base, []string{t.host}
	reader.URIs = []string{t.base + "/deletion"} // EUDI TS7 1.0, 3.3: where holders turn to
	return keyring.NewCA(t.v.ring, t.v.db.Records(), keyring.CAConfig{
		Tenant: t.config.ID,
		Root:   keyring.Certified{Purpose: keyring.ReaderCA, Profile: pki.ReaderCA, Template: root, Lifetime: caLifetime, Reserve: caReserve},
		Signers: []keyring.Certified{
			{Purpose: keyring.Reader, Profile: pki.ReaderAuth, Template: reader, Lifetime: leafLifetime, Reserve: leafReserve},
		},
		Changed: func(ctx context.Context, c keyring.Change) error {
			return t.v.audit.Write(ctx, c.At, audit.Event{Tenant: c.Tenant, What: c.What, Object: c.Key, Detail: c.Detail})
		},
	})
}

// reader returns the key that signs requests.
func (t *tenant) reader(ctx context.Context) (keyring.Key, error) {
	return t.ca.Key(ctx, keyring.Reader, t.v.now())
}

// Certificates lists the certificates in use. Error: ErrUnknownTenant.
func (v *Verifier) Certificates(ctx context.Context, tenant string) ([]keyring.Published, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.ca.Published(ctx, v.now())
}

// ReaderCA returns the certificate that the tenant's readers and requests are
// trusted by. Error: ErrUnknownTenant.
func (v *Verifier) ReaderCA(ctx context.Context, tenant string) (*x509.Certificate, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.ca.Root(ctx, v.now())
}

// CA returns the tenant's reader CA, for its operator. Error: ErrUnknownTenant.
func (v *Verifier) CA(tenant string) (*keyring.CA, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.ca, nil
}

// params are what the tenant verifies answers with.
func (t *tenant) params(ctx context.Context, now time.Time) (core.VerifyParams, error) {
	anchors, err := t.anchors(ctx, now)
	if err != nil {
		return core.VerifyParams{}, fmt.Errorf("verifier: %w", err)
	}
	return core.VerifyParams{
		Anchors: anchors, Now: now, Types: t.v.types, Strict: t.v.config.Strict, RequireStatus: t.v.config.RequireStatus,
		Policy: t.config.Policy.policy(),
	}, nil
}

// Close writes the last checkpoint of the audit. Nothing may be asked of the
// verifier afterwards.
func (v *Verifier) Close(ctx context.Context) error { return v.audit.Close(ctx, v.now()) }
