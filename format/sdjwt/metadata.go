package sdjwt

import (
	"fmt"
	"net/url"
	"strings"
)

// TypeMetadata describes a type of credential: what it is called, how it looks,
// which claims it has. encoding/json writes it.
//
// SD-JWT VC draft 18, 4.2.
type TypeMetadata struct {
	VCT              string          `json:"vct"`
	Name             string          `json:"name,omitempty"`        // for developers
	Description      string          `json:"description,omitempty"` // for developers
	Extends          string          `json:"extends,omitempty"`
	ExtendsIntegrity string          `json:"extends#integrity,omitempty"`
	Display          []TypeDisplay   `json:"display,omitempty"`
	Claims           []ClaimMetadata `json:"claims,omitempty"`
	// Category is what credentials of the type are for, Transactions which
	// transaction data they can authorise, by its type. Neither comes from a type
	// that this one extends. EUDI TS12 1.0.1, 4.1.
	Category     string                 `json:"category,omitempty"`
	Transactions map[string]Transaction `json:"transaction_data_types,omitempty"`
}

// CategorySCA is the category of credentials that strong customer authentication
// is done with. EUDI TS12 1.0.1, 3.
const CategorySCA = "urn:eu:europa:ec:eudi:sua:sca"

// Transaction is what is said of a type of transaction data.
//
// EUDI TS12 1.0.1, 4.1.
type Transaction struct {
	// Schema is the URN or URL of what its payload looks like. One that is
	// embedded as an object is left out when it is read.
	Schema string `json:"schema,omitempty"`
}

// TypeDisplay is what people see of a type in one language.
//
// SD-JWT VC draft 18, 4.5.
type TypeDisplay struct {
	Locale      string     `json:"locale"` // BCP 47
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Rendering   *Rendering `json:"rendering,omitempty"`
}

// Rendering is how a card looks. Methods that are not known are left out when
// it is read.
//
// SD-JWT VC draft 18, 4.5.1.
type Rendering struct {
	Simple       *SimpleRendering `json:"simple,omitempty"`
	SVGTemplates []SVGTemplate    `json:"svg_templates,omitempty"`
}

// SimpleRendering is the rendering method "simple". The colours are "#" and
// three, four, six or eight hexadecimal digits; others are left out when it is
// read.
type SimpleRendering struct {
	Logo            *Image `json:"logo,omitempty"`
	BackgroundImage *Image `json:"background_image,omitempty"`
	BackgroundColor string `json:"background_color,omitempty"`
	TextColor       string `json:"text_color,omitempty"`
}

// Image refers to an image: an https or data URL.
type Image struct {
	URI       string `json:"uri"`
	Integrity string `json:"uri#integrity,omitempty"`
	AltText   string `json:"alt_text,omitempty"` // logos only
}

// SVGTemplate refers to a template: an https or data URL. Its properties are
// "portrait" or "landscape", "light" or "dark", "normal" or "high"; empty if
// not given.
type SVGTemplate struct {
	URI        string         `json:"uri"`
	Integrity  string         `json:"uri#integrity,omitempty"`
	Properties *SVGProperties `json:"properties,omitempty"`
}

// SVGProperties say what a template is made for.
type SVGProperties struct {
	Orientation string `json:"orientation,omitempty"`
	ColorScheme string `json:"color_scheme,omitempty"`
	Contrast    string `json:"contrast,omitempty"`
}

// ClaimMetadata describes the claims that a path selects.
//
// SD-JWT VC draft 18, 4.6.
type ClaimMetadata struct {
	Path      Path           `json:"path"`
	Display   []ClaimDisplay `json:"display,omitempty"`
	Mandatory *bool          `json:"mandatory,omitempty"` // nil is false, unless an extended type says true
	SD        SD             `json:"sd,omitempty"`        // empty is allowed, unless an extended type says otherwise
	SVGID     string         `json:"svg_id,omitempty"`
}

// ClaimDisplay is what people see of a claim in one language.
type ClaimDisplay struct {
	Locale      string `json:"locale"`
	Label       string `json:"label"`
	Description string `json:"description,omitempty"`
}

// Limits of type metadata from outside.
const (
	maxMetadata = 256 << 10 // bytes
	maxMembers  = 20_000
	maxClaims   = 1024
	maxLocales  = 64
	maxText     = 4096    // bytes of a text
	maxDataURL  = 200_000 // bytes of an image in the document itself

	maxTransactionTypes = 64
)

// ParseTypeMetadata reads a type metadata document. It refuses, with
// [ErrMetadata], what breaks the structure, duplicate members and references
// that are neither https nor data URLs; what it does not know it ignores.
// "lang" of drafts up to 11 is taken for "locale".
//
// SD-JWT VC draft 18, 4.2 and 4.6.
func ParseTypeMetadata(document []byte) (*TypeMetadata, error) {
	lim := Limits{Bytes: maxMetadata, Depth: 16, Members: maxMembers}
	r := reader{plain: true, members: maxMembers}
	root, err := r.readJSON(document, lim)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if root.kind != '{' {
		return nil, fmt.Errorf("%w: no JSON object (SD-JWT VC draft 18, 4.2)", ErrMetadata)
	}
	var m TypeMetadata
	p := metadataReader{}
	p.need(root, "vct", &m.VCT)
	p.text(root, "name", &m.Name)
	p.text(root, "description", &m.Description)
	p.text(root, "extends", &m.Extends)
	p.integrity(root, "extends#integrity", &m.ExtendsIntegrity)
	p.list(root, "display", maxLocales, func(n *node) { m.Display = append(m.Display, p.typeDisplay(n)) })
	p.list(root, "claims", maxClaims, func(n *node) { m.Claims = append(m.Claims, p.claim(n)) })
	p.distinctClaims(m.Claims)
	p.text(root, "category", &m.Category)
	if o := p.object(root, "transaction_data_types"); o != nil {
		m.Transactions = p.transactions(o)
	}
	if p.err != nil {
		return nil, p.err
	}
	return &m, nil
}

// metadataReader takes a document apart and keeps the first error.
type metadataReader struct{ err error }

func (p *metadataReader) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: "+format, append([]any{ErrMetadata}, args...)...)
	}
}

// text moves a string member, if there is one.
func (p *metadataReader) text(n *node, name string, into *string) {
	p.upTo(maxText, n, name, into)
}

func (p *metadataReader) upTo(limit int, n *node, name string, into *string) {
	v := n.member(name)
	if v == nil {
		return
	}
	s, ok := v.text()
	if !ok || len(s) > limit {
		p.fail("%q is no text of at most %d bytes", name, limit)
		return
	}
	*into = s
}

// need moves a string member that must be there and not be empty.
func (p *metadataReader) need(n *node, name string, into *string) {
	p.text(n, name, into)
	if *into == "" {
		p.fail("no %q", name)
	}
}

func (p *metadataReader) integrity(n *node, name string, into *string) {
	p.text(n, name, into)
	if *into == "" {
		return
	}
	if _, _, err := strongest(*into); err != nil {
		p.fail("%q: %w", name, err)
	}
}

// list calls f for each object of an array, if there is one.
func (p *metadataReader) list(n *node, name string, limit int, f func(*node)) {
	v := n.member(name)
	if v == nil {
		return
	}
	if v.kind != '[' || len(v.elements) > limit {
		p.fail("%q is no array of at most %d objects", name, limit)
		return
	}
	for i := range v.elements {
		if v.elements[i].value.kind != '{' {
			p.fail("%q with an element that is no object", name)
			return
		}
		f(v.elements[i].value)
	}
}

// object returns an object member, nil if there is none.
func (p *metadataReader) object(n *node, name string) *node {
	v := n.member(name)
	if v != nil && v.kind != '{' {
		p.fail("%q is no object", name)
		return nil
	}
	return v
}

// locale moves the language tag. RFC 5646, 2.1, looked at for its characters.
func (p *metadataReader) locale(n *node, into *string) {
	p.text(n, "locale", into)
	if *into == "" {
		p.text(n, "lang", into)
	}
	ok := *into != "" && len(*into) <= 64
	for _, part := range strings.Split(*into, "-") {
		ok = ok && part != "" && len(part) <= 8
	}
	for _, c := range *into {
		ok = ok && (c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}
	if !ok {
		p.fail("\"locale\" is no language tag (RFC 5646, 2.1)")
	}
}

func (p *metadataReader) typeDisplay(n *node) TypeDisplay {
	var d TypeDisplay
	p.locale(n, &d.Locale)
	p.need(n, "name", &d.Name)
	p.text(n, "description", &d.Description)
	if r := p.object(n, "rendering"); r != nil {
		d.Rendering = &Rendering{}
		if s := p.object(r, "simple"); s != nil {
			d.Rendering.Simple = &SimpleRendering{
				Logo: p.image(s, "logo"), BackgroundImage: p.image(s, "background_image"),
				BackgroundColor: p.colour(s, "background_color"), TextColor: p.colour(s, "text_color"),
			}
		}
		p.list(r, "svg_templates", maxLocales, func(t *node) {
			d.Rendering.SVGTemplates = append(d.Rendering.SVGTemplates, p.template(t))
		})
		if list := d.Rendering.SVGTemplates; len(list) > 1 {
			for _, t := range list {
				if t.Properties == nil {
					p.fail("several templates, one without properties (SD-JWT VC draft 18, 4.5.1.2)")
				}
			}
		}
	}
	return d
}

func (p *metadataReader) uri(n *node, into *string) {
	p.upTo(maxDataURL, n, "uri", into)
	u, err := url.Parse(*into)
	if err != nil || u.Scheme != "data" && (u.Scheme != "https" || u.Host == "") {
		p.fail("\"uri\" is neither https nor data URL (SD-JWT VC draft 18, 4.5.1)")
	}
}

func (p *metadataReader) image(n *node, name string) *Image {
	o := p.object(n, name)
	if o == nil {
		return nil
	}
	var i Image
	p.uri(o, &i.URI)
	p.integrity(o, "uri#integrity", &i.Integrity)
	p.text(o, "alt_text", &i.AltText)
	return &i
}

func (p *metadataReader) colour(n *node, name string) string {
	var s string
	p.text(n, name, &s)
	if len(s) != 4 && len(s) != 5 && len(s) != 7 && len(s) != 9 || s[0] != '#' || strings.Trim(s[1:], "0123456789abcdefABCDEF") != "" {
		return "" // it would end up in a style sheet
	}
	return s
}

func (p *metadataReader) template(n *node) SVGTemplate {
	var t SVGTemplate
	p.uri(n, &t.URI)
	p.integrity(n, "uri#integrity", &t.Integrity)
	if o := p.object(n, "properties"); o != nil {
		t.Properties = &SVGProperties{
			Orientation: p.oneOf(o, "orientation", "portrait", "landscape"),
			ColorScheme: p.oneOf(o, "color_scheme", "light", "dark"),
			Contrast:    p.oneOf(o, "contrast", "normal", "high"),
		}
		if *t.Properties == (SVGProperties{}) {
			p.fail("\"properties\" without any (SD-JWT VC draft 18, 4.5.1.2.1)")
		}
	}
	return t
}

func (p *metadataReader) oneOf(n *node, name, a, b string) string {
	var s string
	p.text(n, name, &s)
	if s != "" && s != a && s != b {
		p.fail("%q is neither %q nor %q (SD-JWT VC draft 18, 4.5.1.2.1)", name, a, b)
	}
	return s
}

func (p *metadataReader) claim(n *node) ClaimMetadata {
	var c ClaimMetadata
	var err error
	if c.Path, err = pathOf(n.member("path")); err != nil {
		p.fail("%w", err)
	}
	p.list(n, "display", maxLocales, func(n *node) {
		var d ClaimDisplay
		p.locale(n, &d.Locale)
		p.need(n, "label", &d.Label)
		p.text(n, "description", &d.Description)
		c.Display = append(c.Display, d)
	})
	if v := n.member("mandatory"); v != nil {
		if v.raw != "true" && v.raw != "false" {
			p.fail("\"mandatory\" is no boolean (SD-JWT VC draft 18, 4.6.3)")
		}
		mandatory := v.raw == "true"
		c.Mandatory = &mandatory
	}
	if v := n.member("sd"); v != nil {
		s, _ := v.text()
		if c.SD = SD(s); c.SD != Always && c.SD != Allowed && c.SD != Never {
			p.fail("\"sd\" is not always, allowed or never (SD-JWT VC draft 18, 4.6.4)")
		}
	}
	if n.member("svg_id") != nil {
		p.need(n, "svg_id", &c.SVGID)
		for i, r := range c.SVGID {
			if r != '_' && !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') && (i == 0 || r < '0' || r > '9') {
				p.fail("\"svg_id\" with other characters than letters, digits and underscores, or a digit first (SD-JWT VC draft 18, 4.6)")
			}
		}
	}
	return c
}

// transactions reads the types of transaction data. EUDI TS12 1.0.1, 4.1.
func (p *metadataReader) transactions(o *node) map[string]Transaction {
	out := make(map[string]Transaction, len(o.members))
	if len(o.members) > maxTransactionTypes {
		p.fail("\"transaction_data_types\" has more than %d members", maxTransactionTypes)
		return nil
	}
	for _, m := range o.members {
		if m.value.kind != '{' {
			p.fail("\"transaction_data_types\" with a member that is no object")
			return nil
		}
		var t Transaction
		embedded, uri := m.value.member("schema"), m.value.member("schema_uri")
		switch {
		case embedded != nil && uri != nil:
			p.fail("both \"schema\" and \"schema_uri\" (EUDI TS12 1.0.1, 4.1)")
		case uri != nil:
			p.text(m.value, "schema_uri", &t.Schema)
		case embedded != nil && embedded.kind != '{':
			p.text(m.value, "schema", &t.Schema)
		}
		out[m.name] = t
	}
	return out
}

// distinctClaims refuses two objects with one path or one svg_id.
func (p *metadataReader) distinctClaims(claims []ClaimMetadata) {
	paths, ids := make(map[string]bool, len(claims)), make(map[string]bool, len(claims))
	for i := range claims {
		path, id := claims[i].Path.String(), claims[i].SVGID
		if paths[path] {
			p.fail("two objects for path %s", path)
		}
		if id != "" && ids[id] {
			p.fail("\"svg_id\" %q twice (SD-JWT VC draft 18, 4.6)", id)
		}
		paths[path], ids[id] = true, true
	}
}
