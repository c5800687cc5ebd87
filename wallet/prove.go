package wallet

import (
	"context"
	"fmt"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// binding is what a presentation is bound to, so that nobody can use it again:
// by its format one or the other.
type binding struct {
	transcript []byte                 // of an mdoc: the SessionTranscript
	device     []mdoc.DeviceNameSpace // of an mdoc: what its key agrees to
	// keyBinding of an SD-JWT VC: audience, nonce, and what is agreed to.
	keyBinding sdjwt.KeyBinding
}

// proveMdoc selects what was agreed to and has the device key sign it.
func (m *matter) proveMdoc(ctx context.Context, t taken, transcript []byte) (*mdoc.Presentation, error) {
	signed, ok := t.signed.(*receivedMdoc)
	if !ok {
		return nil, fmt.Errorf("a document of another format than mdoc cannot be shown on-site")
	}
	signer, err := m.w.signer(ctx, t.key)
	if err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	return signed.present(ctx, t.claims, binding{transcript: transcript}, signer)
}

// prove is the presentation of a copy, in either format.
func (m *matter) prove(ctx context.Context, t taken, b binding) (string, error) {
	signer, err := m.w.signer(ctx, t.key)
	if err != nil {
		return "", fmt.Errorf("device key: %w", err)
	}
	return t.signed.prove(ctx, t.claims, b, signer)
}

func (r *receivedMdoc) claims() (query.Claims, error) {
	return query.MdocClaims{Document: (*mdoc.IssuerSigned)(r)}, nil
}

func (r *receivedMdoc) present(ctx context.Context, claims []query.Disclosure, b binding, holder key.Signer) (*mdoc.Presentation, error) {
	p, err := (*mdoc.IssuerSigned)(r).Select(refs(claims))
	if err != nil {
		return nil, err
	}
	if b.device != nil {
		if err := p.SignElements(b.device); err != nil {
			return nil, err
		}
	}
	return p, p.Sign(ctx, b.transcript, holder)
}

// OpenID4VP 1.0, B.2.
func (r *receivedMdoc) prove(ctx context.Context, claims []query.Disclosure, b binding, holder key.Signer) (string, error) {
	p, err := r.present(ctx, claims, b, holder)
	if err != nil {
		return "", err
	}
	response, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
	if err != nil {
		return "", err
	}
	return oid4vp.EncodeMdoc(response), nil
}

func (r *receivedSDJWT) claims() (query.Claims, error) {
	p, err := r.sdjwt().Unverified()
	return query.SDJWTClaims{Payload: p}, err
}

// The key binding JWT is there also for a verifier that would do without: it
// costs nothing, and what is shown cannot be used again where one is wanted.
//
// OpenID4VP 1.0, B.3.
func (r *receivedSDJWT) prove(ctx context.Context, claims []query.Disclosure, b binding, holder key.Signer) (string, error) {
	paths := make([]sdjwt.Path, len(claims))
	for i, d := range claims {
		paths[i] = sdjwt.Path(d.Path)
	}
	p, err := r.sdjwt().Select(paths)
	if err != nil {
		return "", err
	}
	if err := p.Sign(ctx, b.keyBinding, holder); err != nil {
		return "", err
	}
	return p.String(), nil
}

// elementOf is a path as an element of an mdoc.
func elementOf(p query.Path) (mdoc.ElementRef, bool) {
	if len(p) != 2 {
		return mdoc.ElementRef{}, false
	}
	ns, ok1 := p[0].(string)
	id, ok2 := p[1].(string)
	return mdoc.ElementRef{NameSpace: ns, ID: id}, ok1 && ok2
}

func refs(claims []query.Disclosure) []mdoc.ElementRef {
	var out []mdoc.ElementRef
	for _, d := range claims {
		if ref, ok := elementOf(d.Path); ok {
			out = append(out, ref)
		}
	}
	return out
}
