package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/statuslist"
)

// pool is where all documents of a tenant stand: mdocs are only ever valid or
// revoked, one bit each. Fewer lists hide more.
func (t *tenant) pool() statuslist.Pool {
	return statuslist.Pool{Tenant: t.config.ID, Name: "mdoc", Bits: 1}
}

func (t *tenant) listURI(list string) string { return t.base + "/status/" + list }

// listCache keeps signed lists in memory.
type listCache struct {
	mu    sync.Mutex
	lists map[listName]*servedList
}

type listName struct{ tenant, list string }

const maxCachedLists = 256

func newListCache() *listCache { return &listCache{lists: map[listName]*servedList{}} }

func (c *listCache) get(n listName) *servedList {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists[n]
}

func (c *listCache) put(n listName, s *servedList) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lists) >= maxCachedLists {
		clear(c.lists)
	}
	c.lists[n] = s
}

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

var errNoList = errors.New("issuer: no such status list")

// publish signs a list as it stands now, and stores it.
func (t *tenant) publish(ctx context.Context, list string) (*servedList, error) {
	a, now := t.authority, t.authority.now()
	signer, err := t.key(ctx, keyring.Status)
	if err != nil {
		return nil, err
	}
	var s listState
	var invalid []uint64
	err = a.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		var ok bool
		if s, ok, err = stateOf(ctx, tx, t.config.ID, list); err != nil || !ok {
			return errors.Join(err, errNoListIf(!ok && err == nil))
		}
		invalid, err = invalidIndexes(ctx, tx, t.config.ID, list)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("issuer: status list: %w", err)
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
	p, err := statuslist.Publish(ctx, signer, statuslist.Edition{
		URI: t.listURI(list), List: entries, Now: now, Lifetime: a.config.StatusLifetime, TTL: a.config.StatusTTL.Truncate(time.Second),
		X5Chain: signer.Record.Chain,
	})
	if err != nil {
		return nil, err
	}
	err = a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return putEdition(ctx, tx, t.config.ID, list, s.version, p)
	})
	if err != nil {
		return nil, fmt.Errorf("issuer: store status list: %w", err)
	}
	served := newServedList(s.version, *p)
	a.lists.put(listName{t.config.ID, list}, served)
	return served, nil
}

func errNoListIf(missing bool) error {
	if missing {
		return errNoList
	}
	return nil
}

// publishDue publishes the lists that have changed or are half over.
func (t *tenant) publishDue(ctx context.Context) error {
	a := t.authority
	var due []string
	err := a.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		due, err = dueLists(ctx, tx, t.config.ID, a.now().Add(a.config.StatusLifetime/2))
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
	a, name := t.authority, listName{t.config.ID, list}
	cached := a.lists.get(name)
	var s listState
	var ok bool
	var fresh *servedList
	err := a.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		fresh = nil
		if s, ok, err = stateOf(ctx, tx, t.config.ID, list); err != nil || !ok {
			return err
		}
		stale := s.signed < s.version || !s.expires.After(a.now())
		if stale || cached != nil && cached.version == s.signed && cached.Issued.Equal(s.issued) {
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
		return nil, fmt.Errorf("issuer: read status list: %w", err)
	case !ok:
		return nil, errNoList
	case s.signed < s.version || !s.expires.After(a.now()):
		return t.publish(ctx, list)
	case fresh != nil:
		a.lists.put(name, fresh)
		return fresh, nil
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
	file.Serve(w, r, min(s.TTL, s.Expires.Sub(t.authority.now())), "Accept")
	return nil
}

// serveLists answers GET /{tenant}/status with all lists, for those who keep
// copies for offline use. Token Status List, 9.3.
func (t *tenant) serveLists(w http.ResponseWriter, r *http.Request) error {
	lists := struct {
		StatusLists []string `json:"status_lists"`
	}{[]string{}}
	err := t.authority.db.View(r.Context(), func(ctx context.Context, tx *db.Tx) error {
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
