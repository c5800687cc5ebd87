package provider

import (
	"context"
	"errors"
	"net/http"

	"github.com/eidos-id/eidos/format/key"
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

// newBoard is where the tenant's lists are published.
func (t *tenant) newBoard() *statuslist.Board {
	p := t.provider
	return statuslist.NewBoard(p.db.Records(), statuslist.BoardConfig{
		Tenant: t.config.ID, URI: t.base + "/status", Lifetime: p.config.StatusLifetime, TTL: p.config.StatusTTL,
		Signer: func(ctx context.Context) (key.Signer, [][]byte, error) {
			k, err := t.ca.Key(ctx, keyring.Status, p.now())
			return k, k.Record.Chain, err
		},
		Invalid: func(ctx context.Context, list string) (invalid []uint64, err error) {
			err = p.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				invalid, err = invalidIndexes(ctx, tx, t.config.ID, list)
				return err
			})
			return invalid, err
		},
	})
}

// serveStatus answers GET /{tenant}/status/{list}. Token Status List, 8.1.
func (t *tenant) serveStatus(w http.ResponseWriter, r *http.Request) error {
	now := t.provider.now()
	list, err := t.board.Current(r.Context(), r.PathValue("list"), now)
	if errors.Is(err, statuslist.ErrUnknown) {
		return web.Errorf(http.StatusNotFound, "There is no such status list.")
	}
	if err != nil {
		return err
	}
	return t.provider.files.Serve(w, r, list, min(list.TTL, list.Expires.Sub(now)))
}

// serveLists answers GET /{tenant}/status. Token Status List, 9.3.
func (t *tenant) serveLists(w http.ResponseWriter, r *http.Request) error {
	lists, err := t.board.Lists(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	web.JSON(w, http.StatusOK, lists)
	return nil
}
