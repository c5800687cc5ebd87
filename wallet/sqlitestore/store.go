package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/wallet"
)

// tenant is the one holder that a database of this package is for.
const tenant = "default"

// txn is a wallet.Txn in a transaction.
type txn struct{ tx *db.Tx }

// Get implements wallet.Txn.
func (t txn) Get(ctx context.Context, kind, id string) ([]byte, error) {
	const q = `select value from item where tenant = $1 and kind = $2 and id = $3`
	var value []byte
	err := t.tx.QueryRow(ctx, q, tenant, kind, id).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s: %w", kind, wallet.ErrNotFound)
	}
	return value, err
}

// Put implements wallet.Txn.
func (t txn) Put(ctx context.Context, kind, id string, value []byte) error {
	const q = `
		insert into item (tenant, kind, id, value) values ($1, $2, $3, $4)
		on conflict (tenant, kind, id) do update set value = excluded.value`
	if value == nil {
		value = []byte{}
	}
	_, err := t.tx.Exec(ctx, q, tenant, kind, id, value)
	return err
}

// Delete implements wallet.Txn.
func (t txn) Delete(ctx context.Context, kind, id string) error {
	const q = `delete from item where tenant = $1 and kind = $2 and id = $3`
	_, err := t.tx.Exec(ctx, q, tenant, kind, id)
	return err
}

// List implements wallet.Txn. A prefix is a range of ids up to the first that
// does not begin with it.
func (t txn) List(ctx context.Context, kind, prefix string) ([]wallet.Item, error) {
	const all = `select id, value from item where tenant = $1 and kind = $2 order by id`
	const some = `select id, value from item where tenant = $1 and kind = $2 and id >= $3 and id < $4 order by id`
	query, args := all, []any{tenant, kind}
	if prefix != "" {
		query, args = some, append(args, prefix, prefix+"\U0010ffff")
	}
	rows, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []wallet.Item
	for rows.Next() {
		var item wallet.Item
		if err := rows.Scan(&item.ID, &item.Value); err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, rows.Err()
}
