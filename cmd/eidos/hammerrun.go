package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// unavoidable are the parts of a profile that issuing cannot do without: the
// signatures and digests of the documents and the checks that HAIP asks for.
// The first that has a function gets it.
func unavoidable() []hammer.Class {
	return []hammer.Class{
		{Name: "ECDSA sign", Prefixes: []string{"crypto/ecdsa.Sign", "crypto/ecdsa.sign", "crypto/ecdsa.(*PrivateKey).Sign", "crypto/internal/fips140/ecdsa.Sign", "crypto/internal/fips140/ecdsa.sign"}},
		{Name: "ECDSA verify", Prefixes: []string{"crypto/ecdsa.Verify", "crypto/ecdsa.verify", "crypto/internal/fips140/ecdsa.Verify", "crypto/internal/fips140/ecdsa.verify"}},
		{Name: "points on the curve", Prefixes: []string{"crypto/ecdh.(*nistCurve).NewPublicKey", "crypto/internal/fips140/ecdh.NewPublicKey"}},
		{Name: "ECDH", Prefixes: []string{"crypto/ecdh.", "crypto/internal/fips140/ecdh."}},
		{Name: "SHA-2", Prefixes: []string{"crypto/sha256.", "crypto/sha512.", "crypto/internal/fips140/sha256.", "crypto/internal/fips140/sha512.", "crypto/hmac.", "crypto/internal/fips140/hmac."}},
		{Name: "AES", Prefixes: []string{"crypto/aes.", "crypto/cipher.", "crypto/internal/fips140/aes"}},
	}
}

// hammerRun is one run.
type hammerRun struct {
	cmd    *hammerIssueCmd
	m      *machine
	now    func() time.Time
	origin string
	roots  []*x509.Certificate

	control   *hammerControl
	provider  *hammerProvider
	metadata  *oid4vci.Metadata
	clients   []*hammerClient
	latencies atomic.Pointer[hammer.Latencies]

	flows, documents, failed atomic.Int64
	mu                       sync.Mutex
	errors                   map[string]int // guarded by mu
	resident                 []residence    // guarded by mu
}

// residence is the memory of the authority after so many documents.
type residence struct {
	documents int64
	bytes     int64
}

// hammerWork is what is prepared for a flow.
type hammerWork struct {
	offer issuer.Offer
	keys  []key.Signer
}

// issue makes the whole run: preparations, a warm-up, raw signing, rounds of
// load, raw signing again.
func (r *hammerRun) issue(ctx context.Context) (*hammerResult, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	warm, err := r.round(ctx, 10*len(r.clients), time.Minute)
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
	all, rounds := hammerRound{byClass: make([]int64, len(unavoidable()))}, 0
	for left := r.left(all.wall); left > 0; left = r.left(all.wall) {
		length := min(left, 10*time.Second)
		n := int(rate*length.Seconds()*1.2) + len(r.clients)
		if r.cmd.Documents > 0 {
			missing := r.cmd.Documents - int(r.documents.Load())
			n = min(n, (missing+r.metadata.BatchSize()-1)/r.metadata.BatchSize())
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
	if r.cmd.Profile != "" {
		if err := os.WriteFile(r.cmd.Profile, all.used.Profile, 0o600); err != nil {
			return nil, err
		}
	}
	return r.result(all, rounds, raws), nil
}

// left is how long the run still goes on after that much time.
func (r *hammerRun) left(wall time.Duration) time.Duration {
	if r.cmd.Documents > 0 && int(r.documents.Load()) >= r.cmd.Documents {
		return 0
	}
	if r.cmd.For > 0 {
		return r.cmd.For - wall
	}
	return time.Hour
}

// prepare has the authority trust our provider and makes the clients.
func (r *hammerRun) prepare(ctx context.Context) error {
	do, err := web.NewClient(web.Options{AllowLoopback: true, RootCAs: r.roots, Timeout: time.Minute})
	if err != nil {
		return err
	}
	r.control = &hammerControl{fetch: do, origin: r.origin}
	r.latencies.Store(&hammer.Latencies{})
	r.errors = map[string]int{}
	if r.provider, err = newHammerProvider(ctx, r.now()); err != nil {
		return err
	}
	if err := r.control.order(ctx, "provider", r.provider.root.Raw, nil); err != nil {
		return err
	}
	base := r.origin + "/default"
	if r.metadata, err = oid4vci.Discover(ctx, do, base); err != nil {
		return err
	}
	configuration, ok := r.metadata.Configurations[r.cmd.Offering]
	if !ok {
		return usage("--offering %s: the authority has %v", r.cmd.Offering, slices.Sorted(maps.Keys(r.metadata.Configurations)))
	}
	if r.cmd.Plain {
		r.metadata.RequestEncryption, r.metadata.ResponseEncryption = nil, nil
	}
	// The client takes the attestation as the proof wherever it may.
	if r.cmd.Proofs == oid4vci.ProofJWT {
		configuration.ProofTypes = map[string]oid4vci.ProofType{oid4vci.ProofJWT: configuration.ProofTypes[oid4vci.ProofJWT]}
		r.metadata.Configurations[r.cmd.Offering] = configuration
	}
	server, err := oauth.Discover(ctx, fetch.Func(do), base)
	if err != nil {
		return err
	}
	for i := range r.cmd.Clients {
		c, err := r.newClient(ctx, server, uint64(i))
		if err != nil {
			return err
		}
		r.clients = append(r.clients, c)
	}
	return nil
}

// work prepares n flows: offers, and keys to bind documents to.
func (r *hammerRun) work(ctx context.Context, n int) (<-chan hammerWork, error) {
	offers, err := r.control.offers(ctx, r.cmd.Offering, n)
	if err != nil {
		return nil, err
	}
	all := make(chan hammerWork, n)
	for _, o := range offers {
		w := hammerWork{offer: o, keys: make([]key.Signer, r.metadata.BatchSize())}
		for i := range w.keys {
			if w.keys[i], err = newHammerKey(); err != nil {
				return nil, err
			}
		}
		all <- w
	}
	close(all)
	return all, nil
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
	work, err := r.work(ctx, n)
	if err != nil {
		return h, err
	}
	var before, after hammerUsage
	if err := r.control.order(ctx, "start", nil, &before); err != nil {
		return h, err
	}
	start := time.Now()
	watched, stopWatching := context.WithCancel(ctx)
	var watch, clients sync.WaitGroup
	watch.Go(func() { r.watch(watched, before.Resident) })
	for _, c := range r.clients {
		clients.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				w, ok := <-work
				if !ok {
					return
				}
				r.note(c.flow(ctx, w))
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
	h.samples, h.byClass, err = hammer.Shares(after.Profile, unavoidable())
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

// watch looks at the memory of the authority each second.
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
	out.Load.Offering, out.Load.Proofs, out.Load.Encryption = r.cmd.Offering, r.cmd.Proofs, r.metadata.RequestEncryption != nil
	out.Load.Batch, out.Load.Clients, out.Load.CPUs, out.Load.Go = r.metadata.BatchSize(), r.cmd.Clients, runtime.NumCPU(), hammerGo()
	out.Load.Prepared = "offers, device keys, client attestations, TLS handshakes, a warm-up"
	out.Load.Procs, out.Load.Database, out.Load.Schema = all.used.Procs, all.used.Engine, all.used.Schema
	out.PerSecond = hammerRates{Flows: float64(flows) / all.wall.Seconds(), Documents: float64(documents) / all.wall.Seconds()}
	out.Requests = r.latencies.Load().Summary()
	each := float64(max(flows, 1))
	cpu := all.used.CPU.Seconds()
	out.Authority = hammerProcess{CPUSeconds: cpu, CPUPerFlow: 1000 * cpu / each, CPUShare: cpu / all.wall.Seconds()}
	out.Authority.memory(r.resident)
	used := all.used.Database
	out.Database = hammerDatabase{Transactions: float64(used.Transactions) / each, Commits: float64(used.Commits) / each, Statements: float64(used.Statements) / each, Retries: float64(used.Retries) / each}
	out.Crypto.Samples = all.samples
	for i, c := range unavoidable() {
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

// memory picks the start, the middle by number of documents, and the end.
func (p *hammerProcess) memory(list []residence) {
	if len(list) == 0 {
		return
	}
	mib := func(r residence) float64 { return float64(r.bytes) / (1 << 20) }
	last := list[len(list)-1]
	p.ResidentStart, p.ResidentEnd = mib(list[0]), mib(last)
	half := slices.IndexFunc(list, func(r residence) bool { return 2*r.documents >= last.documents })
	p.ResidentHalf = mib(list[half])
	for _, r := range list {
		p.ResidentMost = max(p.ResidentMost, mib(r))
	}
}

// hammerKinds are the kinds of requests in the order of a flow.
func hammerKinds(requests map[string]hammer.Summary) []string {
	order := []string{"offer", "challenge", "token", "nonce", "credential"}
	all := slices.Sorted(maps.Keys(requests))
	slices.SortStableFunc(all, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
	return all
}
