package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/issuer/admin"
)

// firstTokenFile is where the first start leaves an access token.
const firstTokenFile = "admin-token"

// admin opens the listener of the issuing authority's API and returns what
// serves it.
func (h *house) admin(ctx context.Context, a *issuer.Authority, d *db.DB) (run func(ctx context.Context) error, err error) {
	o := web.ServeOptions{Log: h.log, Drain: time.Second}
	if o.TLS, err = h.adminTLS(); err != nil {
		return nil, err
	}
	tokens := admin.NewTokens(d, a.Books())
	s, err := admin.New(admin.Deps{Authority: a, DB: d, Tokens: tokens, Loopback: !h.cfg.public(), HTTPS: o.TLS != nil, Now: h.now, Log: h.log})
	if err != nil {
		return nil, err
	}
	if err := h.firstToken(ctx, tokens); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", h.cfg.Issuer.Admin.Listen)
	if err != nil {
		return nil, hint(err, "issuer.admin.listen says where the API of the authority is")
	}
	scheme := "http://"
	if o.TLS != nil {
		scheme = "https://"
	}
	h.adminURL = scheme + ln.Addr().String()
	h.closers = append(h.closers, func() error { // where serving never began
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return func(ctx context.Context) error { return web.Serve(ctx, ln, s.Handler(), o) }, nil
}

// adminTLS is the certificate of the roles, nil for a loopback address.
func (h *house) adminTLS() (*tls.Config, error) {
	t := h.cfg.TLS
	if host, _, err := net.SplitHostPort(h.cfg.Issuer.Admin.Listen); err == nil && web.IsLoopbackName(host) || t.Certificate == "" {
		return nil, err
	}
	return web.ServerTLS(t.Certificate, t.Key)
}

// firstToken makes a token at the first start and leaves it in a file for its
// operator only.
func (h *house) firstToken(ctx context.Context, tokens *admin.Tokens) error {
	text, err := tokens.First(ctx, h.now())
	if err != nil || text == "" {
		return err
	}
	name := filepath.Join(h.dir, roleIssuer, firstTokenFile)
	if err := writeFile(name, []byte(text+"\n"), 0o600); err != nil {
		return hint(err, "the first access token is lost; eidos issuer token create makes another")
	}
	h.log.Info("the first access token of the issuer's API is in a file", "file", name)
	return nil
}

// issuerTokenCmd looks after the access tokens of the issuing authority's API.
type issuerTokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make an access token and print it, once."`
	List   tokenListCmd   `cmd:"" help:"List the access tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"End an access token."`
}

type tokenFlags struct {
	roleFlags
	All bool `name:"all-tenants" help:"For all tenants, and for the metrics, instead of one tenant."`
}

// open opens the tokens, and says of which tenant they are.
func (f tokenFlags) open(m *machine) (*admin.Tokens, string, *house, error) {
	h, err := m.shellHouse(f.Config, f.Data)
	if err != nil {
		return nil, "", nil, err
	}
	a, _, d, err := h.openIssuer(m.ctx)
	if err == nil && !f.All {
		_, err = a.Offerings(f.Tenant) // whether there is such a tenant
	}
	if err != nil {
		return nil, "", nil, errors.Join(err, h.close())
	}
	tenant := f.Tenant
	if f.All {
		tenant = admin.AllTenants
	}
	return admin.NewTokens(d, a.Books()), tenant, h, nil
}

type tokenCreateCmd struct {
	tokenFlags
	Name     string        `required:"" help:"Who has it, for the list."`
	Scope    []string      `required:"" enum:"read,issue,revoke,admin" help:"What it is good for: read, issue, revoke, admin (webhooks). None includes another."`
	Lifetime time.Duration `default:"2160h" help:"How long; 90 days if not said, at most 3 years."`
	JSON     bool          `help:"Print the token as JSON."`
}

// Run makes the token.
func (c *tokenCreateCmd) Run(m *machine) error {
	tokens, tenant, h, err := c.open(m)
	if err != nil {
		return err
	}
	defer h.close()
	t := admin.Token{Tenant: tenant, Name: c.Name, Expires: m.now().Add(c.Lifetime)}
	for _, s := range c.Scope {
		t.Scopes = append(t.Scopes, admin.Scope(s))
	}
	t, text, err := tokens.Create(m.ctx, t, m.now())
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(struct {
			ID      string    `json:"id"`
			Token   string    `json:"token"`
			Expires time.Time `json:"expires"`
		}{t.ID, text, t.Expires.UTC()})
	}
	fmt.Fprintln(m.out, text)
	fmt.Fprintf(m.err, "eidos: note: token %s, shown once; it ends on %s\n", t.ID, t.Expires.Local().Format(time.DateOnly))
	return nil
}

type tokenListCmd struct {
	tokenFlags
	JSON bool `help:"Print the list as JSON."`
}

// Run lists tokens.
func (c *tokenListCmd) Run(m *machine) error {
	tokens, tenant, h, err := c.open(m)
	if err != nil {
		return err
	}
	defer h.close()
	list, err := tokens.List(m.ctx, tenant)
	if err != nil {
		return err
	}
	if c.JSON {
		if list == nil {
			list = []admin.Token{}
		}
		return m.json(list)
	}
	if len(list) == 0 {
		fmt.Fprintln(m.out, "no tokens")
	}
	for _, t := range list {
		state := "valid"
		switch {
		case !t.Revoked.IsZero():
			state = "revoked"
		case !t.Valid(m.now()):
			state = "expired"
		}
		scopes := make([]string, len(t.Scopes))
		for i, s := range t.Scopes {
			scopes[i] = string(s)
		}
		fmt.Fprintf(m.out, "%s  %-8s until %s  %-24s %s\n", t.ID, state, t.Expires.Format(time.DateOnly), strings.Join(scopes, ","), t.Name)
	}
	return nil
}

type tokenRevokeCmd struct {
	tokenFlags
	resultFlag
	ID string `arg:"" help:"As eidos issuer token list shows it."`
}

// Run revokes a token.
func (c *tokenRevokeCmd) Run(m *machine) error {
	tokens, tenant, h, err := c.open(m)
	if err != nil {
		return err
	}
	defer h.close()
	if err := tokens.Revoke(m.ctx, tenant, c.ID, m.now()); errors.Is(err, admin.ErrUnknownToken) {
		return hint(err, "eidos issuer token list; with --all-tenants for those of all tenants")
	} else if err != nil {
		return err
	}
	return c.say(m, map[string]string{"revoked": c.ID}, "revoked %s; it opens nothing any more", c.ID)
}
