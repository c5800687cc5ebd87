package issuer

import (
	"context"
	"time"

	"github.com/eidos-id/eidos/internal/db"
)

// State is where a document stands in its life.
type State string

// The states.
const (
	StateValid     State = "valid"
	StateExpired   State = "expired"   // the newest copies have ended
	StateSuspended State = "suspended" // until it is resumed
	StateRevoked   State = "revoked"   // for good
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
	Format     string    `json:"format"`
	Revoked    time.Time `json:"revoked,omitzero"`
	Suspended  time.Time `json:"suspended,omitzero"`
	Outdated   time.Time `json:"outdated,omitzero"` // since when the register is known to say something else
	Reason     string    `json:"reason,omitempty"`  // of the last change
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
