package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/eidos-id/eidos/internal/once"
)

const grantRefresh = "refresh_token"

const (
	kindRefresh = "oauth-refresh" // by the hash of a refresh token: the id of its grant
	kindGrant   = "oauth-grant"   // by the id of a grant that outlives its access tokens: Grant
)

// extendAfter is how old a lifetime may get before a refresh begins it anew,
// as a part of it: so that not every refresh writes.
const extendAfter = 20

// newRefresh makes the refresh token of a grant. It stands for the grant until
// it was not used for a whole RefreshLifetime. It is not replaced when it is
// used: it is of no use without the client's keys (FAPI 2.0 Security Profile,
// 5.3.2.1, which forbids rotation).
func (s *Server) newRefresh(ctx context.Context, st once.Store, g Grant, now time.Time) (string, error) {
	token := newSecret()
	if err := s.keepRefresh(ctx, st, token, g, now); err != nil {
		return "", err
	}
	return token, nil
}

func (s *Server) keepRefresh(ctx context.Context, st once.Store, token string, g Grant, now time.Time) error {
	g.Extended, g.Expires = now, now.Add(s.config.RefreshLifetime)
	value, err := record(g)
	if err == nil {
		err = errors.Join(
			st.Put(ctx, kindGrant, g.ID, value, g.Expires),
			st.Put(ctx, kindRefresh, once.Hash(token), []byte(g.ID), g.Expires),
		)
	}
	if err != nil {
		return fmt.Errorf("oauth: keep refresh token: %w", err)
	}
	return nil
}

// redeemRefresh finds the grant of a refresh token, for the client, the wallet
// instance and the DPoP key that it was given to. RFC 6749, 6; RFC 9449, 5;
// draft-ietf-oauth-attestation-based-client-auth-07, 12.
func (s *Server) redeemRefresh(ctx context.Context, st once.Store, form url.Values, c *caller, now time.Time) (*Grant, error) {
	token := form.Get("refresh_token")
	if token == "" || len(token) > maxNonce {
		return nil, refuse(CodeInvalidRequest, "refresh_token is needed", nil)
	}
	id, err := st.Get(ctx, kindRefresh, once.Hash(token), now)
	if err == nil {
		var g *Grant
		if g, err = s.lastingGrant(ctx, st, string(id), now); err == nil {
			return s.refreshed(ctx, st, token, g, c, now)
		}
	}
	if gone(err) {
		return nil, refuse(CodeInvalidGrant, "refresh_token is unknown, expired or revoked (RFC 6749, 5.2)", err)
	}
	return nil, fmt.Errorf("oauth: read refresh token: %w", err)
}

// lastingGrant reads a grant that has a refresh token.
func (s *Server) lastingGrant(ctx context.Context, st once.Store, id string, now time.Time) (*Grant, error) {
	value, err := st.Get(ctx, kindGrant, id, now)
	if err != nil {
		return nil, err
	}
	g := &Grant{}
	return g, read(value, g)
}

func (s *Server) refreshed(ctx context.Context, st once.Store, token string, g *Grant, c *caller, now time.Time) (*Grant, error) {
	switch {
	case g.ClientID != c.client.ID || (g.Instance == nil) != (c.instance == nil):
		return nil, refuse(CodeInvalidGrant, "refresh_token was given to another client", nil)
	case g.Instance != nil && !equal(g.Instance.Thumbprint, c.instance.Thumbprint):
		return nil, refuse(CodeInvalidGrant, "refresh_token was given to another instance of the client", nil)
	case !equal(g.Thumbprint, c.dpop.Thumbprint):
		return nil, refuse(CodeInvalidGrant, "refresh_token is bound to another DPoP key", nil)
	}
	used := g.Offer == ""
	if !used {
		if err := s.arrived(ctx, st, g, now); err != nil {
			return nil, err
		}
	}
	if !used || now.Sub(g.Extended) > s.config.RefreshLifetime/extendAfter {
		if err := s.keepRefresh(ctx, st, token, *g, now); err != nil {
			return nil, err
		}
	}
	g.Instance = c.instance // what its newest attestation says
	return g, nil
}
