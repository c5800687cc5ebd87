package software

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Sealing is AES-256-GCM with a random 12-byte nonce in front (NIST SP 800-38D,
// 8.2.2). A sealing key seals each private key once, far from the 2^32 limit.

// Iterations is the cost of PBKDF2-HMAC-SHA256 for passphrases: what OWASP's
// password storage recommendation asks at least.
const Iterations = 600_000

// maxIterations bounds what a damaged or hostile record can make us compute.
const maxIterations = 20 * Iterations

const saltSize = 16

var errSeal = errors.New("sealed data does not open")

func aead(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// fromSecret derives the sealing key of an area from a random device secret.
// RFC 5869.
func fromSecret(secret, salt []byte) (cipher.AEAD, error) {
	if len(secret) < 32 {
		return nil, fmt.Errorf("software secure area: device secret has %d bytes, 32 random bytes are needed", len(secret))
	}
	key, err := hkdf.Key(sha256.New, secret, salt, "eidos software secure area", 32)
	if err != nil {
		return nil, err
	}
	return aead(key)
}

// fromPassphrase derives a sealing key from what a person remembers.
// RFC 8018, 5.2.
func fromPassphrase(passphrase, salt []byte, iterations int) (cipher.AEAD, error) {
	if iterations < Iterations || iterations > maxIterations || len(salt) < saltSize {
		return nil, fmt.Errorf("%w: %d iterations, %d bytes of salt", errSeal, iterations, len(salt))
	}
	key, err := pbkdf2.Key(sha256.New, string(passphrase), salt, iterations, 32)
	if err != nil {
		return nil, err
	}
	return aead(key)
}

func seal(a cipher.AEAD, plain, context []byte) []byte { return a.Seal(nil, nil, plain, context) }

func open(a cipher.AEAD, sealed, context []byte) ([]byte, error) {
	plain, err := a.Open(nil, nil, sealed, context)
	if err != nil {
		return nil, errSeal
	}
	return plain, nil
}
