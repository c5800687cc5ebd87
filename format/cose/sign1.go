package cose

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/key"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrMalformed = errors.New("malformed COSE object")
	ErrAlgorithm = errors.New("COSE algorithm not acceptable")
	ErrKey       = errors.New("key not usable with COSE")
	ErrSignature = errors.New("COSE signature or tag does not verify")
	ErrPayload   = errors.New("COSE payload missing or given twice")
)

// Tags of the two messages.
//
// RFC 9052, 2.
const (
	tagMac0  = 17
	tagSign1 = 18
)

// Sign1 is a parsed COSE_Sign1. Nothing in it is verified until Verify says so.
//
//	COSE_Sign1 = [ protected: bstr, unprotected: map, payload: bstr / nil, signature: bstr ]
//
// RFC 9052, 4.2.
type Sign1 struct {
	Raw    []byte // the whole item as received, tag included
	Tagged bool   // it came with tag 18
	Header
	Payload   []byte // nil if detached; empty but not nil if it is h''
	Signature []byte // r||s, or the 64 bytes of Ed25519
}

// ParseSign1 reads exactly one COSE_Sign1, tagged with 18 or untagged, without
// trailing bytes. The result holds windows into raw, which must not change.
//
// Errors wrap ErrMalformed, or ErrAlgorithm when the protected header has no
// integer alg. An alg that is not known here is left to Verify to refuse.
func ParseSign1(raw []byte) (*Sign1, error) {
	if err := cbor.Check(raw, objectLimits); err != nil {
		return nil, fmt.Errorf("%w: COSE_Sign1: %w", ErrMalformed, err)
	}
	return parseSign1(raw)
}

// ReadSign1 takes the next item of a reader over bytes that passed cbor.Check,
// under the rules of ParseSign1. It saves checking a part of a larger message
// twice.
func ReadSign1(r *cbor.Reader) (*Sign1, error) {
	raw := r.Raw()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: COSE_Sign1: %w", ErrMalformed, err)
	}
	return parseSign1(raw)
}

func parseSign1(raw []byte) (*Sign1, error) {
	s := &Sign1{Raw: raw}
	o := object{Header: &s.Header}
	if err := o.read(raw, tagSign1); err != nil {
		return nil, fmt.Errorf("COSE_Sign1: %w", err)
	}
	s.Tagged, s.Payload, s.Signature = o.tagged, o.payload, o.proof
	return s, nil
}

// Verify checks the signature with the given key. The payload of the object is
// used unless it is detached, then detached must be given; both or neither is
// ErrPayload. The algorithm must be the one that fits the key, else
// ErrAlgorithm. A signature that does not fit is ErrSignature.
//
// RFC 9052, 4.4.
func (s *Sign1) Verify(pub crypto.PublicKey, detached, externalAAD []byte) error {
	if err := s.Alg.Fits(pub); err != nil {
		return fmt.Errorf("COSE_Sign1: %w", err)
	}
	payload, err := choosePayload(s.Payload, detached)
	if err != nil {
		return fmt.Errorf("COSE_Sign1: %w", err)
	}
	var room [4 << 10]byte // the usual message fits; memory of its own would cost more than writing it
	message := appendStructure(room[:0], contextSign1, s.Protected, externalAAD, payload)
	if err := key.Verify(pub, message, s.Signature); err != nil {
		return fmt.Errorf("COSE_Sign1: %w: %w (RFC 9052, 4.4)", ErrSignature, err)
	}
	return nil
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

	alg       Algorithm
	protected []byte // window into Message
	payload   []byte // window into Message
	headers   Headers
	detached  bool
	tagged    bool
}

// PrepareSign1 composes everything but the signature, for a key of which only
// the public half is at hand.
func PrepareSign1(pub crypto.PublicKey, h Headers, c Content) (*Prepared, error) {
	alg, err := AlgorithmOf(pub)
	if err != nil {
		return nil, fmt.Errorf("COSE_Sign1: %w", err)
	}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("COSE_Sign1: %w", err)
	}
	var buf [256]byte
	protected := h.appendProtected(buf[:0], alg)
	p := &Prepared{alg: alg, headers: h, detached: c.Detached, tagged: c.Tagged}
	p.Message = SigStructure(protected, c.ExternalAAD, c.Payload)
	start := 1 + 1 + len(contextSign1) + cbor.HeadSize(uint64(len(protected)))
	p.protected = p.Message[start : start+len(protected)]
	p.payload = p.Message[len(p.Message)-len(c.Payload):]
	return p, nil
}

// Finish appends the COSE_Sign1 with the given signature over Message to dst.
// It refuses a signature of another length than the algorithm has, but does
// not verify it.
func (p *Prepared) Finish(dst, signature []byte) ([]byte, error) {
	if want := p.alg.signatureSize(); len(signature) != want {
		return dst, fmt.Errorf("COSE_Sign1: %w: %d bytes, %v has %d", ErrSignature, len(signature), p.alg, want)
	}
	return appendObject(dst, tagSign1, p.tagged, p.protected, p.headers, p.payload, p.detached, signature), nil
}

// AppendSign1 signs and appends the COSE_Sign1 to dst: PrepareSign1, Sign, Finish.
func AppendSign1(ctx context.Context, dst []byte, signer key.Signer, h Headers, c Content) ([]byte, error) {
	p, err := PrepareSign1(signer.Public(), h, c)
	if err != nil {
		return dst, err
	}
	signature, err := signer.Sign(ctx, p.Message)
	if err != nil {
		return dst, fmt.Errorf("COSE_Sign1: signing: %w", err)
	}
	return p.Finish(dst, signature)
}

const (
	contextSign1 = "Signature1"
	contextMac0  = "MAC0"
)

// SigStructure returns the bytes that a COSE_Sign1 signs. protected is the
// content of the protected bstr; an encoded empty map counts as no bytes.
//
//	Sig_structure = [ "Signature1", body_protected: bstr, external_aad: bstr, payload: bstr ]
//
// RFC 9052, 4.4.
func SigStructure(protected, externalAAD, payload []byte) []byte {
	return structure(contextSign1, protected, externalAAD, payload)
}

// structure writes a Sig_structure or MAC_structure, which differ in their
// context string alone, into one allocation.
func structure(context string, protected, externalAAD, payload []byte) []byte {
	size := 2 + len(context)
	for _, part := range [...][]byte{protected, externalAAD, payload} {
		size += cbor.HeadSize(uint64(len(part))) + len(part)
	}
	return appendStructure(make([]byte, 0, size), context, protected, externalAAD, payload)
}

// appendStructure is structure into memory of the caller's.
func appendStructure(b []byte, context string, protected, externalAAD, payload []byte) []byte {
	if len(protected) == 1 && protected[0] == 0xa0 {
		protected = nil
	}
	b = cbor.AppendArray(b, 4)
	b = cbor.AppendText(b, context)
	b = cbor.AppendBytes(b, protected)
	b = cbor.AppendBytes(b, externalAAD)
	return cbor.AppendBytes(b, payload)
}

func choosePayload(attached, detached []byte) ([]byte, error) {
	switch {
	case attached == nil && detached == nil:
		return nil, fmt.Errorf("%w: it is detached and was not given (RFC 9052, 4.1)", ErrPayload)
	case attached != nil && detached != nil:
		return nil, fmt.Errorf("%w: it is attached and was given as well (RFC 9052, 4.1)", ErrPayload)
	case attached != nil:
		return attached, nil
	}
	return detached, nil
}

// objectSize is an upper bound of what appendObject writes.
func objectSize(protected []byte, h Headers, payload []byte, proof []byte) int {
	n := 64 + len(protected) + len(h.KeyID) + len(payload) + len(proof)
	for _, der := range h.X5Chain {
		n += 5 + len(der)
	}
	return n
}

// appendObject writes a COSE_Sign1 or COSE_Mac0.
func appendObject(dst []byte, tag uint64, tagged bool, protected []byte, h Headers, payload []byte, detached bool, proof []byte) []byte {
	if detached {
		payload = nil
	}
	dst = slices.Grow(dst, objectSize(protected, h, payload, proof))
	if tagged {
		dst = cbor.AppendTag(dst, tag)
	}
	dst = cbor.AppendArray(dst, 4)
	dst = cbor.AppendBytes(dst, protected)
	dst = h.appendUnprotected(dst)
	if detached {
		dst = cbor.AppendNull(dst)
	} else {
		dst = cbor.AppendBytes(dst, payload)
	}
	return cbor.AppendBytes(dst, proof)
}
