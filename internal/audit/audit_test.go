package audit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func plain() fstest.MapFS {
	return fstest.MapFS{"0001_x.sql": {Data: []byte(`create table x (id text primary key)`)}}
}

func open(t *testing.T, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, "issuer", plain())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func add(t *testing.T, d *db.DB, chain string, n int) (h audit.Head) {
	t.Helper()
	for i := range n {
		err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			e := audit.Event{Tenant: "default", What: "document issued", Object: fmt.Sprint(i), Detail: map[string]string{"type": "mdl"}}
			h, err = audit.Append(ctx, tx, chain, now.Add(time.Duration(i)*time.Second), e)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func verify(t *testing.T, d *db.DB, chain string, known audit.Head) (h audit.Head, err error) {
	t.Helper()
	err = d.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
		h, err = audit.Verify(ctx, tx, chain, known)
		return err
	})
	return h, err
}

func TestChain(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		h := add(t, d, "one", 5)
		add(t, d, "two", 2)
		got, err := verify(t, d, "one", audit.Head{})
		if err != nil || got != h || h.Seq != 5 {
			t.Errorf("verified up to row %d, error %v; appended up to row %d", got.Seq, err, h.Seq)
		}
		add(t, d, "one", 1)
		if got, err := verify(t, d, "one", h); err != nil || got.Seq != 6 {
			t.Errorf("with a known head: row %d, error %v", got.Seq, err)
		}
		var chains []string
		err = d.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) { chains, err = audit.Chains(ctx, tx); return err })
		if err != nil || fmt.Sprint(chains) != "[one two]" {
			t.Errorf("chains %v, error %v", chains, err)
		}
	})
}

func TestTamper(t *testing.T) {
	for name, q := range map[string]string{
		"event changed":  `update audit set event = replace(event, 'mdl', 'pid') where seq = 3`,
		"time changed":   `update audit set time = time + 1 where seq = 3`,
		"row taken out":  `delete from audit where seq = 3`,
		"first row gone": `delete from audit where seq = 1`,
		"hash changed":   `update audit set hash = (select hash from audit where seq = 2) where seq = 3`,
		"row moved":      `update audit set chain = 'other'`,
		"tail cut off":   `delete from audit where seq = 5`,
		"all gone":       `delete from audit`,
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, testkit.SQLite(t))
			h := add(t, d, "one", 5)
			err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				n, err := tx.Exec(ctx, q)
				if n == 0 {
					t.Error("nothing was changed")
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			chain := "one"
			if name == "row moved" {
				chain, h = "other", audit.Head{}
			}
			if _, err := verify(t, d, chain, h); !errors.Is(err, audit.ErrBroken) {
				t.Errorf("verify: %v, want a broken chain", err)
			}
		})
	}
}

func TestAppendTogether(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { add(t, d, "one", 3) })
		}
		wg.Wait()
		if h, err := verify(t, d, "one", audit.Head{}); err != nil || h.Seq != 24 {
			t.Errorf("verified up to row %d of 24, error %v", h.Seq, err)
		}
	})
}
