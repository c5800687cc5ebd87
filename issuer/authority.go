// Package issuer is the issuing authority: it knows attributes of persons from
// a source, offers them documents, signs copies for keys of their mdoc app,
// and publishes which of them were revoked.
//
// ISO/IEC 23220-1:2023, 8; OpenID4VCI 1.0; HAIP 1.0.
package issuer

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/internal/upkeep"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea"
	"github.com/eidos-id/eidos/statuslist"
)

// Schema are the migrations of the authority's database, for db.Open with the
// role "issuer".
//
//go:embed schema/*.sql
var Schema embed.FS

// Deps are what an authority works with.
type Deps struct {
	DB   *db.DB          // opened with Schema
	Area securearea.Area // where the signing keys live
	// Anchors returns the trust anchors to judge wallet and key attestations
	// by. It is called within transactions on DB, so it must not use DB nor wait
	// for a network: assure's Follower.Latest.
	Anchors func(ctx context.Context, now time.Time) (*assure.Anchors, error)
	// Refresh fetches the anchors anew when an app's provider is not among
	// them; it bounds how often that happens: assure's Follower.Refresh.
	// Optional.
	Refresh func(ctx context.Context, now time.Time) error
	// Webhooks is the way to those who are told of events, with a timeout of
	// some seconds. Optional: without it this process tells nobody.
	Webhooks fetch.Func
	// Guard holds back who asks or guesses too often. Optional.
	Guard *web.Guard
	Now   func() time.Time // optional, time.Now
	Log   *slog.Logger     // optional, none
}

// Errors that callers tell apart with errors.Is.
var (
	ErrUnknownTenant   = errors.New("issuer: no such tenant")
	ErrUnknownOffering = errors.New("issuer: no such offering, or not by this grant")
	ErrUnknownPerson   = errors.New("issuer: nobody in the source has this id")
	ErrUnknownDocument = errors.New("issuer: no such document")
	ErrDeceased        = errors.New("issuer: the person has died")
	ErrInvalid         = errors.New("issuer: request not valid")
)

// Authority is an issuing authority. It may be used concurrently; several
// processes may share a database and a secure area.
type Authority struct {
	config  Config
	db      *db.DB
	area    securearea.Area
	anchors func(ctx context.Context, now time.Time) (*assure.Anchors, error)
	refresh func(ctx context.Context, now time.Time) error // may be nil
	guard   *web.Guard                                     // may be nil
	now     func() time.Time
	log     *slog.Logger

	types   *doctype.Catalogue
	ring    *keyring.Ring
	indexes *statuslist.Allocator
	tenants map[string]*tenant
	audit   *audit.Process
	outbox  *outbox.Outbox
	metrics *metrics
	files   web.Files
	pages   *web.Pages
	health  *web.Health
	handler http.Handler

	recording chan struct{} // holds one element while a batch is recorded
}

// New returns the authority. It makes no keys yet: Run does, or the first
// request that needs one.
func New(cfg Config, deps Deps) (*Authority, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("issuer: configuration: %w", err)
	}
	if deps.DB == nil || deps.Area == nil || deps.Anchors == nil {
		return nil, errors.New("issuer: a database, a secure area and anchors are needed")
	}
	a := &Authority{
		config: cfg.complete(), db: deps.DB, area: deps.Area, anchors: deps.Anchors, refresh: deps.Refresh, guard: deps.Guard,
		now: deps.Now, log: deps.Log,
		tenants: map[string]*tenant{}, audit: audit.NewProcess(deps.DB, "issuer"), pages: newPages(),
		recording: make(chan struct{}, 1),
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.outbox, a.metrics = a.newOutbox(deps), newMetrics()
	var err error
	if a.types, err = a.config.types(); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	a.ring = keyring.New(a.area, keyring.StoreIn(a.db.Records()))
	a.audit.SignWith(a.ring.SignAudit)
	a.indexes = statuslist.NewAllocator(statuslist.Records(a.db.Records()), 0)
	for _, t := range a.config.Tenants {
		if a.tenants[t.ID], err = a.newTenant(t); err != nil {
			return nil, fmt.Errorf("issuer: tenant %s: %w", t.ID, err)
		}
	}
	a.health = web.NewHealth(map[string]func(context.Context) error{"database": a.db.Ping})
	a.handler = a.routes()
	return a, nil
}

func (a *Authority) newTenant(cfg Tenant) (*tenant, error) {
	t := &tenant{authority: a, config: cfg, base: a.config.URL + "/" + cfg.ID, denials: web.NewBuckets[denial](1, denialTime)}
	var err error
	if t.offerings, err = cfg.offerings(a.types); err != nil {
		return nil, err
	}
	if t.clients, err = cfg.registrations(); err != nil {
		return nil, err
	}
	csv, err := source.OpenCSV(cfg.Source, source.Options{Types: a.types.All()})
	if err != nil {
		return nil, err
	}
	t.source, t.ca, t.board = csv, t.newCA(), t.newBoard()
	return t, nil
}

// Handler serves everything that is public.
func (a *Authority) Handler() http.Handler { return a.handler }

// Books is the chain of the audit that this process writes.
func (a *Authority) Books() *audit.Process { return a.audit }

// Drain makes /readyz say that this process is about to end.
func (a *Authority) Drain() { a.health.Drain() }

// Tenants are the ids of all tenants, sorted.
func (a *Authority) Tenants() []string { return slices.Sorted(maps.Keys(a.tenants)) }

// Failing names what keeps this process from answering, nothing if it is ready.
func (a *Authority) Failing(ctx context.Context) []string { return a.health.Failing(ctx) }

func (a *Authority) tenant(id string) (*tenant, error) {
	if t := a.tenants[id]; t != nil {
		return t, nil
	}
	return nil, ErrUnknownTenant
}

// OfferingInfo says what an authority issues.
type OfferingInfo struct {
	ID, DocType, Format, Name string
	Level                     offering.Level
	Batch                     int
	PreAuthorized, Authorize  bool // the ways to get it
}

// Offerings lists what a tenant issues, by id. Error: ErrUnknownTenant.
func (a *Authority) Offerings(tenant string) ([]OfferingInfo, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	var list []OfferingInfo
	for _, o := range t.offerings {
		list = append(list, OfferingInfo{
			ID: o.ID, DocType: o.DocType, Format: o.Format, Name: o.Display[0].Name, Level: o.Level, Batch: o.Batch,
			PreAuthorized: o.PreAuthorized, Authorize: o.Authorization,
		})
	}
	slices.SortFunc(list, func(x, y OfferingInfo) int { return cmp.Compare(x.ID, y.ID) })
	return list, nil
}

// tick is how often Run looks what there is to do.
const tick = 20 * time.Second

// Run keeps keys, revocation lists and status lists fresh, and delivers events,
// until ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.outbox.Run(ctx) })
	group.Go(func() error { return a.upkeep(ctx) })
	return group.Wait()
}

func (a *Authority) upkeep(ctx context.Context) error {
	return upkeep.Run(ctx, upkeep.Task{Role: "issuer", Every: tick, Retry: tick, Do: a.maintain, Log: a.log})
}

// maintain does once what Run does again and again.
func (a *Authority) maintain(ctx context.Context) error {
	var problems []error
	for _, t := range a.tenants {
		_, err := t.engines(ctx)
		problems = append(problems, t.ca.Maintain(ctx, a.now()), err, withoutRoot(t.board.PublishDue(ctx, a.now())))
		_, _, err = t.reviewNext(ctx, a.config.ReviewEvery)
		problems = append(problems, withoutRoot(err))
	}
	sweep := a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return errors.Join(sweepForgotten(ctx, tx, a.now()), sweepRequests(ctx, tx, a.now()))
	})
	problems = append(problems, a.endOffers(ctx))
	return errors.Join(append(problems, a.audit.Checkpoint(ctx, a.now()), a.db.Sweep(ctx, a.now()), sweep)...)
}
