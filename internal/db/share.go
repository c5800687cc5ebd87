package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// SQLite has one writer, and waits for the disk at each commit. So transactions
// that wait for their turn share the next commit: one after the other, each
// behind a savepoint, as if each had been committed before the next began.
// None returns before the disk has what it did. PostgreSQL does as much itself.

// queue is where transactions wait for the writer.
type queue struct {
	turn chan struct{} // holds an element while somebody writes

	mu      sync.Mutex
	waiting []*waiter
}

// waiter is a transaction in the queue. Whoever has the turn runs it, then
// closes done.
type waiter struct {
	ctx  context.Context
	f    func(context.Context, *Tx) error
	done chan struct{}

	err   error
	panic any // what f panicked with
}

func newQueue() *queue { return &queue{turn: make(chan struct{}, 1)} }

func (q *queue) put(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
}

// takeAll empties the queue.
func (q *queue) takeAll() []*waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// leave reports whether w was still in the queue, from which it is taken out.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.waiting {
		if other == w {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// shared makes one try at a transaction, in whose commit others may have part.
// Once f has begun, the end of ctx stops it no more: SQLite would roll back
// what the others did, too.
func (d *DB) shared(ctx context.Context, f func(context.Context, *Tx) error) error {
	w := &waiter{ctx: ctx, f: f, done: make(chan struct{})}
	d.queue.put(w)
	select {
	case d.queue.turn <- struct{}{}:
		select {
		case <-w.done: // who had the turn before has run it
			<-d.queue.turn
		default:
			d.writeAll()
		}
	case <-w.done:
	case <-ctx.Done():
		if d.queue.leave(w) {
			return ctx.Err()
		}
		<-w.done
	}
	if w.panic != nil {
		panic(w.panic)
	}
	return w.err
}

// errAbandoned is for those whose transaction was run by a goroutine that ended
// in the middle.
var errAbandoned = errors.New("db: the transaction was abandoned together with another")

// writeAll runs all transactions that wait, and gives the turn back.
func (d *DB) writeAll() {
	all := d.queue.takeAll()
	for _, w := range all {
		w.err = errAbandoned
	}
	defer func() {
		<-d.queue.turn
		for _, w := range all {
			close(w.done)
		}
	}()
	if len(all) > 1 && d.together(all) {
		return
	}
	for _, w := range all {
		if w.err = w.ctx.Err(); w.err == nil {
			w.err = d.once(context.WithoutCancel(w.ctx), d.write, serializable, w.run)
		}
	}
}

// together runs transactions with one commit. If that fails it reports false,
// and nothing has happened: then each is to be run by itself, since what one
// decided may rest on another that is not there.
func (d *DB) together(all []*waiter) bool {
	tx, err := d.write.BeginTx(context.WithoutCancel(all[0].ctx), serializable)
	if err != nil {
		for _, w := range all {
			w.err = fmt.Errorf("db: begin: %w", err)
		}
		return true
	}
	defer tx.Rollback() // does nothing after Commit
	for _, w := range all {
		d.transactions.Add(1)
		if w.err = w.ctx.Err(); w.err != nil {
			continue
		}
		ctx := context.WithoutCancel(w.ctx)
		if _, err := tx.ExecContext(ctx, "savepoint one"); err != nil {
			return false
		}
		end := "release one"
		if w.err = w.run(ctx, d.newTx(tx)); w.err != nil {
			end = "rollback to one"
		}
		// It fails if SQLite has rolled everything back, as it does when the disk is full.
		if _, err := tx.ExecContext(ctx, end); err != nil {
			return false
		}
	}
	d.commits.Add(1)
	return tx.Commit() == nil
}

// run calls f. A panic is an error here, and one again where f came from.
func (w *waiter) run(ctx context.Context, tx *Tx) (err error) {
	defer func() {
		if w.panic = recover(); w.panic != nil {
			err = errAbandoned
		}
	}()
	return w.f(ctx, tx)
}

var serializable = &sql.TxOptions{Isolation: sql.LevelSerializable}
