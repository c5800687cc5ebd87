package audit

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// Process writes the chain of one process of a role. It may be used
// concurrently.
type Process struct {
	db    *db.DB
	chain string
	sign  Signer // nil writes no checkpoints

	rows atomic.Int64 // since the last checkpoint; those rolled back count, too

	mu   sync.Mutex // held while a checkpoint is written
	last time.Time  // when that was
}

// NewProcess begins a chain, which is named after the role.
func NewProcess(d *db.DB, role string) *Process {
	return &Process{db: d, chain: role + "-" + rand.Text()[:10]}
}

type actorKey struct{}

// WithActor returns a context in which the events of a Process that name no
// actor are this one's: an id, no personal data.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// Append writes an event in the transaction of what was decided.
func (p *Process) Append(ctx context.Context, tx *db.Tx, now time.Time, e Event) error {
	if actor, ok := ctx.Value(actorKey{}).(string); ok && e.Actor == "" {
		e.Actor = actor
	}
	_, err := Append(ctx, tx, p.chain, now, e)
	p.rows.Add(1)
	return err
}

// Write writes an event in a transaction of its own.
func (p *Process) Write(ctx context.Context, now time.Time, e Event) error {
	return p.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return p.Append(ctx, tx, now, e) })
}

// Verify is the function Verify for the process's chain.
func (p *Process) Verify(ctx context.Context, tx *db.Tx, known Head) (Head, error) {
	return Verify(ctx, tx, p.chain, known)
}
