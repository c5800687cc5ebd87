package statuslist

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/record"
)

// The kinds of records.
const (
	kindPool    = "status pool"    // by name: id of the open list
	kindList    = "status list"    // by id: state
	kindEdition = "status edition" // by name: Published, the newest
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

// stale reports whether the newest edition does not show what is known now.
func (s state) stale(now time.Time) bool { return s.Signed < s.Version || !s.Expires.After(now) }

// upkeepRound is longer than the time from one round of upkeep to the next.
const upkeepRound = 25 * time.Second

// due reports whether the list is to be signed: when it is stale, and so long
// before half of its life is over that a round of upkeep falls in between.
func (s state) due(now time.Time) bool {
	life := s.Expires.Sub(s.Issued)
	ahead := max(life/32, min(upkeepRound, life*2/5))
	return s.stale(now) || !now.Before(s.Issued.Add(life/2-ahead))
}

// later reports whether s was read after other, of the same list. What it
// compares only ever grows.
func (s state) later(other state) bool {
	if s.Version != other.Version {
		return s.Version > other.Version
	}
	return s.shows(other.Signed, other.Issued)
}

// shows reports whether the newest edition is newer than another one.
func (s state) shows(version int64, issued time.Time) bool {
	return s.Signed > version || s.Signed == version && s.Issued.After(issued)
}

// Records is a Store among the records of a role's database.
func Records(store record.Store) Store { return recordStore{store} }

type recordStore struct{ records record.Store }

// id names a pool. Pools whose lists differ are different pools.
func (p Pool) id() string {
	id := p.Name
	if p.Bits != 1 {
		id += fmt.Sprintf(" of %d bits", p.Bits)
	}
	if p.Identifiers {
		id += " with identifiers"
	}
	return id
}

// openList returns the open list of a pool, ErrFull if there is none.
func openList(ctx context.Context, tx record.Tx, pool Pool) (state, error) {
	id, err := tx.Get(ctx, kindPool, pool.id())
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
		if err := tx.Put(ctx, kindPool, pool.id(), []byte(list.ID)); err != nil {
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
