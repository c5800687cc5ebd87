package mdoc

import "github.com/eidos-id/eidos/format/cbor"

// ParseDeviceRequest parses a DeviceRequest strictly, with the default limits.
// Reader authentication is not verified: see [VerifyReader]. The result refers
// to data. Errors: [ErrSyntax], [ErrLimit], [ErrVersion].
func ParseDeviceRequest(data []byte) (*DeviceRequest, error) {
	return ParseDeviceRequestLimits(data, Limits{})
}

// ParseDeviceRequestLimits is [ParseDeviceRequest] with the caller's limits.
func ParseDeviceRequestLimits(data []byte, lim Limits) (*DeviceRequest, error) {
	p := &parser{lim: lim.or()}
	d := DeviceRequest{Raw: data}
	r := p.open(data)
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "version":
			d.Version = version(r)
			r.In("version")
			seen |= 1
		case "docRequests":
			r.Array(func(i int) {
				if bound(r, i+1, p.lim.Documents, "document requests") {
					d.Documents = append(d.Documents, DocRequest{})
					p.docRequest(r, &d.Documents[i])
				}
			})
			r.In("docRequests")
			seen |= 2
		case "deviceRequestInfo":
			p.deviceRequestInfo(r, &d)
			r.In("deviceRequestInfo")
		case "readerAuthAll":
			d.ReaderAuthAll = p.raws(r, p.lim.Chain)
			r.In("readerAuthAll")
		case "macKeys":
			d.MacKeys = p.raws(r, p.lim.Documents)
			r.In("macKeys")
		default:
			r.Skip()
		}
	})
	need(r, seen, "version", "docRequests")
	if r.Err() == nil {
		d.check(r)
	}
	if err := r.Done(); err != nil {
		return nil, wrap("DeviceRequest", err)
	}
	return &d, nil
}

// check looks at what needs the whole request.
func (d *DeviceRequest) check(r *cbor.Reader) {
	if len(d.Documents) == 0 {
		r.Failf("docRequests is empty")
		return
	}
	if d.Info == nil {
		return
	}
	for _, u := range d.Info.UseCases {
		for _, set := range u.DocumentSets {
			for _, id := range set {
				if id < 0 || id >= len(d.Documents) {
					r.Failf("use case names document request %d of %d", id, len(d.Documents))
					return
				}
			}
		}
	}
}

// raws takes an array of one to max items as they are.
func (p *parser) raws(r *cbor.Reader, max int) [][]byte {
	var out [][]byte
	r.Array(func(i int) {
		if bound(r, i+1, max, "items") {
			out = append(out, r.Raw())
		}
	})
	if len(out) == 0 {
		r.Failf("empty array")
	}
	return out
}

func (p *parser) docRequest(r *cbor.Reader, d *DocRequest) {
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "itemsRequest":
			raw, inner := r.Embedded()
			d.Raw = raw
			if r.Err() == nil {
				r.Fail(p.itemsRequest(d, inner))
			}
			seen |= 1
		case "readerAuth":
			d.ReaderAuth = r.Raw()
		default:
			r.Skip()
		}
	})
	need(r, seen, "itemsRequest")
}

func (p *parser) itemsRequest(d *DocRequest, inner []byte) error {
	r := p.open(inner)
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "docType":
			d.DocType = name(r)
			seen |= 1
		case "nameSpaces":
			p.requestedNameSpaces(r, d)
			r.In("nameSpaces")
			seen |= 2
		case "requestInfo":
			d.Info = p.docRequestInfo(r)
			r.In("requestInfo")
		default:
			r.Skip()
		}
	})
	need(r, seen, "docType", "nameSpaces")
	if r.Err() == nil && len(d.NameSpaces) == 0 {
		r.Failf("nameSpaces is empty")
	}
	if r.Err() == nil && d.Info != nil {
		for _, a := range d.Info.Alternatives {
			if !d.requests(a.Requested) {
				r.Failf("alternatives for element %.128q of name space %.128q, which is not requested", a.Requested.ID, a.Requested.NameSpace)
				break
			}
		}
	}
	return wrap("ItemsRequest", r.Done())
}

// requests reports whether the element itself is asked for.
func (d *DocRequest) requests(ref ElementRef) bool {
	for _, ns := range d.NameSpaces {
		if ns.Name != ref.NameSpace {
			continue
		}
		for _, e := range ns.Elements {
			if e.ID == ref.ID {
				return true
			}
		}
	}
	return false
}

func (p *parser) requestedNameSpaces(r *cbor.Reader, d *DocRequest) {
	r.Map(func() {
		if !bound(r, len(d.NameSpaces)+1, p.lim.NameSpaces, "name spaces") {
			return
		}
		ns := RequestedNameSpace{Name: name(r)}
		r.Map(func() {
			if bound(r, len(ns.Elements)+1, p.lim.Elements, "elements in a name space") {
				ns.Elements = append(ns.Elements, RequestedElement{ID: name(r), IntentToRetain: r.Bool()})
			}
		})
		if r.Err() == nil && len(ns.Elements) == 0 {
			r.Failf("name space %.128q is empty", ns.Name)
		}
		d.NameSpaces = append(d.NameSpaces, ns)
	})
}

func (p *parser) docRequestInfo(r *cbor.Reader) *DocRequestInfo {
	info := new(DocRequestInfo)
	r.Map(func() {
		key := name(r)
		switch key {
		case "alternativeDataElements":
			r.Array(func(i int) {
				if bound(r, i+1, p.lim.Elements, "alternatives") {
					info.Alternatives = append(info.Alternatives, p.alternative(r))
				}
			})
		case "issuerIdentifiers":
			r.Array(func(i int) {
				if bound(r, i+1, p.lim.Elements, "issuer identifiers") {
					info.IssuerIdentifiers = append(info.IssuerIdentifiers, r.Bytes())
				}
			})
		case "uniqueDocSetRequired":
			v := r.Bool()
			info.UniqueDocSetRequired = &v
		case "maximumResponseSize":
			info.MaximumResponseSize = r.Uint()
		case "zkRequest":
			info.ZKRequest = r.Raw()
		case "docResponseEncryption":
			info.DocResponseEncryption = r.Raw()
		default:
			info.Extensions = p.extension(r, info.Extensions, key)
		}
		r.In(key)
	})
	return info
}

func (p *parser) extension(r *cbor.Reader, list []Extension, key string) []Extension {
	if !bound(r, len(list)+1, p.lim.NameSpaces, "extensions") {
		return list
	}
	return append(list, Extension{Name: key, Value: r.Raw()})
}

func (p *parser) alternative(r *cbor.Reader) AlternativeDataElements {
	var a AlternativeDataElements
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "requestedElement":
			a.Requested = elementRef(r)
			seen |= 1
		case "alternativeElementSets":
			total := 0
			r.Array(func(int) {
				var set []ElementRef
				r.Array(func(int) {
					if total++; bound(r, total, p.lim.Elements, "alternative elements") {
						set = append(set, elementRef(r))
					}
				})
				if r.Err() == nil && len(set) == 0 {
					r.Failf("empty set of alternatives")
				}
				a.Sets = append(a.Sets, set)
			})
			seen |= 2
		default:
			r.Skip()
		}
	})
	need(r, seen, "requestedElement", "alternativeElementSets")
	return a
}

// elementRef takes [NameSpace, DataElementIdentifier].
func elementRef(r *cbor.Reader) ElementRef {
	r.ArrayOf(2)
	return ElementRef{NameSpace: name(r), ID: name(r)}
}

func (p *parser) deviceRequestInfo(r *cbor.Reader, d *DeviceRequest) {
	raw, inner := r.Embedded()
	if r.Err() != nil {
		return
	}
	d.Info = &DeviceRequestInfo{Raw: raw}
	in := p.open(inner)
	in.Map(func() {
		key := name(in)
		if key != "useCases" {
			d.Info.Extensions = p.extension(in, d.Info.Extensions, key)
			return
		}
		in.Array(func(i int) {
			if bound(in, i+1, p.lim.Documents, "use cases") {
				d.Info.UseCases = append(d.Info.UseCases, p.useCase(in))
			}
		})
		in.In("useCases")
	})
	r.Fail(wrap("DeviceRequestInfo", in.Done()))
}

func (p *parser) useCase(r *cbor.Reader) UseCase {
	var u UseCase
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "mandatory":
			u.Mandatory = r.Bool()
			seen |= 1
		case "documentSets":
			total := 0
			r.Array(func(int) {
				var set []int
				r.Array(func(int) {
					if total++; bound(r, total, p.lim.Elements, "document sets") {
						set = append(set, int(min(r.Uint(), 1<<31-1)))
					}
				})
				if r.Err() == nil && len(set) == 0 {
					r.Failf("empty document set")
				}
				u.DocumentSets = append(u.DocumentSets, set)
			})
			seen |= 2
		case "purposeHints":
			r.Map(func() {
				if bound(r, len(u.Purposes)+1, p.lim.NameSpaces, "purpose hints") {
					u.Purposes = append(u.Purposes, PurposeHint{Controller: name(r), Code: r.Int()})
				}
			})
		default:
			r.Skip()
		}
	})
	need(r, seen, "mandatory", "documentSets")
	if r.Err() == nil && len(u.DocumentSets) == 0 {
		r.Failf("documentSets is empty")
	}
	return u
}
