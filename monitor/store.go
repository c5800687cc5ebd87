package monitor

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/eidos-id/eidos/internal/db"
)

// thing names what an observation is of.
type thing struct{ target, tenant, subject string }

func (o Observation) thing() thing { return thing{o.Target, o.Tenant, o.Subject} }

// record stores what a look saw and returns what changed. Things of a target
// that did not answer keep their last state; things that are gone although
// their target answered, and targets that are not configured any more, are
// forgotten.
func (m *Monitor) record(ctx context.Context, tenant string, seen []Observation) ([]Change, error) {
	now := m.now()
	var list []Change
	err := m.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		list = nil
		old, err := observations(ctx, tx, tenant)
		if err != nil {
			return err
		}
		before, answered, silent := map[thing]Observation{}, map[thing]bool{}, map[string]bool{}
		for _, o := range old {
			before[o.thing()] = o
		}
		for _, o := range seen {
			answered[o.thing()] = true
			silent[o.Target] = silent[o.Target] || o.Subject == "health" && o.Level == Alarm
			o.Since, o.Checked = now, now
			last, known := before[o.thing()]
			if known && last.Level == o.Level {
				o.Since = last.Since
			} else {
				list = append(list, Change{At: now, Target: o.Target, Tenant: o.Tenant, Subject: o.Subject, From: last.Level, To: o.Level, Seen: o.Seen})
			}
			if err := putObservation(ctx, tx, tenant, o); err != nil {
				return err
			}
		}
		for _, o := range old {
			if answered[o.thing()] || silent[o.Target] {
				continue
			}
			list = append(list, Change{At: now, Target: o.Target, Tenant: o.Tenant, Subject: o.Subject, From: o.Level, Seen: "is gone"})
			const q = `delete from observation where tenant = $1 and target = $2 and target_tenant = $3 and subject = $4`
			if _, err := tx.Exec(ctx, q, tenant, o.Target, o.Tenant, o.Subject); err != nil {
				return err
			}
		}
		if err := putChanges(ctx, tx, tenant, list); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `delete from change where tenant = $1 and at < $2`, tenant, db.Millis(now.Add(-m.config.Keep)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("monitor: record: %w", err)
	}
	return list, nil
}

func putObservation(ctx context.Context, tx *db.Tx, tenant string, o Observation) error {
	const q = `
		insert into observation (tenant, target, target_tenant, subject, level, seen, since, checked, expires)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (tenant, target, target_tenant, subject) do update
		set level = excluded.level, seen = excluded.seen, since = excluded.since, checked = excluded.checked, expires = excluded.expires`
	_, err := tx.Exec(ctx, q, tenant, o.Target, o.Tenant, o.Subject, string(o.Level), o.Seen, db.Millis(o.Since), db.Millis(o.Checked), db.Millis(o.Expires))
	return err
}

func observations(ctx context.Context, tx *db.Tx, tenant string) ([]Observation, error) {
	const q = `
		select target, target_tenant, subject, level, seen, since, checked, expires
		from observation where tenant = $1 order by target, target_tenant, subject`
	rows, err := tx.Query(ctx, q, tenant)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Observation
	for rows.Next() {
		var o Observation
		var since, checked, expires int64
		if err := rows.Scan(&o.Target, &o.Tenant, &o.Subject, &o.Level, &o.Seen, &since, &checked, &expires); err != nil {
			return nil, err
		}
		o.Since, o.Checked, o.Expires = db.Time(since), db.Time(checked), db.Time(expires)
		list = append(list, o)
	}
	return list, rows.Err()
}

func putChanges(ctx context.Context, tx *db.Tx, tenant string, list []Change) error {
	const q = `
		insert into change (tenant, at, id, seq, target, target_tenant, subject, level_from, level_to, seen)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	id := rand.Text() // several processes may look at the same moment
	for i, c := range list {
		if _, err := tx.Exec(ctx, q, tenant, db.Millis(c.At), id, i, c.Target, c.Tenant, c.Subject, string(c.From), string(c.To), c.Seen); err != nil {
			return err
		}
	}
	return nil
}

// changes returns the newest changes first.
func changes(ctx context.Context, tx *db.Tx, tenant string, limit int) ([]Change, error) {
	const q = `
		select at, target, target_tenant, subject, level_from, level_to, seen
		from change where tenant = $1 order by at desc, id, seq limit $2`
	rows, err := tx.Query(ctx, q, tenant, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Change
	for rows.Next() {
		var c Change
		var at int64
		if err := rows.Scan(&at, &c.Target, &c.Tenant, &c.Subject, &c.From, &c.To, &c.Seen); err != nil {
			return nil, err
		}
		c.At = db.Time(at)
		list = append(list, c)
	}
	return list, rows.Err()
}
