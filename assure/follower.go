package assure

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
)

// Where a trust service publishes, below its base URL.
const (
	PathVICAL   = "/vical"   // issuing authorities, [trustlist.MediaTypeVICAL]
	PathAnchors = "/anchors" // all others, [trustlist.MediaTypeAnchors]
	PathCA      = "/ca.cer"  // the CA of the signers of both, DER
	PathRoots   = "/ca.pem"  // the same with its predecessors, and the links between them, PEM
)

// The defaults of a [Follower].
const (
	followEvery = time.Hour        // how old the lists may get before they are fetched again
	followPause = 10 * time.Second // the least time from one fetch to the next
	followRetry = time.Second / 4  // the least time after an attempt that failed
)

// FollowerConfig says whose lists are followed and where they are kept.
type FollowerConfig struct {
	// URL is the base URL of the trust service with its tenant. Empty follows
	// nobody: the anchors are Own alone.
	URL   string
	Fetch fetch.Func

	// Tx runs a function in one transaction of the role's store; the lists and
	// the pin are kept there and survive a restart.
	Tx func(ctx context.Context, f func(once.Store) error) error

	// Fingerprint is the SHA-256 of the trust service's CA certificate in hex.
	// Empty accepts the certificate found at first use. Either way the CA that
	// follows it is accepted over a link certificate that it has signed, and no
	// other.
	Fingerprint string

	// Own are anchors that do not come from lists.
	Own []Anchor

	// Every is how old the lists may get. Optional, one hour.
	Every time.Duration
}

// Follower keeps a set of anchors up to date with a trust service: its VICAL
// and its list of other anchors. Without a network it goes on with the copies
// it stored, for as long as those are valid. It is safe for concurrent use.
//
// ISO/IEC 18013-5 second edition (draft v4), C.1.7.3 and C.1.8.
type Follower struct {
	c FollowerConfig

	// fetching is held while lists are loaded or fetched. Latest never waits
	// for it: its caller may hold the transaction that storing waits for. Nor does
	// Anchors, while there are lists that hold.
	fetching sync.Mutex
	next     time.Time // before that nobody fetches again; under fetching

	mu  sync.Mutex // guards now
	now following
}

// following are the anchors in use.
type following struct {
	anchors *Anchors  // nil before the first use
	fetched time.Time // when the lists were fetched
	expires time.Time // when the first of the lists ends

	issue, sequence uint64 // numbers of the VICAL and of the other list
}

// good reports whether there are anchors that hold at now.
func (f following) good(now time.Time) bool { return f.anchors != nil && now.Before(f.expires) }

func (f *Follower) current() following {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// NewFollower returns a follower that has fetched nothing yet.
func NewFollower(c FollowerConfig) *Follower {
	if c.Every == 0 {
		c.Every = followEvery
	}
	return &Follower{c: c}
}

// lists are both lists as published, and what they hang on.
type lists struct {
	CA      []byte    `json:"ca"` // its roots and the links between them, DER or PEM
	VICAL   []byte    `json:"vical"`
	Anchors []byte    `json:"anchors"`
	Fetched time.Time `json:"fetched"`
}

// Anchors returns the anchors as of now, fetching the lists if they are due.
// When they cannot be fetched it returns the ones it has; the error says that
// there are none.
func (f *Follower) Anchors(ctx context.Context, now time.Time) (*Anchors, error) {
	if f.c.URL == "" {
		return NewAnchors(f.c.Own...)
	}
	// Who has lists that hold does not wait while somebody else asks for newer ones:
	// a trust service that does not answer would hold everybody up.
	if c := f.current(); !c.good(now) {
		f.fetching.Lock()
	} else if now.Sub(c.fetched) < f.c.Every || !f.fetching.TryLock() {
		return c.anchors, nil
	}
	defer f.fetching.Unlock()
	if f.current().anchors == nil {
		f.load(ctx, now)
	}
	if c := f.current(); c.good(now) && now.Sub(c.fetched) < f.c.Every {
		return c.anchors, nil
	}
	err := f.refresh(ctx, now)
	if c := f.current(); c.good(now) {
		return c.anchors, nil
	}
	if err == nil {
		err = errors.New("the lists of the trust service have expired")
	}
	return nil, fmt.Errorf("trust anchors: %w", err)
}

// Latest returns the anchors that are in memory, without I/O: for callers that
// are in the middle of a transaction. Somebody else calls Anchors from time to
// time.
func (f *Follower) Latest(_ context.Context, now time.Time) (*Anchors, error) {
	if f.c.URL == "" {
		return NewAnchors(f.c.Own...)
	}
	c := f.current()
	switch {
	case c.anchors == nil:
		return nil, errors.New("trust anchors: the lists of the trust service have not been fetched yet")
	case !c.good(now):
		return nil, errors.New("trust anchors: the lists of the trust service have expired")
	}
	return c.anchors, nil
}

// Refresh fetches the lists now, for somebody who met a counterpart that is
// not in them yet. It does nothing if that was tried a moment ago.
func (f *Follower) Refresh(ctx context.Context, now time.Time) error {
	if f.c.URL == "" {
		return nil
	}
	f.fetching.Lock()
	defer f.fetching.Unlock()
	if f.current().anchors == nil {
		f.load(ctx, now)
	}
	return f.refresh(ctx, now)
}

// Fetched is when the lists in use were fetched; zero if there are none.
func (f *Follower) Fetched() time.Time { return f.current().fetched }

func (f *Follower) refresh(ctx context.Context, now time.Time) error {
	if now.Before(f.next) {
		return errors.New("the trust service was asked a moment ago")
	}
	f.next = now.Add(followRetry)
	if err := f.fetchLists(ctx, now); err != nil {
		return err
	}
	f.next = now.Add(followPause)
	return nil
}

// fetchLists fetches, verifies, uses and stores all lists.
func (f *Follower) fetchLists(ctx context.Context, now time.Time) error {
	l := lists{Fetched: now}
	for path, to := range map[string]*[]byte{PathRoots: &l.CA, PathVICAL: &l.VICAL, PathAnchors: &l.Anchors} {
		resp, err := f.c.Fetch(ctx, fetch.Request{Method: "GET", URL: strings.TrimSuffix(f.c.URL, "/") + path, MaxBytes: 4 << 20})
		if err != nil {
			return fmt.Errorf("fetch %s: %w", path, err)
		}
		if resp.Status != 200 {
			return fmt.Errorf("fetch %s: the trust service answered %d", path, resp.Status)
		}
		*to = resp.Body
	}
	if err := f.use(ctx, l, now); err != nil {
		return err
	}
	return f.c.Tx(ctx, func(st once.Store) error {
		data, err := json.Marshal(l)
		if err != nil {
			return err
		}
		return st.Put(ctx, storeLists, f.c.URL, data, forever())
	})
}

// load takes the stored copies; whatever is wrong with them, fetching mends.
func (f *Follower) load(ctx context.Context, now time.Time) {
	var l lists
	err := f.c.Tx(ctx, func(st once.Store) error {
		data, err := st.Get(ctx, storeLists, f.c.URL, now)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &l)
	})
	if err == nil {
		_ = f.use(ctx, l, now) // lists that do not hold any more are fetched again
	}
}

// use verifies lists under a root of the trust service that is accepted, and
// puts them to use.
func (f *Follower) use(ctx context.Context, l lists, now time.Time) error {
	shown, err := readRoots(l.CA)
	if err != nil {
		return fmt.Errorf("certificate of the trust service: %w", err)
	}
	v, err := trustlist.ParseVICAL(l.VICAL)
	if err != nil {
		return err
	}
	a, err := trustlist.ParseList(string(l.Anchors))
	if err != nil {
		return err
	}
	held := f.current() // nothing older comes back in its place
	verify := func(pool *pki.Pool) error {
		if rep := v.Verify(trustlist.VerifyOptions{Now: now, Anchors: pool, After: held.issue}); !rep.OK() {
			return fmt.Errorf("VICAL: %w", rep.Err())
		}
		if rep := a.Verify(trustlist.VerifyOptions{Now: now, Anchors: pool, After: held.sequence}); !rep.OK() {
			return fmt.Errorf("list of anchors: %w", rep.Err())
		}
		return nil
	}
	if err := f.accept(ctx, shown, verify, now); err != nil {
		return err
	}
	all := append(append(append([]Anchor(nil), f.c.Own...), FromVICAL(v)...), FromList(a)...)
	set, err := NewAnchors(all...)
	if err != nil {
		return err
	}
	next := following{set, l.Fetched, a.Expires.Time(), v.IssueID, a.Sequence}
	for _, end := range []time.Time{v.NotAfter, v.NextUpdate} {
		if !end.IsZero() && end.Before(next.expires) {
			next.expires = end
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = next
	return nil
}

// storeLists is the kind of the lists that a follower stores.
const storeLists = "trust-lists"

// KindPin is the kind under which [PinsIn] keeps each [Pin], as JSON. Its id is
// the purpose, a space and the counterpart. Roles whose stores can list show
// people what is pinned.
const KindPin = "trust-pin"

// forever outlives everything that is kept without an end of its own.
func forever() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// oncePins keeps pins in the store of a transaction.
type oncePins struct{ st once.Store }

func (o oncePins) Pin(ctx context.Context, p trustlist.Purpose, counterpart string) (Pin, error) {
	data, err := o.st.Get(ctx, KindPin, string(p)+" "+counterpart, time.Time{})
	if errors.Is(err, once.ErrNotFound) {
		return Pin{}, ErrNoPin
	}
	if err != nil {
		return Pin{}, err
	}
	var pin Pin
	return pin, json.Unmarshal(data, &pin)
}

func (o oncePins) SavePin(ctx context.Context, pin Pin, replaces *[sha256.Size]byte) error {
	old, err := o.Pin(ctx, pin.Purpose, pin.Counterpart)
	switch {
	case errors.Is(err, ErrNoPin):
		if replaces != nil {
			return ErrChanged
		}
	case err != nil:
		return err
	case replaces == nil || *replaces != old.Key:
		return ErrChanged
	}
	data, err := json.Marshal(pin)
	if err != nil {
		return err
	}
	return o.st.Put(ctx, KindPin, string(pin.Purpose)+" "+pin.Counterpart, data, forever())
}

// PinsIn keeps pins in a transaction's store, for roles that pin counterparts
// of their own.
func PinsIn(st once.Store) PinStore { return oncePins{st} }
