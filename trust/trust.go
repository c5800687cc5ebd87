// Package trust is the trust service: it finds the certificates of the roles
// of a system, pins them on first use, notices when one changes, and publishes
// who is trusted for what in two signed lists: a VICAL of issuing authorities
// and a list of all other anchors by purpose.
//
// ISO/IEC 18013-5 second edition (draft v4), Annex C; ISO/IEC 23220-1:2023, 5.2.
package trust

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
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
type Service struct{ handler http.Handler }

// New returns the service. It makes no keys yet: Refresh and Run do, or the
// first request that needs one.
func New(cfg Config, deps Deps) (*Service, error) { return &Service{}, cfg.Check() }

// Handler serves everything that is public.
func (s *Service) Handler() http.Handler { return s.handler }

// Drain makes /readyz say that this process is about to end.
func (s *Service) Drain() {}

// Run fetches the sources and publishes the lists again and again until ctx
// ends.
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Refresh fetches all sources now and publishes what changed. The error names
// the sources that could not be had; the others are published all the same.
func (s *Service) Refresh(ctx context.Context) error { return nil }

// Anchor is a source and what was found there.
type Anchor struct {
	Source      Source
	Fingerprint string    // SHA-256 of the listed certificate, hex; empty if none was found yet
	Subject     string    // of the listed certificate
	NotAfter    time.Time // of the listed certificate
	Pinned      time.Time // when its key was accepted
	By          string    // who accepted it
	Fetched     time.Time // when the source answered last
	Problem     string    // why the last attempt failed; empty if it did not

	// Pending is the fingerprint of a certificate with another key, which
	// waits to be accepted; empty if there is none.
	Pending      string
	PendingSince time.Time
}

// Anchors lists a tenant's sources in the order of its configuration. Error:
// ErrUnknownTenant.
func (s *Service) Anchors(ctx context.Context, tenant string) ([]Anchor, error) {
	return nil, ErrUnknownTenant
}

// Accept lists the changed certificate of a source in place of the pinned one,
// and publishes. fingerprint is that of the certificate that the operator
// means, SHA-256 in hex with or without colons; empty means whichever waits.
// Errors: ErrUnknownTenant, ErrUnknownSource, ErrNothing.
func (s *Service) Accept(ctx context.Context, tenant, source, fingerprint string) error {
	return ErrUnknownTenant
}

// fingerprint reads a SHA-256 fingerprint in hex, with or without colons; the
// empty one is nil.
func fingerprint(s string) ([]byte, error) {
	sum, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(sum) != 0 && len(sum) != sha256.Size {
		return nil, errors.New("wanted SHA-256 in hexadecimal")
	}
	return sum, nil
}
