package trust

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// found is what is known of a source.
type found struct {
	certificate  []byte // listed, one behind the other, the newest first; empty if none was found yet
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
	f.fetched, f.pendingSince = db.Time(fetched), db.Time(since)
	return f, err
}

func putSource(ctx context.Context, tx *db.Tx, tenant string, s Source, f found) error {
	const q = `
		insert into source (tenant, name, purpose, certificate, fetched, problem, pending, pending_since)
		values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (tenant, name) do update
		set purpose = excluded.purpose, certificate = excluded.certificate, fetched = excluded.fetched, problem = excluded.problem,
			pending = excluded.pending, pending_since = excluded.pending_since`
	_, err := tx.Exec(ctx, q, tenant, s.Name, string(s.Purpose), notNil(f.certificate), db.Millis(f.fetched), f.problem, notNil(f.pending), db.Millis(f.pendingSince))
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
	p.issued, p.expires = db.Time(issued), db.Time(expires)
	return p, err
}

// putPublication stores a list in place of the one with the number before, 0 if
// there was none, and reports whether that was still the newest.
func putPublication(ctx context.Context, tx *db.Tx, tenant, kind string, before int64, p publication) (bool, error) {
	const q = `
		insert into publication (tenant, kind, sequence, digest, issued, expires, body)
		values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (tenant, kind) do update
		set sequence = excluded.sequence, digest = excluded.digest, issued = excluded.issued, expires = excluded.expires, body = excluded.body
		where publication.sequence = $8`
	n, err := tx.Exec(ctx, q, tenant, kind, p.sequence, notNil(p.digest), db.Millis(p.issued), db.Millis(p.expires), p.body, before)
	return n == 1, err
}
