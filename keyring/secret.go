package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/record"
	"github.com/eidos-id/eidos/securearea"
)

const kindSecret = "agreement key"

// Secret returns 32 bytes that only those know who have the secure area: the
// agreement of a P-256 key in it with itself. They are never stored, are the
// same in every process, and stay the same for a tenant and name; the key is
// made at first use. Callers derive keys from them with HKDF.
func Secret(ctx context.Context, area securearea.Area, records record.Store, tenant, name string) ([]byte, error) {
	k, err := Agreement(ctx, area, records, tenant, name)
	if err != nil {
		return nil, err
	}
	z, err := k.Agree(ctx, k.Public())
	if err != nil {
		return nil, fmt.Errorf("keyring: secret %s of %s: %w", name, tenant, err)
	}
	return z, nil
}

// Agreement returns a P-256 key that agrees on secrets, the same in every
// process, for a tenant and name; it is made at first use. One that has a public
// use must not be a Secret's too.
func Agreement(ctx context.Context, area securearea.Area, records record.Store, tenant, name string) (key.Agreer, error) {
	fail := func(err error) (key.Agreer, error) {
		return nil, fmt.Errorf("keyring: agreement key %s of %s: %w", name, tenant, err)
	}
	id, err := agreementKey(ctx, area, records, tenant, name)
	if err != nil {
		return fail(err)
	}
	k, err := securearea.Open(ctx, area, id)
	if err != nil {
		return fail(err)
	}
	agreer, err := k.Agreer()
	if err != nil {
		return fail(err)
	}
	return agreer, nil
}

// agreementKey returns the identifier of the key in the area. Of two processes
// that make one at once, the record decides.
func agreementKey(ctx context.Context, area securearea.Area, records record.Store, tenant, name string) (id string, err error) {
	find := func(ctx context.Context, tx record.Tx) error {
		value, err := tx.Get(ctx, kindSecret, name)
		id = string(value)
		return err
	}
	if err := records.View(ctx, tenant, find); !errors.Is(err, record.ErrNotFound) {
		return id, err
	}
	made, err := area.Create(ctx, securearea.Request{Curve: securearea.P256, Purpose: securearea.Agree})
	if err != nil {
		return "", err
	}
	err = records.Update(ctx, tenant, func(ctx context.Context, tx record.Tx) error {
		err := find(ctx, tx)
		if errors.Is(err, record.ErrNotFound) {
			id = made[0].ID
			err = tx.Put(ctx, kindSecret, name, []byte(id))
		}
		return err
	})
	if err != nil || id != made[0].ID { // another process was faster
		err = errors.Join(err, area.Delete(ctx, made[0].ID))
	}
	return id, err
}
