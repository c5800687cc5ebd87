package mdoc

// The status of a DeviceResponse. ISO/IEC 18013-5:2021, 8.3.2.1.2.3.
const (
	StatusOK                  = 0
	StatusGeneralError        = 10
	StatusCBORDecodingError   = 11
	StatusCBORValidationError = 12
)

// DocType and name space of the mobile driving licence. ISO/IEC 18013-5:2021, 7.1.
const (
	DocTypeMDL   = "org.iso.18013.5.1.mDL"
	NameSpaceMDL = "org.iso.18013.5.1"
)

// DeviceResponse is what the mdoc app answers.
//
//	DeviceResponse = { "version": tstr, ? "documents": [ + Document ],
//	  ? "zkDocuments": [ + any ], ? "encryptedDocuments": [ + any ],
//	  ? "documentErrors": [ + DocumentError ], "status": uint }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2; zkDocuments and encryptedDocuments:
// second edition (draft v4), 10.3.
type DeviceResponse struct {
	// Raw is the encoded map as received.
	Raw []byte
	// Version is "1.0", or another minor version of 1.
	Version   string
	Documents []Document
	// ZKDocuments and EncryptedDocuments are encoded arrays; nil if absent.
	// This package does not open them.
	ZKDocuments, EncryptedDocuments []byte
	// Errors are the documentErrors.
	Errors []DocumentError
	// Status is [StatusOK] or one of the error codes.
	Status uint64
}

// DocumentError says why a document was not returned: code 0 is "data not
// returned", negative codes are the application's. ISO/IEC 18013-5:2021, 8.3.2.1.2.3.
type DocumentError struct {
	DocType string
	Code    int64
}

// ElementError says why an element was not returned.
type ElementError struct {
	ElementRef
	Code int64
}

// Document is one returned document.
//
//	Document = { "docType": tstr, "issuerSigned": IssuerSigned,
//	  "deviceSigned": DeviceSigned, ? "errors": Errors }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2.
type Document struct {
	// Raw is the encoded map as received.
	Raw          []byte
	DocType      string
	IssuerSigned IssuerSigned
	DeviceSigned DeviceSigned
	Errors       []ElementError
}

// DeviceSigned is the part of a document that the device key vouches for.
//
//	DeviceSigned = { "nameSpaces": DeviceNameSpacesBytes, "deviceAuth": DeviceAuth }
//	DeviceAuth = { "deviceSignature": COSE_Sign1 // "deviceMac": COSE_Mac0 }
//
// ISO/IEC 18013-5:2021, 8.3.2.1.2.2 and 9.1.3.
type DeviceSigned struct {
	// NameSpacesRaw is the DeviceNameSpacesBytes, tag 24 included.
	NameSpacesRaw []byte
	// NameSpaces are the elements that the device signed itself; usually empty.
	NameSpaces []DeviceNameSpace
	// Signature is the encoded deviceSignature, MAC the encoded deviceMac:
	// exactly one is not nil.
	Signature, MAC []byte
}

// DeviceNameSpace is one name space of elements that the device signs itself.
type DeviceNameSpace struct {
	Name     string
	Elements []DeviceElement
}

// DeviceElement is an element that the device signs itself.
type DeviceElement struct {
	ID string
	// Value is one encoded CBOR item.
	Value []byte
}

// ParseDeviceResponse parses a DeviceResponse strictly, with the default
// limits: well-formed CBOR, no duplicate keys or elements, known major
// version. Nothing is verified: see [Verify]. The result refers to data.
// Errors: [ErrSyntax], [ErrLimit], [ErrVersion].
func ParseDeviceResponse(data []byte) (*DeviceResponse, error) {
	return ParseDeviceResponseLimits(data, Limits{})
}

// ParseDeviceResponseLimits is [ParseDeviceResponse] with the caller's limits.
func ParseDeviceResponseLimits(data []byte, lim Limits) (*DeviceResponse, error) {
	panic("stub")
}
