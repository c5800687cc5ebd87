package status

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// Headers say whose key signed a token.
type Headers struct {
	X5Chain [][]byte // DER, leaf first, without the trust anchor; may be nil
	KeyID   string   // may be empty
}

// SignJWT makes a status list token as a JWT.
//
// Token Status List, 5.1; x5c as HAIP 1.0 wants it.
func SignJWT(ctx context.Context, signer key.Signer, h Headers, c Claims, list Compressed) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	payload, err := appendJWTClaims(c, list)
	if err != nil {
		return nil, err
	}
	token, err := jose.SignBytes(ctx, signer, jose.Header{Typ: "statuslist+jwt", KID: h.KeyID, X5C: h.X5Chain}, payload)
	if err != nil {
		return nil, fmt.Errorf("status list token: %w", err)
	}
	if err := checkSize(len(token)); err != nil {
		return nil, err
	}
	return []byte(token), nil
}

// checkSize refuses a token that readers would refuse.
func checkSize(n int) error {
	if n > maxTokenBytes {
		return fmt.Errorf("%w: token of %d bytes, at most %d", ErrTooLarge, n, maxTokenBytes)
	}
	return nil
}

// SignCWT makes a status list token as a CWT: a tagged COSE_Sign1 with the
// chain in the protected header.
//
// Token Status List, 5.2; ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
func SignCWT(ctx context.Context, signer key.Signer, h Headers, c Claims, list Compressed) ([]byte, error) {
	payload, err := c.appendCBOR()
	if err != nil {
		return nil, err
	}
	payload = list.AppendCBOR(cbor.AppendUint(payload, claimList))
	return signCWT(ctx, signer, h, MediaListCWT, payload)
}

// SignIdentifiersCWT makes an identifier list token. The identifiers are
// written in the order of their bytes, so that the order in which documents
// were revoked does not show.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
func SignIdentifiersCWT(ctx context.Context, signer key.Signer, h Headers, c Claims, ids [][]byte, aggregationURI string) ([]byte, error) {
	payload, err := c.appendCBOR()
	if err != nil {
		return nil, err
	}
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, bytes.Compare)
	sorted = slices.CompactFunc(sorted, bytes.Equal)
	n := 1
	if aggregationURI != "" {
		n = 2
	}
	payload = cbor.AppendMap(cbor.AppendUint(payload, claimIdentifiers), n)
	payload = cbor.AppendMap(cbor.AppendText(payload, "identifiers"), len(sorted))
	for _, id := range sorted {
		if len(id) == 0 || len(id) > maxIdentifier {
			return nil, fmt.Errorf("%w: identifier of %d bytes, not 1 to %d", ErrMalformed, len(id), maxIdentifier)
		}
		payload = cbor.AppendMap(cbor.AppendBytes(payload, id), 0)
	}
	if aggregationURI != "" {
		payload = cbor.AppendText(cbor.AppendText(payload, "aggregation_uri"), aggregationURI)
	}
	return signCWT(ctx, signer, h, MediaIdentifiersCWT, payload)
}

// check refuses claims that no reader would accept.
func (c Claims) check() error {
	if err := checkURI(c.URI); err != nil {
		return fmt.Errorf("sub: %w", err)
	}
	switch {
	case c.Issued.Unix() < 1:
		return fmt.Errorf("%w: no iat (Token Status List, 5)", ErrMalformed)
	case !c.Expires.IsZero() && !c.Expires.After(c.Issued):
		return fmt.Errorf("%w: exp is not after iat", ErrMalformed)
	case c.TTL < 0 || c.TTL > 0 && c.TTL < time.Second || c.TTL > maxTTL:
		return fmt.Errorf("%w: ttl of %v (Token Status List, 5)", ErrMalformed, c.TTL)
	}
	return nil
}

// appendCBOR begins a CWT claims set in the order of the example in Token
// Status List, 5.2. One more claim is to follow.
func (c Claims) appendCBOR() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	n := 3
	if !c.Expires.IsZero() {
		n++
	}
	if c.TTL > 0 {
		n++
	}
	b := cbor.AppendMap(nil, n)
	b = cbor.AppendText(cbor.AppendUint(b, claimSubject), c.URI)
	b = cbor.AppendInt(cbor.AppendUint(b, claimIssued), c.Issued.Unix())
	if !c.Expires.IsZero() {
		b = cbor.AppendInt(cbor.AppendUint(b, claimExpires), c.Expires.Unix())
	}
	if c.TTL > 0 {
		b = cbor.AppendUint(cbor.AppendUint(b, claimTTL), uint64(c.TTL/time.Second))
	}
	return b, nil
}

func signCWT(ctx context.Context, signer key.Signer, h Headers, media string, payload []byte) ([]byte, error) {
	headers := cose.Headers{Type: media, X5Chain: h.X5Chain, X5ChainProtect: true}
	if h.KeyID != "" {
		headers.KeyID = []byte(h.KeyID)
	}
	token, err := cose.AppendSign1(ctx, nil, signer, headers, cose.Content{Payload: payload, Tagged: true})
	if err != nil {
		return nil, fmt.Errorf("status token: %w", err)
	}
	if err := checkSize(len(token)); err != nil {
		return nil, err
	}
	return token, nil
}
