package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	records "github.com/eidos-id/eidos/internal/record"
	"github.com/eidos-id/eidos/issuer/source"
)

// Reviewed counts what a review found.
type Reviewed struct {
	Documents int `json:"documents"` // looked at
	Outdated  int `json:"outdated"`  // found to say something else than the register
	Ended     int `json:"ended"`     // outdated for too long: their copies were revoked
	Revoked   int `json:"revoked"`   // the person has died, or is not in the register any more
	Problems  int `json:"problems"`  // could not be compared; the log says why
}

// kindReview remembers where a round of reviews stands, so that another process,
// or the same one later, goes on there.
const kindReview = "issuer review"

const thisReview = "this"

type reviewState struct {
	After   string    // the last document looked at; empty between rounds
	Started time.Time // of the round that runs or was last
}

// reviewSlice is how many documents are looked at in one go.
const reviewSlice = 200

// Review compares all documents of a tenant with the register, at once: those
// of the dead, and of persons who are not in it any more, are revoked; those
// that say something else are outdated. A review that ends early goes on where
// it was the next time. progress, if not nil, is told how many documents were
// looked at. Errors: ErrUnknownTenant, or the source's.
//
// ISO/IEC 23220-1:2023, 5.2: accuracy and quality.
func (a *Authority) Review(ctx context.Context, tenant string, progress func(done int)) (Reviewed, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return Reviewed{}, err
	}
	var sum Reviewed
	for {
		done, more, err := t.reviewNext(ctx, 0)
		sum.add(done)
		if progress != nil {
			progress(sum.Documents)
		}
		if err != nil || !more {
			return sum, err
		}
	}
}

func (r *Reviewed) add(o Reviewed) {
	r.Documents, r.Outdated, r.Ended, r.Revoked, r.Problems =
		r.Documents+o.Documents, r.Outdated+o.Outdated, r.Ended+o.Ended, r.Revoked+o.Revoked, r.Problems+o.Problems
}

// reviewNext looks at the next documents, and reports whether there are more in
// this round. A round begins when the last one began at least every ago. Of
// several processes one works at a time.
func (t *tenant) reviewNext(ctx context.Context, every time.Duration) (done Reviewed, more bool, err error) {
	a := t.authority
	store := a.db.Records()
	err = store.Alone(ctx, t.config.ID, "review", func(ctx context.Context) error {
		now := a.now()
		var s reviewState
		err := store.View(ctx, t.config.ID, func(ctx context.Context, tx records.Tx) (err error) {
			s, err = records.Get[reviewState](ctx, tx, kindReview, thisReview)
			if errors.Is(err, records.ErrNotFound) {
				err = nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if s.After == "" {
			if now.Sub(s.Started) < every {
				return nil
			}
			s.Started = now
		}
		var list []compared
		err = a.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
			list, err = toCompare(ctx, tx, t.config.ID, s.After, reviewSlice)
			return err
		})
		if err != nil {
			return err
		}
		var lists []string
		for _, d := range list {
			changed, err := t.review(ctx, d, now, &done)
			if err != nil {
				return err
			}
			lists = append(lists, changed...)
			s.After = d.ID
		}
		if more = len(list) == reviewSlice; !more {
			s.After = ""
		}
		err = store.Update(ctx, t.config.ID, func(ctx context.Context, tx records.Tx) error {
			return records.Put(ctx, tx, kindReview, thisReview, s)
		})
		return errors.Join(err, t.publish(ctx, lists, now))
	})
	if err != nil {
		err = fmt.Errorf("issuer: review: %w", err)
	}
	return done, more, err
}

// review compares one document with the register.
func (t *tenant) review(ctx context.Context, d compared, now time.Time, sum *Reviewed) (lists []string, err error) {
	sum.Documents++
	reason, same, err := t.compare(ctx, d)
	if err != nil {
		return nil, err
	}
	var c change
	switch {
	case reason != "":
		sum.Revoked++
		c = change{what: "document revoked", event: EventRevoked, apply: revokeDocument}
	case same == nil:
		sum.Problems++
		return nil, nil
	case *same && !d.Outdated.IsZero():
		c = change{what: "document up to date again", apply: setOutdated(time.Time{})}
	case !*same && d.Outdated.IsZero():
		sum.Outdated++
		c = change{what: "document outdated", event: EventOutdated, apply: setOutdated(now)}
	case !*same && now.Sub(d.Outdated) >= t.authority.config.UpdateWithin && d.ValidUntil.After(now):
		sum.Ended++
		c = change{what: "outdated copies revoked", apply: endCopies}
	default:
		return nil, nil
	}
	err = t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		lists, err = t.happen(ctx, tx, c, d.Document, reason, now)
		return err
	})
	if err == nil {
		t.authority.log.Info(c.what, "role", "issuer", "tenant", t.config.ID, "document", d.ID, "reason", reason)
	}
	return lists, err
}

// compare finds out what the register says of a document: that it has to be
// revoked, and why; or whether it is the same; nil if that cannot be told.
func (t *tenant) compare(ctx context.Context, d compared) (revoke string, same *bool, err error) {
	e, err := t.engines(ctx)
	if err != nil {
		return "", nil, err
	}
	unfit := func(err error) (string, *bool, error) {
		t.authority.log.Warn("document not comparable with the register: correct what it holds", "role", "issuer", "tenant", t.config.ID,
			"document", d.ID, "error", err)
		return "", nil, nil
	}
	switch _, err := t.person(ctx, d.Subject); {
	case errors.Is(err, source.ErrUnfit):
		return unfit(err)
	case errors.Is(err, ErrDeceased):
		return "holder deceased", nil, nil
	case errors.Is(err, ErrUnknownPerson):
		return "holder not in the register any more", nil, nil
	case err != nil:
		return "", nil, err
	}
	o, ok := t.offerings[d.Offering]
	if !ok {
		return "", nil, nil // not issued any more; what there is runs out
	}
	c, refusal, err := t.content(ctx, o, d.Subject, d.asOf)
	if err != nil {
		return "", nil, err
	}
	if refusal != nil {
		return unfit(refusal)
	}
	equal := bytes.Equal(fingerprint(e.fingerprint, c.nameSpaces), d.fingerprint)
	return "", &equal, nil
}
