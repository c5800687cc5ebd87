package core

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/protocol/query"
)

// ErrAsk is wrapped by every error about a question that cannot be asked.
var ErrAsk = errors.New("question not understood")

// Limits of a question, far above what a holder could consent to.
const (
	maxAsk          = 4 << 10
	maxDocuments    = 8 // that are wanted together
	maxAlternatives = 8
	maxElements     = 100 // of one document
	maxIdentifier   = 128
	maxPurpose      = 200
)

// Ask is a question in the form that people write.
type Ask struct {
	Text    string // as written, or that of the preset
	Title   string // of the preset, or empty
	Purpose string // shown to the holder; may be empty
	Query   query.Query
}

// Preset is a question with a name.
type Preset struct {
	Name    string `yaml:"name" json:"name"`
	Title   string `yaml:"title" json:"title"`
	Ask     string `yaml:"ask" json:"ask"`
	Purpose string `yaml:"purpose" json:"purpose"`
}

//go:embed presets.yaml
var presets []byte

// Presets are the built-in ones: age18, age21, identity, driving.
func Presets() []Preset {
	var list []Preset
	if err := yaml.Unmarshal(presets, &list); err != nil {
		panic("core: presets.yaml: " + err.Error())
	}
	return list
}

// ParseAsk reads a question. It is the name of a preset, or:
//
//	ask         = wanted *( ";" wanted )            ; all of these
//	wanted      = document *( "|" document )        ; one of these, the first preferred
//	document    = [ type ":" ] element *( "," element )
//	type        = short name or docType
//	element     = [ namespace "/" ] identifier [ "+" ]   ; "+": we mean to keep it
//
// Without a type the name spaces have to tell it. Spaces count nothing. Types
// that types does not know (nil: those built in) are asked for by docType and
// with name spaces. extra are presets besides those built in, and go before them.
//
// Errors wrap ErrAsk and say what is wrong where.
func ParseAsk(text string, types *doctype.Catalogue, extra ...Preset) (Ask, error) {
	if types == nil {
		types = doctype.Builtin()
	}
	if len(text) > maxAsk {
		return Ask{}, bad("%d bytes, at most %d", len(text), maxAsk)
	}
	if !utf8.ValidString(text) {
		return Ask{}, bad("not UTF-8")
	}
	name := strings.TrimSpace(text)
	for _, p := range append(slices.Clone(extra), Presets()...) {
		if p.Name == name {
			q, err := parseQuery(p.Ask, types)
			if err != nil {
				return Ask{}, fmt.Errorf("preset %s: %w", p.Name, err)
			}
			return Ask{Text: p.Ask, Title: p.Title, Query: q}.WithPurpose(p.Purpose)
		}
	}
	q, err := parseQuery(text, types)
	if err != nil {
		return Ask{}, err
	}
	return Ask{Text: name, Query: q}, nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrAsk}, args...)...)
}

// WithPurpose is the question with another reason: a short sentence for the
// holder. It reaches the holder in DCQL only; an on-site request has no place
// for it.
func (a Ask) WithPurpose(purpose string) (Ask, error) {
	purpose = strings.TrimSpace(purpose)
	if len(purpose) > maxPurpose || !utf8.ValidString(purpose) || strings.ContainsFunc(purpose, unicode.IsControl) {
		return Ask{}, bad("purpose is no line of text of at most %d bytes", maxPurpose)
	}
	a.Purpose = purpose
	a.Query.Sets = setsOf(a.Query, purpose)
	return a, nil
}

// WithRetain is the question with the statement that all of the answer, or
// nothing of it, will be kept.
func (a Ask) WithRetain(retain bool) Ask {
	a.Query.Credentials = slices.Clone(a.Query.Credentials)
	for i := range a.Query.Credentials {
		c := &a.Query.Credentials[i]
		c.Claims = slices.Clone(c.Claims)
		for j := range c.Claims {
			c.Claims[j].Retain = retain
		}
	}
	return a
}

// setsOf puts a purpose into the sets of a query; one of all credentials if
// it had none.
func setsOf(q query.Query, purpose string) []query.Set {
	sets := slices.Clone(q.Sets)
	var purposes []string
	if purpose != "" {
		purposes = []string{purpose}
		if len(sets) == 0 {
			all := query.Set{Required: true, Options: [][]string{nil}}
			for _, c := range q.Credentials {
				all.Options[0] = append(all.Options[0], c.ID)
			}
			sets = []query.Set{all}
		}
	}
	for i := range sets {
		sets[i].Purposes = purposes
	}
	return sets
}

// OnSite is a query as a DeviceRequest can carry it best: what is no real
// choice needs no deviceRequestInfo, and where the mdoc does not understand
// choices (extended is false) only the first of each is asked for.
//
// ISO/IEC 18013-5 second edition (draft v4), 9.1 and 10.2.5.
func OnSite(q query.Query, extended bool) query.Query {
	choice := slices.ContainsFunc(q.Sets, func(s query.Set) bool { return len(s.Options) > 1 || !s.Required })
	if choice && extended {
		return q
	}
	if choice {
		var wanted []query.Credential
		for _, c := range q.Credentials {
			if slices.ContainsFunc(q.Sets, func(s query.Set) bool {
				return s.Required && len(s.Options) > 0 && slices.Contains(s.Options[0], c.ID)
			}) {
				wanted = append(wanted, c)
			}
		}
		q.Credentials = wanted
	}
	q.Sets = nil
	return q
}

func parseQuery(text string, types *doctype.Catalogue) (query.Query, error) {
	q := query.Query{NonEmpty: true}
	wanted := strings.Split(text, ";")
	if len(wanted) > maxDocuments {
		return q, bad("%d documents, at most %d", len(wanted), maxDocuments)
	}
	choice := false
	for i, w := range wanted {
		alternatives := strings.Split(w, "|")
		if len(alternatives) > maxAlternatives {
			return q, bad("document %d: %d alternatives, at most %d", i+1, len(alternatives), maxAlternatives)
		}
		set := query.Set{Required: true}
		for _, a := range alternatives {
			c, err := parseDocument(a, types)
			if err != nil {
				return q, fmt.Errorf("document %d: %w", i+1, err)
			}
			c.ID = freeID(q, c.ID)
			q.Credentials = append(q.Credentials, c)
			set.Options = append(set.Options, []string{c.ID})
		}
		choice = choice || len(alternatives) > 1
		q.Sets = append(q.Sets, set)
	}
	if !choice {
		q.Sets = nil
	}
	return q, nil
}

// freeID makes an id that the query does not have yet.
func freeID(q query.Query, id string) string {
	taken := func(s string) bool {
		return slices.ContainsFunc(q.Credentials, func(c query.Credential) bool { return c.ID == s })
	}
	for n, try := 2, id; ; n++ {
		if !taken(try) {
			return try
		}
		try = id + "-" + strconv.Itoa(n)
	}
}

// parseDocument reads one document. The id of the credential is the short
// name of its type.
func parseDocument(text string, types *doctype.Catalogue) (query.Credential, error) {
	c := query.Credential{Format: query.FormatMdoc, NearestAge: true, Partial: true}
	name, list := splitType(text, types)
	t, known := typeOf(name, types)
	parts := strings.Split(list, ",")
	if len(parts) > maxElements {
		return c, bad("%d elements, at most %d", len(parts), maxElements)
	}
	elements := make([]element, len(parts))
	for i, part := range parts {
		e, err := parseElement(part)
		if err != nil {
			return c, err
		}
		elements[i] = e
	}
	if name == "" {
		var err error
		if t, err = inferType(elements, types); err != nil {
			return c, err
		}
		known = true
	}
	docType := name
	c.ID = "document"
	if known {
		docType, c.ID = t.DocType, t.ID
	} else if err := checkIdentifier("type", name); err != nil {
		return c, err
	}
	c.Types = []string{docType}
	for _, e := range elements {
		n, err := e.resolve(t, docType)
		if err != nil {
			return c, err
		}
		path := query.Element(n.Namespace, n.ID)
		if slices.ContainsFunc(c.Claims, func(cl query.Claim) bool { return cl.Path.Equal(path) }) {
			return c, bad("%s is asked for twice", n)
		}
		c.Claims = append(c.Claims, query.Claim{Path: path, Retain: e.keep})
	}
	return c, nil
}

// splitType parts the type from the elements, at the colon after a known type
// or else at the first. Name spaces may have colons too.
func splitType(text string, types *doctype.Catalogue) (name, list string) {
	for i, r := range text {
		if r != ':' {
			continue
		}
		if head := strings.TrimSpace(text[:i]); head != "" {
			if _, ok := typeOf(head, types); ok {
				return head, text[i+1:]
			}
		}
	}
	head, list, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(head, "/") {
		return "", text
	}
	return strings.TrimSpace(head), list
}

func typeOf(name string, types *doctype.Catalogue) (*doctype.Type, bool) {
	if t, ok := types.ByID(name); ok {
		return t, true
	}
	t, ok := types.ByDocType(name)
	return t, ok && t.DocType == name // an older spelling is asked for as it is
}

type element struct {
	nameSpace, id string
	keep          bool
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
