package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/statuslist"
)

// CheckStatus asks the status lists whether a document is still valid, and
// keeps the answer. The lists are fetched whole, so it tells nobody which
// document is meant. If nothing could be found out the status stays as it was
// and the error says why.
//
// Token Status List, 12.1; ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
func (w *Wallet) CheckStatus(ctx context.Context, id string) (Document, error) {
	doc, raws, err := w.issued(ctx, id)
	if err != nil {
		return Document{}, fmt.Errorf("check document %.64q: %w", id, err)
	}
	outcome, err := w.statusOf(ctx, doc, raws)
	if err != nil {
		return doc, fmt.Errorf("check document %.64q: %w", id, err)
	}
	err = w.deps.Storage.Tx(ctx, func(t Txn) error {
		current, _, err := document(ctx, t, id)
		if err != nil {
			return err
		}
		current.Status, current.Checked = outcome, w.now().UTC()
		doc = current
		return putJSON(ctx, t, kindDocument, id, current)
	})
	if err != nil {
		return doc, fmt.Errorf("check document %.64q: %w", id, err)
	}
	return doc, nil
}

// Copies are the signed copies of a document as the issuer gave them, each an
// IssuerSigned or an SD-JWT VC: for the holder's own use with other software.
func (w *Wallet) Copies(ctx context.Context, id string) ([][]byte, error) {
	_, raws, err := w.issued(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("copies of document %.64q: %w", id, err)
	}
	return raws, nil
}

// issued reads all copies of a document.
func (w *Wallet) issued(ctx context.Context, id string) (doc Document, raws [][]byte, err error) {
	err = w.deps.Storage.View(ctx, func(t Txn) error {
		var list []copyOf
		if doc, list, err = document(ctx, t, id); err != nil {
			return err
		}
		raws = nil
		for _, c := range list {
			raw, err := t.Get(ctx, kindIssued, c.id)
			if err != nil {
				return err
			}
			raws = append(raws, raw)
		}
		return nil
	})
	return doc, raws, err
}

// statusOf is the worst that is published about any copy.
func (w *Wallet) statusOf(ctx context.Context, doc Document, raws [][]byte) (statuslist.Outcome, error) {
	anchors, err := w.anchorsFor(ctx, doc)
	if err != nil {
		return "", err
	}
	p := assure.DocumentParams{
		Now: w.now(), Anchors: anchors, DocType: doc.DocType, RequireStatus: true,
		Status: statuslist.NewFetcher(w.deps.Fetch, assure.StatusTrust(trustlist.Issuer, anchors.Snapshot), statuslist.Options{}),
	}
	worst := statuslist.Valid
	for _, raw := range raws {
		c, err := read(doc.Format, raw)
		if err != nil {
			return "", err
		}
		_, verdict, rep := c.verify(ctx, p)
		switch outcome := verdict.Outcome; {
		case outcome == "" || outcome == statuslist.Unknown:
			if err := rep.Err(); err != nil {
				return "", err
			}
			// It names no list: it is as valid as its dates say.
		case slices.Index(bySeverity(), outcome) > slices.Index(bySeverity(), worst):
			worst = outcome
		}
	}
	return worst, nil
}

// bySeverity lists the outcomes, the worst last.
func bySeverity() []statuslist.Outcome {
	return []statuslist.Outcome{statuslist.Valid, statuslist.Other, statuslist.Suspended, statuslist.Invalid}
}

// anchorsFor are the anchors with the holder's own for the document's issuer.
func (w *Wallet) anchorsFor(ctx context.Context, doc Document) (*assure.Anchors, error) {
	anchors := w.anchors(ctx)
	if doc.Issuer.Standing == assure.ReaderTrusted {
		return anchors, nil
	}
	var pin assure.Pin
	err := OnceTx(w.deps.Storage)(ctx, func(st once.Store) error {
		var err error
		pin, err = assure.PinsIn(st).Pin(ctx, trustlist.Issuer, doc.Issuer.ID)
		return err
	})
	if errors.Is(err, assure.ErrNoPin) {
		return anchors, nil
	}
	if err != nil {
		return nil, err
	}
	own, ok := pin.Anchor()
	if !ok {
		return anchors, nil
	}
	return anchors.With(own)
}
