package issuer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/securearea/software"
)

// childVariable holds a childConfig where this test binary is to be a process
// of the authority.
const childVariable = "EIDOS_TEST_AUTHORITY"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := serveChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// childConfig is what a process of the authority is told.
type childConfig struct {
	DSN, Keys, Register string
	Provider            []byte // certificate of the provider's root
	Begin               begin  // what holds until another is posted
}

// begin is what a process is told before a conversation.
type begin struct {
	Now   time.Time
	Point string // where it kills itself, see testkit.Killer
	At    int    // nowhere if 0

	conversation func(*crash) // in which the parent expects the point
}

// serveChild is the main function of such a process. It says its address on
// standard output, and ends with its standard input.
func serveChild(text string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	var now atomic.Pointer[begin]
	now.Store(&c.Begin)
	killer := &testkit.Killer{}
	killer.SQLite()
	killer.Arm(c.Begin.Point, c.Begin.At)
	a, err := c.authority(killer, func() time.Time { return now.Load().Now })
	if err != nil {
		return err
	}
	if err := a.maintain(context.Background()); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		os.Exit(map[bool]int{true: 0, false: 1}[err == nil])
	}()
	fmt.Println(ln.Addr())
	return http.Serve(killer.Listener(ln), withDesk(a, func(b begin) {
		now.Store(&b)
		killer.Arm(b.Point, b.At)
	}, killer.Seen))
}

func (c childConfig) authority(killer *testkit.Killer, now func() time.Time) (*Authority, error) {
	ctx := context.Background()
	if !strings.HasPrefix(c.DSN, "sqlite:") {
		dir, err := os.MkdirTemp("", "eidos-kill-")
		if err != nil {
			return nil, err
		}
		if c.DSN, err = killer.Postgres(c.DSN, dir); err != nil {
			return nil, err
		}
	}
	database, err := db.Open(ctx, c.DSN, "issuer", Schema)
	if err != nil {
		return nil, err
	}
	storage, err := software.OpenDirectory(c.Keys)
	if err != nil {
		return nil, err
	}
	area, err := software.Open(ctx, software.Options{Storage: storage, Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		return nil, err
	}
	root, err := pki.ParseCertificate(c.Provider)
	if err != nil {
		return nil, err
	}
	anchors, err := assure.NewAnchors(assure.FromCertificates(trustlist.WalletProvider, "test", root)...)
	if err != nil {
		return nil, err
	}
	tenant := DemoTenant()
	tenant.Source = c.Register
	return New(Config{Tenants: []Tenant{tenant}, BatchesPerDay: 1000}, Deps{
		DB: database, Area: area, Now: now, Log: slog.New(slog.DiscardHandler),
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return anchors, nil },
	})
}

// withDesk adds what the authority's own people do, and what a test says.
func withDesk(a *Authority, start func(begin), seen func() map[string]int) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", a.Handler())
	desk(mux, "offer", func(ctx context.Context, p OfferParams) (Offer, error) { return a.Offer(ctx, "default", p) })
	desk(mux, "revoke", func(ctx context.Context, which Selection) ([]string, error) {
		return a.Revoke(ctx, "default", which, "test")
	})
	desk(mux, "seen", func(context.Context, struct{}) (map[string]int, error) { return seen(), nil })
	mux.HandleFunc("POST /desk/begin", func(w http.ResponseWriter, r *http.Request) {
		var b begin
		err := json.NewDecoder(r.Body).Decode(&b)
		w.Header().Set("Content-Length", "2")
		io.WriteString(w, "{}")
		if err == nil && http.NewResponseController(w).Flush() == nil { // it counts from after this answer
			start(b)
		}
	})
	return mux
}

// desk mounts a call of the authority's own people.
func desk[Q, A any](mux *http.ServeMux, what string, f func(context.Context, Q) (A, error)) {
	mux.HandleFunc("POST /desk/"+what, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		err := json.NewDecoder(r.Body).Decode(&q)
		var answer A
		if err == nil {
			answer, err = f(r.Context(), q)
		}
		if err == nil {
			err = json.NewEncoder(w).Encode(answer)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// process is a process of the authority, as its parent sees it.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
	client *http.Client
}

// start runs a process; ready is false if it ended before it served.
func (w *world) start(b begin) (p *process, ready bool) {
	w.t.Helper()
	b.Now = w.Now()
	c := childConfig{DSN: w.dsn, Keys: w.keys, Register: w.registerFile(), Provider: w.provider.root.Raw, Begin: b}
	text, err := json.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	p = &process{cmd: exec.Command(os.Args[0]), stderr: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(text), "TMPDIR="+w.sockets, "GOGC=400")
	p.cmd.Stderr = p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		if b.Point == "" || p.stderr.Len() > 0 {
			w.t.Fatalf("a process of the authority ended: %s", p.stderr)
		}
		return nil, false
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimSpace(address))
	}
	p.client = &http.Client{
		Transport:     &http.Transport{DialContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	return p, true
}

// stop ends a process if it still runs.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.stdin.Close()
	p.cmd.Process.Kill() // it may have ended
	p.cmd.Wait()         // so it was killed
}

// errLost: the process ended before the answer was here.
var errLost = errors.New("the answer was lost")

func (p *process) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return fetch.Response{}, err
	}
	for k, v := range r.Header {
		req.Header.Set(k, v)
	}
	req.GetBody = nil // or the transport would repeat it on its own
	resp, err := p.client.Do(req)
	if err != nil {
		return fetch.Response{}, fmt.Errorf("%w: %w", errLost, err)
	}
	defer resp.Body.Close()
	out := fetch.Response{Status: resp.StatusCode, Header: map[string]string{}}
	for k := range resp.Header {
		out.Header[strings.ToLower(k)] = resp.Header.Get(k)
	}
	if out.Body, err = io.ReadAll(resp.Body); err != nil {
		return fetch.Response{}, fmt.Errorf("%w: %w", errLost, err)
	}
	return out, nil
}

// desk asks for what the authority's own people do.
func (p *process) desk(what string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	resp, err := p.fetch(context.Background(), fetch.Request{Method: "POST", URL: "http://issuer.localhost:8080/desk/" + what, Body: body})
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK {
		return fmt.Errorf("desk %s: %d %s", what, resp.Status, resp.Body)
	}
	return json.Unmarshal(resp.Body, answer)
}

// handler is for a browser; it answers 502 when the process has ended.
func (p *process) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", "issuer.localhost:8080"
		var body []byte
		resp, err := p.client.Do(r)
		if err == nil {
			defer resp.Body.Close()
			body, err = io.ReadAll(resp.Body)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		w.Write(body)
	})
}

// newOutside is a world whose authority runs in processes of its own.
func newOutside(t testing.TB, dsn string) *world {
	t.Helper()
	w := &world{
		t: t, dsn: dsn, register: t.TempDir(), log: &testkit.Log{}, keys: filepath.Join(t.TempDir(), "keys"),
		Clock: testkit.NewClock(),
	}
	// The path of a socket may have no more than 100 bytes or so.
	var err error
	if w.sockets, err = os.MkdirTemp("", "eidos-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(w.sockets) })
	if err := os.CopyFS(w.register, os.DirFS("../cmd/eidos/demodata")); err != nil {
		t.Fatal(err)
	}
	w.makeProvider()
	return w
}
