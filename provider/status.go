package provider

import (
	"context"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/db"
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
			if err != nil {
				return nil, nil, err
			}
			chain, err := t.ca.Chain(ctx, k, p.now())
			return k, chain, err
		},
		Values: func(ctx context.Context, list string) (values []statuslist.Value, err error) {
			err = p.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				values, err = statusValues(ctx, tx, t.config.ID, list)
				return err
			})
			return values, err
		},
	})
}
