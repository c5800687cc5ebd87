package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// WrapOptions configures Wrap.
type WrapOptions struct {
	Log   *slog.Logger // Optional, none if nil
	Role  string       // goes into every line of the log
	HTTPS bool         // the public URL is https: tell browsers to insist (RFC 6797)
}

// Wrap gives every answer of h the security headers, every request a reference
// id (Reference), a log line without personal data and a net under panics. It
// serves the style sheet of the pages below /-/.
//
// The content security policy allows scripts, styles and requests from the
// role's own origin only, nothing inline, and no frames around. A handler may
// set a header differently before it writes.
func Wrap(h http.Handler, o WrapOptions) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	assets := assetHandler()
	var all atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rq := &request{reference: rand.Text()[:12], log: o.Log.With("role", o.Role), all: &all}
		defer func() { all.Add(-rq.held) }()
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, rq))
		setSecurityHeaders(w.Header(), o.HTTPS)
		if strings.HasPrefix(r.URL.Path, assetPrefix) {
			assets.ServeHTTP(w, r)
			return
		}
		sw := &statusWriter{ResponseWriter: w}
		start := time.Now()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				rq.log.Error("panic", "reference", rq.reference, "panic", p, "stack", string(debug.Stack()))
				if sw.status == 0 {
					renderError(sw, r, &Error{Status: http.StatusInternalServerError})
				}
			}
			// The mux below writes Pattern: the route, without the ids that are in the path.
			rq.log.Info("request", "reference", rq.reference, "route", cmp.Or(r.Pattern, "none"),
				"status", sw.code(), "ms", time.Since(start).Milliseconds())
		}()
		h.ServeHTTP(sw, r)
	})
}

func setSecurityHeaders(h http.Header, https bool) {
	h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "interest-cohort=()")
	if https {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

type requestKey struct{}

// request is what Wrap remembers of a request.
type request struct {
	reference string
	log       *slog.Logger
	held      int64         // bytes of its body that count against maxHeld
	all       *atomic.Int64 // the same of all requests of the handler
}

// Reference returns the id by which the log knows the request of this context,
// twelve letters and digits; "" outside Wrap.
func Reference(ctx context.Context) string {
	if rq, ok := ctx.Value(requestKey{}).(*request); ok {
		return rq.reference
	}
	return ""
}

// Log returns the log of the request of this context; one that discards
// everything outside Wrap.
func Log(ctx context.Context) *slog.Logger {
	if rq, ok := ctx.Value(requestKey{}).(*request); ok {
		return rq.log.With("reference", rq.reference)
	}
	return slog.New(slog.DiscardHandler)
}

// statusWriter remembers the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	status int // 0 while nothing is written
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
