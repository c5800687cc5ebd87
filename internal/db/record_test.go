package db_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/record"
	"github.com/eidos-id/eidos/internal/testkit"
)

func TestRecords(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d, err := db.Open(t.Context(), dsn, "role", fstest.MapFS{"0001_x.sql": {Data: []byte(`create table x (id text primary key)`)}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		s := d.Records()
		put := func(tenant, kind, id, value string) {
			t.Helper()
			err := s.Update(t.Context(), tenant, func(ctx context.Context, tx record.Tx) error { return record.Put(ctx, tx, kind, id, value) })
			if err != nil {
				t.Fatal(err)
			}
		}
		put("a", "k", "two", "old")
		put("a", "k", "Three", "3")
		put("a", "k", "two", "2")
		put("a", "other", "two", "no")
		put("b", "k", "two", "no")
		err = s.Update(t.Context(), "a", func(ctx context.Context, tx record.Tx) error {
			return errors.Join(tx.Put(ctx, "k", "gone", nil), errors.New("no"))
		})
		if err == nil {
			t.Error("an error is lost")
		}
		var got []string
		err = s.View(t.Context(), "a", func(ctx context.Context, tx record.Tx) error {
			if _, err := tx.Get(ctx, "k", "gone"); !errors.Is(err, record.ErrNotFound) {
				t.Errorf("rolled back: %v", err)
			}
			if v, err := record.Get[string](ctx, tx, "k", "two"); err != nil || v != "2" {
				t.Errorf("get: %q, %v", v, err)
			}
			if _, err := record.Get[int](ctx, tx, "k", "two"); err == nil {
				t.Error("a text was read as a number")
			}
			got, err = record.All[string](ctx, tx, "k")
			return err
		})
		if diff := cmp.Diff([]string{"3", "2"}, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

// One at a time for a tenant and name, also over two handles; what failed
// leaves no lease, and whoever waits ends with its context.
func TestAlone(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		var stores []record.Store
		for range 2 {
			d, err := db.Open(t.Context(), dsn, "role", fstest.MapFS{"0001_x.sql": {Data: []byte(`create table x (id text primary key)`)}})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			stores = append(stores, d.Records())
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		broken := errors.New("broken")
		for i := range 6 {
			wg.Go(func() {
				err := stores[i%2].Alone(t.Context(), "a", "keys", func(context.Context) error {
					if !mu.TryLock() {
						t.Error("two at once")
						return nil
					}
					defer mu.Unlock()
					time.Sleep(5 * time.Millisecond)
					return broken
				})
				if !errors.Is(err, broken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		err := stores[0].Alone(t.Context(), "a", "keys", func(ctx context.Context) error {
			if err := stores[1].Alone(ctx, "b", "keys", func(context.Context) error { return nil }); err != nil {
				t.Errorf("another tenant: %v", err)
			}
			impatient, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			return stores[1].Alone(impatient, "a", "keys", func(context.Context) error { return nil })
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the lease was given twice: %v", err)
		}
	})
}
