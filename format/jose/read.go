package jose

import (
	"encoding/json"
	"fmt"
)

// Object is CheckJSON for an object, and returns its members as they stand in
// data, which must not change afterwards. Long members cost no more than
// CheckJSON: encoding/json looks at each byte of them several times.
func Object(data []byte, limits Limits) (map[string]json.RawMessage, error) {
	return parseMembers(data, limits)
}

// Strings is what a member of an Object says that is a string, or an array of
// strings: then many is true. The error is ErrMalformed.
func Strings(member json.RawMessage) (list []string, many bool, err error) {
	s := scanner{data: member, depth: 1, members: len(member)}
	switch s.peek() {
	case '"':
		text, err := s.str()
		return []string{text}, false, err
	case '[':
		s.pos++
		s.space()
		if s.peek() == ']' {
			return []string{}, true, nil
		}
		for more := true; more; {
			if s.peek() != '"' {
				return nil, true, s.fail("string expected")
			}
			text, err := s.str()
			if err != nil {
				return nil, true, err
			}
			list = append(list, text)
			if more, err = s.next(']'); err != nil {
				return nil, true, err
			}
		}
		return list, true, nil
	}
	return nil, false, fmt.Errorf("string, or array of strings, expected: %w", ErrMalformed)
}
