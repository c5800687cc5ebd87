package cbor

import "fmt"

// Embedded is a CBOR data item carried inside a byte string:
// #6.24(bstr .cbor T).
//
// Raw is the whole tagged item as it was received or first encoded. Digests
// and signatures are computed over Raw, and Raw is never encoded again.
//
// RFC 8949, 3.4.5.1.
type Embedded[T any] struct {
	Raw   []byte
	Value T
}

// Embed encodes v and wraps it.
func Embed[T any](v T) (Embedded[T], error) {
	inner, err := Marshal(v)
	if err != nil {
		return Embedded[T]{}, err
	}
	return Embedded[T]{Raw: AppendEmbedded(nil, inner), Value: v}, nil
}

// MarshalCBOR returns Raw.
func (e Embedded[T]) MarshalCBOR() ([]byte, error) {
	if len(e.Raw) == 0 {
		return nil, fmt.Errorf("%w: embedded %T without its bytes", ErrInvalid, e.Value)
	}
	return e.Raw, nil
}

// UnmarshalCBOR keeps a copy of data as Raw and decodes what is inside.
func (e *Embedded[T]) UnmarshalCBOR(data []byte) error {
	r := NewReader(data)
	raw, inner := r.Embedded()
	if err := r.Done(); err != nil {
		return err
	}
	e.Raw = append([]byte(nil), raw...)
	return Unmarshal(inner, &e.Value)
}
