package issuer

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/eidos-id/eidos/internal/web"
)

// metrics counts what this process does. Labels are routes, codes, tenants and
// offerings: bounded by code and configuration, and never about a person.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	issued   *prometheus.CounterVec
	copies   *prometheus.CounterVec
	refusals *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "eidos", Subsystem: "issuer", Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "Requests by listener (public, admin), route and status.", "listener", "route", "status"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "eidos", Subsystem: "issuer", Name: "request_seconds",
			Help: "Time to the end of an answer.", Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"listener", "route"}),
		issued:   counter("issued_total", "Batches of copies of documents.", "tenant", "offering", "format"),
		copies:   counter("issued_copies_total", "Copies of documents.", "tenant", "offering", "format"),
		refusals: counter("refusals_total", "Requests of apps that were refused, by the code that they were told.", "tenant", "code"),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.issued, m.copies, m.refusals)
	return m
}

// refused counts a refusal by the code that the app was told.
func (t *tenant) refused(code string) {
	t.authority.metrics.refusals.WithLabelValues(t.config.ID, code).Inc()
}

// Instrument counts and times the requests to a mux, which writes the route into
// the request. listener names it.
func (a *Authority) Instrument(listener string, mux http.Handler) http.Handler {
	m := a.metrics
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &counted{ResponseWriter: w, status: http.StatusInternalServerError} // that of a panic
		defer func() {
			route := cmp.Or(r.Pattern, "none")
			m.requests.WithLabelValues(listener, route, strconv.Itoa(c.status)).Inc()
			m.seconds.WithLabelValues(listener, route).Observe(time.Since(start).Seconds())
		}()
		mux.ServeHTTP(c, r)
		if !c.written {
			c.status = http.StatusOK
		}
	})
}

// counted remembers the status of an answer.
type counted struct {
	http.ResponseWriter
	status  int
	written bool
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(status int) {
	c.status, c.written = status, true
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counted) Write(p []byte) (int, error) {
	if !c.written {
		c.status, c.written = http.StatusOK, true
	}
	return c.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer below.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// ServeMetrics answers with what this process has counted, and how much waits in
// the outbox, for Prometheus.
func (a *Authority) ServeMetrics(w http.ResponseWriter, r *http.Request) error {
	depth, err := a.depth(r.Context())
	if err != nil {
		return err
	}
	now := prometheus.NewRegistry()
	now.MustRegister(depth)
	web.NoStore(w)
	promhttp.HandlerFor(prometheus.Gatherers{a.metrics.registry, now}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// depth is how much waits for receivers of webhooks, in the database.
func (a *Authority) depth(ctx context.Context) (*prometheus.GaugeVec, error) {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "eidos", Subsystem: "issuer", Name: "outbox_messages",
		Help: "Events that wait for delivery, or were given up."}, []string{"tenant", "state"})
	for id := range a.tenants {
		g.WithLabelValues(id, "waiting")
		g.WithLabelValues(id, "given up")
	}
	all, err := a.outbox.Depths(ctx)
	for _, d := range all {
		g.WithLabelValues(d.Tenant, "waiting").Set(float64(d.Waiting))
		g.WithLabelValues(d.Tenant, "given up").Set(float64(d.GivenUp))
	}
	return g, err
}
