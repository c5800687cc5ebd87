package attestation

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
)

// TypeKeyAttestation is the typ header of a key attestation.
// OpenID4VCI 1.0, D.1.
const TypeKeyAttestation = "key-attestation+jwt"

// MaxKeys is how many keys one key attestation or request may hold.
const MaxKeys = 100

// Attack potential resistance of key storage and user authentication.
// OpenID4VCI 1.0, D.2.
const (
	ResistanceHigh          = "iso_18045_high"
	ResistanceModerate      = "iso_18045_moderate"
	ResistanceEnhancedBasic = "iso_18045_enhanced-basic"
	ResistanceBasic         = "iso_18045_basic"
)

// KeyAttestation is the provider's word on where keys live and what guards
// their use.
//
// OpenID4VCI 1.0, D.1; EUDI TS3 1.5, 2.3.2.
type KeyAttestation struct {
	Issuer             string             // iss, optional
	IssuedAt           time.Time          // iat
	Expires            time.Time          // exp; needed with the jwt proof type, always written
	Keys               []crypto.PublicKey // attested_keys, 1 to MaxKeys, pairwise different
	KeyStorage         []string           // key_storage, optional
	UserAuthentication []string           // user_authentication, optional
	Certification      string             // certification, optional URL
	Nonce              string             // nonce, the credential issuer's c_nonce
	Status             Status             // key_storage_status, and as status for readers of OpenID4VCI alone

	// Attester is set by VerifyKeyAttestation; it is not a claim.
	Attester Attester
}

// Sign builds the JWT. chain is the x5c header: the signer's certificate
// first, the trust anchor left out.
func (k KeyAttestation) Sign(ctx context.Context, signer key.Signer, chain []*x509.Certificate) (string, error) {
	return "", errors.New("attestation: not written yet")
}

// Holds returns the position of pub among the attested keys, or -1.
func (k *KeyAttestation) Holds(pub crypto.PublicKey) int {
	for i, have := range k.Keys {
		if key.Equal(have, pub) {
			return i
		}
	}
	return -1
}

// ParseKeyAttestation reads the claims without verifying anything.
func ParseKeyAttestation(token string) (*KeyAttestation, error) {
	return nil, errors.New("attestation: not written yet")
}

// VerifyKeyAttestation parses and verifies a key attestation: type, algorithm,
// chain by trust, signature, claims, times with a minute of clock skew. When
// nonce is not nil the nonce claim must be there and nonce(claim) must return
// nil: for the attestation proof type. The result is nil exactly when the
// report has a failure.
//
// OpenID4VCI 1.0, D.1 and F.4.
func VerifyKeyAttestation(ctx context.Context, token string, trust Trust, nonce func(string) error, now time.Time) (*KeyAttestation, check.Report) {
	return nil, check.Report{}
}
