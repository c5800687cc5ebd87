package oid4vci

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// maxReply bounds the size of a reply: 100 documents with portraits.
const maxReply = 16 << 20

// Client is the wallet's end of the nonce and credential endpoints of one
// authority.
type Client struct {
	Metadata *Metadata
	// OAuth is the client that Token came from; its DPoP key is used here too.
	OAuth *oauth.Client
	Token *oauth.Token
}

// Nonce fetches a fresh c_nonce; empty if the authority has no nonce endpoint.
//
// OpenID4VCI 1.0, 7.
func (c *Client) Nonce(ctx context.Context) (string, error) {
	if c.Metadata.NonceEndpoint == "" {
		return "", nil
	}
	resp, err := c.OAuth.Fetch(ctx, fetch.Request{Method: "POST", URL: c.Metadata.NonceEndpoint, MaxBytes: 16 << 10})
	if err != nil {
		return "", fmt.Errorf("fetch a nonce: %w", err)
	}
	var body struct {
		Nonce string `json:"c_nonce"`
	}
	if resp.Status != 200 {
		return "", fmt.Errorf("fetch a nonce: the issuer answered %d (OpenID4VCI 1.0, 7.2)", resp.Status)
	}
	if err := jose.Unmarshal(resp.Body, &body, jose.Limits{Token: 16 << 10}); err != nil || body.Nonce == "" {
		return "", errors.New("fetch a nonce: no c_nonce in the reply (OpenID4VCI 1.0, 7.2)")
	}
	return body.Nonce, nil
}

// BatchSize is how many documents one request may ask for.
func (m *Metadata) BatchSize() int {
	if m.Batch == nil {
		return 1
	}
	return m.Batch.Size
}

// Request asks for one document of the configuration for each key. nonce is
// from Nonce; keyAttestation, about these keys and this nonce, is empty where
// none is needed. With a key attestation and an authority that takes it as the
// proof itself, no key has to sign. It returns the credentials in the order
// given: match them with keys by what they are bound to. Where the authority
// offers encryption both directions are encrypted. A refusal is *Error.
//
// OpenID4VCI 1.0, 8.
func (c *Client) Request(ctx context.Context, configuration string, keys []key.Signer, nonce, keyAttestation string, now time.Time) (Answer, error) {
	conf, ok := c.Metadata.Configurations[configuration]
	if !ok {
		return Answer{}, fmt.Errorf("configuration %.80q is not in the issuer's metadata", configuration)
	}
	body := map[string]any{}
	c.name(body, configuration)
	proofs, err := c.proofs(ctx, conf, keys, nonce, keyAttestation, now)
	if err != nil {
		return Answer{}, err
	}
	if proofs != nil {
		body["proofs"] = proofs
	}
	return c.ask(ctx, c.Metadata.CredentialEndpoint, body, max(1, len(keys)), now)
}

// name puts in what is asked for: the identifier where the token named one.
func (c *Client) name(body map[string]any, configuration string) {
	for _, d := range c.Token.Details {
		if d.Configuration == configuration && len(d.CredentialIdentifiers) > 0 {
			body["credential_identifier"] = d.CredentialIdentifiers[0]
			return
		}
	}
	body["credential_configuration_id"] = configuration
}

// proofs makes the proofs that the configuration wants.
func (c *Client) proofs(ctx context.Context, conf Configuration, keys []key.Signer, nonce, keyAttestation string, now time.Time) (map[string][]string, error) {
	if len(conf.ProofTypes) == 0 {
		return nil, nil
	}
	if len(keys) == 0 || len(keys) > c.Metadata.BatchSize() {
		return nil, fmt.Errorf("%d keys for a batch of at most %d", len(keys), c.Metadata.BatchSize())
	}
	if _, ok := conf.ProofTypes[ProofAttestation]; ok && keyAttestation != "" {
		return map[string][]string{ProofAttestation: {keyAttestation}}, nil
	}
	if _, ok := conf.ProofTypes[ProofJWT]; !ok {
		return nil, errors.New("the issuer takes no proof type that this wallet can make (OpenID4VCI 1.0, F)")
	}
	p := Proof{ClientID: c.OAuth.ID, Issuer: c.Metadata.CredentialIssuer, Nonce: nonce, KeyAttestation: keyAttestation}
	if c.OAuth.Attestation == "" {
		p.ClientID = "" // anonymous: OpenID4VCI 1.0, F.1
	}
	var out []string
	for _, k := range keys {
		jwt, err := p.Sign(ctx, k, now)
		if err != nil {
			return nil, fmt.Errorf("prove a key: %w", err)
		}
		out = append(out, jwt)
	}
	return map[string][]string{ProofJWT: out}, nil
}

// DecodeMdoc is a credential of format mso_mdoc as an IssuerSigned.
// OpenID4VCI 1.0, A.2.4.
func DecodeMdoc(credential string) ([]byte, error) {
	b, err := jose.Decode(credential)
	if err != nil {
		return nil, errors.New("credential is not base64url (OpenID4VCI 1.0, A.2.4)")
	}
	return b, nil
}
