package db_test

import (
	"context"
	"testing"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
)

// TestKeptStatements runs one text again while it is being read, after it has
// failed, and after the table has changed.
func TestKeptStatements(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	const insert = `insert into thing (tenant, id, n, flag) values ($1, $2, $3, false)`
	const read = `select id from thing where n >= $1 order by id`
	tx := func(f func(ctx context.Context, tx *db.Tx) error) error { return d.Tx(t.Context(), f) }
	err := tx(func(ctx context.Context, tx *db.Tx) error {
		for i, id := range []string{"a", "b", "c"} {
			if _, err := tx.Exec(ctx, insert, "default", id, i); err != nil {
				return err
			}
		}
		outer, err := tx.Query(ctx, read, 1)
		if err != nil {
			return err
		}
		defer outer.Close()
		var got []string
		for outer.Next() {
			var id string
			if err := outer.Scan(&id); err != nil {
				return err
			}
			inner, err := tx.Texts(ctx, read, 0)
			if err != nil || len(inner) != 3 {
				t.Errorf("inside %s: %v, %v", id, inner, err)
			}
			got = append(got, id)
		}
		if len(got) != 2 || got[0] != "b" || got[1] != "c" {
			t.Errorf("outside: %v", got)
		}
		return outer.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		err := tx(func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, insert, "default", id, 7)
			return err
		})
		if !db.IsDuplicate(err) {
			t.Errorf("%s again: %v", id, err)
		}
	}
	err = tx(func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, insert, "default", "d", 9); err != nil {
			return err
		}
		const all = `select * from thing where id = $1`
		for want := range 2 {
			rows, err := tx.Query(ctx, all, "d")
			if err != nil {
				return err
			}
			columns, err := rows.Columns()
			if err != nil || len(columns) != 5+want || !rows.Next() {
				t.Errorf("columns %v, %v", columns, err)
			}
			if err := rows.Close(); err != nil {
				return err
			}
			if want == 0 {
				if _, err := tx.Exec(ctx, `alter table thing add column more text`); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
