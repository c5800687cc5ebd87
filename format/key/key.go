// Package key is about public keys and signatures apart from their encodings:
// what a COSE_Key, a JWK and a certificate have in common.
//
// Public keys are *ecdsa.PublicKey (P-256, P-384, P-521), ed25519.PublicKey
// and, for X25519 only, *ecdh.PublicKey. Signatures are raw: r and s as
// big-endian integers of the curve's size, one after the other (RFC 7518, 3.4;
// RFC 9053, 2.1), or the 64 bytes of Ed25519 (RFC 8032, 5.1.6).
package key

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
)

// Algorithm is a signature algorithm that says curve and hash at once.
type Algorithm string

// The signature algorithms of RFC 7518, 3.4 and RFC 8037, 3.1 by their JOSE
// names. EdDSA means Ed25519 here and nothing else.
const (
	ES256 Algorithm = "ES256" // P-256 with SHA-256, 64 bytes
	ES384 Algorithm = "ES384" // P-384 with SHA-384, 96 bytes
	ES512 Algorithm = "ES512" // P-521 with SHA-512, 132 bytes
	EdDSA Algorithm = "EdDSA" // Ed25519, 64 bytes
)

var (
	// ErrSignature says that a signature does not fit the message and the key.
	ErrSignature = errors.New("signature does not verify")

	// ErrUnsupported says that the type or the curve of a key is not one of ours.
	ErrUnsupported = errors.New("key type or curve not supported")

	// ErrKey says that a public key is of a supported kind but malformed: not
	// on its curve, or of the wrong length.
	ErrKey = errors.New("public key malformed")
)

// Signer makes signatures with one private key that it does not give away.
type Signer interface {
	// Public returns an *ecdsa.PublicKey or an ed25519.PublicKey.
	Public() crypto.PublicKey

	// Sign signs the message, not a digest of it, and returns a raw signature.
	// It may block, for a person or a network. It keeps nothing of message.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// Agreer agrees on secrets with one private key that it does not give away.
type Agreer interface {
	// Public returns a key on P-256, P-384, P-521 or X25519.
	Public() *ecdh.PublicKey

	// Agree returns Z: the x-coordinate of the shared point, of the curve's
	// size, or X25519's output. It refuses a peer on another curve. The caller
	// owns the result and derives keys from it; Z is no key.
	Agree(ctx context.Context, peer *ecdh.PublicKey) ([]byte, error)
}

// AlgorithmOf returns the one algorithm that a public key signs with.
// For keys that cannot sign, such as X25519, the error is ErrUnsupported.
func AlgorithmOf(pub crypto.PublicKey) (Algorithm, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if pub != nil {
			switch pub.Curve {
			case elliptic.P256():
				return ES256, nil
			case elliptic.P384():
				return ES384, nil
			case elliptic.P521():
				return ES512, nil
			}
		}
	case ed25519.PublicKey:
		return EdDSA, nil
	}
	return "", fmt.Errorf("signing with %T: %w", pub, ErrUnsupported)
}

// Verify checks a raw signature over the message with the algorithm of the
// key. The error is ErrSignature when the signature is wrong or of the wrong
// length or range, ErrKey when the key is no point of its curve, and
// ErrUnsupported when the key cannot sign.
//
// RFC 7518, 3.4; RFC 9053, 2.1 and 2.2.
func Verify(pub crypto.PublicKey, message, signature []byte) error {
	alg, err := AlgorithmOf(pub)
	if err != nil {
		return err
	}
	if alg == EdDSA {
		ed := pub.(ed25519.PublicKey)
		if len(ed) != ed25519.PublicKeySize { // ed25519.Verify would panic
			return fmt.Errorf("Ed25519 key of %d bytes: %w", len(ed), ErrKey)
		}
		if !ed25519.Verify(ed, message, signature) {
			return ErrSignature
		}
		return nil
	}
	ec := pub.(*ecdsa.PublicKey)
	if !hasPoint(ec) {
		return fmt.Errorf("%s key without coordinates: %w", alg, ErrKey)
	}
	if len(signature) != 2*coordinateSize(ec.Curve) {
		return fmt.Errorf("%s signature of %d bytes: %w", alg, len(signature), ErrSignature)
	}
	var buf [maxDER]byte
	der, err := appendDER(buf[:0], signature)
	if err != nil {
		return err
	}
	var ok bool
	switch alg {
	case ES256:
		digest := sha256.Sum256(message)
		ok = ecdsa.VerifyASN1(ec, digest[:], der)
	case ES384:
		digest := sha512.Sum384(message)
		ok = ecdsa.VerifyASN1(ec, digest[:], der)
	case ES512:
		digest := sha512.Sum512(message)
		ok = ecdsa.VerifyASN1(ec, digest[:], der)
	}
	if ok {
		return nil
	}
	if err := Check(pub); err != nil { // only now: VerifyASN1 has refused off-curve keys already
		return err
	}
	return ErrSignature
}

// hasPoint reports whether a key has coordinates: with the zero key crypto/ecdsa
// panics.
func hasPoint(pub *ecdsa.PublicKey) bool {
	//lint:ignore SA1019 only compared with nil, which no other function lets one find out
	return pub.X != nil && pub.Y != nil
}

// Check refuses keys that are not of a supported kind (ErrUnsupported), and
// those that are not on their curve or not of its size (ErrKey).
// Keys parsed by this module have passed it.
func Check(pub crypto.PublicKey) error {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if _, err := AlgorithmOf(pub); err != nil {
			return err
		}
		if !hasPoint(pub) {
			return fmt.Errorf("key without coordinates: %w", ErrKey)
		}
		if _, err := pub.ECDH(); err != nil {
			return fmt.Errorf("%s: %w: %w", pub.Curve.Params().Name, ErrKey, err)
		}
		return nil
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key of %d bytes: %w", len(pub), ErrKey)
		}
		return nil
	case *ecdh.PublicKey:
		if pub != nil && pub.Curve() == ecdh.X25519() {
			return nil
		}
	}
	return fmt.Errorf("%T: %w", pub, ErrUnsupported)
}

// Equal reports whether a and b are the same key of the same Go type.
// Keys that are not supported, and nil, equal nothing.
func Equal(a, b crypto.PublicKey) bool {
	if Check(a) != nil {
		return false
	}
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}

// ToECDH returns the public key for key agreement: that of an EC key on the
// same curve, or an *ecdh.PublicKey as it is. Ed25519 keys cannot agree.
func ToECDH(pub crypto.PublicKey) (*ecdh.PublicKey, error) {
	if err := agrees(pub); err != nil {
		return nil, err
	}
	if ec, ok := pub.(*ecdsa.PublicKey); ok {
		return ec.ECDH()
	}
	return pub.(*ecdh.PublicKey), nil
}

func agrees(pub crypto.PublicKey) error {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return Check(pub)
	case *ecdh.PublicKey:
		if pub != nil {
			switch pub.Curve() {
			case ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519():
				return nil
			}
		}
	}
	return fmt.Errorf("key agreement with %T: %w", pub, ErrUnsupported)
}

// FromECDH is the reverse of ToECDH: keys on P-256, P-384 and P-521 become
// *ecdsa.PublicKey, the type in which this module carries them, and X25519
// keys stay what they are.
func FromECDH(pub *ecdh.PublicKey) (crypto.PublicKey, error) {
	if err := agrees(pub); err != nil {
		return nil, err
	}
	switch pub.Curve() {
	case ecdh.P256():
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), pub.Bytes())
	case ecdh.P384():
		return ecdsa.ParseUncompressedPublicKey(elliptic.P384(), pub.Bytes())
	case ecdh.P521():
		return ecdsa.ParseUncompressedPublicKey(elliptic.P521(), pub.Bytes())
	}
	return pub, nil
}

// FromXY makes a public key of affine coordinates, each of exactly the curve's
// size (32, 48 or 66 bytes, leading zeros kept). It refuses other lengths and
// points off the curve with ErrKey, other curves with ErrUnsupported.
//
// RFC 7518, 6.2.1; RFC 9053, 7.1.1.
func FromXY(curve elliptic.Curve, x, y []byte) (*ecdsa.PublicKey, error) {
	if curve != elliptic.P256() && curve != elliptic.P384() && curve != elliptic.P521() {
		return nil, fmt.Errorf("EC key: %w", ErrUnsupported)
	}
	size := coordinateSize(curve)
	if len(x) != size || len(y) != size {
		return nil, fmt.Errorf("%s coordinates of %d and %d bytes, not %d: %w", curve.Params().Name, len(x), len(y), size, ErrKey)
	}
	point := make([]byte, 0, 1+2*size)
	point = append(point, 4) // SEC 1, 2.3.4: uncompressed
	point = append(point, x...)
	point = append(point, y...)
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", curve.Params().Name, ErrKey, err)
	}
	return pub, nil
}

// XY returns the affine coordinates of a public key, each of the curve's size.
func XY(pub *ecdsa.PublicKey) (x, y []byte, err error) {
	if _, err := AlgorithmOf(pub); err != nil {
		return nil, nil, err
	}
	if !hasPoint(pub) {
		return nil, nil, fmt.Errorf("key without coordinates: %w", ErrKey)
	}
	point, err := pub.Bytes() // refuses points off the curve
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	size := coordinateSize(pub.Curve)
	return point[1 : 1+size], point[1+size:], nil
}

// Parse reads a SubjectPublicKeyInfo in DER and refuses keys that are not
// supported, points off the curve and trailing bytes.
//
// RFC 5280, 4.1.2.7; RFC 5480, 2.1; RFC 8410, 3.
func Parse(der []byte) (crypto.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("SubjectPublicKeyInfo: %w: %w", ErrKey, err)
	}
	if err := Check(pub); err != nil {
		return nil, fmt.Errorf("SubjectPublicKeyInfo: %w", err)
	}
	return pub, nil
}

// Marshal returns the SubjectPublicKeyInfo of a key in DER.
func Marshal(pub crypto.PublicKey) ([]byte, error) {
	if err := Check(pub); err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// coordinateSize is the size of a field element and of r and s, in bytes.
func coordinateSize(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }
