package oauth

import (
	"context"
	"errors"
	"time"

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
	DPoP        key.Signer // P-256 under HAIP
	Fetch       fetch.Func

	// Attestation is the wallet instance attestation, and Instance the key
	// it is bound to. Empty and nil: the wallet stays anonymous.
	Attestation string
	Instance    key.Signer

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
	State       string    `json:"state"`
	Verifier    string    `json:"code_verifier"`
	RedirectURI string    `json:"redirect_uri"`
	Expires     time.Time `json:"expires"` // of the request_uri
}

// Push sends the authorisation request and returns what to open. RFC 9126, 2.
func (c *Client) Push(ctx context.Context, r AuthorizationRequest, now time.Time) (*Authorization, error) {
	return nil, errors.New("oauth: not written yet")
}

// Code reads the redirect that came back and returns the code. It refuses an
// answer for another redirect URI, with another or no state, or with another
// or no iss (RFC 9207, 2.4). When the server or the person refused, the error
// is *Error with the code that was sent.
func (a *Authorization) Code(redirected string) (string, error) {
	return "", errors.New("oauth: not written yet")
}

// Token is what the server granted.
type Token struct {
	AccessToken string    `json:"access_token"`
	Scope       string    `json:"scope,omitempty"`
	Details     []Details `json:"authorization_details,omitempty"`
	Expires     time.Time `json:"expires,omitzero"` // zero when the server does not say
}

// RedeemCode exchanges an authorisation code.
func (c *Client) RedeemCode(ctx context.Context, a *Authorization, code string, now time.Time) (*Token, error) {
	return nil, errors.New("oauth: not written yet")
}

// RedeemPreAuthorized exchanges the code of an offer; txCode is "" when the
// offer has no tx_code. OpenID4VCI 1.0, 6.1.
func (c *Client) RedeemPreAuthorized(ctx context.Context, code, txCode string, details []Details, now time.Time) (*Token, error) {
	return nil, errors.New("oauth: not written yet")
}

// Resource sends a request with the access token and a DPoP proof, once more
// when the resource asks for a nonce. Any other answer, of whatever status,
// is returned as it is.
func (c *Client) Resource(ctx context.Context, t *Token, r fetch.Request, now time.Time) (fetch.Response, error) {
	return fetch.Response{}, errors.New("oauth: not written yet")
}
