// Package trust is the trust service: it finds the certificates of the roles
// of a system, pins them on first use, notices when one changes, and publishes
// who is trusted for what in two signed lists: a VICAL of issuing authorities
// and a list of all other anchors by purpose.
//
// ISO/IEC 18013-5 second edition (draft v4), Annex C; ISO/IEC 23220-1:2023, 5.2.
package trust

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/upkeep"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea"
)

// Schema are the migrations of the service's database, for db.Open with the
// role "trust".
//
//go:embed schema/*.sql
var Schema embed.FS

// Deps are what a trust service works with.
type Deps struct {
	DB    *db.DB           // opened with Schema
	Area  securearea.Area  // where the signing keys live; processes that share the database share it
	Fetch fetch.Func       // to the sources
	Now   func() time.Time // optional, time.Now
	Log   *slog.Logger     // optional, none
}

// Errors that callers tell apart with errors.Is.
var (
	ErrUnknownTenant = errors.New("trust: no such tenant")
	ErrUnknownSource = errors.New("trust: no such source")
	ErrNothing       = errors.New("trust: no change of this source waits to be accepted")
)

// Service is a trust service. It may be used concurrently; several processes
// may share a database and a secure area.
type Service struct {
	config Config
	db     *db.DB
	area   securearea.Area
	fetch  fetch.Func
	now    func() time.Time
	log    *slog.Logger

	ring    *keyring.Ring
	tenants map[string]*tenant
	audit   *audit.Process
	health  *web.Health
	handler http.Handler
}

// tenant is one community's lists at work.
type tenant struct {
	service *Service
	config  Tenant
	base    string
	ca      *keyring.CA

	mu    sync.Mutex
	files map[string]servedFile // lists ready to serve, by kind
}

// New returns the service. It makes no keys yet: Refresh and Run do, or the
// first request that needs one.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("trust: configuration: %w", err)
	}
	if deps.DB == nil || deps.Area == nil || deps.Fetch == nil {
		return nil, errors.New("trust: a database, a secure area and a way to fetch are needed")
	}
	s := &Service{
		config: cfg.complete(), db: deps.DB, area: deps.Area, fetch: deps.Fetch, now: deps.Now, log: deps.Log,
		tenants: map[string]*tenant{}, audit: audit.NewProcess(deps.DB, "trust"),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ring = keyring.New(s.area, keyring.StoreIn(s.db.Records()))
	s.audit.SignWith(s.ring.SignAudit)
	for _, t := range s.config.Tenants {
		t := &tenant{service: s, config: t, base: s.config.URL + "/" + t.ID, files: map[string]servedFile{}}
		t.ca = t.newCA()
		s.tenants[t.config.ID] = t
	}
	s.health = web.NewHealth(map[string]func(context.Context) error{"database": s.db.Ping})
	s.handler = s.routes()
	return s, nil
}

// Handler serves everything that is public.
func (s *Service) Handler() http.Handler { return s.handler }

// Drain makes /readyz say that this process is about to end.
func (s *Service) Drain() { s.health.Drain() }

// retry is how soon Run tries again while a source has not been had.
const retry = 10 * time.Second

// Run fetches the sources and publishes the lists again and again until ctx
// ends.
func (s *Service) Run(ctx context.Context) error {
	return upkeep.Run(ctx, upkeep.Task{Role: "trust", Every: s.config.Every, Retry: retry, Do: s.Refresh, Log: s.log})
}

// Refresh fetches all sources now and publishes what changed. The error names
// the sources that could not be had; the others are published all the same.
func (s *Service) Refresh(ctx context.Context) error {
	var problems []error
	for _, t := range s.tenants {
		if err := t.ca.Maintain(ctx, s.now()); err != nil {
			problems = append(problems, err)
			continue
		}
		problems = append(problems, t.look(ctx), t.publishAll(ctx))
	}
	return errors.Join(append(problems, s.audit.Checkpoint(ctx, s.now()), s.db.Sweep(ctx, s.now()))...)
}

func (s *Service) tenant(id string) (*tenant, error) {
	if t := s.tenants[id]; t != nil {
		return t, nil
	}
	return nil, ErrUnknownTenant
}
