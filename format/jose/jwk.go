package jose

import (
	"crypto"
	"encoding/json"
)

// JWK is a public key in JSON (RFC 7517, 4; RFC 7518, 6.2; RFC 8037, 2):
// EC on P-256, P-384 and P-521, OKP with Ed25519 and X25519.
//
// It implements json.Marshaler and json.Unmarshaler, the latter as strict as
// ParseJWK, so that it can stand in other structures ("cnf", "jwks").
type JWK struct {
	Key    crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or, X25519, *ecdh.PublicKey
	KID    string           // "kid", optional
	Use    string           // "use": "sig" or "enc", optional
	Alg    string           // "alg", optional
	KeyOps []string         // "key_ops", optional
	X5C    [][]byte         // "x5c": DER certificates, leaf first, optional; not checked against Key
}

// ParseJWK reads a public key. It refuses points off their curve, coordinates
// of another length than the curve's, duplicate members, contradicting "use"
// and "key_ops", and private parts (ErrPrivate). Members it does not know are ignored
// (RFC 7517, 4). Other key types and curves give ErrUnsupported.
func ParseJWK(data []byte) (*JWK, error) { panic("being written") }

// ParsePrivateJWK reads a key with its private part: an *ecdsa.PrivateKey,
// ed25519.PrivateKey or, for X25519, *ecdh.PrivateKey. It refuses a private
// part that does not belong to the public one. For imports and tests: keys of
// the running system live in a secure area.
func ParsePrivateJWK(data []byte) (*JWK, crypto.PrivateKey, error) { panic("being written") }

// MarshalJSON writes the public key, members in the order of the thumbprint's
// where that has them, kty first.
func (k JWK) MarshalJSON() ([]byte, error) { panic("being written") }

// UnmarshalJSON is ParseJWK.
func (k *JWK) UnmarshalJSON(data []byte) error { panic("being written") }

// Thumbprint is the SHA-256 JWK thumbprint of a key (RFC 7638, 3).
func Thumbprint(pub crypto.PublicKey) ([32]byte, error) { panic("being written") }

// ThumbprintString is Thumbprint in base64url, as in "jkt" (RFC 9449, 6.1).
func ThumbprintString(pub crypto.PublicKey) (string, error) { panic("being written") }

// Set is a JWK Set (RFC 7517, 5).
type Set struct {
	Keys []JWK
}

// ParseSet reads a JWK Set. Keys of unknown type or curve are left out
// (RFC 7517, 5). A private or secret key in it, a malformed key, or a "kid"
// that two keys share makes the whole set unusable.
func ParseSet(data []byte) (*Set, error) { panic("being written") }

// MarshalJSON writes {"keys": […]}.
func (s Set) MarshalJSON() ([]byte, error) { panic("being written") }

// UnmarshalJSON is ParseSet.
func (s *Set) UnmarshalJSON(data []byte) error { panic("being written") }

// ByKID returns the key with this identifier.
func (s Set) ByKID(kid string) (JWK, bool) { panic("being written") }

var _ json.Marshaler = JWK{}
