package oauth

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// maxSends is how often a request is sent at most: once, once more with the
// nonce and once more with the challenge that were asked for.
const maxSends = 3

// post sends a form to an endpoint of the authorisation server, with client
// assertion or attestation if there is one and a DPoP proof if asked, again when the server
// wants another nonce or challenge. RFC 9449, 8;
// draft-ietf-oauth-attestation-based-client-auth-07, 6.2 and 8.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values, withDPoP bool, now time.Time) (fetch.Response, error) {
	if err := c.firstChallenge(ctx); err != nil {
		return fetch.Response{}, err
	}
	var asked []string
	for send := 1; ; send++ {
		body := form
		if c.Key != nil {
			var err error
			if body, err = c.assert(ctx, form, now); err != nil {
				return fetch.Response{}, err
			}
		}
		r := fetch.FormRequest(endpoint, body)
		if c.Attestation != "" {
			pop, err := attestation.PoP{ClientID: c.ID, Audience: c.Server.Issuer, Challenge: c.challenge, IssuedAt: now}.Sign(ctx, c.Instance)
			if err != nil {
				return fetch.Response{}, err
			}
			r.Header["oauth-client-attestation"], r.Header["oauth-client-attestation-pop"] = c.Attestation, pop
		}
		if withDPoP {
			if err := c.prove(ctx, &r, "", now); err != nil {
				return fetch.Response{}, err
			}
		}
		resp, err := c.Send(ctx, r)
		if err != nil {
			return fetch.Response{}, err
		}
		code := errorCode(resp)
		again := (code == CodeUseDPoPNonce && withDPoP && resp.Get("dpop-nonce") != "") ||
			(code == CodeUseAttestationChallenge && c.Attestation != "" && c.challenge != "")
		if !again || send == maxSends || slices.Contains(asked, code) {
			return resp, nil
		}
		asked = append(asked, code)
	}
}

// firstChallenge fetches a challenge where the server has an endpoint for it
// and none is at hand. draft-ietf-oauth-attestation-based-client-auth-07, 8.
func (c *Client) firstChallenge(ctx context.Context) error {
	if c.Attestation == "" || c.Server.ChallengeEndpoint == "" || c.challenge != "" {
		return nil
	}
	resp, err := c.Send(ctx, fetch.Request{Method: "POST", URL: c.Server.ChallengeEndpoint, Header: map[string]string{"accept": "application/json"}})
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	var body struct {
		Challenge string `json:"attestation_challenge"`
	}
	if err := decodeAnswer(resp, 200, &body); err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	if body.Challenge == "" || len(body.Challenge) > maxNonce {
		return fmt.Errorf("challenge (attestation draft 07, 8): attestation_challenge of %d characters, want 1 to %d", len(body.Challenge), maxNonce)
	}
	c.challenge = body.Challenge
	return nil
}

// prove adds a DPoP proof with the newest nonce of the request's origin.
func (c *Client) prove(ctx context.Context, r *fetch.Request, token string, now time.Time) error {
	proof, err := DPoP{Method: r.Method, URL: r.URL, IssuedAt: now, AccessToken: token, Nonce: c.nonces[origin(r.URL)]}.Sign(ctx, c.DPoP)
	if err != nil {
		return err
	}
	r.Header["dpop"] = proof
	return nil
}

// Send does one exchange without token or proof, as with the nonce endpoint of
// an issuer, and remembers the DPoP nonce and challenge in the answer: HAIP
// 1.0, 4 lets any endpoint give them.
func (c *Client) Send(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	if err := CheckURL(r.URL); err != nil {
		return fetch.Response{}, err
	}
	resp, err := c.Fetch(ctx, r)
	if err != nil {
		return fetch.Response{}, err
	}
	if n := resp.Get("dpop-nonce"); n != "" && len(n) <= maxNonce {
		if c.nonces == nil {
			c.nonces = map[string]string{}
		}
		c.nonces[origin(r.URL)] = n
	}
	if ch := resp.Get("oauth-client-attestation-challenge"); ch != "" && len(ch) <= maxNonce {
		c.challenge = ch
	}
	return resp, nil
}

// Resource sends a request with the access token and a DPoP proof, once more
// when the resource asks for a nonce. Any other answer, of whatever status,
// is returned as it is. RFC 9449, 7.1 and 9.
func (c *Client) Resource(ctx context.Context, t *Token, r fetch.Request, now time.Time) (fetch.Response, error) {
	r.Header = maps.Clone(r.Header)
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	r.Header["authorization"] = "DPoP " + t.AccessToken
	for send := 1; ; send++ {
		if err := c.prove(ctx, &r, t.AccessToken, now); err != nil {
			return fetch.Response{}, err
		}
		resp, err := c.Send(ctx, r)
		if err != nil {
			return fetch.Response{}, err
		}
		if send == 2 || resp.Status != 401 || resp.Get("dpop-nonce") == "" || errorCode(resp) != CodeUseDPoPNonce {
			return resp, nil
		}
	}
}

// errorCode is the error code of a refusal, from WWW-Authenticate or from the
// body, "" for none that a request is repeated for.
func errorCode(resp fetch.Response) string {
	if resp.Status/100 != 4 {
		return ""
	}
	if strings.Contains(strings.ToLower(resp.Get("www-authenticate")), CodeUseDPoPNonce) {
		return CodeUseDPoPNonce
	}
	var e errorBody
	if unmarshal(resp.Body, &e) != nil {
		return ""
	}
	return e.Code
}
