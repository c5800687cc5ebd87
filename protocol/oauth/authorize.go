package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
)

// Pending is an authorisation request that waits for a person's decision.
type Pending struct {
	RequestURI     string // its handle in Approve and Refuse
	Client         Registration
	Attester       string // who vouches for the app, from the trust list; "" for nobody
	WalletName     string // as the attestation says
	Configurations []string
	IssuerState    string    // from the offer, not to be trusted: OpenID4VCI 1.0, 5.1.3
	Expires        time.Time // when a decision comes too late
}

// Authorize answers a request to the authorisation endpoint: the person's
// browser with client_id and request_uri. Other parameters are ignored. When
// Pending is not nil the role authenticates and asks the person and then, for
// the same browser session, calls Approve or Refuse; the Reply is empty. When
// it is nil, the Reply is a redirect to the client or, when the request cannot
// be tied to one, a JSON error that the role shows as a page.
//
// Nothing is used up: the page may be opened again until the decision.
// RFC 9126, 4.
func (s *Server) Authorize(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*Pending, Reply, error) {
	p, redirect, err := s.open(ctx, st, r, now)
	var e *Error
	switch {
	case err == nil:
		return p, Reply{}, nil
	case !errors.As(err, &e):
		return nil, Reply{}, err
	case redirect != nil:
		return nil, s.redirect(redirect.RedirectURI, redirect.State, e, nil), nil
	}
	return nil, refusal(e), nil
}

// open returns the pending request or, with an error, where to send it if that
// is known.
func (s *Server) open(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*Pending, *pushed, error) {
	params, err := frontParameters(r)
	if err != nil {
		return nil, nil, err
	}
	clientID, requestURI := params.Get("client_id"), params.Get("request_uri")
	if clientID == "" || len(clientID) > maxURL {
		return nil, nil, refuse(CodeInvalidRequest, "client_id is needed", nil)
	}
	reg, err := s.config.Clients(ctx, clientID)
	if errors.Is(err, ErrUnknownClient) {
		return nil, nil, refuse(CodeInvalidRequest, "client_id is not registered", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("oauth: look up client: %w", err)
	}
	if requestURI == "" {
		// Only a registered redirect URI may be told about it.
		to := &pushed{RedirectURI: params.Get("redirect_uri"), State: params.Get("state")}
		if !slices.Contains(reg.RedirectURIs, to.RedirectURI) || len(to.State) > maxParameter {
			to = nil
		}
		return nil, to, refuse(CodeInvalidRequest, "authorisation requests must be pushed first (RFC 9126): no request_uri", nil)
	}
	p, err := s.sight(ctx, st, requestURI, clientID, now)
	if err != nil {
		return nil, nil, err
	}
	pending := &Pending{RequestURI: requestURI, Client: reg, Configurations: p.Configuration, IssuerState: p.IssuerState, Expires: p.Expires}
	if p.Instance != nil {
		pending.Attester, pending.WalletName = p.Instance.Attester, p.Instance.WalletName
	}
	return pending, nil, nil
}

// frontParameters reads what a browser brings by GET, or by POST of a form.
func frontParameters(r fetch.Request) (url.Values, error) {
	switch r.Method {
	case "GET":
		params, err := r.Query()
		if err != nil {
			return nil, refuse(CodeInvalidRequest, err.Error(), err)
		}
		return params, nil
	case "POST":
		return readForm(r)
	}
	e := refuse(CodeInvalidRequest, "method is "+r.Method+", this endpoint takes GET and POST", nil)
	e.Status = 405
	return nil, e
}

// sight finds a pushed request of this client. At first sight its lifetime is
// extended by the time that people need to log in and decide.
func (s *Server) sight(ctx context.Context, st once.Store, requestURI, clientID string, now time.Time) (*pushed, error) {
	value, err := st.Get(ctx, kindRequest, once.Hash(requestURI), now)
	if err != nil {
		return nil, requestGone(err)
	}
	p := &pushed{}
	if err := read(value, p); err != nil {
		return nil, err
	}
	if p.Client != clientID {
		return nil, refuse(CodeInvalidRequestURI, "request_uri was given to another client", nil)
	}
	if p.Opened {
		return p, nil
	}
	// Claim and Put, so that of two browsers that open it at once none
	// revives what the other has used up.
	if _, err := st.Claim(ctx, kindRequest, once.Hash(requestURI), now); err != nil {
		return nil, requestGone(err)
	}
	p.Opened, p.Expires = true, now.Add(s.config.ConsentLifetime)
	if value, err = record(p); err == nil {
		err = st.Put(ctx, kindRequest, once.Hash(requestURI), value, p.Expires)
	}
	if err != nil {
		return nil, fmt.Errorf("oauth: keep opened request: %w", err)
	}
	return p, nil
}

func requestGone(err error) error {
	if gone(err) {
		return refuse(CodeInvalidRequestURI, "request_uri is unknown, expired or used: start again in the app", err)
	}
	return fmt.Errorf("oauth: read pushed request: %w", err)
}

// Approval is what a person allowed.
type Approval struct {
	Subject     string              // the role's id of the person
	Credentials []GrantedCredential // empty means all that was asked for
	Data        json.RawMessage     // the role's own, handed back in the Grant; at most 16 KiB
}

// maxData limits Approval.Data in bytes.
const maxData = 16 << 10

// GrantedCredential is one configuration that may be issued, with the
// identifiers of the data sets for it. OpenID4VCI 1.0, 6.2.
type GrantedCredential struct {
	Configuration string   `json:"configuration"`
	Identifiers   []string `json:"identifiers"` // empty means one, equal to Configuration
}

const kindCode = "oauth-code"

// Approve ends a request with a yes: the Reply redirects the browser to the
// client with code, state and iss. The request_uri is used up.
func (s *Server) Approve(ctx context.Context, st once.Store, requestURI string, a Approval, now time.Time) (Reply, error) {
	p, err := s.decide(ctx, st, requestURI, now)
	if err != nil {
		return s.fail(err, now)
	}
	if len(a.Credentials) == 0 {
		for _, id := range p.Configuration {
			a.Credentials = append(a.Credentials, GrantedCredential{Configuration: id})
		}
	}
	for _, c := range a.Credentials {
		if !slices.Contains(p.Configuration, c.Configuration) {
			return Reply{}, fmt.Errorf("oauth: approval of %q, which was not asked for", c.Configuration)
		}
	}
	credentials, err := s.complete(a)
	if err != nil {
		return Reply{}, err
	}
	code := newSecret()
	value, err := record(authorized{
		Client: p.Client, RedirectURI: p.RedirectURI, Challenge: p.Challenge, Thumbprint: p.Thumbprint,
		Subject: a.Subject, Credentials: credentials, Scope: p.Scope, Details: p.Details, Data: a.Data,
	})
	if err == nil {
		err = st.Put(ctx, kindCode, once.Hash(code), value, now.Add(s.config.CodeLifetime))
	}
	if err != nil {
		return Reply{}, fmt.Errorf("oauth: keep code: %w", err)
	}
	return s.redirect(p.RedirectURI, p.State, nil, url.Values{"code": {code}}), nil
}

// Refuse ends a request with a no: the Reply redirects the browser to the
// client with error=access_denied, state and iss. The request_uri is used up.
func (s *Server) Refuse(ctx context.Context, st once.Store, requestURI string, now time.Time) (Reply, error) {
	p, err := s.decide(ctx, st, requestURI, now)
	if err != nil {
		return s.fail(err, now)
	}
	return s.redirect(p.RedirectURI, p.State, refuse(CodeAccessDenied, "the person said no", nil), nil), nil
}

// decide uses a request up.
func (s *Server) decide(ctx context.Context, st once.Store, requestURI string, now time.Time) (*pushed, error) {
	value, err := st.Claim(ctx, kindRequest, once.Hash(requestURI), now)
	if err != nil {
		return nil, requestGone(err)
	}
	p := &pushed{}
	return p, read(value, p)
}

// redirect sends the browser back to the client, with an error or parameters.
// RFC 6749, 4.1.2; RFC 9207, 2.
func (s *Server) redirect(uri, state string, e *Error, params url.Values) Reply {
	if params == nil {
		params = url.Values{}
	}
	if e != nil {
		e.Status = 0
		params.Set("error", e.Code)
		params.Set("error_description", e.Description)
	}
	if state != "" {
		params.Set("state", state)
	}
	params.Set("iss", s.config.Issuer)
	return Reply{Response: fetch.Redirect(withQuery(uri, params)), Refusal: e}
}

// complete checks an approval and fills in identifiers.
func (s *Server) complete(a Approval) ([]GrantedCredential, error) {
	if len(a.Data) > maxData || a.Subject == "" {
		return nil, fmt.Errorf("oauth: approval without subject, or with data of %d bytes, limit %d", len(a.Data), maxData)
	}
	out := slices.Clone(a.Credentials)
	for i, c := range out {
		if !s.configured(c.Configuration) {
			return nil, fmt.Errorf("oauth: approval of unknown configuration %q", c.Configuration)
		}
		if len(c.Identifiers) == 0 {
			out[i].Identifiers = []string{c.Configuration}
		}
	}
	return out, nil
}
