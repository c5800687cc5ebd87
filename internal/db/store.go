package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/once"
)

// Once returns the store of a tenant's single-use things in this transaction.
func (t *Tx) Once(tenant string) once.Store { return onceStore{t, tenant} }

// DeleteExpired forgets the single-use things of all tenants that expired at
// or before now, and returns how many there were. A role calls it now and then.
func (t *Tx) DeleteExpired(ctx context.Context, now time.Time) (int64, error) {
	n, err := t.Exec(ctx, `delete from once where expires <= $1`, now.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("db: sweep single-use things: %w", err)
	}
	return n, nil
}

// Sweep is DeleteExpired in a transaction of its own.
func (d *DB) Sweep(ctx context.Context, now time.Time) error {
	return d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.DeleteExpired(ctx, now)
		return err
	})
}

type onceStore struct {
	tx     *Tx
	tenant string
}

func (s onceStore) Put(ctx context.Context, kind, id string, value []byte, expires time.Time) error {
	if value == nil {
		value = []byte{} // the column is not null
	}
	const q = `
		insert into once (tenant, kind, id, value, expires) values ($1, $2, $3, $4, $5)
		on conflict (tenant, kind, id) do update
		set value = excluded.value, expires = excluded.expires, claimed = null`
	if _, err := s.tx.Exec(ctx, q, s.tenant, kind, id, value, expires.UnixMilli()); err != nil {
		return fmt.Errorf("db: put %s: %w", kind, err)
	}
	return nil
}

func (s onceStore) Get(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	const q = `select value, expires, claimed from once where tenant = $1 and kind = $2 and id = $3`
	var value []byte
	var expires int64
	var claimed sql.NullInt64
	err := s.tx.QueryRow(ctx, q, s.tenant, kind, id).Scan(&value, &expires, &claimed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, once.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("db: get %s: %w", kind, err)
	case claimed.Valid:
		return nil, once.ErrClaimed
	case expires <= now.UnixMilli():
		return nil, once.ErrExpired
	}
	return value, nil
}

func (s onceStore) Claim(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	const q = `
		update once set claimed = $4
		where tenant = $1 and kind = $2 and id = $3 and claimed is null and expires > $4
		returning value`
	var value []byte
	err := s.tx.QueryRow(ctx, q, s.tenant, kind, id, now.UnixMilli()).Scan(&value)
	switch {
	case err == nil:
		return value, nil
	case !errors.Is(err, sql.ErrNoRows):
		return nil, fmt.Errorf("db: claim %s: %w", kind, err)
	}
	if _, err := s.Get(ctx, kind, id, now); err != nil {
		return nil, err // says why not
	}
	// Put between the two statements cannot happen in a serializable transaction.
	return nil, fmt.Errorf("db: claim %s: row is there but was not updated", kind)
}

// Consume implements once.Consumer.
func (s onceStore) Consume(ctx context.Context, kind, id string, now, expires time.Time) error {
	const q = `
		insert into once (tenant, kind, id, value, expires) values ($1, $2, $3, $4, $5)
		on conflict (tenant, kind, id) do update
		set value = excluded.value, expires = excluded.expires
		where once.claimed is null and once.expires <= $6`
	n, err := s.tx.Exec(ctx, q, s.tenant, kind, id, []byte{}, expires.UnixMilli(), now.UnixMilli())
	switch {
	case err != nil:
		return fmt.Errorf("db: consume %s: %w", kind, err)
	case n == 0:
		return once.ErrClaimed
	}
	return nil
}
