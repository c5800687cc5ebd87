package cose

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
)

// Labels of header parameters: RFC 9052, 3.1; RFC 9596, 2; RFC 9360, 2.
const (
	labelAlg         = 1
	labelCrit        = 2
	labelContentType = 3
	labelKeyID       = 4
	labelType        = 16
	labelX5Chain     = 33
	labelX5T         = 34
)

// maxChain is how many certificates an x5chain may hold. The deepest chain of
// ISO/IEC 18013-5, Annex B has two, web hierarchies have four.
const maxChain = 8

// Header is what a parsed object says about itself. All slices are windows
// into the bytes that were parsed.
type Header struct {
	Protected   []byte     // content of the protected bstr, verbatim
	Unprotected []byte     // the unprotected map, verbatim
	Alg         Algorithm  // label 1, always from the protected header
	KeyID       []byte     // label 4, nil if absent
	Type        string     // label 16 if it is text and protected, else empty
	X5Chain     [][]byte   // label 33, DER certificates, leaf first; nil if absent
	X5T         Thumbprint // label 34; its Hash is zero if absent or unknown

	// X5ChainProtected says that label 33 stood in the protected header.
	X5ChainProtected bool
}

// Thumbprint is a COSE_CertHash, the digest of the leaf certificate.
//
// RFC 9360, 2.
type Thumbprint struct {
	Hash  crypto.Hash // SHA256, SHA384 or SHA512
	Value []byte
}

// Matches compares the thumbprint with a DER certificate. A thumbprint that is
// absent matches nothing.
func (t Thumbprint) Matches(der []byte) bool {
	switch t.Hash {
	case crypto.SHA256:
		sum := sha256.Sum256(der)
		return subtle.ConstantTimeCompare(sum[:], t.Value) == 1
	case crypto.SHA384:
		sum := sha512.Sum384(der)
		return subtle.ConstantTimeCompare(sum[:], t.Value) == 1
	case crypto.SHA512:
		sum := sha512.Sum512(der)
		return subtle.ConstantTimeCompare(sum[:], t.Value) == 1
	}
	return false
}

// Lookup returns the encoded value of a header parameter with an integer
// label, from the protected header if it stands in both. The bytes are a
// window into the object.
func (h *Header) Lookup(label int64) (raw []byte, protected, ok bool) {
	if len(h.Protected) > 0 {
		if raw, ok = lookup(h.Protected, label); ok {
			return raw, true, true
		}
	}
	raw, ok = lookup(h.Unprotected, label)
	return raw, false, ok
}

func lookup(m []byte, label int64) (raw []byte, ok bool) {
	r := cbor.NewReader(m)
	r.Map(func() {
		if !isInt(r.Kind()) {
			r.Skip()
			r.Skip()
			return
		}
		at := r.Int()
		value := r.Raw()
		if at == label && r.Err() == nil {
			raw, ok = value, true
		}
	})
	return raw, ok
}

func isInt(k cbor.Kind) bool { return k == cbor.KindUint || k == cbor.KindNegInt }

// values are the encoded parameters of one header map that mean something here.
type values struct {
	alg, crit, contentType, keyID, typ, x5chain, x5t []byte
}

func (v *values) field(label int64) *[]byte {
	switch label {
	case labelAlg:
		return &v.alg
	case labelCrit:
		return &v.crit
	case labelContentType:
		return &v.contentType
	case labelKeyID:
		return &v.keyID
	case labelType:
		return &v.typ
	case labelX5Chain:
		return &v.x5chain
	case labelX5T:
		return &v.x5t
	}
	return nil
}

// collect walks one checked header map.
func (v *values) collect(m []byte) error {
	r := cbor.NewReader(m)
	r.Map(func() {
		switch k := r.Kind(); {
		case isInt(k):
			if f := v.field(r.Int()); f != nil {
				*f = r.Raw()
				return
			}
		case k == cbor.KindText:
			r.Skip()
		default:
			r.Failf("header label is a %v, not an integer or text (RFC 9052, 1.5)", k)
		}
		r.Skip()
	})
	return r.Done()
}

// parse fills h from its Protected and Unprotected bytes. The unprotected map
// has been checked as part of the whole object; the protected one, being
// inside a byte string, has not.
func (h *Header) parse() error {
	var prot, unprot values
	if len(h.Protected) > 0 {
		if err := cbor.Check(h.Protected, cbor.Limits{Size: 1 << 17, Depth: 8, Items: 256}); err != nil {
			return fmt.Errorf("%w: protected header: %w", ErrMalformed, err)
		}
		if err := prot.collect(h.Protected); err != nil {
			return fmt.Errorf("%w: protected header: %w", ErrMalformed, err)
		}
	}
	if err := unprot.collect(h.Unprotected); err != nil {
		return fmt.Errorf("%w: unprotected header: %w", ErrMalformed, err)
	}
	for _, label := range [...]int64{labelAlg, labelContentType, labelKeyID, labelType, labelX5Chain, labelX5T} {
		p, u := *prot.field(label), *unprot.field(label)
		if p != nil && u != nil && !bytes.Equal(p, u) {
			return fmt.Errorf("%w: header parameter %d is in both headers with different values (RFC 9052, 3)", ErrMalformed, label)
		}
	}
	if err := h.checkCritical(&prot, &unprot); err != nil {
		return err
	}
	if err := h.setAlg(&prot, &unprot); err != nil {
		return err
	}
	return h.setRest(&prot, &unprot)
}

// checkCritical refuses a crit that names anything not understood here, or not
// in the protected header.
//
// RFC 9052, 3.1.
func (h *Header) checkCritical(prot, unprot *values) error {
	if unprot.crit != nil {
		return fmt.Errorf("%w: crit outside the protected header (RFC 9052, 3.1)", ErrMalformed)
	}
	if prot.crit == nil {
		return nil
	}
	r := cbor.NewReader(prot.crit)
	n := 0
	r.Array(func(int) {
		n++
		if !isInt(r.Kind()) {
			r.Failf("crit names a parameter that is not known here")
			return
		}
		label := r.Int()
		f := prot.field(label)
		switch {
		case f == nil:
			r.Failf("crit names parameter %d, which is not known here", label)
		case *f == nil:
			r.Failf("crit names parameter %d, which is not in the protected header", label)
		}
	})
	if n == 0 {
		r.Failf("crit is empty")
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: %w (RFC 9052, 3.1)", ErrMalformed, err)
	}
	return nil
}

// setAlg takes the algorithm from the protected header only: it "must be
// authenticated where the ability to do so exists", which is always so in a
// COSE_Sign1 and a COSE_Mac0.
//
// RFC 9052, 3.1.
func (h *Header) setAlg(prot, unprot *values) error {
	if prot.alg == nil {
		if unprot.alg != nil {
			return fmt.Errorf("%w: alg is only in the unprotected header (RFC 9052, 3.1)", ErrAlgorithm)
		}
		return fmt.Errorf("%w: no alg in the protected header (RFC 9052, 3.1)", ErrAlgorithm)
	}
	r := cbor.NewReader(prot.alg)
	if !isInt(r.Kind()) {
		return fmt.Errorf("%w: alg is a %v, none of ours (RFC 9053, 2)", ErrAlgorithm, r.Kind())
	}
	h.Alg = Algorithm(r.Int())
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: alg: %w", ErrAlgorithm, err)
	}
	return nil
}

func (h *Header) setRest(prot, unprot *values) error {
	if raw := either(prot.keyID, unprot.keyID); raw != nil {
		r := cbor.NewReader(raw)
		h.KeyID = r.Bytes()
		if err := r.Done(); err != nil {
			return fmt.Errorf("%w: kid: %w (RFC 9052, 3.1)", ErrMalformed, err)
		}
	}
	if prot.typ != nil {
		r := cbor.NewReader(prot.typ)
		if r.Kind() == cbor.KindText {
			h.Type = r.Text()
		} else {
			r.Uint()
		}
		if err := r.Done(); err != nil {
			return fmt.Errorf("%w: type: %w (RFC 9596, 2)", ErrMalformed, err)
		}
	}
	if raw := either(prot.x5chain, unprot.x5chain); raw != nil {
		h.X5ChainProtected = prot.x5chain != nil
		if err := h.setChain(raw); err != nil {
			return err
		}
	}
	if raw := either(prot.x5t, unprot.x5t); raw != nil {
		if err := h.setThumbprint(raw); err != nil {
			return err
		}
		if h.X5T.Hash != 0 && len(h.X5Chain) > 0 && !h.X5T.Matches(h.X5Chain[0]) {
			return fmt.Errorf("%w: x5t is not the digest of the first certificate of x5chain (RFC 9360, 2)", ErrMalformed)
		}
	}
	return nil
}

func either(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

// setChain reads COSE_X509 = bstr / [ 2*certs: bstr ]. An array of one is
// accepted too, since deployed peers write it.
//
// RFC 9360, 2.
func (h *Header) setChain(raw []byte) error {
	r := cbor.NewReader(raw)
	if r.Kind() == cbor.KindArray {
		h.X5Chain = make([][]byte, 0, 2)
		r.Array(func(i int) {
			if i >= maxChain {
				r.Failf("more than %d certificates", maxChain)
				return
			}
			h.X5Chain = append(h.X5Chain, r.Bytes())
		})
	} else {
		h.X5Chain = [][]byte{r.Bytes()}
	}
	if len(h.X5Chain) == 0 {
		r.Failf("no certificate")
	}
	for _, der := range h.X5Chain {
		if len(der) == 0 {
			r.Failf("empty certificate")
		}
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: x5chain: %w (RFC 9360, 2)", ErrMalformed, err)
	}
	return nil
}

// setThumbprint reads COSE_CertHash = [ hashAlg: int / tstr, hashValue: bstr ].
// A hash that is not known here is read over.
//
// RFC 9360, 2; the numbers are those of RFC 9054, 2.1.
func (h *Header) setThumbprint(raw []byte) error {
	r := cbor.NewReader(raw)
	r.ArrayOf(2)
	if isInt(r.Kind()) {
		switch r.Int() {
		case -16:
			h.X5T.Hash = crypto.SHA256
		case -43:
			h.X5T.Hash = crypto.SHA384
		case -44:
			h.X5T.Hash = crypto.SHA512
		}
	} else {
		r.TextBytes()
	}
	h.X5T.Value = r.Bytes()
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: x5t: %w (RFC 9360, 2)", ErrMalformed, err)
	}
	return nil
}
