package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// CheckOptions say how Check judges.
type CheckOptions struct {
	// Now is when it is.
	Now time.Time
	// Verify verifies the signature of a checkpoint with the key of that name,
	// which has to be one of the role's. Nil leaves signatures unchecked.
	Verify func(ctx context.Context, key string, message, signature []byte) error
	// Known are heads that an earlier Check has found and somebody has kept
	// elsewhere.
	Known Heads
}

// Heads are the newest rows of all chains at a time, to be kept elsewhere.
type Heads struct {
	Time  time.Time   `json:"time"`
	Heads []NamedHead `json:"heads"`
}

// Report is what Check has found.
type Report struct {
	Chains      []Chain   `json:"chains"`
	Checkpoints int       `json:"checkpoints"`
	Signatures  bool      `json:"signatures"` // those of the checkpoints were checked
	Problems    []Problem `json:"problems"`
	Heads       Heads     `json:"-"`
}

// Chain is a chain as it was found.
type Chain struct {
	Name   string    `json:"chain"`
	Rows   int64     `json:"rows"`
	Sealed int64     `json:"sealed"` // newest row under a checkpoint of any chain
	Ended  bool      `json:"ended"`  // in order, with a last checkpoint
	First  time.Time `json:"first,omitzero"`
	Last   time.Time `json:"last,omitzero"`
}

// Problem is something that is not as it was written.
type Problem struct {
	Chain string `json:"chain"`
	Row   int64  `json:"row"` // where it shows
	What  string `json:"what"`
}

const (
	maxProblems = 20        // of one chain; the first tell most
	unsealedAge = time.Hour // a row without a checkpoint may not be older
)

// expected is a row that somebody has named.
type expected struct {
	hash []byte
	by   string // "the checkpoint at row 9 of chain x"
}

// place is a row of a chain.
type place struct {
	chain string
	row   int64
}

// sealRow is a row that says it is a checkpoint.
type sealRow struct {
	place
	event string
}

// checking is a Check under way.
type checking struct {
	o      CheckOptions
	report Report
	want   map[string]map[int64][]expected // by chain and row
	sealed map[string]int64                // newest row that a checkpoint names
	signed map[place]bool                  // checkpoints that hold, by chain and row
	final  map[string]int64                // row of the last checkpoint
	found  map[string]int                  // problems of a chain
}

// Check walks all chains of a role's database with all checkpoints and what was
// kept elsewhere. What is wrong with the chains is in the report; the error is
// for a database that cannot be read.
//
// The checkpoints are read first, so that Verify may use the database; what is
// appended meanwhile does no harm.
func Check(ctx context.Context, d *db.DB, o CheckOptions) (Report, error) {
	c := checking{
		o: o, want: map[string]map[int64][]expected{}, sealed: map[string]int64{}, signed: map[place]bool{},
		final: map[string]int64{}, found: map[string]int{},
	}
	c.report = Report{Signatures: o.Verify != nil, Chains: []Chain{}, Problems: []Problem{}, Heads: Heads{Time: o.Now.UTC()}}
	var seals []sealRow
	err := d.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		seals, err = checkpoints(ctx, tx)
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("audit: check: %w", err)
	}
	for _, h := range o.Known.Heads {
		c.expect(h, "what was kept of "+o.Known.Time.UTC().Format(time.RFC3339))
	}
	for _, s := range seals {
		c.seal(ctx, s.chain, s.row, s.event)
	}
	before, found := c.report, c.found
	err = d.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		c.report, c.found = before, maps.Clone(found) // it may run twice
		c.report.Problems = slices.Clone(before.Problems)
		return c.chains(ctx, tx)
	})
	if err != nil {
		return Report{}, fmt.Errorf("audit: check: %w", err)
	}
	slices.SortStableFunc(c.report.Problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Row, b.Row)) })
	return c.report, nil
}

// chains walks all chains.
func (c *checking) chains(ctx context.Context, tx *db.Tx) error {
	names, err := Chains(ctx, tx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.chain(ctx, tx, name); err != nil {
			return err
		}
	}
	c.gone(names)
	return nil
}

func (c *checking) problem(chain string, row int64, format string, args ...any) {
	switch c.found[chain]++; {
	case c.found[chain] < maxProblems:
		c.report.Problems = append(c.report.Problems, Problem{chain, row, fmt.Sprintf(format, args...)})
	case c.found[chain] == maxProblems:
		c.report.Problems = append(c.report.Problems, Problem{chain, row, "there is more; it is left out"})
	}
}

// expect notes that a row was named.
func (c *checking) expect(h NamedHead, by string) {
	if h.Seq == 0 {
		return
	}
	if c.want[h.Chain] == nil {
		c.want[h.Chain] = map[int64][]expected{}
	}
	c.want[h.Chain][h.Seq] = append(c.want[h.Chain][h.Seq], expected{h.Hash, by})
}

// seal reads a checkpoint. One whose signature does not verify is worth nothing.
func (c *checking) seal(ctx context.Context, chain string, row int64, event string) {
	seal, s, err := readSeal(event)
	if err != nil {
		c.problem(chain, row, "row %d is a checkpoint that cannot be read: %v", row, err)
		return
	}
	if c.o.Verify != nil {
		if err := c.o.Verify(ctx, seal.Key, seal.message(), seal.Signature); err != nil {
			c.problem(chain, row, "the checkpoint at row %d is not signed with a key of the role (%.60q): %v", row, seal.Key, err)
			return
		}
	}
	if s.Chain != chain || s.Seq >= row {
		c.problem(chain, row, "the checkpoint at row %d was made for row %d of chain %s: it was moved here", row, s.Seq, s.Chain)
		return
	}
	c.report.Checkpoints++
	c.signed[place{chain, row}] = true
	by := fmt.Sprintf("the checkpoint at row %d of chain %s of %s", row, chain, s.Time.UTC().Format(time.RFC3339))
	for _, h := range append(s.Heads, NamedHead{s.Chain, s.Seq, s.Hash}) {
		c.expect(h, by)
		c.sealed[h.Chain] = max(c.sealed[h.Chain], h.Seq)
	}
	if s.Final {
		c.final[chain] = max(c.final[chain], row)
	}
}

// chain walks one chain. Each row is judged by the hash that is stored of the
// one before, so that one change is one problem.
func (c *checking) chain(ctx context.Context, tx *db.Tx, name string) error {
	var before [32]byte
	out := Chain{Name: name, Sealed: c.sealed[name]}
	var last int64
	late := time.Time{} // of the first row that is under no checkpoint
	err := walk(ctx, tx, name, func(r row) error {
		switch {
		case r.seq == last+2:
			c.problem(name, r.seq, "row %d is missing", last+1)
		case r.seq > last+2:
			c.problem(name, r.seq, "rows %d to %d are missing", last+1, r.seq-1)
		case r.seq <= last:
			c.problem(name, r.seq, "row %d has a number that no row can have there", r.seq)
		default:
			if sum := r.sum(name, before); string(sum[:]) != string(r.hash) {
				c.problem(name, r.seq, "row %d was changed or inserted, or the one before it was exchanged: its hash does not follow", r.seq)
			}
		}
		for _, e := range c.want[name][r.seq] {
			if string(e.hash) != string(r.hash) {
				c.problem(name, r.seq, "row %d is not the one that %s names: rows up to it were changed, inserted or taken out, and hashes computed anew", r.seq, e.by)
			}
		}
		if len(r.hash) == len(before) {
			copy(before[:], r.hash)
		}
		at := time.UnixMilli(r.time).UTC()
		if out.Rows == 0 {
			out.First = at
		}
		out.Last, last = at, r.seq
		out.Rows++
		if r.seq > out.Sealed && late.IsZero() && !c.signed[place{name, r.seq}] {
			late = at
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.tail(name, last)
	final := c.final[name]
	out.Ended = final != 0 && final == last
	switch {
	case final != 0 && last > final:
		c.problem(name, final+1, "the process ended in order at row %d, yet rows up to %d follow: they were inserted", final, last)
	case !late.IsZero() && c.o.Now.Sub(late) > unsealedAge:
		c.problem(name, out.Sealed+1, "rows from %d on are under no checkpoint, though the first is of %s: they were added later, checkpoints were taken out, or the process was killed and none has run since",
			out.Sealed+1, late.Format(time.RFC3339))
	}
	c.report.Chains = append(c.report.Chains, out)
	c.report.Heads.Heads = append(c.report.Heads.Heads, NamedHead{name, last, append([]byte(nil), before[:]...)})
	return nil
}

// tail says which named rows are past the end of a chain.
func (c *checking) tail(name string, last int64) {
	first, by := int64(0), ""
	for seq, list := range c.want[name] {
		if seq > last && (first == 0 || seq < first) {
			first, by = seq, list[0].by
		}
	}
	switch {
	case first != 0 && last == 0:
		c.problem(name, first, "the whole chain is gone, though %s names its row %d", by, first)
	case first != 0:
		c.problem(name, last, "the chain ends at row %d, though %s names row %d: its end was cut off", last, by, first)
	}
}

// gone names chains that somebody has named and that have no rows at all.
func (c *checking) gone(names []string) {
	for name := range c.want {
		if !slices.Contains(names, name) {
			c.tail(name, 0)
		}
	}
}

// Entry is an event with its place.
type Entry struct {
	Chain string    `json:"chain"`
	Row   int64     `json:"row"`
	Time  time.Time `json:"time"`
	Event
}

// Filter narrows Events; empty fields match everything.
type Filter struct {
	Tenant, What, Actor, Object string
	Since                       time.Time
	Limit                       int // optional, 100
}

// Events returns the newest events that match, in the order of their time,
// without verifying anything.
func Events(ctx context.Context, tx *db.Tx, f Filter) ([]Entry, error) {
	list := []Entry{}
	var broken error
	err := newestEvents(ctx, tx, f.Since, func(chain string, r row) bool {
		e := Entry{Chain: chain, Row: r.seq, Time: time.UnixMilli(r.time).UTC()}
		if err := json.Unmarshal([]byte(r.event), &e.Event); err != nil {
			broken = fmt.Errorf("row %d of chain %s: %w", r.seq, chain, err)
			return false
		}
		match := func(want, have string) bool { return want == "" || want == have }
		if match(f.Tenant, e.Tenant) && match(f.What, e.What) && match(f.Actor, e.Actor) && match(f.Object, e.Object) {
			list = append(list, e)
		}
		return len(list) < cmp.Or(f.Limit, 100)
	})
	if err = errors.Join(err, broken); err != nil {
		return nil, fmt.Errorf("audit: events: %w", err)
	}
	slices.Reverse(list)
	return list, nil
}
