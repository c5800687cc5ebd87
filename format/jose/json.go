package jose

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// CheckJSON refuses what is not exactly one JSON text (RFC 8259), and also
// duplicate member names, invalid UTF-8, unpaired surrogates and what is
// beyond the limits: all that two parsers could understand differently.
// Of the limits it uses Token, Depth and Members. The error is ErrMalformed.
func CheckJSON(data []byte, limits Limits) error { return checkJSON(data, limits, nil) }

// checkJSON is CheckJSON that also puts the members of an object into top.
func checkJSON(data []byte, limits Limits, top members) error {
	limits = limits.withDefaults()
	if len(data) > limits.Token {
		return fmt.Errorf("JSON of %d bytes, limit %d: %w", len(data), limits.Token, ErrMalformed)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("JSON with invalid UTF-8: %w", ErrMalformed)
	}
	s := scanner{data: data, depth: limits.Depth, members: limits.Members, top: top}
	s.space()
	if err := s.value(); err != nil {
		return err
	}
	s.space()
	if s.pos != len(data) {
		return s.fail("data after the value")
	}
	return nil
}

// Unmarshal is CheckJSON and then json.Unmarshal. Members that v does not know
// are ignored, as JWT wants (RFC 7519, 4).
func Unmarshal(data []byte, v any, limits Limits) error {
	if err := CheckJSON(data, limits); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// scanner walks one JSON text and keeps nothing but member names. Depth and
// members count down.
type scanner struct {
	data    []byte
	pos     int
	depth   int
	members int
	top     members // where not nil: the members of the outermost object
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("JSON at byte %d: %s: %w", s.pos, what, ErrMalformed)
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end: no token starts with 0.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '{':
		return s.nest(s.object)
	case c == '[':
		return s.nest(s.array)
	case c == '"':
		_, err := s.quoted()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
			s.pos += len(word)
			return nil
		}
	}
	return s.fail("value expected")
}

func (s *scanner) nest(inner func() error) error {
	if s.depth--; s.depth < 0 {
		return s.fail("nested too deeply")
	}
	s.pos++ // the bracket
	s.space()
	err := inner()
	s.depth++
	return err
}

func (s *scanner) count() error {
	if s.members--; s.members < 0 {
		return s.fail("too many members")
	}
	return nil
}

func (s *scanner) object() error {
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	seen := make(map[string]struct{}, 8)
	for {
		if err := s.count(); err != nil {
			return err
		}
		if s.peek() != '"' {
			return s.fail("member name expected")
		}
		name, err := s.str()
		if err != nil {
			return err
		}
		if _, twice := seen[name]; twice {
			return s.fail("member " + strconv.Quote(abbreviate(name)) + " twice")
		}
		seen[name] = struct{}{}
		s.space()
		if s.peek() != ':' {
			return s.fail("colon expected")
		}
		s.pos++
		s.space()
		start, top := s.pos, s.top
		s.top = nil
		if err := s.value(); err != nil {
			return err
		}
		if s.top = top; top != nil {
			top[name] = s.data[start:s.pos:s.pos]
		}
		if more, err := s.next('}'); !more {
			return err
		}
	}
}

func (s *scanner) array() error {
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.count(); err != nil {
			return err
		}
		if err := s.value(); err != nil {
			return err
		}
		if more, err := s.next(']'); !more {
			return err
		}
	}
}

// next takes the comma before another member, or the closing bracket.
func (s *scanner) next(end byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.pos++
		return false, nil
	}
	return false, s.fail("comma or closing bracket expected")
}

// str takes a string and returns what it stands for.
func (s *scanner) str() (string, error) {
	start := s.pos
	escaped, err := s.quoted()
	if err != nil {
		return "", err
	}
	raw := s.data[start:s.pos]
	if !escaped {
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", s.fail("string malformed")
	}
	return text, nil
}

// quoted passes over a string and reports whether there are escapes in it.
func (s *scanner) quoted() (escaped bool, err error) {
	s.pos++
	for {
		s.pos += plain(s.data[s.pos:])
		switch c := s.peek(); {
		case c == '"':
			s.pos++
			return escaped, nil
		case c < 0x20:
			return false, s.fail("string not closed, or a control character in it")
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return false, err
			}
		default:
			s.pos++
		}
	}
}

// plain is the number of bytes up to the first eight that a string may not
// simply continue with: quotes, backslashes, controls or beyond ASCII. Images
// are long strings, so eight bytes are looked at together.
func plain(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		if (x|(x-ones*0x20)|(quote-ones)|(slash-ones))&tops != 0 {
			break
		}
	}
	return n
}

// escape takes one escape sequence, or the two of a surrogate pair.
func (s *scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
	default:
		return s.fail("unknown escape")
	}
	unit, err := s.unit()
	if err != nil {
		return err
	}
	switch {
	case 0xD800 <= unit && unit < 0xDC00:
		if s.peek() == '\\' {
			s.pos++
			if s.peek() == 'u' {
				low, err := s.unit()
				if err != nil {
					return err
				}
				if 0xDC00 <= low && low < 0xE000 {
					return nil
				}
			}
		}
		return s.fail("unpaired surrogate")
	case 0xDC00 <= unit && unit < 0xE000:
		return s.fail("unpaired surrogate")
	}
	return nil
}

// unit takes "uXXXX".
func (s *scanner) unit() (uint16, error) {
	s.pos++
	if len(s.data)-s.pos < 4 {
		return 0, s.fail("escape cut off")
	}
	v, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 16)
	if err != nil {
		return 0, s.fail("escape without four hexadecimal digits")
	}
	s.pos += 4
	return uint16(v), nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail("digit expected")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail("digit expected")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("digit expected")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

func abbreviate(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// members is a JSON object taken apart. Names are compared exactly, unlike
// those of struct fields in encoding/json.
type members map[string]json.RawMessage

func parseMembers(data []byte, limits Limits) (members, error) {
	m := make(members, 8)
	if err := checkJSON(data, limits, m); err != nil {
		return nil, err
	}
	if firstByte(data) != '{' {
		return nil, fmt.Errorf("JSON object expected: %w", ErrMalformed)
	}
	return m, nil
}

// take moves a member into v, leaving v alone when it is absent. Null is
// refused: no header or key member may be null.
func (m members) take(name string, v any) error {
	raw, ok := m[name]
	if !ok {
		return nil
	}
	delete(m, name)
	if string(raw) == "null" {
		return fmt.Errorf("%q is null: %w", name, ErrMalformed)
	}
	if bytes.IndexByte(raw, '\\') < 0 { // the usual members without encoding/json, which looks at each byte three times
		switch v := v.(type) {
		case *string:
			if raw[0] == '"' {
				*v = string(raw[1 : len(raw)-1])
				return nil
			}
		case *[]string:
			if list, ok := plainStrings(raw); ok {
				*v = list
				return nil
			}
		}
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%q: %w: %w", name, ErrMalformed, err)
	}
	return nil
}

// plainStrings reads an array of strings without escapes. ok is false for
// whatever else it may be.
func plainStrings(raw []byte) (list []string, ok bool) {
	list = []string{}
	parts := bytes.Split(raw, []byte{'"'})
	if len(parts)%2 == 0 { // the text between quotes has an odd index
		return nil, false
	}
	for i, p := range parts {
		switch between := string(bytes.TrimSpace(p)); {
		case i%2 == 1:
			list = append(list, string(p))
		case i == 0 && between != "[", i == len(parts)-1 && between != "]", i > 0 && i < len(parts)-1 && between != ",":
			return nil, false
		}
	}
	return list, len(list) > 0
}

// stringMember says where takeStrings puts a member.
type stringMember struct {
	name string
	into *string
}

// takeStrings moves several string members.
func (m members) takeStrings(wanted ...stringMember) error {
	for _, w := range wanted {
		if err := m.take(w.name, w.into); err != nil {
			return err
		}
	}
	return nil
}

// takeBytes moves a base64url member.
func (m members) takeBytes(name string) ([]byte, error) {
	if _, ok := m[name]; !ok {
		return nil, nil
	}
	var s string
	if err := m.take(name, &s); err != nil {
		return nil, err
	}
	b, err := Decode(s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return b, nil
}

const maxChain = 10

// takeChain moves "x5c": base64, not base64url, DER (RFC 7515, 4.1.6).
func (m members) takeChain() ([][]byte, error) {
	if _, ok := m["x5c"]; !ok {
		return nil, nil
	}
	var texts []string
	if err := m.take("x5c", &texts); err != nil {
		return nil, err
	}
	if len(texts) == 0 || len(texts) > maxChain {
		return nil, fmt.Errorf("\"x5c\" of %d certificates, not 1 to %d: %w", len(texts), maxChain, ErrMalformed)
	}
	chain := make([][]byte, len(texts))
	for i, t := range texts {
		der, err := decode(strictStd, t)
		if err != nil || len(der) == 0 {
			return nil, fmt.Errorf("\"x5c\" certificate %d is no base64: %w", i, ErrMalformed)
		}
		chain[i] = der
	}
	return chain, nil
}
