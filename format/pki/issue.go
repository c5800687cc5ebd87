package pki

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/url"
	"strings"
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
	// OrganizationID is the organizationIdentifier, such as VATUT-12345678: ETSI
	// EN 319 412-1, 5.1.4. ETSI TS 119 411-8 wants it of relying parties.
	OrganizationID string
	SerialNumber   string // of the subject, not of the certificate
	CommonName     string // CN; every profile demands one
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

	CRLURL   string   // of the list on which this certificate would be revoked
	DNS      []string // dNSName entries of subjectAltName
	URIs     []string // uniformResourceIdentifier entries of subjectAltName
	Policies []string // certificatePolicies in dotted form; a VICAL signer without gets that of C.1.7.2, a RICAL signer needs one

	successor *x509.Certificate // whose subject, to the byte, a link has instead of Subject
}

func (t *Template) subject() ([]byte, error) {
	if t.successor != nil {
		return t.successor.RawSubject, nil
	}
	return t.Subject.encode()
}

const policyVICAL = "1.0.18013.5.3.1" // ISO/IEC 18013-5 second edition (draft v4), C.1.7.2

// Issue makes a certificate of the profile and returns its DER encoding.
//
// A twin signed with a throw-away key is checked against the profile first
// (Strict), so that the real key never signs a certificate that departs from
// it. The serial number has 159 random bits.
//
// Errors: ErrUnsupported, ErrTemplate, *check.Error naming the rule that the
// template breaks, or what the signer returned.
func Issue(ctx context.Context, p Profile, t Template, signer key.Signer) ([]byte, error) {
	r, ok := rulesOf(p)
	if !ok {
		return nil, fmt.Errorf("certificate profile %q: %w", p, ErrUnsupported)
	}
	if r.self != (t.Issuer == nil) {
		return nil, fmt.Errorf("profile %s: an issuer certificate is needed for all but roots: %w", p, ErrTemplate)
	}
	if err := key.Check(t.PublicKey); err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	if _, err := key.AlgorithmOf(signer.Public()); err != nil {
		return nil, fmt.Errorf("issuer key: %w", err)
	}
	if t.Issuer != nil && !key.Equal(signer.Public(), t.Issuer.PublicKey) || r.self && !key.Equal(signer.Public(), t.PublicKey) {
		return nil, fmt.Errorf("profile %s: the signer's key is not that of the issuer certificate: %w", p, ErrTemplate)
	}
	cert, err := fill(r, p, t)
	if err != nil {
		return nil, err
	}
	if err := lint(cert, t, p, r); err != nil {
		return nil, err
	}
	parent := t.Issuer
	if parent == nil {
		parent = cert
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, t.PublicKey, key.CryptoSigner(ctx, signer))
	if err != nil {
		return nil, fmt.Errorf("profile %s: signing: %w", p, err)
	}
	return der, nil
}

// lint makes a twin of the certificate that a throw-away key signs and checks
// that against its profile and its issuer.
func lint(cert *x509.Certificate, t Template, p Profile, r rules) error {
	throwAway, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("profile %s: throw-away key: %w", p, err)
	}
	parent := *cert
	if t.Issuer != nil {
		parent = *t.Issuer
	}
	parent.PublicKey = throwAway.Public()
	der, err := x509.CreateCertificate(rand.Reader, cert, &parent, t.PublicKey, throwAway)
	if err != nil {
		return fmt.Errorf("profile %s: %w: %w", p, ErrTemplate, err)
	}
	twin, err := ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("profile %s: %w: %w", p, ErrTemplate, err)
	}
	c := checker{cert: twin, policy: Strict}
	c.profile(p)
	if t.Issuer != nil {
		if !t.Issuer.IsCA || t.Issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
			c.Fail("issuer", clauseB11, "not a CA certificate", "sign with the key of a CA")
		}
		if r.link && key.Equal(twin.PublicKey, t.Issuer.PublicKey) {
			c.Fail("public key", r.clause, "that of the old root", "a link certificate is for the key of another root")
		}
		if twin.NotAfter.After(t.Issuer.NotAfter) || twin.NotBefore.Before(t.Issuer.NotBefore) {
			c.Fail("issuer", clauseB11, "validity "+dates(twin)+" leaves that of the issuer, "+dates(t.Issuer), "shorten it, or renew the CA")
		}
		if r.sameC {
			c.checkCountry(t.Issuer)
		}
	}
	return c.Err()
}

// fill turns rules and template into what crypto/x509 wants.
func fill(r rules, p Profile, t Template) (*x509.Certificate, error) {
	subject, err := t.subject()
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	ski, err := KeyIdentifier(t.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("subject key: %w", err)
	}
	cert := &x509.Certificate{
		SerialNumber: serial,
		RawSubject:   subject,
		NotBefore:    t.NotBefore.UTC().Truncate(time.Second),
		NotAfter:     t.NotAfter.UTC().Truncate(time.Second),
		SubjectKeyId: ski,
		KeyUsage:     r.usage,
		DNSNames:     t.DNS,
		PublicKey:    t.PublicKey,
	}
	if t.Issuer != nil {
		cert.AuthorityKeyId = t.Issuer.SubjectKeyId // crypto/x509 leaves it out where issuer and subject have one name
	}
	if r.ca {
		cert.BasicConstraintsValid, cert.IsCA, cert.MaxPathLenZero = true, true, true
	}
	if t.CRLURL != "" {
		cert.CRLDistributionPoints = []string{t.CRLURL}
	}
	for _, u := range t.URIs {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Scheme == "" {
			return nil, fmt.Errorf("subjectAltName %q is no URI: %w", u, ErrTemplate)
		}
		cert.URIs = append(cert.URIs, parsed)
	}
	policies := t.Policies
	if p == VICALSigner && len(policies) == 0 {
		policies = []string{policyVICAL}
	}
	for _, dotted := range policies {
		id, err := x509.ParseOID(dotted)
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w: %w", dotted, ErrTemplate, err)
		}
		cert.Policies = append(cert.Policies, id)
	}
	return cert, fillExtensions(cert, r, t)
}

// KeyIdentifier is the identifier that certificates give a public key: the SHA-1
// of its bits, which has no security purpose.
// ISO/IEC 18013-5 second edition (draft v4), B.1.1; RFC 5280, 4.2.1.2, method (1).
func KeyIdentifier(pub crypto.PublicKey) ([]byte, error) {
	spki, err := key.Marshal(pub)
	if err != nil {
		return nil, err
	}
	_, bits, ok := publicKeyBits(spki)
	if !ok {
		return nil, ErrMalformed
	}
	sum := sha1.Sum(bits) //nolint:gosec // as prescribed
	return sum[:], nil
}

// fillExtensions adds what crypto/x509 would not write, or not critical.
func fillExtensions(cert *x509.Certificate, r rules, t Template) error {
	if len(r.ekus) > 0 {
		var ids []asn1.ObjectIdentifier
		for _, dotted := range r.ekus {
			id, err := parseOID(dotted)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		value, err := asn1.Marshal(ids)
		if err != nil {
			return fmt.Errorf("extended key usage: %w", err)
		}
		cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oid(2, 5, 29, 37), Critical: true, Value: value})
	}
	if r.link && !bytes.Equal(cert.RawSubject, t.Issuer.RawSubject) {
		value, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: t.Issuer.RawSubject}}) // directoryName
		if err != nil {
			return fmt.Errorf("subjectAltName: %w", err)
		}
		cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oid(2, 5, 29, 17), Value: value})
	}
	switch {
	case t.Contact != "":
		name := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte(t.Contact)} // rfc822Name
		if u, err := url.Parse(t.Contact); err == nil && u.Scheme != "" {
			name.Tag = 6 // uniformResourceIdentifier
		} else if !strings.Contains(t.Contact, "@") || !isASCII(t.Contact) {
			return fmt.Errorf("contact %q is neither an e-mail address nor a URI: %w", t.Contact, ErrTemplate)
		}
		value, err := asn1.Marshal([]asn1.RawValue{name})
		if err != nil {
			return fmt.Errorf("issuerAltName: %w", err)
		}
		cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oid(2, 5, 29, 18), Value: value})
	case t.Issuer != nil:
		if ian := extension(t.Issuer, 18); ian != nil {
			cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: oid(2, 5, 29, 18), Value: bytes.Clone(ian.Value)})
		}
	}
	return nil
}

// newSerial draws 159 random bits, and again in the one case in 2^32 that
// they are so small that a checker would doubt their origin. 20 octets and
// positive. ISO/IEC 18013-5 second edition (draft v4), B.1.1.
func newSerial() (*big.Int, error) {
	var b [20]byte
	for {
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("serial number: %w", err)
		}
		b[0] &= 0x7f
		if n := new(big.Int).SetBytes(b[:]); n.BitLen() > 127 {
			return n, nil
		}
	}
}

func parseOID(dotted string) (asn1.ObjectIdentifier, error) {
	var id asn1.ObjectIdentifier
	for arc := range strings.SplitSeq(dotted, ".") {
		n := 0
		if _, err := fmt.Sscanf(arc, "%d", &n); err != nil {
			return nil, fmt.Errorf("object identifier %q: %w", dotted, ErrMalformed)
		}
		id = append(id, n)
	}
	return id, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// Validity proposes the dates of a certificate: from UTC midnight two days
// before now, so that documents dated to midnight lie inside, to lifetime
// later.
func Validity(now time.Time, lifetime time.Duration) (notBefore, notAfter time.Time) {
	notBefore = now.UTC().Truncate(day).Add(-2 * day)
	return notBefore, notBefore.Add(lifetime)
}
