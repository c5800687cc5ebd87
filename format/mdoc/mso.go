package mdoc

import (
	"crypto"
	"time"
)

// The digest algorithms of a mobile security object. ISO/IEC 18013-5:2021, 9.1.2.5.
const (
	SHA256 = "SHA-256"
	SHA384 = "SHA-384"
	SHA512 = "SHA-512"
)

// MobileSecurityObject is what the issuing authority's signature is over.
//
//	MobileSecurityObject = {
//	  "version": tstr, "digestAlgorithm": tstr, "valueDigests": ValueDigests,
//	  "deviceKeyInfo": DeviceKeyInfo, "docType": tstr,
//	  "validityInfo": ValidityInfo, ? "status": Status }
//
// ISO/IEC 18013-5:2021, 9.1.2.4; status: second edition (draft v4), 12.3.6.
type MobileSecurityObject struct {
	// Raw is the MobileSecurityObjectBytes, tag 24 included.
	Raw []byte
	// Version is "1.0", or another minor version of 1.
	Version string
	// DigestAlgorithm is [SHA256], [SHA384] or [SHA512].
	DigestAlgorithm string
	// ValueDigests are in the order received.
	ValueDigests []NameSpaceDigests
	// DeviceKey is the encoded COSE_Key of the key that the document is bound
	// to; [MobileSecurityObject.DevicePublicKey] decodes it.
	DeviceKey []byte
	// KeyAuthorizations says which elements the device may sign itself.
	KeyAuthorizations KeyAuthorizations
	// DocType is the document type that was signed.
	DocType string
	// Validity says when the document was signed and may be used.
	Validity Validity
	// Status says where to ask whether the document was revoked; nil if nowhere.
	Status *Status
}

// NameSpaceDigests are the digests of one name space, in the order received.
type NameSpaceDigests struct {
	Name    string
	Digests []Digest
}

// Digest is the digest over one IssuerSignedItemBytes, or a decoy.
type Digest struct {
	ID    uint64
	Value []byte
}

// Validity is the validityInfo of a mobile security object. Signed <=
// ValidFrom < ValidUntil. ISO/IEC 18013-5:2021, 9.1.2.4.
type Validity struct {
	Signed, ValidFrom, ValidUntil time.Time
	// ExpectedUpdate is when the issuing authority means to sign again; zero if not said.
	ExpectedUpdate time.Time
}

// KeyAuthorizations says which elements the device key may sign. A name space
// is in one of the two only. ISO/IEC 18013-5:2021, 9.1.2.4.
type KeyAuthorizations struct {
	// NameSpaces are authorised as a whole.
	NameSpaces []string
	// Elements are authorised one by one.
	Elements []ElementRef
}

// Authorizes reports whether the device may sign the element.
func (k KeyAuthorizations) Authorizes(ref ElementRef) bool {
	for _, ns := range k.NameSpaces {
		if ns == ref.NameSpace {
			return true
		}
	}
	for _, e := range k.Elements {
		if e == ref {
			return true
		}
	}
	return false
}

// Status says where the revocation of a document is published. At least one
// member is set. ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
type Status struct {
	List       *StatusListRef
	Identifier *IdentifierListRef
}

// StatusListRef is the StatusListInfo of Token Status List with the
// certificate that ISO/IEC 18013-5 adds.
type StatusListRef struct {
	Index uint64
	URI   string
	// Certificate is the DER trust point of the list; nil means the signer of
	// the document signer's certificate.
	Certificate []byte
}

// IdentifierListRef is the IdentifierListInfo of ISO/IEC 18013-5 second
// edition (draft v4), 12.3.6.3.
type IdentifierListRef struct {
	ID  []byte
	URI string
	// Certificate is as in [StatusListRef].
	Certificate []byte
}

// ParseMSO parses MobileSecurityObjectBytes, tag 24 included. Errors:
// [ErrSyntax], [ErrLimit], [ErrVersion].
func ParseMSO(data []byte) (*MobileSecurityObject, error) {
	panic("stub")
}

// DevicePublicKey decodes the device key: *ecdsa.PublicKey, ed25519.PublicKey,
// or *ecdh.PublicKey (X25519). Error: [ErrKey].
func (m *MobileSecurityObject) DevicePublicKey() (crypto.PublicKey, error) {
	panic("stub")
}
