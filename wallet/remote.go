package wallet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// Answer answers the request in a link of OpenID4VP. It returns the entry of
// the log and where to send the browser next, empty if nowhere. That the
// holder refused (ErrRefused) or has no such document (ErrNothing) is told to
// the verifier, in the same words, and returned as an error; so is what is
// wrong with a request of which it is sure whose it is.
//
// OpenID4VP 1.0, 5 to 8; ISO/IEC TS 18013-7, Annex B.
func (w *Wallet) Answer(ctx context.Context, link string) (entry LogEntry, redirect string, err error) {
	l, err := oid4vp.ParseLink(link)
	if err != nil {
		return LogEntry{}, "", fmt.Errorf("request link: %w", err)
	}
	object, nonce, err := l.Fetch(ctx, w.deps.Fetch)
	if err != nil {
		return LogEntry{}, "", err
	}
	if oid4vp.IsAnnexB(object) {
		return w.answerAnnexB(ctx, l, object)
	}
	env, err := w.environment(ctx)
	if err != nil {
		return LogEntry{}, "", err
	}
	req, _, err := oid4vp.Open(ctx, object, l, nonce, env, w.now())
	if err != nil {
		redirect, told := w.complain(ctx, err)
		return LogEntry{}, redirect, errors.Join(fmt.Errorf("the verifier's request is not in order, nothing was shown: %w", err), told)
	}
	m, presentations, err := w.respond(ctx, req)
	if err != nil {
		redirect, told := w.tell(ctx, req, err)
		return m.entry, redirect, errors.Join(err, told, m.end(ctx, err))
	}
	redirect, err = w.post(ctx, presentations, req)
	if err != nil {
		err = fmt.Errorf("answer the verifier: %w", err)
	}
	err = errors.Join(err, m.end(ctx, err))
	return m.entry, redirect, err
}

// answerPageOID4VP answers an OpenID4VP request of a page. Where the error alone
// would tell what the holder has not got, there is no data beside it.
//
// OpenID4VP 1.0, A and 15.9.2.
func (w *Wallet) answerPageOID4VP(ctx context.Context, r dcapi.Request, origin string) (data json.RawMessage, entry LogEntry, err error) {
	env, err := w.environment(ctx)
	if err != nil {
		return nil, LogEntry{}, err
	}
	req, _, err := oid4vp.OpenDC(ctx, r.Protocol, r.Data, origin, env, w.now())
	if err != nil {
		return nil, LogEntry{}, err
	}
	m, presentations, err := w.respond(ctx, req)
	if err == nil {
		data, err = req.AnswerDC(presentations)
	}
	if errors.Is(err, ErrRefused) {
		data = oid4vp.DCError(oid4vp.AccessDenied)
	}
	err = errors.Join(err, m.end(ctx, err))
	return data, m.entry, err
}

// respond asks the holder and makes the presentations. There is a matter to
// end, whatever the error.
func (w *Wallet) respond(ctx context.Context, req *oid4vp.Request) (*matter, oid4vp.Presentations, error) {
	m, err := w.consider(ctx, req.Query, Remote, w.verifier(ctx, req))
	if err != nil {
		return &matter{w: w, entry: w.newEntry(EventSharing)}, nil, err
	}
	m.register(ctx, req)
	if err := m.authorise(req); err != nil {
		return m, nil, err
	}
	presentations, err := m.present(ctx, req)
	return m, presentations, err
}

// present asks the holder and makes one response per document.
func (m *matter) present(ctx context.Context, req *oid4vp.Request) (oid4vp.Presentations, error) {
	m.entry.ResponseURI = oneLine(req.ResponseURI, 500)
	selection, err := m.ask(ctx)
	if err != nil {
		return nil, err
	}
	transcript, err := req.Transcript()
	if err != nil {
		return nil, err
	}
	bindings, err := m.bindings(req, selection)
	if err != nil {
		return nil, err
	}
	copies, err := m.take(ctx, selection)
	if err != nil {
		return nil, err
	}
	b := binding{transcript: transcript, keyBinding: sdjwt.KeyBinding{Audience: req.Audience(), Nonce: req.Nonce, IssuedAt: m.w.now()}}
	out := oid4vp.Presentations{}
	for _, t := range copies {
		id, bound := req.Query.Credentials[t.credential].ID, b
		if agreed := bindings[id]; out[id] == nil { // one document authorises, though several be shown
			bound.keyBinding.Transactions, bound.keyBinding.More, bound.device = agreed.hashes, agreed.claims, req.DeviceSigned(agreed.hashes)
		}
		p, err := m.prove(ctx, t, bound)
		if err != nil {
			return nil, err
		}
		out[id] = append(out[id], p)
	}
	m.entry.Receipts = receipts(out)
	return out, nil
}

// post sends the presentations.
func (w *Wallet) post(ctx context.Context, p oid4vp.Presentations, req *oid4vp.Request) (string, error) {
	message, err := req.Answer(p)
	if err != nil {
		return "", err
	}
	return req.Send(ctx, w.deps.Fetch, message)
}

// tell tells the verifier that nothing comes, and returns where to go next.
func (w *Wallet) tell(ctx context.Context, req *oid4vp.Request, cause error) (string, error) {
	code := oid4vp.WalletUnavailable
	var e *oid4vp.Error
	switch {
	case errors.Is(cause, ErrRefused), errors.Is(cause, ErrNothing):
		code = oid4vp.AccessDenied
	case errors.As(cause, &e):
		code = e.Code
	}
	return w.refuse(ctx, req, code, "")
}

// complain tells the verifier what is wrong with its request, if it is known to
// be its own.
func (w *Wallet) complain(ctx context.Context, cause error) (string, error) {
	var e *oid4vp.Error
	if !errors.As(cause, &e) || e.Tell == nil {
		return "", nil
	}
	return w.refuse(ctx, e.Tell, e.Code, e.Err.Error())
}

func (w *Wallet) refuse(ctx context.Context, req *oid4vp.Request, code, description string) (string, error) {
	message, err := req.Refuse(code, description)
	if err != nil {
		return "", err
	}
	redirect, err := req.Send(context.WithoutCancel(ctx), w.deps.Fetch, message)
	if err != nil {
		return "", fmt.Errorf("tell the verifier: %w", err)
	}
	return redirect, nil
}
