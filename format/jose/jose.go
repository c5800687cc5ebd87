// Package jose reads and writes JSON Object Signing and Encryption: keys,
// signed tokens and encrypted messages.
//
// It speaks the part of JOSE that OpenID4VCI 1.0, OpenID4VP 1.0, HAIP 1.0 and
// the OAuth specifications under them need: ES256, ES384, ES512 and EdDSA with
// Ed25519; ECDH-ES in direct mode with AES-GCM. There is no RSA, no shared
// secret and no "none", so that no header can ask for them. Messages under a
// password have functions of their own (password.go).
package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	asm "github.com/segmentio/asm/base64"
)

var (
	// ErrMalformed says that the input is not what the specification allows,
	// or is beyond a limit.
	ErrMalformed = errors.New("malformed")

	// ErrUnsupported says that the input is well-formed but asks for an
	// algorithm, key type or extension that is not accepted here.
	ErrUnsupported = errors.New("not supported")

	// ErrPrivate says that a key came with its private part where a public key
	// was expected. Whoever sent it has to replace it.
	ErrPrivate = errors.New("private key where a public key belongs")

	// ErrDecrypt says that a message does not decrypt: not meant for this key,
	// or changed. It never says which.
	ErrDecrypt = errors.New("message does not decrypt")

	// ErrExpired and ErrNotYet are the outcomes of Times.Check.
	ErrExpired = errors.New("expired")
	ErrNotYet  = errors.New("not yet valid")
)

// Limits bounds what is parsed before any cryptography. Zero means the default.
type Limits struct {
	Token   int // bytes of the whole token as received; 1 MiB, for JWE 16 MiB
	Header  int // bytes of the decoded protected header; 64 KiB
	Depth   int // nesting of JSON; 32
	Members int // members and elements of one JSON text together; 100 000
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Token, 1<<20)
	set(&l.Header, 64<<10)
	set(&l.Depth, 32)
	set(&l.Members, 100_000)
	return l
}

// Encode is base64url without padding (RFC 7515, 2).
func Encode(b []byte) string {
	if len(b) < 256 {
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return string(AppendEncode(nil, b))
}

// AppendEncode is Encode at the end of dst.
func AppendEncode(dst, b []byte) []byte {
	n := rawURL.EncodedLen(len(b))
	dst = slices.Grow(dst, n)
	rawURL.Encode(dst[len(dst):len(dst)+n], b)
	return dst[:len(dst)+n]
}

// Decode is the strict reverse of Encode: no padding, no line breaks, no other
// alphabet, and unused bits zero, so that each value has one spelling.
func Decode(s string) ([]byte, error) { return decode(strictURL, s) }

// decodeBytes is Decode of bytes. Line breaks, which the library skips, make the
// result too short, or the text of a length that none has.
func decodeBytes(s []byte) ([]byte, error) {
	out := make([]byte, strictURL.DecodedLen(len(s)))
	n, err := strictURL.Decode(out, s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case n != len(out) || len(s)%4 == 1:
		return nil, fmt.Errorf("base64 with line breaks: %w", ErrMalformed)
	}
	return out, nil
}

func decode(e *base64.Encoding, s string) ([]byte, error) {
	if strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 { // which the library skips
		return nil, fmt.Errorf("base64 with line breaks: %w", ErrMalformed)
	}
	b, err := e.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b, nil
}

var (
	// Writing has instructions of the processor behind it, which matter for
	// documents with portraits. For reading, the library is strict.
	rawURL    = asm.RawURLEncoding
	strictURL = base64.RawURLEncoding.Strict()
	strictStd = base64.StdEncoding.Strict()
)
