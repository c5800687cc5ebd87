// Package keyring keeps the signing keys of a role by tenant and purpose: which
// is current, which are still alive, which certificate chain belongs to each.
// The private keys stay in a secure area; the records here hold no secret.
package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/eidos-id/eidos/securearea"
)

// ErrNoKey: there is no current key for this tenant and purpose.
var ErrNoKey = errors.New("keyring: no current key")

// Purpose is what a key is for, in the words of the role that owns it.
type Purpose string

// Purposes that several roles have in common. A role may have others.
const (
	IACA        Purpose = "iaca"        // issuer: root of document signers
	DocSigner   Purpose = "ds"          // issuer: document signer
	Credential  Purpose = "credential"  // issuer: SD-JWT VCs
	Status      Purpose = "status"      // issuer: status lists
	Metadata    Purpose = "metadata"    // issuer: signed metadata and access tokens
	Attestation Purpose = "attestation" // provider: wallet instance and key attestations
	ReaderCA    Purpose = "reader-ca"   // verifier, trust: root of reader certificates
	Reader      Purpose = "reader"      // verifier: reader authentication, signed requests
	TrustCA     Purpose = "trust-ca"    // trust: root of the signers of both lists
	VICAL       Purpose = "vical"       // trust: issuer list
	TrustList   Purpose = "trustlist"   // trust: list of all other anchors
)

// State is where a key stands in its life.
type State string

// The states, in order. Dates are apart: an active key whose NotBefore lies in
// the future or whose NotAfter has passed is not current either.
const (
	Pending State = "pending" // made; waits for its certificate
	Active  State = "active"  // signs
	Retired State = "retired" // signs no more, its signatures still count
	// Destroyed keys are gone from the area; the record stays for the audit.
	Destroyed State = "destroyed"
)

// Record is what is stored of a key: no secret in it.
type Record struct {
	Tenant  string
	Purpose Purpose
	// ID names the record, unique in the store; KeyID the key in the area. We
	// make them the same. An empty KeyID is a root whose private key is kept
	// elsewhere: the record has its certificate alone.
	ID, KeyID string
	State     State
	// Created orders the keys: the newest that may sign is current. Stores keep
	// it to the millisecond at least.
	Created time.Time
	// NotBefore and NotAfter bound the use of the key, from the certificate
	// where there is one; a zero NotAfter means no end.
	NotBefore, NotAfter time.Time
	// Chain is the certificate chain, DER, leaf first, as it was attached.
	Chain [][]byte
}

// Store keeps records, durably. StoreIn is the one of the roles; a command may
// keep them in a file.
type Store interface {
	// PutKey creates the record or replaces the one with the same tenant and ID.
	PutKey(ctx context.Context, record Record) error
	// Keys returns all records of a tenant and purpose, in any order; none is
	// no error.
	Keys(ctx context.Context, tenant string, purpose Purpose) ([]Record, error)
}

// Spec says which key to make.
type Spec struct {
	Tenant  string
	Purpose Purpose
	Curve   securearea.Curve // P-256 if empty
	Unlock  securearea.Unlock
}
