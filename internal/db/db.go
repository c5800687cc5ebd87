// Package db opens a role's database, SQLite or PostgreSQL, brings its schema
// up to date and runs transactions on it. One SQL text serves both engines:
// $1 placeholders; the types text, bytea, bigint and boolean; times as bigint;
// ids made in Go; no JSON operators.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// patience is how long Tx goes on retrying a transaction that lost against others.
const patience = 15 * time.Second

// DB is a role's database. It may be used concurrently.
type DB struct {
	engine engine
	write  *sql.DB
	read   *sql.DB // the same as write on PostgreSQL
	queue  *queue  // of those who write; nil on PostgreSQL

	epoch   int64 // when the database was restored last, 0 if never
	revived bool  // it was found restored by Open

	transactions, commits, retries, statements atomic.Int64
}

// Stats is what was asked of a database since Open.
type Stats struct {
	Transactions int64 `json:"transactions"` // begun, retries among them
	Commits      int64 `json:"commits"`      // fewer than transactions where they share one
	Retries      int64 `json:"retries"`      // because others ran at the same time
	Statements   int64 `json:"statements"`   // besides begin and commit
}

// Stats counts what this DB has done so far.
func (d *DB) Stats() Stats {
	return Stats{Transactions: d.transactions.Load(), Commits: d.commits.Load(), Retries: d.retries.Load(), Statements: d.statements.Load()}
}

type engine string

const (
	sqlite   engine = "sqlite"
	postgres engine = "postgres"
)

// Open opens the database of a role and applies the migrations that it lacks,
// NNNN_name.sql at the root of schema or in its only folder (so that a role
// can say //go:embed schema/*.sql), each in a transaction of its own. It also
// keeps the tables of this package: once, audit, record and lease.
//
// dsn is "sqlite:PATH", a file that is made if absent, or a "postgres://…"
// URL; there, the tables are in a schema named after the role, which is made
// if absent. role is letters in lower case. Several processes may open one
// database at the same time. It is an error if the database was migrated by a
// newer release than this.
func Open(ctx context.Context, dsn, role string, schema fs.FS) (*DB, error) {
	if role == "" || strings.Trim(role, "abcdefghijklmnopqrstuvwxyz") != "" {
		return nil, fmt.Errorf("db: role %q is not a word in lower case", role)
	}
	var d *DB
	var err error
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		d, err = openSQLite(strings.TrimPrefix(dsn, "sqlite:"))
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		d, err = openPostgres(ctx, dsn, role)
	default:
		err = errors.New("address begins with neither sqlite: nor postgres://")
	}
	if err != nil {
		return nil, fmt.Errorf("db: open for %s: %w", role, err)
	}
	if err = d.migrate(ctx, role, schema); err == nil {
		err = d.revive(ctx)
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("db: open for %s: %w", role, err)
	}
	return d, nil
}

// Close closes the database, after running transactions have ended.
func (d *DB) Close() error {
	if d.read != d.write {
		return errors.Join(d.read.Close(), d.write.Close())
	}
	return d.write.Close()
}

// Ping reports whether the database answers, for readiness checks.
func (d *DB) Ping(ctx context.Context) error { return d.read.PingContext(ctx) }

// Tx runs f in a transaction and commits it; if f returns an error, Tx rolls
// back and returns that error as it is. Transactions are serializable: they
// behave as if one ran after the other.
//
// Tx may run f again, as when it loses against a concurrent transaction, and in
// another goroutine, so f must do nothing but work on tx and assign variables of
// its caller. It keeps
// on for 15 seconds or until ctx ends. Nothing but the end of the transaction may
// follow a failed statement: PostgreSQL refuses it, and SQLite may have rolled
// back, so that the next would be on its own.
//
// A Tx inside a Tx of the same database is an error, recognised by the context
// that f is given.
func (d *DB) Tx(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	return d.run(ctx, func(ctx context.Context) error {
		if d.queue != nil {
			return d.shared(ctx, f)
		}
		return d.once(ctx, d.write, serializable, f)
	})
}

// OneWriter reports whether transactions of this process take turns, so that
// none has to be run again because of another, as on SQLite.
func (d *DB) OneWriter() bool { return d.queue != nil }

// View runs f as Tx does, in a transaction that only reads. It waits for no
// writer.
func (d *DB) View(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	o := &sql.TxOptions{ReadOnly: true}
	if d.engine == postgres {
		o.Isolation = sql.LevelRepeatableRead // one snapshot for all its statements, as SQLite gives
	}
	return d.run(ctx, func(ctx context.Context) error { return d.once(ctx, d.read, o, f) })
}

// ViewOne runs f as View does, if f runs one statement: that is its own
// transaction, and needs none around it.
func (d *DB) ViewOne(ctx context.Context, f func(ctx context.Context, tx *Tx) error) error {
	return d.run(ctx, func(ctx context.Context) error {
		d.transactions.Add(1)
		tx := d.newTx(d.read)
		tx.single = true
		return f(ctx, tx)
	})
}

type inTx struct{ d *DB }

// run calls try until it does not lose against others any more.
func (d *DB) run(ctx context.Context, try func(context.Context) error) error {
	if ctx.Value(inTx{d}) != nil {
		return errors.New("db: transaction inside a transaction")
	}
	ctx = context.WithValue(ctx, inTx{d}, true)
	var deadline time.Time
	for tries := 1; ; tries++ {
		err := try(ctx)
		if err == nil || !retryable(err) {
			return err
		}
		d.retries.Add(1)
		if tries == 1 {
			deadline = time.Now().Add(patience)
		} else if time.Now().After(deadline) {
			return fmt.Errorf("db: gave up after %d tries: %w", tries, err)
		}
		// Waiting a random while, longer each time, lets the others finish.
		longest := min(time.Millisecond<<min(tries-1, 6), 50*time.Millisecond)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(longest)):
		}
	}
}

// once makes one try at a transaction.
func (d *DB) once(ctx context.Context, pool *sql.DB, o *sql.TxOptions, f func(context.Context, *Tx) error) error {
	d.transactions.Add(1)
	tx, err := pool.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("db: begin: %w", err)
	}
	defer tx.Rollback() // does nothing after Commit; also when f panics
	if err := f(ctx, d.newTx(tx)); err != nil {
		return err
	}
	d.commits.Add(1)
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("db: commit: %w", err)
	}
	return nil
}

func (d *DB) newTx(tx conn) *Tx { return &Tx{tx: tx, epoch: d.epoch, statements: &d.statements} }

// Tx is a running transaction. It must not be used concurrently, nor after the
// function that it was given to has returned.
type Tx struct {
	tx         conn
	epoch      int64
	statements *atomic.Int64
	single     bool  // it has one statement, which reads
	failed     error // of a statement: none may follow
}

// conn runs statements: sql.Tx, and sql.DB each by itself.
type conn interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var errSingle = errors.New("db: ViewOne has one statement, which reads")

// done notes how a statement came out.
func (t *Tx) done(err error) {
	t.failed = err
	if t.single && err == nil {
		t.failed = errSingle
	}
}

// Exec runs a statement that returns no rows and returns how many it changed.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if t.failed != nil {
		return 0, t.failed
	}
	if t.single {
		return 0, errSingle
	}
	t.statements.Add(1)
	r, err := t.tx.ExecContext(ctx, query, args...)
	if t.done(err); err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Query runs a statement that returns rows. The caller closes them before
// running the next statement.
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if t.failed != nil {
		return nil, t.failed
	}
	t.statements.Add(1)
	rows, err := t.tx.QueryContext(ctx, query, args...)
	t.done(err)
	return rows, err
}

// QueryRow runs a statement that returns at most one row. Scan returns
// sql.ErrNoRows if there was none.
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) Row {
	if t.failed != nil {
		return failedRow{t.failed}
	}
	t.statements.Add(1)
	row := t.tx.QueryRowContext(ctx, query, args...)
	t.done(row.Err())
	return row
}

// Row is what QueryRow found.
type Row interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

// Texts runs a query that returns one column of text.
func (t *Tx) Texts(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := t.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Millis is a time as it stands in a bigint column: milliseconds since 1970, 0
// for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the reverse of Millis.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
