package mdoc

import "github.com/eidos-id/eidos/format/cbor"

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
	p := &parser{lim: lim.or()}
	d := DeviceResponse{Raw: data}
	r := cbor.NewReader(data)
	bound(r, len(data), p.lim.Bytes, "bytes")
	var seen members
	r.Map(func() {
		switch key := r.TextBytes(); string(key) {
		case "version":
			seen.once(r, 1)
			d.Version = version(r)
			r.In("version")
		case "documents": // an empty array is against the CDDL, but says nothing wrong
			seen.once(r, 4)
			r.Array(func(i int) {
				if bound(r, i+1, p.lim.Documents, "documents") {
					d.Documents = append(d.Documents, Document{})
					p.document(r, data, &d.Documents[i])
				}
			})
			r.In("documents")
		case "zkDocuments":
			seen.once(r, 8)
			p.inside(r, func(r *cbor.Reader) { d.ZKDocuments = r.Raw() })
		case "encryptedDocuments":
			seen.once(r, 16)
			p.inside(r, func(r *cbor.Reader) { d.EncryptedDocuments = r.Raw() })
		case "documentErrors":
			seen.once(r, 32)
			p.inside(r, func(r *cbor.Reader) { p.documentErrors(r, &d) })
			r.In("documentErrors")
		case "status":
			seen.once(r, 2)
			d.Status = r.Uint()
		default:
			seen.other(r, key, p.lim.NameSpaces)
			p.inside(r, (*cbor.Reader).Skip)
		}
	})
	need(r, seen.known, "version", "status")
	if r.Err() == nil && d.Status != StatusOK && len(d.Documents) > 0 {
		r.Failf("documents with status %d", d.Status)
	}
	if err := r.Done(); err != nil {
		return nil, wrap("DeviceResponse", err)
	}
	return &d, nil
}

func (p *parser) documentErrors(r *cbor.Reader, d *DeviceResponse) {
	r.Array(func(int) {
		r.Map(func() {
			if bound(r, len(d.Errors)+1, p.lim.Documents, "document errors") {
				d.Errors = append(d.Errors, DocumentError{DocType: name(r), Code: r.Int()})
			}
		})
	})
}

// document takes one Document; data is what r reads.
func (p *parser) document(r *cbor.Reader, data []byte, d *Document) {
	start := r.Offset()
	var seen members
	r.Map(func() {
		switch key := r.TextBytes(); string(key) {
		case "docType":
			seen.once(r, 1)
			d.DocType = name(r)
		case "issuerSigned":
			seen.once(r, 2)
			p.issuerSigned(r, data, &d.IssuerSigned)
			r.In("issuerSigned")
		case "deviceSigned":
			seen.once(r, 4)
			p.inside(r, func(r *cbor.Reader) { p.deviceSigned(r, &d.DeviceSigned) })
			r.In("deviceSigned")
		case "errors":
			seen.once(r, 8)
			p.inside(r, func(r *cbor.Reader) { p.errors(r, d) })
			r.In("errors")
		default:
			seen.other(r, key, p.lim.NameSpaces)
			p.inside(r, (*cbor.Reader).Skip)
		}
	})
	need(r, seen.known, "docType", "issuerSigned", "deviceSigned")
	if r.Err() == nil {
		d.Raw = data[start:r.Offset():r.Offset()]
		d.checkElements(r)
	}
}

// checkElements refuses an element that both issuer and device signed.
// ISO/IEC 18013-5 second edition (draft v4), 10.3.3.
func (d *Document) checkElements(r *cbor.Reader) {
	for _, ns := range d.DeviceSigned.NameSpaces {
		for _, e := range ns.Elements {
			if d.IssuerSigned.Item(ElementRef{ns.Name, e.ID}) != nil {
				r.Failf("element %.128q of name space %.128q both issuer and device signed", e.ID, ns.Name)
				return
			}
		}
	}
}

func (p *parser) errors(r *cbor.Reader, d *Document) {
	r.Map(func() {
		ns := name(r)
		r.Map(func() {
			if bound(r, len(d.Errors)+1, p.lim.Elements, "element errors") {
				d.Errors = append(d.Errors, ElementError{ElementRef{ns, name(r)}, r.Int()})
			}
		})
	})
}

func (p *parser) deviceSigned(r *cbor.Reader, d *DeviceSigned) {
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "nameSpaces":
			raw, inner := r.Embedded()
			d.NameSpacesRaw = raw
			if r.Err() == nil {
				r.Fail(p.deviceNameSpaces(d, inner))
			}
			r.In("nameSpaces")
			seen |= 1
		case "deviceAuth":
			r.Map(func() {
				switch string(r.TextBytes()) {
				case "deviceSignature":
					d.Signature = r.Raw()
				case "deviceMac":
					d.MAC = r.Raw()
				default:
					r.Skip()
				}
			})
			if r.Err() == nil && (d.Signature == nil) == (d.MAC == nil) {
				r.Failf("deviceAuth holds not exactly one of deviceSignature and deviceMac")
			}
			seen |= 2
		default:
			r.Skip()
		}
	})
	need(r, seen, "nameSpaces", "deviceAuth")
}

func (p *parser) deviceNameSpaces(d *DeviceSigned, inner []byte) error {
	r := p.open(inner)
	r.Map(func() {
		if !bound(r, len(d.NameSpaces)+1, p.lim.NameSpaces, "name spaces") {
			return
		}
		ns := DeviceNameSpace{Name: name(r)}
		r.Map(func() {
			if bound(r, len(ns.Elements)+1, p.lim.Elements, "elements in a name space") {
				ns.Elements = append(ns.Elements, DeviceElement{ID: name(r), Value: r.Raw()})
			}
		})
		if r.Err() == nil && len(ns.Elements) == 0 {
			r.Failf("name space %.128q is empty", ns.Name)
		}
		d.NameSpaces = append(d.NameSpaces, ns)
	})
	return wrap("DeviceNameSpaces", r.Done())
}
