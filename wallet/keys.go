package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/securearea"
)

// orphanRow says of a key that nothing uses it: not yet, or no more. A crash
// leaves it behind, and sweep destroys the key later.
type orphanRow struct {
	Since time.Time `json:"since,omitzero"` // zero: at once
}

// orphanAge is how long a key may be on its way into a document.
const orphanAge = time.Hour

// makeKeys makes keys that sign, and remembers that nothing uses them yet.
func (w *Wallet) makeKeys(ctx context.Context, n int) ([]securearea.Key, error) {
	if info := w.deps.Area.Info(); !info.Supports(securearea.P256, securearea.Sign) {
		return nil, fmt.Errorf("secure area %q makes no P-256 keys: %w", info.Name, securearea.ErrUnsupported)
	}
	batch := max(1, w.deps.Area.Info().MaxBatch)
	var keys []securearea.Key
	for len(keys) < n {
		infos, err := w.deps.Area.Create(ctx, securearea.Request{
			Curve: securearea.P256, Purpose: securearea.Sign, Count: min(batch, n-len(keys)),
		})
		for _, info := range infos {
			keys = append(keys, securearea.NewKey(w.deps.Area, info))
		}
		if err != nil {
			w.forget(ctx, ids(keys)...)
			return nil, fmt.Errorf("make keys: %w", err)
		}
	}
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		for _, id := range ids(keys) {
			if err := putJSON(ctx, t, kindOrphan, id, orphanRow{Since: w.now().UTC()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.forget(ctx, ids(keys)...)
		return nil, fmt.Errorf("make keys: %w", err)
	}
	return keys, nil
}

func ids(keys []securearea.Key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.Info().ID
	}
	return out
}

// signer opens a key.
func (w *Wallet) signer(ctx context.Context, id string) (securearea.SigningKey, error) {
	k, err := securearea.Open(ctx, w.deps.Area, id)
	if err != nil {
		return securearea.SigningKey{}, err
	}
	return k.Signer()
}

// forget destroys orphans, also when the person has stopped waiting. What
// cannot be destroyed now is left to sweep.
func (w *Wallet) forget(ctx context.Context, keys ...string) {
	ctx = context.WithoutCancel(ctx)
	for _, id := range keys {
		err := w.deps.Area.Delete(ctx, id)
		if err != nil && !errors.Is(err, securearea.ErrNotFound) {
			w.deps.Log.WarnContext(ctx, "key not destroyed, will be tried again", "err", err)
			continue
		}
		if err := w.deps.Storage.Tx(ctx, func(t Txn) error { return t.Delete(ctx, kindOrphan, id) }); err != nil {
			w.deps.Log.WarnContext(ctx, "record of a destroyed key not deleted", "err", err)
		}
	}
}

// sweep destroys keys that a crash or a failure left behind.
func (w *Wallet) sweep(ctx context.Context) {
	var old []string
	err := w.deps.Storage.View(ctx, func(t Txn) error {
		items, err := t.List(ctx, kindOrphan, "")
		if err != nil {
			return err
		}
		for _, item := range items {
			var row orphanRow
			if json.Unmarshal(item.Value, &row) == nil && w.now().Sub(row.Since) > orphanAge {
				old = append(old, item.ID)
			}
		}
		return nil
	})
	if err != nil {
		w.deps.Log.WarnContext(ctx, "left-over keys not listed", "err", err)
		return
	}
	w.forget(ctx, old...)
}
