// Package web gives the mdoc app a face: pages in a browser on the holder's own
// machine, made by the server and working without scripts.
//
// Only whoever has the link that the app was started with gets in, and only on
// this machine; see gate.go. What takes time runs beside the requests as a
// flow (flow.go): getting documents, answering a website, meeting a reader.
// What a flow has to ask the holder waits on a page of its own (consent.go).
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/upkeep"
	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/wallet"
)

// Deps is what the pages need.
type Deps struct {
	// Wallet opens the app, which asks its holder through consent and has
	// authorities send the browser back to redirectURI.
	Wallet func(consent wallet.Consent, redirectURI string) (*wallet.Wallet, error)

	// Listen waits for a reader nearby.
	Listen func(ctx context.Context) (wallet.Listener, error)

	// Invite is told the link that lets one browser in: at first by Run, and a
	// new one whenever one was used. The link is a secret of the holder's.
	Invite func(link string)

	Now func() time.Time
	Log *slog.Logger // optional; gets no personal data
}

// App is the pages. It may be used concurrently.
type App struct {
	cfg    Config
	deps   Deps
	host   string // of the origin, with port
	wallet *wallet.Wallet
	types  *doctype.Catalogue
	pages  *site.Pages
	health *site.Health

	ctx    context.Context // of the flows; ends with Run
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	closed   bool               // guarded by mu: no flow begins any more
	key      string             // hash of the key that lets a browser in; guarded by mu
	sessions map[string]visitor // by hash of the cookie; guarded by mu
	flows    map[string]*flow   // by id; guarded by mu, and what is in them
}

// CallbackPath is where, below Config.URL, authorities send the browser back to.
const CallbackPath = "/callback"

// New opens the app and its pages.
func New(cfg Config, deps Deps) (*App, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("wallet pages: %w", err)
	}
	if deps.Wallet == nil || deps.Listen == nil || deps.Invite == nil || deps.Now == nil {
		return nil, errors.New("wallet pages: Wallet, Listen, Invite and Now are required")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.complete()
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	a := &App{
		cfg: cfg, deps: deps, host: u.Host, types: doctype.Builtin(), pages: newPages(), health: site.NewHealth(nil),
		sessions: make(map[string]visitor), flows: make(map[string]*flow),
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if a.wallet, err = deps.Wallet(a, cfg.URL+CallbackPath); err != nil {
		return nil, fmt.Errorf("wallet pages: %w", err)
	}
	return a, nil
}

// Handler serves the pages.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	a.health.Register(mux)
	for pattern, f := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /app.css": serveStyle, "GET /app.js": serveScript,
		"GET /offer": a.serveArrival, "GET /request": a.serveArrival, "GET " + CallbackPath: a.serveArrival,
		"POST " + CallbackPath: a.serveReturn,

		"GET /{$}":                    a.serveDocuments,
		"GET /documents/{id}":         a.serveDocument,
		"POST /documents/{id}/check":  a.serveCheck,
		"POST /documents/{id}/delete": a.serveDelete,
		"GET /app":                    a.serveInstallation,
		"POST /app/install":           a.serveInstall,
		"POST /app/uninstall":         a.serveUninstall,
		"POST /app/lock":              a.serveLock,
		"GET /add":                    a.serveAdd,
		"POST /add":                   a.serveOffer,
		"GET /show":                   a.serveShow,
		"POST /show/nearby":           a.serveNearby,
		"POST /show/website":          a.serveWebsite,
		"GET /history":                a.serveHistory,
		"POST /history/forget":        a.serveForget,
		"GET /history/{id}":           a.serveEntry,
		"POST /history/{id}/deletion": a.serveAskDeletion,
		"POST /history/{id}/report":   a.serveReport,
		"GET /trusted":                a.serveTrusted,
		"POST /trusted/forget":        a.serveUnpin,
		"GET /flow/{id}":              a.serveFlow,
		"GET /flow/{id}/state":        a.serveFlowState,
		"POST /flow/{id}/accept":      a.serveAccept,
		"POST /flow/{id}/authority":   a.serveAuthority,
		"POST /flow/{id}/cancel":      a.serveCancel,
		"GET /consent/{id}":           a.serveQuestion,
		"POST /consent/{id}":          a.serveDecision,
	} {
		mux.Handle(pattern, site.ErrFunc(f))
	}
	return site.Wrap(a.gate(mux), site.WrapOptions{Log: a.deps.Log, Role: "wallet"})
}

// Drain makes /readyz say that the process is about to end.
func (a *App) Drain() { a.health.Drain() }

// reissueEvery is how often the app looks whether documents need new copies.
const reissueEvery = 15 * time.Minute

// Run lets the holder in, gets new copies of documents in time, and forgets
// what is over; when ctx ends it stops everything that still runs and waits for
// it.
func (a *App) Run(ctx context.Context) error {
	a.invite()
	a.work.Go(func() {
		_ = upkeep.Run(a.ctx, upkeep.Task{Role: "wallet", Every: reissueEvery, Retry: reissueEvery, Log: a.deps.Log, Do: func(ctx context.Context) error {
			_, err := a.wallet.ReissueDue(ctx)
			return err
		}})
	})
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.mu.Lock()
			a.closed = true
			a.mu.Unlock()
			a.cancel()
			a.work.Wait()
			return nil
		case <-tick.C:
			a.sweep()
		}
	}
}

// invite makes a new key and tells the holder.
func (a *App) invite() {
	key := newSecret()
	a.mu.Lock()
	a.key = once.Hash(key)
	a.mu.Unlock()
	a.deps.Invite(a.cfg.URL + "/?key=" + key)
}

// sweep forgets sessions and flows that are over.
func (a *App) sweep() {
	now := a.deps.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, s := range a.sessions {
		if now.Sub(s.used) > a.cfg.SessionLifetime {
			delete(a.sessions, id)
			a.endFlows(id)
		}
	}
	a.sweepFlows(now)
}
