package keyring

import (
	"context"

	"github.com/eidos-id/eidos/internal/record"
)

// StoreIn is a Store among the records of a role's database, each call in a
// transaction of its own.
func StoreIn(records record.Store) Store { return recordStore{records} }

type recordStore struct{ records record.Store }

func kindOf(p Purpose) string { return "signing key " + string(p) }

func (s recordStore) PutKey(ctx context.Context, r Record) error {
	return s.records.Update(ctx, r.Tenant, func(ctx context.Context, tx record.Tx) error {
		return record.Put(ctx, tx, kindOf(r.Purpose), r.ID, r)
	})
}

func (s recordStore) Keys(ctx context.Context, tenant string, purpose Purpose) (all []Record, err error) {
	err = s.records.View(ctx, tenant, func(ctx context.Context, tx record.Tx) (err error) {
		all, err = record.All[Record](ctx, tx, kindOf(purpose))
		return err
	})
	return all, err
}
