// Package oid4vp is the conversation of OpenID for Verifiable Presentations
// 1.0: a verifier asks for documents over the internet, a wallet answers. Both
// ends are here, without I/O.
//
// The verifier calls [Verifier.Begin] and shows [Transaction.Link], serves
// [Verifier.RequestObject] when the wallet comes for it, and hands what is
// posted back to [Transaction.Open], which gives the presentations and what
// they must be bound to. The transaction is stored between the calls by the
// verifier's role.
//
//	verifier                                   wallet
//	Begin, Link ──── link or QR code ────────▶ ParseLink
//	RequestObject ◀── GET or POST request_uri ─ Link.Fetch
//	               ─── signed request ───────▶ Open: who asks, what
//	Open ◀────────── POST response_uri ─────── Request.Answer or Refuse, Send
//	               ─── redirect_uri ─────────▶
//
// Through the Digital Credentials API the browser carries both messages and
// says from which origin they come:
//
//	DCRequests ────── navigator.credentials.get ──▶ OpenDC
//	Transaction.OpenDC ◀──────────────────────────── Request.AnswerDC or DCError
//
// What is asked is a [github.com/eidos-id/eidos/protocol/query.Query]. What a
// verifier sends, unless it is told otherwise, is what HAIP 1.0 wants: a
// signed request by reference, an answer encrypted to a key of its own.
//
// clientid.go names verifiers, prove.go has how they prove it (did.go and
// attestation.go two ways of it); link.go, request.go and reply.go are the
// wallet's end, verifier.go and answer.go the verifier's; dcapi.go has the
// Digital Credentials API for both.
package oid4vp

import (
	"errors"
	"fmt"
)

// The error codes that a wallet sends to a verifier. OpenID4VP 1.0, 8.5;
// RFC 6749, 4.1.2.1.
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidScope            = "invalid_scope"
	UnsupportedResponseType = "unsupported_response_type"
	AccessDenied            = "access_denied"
	FormatsNotSupported     = "vp_formats_not_supported"
	InvalidRequestURIMethod = "invalid_request_uri_method"
	InvalidTransactionData  = "invalid_transaction_data"
	WalletUnavailable       = "wallet_unavailable"
)

// Error is a failure with the code that the other end is told.
type Error struct {
	// Code is one of the codes above.
	Code string
	// Err says what happened, for this end.
	Err error
	// Tell is set where a wallet may tell the verifier with its Refuse: the
	// request proved whose it is, and the address to answer at is its own. It
	// is good for nothing else.
	Tell *Request
}

// Error gives the code and what happened.
func (e *Error) Error() string { return e.Code + ": " + e.Err.Error() }

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.Err }

func fail(code, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// CodeOf is the code that an error is told to the other end as.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return InvalidRequest
}
