package oauth_test

import (
	"crypto/elliptic"
	"net/url"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
)

func (w *world) redeem(c *oauth.Client, code, txCode string, want ...oauth.Details) (*oauth.Token, error) {
	return c.RedeemPreAuthorized(w.ctx, code, txCode, want, w.Now())
}

// The answer to a token request was lost: the same wallet gets another token,
// and the lost one ends, until one was used.
func TestLostAnswer(t *testing.T) {
	w := newWorld(t, lasting)
	c := w.client(clientID)
	code := w.offer("493536")
	first, err := w.redeem(c, code, "493536", oauth.Details{Configuration: mdl})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.redeem(c, code, "493536")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(w.ctx, first.RefreshToken, w.Now()); err == nil {
		t.Error("the refresh token of the lost answer is alive")
	}
	third, err := w.redeem(c, code, "493536", oauth.Details{Configuration: pid})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := w.use(c, first), w.use(c, second); a != 401 || b != 401 {
		t.Errorf("tokens of lost answers: %d, %d", a, b)
	}
	if w.use(c, third) != 200 || len(w.grant.Credentials) != 1 || w.grant.Credentials[0].Configuration != pid {
		t.Errorf("grant %+v", w.grant)
	}
	_, err = w.redeem(c, code, "493536")
	w.wantCode(t, err, "invalid_grant")
	if w.use(c, third) != 200 {
		t.Error("a refused repetition ended the token")
	}
	next, err := c.Refresh(w.ctx, third.RefreshToken, w.Now())
	if err != nil || w.use(c, next) != 200 {
		t.Errorf("refresh: %v", err)
	}
}

// What ends the time in which an offer may be redeemed again.
func TestNoRepetitionAfter(t *testing.T) {
	for name, end := range map[string]func(w *world, c *oauth.Client, code string, token *oauth.Token){
		"use of the token": func(w *world, c *oauth.Client, _ string, token *oauth.Token) {
			if w.use(c, token) != 200 {
				t.Error("not used")
			}
		},
		"use of the refresh token": func(w *world, c *oauth.Client, _ string, token *oauth.Token) {
			if _, err := c.Refresh(w.ctx, token.RefreshToken, w.Now()); err != nil {
				t.Error(err)
			}
		},
		"the life of the first token": func(w *world, c *oauth.Client, code string, _ *oauth.Token) {
			w.Pass(14 * time.Minute)
			if _, err := w.redeem(c, code, ""); err != nil {
				t.Error(err) // does not put it off
			}
			w.Pass(time.Minute)
		},
		"withdrawal": func(w *world, _ *oauth.Client, code string, _ *oauth.Token) {
			if err := w.server.WithdrawOffer(w.ctx, w.store, code, w.Now()); err != nil {
				t.Error(err)
			}
		},
		"revocation of the grant": func(w *world, _ *oauth.Client, _ string, token *oauth.Token) {
			// Its id is the hash of its first token.
			if err := w.server.Revoke(w.ctx, w.store, once.Hash(token.AccessToken), w.Now()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, lasting)
			c := w.client(clientID)
			code := w.offer("")
			token, err := w.redeem(c, code, "")
			if err != nil {
				t.Fatal(err)
			}
			end(w, c, code, token)
			_, err = w.redeem(c, code, "")
			w.wantCode(t, err, "invalid_grant")
		})
	}
}

// Nobody else can repeat the request, and trying does no harm to the holder.
func TestRepetitionByOthers(t *testing.T) {
	w := newWorld(t, lasting)
	c := w.client(clientID)
	code := w.offer("493536")
	token, err := w.redeem(c, code, "493536")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c *oauth.Client) (txCode, refusal string){
		"another DPoP key": func(c *oauth.Client) (string, string) {
			c.DPoP = testkit.Signer(t, elliptic.P256())
			return "493536", "invalid_grant"
		},
		"another instance": func(c *oauth.Client) (string, string) {
			k := testkit.Signer(t, elliptic.P256())
			c.Instance, c.Attestation = k, w.attest(clientID, k.Public(), nil)
			return "493536", "invalid_grant"
		},
		"another client": func(c *oauth.Client) (string, string) {
			c.ID, c.Attestation = "client2", w.attest("client2", c.Instance.Public(), nil)
			return "493536", "invalid_grant"
		},
		"no client authentication": func(c *oauth.Client) (string, string) {
			c.Attestation = ""
			return "493536", "invalid_client"
		},
		"wrong transaction code": func(*oauth.Client) (string, string) { return "493537", "invalid_grant" },
		"no transaction code":    func(*oauth.Client) (string, string) { return "", "invalid_grant" },
	} {
		t.Run(name, func(t *testing.T) {
			other := *c
			txCode, refusal := change(&other)
			_, err := w.redeem(&other, code, txCode)
			w.wantCode(t, err, refusal)
		})
	}
	_, err = w.redeem(c, code, "493536", oauth.Details{Configuration: "no-scope"})
	w.wantCode(t, err, "invalid_authorization_details")
	err = w.form(c, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}}, c.DPoP)
	w.wantCode(t, err, "invalid_grant") // as if it were the other grant's
	if w.use(c, token) != 200 {
		t.Error("the holder's token has ended")
	}
}

// A wallet that authenticates by its DPoP key alone.
func TestAnonymousRepetition(t *testing.T) {
	w := newWorld(t, func(c *oauth.ServerConfig) { c.AnonymousPreAuthorized = true })
	c := w.client(clientID)
	c.Attestation, c.Instance = "", nil
	code := w.offer("")
	for range 2 {
		if _, err := w.redeem(c, code, ""); err != nil {
			t.Fatal(err)
		}
	}
	c.DPoP = testkit.Signer(t, elliptic.P256())
	_, err := w.redeem(c, code, "")
	w.wantCode(t, err, "invalid_grant")
}

// Of many requests of one wallet at once each may be granted, but one token is
// alive, and none of a request that was sent twice.
func TestRepetitionsAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	code := w.offer("")
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {code}}
	var requests []fetch.Request
	for range 4 {
		r := w.tokenRequest(c, form)
		requests = append(requests, r, r)
	}
	if n := w.race(requests); n != 4 {
		t.Errorf("%d of 4 requests granted, each sent twice", n)
	}
	alive := 0
	for _, token := range w.granted {
		if w.use(c, &oauth.Token{AccessToken: token}) == 200 {
			alive++
		}
	}
	if len(w.granted) != 4 || alive != 1 {
		t.Errorf("%d of %d tokens are alive", alive, len(w.granted))
	}
}

// A token request for something else does not cost the offer.
func TestWrongDetailsKeepTheOffer(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client(clientID)
	code := w.offer("")
	_, err := w.redeem(c, code, "", oauth.Details{Configuration: "no-scope"})
	w.wantCode(t, err, "invalid_authorization_details")
	if _, err := w.redeem(c, code, ""); err != nil {
		t.Error(err)
	}
}
