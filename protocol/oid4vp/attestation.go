package oid4vp

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
)

// AttestationType is the typ of a verifier attestation. OpenID4VP 1.0, 12.
const AttestationType = "verifier-attestation+jwt"

// attestationHeader is the member of a request object's header that holds the
// attestation. OpenID4VP 1.0, 12.
const attestationHeader = "jwt"

// attestation are the claims of a verifier attestation. OpenID4VP 1.0, 12.
type attestation struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	CNF     struct {
		JWK *jose.JWK `json:"jwk"`
	} `json:"cnf"`
	RedirectURIs *[]string `json:"redirect_uris"`
	jose.Times
}

// CheckAttestation is for the verifier that an attestation is about: it returns
// the subject, after "verifier_attestation:" its client identifier, of one that
// holds now and is for the key. pub may be nil: any key. Whether the issuer signed
// it the wallets know that trust the issuer.
//
// OpenID4VP 1.0, 12.
func CheckAttestation(text string, pub crypto.PublicKey, now time.Time) (subject string, err error) {
	jwt, err := jose.Parse(text, jose.Limits{Token: 64 << 10})
	if err != nil {
		return "", fmt.Errorf("verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	var a attestation
	if err := jwt.Claims(&a); err != nil {
		return "", fmt.Errorf("verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	switch {
	case !jwt.Header.HasType(AttestationType):
		return "", fmt.Errorf("verifier attestation: typ is %.40q, not %s (OpenID4VP 1.0, 12)", jwt.Header.Typ, AttestationType)
	case a.Subject == "" || a.Expires == 0 || a.CNF.JWK == nil:
		return "", errors.New("verifier attestation without sub, exp or a key in cnf (OpenID4VP 1.0, 12)")
	}
	if err := a.Times.Check(now, maxSkew); err != nil {
		return "", fmt.Errorf("verifier attestation: %w: have its issuer make a new one (OpenID4VP 1.0, 12)", err)
	}
	if pub == nil {
		return a.Subject, nil
	}
	ours, err := jose.ThumbprintString(pub)
	if err != nil {
		return "", err
	}
	theirs, err := jose.ThumbprintString(a.CNF.JWK.Key)
	if err != nil {
		return "", fmt.Errorf("verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	if ours != theirs {
		return "", errors.New("verifier attestation for another key: have its issuer make one for the key of the reader certificate (OpenID4VP 1.0, 12)")
	}
	return a.Subject, nil
}

// byAttestation takes the prefix verifier_attestation: an attester whom the
// wallet trusts vouches for the name and for the key that signed.
//
// OpenID4VP 1.0, 5.9.3 and 12.
func (env *Environment) byAttestation(ctx context.Context, c *Client, token *jose.Token, now time.Time) error {
	text, err := token.Header.String(attestationHeader)
	if err != nil || text == "" {
		return fail(InvalidRequest, "request object without a verifier attestation in its header (OpenID4VP 1.0, 12)")
	}
	jwt, err := jose.Parse(text, jose.Limits{Token: 64 << 10})
	if err != nil {
		return fail(InvalidRequest, "verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	if !jwt.Header.HasType(AttestationType) {
		return fail(InvalidRequest, "verifier attestation: typ is %.40q, not %s (OpenID4VP 1.0, 12)", jwt.Header.Typ, AttestationType)
	}
	var a attestation
	if err := jwt.Claims(&a); err != nil {
		return fail(InvalidRequest, "verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	if env.Attester == nil {
		return fail(InvalidRequest, "no issuer of verifier attestations is trusted here (OpenID4VP 1.0, 5.9.3)")
	}
	key, err := env.Attester(ctx, a.Issuer, jwt.Header)
	if err != nil {
		return fail(InvalidRequest, "the issuer of the verifier attestation is not trusted here: %w (OpenID4VP 1.0, 5.9.3)", err)
	}
	if err := jwt.Verify(key); err != nil {
		return fail(InvalidRequest, "verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	if a.Expires == 0 {
		return fail(InvalidRequest, "verifier attestation without exp (OpenID4VP 1.0, 12)")
	}
	if err := a.Times.Check(now, maxSkew); err != nil {
		return fail(InvalidRequest, "verifier attestation: %w (OpenID4VP 1.0, 12)", err)
	}
	if a.Subject != c.rest {
		return fail(InvalidRequest, "client_id is not the subject of the verifier attestation (OpenID4VP 1.0, 5.9.3)")
	}
	if a.CNF.JWK == nil {
		return fail(InvalidRequest, "verifier attestation without a key in cnf (OpenID4VP 1.0, 12)")
	}
	if err := token.VerifyJWK(*a.CNF.JWK); err != nil {
		return fail(InvalidRequest, "the request is not signed by the key of the verifier attestation: %w (OpenID4VP 1.0, 5.9.3)", err)
	}
	c.Key, c.Name, c.VouchedBy, c.uris = a.CNF.JWK.Key, a.Subject, a.Issuer, a.RedirectURIs
	return nil
}
