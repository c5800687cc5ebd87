package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/internal/web"
)

// hammerLoad is what is loaded, and with what. Its String says so for people.
type hammerLoad interface {
	fmt.Stringer
	// prepare makes the clients, and all that lasts for the whole run.
	prepare(ctx context.Context, r *hammerRun) error
	// work prepares n flows.
	work(ctx context.Context, n int) ([]hammerFlow, error)
	// batch is how many documents a flow is about.
	batch() int
	about() hammerAbout
	// unavoidable are the parts of a profile that no implementation can do
	// without. The first that has a function gets it.
	unavoidable() []hammer.Class
	// kinds are the kinds of requests in the order of a flow, and kind is that
	// of an address.
	kinds() []string
	kind(address string) string
}

// hammerFlow is one flow by the client with that number. It returns how many
// documents it got or showed.
type hammerFlow func(ctx context.Context, client int) (documents int, err error)

// hammerRun is one run.
type hammerRun struct {
	flags  *hammerFlags
	limit  int // of documents; 0 for none
	load   hammerLoad
	m      *machine
	now    func() time.Time
	origin string
	roots  []*x509.Certificate

	control   *hammerControl
	latencies atomic.Pointer[hammer.Latencies]

	flows, documents, failed atomic.Int64
	mu                       sync.Mutex
	errors                   map[string]int // guarded by mu
	resident                 []residence    // guarded by mu
}

// residence is the memory of the process after so many documents.
type residence struct {
	documents int64
	bytes     int64
}

// whole makes the whole run: preparations, a warm-up, raw signing, rounds of
// load, raw signing again.
func (r *hammerRun) whole(ctx context.Context) (*hammerResult, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	warm, err := r.round(ctx, 10*r.flags.Clients, time.Minute)
	if err != nil {
		return nil, err
	}
	if n := r.failed.Load(); n > 0 {
		return nil, fmt.Errorf("%d of the first %d flows failed: %s", n, n+r.flows.Load(), r.firstError())
	}
	rate := float64(r.flows.Load()) / warm.wall.Seconds()
	raws := make([]hammer.Raw, 2)
	if err := r.control.order(ctx, "raw", nil, &raws[0]); err != nil {
		return nil, err
	}
	r.flows.Store(0)
	r.documents.Store(0)
	r.latencies.Store(&hammer.Latencies{})
	r.resident = nil
	all, rounds := hammerRound{byClass: make([]int64, len(r.load.unavoidable()))}, 0
	for left := r.left(all.wall); left > 0; left = r.left(all.wall) {
		length := min(left, 10*time.Second)
		n := int(rate*length.Seconds()*1.2) + r.flags.Clients
		if r.limit > 0 {
			missing, batch := r.limit-int(r.documents.Load()), r.load.batch()
			n = min(n, (missing+batch-1)/batch)
		}
		before := r.flows.Load()
		one, err := r.round(ctx, n, length)
		if err != nil {
			return nil, err
		}
		all.add(one)
		rounds++
		rate = float64(r.flows.Load()-before) / one.wall.Seconds()
		if r.flows.Load() == before {
			break // nothing succeeds any more
		}
	}
	if err := r.control.order(ctx, "raw", nil, &raws[1]); err != nil {
		return nil, err
	}
	r.progress("\n")
	if r.flags.Profile != "" {
		if err := os.WriteFile(r.flags.Profile, all.used.Profile, 0o600); err != nil {
			return nil, err
		}
	}
	return r.result(all, rounds, raws), nil
}

// left is how long the run still goes on after that much time.
func (r *hammerRun) left(wall time.Duration) time.Duration {
	if r.limit > 0 && int(r.documents.Load()) >= r.limit {
		return 0
	}
	if r.flags.For > 0 {
		return r.flags.For - wall
	}
	return time.Hour
}

// prepare makes what all loads need, and has the load prepare itself.
func (r *hammerRun) prepare(ctx context.Context) error {
	do, err := web.NewClient(web.Options{AllowLoopback: true, RootCAs: r.roots, Timeout: time.Minute})
	if err != nil {
		return err
	}
	r.control = &hammerControl{fetch: do, origin: r.origin}
	r.latencies.Store(&hammer.Latencies{})
	r.errors = map[string]int{}
	return r.load.prepare(ctx, r)
}

// connection is a connection of its own, on which each request is timed.
func (r *hammerRun) connection() (fetch.Func, error) {
	do, err := web.NewClient(web.Options{AllowLoopback: true, RootCAs: r.roots, Timeout: time.Minute, Connections: 1})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, req fetch.Request) (fetch.Response, error) {
		start := time.Now()
		resp, err := do(ctx, req)
		if err == nil {
			r.latencies.Load().Add(r.load.kind(req.URL), time.Since(start), resp.Status/100 != 2)
		}
		return resp, err
	}, nil
}

// hammerRound is what a round, or all of them, have used.
type hammerRound struct {
	wall    time.Duration
	used    hammerUsage // between start and end, with the profile of the longest
	longest time.Duration
	samples int64
	byClass []int64
}

func (h *hammerRound) add(o hammerRound) {
	if o.wall > h.longest || h.used.Profile == nil {
		h.longest, h.used.Profile = o.wall, o.used.Profile
	}
	h.used.Procs, h.used.Engine, h.used.Schema = o.used.Procs, o.used.Engine, o.used.Schema
	h.wall += o.wall
	h.used.CPU += o.used.CPU
	h.used.Database.Transactions += o.used.Database.Transactions
	h.used.Database.Commits += o.used.Database.Commits
	h.used.Database.Statements += o.used.Database.Statements
	h.used.Database.Retries += o.used.Database.Retries
	h.samples += o.samples
	for i, n := range o.byClass {
		h.byClass[i] += n
	}
}

// round prepares n flows and has the clients do them, for no longer than d.
func (r *hammerRun) round(ctx context.Context, n int, d time.Duration) (h hammerRound, err error) {
	r.progress("preparing %d flows", n)
	list, err := r.load.work(ctx, n)
	if err != nil {
		return h, err
	}
	work := make(chan hammerFlow, len(list))
	for _, f := range list {
		work <- f
	}
	close(work)
	var before, after hammerUsage
	if err := r.control.order(ctx, "start", nil, &before); err != nil {
		return h, err
	}
	start := time.Now()
	watched, stopWatching := context.WithCancel(ctx)
	var watch, clients sync.WaitGroup
	watch.Go(func() { r.watch(watched, before.Resident) })
	for client := range r.flags.Clients {
		clients.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				flow, ok := <-work
				if !ok {
					return
				}
				r.note(flow(ctx, client))
			}
		})
	}
	clients.Wait()
	h.wall = time.Since(start)
	stopWatching()
	watch.Wait()
	if err := r.control.order(ctx, "stop", nil, &after); err != nil {
		return h, err
	}
	r.noteResident(after.Resident)
	h.used = after
	h.used.CPU -= before.CPU
	h.used.Database.Transactions -= before.Database.Transactions
	h.used.Database.Commits -= before.Database.Commits
	h.used.Database.Statements -= before.Database.Statements
	h.used.Database.Retries -= before.Database.Retries
	h.samples, h.byClass, err = hammer.Shares(after.Profile, r.load.unavoidable())
	return h, errors.Join(err, ctx.Err())
}

// note counts a flow.
func (r *hammerRun) note(documents int, err error) {
	if err == nil {
		r.flows.Add(1)
		r.documents.Add(int64(documents))
		return
	}
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	text := err.Error()
	if _, known := r.errors[text]; !known && len(r.errors) >= 10 {
		text = "other errors"
	}
	r.errors[text]++
}

func (r *hammerRun) firstError() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for text := range r.errors {
		return text
	}
	return ""
}

// watch looks at the memory of the process each second.
func (r *hammerRun) watch(ctx context.Context, first int64) {
	r.noteResident(first)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		var u hammerUsage
		if r.control.order(ctx, "usage", nil, &u) == nil { // the end of the round may cut it short
			r.noteResident(u.Resident)
		}
		r.progress("%d documents, %d failed, %d MiB", r.documents.Load(), r.failed.Load(), u.Resident>>20)
	}
}

func (r *hammerRun) noteResident(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resident = append(r.resident, residence{r.documents.Load(), bytes})
}

// progress replaces the last line of a terminal.
func (r *hammerRun) progress(format string, args ...any) {
	if isTerminal(r.m.err) {
		fmt.Fprintf(r.m.err, "\r\x1b[K"+format, args...)
	}
}

func (r *hammerRun) result(all hammerRound, rounds int, raws []hammer.Raw) *hammerResult {
	flows, documents := int(r.flows.Load()), int(r.documents.Load())
	out := &hammerResult{Seconds: all.wall.Seconds(), Rounds: rounds, Flows: flows, Documents: documents, Failed: int(r.failed.Load()), Errors: r.errors}
	out.Load.hammerAbout, out.Load.Clients, out.Load.CPUs, out.Load.Go = r.load.about(), r.flags.Clients, runtime.NumCPU(), hammerGo()
	out.Load.Procs, out.Load.Database, out.Load.Schema = all.used.Procs, all.used.Engine, all.used.Schema
	out.PerSecond = hammerRates{Flows: float64(flows) / all.wall.Seconds(), Documents: float64(documents) / all.wall.Seconds()}
	out.Requests = r.latencies.Load().Summary()
	each := float64(max(flows, 1))
	cpu := all.used.CPU.Seconds()
	out.Process = hammerProcessFigures{CPUSeconds: cpu, CPUPerFlow: 1000 * cpu / each, CPUShare: cpu / all.wall.Seconds()}
	out.Process.memory(r.resident)
	used := all.used.Database
	out.Database = hammerDatabase{Transactions: float64(used.Transactions) / each, Commits: float64(used.Commits) / each, Statements: float64(used.Statements) / each, Retries: float64(used.Retries) / each}
	out.Crypto.Samples = all.samples
	for i, c := range r.load.unavoidable() {
		share := 100 * float64(all.byClass[i]) / float64(max(all.samples, 1))
		out.Crypto.Percent += share
		out.Crypto.Parts = append(out.Crypto.Parts, hammerPart{c.Name, share, c.Prefixes})
	}
	var sum hammer.Raw
	for _, one := range raws {
		sum.Signatures, sum.Wall, sum.CPU = sum.Signatures+one.Signatures, sum.Wall+one.Wall, sum.CPU+one.CPU
	}
	out.Raw.PerSecond = float64(sum.Signatures) / sum.Wall.Seconds()
	if sum.CPU > 0 {
		out.Raw.PerCPUSecond = float64(sum.Signatures) / sum.CPU.Seconds()
		out.Raw.PerDocument = cpu * out.Raw.PerCPUSecond / float64(max(documents, 1))
	}
	return out
}
