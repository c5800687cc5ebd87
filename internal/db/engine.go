package db

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens or makes a database file. One connection writes, since
// SQLite has one writer at a time anyway and a queue in Go is fair where
// SQLite's is not; others read.
func openSQLite(path string) (*DB, error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("sqlite: needs the path of a file")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Keys and personal data may be inside: for our user only, before SQLite
	// would make it by the umask. Its -wal and -shm files take the same mode.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	// synchronous(full): what was committed survives a power failure too. Without
	// it the last copies would be unrecorded, their indexes given again, and the
	// last revocations lost.
	q := url.Values{
		"_txlock": {"immediate"}, // a transaction that begins by reading cannot fail later for want of the lock
		"_pragma": {"busy_timeout(5000)", "journal_mode(wal)", "synchronous(full)", "foreign_keys(1)"},
		"_dqs":    {"0"}, // "x" is a name, as on PostgreSQL, never a string
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: q.Encode()}
	if !filepath.IsAbs(u.Path) || u.Path[0] != '/' {
		u.Path = "/" + u.Path // C:/… on Windows
	}
	write, err := openCaching(u.String())
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	write.SetConnMaxLifetime(0)
	q.Set("_query_only", "1")
	u.RawQuery = q.Encode()
	read, err := openCaching(u.String())
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	// Each connection has a cache of 2 MiB, and six roles may share a process.
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(2)
	return &DB{engine: sqlite, write: write, read: read, queue: newQueue()}, nil
}

// openPostgres connects to a server and makes the schema of the role.
func openPostgres(ctx context.Context, dsn, role string) (*DB, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("postgres: malformed address") // the cause may quote the password
	}
	cfg.RuntimeParams["search_path"] = role
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "eidos " + role
	}
	pool := stdlib.OpenDB(*cfg)
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(16)
	d := &DB{engine: postgres, write: pool, read: pool}
	err = d.makeSchema(ctx, role)
	if IsDuplicate(err) { // two processes came at the same moment; now it is there
		err = d.makeSchema(ctx, role)
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return d, nil
}

// makeSchema makes the schema of a role in PostgreSQL if there is none. "If not
// exists" alone also wants the right to create one where it is there, and fails
// as a duplicate when another process makes it at the same moment.
func (d *DB) makeSchema(ctx context.Context, role string) error {
	return d.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		var n int
		if err := tx.QueryRow(ctx, `select count(*) from pg_namespace where nspname = $1`, role).Scan(&n); err != nil || n > 0 {
			return err
		}
		_, err := tx.Exec(ctx, fmt.Sprintf(`create schema if not exists %q`, role)) // role is checked by Open
		return err
	})
}

// retryable reports whether a transaction failed only because others ran at
// the same time.
func retryable(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code == "40001" || pe.Code == "40P01" // serialization_failure, deadlock_detected
	}
	if se, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		code := se.Code() & 0xff // the extended code has the primary one in its low byte
		return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
	}
	return false
}

// IsDuplicate reports whether err says that a row with the same primary key or
// unique value is already there.
func IsDuplicate(err error) bool {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code == "23505" // unique_violation
	}
	if se, ok := errors.AsType[*sqlitedriver.Error](err); ok {
		return se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
	}
	return false
}
