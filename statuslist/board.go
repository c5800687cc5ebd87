package statuslist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/record"
)

// ErrUnknown: there is no list of this name.
var ErrUnknown = errors.New("statuslist: no such list")

// The kinds of records.
const (
	kindPool    = "status pool"    // by name: id of the open list
	kindList    = "status list"    // by id: state
	kindEdition = "status edition" // by list: Published, the newest
)

// state is what is remembered of a list.
type state struct {
	List
	Mark    int   // positions handed out
	Epoch   int64 // of the storage when it was made
	Version int64 // grows with each change of an entry

	// Of the newest edition; Signed is 0 if there is none.
	Signed          int64 // version that it shows
	Issued, Expires time.Time
}

// take is how many of n positions the list has left. One from before the
// storage was restored has none: its mark may have moved on after the backup.
func (s state) take(tx record.Tx, n int) int {
	if s.Epoch != tx.Epoch() {
		return 0
	}
	return min(n, s.Size-s.Mark)
}

// stale reports whether the list has to be signed before it is served.
func (s state) stale(now time.Time) bool { return s.Signed < s.Version || !s.Expires.After(now) }

// Records is a Store among the records of a role's database.
func Records(store record.Store) Store { return recordStore{store} }

type recordStore struct{ records record.Store }

// openList returns the open list of a pool, ErrFull if there is none.
func openList(ctx context.Context, tx record.Tx, pool Pool) (state, error) {
	id, err := tx.Get(ctx, kindPool, pool.Name)
	if errors.Is(err, record.ErrNotFound) {
		return state{}, ErrFull
	}
	if err != nil {
		return state{}, err
	}
	return record.Get[state](ctx, tx, kindList, string(id))
}

func (s recordStore) TakePositions(ctx context.Context, pool Pool, n int) (list List, first, count int, err error) {
	err = s.records.Update(ctx, pool.Tenant, func(ctx context.Context, tx record.Tx) error {
		open, err := openList(ctx, tx, pool)
		if err != nil {
			return err
		}
		if list, first, count = open.List, open.Mark, open.take(tx, n); count <= 0 {
			return ErrFull
		}
		open.Mark += count
		return record.Put(ctx, tx, kindList, open.ID, open)
	})
	return list, first, count, err
}

func (s recordStore) CreateList(ctx context.Context, pool Pool, list List) error {
	return s.records.Update(ctx, pool.Tenant, func(ctx context.Context, tx record.Tx) error {
		open, err := openList(ctx, tx, pool)
		if err == nil && open.take(tx, 1) > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, ErrFull) {
			return err
		}
		if err := tx.Put(ctx, kindPool, pool.Name, []byte(list.ID)); err != nil {
			return err
		}
		return record.Put(ctx, tx, kindList, list.ID, state{List: list, Version: 1, Epoch: tx.Epoch()})
	})
}

// Changed notes, in the transaction that changes entries of lists, that these
// have to be signed anew.
func Changed(ctx context.Context, tx record.Tx, lists ...string) error {
	for _, id := range lists {
		s, err := record.Get[state](ctx, tx, kindList, id)
		if err != nil {
			return fmt.Errorf("status list %s: %w", id, err)
		}
		s.Version++
		if err := record.Put(ctx, tx, kindList, id, s); err != nil {
			return err
		}
	}
	return nil
}

// BoardConfig configures a Board.
type BoardConfig struct {
	Tenant   string
	URI      string        // of the list of lists; the lists are below it
	Lifetime time.Duration // of a signed list
	TTL      time.Duration // how long readers keep a copy
	// Signer returns the key to sign with and its chain, DER, leaf first.
	Signer func(ctx context.Context) (key.Signer, [][]byte, error)
	// Invalid returns the entries of a list that are not valid any more.
	Invalid func(ctx context.Context, list string) ([]uint64, error)
}

// Board publishes the lists of a tenant: it signs those that have changed,
// keeps the signed ones and has them at hand. It may be used concurrently.
type Board struct {
	records record.Store
	config  BoardConfig

	mu    sync.Mutex
	lists map[string]edition // in memory, by id
}

type edition struct {
	*Published
	version int64
}

// maxEditions bounds the signed lists in memory; beyond it the memory starts again.
const maxEditions = 256

// NewBoard returns a Board of the lists that Records keeps in the same store.
func NewBoard(records record.Store, config BoardConfig) *Board {
	return &Board{records: records, config: config, lists: map[string]edition{}}
}

// ListURI is the address of a list, as documents refer to it.
func (b *Board) ListURI(list string) string { return b.config.URI + "/" + list }

// Aggregation is a list of lists, for those who keep copies for offline use.
//
// Token Status List, 9.3.
type Aggregation struct {
	StatusLists []string `json:"status_lists"` // addresses
}

// Lists returns all lists.
func (b *Board) Lists(ctx context.Context) (Aggregation, error) {
	all, err := b.states(ctx)
	a := Aggregation{StatusLists: make([]string, len(all))}
	for i, s := range all {
		a.StatusLists[i] = b.ListURI(s.ID)
	}
	return a, err
}

func (b *Board) states(ctx context.Context) (all []state, err error) {
	err = b.records.View(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		all, err = record.All[state](ctx, tx, kindList)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("status lists: %w", err)
	}
	return all, nil
}

// Publish signs a list as it stands now, and stores it. Error: ErrUnknown.
func (b *Board) Publish(ctx context.Context, list string, now time.Time) (*Published, error) {
	signer, chain, err := b.config.Signer(ctx)
	if err != nil {
		return nil, err
	}
	var s state
	// The version is read before the entries: what changes in between is signed
	// now and once more later.
	err = b.records.View(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		s, err = readState(ctx, tx, list)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("status list: %w", err)
	}
	invalid, err := b.config.Invalid(ctx, list)
	if err != nil {
		return nil, fmt.Errorf("status list: %w", err)
	}
	entries, err := status.NewList(s.Bits, s.Size)
	if err != nil {
		return nil, err
	}
	for _, i := range invalid {
		if err := entries.Set(i, status.Invalid); err != nil {
			return nil, err
		}
	}
	p, err := Publish(ctx, signer, Edition{
		URI: b.ListURI(list), List: entries, Now: now, Lifetime: b.config.Lifetime, TTL: b.config.TTL.Truncate(time.Second),
		AggregationURI: b.config.URI, X5Chain: chain,
	})
	if err != nil {
		return nil, err
	}
	if err := b.store(ctx, list, s.Version, p); err != nil {
		return nil, fmt.Errorf("store status list: %w", err)
	}
	return b.keep(list, edition{p, s.Version}), nil
}

func readState(ctx context.Context, tx record.Tx, list string) (state, error) {
	s, err := record.Get[state](ctx, tx, kindList, list)
	if errors.Is(err, record.ErrNotFound) {
		err = ErrUnknown
	}
	return s, err
}

// store keeps a signed list unless a newer one is there.
func (b *Board) store(ctx context.Context, list string, version int64, p *Published) error {
	return b.records.Update(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) error {
		s, err := readState(ctx, tx, list)
		if err != nil || s.Signed > version || s.Signed == version && s.Issued.After(p.Issued) {
			return err
		}
		s.Signed, s.Issued, s.Expires = version, p.Issued, p.Expires
		if err := record.Put(ctx, tx, kindList, list, s); err != nil {
			return err
		}
		return record.Put(ctx, tx, kindEdition, list, p)
	})
}

func (b *Board) keep(list string, e edition) *Published {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lists) >= maxEditions {
		clear(b.lists)
	}
	b.lists[list] = e
	return e.Published
}

// PublishDue publishes the lists that have changed or are half over.
func (b *Board) PublishDue(ctx context.Context, now time.Time) error {
	all, err := b.states(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.stale(now.Add(b.config.Lifetime / 2)) {
			if _, err := b.Publish(ctx, s.ID, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// Current returns a signed list that may be served: from memory if the store
// has none newer. A list that has changed since it was signed, or was never
// signed, is signed now. Error: ErrUnknown.
func (b *Board) Current(ctx context.Context, list string, now time.Time) (*Published, error) {
	b.mu.Lock()
	kept := b.lists[list]
	b.mu.Unlock()
	var s state
	var fresh *Published
	err := b.records.View(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		fresh = nil
		if s, err = readState(ctx, tx, list); err != nil || s.stale(now) ||
			kept.Published != nil && kept.version == s.Signed && kept.Issued.Equal(s.Issued) {
			return err
		}
		fresh, err = record.Get[*Published](ctx, tx, kindEdition, list)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("status list: %w", err)
	case s.stale(now):
		return b.Publish(ctx, list, now)
	case fresh != nil:
		return b.keep(list, edition{fresh, s.Signed}), nil
	}
	return kept.Published, nil
}
