// Package rest is what the interfaces of roles for programs have in common:
// JSON over HTTP behind bearer tokens, made of a table of operations that is
// also its description. A role says which operations there are.
//
// RFC 6750 (bearer tokens), RFC 9457 (problem details), OpenAPI 3.1.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
)

// Deps are what the API of any role works with.
type Deps struct {
	DB     *db.DB  // the role's
	Tokens *Tokens // in that database
	// Loopback lets webhooks go to http addresses of this machine, for
	// demonstrations. The outbox's own way to the network has to allow it, too.
	Loopback bool
	HTTPS    bool // the listener speaks TLS
	Now      func() time.Time
	Log      *slog.Logger // optional, none
}

// Config is what an API is made of.
type Config struct {
	Deps
	Name               string // part of what is stored, so it never changes: that of the tokens
	Realm              string // RFC 9110, 11.5
	Title, Description string // of the document
	Operations         []Operation
	// Tenant refuses a tenant that is not there.
	Tenant func(tenant string) error
	// Known is what the client is told of an error of what lies below.
	Known func(err error) (web.Error, bool)
	// CheckJSON refuses what is not one JSON text without ambiguities.
	CheckJSON func(body []byte) error
	MaxBody   int // of a request, bytes
}

// API answers requests. It may be used concurrently.
type API struct {
	config   Config
	wrong    *web.Buckets[netip.Prefix] // by address
	document *web.File                  // OpenAPI
}

// New returns an API.
func New(c Config) (*API, error) {
	if c.Tokens == nil || c.DB == nil || c.Tenant == nil || c.Known == nil || c.CheckJSON == nil || c.Now == nil {
		return nil, errors.New("rest: an API needs tokens, a database, and functions for tenants, errors, JSON and time")
	}
	document, err := json.Marshal(c.describe())
	if err != nil {
		return nil, err
	}
	return &API{config: c, wrong: web.NewBuckets[netip.Prefix](wrongLimit, wrongWindow), document: web.NewFile("application/json", document)}, nil
}

// Register adds the operations to mux, and what needs no token: how this
// process is, and the description of the API. Neither tells of any tenant.
// Everything else is not found.
func (a *API) Register(mux *http.ServeMux) {
	web.NewHealth(map[string]func(context.Context) error{"database": a.config.DB.Ping}).Register(mux)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) { a.document.Serve(w, r, time.Minute) })
	allowed := map[string][]string{}
	for _, o := range a.config.Operations {
		mux.HandleFunc(o.Method+" "+o.Path, func(w http.ResponseWriter, r *http.Request) {
			if err := a.serve(w, r, o); err != nil {
				a.Fail(w, r, err)
			}
		})
		allowed[o.Path] = append(allowed[o.Path], o.Method)
	}
	for path, methods := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			a.Fail(w, r, Refusal(http.StatusMethodNotAllowed, "method_not_allowed", "This address takes %s.", strings.Join(methods, ", ")))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.Fail(w, r, errNowhere()) })
}

// Wrap puts around all that the listener serves what web.Wrap does.
func (a *API) Wrap(h http.Handler) http.Handler {
	return web.Wrap(h, web.WrapOptions{Log: a.config.Log, Role: a.config.Name, HTTPS: a.config.HTTPS})
}

// serve answers one operation.
func (a *API) serve(w http.ResponseWriter, r *http.Request, o Operation) error {
	tenant := r.PathValue("tenant")
	token, err := a.Authenticate(w, r, o.Scope, tenant)
	if err != nil {
		return err
	}
	if err := a.config.Tenant(tenant); err != nil {
		return err
	}
	input, err := a.read(w, r, o)
	if err != nil {
		return err
	}
	if err := a.checkJSON(input, o); err != nil {
		return err
	}
	_, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	c := Call{
		Context: audit.WithActor(r.Context(), "token "+token.ID), Tenant: tenant, ID: r.PathValue("id"), Item: r.PathValue("item"),
		Token: token, secret: secret, Now: a.config.Now(),
	}
	if len(c.ID) > maxText || len(c.Item) > maxText {
		return errNowhere()
	}
	if o.Stream != nil {
		return o.Stream(w, r, c)
	}
	var answer any
	if o.Idempotent {
		if c.key, err = idempotencyKey(r); err != nil {
			return err
		}
	}
	if c.key != "" {
		answer, err = a.again(c, o, input)
	} else {
		answer, err = o.run(c, input)
	}
	if err != nil {
		return err
	}
	if o.Answer == nil {
		web.NoStore(w)
		w.WriteHeader(o.Status)
		return nil
	}
	web.JSON(w, o.Status, answer)
	return nil
}
