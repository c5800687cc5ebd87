package trust

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/keyring"
)

// millis and fromMillis keep times as bigint; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// keyStore keeps the records of the key ring, each call in a transaction.
type keyStore struct{ db *db.DB }

// PutKey implements keyring.Store.
func (s keyStore) PutKey(ctx context.Context, r keyring.Record) error {
	chain, err := json.Marshal(r.Chain)
	if err != nil {
		return err
	}
	const q = `
		insert into signing_key (tenant, id, purpose, key_id, state, created, not_before, not_after, chain)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (tenant, id) do update
		set state = excluded.state, not_before = excluded.not_before, not_after = excluded.not_after, chain = excluded.chain`
	return s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, q, r.Tenant, r.ID, string(r.Purpose), r.KeyID, string(r.State),
			millis(r.Created), millis(r.NotBefore), millis(r.NotAfter), chain)
		return err
	})
}

// Keys implements keyring.Store.
func (s keyStore) Keys(ctx context.Context, tenant string, purpose keyring.Purpose) ([]keyring.Record, error) {
	const q = `
		select id, key_id, state, created, not_before, not_after, chain
		from signing_key where tenant = $1 and purpose = $2`
	var records []keyring.Record
	err := s.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		records = nil
		rows, err := tx.Query(ctx, q, tenant, string(purpose))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			r := keyring.Record{Tenant: tenant, Purpose: purpose}
			var created, notBefore, notAfter int64
			var chain []byte
			if err := rows.Scan(&r.ID, &r.KeyID, &r.State, &created, &notBefore, &notAfter, &chain); err != nil {
				return err
			}
			if err := json.Unmarshal(chain, &r.Chain); err != nil {
				return fmt.Errorf("chain of key %s: %w", r.ID, err)
			}
			r.Created, r.NotBefore, r.NotAfter = fromMillis(created), fromMillis(notBefore), fromMillis(notAfter)
			records = append(records, r)
		}
		return rows.Err()
	})
	return records, err
}

// takeLease makes holder the one who does what the lease is about, until ends,
// and reports whether it is. A lease that has ended is free.
func takeLease(ctx context.Context, tx *db.Tx, tenant, name, holder string, now, ends time.Time) (bool, error) {
	const q = `
		insert into lease (tenant, name, holder, ends) values ($1, $2, $3, $4)
		on conflict (tenant, name) do update set holder = excluded.holder, ends = excluded.ends
		where lease.ends <= $5`
	n, err := tx.Exec(ctx, q, tenant, name, holder, millis(ends), millis(now))
	return n == 1, err
}

func dropLease(ctx context.Context, tx *db.Tx, tenant, name, holder string) error {
	_, err := tx.Exec(ctx, `delete from lease where tenant = $1 and name = $2 and holder = $3`, tenant, name, holder)
	return err
}

// found is what is known of a source.
type found struct {
	certificate  []byte // listed; empty if none was found yet
	fetched      time.Time
	problem      string
	pending      []byte // with another key; empty if none
	pendingSince time.Time
}

// sourceRow returns what is known of a source; the zero value if nothing is.
// A source whose purpose has changed is another one.
func sourceRow(ctx context.Context, tx *db.Tx, tenant string, s Source) (found, error) {
	const q = `
		select certificate, fetched, problem, pending, pending_since
		from source where tenant = $1 and name = $2 and purpose = $3`
	var f found
	var fetched, since int64
	err := tx.QueryRow(ctx, q, tenant, s.Name, string(s.Purpose)).Scan(&f.certificate, &fetched, &f.problem, &f.pending, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return found{}, nil
	}
	f.fetched, f.pendingSince = fromMillis(fetched), fromMillis(since)
	return f, err
}

func putSource(ctx context.Context, tx *db.Tx, tenant string, s Source, f found) error {
	const q = `
		insert into source (tenant, name, purpose, certificate, fetched, problem, pending, pending_since)
		values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (tenant, name) do update
		set purpose = excluded.purpose, certificate = excluded.certificate, fetched = excluded.fetched, problem = excluded.problem,
			pending = excluded.pending, pending_since = excluded.pending_since`
	_, err := tx.Exec(ctx, q, tenant, s.Name, string(s.Purpose), notNil(f.certificate), millis(f.fetched), f.problem, notNil(f.pending), millis(f.pendingSince))
	return err
}

// notNil is for columns that are never null.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Kinds of publications.
const (
	kindVICAL   = "vical"
	kindAnchors = "anchors"
	kindCRL     = "crl"
)

// publication is a signed list as it is stored.
type publication struct {
	sequence        int64 // 0 if there is none
	digest          []byte
	issued, expires time.Time
	body            []byte
}

func newest(ctx context.Context, tx *db.Tx, tenant, kind string) (publication, error) {
	const q = `select sequence, digest, issued, expires, body from publication where tenant = $1 and kind = $2`
	var p publication
	var issued, expires int64
	err := tx.QueryRow(ctx, q, tenant, kind).Scan(&p.sequence, &p.digest, &issued, &expires, &p.body)
	if errors.Is(err, sql.ErrNoRows) {
		return publication{}, nil
	}
	p.issued, p.expires = fromMillis(issued), fromMillis(expires)
	return p, err
}

// putPublication stores a list in place of the one whose number is one less,
// and reports whether that was still the newest.
func putPublication(ctx context.Context, tx *db.Tx, tenant, kind string, p publication) (bool, error) {
	const q = `
		insert into publication (tenant, kind, sequence, digest, issued, expires, body)
		values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (tenant, kind) do update
		set sequence = excluded.sequence, digest = excluded.digest, issued = excluded.issued, expires = excluded.expires, body = excluded.body
		where publication.sequence = excluded.sequence - 1`
	n, err := tx.Exec(ctx, q, tenant, kind, p.sequence, notNil(p.digest), millis(p.issued), millis(p.expires), p.body)
	return n == 1, err
}
