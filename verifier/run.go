package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/upkeep"
	"golang.org/x/sync/errgroup"
)

// tick is how often Run looks what there is to do.
const tick = 5 * time.Second

// Run makes keys, keeps the offline pack of every tenant up to date, deletes
// results at the end of their time and delivers events, until ctx ends. Those who
// wait for changes are then sent away.
func (v *Verifier) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, v.hub.close)()
	group.Go(func() error { return v.outbox.Run(ctx) })
	group.Go(func() error { return v.upkeep(ctx) })
	return group.Wait()
}

func (v *Verifier) upkeep(ctx context.Context) error {
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

// Sweep ends what nobody answered in time, and deletes what has outlived its
// time.
func (v *Verifier) Sweep(ctx context.Context) error {
	now := v.now()
	var ended []watched
	err := v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if ended, err = endExpired(ctx, tx, now); err != nil {
			return err
		}
		for _, key := range ended {
			if err := v.tellEnd(ctx, tx, key.tenant, row{id: key.id, state: Expired}, ""); err != nil {
				return err
			}
		}
		if err := deleteForgotten(ctx, tx, now); err != nil {
			return err
		}
		_, err = tx.DeleteExpired(ctx, now)
		return err
	})
	for _, key := range ended {
		v.hub.tell(key, Change{State: Expired})
	}
	return err
}
