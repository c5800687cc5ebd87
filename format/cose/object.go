package cose

import (
	"crypto/sha256"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
)

// objectLimits bound one COSE object from outside. The payload is one byte
// string, so few items are needed however large it is.
var objectLimits = cbor.Limits{Size: 4 << 20, Depth: 8, Items: 512}

// object is what COSE_Sign1 and COSE_Mac0 have in common.
type object struct {
	*Header
	tagged  bool
	payload []byte
	proof   []byte // signature or tag
}

// read takes one checked item apart.
func (o *object) read(raw []byte, tag uint64) error {
	r := cbor.NewReader(raw)
	if r.Kind() == cbor.KindTag {
		r.Tag(tag)
		o.tagged = true
	}
	r.ArrayOf(4)
	o.Protected = r.Bytes()
	r.In("protected header")
	if r.Kind() != cbor.KindMap {
		r.Failf("unprotected header is a %v, not a map", r.Kind())
	}
	o.Unprotected = r.Raw()
	if !r.Null() {
		o.payload = notNil(r.Bytes())
		r.In("payload")
	}
	o.proof = r.Bytes()
	r.In("signature or tag")
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: %w (RFC 9052, 2)", ErrMalformed, err)
	}
	return o.parse()
}

// notNil keeps an empty payload apart from a detached one.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// check refuses headers that cannot be written.
func (h *Headers) check() error {
	if len(h.X5Chain) > maxChain {
		return fmt.Errorf("%w: x5chain of %d certificates, at most %d", ErrMalformed, len(h.X5Chain), maxChain)
	}
	if h.X5T && len(h.X5Chain) == 0 {
		return fmt.Errorf("%w: x5t asked for without x5chain", ErrMalformed)
	}
	return nil
}

// appendProtected writes the protected map: alg, type, x5chain, x5t, in the
// order of their labels.
func (h *Headers) appendProtected(dst []byte, alg Algorithm) []byte {
	chain := h.X5ChainProtect && len(h.X5Chain) > 0
	n := 1
	for _, there := range [...]bool{h.Type != "", chain, h.X5T} {
		if there {
			n++
		}
	}
	dst = cbor.AppendMap(dst, n)
	dst = cbor.AppendInt(cbor.AppendUint(dst, labelAlg), int64(alg))
	if h.Type != "" {
		dst = cbor.AppendText(cbor.AppendUint(dst, labelType), h.Type)
	}
	if chain {
		dst = appendChain(dst, h.X5Chain)
	}
	if h.X5T {
		sum := sha256.Sum256(h.X5Chain[0])
		dst = cbor.AppendArray(cbor.AppendUint(dst, labelX5T), 2)
		dst = cbor.AppendBytes(cbor.AppendInt(dst, -16), sum[:]) // SHA-256; RFC 9054, 2.1
	}
	return dst
}

func (h *Headers) appendUnprotected(dst []byte) []byte {
	chain := !h.X5ChainProtect && len(h.X5Chain) > 0
	n := 0
	for _, there := range [...]bool{h.KeyID != nil, chain} {
		if there {
			n++
		}
	}
	dst = cbor.AppendMap(dst, n)
	if h.KeyID != nil {
		dst = cbor.AppendBytes(cbor.AppendUint(dst, labelKeyID), h.KeyID)
	}
	if chain {
		dst = appendChain(dst, h.X5Chain)
	}
	return dst
}

func appendChain(dst []byte, chain [][]byte) []byte {
	dst = cbor.AppendUint(dst, labelX5Chain)
	if len(chain) > 1 {
		dst = cbor.AppendArray(dst, len(chain))
	}
	for _, der := range chain {
		dst = cbor.AppendBytes(dst, der)
	}
	return dst
}
