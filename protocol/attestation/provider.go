package attestation

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
)

// Codes of refusals in this conversation.
const (
	CodeInvalidRequest  = "invalid_request"      // 400: not what the message should be
	CodeUseChallenge    = "use_challenge"        // 400: challenge unknown, used or expired; get another
	CodeInvalidProof    = "invalid_proof"        // 400: signature or key is wrong
	CodeEvidence        = "unsupported_evidence" // 400: evidence format not accepted
	CodeRevoked         = "instance_revoked"     // 403
	CodeUnknownInstance = "unknown_instance"     // 404
	CodeDuplicate       = "duplicate_key"        // 409: the key is registered already, or was attested before
	CodeTooLarge        = "too_large"            // 413
	CodeServerError     = "server_error"         // 500
)

// statusOf has the HTTP status of every code.
func statusOf(code string) int {
	switch code {
	case CodeRevoked:
		return 403
	case CodeUnknownInstance:
		return 404
	case CodeDuplicate:
		return 409
	case CodeTooLarge:
		return 413
	case CodeServerError:
		return 500
	}
	return 400
}

// Error is a refusal in the words of the conversation.
type Error struct {
	Code        string // one of the Code constants
	Description string // printable ASCII, nothing private
	Err         error  // the cause, for the log; may be nil; never sent
}

// Error returns code and description, and the cause if there is one.
func (e *Error) Error() string {
	s := "attestation: " + e.Code + ": " + e.Description
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Response renders the refusal as the conversation wants it.
func (e *Error) Response() fetch.Response {
	return fetch.JSONResponse(statusOf(e.Code), errorResponse{e.Code, e.Description})
}

// Nonces are stateless nonces: internal/nonce's Source.
type Nonces interface {
	Issue(now time.Time) string
	Check(nonce string, now time.Time) error
	Lifetime() time.Duration
}

// onceChallenge is the kind under which used challenges are remembered.
const onceChallenge = "attestation-challenge"

// Provider is the provider's end of the conversation. It checks what arrives;
// what is registered and vouched for is the role's decision. It has no state.
//
// The Open methods use the challenge up in st; commit even when they refuse.
// Their refusals are *Error; any other error is the store's.
type Provider struct {
	Base       string // BASE of the package comment, the audience of every request
	Challenges Nonces // of a purpose of their own, with a lifetime of a few minutes
}

// Challenge answers POST BASE/challenge.
func (p *Provider) Challenge(now time.Time) fetch.Response {
	return fetch.JSONResponse(200, challengeResponse{p.Challenges.Issue(now), int(p.Challenges.Lifetime().Seconds())})
}

// OpenInstall checks the body of POST BASE/instances.
func (p *Provider) OpenInstall(ctx context.Context, st once.Store, body []byte, now time.Time) (*InstallRequest, error) {
	var c installClaims
	t, err := parseRequest(body, typeInstall, maxInstall, &c)
	if err != nil {
		return nil, err
	}
	if t.Header.JWK == nil {
		return nil, &Error{Code: CodeInvalidRequest, Description: "the header needs the instance key as jwk"}
	}
	instance := t.Header.JWK.Key
	if err := p.accept(ctx, st, t, c.requestClaims, instance, now); err != nil {
		return nil, err
	}
	evidence, err := decodeEvidence(c.Evidence)
	if err = errors.Join(err, c.App.check(), c.Area.check()); err != nil {
		return nil, &Error{CodeInvalidRequest, "evidence, app or secure_area is not as it should be", err}
	}
	if c.Format == "" || len(c.Format) > 64 || (c.Format == EvidenceSoftwareTOFU && evidence != nil) {
		return nil, &Error{Code: CodeEvidence, Description: "evidence_format is missing, or there is evidence where none belongs"}
	}
	return &InstallRequest{Key: instance, Format: c.Format, Evidence: evidence, App: c.App, Area: c.Area}, nil
}

// OpenRenew checks the body of POST BASE/instances/ID/attestation, signed by
// instance, the key registered for id.
func (p *Provider) OpenRenew(ctx context.Context, st once.Store, id string, instance crypto.PublicKey, body []byte, now time.Time) (*RenewRequest, error) {
	var c renewClaims
	t, err := parseRequest(body, typeRenew, maxRequest, &c)
	if err != nil {
		return nil, err
	}
	if t.Header.KID != id {
		return nil, &Error{Code: CodeInvalidRequest, Description: "kid is not the instance of the path"}
	}
	if err := p.accept(ctx, st, t, c.requestClaims, instance, now); err != nil {
		return nil, err
	}
	if err := c.App.check(); err != nil {
		return nil, &Error{CodeInvalidRequest, "app is not as it should be", err}
	}
	r := &RenewRequest{InstanceID: id, App: c.App}
	if r.StatusPeriod, err = statusPeriod(c.StatusPeriod); err != nil {
		return nil, err
	}
	if c.NewKey != "" {
		if r.NewKey, err = newKey(c.NewKey, c.requestClaims); err != nil {
			return nil, &Error{CodeInvalidProof, "new_key is not a proof by the new key with the same claims", err}
		}
	}
	return r, nil
}

// newKey verifies the inner JWT of a RenewRequest and returns its key.
func newKey(token string, outer requestClaims) (crypto.PublicKey, error) {
	var c requestClaims
	t, err := jose.Parse(token, jose.Limits{Token: maxRequest, Depth: 8, Members: 100})
	if err != nil {
		return nil, err
	}
	if !t.Header.HasType(typeNewKey) || t.Header.JWK == nil {
		return nil, fmt.Errorf("typ %s and jwk wanted", typeNewKey)
	}
	if err := t.Claims(&c); err != nil {
		return nil, err
	}
	if c.Audience != outer.Audience || c.Challenge != outer.Challenge {
		return nil, fmt.Errorf("claims differ from those around it")
	}
	if _, err := key.AlgorithmOf(t.Header.JWK.Key); err != nil {
		return nil, err
	}
	return t.Header.JWK.Key, t.Verify(t.Header.JWK.Key)
}

// OpenKeyAttestation checks the body of POST BASE/instances/ID/keys, signed by
// instance, the key registered for id.
func (p *Provider) OpenKeyAttestation(ctx context.Context, st once.Store, id string, instance crypto.PublicKey, body []byte, now time.Time) (*KeyAttestationRequest, error) {
	var c keysAskClaims
	t, err := parseRequest(body, typeKeysAsks, maxRequest, &c)
	if err != nil {
		return nil, err
	}
	if t.Header.KID != id {
		return nil, &Error{Code: CodeInvalidRequest, Description: "kid is not the instance of the path"}
	}
	if err := p.accept(ctx, st, t, c.requestClaims, instance, now); err != nil {
		return nil, err
	}
	r := &KeyAttestationRequest{InstanceID: id, Nonce: c.Nonce, Area: c.Area}
	if r.StatusPeriod, err = statusPeriod(c.StatusPeriod); err != nil {
		return nil, err
	}
	for _, jwk := range c.Keys {
		r.Keys = append(r.Keys, jwk.Key)
	}
	if err := errors.Join(checkKeys(r.Keys), c.Area.check()); err != nil {
		return nil, &Error{CodeInvalidRequest, fmt.Sprintf("keys or secure_area: 1 to %d different keys wanted", MaxKeys), err}
	}
	if len(r.Nonce) > maxNonce {
		return nil, &Error{Code: CodeInvalidRequest, Description: "c_nonce is too long"}
	}
	return r, nil
}

// parseRequest reads a signed request without believing it.
func parseRequest(body []byte, typ string, limit int, claims any) (*jose.Token, error) {
	if len(body) > limit {
		return nil, &Error{Code: CodeTooLarge, Description: fmt.Sprintf("request of %d bytes, limit %d", len(body), limit)}
	}
	t, err := jose.Parse(strings.TrimSpace(string(body)), jose.Limits{Token: limit, Header: 16 << 10, Depth: 8, Members: 2000})
	if err != nil {
		return nil, &Error{CodeInvalidRequest, "the body is not one signed JWT", err}
	}
	if !t.Header.HasType(typ) {
		return nil, &Error{Code: CodeInvalidRequest, Description: "typ must be " + typ}
	}
	if err := t.Claims(claims); err != nil {
		return nil, &Error{CodeInvalidRequest, "the claims are not as they should be", err}
	}
	return t, nil
}

// accept verifies audience, signature and challenge, in this order: only who
// holds the key can use a challenge up.
func (p *Provider) accept(ctx context.Context, st once.Store, t *jose.Token, c requestClaims, instance crypto.PublicKey, now time.Time) error {
	if string(c.Audience) != p.Base {
		return &Error{Code: CodeInvalidRequest, Description: "aud is not this provider"}
	}
	if _, err := key.AlgorithmOf(instance); err != nil {
		return &Error{CodeInvalidProof, "the instance key cannot sign", err}
	}
	if err := t.Verify(instance); err != nil {
		return &Error{CodeInvalidProof, "the signature does not verify with the instance key", err}
	}
	if err := p.Challenges.Check(c.Challenge, now); err != nil {
		return &Error{CodeUseChallenge, "the challenge is not one of ours or has expired", err}
	}
	err := once.Consume(ctx, st, onceChallenge, once.Hash(c.Challenge), now, now.Add(p.Challenges.Lifetime()))
	if errors.Is(err, once.ErrClaimed) {
		return &Error{CodeUseChallenge, "the challenge was used before", err}
	}
	if err != nil {
		return fmt.Errorf("attestation: consume challenge: %w", err)
	}
	return nil
}

// InstallReply renders the answer to an InstallRequest (created) or RenewRequest.
func InstallReply(r InstallResponse, created bool) fetch.Response {
	if created {
		return fetch.JSONResponse(201, r)
	}
	return fetch.JSONResponse(200, r)
}

// KeyAttestationReply renders the answer to a KeyAttestationRequest.
func KeyAttestationReply(r KeyAttestationResponse) fetch.Response { return fetch.JSONResponse(200, r) }
