package attestation

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
)

// Codes of refusals in this conversation.
const (
	CodeInvalidRequest  = "invalid_request"      // 400: not what the message should be
	CodeUseChallenge    = "use_challenge"        // 400: challenge unknown, used or expired; get another
	CodeInvalidProof    = "invalid_proof"        // 400: signature or key is wrong
	CodeEvidence        = "unsupported_evidence" // 400: evidence format not accepted
	CodeUnknownInstance = "unknown_instance"     // 404
	CodeRevoked         = "instance_revoked"     // 403
	CodeDuplicate       = "duplicate_key"        // 409: the key is registered already, or was attested before
	CodeTooLarge        = "too_large"            // 413
	CodeServerError     = "server_error"         // 500
)

// Error is a refusal in the words of the conversation.
type Error struct {
	Code        string // one of the Code constants
	Description string // printable ASCII, nothing private
	Status      int    // HTTP status
	Err         error  // the cause, for the log; may be nil
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Response renders the refusal as the conversation wants it.
func (e *Error) Response() fetch.Response { return fetch.Response{} }

// Nonces are stateless nonces: internal/nonce's Source.
type Nonces interface {
	Issue(now time.Time) string
	Check(nonce string, now time.Time) error
}

// Provider is the provider's end of the conversation. It checks what arrives;
// what is registered and vouched for is the role's decision.
type Provider struct {
	Base       string        // BASE of the package comment, the audience of every request
	Challenges Nonces        // with a lifetime of a few minutes
	Lifetime   time.Duration // of a challenge, told to the app; 0 means 5 minutes
}

// Challenge answers POST BASE/challenge.
func (p *Provider) Challenge(now time.Time) fetch.Response { return fetch.Response{} }

// OpenInstall checks the body of POST BASE/instances and uses up its
// challenge. Refusals are *Error; any other error is the store's.
func (p *Provider) OpenInstall(ctx context.Context, st once.Store, body []byte, now time.Time) (*InstallRequest, error) {
	return nil, errors.New("attestation: not written yet")
}

// OpenRenew checks the body of POST BASE/instances/ID/attestation, signed by
// instance, the key registered for id.
func (p *Provider) OpenRenew(ctx context.Context, st once.Store, id string, instance crypto.PublicKey, body []byte, now time.Time) (*RenewRequest, error) {
	return nil, errors.New("attestation: not written yet")
}

// OpenKeyAttestation checks the body of POST BASE/instances/ID/keys, signed by
// instance, the key registered for id.
func (p *Provider) OpenKeyAttestation(ctx context.Context, st once.Store, id string, instance crypto.PublicKey, body []byte, now time.Time) (*KeyAttestationRequest, error) {
	return nil, errors.New("attestation: not written yet")
}

// InstallReply renders the answer to an InstallRequest (created) or RenewRequest.
func InstallReply(r InstallResponse, created bool) fetch.Response { return fetch.Response{} }

// KeyAttestationReply renders the answer to a KeyAttestationRequest.
func KeyAttestationReply(r KeyAttestationResponse) fetch.Response { return fetch.Response{} }
