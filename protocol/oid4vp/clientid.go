package oid4vp

import (
	"crypto/sha256"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
)

// The client identifier prefixes of OpenID4VP 1.0, 5.9.3.
const (
	PrefixRedirectURI = "redirect_uri"
	PrefixFederation  = "openid_federation"
	PrefixDID         = "decentralized_identifier"
	PrefixAttestation = "verifier_attestation"
	PrefixX509SANDNS  = "x509_san_dns"
	PrefixX509Hash    = "x509_hash"
	prefixOrigin      = "origin" // reserved for the Digital Credentials API; never in a request
)

// SplitClientID parts a client identifier into prefix and the rest. Without a
// known prefix the prefix is empty and rest is all of id: a pre-registered
// client. The reserved prefix origin is an error.
//
// OpenID4VP 1.0, 5.9.1 and 5.9.2.
func SplitClientID(id string) (prefix, rest string, err error) {
	p, r, found := strings.Cut(id, ":")
	if !found {
		return "", id, nil
	}
	switch p {
	case PrefixRedirectURI, PrefixFederation, PrefixDID, PrefixAttestation, PrefixX509SANDNS, PrefixX509Hash:
		return p, r, nil
	case prefixOrigin:
		return "", "", fail(InvalidRequest, "client_id with the reserved prefix origin (OpenID4VP 1.0, 5.9.3)")
	}
	return "", id, nil
}

// X509HashID is the client identifier of a verifier by its certificate (DER).
// OpenID4VP 1.0, 5.9.3.
func X509HashID(leaf []byte) string {
	sum := sha256.Sum256(leaf)
	return PrefixX509Hash + ":" + jose.Encode(sum[:])
}

// X509SANDNSID is the client identifier of a verifier by a DNS name in its
// certificate. OpenID4VP 1.0, 5.9.3.
func X509SANDNSID(dnsName string) string { return PrefixX509SANDNS + ":" + dnsName }

// DIDID is the client identifier of a verifier by its DID.
// OpenID4VP 1.0, 5.9.3.
func DIDID(did string) string { return PrefixDID + ":" + did }

// AttestationID is the client identifier of a verifier by the subject of its
// attestation. OpenID4VP 1.0, 5.9.3.
func AttestationID(subject string) string { return PrefixAttestation + ":" + subject }

// redirectURIID is the client identifier of a verifier by nothing but the
// address that takes the answer. OpenID4VP 1.0, 5.9.3.
func redirectURIID(uri string) string { return PrefixRedirectURI + ":" + uri }

// originID is who asks in an unsigned request of the Digital Credentials API,
// and the audience of every answer there. OpenID4VP 1.0, A.4.
func originID(origin string) string { return prefixOrigin + ":" + origin }
