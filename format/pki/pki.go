// Package pki makes and checks the X.509 certificates, certificate requests
// and revocation lists of a mobile eID system, and validates certification paths.
//
// The profiles are those of ISO/IEC 18013-5 second edition (draft v4), Annex B
// (IACA, link, document signer, reader authentication, MSO revocation list
// signer), C.1.7.2 (VICAL signer) and F.3.5 (RICAL signer), the JWS signer of
// the first edition, and a few of our own where no standard has one; each
// Profile says which.
//
// crypto/x509 parses and encodes. Path validation is our own: a few named
// checks after RFC 5280, 6.1 with the additions of ISO/IEC 18013-5 second
// edition (draft v4), 12.8.3 and B.3, without policies and name constraints,
// which the profiles forbid.
package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

// Profile names a certificate profile.
type Profile string

// The profiles. Those marked "ours" come from no standard: they are the ISO
// profile closest to the purpose, and docs/divergences.md lists them.
const (
	IACARoot       Profile = "iaca"            // issuing authority CA root: ISO/IEC 18013-5 second edition (draft v4), B.1.2
	IACALink       Profile = "iaca-link"       // link from an old IACA root to a new one: B.1.3
	DocumentSigner Profile = "document-signer" // signs mobile security objects: B.1.4
	ReaderCA       Profile = "reader-ca"       // issues reader certificates; ours, after B.1.2 without the country
	ReaderAuth     Profile = "reader"          // mdoc reader authentication: B.1.5
	StatusSigner   Profile = "status-signer"   // signs status and identifier lists: B.1.7
	VICALSigner    Profile = "vical-signer"    // signs lists of issuer certificates: C.1.7.2
	RICALSigner    Profile = "rical-signer"    // signs lists of reader certificates: F.3.5
	JWSSigner      Profile = "jws-signer"      // server retrieval of the first edition: ISO/IEC 18013-5:2021, Annex B

	ServiceCA        Profile = "service-ca"        // issues the last four and list signers; ours, after B.1.2 without the country
	CALink           Profile = "ca-link"           // link from an old reader or service CA to a new one; ours, after B.1.3
	WalletProvider   Profile = "wallet-provider"   // signs wallet instance and key attestations; ours, after B.1.7
	Verifier         Profile = "verifier"          // signs OpenID4VP requests: B.1.5 with a dNSName (x509_san_dns); ours
	TrustListSigner  Profile = "trust-list-signer" // signs our list of anchors by purpose; ours, after B.1.7
	CredentialSigner Profile = "credential-signer" // signs SD-JWT VCs and issuer metadata; ours, after B.1.7
)

// Profiles lists every profile in a fixed order.
func Profiles() []Profile {
	return []Profile{IACARoot, IACALink, DocumentSigner, ReaderCA, ReaderAuth, StatusSigner, VICALSigner, RICALSigner,
		JWSSigner, ServiceCA, CALink, WalletProvider, Verifier, TrustListSigner, CredentialSigner}
}

// Policy says what happens when a certificate departs from its profile.
type Policy uint8

const (
	// Default fails every departure but those that the standard's own
	// examples contain, which warn.
	Default Policy = iota
	// Strict fails every departure.
	Strict
	// Tolerant fails only what decides who is trusted for what (extended
	// key usage, key usage, CA flag, algorithms, critical extensions); the
	// rest warns. It is for certificates that others made.
	Tolerant
)

// Limits on what is accepted before any signature is looked at.
const (
	MaxCertificateSize = 16 << 10 // bytes of one DER certificate
	MaxChainLength     = 5        // certificates of one chain, anchor not counted
	MaxCRLSize         = 8 << 20  // bytes of one DER certificate revocation list
	maxRequestSize     = 16 << 10
	maxBundle          = 4096 // certificates of one PEM file or directory
)

// Errors that callers tell apart with errors.Is.
var (
	ErrMalformed   = errors.New("malformed")           // not the DER or PEM that it should be
	ErrUnsupported = errors.New("unsupported")         // algorithm, key or profile not on the allow-list
	ErrTemplate    = errors.New("incomplete template") // Issue was not told enough, or contradictory things
	ErrSignature   = errors.New("signature not valid") // of a request or revocation list
)

// Object identifiers of extended key usages: arc 1.0.18013.5.1 for the mDL,
// 1.0.23220.4.1 for any mdoc.
// ISO/IEC 18013-5 second edition (draft v4), B.1.1 and Annex B tables.
const (
	oidMDLDS     = "1.0.18013.5.1.2"
	oidMDLJWS    = "1.0.18013.5.1.3"
	oidMDLReader = "1.0.18013.5.1.6"
	oidMDLVICAL  = "1.0.18013.5.1.8"
	oidMdocDS    = "1.0.23220.4.1.2"
	oidMdocRead  = "1.0.23220.4.1.6"
	oidMdocVICAL = "1.0.23220.4.1.8"
)

// Fingerprint is the SHA-256 hash of a certificate's DER encoding: the value
// of x5t#S256, x5t and x509_hash, and the key by which anchors are looked up.
func Fingerprint(cert *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(cert.Raw)
}

func (p Profile) String() string { return string(p) }

func oid(arcs ...int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier(arcs) }
