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
	if e.token != nil && !e.wrong && !token.Issued.After(e.token.Issued) {
		return nil
	}
	e.token, e.etag, e.fetched = token, "", c.Fetched
	e.key, e.view, e.reason, e.wrong = nil, nil, nil, false
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
	if e.due(now, f.opts.MaxTTL) {
		f.refresh(ctx, e, q, now)
	}
	if e.due(now, f.opts.MaxTTL) {
		return fmt.Errorf("prefetch: %s", e.reasonText("no current list could be had"))
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
		if e.token != nil {
			all = append(all, kept{e.token.URI, Copy{e.token.Raw, e.fetched}})
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
