// Package testkit gives tests keys, databases and a clock. Only test files import it.
// It imports no floor: its keys have the methods of format/key's Signer and
// Agreer without knowing them.
package testkit

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"testing"
)

// Key is a signing key of a test. It has the methods of key.Signer.
type Key struct {
	private crypto.Signer // *ecdsa.PrivateKey or ed25519.PrivateKey
}

// Signer returns a new ECDSA key on P-256, P-384 or P-521.
func Signer(t testing.TB, curve elliptic.Curve) *Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return &Key{k}
}

// Ed25519 returns a new Ed25519 key.
func Ed25519(t testing.TB) *Key {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return &Key{k}
}

// ECDSA returns a Key around a private key, for example one of a vector.
func ECDSA(k *ecdsa.PrivateKey) *Key { return &Key{k} }

// Public returns an *ecdsa.PublicKey or an ed25519.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// Private returns the *ecdsa.PrivateKey or ed25519.PrivateKey, to make
// certificates with it.
func (k *Key) Private() crypto.Signer { return k.private }

// JWK returns the private key as a JSON Web Key, for software of others.
// RFC 7517; RFC 8037, 2.
func (k *Key) JWK(t testing.TB) map[string]string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	switch p := k.private.(type) {
	case ed25519.PrivateKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": enc(p[32:]), "d": enc(p.Seed())}
	case *ecdsa.PrivateKey:
		d, err := p.Bytes()
		if err != nil {
			t.Fatalf("testkit: %v", err)
		}
		point, err := p.PublicKey.Bytes()
		if err != nil {
			t.Fatalf("testkit: %v", err)
		}
		n := len(point) / 2
		return map[string]string{"kty": "EC", "crv": p.Params().Name, "x": enc(point[1 : 1+n]), "y": enc(point[1+n:]), "d": enc(d)}
	default:
		t.Fatalf("testkit: key of type %T", p)
		return nil
	}
}

// Sign hashes the message as the curve asks (ES256, ES384, ES512) and returns
// r||s, or the Ed25519 signature of the message.
func (k *Key) Sign(_ context.Context, message []byte) ([]byte, error) {
	switch p := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(p, message), nil
	case *ecdsa.PrivateKey:
		var digest []byte
		switch p.Curve {
		case elliptic.P256():
			d := sha256.Sum256(message)
			digest = d[:]
		case elliptic.P384():
			d := sha512.Sum384(message)
			digest = d[:]
		case elliptic.P521():
			d := sha512.Sum512(message)
			digest = d[:]
		default:
			return nil, fmt.Errorf("testkit: curve %s", p.Curve.Params().Name)
		}
		r, s, err := ecdsa.Sign(rand.Reader, p, digest)
		if err != nil {
			return nil, err
		}
		n := (p.Curve.Params().BitSize + 7) / 8
		raw := make([]byte, 2*n)
		r.FillBytes(raw[:n])
		s.FillBytes(raw[n:])
		return raw, nil
	default:
		return nil, fmt.Errorf("testkit: key of type %T", p)
	}
}

// AgreeKey is a key-agreement key of a test. It has the methods of key.Agreer.
type AgreeKey struct {
	private *ecdh.PrivateKey
}

// Agreer returns a new key on a curve of crypto/ecdh.
func Agreer(t testing.TB, curve ecdh.Curve) *AgreeKey {
	t.Helper()
	k, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return &AgreeKey{k}
}

// ECDH returns an AgreeKey around a private key, for example one of a vector.
func ECDH(k *ecdh.PrivateKey) *AgreeKey { return &AgreeKey{k} }

// Public returns the public key.
func (k *AgreeKey) Public() *ecdh.PublicKey { return k.private.PublicKey() }

// Private returns the private key.
func (k *AgreeKey) Private() *ecdh.PrivateKey { return k.private }

// Agree returns the shared secret Z, the x-coordinate.
func (k *AgreeKey) Agree(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) {
	return k.private.ECDH(peer)
}
