package issuer

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/statuslist"
)

// listStore keeps the status lists that indexes are taken from.
type listStore struct {
	db  *db.DB
	now func() time.Time
}

// TakePositions implements statuslist.Store.
func (s listStore) TakePositions(ctx context.Context, pool statuslist.Pool, n int) (list statuslist.List, first, count int, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		list, first, err = openList(ctx, tx, pool)
		if err != nil {
			return err
		}
		if count = min(n, list.Size-first); count <= 0 {
			return statuslist.ErrFull
		}
		_, err = tx.Exec(ctx, `update status_list set mark = mark + $3 where tenant = $1 and id = $2`, pool.Tenant, list.ID, count)
		return err
	})
	return list, first, count, err
}

// openList returns the open list of a pool and its mark, or ErrFull if there
// is none.
func openList(ctx context.Context, tx *db.Tx, pool statuslist.Pool) (list statuslist.List, mark int, err error) {
	const q = `select id, bits, size, seed, mark from status_list where tenant = $1 and pool = $2 and is_open = $3`
	var seed []byte
	err = tx.QueryRow(ctx, q, pool.Tenant, pool.Name, true).Scan(&list.ID, &list.Bits, &list.Size, &seed, &mark)
	if errors.Is(err, sql.ErrNoRows) {
		return list, 0, statuslist.ErrFull
	}
	if err == nil && copy(list.Seed[:], seed) != len(list.Seed) {
		err = fmt.Errorf("status list %s: seed of %d bytes", list.ID, len(seed))
	}
	return list, mark, err
}

// CreateList implements statuslist.Store.
func (s listStore) CreateList(ctx context.Context, pool statuslist.Pool, list statuslist.List) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		open, mark, err := openList(ctx, tx, pool)
		switch {
		case err == nil && mark < open.Size:
			return nil
		case err == nil:
			if _, err := tx.Exec(ctx, `update status_list set is_open = $3 where tenant = $1 and id = $2`, pool.Tenant, open.ID, false); err != nil {
				return err
			}
		case !errors.Is(err, statuslist.ErrFull):
			return err
		}
		const q = `
			insert into status_list (tenant, id, pool, bits, size, seed, mark, is_open, version)
			values ($1, $2, $3, $4, $5, $6, 0, $7, 1)`
		_, err = tx.Exec(ctx, q, pool.Tenant, list.ID, pool.Name, list.Bits, list.Size, list.Seed[:], true)
		return err
	})
}

// listState is what decides whether a signed list may be served.
type listState struct {
	bits, size int
	version    int64     // of the list
	signed     int64     // version that the newest edition shows; 0 if there is none
	issued     time.Time // of the newest edition
	expires    time.Time
}

// stateOf returns the state of a list; false if there is no such list.
func stateOf(ctx context.Context, tx *db.Tx, tenant, list string) (s listState, ok bool, err error) {
	const q = `
		select l.bits, l.size, l.version, e.version, e.issued, e.expires
		from status_list l left join status_edition e on e.tenant = l.tenant and e.list = l.id
		where l.tenant = $1 and l.id = $2`
	var signed, issued, expires sql.NullInt64
	err = tx.QueryRow(ctx, q, tenant, list).Scan(&s.bits, &s.size, &s.version, &signed, &issued, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	s.signed, s.issued, s.expires = signed.Int64, fromMillis(issued.Int64), fromMillis(expires.Int64)
	return s, err == nil, err
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

// putEdition stores a signed list unless a newer one is there.
func putEdition(ctx context.Context, tx *db.Tx, tenant, list string, version int64, p *statuslist.Published) error {
	const q = `
		insert into status_edition (tenant, list, version, issued, expires, ttl, jwt, cwt)
		values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (tenant, list) do update
		set version = excluded.version, issued = excluded.issued, expires = excluded.expires, ttl = excluded.ttl, jwt = excluded.jwt, cwt = excluded.cwt
		where status_edition.version < excluded.version
			or status_edition.version = excluded.version and status_edition.issued <= excluded.issued`
	_, err := tx.Exec(ctx, q, tenant, list, version, millis(p.Issued), millis(p.Expires), int64(p.TTL/time.Second), p.JWT, p.CWT)
	return err
}

// edition returns the newest signed list; sql.ErrNoRows if there is none.
func edition(ctx context.Context, tx *db.Tx, tenant, list string) (version int64, p statuslist.Published, err error) {
	const q = `select version, issued, expires, ttl, jwt, cwt from status_edition where tenant = $1 and list = $2`
	var issued, expires, ttl int64
	err = tx.QueryRow(ctx, q, tenant, list).Scan(&version, &issued, &expires, &ttl, &p.JWT, &p.CWT)
	p.Issued, p.Expires, p.TTL = fromMillis(issued), fromMillis(expires), time.Duration(ttl)*time.Second
	return version, p, err
}

// dueLists returns the lists that have no edition, one that lacks changes, or
// one that ends before the given time.
func dueLists(ctx context.Context, tx *db.Tx, tenant string, before time.Time) ([]string, error) {
	const q = `
		select l.id from status_list l left join status_edition e on e.tenant = l.tenant and e.list = l.id
		where l.tenant = $1 and (e.version is null or e.version < l.version or e.expires <= $2)`
	return texts(ctx, tx, q, tenant, millis(before))
}

// allLists returns the ids of all lists of a tenant.
func allLists(ctx context.Context, tx *db.Tx, tenant string) ([]string, error) {
	return texts(ctx, tx, `select id from status_list where tenant = $1 order by id`, tenant)
}
