package main

import (
	"context"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/verifier"
	rpapi "github.com/eidos-id/eidos/verifier/api"
)

// hammerVerifierCmd is the process that hammer present loads: a verifier with
// one relying party, which takes orders from whoever reaches it.
type hammerVerifierCmd struct {
	hammerTarget
}

// Run serves until it is interrupted.
func (c *hammerVerifierCmd) Run(m *machine) error {
	v := &hammeredVerifier{}
	return c.serve(m, roleVerifier, verifier.Schema, &v.hammered, v)
}

// hammeredVerifier is a verifier under load.
type hammeredVerifier struct {
	hammered
	verifier *verifier.Verifier
	api      http.Handler
	token    string                         // of the relying party's system
	anchors  atomic.Pointer[assure.Anchors] // nil trusts nobody
	list     atomic.Pointer[[]byte]         // token of a status list; nil before it was ordered
}

// open opens the verifier.
func (v *hammeredVerifier) open(ctx context.Context, _ string) error {
	fetch, err := web.NewClient(web.Options{AllowLoopback: true, RootCAs: []*x509.Certificate{v.ca}})
	if err != nil {
		return err
	}
	v.verifier, err = verifier.New(verifier.Config{URL: v.origin, Tenants: []verifier.Tenant{{ID: "default", Name: "Hammer"}}}, verifier.Deps{
		DB: v.db, Area: v.area, Fetch: fetch, Now: v.now, Log: v.log,
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return v.anchors.Load(), nil },
	})
	if err != nil {
		return err
	}
	tokens := rpapi.NewTokens(v.db, v.verifier.Books())
	server, err := rpapi.New(v.verifier, rest.Deps{DB: v.db, Tokens: tokens, HTTPS: true, Now: v.now, Log: v.log})
	if err != nil {
		return err
	}
	v.api = server.Handler()
	_, v.token, err = tokens.Create(ctx, rest.Token{
		Tenant: "default", Name: "hammer", Scopes: []rest.Scope{rpapi.Ask}, Expires: v.now().Add(24 * time.Hour),
	}, v.now())
	return err
}

func (v *hammeredVerifier) run(ctx context.Context) error { return v.verifier.Run(ctx) }

// handler serves the verifier, its orders, and the status list of the
// documents, which it fetches once as it would from anywhere.
func (v *hammeredVerifier) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", v.verifier.Handler())
	mux.Handle("/v1/", v.api)
	mux.Handle("POST /hammer/token", web.ErrFunc(v.tell))
	mux.Handle("POST /hammer/issuer", web.ErrFunc(v.trust))
	mux.Handle("POST /hammer/list", web.ErrFunc(v.keepList))
	mux.Handle("GET /hammer/list", web.ErrFunc(v.serveList))
	return mux
}

// tell says the token that opens the API.
func (v *hammeredVerifier) tell(w http.ResponseWriter, _ *http.Request) error {
	web.JSON(w, http.StatusOK, v.token)
	return nil
}

// trust makes the certificate in the body the only root of issuers.
func (v *hammeredVerifier) trust(w http.ResponseWriter, r *http.Request) error {
	anchors, err := hammerRoot(w, r, trustlist.Issuer)
	if err != nil {
		return err
	}
	v.anchors.Store(anchors)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keepList keeps the token in the body.
func (v *hammeredVerifier) keepList(w http.ResponseWriter, r *http.Request) error {
	token, err := web.ReadBody(w, r, web.DefaultBodyLimit)
	if err != nil {
		return err
	}
	v.list.Store(&token)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (v *hammeredVerifier) serveList(w http.ResponseWriter, _ *http.Request) error {
	token := v.list.Load()
	if token == nil {
		return web.Errorf(http.StatusNotFound, "There is no list yet.")
	}
	web.Reply(w, http.StatusOK, status.MediaListCWT, *token)
	return nil
}
