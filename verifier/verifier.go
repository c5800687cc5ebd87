// Package verifier is the mobile verification application: it asks holders for
// elements of their documents, on-site (proximity.go) and over the internet
// (online.go), and verifies what they answer. What it does apart from servers
// and databases is in package core.
//
// ISO/IEC 23220-1:2023, 9 and 10.
package verifier

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

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea"
)

// Schema are the migrations of the verifier's database, for db.Open with the
// role "verifier".
//
//go:embed schema/*.sql
var Schema embed.FS

// Deps are what a verifier works with.
type Deps struct {
	DB   *db.DB          // opened with Schema
	Area securearea.Area // where the keys live; it has to agree on P-256 too
	// Fetch gets trust lists, status lists and revocation lists. Nil is a
	// verifier without network: it goes on with what its store has.
	Fetch fetch.Func
	// Anchors returns the trust anchors, in the place of those of
	// Config.Trust. Optional.
	Anchors func(ctx context.Context, now time.Time) (*assure.Anchors, error)
	// Webhooks is the way to those who are told of events, with a timeout of
	// some seconds. Optional: without it this process tells nobody.
	Webhooks fetch.Func
	// Guard holds back who asks too often. Optional.
	Guard *web.Guard
	Now   func() time.Time // optional, time.Now
	Log   *slog.Logger     // optional, none
}

// Errors that callers tell apart with errors.Is.
var (
	ErrUnknownTenant      = errors.New("verifier: no such tenant")
	ErrUnknownTransaction = errors.New("verifier: no such transaction, or it was deleted")
	ErrResponseCode       = errors.New("verifier: the result is for the browser that comes back with the response code")
	ErrUnknownDeletion    = errors.New("verifier: no such request to delete")
	ErrNothingKept        = errors.New("verifier: nothing is kept of the transaction, or it was not answered")
	ErrInvalid            = errors.New("verifier: request not valid")
)

// Verifier asks and verifies. It may be used concurrently; several processes
// may share a database and a secure area.
type Verifier struct {
	config  Config
	db      *db.DB
	area    securearea.Area
	fetch   fetch.Func
	guard   *web.Guard // may be nil
	now     func() time.Time
	log     *slog.Logger
	types   *doctype.Catalogue
	ring    *keyring.Ring
	tenants map[string]*tenant
	audit   *audit.Process
	outbox  *outbox.Outbox
	hub     *hub
	pages   *web.Pages
	health  *web.Health
	handler http.Handler
}

// New returns the verifier. It makes no keys yet: Run does, or the first
// request that needs one.
func New(cfg Config, deps Deps) (*Verifier, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("verifier: configuration: %w", err)
	}
	if deps.DB == nil || deps.Area == nil {
		return nil, errors.New("verifier: a database and a secure area are needed")
	}
	v := &Verifier{
		config: cfg.complete(), db: deps.DB, area: deps.Area, fetch: deps.Fetch, guard: deps.Guard, now: deps.Now, log: deps.Log,
		tenants: map[string]*tenant{}, audit: audit.NewProcess(deps.DB, "verifier"),
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	v.outbox, v.hub = v.newOutbox(deps), newHub(v)
	var err error
	if v.types, err = v.config.types(); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	v.ring = keyring.New(v.area, keyring.StoreIn(v.db.Records()))
	v.audit.SignWith(v.ring.SignAudit)
	for _, c := range v.config.Tenants {
		if v.tenants[c.ID], err = v.newTenant(c, deps.Anchors); err != nil {
			return nil, fmt.Errorf("verifier: tenant %s: %w", c.ID, err)
		}
	}
	v.health = web.NewHealth(map[string]func(context.Context) error{"database": v.db.Ping})
	v.pages = web.MustPages("", nil, pageFiles, "pages/*.html")
	v.handler = v.routes()
	return v, nil
}

// Handler serves everything that is public.
func (v *Verifier) Handler() http.Handler { return v.handler }

// Drain makes /readyz say that this process is about to end, and sends those away
// who wait for changes.
func (v *Verifier) Drain() {
	v.health.Drain()
	v.hub.close()
}

// Books is the chain of the audit that this process writes.
func (v *Verifier) Books() *audit.Process { return v.audit }

// CheckTenant is ErrUnknownTenant if there is no such relying party.
func (v *Verifier) CheckTenant(id string) error {
	if v.tenants[id] == nil {
		return ErrUnknownTenant
	}
	return nil
}

// Tenants are the ids of all relying parties, sorted.
func (v *Verifier) Tenants() []string { return slices.Sorted(maps.Keys(v.tenants)) }

// Name is that of a relying party, "" if there is none of that id.
func (v *Verifier) Name(tenant string) string {
	if t := v.tenants[tenant]; t != nil {
		return t.config.Name
	}
	return ""
}

// Types are the document types that the verifier knows by name.
func (v *Verifier) Types() *doctype.Catalogue { return v.types }

func (v *Verifier) tenant(id string) (*tenant, error) {
	if t := v.tenants[cmp.Or(id, defaultTenant)]; t != nil {
		return t, nil
	}
	return nil, ErrUnknownTenant
}
