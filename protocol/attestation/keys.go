package attestation

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
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

const clauseKeys = "OpenID4VCI 1.0, D.1"

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

	// Status is key_storage_status, and its reference also status, for
	// readers that know OpenID4VCI alone.
	Status Status

	// Attester is set by VerifyKeyAttestation; it is not a claim.
	Attester Attester
}

type keyClaims struct {
	Issuer string `json:"iss,omitempty"`
	jose.Times
	Keys               []jose.JWK       `json:"attested_keys"`
	KeyStorage         []string         `json:"key_storage,omitempty"`
	UserAuthentication []string         `json:"user_authentication,omitempty"`
	Certification      string           `json:"certification,omitempty"`
	Nonce              string           `json:"nonce,omitempty"`
	Status             *statusClaim     `json:"status,omitempty"`
	KeyStorageStatus   *heldStatusClaim `json:"key_storage_status,omitempty"`
}

// Sign builds the JWT. chain is the x5c header: the signer's certificate
// first and not self-signed, the trust anchor left out (HAIP 1.0, 4.5.1).
func (k KeyAttestation) Sign(ctx context.Context, signer key.Signer, chain []*x509.Certificate) (string, error) {
	h, err := header(TypeKeyAttestation, chain)
	if err != nil {
		return "", err
	}
	if err := checkKeys(k.Keys); err != nil {
		return "", fmt.Errorf("attestation: %w", err)
	}
	if !k.Expires.After(k.IssuedAt) {
		return "", fmt.Errorf("attestation: key attestation that expires %v after it is issued", k.Expires.Sub(k.IssuedAt))
	}
	c := keyClaims{
		Issuer: k.Issuer, Times: jose.Times{IssuedAt: jose.NewDate(k.IssuedAt), Expires: jose.NewDate(k.Expires)},
		Keys: jwks(k.Keys), KeyStorage: k.KeyStorage, UserAuthentication: k.UserAuthentication,
		Certification: k.Certification, Nonce: k.Nonce,
	}
	c.Status, c.KeyStorageStatus = k.Status.claims()
	token, err := jose.Sign(ctx, signer, h, c)
	if err != nil {
		return "", fmt.Errorf("attestation: sign key attestation: %w", err)
	}
	return token, nil
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
	s, k := parseKeys(token)
	if err := s.report.Err(); err != nil {
		return nil, fmt.Errorf("attestation: key attestation: %w", err)
	}
	return k, nil
}

// VerifyKeyAttestation parses and verifies a key attestation: type, claims,
// algorithm, chain by trust, signature, times with a minute of clock skew. When
// nonce is not nil the nonce claim must be there and nonce(claim) must return
// nil: for the attestation proof type. When it is nil, exp must be there: for
// the jwt proof type. The result is nil exactly when the report has a failure.
//
// OpenID4VCI 1.0, D.1 and F.4.
func VerifyKeyAttestation(ctx context.Context, token string, trust Trust, nonce func(string) error, now time.Time) (*KeyAttestation, check.Report) {
	s, k := parseKeys(token)
	attester := s.attested(ctx, trust, now)
	if !s.report.OK() {
		return nil, s.report
	}
	s.times(jose.Times{IssuedAt: date(k.IssuedAt), Expires: date(k.Expires)}, nonce == nil, now)
	if nonce != nil && s.report.OK() {
		if k.Nonce == "" {
			s.report.Fail("nonce", "OpenID4VCI 1.0, F.4", "absent", "put the c_nonce into the attestation")
		} else if err := nonce(k.Nonce); err != nil {
			s.report.Fail("nonce", "OpenID4VCI 1.0, F.4", err.Error(), "get a fresh c_nonce and attestation")
		} else {
			s.report.Pass("nonce", "OpenID4VCI 1.0, F.4", "current")
		}
	}
	if !s.report.OK() {
		return nil, s.report
	}
	k.Attester = attester
	return k, s.report
}

// parseKeys reads the claims; k is nil after a failure.
func parseKeys(token string) (s *signedToken, k *KeyAttestation) {
	var c keyClaims
	s = openToken(token, TypeKeyAttestation, clauseKeys, &c)
	s.require(c.IssuedAt != 0, "iat", "absent", "state when it was issued")
	s.require(len(c.KeyStorage) <= 16 && len(c.UserAuthentication) <= 16, "key_storage", "more than 16 values", "send fewer")
	s.require(len(c.Nonce) <= maxNonce, "nonce", "too long", "send the c_nonce as it was given")
	if !s.report.OK() {
		return s, nil
	}
	pubs := make([]crypto.PublicKey, len(c.Keys))
	for i, jwk := range c.Keys {
		pubs[i] = jwk.Key
	}
	if err := checkKeys(pubs); err != nil {
		s.report.Fail("attested_keys", clauseKeys, err.Error(), fmt.Sprintf("1 to %d different keys that can sign", MaxKeys))
		return s, nil
	}
	status, err := readStatus(c.Status, c.KeyStorageStatus)
	if err != nil {
		s.report.Fail("key_storage_status", "EUDI TS3 1.5, 2.3.2", err.Error(), "refer to a status list with idx, uri and exp")
		return s, nil
	}
	return s, &KeyAttestation{
		Issuer: c.Issuer, IssuedAt: c.IssuedAt.Time(), Expires: c.Expires.Time(), Keys: pubs,
		KeyStorage: c.KeyStorage, UserAuthentication: c.UserAuthentication,
		Certification: c.Certification, Nonce: c.Nonce, Status: status,
	}
}

// checkKeys wants 1 to MaxKeys pairwise different keys that can sign.
func checkKeys(keys []crypto.PublicKey) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return fmt.Errorf("%d keys, want 1 to %d", len(keys), MaxKeys)
	}
	seen := make(map[[32]byte]bool, len(keys))
	for i, k := range keys {
		if _, err := key.AlgorithmOf(k); err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		thumb, err := jose.Thumbprint(k)
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		if seen[thumb] {
			return fmt.Errorf("key %d is there twice", i)
		}
		seen[thumb] = true
	}
	return nil
}

func jwks(keys []crypto.PublicKey) []jose.JWK {
	set := make([]jose.JWK, len(keys))
	for i, k := range keys {
		set[i] = jose.JWK{Key: k}
	}
	return set
}
