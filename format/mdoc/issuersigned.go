package mdoc

import "github.com/eidos-id/eidos/format/cose"

// ElementRef names one data element.
type ElementRef struct {
	NameSpace string
	ID        string
}

// IssuerSigned is the part of a document that the issuing authority signed: in
// the mdoc app with all elements, in a response with those agreed to.
//
//	IssuerSigned = { ? "nameSpaces": IssuerNameSpaces, "issuerAuth": IssuerAuth }
//	IssuerNameSpaces = { + NameSpace => [ + IssuerSignedItemBytes ] }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2.
type IssuerSigned struct {
	// Raw is the encoded map as received.
	Raw []byte
	// NameSpaces are in the order received; empty if no element was returned.
	NameSpaces []IssuerNameSpace
	// Auth is the signature over the mobile security object, and the object.
	Auth IssuerAuth
}

// IssuerNameSpace is one name space of an [IssuerSigned].
type IssuerNameSpace struct {
	Name  string
	Items []IssuerSignedItem
}

// IssuerSignedItem is one data element with what is needed to find and check its digest.
//
//	IssuerSignedItemBytes = #6.24(bstr .cbor IssuerSignedItem)
//	IssuerSignedItem = { "digestID": uint, "random": bstr,
//	                     "elementIdentifier": tstr, "elementValue": any }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2.
type IssuerSignedItem struct {
	// Raw is the whole IssuerSignedItemBytes, tag 24 included: what the digest is over.
	Raw []byte
	// DigestID is below 2^31 and selects the digest within the name space.
	DigestID uint64
	// Random is at least 16 bytes when the issuer followed the standard.
	Random []byte
	// ID is the elementIdentifier.
	ID string
	// Value is the elementValue as one encoded CBOR item.
	Value []byte
}

// IssuerAuth is the untagged COSE_Sign1 over the mobile security object.
//
// ISO/IEC 18013-5:2021, 9.1.2.4.
type IssuerAuth struct {
	// Sign1 is the parsed COSE object; Sign1.X5Chain is the chain, DER, the
	// document signer's certificate first and the root left out.
	Sign1 *cose.Sign1
	// MSO is the payload.
	MSO MobileSecurityObject
}

// ParseIssuerSigned parses an IssuerSigned, as an issuer hands it over and the
// mdoc app stores it, with the default limits. Nothing is verified: see
// [VerifyIssuerSigned]. The result refers to data. Errors: [ErrSyntax],
// [ErrLimit], [ErrVersion].
func ParseIssuerSigned(data []byte) (*IssuerSigned, error) {
	return ParseIssuerSignedLimits(data, Limits{})
}

// ParseIssuerSignedLimits is [ParseIssuerSigned] with the caller's limits.
func ParseIssuerSignedLimits(data []byte, lim Limits) (*IssuerSigned, error) {
	panic("stub")
}

// Item finds an element, or returns nil.
func (s *IssuerSigned) Item(ref ElementRef) *IssuerSignedItem {
	for i := range s.NameSpaces {
		if s.NameSpaces[i].Name != ref.NameSpace {
			continue
		}
		for j := range s.NameSpaces[i].Items {
			if s.NameSpaces[i].Items[j].ID == ref.ID {
				return &s.NameSpaces[i].Items[j]
			}
		}
	}
	return nil
}
