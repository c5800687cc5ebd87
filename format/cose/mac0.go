package cose

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
)

// Mac0 is a parsed COSE_Mac0. Nothing in it is verified until Verify says so.
//
//	COSE_Mac0 = [ protected: bstr, unprotected: map, payload: bstr / nil, tag: bstr ]
//
// RFC 9052, 6.2.
type Mac0 struct {
	Raw    []byte // the whole item as received, CBOR tag included
	Tagged bool   // it came with tag 17
	Header
	Payload []byte // nil if detached; empty but not nil if it is h''
	Tag     []byte // the authentication tag
}

// ParseMac0 reads exactly one COSE_Mac0, tagged with 17 or untagged, under the
// rules of ParseSign1.
func ParseMac0(raw []byte) (*Mac0, error) {
	if err := cbor.Check(raw, objectLimits); err != nil {
		return nil, fmt.Errorf("%w: COSE_Mac0: %w", ErrMalformed, err)
	}
	return parseMac0(raw)
}

// ReadMac0 takes the next item of a reader over bytes that passed cbor.Check,
// under the rules of ParseMac0.
func ReadMac0(r *cbor.Reader) (*Mac0, error) {
	raw := r.Raw()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: COSE_Mac0: %w", ErrMalformed, err)
	}
	return parseMac0(raw)
}

func parseMac0(raw []byte) (*Mac0, error) {
	m := &Mac0{Raw: raw}
	o := object{Header: &m.Header}
	if err := o.read(raw, tagMac0); err != nil {
		return nil, fmt.Errorf("COSE_Mac0: %w", err)
	}
	m.Tagged, m.Payload, m.Tag = o.tagged, o.payload, o.proof
	return m, nil
}

// Verify checks the tag in constant time. The payload follows the rule of
// Sign1.Verify. Only HMAC 256/256 is accepted, the one algorithm of
// ISO/IEC 18013-5:2021, 9.1.3.5. secret has 32 bytes, else ErrKey.
//
// RFC 9052, 6.3.
func (m *Mac0) Verify(secret, detached, externalAAD []byte) error {
	if m.Alg != HMAC256 {
		return fmt.Errorf("COSE_Mac0: %w: %v, only %v is used (ISO/IEC 18013-5:2021, 9.1.3.5)", ErrAlgorithm, m.Alg, HMAC256)
	}
	payload, err := choosePayload(m.Payload, detached)
	if err != nil {
		return fmt.Errorf("COSE_Mac0: %w", err)
	}
	tag, err := authenticate(secret, MacStructure(m.Protected, externalAAD, payload))
	if err != nil {
		return err
	}
	if !hmac.Equal(tag[:], m.Tag) {
		return fmt.Errorf("COSE_Mac0: %w (RFC 9052, 6.3)", ErrSignature)
	}
	return nil
}

// AppendMac0 appends a COSE_Mac0 with HMAC 256/256 under secret to dst. secret
// has 32 bytes, else ErrKey.
func AppendMac0(dst, secret []byte, h Headers, c Content) ([]byte, error) {
	if err := h.check(); err != nil {
		return dst, fmt.Errorf("COSE_Mac0: %w", err)
	}
	var buf [256]byte
	protected := h.appendProtected(buf[:0], HMAC256)
	tag, err := authenticate(secret, MacStructure(protected, c.ExternalAAD, c.Payload))
	if err != nil {
		return dst, err
	}
	return appendObject(dst, tagMac0, c.Tagged, protected, h, c.Payload, c.Detached, tag[:]), nil
}

// MacStructure returns the bytes that a COSE_Mac0 authenticates.
//
//	MAC_structure = [ "MAC0", protected: bstr, external_aad: bstr, payload: bstr ]
//
// RFC 9052, 6.3.
func MacStructure(protected, externalAAD, payload []byte) []byte {
	return structure(contextMac0, protected, externalAAD, payload)
}

// authenticate is HMAC 256/256 with a key as long as the hash.
//
// RFC 9053, 3.1.
func authenticate(secret, message []byte) (tag [sha256.Size]byte, err error) {
	if len(secret) != sha256.Size {
		return tag, fmt.Errorf("COSE_Mac0: %w: HMAC key of %d bytes, not %d (RFC 9053, 3.1)", ErrKey, len(secret), sha256.Size)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(message)
	mac.Sum(tag[:0])
	return tag, nil
}
