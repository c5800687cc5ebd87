package doctype

import (
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
)

// RuleKind says how an element is derived.
type RuleKind string

// The rules.
const (
	RuleAgeOver    RuleKind = "age_over"       // statements age_over_NN for Ages and, with Around, the current age and the next
	RuleAgeInYears RuleKind = "age_in_years"   // whole years
	RuleBirthYear  RuleKind = "age_birth_year" // year of the date of birth
	RuleConstant   RuleKind = "constant"       // always Value
	RuleEquals     RuleKind = "equals"         // statement: From is Value ("resident of X"); for an array: one entry is
	RuleContains   RuleKind = "contains"       // statement: an entry of From has Value in Member ("holds category B")
)

// Rule derives an element from another element of the same document.
type Rule struct {
	Rule RuleKind `yaml:"rule"`
	// From is the element that the rule reads, "namespace/id" or "id".
	From string `yaml:"from,omitempty"`
	// To is the element that the rule writes.
	To string `yaml:"to"`
	// Ages are the NN of age_over_NN that are provisioned.
	Ages []int `yaml:"ages,omitempty,flow"`
	// Around adds the current age and the current age plus one, so that a
	// holder can nearly always give a narrow answer.
	// ISO/IEC 18013-5 second edition (draft v4), E.12.1.
	Around bool `yaml:"around,omitempty"`
	// Value is what RuleConstant writes, RuleEquals and RuleContains look for.
	Value string `yaml:"value,omitempty"`
	// Member is where RuleContains looks.
	Member string `yaml:"member,omitempty"`

	from, to Name
}

// Derive computes the derived elements of a document from its values, as of
// the day of at in at's location: the start of the validity of the document,
// in the civil time zone that birthdays are counted in. A rule whose source
// is absent yields nothing; age_in_years and age_birth_year are left out when
// a partly unknown date of birth could make them wrong, and age_over_NN then
// counts from the latest possible day.
//
// The result holds only what was derived, as Go values. It takes precedence
// over equally named values: a statement never contradicts its source.
func (t *Type) Derive(values Values, at time.Time) (Values, error) {
	out := Values{}
	var source any // of the rule before, often the same: the date of birth
	var from Name
	var ok bool
	for i := range t.Rules {
		r := &t.Rules[i]
		if r.Rule == RuleConstant {
			to, _ := t.Element(r.to.Namespace, r.to.ID)
			v, err := to.ParseText(r.Value)
			if err != nil {
				return nil, fmt.Errorf("derive %s: %w", r.To, err)
			}
			out[r.to] = v
			continue
		}
		if r.from != from {
			var err error
			if source, ok, err = t.canonical(values, r.from); err != nil {
				return nil, fmt.Errorf("derive %s from %s: %w", r.To, r.From, err)
			}
			from = r.from
		}
		if !ok {
			continue
		}
		if err := r.apply(out, source, cbor.DateOf(at)); err != nil {
			return nil, fmt.Errorf("derive %s from %s: %w", r.To, r.From, err)
		}
	}
	return out, nil
}

// canonical returns a value as the Go value its kind says.
func (t *Type) canonical(values Values, name Name) (any, bool, error) {
	v, ok := values[name]
	if !ok {
		return nil, false, nil
	}
	e, _ := t.Element(name.Namespace, name.ID)
	data, err := e.Encode(v)
	if err != nil {
		return nil, false, err
	}
	v, err = e.Decode(data)
	return v, err == nil, err
}

// apply adds what the rule derives from the source value.
func (r *Rule) apply(out Values, source any, day cbor.FullDate) error {
	switch r.Rule {
	case RuleEquals:
		out[r.to] = matches(source, "", r.Value)
		return nil
	case RuleContains:
		out[r.to] = matches(source, r.Member, r.Value)
		return nil
	}
	b, err := birthOf(source, day)
	if err != nil {
		return err
	}
	youngest := age(b.latest, day)
	switch r.Rule {
	case RuleAgeInYears:
		if youngest == age(b.earliest, day) {
			out[r.to] = uint64(youngest)
		}
	case RuleBirthYear:
		if b.latest.Year == b.earliest.Year {
			out[r.to] = uint64(b.latest.Year)
		}
	case RuleAgeOver:
		for _, nn := range r.thresholds(youngest) {
			out[Name{r.to.Namespace, ageOverID(nn)}] = youngest >= nn
		}
	}
	return nil
}

// thresholds returns the NN that the rule provisions for a person of the age.
func (r *Rule) thresholds(years int) []int {
	all := r.Ages
	if r.Around {
		all = append(append([]int(nil), all...), years, years+1)
	}
	out := make([]int, 0, len(all))
	for _, nn := range all {
		if nn >= 0 && nn <= 99 {
			out = append(out, nn)
		}
	}
	return out
}

// matches reports whether the value, an entry of it, or the member of it or of
// an entry is the text.
func matches(value any, member, text string) bool {
	switch v := value.(type) {
	case string:
		return v == text
	case []any:
		for _, entry := range v {
			if matches(entry, member, text) {
				return true
			}
		}
	case map[string]any:
		s, ok := v[member].(string)
		return ok && s == text
	}
	return false
}

// StableUntil returns the end of the time in which everything that Derive
// computes at the given time stays true: the start, in at's location, of the
// birthday on which a derived age or a false age statement changes. ok is
// false if nothing changes. An issuer lets no signed copy live longer.
func (t *Type) StableUntil(values Values, at time.Time) (end time.Time, ok bool, err error) {
	day := cbor.DateOf(at)
	for i := range t.Rules {
		r := &t.Rules[i]
		if r.Rule != RuleAgeOver && r.Rule != RuleAgeInYears {
			continue
		}
		source, have, err := t.canonical(values, r.from)
		if err != nil {
			return time.Time{}, false, fmt.Errorf("derive %s from %s: %w", r.To, r.From, err)
		}
		if !have {
			continue
		}
		b, err := birthOf(source, day)
		if err != nil {
			return time.Time{}, false, fmt.Errorf("derive %s from %s: %w", r.To, r.From, err)
		}
		for _, turn := range r.changes(b, day) {
			if t := birthday(turn.day, turn.years, at.Location()); !ok || t.Before(end) {
				end, ok = t, true
			}
		}
	}
	return end, ok, nil
}

// turn is a birthday: who was born on the day turns so many years.
type turn struct {
	day   cbor.FullDate
	years int
}

// changes lists the next birthdays on which what the rule derived changes.
func (r *Rule) changes(b birth, day cbor.FullDate) []turn {
	years := age(b.latest, day)
	if r.Rule == RuleAgeInYears {
		if years != age(b.earliest, day) {
			return nil
		}
		return []turn{{b.earliest, years + 1}}
	}
	var out []turn
	for _, nn := range r.thresholds(years) {
		if nn > years {
			out = append(out, turn{b.latest, nn})
		}
	}
	return out
}
