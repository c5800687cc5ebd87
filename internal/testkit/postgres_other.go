//go:build !unix

package testkit

import "testing"

// Postgres skips the test: a server of the test's own is started on Unix only.
func Postgres(t testing.TB) string {
	t.Helper()
	t.Skip("a PostgreSQL server for tests is started on Unix only")
	return ""
}

// PostgresCopy is never reached: Postgres has skipped the test.
func PostgresCopy(testing.TB, string, ...string) string { return "" }

// PostgresStored is never reached: Postgres has skipped the test.
func PostgresStored(testing.TB, string) (dump, files []byte) { return nil, nil }
