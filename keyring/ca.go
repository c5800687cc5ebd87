package keyring

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
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
	// Reserve is how long before the end of a signer or root its successor is
	// made; at most two thirds of its life. A root without has none before it
	// has ended.
	Reserve time.Duration
	// Linked says of a signer that who knows an older root alone follows it,
	// because it shows its chain with the links (CA.Chain) or they are looked for
	// beside what it signs: it goes over to a new root as soon as there is a
	// link, before those that need lists to have it.
	Linked bool
}

// CAConfig configures a CA.
type CAConfig struct {
	Tenant  string
	Root    Certified // signs its own certificate
	Signers []Certified
	// Offline says that the private key of the root is kept elsewhere. The CA
	// then signs no certificate and no revocation list: requests go out
	// (Request), what the root signed comes in (ImportRoot, Import, ImportCRL).
	Offline bool
	// ListLifetime is how long a revocation list holds, for those who verify
	// without network; at most 90 days. Optional, 30 days.
	ListLifetime time.Duration
	// Changed is told what has happened to a key, for the audit. Optional.
	Changed func(ctx context.Context, c Change) error
	// Notify is told in plain words what an operator has to do, from Maintain,
	// once a day in each process for as long as it is not done. Optional.
	Notify func(ctx context.Context, notice string)
}

// Change is what has happened to a key.
type Change struct {
	What   string // in the past tense: "signing key made"
	Tenant string
	Key    string            // Record.ID, or the serial number of a certificate
	Detail map[string]string // with the purpose; no secret
	At     time.Time
}

// CA is a root and the signers that it certifies, of one tenant: it makes what
// is missing and the successors of what is about to end, in one process at a
// time. There may be several roots, the newest of which certifies, while what
// the others have certified counts. It may be used concurrently.
type CA struct {
	ring    *Ring
	records record.Store
	config  CAConfig

	mu       sync.Mutex
	looked   bool                 // Maintain has succeeded in this process
	notified map[string]time.Time // when Notify was told, by text
}

const (
	day         = 24 * time.Hour
	leaseOfKeys = "keys" // held while keys are made and certificates brought in
)

// NewCA returns a CA. It makes no keys yet.
func NewCA(ring *Ring, records record.Store, config CAConfig) *CA {
	config.ListLifetime = cmp.Or(config.ListLifetime, crlLifetime)
	return &CA{ring: ring, records: records, config: config, notified: map[string]time.Time{}}
}

// Key returns the current key of the root's or a signer's purpose. The first
// call of a process sees to it that all keys are there. Error: ErrOffline if
// there is none because the root is kept elsewhere.
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
	k, err := ca.ring.Current(ctx, ca.config.Tenant, purpose, now)
	if ca.config.Offline && errors.Is(err, ErrNoKey) {
		err = ca.noSigner(ctx, purpose, now)
	}
	return k, err
}

// Certificate is the certificate of a key that has one.
func (k Key) Certificate() (*x509.Certificate, error) { return k.Record.Certificate() }

// Certificate is the certificate of a key that has one.
func (rec Record) Certificate() (*x509.Certificate, error) {
	if len(rec.Chain) == 0 {
		return nil, fmt.Errorf("keyring: %s key without certificate", rec.Purpose)
	}
	return pki.ParseCertificate(rec.Chain[0])
}

// Maintain makes the keys that are missing and those that are due. A role
// calls it now and then. Where the root is kept elsewhere it makes nothing and
// tells Notify what is due.
func (ca *CA) Maintain(ctx context.Context, now time.Time) error {
	signers, due, err := ca.due(ctx, now)
	switch {
	case err != nil:
	case ca.config.Offline:
		err = ca.notify(ctx, signers, now)
	case due:
		err = ca.alone(ctx, func(ctx context.Context) error { return ca.make(ctx, now) })
	}
	if err != nil {
		return fmt.Errorf("keyring: keys of %s: %w", ca.config.Tenant, err)
	}
	ca.mu.Lock()
	ca.looked = true
	ca.mu.Unlock()
	return nil
}

// alone runs f while no other process works on the keys of the tenant.
func (ca *CA) alone(ctx context.Context, f func(ctx context.Context) error) error {
	return ca.records.Alone(ctx, ca.config.Tenant, leaseOfKeys, f)
}

// due returns the signers that need a new key, and whether there is anything
// to make.
func (ca *CA) due(ctx context.Context, now time.Time) (signers []Certified, any bool, err error) {
	roots, err := ca.roots(ctx, now)
	if err != nil {
		return nil, false, err
	}
	follows, err := ca.follows(ctx, roots, now)
	if err != nil {
		return nil, false, err
	}
	for _, s := range ca.config.Signers {
		keys, err := ca.ring.active(ctx, ca.config.Tenant, s.Purpose, now)
		if err != nil {
			return nil, false, err
		}
		if s.Linked && follows != nil {
			keys = slices.DeleteFunc(keys, func(r Record) bool { return !r.under(follows) })
		}
		if len(roots) == 0 || !slices.ContainsFunc(keys, func(r Record) bool { return s.lasts(r, roots[0], now) && s.fits(r) }) {
			signers = append(signers, s)
		}
	}
	return signers, ca.rootDue(roots, now) || len(signers) > 0, nil
}

// successor is when a key needs a successor.
func (c Certified) successor(r Record) time.Time {
	return r.NotAfter.Add(-min(c.Reserve, r.NotAfter.Sub(r.NotBefore)*2/3))
}

// lasts reports whether a key needs no successor yet, or a successor would end
// with the root too.
func (c Certified) lasts(r, root Record, now time.Time) bool {
	return !now.After(c.successor(r)) || !r.NotAfter.Before(root.NotAfter)
}

// fits reports whether the certificate of a key is for the names of today.
func (c Certified) fits(r Record) bool {
	if len(c.Template.DNS) == 0 {
		return true
	}
	cert, err := r.Certificate()
	return err == nil && !slices.ContainsFunc(c.Template.DNS, func(name string) bool { return cert.VerifyHostname(name) != nil })
}

// make makes what is due, now that no other process does.
func (ca *CA) make(ctx context.Context, now time.Time) error {
	roots, err := ca.roots(ctx, now)
	if err != nil {
		return err
	}
	if ca.rootDue(roots, now) {
		if _, err := ca.newRoot(ctx, true, now); err != nil {
			return err
		}
	}
	signers, _, err := ca.due(ctx, now)
	if err != nil {
		return err
	}
	for _, s := range signers {
		root, err := ca.certifier(ctx, s, now)
		if err != nil {
			return err
		}
		if _, err := ca.under(ctx, s, root, now); err != nil {
			return err
		}
	}
	return nil
}

// under makes a key with a certificate by the root.
func (ca *CA) under(ctx context.Context, c Certified, root Key, now time.Time) (Key, error) {
	issuer, err := root.Certificate()
	if err != nil {
		return Key{}, err
	}
	list, err := ca.listURL(ctx, c, issuer)
	if err != nil {
		return Key{}, err
	}
	k, err := ca.ring.Rotate(ctx, Spec{Tenant: ca.config.Tenant, Purpose: c.Purpose}, now, func(ctx context.Context, k Key) ([][]byte, error) {
		t := c.Template
		t.PublicKey, t.Issuer, t.CRLURL = k.Public(), issuer, list
		t.NotBefore, t.NotAfter = pki.Validity(now, c.Lifetime)
		if t.NotBefore.Before(issuer.NotBefore) {
			t.NotBefore = issuer.NotBefore
		}
		if t.NotAfter.After(issuer.NotAfter) {
			t.NotAfter = issuer.NotAfter
		}
		der, err := pki.Issue(ctx, c.Profile, t, root)
		return [][]byte{der}, err
	})
	if err != nil {
		return Key{}, err
	}
	return k, ca.changed(ctx, "signing key made", k.Record, now)
}

// changed tells Changed.
func (ca *CA) changed(ctx context.Context, what string, r Record, now time.Time) error {
	detail := map[string]string{"purpose": string(r.Purpose)}
	if cert, err := r.Certificate(); err == nil {
		detail["serial"], detail["until"] = serial(cert), cert.NotAfter.UTC().Format(time.DateOnly)
	}
	return ca.tell(ctx, what, r.ID, detail, now)
}

func (ca *CA) tell(ctx context.Context, what, id string, detail map[string]string, now time.Time) error {
	if ca.config.Changed == nil {
		return nil
	}
	return ca.config.Changed(ctx, Change{What: what, Tenant: ca.config.Tenant, Key: id, Detail: detail, At: now})
}

// Published is a certificate, or a revocation list made elsewhere, as a role
// lists it for those who watch when it ends.
type Published struct {
	Name      string    `json:"name"`
	Purpose   Purpose   `json:"purpose"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
}

// Published lists the certificates whose keys' signatures count, the roots'
// first, and the revocation lists of roots that are kept elsewhere.
func (ca *CA) Published(ctx context.Context, now time.Time) ([]Published, error) {
	if err := ca.Maintain(ctx, now); err != nil {
		return nil, err
	}
	list := []Published{}
	for _, c := range append([]Certified{ca.config.Root}, ca.config.Signers...) {
		records, err := ca.ring.records(ctx, ca.config.Tenant, c.Purpose, func(r Record) bool { return r.alive(now) })
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			cert, err := r.Certificate()
			if err != nil {
				return nil, err
			}
			list = append(list, Published{cert.Subject.CommonName, c.Purpose, cert.NotBefore.UTC(), cert.NotAfter.UTC()})
		}
	}
	if !ca.config.Offline {
		return list, nil
	}
	roots, err := ca.Roots(ctx, now)
	if errors.Is(err, ErrOffline) {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		crl, err := ca.revocations(ctx, root.Certificate)
		if err != nil {
			return nil, err
		}
		if len(crl.DER) > 0 {
			list = append(list, Published{root.listName(), revocationList, crl.Update.UTC(), crl.Next.UTC()})
		}
	}
	return list, nil
}
