package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/eidos-id/eidos/format/jose"
)

// NewVerifier returns a fresh PKCE code verifier of 32 random bytes. RFC 7636, 4.1.
func NewVerifier() string { return newSecret() }

// CodeChallenge is the S256 transformation of a verifier. RFC 7636, 4.2.
func CodeChallenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return jose.Encode(sum[:])
}

// validChallenge reports whether s can be a SHA-256 in base64url.
func validChallenge(s string) bool {
	b, err := jose.Decode(s)
	return err == nil && len(b) == sha256.Size
}

// checkVerifier reports whether verifier is well-formed (RFC 7636, 4.1) and
// the one behind challenge (4.6).
func checkVerifier(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	for i := range len(verifier) {
		c := verifier[i]
		if !isAlphanumeric(c) && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return equal(CodeChallenge(verifier), challenge)
}

// newSecret returns 32 random bytes in base64url: codes, tokens, state.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never returns an error
	return jose.Encode(b[:])
}

// equal compares in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
