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

// TypeClientAttestation is the typ header of a wallet instance attestation.
// draft-ietf-oauth-attestation-based-client-auth-07, 5.1.
const TypeClientAttestation = "oauth-client-attestation+jwt"

// MaxInstanceLifetime is how long a wallet instance attestation may be valid.
// EUDI TS3 1.5, 2.2.1.
const MaxInstanceLifetime = 24 * time.Hour

const clauseClient = "draft-ietf-oauth-attestation-based-client-auth-07, 5.1"

// WalletInstance is a wallet instance attestation: the provider's word that an
// unmodified app of its making holds Key.
//
// OpenID4VCI 1.0, Appendix E; draft-ietf-oauth-attestation-based-client-auth-07,
// 5.1; EUDI TS3 1.5, 2.3.1.
type WalletInstance struct {
	Issuer    string           // iss, the provider; later drafts have none
	ClientID  string           // sub, the same for all instances of a product
	Key       crypto.PublicKey // cnf.jwk, the instance key
	IssuedAt  time.Time        // iat; optional when read, always written
	NotBefore time.Time        // nbf; optional; written as iat when zero
	Expires   time.Time        // exp; less than MaxInstanceLifetime after IssuedAt

	WalletName    string // wallet_name, identifier of the product
	WalletLink    string // wallet_link, a URL for people
	WalletVersion string // wallet_version

	// Level is assurance_level, a claim of ours: what the provider found out
	// about the instance. VerifyWalletInstance caps it at what the attester
	// is believed about, which is also taken where the claim is absent.
	Level Level

	// Status is client_status, and its reference also status, for readers
	// that know OpenID4VCI alone.
	Status Status

	// Attester is set by VerifyWalletInstance; it is not a claim.
	Attester Attester
}

type instanceClaims struct {
	Issuer string `json:"iss,omitempty"`
	Sub    string `json:"sub"`
	jose.Times
	Confirm       *confirmClaim    `json:"cnf"`
	WalletName    string           `json:"wallet_name,omitempty"`
	WalletLink    string           `json:"wallet_link,omitempty"`
	WalletVersion string           `json:"wallet_version,omitempty"`
	Level         Level            `json:"assurance_level,omitempty"`
	Status        *statusClaim     `json:"status,omitempty"`
	ClientStatus  *heldStatusClaim `json:"client_status,omitempty"`
}

// confirmClaim is the claim "cnf". RFC 7800, 3.2.
type confirmClaim struct {
	JWK *jose.JWK `json:"jwk"`
}

// Sign builds the JWT. chain is the x5c header: the signer's certificate
// first, the trust anchor left out (HAIP 1.0, 4.4.1).
func (w WalletInstance) Sign(ctx context.Context, signer key.Signer, chain []*x509.Certificate) (string, error) {
	h, err := header(TypeClientAttestation, chain)
	if err != nil {
		return "", err
	}
	if w.ClientID == "" || w.Key == nil {
		return "", fmt.Errorf("attestation: a wallet instance needs a client id and a key")
	}
	if life := w.Expires.Sub(w.IssuedAt); life <= 0 || life >= MaxInstanceLifetime {
		return "", fmt.Errorf("attestation: lifetime %v of a wallet instance attestation (EUDI TS3 1.5, 2.2.1): less than %v", life, MaxInstanceLifetime)
	}
	if w.NotBefore.IsZero() {
		w.NotBefore = w.IssuedAt
	}
	c := instanceClaims{
		Issuer: w.Issuer, Sub: w.ClientID,
		Times:      jose.Times{IssuedAt: jose.NewDate(w.IssuedAt), NotBefore: jose.NewDate(w.NotBefore), Expires: jose.NewDate(w.Expires)},
		Confirm:    &confirmClaim{JWK: &jose.JWK{Key: w.Key}},
		WalletName: w.WalletName, WalletLink: w.WalletLink, WalletVersion: w.WalletVersion, Level: w.Level,
	}
	c.Status, c.ClientStatus = w.Status.claims()
	token, err := jose.Sign(ctx, signer, h, c)
	if err != nil {
		return "", fmt.Errorf("attestation: sign wallet instance: %w", err)
	}
	return token, nil
}

// ParseWalletInstance reads the claims of a wallet instance attestation
// without verifying anything: for the app, which looks at what it was given.
func ParseWalletInstance(token string) (*WalletInstance, error) {
	s, w := parseInstance(token)
	if err := s.report.Err(); err != nil {
		return nil, fmt.Errorf("attestation: wallet instance: %w", err)
	}
	return w, nil
}

// VerifyWalletInstance parses and verifies an attestation: type, claims,
// algorithm, chain by trust, signature, times with a minute of clock skew. The
// result is nil exactly when the report has a failure.
//
// draft-ietf-oauth-attestation-based-client-auth-07, 5.1 and 9.
func VerifyWalletInstance(ctx context.Context, token string, trust Trust, now time.Time) (*WalletInstance, check.Report) {
	s, w := parseInstance(token)
	attester := s.attested(ctx, trust, now)
	if !s.report.OK() {
		return nil, s.report
	}
	times := jose.Times{IssuedAt: date(w.IssuedAt), NotBefore: date(w.NotBefore), Expires: date(w.Expires)}
	s.times(times, true, now)
	from := w.IssuedAt
	if from.IsZero() {
		from = w.NotBefore
	}
	if life := w.Expires.Sub(from); !from.IsZero() && life >= MaxInstanceLifetime {
		s.report.Warn("lifetime", "EUDI TS3 1.5, 2.2.1", life.String(), "issue attestations for less than 24 hours")
	}
	if !s.report.OK() {
		return nil, s.report
	}
	w.Attester = attester
	if w.Level == "" || !attester.Level.AtLeast(w.Level) {
		w.Level = attester.Level
	}
	return w, s.report
}

// parseInstance reads the claims; w is nil after a failure.
func parseInstance(token string) (s *signedToken, w *WalletInstance) {
	var c instanceClaims
	s = openToken(token, TypeClientAttestation, clauseClient, &c)
	s.require(c.Sub != "" && len(c.Sub) <= maxURL, "sub", c.Sub, "sub must be the client_id")
	s.require(c.Confirm != nil && c.Confirm.JWK != nil, "cnf", "no cnf.jwk", "bind the attestation to the instance key")
	s.require(len(c.WalletName) <= 256 && len(c.WalletVersion) <= 64 && len(c.WalletLink) <= maxURL,
		"wallet_name", "too long", "keep name, version and link short")
	s.require(c.Level == "" || c.Level.rank() >= 0, "assurance_level", string(c.Level), "one of low, substantial, high")
	if !s.report.OK() {
		return s, nil
	}
	if _, err := key.AlgorithmOf(c.Confirm.JWK.Key); err != nil {
		s.report.Fail("cnf", clauseClient, err.Error(), "the instance key must be able to sign")
		return s, nil
	}
	status, err := readStatus(c.Status, c.ClientStatus)
	if err != nil {
		s.report.Fail("client_status", "EUDI TS3 1.5, 2.3.1", err.Error(), "refer to a status list with idx, uri and exp")
		return s, nil
	}
	if c.Issuer == "" {
		s.report.Warn("iss", clauseClient, "absent", "draft 07 wants iss; later drafts have none")
	}
	return s, &WalletInstance{
		Issuer: c.Issuer, ClientID: c.Sub, Key: c.Confirm.JWK.Key,
		IssuedAt: c.IssuedAt.Time(), NotBefore: c.NotBefore.Time(), Expires: c.Expires.Time(),
		WalletName: c.WalletName, WalletLink: c.WalletLink, WalletVersion: c.WalletVersion,
		Level: c.Level, Status: status,
	}
}

// date is jose.NewDate with the zero time as absent.
func date(t time.Time) jose.NumericDate {
	if t.IsZero() {
		return 0
	}
	return jose.NewDate(t)
}
