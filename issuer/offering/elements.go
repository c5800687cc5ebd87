package offering

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/doctype"
)

// Elements builds the content of a document from the attributes of a person:
// mapped, derived as of at (the start of validity, in the civil time zone
// that birthdays are counted in), encoded and checked for completeness.
// Errors name elements, never values; a missing mandatory element is a
// *check.Error.
//
// A mandatory date of issue that the source does not have is the day of at, a
// mandatory date of expiry that day plus Validity.
func (o Offering) Elements(t *doctype.Type, attributes map[string]any, at time.Time) ([]Items, error) {
	values, err := o.values(t, attributes, at)
	if err != nil {
		return nil, err
	}
	derived, err := t.Derive(values, at)
	if err != nil {
		return nil, fmt.Errorf("offering %s: %w", o.ID, err)
	}
	maps.Copy(values, derived)
	present := make([]doctype.Name, 0, len(values))
	out := make([]Items, 0, len(t.Namespaces))
	for i := range t.Namespaces {
		ns := &t.Namespaces[i]
		items := Items{Namespace: ns.Name}
		for j := range ns.Elements {
			for _, id := range idsOf(ns, &ns.Elements[j], values) {
				name := doctype.Name{Namespace: ns.Name, ID: id}
				data, err := ns.Elements[j].Encode(values[name])
				if err != nil {
					return nil, fmt.Errorf("offering %s: element %s: %w", o.ID, name, err)
				}
				items.Elements = append(items.Elements, Item{ID: id, Value: data})
				present = append(present, name)
			}
		}
		if len(items.Elements) > 0 {
			out = append(out, items)
		}
	}
	if err := t.Check(present).Err(); err != nil {
		return nil, fmt.Errorf("offering %s: %w", o.ID, err)
	}
	return out, nil
}

// Room is how many digests the documents of an offering have, so that their
// number does not tell what the authority knows of a person: one for each
// element of the type that is not left out and for each derived one, by name
// space, and for each claim at the top of the SD-JWT form.
// ISO/IEC 18013-5 second edition (draft v4), E.9.5; RFC 9901, 4.2.5.
func (o Offering) Room(t *doctype.Type) (elements map[string]int, claims int, err error) {
	from, err := o.mapping(t, false)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %w", ErrOffering, o.ID, err)
	}
	derived := map[doctype.Name]int{} // of elements with a wildcard
	for i := range t.Rules {
		r := &t.Rules[i]
		name, err := t.Resolve(r.To)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %s: %w", ErrOffering, o.ID, err)
		}
		derived[name] += len(r.Ages)
		if r.Around {
			derived[name] += 2 // which for some are among Ages
		}
	}
	elements = map[string]int{}
	top := map[string]bool{}
	room := func(e doctype.Element, n int) {
		elements[e.Namespace] += n
		if len(e.Claim) > 0 {
			top[e.Claim[0]] = true
		}
	}
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			switch e := t.Namespaces[i].Elements[j]; {
			case e.Wild != "":
				if n := derived[e.Name()]; n > 0 {
					room(e, n)
				}
			case e.Presence != doctype.Retired && from[e.Name()] != "-":
				room(e, 1)
			}
		}
	}
	return elements, len(top), nil
}

// ValidUntil returns the end of validity of copies that become valid at the
// given time: after Lifetime, but not past the midnight at which a derived
// age becomes wrong, nor past the day on which the document itself expires.
// It is midnight UTC. An error says that the document has expired already.
func (o Offering) ValidUntil(t *doctype.Type, attributes map[string]any, at time.Time) (time.Time, error) {
	values, err := o.values(t, attributes, at)
	if err != nil {
		return time.Time{}, err
	}
	until := midnight(at).Add(o.Lifetime.Duration())
	change, ok, err := t.StableUntil(values, at)
	if err != nil {
		return time.Time{}, fmt.Errorf("offering %s: %w", o.ID, err)
	}
	if ok && midnight(change).Before(until) {
		until = midnight(change)
	}
	for name, value := range values {
		if name.ID != "expiry_date" {
			continue
		}
		end, err := expiry(t, name, value)
		if err != nil {
			return time.Time{}, fmt.Errorf("offering %s: element %s: %w", o.ID, name, err)
		}
		if !end.After(at) {
			return time.Time{}, fmt.Errorf("offering %s: %w", o.ID, ErrExpired)
		}
		if midnight(end).Before(until) {
			until = midnight(end)
		}
	}
	if !until.After(at) {
		// Only west of Greenwich, on the eve of a birthday: the next midnight
		// UTC comes before the local one.
		until = midnight(at).AddDate(0, 0, 1)
	}
	return until, nil
}

// ErrExpired says that the document of a person has expired in the source.
var ErrExpired = errors.New("document has expired")

// expiry is the end of the last day of the document.
func expiry(t *doctype.Type, name doctype.Name, value any) (time.Time, error) {
	e, _ := t.Element(name.Namespace, name.ID)
	data, err := e.Encode(value)
	if err != nil {
		return time.Time{}, err
	}
	v, err := e.Decode(data)
	if err != nil {
		return time.Time{}, err
	}
	if d, ok := v.(cbor.FullDate); ok {
		return d.Time().AddDate(0, 0, 1), nil
	}
	return v.(cbor.TDate).Time, nil
}

// midnight is the last midnight UTC at or before t.
func midnight(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// values maps the attributes to the elements of the type.
func (o *Offering) values(t *doctype.Type, attributes map[string]any, at time.Time) (doctype.Values, error) {
	from, err := o.mapping(t, false)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrOffering, o.ID, err)
	}
	values := doctype.Values{}
	for i := range t.Namespaces {
		ns := &t.Namespaces[i]
		for j := range ns.Elements {
			e := &ns.Elements[j]
			if e.Presence == doctype.Retired || e.Wild != "" {
				continue
			}
			rule, ok := from[e.Name()]
			if !ok {
				rule = e.ID
			}
			value, err := pick(rule, attributes)
			if err != nil {
				return nil, fmt.Errorf("offering %s: element %s: %w", o.ID, e.Name(), err)
			}
			if value == nil && !ok && e.Presence == doctype.Mandatory {
				value = o.date(e.ID, at)
			}
			if value != nil {
				values[e.Name()] = value
			}
		}
		// Wildcards take the attributes that they match.
		for name, value := range attributes {
			e, ok := t.Element(ns.Name, name)
			if !ok || e.ID != name || e.Namespace != ns.Name || e.Presence == doctype.Retired || isEmpty(value) {
				continue
			}
			if _, mapped := from[e.Name()]; !mapped {
				values[e.Name()] = value
			}
		}
	}
	for name, rule := range from {
		if _, done := values[name]; done {
			continue
		}
		value, err := pick(rule, attributes)
		if err != nil {
			return nil, fmt.Errorf("offering %s: element %s: %w", o.ID, name, err)
		}
		if value != nil {
			values[name] = value
		}
	}
	return values, nil
}

// date is a date of issue or expiry that the source does not have.
func (o *Offering) date(id string, at time.Time) any {
	switch id {
	case "issue_date":
		return cbor.DateOf(at)
	case "expiry_date":
		return cbor.DateOf(at.AddDate(0, 0, int(o.Validity)))
	}
	return nil
}

// mapping resolves the element names of From and, where an offering is
// checked, what they map to.
func (o *Offering) mapping(t *doctype.Type, check bool) (map[doctype.Name]string, error) {
	out := make(map[doctype.Name]string, len(o.From))
	for element, rule := range o.From {
		name, err := t.Resolve(element)
		if err != nil {
			return nil, fmt.Errorf("from: %w", err)
		}
		if !check {
			out[name] = rule
			continue
		}
		e, _ := t.Element(name.Namespace, name.ID)
		if e.Wild != "" || e.Presence == doctype.Retired {
			return nil, fmt.Errorf("from: %s is a wildcard or not issued any more", element)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("from: %s given twice", element)
		}
		if text, ok := strings.CutPrefix(rule, "="); ok {
			if _, err := e.Encode(text); err != nil {
				return nil, fmt.Errorf("from: %s: %w", element, err)
			}
		} else if _, _, err := cutIndex(rule); err != nil || rule == "" {
			return nil, fmt.Errorf("from: %s: wanted an attribute name, name[0], =text or -", element)
		}
		out[name] = rule
	}
	return out, nil
}

// pick takes what a rule of From names out of the attributes; nil if absent.
func pick(rule string, attributes map[string]any) (any, error) {
	if rule == "-" {
		return nil, nil
	}
	if text, ok := strings.CutPrefix(rule, "="); ok {
		return text, nil
	}
	name, index, err := cutIndex(rule)
	if err != nil {
		return nil, err
	}
	value := attributes[name]
	if isEmpty(value) {
		return nil, nil
	}
	if index < 0 {
		return value, nil
	}
	switch list := value.(type) {
	case string:
		entries, err := doctype.SplitList(list)
		if err != nil || index >= len(entries) {
			return nil, err
		}
		return entries[index], nil
	case []string:
		if index < len(list) {
			return list[index], nil
		}
	case []any:
		if index < len(list) {
			return list[index], nil
		}
	default:
		return nil, fmt.Errorf("%w: not a list", doctype.ErrKind)
	}
	return nil, nil
}

// cutIndex splits "name[0]"; without an index it is -1.
func cutIndex(rule string) (name string, index int, err error) {
	name, rest, ok := strings.Cut(rule, "[")
	if !ok {
		return rule, -1, nil
	}
	digits, ok := strings.CutSuffix(rest, "]")
	index, err = strconv.Atoi(digits)
	if !ok || err != nil || index < 0 || index > 99 || name == "" {
		return "", 0, fmt.Errorf("%w: index of an attribute", doctype.ErrText)
	}
	return name, index, nil
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []byte:
		return len(v) == 0
	}
	return false
}

// idsOf returns the identifiers under which an element has values: its own,
// or, sorted, all that its wildcard matches and no other element is called.
func idsOf(ns *doctype.Namespace, e *doctype.Element, values doctype.Values) []string {
	if e.Wild == "" {
		if _, ok := values[e.Name()]; ok {
			return []string{e.ID}
		}
		return nil
	}
	stem := strings.TrimSuffix(e.ID, e.Wild)
	var out []string
	for name := range values {
		if name.Namespace == ns.Name && strings.HasPrefix(name.ID, stem) &&
			!slices.ContainsFunc(ns.Elements, func(o doctype.Element) bool { return o.ID == name.ID }) {
			out = append(out, name.ID)
		}
	}
	slices.Sort(out)
	return out
}
