package status

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/eidos-id/eidos/format/cbor"
)

// Limits on references from outside.
const (
	maxURI        = 2048
	maxIdentifier = 256
)

// ListReference points to an entry of a status list.
//
//	StatusListInfo = { "idx": uint, "uri": tstr, ? "certificate": bstr }
//
// Token Status List, 6.2 and 6.3; certificate: ISO/IEC 18013-5 second edition
// (draft v4), 12.3.6, only in CBOR.
type ListReference struct {
	Index       uint64
	URI         string
	Certificate []byte // DER; the trust point of the list's chain, nil if absent
}

// IdentifierReference points to an identifier that may turn up in a list.
//
//	IdentifierListInfo = { "id": bstr, "uri": tstr, ? "certificate": bstr }
//
// ISO/IEC 18013-5 second edition (draft v4), 12.3.6; only in CBOR.
type IdentifierReference struct {
	ID          []byte
	URI         string
	Certificate []byte // DER, as in ListReference
}

// Claim is the status member of an MSO, a CWT, a JWT or an SD-JWT VC. A claim
// that holds other mechanisms only comes out empty.
//
//	Status = { ? "identifier_list": IdentifierListInfo, ? "status_list": StatusListInfo }
type Claim struct {
	Identifier *IdentifierReference
	List       *ListReference
}

// IsEmpty reports whether the claim has no reference that is known here.
func (c Claim) IsEmpty() bool { return c.Identifier == nil && c.List == nil }

// AppendCBOR appends the Status map. An empty claim makes an empty map, which
// is better left out.
func (c Claim) AppendCBOR(dst []byte) []byte {
	n := 0
	if c.Identifier != nil {
		n++
	}
	if c.List != nil {
		n++
	}
	dst = cbor.AppendMap(dst, n)
	if id := c.Identifier; id != nil {
		dst = cbor.AppendMap(cbor.AppendText(dst, "identifier_list"), members(id.Certificate))
		dst = cbor.AppendBytes(cbor.AppendText(dst, "id"), id.ID)
		dst = appendPlace(dst, id.URI, id.Certificate)
	}
	if l := c.List; l != nil {
		dst = cbor.AppendMap(cbor.AppendText(dst, "status_list"), members(l.Certificate))
		dst = cbor.AppendUint(cbor.AppendText(dst, "idx"), l.Index)
		dst = appendPlace(dst, l.URI, l.Certificate)
	}
	return dst
}

func members(certificate []byte) int {
	if certificate != nil {
		return 3
	}
	return 2
}

func appendPlace(dst []byte, uri string, certificate []byte) []byte {
	dst = cbor.AppendText(cbor.AppendText(dst, "uri"), uri)
	if certificate != nil {
		dst = cbor.AppendBytes(cbor.AppendText(dst, "certificate"), certificate)
	}
	return dst
}

// ParseClaim reads one Status map. Identifiers and certificates are windows
// into raw.
func ParseClaim(raw []byte) (Claim, error) {
	r := cbor.ReadChecked(raw, cbor.Limits{Size: 1 << 16, Depth: 8, Items: 256})
	c := ReadClaim(r)
	err := r.Done()
	if err == nil && c.Identifier != nil {
		err = checkURI(c.Identifier.URI)
	}
	if err == nil && c.List != nil {
		err = checkURI(c.List.URI)
	}
	if err != nil {
		return Claim{}, fmt.Errorf("%w: status: %w", ErrMalformed, err)
	}
	return c, nil
}

// ReadClaim takes one Status map from a reader over checked bytes. Whether the
// addresses in it are URIs is left for when they are needed: a document is no
// less readable for it.
func ReadClaim(r *cbor.Reader) Claim {
	var c Claim
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "identifier_list":
			c.Identifier = readIdentifier(r)
			r.In("identifier_list")
		case "status_list":
			c.List = readList(r)
			r.In("status_list")
		default:
			r.Skip()
		}
	})
	return c
}

func readIdentifier(r *cbor.Reader) *IdentifierReference {
	ref := &IdentifierReference{}
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "id":
			ref.ID = r.Bytes()
		case "uri":
			ref.URI = r.Text()
		case "certificate":
			ref.Certificate = r.Bytes()
		default:
			r.Skip()
		}
	})
	if r.Err() == nil {
		if n := len(ref.ID); n == 0 || n > maxIdentifier {
			r.Failf("id of %d bytes, not 1 to %d", n, maxIdentifier)
		}
		needURI(r, ref.URI)
	}
	return ref
}

func readList(r *cbor.Reader) *ListReference {
	ref := &ListReference{}
	hasIndex := false
	r.Map(func() {
		switch string(r.TextBytes()) {
		case "idx":
			ref.Index, hasIndex = r.Uint(), true
		case "uri":
			ref.URI = r.Text()
		case "certificate":
			ref.Certificate = r.Bytes()
		default:
			r.Skip()
		}
	})
	if r.Err() == nil {
		if !hasIndex {
			r.Failf("no idx")
		}
		needURI(r, ref.URI)
	}
	return ref
}

func needURI(r *cbor.Reader, uri string) {
	if uri == "" {
		r.Failf("no uri")
	}
}

// checkURI accepts absolute URIs. Which of them may be fetched is for whoever
// fetches to say.
func checkURI(uri string) error {
	if uri == "" || len(uri) > maxURI {
		return fmt.Errorf("%w: uri of %d bytes, not 1 to %d", ErrMalformed, len(uri), maxURI)
	}
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() {
		return fmt.Errorf("%w: uri is not an absolute URI (RFC 3986, 4.3)", ErrMalformed)
	}
	return nil
}

// claimJSON is the form of Token Status List, 6.2. Identifier lists have no
// JSON form.
type claimJSON struct {
	List *listJSON `json:"status_list,omitempty"`
}

type listJSON struct {
	Index *uint64 `json:"idx"`
	URI   string  `json:"uri"`
}

// MarshalJSON writes the value of the JWT claim "status". It fails for a claim
// with an identifier list, which only CBOR has.
//
// Token Status List, 6.2.
func (c Claim) MarshalJSON() ([]byte, error) {
	if c.Identifier != nil {
		return nil, fmt.Errorf("%w: an identifier list has no JSON form", ErrMalformed)
	}
	var j claimJSON
	if c.List != nil {
		j.List = &listJSON{&c.List.Index, c.List.URI}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads the value of the JWT claim "status".
//
// Token Status List, 6.2.
func (c *Claim) UnmarshalJSON(data []byte) error {
	var j claimJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("%w: status: %w (Token Status List, 6.2)", ErrMalformed, err)
	}
	*c = Claim{}
	if j.List == nil {
		return nil
	}
	if j.List.Index == nil {
		return fmt.Errorf("%w: status_list: no idx (Token Status List, 6.2)", ErrMalformed)
	}
	var err error
	c.List, err = NewReference(*j.List.Index, j.List.URI)
	return err
}

// NewReference refers to an entry of a list, for readers of JSON that do without
// encoding/json. The error is [ErrMalformed].
//
// Token Status List, 6.2.
func NewReference(index uint64, uri string) (*ListReference, error) {
	if err := checkURI(uri); err != nil {
		return nil, fmt.Errorf("status_list: %w", err)
	}
	return &ListReference{Index: index, URI: uri}, nil
}
