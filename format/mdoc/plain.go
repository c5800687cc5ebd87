package mdoc

import (
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/cbor"
)

// What most issuers write can be read in a straight line: the four members of
// an IssuerSignedItem in the order of the CDDL, heads as short as they can be,
// values that are text, bytes or a small number. A stored document has tens of
// items, and this path is what keeps presenting one about as cheap as the
// signature in it.

// The keys of an IssuerSignedItem in the order of the CDDL, encoded.
const (
	itemDigestID = "\xa4\x68digestID"
	itemRandom   = "\x66random"
	itemID       = "\x71elementIdentifier"
	itemValue    = "\x6celementValue"
)

// digestID has to be smaller than 2^31 (ISO/IEC 18013-5:2021, 9.1.2.4), and so
// are ours. Software in the field draws 32 random bits; it is only an index, so
// those are read, and [Verify] warns.
const (
	maxDigestID     = 1<<31 - 1
	maxReadDigestID = 1<<32 - 1
)

// The major types that plain items have, as the upper bits of a head.
const (
	headUint  = 0x00
	headBytes = 0x40
	headText  = 0x60
)

// plainItem parses what is inside an IssuerSignedItemBytes if it has the plain
// form. Its keys cannot be duplicate. Where anything differs it reports false:
// [parser.item] then looks again and says what is wrong, if anything is.
// It returns the elementIdentifier as a window into inner, and whether the
// item is wanted: of one that is not, the value is passed over.
func (p *parser) plainItem(it *IssuerSignedItem, nameSpace string, inner []byte) (id []byte, wanted, ok bool) {
	b, ok := after(inner, itemDigestID)
	if !ok {
		return nil, false, false
	}
	digestID, b, ok := argument(b, headUint)
	if !ok || digestID > maxReadDigestID {
		return nil, false, false
	}
	if b, ok = after(b, itemRandom); !ok {
		return nil, false, false
	}
	random, b, ok := stringOf(b, headBytes)
	if !ok {
		return nil, false, false
	}
	if b, ok = after(b, itemID); !ok {
		return nil, false, false
	}
	id, b, ok = stringOf(b, headText)
	if !ok || len(id) == 0 || !utf8.Valid(id) {
		return nil, false, false
	}
	if !p.keeps(nameSpace, id) {
		return id, false, true
	}
	if b, ok = after(b, itemValue); !ok || !p.validValue(b) {
		return nil, false, false
	}
	it.DigestID, it.Random, it.Value = digestID, random, b
	return id, true, true
}

// validValue reports whether b is exactly one valid item.
func (p *parser) validValue(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] & 0xe0 {
	case headBytes:
		_, rest, ok := stringOf(b, headBytes)
		if ok {
			return len(rest) == 0
		}
	case headText:
		s, rest, ok := stringOf(b, headText)
		if ok {
			return len(rest) == 0 && utf8.Valid(s)
		}
	}
	return cbor.Check(b, p.limits()) == nil
}

// after returns what follows the prefix.
func after(b []byte, prefix string) (rest []byte, ok bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}
	return b[len(prefix):], true
}

// argument reads a head of the given major type with an argument below 2^32.
func argument(b []byte, major byte) (arg uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0xe0 != major {
		return 0, nil, false
	}
	switch info := b[0] & 0x1f; {
	case info < 24:
		return uint64(info), b[1:], true
	case info == 24 && len(b) >= 2:
		return uint64(b[1]), b[2:], true
	case info == 25 && len(b) >= 3:
		return uint64(b[1])<<8 | uint64(b[2]), b[3:], true
	case info == 26 && len(b) >= 5:
		return uint64(b[1])<<24 | uint64(b[2])<<16 | uint64(b[3])<<8 | uint64(b[4]), b[5:], true
	}
	return 0, nil, false
}

// stringOf reads a byte or text string of definite length.
func stringOf(b []byte, major byte) (s, rest []byte, ok bool) {
	n, b, ok := argument(b, major)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}
