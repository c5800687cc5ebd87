package statuslist

import (
	"context"
	"errors"
	"fmt"
	random "math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/record"
)

// ErrUnknown: there is no list of this name.
var ErrUnknown = errors.New("statuslist: no such list")

// Value is what is said about one document of a list.
type Value struct {
	Index  uint64
	Status status.Status
}

// BoardConfig configures a Board.
type BoardConfig struct {
	Tenant   string
	URI      string        // of the list of lists; the lists are below it
	Lifetime time.Duration // of a signed list
	TTL      time.Duration // how long readers keep a copy
	// Signer returns the key to sign with and its chain, DER, leaf first.
	Signer func(ctx context.Context) (key.Signer, [][]byte, error)
	// Values returns, in any order, the entries of a list that are not valid,
	// from a transaction that begins when it is called.
	Values func(ctx context.Context, list string) ([]Value, error)
}

// Board publishes the lists of a tenant: it signs those that have changed,
// keeps the signed ones and has them at hand. It may be used concurrently, and
// by several processes on one store.
type Board struct {
	records record.Store
	config  BoardConfig
	shelf   shelf
	slow    chan struct{} // held by the one request that asks the store
}

// NewBoard returns a Board of the lists that Records keeps in the same store.
func NewBoard(records record.Store, config BoardConfig) *Board {
	return &Board{records: records, config: config, shelf: newShelf(), slow: make(chan struct{}, 1)}
}

// ListURI is the address of a list, as documents refer to it.
func (b *Board) ListURI(list string) string { return b.config.URI + "/" + list }

// IdentifiersURI is the address of the identifier list beside a list.
func (b *Board) IdentifiersURI(list string) string { return b.ListURI(list + identifiersSuffix) }

// identifiersSuffix ends the name of an identifier list, behind the id of the
// status list.
const identifiersSuffix = ".identifiers"

// Aggregation is a list of lists, for those who keep copies for offline use.
//
// Token Status List, 9.3.
type Aggregation struct {
	StatusLists []string `json:"status_lists"` // addresses
}

// Lists returns all status lists. It asks the store, since a new list is to be
// found, but no more than once a second together with requests for lists that
// are not known; else, and while the store does not answer, it is what was
// known last.
func (b *Board) Lists(ctx context.Context, now time.Time) (Aggregation, error) {
	var err error
	if b.shelf.allow(now) {
		err = b.poll(ctx, now)
	}
	ids := b.shelf.ids()
	if err != nil && len(ids) == 0 {
		return Aggregation{}, err
	}
	slices.Sort(ids)
	for i, id := range ids {
		ids[i] = b.ListURI(id)
	}
	return Aggregation{StatusLists: ids}, nil
}

// Current returns a signed list that may be served, by the last part of its
// address. Error: ErrUnknown.
//
// It answers from memory. What another process has published meanwhile it
// learns from PublishDue, or by itself: the first call later than PollAfter
// since the store was last asked asks it for the versions of all lists, in one
// query, while others are still served what is there. So a change is served
// everywhere within PollAfter of being published, and at once by the process
// that published it. As long as the store does not answer, what is there is
// served until it expires.
//
// A list that this process has not served yet costs a query, and a signature
// if there is no edition that may be served. Names of lists that do not exist
// cost no more than a query a second together.
func (b *Board) Current(ctx context.Context, name string, now time.Time) (*Published, error) {
	list := strings.TrimSuffix(name, identifiersSuffix)
	if !isID(list) {
		return nil, ErrUnknown
	}
	at := b.shelf.look(list, name, now)
	poll := (!at.known || !at.fresh) && b.shelf.allow(now)
	switch {
	case at.published != nil && !poll:
		return at.published, nil
	case !at.known && !poll:
		return nil, ErrUnknown
	}
	if at.published != nil { // others are served it meanwhile
		select {
		case b.slow <- struct{}{}:
		default:
			return at.published, nil
		}
	} else {
		select {
		case b.slow <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer func() { <-b.slow }()
	if poll {
		if err := b.poll(ctx, now); err != nil && at.published == nil {
			return nil, err
		}
	}
	p, err := b.find(ctx, list, name, now)
	if err != nil && at.published != nil {
		return at.published, nil // upkeep tells what is wrong
	}
	return p, err
}

// find returns what may be served of a list according to what is known now.
func (b *Board) find(ctx context.Context, list, name string, now time.Time) (*Published, error) {
	at := b.shelf.look(list, name, now)
	switch {
	case !at.known || name != list && !at.Identifiers:
		return nil, ErrUnknown
	case at.published != nil && !at.stale(now): // perhaps somebody was faster
		return at.published, nil
	}
	editions, err := b.publish(ctx, list, now, state.stale)
	if err != nil {
		return nil, err
	}
	if name != list {
		return editions[1].Published, nil
	}
	return editions[0].Published, nil
}

// Publish signs a list as it stands now, stores it and serves it from now on.
// The role calls it after the transaction that changed the list. Error:
// ErrUnknown.
func (b *Board) Publish(ctx context.Context, list string, now time.Time) (*Published, error) {
	editions, err := b.publish(ctx, list, now, nil)
	if err != nil {
		return nil, err
	}
	return editions[0].Published, nil
}

// PublishDue learns what other processes have published, and publishes the
// lists that have changed and those of which half their life is about to be
// over. It is for the upkeep of a role, which calls it at least every 25
// seconds, so that each list is signed anew in time and other processes serve
// it by then. A list that cannot be published does not keep back the others.
func (b *Board) PublishDue(ctx context.Context, now time.Time) error {
	if err := b.poll(ctx, now); err != nil {
		return err
	}
	ids := b.shelf.due(now)
	// Processes that do this at the same moment begin with different lists, and
	// find those signed that another one has signed.
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	var problems []error
	for _, id := range ids {
		_, err := b.publish(ctx, id, now, state.due)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// poll asks the store for the states of all lists and for the newer editions
// of those that are at hand.
func (b *Board) poll(ctx context.Context, now time.Time) error {
	at := b.shelf.versions()
	var all []state
	var newer []edition
	err := b.records.View(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		newer = nil
		if all, err = record.All[state](ctx, tx, kindList); err != nil {
			return err
		}
		for _, s := range all {
			for name, mine := range at[s.ID] {
				if !s.shows(mine.version, mine.Issued) {
					continue
				}
				e, err := readEdition(ctx, tx, name, s)
				if err != nil {
					return err
				}
				newer = append(newer, e)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("status lists: %w", err)
	}
	b.shelf.put(all, newer)
	b.shelf.polled(now)
	return nil
}

func readState(ctx context.Context, tx record.Tx, list string) (state, error) {
	s, err := record.Get[state](ctx, tx, kindList, list)
	if errors.Is(err, record.ErrNotFound) {
		err = ErrUnknown
	}
	return s, err
}

func readEdition(ctx context.Context, tx record.Tx, name string, s state) (edition, error) {
	p, err := record.Get[*Published](ctx, tx, kindEdition, name)
	return edition{name, s.ID, s.Signed, p}, err
}

// readEditions reads what is stored of a list: one edition, or two.
func readEditions(ctx context.Context, tx record.Tx, s state) ([]edition, error) {
	e, err := readEdition(ctx, tx, s.ID, s)
	if err != nil || !s.Identifiers {
		return []edition{e}, err
	}
	ids, err := readEdition(ctx, tx, s.ID+identifiersSuffix, s)
	return []edition{e, ids}, err
}

// maxSigned is how often a list is signed if each time another process has
// just signed it with a clock that is ahead of ours.
const maxSigned = 3

// publish puts the newest editions of a list on the shelf and returns them: the
// stored ones, or new ones if wanted says so or there are none. It always signs
// if wanted is nil.
func (b *Board) publish(ctx context.Context, list string, now time.Time, wanted func(state, time.Time) bool) ([]edition, error) {
	for try := 1; ; try++ {
		var s state
		var stored []edition
		// The version is read before the values are: see the package's comment.
		err := b.records.View(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
			stored = nil
			if s, err = readState(ctx, tx, list); err != nil || s.Signed == 0 || wanted == nil || wanted(s, now) {
				return err
			}
			stored, err = readEditions(ctx, tx, s)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("status list: %w", err)
		}
		if stored != nil {
			b.shelf.put([]state{s}, stored)
			return stored, nil
		}
		editions, err := b.sign(ctx, s, now)
		if err != nil {
			return nil, fmt.Errorf("status list: %w", err)
		}
		stored, err = b.store(ctx, editions, try == maxSigned)
		if err == nil || !errors.Is(err, errOutrun) {
			return stored, err
		}
	}
}

// sign makes the editions of a list with the entries as they are now.
func (b *Board) sign(ctx context.Context, s state, now time.Time) ([]edition, error) {
	signer, chain, err := b.config.Signer(ctx)
	if err != nil {
		return nil, err
	}
	values, err := b.config.Values(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	entries, err := status.NewList(s.Bits, s.Size)
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		if s.Bits == 1 && v.Status != status.Valid { // there is no other word for it
			v.Status = status.Invalid
		}
		if err := entries.Set(v.Index, v.Status); err != nil {
			return nil, err
		}
	}
	e := Edition{
		URI: b.ListURI(s.ID), List: entries, Now: s.issued(now), Lifetime: b.config.Lifetime, TTL: b.config.TTL.Truncate(time.Second),
		AggregationURI: b.config.URI, X5Chain: chain,
	}
	p, err := Publish(ctx, signer, e)
	if err != nil || !s.Identifiers {
		return []edition{{s.ID, s.ID, s.Version, p}}, err
	}
	e.URI, e.AggregationURI = b.IdentifiersURI(s.ID), "" // which lists status lists
	ids, err := PublishIdentifiers(ctx, signer, e, s.identifiersOf(values))
	return []edition{{s.ID, s.ID, s.Version, p}, {s.ID + identifiersSuffix, s.ID, s.Version, ids}}, err
}

// maxAhead is by how much clocks of processes may differ.
const maxAhead = 5 * time.Minute

// issued is the iat of the next edition: now, but not before that of the last
// one, of which a process may have been the author whose clock is ahead.
func (s state) issued(now time.Time) time.Time {
	if s.Issued.After(now) && s.Issued.Before(now.Add(maxAhead)) {
		return s.Issued
	}
	return now
}

// identifiersOf returns the identifiers of documents that are not valid.
func (l List) identifiersOf(values []Value) [][]byte {
	ids := make([][]byte, 0, len(values))
	for _, v := range values {
		if v.Status != status.Valid {
			id := l.identifier(v.Index)
			ids = append(ids, id[:])
		}
	}
	return ids
}

// errOutrun: readers would take an edition to be older than the stored one.
var errOutrun = errors.New("status list: signed meanwhile by a process whose clock is ahead")

// store keeps signed editions unless newer ones are there, puts on the shelf
// what is stored then, and returns it. Error: errOutrun, unless forced.
func (b *Board) store(ctx context.Context, editions []edition, force bool) ([]edition, error) {
	mine := editions[0]
	var s state
	var stored []edition
	err := b.records.Update(ctx, b.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		if s, err = readState(ctx, tx, mine.list); err != nil {
			return err
		}
		switch {
		case s.shows(mine.version, mine.Issued) || s.Signed == mine.version && s.Issued.Equal(mine.Issued):
			stored, err = readEditions(ctx, tx, s)
			return err
		case s.Issued.After(mine.Issued) && s.Issued.Before(mine.Issued.Add(maxAhead)) && !force:
			return errOutrun
		}
		s.Signed, s.Issued, s.Expires = mine.version, mine.Issued, mine.Expires
		for _, e := range editions {
			if err := record.Put(ctx, tx, kindEdition, e.name, e.Published); err != nil {
				return err
			}
		}
		stored = editions
		return record.Put(ctx, tx, kindList, s.ID, s)
	})
	if err != nil {
		return nil, fmt.Errorf("store status list: %w", err)
	}
	b.shelf.put([]state{s}, stored)
	return stored, nil
}
