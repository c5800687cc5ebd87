package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

// hammerWaitCmd has a verifier hold open requests.
type hammerWaitCmd struct {
	hammerFlags
	Open  int    `default:"10000" help:"Requests that nobody has answered yet."`
	Watch int    `default:"1000" help:"Pages that wait for an answer by server-sent events, each with a TLS connection of its own."`
	Ask   string `default:"age18" help:"What the relying party asks for, as eidos verifier request takes it."`
}

// hammerWaitResult is what is printed.
type hammerWaitResult struct {
	Open     int    `json:"open"`
	Watching int    `json:"watching"`
	Database string `json:"database"`
	Memory   struct {
		Start float64 `json:"start_mib"` // with nothing to do
		Open  float64 `json:"open_mib"`
		Watch float64 `json:"watching_mib"`
		Later float64 `json:"later_mib"` // after three more looks at all rows that are watched
	} `json:"resident"`
	Seconds float64 `json:"seconds"` // to begin and to connect
}

// Run asks, waits, and looks at the memory of the verifier. A page that did not
// hear of its request is an error.
func (c *hammerWaitCmd) Run(m *machine) (err error) {
	if err := c.check(1); err != nil {
		return err
	}
	if c.Open < 1 || c.Watch < 0 || c.Watch > min(c.Open, 4096) {
		return usage("--open %d and --watch %d: wanted 1 or more, and as many pages at most, 4096 at most", c.Open, c.Watch)
	}
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	origin, root, stop, err := c.target(ctx, m, "verifier")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	w := &hammerWaiting{cmd: c, load: &hammerPresentLoad{cmd: &hammerPresentCmd{Ask: c.Ask}}, roots: x509.NewCertPool()}
	w.load.run = &hammerRun{flags: &c.hammerFlags, load: w.load, m: m, now: m.now, origin: origin, roots: []*x509.Certificate{root}}
	w.roots.AddCert(root)
	result, err := w.measure(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(result)
	}
	fmt.Fprintf(m.out, "%d open requests, %d of them watched over TLS, %s: %.0f MiB, %.0f with the requests alone, %.0f before, %.0f after some time (%.1f s to set up)\n",
		result.Open, result.Watching, result.Database, result.Memory.Watch, result.Memory.Open, result.Memory.Start, result.Memory.Later, result.Seconds)
	return nil
}

// hammerWaiting is one run.
type hammerWaiting struct {
	cmd   *hammerWaitCmd
	load  *hammerPresentLoad
	roots *x509.CertPool
}

// measure begins the requests, connects the pages, and reads the memory in
// between.
func (w *hammerWaiting) measure(ctx context.Context) (r hammerWaitResult, err error) {
	if err := w.load.run.prepare(ctx); err != nil {
		return r, err
	}
	start := time.Now()
	if err := w.resident(ctx, &r.Memory.Start, &r.Database); err != nil {
		return r, err
	}
	watch, err := w.begin(ctx)
	if err != nil {
		return r, err
	}
	r.Open = w.cmd.Open
	if err := w.resident(ctx, &r.Memory.Open, &r.Database); err != nil {
		return r, err
	}
	pages := make([]*hammerPage, 0, w.cmd.Watch)
	defer func() {
		for _, p := range pages {
			p.close()
		}
	}()
	for _, address := range watch {
		p, err := w.connect(ctx, address)
		if err != nil {
			return r, err
		}
		pages = append(pages, p)
	}
	r.Watching, r.Seconds = len(pages), time.Since(start).Seconds()
	if err := w.resident(ctx, &r.Memory.Watch, &r.Database); err != nil {
		return r, err
	}
	select {
	case <-time.After(3500 * time.Millisecond):
	case <-ctx.Done():
		return r, ctx.Err()
	}
	return r, w.resident(ctx, &r.Memory.Later, &r.Database)
}

// resident asks the verifier for its memory, and what database it has.
func (w *hammerWaiting) resident(ctx context.Context, mib *float64, database *string) error {
	var u hammerUsage
	if err := w.load.run.control.order(ctx, "usage", nil, &u); err != nil {
		return err
	}
	*mib, *database = float64(u.Resident)/(1<<20), u.Engine
	return nil
}

// begin asks as often as is wanted, and returns where the first ones are watched.
func (w *hammerWaiting) begin(ctx context.Context) (watch []string, err error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	left := w.cmd.Open
	for _, c := range w.load.clients {
		group.Go(func() {
			for {
				mu.Lock()
				done := left == 0 || err != nil
				if !done {
					left--
				}
				mu.Unlock()
				if done {
					return
				}
				t, failed := c.begin(ctx)
				mu.Lock()
				if failed != nil {
					err = failed
				} else if len(watch) < w.cmd.Watch {
					watch = append(watch, t.Button.Watch)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return watch, err
}

// hammerPage is a page that waits.
type hammerPage struct {
	client *http.Client
	body   interface{ Close() error }
}

func (p *hammerPage) close() {
	p.body.Close()
	p.client.CloseIdleConnections()
}

// connect opens a stream of events on a connection of its own and reads the
// first, which says that nobody has answered yet.
func (w *hammerWaiting) connect(ctx context.Context, address string) (*hammerPage, error) {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || !web.IsLoopbackName(host) {
			return nil, fmt.Errorf("%s is not on this machine", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	page := &hammerPage{client: &http.Client{Transport: &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/events", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := page.client.Do(req)
	if err != nil {
		return nil, err
	}
	page.body = resp.Body
	line, err := bufio.NewReaderSize(resp.Body, 256).ReadString('\n')
	data, ok := strings.CutPrefix(line, "data: ")
	var change struct{ State string }
	if err != nil || resp.StatusCode != http.StatusOK || !ok || json.Unmarshal([]byte(data), &change) != nil || change.State != "waiting" {
		page.close()
		return nil, errors.Join(fmt.Errorf("a page that waits was told %d %.100q", resp.StatusCode, line), err)
	}
	return page, nil
}
