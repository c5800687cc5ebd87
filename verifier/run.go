package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/upkeep"
)

// tick is how often Run looks what there is to do.
const tick = 5 * time.Second

// Run makes keys, keeps the offline pack of every tenant up to date and
// deletes results at the end of their time, until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	return upkeep.Run(ctx, upkeep.Task{Role: "verifier", Every: tick, Retry: tick, Do: v.maintain, Log: v.log})
}

// maintain does once what Run does again and again.
func (v *Verifier) maintain(ctx context.Context) error {
	problems := []error{v.Sweep(ctx), v.audit.Checkpoint(ctx, v.now())}
	for _, t := range v.tenants {
		problems = append(problems, t.ca.Maintain(ctx, v.now()))
		if v.fetch != nil && t.packDue() {
			_, err := v.Pack(ctx, t.config.ID)
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func (t *tenant) packDue() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.packed.IsZero() || t.v.now().Sub(t.packed) >= t.v.config.PackEvery
}

// Sweep deletes what has outlived its time.
func (v *Verifier) Sweep(ctx context.Context) error {
	return v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := deleteForgotten(ctx, tx, v.now()); err != nil {
			return err
		}
		_, err := tx.DeleteExpired(ctx, v.now())
		return err
	})
}
