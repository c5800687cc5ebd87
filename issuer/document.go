package issuer

import (
	"context"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
)

// State is where a document stands in its life.
type State string

// The states.
const (
	StateValid   State = "valid"
	StateExpired State = "expired" // the newest copies have ended
	StateRevoked State = "revoked" // for good
)

// Document is a document as the authority knows it: what one person has in one
// installation of an app.
type Document struct {
	ID         string    `json:"id"`
	Offering   string    `json:"offering"`
	DocType    string    `json:"doctype"`
	Subject    string    `json:"subject"` // the person's id in the source
	State      State     `json:"state"`
	Level      string    `json:"level"` // of the keys that the newest copies are for
	Issued     time.Time `json:"issued"`
	ValidUntil time.Time `json:"valid_until"` // of the newest copies
	Batches    int       `json:"batches"`
	Copies     int       `json:"copies"`
	Revoked    time.Time `json:"revoked,omitzero"`
	Reason     string    `json:"reason,omitempty"`
}

// Filter narrows List; empty fields match everything.
type Filter struct {
	ID, Subject, Offering string
	State                 State
	Limit                 int // optional, 1000
	// After goes on behind the last document of the page before. Optional.
	After Position
}

// Position is where a document stands in List.
type Position struct {
	Issued time.Time
	ID     string
}

const maxListed = 1000

// List returns documents, the newest first. Error: ErrUnknownTenant.
func (a *Authority) List(ctx context.Context, tenant string, f Filter) ([]Document, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if f.Limit <= 0 || f.Limit > maxListed {
		f.Limit = maxListed
	}
	var list []Document
	err = a.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		list, err = documents(ctx, tx, t.config.ID, f, a.now())
		return err
	})
	return list, err
}

// Selection says which documents are meant: one by its id, or all of a person,
// of one offering or of any.
type Selection struct {
	Document string // or
	Subject  string
	Offering string // optional, with Subject
}

// maxReason limits what is kept as the reason of a revocation, in bytes.
const maxReason = 200

// Revoke ends documents for good: all copies are marked in the status lists,
// which are published again at once. It returns the ids of all documents that
// are meant and revoked now, whether or not they were before. If publishing
// fails the revocation stands and Run publishes it later; the error says so.
// reason is for the authority's own books and must not hold personal data.
// Errors: ErrUnknownTenant, ErrUnknownDocument if none is meant, ErrInvalid.
func (a *Authority) Revoke(ctx context.Context, tenant string, which Selection, reason string) ([]string, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if (which.Document == "") == (which.Subject == "") || which.Document != "" && which.Offering != "" || len(reason) > maxReason {
		return nil, fmt.Errorf("%w: name a document, or a subject with or without an offering, and a reason of at most %d bytes", ErrInvalid, maxReason)
	}
	now := a.now()
	var ids, lists []string
	err = a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		ids, lists = nil, nil
		found, err := documents(ctx, tx, t.config.ID, Filter{ID: which.Document, Subject: which.Subject, Offering: which.Offering}, now)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return ErrUnknownDocument
		}
		for _, d := range found {
			ids = append(ids, d.ID)
			if d.State == StateRevoked {
				continue
			}
			changed, err := revokeDocument(ctx, tx, t.config.ID, d.ID, reason, now)
			if err != nil {
				return err
			}
			lists = append(lists, changed...)
			if err := t.tell(ctx, tx, EventRevoked, map[string]string{"document": d.ID, "offering": d.Offering}); err != nil {
				return err
			}
			if err := a.audit.Append(ctx, tx, now, audit.Event{
				Tenant: t.config.ID, What: "document revoked", Object: d.ID,
				Detail: map[string]string{"offering": d.Offering, "reason": reason},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		a.log.Info("document revoked", "role", "issuer", "tenant", t.config.ID, "document", id)
	}
	published := map[string]bool{}
	for _, list := range lists {
		if published[list] {
			continue
		}
		published[list] = true
		if _, err := t.board.Publish(ctx, list, now); err != nil {
			return ids, fmt.Errorf("issuer: revoked, but not yet published: %w", err)
		}
	}
	return ids, nil
}
