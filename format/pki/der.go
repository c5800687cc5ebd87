package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
)

// Tags of the few ASN.1 types looked at by hand. X.690, 8.1.2; RFC 5280, 4.2.1.6
// for the implicit tags of GeneralName.
const (
	tagBitString       = 0x03
	tagUTF8String      = 0x0c
	tagPrintableString = 0x13
	tagSequence        = 0x30
	tagSet             = 0x31
	tagName0           = 0xa0 // [0] constructed: distributionPoint and fullName
	nameRFC822         = 0x81
	nameDNS            = 0x82
	nameDirectory      = 0xa4
	nameURI            = 0x86
)

// element is one DER element; full includes its header.
type element struct {
	tag        byte
	body, full []byte
}

// next cuts the first DER element off der. Lengths over 65535 bytes and
// multi-byte tags do not occur where this is used and are refused.
func next(der []byte) (e element, rest []byte, ok bool) {
	if len(der) < 2 || der[0]&0x1f == 0x1f {
		return e, nil, false
	}
	head, n := 2, int(der[1])
	switch {
	case der[1] < 0x80:
	case der[1] == 0x81 && len(der) >= 3 && der[2] >= 0x80:
		head, n = 3, int(der[2])
	case der[1] == 0x82 && len(der) >= 4 && der[2] != 0:
		head, n = 4, int(der[2])<<8|int(der[3])
	default:
		return e, nil, false
	}
	if len(der)-head < n {
		return e, nil, false
	}
	return element{der[0], der[head : head+n], der[:head+n]}, der[head+n:], true
}

// inside returns the contents of the single element der if it has that tag.
func inside(der []byte, tag byte) ([]byte, bool) {
	e, rest, ok := next(der)
	if !ok || len(rest) != 0 || e.tag != tag {
		return nil, false
	}
	return e.body, true
}

// generalNames appends the names of a GeneralNames sequence's contents to list.
func generalNames(list []element, body []byte) (_ []element, ok bool) {
	if len(body) == 0 {
		return nil, false
	}
	for len(body) > 0 {
		var e element
		if e, body, ok = next(body); !ok {
			return nil, false
		}
		list = append(list, e)
	}
	return list, true
}

// distributionPoints appends the names in a CRLDistributionPoints extension to
// list, and says whether any point has reasons or a cRLIssuer.
// RFC 5280, 4.2.1.13.
func distributionPoints(list []element, value []byte) (_ []element, extras, ok bool) {
	points, ok := inside(value, tagSequence)
	if !ok || len(points) == 0 {
		return nil, false, false
	}
	for len(points) > 0 {
		var p, d element
		if p, points, ok = next(points); !ok || p.tag != tagSequence {
			return nil, false, false
		}
		var more []byte
		if d, more, ok = next(p.body); !ok {
			return nil, false, false
		}
		if extras = extras || len(more) > 0 || d.tag != tagName0; d.tag != tagName0 {
			continue
		}
		full, ok := inside(d.body, tagName0)
		if !ok {
			return nil, false, false
		}
		if list, ok = generalNames(list, full); !ok {
			return nil, false, false
		}
	}
	return list, extras, true
}

// attribute is one AttributeTypeAndValue of a distinguished name.
type attribute struct {
	oid   []byte // contents of the OBJECT IDENTIFIER
	tag   byte   // of the string type
	value []byte
}

// Contents octets of the attribute types of a Name. RFC 5280, Appendix A.1.
const (
	attrCN         = "\x55\x04\x03"
	attrSerial     = "\x55\x04\x05"
	attrC          = "\x55\x04\x06"
	attrL          = "\x55\x04\x07"
	attrST         = "\x55\x04\x08"
	attrStreet     = "\x55\x04\x09"
	attrO          = "\x55\x04\x0a"
	attrOU         = "\x55\x04\x0b"
	attrPostalCode = "\x55\x04\x11"
	attrOrgID      = "\x55\x04\x61"
)

// attributes appends those of a DER Name to list.
func attributes(list []attribute, raw []byte) (_ []attribute, ok bool) {
	rdns, ok := inside(raw, tagSequence)
	if !ok {
		return nil, false
	}
	for len(rdns) > 0 {
		var set element
		if set, rdns, ok = next(rdns); !ok || set.tag != tagSet {
			return nil, false
		}
		for body := set.body; len(body) > 0; {
			var pair, id, value element
			if pair, body, ok = next(body); !ok || pair.tag != tagSequence {
				return nil, false
			}
			var rest []byte
			if id, rest, ok = next(pair.body); !ok || id.tag != asn1.TagOID {
				return nil, false
			}
			if value, rest, ok = next(rest); !ok || len(rest) != 0 {
				return nil, false
			}
			list = append(list, attribute{id.body, value.tag, value.body})
		}
	}
	return list, true
}

// encode writes the Name in DER, each attribute in an RDN of its own.
func (n Name) encode() ([]byte, error) {
	var rdns []pkix.RelativeDistinguishedNameSET
	add := func(arc int, tag int, value string) {
		if value != "" {
			rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{
				Type:  oid(2, 5, 4, arc),
				Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)},
			}})
		}
	}
	add(6, asn1.TagPrintableString, n.Country)
	add(8, asn1.TagUTF8String, n.State)
	add(7, asn1.TagUTF8String, n.Locality)
	add(10, asn1.TagUTF8String, n.Organization)
	add(11, asn1.TagUTF8String, n.Unit)
	add(97, asn1.TagUTF8String, n.OrganizationID)
	add(5, asn1.TagPrintableString, n.SerialNumber)
	add(3, asn1.TagUTF8String, n.CommonName)
	der, err := asn1.Marshal(rdns)
	if err != nil {
		return nil, fmt.Errorf("distinguished name: %w", err)
	}
	return der, nil
}

// NameOf reads a DER distinguished name, such as RawSubject of a certificate
// or request. Attributes that a Name cannot hold, repeated ones and string
// types other than PrintableString and UTF8String are ErrUnsupported.
func NameOf(raw []byte) (Name, error) {
	list, ok := attributes(nil, raw)
	if !ok {
		return Name{}, fmt.Errorf("distinguished name: %w", ErrMalformed)
	}
	var n Name
	for _, a := range list {
		field := map[string]*string{attrC: &n.Country, attrST: &n.State, attrL: &n.Locality, attrO: &n.Organization,
			attrOU: &n.Unit, attrOrgID: &n.OrganizationID, attrSerial: &n.SerialNumber, attrCN: &n.CommonName}[string(a.oid)]
		if field == nil || *field != "" {
			return Name{}, fmt.Errorf("distinguished name: attribute %x unknown or repeated: %w", a.oid, ErrUnsupported)
		}
		if a.tag != tagPrintableString && a.tag != tagUTF8String {
			return Name{}, fmt.Errorf("distinguished name: attribute %x as ASN.1 type %#x: %w", a.oid, a.tag, ErrUnsupported)
		}
		*field = string(a.value)
	}
	return n, nil
}

// OrganizationID is the organizationIdentifier of a certificate's subject, empty
// if it has none. ETSI EN 319 412-1, 5.1.4.
func OrganizationID(cert *x509.Certificate) string {
	list, ok := attributes(nil, cert.RawSubject)
	if !ok {
		return ""
	}
	for _, a := range list {
		if string(a.oid) == attrOrgID && (a.tag == tagPrintableString || a.tag == tagUTF8String) {
			return string(a.value)
		}
	}
	return ""
}

// extension returns the extension 2.5.29.arc of a certificate, or nil.
func extension(cert *x509.Certificate, arc int) *pkix.Extension {
	for i := range cert.Extensions {
		if id := cert.Extensions[i].Id; isCE(id) && id[3] == arc {
			return &cert.Extensions[i]
		}
	}
	return nil
}

// Contacts are the e-mail addresses and URIs in a CA's issuerAltName, in order.
// ISO/IEC 18013-5 second edition (draft v4), B.1.2.
func Contacts(cert *x509.Certificate) (list []string) {
	ext := extension(cert, 18)
	if ext == nil {
		return nil
	}
	body, _ := inside(ext.Value, tagSequence)
	names, _ := generalNames(nil, body)
	for _, e := range names {
		if e.tag == nameRFC822 || e.tag == nameURI {
			list = append(list, string(e.body))
		}
	}
	return list
}

// isCE reports whether an identifier is 2.5.29.x, as all of RFC 5280, 4.2.1 are.
func isCE(id asn1.ObjectIdentifier) bool {
	return len(id) == 4 && id[0] == 2 && id[1] == 5 && id[2] == 29
}

// publicKeyBits returns the contents of the subjectPublicKey BIT STRING and
// the DER AlgorithmIdentifier beside it.
func publicKeyBits(spki []byte) (algorithm, bits []byte, ok bool) {
	body, ok := inside(spki, tagSequence)
	if !ok {
		return nil, nil, false
	}
	alg, rest, ok := next(body)
	if !ok {
		return nil, nil, false
	}
	bits, ok = inside(rest, tagBitString)
	if !ok || len(bits) < 2 || bits[0] != 0 {
		return nil, nil, false
	}
	return alg.full, bits[1:], true
}
