package cose

import (
	"crypto"
	"fmt"

	"github.com/eidos-id/eidos/format/key"
)

// Algorithm is an identifier of the IANA registry "COSE Algorithms".
type Algorithm int64

// The algorithms this package knows. The polymorphic identifiers are written
// and read; the fully-specified ones of RFC 9864 are read.
const (
	HMAC256 Algorithm = 5   // HMAC 256/256; RFC 9053, 3.1
	ES256   Algorithm = -7  // ECDSA with SHA-256, here always on P-256; RFC 9053, 2.1
	EdDSA   Algorithm = -8  // here always Ed25519; RFC 9053, 2.2
	ES384   Algorithm = -35 // ECDSA with SHA-384, here always on P-384
	ES512   Algorithm = -36 // ECDSA with SHA-512, here always on P-521

	ESP256  Algorithm = -9  // ECDSA, P-256, SHA-256; RFC 9864, 2.1
	Ed25519 Algorithm = -19 // RFC 9864, 2.2
	ESP384  Algorithm = -51 // ECDSA, P-384, SHA-384
	ESP512  Algorithm = -52 // ECDSA, P-521, SHA-512
)

// String returns the registered name, or the number of an unknown algorithm.
func (a Algorithm) String() string {
	switch a {
	case HMAC256:
		return "HMAC 256/256"
	case ES256:
		return "ES256"
	case EdDSA:
		return "EdDSA"
	case ES384:
		return "ES384"
	case ES512:
		return "ES512"
	case ESP256:
		return "ESP256"
	case Ed25519:
		return "Ed25519"
	case ESP384:
		return "ESP384"
	case ESP512:
		return "ESP512"
	}
	return fmt.Sprintf("algorithm %d", int64(a))
}

// AlgorithmOf returns the algorithm we write for a key: ES256 for P-256, ES384
// for P-384, ES512 for P-521, EdDSA for Ed25519; else ErrKey.
//
// The binding of hash and curve is that of ISO/IEC 18013-5:2021, 9.1.2.4.
func AlgorithmOf(pub crypto.PublicKey) (Algorithm, error) {
	alg, err := key.AlgorithmOf(pub)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrKey, err)
	}
	switch alg {
	case key.ES256:
		return ES256, nil
	case key.ES384:
		return ES384, nil
	case key.ES512:
		return ES512, nil
	case key.EdDSA:
		return EdDSA, nil
	}
	return 0, fmt.Errorf("%w: no COSE algorithm for %s", ErrKey, alg)
}

// signatureSize is the length of a signature in bytes.
//
// RFC 9053, 2.1; RFC 8032, 5.1.6.
func (a Algorithm) signatureSize() int {
	switch a {
	case ES384:
		return 2 * 48
	case ES512:
		return 2 * 66
	}
	return 64
}

// polymorphic returns the identifier of RFC 9053 for one of RFC 9864, and any
// other unchanged.
func (a Algorithm) polymorphic() Algorithm {
	switch a {
	case ESP256:
		return ES256
	case ESP384:
		return ES384
	case ESP512:
		return ES512
	case Ed25519:
		return EdDSA
	}
	return a
}

// Fits reports, as nil or an error wrapping ErrAlgorithm, whether a signature
// with this algorithm can be made by the given key.
func (a Algorithm) Fits(pub crypto.PublicKey) error {
	want, err := AlgorithmOf(pub)
	if err != nil {
		return err
	}
	if a.polymorphic() != want {
		return fmt.Errorf("%w: header says %v, the key needs %v (ISO/IEC 18013-5:2021, 9.1.2.4)", ErrAlgorithm, a, want)
	}
	return nil
}
