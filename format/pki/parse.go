package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
	"unicode/utf8"
)

// A certificate as the profiles prescribe it can be read in a straight line, in
// less than half the time of crypto/x509, which is a fifth of the verification
// of a signature and spent on every document shown. So [ParseCertificate] tries
// parser.usual first and leaves everything else, right or wrong, to crypto/x509. A
// fuzz target holds the two together: what parser.usual returns is what
// crypto/x509 returns, field for field.

// Tags besides those that der.go looks at.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagKeyIdentifier   = 0x80 // [0] of AuthorityKeyIdentifier
	tagVersion         = 0xa0 // [0] of TBSCertificate
	tagExtensions      = 0xa3 // [3] of TBSCertificate
)

// reader takes DER elements one after the other. After the first that is not
// as expected it returns nothing any more; ok then is false.
type reader struct {
	der []byte
	ok  bool
}

func read(der []byte) reader { return reader{der, true} }

// whole takes the next element, which must have that tag.
func (r *reader) whole(tag byte) element {
	e, rest, ok := next(r.der)
	if !ok || e.tag != tag {
		r.der, r.ok = nil, false
		return element{}
	}
	r.der = rest
	return e
}

// next takes the contents of the next element, which must have that tag. Most
// are short, and read here without the general case.
func (r *reader) next(tag byte) []byte {
	if d := r.der; len(d) >= 2 && d[0] == tag && d[1] < 0x80 && len(d)-2 >= int(d[1]) {
		n := 2 + int(d[1])
		r.der = d[n:]
		return d[2:n]
	}
	return r.whole(tag).body
}

// is reports whether the next element has that tag.
func (r *reader) is(tag byte) bool { return len(r.der) > 0 && r.der[0] == tag }

// done reports whether all went well and nothing is left.
func (r *reader) done() bool { return r.ok && len(r.der) == 0 }

// parser makes one certificate. What the usual one refers to is cut from room
// in the parser, so that all of it is one piece of memory; append moves to
// memory of its own what does not fit.
type parser struct {
	cert   x509.Certificate
	serial big.Int
	arcs   []int // that the object identifiers are cut from

	arcRoom       [72]int
	nameRoom      [2][4]pkix.AttributeTypeAndValue // issuer, subject
	oneRoom       [2][4]string
	extensionRoom [7]pkix.Extension
	purposeRoom   [2]asn1.ObjectIdentifier
	urlRoom       [1]string
}

// usual parses, with an empty parser, a version 3 certificate with ECDSA or Ed25519 key and
// signature, names of ordinary attributes, and no other extensions than key
// identifiers, key usage, issuerAltName, basic constraints, distribution
// points and extended key usages of ISO/IEC 18013-5 and 23220. It reports
// false for any other, which may still be valid. The result refers to der.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1; RFC 5280, 4.1.
func (p *parser) usual(der []byte) (*x509.Certificate, bool) {
	p.cert.Raw, p.arcs = der, p.arcRoom[:0]
	outer := read(der)
	r := read(outer.next(tagSequence))
	tbs, algorithm, signature := r.whole(tagSequence), r.next(tagSequence), r.next(tagBitString)
	if !outer.done() || !r.done() || len(signature) < 1 || signature[0] != 0 {
		return nil, false
	}
	p.cert.RawTBSCertificate, p.cert.Signature = tbs.full, signature[1:]
	if p.cert.SignatureAlgorithm = algorithmOf(algorithm); p.cert.SignatureAlgorithm == x509.UnknownSignatureAlgorithm {
		return nil, false
	}
	return &p.cert, p.tbs(tbs.body, algorithm)
}

// tbs reads the contents of the TBSCertificate. RFC 5280, 4.1.2.
func (p *parser) tbs(der, algorithm []byte) bool {
	r := read(der)
	version, serial := r.next(tagVersion), r.next(tagInteger)
	inner := r.next(tagSequence)
	issuer, validity, subject := r.whole(tagSequence), r.next(tagSequence), r.whole(tagSequence)
	spki, extensions := r.whole(tagSequence), r.next(tagExtensions)
	if !r.done() || string(version) != "\x02\x01\x02" || !bytes.Equal(inner, algorithm) || !positive(serial) {
		return false
	}
	c := &p.cert
	c.Version = 3
	c.SerialNumber = p.serial.SetBytes(serial)
	c.RawIssuer, c.RawSubject, c.RawSubjectPublicKeyInfo = issuer.full, subject.full, spki.full
	return p.name(0, &c.Issuer, issuer.body) && p.name(1, &c.Subject, subject.body) &&
		p.validity(validity) && p.publicKey(spki.full) && p.extensions(extensions)
}

// positive reports whether an INTEGER is in DER and above zero. X.690, 8.3.2.
func positive(b []byte) bool {
	switch {
	case len(b) == 0 || b[0] >= 0x80:
		return false
	case b[0] == 0:
		return len(b) > 1 && b[1] >= 0x80
	}
	return true
}

// algorithmOf knows the contents of four AlgorithmIdentifiers, which have no
// parameters. RFC 5758, 3.2; RFC 8410, 3.
func algorithmOf(body []byte) x509.SignatureAlgorithm {
	switch string(body) {
	case "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02":
		return x509.ECDSAWithSHA256
	case "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03":
		return x509.ECDSAWithSHA384
	case "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04":
		return x509.ECDSAWithSHA512
	case "\x06\x03\x2b\x65\x70":
		return x509.PureEd25519
	}
	return x509.UnknownSignatureAlgorithm
}

// The SubjectPublicKeyInfo of a key up to its bits. RFC 5480, 2.1.1; RFC 8410, 3.
const (
	spkiP256    = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
	spkiP384    = "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00"
	spkiP521    = "\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00"
	spkiEd25519 = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"
)

// publicKey takes the key, which must be on its curve. The length needs no
// check: it is in the prefix.
func (p *parser) publicKey(spki []byte) bool {
	if bits, ok := bytes.CutPrefix(spki, []byte(spkiEd25519)); ok {
		p.cert.PublicKeyAlgorithm, p.cert.PublicKey = x509.Ed25519, ed25519.PublicKey(bits)
		return true
	}
	for _, known := range []struct {
		prefix string
		curve  func() elliptic.Curve
	}{{spkiP256, elliptic.P256}, {spkiP384, elliptic.P384}, {spkiP521, elliptic.P521}} {
		if point, ok := bytes.CutPrefix(spki, []byte(known.prefix)); ok {
			pub, err := ecdsa.ParseUncompressedPublicKey(known.curve(), point)
			p.cert.PublicKeyAlgorithm, p.cert.PublicKey = x509.ECDSA, pub
			return err == nil
		}
	}
	return false
}

// name reads the contents of a Name whose attributes are all of 2.5.4, each in
// an RDN of its own, and PrintableString or UTF8String. It is the i-th name.
func (p *parser) name(i int, n *pkix.Name, rdns []byte) bool {
	text := string(rdns) // the strings are cut from one copy, the lists of one from the room
	n.Names = p.nameRoom[i][:0]
	ones := p.oneRoom[i][:0]
	add := func(list *[]string, s string) {
		if *list == nil {
			ones = append(ones, s)
			*list = ones[len(ones)-1 : len(ones) : len(ones)]
			return
		}
		*list = append(*list, s)
	}
	for r := read(rdns); len(r.der) > 0; {
		set := read(r.next(tagSet))
		pair := read(set.next(tagSequence))
		id := pair.next(tagOID)
		value, rest, ok := next(pair.der)
		if !ok || len(rest) > 0 || !set.done() || !pair.ok || len(id) != 3 || id[0] != 0x55 || id[1] != 4 || id[2] >= 0x80 {
			return false
		}
		switch {
		case value.tag == tagPrintableString && printable(value.body):
		case value.tag == tagUTF8String && utf8.Valid(value.body):
		default:
			return false
		}
		end := len(rdns) - len(r.der)
		s := text[end-len(value.body) : end]
		n.Names = append(n.Names, pkix.AttributeTypeAndValue{Type: p.oid(2, 5, 4, int(id[2])), Value: s})
		switch string(id) {
		case attrCN:
			n.CommonName = s
		case attrSerial:
			n.SerialNumber = s
		case attrC:
			add(&n.Country, s)
		case attrL:
			add(&n.Locality, s)
		case attrST:
			add(&n.Province, s)
		case attrO:
			add(&n.Organization, s)
		case attrOU:
			add(&n.OrganizationalUnit, s)
		case attrStreet:
			add(&n.StreetAddress, s)
		case attrPostalCode:
			add(&n.PostalCode, s)
		}
	}
	return len(n.Names) > 0
}

// printable reports whether b is a PrintableString. X.680, 41.4.
func printable(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == ' ', '\'' <= c && c <= ')', '+' <= c && c <= '/', c == ':', c == '=', c == '?':
		default:
			return false
		}
	}
	return true
}

func (p *parser) validity(der []byte) bool {
	r := read(der)
	var from, until bool
	p.cert.NotBefore, from = date(&r)
	p.cert.NotAfter, until = date(&r)
	return r.done() && from && until
}

// date takes a UTCTime or GeneralizedTime in the only form that RFC 5280,
// 4.1.2.5 allows: to the second, in UTC.
func date(r *reader) (time.Time, bool) {
	var digits []byte
	year := 0
	switch {
	case r.is(tagUTCTime):
		digits = r.next(tagUTCTime)
		if year = 1900 + two(digits, 0); year < 1950 {
			year += 100
		}
	case r.is(tagGeneralizedTime):
		digits = r.next(tagGeneralizedTime)
		if year = 100*two(digits, 0) + two(digits, 2); year < 1950 {
			return time.Time{}, false
		}
		digits = digits[2:]
	}
	if len(digits) != len("yymmddhhmmssZ") || digits[12] != 'Z' {
		return time.Time{}, false
	}
	month, day, hour, minute, second := two(digits, 2), two(digits, 4), two(digits, 6), two(digits, 8), two(digits, 10)
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date carries over what is out of range, 31 April for one.
	same := month >= 1 && month <= 12 && t.Day() == day && day > 0 && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60
	return t, same && two(digits, 0) >= 0
}

// two is the number that two digits at i stand for, negative by far if there are none.
func two(b []byte, i int) int {
	if len(b) < i+2 || b[i] < '0' || b[i] > '9' || b[i+1] < '0' || b[i+1] > '9' {
		return -1 << 20
	}
	return 10*int(b[i]-'0') + int(b[i+1]-'0')
}

// extensions reads the Extensions, each of which may occur once.
func (p *parser) extensions(der []byte) bool {
	outer := read(der)
	r := read(outer.next(tagSequence))
	if !outer.done() {
		return false
	}
	p.cert.Extensions = p.extensionRoom[:0]
	var seen [128]bool
	for len(r.der) > 0 {
		e := read(r.next(tagSequence))
		id := e.next(tagOID)
		critical := e.is(tagBoolean)
		if critical && string(e.next(tagBoolean)) != "\xff" {
			return false
		}
		value := e.next(tagOctetString)
		if !e.done() || len(id) != 3 || id[0] != 0x55 || id[1] != 29 || id[2] >= 0x80 || seen[id[2]] {
			return false
		}
		seen[id[2]] = true
		p.cert.Extensions = append(p.cert.Extensions, pkix.Extension{Id: p.oid(2, 5, 29, int(id[2])), Critical: critical, Value: value})
		if !p.extension(int(id[2]), critical, value) {
			return false
		}
	}
	return r.ok && len(p.cert.Extensions) > 0
}

// extension interprets the value of extension 2.5.29.arc. RFC 5280, 4.2.1.
func (p *parser) extension(arc int, critical bool, value []byte) bool {
	c := &p.cert
	r := read(value)
	switch arc {
	case 14: // subject key identifier
		c.SubjectKeyId = r.next(tagOctetString)
		return r.done() && !critical
	case 35: // authority key identifier
		inside := read(r.next(tagSequence))
		c.AuthorityKeyId = inside.next(tagKeyIdentifier)
		return r.done() && inside.done() && !critical
	case 15: // key usage
		usage, ok := keyUsage(r.next(tagBitString))
		c.KeyUsage = usage
		return r.done() && ok
	case 18: // issuer alternative name: crypto/x509 does not look into it
		return !critical
	case 19: // basic constraints
		return p.basicConstraints(r.next(tagSequence)) && r.done()
	case 31: // CRL distribution points
		return p.distributionPoints(value)
	case 37: // extended key usage
		return p.extendedKeyUsage(r.next(tagSequence)) && r.done()
	}
	return false
}

// keyUsage reads the contents of a BIT STRING. RFC 5280, 4.2.1.3.
func keyUsage(b []byte) (x509.KeyUsage, bool) {
	if len(b) < 2 || len(b) > 3 || b[0] > 7 || b[len(b)-1]&(1<<b[0]-1) != 0 {
		return 0, false
	}
	usage := 0
	for i := range min(9, 8*(len(b)-1)) {
		if b[1+i/8]>>(7-i%8)&1 != 0 {
			usage |= 1 << i
		}
	}
	return x509.KeyUsage(usage), true
}

func (p *parser) basicConstraints(der []byte) bool {
	c, r := &p.cert, read(der)
	c.BasicConstraintsValid, c.MaxPathLen = true, -1
	if r.is(tagBoolean) {
		c.IsCA = true
		if string(r.next(tagBoolean)) != "\xff" {
			return false
		}
	}
	if r.is(tagInteger) {
		n := r.next(tagInteger)
		if len(n) != 1 || n[0] >= 0x80 {
			return false
		}
		c.MaxPathLen, c.MaxPathLenZero = int(n[0]), n[0] == 0
	}
	return r.done()
}

// distributionPoints takes those that are named by URIs and by nothing else.
func (p *parser) distributionPoints(value []byte) bool {
	var room [2]element
	names, extras, ok := distributionPoints(room[:0], value)
	if !ok || extras {
		return false
	}
	p.cert.CRLDistributionPoints = p.urlRoom[:0]
	for _, n := range names {
		if n.tag != nameURI {
			return false
		}
		p.cert.CRLDistributionPoints = append(p.cert.CRLDistributionPoints, string(n.body))
	}
	return true
}

// extendedKeyUsage takes purposes under 1.0, the arc of ISO standards, to
// which none of those belongs that crypto/x509 has names for.
func (p *parser) extendedKeyUsage(der []byte) bool {
	p.cert.UnknownExtKeyUsage = p.purposeRoom[:0]
	for r := read(der); len(r.der) > 0; {
		id := r.next(tagOID)
		if len(id) < 2 || id[0] != 40 || id[len(id)-1] >= 0x80 {
			return false
		}
		start := len(p.arcs)
		p.arcs = append(p.arcs, 1, 0)
		for arc, i, first := 0, 1, 1; i < len(id); i++ {
			if i-first > 3 || i == first && id[i] == 0x80 { // over 28 bits, or padded
				return false
			}
			arc = arc<<7 | int(id[i]&0x7f)
			if id[i] < 0x80 {
				p.arcs = append(p.arcs, arc)
				arc, first = 0, i+1
			}
		}
		p.cert.UnknownExtKeyUsage = append(p.cert.UnknownExtKeyUsage, p.cut(start))
	}
	return len(der) > 0
}

// oid cuts an object identifier from the common room, which append makes
// larger where it does not suffice.
func (p *parser) oid(a, b, c, d int) asn1.ObjectIdentifier {
	p.arcs = append(p.arcs, a, b, c, d)
	return p.cut(len(p.arcs) - 4)
}

func (p *parser) cut(start int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier(p.arcs[start:len(p.arcs):len(p.arcs)])
}
