package mdoc

import (
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
)

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
	return (&parser{lim: lim.or()}).whole(data)
}

// whole parses an IssuerSigned that stands alone.
func (p *parser) whole(data []byte) (*IssuerSigned, error) {
	var s IssuerSigned
	r := cbor.NewReader(data)
	bound(r, len(data), p.lim.Bytes, "bytes")
	p.issuerSigned(r, data, &s)
	if err := r.Done(); err != nil {
		return nil, wrap("IssuerSigned", err)
	}
	return &s, nil
}

// issuerSigned takes an IssuerSigned; data is what r reads.
func (p *parser) issuerSigned(r *cbor.Reader, data []byte, s *IssuerSigned) {
	start := r.Offset()
	var seen members
	r.Map(func() {
		switch key := r.TextBytes(); string(key) {
		case "issuerAuth":
			seen.once(r, 1)
			p.inside(r, func(r *cbor.Reader) { p.issuerAuth(r, &s.Auth) })
			r.In("issuerAuth")
		case "nameSpaces":
			seen.once(r, 2)
			p.issuerNameSpaces(r, s)
			r.In("nameSpaces")
		default:
			seen.other(r, key, p.lim.NameSpaces)
			p.inside(r, (*cbor.Reader).Skip)
		}
	})
	need(r, seen.known, "issuerAuth")
	if r.Err() == nil {
		s.Raw = data[start:r.Offset():r.Offset()]
	}
}

func (p *parser) issuerNameSpaces(r *cbor.Reader, s *IssuerSigned) {
	if n := r.Len(); n > 0 && n <= p.lim.NameSpaces {
		s.NameSpaces = make([]IssuerNameSpace, 0, n)
	}
	var names []string
	r.Map(func() {
		if !bound(r, len(names)+1, p.lim.NameSpaces, "name spaces") {
			return
		}
		ns := IssuerNameSpace{Name: name(r)}
		names = append(names, ns.Name)
		room := r.Len()
		if p.selecting {
			room = min(room, len(p.elements))
		}
		if room > 0 && room <= p.lim.Elements {
			ns.Items = make([]IssuerSignedItem, 0, room)
		}
		var few [32][]byte
		ids, idBytes, count := few[:0], 0, 0
		r.Array(func(i int) {
			if !bound(r, i+1, p.lim.Elements, "elements in a name space") {
				return
			}
			raw, inner := r.Embedded()
			if r.Err() != nil {
				return
			}
			var it IssuerSignedItem
			id, wanted, ok := p.plainItem(&it, ns.Name, inner)
			if !ok {
				var err error
				if id, err = p.item(&it, inner); err != nil {
					r.Fail(err)
					return
				}
				wanted = p.keeps(ns.Name, id)
			}
			if count++; wanted {
				it.Raw = raw
				ns.Items = append(ns.Items, it)
				ids, idBytes = append(ids, id), idBytes+len(id)
			}
		})
		ns.setIDs(ids, idBytes)
		if r.Err() == nil && count == 0 {
			r.Failf("name space %.128q is empty", ns.Name)
		}
		if id, ok := unique(len(ns.Items), func(i int) string { return ns.Items[i].ID }); !ok {
			r.Failf("element %.128q twice in name space %.128q", id, ns.Name)
		}
		if len(ns.Items) > 0 {
			s.NameSpaces = append(s.NameSpaces, ns)
		}
	})
	if ns, ok := unique(len(names), func(i int) string { return names[i] }); !ok {
		r.Fail(fmt.Errorf("%w: name space %.128q", cbor.ErrDuplicateKey, ns))
	}
}

// setIDs gives the items their identifiers, all cut from one string: one
// allocation for a name space instead of one for each of its elements.
func (ns *IssuerNameSpace) setIDs(ids [][]byte, total int) {
	var joined strings.Builder
	joined.Grow(total)
	for _, id := range ids {
		joined.Write(id)
	}
	rest := joined.String()
	for i, id := range ids {
		ns.Items[i].ID, rest = rest[:len(id)], rest[len(id):]
	}
}

// item parses what is inside an IssuerSignedItemBytes. It returns the
// elementIdentifier as a window, which becomes a string later.
func (p *parser) item(it *IssuerSignedItem, inner []byte) (id []byte, err error) {
	r := p.open(inner)
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "digestID":
			it.DigestID = r.Uint()
			seen |= 1
		case "random":
			it.Random = r.Bytes()
			seen |= 2
		case "elementIdentifier":
			id = r.TextBytes()
			seen |= 4
		case "elementValue":
			it.Value = r.Raw()
			seen |= 8
		default:
			r.Skip()
		}
	})
	if seen != 15 {
		need(r, seen, "digestID", "random", "elementIdentifier", "elementValue")
	}
	if r.Err() == nil && it.DigestID > maxReadDigestID {
		r.Failf("digestID %d is not smaller than 2^32", it.DigestID)
	}
	if r.Err() == nil && len(id) == 0 {
		r.Failf("elementIdentifier is empty")
	}
	return id, wrap("IssuerSignedItem", r.Done())
}

// issuerAuth takes the COSE_Sign1 and parses the mobile security object inside.
func (p *parser) issuerAuth(r *cbor.Reader, a *IssuerAuth) {
	if r.Err() != nil {
		return
	}
	var err error
	if a.Sign1, err = cose.ReadSign1(r); err != nil {
		r.Fail(err)
		return
	}
	switch {
	case a.Sign1.Tagged:
		err = fmt.Errorf("%w: COSE_Sign1 with tag 18, which ISO/IEC 18013-5 leaves out", ErrSyntax)
	case a.Sign1.Payload == nil:
		err = fmt.Errorf("%w: no payload", ErrSyntax)
	case len(a.Sign1.X5Chain) > p.lim.Chain:
		err = fmt.Errorf("%w: more than %d certificates in x5chain", ErrLimit, p.lim.Chain)
	default:
		err = p.mso(&a.MSO, a.Sign1.Payload)
	}
	if err != nil {
		r.Fail(err)
	}
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
