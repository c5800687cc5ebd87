// Package admin is the API of an issuing authority for consoles and automation:
// JSON over HTTP on a listener of its own, behind bearer tokens. It says and
// does nothing that package issuer does not offer, and adds who may do it.
//
// See docs/admin-api.md. RFC 6750 (bearer tokens), RFC 9457 (problem details),
// OpenAPI 3.1.
package admin

import (
	"net/http"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/keyring"
)

const apiName = "issuer admin"

// The scopes of tokens.
const (
	Read   rest.Scope = "read"   // look at everything
	Issue  rest.Scope = "issue"  // offer documents
	Revoke rest.Scope = "revoke" // end documents
	Admin  rest.Scope = "admin"  // webhooks
)

// NewTokens returns the access tokens in the authority's database. books is told
// of each that is made or revoked.
func NewTokens(d *db.DB, books *audit.Process) *rest.Tokens {
	return rest.NewTokens(d, books, rest.TokenRules{
		API: apiName, Prefix: "eia", House: keyring.House, Scopes: []rest.Scope{Read, Issue, Revoke, Admin},
	})
}

// Server answers the API. It may be used concurrently.
type Server struct {
	authority *issuer.Authority
	loopback  bool
	api       *rest.API
	handler   http.Handler
}

// New returns the API of an authority.
func New(authority *issuer.Authority, deps rest.Deps) (*Server, error) {
	s := &Server{authority: authority, loopback: deps.Loopback}
	var err error
	s.api, err = rest.New(rest.Config{
		Deps: deps, Name: apiName, Realm: "eidos issuer", Title: "eidos issuing authority, administration", Description: "For consoles and automation.",
		Operations: s.operations(), Known: told, CheckJSON: checkJSON, MaxBody: maxBody,
		Tenant: func(tenant string) error {
			_, err := s.authority.Offerings(tenant)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	s.handler = s.api.Wrap(s.authority.Instrument("admin", s.routes()))
	return s, nil
}

// Handler serves the API.
func (s *Server) Handler() http.Handler { return s.handler }

// routes are the operations and the metrics.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.api.Register(mux)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		_, err := s.api.Authenticate(w, r, Read, rest.AllTenants)
		if err == nil {
			err = s.authority.ServeMetrics(w, r)
		}
		if err != nil {
			s.api.Fail(w, r, err)
		}
	})
	return mux
}

// maxBody is a request of the API, bytes.
const maxBody = 16 << 10

func checkJSON(body []byte) error {
	return jose.CheckJSON(body, jose.Limits{Token: maxBody, Depth: 8, Members: 256})
}
