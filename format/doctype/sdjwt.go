package doctype

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/transaction"
)

// HasSDJWT reports whether documents of the type can be issued as SD-JWT VC: it
// has a VCT and elements with claim paths.
func (t *Type) HasSDJWT() bool {
	if t.VCT == "" {
		return false
	}
	for i := range t.Namespaces {
		if slices.ContainsFunc(t.Namespaces[i].Elements, func(e Element) bool { return len(e.Claim) > 0 }) {
			return true
		}
	}
	return false
}

// errNoSDJWT says that a type is an mdoc only.
func (t *Type) errNoSDJWT() error {
	return fmt.Errorf("%w: %s has no SD-JWT form: no vct, or no claim paths", ErrDefinition, t.ID)
}

// SDJWTClaims turns the elements of a document, each as one CBOR item, into the
// claims of its SD-JWT form, in the order of the definition. Every claim, every
// member and every array entry is selectively disclosable on its own. Elements
// without a claim path have no place in that form and are left out.
//
// Dates become YYYY-MM-DD, instants RFC 3339 (or the day, in UTC, where the
// definition has a full-date first), byte strings data URLs (empty ones the
// empty string), numbers JSON numbers. The error wraps [ErrDefinition] for a
// type without an SD-JWT form, [ErrMember] for an element that the type does not
// have, or is that of Decode; it names the element and no value.
func (t *Type) SDJWTClaims(elements map[Name][]byte) ([]sdjwt.Node, error) {
	if !t.HasSDJWT() {
		return nil, t.errNoSDJWT()
	}
	var claims []sdjwt.Node
	left := len(elements)
	for i := range t.Namespaces {
		ns := &t.Namespaces[i]
		for j := range ns.Elements {
			for _, id := range ns.Elements[j].among(elements) {
				e, _ := t.inNamespace(ns.Name, id)
				left--
				if len(e.Claim) == 0 {
					continue
				}
				value, err := e.Decode(elements[e.Name()])
				if err == nil {
					var node sdjwt.Node
					if node, err = e.Shape.node(value); err == nil {
						claims, err = place(claims, e.Claim, node)
					}
				}
				if err != nil {
					return nil, fmt.Errorf("claim of element %s: %w", e.Name(), err)
				}
			}
		}
	}
	if left != 0 {
		return nil, fmt.Errorf("%w: %d elements that %s does not have", ErrMember, left, t.ID)
	}
	return claims, nil
}

// among returns the identifiers that the element has among those given, sorted
// where it has a wildcard.
func (e *Element) among(elements map[Name][]byte) []string {
	if e.Wild == "" {
		if _, ok := elements[e.Name()]; ok {
			return []string{e.ID}
		}
		return nil
	}
	var ids []string
	stem := strings.TrimSuffix(e.ID, e.Wild)
	for n := range elements {
		if match, ok := strings.CutPrefix(n.ID, stem); ok && n.Namespace == e.Namespace && wildMatch(e.Wild, match) {
			ids = append(ids, n.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// place puts a claim at its path, into objects that are made on the way.
func place(members []sdjwt.Node, path []string, claim sdjwt.Node) ([]sdjwt.Node, error) {
	at := slices.IndexFunc(members, func(n sdjwt.Node) bool { return n.Name == path[0] })
	if len(path) == 1 {
		if at >= 0 {
			return nil, fmt.Errorf("%w: the path %q is taken", ErrDefinition, path[0])
		}
		claim.Name = path[0]
		return append(members, claim), nil
	}
	if at < 0 {
		members = append(members, sdjwt.Node{Name: path[0], SD: sdjwt.Always, Members: []sdjwt.Node{}})
		at = len(members) - 1
	}
	if members[at].Members == nil {
		return nil, fmt.Errorf("%w: %q is no object", ErrDefinition, path[0])
	}
	inner, err := place(members[at].Members, path[1:], claim)
	members[at].Members = inner
	return members, err
}

// node is the claim of a decoded value. A value of an older shape, which only
// readers accept, has none.
func (s *Shape) node(value any) (sdjwt.Node, error) {
	node := sdjwt.Node{SD: sdjwt.Always}
	switch v := value.(type) {
	case []any:
		return s.arrayNode(v)
	case map[string]any:
		return s.mapNode(v)
	case bool, uint64:
		return node, set(&node, v)
	case string:
		if s.find(Kind.isText) != nil {
			return node, set(&node, v)
		}
	case cbor.FullDate:
		return node, set(&node, v.String())
	case cbor.TDate:
		if s.Kind == FullDate {
			return node, set(&node, cbor.DateOf(v.UTC()).String())
		}
		return node, set(&node, v.UTC().Format("2006-01-02T15:04:05Z"))
	case []byte:
		return node, set(&node, dataURL(v))
	}
	return node, fmt.Errorf("%w: a shape that is not issued", ErrKind)
}

func set(n *sdjwt.Node, value any) (err error) {
	n.Value, err = json.Marshal(value)
	return err
}

// find returns the first shape to be written whose kind fits, or nil.
func (s *Shape) find(fits func(Kind) bool) *Shape {
	if fits(s.Kind) {
		return s
	}
	for i := range s.Or {
		if found := s.Or[i].find(fits); found != nil {
			return found
		}
	}
	return nil
}

func (s *Shape) arrayNode(entries []any) (sdjwt.Node, error) {
	node := sdjwt.Node{SD: sdjwt.Always, Elements: make([]sdjwt.Node, len(entries))}
	shape := s.find(func(k Kind) bool { return k == Array })
	if shape == nil {
		return node, fmt.Errorf("%w: a shape that is not issued", ErrKind)
	}
	for i, entry := range entries {
		var err error
		if node.Elements[i], err = shape.Of.node(entry); err != nil {
			return node, fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return node, nil
}

func (s *Shape) mapNode(members map[string]any) (sdjwt.Node, error) {
	node := sdjwt.Node{SD: sdjwt.Always, Members: make([]sdjwt.Node, 0, len(members))}
	shape := s.find(func(k Kind) bool { return k == Map })
	if shape == nil {
		return node, fmt.Errorf("%w: a shape that is not issued", ErrKind)
	}
	for i := range shape.Members {
		m := &shape.Members[i]
		value, ok := members[m.ID]
		if !ok {
			continue
		}
		member, err := m.Shape.node(value)
		if err != nil {
			return node, fmt.Errorf("%s: %w", m.ID, err)
		}
		member.Name = m.ID
		node.Members = append(node.Members, member)
	}
	return node, nil
}

// dataURL is an image or other bytes as text (SD-JWT VC draft 18, 2.2.2.4; RFC
// 2397). No bytes, by which the holder of a PID opts out of a portrait, are no
// text.
func dataURL(b []byte) string {
	mediaType := "application/octet-stream"
	switch {
	case len(b) == 0:
		return ""
	case isJPEG(b):
		mediaType = "image/jpeg"
	case isJPEG2000(b):
		mediaType = "image/jp2"
	}
	return "data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(b)
}

// TypeMetadata is the type metadata document of the SD-JWT form: names in all
// languages, colours, and the claims that are still issued, as SDJWTClaims makes
// them; of a type that authorises transaction data, which. vct is the identifier
// that the issuer uses; empty is the definition's. The error wraps [ErrDefinition]
// for a type without an SD-JWT form.
//
// SD-JWT VC draft 18, 4.2; EUDI TS12 1.0.1, 4.1.
func (t *Type) TypeMetadata(vct string) (*sdjwt.TypeMetadata, error) {
	if !t.HasSDJWT() {
		return nil, t.errNoSDJWT()
	}
	if vct == "" {
		vct = t.VCT
	}
	m := &sdjwt.TypeMetadata{VCT: vct, Name: t.Names.In("en") + " " + t.Version, Description: t.Source}
	for _, lang := range t.Names.Languages() {
		m.Display = append(m.Display, sdjwt.TypeDisplay{Locale: Locale(lang), Name: t.Names[lang], Rendering: &sdjwt.Rendering{
			Simple: &sdjwt.SimpleRendering{BackgroundColor: t.Background, TextColor: t.Foreground},
		}})
	}
	for _, name := range t.Authorises {
		if m.Transactions == nil {
			m.Transactions = map[string]sdjwt.Transaction{}
		}
		m.Transactions[name] = sdjwt.Transaction{Schema: name}
		if known, ok := transaction.Find(name); ok && known.SCA {
			m.Category = sdjwt.CategorySCA
		}
	}
	objects := map[string]bool{}
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			e := &t.Namespaces[i].Elements[j]
			if len(e.Claim) == 0 || e.Wild != "" || e.Presence == Retired {
				continue
			}
			path := make(sdjwt.Path, 0, len(e.Claim))
			for k, step := range e.Claim {
				path = append(path, step)
				if key := path.String(); k < len(e.Claim)-1 && !objects[key] {
					objects[key] = true
					m.Claims = append(m.Claims, sdjwt.ClaimMetadata{Path: slices.Clone(path), SD: sdjwt.Always})
				}
			}
			m.Claims = e.Shape.metadata(m.Claims, path, e.Names, e.Presence == Mandatory)
		}
	}
	return m, nil
}

// metadata appends what is to be said of a claim and of what is in it.
func (s *Shape) metadata(claims []sdjwt.ClaimMetadata, path sdjwt.Path, names Names, mandatory bool) []sdjwt.ClaimMetadata {
	c := sdjwt.ClaimMetadata{Path: path, SD: sdjwt.Always}
	for _, lang := range names.Languages() {
		c.Display = append(c.Display, sdjwt.ClaimDisplay{Locale: Locale(lang), Label: names[lang]})
	}
	if mandatory {
		c.Mandatory = &mandatory
	}
	claims = append(claims, c)
	switch s.Kind {
	case Array: // an array may be empty, so none of its entries is mandatory
		return s.Of.metadata(claims, append(slices.Clone(path), nil), nil, false)
	case Map:
		for i := range s.Members {
			m := &s.Members[i]
			claims = m.Shape.metadata(claims, append(slices.Clone(path), m.ID), m.Names, mandatory && m.Presence == Mandatory)
		}
	}
	return claims
}
