package oauth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

const (
	typeDPoP = "dpop+jwt"

	// maxProof limits a DPoP proof in bytes.
	maxProof = 8 << 10

	// maxNonce limits nonce and jti in characters.
	maxNonce = 512

	// defaultWindow is how far the iat of a proof may be from now, both ways.
	defaultWindow = 5 * time.Minute
)

// profileAlgorithm reports whether alg may sign proofs and client assertions, as the FAPI 2.0
// Security Profile has it, 5.4.1; Ed25519 is the name of RFC 9864 for EdDSA.
func profileAlgorithm(alg string) bool {
	return slices.Contains([]string{"ES256", "EdDSA", "Ed25519"}, alg)
}

// profileAlgorithms are those announced.
func profileAlgorithms() []string { return []string{"ES256", "EdDSA"} }

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

type dpopClaims struct {
	ID     string `json:"jti"`
	Method string `json:"htm"`
	URL    string `json:"htu"`
	jose.Times
	TokenHash string `json:"ath,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
}

// Sign builds the proof with the DPoP key.
func (d DPoP) Sign(ctx context.Context, signer key.Signer) (string, error) {
	if d.ID == "" {
		d.ID = newSecret()
	}
	target, _, _ := strings.Cut(d.URL, "#")
	target, _, _ = strings.Cut(target, "?")
	c := dpopClaims{ID: d.ID, Method: d.Method, URL: target, Times: jose.Times{IssuedAt: jose.NewDate(d.IssuedAt)}, Nonce: d.Nonce}
	if d.AccessToken != "" {
		c.TokenHash = tokenHash(d.AccessToken)
	}
	proof, err := jose.Sign(ctx, signer, jose.Header{Typ: typeDPoP, JWK: &jose.JWK{Key: signer.Public()}}, c)
	if err != nil {
		return "", fmt.Errorf("sign DPoP proof: %w", err)
	}
	return proof, nil
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
	d, err := verifyDPoP(proof, e)
	if refusal := (*Error)(nil); err != nil && !errors.As(err, &refusal) {
		err = refuse(CodeInvalidDPoPProof, "DPoP proof (RFC 9449, 4.3): "+err.Error(), err)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func verifyDPoP(proof string, e DPoPExpectation) (*DPoP, error) {
	if strings.Contains(proof, ",") { // 1: joined from several headers
		return nil, errors.New("more than one")
	}
	t, err := jose.Parse(proof, jose.Limits{Token: maxProof, Header: maxProof, Depth: 8, Members: 200}) // 2
	if err != nil {
		return nil, err
	}
	if !t.Header.HasType(typeDPoP) { // 4
		return nil, fmt.Errorf("typ is %.40q", t.Header.Typ)
	}
	if !profileAlgorithm(t.Header.Alg) { // 5
		return nil, fmt.Errorf("alg %.20q is not accepted", t.Header.Alg)
	}
	if t.Header.JWK == nil {
		return nil, errors.New("no jwk")
	}
	var c dpopClaims
	if err := t.Claims(&c); err != nil {
		return nil, err
	}
	if err := t.Verify(t.Header.JWK.Key); err != nil { // 6; 7 is jose's: no private key
		return nil, err
	}
	if err := c.check(e); err != nil {
		return nil, err
	}
	thumb, err := jose.ThumbprintString(t.Header.JWK.Key)
	if err != nil {
		return nil, err
	}
	return &DPoP{Method: c.Method, URL: c.URL, ID: c.ID, IssuedAt: c.IssuedAt.Time(), Nonce: c.Nonce, Key: t.Header.JWK.Key, Thumbprint: thumb}, nil
}

// check compares the claims with what is expected: 3 and 8 to 12.
func (c *dpopClaims) check(e DPoPExpectation) error {
	if c.ID == "" || len(c.ID) > maxNonce {
		return fmt.Errorf("jti of %d characters, want 1 to %d", len(c.ID), maxNonce)
	}
	if c.Method != e.Method {
		return fmt.Errorf("htm is %.20q, the request %s", c.Method, e.Method)
	}
	got, err := targetURI(c.URL)
	if err != nil {
		return fmt.Errorf("htu: %w", err)
	}
	want, err := targetURI(e.URL)
	if err != nil {
		return fmt.Errorf("URL of the request: %w", err)
	}
	if got != want {
		return fmt.Errorf("htu is %.80q, the request went to %.80q", got, want)
	}
	if c.IssuedAt == 0 {
		return errors.New("no iat")
	}
	if e.Window == 0 {
		e.Window = defaultWindow
	}
	if off := c.IssuedAt.Time().Sub(e.Now); off.Abs() > e.Window {
		return fmt.Errorf("iat is %v off the server's clock, %v allowed", off.Truncate(time.Second), e.Window)
	}
	if err := (jose.Times{NotBefore: c.NotBefore, Expires: c.Expires}).Check(e.Now, time.Minute); err != nil {
		return err
	}
	if e.AccessToken != "" && !equal(c.TokenHash, tokenHash(e.AccessToken)) {
		return errors.New("ath is not the hash of the access token")
	}
	if e.Nonce == nil {
		return nil
	}
	if err := e.Nonce(c.Nonce); err != nil || len(c.Nonce) > maxNonce {
		return refuse(CodeUseDPoPNonce, "put the nonce of the DPoP-Nonce header into the DPoP proof", err)
	}
	return nil
}

// tokenHash is the claim ath. RFC 9449, 4.2.
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return jose.Encode(sum[:])
}
