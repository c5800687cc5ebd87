package verifier

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// All SQL of the verifier is in this file and store_relying.go.

// row is a transaction as it is stored.
type row struct {
	id, handle, code         string
	state                    State
	created, expires, forget time.Time
	request, result          []byte // sealed

	opener   []byte        // public key that the result is sealed to; empty: under the tenant's key
	retain   time.Duration // for which the result is kept, 0 if not
	evidence []byte        // sealed under the tenant's key; of what is kept only
	label    string        // what was asked, for the operator
}

const rowColumns = `id, handle, state, created, expires, forget, code, request, result, opener, retain, evidence, label`

func insertRow(ctx context.Context, tx *db.Tx, tenant string, r row) error {
	_, err := tx.Exec(ctx, `
		insert into presentation (tenant, `+rowColumns+`)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		tenant, r.id, r.handle, string(r.state), r.created.UnixMilli(), r.expires.UnixMilli(), r.forget.UnixMilli(), "", r.request, []byte{},
		r.opener, r.retain.Milliseconds(), r.evidence, r.label)
	return err
}

// isName reports whether a text can be an id or handle of ours: base64url or
// base32. Others are not looked for: what is no text is an error to PostgreSQL.
func isName(s string) bool {
	return len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	})
}

// Which row is meant.
const (
	byID     = `id = $2`
	byHandle = `handle = $2`
	byCode   = `code = $2 and code <> ''`
)

// readRow returns a row that is not to be forgotten yet, or ErrUnknownTransaction.
func readRow(ctx context.Context, tx *db.Tx, tenant, which, value string, now time.Time) (row, error) {
	if !isName(value) {
		return row{}, ErrUnknownTransaction
	}
	var r row
	var created, expires, forget, retain int64
	err := tx.QueryRow(ctx, `
		select `+rowColumns+` from presentation
		where tenant = $1 and `+which+` and forget > $3`, tenant, value, now.UnixMilli()).
		Scan(&r.id, &r.handle, (*string)(&r.state), &created, &expires, &forget, &r.code, &r.request, &r.result,
			&r.opener, &retain, &r.evidence, &r.label)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, ErrUnknownTransaction
	}
	r.created, r.expires, r.forget = time.UnixMilli(created).UTC(), time.UnixMilli(expires).UTC(), time.UnixMilli(forget).UTC()
	r.retain = time.Duration(retain) * time.Millisecond
	if r.state.open() && !now.Before(r.expires) {
		r.state = Expired
	}
	return r, err
}

// markFetched notes that a wallet came for the request.
func markFetched(ctx context.Context, tx *db.Tx, tenant, id string) error {
	_, err := tx.Exec(ctx, `update presentation set state = 'fetched' where tenant = $1 and id = $2 and state = 'waiting'`, tenant, id)
	return err
}

// keepEvidence stores, sealed, what a wallet was given, of an open transaction.
func keepEvidence(ctx context.Context, tx *db.Tx, tenant, id string, evidence []byte) error {
	_, err := tx.Exec(ctx, `
		update presentation set evidence = $3 where tenant = $1 and id = $2 and (state = 'waiting' or state = 'fetched')`, tenant, id, evidence)
	return err
}

// finishRow ends a transaction that is still open, with its sealed result. It
// reports whether it was: of several answers one wins. What was sealed to be
// asked is deleted.
func finishRow(ctx context.Context, tx *db.Tx, tenant string, r row, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `
		update presentation set state = $3, code = $4, result = $5, forget = $6, request = $7, evidence = $8
		where tenant = $1 and id = $2 and (state = 'waiting' or state = 'fetched') and expires > $9`,
		tenant, r.id, string(r.state), r.code, r.result, r.forget.UnixMilli(), []byte{}, r.evidence, now.UnixMilli())
	return n == 1, err
}

// deleteRow forgets a transaction at once.
func deleteRow(ctx context.Context, tx *db.Tx, tenant, id string) error {
	_, err := tx.Exec(ctx, `delete from presentation where tenant = $1 and id = $2`, tenant, id)
	return err
}

// deletePast forgets what became of it.
func deletePast(ctx context.Context, tx *db.Tx, tenant, id string) error {
	_, err := tx.Exec(ctx, `delete from history where tenant = $1 and id = $2`, tenant, id)
	return err
}

// deleteForgotten deletes what has outlived its time.
func deleteForgotten(ctx context.Context, tx *db.Tx, now time.Time) error {
	for _, q := range []string{
		`delete from presentation where forget <= $1`, `delete from history where forget <= $1`, `delete from deletion where forget <= $1`,
	} {
		if _, err := tx.Exec(ctx, q, now.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// The kinds of items in a pack.
const (
	itemStatus = "status"
	itemCRL    = "crl"
)

// item is a signed list in the offline pack.
type item struct {
	kind, name string
	body       []byte
	fetched    time.Time
}

// replaceItems makes the items the tenant's pack.
func replaceItems(ctx context.Context, tx *db.Tx, tenant string, items []item) error {
	if _, err := tx.Exec(ctx, `delete from pack_item where tenant = $1`, tenant); err != nil {
		return err
	}
	for _, i := range items {
		_, err := tx.Exec(ctx, `
			insert into pack_item (tenant, kind, name, body, fetched) values ($1, $2, $3, $4, $5)`,
			tenant, i.kind, i.name, i.body, i.fetched.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

func readItems(ctx context.Context, tx *db.Tx, tenant string) ([]item, error) {
	rows, err := tx.Query(ctx, `select kind, name, body, fetched from pack_item where tenant = $1 order by kind, name`, tenant)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []item
	for rows.Next() {
		var i item
		var fetched int64
		if err := rows.Scan(&i.kind, &i.name, &i.body, &fetched); err != nil {
			return nil, err
		}
		i.fetched = time.UnixMilli(fetched).UTC()
		items = append(items, i)
	}
	return items, rows.Err()
}

// knownList is a status list that a document referred to.
type knownList struct {
	uri    string
	issuer [][]byte // chain of the document's signer, DER
}

// signer is the first of the chain.
func (l knownList) signer() []byte {
	if len(l.issuer) == 0 {
		return nil
	}
	return l.issuer[0]
}

// maxKnownLists bounds what documents can make a verifier remember.
const maxKnownLists = 1024

// rememberLists notes the lists of valid documents, and forgets the ones not
// met for longest beyond the bound.
func rememberLists(ctx context.Context, tx *db.Tx, tenant string, lists []knownList, now time.Time) error {
	if len(lists) == 0 {
		return nil
	}
	for _, l := range lists {
		issuer, err := json.Marshal(l.issuer)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into known_list (tenant, uri, issuer, seen) values ($1, $2, $3, $4)
			on conflict (tenant, uri) do update set issuer = $3, seen = $4`, tenant, l.uri, issuer, now.UnixMilli())
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `
		delete from known_list where tenant = $1 and uri not in (
			select uri from known_list where tenant = $1 order by seen desc limit $2)`, tenant, maxKnownLists)
	return err
}

func readKnownLists(ctx context.Context, tx *db.Tx, tenant string) ([]knownList, error) {
	rows, err := tx.Query(ctx, `select uri, issuer from known_list where tenant = $1 order by uri`, tenant)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lists []knownList
	for rows.Next() {
		var l knownList
		var issuer []byte
		if err := rows.Scan(&l.uri, &issuer); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(issuer, &l.issuer); err != nil {
			return nil, err
		}
		lists = append(lists, l)
	}
	return lists, rows.Err()
}
