package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/securearea"
)

// Pending is a document that an issuer was not ready to give.
type Pending struct {
	ID            string    `json:"id"`
	Grant         string    `json:"grant"`
	Configuration string    `json:"configuration"`
	Format        string    `json:"format"`
	DocType       string    `json:"doctype"`
	Name          string    `json:"name"`
	Issuer        string    `json:"issuer"` // credential issuer identifier
	Transaction   string    `json:"transaction"`
	Keys          []string  `json:"keys"`  // ids, that the copies will be for
	After         time.Time `json:"after"` // when to ask again
	Since         time.Time `json:"since"`
}

// pendings reads what is waited for, the oldest first.
func pendings(ctx context.Context, t Txn) ([]Pending, error) {
	out, err := listJSON[Pending](ctx, t, kindPending)
	slices.SortStableFunc(out, func(a, b Pending) int { return a.Since.Compare(b.Since) })
	return out, err
}

// Pending lists the documents that issuers have still to give, the oldest
// request first.
func (w *Wallet) Pending(ctx context.Context) (out []Pending, err error) {
	err = w.deps.Storage.View(ctx, func(t Txn) error {
		out, err = pendings(ctx, t)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list what is waited for: %w", err)
	}
	return out, nil
}

// put stores the request; its keys are no orphans any more.
func (p Pending) put(ctx context.Context, t Txn) error {
	for _, k := range p.Keys {
		if err := t.Delete(ctx, kindOrphan, k); err != nil {
			return err
		}
	}
	return putJSON(ctx, t, kindPending, p.ID, p)
}

// collect asks again for what was not ready, where it is time to.
func (w *Wallet) collect(ctx context.Context) ([]Document, error) {
	list, err := w.Pending(ctx)
	if err != nil {
		return nil, err
	}
	var came []Document
	var problems []error
	for _, p := range list {
		if p.After.After(w.now()) {
			continue
		}
		doc, err := w.collectOne(ctx, p)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("%s: %w", p.Name, err))
		case doc != nil:
			came = append(came, *doc)
		}
	}
	return came, errors.Join(problems...)
}

// collectOne asks for one document; nil if it is not ready yet. A request that
// the issuer does not know, or has refused, is forgotten.
func (w *Wallet) collectOne(ctx context.Context, p Pending) (*Document, error) {
	i, err := w.resume(ctx, p.Grant)
	if errors.Is(err, ErrNoGrant) {
		return nil, errors.Join(err, w.giveUp(ctx, p))
	}
	if err != nil {
		return nil, err
	}
	answer, err := i.oid.Deferred(ctx, p.Transaction, len(p.Keys), w.now())
	var refusal *oid4vci.Error
	switch {
	case errors.As(err, &refusal) && (refusal.Code == oid4vci.CodeInvalidTransaction || refusal.Code == oid4vci.CodeDenied):
		return nil, errors.Join(advise(err, "the issuer does not give out this document; ask there"), w.giveUp(ctx, p))
	case err != nil:
		return nil, err
	case answer.Transaction != "":
		p.After, p.Transaction = w.now().Add(answer.Interval).UTC(), answer.Transaction
		return nil, w.deps.Storage.Tx(ctx, func(t Txn) error { return putJSON(ctx, t, kindPending, p.ID, p) })
	}
	keys := make([]securearea.Key, len(p.Keys))
	for n, id := range p.Keys {
		if keys[n], err = securearea.Open(ctx, w.deps.Area, id); err != nil {
			return nil, err
		}
	}
	g, err := i.take(ctx, Offered{Configuration: p.Configuration, Format: p.Format, DocType: p.DocType, Name: p.Name}, keys, answer)
	if err != nil {
		return nil, errors.Join(err, w.giveUp(ctx, p))
	}
	g.instead = &p
	i.spare = slices.Clone(p.Keys)
	docs, err := i.store(ctx, []obtained{g})
	i.tell(ctx, g, err)
	if err != nil {
		return nil, err
	}
	w.forget(ctx, i.spare...) // of copies that were not given
	return &docs[0], nil
}

// giveUp forgets a request and its keys.
func (w *Wallet) giveUp(ctx context.Context, p Pending) error {
	keys := slices.Clone(p.Keys)
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		for _, k := range p.Keys {
			if err := putJSON(ctx, t, kindOrphan, k, orphanRow{}); err != nil {
				return err
			}
		}
		if err := t.Delete(ctx, kindPending, p.ID); err != nil {
			return err
		}
		ofGrant, err := dropGrant(ctx, t, p.Grant)
		keys = append(slices.Clone(p.Keys), ofGrant...)
		return err
	})
	if err != nil {
		return err
	}
	w.forget(ctx, keys...)
	return nil
}
