package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
)

// restored copies a database as an operator does, and returns the address of
// the copy.
func restored(t *testing.T, d *db.DB, dsn string) string {
	t.Helper()
	if !strings.HasPrefix(dsn, "sqlite:") {
		return testkit.PostgresCopy(t, dsn, "--exclude-table-data=*."+db.TableWithoutData)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// What was open when the backup was made is used up after the restore; what is
// kept for good stays; the epoch rises, and only once.
func TestRestore(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		d := open(t, dsn, schema(things))
		if d.Revived() || !d.Restored().IsZero() {
			t.Errorf("a new database is a restored one: %v, %s", d.Revived(), d.Restored())
		}
		do := func(d *db.DB, f func(ctx context.Context, st once.Store) error) {
			t.Helper()
			if err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error { return f(ctx, tx.Once("default")) }); err != nil {
				t.Error(err)
			}
		}
		do(d, func(ctx context.Context, st once.Store) error {
			return errors.Join(st.Put(ctx, "offer", "a", []byte("x"), now.Add(time.Hour)), once.Consume(ctx, st, "nonce", "n", now, now.Add(time.Hour)),
				st.Put(ctx, "pin", "p", []byte("y"), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
		})
		copyDSN := restored(t, d, dsn)
		do(d, func(ctx context.Context, st once.Store) error { // after the backup
			_, err := st.Claim(ctx, "offer", "a", now)
			return err
		})
		var wg sync.WaitGroup
		opened := make([]*db.DB, 3)
		for i := range opened {
			wg.Go(func() {
				var err error
				if opened[i], err = db.Open(t.Context(), copyDSN, "issuer", schema(things)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		first := 0
		for _, o := range opened {
			if t.Failed() {
				return
			}
			defer o.Close()
			if o.Revived() {
				first++
			}
			if o.Restored() != opened[0].Restored() || time.Since(o.Restored()) > time.Minute {
				t.Errorf("restored at %s and %s", o.Restored(), opened[0].Restored())
			}
		}
		if first != 1 {
			t.Errorf("%d processes have found it restored", first)
		}
		do(opened[0], func(ctx context.Context, st once.Store) error {
			if _, err := st.Claim(ctx, "offer", "a", now); !errors.Is(err, once.ErrClaimed) {
				t.Errorf("an offer that was used after the backup: %v", err)
			}
			if err := once.Consume(ctx, st, "nonce", "n", now, now.Add(time.Hour)); !errors.Is(err, once.ErrClaimed) {
				t.Errorf("a nonce that was used before the backup: %v", err)
			}
			_, err := st.Get(ctx, "pin", "p", now)
			return err
		})
		again := open(t, copyDSN, schema(things))
		if again.Revived() || again.Restored() != opened[0].Restored() {
			t.Error("restored a second time")
		}
		time.Sleep(2 * time.Millisecond) // the resolution of an epoch
		if err := again.MarkRestored(t.Context()); err != nil || !again.Revived() || !again.Restored().After(opened[0].Restored()) {
			t.Errorf("marked: %v, %s", err, again.Restored())
		}
	})
}

// A backup is consistent while others write, is no second time written over,
// and is readable by its owner only.
func TestBackupOnline(t *testing.T) {
	dsn := testkit.SQLite(t)
	d := open(t, dsn, schema(things))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // always two rows together
		for i := 0; ctx.Err() == nil; i++ {
			err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				for _, id := range []string{"a", "b"} {
					if _, err := tx.Exec(ctx, `insert into thing (tenant, id, n, flag) values ($1, $2, 1, true)`, fmt.Sprint(i), id); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	dir := t.TempDir()
	rows := -1
	for i := range 5 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := d.Backup(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", st.Mode(), err)
		}
		c := open(t, "sqlite:"+path, schema(things))
		var n int
		if err := c.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return tx.QueryRow(ctx, `select count(*) from thing`).Scan(&n)
		}); err != nil || n%2 != 0 || n < rows {
			t.Errorf("%d rows after %d, %v", n, rows, err)
		}
		rows = n
	}
	stop()
	wg.Wait()
	if err := d.Backup(t.Context(), filepath.Join(dir, "0")); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	if rows < 2 {
		t.Error("nothing was written meanwhile")
	}
}
