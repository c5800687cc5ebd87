package issuer

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/attestation"
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

// macKey returns the id of the tenant's agreement key, fresh if there was none.
func macKey(ctx context.Context, tx *db.Tx, tenant, fresh string) (string, error) {
	if fresh != "" {
		const q = `insert into mac_key (tenant, key_id) values ($1, $2) on conflict (tenant) do nothing`
		if _, err := tx.Exec(ctx, q, tenant, fresh); err != nil {
			return "", err
		}
	}
	var id string
	err := tx.QueryRow(ctx, `select key_id from mac_key where tenant = $1`, tenant).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
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

// newestCRL returns the list with the greatest number; a zero number if there
// is none.
func newestCRL(ctx context.Context, tx *db.Tx, tenant string) (number int64, nextUpdate time.Time, der []byte, err error) {
	const q = `select number, next_update, der from crl where tenant = $1 order by number desc limit 1`
	var next int64
	err = tx.QueryRow(ctx, q, tenant).Scan(&number, &next, &der)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, nil, nil
	}
	return number, fromMillis(next), der, err
}

// putCRL replaces all lists of lower numbers.
func putCRL(ctx context.Context, tx *db.Tx, tenant string, number int64, nextUpdate time.Time, der []byte) error {
	if _, err := tx.Exec(ctx, `delete from crl where tenant = $1 and number < $2`, tenant, number); err != nil {
		return err
	}
	const q = `insert into crl (tenant, number, next_update, der) values ($1, $2, $3, $4)`
	_, err := tx.Exec(ctx, q, tenant, number, millis(nextUpdate), der)
	return err
}

// documents lists what matches the filter, the newest first; all if it has no
// limit.
func documents(ctx context.Context, tx *db.Tx, tenant string, f Filter, now time.Time) ([]Document, error) {
	q := strings.Builder{}
	q.WriteString(`select id, offering, doctype, subject, created, batches, copies, valid_until, level, revoked, reason
		from document where tenant = $1`)
	args := []any{tenant}
	where := func(condition string, arg any) {
		args = append(args, arg)
		fmt.Fprintf(&q, " and %s $%d", condition, len(args))
	}
	if f.ID != "" {
		where("id =", f.ID)
	}
	if f.Subject != "" {
		where("subject =", f.Subject)
	}
	if f.Offering != "" {
		where("offering =", f.Offering)
	}
	switch f.State {
	case StateRevoked:
		where("revoked <>", int64(0))
	case StateExpired:
		where("revoked =", int64(0))
		where("valid_until <=", millis(now))
	case StateValid:
		where("revoked =", int64(0))
		where("valid_until >", millis(now))
	}
	q.WriteString(" order by created desc, id")
	if f.Limit > 0 {
		args = append(args, f.Limit)
		fmt.Fprintf(&q, " limit $%d", len(args))
	}
	rows, err := tx.Query(ctx, q.String(), args...)
	if err != nil {
		return nil, fmt.Errorf("issuer: list documents: %w", err)
	}
	defer rows.Close()
	var list []Document
	for rows.Next() {
		var d Document
		var created, until, revoked int64
		if err := rows.Scan(&d.ID, &d.Offering, &d.DocType, &d.Subject, &created, &d.Batches, &d.Copies, &until, &d.Level, &revoked, &d.Reason); err != nil {
			return nil, fmt.Errorf("issuer: list documents: %w", err)
		}
		d.Issued, d.ValidUntil, d.Revoked = fromMillis(created), fromMillis(until), fromMillis(revoked)
		switch {
		case revoked != 0:
			d.State = StateRevoked
		case !d.ValidUntil.After(now):
			d.State = StateExpired
		default:
			d.State = StateValid
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// revokeDocument marks a document and all of its copies, and returns the
// status lists that have changed.
func revokeDocument(ctx context.Context, tx *db.Tx, tenant, id, reason string, now time.Time) ([]string, error) {
	const mark = `update document set revoked = $3, reason = $4 where tenant = $1 and id = $2 and revoked = 0`
	if _, err := tx.Exec(ctx, mark, tenant, id, millis(now), reason); err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	const find = `
		select distinct e.list from batch_entry e join batch b on b.tenant = e.tenant and b.id = e.batch
		where b.tenant = $1 and b.document = $2 order by e.list`
	lists, err := texts(ctx, tx, find, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	const entries = `
		update batch_entry set invalid = $3
		where tenant = $1 and batch in (select id from batch where tenant = $1 and document = $2)`
	if _, err := tx.Exec(ctx, entries, tenant, id, true); err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	for _, list := range lists {
		if _, err := tx.Exec(ctx, `update status_list set version = version + 1 where tenant = $1 and id = $2`, tenant, list); err != nil {
			return nil, fmt.Errorf("issuer: revoke document: %w", err)
		}
	}
	return lists, nil
}

// texts runs a query that returns one column of text.
func texts(ctx context.Context, tx *db.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// issued is one batch of signed copies, as it is recorded.
type issued struct {
	tenant, offering, docType, subject, grant string
	document, batch                           string // ids; document is for a new one
	now, validFrom, validUntil                time.Time
	fingerprint                               []byte
	signer                                    string // serial number of the document signer's certificate
	level, client                             string
	wallet, walletVersion, attester           string
	instance, keys                            attestation.Status
	entries                                   map[string][]uint64 // indexes by status list
	copies                                    int
}

var (
	errTooMany = errors.New("no more copies for this token")
	errRevoked = errors.New("the document was revoked")
)

// record writes a batch down, with a new document at the first of a grant, and
// returns the document's id.
func record(ctx context.Context, tx *db.Tx, r issued, maxBatches int) (string, error) {
	const find = `select id, batches, revoked from document where tenant = $1 and grant_id = $2 and offering = $3`
	var document string
	var batches int
	var revoked int64
	err := tx.QueryRow(ctx, find, r.tenant, r.grant, r.offering).Scan(&document, &batches, &revoked)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		document = r.document
		const q = `
			insert into document (tenant, id, offering, doctype, subject, grant_id, created, fingerprint, batches, copies, valid_until, level, revoked, reason)
			values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, 0, '')`
		_, err = tx.Exec(ctx, q, r.tenant, document, r.offering, r.docType, r.subject, r.grant, millis(r.now), r.fingerprint,
			r.copies, millis(r.validUntil), r.level)
	case err != nil:
	case revoked != 0:
		return "", errRevoked
	case batches >= maxBatches:
		return "", errTooMany
	default:
		const q = `
			update document set fingerprint = $3, batches = batches + 1, copies = copies + $4, valid_until = $5, level = $6
			where tenant = $1 and id = $2`
		_, err = tx.Exec(ctx, q, r.tenant, document, r.fingerprint, r.copies, millis(r.validUntil), r.level)
	}
	if err != nil {
		return "", fmt.Errorf("issuer: record document: %w", err)
	}
	const q = `
		insert into batch (tenant, id, document, issued, copies, valid_from, valid_until, signer_serial, level, client, wallet, wallet_version,
			attester, instance_list, instance_index, instance_ends, key_list, key_index, key_ends)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	_, err = tx.Exec(ctx, q, r.tenant, r.batch, document, millis(r.now), r.copies, millis(r.validFrom), millis(r.validUntil), r.signer, r.level,
		r.client, r.wallet, r.walletVersion, r.attester,
		r.instance.Reference.URI, int64(r.instance.Reference.Index), millis(r.instance.Ends),
		r.keys.Reference.URI, int64(r.keys.Reference.Index), millis(r.keys.Ends))
	if err != nil {
		return "", fmt.Errorf("issuer: record batch: %w", err)
	}
	for list, indexes := range r.entries {
		const q = `insert into batch_entry (tenant, list, batch, indexes, invalid) values ($1, $2, $3, $4, $5)`
		if _, err := tx.Exec(ctx, q, r.tenant, list, r.batch, packIndexes(indexes), false); err != nil {
			return "", fmt.Errorf("issuer: record status entries: %w", err)
		}
	}
	return document, nil
}

func packIndexes(indexes []uint64) []byte {
	out := make([]byte, 0, 4*len(indexes))
	for _, i := range indexes {
		out = binary.BigEndian.AppendUint32(out, uint32(i)) // lists have at most 2^31 entries
	}
	return out
}
