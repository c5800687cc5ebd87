package wallet

import (
	"context"
	"errors"
	random "math/rand/v2"
	"slices"
	"time"

	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// chosen is a copy that is to be shown next.
type chosen struct {
	copyOf
	seen bool // somebody else may have seen it before
}

// choose picks the copy of a document to show to the party of the matter, as
// the issuer wants copies to be used; without its word, and where its way cannot
// be kept up for lack of new copies, one that was never shown or else was shown
// least. Whom nobody vouches for could be anyone, and gets what a new party
// gets. list is not empty; planned is the id of the copy that was picked when
// the holder was asked, if that is so.
//
// EUDI ARF, Annex II, ISSU_44, ISSU_47, ISSU_49, ISSU_52, ISSU_55 and ISSU_56.
func (m *matter) choose(ctx context.Context, t Txn, d Document, list []copyOf, planned string) (chosen, error) {
	next := leastUsed(list)
	switch d.Reuse.Method() {
	case oid4vci.ReuseRotating:
		turn := slices.DeleteFunc(slices.Clone(list), func(c copyOf) bool { return c.Uses > next.Uses })
		n := slices.IndexFunc(turn, func(c copyOf) bool { return c.id == planned })
		if n < 0 {
			n = random.IntN(len(turn))
		}
		next = turn[n]
	case oid4vci.ReusePerParty:
		for _, c := range list {
			theirs, _, err := m.shown(ctx, t, c)
			if theirs || err != nil {
				return chosen{c, c.Shared}, err
			}
		}
	}
	return chosen{next, next.Uses > 0}, nil
}

// shown looks up in the log to whom a copy was shown: whether to the party of
// the matter, and the entries about others.
func (m *matter) shown(ctx context.Context, t Txn, c copyOf) (theirs bool, others []string, err error) {
	for _, id := range c.Shown {
		var e LogEntry
		switch err := getJSON(ctx, t, kindLog, id, &e); {
		case errors.Is(err, ErrNotFound): // forgotten
		case err != nil:
			return false, nil, err
		case e.Party.Identity != "" && e.Party.Identity == m.entry.Party.Identity:
			theirs = true
		default:
			others = append(others, id)
		}
	}
	return theirs, others, nil
}

// use writes down that a copy is shown in the matter.
func (m *matter) use(ctx context.Context, t Txn, d Document, c chosen) error {
	row := c.credentialRow
	row.Uses, row.LastUsed, row.Shared = row.Uses+1, m.w.now().UTC(), c.seen
	if d.Reuse.Method() == oid4vci.ReusePerParty && m.entry.Party.Identity != "" {
		_, others, err := m.shown(ctx, t, c.copyOf)
		if err != nil {
			return err
		}
		row.Shown = append(others, m.entry.ID)
	}
	return putJSON(ctx, t, kindCredential, c.id, row)
}

// leastUsed is a copy that never was shown or, when all were, the one that was
// shown least often, longest ago.
func leastUsed(list []copyOf) copyOf {
	return slices.MinFunc(list, func(a, b copyOf) int {
		if a.Uses != b.Uses {
			return a.Uses - b.Uses
		}
		return a.LastUsed.Compare(b.LastUsed)
	})
}

// When new copies are fetched: while there is time to try again.
const (
	dueUnused = 4 // one unused copy is left for each dueUnused that were issued, or fewer
	dueTime   = 3 // a dueTime-th of the validity is left, or less
)

// Due reports whether it is time to get new copies of a document: as its issuer
// wants it (ETSI TS 119 472-3, 4.2.4.2) or, without its word, in good time. An
// issuer that wants them replaced before they began is not heard.
func (d *Document) Due(now time.Time) bool {
	left, whole := d.ValidUntil.Sub(now), d.ValidUntil.Sub(d.ValidFrom)
	old := left*dueTime <= whole
	few := d.Unused*dueUnused <= d.Copies
	if r := d.Reuse; r != nil {
		few = d.Single() && d.Unused <= min(r.Unused, d.Copies-1)
		if wanted := time.Duration(r.LifetimeLeft) * time.Second; wanted > 0 && wanted < whole {
			old = left <= wanted
		}
	}
	return d.Grant != "" && (few || old)
}

// Single reports whether no two parties are to see one copy of the document,
// for as long as there are copies that were never shown.
func (d *Document) Single() bool {
	m := d.Reuse.Method()
	return m != oid4vci.ReuseLimited && m != oid4vci.ReuseRotating
}

// batchOf is how many copies the issuer gives at once.
func (i *issuing) batchOf(conf oid4vci.Configuration) int {
	all := i.offer.Metadata.BatchSize()
	switch reuse, ok := conf.Reuse(); {
	case !ok:
		return all
	case reuse.Method() == oid4vci.ReuseLimited:
		return 1
	default:
		return min(all, reuse.BatchSize)
	}
}
