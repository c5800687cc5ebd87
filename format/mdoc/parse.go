package mdoc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
)

// parser holds what one parse goes by.
//
// Responses and documents are mostly byte strings with CBOR inside. They do not
// pass cbor.Check as a whole and are then walked again: the few containers on
// the way are read straight away, with duplicate keys looked for by members,
// and everything in them is checked when it is opened. A fuzz target sees to it
// that this is no less strict.
type parser struct {
	lim Limits
	// selecting: of an IssuerSigned only these elements are kept, and most of
	// its mobile security object is passed over.
	selecting bool
	elements  []ElementRef
}

// keeps reports whether the element is to be kept.
func (p *parser) keeps(nameSpace string, id []byte) bool {
	if !p.selecting {
		return true
	}
	for i := range p.elements {
		if p.elements[i].ID == string(id) && p.elements[i].NameSpace == nameSpace {
			return true
		}
	}
	return false
}

// open checks data, one CBOR item from outside or out of a byte string, and
// returns a reader over it.
func (p *parser) open(data []byte) *cbor.Reader { return cbor.ReadChecked(data, p.limits()) }

func (p *parser) limits() cbor.Limits { return cbor.Limits{Size: p.lim.Bytes, Depth: p.lim.Depth} }

// inside checks the next item and takes it with read.
func (p *parser) inside(r *cbor.Reader, read func(r *cbor.Reader)) {
	end := r.Check(p.limits())
	read(r)
	if r.Err() == nil && r.Offset() != end {
		r.Fail(fmt.Errorf("%w: read to byte %d of an item that ends at %d", cbor.ErrTrailing, r.Offset(), end))
	}
}

// members are the keys that were seen in a map that has not passed cbor.Check
// and so could have one twice.
type members struct {
	known uint // one bit each
	rest  []string
}

// once notes a key that is known by its bit.
func (m *members) once(r *cbor.Reader, bit uint) {
	if m.known&bit != 0 {
		r.Fail(cbor.ErrDuplicateKey)
	}
	m.known |= bit
}

// other notes a key that is not known, of which there may be max.
func (m *members) other(r *cbor.Reader, key []byte, max int) {
	if !bound(r, len(m.rest)+1, max, "extensions") {
		return
	}
	m.rest = append(m.rest, string(key))
	if _, ok := unique(len(m.rest), func(i int) string { return m.rest[i] }); !ok {
		r.Fail(cbor.ErrDuplicateKey)
	}
}

// bound records an error if n is more than max.
func bound(r *cbor.Reader, n, max int, what string) bool {
	if n <= max {
		return true
	}
	r.Fail(fmt.Errorf("%w: more than %d %s", ErrLimit, max, what))
	return false
}

// need records an error naming the first absent member: bit i of seen stands
// for names[i].
func need(r *cbor.Reader, seen uint, names ...string) {
	for i, n := range names {
		if seen&(1<<i) == 0 {
			r.Failf("%s is missing", n)
			return
		}
	}
}

// name takes a docType, name space or element identifier: text, not empty.
func name(r *cbor.Reader) string {
	s := r.Text()
	if s == "" {
		r.Failf("empty name before byte %d", r.Offset())
	}
	return s
}

// version takes a version "1.x". ISO/IEC 18013-5 second edition (draft v4),
// 8.3: an unknown minor version is never an error.
func version(r *cbor.Reader) string {
	text := r.TextBytes()
	if r.Err() != nil {
		return ""
	}
	switch string(text) { // without the cost of the general case
	case "1.0":
		return "1.0"
	case "1.1":
		return "1.1"
	}
	v := string(text)
	major, minor, _ := strings.Cut(v, ".")
	if !digits(major) || !digits(minor) {
		r.Failf("version %.16q is not major.minor", v)
	} else if major != "1" {
		r.Fail(fmt.Errorf("%w %.16q", ErrVersion, v))
	}
	return v
}

func digits(s string) bool {
	return s != "" && len(s) <= 9 && strings.Trim(s, "0123456789") == ""
}

// wrap gives an error from the reader one of this package's kinds.
func wrap(where string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLimit), errors.Is(err, ErrSyntax), errors.Is(err, ErrVersion):
		return fmt.Errorf("%s: %w", where, err)
	case errors.Is(err, cbor.ErrTooLarge), errors.Is(err, cbor.ErrTooDeep), errors.Is(err, cbor.ErrTooMany):
		return fmt.Errorf("%s: %w: %w", where, ErrLimit, err)
	}
	return fmt.Errorf("%s: %w: %w", where, ErrSyntax, err)
}

// fewNames is up to how many names are compared one by one.
const fewNames = 64

// unique reports whether the n names that at returns differ, else which does
// not. A filter of 256 bits spares most of the comparisons.
func unique(n int, at func(i int) string) (duplicate string, ok bool) {
	if n > fewNames {
		return uniqueMany(n, at)
	}
	var filter [4]uint64
	for i := range n {
		s := at(i)
		h := uint(len(s)) * 31
		if len(s) >= 2 {
			h += uint(s[0])*7 + uint(s[len(s)-1])*37 + uint(s[len(s)-2])*101
		}
		word, bit := &filter[h>>6&3], uint64(1)<<(h&63)
		if *word&bit == 0 {
			*word |= bit
			continue
		}
		for j := range i {
			if s == at(j) {
				return s, false
			}
		}
	}
	return "", true
}

func uniqueMany(n int, at func(i int) string) (duplicate string, ok bool) {
	seen := make(map[string]struct{}, n)
	for i := range n {
		s := at(i)
		if _, dup := seen[s]; dup {
			return s, false
		}
		seen[s] = struct{}{}
	}
	return "", true
}
