package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// answerAnnexB answers a request that was fetched for a link and is one of the
// older OpenID4VP profile. Outcomes are as in Answer.
//
// ISO/IEC TS 18013-7 (draft N2544), B.1.2.
func (w *Wallet) answerAnnexB(ctx context.Context, l oid4vp.Link, object string) (entry LogEntry, redirect string, err error) {
	req, _, err := oid4vp.OpenAnnexB(object, l, w.now())
	if err != nil {
		return LogEntry{}, "", fmt.Errorf("the verifier's request is not in order, nothing was shown: %w", err)
	}
	client := oid4vp.Client{ClientID: req.ClientID, Proof: oid4vp.ProofCertificate, Chain: req.Chain}
	m, err := w.consider(ctx, req.Query, Remote, w.verifier(ctx, &oid4vp.Request{Client: client, ResponseURI: req.ResponseURI}))
	if err != nil {
		_, told := w.refuseAnnexB(ctx, req, err)
		return LogEntry{}, "", errors.Join(err, told)
	}
	m.entry.ResponseURI = oneLine(req.ResponseURI, 500)
	response, err := m.presentAnnexB(ctx, req)
	if err != nil {
		redirect, told := w.refuseAnnexB(ctx, req, err)
		return m.entry, redirect, errors.Join(err, told, m.end(ctx, err))
	}
	message, err := req.Answer(response)
	if err == nil {
		redirect, err = w.postAnnexB(ctx, message)
	}
	if err != nil {
		err = fmt.Errorf("answer the verifier: %w", err)
	}
	err = errors.Join(err, m.end(ctx, err))
	return m.entry, redirect, err
}

// presentAnnexB asks the holder and makes the one response.
func (m *matter) presentAnnexB(ctx context.Context, req *oid4vp.AnnexBRequest) ([]byte, error) {
	selection, err := m.ask(ctx)
	if err != nil {
		return nil, err
	}
	return m.deviceResponse(ctx, selection, req.Transcript())
}

// refuseAnnexB tells the verifier that nothing comes, and returns where to go
// next.
func (w *Wallet) refuseAnnexB(ctx context.Context, req *oid4vp.AnnexBRequest, cause error) (redirect string, err error) {
	code := oid4vp.WalletUnavailable
	if errors.Is(cause, ErrRefused) || errors.Is(cause, ErrNothing) {
		code = oid4vp.AccessDenied
	}
	message, err := req.Refuse(code, "")
	if err == nil {
		redirect, err = w.postAnnexB(context.WithoutCancel(ctx), message)
	}
	if err != nil {
		err = fmt.Errorf("tell the verifier: %w", err)
	}
	return redirect, err
}

func (w *Wallet) postAnnexB(ctx context.Context, message fetch.Request) (redirect string, err error) {
	resp, err := w.deps.Fetch(ctx, message)
	if err != nil {
		return "", err
	}
	return oid4vp.ParseResult(resp)
}
