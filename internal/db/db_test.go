package db_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func schema(files ...string) fs.FS {
	m := fstest.MapFS{}
	for i, text := range files {
		m[fmt.Sprintf("schema/%04d_test.sql", i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const things = `create table thing (
	tenant text not null, id text not null, data bytea, n bigint not null, flag boolean not null,
	primary key (tenant, id)
);
create index thing_n on thing (tenant, n);`

func open(t testing.TB, dsn string, schema fs.FS) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, "issuer", schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func TestOneTextForBothEngines(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		want := []byte{0, 1, 0xff}
		err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			// Placeholders out of order and repeated.
			n, err := tx.Exec(ctx, `insert into thing (n, id, tenant, data, flag) values ($3, $2, $1, $4, $5), ($3, 'b', $1, null, false)`,
				"default", "a", int64(1)<<60, want, true)
			if n != 2 {
				t.Errorf("%d rows inserted, want 2", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			rows, err := tx.Query(ctx, `select id, data, n, flag from thing where tenant = $1 order by id`, "default")
			if err != nil {
				return err
			}
			defer rows.Close()
			var got []string
			for rows.Next() {
				var id string
				var data []byte
				var n int64
				var flag bool
				if err := rows.Scan(&id, &data, &n, &flag); err != nil {
					return err
				}
				got = append(got, fmt.Sprintf("%s %x %d %t", id, data, n, flag))
			}
			if s := strings.Join(got, "; "); s != "a 0001ff 1152921504606846976 true; b  1152921504606846976 false" {
				t.Errorf("read %s", s)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into thing (tenant, id, n, flag) values ('default', 'a', 1, true)`)
			return err
		})
		if !db.IsDuplicate(err) {
			t.Errorf("second row with the same key: %v, want a duplicate", err)
		}
	})
}

func TestViewCannotWrite(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		err := d.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into thing (tenant, id, n, flag) values ('default', 'a', 1, true)`)
			return err
		})
		if err == nil {
			t.Error("a View wrote")
		}
	})
}

// ViewOne has one statement, which reads; that it finds nothing is no reason to
// go on with another.
func TestViewOne(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		insert := func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, `insert into thing (tenant, id, n, flag) values ('default', 'a', 1, true)`)
			return err
		}
		if err := d.ViewOne(t.Context(), insert); err == nil {
			t.Error("a ViewOne wrote")
		}
		read := func(ctx context.Context, tx *db.Tx) (n int, err error) {
			return n, tx.QueryRow(ctx, `select n from thing where id = 'a'`).Scan(&n)
		}
		var n int
		one := func(ctx context.Context, tx *db.Tx) (err error) {
			n, err = read(ctx, tx)
			return err
		}
		if err := d.ViewOne(t.Context(), one); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("of nothing: %v", err)
		}
		if err := d.Tx(t.Context(), insert); err != nil {
			t.Fatal(err)
		}
		if err := d.ViewOne(t.Context(), one); err != nil || n != 1 {
			t.Errorf("%d %v", n, err)
		}
		err := d.ViewOne(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if _, err := read(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Texts(ctx, `select id from thing`); err == nil {
				t.Error("a second statement")
			}
			return d.Tx(ctx, insert)
		})
		if err == nil {
			t.Error("a Tx inside a ViewOne")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := d.ViewOne(ctx, one); !errors.Is(err, context.Canceled) {
			t.Errorf("after the caller left: %v", err)
		}
	})
}

func TestStats(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	before := d.Stats()
	err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `delete from thing`); err != nil {
			return err
		}
		if _, err := tx.Texts(ctx, `select id from thing`); err != nil {
			return err
		}
		var n int
		return tx.QueryRow(ctx, `select count(*) from thing`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	after := d.Stats()
	if after.Transactions-before.Transactions != 1 || after.Statements-before.Statements != 3 || after.Retries != before.Retries {
		t.Errorf("from %+v to %+v", before, after)
	}
}

func TestErrorRollsBack(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		stop := errors.New("stop")
		err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := tx.Once("default").Put(ctx, "code", "x", nil, now.Add(time.Minute)); err != nil {
				return err
			}
			return stop
		})
		if err != stop {
			t.Fatalf("Tx returned %v, want the function's error as it is", err)
		}
		err = d.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Once("default").Get(ctx, "code", "x", now)
			return err
		})
		if !errors.Is(err, once.ErrNotFound) {
			t.Errorf("after rollback: %v, want not found", err)
		}
	})
}

func TestTxInsideTxIsRefused(t *testing.T) {
	d := open(t, testkit.SQLite(t), schema(things))
	err := d.Tx(t.Context(), func(ctx context.Context, _ *db.Tx) error {
		return d.Tx(ctx, func(context.Context, *db.Tx) error { return nil })
	})
	if err == nil || !strings.Contains(err.Error(), "inside a transaction") {
		t.Errorf("Tx inside Tx: %v", err)
	}
}

func TestMigrate(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d, err := db.Open(t.Context(), dsn, "issuer", schema(things))
		if err != nil {
			t.Fatal(err)
		}
		exec(t, d, `insert into thing (tenant, id, n, flag) values ('default', 'kept', 7, true)`)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		upgrade := `alter table thing add column colour text not null default 'grey';`
		d, err = db.Open(t.Context(), dsn, "issuer", schema(things, upgrade))
		if err != nil {
			t.Fatalf("upgrade: %v", err)
		}
		var colour string
		err = d.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return tx.QueryRow(ctx, `select colour from thing where id = 'kept'`).Scan(&colour)
		})
		if err != nil || colour != "grey" {
			t.Errorf("after the upgrade the row has colour %q, error %v", colour, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err = db.Open(t.Context(), dsn, "issuer", schema(things)); err == nil || !strings.Contains(err.Error(), "newer than this release") {
			t.Errorf("older code on newer database: %v", err)
		}
		changed := things + " -- edited after it was applied"
		if _, err = db.Open(t.Context(), dsn, "issuer", schema(changed, upgrade)); err == nil || !strings.Contains(err.Error(), "have changed since") {
			t.Errorf("a migration that was edited after it was applied: %v", err)
		}
		if _, err = db.Open(t.Context(), dsn, "issuer", schema(things, upgrade, `create table broken (`)); err == nil {
			t.Error("a broken migration passed")
		}
		d = open(t, dsn, schema(things, upgrade, `create table third (id text primary key);`))
		exec(t, d, `insert into third (id) values ('here')`)
	})
}

func TestOpenTogether(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		begin := make(chan bool)
		for range 12 {
			wg.Go(func() {
				<-begin
				d, err := db.Open(t.Context(), dsn, "issuer", schema(things))
				if err != nil {
					t.Error(err)
					return
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wg.Wait()
		exec(t, open(t, dsn, schema(things)), `insert into thing (tenant, id, n, flag) values ('default', 'one', 1, true)`)
	})
}

func TestOpenRefuses(t *testing.T) {
	path := testkit.SQLite(t)
	for name, c := range map[string]struct {
		dsn, role string
		schema    fs.FS
	}{
		"other engine": {"mysql://localhost/x", "issuer", schema(things)},
		"no path":      {"sqlite:", "issuer", schema(things)},
		"role":         {path, `issuer"; drop`, schema(things)},
		"file name":    {path, "issuer", fstest.MapFS{"1.sql": {Data: []byte(things)}}},
		"gap":          {path, "issuer", fstest.MapFS{"0002_two.sql": {Data: []byte(things)}}},
	} {
		if d, err := db.Open(t.Context(), c.dsn, c.role, c.schema); err == nil {
			d.Close()
			t.Errorf("%s: opened", name)
		}
	}
	_, err := db.Open(t.Context(), "postgres://user:secret@host:port/x", "issuer", schema(things))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("malformed address: %v", err)
	}
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	dsn := testkit.SQLite(t)
	d := open(t, dsn, schema(things))
	exec(t, d, `insert into thing (tenant, id, n, flag) values ('default', 'a', 1, true)`)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		fi, err := os.Stat(strings.TrimPrefix(dsn, "sqlite:") + suffix)
		if err != nil {
			t.Error(err)
		} else if fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", fi.Name(), fi.Mode())
		}
	}
}

func TestOnceStore(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		tx := func(f func(s, other once.Store) error) error {
			return d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error { return f(tx.Once("default"), tx.Once("other")) })
		}
		ctx := t.Context()
		later := now.Add(time.Minute)
		if err := tx(func(s, _ once.Store) error { return s.Put(ctx, "code", "a", []byte("v1"), later) }); err != nil {
			t.Fatal(err)
		}
		if err := tx(func(s, _ once.Store) error { return s.Put(ctx, "code", "b", nil, later) }); err != nil {
			t.Fatal(err)
		}
		type step struct {
			name string
			f    func(s, other once.Store) ([]byte, error)
			want string
			err  error
		}
		for _, c := range []step{
			{"get", func(s, _ once.Store) ([]byte, error) { return s.Get(ctx, "code", "a", now) }, "v1", nil},
			{"other tenant", func(_, o once.Store) ([]byte, error) { return o.Claim(ctx, "code", "a", now) }, "", once.ErrNotFound},
			{"other kind", func(s, _ once.Store) ([]byte, error) { return s.Claim(ctx, "offer", "a", now) }, "", once.ErrNotFound},
			{"too late", func(s, _ once.Store) ([]byte, error) { return s.Claim(ctx, "code", "a", later) }, "", once.ErrExpired},
			{"claim", func(s, _ once.Store) ([]byte, error) { return s.Claim(ctx, "code", "a", later.Add(-1)) }, "v1", nil},
			{"claim again", func(s, _ once.Store) ([]byte, error) { return s.Claim(ctx, "code", "a", now) }, "", once.ErrClaimed},
			{"get claimed", func(s, _ once.Store) ([]byte, error) { return s.Get(ctx, "code", "a", now) }, "", once.ErrClaimed},
			{"revive", func(s, _ once.Store) ([]byte, error) { return nil, s.Put(ctx, "code", "a", nil, later) }, "", nil},
			{"claim revived", func(s, _ once.Store) ([]byte, error) { return s.Claim(ctx, "code", "a", now) }, "", nil},
			{"consume", func(s, _ once.Store) ([]byte, error) { return nil, once.Consume(ctx, s, "jti", "j", now, later) }, "", nil},
			{"consume again", func(s, _ once.Store) ([]byte, error) { return nil, once.Consume(ctx, s, "jti", "j", now, later) }, "", once.ErrClaimed},
			{"consume after it expired", func(s, _ once.Store) ([]byte, error) { return nil, once.Consume(ctx, s, "jti", "j", later, later) }, "", nil},
			{"consume what was put", func(s, _ once.Store) ([]byte, error) { return nil, once.Consume(ctx, s, "code", "b", now, later) }, "", once.ErrClaimed},
			{"consume what was claimed and expired", func(s, _ once.Store) ([]byte, error) {
				return nil, once.Consume(ctx, s, "code", "a", later, later.Add(1))
			}, "", once.ErrClaimed},
		} {
			var got []byte
			err := tx(func(s, other once.Store) (err error) { got, err = c.f(s, other); return err })
			if !errors.Is(err, c.err) || string(got) != c.want {
				t.Errorf("%s: %q, %v; want %q, %v", c.name, got, err, c.want, c.err)
			}
		}
		sweep := func(at time.Time) (n int64) {
			if err := d.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) { n, err = tx.DeleteExpired(ctx, at); return err }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if early, due := sweep(later.Add(-time.Millisecond)), sweep(later); early != 0 || due != 3 {
			t.Errorf("swept %d before and %d at the expiry, want 0 and 3", early, due)
		}
	})
}

func TestClaimRace(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		// Two pools, as two processes would have.
		pools := []*db.DB{open(t, dsn, schema(things)), open(t, dsn, schema(things))}
		put(t, pools[0], "offer", "x", []byte("prize"))
		var won, lost atomic.Int64
		race(50, func(i int) {
			err := pools[i%2].Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				value, err := tx.Once("default").Claim(ctx, "offer", "x", now)
				if err == nil && !bytes.Equal(value, []byte("prize")) {
					t.Errorf("claimed %q", value)
				}
				return err
			})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, once.ErrClaimed):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
		if won.Load() != 1 || lost.Load() != 49 {
			t.Errorf("%d won and %d lost, want 1 and 49", won.Load(), lost.Load())
		}
	})
}

func TestConsumeRace(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		var won atomic.Int64
		race(50, func(int) {
			err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				return once.Consume(ctx, tx.Once("default"), "jti", "x", now, now.Add(time.Minute))
			})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, once.ErrClaimed) {
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d callers were the first", won.Load())
		}
	})
}

// TestCountRace counts wrong tries as the PIN of an offer does: claim, and put
// back with one more.
func TestCountRace(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		pools := []*db.DB{open(t, dsn, schema(things)), open(t, dsn, schema(things))}
		put(t, pools[0], "tries", "x", make([]byte, 8))
		race(50, func(i int) {
			err := pools[i%2].Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				s := tx.Once("default")
				value, err := s.Claim(ctx, "tries", "x", now)
				if err != nil {
					return err
				}
				binary.BigEndian.PutUint64(value, binary.BigEndian.Uint64(value)+1)
				return s.Put(ctx, "tries", "x", value, now.Add(time.Minute))
			})
			if err != nil {
				t.Error(err)
			}
		})
		var value []byte
		err := pools[1].View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			value, err = tx.Once("default").Get(ctx, "tries", "x", now)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := binary.BigEndian.Uint64(value); n != 50 {
			t.Errorf("counted %d of 50 tries", n)
		}
	})
}

// TestSerializable lets transactions read a sum and write by it, which loses
// updates on any weaker isolation.
func TestSerializable(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		d := open(t, dsn, schema(things))
		race(20, func(i int) {
			err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				var highest sql.NullInt64
				if err := tx.QueryRow(ctx, `select max(n) from thing where tenant = $1`, "default").Scan(&highest); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, `insert into thing (tenant, id, n, flag) values ($1, $2, $3, false)`, "default", fmt.Sprint(i), highest.Int64+1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		var count, highest int
		err := d.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return tx.QueryRow(ctx, `select count(*), max(n) from thing`).Scan(&count, &highest)
		})
		if err != nil || count != 20 || highest != 20 {
			t.Errorf("%d rows, highest number %d, error %v; want 20 numbered to 20", count, highest, err)
		}
	})
}

func BenchmarkTx(b *testing.B) {
	d := open(b, testkit.SQLite(b), schema(things))
	put(b, d, "offer", "x", nil)
	for b.Loop() {
		err := d.Tx(b.Context(), func(ctx context.Context, tx *db.Tx) error {
			return tx.Once("default").Put(ctx, "offer", "x", nil, now)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func exec(t testing.TB, d *db.DB, q string) {
	t.Helper()
	if err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error { _, err := tx.Exec(ctx, q); return err }); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, d *db.DB, kind, id string, value []byte) {
	t.Helper()
	err := d.Tx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		return tx.Once("default").Put(ctx, kind, id, value, now.Add(time.Minute))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// race runs f n times at once.
func race(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
