// Package monitor is the monitoring service: it looks at the services of a
// system from outside, as everyone can, judges their health, the ends of their
// certificates and the age of the lists they publish, and remembers what
// changed.
//
// ISO/IEC 23220-1:2023, 8.5.
package monitor

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Schema are the migrations of the service's database, for db.Open with the
// role "monitor".
//
//go:embed schema/*.sql
var Schema embed.FS

// Deps are what a monitor works with.
type Deps struct {
	DB    *db.DB           // opened with Schema
	Fetch fetch.Func       // to the targets
	Now   func() time.Time // optional, time.Now
	Log   *slog.Logger     // optional, none
}

// ErrUnknownTenant is what callers tell apart with errors.Is.
var ErrUnknownTenant = errors.New("monitor: no such tenant")

// Monitor watches services. It may be used concurrently; several processes may
// share a database.
type Monitor struct{ handler http.Handler }

// New returns the monitor. It looks at nothing yet.
func New(cfg Config, deps Deps) (*Monitor, error) { return &Monitor{}, cfg.Check() }

// Handler serves everything that is public.
func (m *Monitor) Handler() http.Handler { return m.handler }

// Drain makes /readyz say that this process is about to end.
func (m *Monitor) Drain() {}

// Run looks at everything again and again until ctx ends.
func (m *Monitor) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Check looks at everything once and records what it sees. That something is
// wrong with a target is no error: State says it.
func (m *Monitor) Check(ctx context.Context) error { return nil }

// Level is how a thing stands.
type Level string

// The levels, the best first.
const (
	OK    Level = "ok"
	Warn  Level = "warn"
	Alarm Level = "alarm"
)

// Observation is the last state of one thing that is watched.
type Observation struct {
	Target  string    `json:"target"`
	Tenant  string    `json:"tenant,omitempty"` // of the target
	Subject string    `json:"subject"`          // "health", "certificates", "certificate …", "status list …", "vical", "anchors"
	Level   Level     `json:"level"`
	Seen    string    `json:"seen"`             // what was seen, in a sentence
	Since   time.Time `json:"since"`            // when the level became what it is
	Checked time.Time `json:"checked"`          // when it was looked at last
	Expires time.Time `json:"expires,omitzero"` // of a certificate or list
}

// Change is one event of the history.
type Change struct {
	At      time.Time `json:"at"`
	Target  string    `json:"target"`
	Tenant  string    `json:"tenant,omitempty"`
	Subject string    `json:"subject"`
	From    Level     `json:"from,omitempty"` // empty for something new
	To      Level     `json:"to,omitempty"`   // empty for something that is gone
	Seen    string    `json:"seen"`
}

// State is the whole picture of a tenant.
type State struct {
	Level        Level         `json:"level"`   // the worst of all
	Checked      time.Time     `json:"checked"` // zero before the first look
	Observations []Observation `json:"observations"`
	Changes      []Change      `json:"changes"` // the newest first, at most 100
}

// State returns what was seen last. Error: ErrUnknownTenant.
func (m *Monitor) State(ctx context.Context, tenant string) (State, error) {
	return State{}, ErrUnknownTenant
}
