package statuslist_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/record"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/statuslist"
)

// office is a role that revokes. Each board has a connection of its own, as if
// it were in another process.
type office struct {
	testing.TB
	dsn    string
	db     *db.DB
	signer *testkit.Key
}

var officeSchema = fstest.MapFS{"0001_entry.sql": {Data: []byte(`
	create table entry (list text not null, idx bigint not null, value bigint not null, primary key (list, idx));
	create index entry_set on entry (list, idx) where value <> 0`)}}

func newOffice(t testing.TB, dsn string) *office {
	t.Helper()
	return &office{TB: t, dsn: dsn, db: openDB(t, dsn), signer: testkit.Signer(t, elliptic.P256())}
}

func openDB(t testing.TB, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, "role", officeSchema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// counted counts the transactions of one board.
type counted struct {
	record.Store
	reads, writes atomic.Int64
	down          atomic.Bool
}

var errDown = errors.New("no connection")

func (c *counted) View(ctx context.Context, tenant string, f func(context.Context, record.Tx) error) error {
	c.reads.Add(1)
	if c.down.Load() {
		return errDown
	}
	return c.Store.View(ctx, tenant, f)
}

func (c *counted) Update(ctx context.Context, tenant string, f func(context.Context, record.Tx) error) error {
	c.writes.Add(1)
	if c.down.Load() {
		return errDown
	}
	return c.Store.Update(ctx, tenant, f)
}

const (
	lifetime = 24 * time.Hour
	ttl      = 5 * time.Minute
)

func (o *office) config() statuslist.BoardConfig {
	d := openDB(o, o.dsn)
	return statuslist.BoardConfig{
		Tenant: "default", URI: "https://issuer.example/status", Lifetime: lifetime, TTL: ttl,
		Signer: func(context.Context) (key.Signer, [][]byte, error) { return o.signer, nil, nil },
		Values: func(ctx context.Context, list string) (values []statuslist.Value, err error) {
			err = d.View(ctx, func(ctx context.Context, tx *db.Tx) error {
				values, err = readValues(ctx, tx, list)
				return err
			})
			return values, err
		},
	}
}

func readValues(ctx context.Context, tx *db.Tx, list string) ([]statuslist.Value, error) {
	rows, err := tx.Query(ctx, `select idx, value from entry where list = $1 and value <> 0`, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var values []statuslist.Value
	for rows.Next() {
		var v statuslist.Value
		if err := rows.Scan(&v.Index, &v.Status); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, rows.Err()
}

func (o *office) board() (*statuslist.Board, *counted) {
	o.Helper()
	store := &counted{Store: openDB(o, o.dsn).Records()}
	return statuslist.NewBoard(store, o.config()), store
}

func (o *office) take(p statuslist.Pool, n int) []statuslist.Entry {
	o.Helper()
	entries, err := statuslist.NewAllocator(statuslist.Records(o.db.Records()), 0).Take(o.Context(), p, n)
	if err != nil {
		o.Fatal(err)
	}
	return entries
}

// set changes entries as a role does: rows and version in one transaction.
func (o *office) set(s status.Status, entries ...statuslist.Entry) {
	o.Helper()
	err := o.db.Tx(o.Context(), func(ctx context.Context, tx *db.Tx) error {
		lists := map[string]bool{}
		for _, e := range entries {
			const q = `insert into entry (list, idx, value) values ($1, $2, $3) on conflict (list, idx) do update set value = excluded.value`
			if _, err := tx.Exec(ctx, q, e.List, int64(e.Index), int64(s)); err != nil {
				return err
			}
			if !lists[e.List] {
				lists[e.List] = true
				if err := statuslist.Changed(ctx, tx.Records("default"), e.List); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		o.Fatal(err)
	}
}

// current is what a board serves, by both formats.
func (o *office) current(b *statuslist.Board, e statuslist.Entry, now time.Time) (status.Status, *statuslist.Published) {
	o.Helper()
	p, err := b.Current(o.Context(), e.List, now)
	if err != nil {
		o.Fatal(err)
	}
	return o.read(p, e), p
}

func (o *office) read(p *statuslist.Published, e statuslist.Entry) status.Status {
	o.Helper()
	var got []status.Status
	for _, raw := range [][]byte{p.JWT, p.CWT} {
		token, err := status.Parse(raw)
		if err != nil {
			o.Fatal(err)
		}
		if err := token.VerifySignature(o.signer.Public()); err != nil {
			o.Fatal(err)
		}
		list, err := token.List(0)
		if err != nil {
			o.Fatal(err)
		}
		value, err := list.Get(e.Index)
		if err != nil {
			o.Fatal(err)
		}
		got = append(got, value)
	}
	if got[0] != got[1] {
		o.Fatalf("JWT says %v, CWT %v", got[0], got[1])
	}
	return got[0]
}

// What one process revokes every other one serves within PollAfter, the same
// bytes, without asking the store for each request.
func TestBoard(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, o := t.Context(), newOffice(t, dsn)
		here, _ := o.board()
		there, store := o.board()
		if lists, err := here.Lists(ctx, start); err != nil || lists.StatusLists == nil || len(lists.StatusLists) != 0 {
			t.Fatalf("before there is any: %+v, %v", lists, err)
		}
		entries := o.take(pool, 2)
		list := entries[0].List
		value, first := o.current(here, entries[0], start)
		if value != status.Valid {
			t.Fatal(value)
		}
		if _, other := o.current(there, entries[0], start); !bytes.Equal(other.JWT, first.JWT) || other.CWTTag != first.CWTTag {
			t.Error("another process has another list")
		}
		before := store.reads.Load()
		for i := range 100 {
			if _, err := there.Current(ctx, list, start.Add(time.Duration(i)*statuslist.PollAfter/100)); err != nil {
				t.Fatal(err)
			}
		}
		if n := store.reads.Load() - before; n != 0 {
			t.Errorf("%d queries for 100 requests", n)
		}

		for range 100 {
			if lists, err := there.Lists(ctx, start); err != nil || !slices.Equal(lists.StatusLists, []string{here.ListURI(list)}) {
				t.Fatalf("lists %+v, %v", lists, err)
			}
		}
		if n := store.reads.Load() - before; n > 20 {
			t.Errorf("%d queries for 100 requests of all lists", n)
		}

		o.set(status.Invalid, entries[0])
		if _, err := here.Publish(ctx, list, start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if value, _ := o.current(here, entries[0], start.Add(time.Second)); value != status.Invalid {
			t.Errorf("not at once in the process that published it: %v", value)
		}
		if value, _ := o.current(there, entries[0], start.Add(statuslist.PollAfter-time.Second)); value != status.Valid {
			t.Errorf("seen before the store was asked: the test would show nothing")
		}
		before = store.reads.Load()
		at := start.Add(statuslist.PollAfter)
		value, changed := o.current(there, entries[0], at)
		if value != status.Invalid || o.read(changed, entries[1]) != status.Valid {
			t.Errorf("after PollAfter: %v", value)
		}
		if n := store.reads.Load() - before; n != 1 {
			t.Errorf("%d transactions to learn of it", n)
		}
		if _, p := o.current(here, entries[0], at); !bytes.Equal(p.JWT, changed.JWT) {
			t.Error("two processes serve different lists")
		}
		// A process that ends before it publishes leaves that to others.
		o.set(status.Invalid, entries[1])
		at = at.Add(statuslist.PollAfter)
		if value, _ := o.current(there, entries[1], at); value != status.Invalid {
			t.Errorf("after a crash: %v", value)
		}
		// PublishDue does it sooner.
		o.set(status.Valid, entries[1])
		if err := here.PublishDue(ctx, at); err != nil {
			t.Fatal(err)
		}
		if err := there.PublishDue(ctx, at); err != nil {
			t.Fatal(err)
		}
		_, p := o.current(here, entries[1], at)
		if value, q := o.current(there, entries[1], at); value != status.Valid || !bytes.Equal(p.CWT, q.CWT) {
			t.Errorf("after upkeep: %v", value)
		}
	})
}

// A list is signed again before half of its life is over, also if nothing
// changes, and never later than it expires.
func TestBoardSignsInTime(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, o := t.Context(), newOffice(t, dsn)
		here, _ := o.board()
		there, _ := o.board()
		e := o.take(pool, 1)[0]
		if err := here.PublishDue(ctx, start); err != nil {
			t.Fatal(err)
		}
		_, first := o.current(here, e, start)
		if err := there.PublishDue(ctx, start.Add(lifetime*15/32-time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, p := o.current(there, e, start.Add(lifetime*15/32-time.Second)); !bytes.Equal(p.JWT, first.JWT) {
			t.Error("signed again without need")
		}
		at := start.Add(lifetime * 15 / 32)
		for _, b := range []*statuslist.Board{here, there} {
			if err := b.PublishDue(ctx, at); err != nil {
				t.Fatal(err)
			}
		}
		_, second := o.current(here, e, at)
		if !second.Issued.Equal(at) || second.Expires.Sub(at) != lifetime {
			t.Errorf("issued %v, expires %v", second.Issued, second.Expires)
		}
		if _, p := o.current(there, e, at); !bytes.Equal(p.JWT, second.JWT) {
			t.Error("the other process signed it once more")
		}
		// Without upkeep it is served until it expires, and then signed.
		if _, p := o.current(here, e, at.Add(lifetime-time.Second)); !bytes.Equal(p.JWT, second.JWT) {
			t.Error("not the same until the end")
		}
		if _, p := o.current(here, e, at.Add(lifetime)); !p.Expires.After(at.Add(lifetime)) {
			t.Error("an expired list is served")
		}
	})
}

// Upkeep that comes every 20 seconds keeps each list in the first half of its
// life, however short that is.
func TestBoardShortLives(t *testing.T) {
	for _, life := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour} {
		o := newOffice(t, testkit.SQLite(t))
		e := o.take(pool, 1)[0]
		config := o.config()
		config.Lifetime, config.TTL = life, time.Second
		b := statuslist.NewBoard(o.db.Records(), config)
		if _, err := b.Publish(t.Context(), e.List, start); err != nil {
			t.Fatal(err)
		}
		signed := map[time.Time]bool{}
		for age := time.Duration(0); age < 2*life; age += 20 * time.Second {
			at := start.Add(age)
			if _, p := o.current(b, e, at.Add(-time.Second)); age > 0 && p.Expires.Sub(at) < life/2-time.Second {
				t.Errorf("life %v: %v left at age %v", life, p.Expires.Sub(at), age)
			}
			if err := b.PublishDue(t.Context(), at); err != nil {
				t.Fatal(err)
			}
			_, p := o.current(b, e, at)
			signed[p.Issued] = true
		}
		if len(signed) > 8 || len(signed) < 4 {
			t.Errorf("life %v: signed %d times in two lives", life, len(signed))
		}
	}
}

// Whatever processes do at the same time, what is stored in the end has every
// change, and all serve it.
func TestBoardsRace(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		o := newOffice(t, dsn)
		entries := o.take(pool, 60)
		boards := make([]*statuslist.Board, 3)
		var wg sync.WaitGroup
		for i := range boards {
			boards[i], _ = o.board()
			clock := start.Add(time.Duration(i) * 20 * time.Second) // they differ
			wg.Go(func() {
				for j := i; j < len(entries); j += len(boards) {
					o.set(status.Invalid, entries[j])
					var err error
					if rand.IntN(4) > 0 { // else it crashes
						_, err = boards[i].Publish(t.Context(), entries[j].List, clock)
					}
					if p, err := boards[i].Current(t.Context(), entries[j].List, clock); err != nil || p == nil {
						t.Errorf("current: %v", err)
					}
					if err != nil {
						t.Errorf("publish: %v", err)
					}
				}
			})
		}
		wg.Wait()
		at := start.Add(time.Hour)
		var served []byte
		for _, b := range boards {
			if err := b.PublishDue(t.Context(), at); err != nil {
				t.Fatal(err)
			}
		}
		for i, b := range boards {
			for _, e := range entries {
				if value, p := o.current(b, e, at); value != status.Invalid {
					t.Fatalf("process %d serves index %d as %v", i, e.Index, value)
				} else if served == nil {
					served = p.JWT
				} else if !bytes.Equal(served, p.JWT) {
					t.Fatalf("process %d serves other bytes", i)
				}
			}
		}
	})
}

// What changes while a process signs is not lost: if another one publishes it
// meanwhile, its edition stays, and if nobody does, the list stays due.
func TestBoardOvertaken(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		for _, crashed := range []bool{false, true} {
			ctx, o := t.Context(), newOffice(t, dsn)
			there, _ := o.board()
			entries := o.take(pool, 2)
			meanwhile := func() {
				o.set(status.Invalid, entries[0])
				if !crashed {
					o.current(there, entries[0], start)
					if _, err := there.Publish(ctx, entries[0].List, start.Add(time.Second)); err != nil {
						t.Fatal(err)
					}
				}
			}
			config := o.config()
			read := config.Values
			config.Values = func(ctx context.Context, list string) ([]statuslist.Value, error) {
				values, err := read(ctx, list)
				if meanwhile != nil {
					meanwhile()
					meanwhile = nil
				}
				return values, err
			}
			here := statuslist.NewBoard(openDB(t, dsn).Records(), config)
			if _, err := here.Lists(ctx, start.Add(2*time.Second)); err != nil { // so that it does not ask again
				t.Fatal(err)
			}
			signed, err := here.Publish(ctx, entries[0].List, start.Add(2*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if crashed {
				if value := o.read(signed, entries[0]); value != status.Valid {
					t.Fatalf("%v: the test shows nothing", value)
				}
				if err := there.PublishDue(ctx, start.Add(3*time.Second)); err != nil {
					t.Fatal(err)
				}
				if value, _ := o.current(there, entries[0], start.Add(3*time.Second)); value != status.Invalid {
					t.Error("a revocation is lost")
				}
				continue
			}
			value, p := o.current(here, entries[0], start.Add(2*time.Second))
			if value != status.Invalid || p != signed || !p.Issued.Equal(start.Add(time.Second)) {
				t.Errorf("the slower process serves %v of %v", value, p.Issued)
			}
			fresh, _ := o.board()
			if value, _ := o.current(fresh, entries[0], start.Add(2*time.Second)); value != status.Invalid {
				t.Errorf("stored: %v", value)
			}
		}
	})
}

// An edition never says that it is older than the one before it, though it was
// signed by a process whose clock is behind: readers would refuse it.
func TestBoardClocks(t *testing.T) {
	o := newOffice(t, testkit.SQLite(t))
	ahead, _ := o.board()
	behind, _ := o.board()
	e := o.take(pool, 1)[0]
	_, first := o.current(ahead, e, start.Add(time.Minute))
	o.set(status.Invalid, e)
	second, err := behind.Publish(t.Context(), e.List, start)
	if err != nil || second.Issued.Before(first.Issued) || o.read(second, e) != status.Invalid {
		t.Errorf("issued %v after %v, %v", second.Issued, first.Issued, err)
	}
	// A clock that was wrong by far does not bind the others.
	o.set(status.Valid, e)
	if third, err := behind.Publish(t.Context(), e.List, start.Add(-time.Hour)); err != nil || !third.Issued.Equal(start.Add(-time.Hour)) {
		t.Errorf("%v, %v", third, err)
	}
}

// Asking for lists that are not costs next to nothing, and new lists are found
// all the same.
func TestBoardUnknownNames(t *testing.T) {
	o := newOffice(t, testkit.SQLite(t))
	b, store := o.board()
	e := o.take(pool, 1)[0]
	random := func() string { return fmt.Sprintf("%018d", rand.Int64N(1e18)) + "AAAA" }
	for range 1000 {
		for _, name := range []string{random(), random() + ".identifiers", e.List + ".identifiers", "", "none", strings.Repeat("A", 1000), "AAAA\nAAAAAAAAAAAAAAAAA"} {
			if _, err := b.Current(t.Context(), name, start); !errors.Is(err, statuslist.ErrUnknown) {
				t.Fatalf("%q: %v", name, err)
			}
		}
	}
	if n := store.reads.Load(); n > 20 {
		t.Errorf("%d queries", n)
	}
	other := o.take(statuslist.Pool{Tenant: "default", Name: "other", Bits: 1}, 1)[0]
	if _, err := b.Current(t.Context(), other.List, start.Add(time.Second)); err != nil {
		t.Errorf("a list that came during the flood: %v", err)
	}
	if n := store.writes.Load(); n != 1 {
		t.Errorf("%d lists signed", n)
	}
}

// While the store is away, what is there is served until it expires.
func TestBoardStoreAway(t *testing.T) {
	o := newOffice(t, testkit.SQLite(t))
	b, store := o.board()
	entries := append(o.take(pool, 1), o.take(statuslist.Pool{Tenant: "default", Name: "other", Bits: 1}, 1)...)
	_, first := o.current(b, entries[0], start)
	store.down.Store(true)
	if _, p := o.current(b, entries[0], start.Add(lifetime-time.Second)); p != first {
		t.Error("not what was there")
	}
	for range 2 {
		if _, err := b.Current(t.Context(), entries[0].List, start.Add(lifetime)); !errors.Is(err, errDown) {
			t.Errorf("expired: %v", err)
		}
		if _, err := b.Current(t.Context(), entries[1].List, start); !errors.Is(err, errDown) {
			t.Errorf("never seen: %v", err)
		}
	}
	if lists, err := b.Lists(t.Context(), start.Add(time.Hour)); err != nil || len(lists.StatusLists) != 2 {
		t.Errorf("%+v, %v", lists, err)
	}
	store.down.Store(false)
	if value, _ := o.current(b, entries[0], start.Add(lifetime)); value != status.Valid {
		t.Error(value)
	}
}

// Two bits can suspend and take it back; in one bit everything that is not
// valid is invalid. Pools do not share lists.
func TestBoardValues(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		o := newOffice(t, dsn)
		b, _ := o.board()
		two := pool
		two.Bits = 2
		one, entries := o.take(pool, 1)[0], o.take(two, 3)
		if one.List == entries[0].List {
			t.Fatal("pools of one and two bits share a list")
		}
		o.set(status.Suspended, one, entries[0])
		o.set(status.Invalid, entries[1])
		for i, want := range []status.Status{status.Suspended, status.Invalid, status.Valid} {
			if got, _ := o.current(b, entries[i], start); got != want {
				t.Errorf("entry %d is %v, want %v", i, got, want)
			}
		}
		if got, _ := o.current(b, one, start); got != status.Invalid {
			t.Errorf("suspended in one bit is %v", got)
		}
		o.set(status.Valid, entries[0])
		if p, err := b.Publish(t.Context(), entries[0].List, start.Add(time.Minute)); err != nil || o.read(p, entries[0]) != status.Valid {
			t.Errorf("resumed: %v", err)
		}
		o.set(3+1, entries[0])
		if _, err := b.Publish(t.Context(), entries[0].List, start.Add(time.Minute)); !errors.Is(err, status.ErrRange) {
			t.Errorf("a value of three bits: %v", err)
		}
	})
}

// A pool with identifiers has an identifier list beside each status list, and
// both tell the same.
func TestBoardIdentifiers(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, o := t.Context(), newOffice(t, dsn)
		here, _ := o.board()
		there, _ := o.board()
		asking := pool
		asking.Identifiers = true
		entries := o.take(asking, 40)
		ids := map[[16]byte]bool{}
		for _, e := range entries {
			ids[e.Identifier] = true
		}
		if len(ids) != len(entries) || ids[[16]byte{}] {
			t.Errorf("%d identifiers for %d documents", len(ids), len(entries))
		}
		list := entries[0].List
		name := list + ".identifiers"
		if err := here.PublishDue(ctx, start); err != nil {
			t.Fatal(err)
		}
		o.set(status.Invalid, entries[0])
		if _, err := there.Current(ctx, name, start); err != nil { // so that it has it at hand
			t.Fatal(err)
		}
		if _, err := here.Publish(ctx, list, start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, b := range []*statuslist.Board{here, there} {
			at := start.Add(time.Minute)
			p, err := b.Current(ctx, name, at)
			if err != nil {
				t.Fatal(err)
			}
			media, raw, _, ok := p.Choose("")
			if !ok || media != status.MediaIdentifiersCWT {
				t.Errorf("served as %q", media)
			}
			if _, _, _, ok := p.Choose(status.MediaListJWT + ", " + status.MediaListCWT); ok {
				t.Error("an identifier list was chosen by who wants a status list")
			}
			token, err := status.Parse(raw)
			if err != nil || token.URI != here.IdentifiersURI(list) || !token.Expires.Equal(start.Add(time.Second+lifetime)) || token.TTL != ttl {
				t.Fatalf("%+v, %v", token, err)
			}
			for i, want := range []status.Status{status.Invalid, status.Valid} {
				c := status.Claim{Identifier: &status.IdentifierReference{ID: entries[i].Identifier[:], URI: token.URI}}
				if got, r := token.Verify(o.signer.Public(), c, at, status.Policy{MSO: true}); got != want || !r.OK() {
					t.Errorf("document %d is %v\n%v", i, got, r)
				}
				if got, _ := o.current(b, entries[i], at); got != want {
					t.Errorf("document %d is %v in the status list", i, got)
				}
			}
		}
		if lists, err := here.Lists(ctx, start); err != nil || !slices.Equal(lists.StatusLists, []string{here.ListURI(list)}) {
			t.Errorf("lists %+v, %v", lists, err)
		}
		if e := o.take(pool, 1)[0]; e.Identifier != [16]byte{} || e.List == list {
			t.Errorf("a pool without identifiers gave %v", e)
		}
	})
}
