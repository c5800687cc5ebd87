package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// Nonces are stateless nonces: internal/nonce's Source.
type Nonces interface {
	Issue(now time.Time) string
	Check(nonce string, now time.Time) error
}

// Registration is a client that may ask people for authorisation. There is no
// key in it: instances prove themselves by attestation.
type Registration struct {
	ID           string
	Name         string   // for the consent page
	RedirectURIs []string // compared as strings; https, a private-use scheme, or http on loopback
}

// Registrations looks a client up. It returns ErrUnknownClient for an unknown
// id; any other error is internal.
type Registrations func(ctx context.Context, id string) (Registration, error)

// ErrUnknownClient is what Registrations returns for an id it does not know.
var ErrUnknownClient = errors.New("unknown client")

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

	// CredentialIssuer is what authorization_details name in locations and
	// requests in resource. Optional: any value is ignored then.
	CredentialIssuer string

	Clients        Registrations
	Configurations []Configuration

	// Attesters decides whom client attestations are believed. When nil,
	// clients are public: known by client_id and redirect URI only.
	Attesters attestation.Trust

	// AnonymousPreAuthorized lets a wallet redeem a pre-authorized code
	// without client authentication. OpenID4VCI 1.0, 6.1 and 12.3.
	AnonymousPreAuthorized bool

	// DPoPNonces makes every DPoP proof carry a nonce of ours. nil: no nonces.
	DPoPNonces Nonces

	// Challenges makes every PoP carry a challenge of ours, fetched from the
	// challenge endpoint or taken from an earlier response. nil: no challenges.
	Challenges Nonces

	RequestLifetime time.Duration // of a request_uri until it is opened and answered; 60 s
	ConsentLifetime time.Duration // for the person to log in and decide, once the page was opened; 10 min
	CodeLifetime    time.Duration // of an authorisation code; 60 s, and no more
	TokenLifetime   time.Duration // of an access token; 15 min
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

// NewServer checks the configuration.
func NewServer(c ServerConfig) (*Server, error) { return nil, errors.New("oauth: not written yet") }

// Metadata returns what the server says about itself. RFC 8414, 2.
func (s *Server) Metadata() Metadata { return Metadata{} }

// Challenge answers POST to the challenge endpoint.
// draft-ietf-oauth-attestation-based-client-auth-07, 8.
func (s *Server) Challenge(r fetch.Request, now time.Time) Reply { return Reply{} }

// Push answers a request to the PAR endpoint. RFC 9126, 2.
func (s *Server) Push(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (Reply, error) {
	return Reply{}, errors.New("oauth: not written yet")
}

// Pending is an authorisation request that waits for a person's decision.
type Pending struct {
	RequestURI     string // its handle in Approve and Refuse
	Client         Registration
	Attester       string // who vouches for the app, from the trust list; "" for nobody
	WalletName     string // as the attestation says
	Configurations []string
	IssuerState    string // from the offer, not to be trusted: OpenID4VCI 1.0, 5.1.3
	LoginHint      string
}

// Authorize answers a request to the authorisation endpoint: the person's
// browser with client_id and request_uri. Other parameters are ignored. When
// Pending is not nil the role authenticates and asks the person and then calls
// Approve or Refuse; the Reply is empty. When it is nil, the Reply is a
// redirect to the client or, when the request cannot be tied to one, a JSON
// error that the role shows as a page.
//
// Nothing is used up: the page may be opened again until the decision.
func (s *Server) Authorize(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*Pending, Reply, error) {
	return nil, Reply{}, errors.New("oauth: not written yet")
}

// Approval is what a person allowed.
type Approval struct {
	Subject     string              // the role's id of the person
	Credentials []GrantedCredential // empty means all that was asked for
	Data        json.RawMessage     // the role's own, handed back in the Grant; at most 16 KiB
}

// GrantedCredential is one configuration that may be issued, with the
// identifiers of the data sets for it. OpenID4VCI 1.0, 6.2.
type GrantedCredential struct {
	Configuration string   `json:"configuration"`
	Identifiers   []string `json:"identifiers"` // empty means one, equal to Configuration
}

// Approve ends a request with a yes: the Reply redirects the browser to the
// client with code, state and iss. The request_uri is used up.
func (s *Server) Approve(ctx context.Context, st once.Store, requestURI string, a Approval, now time.Time) (Reply, error) {
	return Reply{}, errors.New("oauth: not written yet")
}

// Refuse ends a request with a no: the Reply redirects the browser to the
// client with error=access_denied, state and iss. The request_uri is used up.
func (s *Server) Refuse(ctx context.Context, st once.Store, requestURI string, now time.Time) (Reply, error) {
	return Reply{}, errors.New("oauth: not written yet")
}

// MaxTries is how many wrong transaction codes end a pre-authorized code.
const MaxTries = 5

// Offer is an authorisation given in advance, for a credential offer.
type Offer struct {
	Approval
	TxCode  string // the transaction code the person got by another way; "" for none; at most 64 characters
	Expires time.Time
}

// Offer creates a pre-authorized code. Only hashes of it and of the
// transaction code are stored.
func (s *Server) Offer(ctx context.Context, st once.Store, o Offer) (code string, err error) {
	return "", errors.New("oauth: not written yet")
}

// WithdrawOffer makes a pre-authorized code unusable. It is no error if it is
// used, expired or unknown already.
func (s *Server) WithdrawOffer(ctx context.Context, st once.Store, code string, now time.Time) error {
	return errors.New("oauth: not written yet")
}

// Token answers a request to the token endpoint.
// RFC 6749, 4.1.3 and 5; OpenID4VCI 1.0, 6.
func (s *Server) Token(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (Reply, error) {
	return Reply{}, errors.New("oauth: not written yet")
}

// Instance is what the client attestation said about the wallet that got a
// token: the issuer keeps it with what it issues. EUDI TS3 1.5, 2.4.3.
type Instance struct {
	Attester      string             `json:"attester"` // as the trust list names it
	Level         attestation.Level  `json:"level"`
	WalletName    string             `json:"wallet_name,omitempty"`
	WalletVersion string             `json:"wallet_version,omitempty"`
	Status        attestation.Status `json:"status"`  // reference and its end
	Expires       time.Time          `json:"expires"` // of the attestation itself
	Thumbprint    string             `json:"jkt"`     // of the instance key
}

// Grant is what an access token stands for.
type Grant struct {
	ID          string              `json:"id"` // names the token in the store and the audit; not the token
	Subject     string              `json:"subject"`
	ClientID    string              `json:"client_id,omitempty"` // "" for an anonymous pre-authorized wallet
	Credentials []GrantedCredential `json:"credentials"`
	Details     bool                `json:"details,omitempty"` // authorization_details were returned: requests use credential_identifier
	Scope       string              `json:"scope,omitempty"`
	Thumbprint  string              `json:"dpop_jkt"`
	Instance    *Instance           `json:"instance,omitempty"` // nil without client attestation
	Data        json.RawMessage     `json:"data,omitempty"`
	IssuedAt    time.Time           `json:"issued_at"`
	Expires     time.Time           `json:"expires"`
}

// CheckAccess decides whether a request to a resource endpoint carries a valid
// access token and DPoP proof. The Grant is nil exactly when the Reply is a
// refusal (400 or 401 with WWW-Authenticate). RFC 9449, 7.1.
func (s *Server) CheckAccess(ctx context.Context, st once.Store, r fetch.Request, now time.Time) (*Grant, Reply, error) {
	return nil, Reply{}, errors.New("oauth: not written yet")
}

// Revoke ends an access token by its Grant's ID. It is no error if it has
// ended already.
func (s *Server) Revoke(ctx context.Context, st once.Store, grantID string, now time.Time) error {
	return errors.New("oauth: not written yet")
}
