package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/internal/db"
)

// Newest returns the Head of a chain as it is stored, without verifying it;
// the zero Head if there is none.
func Newest(ctx context.Context, tx *db.Tx, chain string) (Head, error) {
	var h Head
	var hash []byte
	err := tx.QueryRow(ctx, `select seq, hash from audit where chain = $1 order by seq desc limit 1`, chain).Scan(&h.Seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("audit: newest row: %w", err)
	}
	if copy(h.Hash[:], hash) != len(h.Hash) || len(hash) != len(h.Hash) {
		return Head{}, fmt.Errorf("audit: chain %s: %w: hash of row %d has %d bytes", chain, ErrBroken, h.Seq, len(hash))
	}
	return h, nil
}

// Chains returns the names of all chains, sorted.
func Chains(ctx context.Context, tx *db.Tx) (chains []string, err error) {
	rows, err := tx.Query(ctx, `select distinct chain from audit order by chain`)
	if err != nil {
		return nil, fmt.Errorf("audit: chains: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			return nil, fmt.Errorf("audit: chains: %w", err)
		}
		chains = append(chains, c)
	}
	return chains, rows.Err()
}

func insert(ctx context.Context, tx *db.Tx, chain string, r row) error {
	_, err := tx.Exec(ctx, `insert into audit (chain, seq, time, event, hash) values ($1, $2, $3, $4, $5)`,
		chain, r.seq, r.time, r.event, r.hash)
	return err
}

// walk calls f for every row of a chain in order, until f returns an error.
func walk(ctx context.Context, tx *db.Tx, chain string, f func(row) error) error {
	rows, err := tx.Query(ctx, `select seq, time, event, hash from audit where chain = $1 order by seq`, chain)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.seq, &r.time, &r.event, &r.hash); err != nil {
			return err
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return rows.Err()
}
