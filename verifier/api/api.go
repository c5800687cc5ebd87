// Package api is the interface of a verifier for a relying party's own systems:
// JSON over HTTP on a listener of its own, behind bearer tokens, and the console
// of the relying party's operator. It says and does nothing that package verifier
// does not offer, and adds who may do it.
//
// See docs/relying-party.md. RFC 6750 (bearer tokens), RFC 9457 (problem
// details), OpenAPI 3.1.
package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/verifier"
)

const apiName = "verifier api"

// The scopes of tokens.
const (
	Read  rest.Scope = "read"  // states and reports, no attributes
	Ask   rest.Scope = "ask"   // begin, read the answer with its secret, delete
	Data  rest.Scope = "data"  // answers that are kept, and what holders ask to delete
	Admin rest.Scope = "admin" // webhooks
)

// NewTokens returns the access tokens in the verifier's database. books is told
// of each that is made or revoked.
func NewTokens(d *db.DB, books *audit.Process) *rest.Tokens {
	return rest.NewTokens(d, books, rest.TokenRules{
		API: apiName, Prefix: "eiv", House: keyring.House, Scopes: []rest.Scope{Read, Ask, Data, Admin},
	})
}

// Server answers the API and serves the console. It may be used concurrently.
type Server struct {
	verifier *verifier.Verifier
	loopback bool
	api      *rest.API
	handler  http.Handler
}

// New returns the API of a verifier.
func New(v *verifier.Verifier, deps rest.Deps) (*Server, error) {
	s := &Server{verifier: v, loopback: deps.Loopback}
	var err error
	s.api, err = rest.New(rest.Config{
		Deps: deps, Name: apiName, Realm: "eidos verifier", Title: "eidos verifier, for relying parties", Description: "For a relying party's own systems.",
		Operations: s.operations(), Tenant: v.CheckTenant, Known: told, CheckJSON: checkJSON, MaxBody: maxBody,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s.api.Register(mux)
	newConsole(v, deps, s.api).register(mux)
	s.handler = s.api.Wrap(mux)
	return s, nil
}

// Handler serves the API and the console.
func (s *Server) Handler() http.Handler { return s.handler }

// maxBody is a request of the API, bytes: a question in DCQL may be long.
const maxBody = 64 << 10

func checkJSON(body []byte) error {
	return jose.CheckJSON(body, jose.Limits{Token: maxBody, Depth: 16, Members: 256})
}

// told is what the client is told of an error.
func told(err error) (web.Error, bool) {
	if errors.Is(err, verifier.ErrInvalid) { // its words are about the request
		return web.Error{Status: 422, Code: "invalid", Message: strings.TrimPrefix(err.Error(), verifier.ErrInvalid.Error()+": ")}, true
	}
	for _, k := range []struct {
		err error
		web.Error
	}{
		{verifier.ErrUnknownTenant, web.Error{Status: 404, Code: "unknown_tenant", Message: "There is no such relying party here."}},
		{verifier.ErrUnknownTransaction, web.Error{Status: 404, Code: "unknown_transaction", Message: "There is no such transaction, or it was deleted."}},
		{verifier.ErrUnknownDeletion, web.Error{Status: 404, Code: "unknown_deletion_request", Message: "There is no such request to delete."}},
		{verifier.ErrNothingKept, web.Error{Status: 404, Code: "nothing_kept", Message: "Nothing is kept of this transaction, or it was not answered."}},
		{verifier.ErrResponseCode, web.Error{Status: 403, Code: "response_code_required", Message: "The answer is for the browser that comes back with the response code."}},
	} {
		if errors.Is(err, k.err) {
			return k.Error, true
		}
	}
	return web.Error{}, false
}
