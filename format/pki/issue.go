package pki

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/eidos-id/eidos/format/key"
)

// Name is a distinguished name of the kinds that the profiles know. Country
// and SerialNumber are written as PrintableString, the rest as UTF8String, in
// the order of the fields.
// ISO/IEC 18013-5 second edition (draft v4), B.1.1.
type Name struct {
	Country      string // C: ISO 3166-1 alpha-2, upper case
	State        string // ST
	Locality     string // L
	Organization string // O
	Unit         string // OU
	SerialNumber string // of the subject, not of the certificate
	CommonName   string // CN; every profile demands one
}

// Template is what Issue needs to know besides the profile.
type Template struct {
	Subject   Name
	PublicKey crypto.PublicKey // *ecdsa.PublicKey on P-256, P-384 or P-521; ed25519.PublicKey where the profile allows it

	// Issuer is the certificate of the signing CA; nil for a self-signed root.
	Issuer *x509.Certificate

	// NotBefore and NotAfter bound the validity, to the second. See Validity.
	NotBefore, NotAfter time.Time

	// Contact is the CA's e-mail address or URI for issuerAltName. Empty
	// takes over the issuer certificate's own.
	Contact string

	CRLURL string   // of the list on which this certificate would be revoked
	DNS    []string // dNSName entries of subjectAltName
	URIs   []string // uniformResourceIdentifier entries of subjectAltName
}

// Issue makes a certificate of the profile and returns its DER encoding.
//
// A twin signed with a throw-away key is checked against the profile first
// (Strict), so that the real key never signs a certificate that departs from
// it. The serial number has 159 random bits.
//
// Errors: ErrUnsupported, ErrTemplate, *check.Error naming the rule that the
// template breaks, or what the signer returned.
func Issue(ctx context.Context, p Profile, t Template, signer key.Signer) ([]byte, error) {
	return nil, errors.New("pki: not written yet")
}

// Validity proposes the dates of a certificate: from UTC midnight two days
// before now, so that documents dated to midnight lie inside, to lifetime
// later.
func Validity(now time.Time, lifetime time.Duration) (notBefore, notAfter time.Time) {
	notBefore = now.UTC().Truncate(day).Add(-2 * day)
	return notBefore, notBefore.Add(lifetime)
}

// MaxLifetime is the longest validity that the profile allows.
func MaxLifetime(p Profile) time.Duration {
	r, _ := rulesOf(p)
	return r.maxValid
}
