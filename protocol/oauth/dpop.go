package oauth

import (
	"context"
	"crypto"
	"errors"
	"time"

	"github.com/eidos-id/eidos/format/key"
)

// DPoP is a proof that the sender of a request holds a key. RFC 9449, 4.2.
type DPoP struct {
	Method      string    // htm
	URL         string    // htu; query and fragment are cut off when signing
	ID          string    // jti; Sign makes one when empty
	IssuedAt    time.Time // iat
	AccessToken string    // hashed into ath; "" for none; not known after verification
	Nonce       string    // nonce, "" for none

	Key        crypto.PublicKey // jwk; set by VerifyDPoP
	Thumbprint string           // of Key, the jkt of RFC 9449, 6.1; set by VerifyDPoP
}

// Sign builds the proof with the DPoP key.
func (d DPoP) Sign(ctx context.Context, signer key.Signer) (string, error) {
	return "", errors.New("oauth: not written yet")
}

// DPoPExpectation is what a proof must match.
type DPoPExpectation struct {
	Method      string
	URL         string             // of the request as the client sees it; query and fragment do not matter
	AccessToken string             // "" when the request has none: then ath is not looked at
	Nonce       func(string) error // checks the nonce claim, "" when absent; nil when nonces are not used
	Window      time.Duration      // how far iat may be from now, both ways; 0 means 5 minutes
	Now         time.Time
}

// VerifyDPoP parses and verifies the value of a DPoP header; whether its jti is
// new is for the caller to find out. The error is an *Error with
// CodeInvalidDPoPProof or CodeUseDPoPNonce.
//
// RFC 9449, 4.3.
func VerifyDPoP(proof string, e DPoPExpectation) (*DPoP, error) {
	return nil, errors.New("oauth: not written yet")
}
