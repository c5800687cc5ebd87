// Package oid4vci is the conversation of OpenID for Verifiable Credential
// Issuance 1.0 behind the authorisation of protocol/oauth: a wallet learns what
// an issuing authority offers, proves that it holds keys, and is given a
// document for each. Both ends are here, without I/O.
//
//	wallet                                   issuing authority
//	ReadOffer ◀──── link or QR code ───────── Offer.Link
//	Discover ─────── metadata ──────────────▶ Metadata
//	(protocol/oauth: authorisation, access token)
//	Client.Nonce ─── POST nonce_endpoint ───▶ Issuer.Nonce
//	Client.Request ─ POST credential_endpoint ▶ Issuer.Open, Reply
//	Client.Deferred ─ POST deferred_credential_endpoint ▶ Issuer.OpenDeferred, Reply
//	Client.Notify ── POST notification_endpoint ▶ Issuer.OpenNotification
//
// Documents are asked for in batches: one request, one proof a key, one
// document a key. Proofs are JWTs, with a key attestation where the authority
// wants one, or a key attestation alone. Where the authority offers it, what is
// asked and answered is encrypted on top of TLS.
package oid4vci

import (
	"encoding/json"
	"fmt"

	"github.com/eidos-id/eidos/internal/fetch"
)

// The error codes of the credential endpoint. OpenID4VCI 1.0, 8.3.1.2.
const (
	CodeInvalidRequest       = "invalid_credential_request"
	CodeUnknownConfiguration = "unknown_credential_configuration"
	CodeUnknownIdentifier    = "unknown_credential_identifier"
	CodeInvalidProof         = "invalid_proof"
	CodeInvalidNonce         = "invalid_nonce"
	CodeInvalidEncryption    = "invalid_encryption_parameters"
	CodeDenied               = "credential_request_denied"
	CodeServerError          = "server_error"
)

// Error is a refusal by the credential endpoint: what the authority sends, or
// what the wallet was sent.
type Error struct {
	Code        string
	Description string // printable ASCII, nothing private
	Err         error  // the cause, for the log; may be nil; never sent
}

// Error returns code and description, and the cause if there is one.
func (e *Error) Error() string {
	s := e.Code
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Response renders the refusal: 400, or 500 for a failure of the authority.
//
// OpenID4VCI 1.0, 8.3.1.2.
func (e *Error) Response() fetch.Response {
	status := 400
	if e.Code == CodeServerError {
		status = 500
	}
	return jsonReply(status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, e.Description})
}

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

// jsonReply is a response that no cache may keep.
func jsonReply(status int, v any) fetch.Response {
	body, err := json.Marshal(v)
	if err != nil {
		return fetch.Response{Status: 500, Header: map[string]string{"cache-control": "no-store"}}
	}
	return fetch.Response{
		Status: status,
		Header: map[string]string{"content-type": "application/json", "cache-control": "no-store"},
		Body:   body,
	}
}
