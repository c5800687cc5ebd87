package oauth_test

import (
	"crypto/elliptic"
	"slices"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
)

const month = 30 * 24 * time.Hour

func lasting(c *oauth.ServerConfig) { c.RefreshLifetime = month }

func (w *world) use(c *oauth.Client, t *oauth.Token) int {
	w.t.Helper()
	resp, err := c.Resource(w.ctx, t, fetch.GetRequest(resource, ""), w.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.Status
}

// A refresh token gives access under the same grant as long as it is used now
// and then, and with a newer attestation of the same instance.
func TestRefresh(t *testing.T) {
	w := newWorld(t, lasting)
	c := w.client(clientID)
	if !slices.Contains(c.Server.GrantTypesSupported, "refresh_token") {
		t.Error("metadata without refresh_token")
	}
	token := w.token(c)
	if token.RefreshToken == "" || w.use(c, token) != 200 {
		t.Fatalf("first token: %+v", token)
	}
	first := *w.grant
	for range 4 {
		w.Pass(20 * 24 * time.Hour)
		c.Attestation = w.attest(clientID, c.Instance.Public(), nil)
		next, err := c.Refresh(w.ctx, token.RefreshToken, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		if next.RefreshToken != token.RefreshToken || next.AccessToken == token.AccessToken || w.use(c, next) != 200 || w.use(c, token) != 401 {
			t.Fatalf("refreshed: %+v", next)
		}
		if w.grant.ID != first.ID || w.grant.Subject != first.Subject || len(w.grant.Credentials) != len(first.Credentials) ||
			w.grant.Scope != first.Scope || !w.grant.Instance.Expires.After(first.Instance.Expires) {
			t.Errorf("grant changed: %+v, was %+v", w.grant, first)
		}
		token = next
	}
	w.Pass(month)
	c.Attestation = w.attest(clientID, c.Instance.Public(), nil)
	_, err := c.Refresh(w.ctx, token.RefreshToken, w.Now())
	w.wantCode(t, err, "invalid_grant")
}

func TestRefreshRefusals(t *testing.T) {
	w := newWorld(t, lasting)
	c := w.client(clientID)
	token := w.token(c)
	for name, change := range map[string]func(c *oauth.Client) (refresh, code string){
		"unknown token":    func(*oauth.Client) (string, string) { return "unknown", "invalid_grant" },
		"no token":         func(*oauth.Client) (string, string) { return "", "invalid_request" },
		"the access token": func(*oauth.Client) (string, string) { return token.AccessToken, "invalid_grant" },
		"another DPoP key": func(c *oauth.Client) (string, string) {
			c.DPoP = testkit.Signer(t, elliptic.P256())
			return token.RefreshToken, "invalid_grant"
		},
		"another instance": func(c *oauth.Client) (string, string) {
			k := testkit.Signer(t, elliptic.P256())
			c.Instance, c.Attestation = k, w.attest(clientID, k.Public(), nil)
			return token.RefreshToken, "invalid_grant"
		},
		"another client": func(c *oauth.Client) (string, string) {
			c.ID, c.Attestation = "client2", w.attest("client2", c.Instance.Public(), nil)
			return token.RefreshToken, "invalid_grant"
		},
		"no client authentication": func(c *oauth.Client) (string, string) {
			c.Attestation = ""
			return token.RefreshToken, "invalid_client"
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := *c
			refresh, code := change(&other)
			_, err := other.Refresh(w.ctx, refresh, w.Now())
			w.wantCode(t, err, code)
		})
	}
	if _, err := c.Refresh(w.ctx, token.RefreshToken, w.Now()); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

// Revoking a grant ends its refresh token and every access token, also those
// that came by a refresh.
func TestRefreshRevoked(t *testing.T) {
	w := newWorld(t, lasting)
	c := w.client(clientID)
	first := w.token(c)
	if w.use(c, first) != 200 {
		t.Fatal("first token")
	}
	second, err := c.Refresh(w.ctx, first.RefreshToken, w.Now())
	if err != nil || w.use(c, second) != 200 {
		t.Fatal(err)
	}
	if err := w.server.Revoke(w.ctx, w.store, w.grant.ID, w.Now()); err != nil {
		t.Fatal(err)
	}
	if a, b := w.use(c, first), w.use(c, second); a != 401 || b != 401 {
		t.Errorf("access after revocation: %d, %d", a, b)
	}
	_, err = c.Refresh(w.ctx, first.RefreshToken, w.Now())
	w.wantCode(t, err, "invalid_grant")
}

// Servers that give none take none.
func TestNoRefresh(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	token := w.token(c)
	if token.RefreshToken != "" || slices.Contains(c.Server.GrantTypesSupported, "refresh_token") {
		t.Errorf("refresh token %q", token.RefreshToken)
	}
	_, err := c.Refresh(w.ctx, "anything", w.Now())
	w.wantCode(t, err, "unsupported_grant_type")
}
