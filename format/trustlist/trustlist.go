// Package trustlist reads and writes signed lists of trust anchors: the VICAL
// of ISO/IEC 18013-5 second edition (draft v4), Annex C, which lists issuing
// authorities, and our own list of all other anchors by purpose, a JWT.
//
// Parsing takes a list apart and believes nothing; Verify says whether it may
// be used. A single entry that cannot be read, because its key is on a curve
// that is not supported here, does not spoil the rest of a list.
package trustlist

import (
	"errors"
	"time"
)

// Purpose is what an anchor is trusted for. An anchor for one purpose says
// nothing about another.
type Purpose string

// The purposes.
const (
	Issuer         Purpose = "issuer"          // IACA roots: document signers of mdocs, credential signers
	Reader         Purpose = "reader"          // reader CAs: mdoc readers on-site
	Verifier       Purpose = "verifier"        // CAs of relying parties that ask over OpenID4VP
	WalletProvider Purpose = "wallet-provider" // CAs of those who vouch for wallet instances and keys
	Status         Purpose = "status"          // CAs of status list signers, where not the issuer's own
	Registrar      Purpose = "registrar"       // CAs of those who register relying parties, for what they may ask
	TrustList      Purpose = "trust-list"      // CAs of the signers of lists such as these
)

// Purposes lists every purpose in a fixed order.
func Purposes() []Purpose {
	return []Purpose{Issuer, Reader, Verifier, WalletProvider, Status, Registrar, TrustList}
}

// Known reports whether p is one of the purposes above.
func (p Purpose) Known() bool {
	switch p {
	case Issuer, Reader, Verifier, WalletProvider, Status, Registrar, TrustList:
		return true
	}
	return false
}

// Errors that callers tell apart with errors.Is.
var (
	ErrMalformed = errors.New("malformed trust list")
	ErrContent   = errors.New("trust list not writable") // what should be written is incomplete or contradictory
)

const (
	maxEntries = 4096
	clockSkew  = 3 * time.Minute // ISO/IEC 18013-5 second edition (draft v4), C.1: clock accuracy of a provider
)
