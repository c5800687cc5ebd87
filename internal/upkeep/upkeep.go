// Package upkeep does again and again what a role has to do besides answering:
// keys, lists, fetching and sweeping.
package upkeep

import (
	"context"
	"log/slog"
	"time"
)

// Task is the upkeep of one role. All fields are required.
type Task struct {
	Role  string
	Every time.Duration // from the end of one round to the next
	Retry time.Duration // after a round that failed, if that is sooner
	Do    func(ctx context.Context) error
	Log   *slog.Logger
}

// Run does the task, at once and then in its rhythm, until ctx ends; it then
// returns nil. A failed round is logged and tried again.
func Run(ctx context.Context, t Task) error {
	timer := time.NewTimer(t.Every)
	defer timer.Stop()
	for {
		wait := t.Every
		if err := t.Do(ctx); err != nil && ctx.Err() == nil {
			wait = min(wait, t.Retry)
			t.Log.Error("upkeep failed in part, next try soon", "role", t.Role, "error", err.Error(), "next", wait.String())
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
	}
}
