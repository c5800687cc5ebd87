package statuslist

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	random "math/rand/v2"
	"sync"
)

const (
	// DefaultSize is how many entries a list has: 16 KiB at one bit, into
	// which many documents go, so that an index says little.
	DefaultSize = 1 << 17

	// maxListBits is how large a list may be so that its tokens can be read
	// however many of its documents are revoked.
	maxListBits = 1 << 24

	// A block is how many indexes are taken from storage at a time: a 256th of
	// a list, but no fewer than blockSize. What a process has not handed out
	// when it ends is lost.
	blockSize  = 512
	blockShare = 256

	// maxTake is the most indexes of one call, far above any batch.
	maxTake = 4096

	maxTries = 16 // to get something of a new list
)

// ErrFull is what a Store answers when the open list of a pool has no position
// left or there is none.
var ErrFull = errors.New("no open status list with positions left")

// Seed decides the order in which the indexes of a list are handed out. Whoever
// knows it can tell in which order documents were issued, so it stays with the
// store.
type Seed [32]byte

// LogValue keeps the seed out of logs.
func (Seed) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String keeps the seed out of messages.
func (Seed) String() string { return "[redacted]" }

// GoString keeps the seed out of messages.
func (Seed) GoString() string { return "[redacted]" }

// List is a list as storage keeps it.
type List struct {
	ID          string // 22 characters of base64url, random; ends the list's URI
	Bits        int    // 1, 2, 4 or 8
	Size        int    // number of entries
	Identifiers bool   `json:",omitempty"` // its documents also stand in an identifier list
	Seed        Seed
}

// identifier returns the identifier of a document: pseudo-random under the
// seed, so that it need not be stored to be found again.
func (l List) identifier(index uint64) (id [16]byte) {
	mac := hmac.New(sha256.New, l.Seed[:])
	mac.Write(binary.BigEndian.AppendUint64([]byte("identifier"), index))
	copy(id[:], mac.Sum(nil))
	return id
}

// Pool names the documents that share lists. All documents of a pool look
// alike to a reader of its lists; fewer pools hide more.
type Pool struct {
	Tenant string
	Name   string
	Bits   int // of its lists: 1 for what can only be revoked, 2 for what can be suspended

	// Identifiers asks for an identifier list beside each list, for documents
	// that refer to one: ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
	Identifiers bool
}

// Store keeps, for each tenant and pool, lists and a mark in the open one. Both
// methods run in a transaction of their own, and may retry it: callers do not
// hold one open.
type Store interface {
	// TakePositions atomically moves the mark of the pool's open list forward
	// by n, or by what is left if that is less, and returns the list and the
	// positions first to first+count-1 that were passed over. No position is
	// ever given twice. It returns ErrFull if none is left or there is no list.
	TakePositions(ctx context.Context, pool Pool, n int) (list List, first, count int, err error)

	// CreateList makes list, with its mark at zero, the pool's open list. If
	// the open list has positions left, because another process was faster, it
	// does nothing. The old list stays published.
	CreateList(ctx context.Context, pool Pool, list List) error
}

// Entry is the place of one document.
type Entry struct {
	List       string // List.ID
	Index      uint64
	Identifier [16]byte // in the identifier list; zero unless the pool has them
}

// Allocator hands out entries. Indexes come in a shuffled order that outsiders
// cannot predict, so those of one batch look unrelated, and are given once
// only, also with several processes on one store. It is safe for concurrent use.
//
// Token Status List, 13.2 and 13.3; ISO/IEC 18013-5 second edition (draft v4),
// E.9.5.
type Allocator struct {
	store Store
	size  int

	mu    sync.Mutex
	pools map[Pool]*supply
}

// supply is the rest of a block. Its lock is held while a block is fetched, so
// that a burst fetches one.
type supply struct {
	mu   sync.Mutex
	list List
	left []uint32
}

// NewAllocator returns an Allocator of new lists with size entries, DefaultSize
// if zero. Lists have at most 2^24 bits, and with identifiers 2^17 entries: no
// more may be in a token that readers accept once all of them are revoked.
func NewAllocator(store Store, size int) *Allocator {
	if size <= 0 {
		size = DefaultSize
	}
	return &Allocator{store: store, size: size, pools: map[Pool]*supply{}}
}

// Take returns n entries of a pool, 1 to 4096. Entries of a failed call, and
// those whose document is not issued after all, are lost, which is harmless:
// an unused entry looks like a valid document. Call it before opening the
// transaction that records them.
func (a *Allocator) Take(ctx context.Context, pool Pool, n int) ([]Entry, error) {
	if n < 1 || n > maxTake {
		return nil, fmt.Errorf("status lists: %d entries asked for, not 1 to %d", n, maxTake)
	}
	switch pool.Bits {
	case 1, 2, 4, 8:
	default:
		return nil, fmt.Errorf("status lists: pool %s has entries of %d bits, not 1, 2, 4 or 8 (Token Status List, 4.1)", pool.Name, pool.Bits)
	}
	a.mu.Lock()
	s := a.pools[pool]
	if s == nil {
		s = &supply{}
		a.pools[pool] = s
	}
	a.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Entry, 0, n)
	for len(out) < n {
		if len(s.left) == 0 {
			if err := a.refill(ctx, pool, s, max(blockSize, a.size/blockShare, n-len(out))); err != nil {
				return nil, fmt.Errorf("status lists: %w", err)
			}
		}
		take := min(n-len(out), len(s.left))
		for _, index := range s.left[:take] {
			e := Entry{List: s.list.ID, Index: uint64(index)}
			if s.list.Identifiers {
				e.Identifier = s.list.identifier(e.Index)
			}
			out = append(out, e)
		}
		s.left = s.left[take:]
	}
	return out, nil
}

// refill fetches a block, from a new list if the open one is full.
func (a *Allocator) refill(ctx context.Context, pool Pool, s *supply, n int) error {
	list, first, count, err := a.store.TakePositions(ctx, pool, n)
	for tries := 0; errors.Is(err, ErrFull) && tries < maxTries; tries++ { // others may empty the new list before us
		fresh := List{ID: newID(), Bits: pool.Bits, Size: min(a.size, maxListBits/pool.Bits), Identifiers: pool.Identifiers}
		if pool.Identifiers {
			fresh.Size = min(fresh.Size, DefaultSize)
		}
		rand.Read(fresh.Seed[:])
		if err := a.store.CreateList(ctx, pool, fresh); err != nil {
			return fmt.Errorf("creating a list: %w", err)
		}
		list, first, count, err = a.store.TakePositions(ctx, pool, n)
	}
	if err != nil {
		return fmt.Errorf("taking positions: %w", err)
	}
	if first < 0 || count < 1 || first+count > list.Size {
		return fmt.Errorf("store gave positions %d to %d of a list of %d", first, first+count, list.Size)
	}
	s.list, s.left = list, shuffled(list, first, count)
	return nil
}

// newID is 16 random bytes: a reader of the list learns nothing from its name,
// not even how many there are.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isID reports whether newID may have made it.
func isID(id string) bool {
	var b [16]byte
	if len(id) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(id))
	return err == nil && n == len(b) // fewer if line breaks were skipped
}

// shuffled returns the indexes at some positions of the shuffled list. The
// order is that of a Fisher-Yates shuffle drawn from ChaCha8, a generator fit
// for secrets and fixed by its specification, so every process and release
// finds the same.
func shuffled(list List, first, count int) []uint32 {
	order := make([]uint32, list.Size)
	for i := range order {
		order[i] = uint32(i)
	}
	source := random.NewChaCha8(list.Seed)
	// Drawn from the front, the first positions are final after the first
	// steps: those up to the block suffice.
	for i := range first + count {
		j := i + below(source, list.Size-i)
		order[i], order[j] = order[j], order[i]
	}
	return append([]uint32(nil), order[first:first+count]...)
}

// below draws uniformly from 0 to n-1, n ≤ 2^31, by refusing the draws that
// would favour some results.
func below(source *random.ChaCha8, n int) int {
	limit := ^uint32(0) - ^uint32(0)%uint32(n)
	for {
		var b [4]byte
		source.Read(b[:]) // never fails
		if v := binary.LittleEndian.Uint32(b[:]); v < limit {
			return int(v % uint32(n))
		}
	}
}
