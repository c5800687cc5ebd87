// Package admin is the API of an issuing authority for consoles and automation:
// JSON over HTTP on a listener of its own, behind bearer tokens. It says and
// does nothing that package issuer does not offer, and adds who may do it.
//
// See docs/admin-api.md. RFC 6750 (bearer tokens), RFC 9457 (problem details),
// OpenAPI 3.1.
package admin

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
	"github.com/eidos-id/eidos/issuer"
)

// Deps are what the API works with.
type Deps struct {
	Authority *issuer.Authority
	DB        *db.DB  // the authority's
	Tokens    *Tokens // in that database
	// Loopback lets webhooks go to http addresses of this machine, for
	// demonstrations. The outbox's own way to the network has to allow it, too.
	Loopback bool
	HTTPS    bool             // the listener speaks TLS
	Now      func() time.Time // optional, time.Now
	Log      *slog.Logger     // optional, none
}

// Server answers the API. It may be used concurrently.
type Server struct {
	authority *issuer.Authority
	db        *db.DB
	tokens    *Tokens
	loopback  bool
	now       func() time.Time
	wrong     *web.Buckets[netip.Prefix] // by address
	document  *web.File                  // OpenAPI
	handler   http.Handler
}

// New returns the API of an authority.
func New(deps Deps) (*Server, error) {
	if deps.Authority == nil || deps.DB == nil || deps.Tokens == nil {
		return nil, errors.New("admin: an authority, its database and tokens are needed")
	}
	s := &Server{authority: deps.Authority, db: deps.DB, tokens: deps.Tokens, loopback: deps.Loopback, now: deps.Now,
		wrong: web.NewBuckets[netip.Prefix](wrongLimit, wrongWindow)}
	if s.now == nil {
		s.now = time.Now
	}
	all := operations()
	document, err := json.Marshal(openAPI(all))
	if err != nil {
		return nil, err
	}
	s.document = web.NewFile("application/json", document)
	s.handler = web.Wrap(s.authority.Instrument("admin", s.routes(all)), web.WrapOptions{Log: deps.Log, Role: "issuer admin", HTTPS: deps.HTTPS})
	return s, nil
}

// Handler serves the API.
func (s *Server) Handler() http.Handler { return s.handler }

// maxBody limits a request: 16 KiB.
const maxBody = 16 << 10

// routes are the operations, and what needs no token: how this process is, and
// the description of the API. Neither tells of any authority.
func (s *Server) routes(all []operation) http.Handler {
	mux := http.NewServeMux()
	web.NewHealth(map[string]func(context.Context) error{"database": s.db.Ping}).Register(mux)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, r *http.Request) { s.document.Serve(w, r, time.Minute) })
	allowed := map[string][]string{}
	for _, o := range all {
		mux.HandleFunc(o.method+" "+o.path, func(w http.ResponseWriter, r *http.Request) {
			if err := s.serve(w, r, o); err != nil {
				fail(w, r, err)
			}
		})
		allowed[o.path] = append(allowed[o.path], o.method)
	}
	for path, methods := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			fail(w, r, refusal(http.StatusMethodNotAllowed, "method_not_allowed", "This address takes %s.", strings.Join(methods, ", ")))
		})
	}
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		_, err := s.authenticate(w, r, Read, AllTenants)
		if err == nil {
			err = s.authority.ServeMetrics(w, r)
		}
		if err != nil {
			fail(w, r, err)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fail(w, r, errNowhere()) })
	return mux
}

// serve answers one operation.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, o operation) error {
	tenant := r.PathValue("tenant")
	token, err := s.authenticate(w, r, o.scope, tenant)
	if err != nil {
		return err
	}
	if _, err := s.authority.Offerings(tenant); err != nil {
		return err
	}
	input, err := read(w, r, o)
	if err != nil {
		return err
	}
	_, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	c := call{
		Context: audit.WithActor(r.Context(), "token "+token.ID), tenant: tenant, id: r.PathValue("id"), item: r.PathValue("item"),
		token: token, secret: secret, now: s.now(),
	}
	if len(c.id) > maxText || len(c.item) > maxText {
		return errNowhere()
	}
	var answer any
	if o.idempotent {
		if c.key, err = idempotencyKey(r); err != nil {
			return err
		}
	}
	if c.key != "" {
		answer, err = s.again(c, o, input)
	} else {
		answer, err = o.run(s, c, input)
	}
	if err != nil {
		return err
	}
	if o.answer == nil {
		web.NoStore(w)
		w.WriteHeader(o.status)
		return nil
	}
	web.JSON(w, o.status, answer)
	return nil
}
