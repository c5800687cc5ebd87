// Package securearea is about keys that cannot be taken away from where they
// were made. An Area creates keys, uses them and says where they live; nothing
// in its interface returns a private key. Everyone else in the system holds a
// handle (Key) and sends messages to be signed.
//
// Implementations live in the folders below this one: software first, later
// TPM, PKCS#11, the provider's server-based area, WebAuthn and applets. The
// package areatest holds the suite that each of them has to pass.
package securearea

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"errors"
	"log/slog"
)

// Sentinels of every area; they come wrapped, to be found with errors.Is.
var (
	// ErrLocked: the key exists and could be used, but the unlock data is
	// missing or wrong, or the person refused. Asking again may help.
	ErrLocked = errors.New("secure area: key is locked")
	// ErrInvalidated: the key exists but can never be used again, for example
	// because the fingerprints enrolled on the phone changed, or because its
	// sealed form was damaged. Only deleting it helps.
	ErrInvalidated = errors.New("secure area: key is invalidated")
	// ErrNotFound: there is no such key here, or there is none any more.
	ErrNotFound = errors.New("secure area: no such key")
	// ErrUnsupported: this area has no such curve, purpose or feature, or the
	// key was made for the other purpose.
	ErrUnsupported = errors.New("secure area: not supported")
)

// Curve names the curve of a key, in the spelling of the JOSE registry
// (RFC 7518, 6.2.1.1; RFC 8037, 2).
type Curve string

// The curves known to the interface. An area lists those it has.
const (
	P256    Curve = "P-256"
	P384    Curve = "P-384"
	P521    Curve = "P-521"
	Ed25519 Curve = "Ed25519"
	X25519  Curve = "X25519"
)

// Purpose is what a key may do in its whole life. It is one or the other,
// never both: an mdoc's device key signs or computes MACs
// (ISO/IEC 18013-5:2021, 9.1.3).
type Purpose string

// The two purposes.
const (
	Sign  Purpose = "sign"
	Agree Purpose = "agree"
)

// Level is how well an area resists an attacker: the attack potential of
// ISO/IEC 18045 it withstands, as key attestations spell it (OpenID4VCI 1.0,
// D.2), or LevelSoftware, which is our own word and promises nothing.
type Level string

// Levels, the lowest first.
const (
	LevelSoftware      Level = "software"
	LevelBasic         Level = "iso_18045_basic"
	LevelEnhancedBasic Level = "iso_18045_enhanced-basic"
	LevelModerate      Level = "iso_18045_moderate"
	LevelHigh          Level = "iso_18045_high"
)

// AtLeast says whether l is as high as want or higher. A level that is not one
// of the constants is below all of them.
func (l Level) AtLeast(want Level) bool {
	return l.rank() >= want.rank() && l.rank() > 0
}

func (l Level) rank() int {
	switch l {
	case LevelSoftware:
		return 1
	case LevelBasic:
		return 2
	case LevelEnhancedBasic:
		return 3
	case LevelModerate:
		return 4
	case LevelHigh:
		return 5
	}
	return 0
}

// Info describes an area, for people and for policies.
type Info struct {
	// Name is for people and logs: "software", "TPM 2.0 (Infineon SLB 9670)".
	Name string
	// Type is the kind of area, stable and machine readable: "software",
	// "tpm", "pkcs11", "remote".
	Type string
	// Level is the attack potential that the area itself claims to resist. A
	// verifier trusts evidence, not this field.
	Level Level
	// SignCurves and AgreeCurves are what Create accepts for each purpose.
	SignCurves, AgreeCurves []Curve
	// MaxBatch is the largest Count that Create accepts.
	MaxBatch int
	// Attestation is the format of the evidence that Attest gives, "none" if
	// the area has no way to prove where its keys live.
	Attestation string
	// Unlock says whether a key can be made to ask for unlock data at each use.
	Unlock bool
}

// Supports says whether the area makes keys on that curve for that purpose.
func (i Info) Supports(c Curve, p Purpose) bool {
	curves := i.SignCurves
	if p == Agree {
		curves = i.AgreeCurves
	}
	for _, have := range curves {
		if have == c && (p == Sign || p == Agree) {
			return true
		}
	}
	return false
}

// Unlock is what a person gives so that a key may be used once. The zero value
// gives nothing. It is data, so that it can cross a process or a network.
type Unlock struct {
	// Passphrase is a PIN or passphrase; nil if none. The area does not keep
	// it, nor change it.
	Passphrase []byte
}

// LogValue keeps the secret out of logs.
func (Unlock) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String keeps the secret out of formatted text.
func (Unlock) String() string { return "[redacted]" }

// GoString keeps the secret out of formatted text.
func (Unlock) GoString() string { return "securearea.Unlock{[redacted]}" }

// Request asks for one key or a batch of keys that are alike.
type Request struct {
	// Curve and Purpose are of every key of the batch.
	Curve   Curve
	Purpose Purpose
	// Count is how many keys to make, 1 if zero.
	Count int
	// Challenge goes into the attestation of the new keys, so that it is known
	// to be fresh. May be empty; at most 64 bytes.
	Challenge []byte
	// Unlock protects the keys: each use needs the same data again. The zero
	// value makes keys that any code holding the area can use.
	Unlock Unlock
}

// KeyInfo is what may be known of a key by everyone.
type KeyInfo struct {
	// ID names the key inside its area: short, made by the area, safe in file
	// names, without meaning.
	ID string
	// Curve and Purpose as requested.
	Curve   Curve
	Purpose Purpose
	// Public is *ecdsa.PublicKey or ed25519.PublicKey of a key that signs,
	// *ecdh.PublicKey of a key that agrees.
	Public crypto.PublicKey
	// Protected says that each use needs unlock data.
	Protected bool
	// Attestation is the evidence made at creation.
	Attestation Attestation
}

// Attestation is signed evidence of where a key lives and what protects it.
type Attestation struct {
	// Format says how to read Evidence; "none" means that there is no evidence
	// and the key can only be trusted on first use.
	Format string
	// Evidence is what the format defines, certificate chains leaf first.
	Evidence [][]byte
	// Challenge is what the evidence answers to.
	Challenge []byte
}

// Area is a place where keys live.
//
// Every call may block, on hardware or on a person who is asked; it returns
// early with ctx.Err() when the context ends. All methods are safe for use by
// several goroutines. Slices given are not kept and not changed, slices
// returned belong to the caller.
//
// A key that Create returned is durable: it is there after a crash. A batch is
// made wholly or not at all; keys of a failed batch may be left behind unused,
// never half of a batch returned. The area does not retry; callers may retry
// anything but ErrInvalidated, ErrNotFound and ErrUnsupported.
type Area interface {
	// Info describes the area. It never blocks.
	Info() Info
	// Create makes Count keys. ErrUnsupported if the area has no such curve
	// for that purpose, or cannot protect keys with unlock data.
	Create(ctx context.Context, request Request) ([]KeyInfo, error)
	// Key returns what was known at creation. ErrNotFound, ErrInvalidated.
	Key(ctx context.Context, id string) (KeyInfo, error)
	// Sign hashes message as the curve demands (SHA-256 with P-256, SHA-384
	// with P-384, SHA-512 with P-521) and signs it. The signature is r || s,
	// each as long as the curve's order, or the 64 bytes of Ed25519.
	// ErrLocked, ErrInvalidated, ErrNotFound, ErrUnsupported.
	Sign(ctx context.Context, id string, message []byte, unlock Unlock) ([]byte, error)
	// Agree returns the shared secret Z, the x-coordinate as long as the
	// curve's field. The peer's key is on the same curve, else ErrUnsupported.
	// ErrLocked, ErrInvalidated, ErrNotFound, ErrUnsupported.
	Agree(ctx context.Context, id string, peer *ecdh.PublicKey, unlock Unlock) ([]byte, error)
	// Attest makes fresh evidence over the challenge, at most 64 bytes. An
	// area without evidence returns Format "none" and no error.
	// ErrInvalidated, ErrNotFound.
	Attest(ctx context.Context, id string, challenge []byte) (Attestation, error)
	// Delete destroys the key; on return it cannot be used any more, also not
	// after a crash. ErrNotFound if it is not there.
	Delete(ctx context.Context, id string) error
}
