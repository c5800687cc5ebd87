package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

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

// unsealed returns the heads of other chains that no checkpoint has named, of
// those whose checkpoints are the newest.
func unsealed(ctx context.Context, tx *db.Tx, own string) (heads []NamedHead, err error) {
	rows, err := tx.Query(ctx, `select chain, sealed from audit_chain where chain <> $1 order by time desc limit $2`, own, maxHeads)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var known []NamedHead
	for rows.Next() {
		var h NamedHead
		if err := rows.Scan(&h.Chain, &h.Seq); err != nil {
			return nil, err
		}
		known = append(known, h)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, k := range known {
		h, err := Newest(ctx, tx, k.Chain)
		if err != nil {
			return nil, err
		}
		if h.Seq > k.Seq {
			heads = append(heads, NamedHead{k.Chain, h.Seq, h.Hash[:]})
		}
	}
	return heads, nil
}

// putSealed notes up to which row a chain is under a checkpoint.
func putSealed(ctx context.Context, tx *db.Tx, chain string, seq int64, now time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into audit_chain (chain, sealed, time) values ($1, $2, $3)
		on conflict (chain) do update set sealed = excluded.sealed, time = excluded.time
		where audit_chain.sealed <= excluded.sealed`, chain, seq, now.UnixMilli())
	return err
}

// checkpoints returns the rows that say they are checkpoints.
func checkpoints(ctx context.Context, tx *db.Tx) (all []sealRow, err error) {
	rows, err := tx.Query(ctx, `select chain, seq, event from audit where event like $1 order by chain, seq`, `{"tenant":"","what":"`+checkpoint+`"%`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s sealRow
		if err := rows.Scan(&s.chain, &s.row, &s.event); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// newestEvents calls f for rows written at or after since, the newest first,
// until f returns false.
func newestEvents(ctx context.Context, tx *db.Tx, since time.Time, f func(chain string, r row) bool) error {
	rows, err := tx.Query(ctx, `select chain, seq, time, event from audit where time >= $1 order by time desc, chain, seq desc`, db.Millis(since))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		var chain string
		if err := rows.Scan(&chain, &r.seq, &r.time, &r.event); err != nil {
			return err
		}
		if !f(chain, r) {
			return nil
		}
	}
	return rows.Err()
}
