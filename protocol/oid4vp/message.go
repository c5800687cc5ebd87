package oid4vp

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

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

// The response modes. OpenID4VP 1.0, 5.6, 8.2, 8.3.1 and A.2.
const (
	Fragment      = "fragment"
	DirectPost    = "direct_post"
	DirectPostJWT = "direct_post.jwt"
	DCAPI         = "dc_api"
	DCAPIJWT      = "dc_api.jwt"
)

// encrypts reports whether answers of a response mode are encrypted.
func encrypts(mode string) bool { return strings.HasSuffix(mode, ".jwt") }

// maxRequest limits a request in every form, in bytes.
const maxRequest = 256 << 10

// parameters are those of an authorization request: the claims of a request
// object, the query of a link, or the data of the Digital Credentials API.
// "iss" is not among them: it is to be ignored (OpenID4VP 1.0, 5).
type parameters struct {
	Audience        audience        `json:"aud,omitempty"`
	ResponseType    string          `json:"response_type"`
	ResponseMode    string          `json:"response_mode,omitempty"`
	ClientID        string          `json:"client_id,omitempty"`
	ResponseURI     string          `json:"response_uri,omitempty"`
	RedirectURI     string          `json:"redirect_uri,omitempty"`
	ExpectedOrigins []string        `json:"expected_origins,omitempty"`
	Nonce           string          `json:"nonce"`
	WalletNonce     string          `json:"wallet_nonce,omitempty"`
	State           string          `json:"state,omitempty"`
	Scope           string          `json:"scope,omitempty"`
	DCQL            json.RawMessage `json:"dcql_query,omitempty"`
	ClientMetadata  json.RawMessage `json:"client_metadata,omitempty"`
	TransactionData json.RawMessage `json:"transaction_data,omitempty"`
	VerifierInfo    json.RawMessage `json:"verifier_info,omitempty"`
	Request         json.RawMessage `json:"request,omitempty"`     // never inside a request object: RFC 9101, 4
	RequestURI      json.RawMessage `json:"request_uri,omitempty"` // likewise
	jose.Times
}

// strings are the parameters that a link has as they are, and objects those
// that it has as JSON. OpenID4VP 1.0, 5.1.
func (p *parameters) strings() map[string]*string {
	return map[string]*string{
		"response_type": &p.ResponseType, "response_mode": &p.ResponseMode, "client_id": &p.ClientID,
		"response_uri": &p.ResponseURI, "redirect_uri": &p.RedirectURI, "nonce": &p.Nonce, "state": &p.State, "scope": &p.Scope,
	}
}

func (p *parameters) objects() map[string]*json.RawMessage {
	return map[string]*json.RawMessage{
		"dcql_query": &p.DCQL, "client_metadata": &p.ClientMetadata,
		"transaction_data": &p.TransactionData, "verifier_info": &p.VerifierInfo,
	}
}

// query writes a request for a link. OpenID4VP 1.0, 5.1.
func (p *parameters) query() url.Values {
	q := url.Values{}
	for name, s := range p.strings() {
		if *s != "" {
			q.Set(name, *s)
		}
	}
	for name, raw := range p.objects() {
		if *raw != nil {
			q.Set(name, string(*raw))
		}
	}
	return q
}

// fromQuery reads the request in a link. Parameters that are not known are
// ignored, as everywhere (OpenID4VP 1.0, 5).
func fromQuery(q url.Values) (*parameters, error) {
	p := new(parameters)
	for name, s := range p.strings() {
		*s = q.Get(name)
	}
	for name, raw := range p.objects() {
		if !q.Has(name) {
			continue
		}
		*raw = json.RawMessage(q.Get(name))
		if err := jose.CheckJSON(*raw, jose.Limits{Token: maxRequest}); err != nil {
			return nil, fail(InvalidRequest, "%s in the link: %w (OpenID4VP 1.0, 5.1)", name, err)
		}
	}
	return p, nil
}

// clientMetadata is the part of client_metadata that matters here.
// OpenID4VP 1.0, 5.1.
type clientMetadata struct {
	JWKS    *jose.Set                  `json:"jwks,omitempty"`
	Formats map[string]json.RawMessage `json:"vp_formats_supported,omitempty"`
	Enc     []string                   `json:"encrypted_response_enc_values_supported,omitempty"`
}

// Presentations are the answers by credential id of the query. An mdoc's is the
// base64url of a DeviceResponse with one document.
//
// OpenID4VP 1.0, 8.1.
type Presentations map[string][]string

// readPresentations reads a vp_token. It also takes one presentation as it is,
// without an array around it, which wallets of the drafts before the standard
// send.
func readPresentations(vpToken []byte) (Presentations, error) {
	list, err := jose.Object(vpToken, jose.Limits{Token: maxAnswer})
	if err != nil {
		return nil, fail(InvalidRequest, "vp_token: %w (OpenID4VP 1.0, 8.1)", err)
	}
	out := make(Presentations, len(list))
	for id, member := range list {
		if out[id], _, err = jose.Strings(member); err != nil {
			return nil, fail(InvalidRequest, "vp_token: a presentation is no string (OpenID4VP 1.0, 8.1)")
		}
	}
	return out, nil
}

// EncodeMdoc is a DeviceResponse as a presentation. OpenID4VP 1.0, B.2.
func EncodeMdoc(deviceResponse []byte) string { return jose.Encode(deviceResponse) }

// Mdoc decodes a presentation of format mso_mdoc to the DeviceResponse.
// OpenID4VP 1.0, B.2.
func (p Presentations) Mdoc(id string) ([][]byte, error) {
	var out [][]byte
	for _, s := range p[id] {
		b, err := jose.Decode(s)
		if err != nil {
			return nil, fail(InvalidRequest, "presentation of an mdoc is not base64url (OpenID4VP 1.0, B.2)")
		}
		out = append(out, b)
	}
	return out, nil
}

// response is what a wallet sends, in the clear or encrypted.
// OpenID4VP 1.0, 8.1 and 8.5.
type response struct {
	VPToken          Presentations `json:"vp_token,omitempty"`
	State            string        `json:"state,omitempty"`
	Error            string        `json:"error,omitempty"`
	ErrorDescription string        `json:"error_description,omitempty"`
}

// read reads a response out of the members of its JSON.
func (r *response) read(members map[string]json.RawMessage) error {
	for name, field := range map[string]*string{"state": &r.State, "error": &r.Error, "error_description": &r.ErrorDescription} {
		member, ok := members[name]
		if !ok {
			continue
		}
		list, many, err := jose.Strings(member)
		if err != nil || many {
			return fail(InvalidRequest, "%s is no string (OpenID4VP 1.0, 8.1)", name)
		}
		*field = list[0]
	}
	var err error
	if vpToken, ok := members["vp_token"]; ok {
		r.VPToken, err = readPresentations(vpToken)
	}
	return err
}

// sealed is an encrypted response. OpenID4VP 1.0, 8.3.
type sealed struct {
	Response string `json:"response"`
}

// form writes a response that is not encrypted. OpenID4VP 1.0, 8.2.
func (r *response) form() (url.Values, error) {
	form := url.Values{}
	if r.VPToken != nil {
		vp, err := json.Marshal(r.VPToken)
		if err != nil {
			return nil, err
		}
		form.Set("vp_token", string(vp))
	}
	for name, v := range map[string]string{"state": r.State, "error": r.Error, "error_description": r.ErrorDescription} {
		if v != "" {
			form.Set(name, v)
		}
	}
	return form, nil
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
