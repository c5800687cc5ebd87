package mdoc

import (
	"crypto/sha256"
	"crypto/sha512"
)

// digestSize is the length of a digest in bytes, or 0 for an unknown algorithm.
//
// ISO/IEC 18013-5:2021, 9.1.2.5.
func digestSize(algorithm string) int {
	switch algorithm {
	case SHA256:
		return sha256.Size
	case SHA384:
		return sha512.Size384
	case SHA512:
		return sha512.Size
	}
	return 0
}

// sum writes the digest of data to dst, which has the size of the algorithm,
// without allocating.
func sum(algorithm string, dst, data []byte) {
	switch algorithm {
	case SHA256:
		d := sha256.Sum256(data)
		copy(dst, d[:])
	case SHA384:
		d := sha512.Sum384(data)
		copy(dst, d[:])
	case SHA512:
		d := sha512.Sum512(data)
		copy(dst, d[:])
	}
}

// digestIndex finds digests of one name space by identifier, and remembers which
// were found.
type digestIndex struct {
	digests []Digest
	sorted  bool // identifiers are 0, 1, 2, … as most issuers write them
	byID    map[uint64]int
	seen    []bool
}

func newDigestIndex(digests []Digest) digestIndex {
	x := digestIndex{digests: digests, seen: make([]bool, len(digests)), sorted: true}
	for i := range digests {
		if digests[i].ID != uint64(i) {
			x.sorted = false
			break
		}
	}
	if !x.sorted {
		x.byID = make(map[uint64]int, len(digests))
		for i := range digests {
			x.byID[digests[i].ID] = i
		}
	}
	return x
}

func (x *digestIndex) at(id uint64) (int, bool) {
	if x.sorted {
		return int(id), id < uint64(len(x.digests))
	}
	i, ok := x.byID[id]
	return i, ok
}

// find returns the digest, or nil.
func (x *digestIndex) find(id uint64) []byte {
	if i, ok := x.at(id); ok {
		return x.digests[i].Value
	}
	return nil
}

// used marks a digest and reports whether it was marked before.
func (x *digestIndex) used(id uint64) bool {
	i, ok := x.at(id)
	if !ok {
		return false
	}
	was := x.seen[i]
	x.seen[i] = true
	return was
}
