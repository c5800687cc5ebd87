package oauth

import (
	"context"
	"fmt"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// WellKnownServer is the suffix of the well-known URL of authorisation
// servers. RFC 8414, 3.
const WellKnownServer = "oauth-authorization-server"

// attestClientAuth names client authentication by attestation.
// draft-ietf-oauth-attestation-based-client-auth-07, 10.1.
const attestClientAuth = "attest_jwt_client_auth"

// Metadata is what an authorisation server says about itself. RFC 8414, 2,
// with the members of RFC 9126, 9207, 9396, 9449, OpenID4VCI 1.0, 12.3 and
// draft-ietf-oauth-attestation-based-client-auth-07, 10.1.
type Metadata struct {
	Issuer                                     string   `json:"issuer"`
	AuthorizationEndpoint                      string   `json:"authorization_endpoint,omitempty"`
	TokenEndpoint                              string   `json:"token_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint         string   `json:"pushed_authorization_request_endpoint,omitempty"`
	RequirePushedAuthorizationRequests         bool     `json:"require_pushed_authorization_requests"`
	ChallengeEndpoint                          string   `json:"challenge_endpoint,omitempty"`
	ScopesSupported                            []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported                     []string `json:"response_types_supported"`
	ResponseModesSupported                     []string `json:"response_modes_supported,omitempty"`
	GrantTypesSupported                        []string `json:"grant_types_supported,omitempty"`
	TokenEndpointAuthMethodsSupported          []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenEndpointAuthSigningAlgValuesSupported []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	CodeChallengeMethodsSupported              []string `json:"code_challenge_methods_supported,omitempty"`
	AuthorizationDetailsTypesSupported         []string `json:"authorization_details_types_supported,omitempty"`
	AuthorizationResponseIssParameterSupported bool     `json:"authorization_response_iss_parameter_supported"`
	DPoPSigningAlgValuesSupported              []string `json:"dpop_signing_alg_values_supported,omitempty"`
	ClientAttestationSigningAlgValues          []string `json:"client_attestation_signing_alg_values_supported,omitempty"`
	ClientAttestationPoPSigningAlgValues       []string `json:"client_attestation_pop_signing_alg_values_supported,omitempty"`
	PreAuthorizedGrantAnonymousAccessSupported bool     `json:"pre-authorized_grant_anonymous_access_supported,omitempty"`
}

// Discover fetches the metadata of the authorisation server issuer and checks
// that they are its own: the issuer in it must be identical. RFC 8414, 3.3.
func Discover(ctx context.Context, do fetch.Func, issuer string) (*Metadata, error) {
	address, err := WellKnown(issuer, WellKnownServer)
	if err != nil {
		return nil, err
	}
	r := fetch.GetRequest(address, "application/json")
	r.MaxBytes = 256 << 10
	resp, err := do(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("fetch authorisation server metadata: %w", err)
	}
	if resp.Status != 200 || resp.MediaType() != "application/json" {
		return nil, fmt.Errorf("authorisation server metadata (RFC 8414, 3.2): status %d, media type %.40q", resp.Status, resp.MediaType())
	}
	var m Metadata
	if err := jose.Unmarshal(resp.Body, &m, jose.Limits{Depth: 16, Members: 5000}); err != nil {
		return nil, fmt.Errorf("authorisation server metadata: %w", err)
	}
	if m.Issuer != issuer {
		return nil, fmt.Errorf("authorisation server metadata (RFC 8414, 3.3): issuer is %.80q, asked for %.80q", m.Issuer, issuer)
	}
	if m.TokenEndpoint == "" {
		return nil, fmt.Errorf("authorisation server metadata (RFC 8414, 2): no token_endpoint")
	}
	for name, e := range map[string]string{
		"authorization_endpoint": m.AuthorizationEndpoint, "token_endpoint": m.TokenEndpoint,
		"pushed_authorization_request_endpoint": m.PushedAuthorizationRequestEndpoint, "challenge_endpoint": m.ChallengeEndpoint,
	} {
		if e == "" {
			continue
		}
		if err := CheckURL(e); err != nil {
			return nil, fmt.Errorf("authorisation server metadata: %s: %w", name, err)
		}
	}
	return &m, nil
}
