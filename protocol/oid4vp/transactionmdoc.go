package oid4vp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
)

// An mdoc returns the hashes of transaction data in a device-signed element,
// which its type names and the issuer lists in KeyAuthorizations. What the
// element holds is the type's to say; ours hold
//
//	[ + bstr ] ; a hash per entry of transaction_data
//
// OpenID4VP 1.0, B.2.1.

// DeviceSigned are the elements with which an mdoc authorises the entries of
// transaction_data that h has the hashes of; nil if there are none.
func (r *Request) DeviceSigned(h Hashes) []mdoc.DeviceNameSpace {
	var refs []mdoc.ElementRef
	values := make(map[mdoc.ElementRef][][]byte)
	for _, t := range r.Transactions {
		sum, err := t.Hash(h.algorithm())
		if err != nil || t.Element == nil || !slices.Contains(h.Values, jose.Encode(sum)) {
			continue
		}
		if !slices.Contains(refs, *t.Element) {
			refs = append(refs, *t.Element)
		}
		values[*t.Element] = append(values[*t.Element], sum)
	}
	var out []mdoc.DeviceNameSpace
	for _, ref := range refs {
		value := cbor.AppendArray(nil, len(values[ref]))
		for _, sum := range values[ref] {
			value = cbor.AppendBytes(value, sum)
		}
		i := slices.IndexFunc(out, func(ns mdoc.DeviceNameSpace) bool { return ns.Name == ref.NameSpace })
		if i < 0 {
			i, out = len(out), append(out, mdoc.DeviceNameSpace{Name: ref.NameSpace})
		}
		out[i].Elements = append(out[i].Elements, mdoc.DeviceElement{ID: ref.ID, Value: value})
	}
	return out
}

// MdocHashes reads the value of such an element. The algorithm is told by the
// length of the hashes.
func MdocHashes(value []byte) (Hashes, error) {
	var h Hashes
	r := cbor.NewReader(value)
	r.Array(func(int) {
		sum := r.Bytes()
		alg := map[int]string{32: "sha-256", 48: "sha-384", 64: "sha-512"}[len(sum)]
		if alg == "" || h.Alg != "" && h.Alg != alg || len(h.Values) == maxInfo {
			r.Failf("hash of %d bytes, or too many", len(sum))
			return
		}
		h.Alg, h.Values = alg, append(h.Values, jose.Encode(sum))
	})
	if err := r.Done(); err != nil {
		return Hashes{}, fmt.Errorf("transaction data hashes of an mdoc: %w", err)
	}
	if len(h.Values) == 0 {
		return Hashes{}, errors.New("transaction data hashes of an mdoc: there are none")
	}
	return h, nil
}
