package wallet_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

// patience is the time limit of the client in these tests; that of the app is
// 15 seconds.
const patience = time.Second

// hostile is a verifier on a real server, whose answers a test chooses.
type hostile struct {
	*relyingParty
	base string

	mu       sync.Mutex
	handlers map[string]http.HandlerFunc // by path
	asked    map[string]int
	wrote    atomic.Int64 // bytes
}

func (w *world) hostile() (*hostile, *device) {
	w.t.Helper()
	h := &hostile{handlers: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	h.relyingParty = w.relyingParty(certify(w.t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA))
	server := httptest.NewServer(http.HandlerFunc(h.serve))
	w.t.Cleanup(server.Close)
	w.t.Cleanup(server.CloseClientConnections) // those that hang
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	h.base = "http://verifier.localhost:" + port
	client, err := web.NewClient(web.Options{AllowLoopback: true, Timeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	d, _ := w.holder(func(_ *wallet.Config, deps *wallet.Deps) {
		deps.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
			if strings.HasPrefix(r.URL, issuerURL) || strings.HasPrefix(r.URL, providerURL) || strings.HasPrefix(r.URL, "http://issuer.localhost:8080/.well-known/") {
				return w.fetch(ctx, r)
			}
			return client(ctx, r)
		}
	})
	return h, d
}

func (h *hostile) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked[r.URL.Path]++
	f := h.handlers[r.URL.Path]
	h.mu.Unlock()
	if f != nil {
		f(w, r)
		return
	}
	http.NotFound(w, r)
}

// begin makes a request whose addresses are the server's, and serves it.
func (h *hostile) begin(request, response http.HandlerFunc) string {
	h.w.t.Helper()
	q, err := query.ParseDCQL([]byte(nameAndAge))
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.tx, err = h.engine.Begin(oid4vp.Params{Query: q, RequestURI: h.base + "/request", ResponseURI: h.base + "/response"}, h.w.Now())
	if err != nil {
		h.w.t.Fatal(err)
	}
	tx, now := h.tx, h.w.Now()
	object := func(w http.ResponseWriter, r *http.Request) {
		s, err := h.engine.RequestObject(r.Context(), tx, oid4vp.WalletPost{}, now)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", oid4vp.RequestObjectMediaType)
		io.WriteString(w, s)
	}
	if request == nil {
		request = object
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers = map[string]http.HandlerFunc{"/request": request, "/response": response, "/good": object,
		"/stolen": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") }}
	h.asked = map[string]int{}
	h.wrote.Store(0)
	return h.tx.Link("openid4vp")
}

func (h *hostile) times(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[path]
}

// The ways of a server to be hostile.

func redirectTo(status int, location string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // the server looks for the end of a connection only then
	<-r.Context().Done()
}

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, "x")
		http.NewResponseController(w).Flush()
		time.Sleep(patience / 20)
	}
}

// endless sends as much as is taken, up to 1 GiB.
func (h *hostile) endless(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, 64<<10)
	for range 1 << 14 {
		n, err := w.Write(block)
		h.wrote.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// announced says that it is going to send 1 GiB.
func (h *hostile) announced(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1073741824")
	h.endless(w, r)
}

// bomb is 1 MiB of nothing as one member of a gzip file, of which many may
// follow one another. RFC 1952, 2.2.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, 1<<20)) // to memory, like Close
	z.Close()
	return b.Bytes()
})

// zipped sends 1 GiB in 1 MiB.
func zipped(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	for range 1 << 10 {
		if _, err := w.Write(bomb()); err != nil {
			return
		}
	}
}

func longHeader(w http.ResponseWriter, r *http.Request) {
	for range 100 {
		w.Header().Add("X-Long", strings.Repeat("x", 4<<10))
	}
}

// A request_uri that leads elsewhere, hangs or never ends costs the app no more
// than its limits, and the holder is not asked.
func TestHostileRequestURI(t *testing.T) {
	w := newWorld(t)
	h, d := w.hostile()
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		link  func(link string) string
		says  string
	}{
		"redirects to a private address": {redirectTo(302, "http://169.254.169.254/latest/meta-data/"), nil, "the verifier answered 302"},
		"redirects to another page":      {redirectTo(307, h.base+"/good"), nil, "the verifier answered 307"},
		"redirects in circles":           {redirectTo(301, h.base+"/request"), nil, "the verifier answered 301"},
		"hangs":                          {hang, nil, "no complete answer within the 1s that it may take"},
		"sends a byte now and then":      {trickle, nil, "no complete answer within the 1s that it may take"},
		"sends a gigabyte":               {h.endless, nil, "body is larger than the limit: at most 393216 bytes"},
		"announces a gigabyte":           {h.announced, nil, "body is larger than the limit: 1073741824 bytes, at most 393216"},
		"sends a gigabyte compressed":    {zipped, nil, "body is larger than the limit: at most 393216 bytes"},
		"sends a long header":            {longHeader, nil, "header"},
		"sends an error":                 {func(w http.ResponseWriter, r *http.Request) { http.Error(w, "\x1b[2J<script>", 500) }, nil, "the verifier answered 500"},
		"sends nothing":                  {func(http.ResponseWriter, *http.Request) {}, nil, "not in order"},
		"is at a private address":        {nil, at("https://10.0.0.1/request"), "address is not allowed: a private address"},
		"is at a link-local address":     {nil, at("https://169.254.169.254/latest"), "address is not allowed: not a public address"},
		"is at a mapped address":         {nil, at("https://[::ffff:192.168.0.1]/request"), "address is not allowed: a private address"},
		"is at no address":               {nil, at("https://0.0.0.0/request"), "address is not allowed"},
		"is plain http":                  {nil, at("http://verifier.example/request"), "https"},
		"is a file":                      {nil, at("file:///etc/passwd"), "no host"},
	} {
		link := h.begin(c.serve, nil)
		if c.link != nil {
			link = c.link(link)
		}
		began := time.Now()
		entry, redirect, err := d.Answer(t.Context(), link)
		if err == nil || !strings.Contains(err.Error(), c.says) || entry.ID != "" || redirect != "" {
			t.Errorf("%s: %v, want %q", name, err, c.says)
			continue
		}
		plain(t, name, err.Error())
		if took := time.Since(began); took > patience+2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if h.times("/request") > 1 || h.times("/good")+h.times("/response") > 0 {
			t.Errorf("%s: asked %v", name, h.asked)
		}
		if n := h.wrote.Load(); n > 16<<20 {
			t.Errorf("%s: took %d bytes", name, n)
		}
	}
	if len(d.consent.asked) != 0 {
		t.Error("the holder was bothered")
	}
}

// at is the link with another request_uri.
func at(uri string) func(string) string {
	return func(link string) string {
		before, _, _ := strings.Cut(link, "request_uri=")
		return before + "request_uri=" + strings.NewReplacer(":", "%3A", "/", "%2F", "[", "%5B", "]", "%5D").Replace(uri)
	}
}

// plain fails if a message is for programmers, or steers a terminal.
func plain(t *testing.T, name, text string) {
	t.Helper()
	for _, bad := range []string{"%!", "<nil>", "panic", "context ", "goroutine", "unmarshal", "json: ", "asn1", "x509: ", "reflect", "invalid character", "map[", "0x", "\x1b", "\n\n", "<script"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s: %q in: %s", name, bad, text)
		}
	}
	if len(text) > 700 {
		t.Errorf("%s: %d characters: %s", name, len(text), text)
	}
}

// An answer goes where the request says and nowhere else; a server that hangs or
// never ends after it is an error, and the log says that it failed.
func TestHostileResponseURI(t *testing.T) {
	w := newWorld(t)
	h, d := w.hostile()
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"redirects the answer": {redirectTo(307, "/stolen"), "did not accept the answer: 307"},
		"redirects for ever":   {redirectTo(308, "/response"), "did not accept the answer: 308"},
		"hangs":                {hang, "no complete answer within the 1s that it may take"},
		"sends a gigabyte":     {h.endless, "body is larger than the limit"},
		"sends no JSON":        {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, "reply of the verifier"},
		"sends deep JSON": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"redirect_uri":`+strings.Repeat("[", 5000))
		}, "reply of the verifier"},
		"sends the browser into a script": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"redirect_uri":"javascript:alert(1)"}`)
		}, "redirect_uri of the verifier"},
		"is rude": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":"invalid_request","error_description":"\u001b[2Jgo away`+strings.Repeat("!", 5000)+`"}`)
		}, "?[2Jgo away"},
	} {
		began := time.Now()
		entry, redirect, err := d.Answer(t.Context(), h.begin(nil, c.serve))
		if err == nil || !strings.Contains(err.Error(), c.says) || redirect != "" || entry.Outcome != wallet.OutcomeFailed {
			t.Errorf("%s: %v, want %q: %+v", name, err, c.says, entry)
			continue
		}
		plain(t, name, err.Error())
		if took := time.Since(began); took > patience+2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if h.times("/stolen") != 0 || h.times("/response") != 1 {
			t.Errorf("%s: asked %v", name, h.asked)
		}
		if log, err := d.Log(t.Context()); err != nil || log[0].ID != entry.ID || log[0].Outcome != wallet.OutcomeFailed {
			t.Errorf("%s: logged %+v %v", name, log[0], err)
		}
		if _, err := d.ReissueDue(t.Context()); err != nil {
			t.Errorf("%s: new copies: %v", name, err)
		}
	}
}
