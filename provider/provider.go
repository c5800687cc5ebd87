// Package provider is the mdoc app provider: it registers installations of its
// apps, vouches for them and for where their keys live, and withdraws its word
// when a device is lost.
//
// An installation is accepted by trust on first use, on no other evidence than
// that it holds its key, at the lowest level; everything says so.
//
// ISO/IEC 23220-1:2023, 7; OpenID4VCI 1.0, Appendices D and E; EUDI TS3 1.5.
package provider

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/upkeep"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea"
	"github.com/eidos-id/eidos/statuslist"
)

// Schema are the migrations of the provider's database, for db.Open with the
// role "provider".
//
//go:embed schema/*.sql
var Schema embed.FS

// Deps are what a provider works with.
type Deps struct {
	DB   *db.DB          // opened with Schema
	Area securearea.Area // where the signing keys live; processes that share the database share it
	// Guard holds back who asks too often. Optional.
	Guard *web.Guard
	Now   func() time.Time // optional, time.Now
	Log   *slog.Logger     // optional, none
}

// Errors that callers tell apart with errors.Is.
var (
	ErrUnknownTenant   = errors.New("provider: no such tenant")
	ErrUnknownInstance = errors.New("provider: no such instance")
	ErrInvalid         = errors.New("provider: request not valid")
)

// Provider is an mdoc app provider. It may be used concurrently; several
// processes may share a database and a secure area.
type Provider struct {
	config Config
	db     *db.DB
	area   securearea.Area
	guard  *web.Guard // may be nil
	now    func() time.Time
	log    *slog.Logger

	ring    *keyring.Ring
	indexes *statuslist.Allocator
	tenants map[string]*tenant
	audit   *audit.Process
	files   web.Files
	health  *web.Health
	handler http.Handler
}

// New returns the provider. It makes no keys yet: Prepare and Run do, or the
// first request that needs one.
func New(cfg Config, deps Deps) (*Provider, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("provider: configuration: %w", err)
	}
	if deps.DB == nil || deps.Area == nil {
		return nil, errors.New("provider: a database and a secure area are needed")
	}
	p := &Provider{
		config: cfg.complete(), db: deps.DB, area: deps.Area, guard: deps.Guard, now: deps.Now, log: deps.Log,
		tenants: map[string]*tenant{}, audit: audit.NewProcess(deps.DB, "provider"),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.ring = keyring.New(p.area, keyring.StoreIn(p.db.Records()))
	p.audit.SignWith(p.ring.SignAudit)
	p.indexes = statuslist.NewAllocator(statuslist.Records(p.db.Records()), 0)
	for _, t := range p.config.Tenants {
		p.tenants[t.ID] = p.newTenant(t)
	}
	p.health = web.NewHealth(map[string]func(context.Context) error{"database": p.db.Ping})
	p.handler = p.routes()
	return p, nil
}

// Handler serves everything that is public.
func (p *Provider) Handler() http.Handler { return p.handler }

// Drain makes /readyz say that this process is about to end.
func (p *Provider) Drain() { p.health.Drain() }

// tick is how often Run looks what there is to do.
const tick = 20 * time.Second

// Run keeps keys and status lists fresh until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	return upkeep.Run(ctx, upkeep.Task{Role: "provider", Every: tick, Retry: tick, Do: p.Prepare, Log: p.log})
}

// Prepare does once what Run does again and again: it makes keys, certificates
// and status lists that are missing or due, so that requests do not wait for
// them.
func (p *Provider) Prepare(ctx context.Context) error {
	var problems []error
	for _, t := range p.tenants {
		_, err := t.conversation(ctx)
		problems = append(problems, t.ca.Maintain(ctx, p.now()), err, t.board.PublishDue(ctx, p.now()))
	}
	return errors.Join(append(problems, p.audit.Checkpoint(ctx, p.now()), p.db.Sweep(ctx, p.now()))...)
}

func (p *Provider) tenant(id string) (*tenant, error) {
	if t := p.tenants[id]; t != nil {
		return t, nil
	}
	return nil, ErrUnknownTenant
}
