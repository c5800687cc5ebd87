package verifier

import (
	"context"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// mdocRequest is what a page of an origin asks the browser with, by the protocol
// org-iso-mdoc. A second call for the same transaction and origin gives the same
// request. Error: ErrInvalid, for what a DeviceRequest has no words for.
//
// ISO/IEC TS 18013-7 (draft N2544), C.2.
func (t *tenant) mdocRequest(ctx context.Context, r row, req *request, origin string) (dcapi.Request, error) {
	q, err := req.isoQuery(false)
	if err != nil {
		return dcapi.Request{}, err
	}
	var tx dcapi.Transaction
	now := t.v.now()
	err = t.beginWay(ctx, ofPage(wayBrowser, origin), r, &tx, func() error {
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

// answerMdoc takes what the browser gave the page, verifies it and ends the
// transaction. It returns where the browser goes next.
//
// ISO/IEC TS 18013-7 (draft N2544), C.3.
func (t *tenant) answerMdoc(ctx context.Context, r row, req *request, origin string, response dcapi.Response) (redirect string, err error) {
	var tx dcapi.Transaction
	if _, err := t.goOn(ctx, ofPage(wayBrowser, origin), r, &tx); err != nil {
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
	return t.conclude(ctx, r, req, q, isoAnswer{response: plain, transcript: tx.Transcript(), received: receivedFromPage(response)}, now)
}
