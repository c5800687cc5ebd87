package db_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
)

const (
	insertThing = `insert into thing (tenant, id, n, flag) values ($1, $2, 1, false)`
	countThings = `select count(*) from thing where tenant = 'default'`
)

func insert(id string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, insertThing, "default", id)
		return err
	}
}

func count(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.View(t.Context(), func(ctx context.Context, tx *db.Tx) error { return tx.QueryRow(ctx, countThings).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// queued runs the functions so that all of them wait while another transaction
// runs, and then get their turn at once. It returns when all have ended.
func queued(t *testing.T, d *db.DB, all ...func()) {
	t.Helper()
	began, end := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		d.Tx(t.Context(), func(context.Context, *db.Tx) error { close(began); <-end; return nil })
	})
	<-began
	for i, f := range all {
		wg.Go(f)
		for db.Waiting(d) <= i {
			time.Sleep(time.Millisecond)
		}
	}
	close(end)
	wg.Wait()
}

// Those that wait share a commit, and one that fails takes nobody with it.
func TestSharedCommit(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	before, stop := d.Stats(), errors.New("stop")
	var errs [5]error
	tx := func(i int, f func(context.Context, *db.Tx) error) func() {
		return func() { errs[i] = d.Tx(t.Context(), f) }
	}
	seen := -1
	queued(t, d,
		tx(0, insert("a")),
		tx(1, func(ctx context.Context, tx *db.Tx) error { return errors.Join(insert("b")(ctx, tx), stop) }),
		tx(2, insert("a")),
		tx(3, func(ctx context.Context, tx *db.Tx) error { return tx.QueryRow(ctx, countThings).Scan(&seen) }),
		tx(4, insert("c")),
	)
	if errs[0] != nil || !errors.Is(errs[1], stop) || !db.IsDuplicate(errs[2]) || errs[3] != nil || errs[4] != nil {
		t.Errorf("%v", errs)
	}
	if n := count(t, d); seen != 1 || n != 2 {
		t.Errorf("saw %d rows, there are %d", seen, n)
	}
	after := d.Stats()
	if n, commits := after.Transactions-before.Transactions, after.Commits-before.Commits; n != 7 || commits != 3 { // with who held them up and the count
		t.Errorf("%d transactions, %d commits", n, commits)
	}
}

// A panic reaches who brought the function, and nobody else.
func TestSharedPanic(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	var got any
	var other error
	queued(t, d,
		func() { other = d.Tx(t.Context(), insert("a")) },
		func() {
			defer func() { got = recover() }()
			d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error { insert("b")(ctx, tx); panic("boom") })
		},
	)
	if got != "boom" || other != nil || count(t, d) != 1 {
		t.Errorf("panic %v, other %v, %d rows", got, other, count(t, d))
	}
}

// A goroutine that ends inside a transaction holds up nobody.
func TestSharedGoexit(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	unset := errors.New("its goroutine ended")
	first, third := unset, unset
	queued(t, d,
		func() { first = d.Tx(t.Context(), insert("a")) },
		func() {
			d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error { insert("b")(ctx, tx); runtime.Goexit(); return nil })
		},
		func() { third = d.Tx(t.Context(), insert("c")) },
	)
	if first == nil || third == nil || count(t, d) != 0 { // one of them led the others, and ended with them
		t.Errorf("first %v, third %v, %d rows", first, third, count(t, d))
	}
	if err := d.Tx(t.Context(), insert("d")); err != nil || count(t, d) != 1 {
		t.Errorf("afterwards: %v", err)
	}
}

// Who has begun comes to an end; who is not waited for any more leaves the queue.
func TestSharedContext(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	late, cancel := context.WithCancel(t.Context())
	gone, leave := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer leave()
	var ended, other, left error
	queued(t, d,
		func() { other = d.Tx(t.Context(), insert("a")) },
		func() {
			ended = d.Tx(late, func(ctx context.Context, tx *db.Tx) error { cancel(); return insert("b")(ctx, tx) })
		},
	)
	err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		left = d.Tx(gone, insert("c")) // of another goroutine it would be: this context is not that of the transaction
		return nil
	})
	if !errors.Is(left, context.DeadlineExceeded) || ended != nil || other != nil || err != nil || count(t, d) != 2 {
		t.Errorf("left %v, ended %v, other %v, %v, %d rows", left, ended, other, err, count(t, d))
	}
}

// A transaction of which SQLite has rolled everything back, in the middle, is
// run again alone, and so are all that had part in the commit.
func TestSharedRollback(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	var errs [3]error
	runs := 0
	queued(t, d,
		func() { errs[0] = d.Tx(t.Context(), insert("a")) },
		func() {
			errs[1] = d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				if runs++; runs == 1 { // as a full disk does
					tx.Exec(ctx, `insert or rollback into thing (tenant, id, n, flag) values ('default', 'a', 1, false)`)
				}
				return insert("b")(ctx, tx)
			})
		},
		func() { errs[2] = d.Tx(t.Context(), insert("c")) },
	)
	if errs != [3]error{} || runs != 2 || count(t, d) != 3 {
		t.Errorf("%v, %d runs, %d rows", errs, runs, count(t, d))
	}
}

// Under load everything that was said to be done is there, and nothing else.
func TestSharedLoad(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	stop := errors.New("stop")
	var done atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.N(20))*time.Millisecond)
				fail := rand.N(4) == 0
				err := d.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
					err := insert(fmt.Sprint(g, " ", i))(ctx, tx)
					if fail {
						err = errors.Join(err, stop)
					}
					return err
				})
				cancel()
				switch {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, stop) && !errors.Is(err, context.DeadlineExceeded):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, d); int64(n) != done.Load() {
		t.Errorf("%d rows, %d transactions said to be done", n, done.Load())
	}
	if s := d.Stats(); s.Commits >= s.Transactions {
		t.Errorf("%d commits for %d transactions", s.Commits, s.Transactions)
	}
}

// Nothing follows a statement that failed, whatever it is.
func TestNothingFollowsFailure(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		if err := d.Tx(t.Context(), insert("a")); err != nil {
			t.Fatal(err)
		}
		err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := insert("a")(ctx, tx); !db.IsDuplicate(err) {
				t.Errorf("duplicate: %v", err)
			}
			if err := insert("b")(ctx, tx); !db.IsDuplicate(err) {
				t.Errorf("exec: %v", err)
			}
			if _, err := tx.Query(ctx, countThings); !db.IsDuplicate(err) {
				t.Errorf("query: %v", err)
			}
			var n int
			err := tx.QueryRow(ctx, countThings).Scan(&n)
			if !db.IsDuplicate(err) {
				t.Errorf("row: %v", err)
			}
			return err
		})
		if !db.IsDuplicate(err) || count(t, d) != 1 {
			t.Errorf("%v, %d rows", err, count(t, d))
		}
	})
}
