package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
)

const (
	// privateKeyJWT names client authentication by a signed assertion.
	// OpenID Connect Core 1.0, 9.
	privateKeyJWT = "private_key_jwt"

	// assertionType is the one client_assertion_type here. RFC 7523, 2.2.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// typeAssertion is the typ of what we send, as draft-ietf-oauth-rfc7523bis
	// recommends. RFC 7523 knows none.
	typeAssertion = "client-authentication+jwt"

	kindAssertion = "oauth-assertion"

	// maxAssertion limits an assertion in bytes.
	maxAssertion = 8 << 10

	// assertionLifetime is how long one of ours is valid: it is made for a
	// request that is sent at once.
	assertionLifetime = time.Minute

	// maxAhead is how far iat and nbf may be in the future, and how long after
	// exp an assertion is still taken. FAPI 2.0 Security Profile, 5.3.2.1.
	maxAhead = time.Minute

	// maxKeys is how many keys a client may have.
	maxKeys = 16
)

// ParseKeys reads the JWK Set of a client, for [Registration]. Unlike
// jose.ParseSet it leaves no key out: who registers one that is not understood
// here should hear of it at once. RFC 7517, 5.
func ParseKeys(text []byte) ([]jose.JWK, error) {
	var set struct {
		Keys []jose.JWK `json:"keys"`
	}
	if err := jose.Unmarshal(text, &set, jose.Limits{Token: maxForm, Depth: 8, Members: 1000}); err != nil {
		return nil, fmt.Errorf("JWK Set: %w", err)
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("JWK Set without keys")
	}
	return set.Keys, nil
}

// checkKeys wants keys that can be told apart and that may sign under the FAPI
// 2.0 Security Profile, 5.4.1. With several, each needs a kid: OpenID Connect
// Core 1.0, 10.1.
func checkKeys(keys []jose.JWK) error {
	if len(keys) > maxKeys {
		return fmt.Errorf("%d keys, at most %d", len(keys), maxKeys)
	}
	for i, k := range keys {
		alg, err := key.AlgorithmOf(k.Key)
		if err == nil {
			err = errors.Join(key.Check(k.Key), k.Verifies())
		}
		switch {
		case err != nil:
			return fmt.Errorf("key %d: %w", i, err)
		case !profileAlgorithm(string(alg)):
			return fmt.Errorf("key %d is for %s, wanted one for ES256 or EdDSA (FAPI 2.0 Security Profile, 5.4.1)", i, alg)
		case len(k.KID) > maxNonce:
			return fmt.Errorf("key %d has a kid of %d characters, at most %d", i, len(k.KID), maxNonce)
		case len(keys) > 1 && k.KID == "":
			return fmt.Errorf("key %d has no kid, needed with several keys", i)
		case slices.ContainsFunc(keys[:i], func(o jose.JWK) bool { return o.KID == k.KID }):
			return fmt.Errorf("key %d has a kid that another has too", i)
		}
	}
	return nil
}

// assertionClaims are the claims of RFC 7523, 3 and OpenID Connect Core 1.0, 9.
type assertionClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience any    `json:"aud"` // only a string is accepted
	ID       string `json:"jti"`
	jose.Times
}

// asserted verifies client_assertion and sets the client.
// RFC 7521, 4.2; RFC 7523, 3; FAPI 2.0 Security Profile, 5.3.2.1.
func (s *Server) asserted(ctx context.Context, c *caller, r fetch.Request, form url.Values, now time.Time) error {
	if r.Get("oauth-client-attestation") != "" || r.Get("oauth-client-attestation-pop") != "" || r.Get("authorization") != "" || form.Has("client_secret") {
		return refuse(CodeInvalidRequest, "more than one way of client authentication (RFC 6749, 2.3)", nil)
	}
	if form.Get("client_assertion_type") != assertionType {
		return refuseAssertion("client_assertion_type must be "+assertionType+" (RFC 7523, 2.2)", nil)
	}
	token, claims, err := readAssertion(form.Get("client_assertion"))
	if err != nil {
		return err
	}
	if id := form.Get("client_id"); id != "" && id != claims.Subject {
		return refuseAssertion("client_id is not its sub (RFC 7521, 4.2)", nil)
	}
	reg, err := s.registered(ctx, claims.Subject)
	if err != nil {
		return err
	}
	k, err := reg.verificationKey(token.Header)
	if err != nil {
		return err
	}
	if err := token.VerifyJWK(k); err != nil {
		return refuseAssertion("its signature is not by the registered key (RFC 7523, 3)", err)
	}
	if err := claims.check(s.config.Issuer, s.config.Window, now); err != nil {
		return err
	}
	thumb, err := jose.ThumbprintString(k.Key)
	if err != nil {
		return refuseAssertion("the registered key is not usable", err)
	}
	c.client = reg
	c.proofs = append(c.proofs, proofID{kindAssertion, thumb, claims.ID})
	return nil
}

// readAssertion parses an assertion as far as is needed to find the client and
// its key. Nothing in it is proven yet.
func readAssertion(assertion string) (*jose.Token, *assertionClaims, error) {
	if assertion == "" || len(assertion) > maxAssertion {
		return nil, nil, refuseAssertion(fmt.Sprintf("%d bytes, want 1 to %d", len(assertion), maxAssertion), nil)
	}
	token, err := jose.Parse(assertion, jose.Limits{Token: maxAssertion, Header: maxAssertion, Depth: 8, Members: 200})
	if err != nil {
		return nil, nil, refuseAssertion("it is no JWT signed with an alg of token_endpoint_auth_signing_alg_values_supported", err)
	}
	// Other types of JWT that the client signs with the same key are for
	// something else. RFC 8725, 3.11.
	if h := token.Header; h.Typ != "" && !h.HasType("JWT") && !h.HasType(typeAssertion) {
		return nil, nil, refuseAssertion("its typ is that of another kind of JWT", nil)
	}
	if !profileAlgorithm(token.Header.Alg) {
		return nil, nil, refuseAssertion("its alg is none of token_endpoint_auth_signing_alg_values_supported", nil)
	}
	c := &assertionClaims{}
	if err := token.Claims(c); err != nil {
		return nil, nil, refuseAssertion("its claims are malformed", err)
	}
	if c.Issuer == "" || len(c.Issuer) > maxURL || c.Issuer != c.Subject {
		return nil, nil, refuseAssertion("iss and sub must both be the client_id (OpenID Connect Core 1.0, 9)", nil)
	}
	return token, c, nil
}

// verificationKey is the registered key that a header names; without kid, the only one.
func (r Registration) verificationKey(h jose.Header) (jose.JWK, error) {
	if len(r.Keys) == 0 {
		return jose.JWK{}, refuseAssertion("the client is not registered for private_key_jwt", nil)
	}
	if h.KID == "" && len(r.Keys) == 1 {
		return r.Keys[0], nil
	}
	for _, k := range r.Keys {
		if h.KID != "" && k.KID == h.KID {
			return k, nil
		}
	}
	return jose.JWK{}, refuseAssertion("its kid names no registered key of the client", nil)
}

// check looks at the claims of an assertion whose signature is good; whether
// its jti is new is found out later.
func (c *assertionClaims) check(issuer string, window time.Duration, now time.Time) error {
	if aud, ok := c.Audience.(string); !ok || aud != issuer {
		return refuseAssertion("aud must be the issuer identifier of this server, as one string (FAPI 2.0 Security Profile, 5.3.2.1)", nil)
	}
	if c.ID == "" || len(c.ID) > maxNonce {
		return refuseAssertion(fmt.Sprintf("jti of %d characters, want 1 to %d (OpenID Connect Core 1.0, 9)", len(c.ID), maxNonce), nil)
	}
	if c.Expires == 0 {
		return refuseAssertion("exp is needed (RFC 7523, 3)", nil)
	}
	// One window for how long it may live, one for the clocks.
	if c.Expires.Time().After(now.Add(2 * window)) {
		return refuseAssertion(fmt.Sprintf("exp is more than %v ahead (RFC 7523, 3)", 2*window), nil)
	}
	if c.IssuedAt != 0 && c.IssuedAt.Time().Before(now.Add(-2*window)) {
		return refuseAssertion(fmt.Sprintf("iat is more than %v ago (RFC 7523, 3)", 2*window), nil)
	}
	if err := c.Times.Check(now, min(window, maxAhead)); err != nil {
		return refuseAssertion("it has expired, or is from the future by its iat or nbf (RFC 7523, 3)", err)
	}
	return nil
}

// refuseAssertion names the check that failed, without what was seen.
func refuseAssertion(what string, cause error) *Error {
	return refuse(CodeInvalidClient, "client assertion: "+what, cause)
}

// assert adds the client's assertion, a fresh one for each request, to a copy
// of the form. The audience is the issuer at every endpoint: FAPI 2.0 Security
// Profile, 5.3.3.1.
func (c *Client) assert(ctx context.Context, form url.Values, now time.Time) (url.Values, error) {
	alg, err := key.AlgorithmOf(c.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("oauth: key of the client: %w", err)
	}
	switch algs := c.Server.TokenEndpointAuthSigningAlgValuesSupported; {
	case c.Attestation != "":
		return nil, errors.New("oauth: a client has a key of its own or an attestation, not both")
	case !slices.Contains(c.Server.TokenEndpointAuthMethodsSupported, privateKeyJWT):
		return nil, errors.New("oauth: the server does not take private_key_jwt (RFC 8414, 2)")
	case len(algs) > 0 && !slices.Contains(algs, string(alg)):
		return nil, fmt.Errorf("oauth: the server does not take assertions signed with %s (RFC 8414, 2)", alg)
	}
	claims := assertionClaims{
		Issuer: c.ID, Subject: c.ID, Audience: c.Server.Issuer, ID: newSecret(),
		Times: jose.Times{IssuedAt: jose.NewDate(now), Expires: jose.NewDate(now.Add(assertionLifetime))},
	}
	token, err := jose.Sign(ctx, c.Key, jose.Header{Typ: typeAssertion, KID: c.KeyID}, claims)
	if err != nil {
		return nil, fmt.Errorf("sign client assertion: %w", err)
	}
	out := url.Values{"client_assertion_type": {assertionType}, "client_assertion": {token}}
	maps.Copy(out, form)
	return out, nil
}
