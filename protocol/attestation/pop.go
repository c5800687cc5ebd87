package attestation

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// TypePoP is the typ header of a client attestation proof of possession.
// draft-ietf-oauth-attestation-based-client-auth-07, 5.2.
const TypePoP = "oauth-client-attestation-pop+jwt"

// DefaultWindow is how far the iat of a proof may be from now, both ways.
const DefaultWindow = 5 * time.Minute

const (
	clausePoP = "draft-ietf-oauth-attestation-based-client-auth-07, 5.2"
	maxNonce  = 512 // characters of a nonce, challenge or jti
)

// PoP is a client attestation proof of possession.
// draft-ietf-oauth-attestation-based-client-auth-07, 5.2.
type PoP struct {
	ClientID  string    // iss
	Audience  string    // aud, the issuer identifier of the authorisation server
	ID        string    // jti; Sign makes one when empty
	Challenge string    // challenge, when the server gave one
	IssuedAt  time.Time // iat
}

type popClaims struct {
	Issuer   string   `json:"iss,omitempty"`
	Audience audience `json:"aud"`
	ID       string   `json:"jti"`
	jose.Times
	Challenge string `json:"challenge,omitempty"`
}

// popLifetime is the exp that Sign writes, for servers that expect one; draft
// 07 has none. There is no nbf: a clock a little ahead would be refused.
const popLifetime = 5 * time.Minute

// Sign builds the JWT with the instance key.
func (p PoP) Sign(ctx context.Context, instance key.Signer) (string, error) {
	if p.ID == "" {
		p.ID = randomID()
	}
	token, err := jose.Sign(ctx, instance, jose.Header{Typ: TypePoP}, popClaims{
		Issuer: p.ClientID, Audience: audience(p.Audience), ID: p.ID, Challenge: p.Challenge,
		Times: jose.Times{IssuedAt: jose.NewDate(p.IssuedAt), Expires: jose.NewDate(p.IssuedAt.Add(popLifetime))},
	})
	if err != nil {
		return "", fmt.Errorf("attestation: sign proof of possession: %w", err)
	}
	return token, nil
}

// PoPExpectation is what a proof of possession must match.
type PoPExpectation struct {
	Key      crypto.PublicKey // the attestation's cnf.jwk
	ClientID string           // the attestation's sub
	Audience string
	Window   time.Duration // how far iat may be from now, both ways; 0 means DefaultWindow
	Now      time.Time
}

// VerifyPoP parses and verifies a proof of possession. Whether its challenge
// is one of ours and its jti is new is for the caller to find out. The result
// is nil exactly when the report has a failure.
func VerifyPoP(token string, e PoPExpectation) (*PoP, check.Report) {
	if e.Window == 0 {
		e.Window = DefaultWindow
	}
	var c popClaims
	s := openToken(token, TypePoP, clausePoP, &c)
	s.require(c.ID != "" && len(c.ID) <= maxNonce, "jti", c.ID, "a unique jti for every proof")
	s.require(len(c.Challenge) <= maxNonce, "challenge", "too long", "send the challenge as it was given")
	s.require(string(c.Audience) == e.Audience, "aud", string(c.Audience), "aud must be the issuer identifier of the authorisation server")
	// Later drafts have no iss; where there is one it must be right.
	s.require(c.Issuer == "" || c.Issuer == e.ClientID, "iss", c.Issuer, "iss must be the client_id")
	s.require(c.IssuedAt != 0, "iat", "absent", "state when the proof was made")
	s.require(c.Expires == 0 || c.Expires > c.IssuedAt, "exp", "before iat", "exp comes after iat")
	if s.report.OK() {
		if age := e.Now.Sub(c.IssuedAt.Time()); age.Abs() > e.Window {
			s.report.Fail("iat", clausePoP, age.Truncate(time.Second).String()+" old", "make a fresh proof; check the clock")
		}
	}
	// iat has its own window, which may be wider than the skew of the others.
	s.times(jose.Times{NotBefore: c.NotBefore, Expires: c.Expires}, false, e.Now)
	s.signedBy(e.Key)
	if !s.report.OK() {
		return nil, s.report
	}
	if c.Issuer == "" {
		s.report.Warn("iss", clausePoP, "absent", "draft 07 wants iss; later drafts have none")
	}
	return &PoP{ClientID: c.Issuer, Audience: string(c.Audience), ID: c.ID, Challenge: c.Challenge, IssuedAt: c.IssuedAt.Time()}, s.report
}

// audience is an aud claim with exactly one value, written as a string. A
// proof made for several servers could be used by one of them at another.
type audience string

// UnmarshalJSON reads a string or an array of one string. RFC 7519, 4.1.3.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if jose.Unmarshal(data, &one, jose.Limits{}) == nil {
		*a = audience(one)
		return nil
	}
	var list []string
	if err := jose.Unmarshal(data, &list, jose.Limits{}); err != nil {
		return fmt.Errorf("aud: %w", err)
	}
	if len(list) != 1 {
		return fmt.Errorf("aud has %d values, want one", len(list))
	}
	*a = audience(list[0])
	return nil
}

// randomID is a fresh identifier of 16 random bytes: unique, not secret.
func randomID() string {
	var b [16]byte
	rand.Read(b[:]) // never returns an error
	return jose.Encode(b[:])
}
