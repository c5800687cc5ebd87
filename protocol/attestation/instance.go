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

// TypeClientAttestation is the typ header of a wallet instance attestation.
// draft-ietf-oauth-attestation-based-client-auth-07, 5.1.
const TypeClientAttestation = "oauth-client-attestation+jwt"

// WalletInstance is a wallet instance attestation: the provider's word that an
// unmodified app of its making holds Key.
//
// OpenID4VCI 1.0, Appendix E; draft-ietf-oauth-attestation-based-client-auth-07,
// 5.1; EUDI TS3 1.5, 2.3.1.
type WalletInstance struct {
	Issuer    string           // iss, the provider
	ClientID  string           // sub, the same for all instances of a product
	Key       crypto.PublicKey // cnf.jwk, the instance key
	IssuedAt  time.Time        // iat; optional when read, always written
	NotBefore time.Time        // nbf; optional when read, always written
	Expires   time.Time        // exp; TS3 2.2.1: under 24 hours after IssuedAt

	WalletName    string // wallet_name, identifier of the product
	WalletLink    string // wallet_link, a URL for people
	WalletVersion string // wallet_version
	Level         Level  // assurance_level (ours): what the provider found out about the instance
	Status        Status // client_status, and as status for readers of OpenID4VCI alone

	// Attester is set by VerifyWalletInstance; it is not a claim.
	Attester Attester
}

// Sign builds the JWT. chain is the x5c header: the signer's certificate
// first, the trust anchor left out (HAIP 1.0, 4.4.1).
func (w WalletInstance) Sign(ctx context.Context, signer key.Signer, chain []*x509.Certificate) (string, error) {
	return "", errors.New("attestation: not written yet")
}

// ParseWalletInstance reads the claims of a wallet instance attestation
// without verifying anything: for the app, which shows what it was given.
func ParseWalletInstance(token string) (*WalletInstance, error) {
	return nil, errors.New("attestation: not written yet")
}

// VerifyWalletInstance parses and verifies an attestation: type, algorithm,
// chain by trust, signature, claims, times with a minute of clock skew. The
// result is nil exactly when the report has a failure.
//
// draft-ietf-oauth-attestation-based-client-auth-07, 5.1 and 9.
func VerifyWalletInstance(ctx context.Context, token string, trust Trust, now time.Time) (*WalletInstance, check.Report) {
	return nil, check.Report{}
}
