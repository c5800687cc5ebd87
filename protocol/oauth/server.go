package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// Nonces are stateless nonces: internal/nonce's Source.
type Nonces interface {
	Issue(now time.Time) string
	Check(nonce string, now time.Time) error
}

// Registration is a client that may ask people for authorisation. One with
// Keys authenticates by private_key_jwt and in no other way. The instances of
// one without prove themselves by attestation.
type Registration struct {
	ID           string
	Name         string     // for the consent page
	RedirectURIs []string   // compared as strings; https, a private-use scheme, or http on loopback
	Keys         []jose.JWK // P-256 or Ed25519; with several, each has its own kid; see ParseKeys
}

// Check refuses registrations that would let a browser be sent astray, and
// keys that may not sign or cannot be told apart.
func (r Registration) Check() error {
	if r.ID == "" || len(r.ID) > maxURL {
		return fmt.Errorf("client id of %d characters, want 1 to %d", len(r.ID), maxURL)
	}
	for _, u := range r.RedirectURIs {
		if err := checkRedirectURI(u); err != nil {
			return fmt.Errorf("client %.80q: %w", r.ID, err)
		}
	}
	if err := checkKeys(r.Keys); err != nil {
		return fmt.Errorf("client %.80q: %w", r.ID, err)
	}
	return nil
}

// Registrations looks a client up. It returns ErrUnknownClient for an unknown
// id; any other error is internal.
type Registrations func(ctx context.Context, id string) (Registration, error)

// ErrUnknownClient is what Registrations returns for an id it does not know.
var ErrUnknownClient = errors.New("unknown client")

// Fixed returns Registrations of a list that never changes.
func Fixed(clients ...Registration) Registrations {
	return func(_ context.Context, id string) (Registration, error) {
		for _, c := range clients {
			if c.ID == id {
				return c, nil
			}
		}
		return Registration{}, ErrUnknownClient
	}
}

// Configuration is something that can be authorised: a credential
// configuration of the issuer, with the scope that asks for it.
type Configuration struct {
	ID    string
	Scope string // "" when it can only be asked for by authorization_details
}

// ServerConfig configures a Server. The zero value of a duration means its default.
type ServerConfig struct {
	Issuer string // issuer identifier; also the audience of PoPs and the iss of responses

	// Endpoints as clients see them. Optional: Issuer + "/authorize",
	// "/token", "/par" and "/challenge".
	AuthorizationEndpoint, TokenEndpoint, PAREndpoint, ChallengeEndpoint string

	// CredentialIssuer is what authorization_details may name in locations.
	// Optional: Issuer.
	CredentialIssuer string

	Clients        Registrations
	Configurations []Configuration

	// PrivateKeyJWT announces client authentication by private_key_jwt: some of
	// Clients have Keys.
	PrivateKeyJWT bool

	// Attesters decides whose client attestations are believed. When nil,
	// clients without Keys are public: known by client_id and redirect URI only.
	Attesters attestation.Trust

	// AnonymousPreAuthorized lets a wallet redeem a pre-authorized code
	// without client authentication. OpenID4VCI 1.0, 6.1 and 12.3.
	AnonymousPreAuthorized bool

	// DPoPNonces makes every DPoP proof carry a nonce of ours. nil: no nonces.
	DPoPNonces Nonces

	// Challenges makes every PoP carry a challenge of ours, fetched from the
	// challenge endpoint or taken from an earlier response. nil: no challenges.
	Challenges Nonces

	// Wait counts a request of a client that has authenticated, and of its
	// attested instance, known by the thumbprint of its key, "" for a client with
	// keys of its own, before anything is written for it. It says how long the
	// sender has to wait, 0 if it has not. Optional.
	Wait func(client, instance string) time.Duration

	RequestLifetime time.Duration // of a request_uri until it is opened; 60 s
	ConsentLifetime time.Duration // for the person to log in and decide, once it was opened; 10 min
	CodeLifetime    time.Duration // of an authorisation code; 60 s, and no more
	TokenLifetime   time.Duration // of an access token; 15 min
	RefreshLifetime time.Duration // of a refresh token that is not used; 0: none are given
	Window          time.Duration // how far iat of DPoP proofs and PoPs may be off; 5 min
}

// Server is an authorisation server and the guard of the resources behind it.
// It has no state and may be used concurrently.
//
// Methods with an [once.Store] do all of their reading and writing in it. When
// the error is nil the transaction must be committed before the Reply is sent,
// refusals included: they may have counted something. When it is not nil the
// store failed: roll back and answer with a server_error of your own.
type Server struct{ config ServerConfig }

// maxCodeLifetime is what HAIP 1.0 and FAPI 2.0, 5.3.2.1 allow.
const maxCodeLifetime = 60 * time.Second

// NewServer checks the configuration.
func NewServer(c ServerConfig) (*Server, error) {
	if err := CheckIssuer(c.Issuer); err != nil {
		return nil, fmt.Errorf("oauth: %w", err)
	}
	base := strings.TrimSuffix(c.Issuer, "/")
	for _, e := range []struct {
		field *string
		path  string
	}{{&c.AuthorizationEndpoint, "/authorize"}, {&c.TokenEndpoint, "/token"}, {&c.PAREndpoint, "/par"}, {&c.ChallengeEndpoint, "/challenge"}} {
		if *e.field == "" {
			*e.field = base + e.path
		}
		if err := CheckURL(*e.field); err != nil {
			return nil, fmt.Errorf("oauth: endpoint: %w", err)
		}
	}
	if c.Clients == nil {
		return nil, errors.New("oauth: no Clients")
	}
	for i, conf := range c.Configurations {
		same := func(o Configuration) bool { return o.ID == conf.ID }
		if conf.ID == "" || !validScope(conf.Scope) || slices.ContainsFunc(c.Configurations[:i], same) {
			return nil, fmt.Errorf("oauth: configuration %q with scope %q: id is empty or not unique, or scope is no scope-token", conf.ID, conf.Scope)
		}
	}
	if c.CredentialIssuer == "" {
		c.CredentialIssuer = c.Issuer
	}
	defaults := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	defaults(&c.RequestLifetime, time.Minute)
	defaults(&c.ConsentLifetime, 10*time.Minute)
	defaults(&c.CodeLifetime, maxCodeLifetime)
	defaults(&c.TokenLifetime, 15*time.Minute)
	defaults(&c.Window, defaultWindow)
	if c.CodeLifetime > maxCodeLifetime {
		return nil, fmt.Errorf("oauth: code lifetime %v, at most %v (FAPI 2.0 Security Profile, 5.3.2.1)", c.CodeLifetime, maxCodeLifetime)
	}
	return &Server{c}, nil
}

// validScope wants a scope-token or nothing. RFC 6749, 3.3.
func validScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

const (
	grantCode          = "authorization_code"
	grantPreAuthorized = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
)

// Metadata returns what the server says about itself. RFC 8414, 2.
func (s *Server) Metadata() Metadata {
	c := &s.config
	m := Metadata{
		Issuer: c.Issuer, AuthorizationEndpoint: c.AuthorizationEndpoint, TokenEndpoint: c.TokenEndpoint,
		PushedAuthorizationRequestEndpoint: c.PAREndpoint, RequirePushedAuthorizationRequests: true,
		ResponseTypesSupported: []string{"code"}, ResponseModesSupported: []string{"query"},
		GrantTypesSupported:                        []string{grantCode, grantPreAuthorized},
		TokenEndpointAuthMethodsSupported:          []string{"none"},
		CodeChallengeMethodsSupported:              []string{"S256"},
		AuthorizationDetailsTypesSupported:         []string{TypeCredential},
		AuthorizationResponseIssParameterSupported: true,
		DPoPSigningAlgValuesSupported:              profileAlgorithms(),
		PreAuthorizedGrantAnonymousAccessSupported: c.AnonymousPreAuthorized,
	}
	if c.RefreshLifetime > 0 {
		m.GrantTypesSupported = append(m.GrantTypesSupported, grantRefresh)
	}
	for _, conf := range c.Configurations {
		if conf.Scope != "" && !slices.Contains(m.ScopesSupported, conf.Scope) {
			m.ScopesSupported = append(m.ScopesSupported, conf.Scope)
		}
	}
	if c.Attesters != nil {
		m.TokenEndpointAuthMethodsSupported = []string{attestClientAuth}
		m.ClientAttestationSigningAlgValues = []string{"ES256", "ES384", "ES512"}
		m.ClientAttestationPoPSigningAlgValues = []string{"ES256", "ES384", "ES512"}
		if c.Challenges != nil {
			m.ChallengeEndpoint = c.ChallengeEndpoint
		}
	}
	if c.PrivateKeyJWT {
		m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, privateKeyJWT)
		m.TokenEndpointAuthSigningAlgValuesSupported = profileAlgorithms()
	}
	return m
}

// Challenge answers POST to the challenge endpoint.
// draft-ietf-oauth-attestation-based-client-auth-07, 8.
func (s *Server) Challenge(r fetch.Request, now time.Time) Reply {
	if s.config.Challenges == nil {
		e := refuse(CodeInvalidRequest, "this server gives no challenges", nil)
		e.Status = 404
		return refusal(e)
	}
	if r.Method != "POST" {
		return notAllowed(r.Method)
	}
	return Reply{Response: fetch.JSONResponse(200, struct {
		Challenge string `json:"attestation_challenge"`
	}{s.config.Challenges.Issue(now)})}
}

// notAllowed answers a method other than POST.
func notAllowed(method string) Reply {
	e := refuse(CodeInvalidRequest, "method is "+method+", this endpoint takes POST", nil)
	e.Status = 405
	rep := refusal(e)
	rep.Response.Header["allow"] = "POST"
	return rep
}

// maxForm limits what is posted to the server, in bytes.
const maxForm = 64 << 10

// fail turns an error into a Reply if it is a refusal, else passes it on as
// the store's. Refusals that ask for a nonce or challenge bring one.
func (s *Server) fail(err error, now time.Time) (Reply, error) {
	var e *Error
	if !errors.As(err, &e) {
		return Reply{}, err
	}
	rep := refusal(e)
	s.freshen(&rep, now)
	return rep, nil
}

// freshen adds the nonce and challenge for the client's next request.
// RFC 9449, 8.2; draft-ietf-oauth-attestation-based-client-auth-07, 8.1.
func (s *Server) freshen(rep *Reply, now time.Time) {
	if n := s.DPoPNonce(now); n != "" {
		rep.Response.Header["dpop-nonce"] = n
	}
	if s.config.Challenges != nil && s.config.Attesters != nil {
		rep.Response.Header["oauth-client-attestation-challenge"] = s.config.Challenges.Issue(now)
	}
}

// DPoPNonce is a fresh nonce for the DPoP-Nonce header of any answer, "" when
// none are used. The wallet saves a round trip when the nonce endpoint and the
// credential endpoint give one. RFC 9449, 8.2; HAIP 1.0, 4.
func (s *Server) DPoPNonce(now time.Time) string {
	if s.config.DPoPNonces == nil {
		return ""
	}
	return s.config.DPoPNonces.Issue(now)
}

// configured reports whether there is a configuration of this id.
func (s *Server) configured(id string) bool {
	return slices.ContainsFunc(s.config.Configurations, func(c Configuration) bool { return c.ID == id })
}

// readDetails parses authorization_details. OpenID4VCI 1.0, 5.1.1.
func (s *Server) readDetails(text string) ([]Details, error) {
	var list []Details
	if err := unmarshal([]byte(text), &list); err != nil {
		return nil, refuse(CodeInvalidDetails, "authorization_details is not a JSON array of objects", err)
	}
	if len(list) == 0 || len(list) > 16 {
		return nil, refuse(CodeInvalidDetails, fmt.Sprintf("authorization_details has %d objects, want 1 to 16", len(list)), nil)
	}
	for _, d := range list {
		switch {
		case d.Type != TypeCredential:
			return nil, refuse(CodeInvalidDetails, "type "+clip(d.Type)+" is not known here, only "+TypeCredential, nil)
		case !s.configured(d.Configuration):
			return nil, refuse(CodeInvalidDetails, "credential_configuration_id "+clip(d.Configuration)+" is not known here", nil)
		case len(d.CredentialIdentifiers) > 0:
			return nil, refuse(CodeInvalidDetails, "credential_identifiers do not belong in a request", nil)
		case len(d.Locations) > 0 && !slices.Contains(d.Locations, s.config.CredentialIssuer):
			return nil, refuse(CodeInvalidDetails, "locations do not have the credential issuer", nil)
		}
	}
	return list, nil
}

// record and read turn what is remembered into bytes and back.
func record(v any) ([]byte, error) { return json.Marshal(v) }

func read(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("oauth: stored record: %w", err)
	}
	return nil
}

// clip shortens what a stranger wrote before it goes into an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
