package doctype

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
)

// ParseText returns the value that a text stands for, as the Go value its
// kind says. The text form, as registers and forms have it:
//
//   - text and codes: as they are;
//   - numbers in decimal; true or false; dates as YYYY-MM-DD; instants as
//     RFC 3339, or a date for its midnight UTC;
//   - bytes and images: standard base64;
//   - arrays: entries separated by ";";
//   - maps: members separated by ",", each either name=value or, in the order
//     of the definition, the value alone; what is empty is left out.
//
// Inside arrays and maps parentheses group and a backslash takes the next
// character as it is. "()" is an array without entries. So
// "A,2018-08-09,2024-10-20;B,codes=(01.06;70,=,DE)" are two driving
// privileges, the second with two codes.
func (s Shape) ParseText(text string) (any, error) {
	data, err := s.Encode(text)
	if err != nil {
		return nil, err
	}
	return s.decode(data)
}

// SplitList returns the entries of the text form of an array of texts or
// other values without structure.
func SplitList(text string) ([]string, error) {
	pieces, err := split(ungroup(text), ';')
	if err != nil {
		return nil, err
	}
	for i := range pieces {
		pieces[i] = unescape(pieces[i])
	}
	return pieces, nil
}

// parse turns the text form of a kind that is not text into a Go value. It
// does not check what appendOne checks.
func (s *Shape) parse(text string) (any, error) {
	switch s.Kind {
	case Uint:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: wanted an unsigned decimal number", ErrText)
		}
		return n, nil
	case Bool:
		switch text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, fmt.Errorf("%w: wanted true or false", ErrText)
	case FullDate:
		d, err := cbor.ParseFullDate(text)
		if err != nil {
			return nil, fmt.Errorf("%w: wanted YYYY-MM-DD", ErrDate)
		}
		return d, nil
	case TDate:
		if d, err := cbor.ParseFullDate(text); err == nil {
			return cbor.TDate{Time: d.Time()}, nil
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, fmt.Errorf("%w: wanted YYYY-MM-DDTHH:MM:SSZ", ErrDate)
		}
		return cbor.TDate{Time: t.UTC()}, nil
	case JPEG, Image, Bytes:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: wanted base64", ErrText)
		}
		return b, nil
	case Array:
		return s.parseArray(text)
	case Map:
		return s.parseMap(text)
	}
	return text, nil
}

func (s *Shape) parseArray(text string) (any, error) {
	pieces, err := split(ungroup(text), ';')
	if err != nil {
		return nil, err
	}
	entries := make([]any, len(pieces))
	for i, p := range pieces {
		entries[i] = s.Of.piece(p)
	}
	return entries, nil
}

func (s *Shape) parseMap(text string) (any, error) {
	pieces, err := split(ungroup(text), ',')
	if err != nil {
		return nil, err
	}
	members := map[string]any{}
	for i, p := range pieces {
		var m *Member
		if id, rest, ok := strings.Cut(p, "="); ok && s.member(strings.TrimSpace(id)) != nil {
			m, p = s.member(strings.TrimSpace(id)), rest
		} else if i < len(s.Members) {
			m = &s.Members[i]
		}
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if m == nil {
			return nil, fmt.Errorf("%w: more members than the definition has", ErrMember)
		}
		if _, twice := members[m.ID]; twice {
			return nil, fmt.Errorf("%w: %s given twice", ErrMember, m.ID)
		}
		members[m.ID] = m.piece(p)
	}
	return members, nil
}

// piece prepares the text of an entry or member: structures parse it further,
// everything else has its escapes resolved now.
func (s *Shape) piece(text string) any {
	if s.Kind == Array || s.Kind == Map {
		return text
	}
	return unescape(text)
}

// split splits at separators outside parentheses. An empty text has no
// pieces.
func split(text string, sep byte) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return nil, fmt.Errorf("%w: \")\" without \"(\"", ErrText)
			}
		case c == sep && depth == 0:
			out = append(out, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("%w: \"(\" without \")\"", ErrText)
	}
	return append(out, strings.TrimSpace(text[start:])), nil
}

// ungroup takes away parentheses around the whole text.
func ungroup(text string) string {
	text = strings.TrimSpace(text)
	if len(text) < 2 || text[0] != '(' {
		return text
	}
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				if i == len(text)-1 {
					return text[1:i]
				}
				return text
			}
		}
	}
	return text
}

func unescape(text string) string {
	if strings.IndexByte(text, '\\') < 0 {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
