package hammer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Class is a part of a CPU profile: what was sampled in or below the functions
// whose names begin with one of the prefixes.
type Class struct {
	Name     string   `json:"name"`
	Prefixes []string `json:"functions"`
}

// Shares reads a CPU profile as runtime/pprof writes it and returns the number
// of samples in all and by class. A sample counts once, for the class of the
// outermost function that is in any; of two classes that have the same function
// the earlier one gets it.
func Shares(written []byte, classes []Class) (total int64, byClass []int64, err error) {
	zr, err := gzip.NewReader(bytes.NewReader(written))
	if err != nil {
		return 0, nil, fmt.Errorf("CPU profile: %w", err)
	}
	raw, err := io.ReadAll(zr)
	if err != nil {
		return 0, nil, fmt.Errorf("CPU profile: %w", err)
	}
	var p profile
	if err := p.read(raw); err != nil {
		return 0, nil, fmt.Errorf("CPU profile: %w", err)
	}
	of := p.classify(classes)
	byClass = make([]int64, len(classes))
	for _, s := range p.samples {
		total += s.count
	outermost:
		for i := len(s.locations) - 1; i >= 0; i-- {
			functions := p.locations[s.locations[i]]
			for j := len(functions) - 1; j >= 0; j-- { // those inlined come first
				if c, ok := of[functions[j]]; ok {
					byClass[c] += s.count
					break outermost
				}
			}
		}
	}
	return total, byClass, nil
}

// profile is what is needed here of the message Profile in profile.proto of
// github.com/google/pprof.
type profile struct {
	samples   []sample
	locations map[uint64][]uint64 // id to the ids of its functions, the innermost first
	functions map[uint64]uint64   // id to the index of its name
	strings   []string
}

type sample struct {
	locations []uint64 // the innermost first
	count     int64
}

func (p *profile) classify(classes []Class) map[uint64]int {
	of := map[uint64]int{}
	for id, at := range p.functions {
		if at >= uint64(len(p.strings)) {
			continue
		}
		for i, c := range classes {
			if hasPrefix(p.strings[at], c.Prefixes) {
				of[id] = i
				break
			}
		}
	}
	return of
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func (p *profile) read(data []byte) error {
	p.locations, p.functions = map[uint64][]uint64{}, map[uint64]uint64{}
	return fields(data, func(number uint64, n uint64, b []byte) error {
		switch number {
		case 2:
			return p.sample(b)
		case 4:
			return p.location(b)
		case 5:
			var id, name uint64
			err := fields(b, func(number, n uint64, _ []byte) error {
				switch number {
				case 1:
					id = n
				case 2:
					name = n
				}
				return nil
			})
			p.functions[id] = name
			return err
		case 6:
			p.strings = append(p.strings, string(b))
		}
		return nil
	})
}

// sample takes the first value of a sample: how often it was seen.
func (p *profile) sample(data []byte) error {
	var s sample
	var values []uint64
	err := fields(data, func(number, n uint64, b []byte) (err error) {
		switch number {
		case 1:
			s.locations, err = repeated(s.locations, n, b)
		case 2:
			values, err = repeated(values, n, b)
		}
		return err
	})
	if err == nil && len(values) == 0 {
		err = errors.New("sample without a value")
	}
	if err != nil {
		return err
	}
	s.count = int64(values[0])
	p.samples = append(p.samples, s)
	return nil
}

func (p *profile) location(data []byte) error {
	var id uint64
	var functions []uint64
	err := fields(data, func(number, n uint64, b []byte) error {
		switch number {
		case 1:
			id = n
		case 4: // Line
			return fields(b, func(number, n uint64, _ []byte) error {
				if number == 1 {
					functions = append(functions, n)
				}
				return nil
			})
		}
		return nil
	})
	p.locations[id] = functions
	return err
}

var errProto = errors.New("malformed protocol buffer")

// fields calls f for each field of a message: with the number n of a varint, or
// the bytes b of what has a length.
func fields(data []byte, f func(number, n uint64, b []byte) error) error {
	for len(data) > 0 {
		key, size := binary.Uvarint(data)
		if size <= 0 {
			return errProto
		}
		data = data[size:]
		n, size := uint64(0), 0
		var b []byte
		switch key & 7 {
		case 0:
			if n, size = binary.Uvarint(data); size <= 0 {
				return errProto
			}
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			length, head := binary.Uvarint(data)
			if head <= 0 || length > uint64(len(data)-head) {
				return errProto
			}
			size = head + int(length)
			b = data[head:size:size]
		default:
			return errProto
		}
		if size > len(data) {
			return errProto
		}
		data = data[size:]
		if err := f(key>>3, n, b); err != nil {
			return err
		}
	}
	return nil
}

// repeated appends the numbers of a repeated field, packed or not.
func repeated(list []uint64, n uint64, packed []byte) ([]uint64, error) {
	if packed == nil {
		return append(list, n), nil
	}
	for len(packed) > 0 {
		n, size := binary.Uvarint(packed)
		if size <= 0 {
			return nil, errProto
		}
		list, packed = append(list, n), packed[size:]
	}
	return list, nil
}
