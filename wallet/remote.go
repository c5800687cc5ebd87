package wallet

import (
	"context"
	"errors"
	"fmt"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// Answer answers the request in a link of OpenID4VP. It returns the entry of
// the log and where to send the browser next, empty if nowhere. That the
// holder refused (ErrRefused) or has no such document (ErrNothing) is told to
// the verifier, in the same words, and returned as an error.
//
// OpenID4VP 1.0, 5 to 8.
func (w *Wallet) Answer(ctx context.Context, link string) (entry LogEntry, redirect string, err error) {
	l, err := oid4vp.ParseLink(link)
	if err != nil {
		return LogEntry{}, "", fmt.Errorf("request link: %w", err)
	}
	object, nonce, err := l.Fetch(ctx, w.deps.Fetch)
	if err != nil {
		return LogEntry{}, "", err
	}
	req, _, err := oid4vp.Open(object, l, nonce, w.now())
	if err != nil {
		return LogEntry{}, "", fmt.Errorf("the verifier's request is not in order, nothing was shown: %w", err)
	}
	m, err := w.consider(ctx, req.Query, Remote, w.verifier(ctx, req))
	if err != nil {
		return LogEntry{}, "", errors.Join(err, w.turnDown(ctx, req, err))
	}
	presentations, err := m.present(ctx, req)
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
	copies, err := m.take(ctx, selection)
	if err != nil {
		return nil, err
	}
	out := oid4vp.Presentations{}
	for _, t := range copies {
		p, err := m.prove(ctx, t, transcript)
		if err != nil {
			return nil, err
		}
		response, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
		if err != nil {
			return nil, err
		}
		id := req.Query.Credentials[t.credential].ID
		out[id] = append(out[id], oid4vp.EncodeMdoc(response))
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
	return w.send(ctx, message)
}

func (w *Wallet) send(ctx context.Context, message fetch.Request) (string, error) {
	resp, err := w.deps.Fetch(ctx, message)
	if err != nil {
		return "", err
	}
	return oid4vp.ParseResult(resp)
}

// tell tells the verifier that nothing comes, and returns where to go next.
func (w *Wallet) tell(ctx context.Context, req *oid4vp.Request, cause error) (string, error) {
	code := oid4vp.WalletUnavailable
	switch {
	case errors.Is(cause, ErrRefused), errors.Is(cause, ErrNothing):
		code = oid4vp.AccessDenied
	}
	message, err := req.Refuse(code, "")
	if err != nil {
		return "", err
	}
	redirect, err := w.send(context.WithoutCancel(ctx), message)
	if err != nil {
		return "", fmt.Errorf("tell the verifier: %w", err)
	}
	return redirect, nil
}

// turnDown is tell where nobody waits for the way on.
func (w *Wallet) turnDown(ctx context.Context, req *oid4vp.Request, cause error) error {
	_, err := w.tell(ctx, req, cause)
	return err
}

// verifier finds out who asks: whether a CA that is trusted for verifiers, or
// for readers, vouches for the certificate of the request.
func (w *Wallet) verifier(ctx context.Context, req *oid4vp.Request) Party {
	p := Party{Standing: assure.ReaderUnknown, ID: oneLine(req.ClientID, 200)}
	leaf, err := leafOf(req.Chain)
	if err != nil { // oid4vp.Open took its key out of it
		p.Standing, p.Name = assure.ReaderAnonymous, hostOf(req.ResponseURI)
		return p
	}
	p.show(leaf)
	if p.Name == "" {
		p.Name = hostOf(req.ResponseURI)
	}
	for try := 1; ; try++ {
		anchors := w.anchors(ctx)
		for _, way := range vouching() {
			signer, rep := anchors.VerifyChain(req.Chain, way.purpose, w.now(), assure.ChainOptions{Profile: way.profile})
			if rep.OK() {
				p.Standing, p.VouchedBy, p.Identity = assure.ReaderTrusted, oneLine(signer.Organisation(), 120), identity(leaf)
				return p
			}
		}
		if try > 1 || w.deps.Refresh == nil || w.deps.Refresh(ctx, w.now()) != nil {
			return p
		}
	}
}

// way is a kind of CA and of certificate under it.
type way struct {
	purpose trustlist.Purpose
	profile pki.Profile
}

// vouching lists how a verifier may be vouched for. Many have one certificate
// for reading on-site and for asking remotely.
func vouching() []way {
	return []way{{trustlist.Verifier, pki.Verifier}, {trustlist.Verifier, pki.ReaderAuth}, {trustlist.Reader, pki.ReaderAuth}}
}
