package oid4vci

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// Nonces are the c_nonces: internal/nonce's Source.
type Nonces interface {
	Issue(now time.Time) string
	Check(nonce string, now time.Time) error
	Lifetime() time.Duration
}

// Issuer is the authority's end of the credential and nonce endpoints. It has
// no state and may be used concurrently.
type Issuer struct {
	// Identifier is the credential issuer identifier.
	Identifier string
	Nonces     Nonces
	// Attesters decides whose key attestations are believed.
	Attesters attestation.Trust
	// Policy returns what proofs for a configuration have to be, false for a
	// configuration that is not known.
	Policy func(configuration string) (ProofPolicy, bool)
	// Encryption is how requests and responses may be encrypted; nil: not at all.
	Encryption *Encryption
}

// Nonce answers POST to the nonce endpoint.
//
// OpenID4VCI 1.0, 7.2.
func (i *Issuer) Nonce(now time.Time) fetch.Response {
	return jsonReply(200, struct {
		Nonce string `json:"c_nonce"`
	}{i.Nonces.Issue(now)})
}

// CredentialRequest is a request that may be granted; its Reply renders the
// Answer.
type CredentialRequest struct {
	recipient
	Configuration string
	// Identifier is the credential identifier, if the token named such.
	Identifier string
	// Keys are the keys to bind documents to, one document each.
	Keys []crypto.PublicKey
	// Attestation says where the keys live; nil if nobody said.
	Attestation *attestation.KeyAttestation
}

// Open checks a credential request that came with the token of grant: its
// form, that the token allows it, its proofs. The c_nonce is used up in st.
// The refusal, if any, is what to answer; another error is the store's.
//
// OpenID4VCI 1.0, 8.2.
func (i *Issuer) Open(ctx context.Context, st once.Store, grant *oauth.Grant, req fetch.Request, now time.Time) (*CredentialRequest, *Error, error) {
	text, encrypted, refusal := i.Encryption.open(ctx, req)
	if refusal != nil {
		return nil, refusal, nil
	}
	var body struct {
		Configuration string          `json:"credential_configuration_id"`
		Identifier    string          `json:"credential_identifier"`
		Proofs        json.RawMessage `json:"proofs"`
		Encryption    json.RawMessage `json:"credential_response_encryption"`
	}
	if err := jose.Unmarshal(text, &body, jose.Limits{Token: maxMessage}); err != nil {
		return nil, &Error{Code: CodeInvalidRequest, Description: "request is not the JSON it should be (OpenID4VCI 1.0, 8.2)", Err: err}, nil
	}
	out := &CredentialRequest{Identifier: body.Identifier}
	if out.recipient, refusal = i.Encryption.recipient(body.Encryption, encrypted); refusal != nil {
		return nil, refusal, nil
	}
	if out.Configuration, refusal = granted(grant, body.Configuration, body.Identifier); refusal != nil {
		return nil, refusal, nil
	}
	policy, ok := i.Policy(out.Configuration)
	if !ok {
		return nil, refuse(CodeUnknownConfiguration, "credential_configuration_id is not known here"), nil
	}
	p, refusal := i.verifyProofs(ctx, body.Proofs, policy, grant.ClientID, now)
	if refusal != nil {
		return nil, refusal, nil
	}
	if err := i.Nonces.Check(p.nonce, now); err != nil {
		return nil, &Error{Code: CodeInvalidNonce, Description: "c_nonce is unknown or expired: fetch another (OpenID4VCI 1.0, 7)", Err: err}, nil
	}
	switch err := once.Consume(ctx, st, "c_nonce", once.Hash(p.nonce), now, now.Add(i.Nonces.Lifetime())); {
	case errors.Is(err, once.ErrClaimed):
		return nil, refuse(CodeInvalidNonce, "c_nonce was used before: fetch another (OpenID4VCI 1.0, 7)"), nil
	case err != nil:
		return nil, nil, err
	}
	out.Keys, out.Attestation = p.keys, p.attestation
	return out, nil, nil
}

// granted finds the configuration that a request means and checks that the
// token allows it. Where the token response named identifiers a request uses
// one of them, else the configuration; but a wallet that names the
// configuration of its only identifier is understood as well.
func granted(grant *oauth.Grant, configuration, identifier string) (string, *Error) {
	switch {
	case (configuration == "") == (identifier == ""):
		return "", refuse(CodeInvalidRequest, "request holds not exactly one of credential_configuration_id and credential_identifier (OpenID4VCI 1.0, 8.2)")
	case identifier != "":
		for _, c := range grant.Credentials {
			if slices.Contains(c.Identifiers, identifier) || (len(c.Identifiers) == 0 && c.Configuration == identifier) {
				return c.Configuration, nil
			}
		}
		return "", refuse(CodeUnknownIdentifier, "credential_identifier is not one of the token's")
	}
	for _, c := range grant.Credentials {
		if c.Configuration == configuration {
			return configuration, nil
		}
	}
	return "", refuse(CodeUnknownConfiguration, "credential_configuration_id is not one of the token's")
}
