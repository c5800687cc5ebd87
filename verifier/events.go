package verifier

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"strconv"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/keyring"
)

// Events that webhooks are told of. Their data are the numbers of transactions
// and how these ended, never an attribute.
const (
	EventAnswered = "transaction.answered" // transaction, verdict
	EventRefused  = "transaction.refused"  // transaction
	EventExpired  = "transaction.expired"  // transaction
	EventDeletion = "deletion.requested"   // deletion
)

// Events are the kinds of all events.
func Events() []string { return []string{EventAnswered, EventRefused, EventExpired, EventDeletion} }

// Outbox is where the verifier's events wait for their receivers.
func (v *Verifier) Outbox() *outbox.Outbox { return v.outbox }

// newOutbox is the outbox with secrets out of the secure area.
func (v *Verifier) newOutbox(deps Deps) *outbox.Outbox {
	return outbox.New(v.db, outbox.Config{
		Fetch: deps.Webhooks, Books: v.audit, Now: v.now, Log: v.log,
		Secret: func(ctx context.Context, tenant, endpoint string, generation int64) ([]byte, error) {
			master, err := keyring.Secret(ctx, v.area, v.db.Records(), tenant, "webhooks")
			if err != nil {
				return nil, err
			}
			return hkdf.Key(sha256.New, master, nil, "eidos verifier webhook "+endpoint+" "+strconv.FormatInt(generation, 10), 32)
		},
	})
}

// tell writes an event in the transaction that it is about.
func (v *Verifier) tell(ctx context.Context, tx *db.Tx, tenant, kind string, data map[string]string) error {
	return v.outbox.Write(ctx, tx, tenant, outbox.Event{Kind: kind, Data: data})
}

// tellEnd tells how a transaction ended.
func (v *Verifier) tellEnd(ctx context.Context, tx *db.Tx, tenant string, r row, verdict string) error {
	data := map[string]string{"transaction": r.id}
	kind := EventExpired
	switch r.state {
	case Done:
		kind, data["verdict"] = EventAnswered, verdict
	case Refused:
		kind = EventRefused
	}
	return v.tell(ctx, tx, tenant, kind, data)
}
