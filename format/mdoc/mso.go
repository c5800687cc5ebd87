package mdoc

import (
	"crypto"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/status"
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
	// Received without either reference it names a mechanism that is not known
	// here. ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
	Status *status.Claim

	plainTimes bool // all times are UTC with Z and without fraction
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

// ParseMSO parses MobileSecurityObjectBytes, tag 24 included. Errors:
// [ErrSyntax], [ErrLimit], [ErrVersion].
func ParseMSO(data []byte) (*MobileSecurityObject, error) {
	var m MobileSecurityObject
	if err := (&parser{lim: DefaultLimits()}).mso(&m, data); err != nil {
		return nil, err
	}
	return &m, nil
}

// mso parses MobileSecurityObjectBytes. The object has an entry for each
// digest, so it is not walked twice: the members are read straight away, each
// small one is checked when it is opened, and duplicate keys are looked for here.
func (p *parser) mso(m *MobileSecurityObject, data []byte) error {
	outer := cbor.NewReader(data)
	bound(outer, len(data), p.lim.Bytes, "bytes")
	raw, inner := outer.Embedded()
	if err := outer.Done(); err != nil {
		return wrap("MobileSecurityObjectBytes", err)
	}
	m.Raw = raw
	m.plainTimes = true
	r := cbor.NewReader(inner)
	var seen members
	r.Map(func() {
		switch key := r.TextBytes(); string(key) {
		case "version":
			seen.once(r, 1)
			m.Version = version(r)
		case "digestAlgorithm":
			seen.once(r, 2)
			m.DigestAlgorithm = digestAlgorithm(r)
		case "valueDigests":
			seen.once(r, 4)
			p.unlessSelecting(r, func() { p.valueDigests(r, m) })
			r.In("valueDigests")
		case "deviceKeyInfo":
			seen.once(r, 8)
			p.inside(r, func(r *cbor.Reader) { p.deviceKeyInfo(r, m) })
			r.In("deviceKeyInfo")
		case "docType":
			seen.once(r, 16)
			m.DocType = name(r)
		case "validityInfo":
			seen.once(r, 32)
			p.unlessSelecting(r, func() { p.inside(r, m.validityInfo) })
			r.In("validityInfo")
		case "status":
			seen.once(r, 64)
			p.unlessSelecting(r, func() {
				p.inside(r, func(r *cbor.Reader) {
					c := status.ReadClaim(r)
					m.Status = &c
				})
			})
			r.In("status")
		default:
			seen.other(r, key, p.lim.NameSpaces)
			p.inside(r, (*cbor.Reader).Skip)
		}
	})
	need(r, seen.known, "version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo")
	if r.Err() == nil {
		m.checkDigests(r)
	}
	return wrap("MobileSecurityObject", r.Done())
}

// digestAlgorithm takes the name of one, which checkDigests looks at.
func digestAlgorithm(r *cbor.Reader) string {
	name := r.TextBytes()
	if string(name) == SHA256 { // nearly always, and then without a copy
		return SHA256
	}
	return string(name)
}

// unlessSelecting reads the next item, or passes it over: what a presentation
// needs of the object is the document type, the device key and what that may sign.
func (p *parser) unlessSelecting(r *cbor.Reader, read func()) {
	if p.selecting {
		r.Skip()
		return
	}
	read()
}

func (p *parser) valueDigests(r *cbor.Reader, m *MobileSecurityObject) {
	r.Map(func() {
		if !bound(r, len(m.ValueDigests)+1, p.lim.NameSpaces, "name spaces") {
			return
		}
		ns := NameSpaceDigests{Name: name(r)}
		if n := r.Len(); n > 0 && n <= p.lim.Elements {
			ns.Digests = make([]Digest, 0, n)
		}
		rising := true
		r.Map(func() {
			if !bound(r, len(ns.Digests)+1, p.lim.Elements, "digests in a name space") {
				return
			}
			d := Digest{ID: r.Uint(), Value: r.Bytes()}
			if d.ID > maxReadDigestID {
				r.Failf("digestID %d is not smaller than 2^32", d.ID)
			}
			rising = rising && (len(ns.Digests) == 0 || d.ID > ns.Digests[len(ns.Digests)-1].ID)
			ns.Digests = append(ns.Digests, d)
		})
		if !rising && ns.duplicate() {
			r.Fail(fmt.Errorf("%w: a digestID of name space %.128q", cbor.ErrDuplicateKey, ns.Name))
		}
		m.ValueDigests = append(m.ValueDigests, ns)
	})
	if _, ok := unique(len(m.ValueDigests), func(i int) string { return m.ValueDigests[i].Name }); !ok {
		r.Fail(fmt.Errorf("%w: a name space", cbor.ErrDuplicateKey))
	}
}

// duplicate reports whether two digests have one identifier.
func (ns *NameSpaceDigests) duplicate() bool {
	seen := make(map[uint64]struct{}, len(ns.Digests))
	for _, d := range ns.Digests {
		seen[d.ID] = struct{}{}
	}
	return len(seen) != len(ns.Digests)
}

// checkDigests refuses unknown algorithms and digests of another length.
func (m *MobileSecurityObject) checkDigests(r *cbor.Reader) {
	size := digestSize(m.DigestAlgorithm)
	if size == 0 {
		r.Failf("digestAlgorithm %.16q is none of SHA-256, SHA-384, SHA-512", m.DigestAlgorithm)
		return
	}
	for _, ns := range m.ValueDigests {
		for _, d := range ns.Digests {
			if len(d.Value) != size {
				r.Failf("digest %d in name space %.128q has %d bytes, not %d", d.ID, ns.Name, len(d.Value), size)
				return
			}
		}
	}
}

func (p *parser) deviceKeyInfo(r *cbor.Reader, m *MobileSecurityObject) {
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "deviceKey":
			m.DeviceKey = r.Raw()
		case "keyAuthorizations":
			p.keyAuthorizations(r, &m.KeyAuthorizations)
			r.In("keyAuthorizations")
		default:
			r.Skip()
		}
	})
	if m.DeviceKey == nil {
		need(r, 0, "deviceKey")
	}
}

func (p *parser) keyAuthorizations(r *cbor.Reader, k *KeyAuthorizations) {
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "nameSpaces":
			r.Array(func(i int) {
				if bound(r, i+1, p.lim.NameSpaces, "name spaces") {
					k.NameSpaces = append(k.NameSpaces, name(r))
				}
			})
		case "dataElements":
			r.Map(func() {
				ns := name(r)
				r.Array(func(int) {
					if bound(r, len(k.Elements)+1, p.lim.Elements, "data elements") {
						k.Elements = append(k.Elements, ElementRef{ns, name(r)})
					}
				})
			})
		default:
			r.Skip()
		}
	})
}

func (m *MobileSecurityObject) validityInfo(r *cbor.Reader) {
	v := &m.Validity
	date := func(t *time.Time) {
		var plain bool
		*t, plain = r.TDate()
		m.plainTimes = m.plainTimes && plain
	}
	var seen uint
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "signed":
			date(&v.Signed)
			seen |= 1
		case "validFrom":
			date(&v.ValidFrom)
			seen |= 2
		case "validUntil":
			date(&v.ValidUntil)
			seen |= 4
		case "expectedUpdate":
			date(&v.ExpectedUpdate)
		default:
			r.Skip()
		}
	})
	need(r, seen, "signed", "validFrom", "validUntil")
}

// DevicePublicKey decodes the device key: *ecdsa.PublicKey, ed25519.PublicKey,
// or *ecdh.PublicKey (X25519). Error: [ErrKey].
func (m *MobileSecurityObject) DevicePublicKey() (crypto.PublicKey, error) {
	pub, err := cose.ParseKey(m.DeviceKey)
	if err != nil {
		return nil, fmt.Errorf("device key: %w: %w", ErrKey, err)
	}
	return pub, nil
}

// digests returns those of a name space.
func (m *MobileSecurityObject) digests(nameSpace string) []Digest {
	for i := range m.ValueDigests {
		if m.ValueDigests[i].Name == nameSpace {
			return m.ValueDigests[i].Digests
		}
	}
	return nil
}
