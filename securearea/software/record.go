package software

import (
	"crypto"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/eidos-id/eidos/securearea"
)

// record is what is stored of a key. Public parts stand beside the sealed ones
// and are bound to them as associated data, so that records cannot be mixed.
type record struct {
	Version   int                `json:"v"`
	Curve     securearea.Curve   `json:"curve"`
	Purpose   securearea.Purpose `json:"purpose"`
	Public    []byte             `json:"public"`              // uncompressed point, or 32 bytes
	Challenge []byte             `json:"challenge,omitempty"` // of the attestation at creation
	Lock      *lock              `json:"lock,omitempty"`      // if unlock data is needed
	Sealed    []byte             `json:"sealed"`              // scalar or seed; with Lock sealed twice
}

// lock says how the inner sealing key of a protected key is derived.
type lock struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
}

// context is the associated data of a key's sealed parts.
func (r *record) context(id, layer string) []byte {
	out := []byte("eidos software key 1\x00" + layer + "\x00" + id + "\x00" + string(r.Curve) + "\x00" + string(r.Purpose) + "\x00")
	return append(out, r.Public...)
}

func (r *record) info(id string) (securearea.KeyInfo, error) {
	pub, err := parsePublic(r.Curve, r.Purpose, r.Public)
	if err != nil {
		return securearea.KeyInfo{}, err
	}
	return securearea.KeyInfo{
		ID: id, Curve: r.Curve, Purpose: r.Purpose, Public: pub, Protected: r.Lock != nil,
		Attestation: securearea.Attestation{Format: attestationFormat, Challenge: r.Challenge},
	}, nil
}

func parseRecord(data []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if r.Version != 1 {
		return nil, fmt.Errorf("record of version %d", r.Version)
	}
	return &r, nil
}

// private is an unsealed key: exactly one of sign and agree is set.
type private struct {
	sign  crypto.Signer // *ecdsa.PrivateKey or ed25519.PrivateKey
	agree *ecdh.PrivateKey
}

// LogValue keeps keys out of logs.
func (private) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String keeps keys out of formatted text.
func (private) String() string { return "[redacted]" }

// GoString keeps keys out of formatted text.
func (private) GoString() string { return "[redacted]" }

func ellipticOf(c securearea.Curve) elliptic.Curve {
	switch c {
	case securearea.P256:
		return elliptic.P256()
	case securearea.P384:
		return elliptic.P384()
	case securearea.P521:
		return elliptic.P521()
	}
	return nil
}

func ecdhOf(c securearea.Curve) ecdh.Curve {
	switch c {
	case securearea.P256:
		return ecdh.P256()
	case securearea.P384:
		return ecdh.P384()
	case securearea.P521:
		return ecdh.P521()
	case securearea.X25519:
		return ecdh.X25519()
	}
	return nil
}

// generate makes a key and returns it with its private and public bytes.
func generate(c securearea.Curve, p securearea.Purpose) (secret, public []byte, err error) {
	switch {
	case p == securearea.Agree && ecdhOf(c) != nil:
		k, err := ecdhOf(c).GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return k.Bytes(), k.PublicKey().Bytes(), nil
	case p == securearea.Sign && ellipticOf(c) != nil:
		k, err := ecdsa.GenerateKey(ellipticOf(c), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		if secret, err = k.Bytes(); err != nil {
			return nil, nil, err
		}
		public, err = k.PublicKey.Bytes()
		return secret, public, err
	case p == securearea.Sign && c == securearea.Ed25519:
		pub, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return k.Seed(), pub, nil
	}
	return nil, nil, fmt.Errorf("%w: %s key to %s", securearea.ErrUnsupported, c, p)
}

func parsePublic(c securearea.Curve, p securearea.Purpose, public []byte) (crypto.PublicKey, error) {
	switch {
	case p == securearea.Agree && ecdhOf(c) != nil:
		return ecdhOf(c).NewPublicKey(public)
	case p == securearea.Sign && ellipticOf(c) != nil:
		return ecdsa.ParseUncompressedPublicKey(ellipticOf(c), public)
	case p == securearea.Sign && c == securearea.Ed25519 && len(public) == ed25519.PublicKeySize:
		return ed25519.PublicKey(public), nil
	}
	return nil, fmt.Errorf("record of a %q key to %q", c, p)
}

func parsePrivate(c securearea.Curve, p securearea.Purpose, secret []byte) (private, error) {
	switch {
	case p == securearea.Agree && ecdhOf(c) != nil:
		k, err := ecdhOf(c).NewPrivateKey(secret)
		return private{agree: k}, err
	case p == securearea.Sign && ellipticOf(c) != nil:
		k, err := ecdsa.ParseRawPrivateKey(ellipticOf(c), secret)
		return private{sign: k}, err
	case p == securearea.Sign && c == securearea.Ed25519 && len(secret) == ed25519.SeedSize:
		return private{sign: ed25519.NewKeyFromSeed(secret)}, nil
	}
	return private{}, fmt.Errorf("record of a %q key to %q", c, p)
}

// unseal opens a stored key; unlock opens the inner layer of a protected one.
func (r *record) unseal(id string, outer cipher.AEAD, unlock securearea.Unlock) (private, error) {
	secret, err := open(outer, r.Sealed, r.context(id, "outer"))
	if err != nil {
		return private{}, fmt.Errorf("%w: %w", securearea.ErrInvalidated, err)
	}
	if r.Lock != nil {
		if len(unlock.Passphrase) == 0 {
			return private{}, fmt.Errorf("%w: it needs its passphrase", securearea.ErrLocked)
		}
		inner, err := fromPassphrase(unlock.Passphrase, r.Lock.Salt, r.Lock.Iterations)
		if err != nil {
			return private{}, fmt.Errorf("%w: %w", securearea.ErrInvalidated, err)
		}
		if secret, err = open(inner, secret, r.context(id, "inner")); err != nil {
			return private{}, fmt.Errorf("%w: wrong passphrase", securearea.ErrLocked)
		}
	}
	k, err := parsePrivate(r.Curve, r.Purpose, secret)
	clear(secret)
	if err != nil {
		return private{}, fmt.Errorf("%w: %w", securearea.ErrInvalidated, err)
	}
	return k, nil
}
