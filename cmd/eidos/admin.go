package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/issuer/admin"
	"github.com/eidos-id/eidos/verifier"
	rpapi "github.com/eidos-id/eidos/verifier/api"
)

// Where the first start leaves an access token of the API of a role.
const (
	issuerTokenFile   = "admin-token"
	verifierTokenFile = "api-token"
)

// admin opens the listener of the issuing authority's API and returns what
// serves it.
func (h *house) admin(ctx context.Context, a *issuer.Authority, d *db.DB) (run func(ctx context.Context) error, err error) {
	l := apiListener{role: roleIssuer, address: h.cfg.Issuer.Admin.Listen, option: "issuer.admin.listen", tokenFile: issuerTokenFile}
	if l.options, err = h.apiOptions(l.address); err != nil {
		return nil, err
	}
	tokens := admin.NewTokens(d, a.Books())
	s, err := admin.New(a, h.apiDeps(l, d, tokens))
	if err != nil {
		return nil, err
	}
	h.adminURL, run, err = h.listenAPI(ctx, l, tokens, s.Handler())
	return run, err
}

// api opens the listener of the verifier's API and console and returns what
// serves them.
func (h *house) api(ctx context.Context, v *verifier.Verifier, d *db.DB) (run func(ctx context.Context) error, err error) {
	l := apiListener{role: roleVerifier, address: h.cfg.Verifier.API.Listen, option: "verifier.api.listen", tokenFile: verifierTokenFile}
	if l.options, err = h.apiOptions(l.address); err != nil {
		return nil, err
	}
	tokens := rpapi.NewTokens(d, v.Books())
	s, err := rpapi.New(v, h.apiDeps(l, d, tokens))
	if err != nil {
		return nil, err
	}
	h.apiURL, run, err = h.listenAPI(ctx, l, tokens, s.Handler())
	if err == nil && h.shop != nil {
		err = h.shop.employ(ctx, tokens, h.apiURL)
	}
	return run, err
}

// apiListener is where the API of a role is.
type apiListener struct {
	role, address string
	option        string // of the configuration, that says the address
	tokenFile     string
	options       web.ServeOptions
}

// apiOptions have the certificate of the roles, none for a loopback address.
func (h *house) apiOptions(address string) (web.ServeOptions, error) {
	o := web.ServeOptions{Log: h.log, Drain: time.Second}
	t := h.cfg.TLS
	host, _, err := net.SplitHostPort(address)
	if err != nil || web.IsLoopbackName(host) || t.Certificate == "" {
		return o, err
	}
	o.TLS, err = web.ServerTLS(t.Certificate, t.Key)
	return o, err
}

// apiDeps are what the API of a role works with.
func (h *house) apiDeps(l apiListener, d *db.DB, tokens *rest.Tokens) rest.Deps {
	return rest.Deps{DB: d, Tokens: tokens, Loopback: !h.cfg.public(), HTTPS: l.options.TLS != nil, Now: h.now, Log: h.log}
}

// listenAPI makes the first token and opens the listener.
func (h *house) listenAPI(ctx context.Context, l apiListener, tokens *rest.Tokens, handler http.Handler) (url string, run func(ctx context.Context) error, err error) {
	if err := h.firstToken(ctx, l, tokens); err != nil {
		return "", nil, err
	}
	ln, err := net.Listen("tcp", l.address)
	if err != nil {
		return "", nil, hint(err, "%s says where the API is", l.option)
	}
	scheme := "http://"
	if l.options.TLS != nil {
		scheme = "https://"
	}
	h.closers = append(h.closers, func() error { // where serving never began
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return scheme + ln.Addr().String(), func(ctx context.Context) error { return web.Serve(ctx, ln, handler, l.options) }, nil
}

// firstToken makes a token at the first start and leaves it in a file for its
// operator only.
func (h *house) firstToken(ctx context.Context, l apiListener, tokens *rest.Tokens) error {
	text, err := tokens.First(ctx, h.now())
	if err != nil || text == "" {
		return err
	}
	name := filepath.Join(h.dir, l.role, l.tokenFile)
	if err := writeFile(name, []byte(text+"\n"), 0o600); err != nil {
		return hint(err, "the first access token is lost; eidos %s token create makes another", l.role)
	}
	h.log.Info("the first access token of an API is in a file", "role", l.role, "file", name)
	return nil
}
