package cbor

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Kind is the kind of the next item.
type Kind uint8

// The kinds. Simple values other than booleans and null are Other.
const (
	KindNone Kind = iota // no item: the end, or an error before
	KindUint
	KindNegInt
	KindBytes
	KindText
	KindArray
	KindMap
	KindTag
	KindBool
	KindNull
	KindFloat
	KindOther
)

// String names the kind as error messages do.
func (k Kind) String() string {
	return [...]string{"nothing", "unsigned integer", "negative integer", "byte string", "text", "array",
		"map", "tag", "boolean", "null", "float", "simple value"}[k]
}

// Reader walks encoded items from front to back without reflection. Its
// methods take the next item or, if that is of another kind, record an error;
// after the first error every method returns zero values, so a parser reads
// straight through and looks at [Reader.Err] once, before it uses what it
// read. Byte slices handed out alias the input.
//
// Give a Reader only bytes that passed [Check], as [ReadChecked] does, or check
// item by item with [Reader.Check].
type Reader struct {
	data []byte
	pos  int
	err  error
}

// NewReader returns a Reader over data, which the Reader does not change and
// the caller must not change while slices of it are in use.
func NewReader(data []byte) *Reader { return &Reader{data: data} }

// ReadChecked checks data and returns a Reader over it. If the check fails the
// Reader holds its error.
func ReadChecked(data []byte, lim Limits) *Reader {
	return &Reader{data: data, err: Check(data, lim)}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Fail records err unless there is one already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Failf records an error wrapping [ErrInvalid].
func (r *Reader) Failf(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
}

// In puts where in front of an error recorded since, for the path in a
// message: call it after reading a member.
func (r *Reader) In(where string) {
	if r.err != nil {
		r.err = fmt.Errorf("%s: %w", where, r.err)
	}
}

// Done records [ErrTrailing] if anything is left and returns the first error.
func (r *Reader) Done() error {
	if r.err == nil && r.pos != len(r.data) {
		r.err = fmt.Errorf("%w: %d of %d bytes read", ErrTrailing, r.pos, len(r.data))
	}
	return r.err
}

// Offset is where in the input the next item starts.
func (r *Reader) Offset() int { return r.pos }

// Kind is the kind of the next item.
func (r *Reader) Kind() Kind {
	if r.err != nil || r.pos >= len(r.data) {
		return KindNone
	}
	b := r.data[r.pos]
	switch b >> 5 {
	case majorOther:
		switch b {
		case 0xf4, 0xf5:
			return KindBool
		case 0xf6:
			return KindNull
		case 0xf9, 0xfa, 0xfb:
			return KindFloat
		case breakByte:
			return KindNone
		}
		return KindOther
	}
	return KindUint + Kind(b>>5)
}

// head takes the next head if it is of the given major type. Most heads are
// one or two bytes long and read here without the general case.
func (r *Reader) head(major byte, want string) (head, bool) {
	if r.err != nil {
		return head{}, false
	}
	if rest := r.data[r.pos:]; len(rest) > 1 {
		switch info := rest[0] - major<<5; {
		case info < 24:
			r.pos++
			return head{arg: uint64(info), major: major, info: info}, true
		case info == 24:
			r.pos += 2
			return head{arg: uint64(rest[1]), major: major, info: info}, true
		}
	}
	h, pos, err := parseHead(r.data, r.pos)
	if err != nil {
		r.err = err
		return h, false
	}
	if h.major != major {
		r.err = fmt.Errorf("%w: %s at byte %d, not %s", ErrType, r.Kind(), r.pos, want)
		return h, false
	}
	r.pos = pos
	return h, true
}

// Uint takes an unsigned integer.
func (r *Reader) Uint() uint64 {
	h, _ := r.head(majorUint, "unsigned integer")
	return h.arg
}

// Int takes an integer that fits an int64.
func (r *Reader) Int() int64 {
	if r.Kind() == KindNegInt {
		h, ok := r.head(majorNeg, "integer")
		if ok && h.arg > math.MaxInt64 {
			r.Fail(fmt.Errorf("%w: integer below the range of 64 bits at byte %d", ErrType, r.pos))
			return 0
		}
		return -1 - int64(h.arg)
	}
	h, ok := r.head(majorUint, "integer")
	if ok && h.arg > math.MaxInt64 {
		r.Fail(fmt.Errorf("%w: integer above the range of 63 bits at byte %d", ErrType, r.pos))
		return 0
	}
	return int64(h.arg)
}

// Bytes takes a byte string. The slice aliases the input unless the string
// came in chunks.
func (r *Reader) Bytes() []byte { return r.str(majorBytes, "byte string") }

// TextBytes takes a text string as bytes: a parser's switch over
// string(r.TextBytes()) does not allocate.
func (r *Reader) TextBytes() []byte { return r.str(majorText, "text") }

// Text takes a text string.
func (r *Reader) Text() string { return string(r.TextBytes()) }

func (r *Reader) str(major byte, want string) []byte {
	h, ok := r.head(major, want)
	if !ok {
		return nil
	}
	if h.indefinite {
		start := r.pos
		s := scanner{data: r.data, pos: r.pos, items: math.MaxInt}
		if err := s.str(h, start); err != nil {
			r.err = err
			return nil
		}
		r.pos = s.pos
		return joinChunks(r.data[start:s.pos])
	}
	if h.arg > uint64(len(r.data)-r.pos) {
		r.err = fmt.Errorf("%w: string of %d bytes at byte %d", ErrTruncated, h.arg, r.pos)
		return nil
	}
	b := r.data[r.pos : r.pos+int(h.arg) : r.pos+int(h.arg)]
	r.pos += int(h.arg)
	if major == majorText && !utf8.Valid(b) {
		r.err = fmt.Errorf("%w: text that is not UTF-8 before byte %d", ErrInvalid, r.pos)
		return nil
	}
	return b
}

// Bool takes a boolean.
func (r *Reader) Bool() bool {
	if r.Kind() != KindBool {
		r.wrongKind("boolean")
		return false
	}
	v := r.data[r.pos] == 0xf5
	r.pos++
	return v
}

// Null takes a null if that is next and reports whether it was.
func (r *Reader) Null() bool {
	if r.Kind() != KindNull {
		return false
	}
	r.pos++
	return true
}

// Tag takes the head of the given tag; its content is the next item.
func (r *Reader) Tag(tag uint64) {
	h, ok := r.head(majorTag, "tag")
	if ok && h.arg != tag {
		r.Fail(fmt.Errorf("%w: tag %d, not %d", ErrType, h.arg, tag))
	}
}

// AnyTag takes the head of whatever tag is next.
func (r *Reader) AnyTag() uint64 {
	h, _ := r.head(majorTag, "tag")
	return h.arg
}

// Array takes an array and calls item before each of its items with the index;
// item takes exactly that item.
func (r *Reader) Array(item func(i int)) {
	h, ok := r.head(majorArray, "array")
	if !ok {
		return
	}
	for i := 0; r.err == nil && (h.indefinite || uint64(i) < h.arg); i++ {
		if h.indefinite && r.atBreak() {
			return
		}
		start := r.pos
		item(i)
		r.mustMove(start)
	}
}

// ArrayOf takes the head of a definite-length array of exactly n items, for
// structures such as COSE_Sign1 whose items are then read in a row.
func (r *Reader) ArrayOf(n int) {
	h, ok := r.head(majorArray, "array")
	if ok && (h.indefinite || h.arg != uint64(n)) {
		r.Failf("array of %d items, not %d", h.arg, n)
	}
}

// Map takes a map and calls pair before each pair; pair takes the key and then
// the value.
func (r *Reader) Map(pair func()) {
	h, ok := r.head(majorMap, "map")
	if !ok {
		return
	}
	for i := uint64(0); r.err == nil && (h.indefinite || i < h.arg); i++ {
		if h.indefinite && r.atBreak() {
			return
		}
		start := r.pos
		pair()
		r.mustMove(start)
	}
}

// Len is the number of items or pairs in the next array or map without taking
// it, or -1 if its length is indefinite.
func (r *Reader) Len() int {
	if k := r.Kind(); k != KindArray && k != KindMap {
		r.wrongKind("array or map")
		return 0
	}
	h, _, err := parseHead(r.data, r.pos)
	if err != nil || h.indefinite || h.arg > uint64(len(r.data)) {
		return -1
	}
	return int(h.arg)
}

func (r *Reader) atBreak() bool {
	if r.pos < len(r.data) && r.data[r.pos] == breakByte {
		r.pos++
		return true
	}
	return false
}

// mustMove guards against a callback that takes nothing, which would loop over
// one item for ever in an array whose count is hostile.
func (r *Reader) mustMove(start int) {
	if r.err == nil && r.pos == start {
		r.err = fmt.Errorf("%w: item at byte %d was not read", ErrType, start)
	}
}

// Raw takes the next item, whatever it is, as its bytes. They alias the input.
func (r *Reader) Raw() []byte {
	start := r.pos
	r.Skip()
	if r.err != nil {
		return nil
	}
	return r.data[start:r.pos:r.pos]
}

// Check holds the next item to the rules of the function [Check] without taking
// it, and returns the offset behind it. It is for a Reader over bytes that have
// not been checked as a whole. Limits.Size is that of the item.
func (r *Reader) Check(lim Limits) (end int) {
	lim = lim.withDefaults()
	if r.err == nil && len(r.data) > math.MaxInt32 {
		r.err = fmt.Errorf("%w: %d bytes", ErrTooLarge, len(r.data))
	}
	if r.err != nil {
		return r.pos
	}
	s := scanner{data: r.data, pos: r.pos, depth: lim.Depth, items: lim.Items}
	if r.err = s.item(); r.err == nil && s.pos-r.pos > lim.Size {
		r.err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, s.pos-r.pos, lim.Size)
	}
	return s.pos
}

// Skip takes the next item and forgets it.
func (r *Reader) Skip() {
	if r.err != nil {
		return
	}
	end, err := skip(r.data, r.pos, 0)
	if err != nil {
		r.err = err
		return
	}
	r.pos = end
}

// maxSkipDepth bounds skip's recursion for readers over unchecked bytes.
const maxSkipDepth = 128

// skip returns the offset behind the item at pos. It does not look for
// duplicate keys or bad text: Check did. It counts the items that are left
// instead of descending, but for those of indefinite length.
func skip(data []byte, pos, depth int) (int, error) {
	for left := 1; left > 0; left-- {
		h, p, err := parseHead(data, pos)
		if err != nil {
			return pos, err
		}
		switch {
		case h.indefinite:
			if p, err = skipToBreak(data, p, depth+1); err != nil {
				return pos, err
			}
		case h.major < majorBytes || h.major == majorOther:
		case h.major == majorTag:
			left++
		case h.arg > uint64(len(data)-p): // no item is shorter than a byte
			return pos, fmt.Errorf("%w: length %d at byte %d", ErrTruncated, h.arg, pos)
		case h.major == majorArray:
			left += int(h.arg)
		case h.major == majorMap:
			left += 2 * int(h.arg)
		default:
			p += int(h.arg)
		}
		pos = p
	}
	return pos, nil
}

// skipToBreak returns the offset behind the break that ends the items at pos.
func skipToBreak(data []byte, pos, depth int) (int, error) {
	if depth > maxSkipDepth {
		return pos, fmt.Errorf("%w at byte %d", ErrTooDeep, pos)
	}
	for pos >= len(data) || data[pos] != breakByte {
		var err error
		if pos, err = skip(data, pos, depth); err != nil {
			return pos, err
		}
	}
	return pos + 1, nil
}

// Embedded takes #6.24(bstr .cbor any) and returns the whole tagged item and
// the bytes inside, which have not been checked yet. Both alias the input.
func (r *Reader) Embedded() (raw, inner []byte) {
	start := r.pos
	r.Tag(TagEmbedded)
	inner = r.Bytes()
	if r.err != nil {
		return nil, nil
	}
	return r.data[start:r.pos:r.pos], inner
}

func (r *Reader) wrongKind(want string) {
	if r.err != nil {
		return
	}
	if r.pos >= len(r.data) {
		r.err = fmt.Errorf("%w at byte %d, expecting %s", ErrTruncated, r.pos, want)
		return
	}
	r.err = fmt.Errorf("%w: %s at byte %d, not %s", ErrType, r.Kind(), r.pos, want)
}
