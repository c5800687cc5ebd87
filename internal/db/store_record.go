package db

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/internal/record"
)

// Records returns the store of the records in this database.
func (d *DB) Records() record.Store { return recordStore{d} }

// Records returns a tenant's records in this transaction.
func (t *Tx) Records(tenant string) record.Tx { return recordTx{t, tenant} }

type recordTx struct {
	tx     *Tx
	tenant string
}

func (r recordTx) Put(ctx context.Context, kind, id string, value []byte) error {
	if value == nil {
		value = []byte{} // the column is not null
	}
	const q = `
		insert into record (tenant, kind, id, value) values ($1, $2, $3, $4)
		on conflict (tenant, kind, id) do update set value = excluded.value`
	if _, err := r.tx.Exec(ctx, q, r.tenant, kind, id, value); err != nil {
		return fmt.Errorf("db: put %s: %w", kind, err)
	}
	return nil
}

func (r recordTx) Get(ctx context.Context, kind, id string) ([]byte, error) {
	const q = `select value from record where tenant = $1 and kind = $2 and id = $3`
	var value []byte
	err := r.tx.QueryRow(ctx, q, r.tenant, kind, id).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, record.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("db: get %s: %w", kind, err)
	}
	return value, nil
}

func (r recordTx) Epoch() int64 { return r.tx.epoch }

func (r recordTx) List(ctx context.Context, kind string) ([]record.Record, error) {
	rows, err := r.tx.Query(ctx, `select id, value from record where tenant = $1 and kind = $2`, r.tenant, kind)
	if err != nil {
		return nil, fmt.Errorf("db: list %s: %w", kind, err)
	}
	defer rows.Close()
	var list []record.Record
	for rows.Next() {
		var e record.Record
		if err := rows.Scan(&e.ID, &e.Value); err != nil {
			return nil, fmt.Errorf("db: list %s: %w", kind, err)
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b record.Record) int { return cmp.Compare(a.ID, b.ID) }) // engines sort text in their own ways
	return list, rows.Err()
}

type recordStore struct{ db *DB }

func (s recordStore) Update(ctx context.Context, tenant string, f func(context.Context, record.Tx) error) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *Tx) error { return f(ctx, tx.Records(tenant)) })
}

func (s recordStore) View(ctx context.Context, tenant string, f func(context.Context, record.Tx) error) error {
	return s.db.View(ctx, func(ctx context.Context, tx *Tx) error { return f(ctx, tx.Records(tenant)) })
}

const (
	leaseTime  = 30 * time.Second
	leaseRetry = 50 * time.Millisecond
)

func (s recordStore) Alone(ctx context.Context, tenant, name string, f func(ctx context.Context) error) error {
	const take = `
		insert into lease (tenant, name, holder, ends) values ($1, $2, $3, $4)
		on conflict (tenant, name) do update set holder = excluded.holder, ends = excluded.ends
		where lease.ends <= $5`
	holder := rand.Text()
	for {
		var mine bool
		err := s.db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
			now := time.Now()
			n, err := tx.Exec(ctx, take, tenant, name, holder, now.Add(leaseTime).UnixMilli(), now.UnixMilli())
			mine = n == 1
			return err
		})
		if err != nil {
			return fmt.Errorf("db: lease of %s: %w", name, err)
		}
		if mine {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leaseRetry):
		}
	}
	err := f(ctx)
	return errors.Join(err, s.db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, `delete from lease where tenant = $1 and name = $2 and holder = $3`, tenant, name, holder)
		return err
	}))
}
