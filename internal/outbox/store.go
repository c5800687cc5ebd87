package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// wanting returns the ids of the endpoints that want events of a kind.
func wanting(ctx context.Context, tx *db.Tx, tenant, kind string) ([]string, error) {
	rows, err := tx.Query(ctx, `select id, kinds from outbox_endpoint where tenant = $1 and active = $2`, tenant, true)
	if err != nil {
		return nil, fmt.Errorf("outbox: who wants an event: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id, kinds string
		if err := rows.Scan(&id, &kinds); err != nil {
			return nil, fmt.Errorf("outbox: who wants an event: %w", err)
		}
		if kinds == "" || strings.Contains(kinds, " "+kind+" ") {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}

// insert writes an event once for an endpoint.
func insert(ctx context.Context, tx *db.Tx, tenant, endpoint string, e Event, body string, now time.Time) error {
	const q = `
		insert into outbox_message (tenant, endpoint, id, kind, body, created, due, tries, given_up, problem)
		values ($1, $2, $3, $4, $5, $6, $6, 0, $7, '')
		on conflict (tenant, endpoint, id) do nothing`
	if _, err := tx.Exec(ctx, q, tenant, endpoint, e.ID, e.Kind, body, db.Millis(now), false); err != nil {
		return fmt.Errorf("outbox: write event: %w", err)
	}
	return nil
}

// endpoints returns those of a tenant, or the one of an id.
func endpoints(ctx context.Context, tx *db.Tx, tenant, id string) ([]Endpoint, error) {
	const q = `
		select tenant, id, url, kinds, active, created, generation, rotated, failures, resume from outbox_endpoint
		where tenant = $1 and ($2 = '' or id = $2) order by created, id`
	rows, err := tx.Query(ctx, q, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("outbox: endpoints: %w", err)
	}
	defer rows.Close()
	var list []Endpoint
	for rows.Next() {
		e, err := scanEndpoint(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func scanEndpoint(rows interface{ Scan(...any) error }) (Endpoint, error) {
	var e Endpoint
	var kinds string
	var created, rotated, resume int64
	if err := rows.Scan(&e.Tenant, &e.ID, &e.URL, &kinds, &e.Active, &created, &e.generation, &rotated, &e.Failures, &resume); err != nil {
		return e, fmt.Errorf("outbox: endpoints: %w", err)
	}
	e.Kinds, e.Created, e.Rotated, e.Resume = strings.Fields(kinds), db.Time(created), db.Time(rotated), db.Time(resume)
	return e, nil
}

func endpoint(ctx context.Context, tx *db.Tx, tenant, id string) (Endpoint, error) {
	list, err := endpoints(ctx, tx, tenant, id)
	if err != nil {
		return Endpoint{}, err
	}
	if id == "" || len(list) == 0 {
		return Endpoint{}, ErrUnknown
	}
	return list[0], nil
}

// kindsText writes kinds so that a pattern finds each whole.
func kindsText(kinds []string) string {
	if len(kinds) == 0 {
		return ""
	}
	return " " + strings.Join(kinds, " ") + " "
}

func insertEndpoint(ctx context.Context, tx *db.Tx, e Endpoint) error {
	const q = `
		insert into outbox_endpoint (tenant, id, url, kinds, active, created, generation, rotated, failures, resume)
		values ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0)`
	_, err := tx.Exec(ctx, q, e.Tenant, e.ID, e.URL, kindsText(e.Kinds), e.Active, db.Millis(e.Created), e.generation, db.Millis(e.Rotated))
	return err
}

func updateEndpoint(ctx context.Context, tx *db.Tx, e Endpoint) error {
	const q = `
		update outbox_endpoint set url = $3, kinds = $4, active = $5, generation = $6, rotated = $7, failures = $8, resume = $9
		where tenant = $1 and id = $2`
	_, err := tx.Exec(ctx, q, e.Tenant, e.ID, e.URL, kindsText(e.Kinds), e.Active, e.generation, db.Millis(e.Rotated), e.Failures, db.Millis(e.Resume))
	return err
}

func removeEndpoint(ctx context.Context, tx *db.Tx, tenant, id string) error {
	n, err := tx.Exec(ctx, `delete from outbox_endpoint where tenant = $1 and id = $2`, tenant, id)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrUnknown
	}
	_, err = tx.Exec(ctx, `delete from outbox_message where tenant = $1 and endpoint = $2`, tenant, id)
	return err
}

func messages(ctx context.Context, tx *db.Tx, tenant, endpoint string, limit int) ([]Message, error) {
	const q = `
		select id, kind, created, due, tries, given_up, problem, body from outbox_message
		where tenant = $1 and endpoint = $2 order by created, id limit $3`
	return queryMessages(ctx, tx, q, tenant, endpoint, limit)
}

func queryMessages(ctx context.Context, tx *db.Tx, q string, args ...any) ([]Message, error) {
	rows, err := tx.Query(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("outbox: messages: %w", err)
	}
	defer rows.Close()
	var list []Message
	for rows.Next() {
		var m Message
		var created, due int64
		if err := rows.Scan(&m.ID, &m.Kind, &created, &due, &m.Tries, &m.GivenUp, &m.Problem, &m.body); err != nil {
			return nil, fmt.Errorf("outbox: messages: %w", err)
		}
		m.Created, m.Due = db.Time(created), db.Time(due)
		list = append(list, m)
	}
	return list, rows.Err()
}

func retry(ctx context.Context, tx *db.Tx, tenant, endpoint, id string, now time.Time) error {
	const q = `update outbox_message set given_up = $4, due = $5, created = $5 where tenant = $1 and endpoint = $2 and id = $3`
	n, err := tx.Exec(ctx, q, tenant, endpoint, id, false, db.Millis(now))
	if err == nil && n == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `update outbox_endpoint set failures = 0, resume = 0 where tenant = $1 and id = $2`, tenant, endpoint)
	return err
}

func depths(ctx context.Context, tx *db.Tx) ([]Depth, error) {
	const q = `
		select tenant, sum(case when given_up then 0 else 1 end), sum(case when given_up then 1 else 0 end)
		from outbox_message group by tenant`
	rows, err := tx.Query(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("outbox: depth: %w", err)
	}
	defer rows.Close()
	var list []Depth
	for rows.Next() {
		var d Depth
		if err := rows.Scan(&d.Tenant, &d.Waiting, &d.GivenUp); err != nil {
			return nil, fmt.Errorf("outbox: depth: %w", err)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// work is what there is to do: the tenants that have endpoints, and the
// endpoints that have something due.
func work(ctx context.Context, tx *db.Tx, now time.Time) (due []Endpoint, idle bool, err error) {
	const q = `
		select tenant, id, url, kinds, active, created, generation, rotated, failures, resume from outbox_endpoint e
		where active = $1`
	rows, err := tx.Query(ctx, q, true)
	if err != nil {
		return nil, false, fmt.Errorf("outbox: endpoints: %w", err)
	}
	idle = true
	var all []Endpoint
	for rows.Next() {
		e, err := scanEndpoint(rows)
		if err != nil {
			rows.Close()
			return nil, false, err
		}
		idle = false
		if !e.Resume.After(now) {
			all = append(all, e)
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, false, err
	}
	for _, e := range all {
		const q = `select count(*) from (select 1 from outbox_message where tenant = $1 and endpoint = $2 and given_up = $3 and due <= $4 limit 1) m`
		var n int
		if err := tx.QueryRow(ctx, q, e.Tenant, e.ID, false, db.Millis(now)).Scan(&n); err != nil {
			return nil, false, fmt.Errorf("outbox: due messages: %w", err)
		}
		if n > 0 {
			due = append(due, e)
		}
	}
	return due, idle, nil
}

// take leases the oldest due messages of an endpoint until a time. A lease that
// ends is taken by somebody else: whoever held it is too late to settle.
func take(ctx context.Context, tx *db.Tx, e Endpoint, n int, now, until time.Time) ([]Message, error) {
	const q = `
		update outbox_message set due = $5, tries = tries + 1
		where tenant = $1 and endpoint = $2 and id in (
			select id from outbox_message where tenant = $1 and endpoint = $2 and given_up = $3 and due <= $4 order by due, id limit $6)
		returning id, kind, created, due, tries, given_up, problem, body`
	return queryMessages(ctx, tx, q, e.Tenant, e.ID, false, db.Millis(now), db.Millis(until), n)
}

// arrived forgets a message, and the failures of its endpoint.
func arrived(ctx context.Context, tx *db.Tx, e Endpoint, m Message) error {
	// Without the number of tries: that of a lease which has ended arrived all the same.
	if _, err := tx.Exec(ctx, `delete from outbox_message where tenant = $1 and endpoint = $2 and id = $3`, e.Tenant, e.ID, m.ID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `update outbox_endpoint set failures = 0, resume = 0 where tenant = $1 and id = $2 and failures > 0`, e.Tenant, e.ID)
	return err
}

// failed notes a try that did not arrive.
func failed(ctx context.Context, tx *db.Tx, e Endpoint, m Message, problem string, givenUp bool, next time.Time) error {
	const q = `
		update outbox_message set given_up = $5, problem = $6, due = $7
		where tenant = $1 and endpoint = $2 and id = $3 and tries = $4`
	if _, err := tx.Exec(ctx, q, e.Tenant, e.ID, m.ID, m.Tries, givenUp, problem, db.Millis(next)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `update outbox_endpoint set failures = failures + 1, resume = $3 where tenant = $1 and id = $2`, e.Tenant, e.ID, db.Millis(next))
	return err
}

// release gives leases back that were not used.
func release(ctx context.Context, tx *db.Tx, e Endpoint, unused []Message, now time.Time) error {
	const q = `
		update outbox_message set due = $5, tries = tries - 1
		where tenant = $1 and endpoint = $2 and id = $3 and tries = $4`
	for _, m := range unused {
		if _, err := tx.Exec(ctx, q, e.Tenant, e.ID, m.ID, m.Tries, db.Millis(now)); err != nil {
			return err
		}
	}
	return nil
}

func switchOff(ctx context.Context, tx *db.Tx, e Endpoint) error {
	_, err := tx.Exec(ctx, `update outbox_endpoint set active = $3 where tenant = $1 and id = $2`, e.Tenant, e.ID, false)
	return err
}

// sweep gives up what is too old and forgets what was given up long ago.
func sweep(ctx context.Context, tx *db.Tx, stale, forgotten time.Time) error {
	if _, err := tx.Exec(ctx, `update outbox_message set given_up = $1 where given_up = $2 and created <= $3`, true, false, db.Millis(stale)); err != nil {
		return fmt.Errorf("outbox: sweep: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from outbox_message where given_up = $1 and created <= $2`, true, db.Millis(forgotten)); err != nil {
		return fmt.Errorf("outbox: sweep: %w", err)
	}
	return nil
}
