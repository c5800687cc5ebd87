package keyring

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/securearea"
)

// refresh is how long Current may go on with what it read: another process may
// have rotated meanwhile, and signing should not cost a query each time.
const refresh = time.Minute

// maxCached bounds the keys remembered; beyond it the memory starts again.
const maxCached = 4096

// Ring gives a role its keys. It is safe for several goroutines. Several
// processes may share a store and an area: what one changes the others see
// within a minute.
type Ring struct {
	area  securearea.Area
	store Store

	mu      sync.Mutex
	current map[slot]seen
	opened  map[string]securearea.Key // by the area's identifier; infos never change
	changes int                       // so that a slow look-up cannot bring back what was changed meanwhile
}

type slot struct {
	tenant  string
	purpose Purpose
}

type seen struct {
	key     Key
	checked time.Time
}

// New returns a ring over an area and a store.
func New(area securearea.Area, store Store) *Ring {
	return &Ring{area: area, store: store, current: map[slot]seen{}, opened: map[string]securearea.Key{}}
}

// Key is one key of the ring. It is a format/key.Signer.
type Key struct {
	securearea.SigningKey
	// Record is what is stored of it. Nobody may change its Chain.
	Record Record
}

// WithUnlock returns the key with a function that is asked for unlock data, as
// securearea.Key.WithUnlock.
func (k Key) WithUnlock(ask func(ctx context.Context) (securearea.Unlock, error)) (Key, error) {
	signer, err := k.SigningKey.Key().WithUnlock(ask).Signer()
	if err != nil {
		return Key{}, err
	}
	k.SigningKey = signer
	return k, nil
}

// Create makes a key. It is Pending: it may sign its own certificate request
// (pki.CreateRequest), but is not current until Activate.
func (r *Ring) Create(ctx context.Context, spec Spec, now time.Time) (Key, error) {
	if spec.Tenant == "" || spec.Purpose == "" {
		return Key{}, errors.New("keyring: a key needs a tenant and a purpose")
	}
	infos, err := r.area.Create(ctx, securearea.Request{
		Curve: cmp.Or(spec.Curve, securearea.P256), Purpose: securearea.Sign, Unlock: spec.Unlock,
	})
	if err != nil {
		return Key{}, fmt.Errorf("keyring: create %s key: %w", spec.Purpose, err)
	}
	signer, err := securearea.NewKey(r.area, infos[0]).Signer()
	if err != nil {
		return Key{}, err
	}
	k := Key{SigningKey: signer, Record: Record{
		Tenant: spec.Tenant, Purpose: spec.Purpose, ID: infos[0].ID, KeyID: infos[0].ID,
		State: Pending, Created: now.UTC(),
	}}
	return k, r.put(ctx, k.Record)
}

// Activate makes a key ready to sign, with the certificate chain that belongs
// to it: DER, leaf first; none for purposes without certificates. The leaf has
// to certify this key, each certificate to be signed by the next; the leaf's
// dates become the record's. Whether the chain leads to an anchor is for those
// who verify. Activating again replaces the chain: a renewed certificate.
func (r *Ring) Activate(ctx context.Context, k Key, chain [][]byte) (Key, error) {
	record := k.Record
	if record.State == Destroyed || record.State == Retired {
		return Key{}, fmt.Errorf("keyring: %s key is %s", record.Purpose, record.State)
	}
	record.State, record.Chain = Active, nil
	record.NotBefore, record.NotAfter = time.Time{}, time.Time{}
	var below *x509.Certificate
	var certs []*x509.Certificate
	if len(chain) > 0 {
		var err error
		if certs, err = pki.ParseChain(chain); err != nil {
			return Key{}, fmt.Errorf("keyring: %s chain: %w", record.Purpose, err)
		}
	}
	for i, cert := range certs {
		if i == 0 {
			if !key.Equal(cert.PublicKey, k.Public()) {
				return Key{}, fmt.Errorf("keyring: the leaf certificate is for another key than this %s key", record.Purpose)
			}
			record.NotBefore, record.NotAfter = cert.NotBefore, cert.NotAfter
		} else if err := below.CheckSignatureFrom(cert); err != nil {
			return Key{}, fmt.Errorf("keyring: certificate %d of the %s chain is not signed by the next: %w", i-1, record.Purpose, err)
		}
		below = cert
		record.Chain = append(record.Chain, bytes.Clone(cert.Raw))
	}
	k.Record = record
	return k, r.put(ctx, record)
}

// Retire takes a key out of use for signing; what it signed still counts and
// Alive still returns it.
func (r *Ring) Retire(ctx context.Context, k Key) (Key, error) {
	if k.Record.State == Destroyed {
		return Key{}, fmt.Errorf("keyring: %s key is %s", k.Record.Purpose, k.Record.State)
	}
	k.Record.State = Retired
	return k, r.put(ctx, k.Record)
}

// Destroy deletes the private key for good and marks the record. A key that is
// not in the area any more is no error.
func (r *Ring) Destroy(ctx context.Context, k Key) error {
	k.Record.State = Destroyed
	if err := r.put(ctx, k.Record); err != nil { // first: nobody shall pick it any more
		return err
	}
	err := r.area.Delete(ctx, k.Record.KeyID)
	if err != nil && !errors.Is(err, securearea.ErrNotFound) {
		return fmt.Errorf("keyring: destroy %s key: %w", k.Record.Purpose, err)
	}
	return nil
}

// Current returns the key to sign with: the newest Active one whose dates hold
// now. ErrNoKey if there is none.
func (r *Ring) Current(ctx context.Context, tenant string, purpose Purpose, now time.Time) (Key, error) {
	at := slot{tenant, purpose}
	r.mu.Lock()
	known, ok := r.current[at]
	changes := r.changes
	r.mu.Unlock()
	if age := now.Sub(known.checked); ok && age >= 0 && age < refresh && known.key.Record.usable(now) {
		return known.key, nil
	}
	records, err := r.records(ctx, tenant, purpose, func(rec Record) bool { return rec.State == Active && rec.KeyID != "" && rec.usable(now) })
	if err != nil {
		return Key{}, err
	}
	if len(records) == 0 {
		return Key{}, fmt.Errorf("%w: tenant %q, purpose %q", ErrNoKey, tenant, purpose)
	}
	k, err := r.open(ctx, records[0])
	if err != nil {
		return Key{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == changes {
		if len(r.current) >= maxCached {
			clear(r.current)
		}
		r.current[at] = seen{key: k, checked: now}
	}
	return k, nil
}

// Alive returns the keys whose signatures still count, the newest first:
// Active and Retired ones that have not expired. What publishes public keys
// and certificates publishes these.
func (r *Ring) Alive(ctx context.Context, tenant string, purpose Purpose, now time.Time) ([]Key, error) {
	return r.openAll(ctx, tenant, purpose, func(rec Record) bool {
		return rec.alive(now) && rec.KeyID != ""
	})
}

// Waiting returns the Pending keys, the newest first: those whose certificate
// requests may be out with an authority.
func (r *Ring) Waiting(ctx context.Context, tenant string, purpose Purpose) ([]Key, error) {
	return r.openAll(ctx, tenant, purpose, func(rec Record) bool { return rec.State == Pending })
}

// Rotate makes a new key, has it certified and activates it; as the newest it
// is then current. Former keys stay Active beside it, so that a new one with a
// later NotBefore leaves no gap. certify is given the Pending key and returns
// its chain, nil for none; when it fails the key is destroyed again.
func (r *Ring) Rotate(ctx context.Context, spec Spec, now time.Time, certify func(ctx context.Context, k Key) ([][]byte, error)) (Key, error) {
	k, err := r.Create(ctx, spec, now)
	if err != nil {
		return Key{}, err
	}
	var chain [][]byte
	if certify != nil {
		chain, err = certify(ctx, k)
	}
	var active Key
	if err == nil {
		active, err = r.Activate(ctx, k, chain)
	}
	if err != nil {
		return Key{}, errors.Join(fmt.Errorf("keyring: rotate %s key: %w", spec.Purpose, err), r.Destroy(ctx, k))
	}
	return active, nil
}

// Ensure returns the current key, and makes one with Rotate if there is none.
// Two processes that do so at once both get a key; the newer is current then.
func (r *Ring) Ensure(ctx context.Context, spec Spec, now time.Time, certify func(ctx context.Context, k Key) ([][]byte, error)) (Key, error) {
	k, err := r.Current(ctx, spec.Tenant, spec.Purpose, now)
	if errors.Is(err, ErrNoKey) {
		return r.Rotate(ctx, spec, now, certify)
	}
	return k, err
}

// keep stores a certificate whose private key is kept elsewhere.
func (r *Ring) keep(ctx context.Context, tenant string, purpose Purpose, cert *x509.Certificate, now time.Time) (Record, error) {
	sum := pki.Fingerprint(cert)
	rec := Record{
		Tenant: tenant, Purpose: purpose, ID: "certificate-" + hex.EncodeToString(sum[:]), State: Active, Created: now.UTC(),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, Chain: [][]byte{bytes.Clone(cert.Raw)},
	}
	return rec, r.put(ctx, rec)
}

// alive reports whether signatures of the key still count.
func (rec Record) alive(now time.Time) bool {
	return (rec.State == Active || rec.State == Retired) && !rec.expired(now)
}

func (rec Record) expired(now time.Time) bool {
	return !rec.NotAfter.IsZero() && now.After(rec.NotAfter) // RFC 5280, 4.1.2.5: inclusive
}

func (rec Record) usable(now time.Time) bool { return !rec.expired(now) && !now.Before(rec.NotBefore) }

// put stores a record and forgets what Current remembered.
func (r *Ring) put(ctx context.Context, rec Record) error {
	err := r.store.PutKey(ctx, rec)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	delete(r.current, slot{rec.Tenant, rec.Purpose})
	delete(r.opened, rec.KeyID)
	if err != nil {
		return fmt.Errorf("keyring: store record of %s key: %w", rec.Purpose, err)
	}
	return nil
}

// records returns the records that match, the newest first.
func (r *Ring) records(ctx context.Context, tenant string, purpose Purpose, match func(Record) bool) ([]Record, error) {
	all, err := r.store.Keys(ctx, tenant, purpose)
	if err != nil {
		return nil, fmt.Errorf("keyring: read records of %s keys: %w", purpose, err)
	}
	var records []Record
	for _, rec := range all {
		if rec.Tenant == tenant && rec.Purpose == purpose && match(rec) {
			records = append(records, rec)
		}
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	return records, nil
}

// active returns the records of keys that may sign now or later, the newest first.
func (r *Ring) active(ctx context.Context, tenant string, purpose Purpose, now time.Time) ([]Record, error) {
	return r.records(ctx, tenant, purpose, func(rec Record) bool { return rec.State == Active && !rec.expired(now) })
}

func (r *Ring) openAll(ctx context.Context, tenant string, purpose Purpose, match func(Record) bool) ([]Key, error) {
	records, err := r.records(ctx, tenant, purpose, match)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(records))
	for _, rec := range records {
		k, err := r.open(ctx, rec)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (r *Ring) open(ctx context.Context, rec Record) (Key, error) {
	r.mu.Lock()
	handle, ok := r.opened[rec.KeyID]
	r.mu.Unlock()
	if !ok {
		var err error
		if handle, err = securearea.Open(ctx, r.area, rec.KeyID); err != nil {
			return Key{}, fmt.Errorf("keyring: open %s key: %w", rec.Purpose, err)
		}
		r.mu.Lock()
		if len(r.opened) >= maxCached {
			clear(r.opened)
		}
		r.opened[rec.KeyID] = handle
		r.mu.Unlock()
	}
	signer, err := handle.Signer()
	if err != nil {
		return Key{}, fmt.Errorf("keyring: open %s key: %w", rec.Purpose, err)
	}
	return Key{SigningKey: signer, Record: rec}, nil
}
