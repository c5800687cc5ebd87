package verifier

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/securearea"
)

var errSealed = errors.New("verifier: what was sealed cannot be opened: wrong key or damaged")

// sealer encrypts what a transaction holds under a key that the database does
// not have: the agreement of a key in the secure area with itself.
type sealer struct{ aead cipher.AEAD }

// sealer returns the tenant's, and makes its key at first use.
func (t *tenant) sealer(ctx context.Context) (sealer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sealing.aead != nil {
		return t.sealing, nil
	}
	id, err := t.sealKey(ctx)
	if err != nil {
		return sealer{}, fmt.Errorf("verifier: sealing key: %w", err)
	}
	k, err := securearea.Open(ctx, t.v.area, id)
	if err != nil {
		return sealer{}, fmt.Errorf("verifier: sealing key: %w", err)
	}
	agreer, err := k.Agreer()
	if err != nil {
		return sealer{}, fmt.Errorf("verifier: sealing key: %w", err)
	}
	z, err := agreer.Agree(ctx, agreer.Public())
	if err != nil {
		return sealer{}, fmt.Errorf("verifier: sealing key: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, z, nil, "eidos verifier seal "+t.config.ID, 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, err
	}
	t.sealing = sealer{aead}
	return t.sealing, nil
}

// sealKey finds the tenant's sealing key in the secure area, or makes it. Of
// two processes that make one at once, the row decides.
func (t *tenant) sealKey(ctx context.Context) (string, error) {
	var id string
	find := func(ctx context.Context, tx *db.Tx) (err error) {
		id, err = sealKeyID(ctx, tx, t.config.ID)
		return err
	}
	if err := t.v.db.View(ctx, find); err != nil || id != "" {
		return id, err
	}
	made, err := t.v.area.Create(ctx, securearea.Request{Curve: securearea.P256, Purpose: securearea.Agree})
	if err != nil {
		return "", err
	}
	err = t.v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := find(ctx, tx); err != nil || id != "" {
			return err
		}
		return putSealKeyID(ctx, tx, t.config.ID, made[0].ID)
	})
	if err != nil || id != "" {
		return id, errors.Join(err, t.v.area.Delete(ctx, made[0].ID))
	}
	return made[0].ID, nil
}

// seal encrypts v as JSON. what and id say what it is, so that one thing
// cannot be passed off as another.
func (s sealer) seal(what, id string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.aead.Seal(nil, nil, plain, []byte(what+" "+id)), nil
}

// open is the reverse of seal.
func (s sealer) open(what, id string, sealed []byte, v any) error {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(what+" "+id))
	if err != nil {
		return errSealed
	}
	return json.Unmarshal(plain, v)
}

// secret is 32 random bytes in base32: an id that only those know who were
// given it.
func secret() string { return rand.Text() + rand.Text() }
