package rest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

// Authenticate returns the token of a request that may do something: RFC 6750,
// 2.1 only, so never in an address. tenant is that of the path, "" if it has none.
func (s *API) Authenticate(w http.ResponseWriter, r *http.Request, scope Scope, tenant string) (Token, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		w.Header().Set("WWW-Authenticate", s.challenge(""))
		return Token{}, Refusal(http.StatusUnauthorized, "no_token", "An access token is needed (RFC 6750): Authorization: Bearer …")
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if len(values) != 1 || !strings.EqualFold(scheme, "Bearer") {
		text = ""
	}
	t, err := s.Present(w, r, text)
	if err != nil {
		return Token{}, err
	}
	if !t.Opens(tenant) {
		return Token{}, Refusal(http.StatusForbidden, "other_tenant", "The access token is of another tenant.")
	}
	if !slices.Contains(t.Scopes, scope) {
		w.Header().Set("WWW-Authenticate", s.challenge(fmt.Sprintf(`, error="insufficient_scope", scope=%q`, scope)))
		return Token{}, Refusal(http.StatusForbidden, "insufficient_scope", "The access token lacks the scope %s.", scope)
	}
	return t, nil
}

// Present returns the token of a text that somebody presents. Who presents wrong
// ones is held up.
func (s *API) Present(w http.ResponseWriter, r *http.Request, text string) (Token, error) {
	now, from := s.config.Now(), web.Address(r)
	if wait := s.wrong.Wait(from, 1, now); wait > 0 {
		w.Header().Set("Retry-After", web.RetryAfter(wait))
		return Token{}, Refusal(http.StatusTooManyRequests, "too_many_attempts", "There were too many wrong tokens from this address. Please wait a minute.")
	}
	t, err := s.config.Tokens.Find(r.Context(), text, now)
	if errors.Is(err, ErrToken) {
		s.wrong.Take(from, 1, now)
		w.Header().Set("WWW-Authenticate", s.challenge(`, error="invalid_token"`))
		return Token{}, Refusal(http.StatusUnauthorized, "invalid_token", "The access token is not valid, has expired or was revoked.")
	}
	return t, err
}

// challenge is WWW-Authenticate. RFC 6750, 3.
func (s *API) challenge(more string) string {
	return fmt.Sprintf("Bearer realm=%q", s.config.Realm) + more
}

const (
	wrongLimit  = 10          // wrong tokens of an address
	wrongWindow = time.Minute // in this time
)

// errNowhere is what an address without an operation is answered.
func errNowhere() *web.Error {
	return Refusal(http.StatusNotFound, "not_found", "There is nothing at this address; /openapi.json lists what there is.")
}
