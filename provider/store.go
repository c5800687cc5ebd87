package provider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/statuslist"
)

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
		in.evidence, string(in.level), db.Millis(in.created), db.Millis(in.lastSeen))
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
	in.created, in.lastSeen, in.revoked, in.index = db.Time(created), db.Time(seen), db.Time(revoked), uint64(index)
	return in, err
}

func instanceByID(ctx context.Context, tx *db.Tx, tenant, id string) (instance, bool, error) {
	return oneInstance(tx.QueryRow(ctx, selectInstance+" and i.id = $2", tenant, id))
}

func instanceByKey(ctx context.Context, tx *db.Tx, tenant, thumbprint string) (instance, bool, error) {
	return oneInstance(tx.QueryRow(ctx, selectInstance+" and i.thumbprint = $2", tenant, thumbprint))
}

func oneInstance(row db.Row) (instance, bool, error) {
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
	_, err := tx.Exec(ctx, q, tenant, id, db.Millis(now), app.Name, app.Version, app.Platform)
	return err
}

// listsOf returns the status lists in which an instance stands.
func listsOf(ctx context.Context, tx *db.Tx, tenant, id string) ([]string, error) {
	return tx.Texts(ctx, `select distinct list from status_entry where tenant = $1 and instance = $2 order by list`, tenant, id)
}

// revokeInstance marks an instance and all of its entries, and the lists in
// which they stand as changed.
func revokeInstance(ctx context.Context, tx *db.Tx, tenant, id, reason string, lists []string, now time.Time) error {
	const mark = `update instance set revoked = $3, reason = $4 where tenant = $1 and id = $2 and revoked = 0`
	if _, err := tx.Exec(ctx, mark, tenant, id, db.Millis(now), reason); err != nil {
		return err
	}
	const entries = `update status_entry set invalid = $3 where tenant = $1 and instance = $2`
	if _, err := tx.Exec(ctx, entries, tenant, id, true); err != nil {
		return err
	}
	return statuslist.Changed(ctx, tx.Records(tenant), lists...)
}
