package issuer

import (
	"context"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// expectOffer notes that an offer waits to be taken up.
func expectOffer(ctx context.Context, tx *db.Tx, tenant, id string, expires time.Time) error {
	if _, err := tx.Exec(ctx, `insert into offer (tenant, id, expires) values ($1, $2, $3)`, tenant, id, db.Millis(expires)); err != nil {
		return fmt.Errorf("issuer: note offer: %w", err)
	}
	return nil
}

// takeOffer notes that an offer was taken up. It is no error if it was before.
func takeOffer(ctx context.Context, tx *db.Tx, tenant, id string) error {
	if _, err := tx.Exec(ctx, `delete from offer where tenant = $1 and id = $2`, tenant, id); err != nil {
		return fmt.Errorf("issuer: note that an offer was taken up: %w", err)
	}
	return nil
}

// offerEnd is an offer whose time is over.
type offerEnd struct{ tenant, id string }

// endOffers forgets up to n offers that nobody took up in time, and returns them.
func endOffers(ctx context.Context, tx *db.Tx, now time.Time, n int) ([]offerEnd, error) {
	const q = `
		delete from offer where (tenant, id) in (select tenant, id from offer where expires <= $1 order by expires limit $2)
		returning tenant, id`
	rows, err := tx.Query(ctx, q, db.Millis(now), n)
	if err != nil {
		return nil, fmt.Errorf("issuer: offers that are over: %w", err)
	}
	defer rows.Close()
	var list []offerEnd
	for rows.Next() {
		var e offerEnd
		if err := rows.Scan(&e.tenant, &e.id); err != nil {
			return nil, fmt.Errorf("issuer: offers that are over: %w", err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
