package statuslist_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eidos-id/eidos/statuslist"
)

// memory is the smallest Store that keeps its promises.
type memory struct {
	mu    sync.Mutex
	lists map[statuslist.Pool][]statuslist.List
	mark  map[string]int
	takes int
	err   error
}

func newMemory() *memory {
	return &memory{lists: map[statuslist.Pool][]statuslist.List{}, mark: map[string]int{}}
}

func (m *memory) open(p statuslist.Pool) (statuslist.List, bool) {
	all := m.lists[p]
	if len(all) == 0 {
		return statuslist.List{}, false
	}
	l := all[len(all)-1]
	return l, m.mark[l.ID] < l.Size
}

func (m *memory) TakePositions(_ context.Context, p statuslist.Pool, n int) (statuslist.List, int, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes++
	if m.err != nil {
		return statuslist.List{}, 0, 0, m.err
	}
	l, ok := m.open(p)
	if !ok {
		return statuslist.List{}, 0, 0, fmt.Errorf("pool %s: %w", p.Name, statuslist.ErrFull)
	}
	first := m.mark[l.ID]
	n = min(n, l.Size-first)
	m.mark[l.ID] += n
	return l, first, n, nil
}

func (m *memory) CreateList(_ context.Context, p statuslist.Pool, l statuslist.List) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.open(p); !ok {
		m.lists[p] = append(m.lists[p], l)
	}
	return nil
}

var pool = statuslist.Pool{Tenant: "default", Name: "mdoc", Bits: 1}

// TestTakeGivesEachEntryOnce lets several processes, each with its own
// allocator, empty more than two lists together.
func TestTakeGivesEachEntryOnce(t *testing.T) {
	const size, processes, each = 2000, 4, 1200
	store := newMemory()
	var mu sync.Mutex
	seen := map[statuslist.Entry]bool{}
	var wg sync.WaitGroup
	for range processes {
		a := statuslist.NewAllocator(store, size)
		for range 2 {
			wg.Go(func() {
				for range each / 2 / 10 {
					batch, err := a.Take(t.Context(), pool, 10)
					if err != nil || len(batch) != 10 {
						t.Errorf("%d entries, %v", len(batch), err)
						return
					}
					mu.Lock()
					for _, e := range batch {
						if seen[e] || e.Index >= size || e.List == "" {
							t.Errorf("entry %v given twice or out of range", e)
						}
						seen[e] = true
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if len(seen) != processes*each {
		t.Errorf("%d entries, want %d", len(seen), processes*each)
	}
	if n := len(store.lists[pool]); n != 3 && n != 4 { // the rest of a block is lost
		t.Errorf("%d lists of %d for %d entries", n, size, processes*each)
	}
	for _, l := range store.lists[pool] {
		if len(l.ID) != 22 || l.Bits != 1 || l.Size != size || l.Seed == (statuslist.Seed{}) {
			t.Errorf("list %+v", l)
		}
	}
}

func TestTakeUsesAWholeListOnce(t *testing.T) {
	store := newMemory()
	a := statuslist.NewAllocator(store, 1000)
	entries, err := a.Take(t.Context(), pool, 1000)
	if err != nil {
		t.Fatal(err)
	}
	indexes := make([]uint64, 0, 1000)
	for _, e := range entries {
		if e.List != entries[0].List {
			t.Fatal("1000 entries came from two lists of 1000")
		}
		indexes = append(indexes, e.Index)
	}
	if slices.IsSorted(indexes) {
		t.Error("the indexes come in order")
	}
	slices.Sort(indexes)
	for i, index := range indexes {
		if index != uint64(i) {
			t.Fatalf("index %d missing or twice", i)
		}
	}
	if store.takes > 3 {
		t.Errorf("%d calls of the store for two blocks", store.takes)
	}
}

// TestIndexesLookUnrelated compares the distance of neighbours in a batch with
// that of independent draws: the mean of |a-b|/n for uniform a, b is 1/3.
func TestIndexesLookUnrelated(t *testing.T) {
	a := statuslist.NewAllocator(newMemory(), 0)
	entries, err := a.Take(t.Context(), pool, 4000)
	if err != nil {
		t.Fatal(err)
	}
	sum, rising := 0.0, 0
	for i := 1; i < len(entries); i++ {
		d := float64(entries[i].Index) - float64(entries[i-1].Index)
		sum += math.Abs(d) / statuslist.DefaultSize
		if d > 0 {
			rising++
		}
	}
	n := float64(len(entries) - 1)
	// Both bounds are more than six standard deviations wide.
	if mean := sum / n; math.Abs(mean-1.0/3) > 0.03 {
		t.Errorf("neighbours are %.3f of the list apart on average, want 0.333", mean)
	}
	if share := float64(rising) / n; math.Abs(share-0.5) > 0.05 {
		t.Errorf("%.3f of the steps go up", share)
	}
}

// TestOrderIsFixed guards the shuffle against change: the positions of lists in
// use would else be given twice.
func TestOrderIsFixed(t *testing.T) {
	store := newMemory()
	list := statuslist.List{ID: "l", Bits: 1, Size: 16, Seed: statuslist.Seed([]byte("chacha8: 32-byte seed for a test"))}
	if err := store.CreateList(t.Context(), pool, list); err != nil {
		t.Fatal(err)
	}
	entries, err := statuslist.NewAllocator(store, 16).Take(t.Context(), pool, 16)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, e := range entries {
		got = append(got, e.Index)
	}
	if want := []uint64{6, 13, 1, 12, 11, 15, 4, 5, 9, 0, 14, 3, 8, 2, 7, 10}; !slices.Equal(got, want) {
		t.Errorf("order is %v, want %v", got, want)
	}
}

func TestTakeRefuses(t *testing.T) {
	store := newMemory()
	a := statuslist.NewAllocator(store, 100)
	for _, n := range []int{-1, 0, 4097} {
		if _, err := a.Take(t.Context(), pool, n); err == nil {
			t.Errorf("%d entries were given", n)
		}
	}
	if _, err := a.Take(t.Context(), statuslist.Pool{Tenant: "other", Name: "mdoc", Bits: 1}, 1); err != nil {
		t.Error(err)
	}
	store.err = errors.New("database is gone")
	if _, err := a.Take(t.Context(), pool, 1); !errors.Is(err, store.err) {
		t.Errorf("error of the store is lost: %v", err)
	}
	store.err = nil
	if _, err := a.Take(t.Context(), pool, 1); err != nil {
		t.Errorf("after the store recovered: %v", err)
	}
}

func TestSeedStaysSecret(t *testing.T) {
	l := statuslist.List{ID: "l", Seed: statuslist.Seed([]byte("chacha8: 32-byte seed for a test"))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, l); !strings.Contains(text, "[redacted]") || strings.Contains(text, "99") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	a := statuslist.NewAllocator(newMemory(), 0)
	for b.Loop() {
		if _, err := a.Take(b.Context(), pool, 1); err != nil {
			b.Fatal(err)
		}
	}
}
