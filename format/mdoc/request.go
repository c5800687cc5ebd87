package mdoc

// DeviceRequest is what a verifier asks for.
//
//	DeviceRequest = { "version": tstr, "docRequests": [ + DocRequest ],
//	  ? "deviceRequestInfo": DeviceRequestInfoBytes, ? "readerAuthAll": [ + COSE_Sign1 ],
//	  ? "macKeys": [ + COSE_Key ] }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.1; version 1.1: second edition (draft v4),
// 10.2.2; macKeys: ISO/IEC TS 18013-7 (draft N2544), A.5.
type DeviceRequest struct {
	// Raw is the encoded map as received.
	Raw []byte
	// Version is "1.0", "1.1" or another minor version of 1.
	Version string
	// Documents are the docRequests; the index of one is its DocRequestID.
	Documents []DocRequest
	// Info is nil if absent.
	Info *DeviceRequestInfo
	// ReaderAuthAll are encoded COSE_Sign1 over the whole request.
	ReaderAuthAll [][]byte
	// MacKeys are encoded COSE_Keys.
	MacKeys [][]byte
}

// DocRequest asks for elements of one document.
//
//	DocRequest = { "itemsRequest": ItemsRequestBytes, ? "readerAuth": COSE_Sign1 }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.1.
type DocRequest struct {
	// Raw is the ItemsRequestBytes, tag 24 included: what the reader signs.
	Raw []byte
	// DocType is the wanted document type, compared byte for byte.
	DocType string
	// NameSpaces are the wanted elements in the order received.
	NameSpaces []RequestedNameSpace
	// Info is the requestInfo; nil if absent.
	Info *DocRequestInfo
	// ReaderAuth is the encoded COSE_Sign1; nil if absent.
	ReaderAuth []byte
}

// Add asks for an element, after the others of its name space.
func (d *DocRequest) Add(ref ElementRef, retain bool) {
	e := RequestedElement{ID: ref.ID, IntentToRetain: retain}
	for i := range d.NameSpaces {
		if n := &d.NameSpaces[i]; n.Name == ref.NameSpace {
			n.Elements = append(n.Elements, e)
			return
		}
	}
	d.NameSpaces = append(d.NameSpaces, RequestedNameSpace{Name: ref.NameSpace, Elements: []RequestedElement{e}})
}

// RequestedNameSpace are the wanted elements of one name space.
type RequestedNameSpace struct {
	Name     string
	Elements []RequestedElement
}

// RequestedElement is one wanted element.
type RequestedElement struct {
	ID string
	// IntentToRetain says that the verifier will keep the element beyond the
	// transaction. ISO/IEC 18013-5 second edition (draft v4), 10.2.3.
	IntentToRetain bool
}

// DocRequestInfo refines a request for one document.
//
// ISO/IEC 18013-5 second edition (draft v4), 10.2.4.
type DocRequestInfo struct {
	// Alternatives are elements that may be returned in the place of others.
	Alternatives []AlternativeDataElements
	// IssuerIdentifiers are authority key identifiers: any certificate of the
	// document's x5chain must carry one of them. Empty means any issuer.
	IssuerIdentifiers [][]byte
	// UniqueDocSetRequired: true wants exactly one response; nil leaves it open.
	UniqueDocSetRequired *bool
	// MaximumResponseSize is in bytes of the unencrypted DeviceResponse; 0 if not given.
	MaximumResponseSize uint64
	// ZKRequest and DocResponseEncryption are the encoded members as received;
	// nil if absent. This package does not act on them.
	ZKRequest, DocResponseEncryption []byte
	// Extensions are the other members (reverse-domain names), encoded values.
	Extensions []Extension
}

// Extension is one member of a map that applications may extend.
type Extension struct {
	Name string
	// Value is one encoded CBOR item.
	Value []byte
}

// AlternativeDataElements says what may stand in for a requested element.
// ISO/IEC 18013-5 second edition (draft v4), 10.2.4.
type AlternativeDataElements struct {
	Requested ElementRef
	// Sets are in the order of preference; one complete set satisfies the request.
	Sets [][]ElementRef
}

// DeviceRequestInfo says how the documents of a request belong together.
// ISO/IEC 18013-5 second edition (draft v4), 10.2.5.
type DeviceRequestInfo struct {
	// Raw is the DeviceRequestInfoBytes, tag 24 included.
	Raw []byte
	// UseCases may be empty.
	UseCases []UseCase
	// Extensions are the other members, encoded values.
	Extensions []Extension
}

// UseCase is one purpose that a request serves.
type UseCase struct {
	// Mandatory: without it the whole request is unsatisfiable.
	Mandatory bool
	// DocumentSets are alternatives of DocRequestIDs; exactly one is to be satisfied.
	DocumentSets [][]int
	// Purposes are the purposeHints.
	Purposes []PurposeHint
}

// PurposeController is the controller of the purpose codes 1 identity, 2
// driving privilege and 3 age. ISO/IEC 18013-5 second edition (draft v4), 10.2.5.
const PurposeController = "org.iso.jtc1.sc17"

// PurposeHint is one reason given for a use case.
type PurposeHint struct {
	Controller string
	Code       int64
}
