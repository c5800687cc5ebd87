package oid4vci

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// TypeMetadata is the typ header of signed metadata. OpenID4VCI 1.0, 12.2.3.
const TypeMetadata = "openidvci-issuer-metadata+jwt"

// SignMetadata makes the metadata a signed token, with the chain of the signer,
// DER, leaf first and the root left out.
//
// OpenID4VCI 1.0, 12.2.3.
func SignMetadata(ctx context.Context, m Metadata, signer key.Signer, chain [][]byte, issued, expires time.Time) (string, error) {
	payload, err := json.Marshal(struct {
		Subject  string           `json:"sub"`
		IssuedAt jose.NumericDate `json:"iat"`
		Expires  jose.NumericDate `json:"exp"`
		Metadata
	}{m.CredentialIssuer, jose.NewDate(issued), jose.NewDate(expires), m})
	if err != nil {
		return "", err
	}
	return jose.SignBytes(ctx, signer, jose.Header{Typ: TypeMetadata, X5C: chain}, payload)
}

// ParseSignedMetadata verifies metadata in a signed token that were fetched for
// issuer. trust validates the chain of the signer, DER, leaf first, and returns
// its key.
//
// OpenID4VCI 1.0, 12.2.3.
func ParseSignedMetadata(token, issuer string, trust func(chain [][]byte) (crypto.PublicKey, error), now time.Time) (*Metadata, error) {
	fail := func(err error) (*Metadata, error) {
		return nil, fmt.Errorf("signed credential issuer metadata: %w (OpenID4VCI 1.0, 12.2.3)", err)
	}
	t, err := jose.Parse(token, jose.Limits{Token: 2 * maxMetadata, Header: 64 << 10})
	if err != nil {
		return fail(err)
	}
	if !t.Header.HasType(TypeMetadata) {
		return fail(fmt.Errorf("typ is %.40q", t.Header.Typ))
	}
	if len(t.Header.X5C) == 0 {
		return fail(errors.New("no certificate chain of the signer"))
	}
	pub, err := trust(t.Header.X5C)
	if err != nil {
		return fail(err)
	}
	if err := t.Verify(pub); err != nil {
		return fail(err)
	}
	var c struct {
		Subject  string           `json:"sub"`
		IssuedAt jose.NumericDate `json:"iat"`
		Expires  jose.NumericDate `json:"exp"`
	}
	if err := t.Claims(&c); err != nil {
		return fail(err)
	}
	switch {
	case c.Subject != issuer:
		return fail(errors.New("sub is not the identifier that they were fetched for"))
	case c.IssuedAt == 0 || c.IssuedAt.Time().After(now.Add(proofWindow)):
		return fail(errors.New("iat is missing or in the future"))
	case c.Expires != 0 && !c.Expires.Time().After(now):
		return fail(errors.New("expired"))
	}
	return ParseMetadata(t.Payload, issuer)
}
