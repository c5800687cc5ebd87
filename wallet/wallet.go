// Package wallet is the mdoc app: it is installed and vouched for by its
// provider, obtains documents, keeps them, asks its holder, and shows what the
// holder agreed to, on-site and over the internet.
//
// It is a library without a screen. What it needs of the machine comes in
// through [Deps]: a [Storage], a secure area for the keys, a way to fetch, and
// a [Consent] that asks the person. It runs in a browser too.
//
// A document is what a person has. Credentials are its signed copies, each
// bound to a key of its own in the secure area and shown once, so that two
// verifiers cannot find out that they met the same person.
package wallet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/securearea"
)

// Sentinels; they come wrapped with what happened and what to do about it.
var (
	// ErrNotFound: there is no such thing in the storage.
	ErrNotFound = errors.New("not found")
	// ErrNotInstalled: no provider vouches for this app yet.
	ErrNotInstalled = errors.New("the app is not installed: no provider vouches for it")
	// ErrRevoked: the provider has revoked this app.
	ErrRevoked = errors.New("the provider has revoked this app")
	// ErrTxCode: the code that came another way (PIN) is missing or wrong.
	ErrTxCode = errors.New("the PIN is missing or wrong (OpenID4VCI 1.0, 6.1)")
	// ErrOfferUsed: the offer was used already, or its time is over.
	ErrOfferUsed = errors.New("the offer was used already or is over (OpenID4VCI 1.0, 6.3)")
	// ErrUntrusted: nobody vouches for the other side, and the holder did not either.
	ErrUntrusted = errors.New("nobody vouches for the other side")
	// ErrRefused: the holder said no.
	ErrRefused = errors.New("the holder refused")
	// ErrNothing: no document answers what was asked.
	ErrNothing = errors.New("nothing to show")
)

// Deps is what an mdoc app needs of the machine it runs on.
type Deps struct {
	Storage Storage
	Area    securearea.Area
	Fetch   fetch.Func

	// Anchors returns who is trusted; Follower.Anchors of package assure with
	// [OnceTx], or Anchors.Snapshot. On-site it gets two seconds, before
	// the engagement is shown; without an answer nobody is trusted.
	Anchors func(ctx context.Context, now time.Time) (*assure.Anchors, error)

	// Refresh fetches the anchors anew when an issuer or verifier is not among
	// them: Follower.Refresh. Optional.
	Refresh func(ctx context.Context, now time.Time) error

	Now     func() time.Time
	Consent Consent
	Log     *slog.Logger       // optional; gets no personal data
	Types   *doctype.Catalogue // optional, the built-in types

	// Transactions are types of transaction data that holders may authorise
	// besides those of format/transaction. Optional. Requests with others are
	// refused.
	Transactions []oid4vp.TransactionType
}

// Wallet is an mdoc app. It is safe for concurrent use, and several processes
// may work on one storage and area.
type Wallet struct {
	cfg  Config
	deps Deps

	lastEntry atomic.Int64 // microseconds since 1970 in the newest id of the log
}

// New returns the app on its storage. It does no I/O.
func New(cfg Config, deps Deps) (*Wallet, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("wallet: %w", err)
	}
	if deps.Storage == nil || deps.Area == nil || deps.Fetch == nil || deps.Anchors == nil || deps.Now == nil || deps.Consent == nil {
		return nil, errors.New("wallet: Storage, Area, Fetch, Anchors, Now and Consent are required")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Types == nil {
		deps.Types = doctype.Builtin()
	}
	return &Wallet{cfg: cfg.withDefaults(), deps: deps}, nil
}

// now is the time by the wallet's clock.
func (w *Wallet) now() time.Time { return w.deps.Now() }

// advise wraps an error with what the person can do about it.
func advise(err error, advice string) error { return fmt.Errorf("%w; %s", err, advice) }
