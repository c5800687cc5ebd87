package oid4vp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"net/url"
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

// checkClientID binds the client identifier to the certificate that signed the
// request, and with x509_san_dns the response_uri to the client identifier.
func checkClientID(id string, leafDER []byte, leaf *x509.Certificate, responseURI string) error {
	prefix, rest, err := SplitClientID(id)
	if err != nil {
		return err
	}
	switch prefix {
	case PrefixX509Hash:
		want, err := jose.Decode(rest)
		sum := sha256.Sum256(leafDER)
		if err != nil || !bytes.Equal(want, sum[:]) {
			return fail(InvalidClient, "client_id is not the hash of the signer's certificate (OpenID4VP 1.0, 5.9.3)")
		}
		return nil
	case PrefixX509SANDNS:
		found := false
		for _, name := range leaf.DNSNames {
			found = found || strings.EqualFold(name, rest)
		}
		if !found {
			return fail(InvalidClient, "client_id is no DNS name of the signer's certificate (OpenID4VP 1.0, 5.9.3)")
		}
		u, err := url.Parse(responseURI)
		if err != nil || !strings.EqualFold(u.Hostname(), rest) {
			return fail(InvalidRequest, "host of response_uri differs from client_id (OpenID4VP 1.0, 5.9.3)")
		}
		return nil
	}
	return fail(InvalidRequest, "unsupported client_id_prefix %q: x509_hash and x509_san_dns are (OpenID4VP 1.0, 5.9.3)", prefix)
}
