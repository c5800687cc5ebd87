package mdoc

import "errors"

// Limits bounds what the parsers accept, before any signature is looked at.
// A zero field takes its value from [DefaultLimits].
type Limits struct {
	// Bytes is the size of a whole message. The default, 4 MiB, holds several
	// documents with a full-size portrait, a signature image and biometric
	// templates in each, and is what a reader can be made to buffer at most.
	Bytes int
	// Documents bounds documents, requests and errors in one message. Default 64.
	Documents int
	// NameSpaces bounds the name spaces of one document. Default 64.
	NameSpaces int
	// Elements bounds the elements, digests and alternatives of one name
	// space. Default 1024: an MSO with decoys stays well below it.
	Elements int
	// Depth bounds the nesting of one CBOR item, with embedded CBOR counted
	// afresh. Default 16: driving privileges need 5, use cases 6.
	Depth int
	// Chain bounds the certificates in one x5chain. Default 5.
	Chain int
}

// DefaultLimits are the limits of the parsers that take none.
func DefaultLimits() Limits {
	return Limits{Bytes: 4 << 20, Documents: 64, NameSpaces: 64, Elements: 1024, Depth: 16, Chain: 5}
}

// or fills the zero fields of l from the defaults.
func (l Limits) or() Limits {
	d := DefaultLimits()
	for _, f := range []struct {
		v *int
		d int
	}{
		{&l.Bytes, d.Bytes}, {&l.Documents, d.Documents}, {&l.NameSpaces, d.NameSpaces},
		{&l.Elements, d.Elements}, {&l.Depth, d.Depth}, {&l.Chain, d.Chain},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return l
}

// The errors of this package, to be found with errors.Is. Each comes wrapped
// in a sentence that says where and what was seen.
var (
	// ErrSyntax: not the structure that the standard prescribes.
	ErrSyntax = errors.New("malformed mdoc structure (ISO/IEC 18013-5:2021, 8.3.2.1.2)")
	// ErrLimit: larger, longer or deeper than the limits allow.
	ErrLimit = errors.New("mdoc structure exceeds a limit")
	// ErrVersion: a major version that this package does not know.
	ErrVersion = errors.New("unsupported mdoc version")
	// ErrNoElement: an element was selected that the document does not hold.
	ErrNoElement = errors.New("element not in the document")
	// ErrKey: the key is not the one, or not of the kind, that is needed here.
	ErrKey = errors.New("unsuitable key")
)
