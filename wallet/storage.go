package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/once"
)

// Storage keeps what the app remembers. What is given to it is personal: it
// should be as hard to read for others as the platform allows.
//
// Both methods may be called from several goroutines and, on one storage, from
// several processes.
type Storage interface {
	// Tx runs f in one transaction: when it returns nil, all that f wrote is
	// durable, also after a crash; when f or the commit fails, none of it is
	// there, and an error of f is returned as it is. Transactions behave as if
	// one ran after the other. f may be run again when it lost against another
	// transaction, so it does nothing but work on the Txn and assign variables
	// of its caller.
	Tx(ctx context.Context, f func(Txn) error) error

	// View is Tx for an f that only reads.
	View(ctx context.Context, f func(Txn) error) error
}

// Txn is a running transaction on values by kind and id. It must not be used
// concurrently nor after the function it was given to has returned. Slices
// given are not kept nor changed; slices returned belong to the caller.
type Txn interface {
	// Get returns a value, or an error wrapping ErrNotFound.
	Get(ctx context.Context, kind, id string) ([]byte, error)
	// Put creates or replaces a value.
	Put(ctx context.Context, kind, id string, value []byte) error
	// Delete removes a value. It is no error if there is none.
	Delete(ctx context.Context, kind, id string) error
	// List returns the values of a kind whose ids begin with prefix, in the
	// order of their ids, byte by byte.
	List(ctx context.Context, kind, prefix string) ([]Item, error)
}

// Item is a value with its id.
type Item struct {
	ID    string
	Value []byte
}

// Kinds of what is kept.
const (
	kindInstance   = "instance"   // one, id "this": instanceRow
	kindDocument   = "document"   // by document id: documentRow
	kindCredential = "credential" // by document id "/" number: credentialRow
	kindIssued     = "issued"     // by the same id: the IssuerSigned as it came
	kindGrant      = "grant"      // by id: grantRow
	kindPending    = "pending"    // by id: Pending
	kindOrphan     = "orphan"     // by key id: a key that belongs to no credential yet, or no more
	kindLog        = "log"        // by time and number: LogEntry
	kindOnce       = "once "      // and the kind of the single-use thing: onceRow
)

// getJSON reads a value into v.
func getJSON(ctx context.Context, t Txn, kind, id string, v any) error {
	data, err := t.Get(ctx, kind, id)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("stored %s is damaged: %w", kind, err)
	}
	return nil
}

// listJSON reads all values of a kind, in the order of their ids.
func listJSON[T any](ctx context.Context, t Txn, kind string) ([]T, error) {
	items, err := t.List(ctx, kind, "")
	if err != nil {
		return nil, err
	}
	out := make([]T, len(items))
	for i, item := range items {
		if err := json.Unmarshal(item.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("stored %s is damaged: %w", kind, err)
		}
	}
	return out, nil
}

// putJSON writes v.
func putJSON(ctx context.Context, t Txn, kind, id string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store %s: %w", kind, err)
	}
	return t.Put(ctx, kind, id, data)
}

// OnceTx gives a storage the shape that assure.FollowerConfig.Tx wants, so
// that trust lists and pins are kept with everything else.
func OnceTx(s Storage) func(ctx context.Context, f func(once.Store) error) error {
	return func(ctx context.Context, f func(once.Store) error) error {
		return s.Tx(ctx, func(t Txn) error { return f(onceView{t}) })
	}
}

// onceView is a once.Store in a transaction.
type onceView struct{ t Txn }

type onceRow struct {
	Value   []byte `json:"value"`
	Expires int64  `json:"expires"` // Unix milliseconds
	Claimed bool   `json:"claimed,omitempty"`
}

// Put implements once.Store.
func (o onceView) Put(ctx context.Context, kind, id string, value []byte, expires time.Time) error {
	return putJSON(ctx, o.t, kindOnce+kind, id, onceRow{Value: value, Expires: expires.UnixMilli()})
}

// Get implements once.Store.
func (o onceView) Get(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	row, err := o.get(ctx, kind, id, now)
	return row.Value, err
}

// Claim implements once.Store.
func (o onceView) Claim(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	row, err := o.get(ctx, kind, id, now)
	if err != nil {
		return nil, err
	}
	row.Claimed = true
	return row.Value, putJSON(ctx, o.t, kindOnce+kind, id, row)
}

func (o onceView) get(ctx context.Context, kind, id string, now time.Time) (onceRow, error) {
	var row onceRow
	err := getJSON(ctx, o.t, kindOnce+kind, id, &row)
	switch {
	case errors.Is(err, ErrNotFound):
		return onceRow{}, once.ErrNotFound
	case err != nil:
		return onceRow{}, err
	case row.Claimed:
		return onceRow{}, once.ErrClaimed
	case now.UnixMilli() >= row.Expires:
		return onceRow{}, once.ErrExpired
	}
	return row, nil
}
