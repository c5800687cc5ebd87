package statuslist_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"errors"
	"slices"
	"sync"
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

// office is a role that revokes, in as many processes as a test wants.
type office struct {
	*testing.T
	records record.Store
	signer  *testkit.Key
	mu      sync.Mutex
	invalid map[string][]uint64
}

func newOffice(t *testing.T, dsn string) *office {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, "role", fstest.MapFS{"0001_x.sql": {Data: []byte(`create table x (id text primary key)`)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return &office{T: t, records: d.Records(), signer: testkit.Signer(t, elliptic.P256()), invalid: map[string][]uint64{}}
}

func (o *office) board() *statuslist.Board {
	return statuslist.NewBoard(o.records, statuslist.BoardConfig{
		Tenant: "default", URI: "https://issuer.example/status", Lifetime: 24 * time.Hour, TTL: 5 * time.Minute,
		Signer: func(context.Context) (key.Signer, [][]byte, error) { return o.signer, nil, nil },
		Invalid: func(_ context.Context, list string) ([]uint64, error) {
			o.mu.Lock()
			defer o.mu.Unlock()
			return slices.Clone(o.invalid[list]), nil
		},
	})
}

func (o *office) revoke(e statuslist.Entry) {
	o.Helper()
	o.mu.Lock()
	o.invalid[e.List] = append(o.invalid[e.List], e.Index)
	o.mu.Unlock()
	err := o.records.Update(o.Context(), "default", func(ctx context.Context, tx record.Tx) error {
		return statuslist.Changed(ctx, tx, e.List)
	})
	if err != nil {
		o.Fatal(err)
	}
}

func (o *office) isValid(p *statuslist.Published, e statuslist.Entry) bool {
	o.Helper()
	token, err := status.Parse(p.JWT)
	if err != nil {
		o.Fatal(err)
	}
	if err := token.VerifySignature(o.signer.Public()); err != nil {
		o.Fatal(err)
	}
	list, err := token.List(status.MaxListBytes)
	if err != nil {
		o.Fatal(err)
	}
	value, err := list.Get(e.Index)
	if err != nil {
		o.Fatal(err)
	}
	return value == status.Valid
}

// What one process revokes every other one serves, and nothing is signed
// without need.
func TestBoard(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		ctx, o := t.Context(), newOffice(t, dsn)
		here, there := o.board(), o.board()
		if lists, err := here.Lists(ctx); err != nil || lists.StatusLists == nil || len(lists.StatusLists) != 0 {
			t.Fatalf("before there is any: %+v, %v", lists, err)
		}
		entries, err := statuslist.NewAllocator(statuslist.Records(o.records), 0).Take(ctx, pool, 2)
		if err != nil {
			t.Fatal(err)
		}
		list := entries[0].List
		first, err := here.Current(ctx, list, start)
		if err != nil || !o.isValid(first, entries[0]) {
			t.Fatal(err)
		}
		if again, err := here.Current(ctx, list, start.Add(time.Hour)); err != nil || again != first {
			t.Errorf("not from memory: %v", err)
		}
		if other, err := there.Current(ctx, list, start.Add(time.Hour)); err != nil || !bytes.Equal(other.JWT, first.JWT) || other.CWTTag != first.CWTTag {
			t.Errorf("another process has another list: %v", err)
		}

		o.revoke(entries[0])
		at := start.Add(2 * time.Hour)
		changed, err := there.Current(ctx, list, at)
		if err != nil || o.isValid(changed, entries[0]) || !o.isValid(changed, entries[1]) {
			t.Errorf("after revocation: %v", err)
		}
		if p, err := here.Current(ctx, list, at); err != nil || !bytes.Equal(p.JWT, changed.JWT) {
			t.Errorf("the first process serves what was: %v", err)
		}

		if err := here.PublishDue(ctx, at.Add(11*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if p, err := here.Current(ctx, list, at.Add(11*time.Hour)); err != nil || !bytes.Equal(p.JWT, changed.JWT) {
			t.Errorf("signed again before half of its time: %v", err)
		}
		if err := here.PublishDue(ctx, at.Add(13*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if p, err := there.Current(ctx, list, at.Add(13*time.Hour)); err != nil || !p.Issued.Equal(at.Add(13*time.Hour)) {
			t.Errorf("not signed again after half of its time: %v", err)
		}
		if p, err := there.Current(ctx, list, at.Add(100*time.Hour)); err != nil || !p.Expires.After(at.Add(100*time.Hour)) {
			t.Errorf("an expired list is served: %v", err)
		}
		if lists, err := there.Lists(ctx); err != nil || !slices.Equal(lists.StatusLists, []string{here.ListURI(list)}) {
			t.Errorf("lists %+v, %v", lists, err)
		}
		if _, err := here.Current(ctx, "none", start); !errors.Is(err, statuslist.ErrUnknown) {
			t.Errorf("a list that is not: %v", err)
		}
	})
}

// Several processes empty more than two lists together.
func TestRecordsGiveEachEntryOnce(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		o := newOffice(t, dsn)
		const size, each = 1000, 600
		taken := make([][]statuslist.Entry, 4)
		var wg sync.WaitGroup
		for i := range taken {
			a := statuslist.NewAllocator(statuslist.Records(o.records), size)
			wg.Go(func() {
				for range each / 20 {
					entries, err := a.Take(t.Context(), pool, 20)
					if err != nil {
						t.Error(err)
						return
					}
					taken[i] = append(taken[i], entries...)
				}
			})
		}
		wg.Wait()
		seen := map[statuslist.Entry]bool{}
		for _, entries := range taken {
			for _, e := range entries {
				seen[e] = true
			}
		}
		if len(seen) != len(taken)*each {
			t.Errorf("%d entries, want %d", len(seen), len(taken)*each)
		}
	})
}
