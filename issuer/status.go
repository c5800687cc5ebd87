package issuer

import (
	"context"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/statuslist"
)

// pool is where all documents of a format stand: mdocs are only ever valid or
// revoked, one bit each; SD-JWT VCs can be suspended too. Fewer lists hide more.
func (t *tenant) pool(format string) statuslist.Pool {
	if format == offering.FormatSDJWT {
		return statuslist.Pool{Tenant: t.config.ID, Name: "sd-jwt", Bits: 2}
	}
	return statuslist.Pool{Tenant: t.config.ID, Name: "mdoc", Bits: 1}
}

// Board returns where the tenant's status lists are published. Error:
// ErrUnknownTenant.
func (a *Authority) Board(tenant string) (*statuslist.Board, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.board, nil
}

// newBoard is where the tenant's lists are published.
func (t *tenant) newBoard() *statuslist.Board {
	a := t.authority
	return statuslist.NewBoard(a.db.Records(), statuslist.BoardConfig{
		Tenant: t.config.ID, URI: t.base + "/status", Lifetime: a.config.StatusLifetime, TTL: a.config.StatusTTL,
		Signer: func(ctx context.Context) (key.Signer, [][]byte, error) {
			k, err := t.ca.Key(ctx, keyring.Status, a.now())
			if err != nil {
				return nil, nil, err
			}
			chain, err := t.ca.Chain(ctx, k, a.now())
			return k, chain, err
		},
		Values: func(ctx context.Context, list string) (values []statuslist.Value, err error) {
			err = a.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				values, err = statusValues(ctx, tx, t.config.ID, list)
				return err
			})
			return values, err
		},
	})
}
