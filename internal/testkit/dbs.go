package testkit

import (
	"path/filepath"
	"testing"
)

// SQLite returns the address of a new SQLite database, which goes when the
// test ends.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// DBs runs f as a subtest for each engine, with the address of a new, empty
// database. The one for PostgreSQL skips where Postgres does.
func DBs(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}
