package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
)

const clauseB11 = annexB + "B.1.1"

// weight says how much a departure from a profile matters.
type weight uint8

const (
	form  weight = iota // how a certificate should look: warns when Tolerant
	trust               // who may do what: always fails
	known               // done by the standard's own examples: fails only when Strict
)

// checker collects the checks of one certificate.
type checker struct {
	check.Report
	cert   *x509.Certificate
	rules  rules
	policy Policy
	brief  bool // of the profile, report departures alone
}

// pass records that a field is as the profile asks.
func (c *checker) pass(name, clause, seen string) {
	if !c.brief {
		c.Pass(name, clause, seen)
	}
}

// departure records that the certificate departs from the profile.
func (c *checker) departure(w weight, name, clause, seen, advice string) {
	switch {
	case w == trust, c.policy == Strict, c.policy == Default && w == form:
		c.Fail(name, clause, seen, advice)
	default:
		c.Warn(name, clause, seen, advice)
	}
}

// CheckProfile compares a certificate with a profile, field by field; every
// requirement is one check that cites the clause. Signature, dates and
// revocation are not looked at: see VerifyChain.
func CheckProfile(cert *x509.Certificate, p Profile, policy Policy) check.Report {
	c := checker{cert: cert, policy: policy}
	c.Checks = make([]check.Check, 0, 20)
	c.profile(p)
	return c.Report
}

// profile checks the certificate against one column of the tables.
func (c *checker) profile(p Profile) {
	var ok bool
	if c.rules, ok = rulesOf(p); !ok {
		c.Fail("certificate profile", annexB+"Annex B", "unknown profile "+string(p), "name one of pki.Profiles")
		return
	}
	c.versionAndSerial()
	c.algorithm()
	c.publicKey()
	c.validity()
	c.names()
	c.keyIdentifiers()
	c.keyUsage()
	c.basicConstraints()
	c.extendedKeyUsage()
	c.issuerAltName()
	c.distributionPoints()
	c.subjectAltName()
	if p == RICALSigner {
		c.present("certificate policies", extension(c.cert, 32) != nil, form, "name the list's policy")
	}
	c.extensions()
}

// present records whether something that the profile demands is there.
func (c *checker) present(name string, there bool, w weight, advice string) bool {
	if there {
		c.pass(name, c.rules.clause, "present")
	} else {
		c.departure(w, name, c.rules.clause, "absent", advice)
	}
	return there
}

func (c *checker) versionAndSerial() {
	if c.cert.Version != 3 {
		c.departure(trust, "version", clauseB11, fmt.Sprintf("v%d", c.cert.Version), "issue an X.509 version 3 certificate")
	} else {
		c.pass("version", clauseB11, "v3")
	}
	// Sixteen leading zero bits of 63 random ones happen once in 65536.
	switch bits := c.cert.SerialNumber.BitLen(); {
	case c.cert.SerialNumber.Sign() <= 0 || bits > 159:
		c.departure(form, "serial number", clauseB11, "not positive or longer than 20 octets", "use 71 to 159 random bits")
	case bits < 63-16:
		c.departure(form, "serial number", clauseB11, fmt.Sprintf("%d bits", bits), "use at least 63, better 71 random bits")
	default:
		c.pass("serial number", clauseB11, "positive, at most 20 octets, long enough to be random")
	}
}

func (c *checker) algorithm() {
	alg := c.cert.SignatureAlgorithm
	if !signatureAllowed(alg) || alg == x509.PureEd25519 && c.rules.standard {
		c.departure(trust, "signature algorithm", clauseB11, alg.String(), "sign with ECDSA and SHA-256, SHA-384 or SHA-512")
		return
	}
	c.pass("signature algorithm", clauseB11, alg.String())
}

// signatureAllowed is the allow-list of certificate signature algorithms.
func signatureAllowed(alg x509.SignatureAlgorithm) bool {
	switch alg {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return true
	}
	return false
}

func (c *checker) publicKey() {
	// crypto/x509 has checked that the point is on its curve.
	if _, err := key.AlgorithmOf(c.cert.PublicKey); err != nil {
		c.departure(trust, "public key", c.rules.clause, fmt.Sprintf("%T", c.cert.PublicKey), "use a key on P-256, P-384 or P-521, or Ed25519 where the profile allows it")
		return
	}
	switch pub := c.cert.PublicKey.(type) {
	case ed25519.PublicKey:
		if !c.rules.edKeys {
			c.departure(form, "public key", c.rules.clause, "Ed25519", "use an EC key")
			return
		}
		c.pass("public key", c.rules.clause, "Ed25519")
	case *ecdsa.PublicKey: // crypto/x509 takes only named curves and uncompressed points
		c.pass("public key", c.rules.clause, pub.Params().Name)
	}
}

func (c *checker) validity() {
	d := c.cert.NotAfter.Sub(c.cert.NotBefore)
	switch {
	case d <= 0:
		c.departure(trust, "validity period", c.rules.clause, dates(c.cert), "end it after it begins")
	case d > c.rules.maxValid:
		c.departure(form, "validity period", c.rules.clause, fmt.Sprintf("%.1f days", d.Hours()/24), fmt.Sprintf("at most %d days", c.rules.maxValid/day))
	default:
		c.pass("validity period", c.rules.clause, "within the maximum")
	}
}

// dates shows the validity for people.
func dates(cert *x509.Certificate) string {
	return cert.NotBefore.UTC().Format(time.RFC3339) + " to " + cert.NotAfter.UTC().Format(time.RFC3339)
}

func (c *checker) names() {
	same := bytes.Equal(c.cert.RawIssuer, c.cert.RawSubject)
	switch {
	case c.rules.self && !same:
		c.departure(form, "issuer", c.rules.clause, "differs from the subject", "make the root self-issued, names equal to the byte")
	case !c.rules.self && !c.rules.ca && same:
		c.departure(trust, "issuer", c.rules.clause, "equal to the subject", "have a CA issue it")
	default:
		c.pass("issuer", c.rules.clause, "as the profile asks")
	}
	var room [8]attribute // so that the usual name needs no allocation
	list, ok := attributes(room[:0], c.cert.RawSubject)
	if !ok {
		c.departure(trust, "subject", clauseB11, "malformed", "encode the name in DER")
		return
	}
	var country, org, cn attribute
	for _, a := range list {
		switch string(a.oid) {
		case attrC:
			country = a
		case attrO:
			org = a
		case attrCN:
			cn = a
		}
		printable := string(a.oid) == attrC || string(a.oid) == attrSerial
		if printable && a.tag != tagPrintableString || !printable && a.tag != tagPrintableString && a.tag != tagUTF8String {
			c.departure(form, "subject string type", clauseB11, fmt.Sprintf("ASN.1 type %#x", a.tag), "PrintableString for C and serialNumber, else that or UTF8String")
		}
	}
	if c.rules.country == required && c.present("subject country", len(country.value) > 0, form, "add the country") ||
		c.rules.country != required && len(country.value) > 0 {
		if v := country.value; len(v) != 2 || v[0] < 'A' || v[0] > 'Z' || v[1] < 'A' || v[1] > 'Z' {
			c.departure(form, "subject country code", clauseB11, fmt.Sprintf("%q", v), "two upper-case letters of ISO 3166-1")
		}
	}
	if c.rules.org == required {
		c.present("subject organization", len(org.value) > 0, form, "add the organization")
	}
	c.present("subject common name", len(cn.value) > 0, form, "add the common name")
}

func (c *checker) keyIdentifiers() {
	_, bits, ok := publicKeyBits(c.cert.RawSubjectPublicKeyInfo)
	want := sha1.Sum(bits) //nolint:gosec // B.1.1 prescribes it; no security rests on it
	switch {
	case len(c.cert.SubjectKeyId) == 0:
		c.departure(form, "subject key identifier", c.rules.clause, "absent", "add it")
	case !ok || !bytes.Equal(c.cert.SubjectKeyId, want[:]):
		c.departure(form, "subject key identifier", clauseB11, "not the SHA-1 of the public key", "compute it over the BIT STRING contents")
	default:
		c.pass("subject key identifier", c.rules.clause, "SHA-1 of the public key")
	}
	if c.rules.aki == required {
		c.present("authority key identifier", len(c.cert.AuthorityKeyId) > 0, form, "add the issuer's subject key identifier")
	}
}

func (c *checker) keyUsage() {
	ext := extension(c.cert, 15)
	switch {
	case ext == nil:
		c.departure(trust, "key usage", c.rules.clause, "absent", "add it, critical")
	case c.cert.KeyUsage&c.rules.usage != c.rules.usage:
		c.departure(trust, "key usage", c.rules.clause, usageNames(c.cert.KeyUsage), "it has to be "+usageNames(c.rules.usage))
	case c.cert.KeyUsage != c.rules.usage:
		c.departure(form, "key usage", c.rules.clause, usageNames(c.cert.KeyUsage), "it should be "+usageNames(c.rules.usage)+" alone")
	case !ext.Critical:
		c.departure(form, "key usage", c.rules.clause, "not critical", "mark it critical")
	default:
		c.pass("key usage", c.rules.clause, usageNames(c.rules.usage))
	}
}

func usageNames(u x509.KeyUsage) string {
	switch u {
	case x509.KeyUsageDigitalSignature:
		return "digitalSignature"
	case x509.KeyUsageContentCommitment:
		return "nonRepudiation"
	case x509.KeyUsageCertSign | x509.KeyUsageCRLSign:
		return "keyCertSign, cRLSign"
	}
	return fmt.Sprintf("bits %09b, digitalSignature last", int(u))
}

func (c *checker) basicConstraints() {
	ext := extension(c.cert, 19)
	if !c.rules.ca {
		if c.cert.IsCA {
			c.departure(trust, "basic constraints", c.rules.clause, "CA", "a signer must not be a CA")
		} else {
			c.pass("basic constraints", c.rules.clause, "no CA")
		}
		return
	}
	switch {
	case ext == nil || !c.cert.IsCA:
		c.departure(trust, "basic constraints", c.rules.clause, "no CA", "set cA, critical")
	case c.cert.MaxPathLen != 0 || !c.cert.MaxPathLenZero:
		c.departure(form, "basic constraints", c.rules.clause, "path length not 0", "set the path length to 0")
	case !ext.Critical:
		c.departure(form, "basic constraints", c.rules.clause, "not critical", "mark it critical")
	default:
		c.pass("basic constraints", c.rules.clause, "CA, path length 0")
	}
}

func (c *checker) extendedKeyUsage() {
	const name = "extended key usage"
	ext := extension(c.cert, 37)
	if len(c.rules.ekus) == 0 {
		switch {
		case ext == nil:
			c.pass(name, c.rules.clause, "absent")
		case c.rules.ca || c.hasEKU(oidMDLDS, oidMDLJWS, oidMDLReader, oidMDLVICAL, oidMdocDS, oidMdocRead, oidMdocVICAL):
			c.departure(form, name, c.rules.clause, "one of another purpose", "leave it out")
		default:
			c.pass(name, c.rules.clause, "none of another purpose")
		}
		return
	}
	w := trust
	if c.rules.ekuForm {
		w = form
	}
	switch {
	case ext == nil:
		c.departure(w, name, c.rules.clause, "absent", "add "+c.rules.ekus[0]+", critical")
	case !c.hasEKU(c.rules.ekus...):
		c.departure(w, name, c.rules.clause, "without "+c.rules.ekus[0], "add it, critical")
	case !c.hasEKU(c.rules.ekus[0]):
		c.departure(form, name, c.rules.clause, "only the generic mdoc purpose", "add "+c.rules.ekus[0])
	case !ext.Critical:
		c.departure(form, name, c.rules.clause, "not critical", "mark it critical")
	default:
		c.pass(name, c.rules.clause, c.rules.ekus[0])
	}
}

func (c *checker) hasEKU(dotted ...string) bool {
	for _, id := range c.cert.UnknownExtKeyUsage {
		for _, d := range dotted {
			if isOID(id, d) {
				return true
			}
		}
	}
	return false
}

// isOID compares an object identifier with one in dotted form.
func isOID(id asn1.ObjectIdentifier, dotted string) bool {
	i, arc := 0, 0
	for k := 0; k <= len(dotted); k++ {
		if k < len(dotted) && dotted[k] != '.' {
			arc = arc*10 + int(dotted[k]-'0')
			continue
		}
		if i == len(id) || id[i] != arc {
			return false
		}
		i, arc = i+1, 0
	}
	return i == len(id)
}

func (c *checker) issuerAltName() {
	ext := extension(c.cert, 18)
	if ext == nil {
		if c.rules.ian == required {
			c.departure(form, "issuer alternative name", c.rules.clause, "absent", "add the CA's e-mail address or URI")
		}
		return
	}
	body, _ := inside(ext.Value, tagSequence)
	var room [2]element // so that the usual list needs no allocation
	names, _ := generalNames(room[:0], body)
	switch {
	case !slices.ContainsFunc(names, func(e element) bool { return e.tag == nameRFC822 || e.tag == nameURI }):
		c.departure(form, "issuer alternative name", c.rules.clause, "no rfc822Name and no URI", "add the CA's e-mail address or URI")
	case ext.Critical:
		c.departure(form, "issuer alternative name", c.rules.clause, "critical", "mark it non-critical")
	default:
		c.pass("issuer alternative name", c.rules.clause, "present")
	}
}

func (c *checker) distributionPoints() {
	const name = "CRL distribution points"
	ext := extension(c.cert, 31)
	if ext == nil {
		if c.rules.crldp == required {
			c.departure(form, name, c.rules.clause, "absent", "add the URI of the revocation list")
		}
		return
	}
	var room [2]element
	names, extras, ok := distributionPoints(room[:0], ext.Value)
	switch {
	case !ok:
		c.departure(form, name, clauseB11, "malformed", "encode it after RFC 5280, 4.2.1.13")
	case extras:
		c.departure(form, name, clauseB11, "with reasons, cRLIssuer or a relative name", "name the list by its URI alone")
	case slices.ContainsFunc(names, func(e element) bool { return e.tag == nameDNS }):
		c.departure(known, name, clauseB11, "a dNSName", "name the list by its URI")
	case slices.ContainsFunc(names, func(e element) bool { return e.tag != nameURI }):
		c.departure(form, name, clauseB11, "no URI", "name the list by its URI")
	case ext.Critical:
		c.departure(form, name, clauseB11, "critical", "mark it non-critical")
	default:
		c.pass(name, clauseB11, "a URI")
	}
}

func (c *checker) subjectAltName() {
	if c.rules.dns == required {
		c.present("subject alternative name", len(c.cert.DNSNames) > 0, form, "add the verifier's host as dNSName")
	}
	if c.rules.link && !bytes.Equal(c.cert.RawIssuer, c.cert.RawSubject) {
		c.present("subject alternative name", c.namesOldRoot(), form, "add the name of the old root as directoryName, since the new one has another")
	}
}

// extensions refuses what the profiles forbid and critical ones that nothing
// here interprets.
func (c *checker) extensions() {
	before := len(c.Checks)
	for i := range c.cert.Extensions {
		e := &c.cert.Extensions[i]
		if !isCE(e.Id) {
			if e.Critical {
				c.departure(trust, "critical extensions", clauseB11, "unknown "+e.Id.String(), "leave it out or mark it non-critical")
			}
			continue
		}
		switch e.Id[3] {
		case 30, 33, 36, 46, 54: // name constraints, policy mappings, policy constraints, freshest CRL, inhibit any policy
			c.departure(form, "forbidden extensions", clauseB11, e.Id.String(), "leave it out")
		case 14, 35: // key identifiers
			if e.Critical {
				c.departure(form, "key identifier", clauseB11, "critical", "mark it non-critical")
			}
		}
		if e.Critical && !understood(e.Id[3]) {
			c.departure(trust, "critical extensions", clauseB11, "unknown "+e.Id.String(), "leave it out or mark it non-critical")
		}
	}
	if len(c.Checks) == before {
		c.pass("extensions", clauseB11, "none forbidden, no unknown critical one")
	}
}

// understood lists the extensions 2.5.29.x that path validation here takes
// into account, so that they may be critical: key identifiers, key usage,
// alternative names, basic constraints, distribution points, policies (any
// will do) and extended key usage.
func understood(arc int) bool {
	switch arc {
	case 14, 15, 17, 18, 19, 31, 32, 35, 37:
		return true
	}
	return false
}

// checkCountry compares C, and ST where both have one, with those of the CA.
// A missing ST below a CA that has one is a matter of form.
func (c *checker) checkCountry(ca *x509.Certificate) {
	const advice = "a signer has the country of its CA, and its state or province if the CA names one"
	country, caCountry := first(c.cert.Subject.Country), first(ca.Subject.Country)
	state, caState := first(c.cert.Subject.Province), first(ca.Subject.Province)
	if country != caCountry {
		c.Fail("country", clauseB11, fmt.Sprintf("%q under %q", country, caCountry), advice)
	} else {
		c.Pass("country", clauseB11, country)
	}
	switch {
	case state == caState:
		if state != "" {
			c.Pass("state or province", clauseB11, state)
		}
	case state == "":
		c.departure(form, "state or province", clauseB11, "absent", advice)
	case caState != "":
		c.Fail("state or province", clauseB11, fmt.Sprintf("%q under %q", state, caState), advice)
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
