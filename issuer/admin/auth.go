package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

// authenticate returns the token of a request that may do something: RFC 6750,
// 2.1 only, so never in an address. tenant is that of the path, "" if it has none.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, scope Scope, tenant string) (Token, error) {
	now := s.now()
	from := addressOf(r)
	if wait := s.wrong.blocked(from, now); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(wait/time.Second)+1))
		return Token{}, refusal(http.StatusTooManyRequests, "too_many_attempts", "There were too many wrong tokens from this address. Please wait a minute.")
	}
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="eidos issuer"`)
		return Token{}, refusal(http.StatusUnauthorized, "no_token", "An access token is needed (RFC 6750): Authorization: Bearer …")
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	var t Token
	err := ErrToken
	if len(values) == 1 && strings.EqualFold(scheme, "Bearer") {
		t, err = s.tokens.Find(r.Context(), text, now)
	}
	if errors.Is(err, ErrToken) {
		s.wrong.note(from, now)
		w.Header().Set("WWW-Authenticate", `Bearer realm="eidos issuer", error="invalid_token"`)
		return Token{}, refusal(http.StatusUnauthorized, "invalid_token", "The access token is not valid, has expired or was revoked.")
	}
	if err != nil {
		return Token{}, err
	}
	if t.Tenant != AllTenants && t.Tenant != tenant {
		return Token{}, refusal(http.StatusForbidden, "other_tenant", "The access token is of another authority.")
	}
	if !slices.Contains(t.Scopes, scope) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="eidos issuer", error="insufficient_scope", scope=%q`, scope))
		return Token{}, refusal(http.StatusForbidden, "insufficient_scope", "The access token lacks the scope %s.", scope)
	}
	return t, nil
}

// addressOf is who asks: an IPv4 address, or the /64 of an IPv6 one, which is
// what one customer has.
func addressOf(r *http.Request) netip.Prefix {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := ap.Addr().Unmap().WithZone(""), 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

const (
	wrongLimit     = 10          // wrong tokens of an address
	wrongWindow    = time.Minute // in this time
	wrongAddresses = 4096        // that are remembered
)

// wrongTokens counts wrong tokens by address, in this process, within bounded
// memory.
type wrongTokens struct {
	mu    sync.Mutex
	tries map[netip.Prefix]tries
}

type tries struct {
	n     int
	since time.Time
}

// blocked is for how long an address gets no answer any more, 0 if it does.
func (c *wrongTokens) blocked(from netip.Prefix, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tries[from]
	if !ok || t.n < wrongLimit {
		return 0
	}
	return max(0, t.since.Add(wrongWindow).Sub(now))
}

func (c *wrongTokens) note(from netip.Prefix, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tries == nil {
		c.tries = map[netip.Prefix]tries{}
	}
	t, ok := c.tries[from]
	if !ok && len(c.tries) >= wrongAddresses {
		for a, old := range c.tries {
			if now.Sub(old.since) >= wrongWindow {
				delete(c.tries, a)
			}
		}
		if len(c.tries) >= wrongAddresses { // who has so many addresses is not held up by a counter
			clear(c.tries)
		}
	}
	if !ok || now.Sub(t.since) >= wrongWindow {
		t = tries{since: now}
	}
	t.n++
	c.tries[from] = t
}

// errNowhere is what an address without an operation is answered.
func errNowhere() *web.Error {
	return refusal(http.StatusNotFound, "not_found", "There is nothing at this address; /openapi.json lists what there is.")
}
