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
		sw := &statusWriter{ResponseWriter: w, request: r}
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

// statusWriter remembers the status of the answer. What the mux below says where
// it has no route, in words of its own, it says as Fail would.
type statusWriter struct {
	http.ResponseWriter
	request *http.Request
	status  int  // 0 while nothing is written
	instead bool // the answer is ours; what else is written is dropped
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		if e := w.noRoute(); e != nil {
			w.instead = true
			Fail(w.ResponseWriter, w.request, e)
			return
		}
	}
	if !w.instead {
		w.ResponseWriter.WriteHeader(status)
	}
}

// noRoute is what to answer where the mux below found no route: it has written
// none into the request, and a line of text as the answer.
func (w *statusWriter) noRoute() *Error {
	switch {
	case w.request.Pattern != "", !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain"):
		return nil
	case w.status == http.StatusNotFound:
		return Errorf(http.StatusNotFound, "There is nothing at this address.")
	case w.status == http.StatusMethodNotAllowed:
		return Errorf(w.status, "%s is not possible here, but %s.", w.request.Method, w.Header().Get("Allow"))
	}
	return nil
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.instead {
		return len(b), nil
	}
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
