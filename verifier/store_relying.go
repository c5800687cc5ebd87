package verifier

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// readStates returns where transactions stand that are there, in one query.
func readStates(ctx context.Context, tx *db.Tx, keys []watched, now time.Time) (map[watched]Change, error) {
	n := 1
	for n < len(keys) {
		n *= 2 // few different statements, which engines compile and keep
	}
	marks, args := make([]string, n), make([]any, n)
	for i := range n {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), keys[min(i, len(keys)-1)].id
	}
	rows, err := tx.Query(ctx, `select tenant, id, state, expires, forget from presentation where id in (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[watched]Change{}
	for rows.Next() {
		var key watched
		var state State
		var expires, forget int64
		if err := rows.Scan(&key.tenant, &key.id, (*string)(&state), &expires, &forget); err != nil {
			return nil, err
		}
		r := row{state: state, expires: db.Time(expires), forget: db.Time(forget)}
		if r.state.open() && !now.Before(r.expires) {
			r.state = Expired
		}
		found[key] = r.change()
	}
	return found, rows.Err()
}

// maxExpired is how many transactions one sweep ends: what is left over is its
// next one's.
const maxExpired = 1000

// endExpired ends open transactions that nobody answered in time, and returns
// them with their tenants.
func endExpired(ctx context.Context, tx *db.Tx, now time.Time) ([]watched, error) {
	rows, err := tx.Query(ctx, `
		update presentation set state = 'expired', request = $1, evidence = $1
		where id in (select id from presentation where (state = 'waiting' or state = 'fetched') and expires <= $2 limit $3)
		and (state = 'waiting' or state = 'fetched')
		returning tenant, id`, []byte{}, now.UnixMilli(), maxExpired)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ended []watched
	for rows.Next() {
		var key watched
		if err := rows.Scan(&key.tenant, &key.id); err != nil {
			return nil, err
		}
		ended = append(ended, key)
	}
	return ended, rows.Err()
}

// past is a transaction that has ended, or one that is open, for the operator.
type past struct {
	id, verdict    string
	label          string // what was asked
	state          State
	created, ended time.Time
	report         []byte // sealed
}

func insertPast(ctx context.Context, tx *db.Tx, tenant string, p past, forget time.Time) error {
	_, err := tx.Exec(ctx, `
		insert into history (tenant, id, created, ended, state, verdict, report, forget, label) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		tenant, p.id, p.created.UnixMilli(), p.ended.UnixMilli(), string(p.state), p.verdict, p.report, forget.UnixMilli(), p.label)
	return err
}

// readPast returns the transactions that ended and those that are open or
// expired, behind a place, the newest first.
func readPast(ctx context.Context, tx *db.Tx, tenant string, after Position, limit int, now time.Time) ([]past, error) {
	return scanPast(ctx, tx, now, `
		select id, created, ended, state, verdict, label, report, 0 from history
		where tenant = $1 and (created < $2 or created = $2 and id > $3) and forget > $4
		union all
		select id, created, 0, state, '', label, '', expires from presentation
		where tenant = $1 and (created < $2 or created = $2 and id > $3) and forget > $4 and (state = 'waiting' or state = 'fetched' or state = 'expired')
		order by created desc, id limit $5`, tenant, db.Millis(after.Created), after.ID, now.UnixMilli(), limit)
}

// readOnePast returns one of them, or ErrUnknownTransaction.
func readOnePast(ctx context.Context, tx *db.Tx, tenant, id string, now time.Time) (past, error) {
	if !isName(id) {
		return past{}, ErrUnknownTransaction
	}
	list, err := scanPast(ctx, tx, now, `
		select id, created, ended, state, verdict, label, report, 0 from history where tenant = $1 and id = $2 and forget > $3
		union all
		select id, created, 0, state, '', label, '', expires from presentation
		where tenant = $1 and id = $2 and forget > $3 and (state = 'waiting' or state = 'fetched' or state = 'expired')`,
		tenant, id, now.UnixMilli())
	if err == nil && len(list) == 0 {
		err = ErrUnknownTransaction
	}
	if err != nil {
		return past{}, err
	}
	return list[0], nil
}

func scanPast(ctx context.Context, tx *db.Tx, now time.Time, query string, args ...any) ([]past, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []past
	for rows.Next() {
		var p past
		var created, ended, expires int64
		if err := rows.Scan(&p.id, &created, &ended, (*string)(&p.state), &p.verdict, &p.label, &p.report, &expires); err != nil {
			return nil, err
		}
		p.created, p.ended = db.Time(created), db.Time(ended)
		if expires != 0 && expires <= now.UnixMilli() {
			p.state, p.ended = Expired, db.Time(expires)
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// sealedDeletion is a request to delete as it is stored.
type sealedDeletion struct {
	id      string
	created time.Time
	request []byte
}

// maxDeletions is how many requests of a tenant may wait for its operator.
const maxDeletions = 10_000

var errTooManyDeletions = errors.New("verifier: too many requests to delete wait for the operator")

// insertDeletion stores a request once; a second one of the same id changes
// nothing. It reports whether it is new.
func insertDeletion(ctx context.Context, tx *db.Tx, tenant string, d sealedDeletion, forget time.Time) (bool, error) {
	var there int
	if err := tx.QueryRow(ctx, `select count(*) from deletion where tenant = $1`, tenant).Scan(&there); err != nil {
		return false, err
	}
	if there >= maxDeletions {
		return false, errTooManyDeletions
	}
	n, err := tx.Exec(ctx, `
		insert into deletion (tenant, id, created, request, forget) values ($1, $2, $3, $4, $5)
		on conflict (tenant, id) do nothing`, tenant, d.id, d.created.UnixMilli(), d.request, forget.UnixMilli())
	return n == 1, err
}

func readDeletions(ctx context.Context, tx *db.Tx, tenant string, limit int) ([]sealedDeletion, error) {
	rows, err := tx.Query(ctx, `select id, created, request from deletion where tenant = $1 order by created, id limit $2`, tenant, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []sealedDeletion
	for rows.Next() {
		var d sealedDeletion
		var created int64
		if err := rows.Scan(&d.id, &created, &d.request); err != nil {
			return nil, err
		}
		d.created = db.Time(created)
		list = append(list, d)
	}
	return list, rows.Err()
}

// deleteDeletion forgets a request that was dealt with, and reports whether it
// was there.
func deleteDeletion(ctx context.Context, tx *db.Tx, tenant, id string) (bool, error) {
	if !isName(id) {
		return false, nil
	}
	n, err := tx.Exec(ctx, `delete from deletion where tenant = $1 and id = $2`, tenant, id)
	return n == 1, err
}
