package statuslist

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/status"
)

// Copy is one token of an offline pack. The token is signed, so a pack needs
// no protection beyond the trust in its signer, which Check asks for anew.
type Copy struct {
	Token   []byte    `json:"token"`   // as published, JWT or CWT
	Fetched time.Time `json:"fetched"` // from then on ttl counts
}

// Preload puts a token into the cache under its own sub, unless a newer copy
// is there. The bytes must not change afterwards.
func (f *Fetcher) Preload(c Copy) error {
	token, err := status.Parse(c.Token)
	if err != nil {
		return fmt.Errorf("offline pack: %w", err)
	}
	e := f.entry(place{token.URI, token.IsCWT()})
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.held; h != nil && !h.wrong && !token.Issued.After(h.token.Issued) {
		return nil
	}
	e.held, e.reason = &held{token: token, fetched: c.Fetched}, nil
	return nil
}

// Prefetch fetches what a question would need, so that it can be answered
// offline, and reports what is wrong if it fails. The index or identifier in
// the question does not matter.
func (f *Fetcher) Prefetch(ctx context.Context, q Question, now time.Time) error {
	if q.Claim.IsEmpty() {
		return fmt.Errorf("prefetch: no reference to a status list")
	}
	e := f.entry(q.place())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held.due(now, f.opts) {
		f.refresh(ctx, e, q, now)
	}
	if e.held.due(now, f.opts) {
		return fmt.Errorf("prefetch: %s", reasonText(e.reason, "no current list could be had"))
	}
	return nil
}

// Copies returns all kept tokens, for an offline pack, in the order of their
// addresses.
func (f *Fetcher) Copies() []Copy {
	f.mu.Lock()
	entries := make([]*entry, 0, len(f.copies))
	for _, e := range f.copies {
		entries = append(entries, e)
	}
	f.mu.Unlock()
	type kept struct {
		uri string
		Copy
	}
	var all []kept
	for _, e := range entries {
		e.mu.Lock()
		if h := e.held; h != nil {
			all = append(all, kept{h.token.URI, Copy{h.token.Raw, h.fetched}})
		}
		e.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.uri, b.uri), slices.Compare(a.Token, b.Token))
	})
	out := make([]Copy, len(all))
	for i, k := range all {
		out[i] = k.Copy
	}
	return out
}
