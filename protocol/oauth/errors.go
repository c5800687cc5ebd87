package oauth

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
)

// Error codes that the server answers with.
const (
	CodeInvalidRequest          = "invalid_request"               // RFC 6749, 4.1.2.1 and 5.2
	CodeInvalidClient           = "invalid_client"                // RFC 6749, 5.2
	CodeInvalidGrant            = "invalid_grant"                 // RFC 6749, 5.2
	CodeUnsupportedGrantType    = "unsupported_grant_type"        // RFC 6749, 5.2
	CodeUnsupportedResponseType = "unsupported_response_type"     // RFC 6749, 4.1.2.1
	CodeInvalidScope            = "invalid_scope"                 // RFC 6749, 5.2
	CodeAccessDenied            = "access_denied"                 // RFC 6749, 4.1.2.1
	CodeServerError             = "server_error"                  // RFC 6749, 4.1.2.1
	CodeUnavailable             = "temporarily_unavailable"       // RFC 6749, 4.1.2.1
	CodeInvalidRequestURI       = "invalid_request_uri"           // RFC 9101, 8
	CodeInvalidDetails          = "invalid_authorization_details" // RFC 9396, 5
	CodeInvalidDPoPProof        = "invalid_dpop_proof"            // RFC 9449, 5
	CodeUseDPoPNonce            = "use_dpop_nonce"                // RFC 9449, 8
	CodeInvalidToken            = "invalid_token"                 // RFC 6750, 3.1
	CodeUseAttestationChallenge = "use_attestation_challenge"     // attestation draft 07, 6.2
)

// Error is a refusal in the vocabulary of OAuth: what the server sends, or
// what the client was sent.
type Error struct {
	Code        string // one of the Code constants, or what the other side sent
	Description string // printable ASCII, nothing private
	Status      int    // HTTP status; 0 when it came by redirect
	Err         error  // the cause, for the log; may be nil; never sent

	Wait time.Duration // how long to wait, if that is why
}

// Error returns code and description.
func (e *Error) Error() string {
	if e.Description == "" {
		return e.Code
	}
	return e.Code + ": " + e.Description
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// refuse makes an Error with the status that belongs to its code.
func refuse(code, description string, cause error) *Error {
	status := 400
	switch code {
	case CodeInvalidClient, CodeInvalidToken:
		status = 401
	case CodeServerError:
		status = 500
	case CodeUnavailable:
		status = 429
	}
	return &Error{Code: code, Description: printable(description), Status: status, Err: cause}
}

// errorBody is RFC 6749, 5.2.
type errorBody struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// response renders a refusal as the body of an answer.
func (e *Error) response() fetch.Response {
	resp := fetch.JSONResponse(e.Status, errorBody{e.Code, e.Description})
	if e.Wait > 0 {
		resp.Header["retry-after"] = fmt.Sprint(int((e.Wait + time.Second - 1) / time.Second)) // RFC 6585, 4
	}
	return resp
}

// printable keeps to the characters that RFC 6749, 5.2 allows in an
// error_description, and to a length that suits a log line.
func printable(s string) string {
	if len(s) > 300 {
		s = s[:300]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, s)
}

// Reply is what the server answers.
type Reply struct {
	Response fetch.Response
	Refusal  *Error // why it is not what was asked for, for log and audit; nil on success
}

// refusal makes the Reply of an Error.
func refusal(e *Error) Reply { return Reply{Response: e.response(), Refusal: e} }

// Details is one object of authorization_details of type openid_credential.
//
// OpenID4VCI 1.0, 5.1.1 and 6.2.
type Details struct {
	Type                  string          `json:"type"` // TypeCredential
	Configuration         string          `json:"credential_configuration_id"`
	Locations             []string        `json:"locations,omitempty"`
	Claims                json.RawMessage `json:"claims,omitempty"`
	CredentialIdentifiers []string        `json:"credential_identifiers,omitempty"` // only in token responses
}

// TypeCredential is the only type of authorization_details here.
const TypeCredential = "openid_credential"
