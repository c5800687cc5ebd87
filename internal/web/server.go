package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ServeOptions configures Serve. The zero value is plain http.
type ServeOptions struct {
	TLS   *tls.Config   // from ServerTLS; nil serves plain http, which only loopback or a proxy may see
	Drain time.Duration // how long running requests may go on after ctx ends. Optional, 10 seconds if zero
	Log   *slog.Logger  // for errors of connections. Optional, none if nil

	// Connections is how many may be open at a time; others wait. Optional,
	// 4096 if zero.
	Connections int
}

// Serve answers requests on ln until ctx ends; then it takes no more, lets
// those that run finish within the drain time, and returns nil. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, o ServeOptions) error {
	if o.Drain == 0 {
		o.Drain = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Connections == 0 {
		o.Connections = 4096
	}
	ln = limitConnections(ln, o.Connections)
	var active atomic.Int64 // requests that run
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			active.Add(1)
			defer active.Add(-1)
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // strangers' broken handshakes
	}
	if o.TLS != nil {
		s.TLSConfig = o.TLS.Clone()
	}
	served := make(chan error, 1)
	go func() {
		if o.TLS != nil {
			served <- s.ServeTLS(ln, "", "")
		} else {
			served <- s.Serve(ln)
		}
	}()
	select {
	case err := <-served:
		return fmt.Errorf("web: serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(drain) }()
	err := drained(ended, &active)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("web: requests still ran %v after the end", o.Drain), s.Close())
	} else if errors.Is(err, errIdle) {
		err = s.Close()
	}
	<-served
	return err
}

// errIdle says that nothing runs but connections without a request.
var errIdle = errors.New("idle")

// drained waits for the end of a shutdown, but no longer than requests run:
// Shutdown also waits for connections that were opened and never used, as
// clients keep them ready.
func drained(ended <-chan error, active *atomic.Int64) error {
	const look = 20 * time.Millisecond
	for quiet := 0; quiet < 3; {
		select {
		case err := <-ended:
			return err
		case <-time.After(look):
		}
		if quiet++; active.Load() > 0 {
			quiet = 0
		}
	}
	return errIdle
}

// HostMux sends requests to the handler of their host, as the demo does with
// several roles on one listener. The zero value is ready; it may be used
// concurrently.
type HostMux struct {
	mu    sync.RWMutex
	hosts map[string]http.Handler // guarded by mu
}

// Handle registers the handler of a host name, without port, in place of an
// earlier one.
func (m *HostMux) Handle(host string, h http.Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[string]http.Handler{}
	}
	m.hosts[strings.ToLower(host)] = h
}

// ServeHTTP implements http.Handler. An unknown host gets 421 Misdirected
// Request (RFC 9110, 15.5.20).
func (m *HostMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	m.mu.RLock()
	h := m.hosts[host]
	m.mu.RUnlock()
	if h == nil {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.Error(w, "there is nothing at this host name", http.StatusMisdirectedRequest)
		return
	}
	h.ServeHTTP(w, r)
}
