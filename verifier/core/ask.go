package core

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	maxCredentials  = 32  // alternatives and formats together
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
	OnSite  string `yaml:"onsite,omitempty" json:"onsite,omitempty"` // in the place of Ask, where people see each other; optional
	Purpose string `yaml:"purpose" json:"purpose"`
}

// onSite is the preset where people see each other.
func (p Preset) onSite() Preset {
	if p.OnSite != "" {
		p.Ask = p.OnSite
	}
	return p
}

//go:embed presets.yaml
var presetsFile []byte

var presets = sync.OnceValue(func() (list []Preset) {
	if err := yaml.Unmarshal(presetsFile, &list); err != nil {
		panic("core: presets.yaml: " + err.Error())
	}
	return list
})

// Presets are the built-in ones: age18, age21, identity, address, driving.
func Presets() []Preset { return slices.Clone(presets()) }

// ParseAsk reads a question. It is the name of a preset, or:
//
//	ask         = wanted *( ";" wanted )            ; all of these
//	wanted      = document *( "|" document )        ; one of these, the first preferred
//	document    = [ type [ "@" format ] ":" ] wish *( "," wish )
//	wish        = element *( " else " element )     ; the first that there is; once in a document
//	type        = short name, docType or vct
//	format      = "mdoc" / "sd-jwt"
//	element     = [ namespace "/" ] identifier [ "+" ]   ; "+": we mean to keep it
//
// A type by its short name is asked for in every format that has all of the
// elements, mdoc preferred; by its docType as an mdoc, by its vct as an SD-JWT
// VC. The elements are named as in the mdoc in both; of an SD-JWT VC a claim may
// also be named by its path, as in pid@sd-jwt:address/locality. Without a type
// the name spaces have to tell it. Spaces count nothing. Types that types does
// not know (nil: those built in) are asked for by docType and with name spaces,
// or by vct with "@sd-jwt" and with paths. extra are presets besides those built
// in, and go before them.
//
// Errors wrap ErrAsk and say what is wrong where.
func ParseAsk(text string, types *doctype.Catalogue, extra ...Preset) (Ask, error) {
	return parseAsk(text, types, slices.Concat(extra, presets()))
}

// ParseOnSite is ParseAsk for a question where people see each other: the presets
// then ask for the portrait too, by which to recognise who shows the document.
func ParseOnSite(text string, types *doctype.Catalogue, extra ...Preset) (Ask, error) {
	list := slices.Concat(extra, presets())
	for i, p := range list {
		list[i] = p.onSite()
	}
	return parseAsk(text, types, list)
}

func parseAsk(text string, types *doctype.Catalogue, presets []Preset) (Ask, error) {
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
	for _, p := range presets {
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

// OnSite is a query as a DeviceRequest can carry it best: only mdocs are asked
// for, what is no real choice needs no deviceRequestInfo, and where the mdoc does
// not understand choices (extended is false) only the first of each is asked
// for. The error, ErrAsk, says that no mdoc can answer.
//
// ISO/IEC 18013-5 second edition (draft v4), 9.1 and 10.2.5.
func OnSite(q query.Query, extended bool) (query.Query, error) {
	q, err := onlyMdocs(q)
	if err != nil {
		return q, err
	}
	q.Credentials = slices.Clone(q.Credentials)
	for i := range q.Credentials {
		standIns(&q.Credentials[i], extended)
	}
	choice := slices.ContainsFunc(q.Sets, func(s query.Set) bool { return len(s.Options) > 1 || !s.Required })
	if choice && extended {
		return q, nil
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
	return q, nil
}

// standIns says of sets of claims what a DeviceRequest can say: that others may
// stand in for a claim of the first set. Where the mdoc does not understand that,
// the first set alone is asked for.
//
// ISO/IEC 18013-5 second edition (draft v4), 10.2.4.
func standIns(c *query.Credential, extended bool) {
	if len(c.ClaimSets) == 0 {
		return
	}
	first := c.ClaimSets[0]
	var claims []query.Claim
	for _, i := range first {
		cl := c.Claims[i]
		cl.ID = ""
		for _, set := range c.ClaimSets[1:] {
			if !extended || slices.Contains(set, i) {
				continue
			}
			var instead []query.Path
			for _, j := range set {
				if !slices.Contains(first, j) {
					instead = append(instead, c.Claims[j].Path)
					cl.Retain = cl.Retain || c.Claims[j].Retain
				}
			}
			cl.Alternatives = append(cl.Alternatives, instead)
		}
		claims = append(claims, cl)
	}
	c.Claims, c.ClaimSets = claims, nil
}

// onlyMdocs leaves out what is of another format.
func onlyMdocs(q query.Query) (query.Query, error) {
	other := map[string]bool{}
	var mdocs []query.Credential
	for _, c := range q.Credentials {
		if c.Format != query.FormatMdoc {
			other[c.ID] = true
			continue
		}
		mdocs = append(mdocs, c)
	}
	refused := bad("on-site a document is shown as an mdoc, and the question wants one that is not")
	if len(mdocs) == 0 || len(other) > 0 && len(q.Sets) == 0 {
		return q, refused
	}
	var sets []query.Set
	for _, s := range q.Sets {
		s.Options = slices.DeleteFunc(slices.Clone(s.Options), func(o []string) bool {
			return slices.ContainsFunc(o, func(id string) bool { return other[id] })
		})
		switch {
		case len(s.Options) > 0:
			sets = append(sets, s)
		case s.Required:
			return q, refused
		}
	}
	q.Credentials, q.Sets = mdocs, sets
	return q, nil
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
			formats, err := parseDocument(a, types)
			if err != nil {
				return q, fmt.Errorf("document %d: %w", i+1, err)
			}
			for _, c := range formats {
				c.ID = freeID(q, c.ID)
				q.Credentials = append(q.Credentials, c)
				set.Options = append(set.Options, []string{c.ID})
			}
		}
		if len(q.Credentials) > maxCredentials {
			return q, bad("%d documents in all alternatives and formats, at most %d", len(q.Credentials), maxCredentials)
		}
		choice = choice || len(set.Options) > 1
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
