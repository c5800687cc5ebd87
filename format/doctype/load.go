package doctype

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ErrDefinition says that a type definition is not valid. It is wrapped with
// the place and the rule.
var ErrDefinition = errors.New("doctype: definition not valid")

// Limits of definitions.
const (
	maxDefinition = 256 << 10
	maxElements   = 512
	maxDepth      = 4 // of arrays and maps in a shape
	maxName       = 128
)

// Load decodes and checks a type definition: YAML, at most 256 KiB, known
// fields only, see [Type] for the fields. The error wraps ErrDefinition and
// names the line or the element.
func Load(data []byte) (*Type, error) {
	if len(data) > maxDefinition {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrDefinition, len(data), maxDefinition)
	}
	var t Type
	if err := yaml.Load(data, &t, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDefinition, err)
	}
	if err := t.prepare(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDefinition, err)
	}
	return &t, nil
}

// prepare checks the definition and builds its look-up tables.
func (t *Type) prepare() error {
	switch {
	case !isWord(t.ID):
		return fmt.Errorf("id: wanted lower-case letters and digits")
	case !isIdentifier(t.DocType):
		return fmt.Errorf("docType: missing, too long or with spaces")
	case t.Version == "":
		return fmt.Errorf("version: missing")
	case t.Source == "":
		return fmt.Errorf("source: missing")
	case t.Background != "" && !isColour(t.Background), t.Foreground != "" && !isColour(t.Foreground):
		return fmt.Errorf("background, foreground: wanted #rrggbb")
	case len(t.Namespaces) == 0:
		return fmt.Errorf("namespaces: none")
	}
	if err := t.checkAuthorises(); err != nil {
		return err
	}
	if err := checkNames(t.Names); err != nil {
		return err
	}
	if err := t.prepareElements(); err != nil {
		return err
	}
	if err := t.prepareConditions(); err != nil {
		return err
	}
	if err := t.prepareSpellings(); err != nil {
		return err
	}
	return t.prepareRules()
}

// maxAuthorises is how many types of transaction data a type can list.
const maxAuthorises = 16

// checkAuthorises checks the types of transaction data.
func (t *Type) checkAuthorises() error {
	switch {
	case t.NeverAuthorises && len(t.Authorises) > 0:
		return fmt.Errorf("authorises: together with neverAuthorises")
	case t.VCT == "" && len(t.Authorises) > 0:
		return fmt.Errorf("authorises: goes with a vct (EUDI TS12 1.0.1, 1.2)")
	case len(t.Authorises) > maxAuthorises:
		return fmt.Errorf("authorises: %d types, at most %d", len(t.Authorises), maxAuthorises)
	}
	for i, name := range t.Authorises {
		if !isIdentifier(name) || slices.Contains(t.Authorises[:i], name) {
			return fmt.Errorf("authorises: a type is missing, too long, with spaces or given twice")
		}
	}
	return nil
}

// prepareElements checks the elements and indexes them with their aliases.
func (t *Type) prepareElements() error {
	t.index = map[Name]*Element{}
	seen := map[string]bool{}
	portraits := 0
	for i := range t.Namespaces {
		ns := &t.Namespaces[i]
		if !isIdentifier(ns.Name) || strings.Contains(ns.Name, "/") || seen[ns.Name] {
			return fmt.Errorf("namespace %d: name missing, with spaces or given twice", i+1)
		}
		seen[ns.Name] = true
		if len(ns.Elements) == 0 || len(ns.Elements) > maxElements {
			return fmt.Errorf("%s: %d elements, wanted 1 to %d", ns.Name, len(ns.Elements), maxElements)
		}
		for j := range ns.Elements {
			e := &ns.Elements[j]
			e.Namespace = ns.Name
			if err := e.prepare(); err != nil {
				return fmt.Errorf("element %s: %w", e.Name(), err)
			}
			if t.index[e.Name()] != nil {
				return fmt.Errorf("element %s: given twice", e.Name())
			}
			t.index[e.Name()] = e
			if e.Wild != "" {
				t.wild = append(t.wild, e)
			}
			if e.Portrait {
				portraits++
			}
		}
	}
	if portraits > 1 {
		return fmt.Errorf("%d elements are marked as the portrait, wanted at most one", portraits)
	}
	return t.prepareAliases()
}

func (t *Type) prepareAliases() error {
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			e := &t.Namespaces[i].Elements[j]
			for _, alias := range e.Aliases {
				n := Name{e.Namespace, alias}
				if ns, id, ok := cutName(alias); ok {
					n = Name{ns, id}
				}
				if !isIdentifier(n.ID) || t.index[n] != nil || e.Wild != "" {
					return fmt.Errorf("element %s: alias missing, taken, or of a wildcard", e.Name())
				}
				t.index[n] = e
			}
		}
	}
	return nil
}

// prepare checks one element and fills in what was left out.
func (e *Element) prepare() error {
	if !isIdentifier(e.ID) || strings.Contains(e.ID, "/") {
		return fmt.Errorf("id: missing, too long or with spaces")
	}
	switch e.Wild {
	case "":
	case wildDigits, wildName:
		if !strings.HasSuffix(e.ID, e.Wild) || len(e.ID) == len(e.Wild) {
			return fmt.Errorf("wild: id does not end in %s", e.Wild)
		}
	default:
		return fmt.Errorf("wild: wanted %s or %s", wildDigits, wildName)
	}
	switch e.Presence {
	case "":
		e.Presence = Optional
	case Mandatory:
		if e.Wild != "" {
			return fmt.Errorf("presence: a wildcard cannot be mandatory")
		}
	case Optional, Recommended, Conditional, Retired:
	default:
		return fmt.Errorf("presence: wanted mandatory, optional, recommended, conditional or retired")
	}
	if e.When != "" && e.Presence != Conditional {
		return fmt.Errorf("when: only for conditional elements")
	}
	if e.Portrait && e.Kind != JPEG && e.Kind != Image {
		return fmt.Errorf("portrait: wanted type jpeg or image")
	}
	for _, step := range e.Claim {
		if step == "" {
			return fmt.Errorf("claim: empty step")
		}
	}
	if err := checkNames(e.Names); err != nil {
		return err
	}
	return e.Shape.prepare(0)
}

// prepare checks a shape, down to its parts.
func (s *Shape) prepare(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if s.Max < 0 || s.Max > 8<<20 {
		return fmt.Errorf("max: out of range")
	}
	if (s.Of != nil) != (s.Kind == Array) {
		return fmt.Errorf("of: wanted for arrays and only there")
	}
	if (len(s.Members) > 0) != (s.Kind == Map) {
		return fmt.Errorf("members: wanted for maps and only there")
	}
	if len(s.Values) > 0 && s.Kind != Uint && !s.Kind.isText() {
		return fmt.Errorf("values: only for texts and uint")
	}
	switch s.Kind {
	case Text, Latin1, Alpha2, Country, Subdivision, Email, Phone, Mask,
		Uint, Bool, FullDate, TDate, JPEG, Image, Bytes, Array, Map:
	default:
		return fmt.Errorf("type: missing or unknown")
	}
	if err := s.prepareValues(); err != nil {
		return err
	}
	if s.Of != nil {
		if err := s.Of.prepare(depth + 1); err != nil {
			return fmt.Errorf("of: %w", err)
		}
	}
	seen := map[string]bool{}
	for i := range s.Members {
		m := &s.Members[i]
		if !isIdentifier(m.ID) || seen[m.ID] {
			return fmt.Errorf("member %d: id missing or given twice", i+1)
		}
		seen[m.ID] = true
		if m.Presence != "" && m.Presence != Optional && m.Presence != Mandatory {
			return fmt.Errorf("member %s: presence: wanted mandatory or optional", m.ID)
		}
		if err := checkNames(m.Names); err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
		if err := m.Shape.prepare(depth + 1); err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
	}
	for _, more := range [...][]Shape{s.Or, s.Accept} {
		for i := range more {
			if err := more[i].prepare(depth + 1); err != nil {
				return fmt.Errorf("or, accept: %w", err)
			}
		}
	}
	return nil
}

func (s *Shape) prepareValues() error {
	seen := map[string]bool{}
	for _, c := range s.Values {
		if s.Kind == Uint {
			if n, err := strconv.ParseUint(c.Value, 10, 64); err != nil || strconv.FormatUint(n, 10) != c.Value {
				return fmt.Errorf("values: wanted unsigned decimal numbers")
			}
		}
		if c.Value == "" || seen[c.Value] {
			return fmt.Errorf("values: one is empty or given twice")
		}
		seen[c.Value] = true
		if err := checkNames(c.Names); err != nil {
			return fmt.Errorf("values: %w", err)
		}
	}
	return nil
}

// prepareConditions checks that conditions name elements of the type.
func (t *Type) prepareConditions() error {
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			e := &t.Namespaces[i].Elements[j]
			if e.When == "" || e.When == whenNamespace {
				continue
			}
			ns, id, ok := cutName(e.When)
			if !ok || t.index[Name{ns, id}] == nil {
				return fmt.Errorf("element %s: when: wanted %q or namespace/id of the type", e.Name(), whenNamespace)
			}
		}
	}
	return nil
}

func (t *Type) prepareSpellings() error {
	t.namespaces = map[string]string{}
	for _, s := range t.Accept {
		if !isIdentifier(s.DocType) {
			return fmt.Errorf("accept: docType missing, too long or with spaces")
		}
		for old, current := range s.Namespaces {
			known := current == "*"
			for i := range t.Namespaces {
				known = known || t.Namespaces[i].Name == current
			}
			if !known || !isIdentifier(old) || old == current || t.namespaces[old] != "" && t.namespaces[old] != current {
				return fmt.Errorf("accept %s: namespace %s: target unknown or contradictory", s.DocType, old)
			}
			t.namespaces[old] = current
		}
	}
	return nil
}

// prepareRules resolves the names in the rules and checks their types.
func (t *Type) prepareRules() error {
	for i := range t.Rules {
		r := &t.Rules[i]
		if err := t.prepareRule(r); err != nil {
			return fmt.Errorf("derive rule %d (%s): %w", i+1, r.Rule, err)
		}
	}
	return nil
}

func (t *Type) prepareRule(r *Rule) error {
	to, err := t.resolve(r.To)
	if err != nil {
		return fmt.Errorf("to: %w", err)
	}
	r.to = to.Name()
	if r.Rule == RuleConstant {
		if r.From != "" || len(r.Ages) > 0 || r.Around || r.Member != "" {
			return fmt.Errorf("only to and value apply")
		}
		_, err := to.ParseText(r.Value)
		return err
	}
	from, err := t.resolve(r.From)
	if err != nil {
		return fmt.Errorf("from: %w", err)
	}
	r.from = from.Name()
	for _, nn := range r.Ages {
		if nn < 0 || nn > 99 {
			return fmt.Errorf("ages: wanted 0 to 99")
		}
	}
	if r.Rule != RuleAgeOver && (len(r.Ages) > 0 || r.Around) {
		return fmt.Errorf("ages and around apply to %s only", RuleAgeOver)
	}
	wanted := Bool
	switch r.Rule {
	case RuleAgeOver:
		if r.to.ID != "age_over_NN" || len(r.Ages) == 0 && !r.Around {
			return fmt.Errorf("wanted to: age_over_NN with ages or around")
		}
	case RuleAgeInYears, RuleBirthYear:
		wanted = Uint
	case RuleEquals, RuleContains:
		if r.Value == "" || (r.Member != "") != (r.Rule == RuleContains) || to.Wild != "" {
			return fmt.Errorf("wanted a value, a member with %s only, and no wildcard", RuleContains)
		}
	default:
		return fmt.Errorf("unknown rule")
	}
	if to.Kind != wanted {
		return fmt.Errorf("to: wanted type %s", wanted)
	}
	return nil
}

// resolve finds the element that "namespace/id" or an unambiguous "id" names.
func (t *Type) resolve(s string) (*Element, error) {
	if ns, id, ok := cutName(s); ok {
		if e := t.index[Name{ns, id}]; e != nil && e.ID == id {
			return e, nil
		}
		return nil, fmt.Errorf("no element %s", s)
	}
	var found *Element
	for i := range t.Namespaces {
		if e := t.index[Name{t.Namespaces[i].Name, s}]; e != nil && e.ID == s && e.Namespace == t.Namespaces[i].Name {
			if found != nil {
				return nil, fmt.Errorf("several elements %s, name the namespace", s)
			}
			found = e
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no element %q", s)
	}
	return found, nil
}

// Resolve returns the name of the element that "namespace/id" or, where
// unambiguous, "id" stands for; wildcards are allowed to be resolved already.
func (t *Type) Resolve(s string) (Name, error) {
	e, err := t.resolve(s)
	if err == nil {
		return e.Name(), nil
	}
	if ns, id, ok := cutName(s); ok {
		if e, ok := t.Element(ns, id); ok && e.Name() == (Name{ns, id}) {
			return e.Name(), nil
		}
	}
	return Name{}, err
}

// checkNames asks for an English name and for language tags in lower case.
func checkNames(n Names) error {
	if n["en"] == "" {
		return fmt.Errorf("names: no English name")
	}
	for lang, name := range n {
		if lang == "" || strings.ToLower(lang) != lang || name == "" || len(name) > 200 {
			return fmt.Errorf("names: tag not in lower case, or name empty or too long")
		}
	}
	return nil
}

func isWord(s string) bool {
	return s != "" && len(s) <= 32 && only(s, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'z' })
}

// isIdentifier allows the printable ASCII characters but space.
func isIdentifier(s string) bool {
	return s != "" && len(s) <= maxName && only(s, func(c byte) bool { return c > ' ' && c < 0x7f })
}

func isColour(s string) bool {
	return len(s) == 7 && s[0] == '#' && only(s[1:], func(c byte) bool {
		return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	})
}
