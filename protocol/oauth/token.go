package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
)

// MaxTries is how many wrong transaction codes end a pre-authorized code.
const MaxTries = 5

const (
	kindOffer  = "oauth-offer"
	kindAccess = "oauth-access"
	kindIssued = "oauth-issued" // which token a code was exchanged for
	kindRetry  = "oauth-retry"  // by the hash of a redeemed pre-authorized code: authorized, until its token is used

	maxTxCode = 64
)

// authorized is what is remembered under a code of either grant.
type authorized struct {
	Client      string              `json:"client,omitempty"`
	RedirectURI string              `json:"redirect_uri,omitempty"`
	Challenge   string              `json:"code_challenge,omitempty"`
	Thumbprint  string              `json:"dpop_jkt,omitempty"`
	Subject     string              `json:"subject"`
	Credentials []GrantedCredential `json:"credentials"`
	Scope       string              `json:"scope,omitempty"`
	Details     bool                `json:"details,omitempty"`
	Data        json.RawMessage     `json:"data,omitempty"`

	TxCode  string    `json:"tx_code,omitempty"` // keyed hash, see hashTxCode
	Tries   int       `json:"tries,omitempty"`   // wrong ones so far
	Expires time.Time `json:"expires,omitzero"`

	// Of a pre-authorized code that was redeemed: by which instance, and for
	// which grant. Client and Thumbprint are the redeemer's then.
	Instance string `json:"instance_jkt,omitempty"`
	Grant    string `json:"grant,omitempty"`
}

// Offer is an authorisation given in advance, for a credential offer.
type Offer struct {
	Approval           // Credentials must be given
	TxCode   string    // the transaction code the person gets by another way; "" for none; at most 64 characters
	Expires  time.Time // when the offer ends
}

// Offer creates a pre-authorized code. Only hashes of it and of the
// transaction code are stored.
func (s *Server) Offer(ctx context.Context, st once.Store, o Offer) (code string, err error) {
	credentials, err := s.complete(o.Approval)
	if err != nil {
		return "", err
	}
	if len(credentials) == 0 || len(o.TxCode) > maxTxCode {
		return "", fmt.Errorf("oauth: offer of %d credentials with a transaction code of %d characters, limit %d", len(credentials), len(o.TxCode), maxTxCode)
	}
	code = newSecret()
	a := authorized{Subject: o.Subject, Credentials: credentials, Data: o.Data, Expires: o.Expires}
	if o.TxCode != "" {
		a.TxCode = hashTxCode(code, o.TxCode)
	}
	value, err := record(a)
	if err == nil {
		err = st.Put(ctx, kindOffer, once.Hash(code), value, o.Expires)
	}
	if err != nil {
		return "", fmt.Errorf("oauth: keep offer: %w", err)
	}
	return code, nil
}

// WithdrawOffer makes a pre-authorized code unusable. It is no error if it is
// used, expired or unknown already.
func (s *Server) WithdrawOffer(ctx context.Context, st once.Store, code string, now time.Time) error {
	for _, kind := range []string{kindOffer, kindRetry} {
		if _, err := st.Claim(ctx, kind, once.Hash(code), now); err != nil && !gone(err) {
			return fmt.Errorf("oauth: withdraw offer: %w", err)
		}
	}
	return nil
}

// hashTxCode is keyed with the code, which is not stored: from the store alone
// the few digits of a transaction code cannot be found by trying.
func hashTxCode(code, txCode string) string {
	m := hmac.New(sha256.New, []byte(code))
	m.Write([]byte(txCode))
	return jose.Encode(m.Sum(nil))
}

// Token answers a request to the token endpoint.
// RFC 6749, 4.1.3 and 5; OpenID4VCI 1.0, 6.
func (s *Server) Token(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (Reply, error) {
	if r.Method != "POST" {
		return notAllowed(r.Method), nil
	}
	body, err := s.token(ctx, st, r, now)
	if err != nil {
		return s.fail(err, now)
	}
	rep := Reply{Response: fetch.JSONResponse(200, body)}
	s.freshen(&rep, now)
	return rep, nil
}

// tokenBody is RFC 6749, 5.1 with OpenID4VCI 1.0, 6.2.
type tokenBody struct {
	AccessToken  string    `json:"access_token"`
	TokenType    string    `json:"token_type"`
	ExpiresIn    int       `json:"expires_in,omitempty"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	Scope        string    `json:"scope,omitempty"`
	Details      []Details `json:"authorization_details,omitempty"`
}

func (s *Server) token(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*tokenBody, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	grant := form.Get("grant_type")
	if grant == "" {
		return nil, refuse(CodeInvalidRequest, "grant_type is needed", nil)
	}
	if grant != grantCode && grant != grantPreAuthorized && (grant != grantRefresh || s.config.RefreshLifetime == 0) {
		return nil, refuse(CodeUnsupportedGrantType, "grant_type is none of those in the metadata", nil)
	}
	// Whether a refresh token was given to an anonymous wallet is found out later.
	anonymous := grant != grantCode && s.config.AnonymousPreAuthorized
	c, err := s.identify(ctx, r, form, anonymous, true, now)
	if err != nil {
		return nil, err
	}
	var subset []Details
	if text := form.Get("authorization_details"); text != "" {
		if subset, err = s.readDetails(text); err != nil {
			return nil, err
		}
	}
	if err := s.useUp(ctx, st, c.proofs, now); err != nil {
		return nil, err
	}
	if grant == grantRefresh {
		g, err := s.redeemRefresh(ctx, st, form, c, now)
		if err != nil {
			return nil, err
		}
		a := authorized{Credentials: g.Credentials, Details: g.Details}
		if err := a.reduce(subset); err != nil {
			return nil, err
		}
		g.Credentials, g.Details, g.Refreshed = a.Credentials, a.Details, true
		return s.grantAccess(ctx, st, *g, newSecret(), now)
	}
	redeem := s.redeemCode
	if grant == grantPreAuthorized {
		redeem = s.redeemOffer
	}
	a, err := redeem(ctx, st, form, c, subset, now)
	if err != nil {
		return nil, err
	}
	whole := *a
	if err := a.reduce(subset); err != nil {
		return nil, err
	}
	token := newSecret()
	g := Grant{
		ID: once.Hash(token), Subject: a.Subject, ClientID: c.client.ID, Credentials: a.Credentials, Details: a.Details, Scope: a.Scope,
		Thumbprint: c.dpop.Thumbprint, Instance: c.instance, Data: a.Data, IssuedAt: now,
	}
	if grant == grantPreAuthorized {
		g.Offer = once.Hash(form.Get("pre-authorized_code"))
		err = s.keepRetry(ctx, st, whole, g, now)
	} else if err = st.Put(ctx, kindIssued, once.Hash(form.Get("code")), []byte(g.ID), now.Add(s.config.TokenLifetime)); err != nil {
		err = fmt.Errorf("oauth: keep what a code was exchanged for: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, st, g, token, now)
}

// redeemCode uses an authorisation code up and checks that it may be: RFC
// 6749, 4.1.3, RFC 7636, 4.6 and RFC 9449, 10. A wrong client, verifier or key
// ends the code too: somebody else has it.
func (s *Server) redeemCode(ctx context.Context, st once.Store, form url.Values, c *caller, _ []Details, now time.Time) (*authorized, error) {
	code := form.Get("code")
	if code == "" {
		return nil, refuse(CodeInvalidRequest, "code is needed", nil)
	}
	value, err := st.Claim(ctx, kindCode, once.Hash(code), now)
	if gone(err) {
		if err := s.revokeIssued(ctx, st, code, now); err != nil {
			return nil, err
		}
		return nil, refuse(CodeInvalidGrant, "code is unknown, expired or used (RFC 6749, 4.1.2)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: claim code: %w", err)
	}
	a := &authorized{}
	if err := read(value, a); err != nil {
		return nil, err
	}
	switch uri := form.Get("redirect_uri"); {
	case a.Client != c.client.ID:
		return nil, refuse(CodeInvalidGrant, "code was given to another client", nil)
	case uri != "" && uri != a.RedirectURI:
		return nil, refuse(CodeInvalidGrant, "redirect_uri is not that of the authorisation request", nil)
	case !checkVerifier(form.Get("code_verifier"), a.Challenge):
		return nil, refuse(CodeInvalidGrant, "code_verifier is missing or does not match the code_challenge", nil)
	case a.Thumbprint != "" && a.Thumbprint != c.dpop.Thumbprint:
		return nil, refuse(CodeInvalidGrant, "code is bound to another DPoP key", nil)
	}
	return a, nil
}

// revokeIssued ends the token that a code was exchanged for: a code that comes
// twice was stolen before or after. RFC 6749, 4.1.2.
func (s *Server) revokeIssued(ctx context.Context, st once.Store, code string, now time.Time) error {
	grantID, err := st.Get(ctx, kindIssued, once.Hash(code), now)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("oauth: token of a reused code: %w", err)
	}
	return s.Revoke(ctx, st, string(grantID), now)
}

// redeemOffer uses a pre-authorized code up, or counts a wrong transaction
// code. OpenID4VCI 1.0, 6.1, 6.3 and 13.6.
func (s *Server) redeemOffer(ctx context.Context, st once.Store, form url.Values, c *caller, subset []Details, now time.Time) (*authorized, error) {
	code, txCode := form.Get("pre-authorized_code"), form.Get("tx_code")
	if code == "" {
		return nil, refuse(CodeInvalidRequest, "pre-authorized_code is needed", nil)
	}
	if len(txCode) > maxTxCode {
		return nil, refuse(CodeInvalidRequest, "tx_code is too long", nil)
	}
	// Claimed first and put back where the offer lives on, so that no two
	// requests can try at once.
	value, err := st.Claim(ctx, kindOffer, once.Hash(code), now)
	if gone(err) {
		return s.redeemAgain(ctx, st, code, txCode, c, subset, now)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: claim offer: %w", err)
	}
	a := &authorized{}
	if err := read(value, a); err != nil {
		return nil, err
	}
	back := func(refusal error) (*authorized, error) {
		value, err := record(a)
		if err == nil {
			err = st.Put(ctx, kindOffer, once.Hash(code), value, a.Expires)
		}
		if err != nil {
			return nil, fmt.Errorf("oauth: put offer back: %w", err)
		}
		return nil, refusal
	}
	switch {
	case a.TxCode == "" && txCode != "":
		return back(refuse(CodeInvalidRequest, "this offer has no transaction code", nil))
	case a.TxCode != "" && txCode == "":
		return back(refuse(CodeInvalidRequest, "tx_code is needed", nil))
	case a.TxCode != "" && !equal(a.TxCode, hashTxCode(code, txCode)):
		a.Tries++
		if a.Tries >= MaxTries {
			return nil, refuse(CodeInvalidGrant, fmt.Sprintf("tx_code is wrong for the %dth time: the offer has ended", MaxTries), nil)
		}
		return back(refuse(CodeInvalidGrant, "tx_code is wrong", nil))
	}
	if err := a.allows(subset); err != nil {
		return back(err)
	}
	return a, nil
}

// allows reports whether a token request asks for no more than was authorised.
func (a *authorized) allows(subset []Details) error {
	for _, d := range subset {
		if !slices.ContainsFunc(a.Credentials, func(c GrantedCredential) bool { return c.Configuration == d.Configuration }) {
			return refuse(CodeInvalidDetails, "authorization_details go beyond what was authorised", nil)
		}
	}
	return nil
}

// reduce keeps what the token request asks for. OpenID4VCI 1.0, 6.1.1.
func (a *authorized) reduce(subset []Details) error {
	if err := a.allows(subset); subset == nil || err != nil {
		return err
	}
	var kept []GrantedCredential
	for _, c := range a.Credentials {
		if slices.ContainsFunc(subset, func(d Details) bool { return d.Configuration == c.Configuration }) {
			kept = append(kept, c)
		}
	}
	a.Credentials, a.Details = kept, true
	return nil
}

// issue answers with the first access token of a grant, and a refresh token
// where such are given.
func (s *Server) issue(ctx context.Context, st once.Store, g Grant, token string, now time.Time) (*tokenBody, error) {
	body, err := s.grantAccess(ctx, st, g, token, now)
	if err == nil && s.config.RefreshLifetime > 0 {
		body.RefreshToken, err = s.newRefresh(ctx, st, g, now)
	}
	return body, err
}

// grantAccess remembers what an access token stands for and renders it.
func (s *Server) grantAccess(ctx context.Context, st once.Store, g Grant, token string, now time.Time) (*tokenBody, error) {
	g.Expires = now.Add(s.config.TokenLifetime)
	value, err := record(g)
	if err == nil {
		err = st.Put(ctx, kindAccess, once.Hash(token), value, g.Expires)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: keep access token: %w", err)
	}
	body := &tokenBody{AccessToken: token, TokenType: "DPoP", ExpiresIn: int(s.config.TokenLifetime.Seconds()), Scope: g.Scope}
	if g.Details {
		for _, c := range g.Credentials {
			body.Details = append(body.Details, Details{Type: TypeCredential, Configuration: c.Configuration, CredentialIdentifiers: c.Identifiers})
		}
	}
	return body, nil
}

// Revoke ends a grant with all of its tokens, and forgets what it said. It is
// no error if it has ended already.
func (s *Server) Revoke(ctx context.Context, st once.Store, grantID string, now time.Time) error {
	for _, kind := range []string{kindAccess, kindGrant} { // the first access token has the id of the grant
		if err := st.Put(ctx, kind, grantID, []byte{}, now); err != nil {
			return fmt.Errorf("oauth: revoke grant: %w", err)
		}
	}
	return nil
}
