// Package monitor is the monitoring service: it looks at the services of a
// system from outside, as everyone can, judges their health, the ends of their
// certificates and the age of the lists they publish, and remembers what
// changed.
//
// It believes what it is told: whether a list is signed by the right key is
// for those to verify who use it.
//
// ISO/IEC 23220-1:2023, 8.5.
package monitor

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/upkeep"
	"github.com/eidos-id/eidos/internal/web"
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
type Monitor struct {
	config  Config
	db      *db.DB
	fetch   fetch.Func
	now     func() time.Time
	log     *slog.Logger
	health  *web.Health
	handler http.Handler
}

// New returns the monitor. It looks at nothing yet.
func New(cfg Config, deps Deps) (*Monitor, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("monitor: configuration: %w", err)
	}
	if deps.DB == nil || deps.Fetch == nil {
		return nil, errors.New("monitor: a database and a way to fetch are needed")
	}
	m := &Monitor{config: cfg.complete(), db: deps.DB, fetch: deps.Fetch, now: deps.Now, log: deps.Log}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.health = web.NewHealth(map[string]func(context.Context) error{"database": m.db.Ping})
	m.handler = m.routes()
	return m, nil
}

// Handler serves everything that is public.
func (m *Monitor) Handler() http.Handler { return m.handler }

// Drain makes /readyz say that this process is about to end.
func (m *Monitor) Drain() { m.health.Drain() }

// Run looks at everything again and again until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	return upkeep.Run(ctx, upkeep.Task{Role: "monitor", Every: m.config.Every, Retry: m.config.Every, Do: m.Check, Log: m.log})
}

// Check looks at everything once and records what it sees. That something is
// wrong with a target is no error: State says it.
func (m *Monitor) Check(ctx context.Context) error {
	var problems []error
	for _, t := range m.config.Tenants {
		seen := m.look(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err() // half a look is none
		}
		changes, err := m.record(ctx, t.ID, seen)
		problems = append(problems, err)
		for _, c := range changes {
			if c.From != "" || c.To != OK {
				m.log.Warn("state changed", "role", "monitor", "tenant", t.ID, "target", c.Target, "subject", c.Subject, "from", string(c.From), "to", string(c.To), "seen", c.Seen)
			}
		}
	}
	return errors.Join(problems...)
}

// Level is how a thing stands.
type Level string

// The levels, the best first.
const (
	OK    Level = "ok"
	Warn  Level = "warn"
	Alarm Level = "alarm"
)

// rank orders the levels, the best first.
func (l Level) rank() int {
	switch l {
	case OK:
		return 0
	case Warn:
		return 1
	}
	return 2
}

// Observation is the last state of one thing that is watched.
type Observation struct {
	Target  string    `json:"target"`
	Tenant  string    `json:"tenant,omitempty"` // of the target
	Subject string    `json:"subject"`          // "health", "certificates", "certificate …", "status lists", "status list …", "vical", "anchors"
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
	if !m.has(tenant) {
		return State{}, ErrUnknownTenant
	}
	var s State
	err := m.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		s = State{Level: OK, Observations: []Observation{}, Changes: []Change{}}
		list, err := observations(ctx, tx, tenant)
		if err != nil {
			return err
		}
		for _, o := range list {
			s.Observations = append(s.Observations, o)
			if o.Level.rank() > s.Level.rank() {
				s.Level = o.Level
			}
			if o.Checked.After(s.Checked) {
				s.Checked = o.Checked
			}
		}
		changes, err := changes(ctx, tx, tenant, 100)
		s.Changes = append(s.Changes, changes...)
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("monitor: state: %w", err)
	}
	return s, nil
}

func (m *Monitor) has(tenant string) bool {
	for _, t := range m.config.Tenants {
		if t.ID == tenant {
			return true
		}
	}
	return false
}
