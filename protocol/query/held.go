package query

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
)

// Held is one document that could answer: what the planner needs to know of it.
type Held struct {
	// ID is the holder's name for the document.
	ID     string
	Format string
	// Type is the docType or vct.
	Type string
	// Bound says that a key of the holder is bound to it.
	Bound bool
	// Authorities stand behind its issuer.
	Authorities []Authority
	Claims      Claims
}

// Claims are the claims of a held document.
type Claims interface {
	// Has reports whether the path selects anything.
	Has(p Path) bool
	// Values returns what the path selects as JSON-like data (strings, int64,
	// bool, nil, map[string]any, []any), or nothing.
	Values(p Path) []any
}

// MdocClaims are the claims of an mdoc.
type MdocClaims struct{ Document *mdoc.IssuerSigned }

// Has reports whether the document holds the element.
func (m MdocClaims) Has(p Path) bool {
	ref, ok := p.element()
	return ok && m.Document.Item(ref) != nil
}

// Values returns the element's value mapped to JSON: dates as text, byte
// strings as base64url. OpenID4VP 1.0, B.2.3 with RFC 8949, 6.1.
func (m MdocClaims) Values(p Path) []any {
	ref, ok := p.element()
	if !ok {
		return nil
	}
	item := m.Document.Item(ref)
	if item == nil {
		return nil
	}
	return CBORValues(item.Value)
}

// CBORValues is the value of an element as Claims.Values returns it. value is
// one well-formed item.
func CBORValues(value []byte) []any {
	v, ok := jsonOf(cbor.ReadChecked(value, cbor.Limits{}))
	if !ok {
		return nil
	}
	return []any{v}
}

// jsonOf maps one CBOR item to JSON-like data.
func jsonOf(r *cbor.Reader) (any, bool) {
	var v any
	ok := true
	switch r.Kind() {
	case cbor.KindUint, cbor.KindNegInt:
		v = r.Int()
	case cbor.KindText:
		v = r.Text()
	case cbor.KindBytes:
		v = base64.RawURLEncoding.EncodeToString(r.Bytes())
	case cbor.KindBool:
		v = r.Bool()
	case cbor.KindNull:
		r.Null()
	case cbor.KindTag:
		r.AnyTag()
		v, ok = jsonOf(r)
	case cbor.KindArray:
		list := []any{}
		r.Array(func(int) {
			x, good := jsonOf(r)
			list, ok = append(list, x), ok && good
		})
		v = list
	case cbor.KindMap:
		m := map[string]any{}
		r.Map(func() {
			k := r.Text()
			x, good := jsonOf(r)
			m[k], ok = x, ok && good
		})
		v = m
	default: // floats and other simple values match no DCQL value
		r.Skip()
	}
	return v, ok && r.Err() == nil
}

// SDJWTClaims are the claims of an SD-JWT VC, as processed. In arrays positions
// are those as issued, so that a path means the same to the holder, who has all
// disclosures, and to the verifier, who has some.
type SDJWTClaims struct{ Payload *sdjwt.Payload }

// Has reports whether the path selects anything.
func (c SDJWTClaims) Has(p Path) bool {
	found, err := c.Payload.Select(sdjwt.Path(p))
	return err == nil && len(found) > 0
}

// Values returns what the path selects, numbers as json.Number.
func (c SDJWTClaims) Values(p Path) []any {
	found, err := c.Payload.Select(sdjwt.Path(p))
	if err != nil {
		return nil
	}
	var out []any
	for _, f := range found {
		d := json.NewDecoder(bytes.NewReader(f.Value))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return nil // it was read as JSON before
		}
		out = append(out, v)
	}
	return out
}

// Accepts reports whether what a claim's path selects is among the values that
// it wants; anything is if it wants none.
//
// OpenID4VP 1.0, 6.4.1.
func (c *Claim) Accepts(selected []any) bool {
	return len(c.Values) == 0 || matches(selected, c.Values)
}

// matches reports whether one of the selected values is among those wanted.
// With a path over all elements one matching element is enough, as deployed
// wallets do; OpenID4VP 1.0, 6.3 leaves it open.
func matches(selected, wanted []any) bool {
	for _, v := range selected {
		if n, ok := v.(json.Number); ok {
			i, err := n.Int64()
			if err != nil || strings.ContainsAny(n.String(), ".eE") {
				continue
			}
			v = i
		}
		switch v.(type) {
		case string, int64, bool:
			for _, w := range wanted {
				if v == w {
					return true
				}
			}
		}
	}
	return false
}
