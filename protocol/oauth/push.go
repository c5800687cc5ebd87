package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
)

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126, 2.2
	kindRequest      = "oauth-request"

	// maxParameter limits state, issuer_state and other opaque parameters.
	maxParameter = 2048
)

// pushed is what is remembered of a pushed authorisation request.
type pushed struct {
	Client        string    `json:"client"`
	RedirectURI   string    `json:"redirect_uri"`
	State         string    `json:"state,omitempty"`
	Challenge     string    `json:"code_challenge"`
	Scope         string    `json:"scope,omitempty"`
	Configuration []string  `json:"configurations"`
	Details       bool      `json:"details,omitempty"`
	IssuerState   string    `json:"issuer_state,omitempty"`
	Thumbprint    string    `json:"dpop_jkt,omitempty"`
	Instance      *Instance `json:"instance,omitempty"`
	Opened        bool      `json:"opened,omitempty"`
	Expires       time.Time `json:"expires"`
}

// Push answers a request to the PAR endpoint. RFC 9126, 2.
func (s *Server) Push(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (Reply, error) {
	if r.Method != "POST" {
		return notAllowed(r.Method), nil
	}
	p, err := s.push(ctx, st, r, now)
	if err != nil {
		return s.fail(err, now)
	}
	secret := newSecret()
	p.Expires = now.Add(s.config.RequestLifetime)
	value, err := record(p)
	if err == nil {
		err = st.Put(ctx, kindRequest, once.Hash(requestURIPrefix+secret), value, p.Expires)
	}
	if err != nil {
		return Reply{}, fmt.Errorf("oauth: keep pushed request: %w", err)
	}
	rep := Reply{Response: fetch.JSONResponse(201, struct {
		RequestURI string `json:"request_uri"`
		ExpiresIn  int    `json:"expires_in"`
	}{requestURIPrefix + secret, int(s.config.RequestLifetime.Seconds())})}
	s.freshen(&rep, now)
	return rep, nil
}

// push authenticates the client and checks the request. A *Error refuses.
func (s *Server) push(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*pushed, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	c, err := s.identify(ctx, r, form, false, false, now)
	if err != nil {
		return nil, err
	}
	if err := s.useUp(ctx, st, c.proofs, now); err != nil {
		return nil, err
	}
	if form.Has("request_uri") || form.Has("request") {
		return nil, refuse(CodeInvalidRequest, "request_uri and request do not belong in a pushed request (RFC 9126, 2.1)", nil)
	}
	switch rt := form.Get("response_type"); rt {
	case "code":
	case "":
		return nil, refuse(CodeInvalidRequest, "response_type is needed", nil)
	default:
		return nil, refuse(CodeUnsupportedResponseType, "response_type must be code", nil)
	}
	if m := form.Get("response_mode"); m != "" && m != "query" {
		return nil, refuse(CodeInvalidRequest, "response_mode must be query", nil)
	}
	p := &pushed{Client: c.client.ID, Instance: c.instance, RedirectURI: form.Get("redirect_uri"), State: form.Get("state"),
		Challenge: form.Get("code_challenge"), IssuerState: form.Get("issuer_state")}
	if !slices.Contains(c.client.RedirectURIs, p.RedirectURI) {
		return nil, refuse(CodeInvalidRequest, "redirect_uri is missing or not registered for this client (RFC 9126, 2.1)", nil)
	}
	if form.Get("code_challenge_method") != "S256" || !validChallenge(p.Challenge) {
		return nil, refuse(CodeInvalidRequest, "PKCE (RFC 7636) with code_challenge_method S256 is needed", nil)
	}
	if len(p.State) > maxParameter || len(p.IssuerState) > maxParameter {
		return nil, refuse(CodeInvalidRequest, fmt.Sprintf("state or issuer_state is longer than %d characters", maxParameter), nil)
	}
	if p.Thumbprint, err = bindKey(form, c.dpop); err != nil {
		return nil, err
	}
	return p, s.asked(p, form)
}

// asked reads what the request asks for: scope, authorization_details or both.
func (s *Server) asked(p *pushed, form url.Values) error {
	if text := form.Get("authorization_details"); text != "" {
		list, err := s.readDetails(text)
		if err != nil {
			return err
		}
		p.Details = true
		for _, d := range list {
			p.Configuration = append(p.Configuration, d.Configuration)
		}
	}
	var known []string // RFC 6749, 3.3: what is not known here is left out and the rest returned
	for _, token := range strings.Fields(form.Get("scope")) {
		for _, conf := range s.config.Configurations {
			if conf.Scope == token {
				known = append(known, token)
				p.Configuration = append(p.Configuration, conf.ID)
			}
		}
	}
	slices.Sort(known)
	p.Scope = strings.Join(slices.Compact(known), " ")
	slices.Sort(p.Configuration)
	p.Configuration = slices.Compact(p.Configuration)
	if len(p.Configuration) == 0 {
		return refuse(CodeInvalidScope, "neither scope nor authorization_details asks for a credential known here", nil)
	}
	return nil
}

// bindKey returns the thumbprint of the key that the code is bound to, "" for
// none. RFC 9449, 10 and 10.1.
func bindKey(form url.Values, d *DPoP) (string, error) {
	jkt := form.Get("dpop_jkt")
	if jkt != "" && !validChallenge(jkt) {
		return "", refuse(CodeInvalidRequest, "dpop_jkt is not a SHA-256 in base64url", nil)
	}
	if d == nil {
		return jkt, nil
	}
	if jkt != "" && jkt != d.Thumbprint {
		return "", refuse(CodeInvalidDPoPProof, "dpop_jkt is not the key of the DPoP proof (RFC 9449, 10.1)", nil)
	}
	return d.Thumbprint, nil
}

// readForm reads the body of a POST to an endpoint for clients.
func readForm(r fetch.Request) (url.Values, error) {
	if len(r.Body) > maxForm {
		return nil, refuse(CodeInvalidRequest, fmt.Sprintf("body of %d bytes, limit %d", len(r.Body), maxForm), nil)
	}
	form, err := r.Form()
	if err != nil {
		return nil, refuse(CodeInvalidRequest, err.Error(), err)
	}
	return form, nil
}

// unmarshal decodes JSON within the limits of a form.
func unmarshal(data []byte, v any) error {
	return jose.Unmarshal(data, v, jose.Limits{Token: maxForm, Depth: 12, Members: 1000})
}

// gone reports whether err says that a thing is not there to be used, as
// opposed to a store that failed.
func gone(err error) bool {
	return errors.Is(err, once.ErrNotFound) || errors.Is(err, once.ErrClaimed) || errors.Is(err, once.ErrExpired)
}
