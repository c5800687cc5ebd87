package issuer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
)

// Selection says which documents are meant: one by its id, or all of a person,
// of one offering or of any.
type Selection struct {
	Document string // or
	Subject  string
	Offering string // optional, with Subject
}

// maxReason limits what is kept as the reason of a change, in bytes.
const maxReason = 200

// change is an event in the life of a document.
type change struct {
	what  string // for the audit: "document revoked"
	event string // for webhooks, "" for none
	ends  bool   // also what was granted to the person and has brought nothing yet
	// apply makes the change to a document that it is possible for, and returns
	// the status lists that have changed.
	possible func(d Document) bool
	apply    func(ctx context.Context, tx *db.Tx, tenant string, d Document, reason string, now time.Time) (lists []string, err error)
}

// Revoke ends documents for good: all copies are marked in the status lists,
// which are published again at once. It returns the ids of all documents that
// are meant and revoked now, whether or not they were before. If publishing
// fails the revocation stands and Run publishes it later; the error says so.
// With a person, apps that were granted documents and have none yet get none any
// more; it takes a new offer. A person of the register may be without documents.
// reason is for the authority's own books and must not hold personal data.
// Errors: ErrUnknownTenant, ErrUnknownDocument if none is meant, ErrInvalid.
func (a *Authority) Revoke(ctx context.Context, tenant string, which Selection, reason string) ([]string, error) {
	return a.change(ctx, tenant, which, reason, change{
		what: "document revoked", event: EventRevoked, ends: true,
		possible: func(d Document) bool { return d.State != StateRevoked },
		apply:    revokeDocument,
	})
}

// Suspend makes documents invalid until they are resumed, and gives out no new
// copies. An mdoc has no such state: its copies are revoked for good, and new
// ones go out when it is resumed. Everything else is as with Revoke; revoked
// documents stay revoked and are returned too.
func (a *Authority) Suspend(ctx context.Context, tenant string, which Selection, reason string) ([]string, error) {
	return a.change(ctx, tenant, which, reason, change{
		what: "document suspended", event: EventSuspended,
		possible: func(d Document) bool { return d.State == StateValid || d.State == StateExpired },
		apply:    suspendDocument,
	})
}

// Resume ends a suspension. Copies of SD-JWT VCs are valid again; of mdocs the
// app gets new ones. Everything else is as with Suspend.
func (a *Authority) Resume(ctx context.Context, tenant string, which Selection, reason string) ([]string, error) {
	return a.change(ctx, tenant, which, reason, change{
		what: "document resumed", event: EventResumed,
		possible: func(d Document) bool { return d.State == StateSuspended },
		apply: func(ctx context.Context, tx *db.Tx, tenant string, d Document, _ string, now time.Time) ([]string, error) {
			return resumeDocument(ctx, tx, tenant, d)
		},
	})
}

// Delete revokes documents and forgets whose they were: person, fingerprint,
// app, and the grant once nothing of it is left. What the status lists need
// stays until the last copy has ended, and then goes too. Everything else is as
// with Revoke.
func (a *Authority) Delete(ctx context.Context, tenant string, which Selection, reason string) ([]string, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	e, err := t.engines(ctx)
	if err != nil {
		return nil, err
	}
	return a.change(ctx, tenant, which, reason, change{
		what: "document deleted", event: EventDeleted, ends: true,
		possible: func(Document) bool { return true },
		apply: func(ctx context.Context, tx *db.Tx, tenant string, d Document, reason string, now time.Time) (lists []string, err error) {
			if d.State != StateRevoked {
				if lists, err = revokeDocument(ctx, tx, tenant, d, reason, now); err != nil {
					return nil, err
				}
			}
			grant, err := forgetDocument(ctx, tx, tenant, d.ID, now)
			if err == nil && grant != "" {
				err = e.oauth.Revoke(ctx, tx.Once(tenant), grant, now)
			}
			return lists, err
		},
	})
}

// change applies an event to all documents that are meant, in one transaction,
// and publishes the lists that have changed.
func (a *Authority) change(ctx context.Context, tenant string, which Selection, reason string, c change) ([]string, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if (which.Document == "") == (which.Subject == "") || which.Document != "" && which.Offering != "" || len(reason) > maxReason {
		return nil, fmt.Errorf("%w: name a document, or a subject with or without an offering, and a reason of at most %d bytes", ErrInvalid, maxReason)
	}
	e, err := t.engines(ctx)
	if err != nil {
		return nil, err
	}
	ends := c.ends && which.Subject != ""
	known := false
	if ends {
		_, err := t.source.Find(ctx, which.Subject)
		known = err == nil
	}
	now := a.now()
	var ids, changed, lists []string
	err = a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		ids, changed, lists = []string{}, nil, nil
		if ends {
			if err := t.endGrants(ctx, tx, subjectReference(e, which.Subject), which.Offering, now); err != nil {
				return err
			}
		}
		found, err := documents(ctx, tx, t.config.ID, Filter{ID: which.Document, Subject: which.Subject, Offering: which.Offering}, now)
		if err != nil {
			return err
		}
		if len(found) == 0 && !known {
			return ErrUnknownDocument
		}
		for _, d := range found {
			ids = append(ids, d.ID)
			if !c.possible(d) {
				continue
			}
			l, err := t.happen(ctx, tx, c, d, reason, now)
			if err != nil {
				return err
			}
			lists, changed = append(lists, l...), append(changed, d.ID)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range changed {
		a.log.Info(c.what, "role", "issuer", "tenant", t.config.ID, "document", id)
	}
	return ids, t.publish(ctx, lists, now)
}

// kindEnded has, by person and offering, since when what was granted before and
// has brought nothing brings nothing any more.
const kindEnded = "issuer-ended"

// endGrants ends what was granted to a person of an offering, or of all, and has
// brought nothing yet.
func (t *tenant) endGrants(ctx context.Context, tx *db.Tx, person, offering string, now time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(t.offerings)) {
		if offering != "" && id != offering {
			continue
		}
		// For good: a grant lives for as long as its app refreshes it.
		err := tx.Once(t.config.ID).Put(ctx, kindEnded, person+" "+id, []byte(now.Format(time.RFC3339Nano)), now.AddDate(100, 0, 0))
		if err != nil {
			return err
		}
	}
	return t.authority.audit.Append(ctx, tx, now, audit.Event{
		Tenant: t.config.ID, What: "what was granted and not yet issued ended", Object: person, Detail: map[string]string{"offering": offering},
	})
}

// stillGranted returns errRevoked if what was granted has ended since.
func stillGranted(ctx context.Context, st once.Store, who entitled, now time.Time) error {
	value, err := st.Get(ctx, kindEnded, who.person+" "+who.offering, now)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ended, err := time.Parse(time.RFC3339Nano, string(value))
	if err == nil && !who.granted.After(ended) {
		return errRevoked
	}
	return err
}

// happen applies an event to one document and writes it down.
func (t *tenant) happen(ctx context.Context, tx *db.Tx, c change, d Document, reason string, now time.Time) ([]string, error) {
	lists, err := c.apply(ctx, tx, t.config.ID, d, reason, now)
	if err != nil {
		return nil, err
	}
	if c.event != "" {
		if err := t.tell(ctx, tx, c.event, map[string]string{"document": d.ID, "offering": d.Offering}); err != nil {
			return nil, err
		}
	}
	return lists, t.authority.audit.Append(ctx, tx, now, audit.Event{
		Tenant: t.config.ID, What: c.what, Object: d.ID, Detail: map[string]string{"offering": d.Offering, "reason": reason},
	})
}

// publish signs lists anew after what they say has changed.
func (t *tenant) publish(ctx context.Context, lists []string, now time.Time) error {
	slices.Sort(lists)
	for _, list := range slices.Compact(lists) {
		if _, err := t.board.Publish(ctx, list, now); err != nil {
			return fmt.Errorf("issuer: done, but not yet published: %w", err)
		}
	}
	return nil
}
