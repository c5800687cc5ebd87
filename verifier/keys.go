package verifier

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/verifier/core"
)

const (
	day          = 24 * time.Hour
	caLifetime   = 10 * 365 * day
	leafLifetime = 397 * day
	renewBefore  = 60 * day // of the reader certificate
	crlLifetime  = 7 * day
	crlEvery     = 12 * time.Hour
)

// tenant is one relying party.
type tenant struct {
	v        *Verifier
	config   Tenant
	base     string // public address, without trailing slash
	host     string // of the reader certificate
	anchors  func(ctx context.Context, now time.Time) (*assure.Anchors, error)
	follower *assure.Follower    // nil if the anchors come from elsewhere
	status   *statuslist.Fetcher // with network
	presets  []core.Preset       // the tenant's own

	making sync.Mutex // held while keys are looked for and made

	mu      sync.Mutex // guards what is below
	sealing sealer
	crl     []byte // signed lately
	crlMade time.Time
	crlFor  string    // id of the CA key that signed it
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
	t.status = statuslist.NewFetcher(v.fetch, assure.StatusTrust(trustlist.Issuer, t.anchors), statuslist.Options{
		MaxTTL: v.config.StatusMaxAge, MaxCopies: maxKnownLists,
	})
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

func (t *tenant) subject(cn string) pki.Name {
	return pki.Name{Country: t.config.Country, Organization: t.config.Name, CommonName: cn}
}

// readerCA returns the key of the tenant's reader CA, made at first use.
func (t *tenant) readerCA(ctx context.Context) (keyring.Key, error) {
	t.making.Lock()
	defer t.making.Unlock()
	return t.ensureCA(ctx)
}

func (t *tenant) ensureCA(ctx context.Context) (keyring.Key, error) {
	now := t.v.now()
	return t.v.ring.Ensure(ctx, keyring.Spec{Tenant: t.config.ID, Purpose: keyring.ReaderCA}, now,
		func(ctx context.Context, k keyring.Key) ([][]byte, error) {
			notBefore, notAfter := pki.Validity(now, caLifetime)
			der, err := pki.Issue(ctx, pki.ReaderCA, pki.Template{
				Subject: t.subject(t.config.Name + " Reader CA"), PublicKey: k.Public(), NotBefore: notBefore, NotAfter: notAfter,
				Contact: t.base, CRLURL: t.base + "/reader-ca.crl",
			}, k)
			return [][]byte{der}, err
		})
}

// reader returns the key that signs requests, on-site and over the internet,
// with a certificate of the reader CA for both. It makes a new one in time
// before the certificate ends.
func (t *tenant) reader(ctx context.Context) (keyring.Key, error) {
	t.making.Lock()
	defer t.making.Unlock()
	now := t.v.now()
	spec := keyring.Spec{Tenant: t.config.ID, Purpose: keyring.Reader}
	k, err := t.v.ring.Current(ctx, t.config.ID, keyring.Reader, now)
	switch {
	case err == nil && t.certifies(k) && (k.Record.NotAfter.Sub(now) > renewBefore || t.lastUnderCA(ctx, k)):
		return k, nil
	case err != nil && !errors.Is(err, keyring.ErrNoKey):
		return k, err
	}
	return t.v.ring.Rotate(ctx, spec, now, t.certifyReader)
}

// lastUnderCA reports whether a certificate lasts as long as its CA, so that a
// new one would not last longer.
func (t *tenant) lastUnderCA(ctx context.Context, k keyring.Key) bool {
	cas, err := t.v.ring.Alive(ctx, t.config.ID, keyring.ReaderCA, t.v.now())
	return err == nil && len(cas) > 0 && !k.Record.NotAfter.Before(cas[0].Record.NotAfter)
}

// certifies reports whether the certificate is for the host that we have now.
func (t *tenant) certifies(k keyring.Key) bool {
	if len(k.Record.Chain) == 0 {
		return false
	}
	cert, err := pki.ParseCertificate(k.Record.Chain[0])
	return err == nil && cert.VerifyHostname(t.host) == nil
}

func (t *tenant) certifyReader(ctx context.Context, k keyring.Key) ([][]byte, error) {
	ca, err := t.ensureCA(ctx)
	if err != nil {
		return nil, err
	}
	root, err := pki.ParseCertificate(ca.Record.Chain[0])
	if err != nil {
		return nil, err
	}
	notBefore, notAfter := pki.Validity(t.v.now(), leafLifetime)
	if notBefore.Before(root.NotBefore) {
		notBefore = root.NotBefore
	}
	if notAfter.After(root.NotAfter) {
		notAfter = root.NotAfter
	}
	der, err := pki.Issue(ctx, pki.ReaderAuth, pki.Template{
		Subject: t.subject(t.config.Name), PublicKey: k.Public(), Issuer: root, NotBefore: notBefore, NotAfter: notAfter,
		DNS: []string{t.host}, CRLURL: t.base + "/reader-ca.crl",
	}, ca)
	return [][]byte{der}, err
}

// engine is the OpenID4VP side of the tenant.
func (t *tenant) engine(ctx context.Context) (*oid4vp.Verifier, error) {
	k, err := t.reader(ctx)
	if err != nil {
		return nil, err
	}
	id := oid4vp.X509HashID(k.Record.Chain[0])
	if t.config.ClientID == ClientX509SANDNS {
		id = oid4vp.X509SANDNSID(t.host)
	}
	return &oid4vp.Verifier{ClientID: id, Key: k, Chain: k.Record.Chain}, nil
}

// readerCRL is the revocation list of the reader CA, signed anew twice a day.
func (t *tenant) readerCRL(ctx context.Context) ([]byte, error) {
	ca, err := t.readerCA(ctx)
	if err != nil {
		return nil, err
	}
	now := t.v.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.crl != nil && t.crlFor == ca.Record.ID && now.Sub(t.crlMade) < crlEvery {
		return t.crl, nil
	}
	root, err := pki.ParseCertificate(ca.Record.Chain[0])
	if err != nil {
		return nil, err
	}
	thisUpdate := now.UTC().Truncate(time.Second)
	der, err := pki.IssueCRL(ctx, pki.CRLTemplate{
		Issuer: root, Number: big.NewInt(thisUpdate.Unix()), ThisUpdate: thisUpdate, NextUpdate: thisUpdate.Add(crlLifetime),
	}, ca)
	if err != nil {
		return nil, err
	}
	t.crl, t.crlMade, t.crlFor = der, now, ca.Record.ID
	return der, nil
}

// CertificateInfo is one certificate of the verifier, as /{tenant}/certificates
// lists it for the monitoring service.
type CertificateInfo struct {
	Name     string    `json:"name"`
	Purpose  string    `json:"purpose"`
	NotAfter time.Time `json:"notAfter"`
}

// Certificates lists the certificates in use. Error: ErrUnknownTenant.
func (v *Verifier) Certificates(ctx context.Context, tenant string) ([]CertificateInfo, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if _, err := t.reader(ctx); err != nil {
		return nil, err
	}
	list := []CertificateInfo{}
	for _, purpose := range []keyring.Purpose{keyring.ReaderCA, keyring.Reader} {
		keys, err := v.ring.Alive(ctx, t.config.ID, purpose, v.now())
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if len(k.Record.Chain) == 0 {
				continue
			}
			cert, err := pki.ParseCertificate(k.Record.Chain[0])
			if err != nil {
				return nil, err
			}
			list = append(list, CertificateInfo{Name: cert.Subject.CommonName, Purpose: string(purpose), NotAfter: cert.NotAfter.UTC()})
		}
	}
	return list, nil
}

// ReaderCA returns the certificate that the tenant's readers and requests are
// trusted by. Error: ErrUnknownTenant.
func (v *Verifier) ReaderCA(ctx context.Context, tenant string) (*x509.Certificate, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	k, err := t.readerCA(ctx)
	if err != nil {
		return nil, err
	}
	return pki.ParseCertificate(k.Record.Chain[0])
}

// params are what the tenant verifies answers with.
func (t *tenant) params(ctx context.Context, now time.Time) (core.VerifyParams, error) {
	anchors, err := t.anchors(ctx, now)
	if err != nil {
		return core.VerifyParams{}, fmt.Errorf("verifier: %w", err)
	}
	return core.VerifyParams{
		Anchors: anchors, Now: now, Types: t.v.types, Strict: t.v.config.Strict, RequireStatus: t.v.config.RequireStatus,
	}, nil
}
