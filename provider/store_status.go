package provider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/statuslist"
)

// Kinds of entries.
const (
	kindInstance = "instance" // of one key of an instance
	kindKeys     = "keys"     // of keys that were attested together
)

// entry is a place in a status list and what stands there.
type entry struct {
	list          string
	index         uint64
	instance      string
	kind, name    string
	keys          int
	areaType      string
	level         attestation.Level
	appVersion    string
	created, ends time.Time
}

func putEntry(ctx context.Context, tx *db.Tx, tenant string, e entry) error {
	const q = `
		insert into status_entry (tenant, list, idx, instance, kind, name, keys, area_type, level, app_version, created, ends, invalid)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`
	_, err := tx.Exec(ctx, q, tenant, e.list, int64(e.index), e.instance, e.kind, e.name, e.keys, e.areaType, string(e.level), e.appVersion,
		db.Millis(e.created), db.Millis(e.ends), false)
	if err != nil {
		return fmt.Errorf("provider: record status entry: %w", err)
	}
	return nil
}

func entryByName(ctx context.Context, tx *db.Tx, tenant, instance, kind, name string) (entry, bool, error) {
	const q = `
		select list, idx, keys, area_type, level, app_version, created, ends
		from status_entry where tenant = $1 and instance = $2 and kind = $3 and name = $4`
	e := entry{instance: instance, kind: kind, name: name}
	var index, created, ends int64
	err := tx.QueryRow(ctx, q, tenant, instance, kind, name).Scan(&e.list, &index, &e.keys, &e.areaType, &e.level, &e.appVersion, &created, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("provider: find status entry: %w", err)
	}
	e.index, e.created, e.ends = uint64(index), db.Time(created), db.Time(ends)
	return e, true, nil
}

// extendEntry keeps an entry up to date for longer.
func extendEntry(ctx context.Context, tx *db.Tx, tenant string, e entry) error {
	const q = `
		update status_entry set ends = $4, app_version = $5
		where tenant = $1 and list = $2 and idx = $3 and ends <= $4`
	_, err := tx.Exec(ctx, q, tenant, e.list, int64(e.index), db.Millis(e.ends), e.appVersion)
	return err
}

// statusValues returns the revoked entries of a list.
func statusValues(ctx context.Context, tx *db.Tx, tenant, list string) ([]statuslist.Value, error) {
	rows, err := tx.Query(ctx, `select idx from status_entry where tenant = $1 and list = $2 and invalid`, tenant, list) // as its index says
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []statuslist.Value
	for rows.Next() {
		var index int64
		if err := rows.Scan(&index); err != nil {
			return nil, err
		}
		out = append(out, statuslist.Value{Index: uint64(index), Status: status.Invalid})
	}
	return out, rows.Err()
}
