package doctype

import (
	"errors"
	"time"
)

var errUnfinished = errors.New("doctype: not there yet")

// Load decodes and checks a type definition (YAML, at most 256 KiB, known
// fields only). The error names the line or the element.
func Load(data []byte) (*Type, error) { return nil, errUnfinished }

// Catalogue is a set of document types, looked up by docType. It is
// immutable; the zero Catalogue is empty.
type Catalogue struct{}

// Builtin returns the types that are part of the program.
func Builtin() *Catalogue { return nil }

// With returns a catalogue that has the given types too.
func (c *Catalogue) With(types ...*Type) (*Catalogue, error) { return nil, errUnfinished }

// All returns the types in the order they were added.
func (c *Catalogue) All() []*Type { return nil }

// ByDocType returns the type with the docType or with a spelling of it that
// readers accept; only if t.DocType == name may name be issued.
func (c *Catalogue) ByDocType(name string) (t *Type, ok bool) { return nil, false }

// ByID returns the type with the short name.
func (c *Catalogue) ByID(id string) (t *Type, ok bool) { return nil, false }

// Display returns label and text of an element value for people. It never
// fails: what is unknown is shown by its identifier and in diagnostic
// notation, what does not fit its definition is shown as such.
func (c *Catalogue) Display(lang, docType, namespace, id string, value []byte) (label, text string) {
	return "", ""
}

// Label returns what people call an element; its identifier if unknown.
func (c *Catalogue) Label(lang, docType, namespace, id string) string { return "" }

// All returns the built-in types.
func All() []*Type { return Builtin().All() }

// ByDocType finds a built-in type, see [Catalogue.ByDocType].
func ByDocType(name string) (*Type, bool) { return Builtin().ByDocType(name) }

// Element finds an element by namespace and identifier, or by an older
// spelling of either; wildcards are resolved: age_over_18 finds age_over_NN
// and returns it with ID age_over_18. The returned names are those of the
// definition.
func (t *Type) Element(namespace, id string) (Element, bool) { return Element{}, false }

// Claim finds the element whose SD-JWT claim path this is.
func (t *Type) Claim(path ...string) (Element, bool) { return Element{}, false }

// Encode returns the CBOR encoding of a value. A string is the text form of
// any kind. The error wraps one of the named errors of the package and says
// what was wrong, never the value.
func (s Shape) Encode(value any) ([]byte, error) { return nil, errUnfinished }

// Decode checks an encoded value against the shape and returns it as the Go
// value its kind says.
func (s Shape) Decode(data []byte) (any, error) { return nil, errUnfinished }

// ParseText returns the value that a text stands for.
func (s Shape) ParseText(text string) (any, error) { return nil, errUnfinished }

// Display returns label and text of an encoded value for people.
func (e Element) Display(lang string, data []byte) (label, text string, err error) {
	return "", "", errUnfinished
}

// Rule derives an element from another.
type Rule struct{}

// Derive computes the derived elements of a document from its values, as of
// the day of at in at's location: the start of the validity of the document.
func (t *Type) Derive(values Values, at time.Time) (Values, error) { return nil, errUnfinished }

// StableUntil returns the end of the time in which everything that Derive
// computes at the given time stays true: midnight of the next birthday.
// ok is false if nothing ever changes.
func (t *Type) StableUntil(values Values, at time.Time) (end time.Time, ok bool) {
	return time.Time{}, false
}

// NearestAge answers a request for age_over_NN from the statements held:
// among the true ones at or above NN the lowest, else among the false ones at
// or below NN the highest, else nothing.
//
// ISO/IEC 18013-5 second edition (draft v4), 13.4.6.
func NearestAge(requested int, have map[int]bool) (nn int, value bool, ok bool) {
	return 0, false, false
}
