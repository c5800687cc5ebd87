// Package doctype knows types of identity document as data: which elements a
// document type has, how each is encoded and called, what can be derived from
// what, and which older spellings a reader must still accept.
//
// A document type is one YAML file. Three are built in: the mobile driving
// licence (ISO/IEC 18013-5), the European person identification data (EU PID)
// and the Photo ID of ISO/IEC TS 23220-4. Another one is loaded from a file
// with [Load] and needs no code.
//
// A value travels in three forms: as text (what a registry or a form holds,
// see [Shape.ParseText]), as a Go value (see [Shape.Encode]) and as CBOR (what
// is signed). Nothing here knows persons, keys or time: the caller passes the
// instant that ages are computed for.
package doctype

import (
	"maps"
	"slices"
	"strings"
)

// Kind says what an element value is: its CBOR type together with the rule
// that narrows it.
type Kind string

// The kinds. In brackets the Go value that Decode returns and Encode accepts.
const (
	Text        Kind = "tstr"        // UTF-8 text of at most 150 characters [string]
	Latin1      Kind = "latin1"      // text of ISO/IEC 8859-1 characters, at most 150 [string]
	Alpha2      Kind = "alpha-2"     // two-letter country code of ISO 3166-1 [string]
	Country     Kind = "country"     // two- or three-letter country code of ISO 3166-1 [string]
	Subdivision Kind = "subdivision" // code of ISO 3166-2, "DE-BY" [string]
	Email       Kind = "email"       // RFC 5322 addr-spec, checked for shape only [string]
	Phone       Kind = "phone"       // "+" and digits [string]
	Mask        Kind = "date-mask"   // eight digits 0 or 1, 1 marks a masked digit of YYYYMMDD [string]
	Uint        Kind = "uint"        // unsigned integer [uint64]
	Bool        Kind = "bool"        // true or false [bool]
	FullDate    Kind = "full-date"   // tag 1004, a calendar day [cbor.FullDate]
	TDate       Kind = "tdate"       // tag 0, an instant without fraction, in UTC [cbor.TDate]
	JPEG        Kind = "jpeg"        // byte string holding a JPEG image [[]byte]
	Image       Kind = "image"       // byte string holding a JPEG or JPEG 2000 image [[]byte]
	Bytes       Kind = "bstr"        // byte string [[]byte]
	Array       Kind = "array"       // array of one shape [[]any]
	Map         Kind = "map"         // map with text keys, see Members [map[string]any]
)

// Presence says whether an issuer must put an element into a document. It
// binds issuing only: a holder may always disclose less.
type Presence string

// The presences.
const (
	Mandatory   Presence = "mandatory"
	Optional    Presence = "optional"
	Recommended Presence = "recommended"
	Conditional Presence = "conditional" // mandatory when the condition of When holds
	Retired     Presence = "retired"     // of an older edition: accepted by readers, never issued
)

// Name identifies an element: the namespace and the data element identifier,
// compared byte for byte.
type Name struct {
	Namespace string
	ID        string
}

// String returns "namespace/id".
func (n Name) String() string { return n.Namespace + "/" + n.ID }

// Names holds one text in several languages, keyed by BCP 47 language tag.
type Names map[string]string

// Languages lists the language tags, English first.
func (n Names) Languages() []string {
	tags := slices.Sorted(maps.Keys(n))
	if i := slices.Index(tags, "en"); i > 0 {
		tags = append([]string{"en"}, slices.Delete(tags, i, i+1)...)
	}
	return tags
}

// Locale writes a language tag in the usual case, as in de-AT. RFC 5646, 2.1.1.
func Locale(tag string) string {
	parts := strings.Split(strings.ToLower(tag), "-")
	for i, p := range parts[1:] {
		switch len(p) {
		case 2:
			parts[i+1] = strings.ToUpper(p)
		case 4:
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "-")
}

// In returns the text for the language, or else for its base language, or
// else in English, or else the empty string.
func (n Names) In(lang string) string {
	lang = strings.ToLower(lang)
	for lang != "" {
		if s, ok := n[lang]; ok {
			return s
		}
		i := strings.LastIndexByte(lang, '-')
		if i < 0 {
			break
		}
		lang = lang[:i]
	}
	return n["en"]
}

// Shape describes a value. Elements, members of maps and entries of arrays
// have one.
type Shape struct {
	// Kind is the kind of the value.
	Kind Kind `yaml:"type"`
	// Max is the greatest number of characters of a text, of bytes of a byte
	// string or of entries of an array. Optional: 150 characters, 256 KiB,
	// 64 entries.
	Max int `yaml:"max,omitempty"`
	// Empty allows a text, byte string, array or map with nothing in it.
	Empty bool `yaml:"empty,omitempty"`
	// Values lists the only values that a text or an unsigned integer may
	// have, each with its names. Optional.
	Values []Choice `yaml:"values,omitempty"`
	// Of is the shape of the entries of an array.
	Of *Shape `yaml:"of,omitempty"`
	// Members are the members of a map, in the order they are encoded.
	Members []Member `yaml:"members,omitempty"`
	// Or lists further shapes that may be written and read. What is encoded
	// takes the first shape that fits.
	Or []Shape `yaml:"or,omitempty"`
	// Accept lists further shapes that are only read: of older editions.
	Accept []Shape `yaml:"accept,omitempty"`
}

// Choice is one value of an enumeration.
type Choice struct {
	// Value is the text, or the unsigned integer in decimal.
	Value string `yaml:"value"`
	// Names is what people read.
	Names Names `yaml:"names"`
}

// Member is a member of a map.
type Member struct {
	ID       string   `yaml:"id"`
	Presence Presence `yaml:"presence,omitempty"` // Mandatory or Optional; empty is Optional
	Names    Names    `yaml:"names"`
	Shape    `yaml:",inline"`
}

// Element is a data element of a document type.
type Element struct {
	// ID is the data element identifier. In a type it may end in the
	// wildcard named by Wild; what [Type.Element] returns is always concrete.
	ID string `yaml:"id"`
	// Namespace is filled in when the type is loaded.
	Namespace string `yaml:"-"`
	// Wild says that ID ends in a wildcard: "NN", two decimal digits, or
	// "xx", one or more lower-case letters, digits and underscores. In Names
	// "{}" stands for what it matched.
	Wild string `yaml:"wild,omitempty"`
	// Presence is when an issuer must provide the element; empty is Optional.
	Presence Presence `yaml:"presence,omitempty"`
	// When is the condition of a conditional element: "namespace" (some
	// element of its namespace is present) or "namespace-name/id". A
	// conditional element without When has a condition that cannot be
	// checked by machine.
	When string `yaml:"when,omitempty"`
	// Names is the label in several languages.
	Names Names `yaml:"names"`
	// Portrait marks the image by which a verifier binds the holder.
	Portrait bool `yaml:"portrait,omitempty"`
	// Sensitive asks for particular care before it is disclosed or kept:
	// biometric data, numbers that link records, whole chip contents.
	Sensitive bool `yaml:"sensitive,omitempty"`
	// Hidden values are never shown as text, only named.
	Hidden bool `yaml:"hidden,omitempty"`
	// Claim is the path of the claim in an SD-JWT VC: member names, "[]" for
	// every entry of an array. Empty where the type has no such form.
	Claim []string `yaml:"claim,omitempty,flow"`
	// Aliases are other names that a reader accepts for the same value.
	Aliases []string `yaml:"aliases,omitempty,flow"`
	Shape   `yaml:",inline"`
}

// Name returns the namespace and identifier of the element.
func (e Element) Name() Name { return Name{e.Namespace, e.ID} }

// Label returns what people call the element in the language.
func (e Element) Label(lang string) string {
	if s := e.Names.In(lang); s != "" {
		return s
	}
	return e.ID
}

// Namespace is a namespace with its elements in definition order, which is
// also the order of display and of issuing.
type Namespace struct {
	Name string `yaml:"name"`
	// Closed says that only the listed elements may be used in it.
	Closed   bool      `yaml:"closed,omitempty"`
	Elements []Element `yaml:"elements"`
}

// Spelling is another docType under which documents of a type are still in
// use. Readers accept it, nobody issues it.
type Spelling struct {
	DocType string `yaml:"docType"`
	// Namespaces maps its namespaces to those of the type; "*" says that
	// elements of all namespaces of the type may be found in it.
	Namespaces map[string]string `yaml:"namespaces,omitempty"`
}

// Type is the definition of a document type. It is not changed after loading
// and may be used by several goroutines.
type Type struct {
	// ID is the short name, lower-case letters and digits: "mdl".
	ID string `yaml:"id"`
	// DocType is the document type as it stands in an mdoc.
	DocType string `yaml:"docType"`
	// Version is the edition of the definition, for people.
	Version string `yaml:"version"`
	// Source says where the definition comes from.
	Source string `yaml:"source"`
	// VCT is the type of the SD-JWT VC form; empty if there is none.
	VCT   string `yaml:"vct,omitempty"`
	Names Names  `yaml:"names"`
	// Authorises are the types of transaction data that documents of the type can
	// authorise, such as urn:eudi:sca:payment:1, which makes it an SCA
	// attestation. Optional, none. EUDI TS12 1.0.1, 4.1.
	Authorises []string `yaml:"authorises,omitempty,flow"`
	// NeverAuthorises says that no document of the type may authorise
	// transaction data of any type.
	NeverAuthorises bool `yaml:"neverAuthorises,omitempty"`
	// Colours of the card face as "#rrggbb".
	Background string `yaml:"background,omitempty"`
	Foreground string `yaml:"foreground,omitempty"`
	// Accept lists the other spellings of the docType.
	Accept     []Spelling  `yaml:"accept,omitempty"`
	Namespaces []Namespace `yaml:"namespaces"`
	// Rules say what is derived, see [Type.Derive].
	Rules []Rule `yaml:"derive,omitempty"`

	index      map[Name]*Element // concrete names and aliases
	wild       []*Element        // elements whose ID ends in a wildcard
	namespaces map[string]string // other spellings of namespaces, "*" as in Spelling
}

// Values are element values by name: a string is the text form of any kind,
// other values are as the [Kind] says.
type Values map[Name]any

// Element finds an element by namespace and identifier, or by an older
// spelling of either; wildcards are resolved: age_over_18 finds age_over_NN
// and returns it with ID age_over_18. The returned names are those of the
// definition.
func (t *Type) Element(namespace, id string) (Element, bool) {
	if e, ok := t.inNamespace(namespace, id); ok {
		return e, true
	}
	switch ns := t.namespaces[namespace]; ns {
	case "":
		return Element{}, false
	case "*":
		for i := range t.Namespaces {
			if e, ok := t.inNamespace(t.Namespaces[i].Name, id); ok {
				return e, true
			}
		}
		return Element{}, false
	default:
		return t.inNamespace(ns, id)
	}
}

func (t *Type) inNamespace(namespace, id string) (Element, bool) {
	if e, ok := t.index[Name{namespace, id}]; ok && e.Wild == "" {
		return *e, true
	}
	for _, e := range t.wild {
		stem := strings.TrimSuffix(e.ID, e.Wild)
		match, ok := strings.CutPrefix(id, stem)
		if !ok || e.Namespace != namespace || !wildMatch(e.Wild, match) {
			continue
		}
		found := *e
		found.ID, found.Wild = id, ""
		found.Names = make(Names, len(e.Names))
		for lang, name := range e.Names {
			found.Names[lang] = strings.ReplaceAll(name, "{}", match)
		}
		found.Claim = slices.Clone(e.Claim)
		for i := range found.Claim {
			found.Claim[i] = strings.Replace(found.Claim[i], e.Wild, match, 1)
		}
		return found, true
	}
	return Element{}, false
}

// The wildcards.
const (
	wildDigits = "NN"
	wildName   = "xx"
)

// wildMatch reports whether the wildcard may stand for the text.
func wildMatch(wild, text string) bool {
	if wild == wildDigits {
		return len(text) == 2 && only(text, isDigit)
	}
	return text != "" && only(text, func(c byte) bool { return isDigit(c) || c == '_' || c >= 'a' && c <= 'z' })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Portrait returns the element by which a verifier binds the holder.
func (t *Type) Portrait() (Element, bool) {
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			if e := t.Namespaces[i].Elements[j]; e.Portrait {
				return e, true
			}
		}
	}
	return Element{}, false
}
