package sdjwt

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Path is a claims path pointer. A step is a string (member of an object), an
// int (element of an array, counted from 0 as issued) or nil (all elements).
//
// OpenID4VP 1.0, 7; SD-JWT VC draft 18, 4.6.1.
type Path []any

// String is the path as JSON.
func (p Path) String() string {
	b := []byte{'['}
	for i, step := range p {
		if i > 0 {
			b = append(b, ',')
		}
		switch s := step.(type) {
		case string:
			b = appendString(b, s)
		case int:
			b = strconv.AppendInt(b, int64(s), 10)
		default:
			b = append(b, "null"...)
		}
	}
	return string(append(b, ']'))
}

// MarshalJSON writes the path.
func (p Path) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalJSON reads a path and refuses other steps than those of the rules,
// and none at all ([ErrSyntax]).
func (p *Path) UnmarshalJSON(data []byte) error {
	var r reader
	r.plain, r.members = true, maxPath
	n, err := r.readJSON(data, Limits{Bytes: maxMetadata, Depth: 1, Members: maxPath})
	if err != nil {
		return fmt.Errorf("path: %w: %w", ErrSyntax, err)
	}
	*p, err = pathOf(n)
	return err
}

const maxPath = 16 // steps; claims nest no deeper

func pathOf(n *node) (Path, error) {
	if n == nil || n.kind != '[' || len(n.elements) == 0 || len(n.elements) > maxPath {
		return nil, fmt.Errorf("path is no array of 1 to %d steps: %w", maxPath, ErrSyntax)
	}
	p := make(Path, len(n.elements))
	for i := range n.elements {
		step := n.elements[i].value
		switch step.kind {
		case '"':
			p[i], _ = step.text()
		case 'n':
		default:
			index, err := strconv.ParseUint(step.raw, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("path with a step that is no string, null or non-negative integer: %w", ErrSyntax)
			}
			p[i] = int(index)
		}
	}
	return p, nil
}

// Equal reports whether both paths are the same, step by step.
func (p Path) Equal(o Path) bool { return slices.Equal(p, o) }

// Claim is a value in a payload, and where it stands.
type Claim struct {
	// Path has no nil step; indexes are positions as issued.
	Path Path
	// Value is JSON as processed: what is not disclosed is not in it.
	Value json.RawMessage
	// Disclosed says that the claim itself came from a disclosure, not only
	// one that it is part of.
	Disclosed bool
}

// Payload is a processed payload: digests removed, disclosed claims in place.
// It is not changed any more and may be used by several goroutines.
type Payload struct {
	root *node
}

// JSON is the processed payload as one object. The caller owns it.
//
// RFC 9901, 7.1.
func (p *Payload) JSON() json.RawMessage { return p.root.appendJSON(nil) }

// Select returns the claims that the path selects, none if there are none. The
// error is [ErrNoClaim] where the path asks for a member of what is no object
// or an element of what is no array. Elements that are not disclosed are left
// out, but counted.
//
// OpenID4VP 1.0, 7.1.1; SD-JWT VC draft 18, 4.6.1.2.
func (p *Payload) Select(path Path) ([]Claim, error) {
	var out []Claim
	err := p.root.walk(path, nil, func(at place) {
		if at.value != nil {
			out = append(out, at.claim())
		}
	})
	return out, err
}

// Disclosed returns the claims that came from disclosures, parents before what
// is in them.
func (p *Payload) Disclosed() []Claim {
	var out []Claim
	p.root.each(nil, func(at place) {
		if at.from != permanent {
			out = append(out, at.claim())
		}
	})
	return out
}

// place is a node with the way to it.
type place struct {
	up     *place
	step   any
	value  *node // nil for an element that is not disclosed
	from   int
	hidden bool // an element that could be disclosed, whether it is or not
}

func (at *place) path() Path {
	n := 0
	for p := at; p.up != nil; p = p.up {
		n++
	}
	path := make(Path, n)
	for p := at; p.up != nil; p = p.up {
		n--
		path[n] = p.step
	}
	return path
}

func (at *place) claim() Claim {
	return Claim{Path: at.path(), Value: at.value.appendJSON(nil), Disclosed: at.from != permanent}
}

// each calls f for what is in n, parents first.
func (n *node) each(up *place, f func(place)) {
	if up == nil {
		up = &place{value: n, from: permanent}
	}
	for i := range n.members {
		m := &n.members[i]
		at := place{up: up, step: m.name, value: m.value, from: m.from, hidden: m.from != permanent}
		f(at)
		m.value.each(&at, f)
	}
	for i := range n.elements {
		e := &n.elements[i]
		if e.value == nil {
			continue
		}
		at := place{up: up, step: i, value: e.value, from: e.from, hidden: e.digest != ""}
		f(at)
		e.value.each(&at, f)
	}
}

// walk calls found for each place that the path selects, elements that are not
// disclosed among them: what is in those is not known, so a longer path ends
// there. gap, if not nil, is called where a member is missing.
func (n *node) walk(path Path, gap func(at *place, rest Path), found func(place)) error {
	selected := []place{{value: n, from: permanent}}
	for i, step := range path {
		var next []place
		for j := range selected {
			at := &selected[j]
			if at.value == nil {
				continue
			}
			name, named := step.(string)
			if want := byte('['); named && at.value.kind != '{' || !named && at.value.kind != want {
				return fmt.Errorf("%w: %s: step %d of %s is neither in an object nor in an array of that kind (OpenID4VP 1.0, 7.1.1)", ErrNoClaim, strings.ToValidUTF8(path.String(), "?"), i, at.path())
			}
			if named {
				if m := at.value.find(name); m != nil {
					next = append(next, place{at, name, m.value, m.from, m.from != permanent})
				} else if gap != nil {
					gap(at, path[i:])
				}
				continue
			}
			for k := range at.value.elements {
				if index, one := step.(int); one && index != k {
					continue
				}
				e := &at.value.elements[k]
				next = append(next, place{at, k, e.value, e.from, e.digest != ""})
			}
		}
		selected = next
	}
	for _, at := range selected {
		found(at)
	}
	return nil
}
