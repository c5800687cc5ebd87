package sdjwt

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
)

// The two names that carry digests, and the one that names their algorithm.
// RFC 9901, 4.1 and 4.2.4.
const (
	nameDigests   = "_sd"
	nameElement   = "..."
	nameAlgorithm = "_sd_alg"
)

// node is a JSON value. Text is a window into what was received.
type node struct {
	kind byte // '{', '[', '"', or the first byte of a number or word
	// digested says that there are digests in it or somewhere beneath, so that
	// raw is not what is to be shown.
	digested bool
	raw      string // as received
	// members of an object: those that were there, then those from disclosures.
	members  []member
	elements []element // of an array, in the positions as issued
	digests  []string  // of an object's "_sd"
}

type member struct {
	name  string
	value *node
	from  int // the disclosure it came from, or permanent
}

// element of an array. value is nil while it is not disclosed.
type element struct {
	value  *node
	digest string // "" if the element was never hidden
	from   int
}

// permanent is the origin of what was not disclosed selectively.
const permanent = -1

// member returns the value of a member of an object, or nil.
func (n *node) member(name string) *node {
	if m := n.find(name); m != nil {
		return m.value
	}
	return nil
}

func (n *node) find(name string) *member {
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i]
		}
	}
	return nil
}

// text is what a string stands for; ok is false for any other value and for nil.
func (n *node) text() (s string, ok bool) {
	if n == nil || n.kind != '"' {
		return "", false
	}
	return unquote(n.raw), true
}

// unquote reads a checked JSON string.
func unquote(raw string) string {
	inside := raw[1 : len(raw)-1]
	if strings.IndexByte(inside, '\\') < 0 {
		return inside
	}
	var s string
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		return "" // jose.CheckJSON has seen that it is a string
	}
	return s
}

// reader makes nodes of JSON that passed jose.CheckJSON, so that it has only
// to find where things begin and end. It adds the rules of RFC 9901 about
// "_sd", "..." and "_sd_alg", unless plain is set.
type reader struct {
	data    string
	pos     int
	members int // left of the limit
	plain   bool
	// algorithm is "_sd_alg", which only the outermost object of a payload,
	// marked by top, may have.
	algorithm *node
	top       bool
	hidden    int    // digests found
	spare     []node // allocated together
	err       error
}

// newNode takes a node from a block of several.
func (r *reader) newNode(kind byte) *node {
	if len(r.spare) == 0 {
		r.spare = make([]node, 16)
	}
	n := &r.spare[0]
	r.spare = r.spare[1:]
	n.kind = kind
	return n
}

// readJSON checks one JSON text and reads it. members is what is left of the
// limit, and counted down.
func (r *reader) readJSON(data []byte, lim Limits) (*node, error) {
	if err := jose.CheckJSON(data, jose.Limits{Token: lim.Bytes, Depth: lim.Depth, Members: lim.Members}); err != nil {
		return nil, err
	}
	r.data, r.pos = string(data), 0
	n := r.value(false)
	return n, r.err
}

func (r *reader) fail(base error, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, base)...)
	}
}

func (r *reader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// next returns the next byte that is no white space.
func (r *reader) next() byte {
	r.space()
	return r.data[r.pos]
}

// value reads the next value. inArray says that it is an array element, which
// may stand for a hidden one.
func (r *reader) value(inArray bool) *node {
	c := r.next()
	start := r.pos
	n := r.newNode(c)
	switch c {
	case '{':
		r.object(n, inArray)
	case '[':
		r.array(n)
	case '"':
		r.skipString()
	default:
		for r.pos < len(r.data) && !strings.ContainsRune(",]} \t\n\r", rune(r.data[r.pos])) {
			r.pos++
		}
	}
	n.raw = r.data[start:r.pos]
	return n
}

// skipString passes over a string, and returns it with its quotes.
func (r *reader) skipString() string {
	start := r.pos
	r.pos++
	for {
		r.pos += strings.IndexByte(r.data[r.pos:], '"') + 1
		// The quote ends the string unless an odd number of backslashes stands before it.
		i := r.pos - 2
		for r.data[i] == '\\' {
			i--
		}
		if (r.pos-i)%2 == 0 {
			return r.data[start:r.pos]
		}
	}
}

func (r *reader) count() {
	if r.members--; r.members < 0 {
		r.fail(ErrLimit, "too many members and elements")
	}
}

func (r *reader) object(n *node, inArray bool) {
	top := r.top
	r.top = false
	r.pos++
	if r.next() == '}' {
		r.pos++
		return
	}
	n.members = make([]member, 0, 4)
	for r.err == nil {
		r.count()
		r.space()
		name := unquote(r.skipString())
		r.next() // the colon
		r.pos++
		if name == nameDigests && !r.plain {
			n.digests, n.digested = r.digests(), true
			if r.closes('}') {
				return
			}
			continue
		}
		value := r.value(false)
		switch {
		case r.plain:
			n.members = append(n.members, member{name, value, permanent})
		case name == nameElement:
			if !inArray || value.kind != '"' {
				r.fail(ErrSyntax, "%q that is no array element's digest (RFC 9901, 4.2.4.2)", name)
			}
			n.members = append(n.members, member{name, value, permanent})
		case name == nameAlgorithm:
			if !top {
				r.fail(ErrSyntax, "%q not at the top level (RFC 9901, 4.1.1)", name)
			}
			r.algorithm, n.digested = value, true
		default:
			n.digested = n.digested || value.digested
			n.members = append(n.members, member{name, value, permanent})
		}
		if r.closes('}') {
			return
		}
	}
}

// closes takes the comma before another member or element, or the bracket.
func (r *reader) closes(bracket byte) bool {
	c := r.next()
	r.pos++
	return c == bracket
}

// digests reads the array of "_sd".
func (r *reader) digests() []string {
	if r.next() != '[' {
		r.fail(ErrSyntax, "%q is no array (RFC 9901, 4.2.4.1)", nameDigests)
		return nil
	}
	r.pos++
	if r.next() == ']' {
		r.pos++
		return nil
	}
	out := make([]string, 0, 24)
	for r.err == nil {
		r.count()
		if r.next() != '"' {
			r.fail(ErrSyntax, "%q with an element that is no string (RFC 9901, 4.2.4.1)", nameDigests)
			return nil
		}
		out = append(out, unquote(r.skipString()))
		r.hidden++
		if r.closes(']') {
			break
		}
	}
	return out
}

func (r *reader) array(n *node) {
	r.pos++
	if r.next() == ']' {
		r.pos++
		return
	}
	n.elements = make([]element, 0, 4)
	for r.err == nil {
		r.count()
		e := element{value: r.value(!r.plain), from: permanent}
		if hidden := e.value.find(nameElement); hidden != nil && !r.plain {
			if len(e.value.members) != 1 || e.value.digested {
				r.fail(ErrSyntax, "%q beside other members (RFC 9901, 4.2.4.2)", nameElement)
			}
			e.digest, _ = hidden.value.text()
			e.value, n.digested = nil, true
			r.hidden++
		} else {
			n.digested = n.digested || e.value.digested
		}
		n.elements = append(n.elements, e)
		if r.closes(']') {
			return
		}
	}
}

// appendJSON writes the value as processed: without digests, and with what was
// disclosed in place. What holds neither is written as received.
func (n *node) appendJSON(dst []byte) []byte {
	if !n.digested {
		return append(dst, n.raw...)
	}
	if n.kind == '[' {
		dst = append(dst, '[')
		first := true
		for i := range n.elements {
			if n.elements[i].value == nil {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = n.elements[i].value.appendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i := range n.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, n.members[i].name), ':')
		dst = n.members[i].value.appendJSON(dst)
	}
	return append(dst, '}')
}

// appendString writes a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return appendEscaped(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// appendEscaped escapes what RFC 8259, 7 demands and nothing else. Invalid
// UTF-8 becomes U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, c := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < 0x20:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, string(c)...)
		}
	}
	return append(dst, '"')
}
