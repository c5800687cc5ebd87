package jose

import (
	"context"
	"encoding/json"

	"github.com/eidos-id/eidos/format/key"
)

// The content encryption algorithms (RFC 7518, 5.3).
const (
	A128GCM = "A128GCM"
	A192GCM = "A192GCM"
	A256GCM = "A256GCM"
)

// EncryptOptions says for whom and how to encrypt.
type EncryptOptions struct {
	Recipient JWK    // on P-256, P-384, P-521 or X25519; its KID becomes "kid" when KID is empty
	Enc       string // A128GCM, A192GCM or A256GCM
	APU, APV  []byte // agreement PartyUInfo and PartyVInfo, decoded; optional
	Typ, CTY  string // optional
	KID       string // optional
	Zip       bool   // compress with DEFLATE; never for what mixes secrets with an attacker's text
}

// Encrypt makes a JWE in compact serialisation with ECDH-ES in direct key
// agreement mode and a fresh ephemeral key (RFC 7518, 4.6; RFC 8037, 3.2).
func Encrypt(plaintext []byte, o EncryptOptions) (string, error) { panic("being written") }

// JWE is an encrypted message as it was received: parsed, not yet decrypted.
type JWE struct {
	Header JWEHeader
}

// JWEHeader is the protected header of an encrypted message (RFC 7516, 4.1).
type JWEHeader struct {
	Alg, Enc      string
	Typ, CTY, KID string
	Zip           string // "" or "DEF"
	EPK           JWK    // ephemeral public key
	APU, APV      []byte // decoded, nil if absent

	// Raw holds the members that have no field above, each as its JSON text.
	Raw map[string]json.RawMessage
}

// ParseJWE reads a JWE in compact serialisation (RFC 7516, 7.1) with the
// default limits. It refuses every "alg" but ECDH-ES, every "enc" but AES-GCM, "crit",
// and ephemeral keys off their curve.
func ParseJWE(token string) (*JWE, error) { panic("being written") }

// Decrypt returns the plaintext, which the caller owns. Anything wrong with
// key, tag or ciphertext is ErrDecrypt; compressed messages that grow beyond
// 16 MiB are ErrMalformed. Errors of the agreer itself are wrapped.
func (j *JWE) Decrypt(ctx context.Context, agreer key.Agreer) ([]byte, error) { panic("being written") }
