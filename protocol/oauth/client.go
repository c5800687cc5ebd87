package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Client is the wallet's side of one authorisation, at one authorisation
// server and the resources behind it. It remembers the newest nonces and
// challenge; it must not be used concurrently.
type Client struct {
	Server      *Metadata  // from Discover
	ID          string     // client_id; with an attestation, its sub
	RedirectURI string     // needed for Push
	DPoP        key.Signer // P-256 under HAIP 1.0
	Fetch       fetch.Func

	// Attestation is the wallet instance attestation, and Instance the key
	// it is bound to. Empty and nil, and no Key: the wallet stays anonymous.
	Attestation string
	Instance    key.Signer

	// Key, in place of an attestation, is one of the keys that the client is
	// registered with: it authenticates by private_key_jwt (RFC 7523, 2.2).
	// Every request fails where the server does not announce that.
	Key   key.Signer
	KeyID string // kid of Key in the registration, needed if there are several

	challenge string            // newest, for the next PoP
	nonces    map[string]string // newest DPoP nonce by origin
}

// AuthorizationRequest says what is asked for.
type AuthorizationRequest struct {
	Scope       string    // space-separated; HAIP 1.0, 4.3
	Details     []Details // or this
	IssuerState string    // from the offer, echoed
	Resource    string    // credential issuer identifier, optional (RFC 8707)
}

// Authorization is an authorisation under way. It holds secrets; the wallet
// may keep it as JSON while the person is in the browser.
type Authorization struct {
	URL         string    `json:"url"` // to open in the browser
	Issuer      string    `json:"issuer"`
	ExpectISS   bool      `json:"expect_iss"` // the server announced that it sends iss
	State       string    `json:"state"`
	Verifier    string    `json:"code_verifier"`
	RedirectURI string    `json:"redirect_uri"`
	Expires     time.Time `json:"expires"` // of the request_uri
}

// Push sends the authorisation request and returns what to open. The code will
// be bound to the DPoP key. RFC 9126, 2; RFC 9449, 10.
func (c *Client) Push(ctx context.Context, r AuthorizationRequest, now time.Time) (*Authorization, error) {
	if c.Server.PushedAuthorizationRequestEndpoint == "" || c.Server.AuthorizationEndpoint == "" {
		return nil, errors.New("oauth: the server has no authorisation or PAR endpoint (HAIP 1.0, 4)")
	}
	jkt, err := jose.ThumbprintString(c.DPoP.Public())
	if err != nil {
		return nil, fmt.Errorf("oauth: DPoP key: %w", err)
	}
	a := &Authorization{Issuer: c.Server.Issuer, ExpectISS: c.Server.AuthorizationResponseIssParameterSupported,
		State: newSecret(), Verifier: NewVerifier(), RedirectURI: c.RedirectURI}
	form := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {c.RedirectURI}, "state": {a.State},
		"code_challenge": {CodeChallenge(a.Verifier)}, "code_challenge_method": {"S256"}, "dpop_jkt": {jkt},
	}
	for name, v := range map[string]string{"scope": r.Scope, "issuer_state": r.IssuerState, "resource": r.Resource} {
		if v != "" {
			form.Set(name, v)
		}
	}
	if err := setDetails(form, r.Details); err != nil {
		return nil, err
	}
	resp, err := c.post(ctx, c.Server.PushedAuthorizationRequestEndpoint, form, false, now)
	if err != nil {
		return nil, fmt.Errorf("pushed authorisation request: %w", err)
	}
	var body struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int64  `json:"expires_in"`
	}
	if err := decodeAnswer(resp, 201, &body); err != nil {
		return nil, fmt.Errorf("pushed authorisation request: %w", err)
	}
	if body.RequestURI == "" || len(body.RequestURI) > maxURL || body.ExpiresIn <= 0 || body.ExpiresIn > 365*24*3600 {
		return nil, errors.New("pushed authorisation request (RFC 9126, 2.2): answer without request_uri or expires_in")
	}
	a.Expires = now.Add(time.Duration(body.ExpiresIn) * time.Second)
	a.URL = withQuery(c.Server.AuthorizationEndpoint, url.Values{"client_id": {c.ID}, "request_uri": {body.RequestURI}})
	return a, nil
}

// Code reads the redirect that came back and returns the code. It refuses an
// answer for another redirect URI, with another or no state, or with another
// or no iss (RFC 9207, 2.4). When the server or the person refused, the error
// is *Error with the code that was sent.
func (a *Authorization) Code(redirected string) (string, error) {
	query, ok := strings.CutPrefix(redirected, withQuery(a.RedirectURI, nil))
	if !ok || len(redirected) > 4*maxURL || strings.Contains(redirected, "#") {
		return "", errors.New("authorisation response: not for our redirect URI, too long, or with a fragment")
	}
	params, err := fetch.ParseForm(query)
	if err != nil {
		return "", fmt.Errorf("authorisation response (RFC 6749, 4.1.2): %w", err)
	}
	if !equal(params.Get("state"), a.State) {
		return "", errors.New("authorisation response (RFC 6749, 10.12): state is missing or not ours")
	}
	if iss := params.Get("iss"); iss != a.Issuer && (iss != "" || a.ExpectISS) {
		return "", fmt.Errorf("authorisation response (RFC 9207, 2.4): iss is %.80q, not %.80q", iss, a.Issuer)
	}
	if code := params.Get("error"); code != "" {
		return "", &Error{Code: printable(code), Description: printable(params.Get("error_description"))}
	}
	if params.Get("code") == "" {
		return "", errors.New("authorisation response (RFC 6749, 4.1.2): neither code nor error")
	}
	return params.Get("code"), nil
}

// Token is what the server granted.
type Token struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"` // for the same client, instance and DPoP key; empty when none was given
	Scope        string    `json:"scope,omitempty"`
	Details      []Details `json:"authorization_details,omitempty"`
	Expires      time.Time `json:"expires,omitzero"` // zero when the server does not say
}

// RedeemCode exchanges an authorisation code.
func (c *Client) RedeemCode(ctx context.Context, a *Authorization, code string, now time.Time) (*Token, error) {
	return c.redeem(ctx, url.Values{
		"grant_type": {grantCode}, "client_id": {c.ID}, "code": {code},
		"code_verifier": {a.Verifier}, "redirect_uri": {a.RedirectURI},
	}, now)
}

// RedeemPreAuthorized exchanges the code of an offer; txCode is "" when the
// offer has no tx_code. OpenID4VCI 1.0, 6.1.
func (c *Client) RedeemPreAuthorized(ctx context.Context, code, txCode string, details []Details, now time.Time) (*Token, error) {
	form := url.Values{"grant_type": {grantPreAuthorized}, "pre-authorized_code": {code}}
	if txCode != "" {
		form.Set("tx_code", txCode)
	}
	if c.Attestation != "" || c.Key != nil {
		form.Set("client_id", c.ID)
	}
	if err := setDetails(form, details); err != nil {
		return nil, err
	}
	return c.redeem(ctx, form, now)
}

// Refresh gets another access token. The refresh token of the answer replaces
// the one given, if there is one. RFC 6749, 6.
func (c *Client) Refresh(ctx context.Context, refreshToken string, now time.Time) (*Token, error) {
	form := url.Values{"grant_type": {grantRefresh}, "refresh_token": {refreshToken}}
	if c.ID != "" {
		form.Set("client_id", c.ID)
	}
	t, err := c.redeem(ctx, form, now)
	if err == nil && t.RefreshToken == "" {
		t.RefreshToken = refreshToken
	}
	return t, err
}

func (c *Client) redeem(ctx context.Context, form url.Values, now time.Time) (*Token, error) {
	resp, err := c.post(ctx, c.Server.TokenEndpoint, form, true, now)
	if err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	var body tokenBody
	if err := decodeAnswer(resp, 200, &body); err != nil {
		return nil, fmt.Errorf("token request: %w", err)
	}
	unusable := func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }
	if body.AccessToken == "" || strings.ContainsFunc(body.AccessToken, unusable) || strings.ContainsFunc(body.RefreshToken, unusable) {
		return nil, errors.New("token request (RFC 6749, 5.1): answer without a usable access_token")
	}
	if !strings.EqualFold(body.TokenType, "DPoP") {
		return nil, fmt.Errorf("token request (RFC 9449, 5): token_type is %.20q, not DPoP", body.TokenType)
	}
	t := &Token{AccessToken: body.AccessToken, RefreshToken: body.RefreshToken, Scope: body.Scope}
	for _, d := range body.Details {
		if d.Type != TypeCredential {
			continue
		}
		if len(d.CredentialIdentifiers) == 0 || slices.Contains(d.CredentialIdentifiers, "") {
			return nil, errors.New("token request (OpenID4VCI 1.0, 6.2): authorization_details without credential_identifiers")
		}
		t.Details = append(t.Details, d)
	}
	if body.ExpiresIn > 0 {
		t.Expires = now.Add(time.Duration(body.ExpiresIn) * time.Second)
	}
	return t, nil
}

// setDetails adds authorization_details, if any.
func setDetails(form url.Values, details []Details) error {
	if len(details) == 0 {
		return nil
	}
	list := slices.Clone(details)
	for i := range list {
		list[i].Type, list[i].CredentialIdentifiers = TypeCredential, nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("authorization_details: %w", err)
	}
	form.Set("authorization_details", string(text))
	return nil
}

// decodeAnswer reads the JSON body of an answer with the wanted status; any
// other answer is an *Error. RFC 6749, 5.
func decodeAnswer(resp fetch.Response, status int, v any) error {
	lim := jose.Limits{Depth: 16, Members: 5000}
	if resp.Status == status {
		if resp.MediaType() != "application/json" {
			return fmt.Errorf("answer is %.40q, not application/json", resp.MediaType())
		}
		return jose.Unmarshal(resp.Body, v, lim)
	}
	var e errorBody
	if err := jose.Unmarshal(resp.Body, &e, lim); err != nil || e.Code == "" {
		return fmt.Errorf("server answered status %d, want %d", resp.Status, status)
	}
	return &Error{Code: printable(e.Code), Description: printable(e.Description), Status: resp.Status}
}
