package verifier_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/verifier"
)

// A database that the release before has filled goes on, and a process of that
// release beside ours, too.
func TestUpgrade(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		first, err := verifier.Schema.ReadFile("schema/0001_verifying.sql")
		if err != nil {
			t.Fatal(err)
		}
		before, err := db.Open(t.Context(), dsn, "verifier", fstest.MapFS{"schema/0001_verifying.sql": {Data: first}})
		if err != nil {
			t.Fatal(err)
		}
		old := func(d *db.DB, id string) {
			t.Helper()
			err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.Exec(ctx, `
					insert into presentation (tenant, id, handle, state, created, expires, forget, code, request, result)
					values ('default', $1, $1, 'waiting', 1795435200000, 1795435500000, 1795435800000, '', $2, $2)`, id, []byte{})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		old(before, "first")
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, dsn, keeping())
		old(w.db, "second")
		for _, id := range []string{"first", "second"} {
			if c, err := w.v.Change(t.Context(), "default", id); err != nil || c.State != verifier.Waiting {
				t.Errorf("%s: %+v %v", id, c, err)
			}
		}
		// What was begun before, and is answered now, is sealed as it was then.
		tr := w.begin(ask)
		w.check(w.db.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `update presentation set opener = $1 where id = $2`, []byte{}, tr.Number)
			return err
		}))
		req, err := w.opened(tr)
		w.check(err)
		_, err = w.post(w.issue(5).answer(req, "family_name", "age_over_21", "portrait"))
		w.check(err)
		if o := w.outcome(tr); o.State != verifier.Done || !o.Result.OK() {
			t.Errorf("%+v", o)
		}
	})
}
