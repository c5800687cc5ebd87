package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/eidos-id/eidos/format/cbor"
)

// shape says how the specification calls what a CBOR item holds. A shape
// without fields shows its items generically.
type shape struct {
	name   string
	clause string
	// fields by key: text keys as they are, integer keys in decimal.
	fields map[string]field
	// each is the shape of array items, or of map values without a field.
	each *shape
	// items are the shapes of array items by position.
	items []field
	// inner is the shape of what is in a byte string or under tag 24.
	inner *shape
	// guess looks into a byte string for something that recognise knows.
	guess bool
	// show renders a leaf.
	show func(b []byte) (node, bool)
}

// field is a member's name, where the key does not say it, and shape.
type field struct {
	name  string
	shape *shape
}

// inspectCBOR decodes an item as what it looks like.
func inspectCBOR(data []byte) (node, error) { return inspectShape(data, nil) }

// inspectShape decodes an item as what it is known to be, or looks like if s is
// nil.
func inspectShape(data []byte, s *shape) (node, error) {
	if err := cbor.Check(data, cbor.Limits{Size: maxInput}); err != nil {
		return node{}, err
	}
	if s == nil {
		s = recognise(data)
	}
	r := cbor.NewReader(data)
	n := walk(r, s, "")
	return n, r.Done()
}

// recognise finds the shape by the keys that only it has.
func recognise(data []byte) *shape {
	r := cbor.NewReader(data)
	switch r.Kind() {
	case cbor.KindTag:
		switch r.AnyTag() {
		case cbor.TagEmbedded:
			inner := r.Bytes()
			if cbor.Check(inner, cbor.Limits{Size: maxInput}) == nil {
				return &shape{inner: recognise(inner)}
			}
		case 18:
			return sign1Shape(nil)
		case 17:
			return mac0Shape()
		}
	case cbor.KindMap:
		keys := make(map[string]bool)
		r.Map(func() {
			keys[keyName(r)] = true
			r.Skip()
		})
		for _, s := range shapes() {
			all := true
			for _, k := range s.keys {
				all = all && keys[k]
			}
			if all {
				return s.shape
			}
		}
	case cbor.KindArray:
		switch n := r.Len(); {
		case n == 4:
			return sign1Shape(nil)
		case n == 3:
			return transcriptShape()
		case n == 2:
			return dcapiShape(data)
		}
	}
	return nil
}

// keyName takes a map key as text.
func keyName(r *cbor.Reader) string {
	switch r.Kind() {
	case cbor.KindText:
		return r.Text()
	case cbor.KindUint, cbor.KindNegInt:
		return strconv.FormatInt(r.Int(), 10)
	}
	return hex.EncodeToString(r.Raw())
}

// walk decodes the next item by its shape.
func walk(r *cbor.Reader, s *shape, name string) node {
	if s == nil {
		s = &shape{}
	}
	n := node{Name: name, Clause: s.clause}
	if s.name != "" && name == "" {
		n.Name = s.name
	} else if s.name != "" {
		n.Note = s.name
	}
	if s.show != nil && (r.Kind() == cbor.KindBytes || r.Kind() == cbor.KindText) {
		if shown, ok := s.show(peekString(r)); ok {
			r.Skip()
			shown.Name = name
			return shown
		}
	}
	switch r.Kind() {
	case cbor.KindMap:
		n.Children = walkMap(r, s)
	case cbor.KindArray:
		r.Array(func(i int) {
			f := field{fmt.Sprintf("[%d]", i), s.each}
			if i < len(s.items) {
				f = s.items[i]
			}
			n.Children = append(n.Children, walk(r, f.shape, f.name))
		})
	case cbor.KindTag:
		walkTag(r, s, &n)
	case cbor.KindBytes:
		walkBytes(r.Bytes(), s, &n)
	default:
		n.Value = scalarText(r)
	}
	return n
}

func walkMap(r *cbor.Reader, s *shape) []node {
	var out []node
	r.Map(func() {
		key := keyName(r)
		f, known := s.fields[key]
		switch {
		case !known:
			f = field{key, s.each}
		case f.name == "":
			f.name = key
		default:
			f.name = key + " " + f.name
		}
		out = append(out, walk(r, f.shape, f.name))
	})
	return out
}

func walkTag(r *cbor.Reader, s *shape, n *node) {
	tag := r.AnyTag()
	switch tag {
	case cbor.TagEmbedded:
		inner := r.Bytes()
		n.Note = join(n.Note, fmt.Sprintf("CBOR in %d bytes", len(inner)))
		shape := s.inner
		if shape == nil {
			shape = recognise(inner)
		}
		embed(inner, shape, n)
	case cbor.TagDateTime, cbor.TagFullDate:
		n.Value = r.Text()
	default:
		n.Note = join(n.Note, fmt.Sprintf("tag %d", tag))
		in := walk(r, s, n.Name)
		n.Value, n.Children = in.Value, in.Children
	}
}

// walkBytes shows a byte string, and what is in it where the shape knows.
func walkBytes(b []byte, s *shape, n *node) {
	inner := s.inner
	if inner == nil && s.guess && cbor.Check(b, cbor.Limits{Size: maxInput}) == nil {
		inner = recognise(b)
	}
	if inner != nil {
		n.Note = join(n.Note, fmt.Sprintf("CBOR in %d bytes", len(b)))
		embed(b, inner, n)
		return
	}
	n.Value = shortHex(b)
	switch {
	case bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff}):
		n.Note = join(n.Note, "JPEG image")
	case bytes.HasPrefix(b, []byte{0, 0, 0, 0x0c, 'j', 'P'}):
		n.Note = join(n.Note, "JPEG 2000 image")
	}
}

// embed decodes CBOR inside a string into n's children.
func embed(inner []byte, s *shape, n *node) {
	if len(inner) == 0 {
		n.Value = "empty"
		return
	}
	if err := cbor.Check(inner, cbor.Limits{Size: maxInput}); err != nil {
		n.Value = shortHex(inner)
		n.Note = join(n.Note, err.Error())
		return
	}
	in := walk(cbor.NewReader(inner), s, "")
	if in.Name != "" && n.Clause == "" {
		n.Note = join(n.Note, in.Name)
		n.Clause = in.Clause
	}
	n.Value, n.Children = in.Value, in.Children
}

func scalarText(r *cbor.Reader) string {
	switch r.Kind() {
	case cbor.KindText:
		return strconv.Quote(r.Text())
	case cbor.KindUint:
		return strconv.FormatUint(r.Uint(), 10)
	case cbor.KindNegInt:
		return strconv.FormatInt(r.Int(), 10)
	case cbor.KindBool:
		return strconv.FormatBool(r.Bool())
	case cbor.KindNull:
		r.Null()
		return "null"
	}
	raw := r.Raw()
	s, err := cbor.Diagnose(raw)
	if err != nil {
		return shortHex(raw)
	}
	return s
}

// peekString is the next string's content without taking it.
func peekString(r *cbor.Reader) []byte {
	c := *r
	if c.Kind() == cbor.KindText {
		return c.TextBytes()
	}
	return c.Bytes()
}

// shortHex is a byte string as people can take it in.
func shortHex(b []byte) string {
	const show = 24
	if len(b) <= show {
		return fmt.Sprintf("h'%x'", b)
	}
	return fmt.Sprintf("h'%x…' %d bytes", b[:show], len(b))
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}
