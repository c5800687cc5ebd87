package cose

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"errors"
)

// Errors that callers tell apart with errors.Is. Every other error is about
// the form of the input and wraps ErrMalformed.
var (
	ErrMalformed = errors.New("malformed COSE object")
	ErrAlgorithm = errors.New("COSE algorithm not acceptable")
	ErrKey       = errors.New("key not usable with COSE")
	ErrSignature = errors.New("COSE signature or tag does not verify")
	ErrPayload   = errors.New("COSE payload missing or given twice")
)

var errSoon = errors.New("not written yet")

// Header is what a parsed object says about itself. All slices are windows
// into the bytes that were parsed.
type Header struct {
	Protected   []byte     // content of the protected bstr, verbatim
	Unprotected []byte     // the unprotected map, verbatim
	Alg         Algorithm  // label 1, always from the protected header
	KeyID       []byte     // label 4, nil if absent
	Type        string     // label 16 (RFC 9596) when it is text, else empty
	X5Chain     [][]byte   // label 33, DER certificates, leaf first; nil if absent
	X5T         Thumbprint // label 34; its Hash is zero if absent

	// X5ChainProtected says that label 33 stood in the protected header.
	X5ChainProtected bool
}

// Thumbprint is a COSE_CertHash, the digest of the leaf certificate.
//
// RFC 9360, 2.
type Thumbprint struct {
	Hash  crypto.Hash
	Value []byte
}

// Matches compares the thumbprint with a DER certificate. A thumbprint that is
// absent matches nothing.
func (t Thumbprint) Matches(der []byte) bool { return false }

// Lookup returns the encoded value of a header parameter with an integer
// label, from the protected header if it stands in both.
func (h *Header) Lookup(label int64) (raw []byte, protected, ok bool) { return nil, false, false }

// Sign1 is a parsed COSE_Sign1. Nothing in it is verified until Verify says so.
//
//	COSE_Sign1 = [ protected: bstr, unprotected: map, payload: bstr / nil, signature: bstr ]
//
// RFC 9052, 4.2.
type Sign1 struct {
	Raw    []byte // the whole item as received, tag included
	Tagged bool   // it came with tag 18
	Header
	Payload   []byte // nil if detached
	Signature []byte // r||s, or the 64 bytes of Ed25519
}

// ParseSign1 reads exactly one COSE_Sign1, tagged with 18 or untagged, without
// trailing bytes. The result holds windows into raw, which must not change.
func ParseSign1(raw []byte) (*Sign1, error) { return nil, errSoon }

// Verify checks the signature with the given key. The payload of the object is
// used unless it is detached, then detached must be given; both or neither is
// ErrPayload. The algorithm must be the one that fits the key.
//
// RFC 9052, 4.4.
func (s *Sign1) Verify(pub crypto.PublicKey, detached, externalAAD []byte) error { return errSoon }

// Mac0 is a parsed COSE_Mac0. Nothing in it is verified until Verify says so.
//
//	COSE_Mac0 = [ protected: bstr, unprotected: map, payload: bstr / nil, tag: bstr ]
//
// RFC 9052, 6.2.
type Mac0 struct {
	Raw    []byte
	Tagged bool // it came with tag 17
	Header
	Payload []byte // nil if detached
	Tag     []byte // 32 bytes
}

// ParseMac0 reads exactly one COSE_Mac0, tagged with 17 or untagged.
func ParseMac0(raw []byte) (*Mac0, error) { return nil, errSoon }

// Verify checks the tag in constant time. The payload follows the rule of
// Sign1.Verify. Only HMAC 256/256 is accepted.
//
// RFC 9052, 6.3.
func (m *Mac0) Verify(secret, detached, externalAAD []byte) error { return errSoon }

// Signer makes signatures. It is format/key.Signer.
type Signer interface {
	Public() crypto.PublicKey
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// Headers are the header parameters to write. The algorithm always goes first
// into the protected header; the zero value writes nothing else.
type Headers struct {
	Type           string   // label 16, protected
	KeyID          []byte   // label 4, unprotected
	X5Chain        [][]byte // label 33, DER, leaf first; one certificate is written as bstr, several as array
	X5ChainProtect bool     // write label 33 into the protected header instead of the unprotected
	X5T            bool     // label 34, protected: SHA-256 of X5Chain[0]
}

// Content is what is to be signed or authenticated, and the form of the result.
type Content struct {
	Payload     []byte
	Detached    bool   // write null in place of the payload
	ExternalAAD []byte // usually nil
	Tagged      bool   // write tag 18 or 17 in front
}

// Prepared is a COSE_Sign1 that lacks only its signature.
type Prepared struct {
	Message []byte // the Sig_structure: the message for key.Signer.Sign
}

// PrepareSign1 composes everything but the signature, for a key of which only
// the public half is at hand. c.Payload must not change before Finish.
func PrepareSign1(pub crypto.PublicKey, h Headers, c Content) (*Prepared, error) { return nil, errSoon }

// Finish appends the COSE_Sign1 with the given signature over Message to dst.
func (p *Prepared) Finish(dst, signature []byte) ([]byte, error) { return nil, errSoon }

// AppendSign1 signs and appends the COSE_Sign1 to dst: PrepareSign1, Sign, Finish.
func AppendSign1(ctx context.Context, dst []byte, signer Signer, h Headers, c Content) ([]byte, error) {
	return nil, errSoon
}

// AppendMac0 appends a COSE_Mac0 with HMAC 256/256 under secret to dst.
func AppendMac0(dst, secret []byte, h Headers, c Content) ([]byte, error) { return nil, errSoon }

// SigStructure returns the bytes that a COSE_Sign1 signs.
//
//	Sig_structure = [ "Signature1", body_protected: bstr, external_aad: bstr, payload: bstr ]
//
// RFC 9052, 4.4.
func SigStructure(protected, externalAAD, payload []byte) []byte { return nil }

// MacStructure returns the bytes that a COSE_Mac0 authenticates.
//
//	MAC_structure = [ "MAC0", protected: bstr, external_aad: bstr, payload: bstr ]
//
// RFC 9052, 6.3.
func MacStructure(protected, externalAAD, payload []byte) []byte { return nil }

// ParseKey reads the public part of a COSE_Key: *ecdsa.PublicKey for EC2 on
// P-256, P-384 and P-521 (y as bstr or as sign bit), ed25519.PublicKey or
// *ecdh.PublicKey (X25519) for OKP. Other members are ignored.
//
// RFC 9052, 7; RFC 9053, 7.1 and 7.2.
func ParseKey(raw []byte) (crypto.PublicKey, error) { return nil, errSoon }

// ParseECDHKey is ParseKey for key agreement: EC2 keys and X25519.
func ParseECDHKey(raw []byte) (*ecdh.PublicKey, error) { return nil, errSoon }

// AppendKey appends a COSE_Key with the members 1, -1, -2 and -3 in this order.
// It takes *ecdsa.PublicKey, *ecdh.PublicKey and ed25519.PublicKey.
func AppendKey(dst []byte, pub crypto.PublicKey) ([]byte, error) { return nil, errSoon }
