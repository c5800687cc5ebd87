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
	"time"
)

// ServeOptions configures Serve. The zero value is plain http.
type ServeOptions struct {
	TLS   *tls.Config   // from ServerTLS; nil serves plain http, which only loopback or a proxy may see
	Drain time.Duration // how long running requests may go on after ctx ends. Optional, 10 seconds if zero
	Log   *slog.Logger  // for errors of connections. Optional, none if nil
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
	s := &http.Server{
		Handler:           h,
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
	err := s.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("web: requests still ran %v after the end", o.Drain), s.Close())
	}
	<-served
	return err
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
