package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// marshal is json.Marshal without the escapes for HTML, which make URLs long.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// objectWriter writes a JSON object whose members keep their order. It is
// there because headers and keys are written for every proof and every
// message, where the detour through encoding/json costs as much as hashing.
type objectWriter struct {
	out []byte
	err error
}

func newObject(size int) *objectWriter {
	return &objectWriter{out: append(make([]byte, 0, size), '{')}
}

// name begins a member.
func (w *objectWriter) name(name string) {
	if len(w.out) > 1 {
		w.out = append(w.out, ',')
	}
	w.quote(name)
	w.out = append(w.out, ':')
}

// quote appends a string.
func (w *objectWriter) quote(s string) { w.out = AppendText(w.out, s) }

// AppendText appends a string as JSON to dst, as it is if nothing in it needs
// escaping. What is no UTF-8 in it becomes U+FFFD.
func AppendText(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(append(dst, '"'), s...)
	for i := start + 1; ; i++ {
		if i += plain(dst[i:]); i >= len(dst) {
			return append(dst, '"')
		}
		if c := dst[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			break
		}
	}
	b, err := marshal(s)
	if err != nil {
		panic(err) // strings can be encoded
	}
	return append(dst[:start], b...)
}

// raw writes a member whose value is JSON already.
func (w *objectWriter) raw(name string, value []byte) {
	w.name(name)
	w.out = append(w.out, value...)
}

// any writes a member as encoding/json does.
func (w *objectWriter) any(name string, value any) {
	b, err := marshal(value)
	w.err = errors.Join(w.err, err)
	w.raw(name, b)
}

// text writes a string member, unless it is empty.
func (w *objectWriter) text(name, value string) {
	if value != "" {
		w.name(name)
		w.quote(value)
	}
}

// chain writes "x5c", unless it is empty.
func (w *objectWriter) chain(certificates [][]byte) {
	if len(certificates) == 0 {
		return
	}
	w.name("x5c")
	w.out = append(w.out, '[')
	for i, der := range certificates {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, '"')
		w.out = base64.StdEncoding.AppendEncode(w.out, der)
		w.out = append(w.out, '"')
	}
	w.out = append(w.out, ']')
}

// finish adds the members without fields of their own, sorted, and refuses
// those that have one.
func (w *objectWriter) finish(others map[string]json.RawMessage, own ...string) ([]byte, error) {
	for _, name := range slices.Sorted(maps.Keys(others)) {
		if slices.Contains(own, name) {
			return nil, fmt.Errorf("header member %q set through Raw: %w", name, ErrMalformed)
		}
		w.any(name, others[name]) // through encoding/json, which checks the text
	}
	if w.err != nil {
		return nil, fmt.Errorf("JSON object: %w", w.err)
	}
	return append(w.out, '}'), nil
}
