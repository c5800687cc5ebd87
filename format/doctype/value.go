package doctype

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/cbor"
)

// What can be wrong with a value. Errors wrap one of these and name the
// member and the rule, never the value, which is personal data.
var (
	ErrKind   = errors.New("value of another type")
	ErrLength = errors.New("value too long, too short or empty")
	ErrChars  = errors.New("characters that the element cannot hold")
	ErrCode   = errors.New("not a code of this kind")
	ErrDate   = errors.New("not a possible date")
	ErrChoice = errors.New("not one of the allowed values")
	ErrImage  = errors.New("not an image of the allowed format")
	ErrMember = errors.New("member missing, unknown or given twice")
	ErrText   = errors.New("text form not understood")
)

// Limits where the definition says nothing.
const (
	maxText    = 150 // characters; ISO/IEC 18013-5 second edition (draft v4), 13.4
	maxBytes   = 256 << 10
	maxEntries = 64
)

// Encode returns the CBOR encoding of a value. A string is the text form of
// any kind, see ParseText; time.Time stands for either kind of date, in its
// own location for a full-date; Go integers stand for an unsigned integer.
func (s Shape) Encode(value any) ([]byte, error) { return s.append(nil, value) }

// append appends the encoding in the first shape that fits the value.
func (s *Shape) append(dst []byte, value any) ([]byte, error) {
	out, err := s.appendOne(dst, value)
	if err == nil {
		return out, nil
	}
	for i := range s.Or {
		if out, err := s.Or[i].append(dst, value); err == nil {
			return out, nil
		}
	}
	return dst, err
}

// appendOne appends the encoding in the shape itself.
func (s *Shape) appendOne(dst []byte, value any) ([]byte, error) {
	if text, ok := value.(string); ok && !s.Kind.isText() {
		v, err := s.parse(text)
		if err != nil {
			return dst, err
		}
		value = v
	}
	switch s.Kind {
	case Uint:
		n, ok := toUint(value)
		if !ok {
			return dst, s.wrongKind()
		}
		return cbor.AppendUint(dst, n), s.choice(strconv.FormatUint(n, 10))
	case Bool:
		b, ok := value.(bool)
		if !ok {
			return dst, s.wrongKind()
		}
		return cbor.AppendBool(dst, b), nil
	case FullDate:
		switch d := value.(type) {
		case cbor.FullDate:
			return cbor.AppendFullDate(dst, d), validDate(d)
		case time.Time:
			return cbor.AppendFullDate(dst, cbor.DateOf(d)), validDate(cbor.DateOf(d))
		}
		return dst, s.wrongKind()
	case TDate:
		switch d := value.(type) {
		case cbor.TDate:
			return cbor.AppendTDate(dst, d.Time), validDate(cbor.DateOf(d.UTC()))
		case time.Time:
			return cbor.AppendTDate(dst, d), validDate(cbor.DateOf(d.UTC()))
		}
		return dst, s.wrongKind()
	case JPEG, Image, Bytes:
		b, ok := value.([]byte)
		if !ok {
			return dst, s.wrongKind()
		}
		return cbor.AppendBytes(dst, b), s.checkBytes(b)
	case Array:
		return s.appendArray(dst, value)
	case Map:
		return s.appendMap(dst, value)
	}
	text, ok := value.(string)
	if !ok {
		return dst, s.wrongKind()
	}
	return cbor.AppendText(dst, text), s.checkText(text)
}

func (s *Shape) appendArray(dst []byte, value any) ([]byte, error) {
	var entries []any
	switch v := value.(type) {
	case []any:
		entries = v
	case []string:
		for _, e := range v {
			entries = append(entries, e)
		}
	case []map[string]any:
		for _, e := range v {
			entries = append(entries, e)
		}
	default:
		return dst, s.wrongKind()
	}
	if err := s.checkCount(len(entries)); err != nil {
		return dst, err
	}
	dst = cbor.AppendArray(dst, len(entries))
	for i, e := range entries {
		var err error
		if dst, err = s.Of.append(dst, e); err != nil {
			return dst, fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return dst, nil
}

func (s *Shape) appendMap(dst []byte, value any) ([]byte, error) {
	members, ok := value.(map[string]any)
	if !ok {
		return dst, s.wrongKind()
	}
	if len(members) == 0 && !s.Empty {
		return dst, fmt.Errorf("%w: no members", ErrLength)
	}
	for id := range members {
		if s.member(id) == nil {
			return dst, fmt.Errorf("%w: a member that the definition does not have", ErrMember)
		}
	}
	dst = cbor.AppendMap(dst, len(members))
	for i := range s.Members {
		m := &s.Members[i]
		v, ok := members[m.ID]
		if !ok {
			if m.Presence == Mandatory {
				return dst, fmt.Errorf("%w: no %s", ErrMember, m.ID)
			}
			continue
		}
		var err error
		if dst, err = m.append(cbor.AppendText(dst, m.ID), v); err != nil {
			return dst, fmt.Errorf("%s: %w", m.ID, err)
		}
	}
	return dst, nil
}

func (s *Shape) member(id string) *Member {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}

// Decode checks an encoded value against the shape and returns it as the Go
// value its kind says. Byte slices in the result alias data.
func (s Shape) Decode(data []byte) (any, error) {
	if err := cbor.Check(data, cbor.Limits{}); err != nil {
		return nil, err
	}
	return s.decode(data)
}

// decode decodes one checked item in the first shape that fits.
func (s *Shape) decode(data []byte) (any, error) {
	v, err := s.decodeOne(data)
	if err == nil {
		return v, nil
	}
	for _, more := range [...][]Shape{s.Or, s.Accept} {
		for i := range more {
			if v, err := more[i].decode(data); err == nil {
				return v, nil
			}
		}
	}
	return nil, err
}

func (s *Shape) decodeOne(data []byte) (any, error) {
	r := cbor.NewReader(data)
	var v any
	var rule error
	switch s.Kind {
	case Uint:
		n := r.Uint()
		v, rule = n, s.choice(strconv.FormatUint(n, 10))
	case Bool:
		v = r.Bool()
	case FullDate:
		v = r.FullDate()
	case TDate:
		t, _ := r.TDate()
		v = cbor.TDate{Time: t}
	case JPEG, Image, Bytes:
		b := r.Bytes()
		v, rule = b, s.checkBytes(b)
	case Array:
		v, rule = s.decodeArray(r)
	case Map:
		v, rule = s.decodeMap(r)
	default:
		t := r.Text()
		v, rule = t, s.checkText(t)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKind, err)
	}
	return v, rule
}

func (s *Shape) decodeArray(r *cbor.Reader) (any, error) {
	entries := []any{}
	var rule error
	r.Array(func(i int) {
		raw := r.Raw()
		if r.Err() != nil || rule != nil {
			return
		}
		v, err := s.Of.decode(raw)
		if err != nil {
			rule = fmt.Errorf("entry %d: %w", i+1, err)
			return
		}
		entries = append(entries, v)
	})
	if rule == nil {
		rule = s.checkCount(len(entries))
	}
	return entries, rule
}

func (s *Shape) decodeMap(r *cbor.Reader) (any, error) {
	members := map[string]any{}
	var rule error
	r.Map(func() {
		id, raw := r.Text(), r.Raw()
		if r.Err() != nil || rule != nil {
			return
		}
		m := s.member(id)
		if m == nil {
			rule = fmt.Errorf("%w: a member that the definition does not have", ErrMember)
			return
		}
		v, err := m.decode(raw)
		if err != nil {
			rule = fmt.Errorf("%s: %w", id, err)
			return
		}
		members[id] = v
	})
	for i := range s.Members {
		if m := &s.Members[i]; rule == nil && m.Presence == Mandatory && members[m.ID] == nil {
			rule = fmt.Errorf("%w: no %s", ErrMember, m.ID)
		}
	}
	if rule == nil && len(members) == 0 && !s.Empty {
		rule = fmt.Errorf("%w: no members", ErrLength)
	}
	return members, rule
}

func (s *Shape) wrongKind() error { return fmt.Errorf("%w: wanted %s", ErrKind, s.Kind) }

func (s *Shape) checkCount(n int) error {
	if limit := orDefault(s.Max, maxEntries); n > limit {
		return fmt.Errorf("%w: %d entries, at most %d", ErrLength, n, limit)
	}
	if n == 0 && !s.Empty {
		return fmt.Errorf("%w: no entries", ErrLength)
	}
	return nil
}

// checkBytes checks length and, for images, the first bytes. It does not
// decode the image.
func (s *Shape) checkBytes(b []byte) error {
	if len(b) == 0 {
		if s.Empty {
			return nil
		}
		return fmt.Errorf("%w: no bytes", ErrLength)
	}
	if limit := orDefault(s.Max, maxBytes); len(b) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrLength, len(b), limit)
	}
	switch {
	case s.Kind == Bytes, isJPEG(b), s.Kind == Image && isJPEG2000(b):
		return nil
	}
	return fmt.Errorf("%w: wanted %s", ErrImage, s.Kind)
}

func isJPEG(b []byte) bool { return bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff}) }

// isJPEG2000 knows the file format and the bare code stream.
// ISO/IEC 15444-1, I.5.1 and A.4.1.
func isJPEG2000(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\x00\x00\x00\x0cjP  \r\n\x87\n")) || bytes.HasPrefix(b, []byte{0xff, 0x4f, 0xff, 0x51})
}

// checkText checks length, characters and code.
func (s *Shape) checkText(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: not UTF-8", ErrChars)
	}
	if text == "" {
		if s.Empty {
			return nil
		}
		return fmt.Errorf("%w: empty text", ErrLength)
	}
	if n, limit := utf8.RuneCountInString(text), orDefault(s.Max, maxText); n > limit {
		return fmt.Errorf("%w: %d characters, at most %d", ErrLength, n, limit)
	}
	for _, c := range text {
		if c < ' ' && c != '\n' || c >= 0x7f && c < 0xa0 {
			return fmt.Errorf("%w: control character U+%04X", ErrChars, c)
		}
		if s.Kind == Latin1 && (c > 0xff || c < ' ') {
			return fmt.Errorf("%w: not in ISO/IEC 8859-1", ErrChars)
		}
	}
	if !s.Kind.fits(text) {
		return fmt.Errorf("%w: wanted %s", ErrCode, s.Kind)
	}
	return s.choice(text)
}

func (s *Shape) choice(text string) error {
	if len(s.Values) == 0 {
		return nil
	}
	for i := range s.Values {
		if s.Values[i].Value == text {
			return nil
		}
	}
	return fmt.Errorf("%w: %d values are", ErrChoice, len(s.Values))
}

// isText reports whether values of the kind are text on the wire.
func (k Kind) isText() bool {
	switch k {
	case Text, Latin1, Alpha2, Country, Subdivision, Email, Phone, Mask:
		return true
	}
	return false
}

// fits reports whether a text has the form of the code that the kind names.
func (k Kind) fits(text string) bool {
	switch k {
	case Alpha2:
		return len(text) == 2 && only(text, isUpper)
	case Country:
		return (len(text) == 2 || len(text) == 3) && only(text, isUpper)
	case Subdivision:
		country, part, ok := strings.Cut(text, "-")
		return ok && Alpha2.fits(country) && len(part) >= 1 && len(part) <= 3 &&
			only(part, func(c byte) bool { return isUpper(c) || isDigit(c) })
	case Email:
		at := strings.LastIndexByte(text, '@')
		return at > 0 && at < len(text)-1 && !strings.ContainsAny(text, " \n")
	case Phone:
		return len(text) >= 4 && text[0] == '+' && only(text[1:], isDigit)
	case Mask:
		return len(text) == 8 && only(text, func(c byte) bool { return c == '0' || c == '1' })
	}
	return true
}

func only(s string, ok func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

// validDate refuses days that do not exist and years of other than four
// digits.
func validDate(d cbor.FullDate) error {
	if d.Year < 1 || d.Year > 9999 || cbor.DateOf(d.Time()) != d {
		return fmt.Errorf("%w: no such day", ErrDate)
	}
	return nil
}

func toUint(value any) (uint64, bool) {
	switch n := value.(type) {
	case uint64:
		return n, true
	case uint:
		return uint64(n), true
	case int:
		return uint64(n), n >= 0
	case int64:
		return uint64(n), n >= 0
	case float64: // numbers of JSON
		return uint64(n), n >= 0 && n < 1<<53 && n == math.Trunc(n)
	}
	return 0, false
}

func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}
