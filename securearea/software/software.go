// Package software is the secure area of last resort: keys in ordinary memory,
// sealed at rest. It proves nothing about where its keys live and is marked
// as the lowest level everywhere. It needs nothing but a few bytes of storage
// and so runs in a browser too.
//
// At rest each key is sealed with AES-256-GCM under a key derived from a random
// device secret (HKDF) or from a passphrase (PBKDF2); a key that asks for unlock
// data is sealed once more under that. In memory, keys that were used lately
// stay unsealed, a bounded number of them; protected keys never do.
package software

import (
	"container/list"
	"context"
	"crypto"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/securearea"
)

const (
	attestationFormat = "none"
	headerName        = "area"
	maxChallenge      = 64
	maxBatch          = 1000
	// DefaultCache is how many unsealed keys are kept when Options do not say.
	DefaultCache = 1024
)

// Options of an area. Exactly one of Secret and Passphrase is given.
type Options struct {
	// Storage keeps the sealed keys.
	Storage Storage
	// Secret is a random device secret of at least 32 bytes, kept by the
	// caller in a better place than Storage. Not kept after Open.
	Secret []byte
	// Passphrase is what a person gives to open the area. Not kept after Open.
	Passphrase []byte
	// Name is shown to people; "software" if empty.
	Name string
	// Cache bounds how many unsealed keys stay in memory; DefaultCache if zero,
	// none if negative.
	Cache int
}

// LogValue keeps the secrets out of logs.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// String keeps the secrets out of formatted text.
func (o Options) String() string { return "software.Options{" + o.Name + " [redacted]}" }

// GoString keeps the secrets out of formatted text.
func (o Options) GoString() string { return o.String() }

// Area implements securearea.Area in software.
//
// Several processes may open the same storage. A key that one of them deletes
// stays usable in another for as long as it is in that one's cache.
type Area struct {
	info    securearea.Info
	storage Storage
	outer   cipher.AEAD
	limit   int

	mu        sync.Mutex
	recent    *list.List               // of *cached, the last used in front
	keys      map[string]*list.Element // by id
	deletions int                      // so that a load cannot bring back a key deleted meanwhile
}

type cached struct {
	id  string
	key private
}

var _ securearea.Area = (*Area)(nil)

// header is stored once per area: how to derive its key, and a proof of it.
type header struct {
	Version    int    `json:"v"`
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations,omitempty"` // PBKDF2; 0 means HKDF
	Check      []byte `json:"check"`                // seals nothing, opens under the right key
}

var checkContext = []byte("eidos software area 1")

// Open opens the area in the storage, and begins one if the storage is empty.
// A wrong secret or passphrase is securearea.ErrLocked.
func Open(ctx context.Context, o Options) (*Area, error) {
	if o.Storage == nil || (len(o.Secret) == 0) == (len(o.Passphrase) == 0) {
		return nil, errors.New("software secure area: a storage and either a secret or a passphrase are needed")
	}
	name, limit := o.Name, o.Cache
	if name == "" {
		name = "software"
	}
	if limit == 0 {
		limit = DefaultCache
	}
	outer, err := sealingKey(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Area{
		info: securearea.Info{
			Name: name, Type: "software", Level: securearea.LevelSoftware,
			SignCurves:  []securearea.Curve{securearea.P256, securearea.P384, securearea.P521, securearea.Ed25519},
			AgreeCurves: []securearea.Curve{securearea.P256, securearea.P384, securearea.P521, securearea.X25519},
			MaxBatch:    maxBatch, Attestation: attestationFormat, Unlock: true,
		},
		storage: o.Storage, outer: outer, limit: limit,
		recent: list.New(), keys: map[string]*list.Element{},
	}, nil
}

// sealingKey derives the area's key as its header says, writing the header of a
// new area first. When two processes begin at once, the first header counts.
func sealingKey(ctx context.Context, o Options) (cipher.AEAD, error) {
	derive := func(h *header) (cipher.AEAD, error) {
		if len(o.Secret) > 0 && h.Iterations == 0 {
			return fromSecret(o.Secret, h.Salt)
		}
		if len(o.Passphrase) > 0 && h.Iterations != 0 {
			return fromPassphrase(o.Passphrase, h.Salt, h.Iterations)
		}
		return nil, fmt.Errorf("%w: it was begun with the other of secret and passphrase", securearea.ErrLocked)
	}
	stored, err := o.Storage.Get(ctx, headerName)
	if errors.Is(err, securearea.ErrNotFound) {
		h := header{Version: 1, Salt: make([]byte, saltSize)}
		rand.Read(h.Salt)
		if len(o.Passphrase) > 0 {
			h.Iterations = Iterations
		}
		a, err := derive(&h)
		if err != nil {
			return nil, err
		}
		h.Check = seal(a, nil, checkContext)
		data, err := json.Marshal(h)
		if err != nil {
			return nil, err
		}
		if err = o.Storage.Put(ctx, headerName, data); err == nil {
			return a, nil
		}
		if !errors.Is(err, ErrExists) {
			return nil, err
		}
		stored, err = o.Storage.Get(ctx, headerName)
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	var h header
	if err := json.Unmarshal(stored, &h); err != nil || h.Version != 1 {
		return nil, fmt.Errorf("%w: header of the software area is damaged or of another version", securearea.ErrInvalidated)
	}
	a, err := derive(&h)
	if err != nil {
		return nil, err
	}
	if _, err := open(a, h.Check, checkContext); err != nil {
		return nil, fmt.Errorf("%w: wrong secret or passphrase for the software area", securearea.ErrLocked)
	}
	return a, nil
}

// Info implements securearea.Area.
func (a *Area) Info() securearea.Info { return a.info }

// Create implements securearea.Area. The attestation is of format "none".
func (a *Area) Create(ctx context.Context, q securearea.Request) ([]securearea.KeyInfo, error) {
	count := max(q.Count, 1)
	if count > maxBatch || !a.info.Supports(q.Curve, q.Purpose) {
		return nil, fmt.Errorf("%w: %d %q keys to %q", securearea.ErrUnsupported, count, q.Curve, q.Purpose)
	}
	if len(q.Challenge) > maxChallenge {
		return nil, fmt.Errorf("%w: challenge of %d bytes", securearea.ErrUnsupported, len(q.Challenge))
	}
	var inner cipher.AEAD
	var locked *lock
	if len(q.Unlock.Passphrase) > 0 {
		locked = &lock{Salt: make([]byte, saltSize), Iterations: Iterations}
		rand.Read(locked.Salt)
		var err error
		if inner, err = fromPassphrase(q.Unlock.Passphrase, locked.Salt, locked.Iterations); err != nil {
			return nil, err
		}
	}
	infos := make([]securearea.KeyInfo, 0, count)
	for range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		info, err := a.create(ctx, q, inner, locked)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (a *Area) create(ctx context.Context, q securearea.Request, inner cipher.AEAD, locked *lock) (securearea.KeyInfo, error) {
	var random [16]byte
	rand.Read(random[:])
	id := hex.EncodeToString(random[:]) // one case only: some file systems fold it
	secret, public, err := generate(q.Curve, q.Purpose)
	if err != nil {
		return securearea.KeyInfo{}, err
	}
	defer clear(secret)
	r := &record{Version: 1, Curve: q.Curve, Purpose: q.Purpose, Public: public, Lock: locked,
		Challenge: append([]byte(nil), q.Challenge...)}
	plain := secret
	if inner != nil {
		plain = seal(inner, secret, r.context(id, "inner"))
	}
	r.Sealed = seal(a.outer, plain, r.context(id, "outer"))
	data, err := json.Marshal(r)
	if err != nil {
		return securearea.KeyInfo{}, err
	}
	if err := a.storage.Put(ctx, id, data); err != nil {
		return securearea.KeyInfo{}, err
	}
	return r.info(id)
}

func (a *Area) load(ctx context.Context, id string) (*record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if id == headerName {
		return nil, fmt.Errorf("%w: %s", securearea.ErrNotFound, id)
	}
	data, err := a.storage.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", securearea.ErrInvalidated, err)
	}
	return r, nil
}

// Key implements securearea.Area.
func (a *Area) Key(ctx context.Context, id string) (securearea.KeyInfo, error) {
	r, err := a.load(ctx, id)
	if err != nil {
		return securearea.KeyInfo{}, err
	}
	info, err := r.info(id)
	if err != nil {
		return securearea.KeyInfo{}, fmt.Errorf("%w: %w", securearea.ErrInvalidated, err)
	}
	return info, nil
}

// Keys lists the identifiers of all keys, for tidying up.
func (a *Area) Keys(ctx context.Context) ([]string, error) {
	names, err := a.storage.List(ctx)
	if err != nil {
		return nil, err
	}
	ids := names[:0]
	for _, name := range names {
		if name != headerName {
			ids = append(ids, name)
		}
	}
	return ids, nil
}

// Sign implements securearea.Area.
func (a *Area) Sign(ctx context.Context, id string, message []byte, unlock securearea.Unlock) ([]byte, error) {
	k, err := a.private(ctx, id, unlock)
	if err != nil {
		return nil, err
	}
	switch s := k.sign.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(s, message), nil
	case *ecdsa.PrivateKey:
		hash := crypto.SHA256
		switch s.Curve.Params().BitSize {
		case 384:
			hash = crypto.SHA384
		case 521:
			hash = crypto.SHA512
		}
		h := hash.New()
		h.Write(message)
		der, err := ecdsa.SignASN1(rand.Reader, s, h.Sum(nil))
		if err != nil {
			return nil, fmt.Errorf("software secure area: %w", err)
		}
		return key.ASN1ToRaw(&s.PublicKey, der)
	}
	return nil, fmt.Errorf("%w: key was made to agree, not to sign", securearea.ErrUnsupported)
}

// Agree implements securearea.Area.
func (a *Area) Agree(ctx context.Context, id string, peer *ecdh.PublicKey, unlock securearea.Unlock) ([]byte, error) {
	k, err := a.private(ctx, id, unlock)
	if err != nil {
		return nil, err
	}
	if k.agree == nil {
		return nil, fmt.Errorf("%w: key was made to sign, not to agree", securearea.ErrUnsupported)
	}
	if peer == nil || peer.Curve() != k.agree.Curve() {
		return nil, fmt.Errorf("%w: the peer's key is not on the curve of ours", securearea.ErrUnsupported)
	}
	return k.agree.ECDH(peer)
}

// Attest implements securearea.Area: there is no evidence.
func (a *Area) Attest(ctx context.Context, id string, challenge []byte) (securearea.Attestation, error) {
	if len(challenge) > maxChallenge {
		return securearea.Attestation{}, fmt.Errorf("%w: challenge of %d bytes", securearea.ErrUnsupported, len(challenge))
	}
	if _, err := a.Key(ctx, id); err != nil {
		return securearea.Attestation{}, err
	}
	return securearea.Attestation{Format: attestationFormat, Challenge: append([]byte(nil), challenge...)}, nil
}

// Delete implements securearea.Area.
func (a *Area) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if id == headerName {
		return fmt.Errorf("%w: %s", securearea.ErrNotFound, id)
	}
	err := a.storage.Delete(ctx, id)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deletions++
	if e, ok := a.keys[id]; ok {
		a.recent.Remove(e)
		delete(a.keys, id)
	}
	return err
}

// private returns the unsealed key, from the cache if it is there.
func (a *Area) private(ctx context.Context, id string, unlock securearea.Unlock) (private, error) {
	if err := ctx.Err(); err != nil {
		return private{}, err
	}
	a.mu.Lock()
	deletions := a.deletions
	if e, ok := a.keys[id]; ok {
		a.recent.MoveToFront(e)
		a.mu.Unlock()
		return e.Value.(*cached).key, nil
	}
	a.mu.Unlock()

	r, err := a.load(ctx, id)
	if err != nil {
		return private{}, err
	}
	k, err := r.unseal(id, a.outer, unlock)
	if err != nil || r.Lock != nil || a.limit < 0 {
		return k, err // a protected key is asked for each time
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.keys[id]; ok || deletions != a.deletions {
		return k, nil
	}
	a.keys[id] = a.recent.PushFront(&cached{id: id, key: k})
	if a.recent.Len() > a.limit {
		last := a.recent.Remove(a.recent.Back()).(*cached)
		delete(a.keys, last.id)
	}
	return k, nil
}

// LogValue keeps the area's key out of logs.
func (a *Area) LogValue() slog.Value { return slog.StringValue(a.String()) }

// String names the area and nothing of its inside.
func (a *Area) String() string { return "software secure area " + a.info.Name }

// GoString names the area and nothing of its inside.
func (a *Area) GoString() string { return a.String() }
