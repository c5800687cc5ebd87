package core

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
)

// The formats as questions name them.
const (
	askMdoc  = "mdoc"
	askSDJWT = "sd-jwt"
)

// parseDocument reads one document, and returns it in each format that may
// answer. The id of a credential is the short name of its type, with the format
// behind it if that is not mdoc.
func parseDocument(text string, types *doctype.Catalogue) ([]query.Credential, error) {
	d, list := splitType(text, types)
	parts := strings.Split(list, ",")
	if len(parts) > maxElements {
		return nil, bad("%d elements, at most %d", len(parts), maxElements)
	}
	elements := make([]wish, len(parts))
	for i, part := range parts {
		w, err := parseWish(part)
		if err != nil {
			return nil, err
		}
		elements[i] = w
	}
	if err := oneChoice(elements); err != nil {
		return nil, err
	}
	if d.name == "" && d.format == "" {
		var err error
		if d.t, err = inferType(slices.Concat(elements...), types); err != nil {
			return nil, err
		}
		d.name, d.format = d.t.DocType, askMdoc
	} else if err := checkIdentifier("type", d.name); err != nil {
		return nil, err
	}
	var out []query.Credential
	if d.format != askSDJWT {
		c, err := d.mdoc(elements)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if d.format == askSDJWT || d.format == "" && d.t.HasSDJWT() {
		c, err := d.sdjwt(elements)
		if err != nil && d.format == askSDJWT {
			return nil, err
		}
		if err == nil {
			out = append(out, c)
		}
	}
	return out, nil
}

// wantedType is the type of a document as it was written.
type wantedType struct {
	name   string        // as written, without format
	format string        // askMdoc, askSDJWT, or empty for any
	t      *doctype.Type // nil for an unknown type, which has a format
}

// splitType parts the type from the elements: behind a format, at the colon
// after a known type, or else at the first. Names of types and name spaces may
// have colons too.
func splitType(text string, types *doctype.Catalogue) (d wantedType, list string) {
	for i, r := range text {
		if r != ':' {
			continue
		}
		head := strings.TrimSpace(text[:i])
		for _, format := range []string{askMdoc, askSDJWT} {
			if name, ok := strings.CutSuffix(head, "@"+format); ok {
				d, _ = typeOf(strings.TrimSpace(name), types)
				d.format = format
				return d, text[i+1:]
			}
		}
		if d, ok := typeOf(head, types); ok && head != "" {
			return d, text[i+1:]
		}
	}
	head, list, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(head, "/") {
		return wantedType{}, text
	}
	return wantedType{name: strings.TrimSpace(head), format: askMdoc}, list
}

// typeOf finds a known type by one of its names, of which two say the format.
func typeOf(name string, types *doctype.Catalogue) (d wantedType, ok bool) {
	d.name = name
	if d.t, ok = types.ByID(name); ok {
		return d, true
	}
	if t, ok := types.ByDocType(name); ok && t.DocType == name { // an older spelling is asked for as it is
		d.t, d.format = t, askMdoc
		return d, true
	}
	if t, ok := types.ByVCT(name); ok {
		d.t, d.format = t, askSDJWT
		return d, true
	}
	return d, false
}

// mdoc asks for the document as an mdoc.
func (d *wantedType) mdoc(elements []wish) (query.Credential, error) {
	c := query.Credential{ID: "document", Format: query.FormatMdoc, Types: []string{d.name}, NearestAge: true, Partial: true}
	if d.t != nil {
		c.ID, c.Types = d.t.ID, []string{d.t.DocType}
	}
	return c, ask(&c, elements, func(e element) (query.Path, string, error) {
		n, err := e.resolve(d.t, d.name)
		return query.Element(n.Namespace, n.ID), n.String(), err
	})
}

// sdjwt asks for the document as an SD-JWT VC.
func (d *wantedType) sdjwt(elements []wish) (query.Credential, error) {
	c := query.Credential{ID: "document-" + askSDJWT, Format: query.FormatSDJWT, Types: []string{d.name}}
	if d.t != nil {
		c.ID, c.Types = d.t.ID+"-"+askSDJWT, []string{d.t.VCT}
		if !d.t.HasSDJWT() {
			return c, bad("%s is not issued as SD-JWT VC", d.t.ID)
		}
	}
	return c, ask(&c, elements, func(e element) (query.Path, string, error) {
		path, err := e.claim(d.t)
		return path, path.String(), err
	})
}

// ask puts what is wished into a credential: where one may stand in for another,
// a set of claims for each.
func ask(c *query.Credential, wishes []wish, pathOf func(element) (path query.Path, name string, err error)) error {
	var always, either []int
	for _, w := range wishes {
		for _, e := range w {
			path, name, err := pathOf(e)
			if err != nil {
				return err
			}
			if err := add(c, path, e.keep, name); err != nil {
				return err
			}
			if at := len(c.Claims) - 1; len(w) > 1 {
				either = append(either, at)
			} else {
				always = append(always, at)
			}
		}
	}
	for _, i := range either {
		set := append([]int{i}, always...)
		slices.Sort(set)
		c.ClaimSets = append(c.ClaimSets, set)
	}
	if c.ClaimSets != nil {
		for i := range c.Claims {
			c.Claims[i].ID = "c" + strconv.Itoa(i+1)
		}
	}
	return nil
}

func add(c *query.Credential, path query.Path, keep bool, name string) error {
	if slices.ContainsFunc(c.Claims, func(cl query.Claim) bool { return cl.Path.Equal(path) }) {
		return bad("%s is asked for twice", name)
	}
	c.Claims = append(c.Claims, query.Claim{Path: path, Retain: keep})
	return nil
}

// claim is the path of the element in an SD-JWT VC. t is nil for an unknown type.
func (e element) claim(t *doctype.Type) (query.Path, error) {
	var path query.Path
	if e.nameSpace != "" {
		for step := range strings.SplitSeq(e.nameSpace, "/") {
			path = append(path, step)
		}
	}
	path = append(path, e.id)
	if t == nil {
		return path, e.steps(path)
	}
	n, err := e.resolve(t, t.DocType)
	if err == nil {
		if el, ok := t.Element(n.Namespace, n.ID); ok && el.Name() == n {
			if len(el.Claim) == 0 {
				return nil, bad("%s has no claim for %s as SD-JWT VC", t.ID, e.id)
			}
			path = nil
			for _, step := range el.Claim {
				path = append(path, step)
			}
			return path, nil
		}
	}
	if len(t.ClaimElements(sdjwt.Path(path))) == 0 {
		return nil, bad("%s has no element and no claim %q", t.ID, path)
	}
	return path, e.steps(path)
}

// steps checks what was written with slashes.
func (e element) steps(path query.Path) error {
	if slices.Contains(path, "") || len(path) > maxSteps {
		return bad("%q is no path of 1 to %d steps, as in address/locality", path, maxSteps)
	}
	return nil
}

// maxSteps is how deep claims nest.
const maxSteps = 16

type element struct {
	nameSpace, id string
	keep          bool
}

// wish is one element, or several of which the first that a document has will do.
type wish []element

// otherwise parts elements that stand in for each other.
var otherwise = regexp.MustCompile(`\s+else\s+`)

func parseWish(text string) (wish, error) {
	var w wish
	for _, part := range otherwise.Split(strings.TrimSpace(text), -1) {
		e, err := parseElement(part)
		if err != nil {
			return nil, err
		}
		w = append(w, e)
	}
	if len(w) > maxAlternatives {
		return nil, bad("%d elements that stand in for each other, at most %d", len(w), maxAlternatives)
	}
	return w, nil
}

// oneChoice allows for one element with others to stand in, of each document.
func oneChoice(list []wish) error {
	n := 0
	for _, w := range list {
		if len(w) > 1 {
			n++
		}
	}
	if n > 1 {
		return bad("\"else\" more than once in a document")
	}
	return nil
}

func parseElement(text string) (element, error) {
	text = strings.TrimSpace(text)
	var e element
	text, e.keep = strings.CutSuffix(text, "+")
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		e.nameSpace, e.id = strings.TrimSpace(text[:i]), strings.TrimSpace(text[i+1:])
		if err := checkIdentifier("name space", e.nameSpace); err != nil {
			return e, err
		}
	} else {
		e.id = strings.TrimSpace(text)
	}
	return e, checkIdentifier("element", e.id)
}

// checkIdentifier lets pass what may stand in a request and in a message.
func checkIdentifier(what, s string) error {
	if s == "" {
		return bad("%s is missing, as in mdl:age_over_18,portrait", what)
	}
	if len(s) > maxIdentifier || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '+' }) {
		return bad("%s is no identifier of at most %d printable characters", what, maxIdentifier)
	}
	return nil
}

// inferType finds the one type that has all the name spaces.
func inferType(elements []element, types *doctype.Catalogue) (*doctype.Type, error) {
	var found []*doctype.Type
	for _, t := range types.All() {
		if !slices.ContainsFunc(elements, func(e element) bool {
			return e.nameSpace == "" || !slices.ContainsFunc(t.Namespaces, func(n doctype.Namespace) bool { return n.Name == e.nameSpace })
		}) {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case elements[0].nameSpace == "":
		return nil, bad("say of which document: %s (%s)", exampleOf(types, elements[0].id), shortNames(types.All()))
	case len(found) == 0:
		return nil, bad("no known document type has these name spaces; write docType:%s/%s", elements[0].nameSpace, elements[0].id)
	}
	return nil, bad("several document types have these name spaces (%s); name one", shortNames(found))
}

func exampleOf(types *doctype.Catalogue, id string) string {
	if all := types.All(); len(all) > 0 {
		return all[0].ID + ":" + id
	}
	return "type:" + id
}

func shortNames(list []*doctype.Type) string {
	var names []string
	for _, t := range list {
		names = append(names, t.ID)
	}
	return strings.Join(names, ", ")
}

// resolve is the full name of the element. t is nil for an unknown type.
func (e element) resolve(t *doctype.Type, docType string) (doctype.Name, error) {
	full := doctype.Name{Namespace: e.nameSpace, ID: e.id}
	if t == nil {
		if e.nameSpace == "" {
			return full, bad("document type %q is not known here: write name space and element, as in %s:namespace/%s", docType, docType, e.id)
		}
		return full, nil
	}
	if e.nameSpace != "" {
		known, ok := t.Element(e.nameSpace, e.id)
		if ok && known.Namespace == e.nameSpace && known.ID == e.id {
			return full, nil
		}
		for _, n := range t.Namespaces {
			if n.Name == e.nameSpace && n.Closed {
				return full, bad("%s has no element %s", t.ID, full)
			}
		}
		return full, nil // an issuer's own, or an older spelling: asked for as it is
	}
	var found []doctype.Name
	for _, n := range t.Namespaces {
		if known, ok := t.Element(n.Name, e.id); ok && known.Namespace == n.Name && known.ID == e.id {
			found = append(found, known.Name())
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return full, bad("%s has no element %q", t.ID, e.id)
	}
	return full, bad("%s has %q in several name spaces: write %s or %s", t.ID, e.id, found[0], found[1])
}
