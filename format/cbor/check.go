package cbor

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"
)

// Major types and the additional information values that matter here.
//
// RFC 8949, 3.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
	majorOther = 7

	infoIndefinite = 31
	breakByte      = 0xff
)

// Tags that this package knows the content of.
const (
	TagDateTime = 0    // RFC 3339 text
	TagBignum   = 2    // unsigned bignum
	TagEmbedded = 24   // encoded CBOR data item
	TagFullDate = 1004 // RFC 8943 YYYY-MM-DD
)

// Check reports whether data is exactly one well-formed and valid item within
// lim: no trailing bytes, no duplicate map keys (compared by value, so 1 and a
// longer encoding of 1 are the same), valid UTF-8, tags 0, 24 and 1004 over
// the type they need. Encodings longer than necessary and indefinite lengths
// are accepted: deployed peers send them, and bytes are kept as received.
//
// The content of byte strings is not looked into, also under tag 24: check it
// when it is opened.
//
// RFC 8949, 5.3 and 5.6.
func Check(data []byte, lim Limits) error {
	lim = lim.withDefaults()
	if len(data) > min(lim.Size, math.MaxInt32) {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), lim.Size)
	}
	s := scanner{data: data, depth: lim.Depth, items: lim.Items}
	if err := s.item(); err != nil {
		return err
	}
	if s.pos != len(data) {
		return fmt.Errorf("%w: %d of %d bytes read", ErrTrailing, s.pos, len(data))
	}
	return nil
}

// scanner walks one item. depth and items count down.
type scanner struct {
	data  []byte
	pos   int
	depth int
	items int
}

// head is the start of an item: major type, argument, and whether the length
// is indefinite.
type head struct {
	major      byte
	info       byte
	arg        uint64
	indefinite bool
}

// parseHead reads the head of the item at data[pos:] and returns the offset
// behind it.
func parseHead(data []byte, pos int) (head, int, error) {
	if pos >= len(data) {
		return head{}, pos, fmt.Errorf("%w at byte %d", ErrTruncated, pos)
	}
	b := data[pos]
	h := head{major: b >> 5, info: b & 0x1f}
	pos++
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
		return h, pos, nil
	case h.info <= 27:
		n := 1 << (h.info - 24)
		if len(data)-pos < n {
			return h, pos, fmt.Errorf("%w at byte %d", ErrTruncated, pos)
		}
		for _, c := range data[pos : pos+n] {
			h.arg = h.arg<<8 | uint64(c)
		}
		return h, pos + n, nil
	case h.info == infoIndefinite && h.major >= majorBytes && h.major <= majorMap:
		h.indefinite = true
		return h, pos, nil
	}
	return h, pos, fmt.Errorf("%w: head 0x%02x at byte %d", ErrMalformed, b, pos-1)
}

// item walks the item at s.pos.
func (s *scanner) item() error {
	if s.items--; s.items < 0 {
		return fmt.Errorf("%w at byte %d", ErrTooMany, s.pos)
	}
	start := s.pos
	h, pos, err := parseHead(s.data, s.pos)
	if err != nil {
		return err
	}
	s.pos = pos
	switch h.major {
	case majorUint, majorNeg:
		return nil
	case majorBytes, majorText:
		return s.str(h, start)
	case majorArray, majorMap, majorTag:
		if s.depth--; s.depth < 0 {
			return fmt.Errorf("%w at byte %d", ErrTooDeep, start)
		}
		switch h.major {
		case majorArray:
			err = s.array(h)
		case majorMap:
			err = s.pairs(h)
		default:
			err = s.tag(h, start)
		}
		s.depth++
		return err
	}
	if h.info == 24 && h.arg < 32 {
		return fmt.Errorf("%w: simple value %d in two bytes at byte %d", ErrMalformed, h.arg, start)
	}
	return nil
}

// str walks the content of a byte or text string.
func (s *scanner) str(h head, start int) error {
	if !h.indefinite {
		return s.chunk(h, start)
	}
	for {
		if s.pos < len(s.data) && s.data[s.pos] == breakByte {
			s.pos++
			return nil
		}
		at := s.pos
		c, pos, err := parseHead(s.data, s.pos)
		if err != nil {
			return err
		}
		if c.major != h.major || c.indefinite {
			return fmt.Errorf("%w: chunk of another type at byte %d", ErrMalformed, at)
		}
		if s.items--; s.items < 0 {
			return fmt.Errorf("%w at byte %d", ErrTooMany, at)
		}
		s.pos = pos
		if err := s.chunk(c, at); err != nil {
			return err
		}
	}
}

func (s *scanner) chunk(h head, start int) error {
	if h.arg > uint64(len(s.data)-s.pos) {
		return fmt.Errorf("%w: string of %d bytes at byte %d", ErrTruncated, h.arg, start)
	}
	end := s.pos + int(h.arg)
	if h.major == majorText && !utf8.Valid(s.data[s.pos:end]) {
		return fmt.Errorf("%w: text that is not UTF-8 at byte %d", ErrInvalid, start)
	}
	s.pos = end
	return nil
}

func (s *scanner) array(h head) error {
	if !h.indefinite && h.arg > uint64(len(s.data)-s.pos) {
		return fmt.Errorf("%w: array of %d items at byte %d", ErrTruncated, h.arg, s.pos)
	}
	for i := uint64(0); h.indefinite || i < h.arg; i++ {
		if h.indefinite && s.atBreak() {
			return nil
		}
		if err := s.item(); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) atBreak() bool {
	if s.pos < len(s.data) && s.data[s.pos] == breakByte {
		s.pos++
		return true
	}
	return false
}

// linearKeys is up to how many keys of a map are compared one by one; beyond,
// a hash set takes over.
const linearKeys = 24

// pairs walks the pairs of a map and refuses a key that came before.
func (s *scanner) pairs(h head) error {
	if !h.indefinite && h.arg > uint64(len(s.data)-s.pos)/2 {
		return fmt.Errorf("%w: map of %d pairs at byte %d", ErrTruncated, h.arg, s.pos)
	}
	var few [linearKeys]span // where the keys so far are
	plain := true            // all in the shortest form: different bytes are different keys
	var many map[string]struct{}
	for i := uint64(0); h.indefinite || i < h.arg; i++ {
		if h.indefinite && s.atBreak() {
			return nil
		}
		start := s.pos
		if err := s.item(); err != nil {
			return err
		}
		raw := s.data[start:s.pos]
		plain = plain && shortest(raw)
		dup := false
		if i < linearKeys {
			for _, k := range few[:i] {
				other := s.data[k.from:k.to]
				dup = dup || bytes.Equal(raw, other) || !plain && newMapKey(raw).equal(newMapKey(other))
			}
			few[i] = span{int32(start), int32(s.pos)}
		} else {
			if many == nil {
				many = make(map[string]struct{}, 2*linearKeys)
				for _, k := range few {
					many[newMapKey(s.data[k.from:k.to]).String()] = struct{}{}
				}
			}
			n := len(many)
			many[newMapKey(raw).String()] = struct{}{}
			dup = len(many) == n
		}
		if dup {
			return fmt.Errorf("%w: pair %d at byte %d", ErrDuplicateKey, i+1, start)
		}
		if err := s.item(); err != nil {
			return err
		}
	}
	return nil
}

// span is a part of the input, which Check bounds to less than 2 GiB.
type span struct{ from, to int32 }

// shortest reports whether an item is an integer or a string of definite length
// whose head is as short as it can be.
func shortest(raw []byte) bool {
	h, n, err := parseHead(raw, 0)
	return err == nil && h.major <= majorText && !h.indefinite && n == HeadSize(h.arg)
}

// mapKey is a map key by value: integers and strings apart from how long
// their heads are.
type mapKey struct {
	major byte
	arg   uint64
	str   []byte
}

func newMapKey(raw []byte) mapKey {
	h, pos, err := parseHead(raw, 0)
	switch {
	case err != nil:
		return mapKey{major: 0xff, str: raw}
	case h.major <= majorNeg:
		return mapKey{major: h.major, arg: h.arg}
	case h.major <= majorText && !h.indefinite:
		return mapKey{major: h.major, str: raw[pos:]}
	case h.major <= majorText:
		return mapKey{major: h.major, str: joinChunks(raw[pos:])}
	}
	return mapKey{major: h.major, str: raw}
}

func (k mapKey) equal(o mapKey) bool {
	return k.major == o.major && k.arg == o.arg && bytes.Equal(k.str, o.str)
}

func (k mapKey) String() string {
	b := make([]byte, 0, 9+len(k.str))
	b = append(b, k.major, byte(k.arg>>56), byte(k.arg>>48), byte(k.arg>>40), byte(k.arg>>32),
		byte(k.arg>>24), byte(k.arg>>16), byte(k.arg>>8), byte(k.arg))
	return string(append(b, k.str...))
}

// joinChunks puts the chunks of a checked indefinite-length string together.
func joinChunks(chunks []byte) []byte {
	var out []byte
	for pos := 0; pos < len(chunks) && chunks[pos] != breakByte; {
		h, p, err := parseHead(chunks, pos)
		if err != nil || h.arg > uint64(len(chunks)-p) {
			return out
		}
		out = append(out, chunks[p:p+int(h.arg)]...)
		pos = p + int(h.arg)
	}
	return out
}

// tag walks the content of a tag and checks its type where the tag fixes it.
func (s *scanner) tag(h head, start int) error {
	if s.pos < len(s.data) {
		major := s.data[s.pos] >> 5
		switch h.arg {
		case TagDateTime, TagFullDate:
			if major != majorText {
				return fmt.Errorf("%w: tag %d not over text at byte %d", ErrInvalid, h.arg, start)
			}
		case TagEmbedded, TagBignum, TagBignum + 1:
			if major != majorBytes {
				return fmt.Errorf("%w: tag %d not over a byte string at byte %d", ErrInvalid, h.arg, start)
			}
		}
	}
	return s.item()
}
