// Package record is how packages that know no SQL keep what they have to
// remember: values by tenant, kind and id, in the transactions of a role's
// database. internal/db implements it.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNotFound: there is no record of this kind and id.
var ErrNotFound = errors.New("record: not found")

// Record is a value and its id.
type Record struct {
	ID    string
	Value []byte
}

// Tx are the records of a tenant in a running transaction.
type Tx interface {
	// Put creates the record or replaces it.
	Put(ctx context.Context, kind, id string, value []byte) error
	// Get returns the value of a record, or ErrNotFound.
	Get(ctx context.Context, kind, id string) ([]byte, error)
	// List returns all records of a kind, by id.
	List(ctx context.Context, kind string) ([]Record, error)
	// Epoch is when the storage was restored from a backup last, milliseconds
	// since 1970, 0 if never: what was handed out before may have gone on.
	Epoch() int64
}

// Store runs functions over records. It may be used concurrently.
type Store interface {
	// Update runs f in a transaction and commits it if f returns nil. f may run
	// several times: it must do nothing but work on tx and assign variables.
	Update(ctx context.Context, tenant string, f func(ctx context.Context, tx Tx) error) error
	// View runs f as Update does, in a transaction that only reads.
	View(ctx context.Context, tenant string, f func(ctx context.Context, tx Tx) error) error
	// Alone runs f, in no transaction, while nobody else with the same storage
	// runs something of the same name for the tenant. It waits for its turn;
	// whoever holds it for longer than 30 seconds may lose it.
	Alone(ctx context.Context, tenant, name string, f func(ctx context.Context) error) error
}

// Put stores v as JSON.
func Put(ctx context.Context, tx Tx, kind, id string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("record: %s %s: %w", kind, id, err)
	}
	return tx.Put(ctx, kind, id, value)
}

// Get reads what Put stored. Error: ErrNotFound.
func Get[T any](ctx context.Context, tx Tx, kind, id string) (v T, err error) {
	value, err := tx.Get(ctx, kind, id)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("record: %s %s: %w", kind, id, err)
	}
	return v, nil
}

// All reads everything of a kind that Put stored, by id.
func All[T any](ctx context.Context, tx Tx, kind string) ([]T, error) {
	list, err := tx.List(ctx, kind)
	if err != nil {
		return nil, err
	}
	all := make([]T, len(list))
	for i, r := range list {
		if err := json.Unmarshal(r.Value, &all[i]); err != nil {
			return nil, fmt.Errorf("record: %s %s: %w", kind, r.ID, err)
		}
	}
	return all, nil
}
