package verifier

import (
	"context"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// MdocRequest is what a page of an origin asks the browser with, by the protocol
// org-iso-mdoc, to have a transaction answered. A second call for the same
// transaction gives the same request, whatever the origin. Errors:
// ErrUnknownTenant, ErrUnknownTransaction, ErrInvalid.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2.
func (v *Verifier) MdocRequest(ctx context.Context, tenant, id, origin string) (dcapi.Request, error) {
	t, r, req, err := v.openWay(ctx, tenant, id)
	if err != nil {
		return dcapi.Request{}, err
	}
	return t.mdocRequest(ctx, r, &req, origin)
}

func (t *tenant) mdocRequest(ctx context.Context, r row, req *request, origin string) (dcapi.Request, error) {
	q, err := req.isoQuery(false)
	if err != nil {
		return dcapi.Request{}, err
	}
	var tx dcapi.Transaction
	now := t.v.now()
	err = t.beginWay(ctx, wayBrowser, r, &tx, func() error {
		fresh, err := dcapi.Begin(origin, r.expires.Sub(now), now)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		tx = *fresh
		return nil
	})
	if err != nil {
		return dcapi.Request{}, err
	}
	p, err := t.deviceRequest(ctx, q, tx.Transcript(), false)
	if err != nil {
		return dcapi.Request{}, err
	}
	return tx.Request(ctx, p)
}

// AnswerMdoc takes what the browser gave the page, verifies it and ends the
// transaction. It returns where the browser goes next. Errors besides those of
// MdocRequest say what is wrong with the answer, for the page.
//
// ISO/IEC TS 18013-7 (draft N2544), C.3.
func (v *Verifier) AnswerMdoc(ctx context.Context, tenant, id string, response dcapi.Response) (redirect string, err error) {
	t, r, req, err := v.openWay(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	return t.answerMdoc(ctx, r, &req, response)
}

func (t *tenant) answerMdoc(ctx context.Context, r row, req *request, response dcapi.Response) (redirect string, err error) {
	var tx dcapi.Transaction
	if _, err := t.goOn(ctx, wayBrowser, r, &tx); err != nil {
		return "", err
	}
	q, err := req.isoQuery(false)
	if err != nil {
		return "", err
	}
	now := t.v.now()
	plain, err := tx.Open(response, now)
	switch {
	case errors.Is(err, dcapi.ErrMalformed), errors.Is(err, dcapi.ErrDecrypt), errors.Is(err, dcapi.ErrExpired):
		return "", &refusal{oid4vp.InvalidRequest, err.Error()}
	case err != nil:
		return "", err
	}
	return t.conclude(ctx, r, req, q, isoAnswer{response: plain, transcript: tx.Transcript()}, now)
}
