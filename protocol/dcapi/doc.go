// Package dcapi is the conversation over the Digital Credentials API: a page
// asks the browser, the browser and the platform ask a wallet, and the answer
// goes back the same way. Both ends are here, without I/O.
//
// A page asks with a list of requests, one for each protocol that it speaks
// ([ParseRequests]); a wallet takes one of them and answers it ([Response]).
// The protocol of ISO/IEC TS 18013-7, Annex C is here too; those of OpenID4VP
// are in package oid4vp.
//
//	verifier's server              page, browser          wallet
//	Begin, Transaction.Request ──▶ credentials.get() ───▶ ParseRequests, Open: who asks, what
//	Transaction.Open ◀──────────── DigitalCredential ◀─── Request.Answer
//
// What binds an answer to its request is the page's origin. The wallet is told
// it by the platform, the verifier knows its own: neither takes it from a
// message.
//
// W3C Digital Credentials (working draft), 4; ISO/IEC TS 18013-7 (draft
// N2544), Annex C.
package dcapi

import "errors"

// Sentinels; they come wrapped with what was seen and what to do.
var (
	// ErrMalformed: the request or the response is not what it should be.
	ErrMalformed = errors.New("not in order")
	// ErrOrigin: the origin is none that a page can have.
	ErrOrigin = errors.New("not the origin of a page")
	// ErrExpired: the time to answer is over.
	ErrExpired = errors.New("the request has expired")
	// ErrDecrypt: the response belongs to another request or origin, or was
	// changed on its way.
	ErrDecrypt = errors.New("the response does not decrypt")
)
