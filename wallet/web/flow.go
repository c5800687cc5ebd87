package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/wallet"
)

const (
	// maxFlows bounds what is open at a time.
	maxFlows = 32
	// flowTime is how long a flow may take, people included.
	flowTime = 15 * time.Minute
	// keepTime is how long the end of a flow can be looked at.
	keepTime = 15 * time.Minute
	// answerTime is how long a question waits, if nothing ends it before.
	answerTime = 5 * time.Minute
	// moment is how long a page waits for what is almost ready.
	moment = 1500 * time.Millisecond
	// patience is how long the script waits for news before it asks again.
	patience = 10 * time.Second
)

// kind is what a flow is for.
type kind string

const (
	adding  kind = "adding"  // documents of an offer
	sharing kind = "sharing" // with a website
	meeting kind = "meeting" // a reader nearby

	installing kind = "installing" // no flow, but it can fail as they do
)

// state is where a flow stands.
type state string

const (
	reviewing state = "reviewing" // the holder looks at an offer
	working   state = "working"   // nothing for the holder to do
	away      state = "away"      // the holder is wanted on the authority's page
	showing   state = "showing"   // a QR code is shown to the reader
	asking    state = "asking"    // a question waits
	ended     state = "ended"
)

// flow is something that takes a while. Its fields from changed on are guarded
// by App.mu; what they point to does not change.
type flow struct {
	id      string
	session string // that owns it
	kind    kind

	changed chan struct{} // closed, and replaced, at each change
	version int           // counts the changes
	at      time.Time     // of the last one
	cancel  context.CancelFunc
	state   state

	offer    *wallet.Offer
	step     wallet.Step
	page     string      // of the authority
	left     bool        // the holder went there
	back     chan string // takes the URI that the browser came back with
	code     string      // text of the QR code
	question *question   // that waits, or was answered last

	documents []wallet.Document // that were got
	entries   []wallet.LogEntry // of what was asked
	redirect  string            // where the website wants the browser next
	err       error             // why it ended, or why the holder is to try again
}

type flowKey struct{}

// open makes a flow for the session of the request.
func (a *App) open(r *http.Request, k kind) (*flow, error) {
	now := a.deps.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweepFlows(now)
	if a.closed {
		return nil, site.Errorf(http.StatusServiceUnavailable, "The app is about to end.")
	}
	if len(a.flows) >= maxFlows {
		return nil, site.Errorf(http.StatusTooManyRequests, "Too much is open at a time. Finish something first, or wait a few minutes.")
	}
	f := &flow{id: newSecret(), session: sessionOf(r), kind: k, changed: make(chan struct{}), at: now, cancel: func() {}, state: reviewing}
	a.flows[f.id] = f
	return f, nil
}

// start runs work for a flow beside the requests. It reports false if
// something runs already, or nothing may any more.
func (a *App) start(f *flow, work func(ctx context.Context)) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || f.state != reviewing {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithValue(a.ctx, flowKey{}, f), flowTime)
	f.cancel = cancel
	a.note(f, func() { f.state, f.err, f.step = working, nil, "" })
	a.work.Go(func() {
		defer cancel()
		work(ctx)
	})
	return true
}

// note changes a flow and tells who waits; a.mu is held.
func (a *App) note(f *flow, change func()) {
	change()
	f.version++
	f.at = a.deps.Now()
	close(f.changed)
	f.changed = make(chan struct{})
}

// change is note for those who do not hold a.mu.
func (a *App) change(f *flow, change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(f, change)
}

// endFlows stops the flows of a session and forgets them; a.mu is held.
func (a *App) endFlows(session string) {
	for id, f := range a.flows {
		if f.session == session {
			f.cancel()
			delete(a.flows, id)
		}
	}
}

// sweepFlows forgets flows that are over; a.mu is held.
func (a *App) sweepFlows(now time.Time) {
	for id, f := range a.flows {
		if (f.state == ended || f.state == reviewing) && now.Sub(f.at) > keepTime {
			f.cancel()
			delete(a.flows, id)
		}
	}
}

// flow returns the flow of the request as it stands, if the session owns it.
func (a *App) flow(r *http.Request) (f *flow, now flow, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f = a.flows[r.PathValue("id")]
	if f == nil || f.session != sessionOf(r) {
		return nil, flow{}, site.Errorf(http.StatusNotFound, "This is over, and nothing of it was kept here. What was shared is in the history.")
	}
	return f, *f, nil
}

// await waits until a flow has changed since it was looked at, or ctx or the
// app ends, and returns how it stands then.
func (a *App) await(ctx context.Context, f *flow, seen flow) flow {
	select {
	case <-seen.changed:
	case <-ctx.Done():
	case <-a.ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return *f
}

// goTo sends the browser to a flow's page.
func goTo(w http.ResponseWriter, r *http.Request, f *flow) error {
	http.Redirect(w, r, "/flow/"+f.id, http.StatusSeeOther)
	return nil
}

// serveFlow shows where a flow stands.
func (a *App) serveFlow(w http.ResponseWriter, r *http.Request) error {
	f, now, err := a.flow(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), moment)
	defer cancel()
	for now.state == working && ctx.Err() == nil && a.ctx.Err() == nil {
		now = a.await(ctx, f, now)
	}
	switch now.state {
	case reviewing:
		a.showOffer(w, now)
	case asking:
		http.Redirect(w, r, "/consent/"+now.question.id, http.StatusSeeOther)
	case showing:
		return a.showCode(w, now)
	case ended:
		a.showEnd(r.Context(), w, now)
	default:
		a.showWaiting(w, now)
	}
	return nil
}

// serveFlowState tells the script when to load the page again: it answers when
// something is new, or after a while.
func (a *App) serveFlowState(w http.ResponseWriter, r *http.Request) error {
	f, now, err := a.flow(r)
	if err != nil {
		return err
	}
	if strconv.Itoa(now.version) == r.URL.Query().Get("seen") {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		now = a.await(ctx, f, now)
	}
	site.JSON(w, http.StatusOK, struct {
		Version int `json:"version"`
	}{now.version})
	return nil
}

// serveCancel stops a flow.
func (a *App) serveCancel(w http.ResponseWriter, r *http.Request) error {
	f, now, err := a.flow(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch f.state {
	case reviewing:
		delete(a.flows, f.id)
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	case ended:
	default:
		a.note(f, func() { f.settle(); f.state = working })
		now.cancel()
	}
	return goTo(w, r, f)
}
