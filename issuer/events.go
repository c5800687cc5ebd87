package issuer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/keyring"
)

// Events that webhooks are told of. Their data are ids: of documents, offers and
// offerings, never of persons.
const (
	EventIssued       = "document.issued"       // document, offering, batch, copies
	EventRevoked      = "document.revoked"      // document, offering
	EventSuspended    = "document.suspended"    // document, offering
	EventResumed      = "document.resumed"      // document, offering
	EventDeleted      = "document.deleted"      // document, offering
	EventOutdated     = "document.outdated"     // document, offering: the register says something else
	EventRequested    = "document.requested"    // request, offering: waits for approval
	EventOfferUsed    = "offer.used"            // offer
	EventOfferExpired = "offer.expired"         // offer: nobody took it up in time
	EventCertificate  = "certificate.attention" // notice: what an operator has to do
)

// Events are the kinds of all events.
func Events() []string {
	return []string{EventIssued, EventRevoked, EventSuspended, EventResumed, EventDeleted, EventOutdated, EventRequested,
		EventOfferUsed, EventOfferExpired, EventCertificate}
}

// Outbox is where the authority's events wait for their receivers.
func (a *Authority) Outbox() *outbox.Outbox { return a.outbox }

// newOutbox is the outbox with secrets out of the secure area.
func (a *Authority) newOutbox(deps Deps) *outbox.Outbox {
	return outbox.New(a.db, outbox.Config{
		Fetch: deps.Webhooks, Books: a.audit, Now: a.now, Log: a.log,
		Secret: func(ctx context.Context, tenant, endpoint string, generation int64) ([]byte, error) {
			master, err := keyring.Secret(ctx, a.area, a.db.Records(), tenant, "webhooks")
			if err != nil {
				return nil, err
			}
			key, err := subkey(master, "webhook "+endpoint+" "+strconv.FormatInt(generation, 10))
			return key[:], err
		},
	})
}

// tell writes an event in the transaction that it is about.
func (t *tenant) tell(ctx context.Context, tx *db.Tx, kind string, data map[string]string) error {
	return t.authority.outbox.Write(ctx, tx, t.config.ID, outbox.Event{Kind: kind, Data: data})
}

// tellNotice tells what an operator has to do about certificates, under one id a
// day whatever number of processes notices.
func (t *tenant) tellNotice(ctx context.Context, notice string, now time.Time) error {
	sum := sha256.Sum256([]byte(t.config.ID + "\x00" + now.UTC().Format(time.DateOnly) + "\x00" + notice))
	e := outbox.Event{ID: "msg_" + hex.EncodeToString(sum[:16]), Kind: EventCertificate, Data: map[string]string{"notice": notice}}
	return t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return t.authority.outbox.Write(ctx, tx, t.config.ID, e)
	})
}
