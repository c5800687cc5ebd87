package provider

import (
	"context"
	"database/sql"
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

// instance is a registered installation.
type instance struct {
	id, thumbprint             string
	jwk                        []byte
	app                        attestation.App
	area                       attestation.Area
	evidence                   string
	level                      attestation.Level
	created, lastSeen, revoked time.Time
	reason                     string

	list  string // of the instance key's status; found by instances only
	index uint64
}

func putInstance(ctx context.Context, tx *db.Tx, tenant string, in instance) error {
	const q = `
		insert into instance (tenant, id, thumbprint, jwk, app_name, app_version, platform, area_type, area_name, evidence, level,
			created, last_seen, revoked, reason)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, '')`
	_, err := tx.Exec(ctx, q, tenant, in.id, in.thumbprint, in.jwk, in.app.Name, in.app.Version, in.app.Platform, in.area.Type, in.area.Name,
		in.evidence, string(in.level), millis(in.created), millis(in.lastSeen))
	if err != nil {
		return fmt.Errorf("provider: register instance: %w", err)
	}
	return nil
}

const selectInstance = `
	select i.id, i.thumbprint, i.jwk, i.app_name, i.app_version, i.platform, i.area_type, i.area_name, i.evidence, i.level,
		i.created, i.last_seen, i.revoked, i.reason, coalesce(e.list, ''), coalesce(e.idx, 0)
	from instance i left join status_entry e
		on e.tenant = i.tenant and e.instance = i.id and e.kind = 'instance' and e.name = i.thumbprint
	where i.tenant = $1`

func scanInstance(scan func(...any) error) (in instance, err error) {
	var created, seen, revoked, index int64
	err = scan(&in.id, &in.thumbprint, &in.jwk, &in.app.Name, &in.app.Version, &in.app.Platform, &in.area.Type, &in.area.Name,
		&in.evidence, &in.level, &created, &seen, &revoked, &in.reason, &in.list, &index)
	in.created, in.lastSeen, in.revoked, in.index = fromMillis(created), fromMillis(seen), fromMillis(revoked), uint64(index)
	return in, err
}

func instanceByID(ctx context.Context, tx *db.Tx, tenant, id string) (instance, bool, error) {
	return oneInstance(tx.QueryRow(ctx, selectInstance+" and i.id = $2", tenant, id))
}

func instanceByKey(ctx context.Context, tx *db.Tx, tenant, thumbprint string) (instance, bool, error) {
	return oneInstance(tx.QueryRow(ctx, selectInstance+" and i.thumbprint = $2", tenant, thumbprint))
}

func oneInstance(row *sql.Row) (instance, bool, error) {
	in, err := scanInstance(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return in, false, nil
	}
	if err != nil {
		return in, false, fmt.Errorf("provider: find instance: %w", err)
	}
	return in, true, nil
}

func instances(ctx context.Context, tx *db.Tx, tenant string, f Filter) ([]instance, error) {
	var q strings.Builder
	q.WriteString(selectInstance)
	args := []any{tenant}
	where := func(condition string, arg any) {
		args = append(args, arg)
		fmt.Fprintf(&q, " and %s $%d", condition, len(args))
	}
	if f.ID != "" {
		where("i.id =", f.ID)
	}
	if f.Revoked != nil && *f.Revoked {
		where("i.revoked <>", int64(0))
	}
	if f.Revoked != nil && !*f.Revoked {
		where("i.revoked =", int64(0))
	}
	args = append(args, f.Limit)
	fmt.Fprintf(&q, " order by i.created desc, i.id limit $%d", len(args))
	rows, err := tx.Query(ctx, q.String(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []instance
	for rows.Next() {
		in, err := scanInstance(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, in)
	}
	return list, rows.Err()
}

// touchInstance records that an instance was seen, and which version it is now.
func touchInstance(ctx context.Context, tx *db.Tx, tenant, id string, app attestation.App, now time.Time) error {
	const q = `
		update instance set last_seen = $3, app_name = $4, app_version = $5, platform = $6
		where tenant = $1 and id = $2`
	_, err := tx.Exec(ctx, q, tenant, id, millis(now), app.Name, app.Version, app.Platform)
	return err
}

// revokeInstance marks an instance and all of its entries, and the lists in
// which they stand as changed.
func revokeInstance(ctx context.Context, tx *db.Tx, tenant, id, reason string, now time.Time) error {
	const mark = `update instance set revoked = $3, reason = $4 where tenant = $1 and id = $2 and revoked = 0`
	if _, err := tx.Exec(ctx, mark, tenant, id, millis(now), reason); err != nil {
		return err
	}
	const entries = `update status_entry set invalid = $3 where tenant = $1 and instance = $2`
	if _, err := tx.Exec(ctx, entries, tenant, id, true); err != nil {
		return err
	}
	const lists = `
		update status_list set version = version + 1
		where tenant = $1 and id in (select list from status_entry where tenant = $1 and instance = $2)`
	_, err := tx.Exec(ctx, lists, tenant, id)
	return err
}

// listsOf returns the status lists in which an instance stands.
func listsOf(ctx context.Context, tx *db.Tx, tenant, id string) ([]string, error) {
	return texts(ctx, tx, `select distinct list from status_entry where tenant = $1 and instance = $2 order by list`, tenant, id)
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
