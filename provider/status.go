package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/statuslist"
)

// pool is where everything of a product stands, instances and keys alike: one
// list hides more than two.
func (t *tenant) pool() statuslist.Pool {
	return statuslist.Pool{Tenant: t.config.ID, Name: "attestation", Bits: 1}
}

func (t *tenant) listURI(list string) string { return t.base + "/status/" + list }

// servedList is a signed list, ready to serve. It is not changed.
type servedList struct {
	statuslist.Published
	version  int64
	jwt, cwt *web.File
}

func newServedList(version int64, p statuslist.Published) *servedList {
	return &servedList{
		Published: p, version: version,
		jwt: web.NewFile(status.MediaListJWT, p.JWT), cwt: web.NewFile(status.MediaListCWT, p.CWT),
	}
}

var errNoList = errors.New("provider: no such status list")

// publish signs a list as it stands now, and stores it.
func (t *tenant) publish(ctx context.Context, list string) (*servedList, error) {
	p, now := t.provider, t.provider.now()
	signer, err := t.key(ctx, keyring.Status)
	if err != nil {
		return nil, err
	}
	var s listState
	var invalid []uint64
	err = p.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if s, err = stateOf(ctx, tx, t.config.ID, list); err != nil {
			return err
		}
		invalid, err = invalidIndexes(ctx, tx, t.config.ID, list)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("provider: status list: %w", err)
	}
	entries, err := status.NewList(s.bits, s.size)
	if err != nil {
		return nil, err
	}
	for _, i := range invalid {
		if err := entries.Set(i, status.Invalid); err != nil {
			return nil, err
		}
	}
	published, err := statuslist.Publish(ctx, signer, statuslist.Edition{
		URI: t.listURI(list), List: entries, Now: now, Lifetime: p.config.StatusLifetime, TTL: p.config.StatusTTL.Truncate(time.Second),
		AggregationURI: t.base + "/status", X5Chain: signer.Record.Chain,
	})
	if err != nil {
		return nil, err
	}
	err = p.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return putEdition(ctx, tx, t.config.ID, list, s.version, published)
	})
	if err != nil {
		return nil, fmt.Errorf("provider: store status list: %w", err)
	}
	return t.keep(list, newServedList(s.version, *published)), nil
}

// maxLists bounds the signed lists in memory; beyond it the memory starts again.
const maxLists = 64

func (t *tenant) keep(list string, s *servedList) *servedList {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lists) >= maxLists {
		clear(t.lists)
	}
	t.lists[list] = s
	return s
}

// publishDue publishes the lists that have changed or are half over.
func (t *tenant) publishDue(ctx context.Context) error {
	var due []string
	err := t.provider.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		due, err = dueLists(ctx, tx, t.config.ID, t.provider.now().Add(t.provider.config.StatusLifetime/2))
		return err
	})
	for _, list := range due {
		if err == nil {
			_, err = t.publish(ctx, list)
		}
	}
	return err
}

// current returns a signed list that may be served: from memory if the
// database has none newer. A list that has changed since it was signed, or was
// never signed, is signed now.
func (t *tenant) current(ctx context.Context, list string) (*servedList, error) {
	t.mu.Lock()
	cached := t.lists[list]
	t.mu.Unlock()
	now := t.provider.now()
	var s listState
	var fresh *servedList
	err := t.provider.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		fresh = nil
		if s, err = stateOf(ctx, tx, t.config.ID, list); err != nil {
			return err
		}
		if s.stale(now) || cached != nil && cached.version == s.signed && cached.Issued.Equal(s.issued) {
			return nil
		}
		version, p, err := edition(ctx, tx, t.config.ID, list)
		if err == nil {
			fresh = newServedList(version, p)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("provider: read status list: %w", err)
	case s.stale(now):
		return t.publish(ctx, list)
	case fresh != nil:
		return t.keep(list, fresh), nil
	}
	return cached, nil
}

// serveStatus answers GET /{tenant}/status/{list}. Token Status List, 8.1.
func (t *tenant) serveStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := t.current(r.Context(), r.PathValue("list"))
	if errors.Is(err, errNoList) {
		return web.Errorf(http.StatusNotFound, "There is no such status list.")
	}
	if err != nil {
		return err
	}
	media, _, _, ok := s.Choose(r.Header.Get("Accept"))
	if !ok {
		return web.Errorf(http.StatusNotAcceptable, "Status lists are %s or %s.", status.MediaListJWT, status.MediaListCWT)
	}
	file := s.jwt
	if media == status.MediaListCWT {
		file = s.cwt
	}
	file.Serve(w, r, min(s.TTL, s.Expires.Sub(t.provider.now())), "Accept")
	return nil
}

// serveLists answers GET /{tenant}/status. Token Status List, 9.3.
func (t *tenant) serveLists(w http.ResponseWriter, r *http.Request) error {
	lists := struct {
		StatusLists []string `json:"status_lists"`
	}{[]string{}}
	err := t.provider.db.View(r.Context(), func(ctx context.Context, tx *db.Tx) error {
		ids, err := allLists(ctx, tx, t.config.ID)
		lists.StatusLists = lists.StatusLists[:0]
		for _, id := range ids {
			lists.StatusLists = append(lists.StatusLists, t.listURI(id))
		}
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	web.JSON(w, http.StatusOK, lists)
	return nil
}
