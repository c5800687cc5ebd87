package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/monitor"
	"github.com/eidos-id/eidos/provider"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/trust"
	"github.com/eidos-id/eidos/verifier"
	walletweb "github.com/eidos-id/eidos/wallet/web"
)

// The roles that serve, in the order in which they start.
const (
	roleTrust    = "trust"
	roleProvider = "provider"
	roleIssuer   = "issuer"
	roleVerifier = "verifier"
	roleMonitor  = "monitor"
	roleWallet   = "wallet" // the app's pages
)

func allRoles() []string {
	return []string{roleTrust, roleProvider, roleIssuer, roleVerifier, roleMonitor, roleWallet}
}

// walletRedirect is where the mdoc app at the shell waits for the browser. The
// demonstration's authority knows it.
const walletRedirect = "http://127.0.0.1:8423/authorized"

// house is what the roles of one machine share: the configuration, the data
// directory, the way to the network and the clock. Roles hand each other
// nothing in here; each opens its own database, keys and trust anchors.
type house struct {
	cfg     Config
	dir     string
	fetch   fetch.Func // of the roles
	network fetch.Func // what fetch goes through, for those who keep their messages apart
	log     *slog.Logger
	now     func() time.Time

	adminURL string            // where the issuer's API is, "" if it is off
	apiURL   string            // where the verifier's API is, "" if it is off
	invite   func(link string) // tells the holder how to get to the app's pages
	shop     *shop             // of the demonstration; nil elsewhere
	closers  []func() error
}

// newHouse completes the configuration with the addresses of this machine:
// port is that of the listener.
func newHouse(cfg Config, dir, port string, log *slog.Logger, now func() time.Time) (*house, error) {
	for role, u := range map[string]*string{
		roleTrust: &cfg.Trust.URL, roleProvider: &cfg.Provider.URL, roleIssuer: &cfg.Issuer.URL,
		roleVerifier: &cfg.Verifier.URL, roleMonitor: &cfg.Monitor.URL, roleWallet: &cfg.WalletPages.URL,
	} {
		if *u == "" {
			*u = "http://" + role + ".localhost:" + port
		}
	}
	if cfg.TrustService == "" {
		cfg.TrustService = cfg.Trust.URL + "/default"
	}
	if cfg.Wallet.RedirectURI == "" {
		cfg.Wallet.RedirectURI = walletRedirect
	}
	if cfg.WalletPages.Provider == "" {
		cfg.WalletPages.Provider = cfg.Provider.URL + "/default"
	}
	if cfg.Verifier.Trust == "" {
		cfg.Verifier.Trust, cfg.Verifier.TrustFingerprint = cfg.TrustService, cfg.TrustFingerprint
	}
	if len(cfg.Trust.Tenants) == 0 {
		cfg.Trust.Tenants = []trust.Tenant{{ID: "default", Name: "Utopia Trust Service", Country: "UT",
			Sources: trust.DemoSources(cfg.Issuer.URL, cfg.Provider.URL, cfg.Verifier.URL)}}
	}
	if len(cfg.Monitor.Tenants) == 0 {
		cfg.Monitor.Tenants = []monitor.Tenant{{ID: "default", Name: "This machine",
			Targets: monitor.DemoTargets(cfg.Issuer.URL, cfg.Provider.URL, cfg.Verifier.URL, cfg.Trust.URL)}}
	}
	if err := cfg.inOrder(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	do, err := web.NewClient(web.Options{AllowLoopback: !cfg.public()})
	if err != nil {
		return nil, err
	}
	return &house{cfg: cfg, dir: dir, fetch: do, network: do, log: log, now: now}, nil
}

// url is the public origin of a role.
func (h *house) url(role string) string {
	switch role {
	case roleTrust:
		return h.cfg.Trust.URL
	case roleProvider:
		return h.cfg.Provider.URL
	case roleIssuer:
		return h.cfg.Issuer.URL
	case roleVerifier:
		return h.cfg.Verifier.URL
	case roleWallet:
		return h.cfg.WalletPages.URL
	}
	return h.cfg.Monitor.URL
}

// close closes what was opened, the last first.
func (h *house) close() error {
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i]())
	}
	h.closers = nil
	return errors.Join(errs...)
}

// closes has a role write the end of its audit before its database closes.
func (h *house) closes(role interface {
	Close(ctx context.Context) error
}) {
	h.closers = append(h.closers, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the server's has ended
		defer cancel()
		return role.Close(ctx)
	})
}

// open opens a role's database and secure area.
func (h *house) open(ctx context.Context, role string, schema fs.FS) (*db.DB, *software.Area, error) {
	dir := filepath.Join(h.dir, role)
	area, err := openArea(ctx, dir, role)
	if err != nil {
		return nil, nil, err
	}
	dsn := h.cfg.Database
	if !h.postgres() {
		dsn = "sqlite:" + filepath.Join(dir, role+".db")
	}
	d, err := db.Open(ctx, dsn, role, schema)
	if err != nil {
		return nil, nil, err
	}
	h.closers = append(h.closers, d.Close)
	if d.Revived() {
		err = h.noteRestored(ctx, role, d, area)
	}
	return d, area, err
}

// postgres reports whether the roles share a PostgreSQL database.
func (h *house) postgres() bool { return h.cfg.Database != "" && h.cfg.Database != "sqlite" }

// noteRestored says, in the log and in the audit, that a role's database was
// restored from a backup.
func (h *house) noteRestored(ctx context.Context, role string, d *db.DB, area *software.Area) error {
	h.log.Warn("the database was restored from a backup: what was open then is void, numbers and places in lists go on past it", "role", role)
	books := audit.NewProcess(d, role)
	books.SignWith(keyring.New(area, keyring.StoreIn(d.Records())).SignAudit)
	err := books.Write(ctx, h.now(), audit.Event{What: "database restored from a backup", Object: role})
	return errors.Join(err, books.Close(ctx, h.now()))
}

// follow returns a follower of the trust service that keeps its copies in a
// role's database.
func (h *house) follow(d *db.DB) *assure.Follower {
	return h.followIn(func(ctx context.Context, f func(once.Store) error) error {
		return d.Tx(ctx, func(ctx context.Context, tx *db.Tx) error { return f(tx.Once("default")) })
	})
}

// followIn is follow with copies kept wherever tx leads.
func (h *house) followIn(tx func(ctx context.Context, f func(once.Store) error) error) *assure.Follower {
	return assure.NewFollower(assure.FollowerConfig{
		URL: h.cfg.TrustService, Fetch: h.fetch, Fingerprint: h.cfg.TrustFingerprint, Tx: tx,
	})
}

// keepFollowing fetches the lists whenever they are due. It tries often at
// first: roles of one machine start together.
func (h *house) keepFollowing(ctx context.Context, f *assure.Follower) error {
	wait := 50 * time.Millisecond
	for {
		if _, err := f.Anchors(ctx, h.now()); err == nil {
			wait = time.Minute
		} else if wait < time.Minute {
			wait = min(2*wait, time.Minute)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// service is a role that serves.
type service struct {
	name    string
	handler http.Handler
	run     []func(ctx context.Context) error
	drain   func()
	// refresh makes the role look at the others anew, once all are up.
	refresh func(ctx context.Context) error
}

// service opens a role.
func (h *house) service(ctx context.Context, role string) (*service, error) {
	switch role {
	case roleIssuer:
		a, f, d, err := h.openIssuer(ctx)
		if err != nil {
			return nil, err
		}
		s := &service{name: role, handler: a.Handler(), drain: a.Drain, refresh: followNow(h, f),
			run: []func(context.Context) error{a.Run, func(ctx context.Context) error { return h.keepFollowing(ctx, f) }}}
		if h.cfg.Issuer.Admin.Listen != "" {
			run, err := h.admin(ctx, a, d)
			if err != nil {
				return nil, err
			}
			s.run = append(s.run, run)
		}
		return s, nil
	case roleVerifier:
		v, d, err := h.openVerifier(ctx, h.fetch)
		if err != nil {
			return nil, err
		}
		s := &service{name: role, handler: v.Handler(), drain: v.Drain, run: []func(context.Context) error{v.Run}}
		if h.cfg.Verifier.API.Listen != "" {
			run, err := h.api(ctx, v, d)
			if err != nil {
				return nil, err
			}
			s.run = append(s.run, run)
		}
		return s, nil
	case roleProvider:
		p, err := h.provider(ctx)
		if err != nil {
			return nil, err
		}
		return &service{name: role, handler: p.Handler(), drain: p.Drain, run: []func(context.Context) error{p.Run}}, nil
	case roleTrust:
		s, err := h.trust(ctx)
		if err != nil {
			return nil, err
		}
		return &service{name: role, handler: s.Handler(), drain: s.Drain, refresh: s.Refresh, run: []func(context.Context) error{s.Run}}, nil
	case roleMonitor:
		mon, err := h.monitor(ctx)
		if err != nil {
			return nil, err
		}
		return &service{name: role, handler: mon.Handler(), drain: mon.Drain, run: []func(context.Context) error{mon.Run}}, nil
	}
	if role == roleWallet {
		a, err := h.pages(ctx)
		if err != nil {
			return nil, err
		}
		return &service{name: role, handler: a.Handler(), drain: a.Drain, run: []func(context.Context) error{a.Run}}, nil
	}
	return nil, usage("%q is no role", role)
}

func followNow(h *house, f *assure.Follower) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := f.Anchors(ctx, h.now())
		return err
	}
}

func (h *house) issuer(ctx context.Context) (*issuer.Authority, *assure.Follower, error) {
	a, f, _, err := h.openIssuer(ctx)
	return a, f, err
}

// webhookTimeout limits one delivery.
const webhookTimeout = 10 * time.Second

// openIssuer is issuer with the authority's database, for its API.
func (h *house) openIssuer(ctx context.Context) (*issuer.Authority, *assure.Follower, *db.DB, error) {
	if err := h.demoRegister(); err != nil {
		return nil, nil, nil, err
	}
	d, area, err := h.open(ctx, roleIssuer, issuer.Schema)
	if err != nil {
		return nil, nil, nil, err
	}
	hooks, err := web.NewClient(web.Options{AllowLoopback: !h.cfg.public(), AllowPrivate: h.cfg.Issuer.Admin.PrivateWebhooks, Timeout: webhookTimeout})
	if err != nil {
		return nil, nil, nil, err
	}
	guard, err := h.cfg.Limits.guard(h.now)
	if err != nil {
		return nil, nil, nil, err
	}
	f := h.follow(d)
	a, err := issuer.New(h.cfg.Issuer, issuer.Deps{
		DB: d, Area: area, Anchors: f.Latest, Refresh: f.Refresh, Webhooks: hooks, Guard: guard, Now: h.now, Log: h.log,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	h.closes(a)
	return a, f, d, nil
}

// demoRegister writes the demonstration's people out if no authority is
// configured, and has it read them there.
func (h *house) demoRegister() error {
	if len(h.cfg.Issuer.Tenants) > 0 {
		return nil
	}
	dir := filepath.Join(h.dir, "register")
	if err := demodata.Write(dir); err != nil {
		return err
	}
	t := issuer.DemoTenant()
	t.Source = filepath.Join(dir, demodata.Register)
	t.Clients[0].RedirectURIs = append(t.Clients[0].RedirectURIs, h.cfg.WalletPages.URL+walletweb.CallbackPath)
	h.cfg.Issuer.Tenants = []issuer.Tenant{t}
	return nil
}

// verifier opens the verifier; without do it has no network.
func (h *house) verifier(ctx context.Context, do fetch.Func) (*verifier.Verifier, error) {
	v, _, err := h.openVerifier(ctx, do)
	return v, err
}

// openVerifier is verifier with its database, for its API.
func (h *house) openVerifier(ctx context.Context, do fetch.Func) (*verifier.Verifier, *db.DB, error) {
	d, area, err := h.open(ctx, roleVerifier, verifier.Schema)
	if err != nil {
		return nil, nil, err
	}
	hooks, err := web.NewClient(web.Options{AllowLoopback: !h.cfg.public(), AllowPrivate: h.cfg.Verifier.API.PrivateWebhooks, Timeout: webhookTimeout})
	if err != nil {
		return nil, nil, err
	}
	guard, err := h.cfg.Limits.guard(h.now)
	if err != nil {
		return nil, nil, err
	}
	r, err := verifier.New(h.cfg.Verifier, verifier.Deps{DB: d, Area: area, Fetch: do, Webhooks: hooks, Guard: guard, Now: h.now, Log: h.log})
	if err != nil {
		return nil, nil, err
	}
	h.closes(r)
	return r, d, nil
}

func (h *house) provider(ctx context.Context) (*provider.Provider, error) {
	d, area, err := h.open(ctx, roleProvider, provider.Schema)
	if err != nil {
		return nil, err
	}
	guard, err := h.cfg.Limits.guard(h.now)
	if err != nil {
		return nil, err
	}
	r, err := provider.New(h.cfg.Provider, provider.Deps{DB: d, Area: area, Guard: guard, Now: h.now, Log: h.log})
	if err != nil {
		return nil, err
	}
	h.closes(r)
	return r, nil
}

func (h *house) trust(ctx context.Context) (*trust.Service, error) {
	d, area, err := h.open(ctx, roleTrust, trust.Schema)
	if err != nil {
		return nil, err
	}
	r, err := trust.New(h.cfg.Trust, trust.Deps{DB: d, Area: area, Fetch: h.fetch, Now: h.now, Log: h.log})
	if err != nil {
		return nil, err
	}
	h.closes(r)
	return r, nil
}

func (h *house) monitor(ctx context.Context) (*monitor.Monitor, error) {
	d, _, err := h.open(ctx, roleMonitor, monitor.Schema)
	if err != nil {
		return nil, err
	}
	return monitor.New(h.cfg.Monitor, monitor.Deps{DB: d, Fetch: h.fetch, Now: h.now, Log: h.log})
}
