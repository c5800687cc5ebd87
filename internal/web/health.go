package web

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// Health answers the questions of whoever keeps the processes running:
// /livez (is it to be restarted?) and /readyz (is it to get requests?). It may
// be used concurrently.
type Health struct {
	checks   map[string]func(context.Context) error
	draining atomic.Bool
}

// NewHealth returns a Health that is ready while every check returns nil
// within two seconds, for example db.Ping.
func NewHealth(checks map[string]func(context.Context) error) *Health {
	return &Health{checks: checks}
}

// Drain makes /readyz answer 503 from now on, before a process ends.
func (h *Health) Drain() { h.draining.Store(true) }

// Failing returns the names of the checks that fail, sorted; it is empty if
// the process is ready. "draining" is among them after Drain.
func (h *Health) Failing(ctx context.Context) []string {
	failing := []string{}
	if h.draining.Load() {
		failing = append(failing, "draining")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for name, check := range h.checks {
		if err := check(ctx); err != nil {
			Log(ctx).Error("not ready", "check", name, "error", err.Error())
			failing = append(failing, name)
		}
	}
	slices.Sort(failing)
	return failing
}

// Register adds GET /livez, /readyz and /healthz, the same as /readyz, to a mux.
//
//	{"status":"ok"}    {"status":"failing","failing":["database"]}
func (h *Health) Register(mux *http.ServeMux) {
	type status struct {
		Status  string   `json:"status"`
		Failing []string `json:"failing,omitempty"`
	}
	ready := func(w http.ResponseWriter, r *http.Request) {
		if failing := h.Failing(r.Context()); len(failing) > 0 {
			JSON(w, http.StatusServiceUnavailable, status{"failing", failing})
			return
		}
		JSON(w, http.StatusOK, status{Status: "ok"})
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { JSON(w, http.StatusOK, status{Status: "ok"}) })
	mux.HandleFunc("GET /readyz", ready)
	mux.HandleFunc("GET /healthz", ready)
}
