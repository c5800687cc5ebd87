package statuslist

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// PollAfter is how old a Board's knowledge of what other processes have
	// published may get before a request asks the store.
	PollAfter = 30 * time.Second

	// A request that is not answered from memory may ask the store if none has
	// for pollEvery; pollBurst may do so in a row.
	pollEvery = time.Second
	pollBurst = 16

	// maxShelf bounds the bytes of tokens in memory. Beyond it one is forgotten
	// for each that comes, and costs a query when it is asked for again.
	maxShelf = 128 << 20
)

// edition is a published list by the name that ends its address.
type edition struct {
	name    string
	list    string // List.ID
	version int64  // that it shows
	*Published
}

// shelf is what a process has in memory: the states of all lists, and editions
// of those that were asked for. An edition is the newest that its state tells
// of. It may be used concurrently.
type shelf struct {
	mu       sync.Mutex
	lists    map[string]state   // by id
	editions map[string]edition // by name
	size     int                // of the editions, bytes

	read  time.Time // when the store was last asked for all states
	asked time.Time // since when spare has not grown
	spare int       // requests that may ask
}

func newShelf() shelf {
	return shelf{lists: map[string]state{}, editions: map[string]edition{}}
}

// found is what there is of a name.
type found struct {
	state
	known     bool       // the list is
	fresh     bool       // PollAfter is not over
	published *Published // nil if there is none, or it has expired
}

// look finds a list.
func (s *shelf) look(list, name string, now time.Time) (at found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at.state, at.known = s.lists[list]
	at.fresh = now.Before(s.read.Add(PollAfter))
	if e, ok := s.editions[name]; ok && e.Expires.After(now) {
		at.published = e.Published
	}
	return at
}

// allow takes one of the polls that requests may make.
func (s *shelf) allow(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gained := now.Sub(s.asked) / pollEvery; gained > 0 {
		s.spare, s.asked = int(min(pollBurst, time.Duration(s.spare)+gained)), now
	}
	if s.spare == 0 {
		return false
	}
	s.spare--
	return true
}

// polled notes when the store was asked for all states.
func (s *shelf) polled(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = now
}

// put notes what was read from the store, unless something later is known.
func (s *shelf) put(states []state, editions []edition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, new := range states {
		if old, ok := s.lists[new.ID]; !ok || new.later(old) {
			s.lists[new.ID] = new
		}
	}
	for _, e := range editions {
		old, ok := s.editions[e.name]
		if ok && (old.version > e.version || old.version == e.version && !e.Issued.After(old.Issued)) {
			continue
		}
		s.forget(e.name)
		for other := range s.editions { // whichever comes first
			if s.size+e.bytes() <= maxShelf {
				break
			}
			s.forget(other)
		}
		s.editions[e.name] = e
		s.size += e.bytes()
	}
}

func (s *shelf) forget(name string) {
	if e, ok := s.editions[name]; ok {
		s.size -= e.bytes()
		delete(s.editions, name)
	}
}

func (e edition) bytes() int { return len(e.JWT) + len(e.CWT) }

// versions returns the editions at hand, by list and name.
func (s *shelf) versions() map[string]map[string]edition {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]map[string]edition{}
	for name, e := range s.editions {
		if all[e.list] == nil {
			all[e.list] = map[string]edition{}
		}
		all[e.list][name] = e
	}
	return all
}

// ids returns all lists, in no order. The result is not nil.
func (s *shelf) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.AppendSeq(make([]string, 0, len(s.lists)), maps.Keys(s.lists))
}

// due returns the lists that have to be signed.
func (s *shelf) due(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id, list := range s.lists {
		if list.due(now) {
			ids = append(ids, id)
		}
	}
	return ids
}
