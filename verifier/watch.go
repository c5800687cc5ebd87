package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
)

const (
	watchEvery  = time.Second      // from one look at the rows that are watched to the next
	maxWatchers = 4096             // of this process
	maxPerRow   = 8                // of one transaction
	writeWithin = 5 * time.Second  // a reader that takes longer is dropped
	beatEvery   = 20 * time.Second // so that proxies and dead connections are noticed
	watchFor    = 15 * time.Minute // then the browser comes back by itself
)

// Change is where a transaction stands, for whoever knows its number: a state,
// and nothing about anybody.
type Change struct {
	State   State     `json:"state" enum:"waiting|fetched|done|refused|expired"`
	Expires time.Time `json:"expires,omitzero"` // of the request, or of the answer
}

// watched is a row that somebody waits for.
type watched struct{ tenant, id string }

// hub tells those that wait for transactions of their changes. What this process
// changes it is told of at once; what other processes change, which share the
// database, it finds with one query for all rows that are watched.
type hub struct {
	v *Verifier

	mu      sync.Mutex
	rows    map[watched][]*watcher
	n       int               // watchers
	last    map[watched]State // as told
	looking bool              // look runs
	closed  bool
}

// watcher waits for one row. Its channel holds the newest change that it has not
// taken yet: who is slow misses states in between, and holds nobody up.
type watcher struct {
	changes chan Change
	gone    chan struct{} // closed when the process drains
}

func newHub(v *Verifier) *hub {
	return &hub{v: v, rows: map[watched][]*watcher{}, last: map[watched]State{}}
}

var (
	errTooManyWatch = &web.Error{Status: http.StatusServiceUnavailable, Code: "too_many_watchers", Message: "Too many wait for transactions here. Please ask for the state now and then instead.", Wait: 2 * time.Second}
	errDraining     = &web.Error{Status: http.StatusServiceUnavailable, Code: "draining", Message: "This process is about to end. Please try again.", Wait: time.Second}
)

// join adds a watcher. The caller has read the row after that: what changes in
// between is not lost.
func (h *hub) join(key watched) (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, errDraining
	case h.n >= maxWatchers || len(h.rows[key]) >= maxPerRow:
		return nil, errTooManyWatch
	}
	w := &watcher{changes: make(chan Change, 1), gone: make(chan struct{})}
	h.rows[key] = append(h.rows[key], w)
	h.n++
	if !h.looking {
		h.looking = true
		go h.look()
	}
	return w, nil
}

func (h *hub) leave(key watched, w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.rows[key] {
		if other == w {
			h.rows[key] = append(h.rows[key][:i:i], h.rows[key][i+1:]...)
			h.n--
		}
	}
	if len(h.rows[key]) == 0 {
		delete(h.rows, key)
		delete(h.last, key)
	}
}

// tell passes a change on to those that wait for the row.
func (h *hub) tell(key watched, c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rows[key]) == 0 || h.last[key] == c.State {
		return
	}
	h.last[key] = c.State
	for _, w := range h.rows[key] {
		select {
		case <-w.changes: // an older one that was not taken
		default:
		}
		w.changes <- c
	}
}

// look asks for the rows that are watched until nobody waits.
func (h *hub) look() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for range tick.C {
		keys, ok := h.open()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		found, err := h.v.changes(ctx, keys)
		cancel()
		if err != nil {
			h.v.log.Error("transactions that are waited for were not found", "error", err.Error())
			continue
		}
		for key, c := range found {
			h.tell(key, c)
		}
	}
}

// open returns the rows that are watched and have not ended; ok is false if
// nobody waits any more, and look ends.
func (h *hub) open() (keys []watched, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rows) == 0 || h.closed {
		h.looking = false
		return nil, false
	}
	for key := range h.rows {
		if state, told := h.last[key]; !told || state.open() {
			keys = append(keys, key)
		}
	}
	return keys, true
}

// close sends everybody away, to another process.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for _, list := range h.rows {
		for _, w := range list {
			close(w.gone)
		}
	}
}

// changes reads where transactions stand, in one query. One that is not there
// any more is Expired.
func (v *Verifier) changes(ctx context.Context, keys []watched) (found map[watched]Change, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	err = v.db.ViewOne(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		found, err = readStates(ctx, tx, keys, v.now())
		return err
	})
	for _, key := range keys {
		if _, there := found[key]; err == nil && !there {
			found[key] = Change{State: Expired}
		}
	}
	return found, err
}

// Change says where a transaction stands, by its number. Errors:
// ErrUnknownTenant, ErrUnknownTransaction.
func (v *Verifier) Change(ctx context.Context, tenant, number string) (Change, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Change{}, err
	}
	r, err := t.row(ctx, byID, number)
	return r.change(), err
}

// change is what is told of a row.
func (r row) change() Change {
	if r.state.open() || r.state == Expired {
		return Change{r.state, r.expires}
	}
	return Change{r.state, r.forget}
}

// ServeChanges answers with server-sent events, one for each Change of a
// transaction until it has ended. Errors: ErrUnknownTenant,
// ErrUnknownTransaction, *web.Error; nothing is written then.
//
// HTML Standard, 9.2.
func (v *Verifier) ServeChanges(w http.ResponseWriter, r *http.Request, tenant, number string) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if !isName(number) {
		return ErrUnknownTransaction
	}
	key := watched{t.config.ID, number}
	waiter, err := v.hub.join(key)
	if err != nil {
		return err
	}
	defer v.hub.leave(key, waiter)
	now, err := v.Change(r.Context(), tenant, number)
	if err != nil {
		return err
	}
	s := stream{w, http.NewResponseController(w)}
	if err := s.begin(); err != nil {
		return err
	}
	err = s.follow(r.Context(), waiter, now)
	if err != nil && r.Context().Err() == nil && !errors.Is(err, http.ErrAbortHandler) {
		web.Log(r.Context()).Info("a reader of changes was dropped", "error", err.Error())
	}
	return nil
}

// stream writes events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// begin lifts the limits of the server, which are for answers that end.
func (s stream) begin() error {
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies that gather answers would hold the events back
	return nil
}

func (s stream) follow(ctx context.Context, waiter *watcher, at Change) error {
	if err := s.send(at); err != nil || !at.State.open() {
		return err
	}
	beat, end := time.NewTicker(beatEvery), time.NewTimer(watchFor)
	defer beat.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-waiter.gone:
			return nil
		case <-end.C:
			return nil
		case <-beat.C:
			if err := s.write(":\n\n"); err != nil {
				return err
			}
		case c := <-waiter.changes:
			if c.State == at.State {
				continue
			}
			at = c
			if err := s.send(c); err != nil || !c.State.open() {
				return err
			}
		}
	}
}

func (s stream) send(c Change) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("data: %s\n\n", data))
}

// write sends a text at once, or gives the reader up.
func (s stream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err // left in place it would end an HTTP/2 stream that says nothing for a while
	}
	return nil
}
