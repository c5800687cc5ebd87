package issuer

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// documents lists what matches the filter, the newest first; all if it has no
// limit.
func documents(ctx context.Context, tx *db.Tx, tenant string, f Filter, now time.Time) ([]Document, error) {
	q := strings.Builder{}
	q.WriteString(`select id, offering, doctype, format, subject, created, batches, copies, valid_until, level, revoked, suspended, outdated, reason
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
	case StateSuspended:
		where("revoked =", int64(0))
		where("suspended <>", int64(0))
	case StateExpired:
		where("revoked =", int64(0))
		where("suspended =", int64(0))
		where("valid_until <=", db.Millis(now))
	case StateValid:
		where("revoked =", int64(0))
		where("suspended =", int64(0))
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
		var created, until, revoked, suspended, outdated int64
		if err := rows.Scan(&d.ID, &d.Offering, &d.DocType, &d.Format, &d.Subject, &created, &d.Batches, &d.Copies, &until, &d.Level,
			&revoked, &suspended, &outdated, &d.Reason); err != nil {
			return nil, fmt.Errorf("issuer: list documents: %w", err)
		}
		d.Issued, d.ValidUntil, d.Revoked = db.Time(created), db.Time(until), db.Time(revoked)
		d.Suspended, d.Outdated = db.Time(suspended), db.Time(outdated)
		switch {
		case revoked != 0:
			d.State = StateRevoked
		case suspended != 0:
			d.State = StateSuspended
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
func revokeDocument(ctx context.Context, tx *db.Tx, tenant string, d Document, reason string, now time.Time) ([]string, error) {
	const mark = `update document set revoked = $3, reason = $4 where tenant = $1 and id = $2 and revoked = 0`
	if _, err := tx.Exec(ctx, mark, tenant, d.ID, db.Millis(now), reason); err != nil {
		return nil, fmt.Errorf("issuer: revoke document: %w", err)
	}
	return markEntries(ctx, tx, tenant, d.ID, "invalid", true)
}

// suspendDocument marks a document and its copies: those whose lists cannot say
// that they are suspended are invalid.
func suspendDocument(ctx context.Context, tx *db.Tx, tenant string, d Document, reason string, now time.Time) ([]string, error) {
	const mark = `update document set suspended = $3, reason = $4 where tenant = $1 and id = $2 and suspended = 0`
	if _, err := tx.Exec(ctx, mark, tenant, d.ID, db.Millis(now), reason); err != nil {
		return nil, fmt.Errorf("issuer: suspend document: %w", err)
	}
	return markEntries(ctx, tx, tenant, d.ID, suspendable(d.Format), true)
}

func resumeDocument(ctx context.Context, tx *db.Tx, tenant string, d Document) ([]string, error) {
	const mark = `update document set suspended = 0, reason = '' where tenant = $1 and id = $2`
	if _, err := tx.Exec(ctx, mark, tenant, d.ID); err != nil {
		return nil, fmt.Errorf("issuer: resume document: %w", err)
	}
	if suspendable(d.Format) != "suspended" {
		return nil, nil // what is invalid stays so
	}
	return markEntries(ctx, tx, tenant, d.ID, "suspended", false)
}

// suspendable is the column that a suspension changes.
func suspendable(format string) string {
	if format == offering.FormatSDJWT {
		return "suspended"
	}
	return "invalid"
}

// markEntries changes what is said of all copies of a document, and returns the
// status lists that have changed.
func markEntries(ctx context.Context, tx *db.Tx, tenant, document, column string, value bool) ([]string, error) {
	const find = `
		select distinct e.list from batch_entry e join batch b on b.tenant = e.tenant and b.id = e.batch
		where b.tenant = $1 and b.document = $2 order by e.list`
	lists, err := tx.Texts(ctx, find, tenant, document)
	if err != nil {
		return nil, fmt.Errorf("issuer: find status entries: %w", err)
	}
	mark := `update batch_entry set invalid = $3 where tenant = $1 and batch in (select id from batch where tenant = $1 and document = $2)`
	if column == "suspended" {
		mark = `update batch_entry set suspended = $3 where tenant = $1 and batch in (select id from batch where tenant = $1 and document = $2)`
	}
	if _, err := tx.Exec(ctx, mark, tenant, document, value); err != nil {
		return nil, fmt.Errorf("issuer: mark status entries: %w", err)
	}
	return lists, statuslist.Changed(ctx, tx.Records(tenant), lists...)
}

// forgetDocument takes out whose a document was and what it was issued to. It
// returns the grant that it was issued by if nothing else of that one is left.
func forgetDocument(ctx context.Context, tx *db.Tx, tenant, id string, now time.Time) (grant string, err error) {
	const doc = `update document set subject = '', fingerprint = $3, forgotten = $4 where tenant = $1 and id = $2`
	if _, err := tx.Exec(ctx, doc, tenant, id, []byte{}, db.Millis(now)); err != nil {
		return "", fmt.Errorf("issuer: forget document: %w", err)
	}
	const batch = `
		update batch set client = '', wallet = '', wallet_version = '', attester = '', instance_list = '', instance_index = 0, key_list = '', key_index = 0
		where tenant = $1 and document = $2`
	if _, err := tx.Exec(ctx, batch, tenant, id); err != nil {
		return "", fmt.Errorf("issuer: forget document: %w", err)
	}
	const last = `
		select d.grant_id from document d where d.tenant = $1 and d.id = $2 and not exists
		(select 1 from document o where o.tenant = d.tenant and o.grant_id = d.grant_id and o.forgotten = 0)`
	err = tx.QueryRow(ctx, last, tenant, id).Scan(&grant)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("issuer: forget document: %w", err)
	}
	return grant, nil
}

// compared is a document with what it is compared with the register by.
type compared struct {
	Document
	fingerprint []byte
	asOf        time.Time
}

// toCompare returns the next documents after an id that have to follow the
// register: neither revoked nor forgotten.
func toCompare(ctx context.Context, tx *db.Tx, tenant, after string, n int) ([]compared, error) {
	const q = `
		select id, offering, format, subject, valid_until, outdated, fingerprint, as_of
		from document where tenant = $1 and id > $2 and revoked = 0 and forgotten = 0 order by id limit $3`
	rows, err := tx.Query(ctx, q, tenant, after, n)
	if err != nil {
		return nil, fmt.Errorf("issuer: documents to compare: %w", err)
	}
	defer rows.Close()
	var list []compared
	for rows.Next() {
		var d compared
		var until, outdated, asOf int64
		if err := rows.Scan(&d.ID, &d.Offering, &d.Format, &d.Subject, &until, &outdated, &d.fingerprint, &asOf); err != nil {
			return nil, fmt.Errorf("issuer: documents to compare: %w", err)
		}
		d.ValidUntil, d.Outdated, d.asOf = db.Time(until), db.Time(outdated), db.Time(asOf)
		list = append(list, d)
	}
	return list, rows.Err()
}

// setOutdated notes since when a document is outdated; zero: it is not.
func setOutdated(since time.Time) func(context.Context, *db.Tx, string, Document, string, time.Time) ([]string, error) {
	return func(ctx context.Context, tx *db.Tx, tenant string, d Document, _ string, _ time.Time) ([]string, error) {
		var at int64
		if !since.IsZero() {
			at = db.Millis(since)
		}
		if _, err := tx.Exec(ctx, `update document set outdated = $3 where tenant = $1 and id = $2`, tenant, d.ID, at); err != nil {
			return nil, fmt.Errorf("issuer: note outdated document: %w", err)
		}
		return nil, nil
	}
}

// endCopies revokes all copies of a document, which may get new ones.
func endCopies(ctx context.Context, tx *db.Tx, tenant string, d Document, _ string, now time.Time) ([]string, error) {
	if _, err := tx.Exec(ctx, `update document set valid_until = $3 where tenant = $1 and id = $2`, tenant, d.ID, db.Millis(now)); err != nil {
		return nil, fmt.Errorf("issuer: end copies: %w", err)
	}
	return markEntries(ctx, tx, tenant, d.ID, "invalid", true)
}

// sweepForgotten deletes forgotten documents all of whose copies have ended:
// nobody asks for their status any more. One whose grant still holds for
// another document stays, so that the grant gets no new copies of it.
func sweepForgotten(ctx context.Context, tx *db.Tx, now time.Time) error {
	const over = `d.forgotten <> 0 and d.valid_until < $1 and not exists
		(select 1 from document o where o.tenant = d.tenant and o.grant_id = d.grant_id and o.forgotten = 0)`
	for _, q := range []string{
		`delete from batch_entry where (tenant, batch) in
			(select b.tenant, b.id from document d join batch b on b.tenant = d.tenant and b.document = d.id where ` + over + `)`,
		`delete from batch where (tenant, document) in (select d.tenant, d.id from document d where ` + over + `)`,
		`delete from document as d where ` + over,
	} {
		if _, err := tx.Exec(ctx, q, db.Millis(now)); err != nil {
			return fmt.Errorf("issuer: sweep forgotten documents: %w", err)
		}
	}
	return nil
}

// entitled is who may have copies of what.
type entitled struct {
	tenant, grant, offering string
	person                  string // subjectReference
	granted                 time.Time
}

// issued is one batch of signed copies, as it is recorded.
type issued struct {
	entitled
	docType, subject, format        string
	offer                           string // that the person approved for the grant, "" for none
	document, batch                 string // ids; document is for a new one
	now, validFrom, validUntil      time.Time
	fingerprint                     []byte
	signer                          string // serial number of the document signer's certificate
	level, client                   string
	wallet, walletVersion, attester string
	instance, keys                  attestation.Status
	entries                         map[string][]uint64 // indexes by status list
	copies                          int
}

var (
	errTooMany   = errors.New("no more copies today")
	errSuspended = errors.New("the document is suspended")
	errRevoked   = errors.New("the document was revoked")
)

// batchWindow is the time in which no more than a number of batches of one
// document are issued.
const batchWindow = 24 * time.Hour

// standing finds the document of a grant and offering, "" if there is none yet,
// and whether what its copies say is outdated. Its errors say that no more
// copies are given out: errTooMany, errSuspended, errRevoked.
func standing(ctx context.Context, tx *db.Tx, who entitled, maxBatches int, now time.Time) (document string, outdated bool, err error) {
	const find = `
		select d.id, d.revoked, d.suspended, d.outdated, (select count(*) from batch b where b.tenant = d.tenant and b.document = d.id and b.issued > $4)
		from document d where d.tenant = $1 and d.grant_id = $2 and d.offering = $3`
	var batches int
	var revoked, suspended, since int64
	err = tx.QueryRow(ctx, find, who.tenant, who.grant, who.offering, db.Millis(now.Add(-batchWindow))).Scan(&document, &revoked, &suspended, &since, &batches)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, stillGranted(ctx, tx.Once(who.tenant), who, now)
	case err != nil:
		return "", false, fmt.Errorf("issuer: find document: %w", err)
	case revoked != 0:
		return "", false, errRevoked
	case suspended != 0:
		return "", false, errSuspended
	case batches >= maxBatches:
		return "", false, errTooMany
	}
	return document, since != 0, nil
}

// record writes a batch down, with a new document at the first of a grant, and
// returns the document's id.
func record(ctx context.Context, tx *db.Tx, r issued, maxBatches int) (string, error) {
	document, outdated, err := standing(ctx, tx, r.entitled, maxBatches, r.now)
	switch {
	case err != nil:
		return "", err
	case document == "":
		document = r.document
		const q = `
			insert into document (tenant, id, offering, doctype, format, subject, grant_id, created, fingerprint, as_of, batches, copies, valid_until, level, revoked, reason)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $13, 0, '')`
		_, err = tx.Exec(ctx, q, r.tenant, document, r.offering, r.docType, r.format, r.subject, r.grant, db.Millis(r.now), r.fingerprint,
			db.Millis(r.validFrom), r.copies, db.Millis(r.validUntil), r.level)
	default:
		if outdated { // what the earlier copies say is not so any more
			if _, err := markEntries(ctx, tx, r.tenant, document, "invalid", true); err != nil {
				return "", err
			}
		}
		const q = `
			update document set fingerprint = $3, as_of = $4, outdated = 0, batches = batches + 1, copies = copies + $5, valid_until = $6, level = $7
			where tenant = $1 and id = $2`
		_, err = tx.Exec(ctx, q, r.tenant, document, r.fingerprint, db.Millis(r.validFrom), r.copies, db.Millis(r.validUntil), r.level)
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

// statusValues returns the entries of a list that are not valid.
func statusValues(ctx context.Context, tx *db.Tx, tenant, list string) ([]statuslist.Value, error) {
	const q = `select indexes, invalid from batch_entry where tenant = $1 and list = $2 and (invalid or suspended)`
	rows, err := tx.Query(ctx, q, tenant, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []statuslist.Value
	for rows.Next() {
		var packed []byte
		var invalid bool
		if err := rows.Scan(&packed, &invalid); err != nil {
			return nil, err
		}
		said := status.Suspended
		if invalid {
			said = status.Invalid
		}
		for ; len(packed) >= 4; packed = packed[4:] {
			out = append(out, statuslist.Value{Index: uint64(binary.BigEndian.Uint32(packed)), Status: said})
		}
	}
	return out, rows.Err()
}

// noteEvent keeps what an app said of a batch, and reports whether that is
// news: copies that failed may be accepted later, those that were deleted stay
// so, and what is said backwards is not written down. A batch of another grant
// is errNoBatch.
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
	case before == event || before == string(oid4vci.EventDeleted) || before == string(oid4vci.EventAccepted) && event == string(oid4vci.EventFailure):
		return false, nil
	}
	if _, err := tx.Exec(ctx, `update batch set event = $3, event_time = $4 where tenant = $1 and id = $2`, tenant, batch, event, db.Millis(now)); err != nil {
		return false, fmt.Errorf("issuer: note event: %w", err)
	}
	return true, nil
}
