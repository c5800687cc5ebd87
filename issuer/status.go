package issuer

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

// pool is where all documents of a tenant stand: mdocs are only ever valid or
// revoked, one bit each. Fewer lists hide more.
func (t *tenant) pool() statuslist.Pool {
	return statuslist.Pool{Tenant: t.config.ID, Name: "mdoc", Bits: 1}
}

// newBoard is where the tenant's lists are published.
func (t *tenant) newBoard() *statuslist.Board {
	a := t.authority
	return statuslist.NewBoard(a.db.Records(), statuslist.BoardConfig{
		Tenant: t.config.ID, URI: t.base + "/status", Lifetime: a.config.StatusLifetime, TTL: a.config.StatusTTL,
		Signer: func(ctx context.Context) (key.Signer, [][]byte, error) {
			k, err := t.ca.Key(ctx, keyring.Status, a.now())
			return k, k.Record.Chain, err
		},
		Invalid: func(ctx context.Context, list string) (invalid []uint64, err error) {
			err = a.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				invalid, err = invalidIndexes(ctx, tx, t.config.ID, list)
				return err
			})
			return invalid, err
		},
	})
}

// serveStatus answers GET /{tenant}/status/{list}. Token Status List, 8.1.
func (t *tenant) serveStatus(w http.ResponseWriter, r *http.Request) error {
	now := t.authority.now()
	list, err := t.board.Current(r.Context(), r.PathValue("list"), now)
	if errors.Is(err, statuslist.ErrUnknown) {
		return web.Errorf(http.StatusNotFound, "There is no such status list.")
	}
	if err != nil {
		return err
	}
	return t.authority.files.Serve(w, r, list, min(list.TTL, list.Expires.Sub(now)))
}

// serveLists answers GET /{tenant}/status with all lists, for those who keep
// copies for offline use. Token Status List, 9.3.
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
