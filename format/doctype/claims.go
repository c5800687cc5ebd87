package doctype

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/sdjwt"
)

// ByVCT returns the type whose SD-JWT form has the identifier.
func (c *Catalogue) ByVCT(vct string) (t *Type, ok bool) {
	for _, t := range c.All() {
		if t.VCT == vct && t.HasSDJWT() {
			return t, true
		}
	}
	return nil, false
}

// TypeName returns what people call documents of a type, by its docType or vct;
// that itself if unknown.
func (c *Catalogue) TypeName(lang, name string) string {
	t, ok := c.ByDocType(name)
	if !ok {
		t, ok = c.ByVCT(name)
	}
	if !ok {
		return name
	}
	return t.Names.In(lang)
}

// ClaimElements returns the elements that a claim of the SD-JWT form touches, in
// the order of the definition: the one that it is or is part of, or all that are
// in it. Wildcards are resolved where the path does so.
func (t *Type) ClaimElements(path sdjwt.Path) []Element {
	var out []Element
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			if e, ok := t.Namespaces[i].Elements[j].touched(path); ok {
				if found, ok := t.inNamespace(e.Namespace, e.ID); ok {
					e = found
				}
				out = append(out, e)
			}
		}
	}
	return out
}

// touched reports whether the element is on the way of a path or beneath it.
// What a wildcard stands for is taken out of the path.
func (e Element) touched(path sdjwt.Path) (Element, bool) {
	for i, step := range e.Claim {
		if i == len(path) {
			break
		}
		name, ok := path[i].(string)
		if !ok {
			return e, false
		}
		if name == step {
			continue
		}
		before, after, wild := strings.Cut(step, e.Wild)
		match := strings.TrimSuffix(strings.TrimPrefix(name, before), after)
		if e.Wild == "" || !wild || before+match+after != name || !wildMatch(e.Wild, match) {
			return e, false
		}
		e.ID = strings.Replace(e.ID, e.Wild, match, 1)
	}
	return e, len(e.Claim) > 0 && len(path) > 0
}

// DisplayClaim returns label and text of a claim of an SD-JWT VC for people. As
// with Display, what is unknown is shown as it is, so that nothing is disclosed
// unseen. Of an element that is disclosed in part the text has that part.
func (c *Catalogue) DisplayClaim(lang, vct string, path sdjwt.Path, value json.RawMessage) (label, text string) {
	t, _ := c.ByVCT(vct)
	text = t.claimText(lang, path, bytes.TrimSpace(value))
	if len(text) > mostText {
		text = strings.ToValidUTF8(text[:mostText], "") + "…"
	}
	return t.claimLabel(lang, path), text
}

// mostText is how much of a claim is shown, in bytes: no screen holds more.
const mostText = 4000

// ClaimLabel returns what people call a claim; its name if unknown.
func (c *Catalogue) ClaimLabel(lang, vct string, path sdjwt.Path) string {
	t, _ := c.ByVCT(vct)
	return t.claimLabel(lang, path)
}

// at finds the element that a path leads into, and the shape that it ends at
// with the name of that. t may be nil; s is nil if nothing is known.
func (t *Type) at(lang string, path sdjwt.Path) (e Element, s *Shape, label string) {
	if t == nil {
		return e, nil, ""
	}
	all := t.ClaimElements(path)
	if len(all) != 1 || len(all[0].Claim) > len(path) {
		return e, nil, ""
	}
	e, s, label = all[0], &all[0].Shape, all[0].Label(lang)
	for _, step := range path[len(e.Claim):] {
		kind := Array
		name, named := step.(string)
		if named {
			kind = Map
		}
		if s = s.find(func(k Kind) bool { return k == kind }); s == nil {
			return e, nil, ""
		}
		if !named {
			s = s.Of
			continue
		}
		n := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == name })
		if n < 0 {
			return e, nil, ""
		}
		label = s.Members[n].Names.In(lang)
		s = &s.Members[n].Shape
	}
	return e, s, label
}

func (t *Type) claimLabel(lang string, path sdjwt.Path) string {
	if _, s, label := t.at(lang, path); s != nil {
		return label
	}
	var names []string
	for _, step := range path {
		if name, ok := step.(string); ok {
			names = append(names, strings.ReplaceAll(name, "_", " "))
		}
	}
	return strings.Join(names, " / ")
}

func (t *Type) claimText(lang string, path sdjwt.Path, value json.RawMessage) string {
	e, s, _ := t.at(lang, path)
	if s == nil {
		return t.plain(lang, path, value)
	}
	v, ok := s.ofJSON(value)
	b, isBytes := v.([]byte)
	switch {
	case ok && isBytes:
		return sizeText(lang, s.Kind, len(b))
	case e.Hidden:
		return wordsIn(lang).hidden
	case ok:
		return s.show(lang, v)
	}
	return t.plain(lang, path, value)
}

// plain is a value that no definition explains: lists and objects by what is in
// them, of which the definition may know more.
func (t *Type) plain(lang string, path sdjwt.Path, value json.RawMessage) string {
	var (
		list []json.RawMessage
		text string
	)
	switch kindOf(value) {
	case '{':
		names, members := membersOf(value)
		parts := make([]string, 0, len(names))
		for _, i := range t.inOrder(path, names) {
			under := append(slices.Clone(path), names[i])
			_, s, label := t.at(lang, under)
			if s == nil {
				label = strings.ReplaceAll(names[i], "_", " ")
			}
			parts = append(parts, label+": "+strings.ReplaceAll(t.claimText(lang, under, members[i]), "\n", " / "))
		}
		return strings.Join(parts, " · ")
	case '[':
		if json.Unmarshal(value, &list) != nil {
			break
		}
		parts := make([]string, len(list))
		sep := ", "
		for i, entry := range list {
			if kindOf(entry) == '{' {
				sep = "\n"
			}
			parts[i] = t.claimText(lang, append(slices.Clone(path), nil), entry)
		}
		return strings.Join(parts, sep)
	case '"':
		if json.Unmarshal(value, &text) != nil {
			break
		}
		if data, mediaType, ok := ParseDataURL(text); ok {
			kind := Bytes
			if strings.HasPrefix(mediaType, "image/") {
				kind = Image
			}
			return sizeText(lang, kind, len(data))
		}
		return text
	case 't':
		return wordsIn(lang).yes
	case 'f':
		return wordsIn(lang).no
	case 'n':
		return wordsIn(lang).none
	}
	return string(value)
}

// inOrder are the indexes of the names of members in the order of the
// definition, those that it does not know last and by name: disclosures come in
// an order that means nothing.
func (t *Type) inOrder(path sdjwt.Path, names []string) []int {
	order, place := make([]int, len(names)), make([]int, len(names))
	var defined []Element
	if t != nil {
		defined = t.ClaimElements(path)
	}
	for i, name := range names {
		order[i], place[i] = i, len(defined)
		if n := slices.IndexFunc(defined, func(e Element) bool { return len(e.Claim) > len(path) && e.Claim[len(path)] == name }); n >= 0 {
			place[i] = n
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(place[a], place[b]), strings.Compare(names[a], names[b]))
	})
	return order
}

// membersOf are the members of an object, in their order.
func membersOf(value json.RawMessage) (names []string, values []json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader(value))
	if _, err := d.Token(); err != nil {
		return nil, nil
	}
	for d.More() {
		name, err := d.Token()
		text, ok := name.(string)
		var v json.RawMessage
		if err != nil || !ok || d.Decode(&v) != nil {
			return nil, nil
		}
		names, values = append(names, text), append(values, v)
	}
	return names, values
}

// kindOf is the first byte of a JSON value, which tells its kind.
func kindOf(value json.RawMessage) byte {
	if len(value) == 0 {
		return 0
	}
	return value[0]
}

// ofJSON is the Go value of a claim: what node writes, and of lists and
// structures any part. ok is false for what does not fit the shape.
func (s *Shape) ofJSON(raw json.RawMessage) (v any, ok bool) {
	raw = bytes.TrimSpace(raw)
	if v, ok = s.ownJSON(raw); ok {
		return v, true
	}
	for _, more := range [...][]Shape{s.Or, s.Accept} {
		for i := range more {
			if v, ok = more[i].ofJSON(raw); ok {
				return v, true
			}
		}
	}
	return nil, false
}

func (s *Shape) ownJSON(raw json.RawMessage) (any, bool) {
	switch s.Kind {
	case Bool:
		return string(raw) == "true", string(raw) == "true" || string(raw) == "false"
	case Uint:
		n, err := strconv.ParseUint(string(raw), 10, 64)
		return n, err == nil
	case Array:
		return s.entriesOfJSON(raw)
	case Map:
		return s.membersOfJSON(raw)
	}
	var text string
	if kindOf(raw) != '"' || json.Unmarshal(raw, &text) != nil {
		return nil, false
	}
	switch s.Kind {
	case FullDate:
		d, err := cbor.ParseFullDate(text)
		return d, err == nil
	case TDate:
		t, err := time.Parse(time.RFC3339, text)
		return cbor.TDate{Time: t}, err == nil
	case JPEG, Image, Bytes:
		data, _, ok := ParseDataURL(text)
		return data, ok || text == ""
	}
	return text, s.Kind.isText()
}

func (s *Shape) entriesOfJSON(raw json.RawMessage) (any, bool) {
	var list []json.RawMessage
	if kindOf(raw) != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, false
	}
	out := make([]any, len(list))
	for i, entry := range list {
		var ok bool
		if out[i], ok = s.Of.ofJSON(entry); !ok {
			return nil, false
		}
	}
	return out, true
}

func (s *Shape) membersOfJSON(raw json.RawMessage) (any, bool) {
	if kindOf(raw) != '{' {
		return nil, false
	}
	names, values := membersOf(raw)
	out := make(map[string]any, len(names))
	for i, name := range names {
		n := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == name })
		if n < 0 {
			return nil, false // or it would be disclosed unseen
		}
		var ok bool
		if out[name], ok = s.Members[n].Shape.ofJSON(values[i]); !ok {
			return nil, false
		}
	}
	return out, true
}

// ParseDataURL returns the bytes in a data URL in base64, as claims have
// pictures, and their media type. ok is false for any other text.
//
// RFC 2397; SD-JWT VC draft 18, 2.2.2.4.
func ParseDataURL(text string) (data []byte, mediaType string, ok bool) {
	rest, ok := strings.CutPrefix(text, "data:")
	if !ok {
		return nil, "", false
	}
	mediaType, encoded, ok := strings.Cut(rest, ";base64,")
	if !ok {
		return nil, "", false
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	return data, mediaType, err == nil && len(data) > 0
}
