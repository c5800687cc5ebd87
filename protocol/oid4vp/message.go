package oid4vp

import (
	"encoding/json"
	"fmt"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// What both ends write and read. Names and order are those of OpenID4VP 1.0, 5.

// Typ and media type of a request object. RFC 9101, 10.8; OpenID4VP 1.0, 5.
const (
	RequestObjectType      = "oauth-authz-req+jwt"
	RequestObjectMediaType = "application/" + RequestObjectType
)

// The audience of a request to a wallet found by static discovery.
// OpenID4VP 1.0, 5.8.
const staticAudience = "https://self-issued.me/v2"

// The response modes of this package. OpenID4VP 1.0, 8.2 and 8.3.1.
const (
	DirectPost    = "direct_post"
	DirectPostJWT = "direct_post.jwt"
)

// requestObject are the claims of a request object.
type requestObject struct {
	Issuer         string          `json:"iss,omitempty"`
	Audience       audience        `json:"aud,omitempty"`
	ResponseType   string          `json:"response_type"`
	ResponseMode   string          `json:"response_mode"`
	ClientID       string          `json:"client_id"`
	ResponseURI    string          `json:"response_uri,omitempty"`
	RedirectURI    string          `json:"redirect_uri,omitempty"`
	Nonce          string          `json:"nonce"`
	WalletNonce    string          `json:"wallet_nonce,omitempty"`
	State          string          `json:"state,omitempty"`
	DCQL           json.RawMessage `json:"dcql_query,omitempty"`
	Scope          string          `json:"scope,omitempty"`
	ClientMetadata json.RawMessage `json:"client_metadata,omitempty"`
	Transaction    json.RawMessage `json:"transaction_data,omitempty"`
	jose.Times
}

// clientMetadata is the part of client_metadata that matters here.
// OpenID4VP 1.0, 5.1.
type clientMetadata struct {
	JWKS    *jose.Set                  `json:"jwks,omitempty"`
	Formats map[string]json.RawMessage `json:"vp_formats_supported,omitempty"`
	Enc     []string                   `json:"encrypted_response_enc_values_supported,omitempty"`
}

// response is what a wallet sends, in the clear or encrypted.
// OpenID4VP 1.0, 8.1 and 8.5.
type response struct {
	VPToken          map[string][]string `json:"vp_token,omitempty"`
	State            string              `json:"state,omitempty"`
	Error            string              `json:"error,omitempty"`
	ErrorDescription string              `json:"error_description,omitempty"`
}

// audience is a string, or an array of them on input. RFC 7519, 4.1.3.
type audience []string

func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return fmt.Errorf("aud is no string and no array of strings (RFC 7519, 4.1.3)")
	}
	*a = many
	return nil
}

// checkURL accepts https, and http to loopback names, with a host and without
// fragment and userinfo.
func checkURL(name, s string) error {
	if err := oauth.CheckURL(s); err != nil {
		return fail(InvalidRequest, "%s: %w (OpenID4VP 1.0, 5.2)", name, err)
	}
	return nil
}
