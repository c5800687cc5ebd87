package issuer

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/statuslist"
)

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
		where("valid_until <=", db.Millis(now))
	case StateValid:
		where("revoked =", int64(0))
		where("valid_until >", db.Millis(now))
	}
	if f.After.ID != "" {
		args = append(args, db.Millis(f.After.Issued), f.After.ID)
		fmt.Fprintf(&q, " and (created < $%[1]d or created = $%[1]d and id > $%[2]d)", len(args)-1, len(args))
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
		d.Issued, d.ValidUntil, d.Revoked = db.Time(created), db.Time(until), db.Time(revoked)
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
	if _, err := tx.Exec(ctx, mark, tenant, id, db.Millis(now), reason); err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	const find = `
		select distinct e.list from batch_entry e join batch b on b.tenant = e.tenant and b.id = e.batch
		where b.tenant = $1 and b.document = $2 order by e.list`
	lists, err := tx.Texts(ctx, find, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	const entries = `
		update batch_entry set invalid = $3
		where tenant = $1 and batch in (select id from batch where tenant = $1 and document = $2)`
	if _, err := tx.Exec(ctx, entries, tenant, id, true); err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	return lists, statuslist.Changed(ctx, tx.Records(tenant), lists...)
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
	errTooMany = errors.New("no more copies today")
	errRevoked = errors.New("the document was revoked")
)

// batchWindow is the time in which no more than a number of batches of one
// document are issued.
const batchWindow = 24 * time.Hour

// record writes a batch down, with a new document at the first of a grant, and
// returns the document's id.
func record(ctx context.Context, tx *db.Tx, r issued, maxBatches int) (string, error) {
	const find = `
		select d.id, d.revoked, (select count(*) from batch b where b.tenant = d.tenant and b.document = d.id and b.issued > $4)
		from document d where d.tenant = $1 and d.grant_id = $2 and d.offering = $3`
	var document string
	var batches int
	var revoked int64
	err := tx.QueryRow(ctx, find, r.tenant, r.grant, r.offering, db.Millis(r.now.Add(-batchWindow))).Scan(&document, &revoked, &batches)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		document = r.document
		const q = `
			insert into document (tenant, id, offering, doctype, subject, grant_id, created, fingerprint, batches, copies, valid_until, level, revoked, reason)
			values ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, 0, '')`
		_, err = tx.Exec(ctx, q, r.tenant, document, r.offering, r.docType, r.subject, r.grant, db.Millis(r.now), r.fingerprint,
			r.copies, db.Millis(r.validUntil), r.level)
	case err != nil:
	case revoked != 0:
		return "", errRevoked
	case batches >= maxBatches:
		return "", errTooMany
	default:
		const q = `
			update document set fingerprint = $3, batches = batches + 1, copies = copies + $4, valid_until = $5, level = $6
			where tenant = $1 and id = $2`
		_, err = tx.Exec(ctx, q, r.tenant, document, r.fingerprint, r.copies, db.Millis(r.validUntil), r.level)
	}
	if err != nil {
		return "", fmt.Errorf("issuer: record document: %w", err)
	}
	const q = `
		insert into batch (tenant, id, document, issued, copies, valid_from, valid_until, signer_serial, level, client, wallet, wallet_version,
			attester, instance_list, instance_index, instance_ends, key_list, key_index, key_ends)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`
	_, err = tx.Exec(ctx, q, r.tenant, r.batch, document, db.Millis(r.now), r.copies, db.Millis(r.validFrom), db.Millis(r.validUntil), r.signer, r.level,
		r.client, r.wallet, r.walletVersion, r.attester,
		r.instance.Reference.URI, int64(r.instance.Reference.Index), db.Millis(r.instance.Ends),
		r.keys.Reference.URI, int64(r.keys.Reference.Index), db.Millis(r.keys.Ends))
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

// invalidIndexes returns the indexes of revoked copies in a list.
func invalidIndexes(ctx context.Context, tx *db.Tx, tenant, list string) ([]uint64, error) {
	const q = `select indexes from batch_entry where tenant = $1 and list = $2 and invalid = $3`
	rows, err := tx.Query(ctx, q, tenant, list, true)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []uint64
	for rows.Next() {
		var packed []byte
		if err := rows.Scan(&packed); err != nil {
			return nil, err
		}
		for ; len(packed) >= 4; packed = packed[4:] {
			out = append(out, uint64(binary.BigEndian.Uint32(packed)))
		}
	}
	return out, rows.Err()
}

// noteEvent keeps what an app said of a batch, and reports whether that is
// news. A batch of another grant is errNoBatch.
func noteEvent(ctx context.Context, tx *db.Tx, tenant, grant, batch, event string, now time.Time) (changed bool, err error) {
	const find = `
		select b.event from batch b join document d on d.tenant = b.tenant and d.id = b.document
		where b.tenant = $1 and b.id = $2 and d.grant_id = $3`
	var before string
	err = tx.QueryRow(ctx, find, tenant, batch, grant).Scan(&before)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, errNoBatch
	case err != nil:
		return false, fmt.Errorf("issuer: find batch: %w", err)
	case before == event:
		return false, nil
	}
	if _, err := tx.Exec(ctx, `update batch set event = $3, event_time = $4 where tenant = $1 and id = $2`, tenant, batch, event, db.Millis(now)); err != nil {
		return false, fmt.Errorf("issuer: note event: %w", err)
	}
	return true, nil
}
