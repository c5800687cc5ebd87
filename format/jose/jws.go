package jose

import (
	"context"
	"crypto"
	"encoding/json"

	"github.com/eidos-id/eidos/format/key"
)

// Header is the protected header of a signed token (RFC 7515, 4.1).
type Header struct {
	Alg string   // "alg"; Sign sets it to the algorithm of its key
	Typ string   // "typ", see HasType
	Cty string   // "cty"
	KID string   // "kid"
	JWK *JWK     // "jwk"
	X5C [][]byte // "x5c": DER certificates, leaf first; at most 10

	// Raw holds the members that have no field above, such as
	// "key_attestation", each as its JSON text. "crit" is never among them:
	// tokens with critical extensions are refused.
	Raw map[string]json.RawMessage
}

// HasType reports whether "typ" is the given media type, in any case and with
// or without its "application/" prefix (RFC 7515, 4.1.9).
func (h *Header) HasType(typ string) bool { panic("being written") }

// String returns a member of Raw that is a JSON string; absent is "".
func (h *Header) String(name string) (string, error) { panic("being written") }

// Prepare returns the JWS Signing Input (RFC 7515, 5.1) of a payload. Whoever
// holds the key signs these bytes with header.Alg, and Finish makes the token.
func Prepare(header Header, payload []byte) (signingInput []byte, err error) { panic("being written") }

// Finish joins a signing input and its raw signature to a JWS in compact
// serialisation (RFC 7515, 7.1).
func Finish(signingInput, signature []byte) string { panic("being written") }

// Sign makes a signed JWT of claims, which encoding/json must turn into an
// object (RFC 7519, 7.1). header.Alg may be empty; if not, it must be the key's.
func Sign(ctx context.Context, signer key.Signer, header Header, claims any) (string, error) { panic("being written") }

// SignBytes makes a JWS of any payload.
func SignBytes(ctx context.Context, signer key.Signer, header Header, payload []byte) (string, error) { panic("being written") }

// Token is a JWS as it was received: parsed, not yet verified.
type Token struct {
	Header  Header
	Payload []byte // decoded; not believed before Verify

	signingInput []byte
	signature    []byte
}

// Parse reads a JWS in compact serialisation (RFC 7515, 7.1). It verifies
// nothing. It refuses what is beyond the limits, base64url that is not
// canonical, duplicate header members, "crit", and "alg" values that are not
// ours, "none" among them (ErrUnsupported).
func Parse(token string, limits Limits) (*Token, error) { panic("being written") }

// Verify checks the signature with a key that the caller has reason to trust.
// The algorithm is the key's: a header naming another one is refused.
// "Ed25519" is accepted for "EdDSA" (RFC 9864, 2.2).
// Errors: key.ErrSignature, key.ErrUnsupported, ErrUnsupported.
func (t *Token) Verify(pub crypto.PublicKey) error { panic("being written") }

// Claims decodes the payload, a JSON object, into v with Unmarshal's
// strictness. Call it after Verify, except to find the key.
func (t *Token) Claims(v any) error { panic("being written") }
