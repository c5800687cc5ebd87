package attestation

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
)

// TypePoP is the typ header of a client attestation proof of possession.
// draft-ietf-oauth-attestation-based-client-auth-07, 5.2.
const TypePoP = "oauth-client-attestation-pop+jwt"

// PoP is a client attestation proof of possession.
// draft-ietf-oauth-attestation-based-client-auth-07, 5.2.
type PoP struct {
	ClientID  string    // iss
	Audience  string    // aud, the issuer identifier of the authorisation server
	ID        string    // jti; Sign makes one when empty
	Challenge string    // challenge, when the server gave one
	IssuedAt  time.Time // iat
}

// Sign builds the JWT with the instance key.
func (p PoP) Sign(ctx context.Context, instance key.Signer) (string, error) {
	return "", errors.New("attestation: not written yet")
}

// PoPExpectation is what a proof of possession must match.
type PoPExpectation struct {
	Key      crypto.PublicKey // the attestation's cnf.jwk
	ClientID string           // the attestation's sub
	Audience string
	Window   time.Duration // how far iat may be from now, both ways; 0 means 5 minutes
	Now      time.Time
}

// VerifyPoP parses and verifies a proof of possession. Whether its challenge
// is one of ours and its jti is new is for the caller to find out. The result
// is nil exactly when the report has a failure.
func VerifyPoP(token string, e PoPExpectation) (*PoP, check.Report) {
	return nil, check.Report{}
}
