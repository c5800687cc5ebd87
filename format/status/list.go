package status

import (
	"errors"
	"fmt"
	"math/bits"
)

// Status is what a list says about one document.
//
// Token Status List, 7.1.
type Status uint8

// The registered values. 3 and 12 to 15 are application specific, all others
// are reserved.
const (
	Valid     Status = 0
	Invalid   Status = 1 // revoked, for good
	Suspended Status = 2 // may become valid again
)

// String returns the registered name, or the number in hexadecimal.
func (s Status) String() string {
	switch s {
	case Valid:
		return "VALID"
	case Invalid:
		return "INVALID"
	case Suspended:
		return "SUSPENDED"
	}
	return fmt.Sprintf("status 0x%02x", uint8(s))
}

// MaxListBytes limits the inflated size of a list: 2^27 documents at one bit.
const MaxListBytes = 16 << 20

// Errors that callers tell apart.
var (
	ErrMalformed  = errors.New("malformed status token")
	ErrRange      = errors.New("status index out of range")
	ErrTooLarge   = errors.New("status list too large")
	ErrUnverified = errors.New("status token used before its signature was verified")
)

// List is an array of statuses of 1, 2, 4 or 8 bits each, packed into bytes
// from the least significant bit. The zero List is empty and not usable; it is
// not safe for concurrent writing.
//
// Token Status List, 4.1.
type List struct {
	bits int
	data []byte
}

// NewList makes a list of size statuses, all Valid. The size is rounded up to
// fill the last byte.
func NewList(bitsPerStatus, size int) (*List, error) {
	if err := checkBits(bitsPerStatus); err != nil {
		return nil, err
	}
	perByte := 8 / bitsPerStatus
	if size < 1 || size > MaxListBytes*perByte {
		return nil, fmt.Errorf("%w: %d entries of %d bits", ErrTooLarge, size, bitsPerStatus)
	}
	return &List{bits: bitsPerStatus, data: make([]byte, (size+perByte-1)/perByte)}, nil
}

func checkBits(n int) error {
	switch n {
	case 1, 2, 4, 8:
		return nil
	}
	return fmt.Errorf("%w: bits is %d, not 1, 2, 4 or 8 (Token Status List, 4.1)", ErrMalformed, n)
}

// Bits returns the number of bits of each status.
func (l *List) Bits() int { return l.bits }

// Len returns the number of statuses.
func (l *List) Len() int { return len(l.data) * 8 / l.bits }

// Get returns the status at an index, or ErrRange.
func (l *List) Get(index uint64) (Status, error) {
	if index >= uint64(l.Len()) {
		return 0, fmt.Errorf("%w: index %d, the list has %d (Token Status List, 8.3)", ErrRange, index, l.Len())
	}
	at, shift := l.place(index)
	return Status(l.data[at] >> shift & l.mask()), nil
}

// Set changes the status at an index. It fails with ErrRange for an index the
// list does not have or a status that does not fit its bits.
func (l *List) Set(index uint64, s Status) error {
	if index >= uint64(l.Len()) {
		return fmt.Errorf("%w: index %d, the list has %d", ErrRange, index, l.Len())
	}
	if byte(s) > l.mask() {
		return fmt.Errorf("%w: %v does not fit %d bits", ErrRange, s, l.bits)
	}
	at, shift := l.place(index)
	l.data[at] = l.data[at]&^(l.mask()<<shift) | byte(s)<<shift
	return nil
}

// Count returns how many entries have the given status.
func (l *List) Count(s Status) int {
	if l.bits == 1 {
		ones := 0
		for _, b := range l.data {
			ones += bits.OnesCount8(b)
		}
		switch s {
		case Valid:
			return l.Len() - ones
		case Invalid:
			return ones
		}
		return 0
	}
	n := 0
	for _, b := range l.data {
		for shift := 0; shift < 8; shift += l.bits {
			if Status(b>>shift&l.mask()) == s {
				n++
			}
		}
	}
	return n
}

func (l *List) mask() byte { return byte(1<<l.bits - 1) }

func (l *List) place(index uint64) (at uint64, shift uint) {
	perByte := uint64(8 / l.bits)
	return index / perByte, uint(index%perByte) * uint(l.bits)
}
