package issuer

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// putRequest keeps a request in place of an earlier one of the same grant.
func putRequest(ctx context.Context, tx *db.Tx, tenant, grant string, q Request) error {
	value, err := json.Marshal(q.wanted)
	if err != nil {
		return fmt.Errorf("issuer: keep request: %w", err)
	}
	const earlier = `delete from request where tenant = $1 and grant_id = $2 and offering = $3`
	if _, err := tx.Exec(ctx, earlier, tenant, grant, q.Offering); err != nil {
		return fmt.Errorf("issuer: keep request: %w", err)
	}
	const insert = `
		insert into request (tenant, id, offering, subject, grant_id, client, created, expires, wanted, state, reason)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', '')`
	if _, err := tx.Exec(ctx, insert, tenant, q.ID, q.Offering, q.Subject, grant, q.Client, db.Millis(q.Made), db.Millis(q.Expires), value); err != nil {
		return fmt.Errorf("issuer: keep request: %w", err)
	}
	return nil
}

const requestColumns = `select id, offering, subject, client, created, expires, state, reason, wanted from request `

func scanRequest(row interface{ Scan(...any) error }) (q Request, err error) {
	var made, expires int64
	var value []byte
	if err := row.Scan(&q.ID, &q.Offering, &q.Subject, &q.Client, &made, &expires, &q.State, &q.Reason, &value); err != nil {
		return Request{}, err
	}
	q.Made, q.Expires = db.Time(made), db.Time(expires)
	err = json.Unmarshal(value, &q.wanted)
	q.Copies = len(q.wanted.Keys)
	return q, err
}

// requestOf reads a request of a grant by its id, or returns ErrUnknownRequest.
func requestOf(ctx context.Context, tx *db.Tx, tenant, grant, id string, now time.Time) (Request, error) {
	const where = `where tenant = $1 and grant_id = $2 and id = $3 and expires > $4`
	return oneRequest(tx.QueryRow(ctx, requestColumns+where, tenant, grant, id, db.Millis(now)))
}

// requestFor is the request of a grant for an offering, or ErrUnknownRequest.
func requestFor(ctx context.Context, tx *db.Tx, tenant, grant, offering string, now time.Time) (Request, error) {
	const where = `where tenant = $1 and grant_id = $2 and offering = $3 and expires > $4`
	return oneRequest(tx.QueryRow(ctx, requestColumns+where, tenant, grant, offering, db.Millis(now)))
}

func oneRequest(row db.Row) (Request, error) {
	q, err := scanRequest(row)
	if errors.Is(err, sql.ErrNoRows) {
		return q, ErrUnknownRequest
	}
	if err != nil {
		return q, fmt.Errorf("issuer: read request: %w", err)
	}
	return q, nil
}

func requestsIn(ctx context.Context, tx *db.Tx, tenant string, state RequestState, now time.Time) ([]Request, error) {
	rows, err := tx.Query(ctx, requestColumns+`where tenant = $1 and state = $2 and expires > $3 order by created, id limit 1000`, tenant, string(state), db.Millis(now))
	if err != nil {
		return nil, fmt.Errorf("issuer: list requests: %w", err)
	}
	defer rows.Close()
	var list []Request
	for rows.Next() {
		q, err := scanRequest(rows)
		if err != nil {
			return nil, fmt.Errorf("issuer: list requests: %w", err)
		}
		list = append(list, q)
	}
	return list, rows.Err()
}

func decideRequest(ctx context.Context, tx *db.Tx, tenant, id string, state RequestState, reason string, now time.Time) error {
	const q = `update request set state = $4, reason = $5, expires = $6 where tenant = $1 and id = $2 and state = 'waiting' and expires > $3`
	done, err := tx.Exec(ctx, q, tenant, id, db.Millis(now), string(state), reason, db.Millis(now.Add(requestLifetime)))
	if err != nil {
		return fmt.Errorf("issuer: decide request: %w", err)
	}
	if done == 0 {
		return ErrUnknownRequest
	}
	return nil
}

// takeRequest uses an approved request up, or returns errTaken.
func takeRequest(ctx context.Context, tx *db.Tx, tenant, id string) error {
	done, err := tx.Exec(ctx, `delete from request where tenant = $1 and id = $2 and state = 'approved'`, tenant, id)
	if err != nil {
		return fmt.Errorf("issuer: use request: %w", err)
	}
	if done == 0 {
		return errTaken
	}
	return nil
}

// sweepRequests deletes requests that are over.
func sweepRequests(ctx context.Context, tx *db.Tx, now time.Time) error {
	if _, err := tx.Exec(ctx, `delete from request where expires <= $1`, db.Millis(now)); err != nil {
		return fmt.Errorf("issuer: sweep requests: %w", err)
	}
	return nil
}
