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
	"log/slog"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/securearea"
)

// Schema are the migrations of the provider's database, for db.Open with the
// role "provider".
//
//go:embed schema/*.sql
var Schema embed.FS

// Deps are what a provider works with.
type Deps struct {
	DB   *db.DB           // opened with Schema
	Area securearea.Area  // where the signing keys live; processes that share the database share it
	Now  func() time.Time // optional, time.Now
	Log  *slog.Logger     // optional, none
}

// Errors that callers tell apart with errors.Is.
var (
	ErrUnknownTenant   = errors.New("provider: no such tenant")
	ErrUnknownInstance = errors.New("provider: no such instance")
	ErrInvalid         = errors.New("provider: request not valid")
)

// Provider is an mdoc app provider. It may be used concurrently; several
// processes may share a database and a secure area.
type Provider struct{ handler http.Handler }

// New returns the provider. It makes no keys yet: Prepare and Run do, or the
// first request that needs one.
func New(cfg Config, deps Deps) (*Provider, error) { return &Provider{}, cfg.Check() }

// Prepare makes keys, certificates and status lists that are missing, once, so
// that the first request does not wait for them.
func (p *Provider) Prepare(ctx context.Context) error { return nil }

// Handler serves everything that is public.
func (p *Provider) Handler() http.Handler { return p.handler }

// Drain makes /readyz say that this process is about to end.
func (p *Provider) Drain() {}

// Run keeps keys and status lists fresh until ctx ends.
func (p *Provider) Run(ctx context.Context) error { <-ctx.Done(); return nil }
