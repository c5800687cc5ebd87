package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eidos-id/eidos/internal/web"
)

type serveCmd struct {
	Role   []string `arg:"" enum:"all,issuer,provider,verifier,trust,monitor,wallet" help:"all, or some of issuer, provider, verifier, trust, monitor, wallet."`
	Config string   `short:"c" type:"path" placeholder:"FILE" help:"Configuration; see eidos config doc."`
	Listen string   `placeholder:"ADDR" help:"Listen here instead of where the configuration says; port 0 takes a free one."`
	Data   string   `default:"${data}" type:"path" help:"Folder of databases and keys."`
	Log    string   `enum:"debug,info,warn,error" default:"info" help:"Least level of log lines, on standard error."`
}

// Run serves until it is interrupted.
func (c *serveCmd) Run(m *machine) error {
	defer collectLater()()
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if c.Listen != "" {
		cfg.Listen = c.Listen
	}
	invite := func(link string) {
		fmt.Fprintf(m.err, "The wallet opens in one browser with this link, once:\n\n  %s\n\n", link)
	}
	s, err := m.start(m.ctx, cfg, c.Data, cfg.rolesHere(c.Role), newLogger(m, c.Log), invite)
	if err != nil {
		return err
	}
	if err := m.json(struct {
		Ready bool              `json:"ready"`
		Roles map[string]string `json:"roles"`
		Admin string            `json:"admin,omitempty"` // the issuer's API
		API   string            `json:"api,omitempty"`   // the verifier's, and its console
	}{true, s.urls, s.house.adminURL, s.house.apiURL}); err != nil {
		return errors.Join(err, s.stop())
	}
	return s.wait()
}

// newLogger logs attributes as text to standard error.
func newLogger(m *machine, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(m.err, &slog.HandlerOptions{Level: l}))
}

// running are roles that serve on one listener.
type running struct {
	house   *house
	address string            // of the listener
	urls    map[string]string // by role
	stop    func() error      // ends them and waits
	wait    func() error      // waits until they end
}

// start opens roles, serves them, and returns when they are ready: listening,
// and knowing whom to trust. invite is told each link that opens the app's pages.
func (m *machine) start(ctx context.Context, cfg Config, dir string, roles []string, log *slog.Logger, invite func(link string)) (*running, error) {
	if err := cfg.inOrder(); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", cfg.listen())
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hint(err, "another eidos may be running; --listen 127.0.0.1:0 takes a free port")
	}
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	h, err := newHouse(cfg, dir, port, log, m.now)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if err := h.claim(roles); err != nil {
		return nil, errors.Join(err, ln.Close(), h.close())
	}
	h.fetch = m.keep.fetch("roles", h.network)
	h.invite = invite
	if len(h.cfg.Verifier.Tenants) == 0 && h.cfg.Verifier.WalletLink == "" && slices.Contains(roles, roleWallet) {
		h.cfg.Verifier.WalletLink = h.cfg.WalletPages.URL + "/request" // the demonstration's website knows the demonstration's app
	}
	if m.shop {
		if err := h.openShop(ctx, port, m.keep.fetch("shop", h.network)); err != nil {
			return nil, errors.Join(err, ln.Close(), h.close())
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	r := &running{house: h, address: ln.Addr().String(), urls: make(map[string]string)}
	r.wait = func() error {
		err := group.Wait()
		cancel()
		return errors.Join(err, h.close())
	}
	r.stop = func() error {
		cancel()
		return r.wait()
	}
	if err := r.serve(ctx, group, ln, roles); err != nil {
		return nil, errors.Join(err, ln.Close(), r.stop())
	}
	if err := h.saveAddresses(r.urls); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

// serve opens the roles, starts them and makes them look at each other.
func (r *running) serve(ctx context.Context, group *errgroup.Group, ln net.Listener, roles []string) error {
	h := r.house
	var mux web.HostMux
	var services []*service
	for _, role := range roles {
		s, err := h.service(ctx, role)
		if err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		u, err := url.Parse(h.url(role))
		if err != nil {
			return err
		}
		mux.Handle(u.Hostname(), s.handler)
		r.urls[role] = h.url(role)
		services = append(services, s)
	}
	if h.shop != nil {
		mux.Handle(shopHost, h.shop.handler())
	}
	o := web.ServeOptions{Log: h.log, Drain: time.Second, Connections: h.cfg.Limits.complete().Connections}
	if t := h.cfg.TLS; t.Certificate != "" {
		var err error
		if o.TLS, err = web.ServerTLS(t.Certificate, t.Key); err != nil {
			return err
		}
	}
	group.Go(func() error { return web.Serve(ctx, ln, &mux, o) })
	r.meet(ctx, services)
	for _, s := range services {
		for _, run := range s.run {
			group.Go(func() error { return run(ctx) })
		}
	}
	return nil
}

// meet has the roles look at each other before their own loops begin: the
// trust service at everybody's certificates, then the others at its lists. What
// belongs to another machine may not be there yet: the loops try again.
func (r *running) meet(ctx context.Context, services []*service) {
	patience := 300 * time.Millisecond
	if len(services) == len(r.house.cfg.rolesHere([]string{"all"})) {
		patience = 5 * time.Second // everybody is here
	}
	for _, s := range services { // trust is the first of allRoles
		if s.refresh == nil {
			continue
		}
		err := s.refresh(ctx)
		for start := time.Now(); err != nil && time.Since(start) < patience && ctx.Err() == nil; err = s.refresh(ctx) {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			r.house.log.Warn("not everything was found at the start; it is tried again", "role", s.name, "error", err)
		}
	}
}

// addressesFile tells commands of the same data directory where the roles are.
const addressesFile = "addresses.json"

func (h *house) saveAddresses(urls map[string]string) error {
	all := h.addresses()
	for role, u := range urls {
		all[role] = u
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(h.dir, addressesFile), append(data, '\n'), 0o600)
}

// addresses are the origins of the roles that ran last from this directory.
func (h *house) addresses() map[string]string { return readAddresses(h.dir) }

func readAddresses(dir string) map[string]string {
	all := make(map[string]string)
	data, err := os.ReadFile(filepath.Join(dir, addressesFile))
	if err == nil && json.Unmarshal(data, &all) != nil {
		return make(map[string]string)
	}
	return all
}

// noteSilence says so if a link is made that no server has yet answered.
func (m *machine) noteSilence(h *house, dir string) {
	if len(h.addresses()) == 0 {
		fmt.Fprintf(m.err, "eidos: note: nobody has served from %s yet; the link leads nowhere until eidos serve does\n", dir)
	}
}

// shellHouse is the house of a command that works beside servers of the same
// data directory, or without any.
func (m *machine) shellHouse(config, dir string) (*house, error) {
	cfg, err := loadConfig(config)
	if err != nil {
		return nil, err
	}
	known := readAddresses(dir)
	for role, u := range map[string]*string{
		roleTrust: &cfg.Trust.URL, roleProvider: &cfg.Provider.URL, roleIssuer: &cfg.Issuer.URL, roleVerifier: &cfg.Verifier.URL,
	} {
		if *u == "" {
			*u = known[role]
		}
	}
	_, port, err := net.SplitHostPort(cfg.listen())
	if err != nil || strings.HasSuffix(cfg.listen(), ":0") {
		port = "8080"
	}
	return newHouse(cfg, dir, port, slog.New(slog.DiscardHandler), m.now)
}
