package wallet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// manyElements is from how many elements on a question is called unusual.
const manyElements = 16

// question is the plan for people.
func (m *matter) question() Question {
	q := Question{Topic: TopicShare, Party: m.entry.Party, Channel: m.entry.Channel, Plan: m.plan, Purposes: m.entry.Purposes, Authorises: m.authorises}
	q.Choices = make([][]Choice, len(m.plan.Credentials))
	for i, list := range m.plan.Credentials {
		for _, c := range list {
			q.Choices[i] = append(q.Choices[i], m.choice(c))
		}
	}
	q.Warnings = m.warnings(q)
	return q
}

// choice shows one candidate.
func (m *matter) choice(c query.Candidate) Choice {
	h := &m.held[c.Held]
	docType := h.document.DocType
	out := Choice{Candidate: c, Document: h.document, Reused: h.next.seen}
	t, known := m.w.deps.Types.ByDocType(docType)
	label := func(ref mdoc.ElementRef) string {
		return oneLine(m.w.deps.Types.Label(m.w.cfg.Language, docType, ref.NameSpace, ref.ID), 120)
	}
	for _, d := range c.Claims {
		ref, ok := elementOf(d.Path)
		item := h.signed.Item(ref)
		if !ok || item == nil {
			continue // the plan holds only what the document does
		}
		s := Shown{Path: d.Path, Retain: d.Retain, Label: label(ref)}
		_, s.Text = m.w.deps.Types.Display(m.w.cfg.Language, docType, ref.NameSpace, ref.ID, item.Value)
		s.Text = printable(s.Text)
		if known {
			el, ok := t.Element(ref.NameSpace, ref.ID)
			s.Sensitive = ok && el.Sensitive
		}
		if asked, ok := elementOf(d.Asked); ok && !d.Path.Equal(d.Asked) {
			s.InsteadOf = label(asked)
		}
		out.Elements = append(out.Elements, s)
	}
	for _, p := range c.Absent {
		if ref, ok := elementOf(p); ok {
			out.Absent = append(out.Absent, label(ref))
		}
	}
	return out
}

// warnings say what is unusual about a question.
func (m *matter) warnings(q Question) []string {
	var out []string
	switch q.Party.Standing {
	case assure.ReaderTrusted:
	case assure.ReaderAnonymous:
		out = append(out, "It does not say who it is.")
	default:
		out = append(out, "Nobody that this app trusts vouches for it: the name may be invented.")
	}
	kept, seen := map[string]bool{}, map[string]bool{}
	var sensitive []string
	reused, turns := false, false
	for _, first := range m.plan.First(true) { // what a plain yes shares
		list := q.Choices[first.Credential]
		c := list[slices.IndexFunc(list, func(c Choice) bool { return c.Candidate.Held == first.Held })]
		reused = reused || c.Reused && c.Document.Single()
		turns = turns || c.Reused && !c.Document.Single()
		for _, e := range c.Elements {
			path := c.Document.DocType + " " + e.Path.String()
			if e.Sensitive && !slices.Contains(sensitive, e.Label) {
				sensitive = append(sensitive, e.Label)
			}
			kept[path] = kept[path] || e.Retain
			seen[path] = true
		}
	}
	maps.DeleteFunc(kept, func(_ string, keep bool) bool { return !keep })
	if len(kept) > 0 {
		out = append(out, fmt.Sprintf("It means to keep %d of the %d elements.", len(kept), len(seen)))
	}
	if len(sensitive) > 0 {
		out = append(out, "It asks for what needs particular care: "+strings.Join(sensitive, ", ")+".")
	}
	out = append(out, m.overAsking()...)
	if reused {
		out = append(out, "All copies of the document have been shown before: those who saw them could find out that they met the same person. Get new copies from the issuer.")
	}
	if turns {
		out = append(out, "Copies of the document are shown more than once, as its issuer wants it: those who saw the same one could find out that they met the same person.")
	}
	return out
}

// overAsking says where less would do.
func (m *matter) overAsking() []string {
	var out []string
	age, birth, count := false, false, 0
	var beyondAge []string
	for i, c := range m.plan.Query.Credentials {
		for _, cl := range c.Claims {
			ref, ok := elementOf(cl.Path)
			if !ok {
				continue
			}
			count++
			_, over := doctype.AgeOver(ref.ID)
			age = age || over
			switch {
			case over || ref.ID == "portrait":
			case ref.ID == "birth_date" || ref.ID == "birthdate":
				birth = true
				fallthrough
			default:
				beyondAge = append(beyondAge, m.label(i, ref))
			}
		}
	}
	if age && birth {
		out = append(out, "It asks for the date of birth although a statement about the age, which it asks for too, says enough.")
	}
	if onlyAge(m.plan.Query) && len(beyondAge) > 0 {
		out = append(out, "It says that it is about the age, and asks for more: "+strings.Join(beyondAge, ", ")+".")
	}
	if count >= manyElements {
		out = append(out, fmt.Sprintf("It asks for %d elements: more than most purposes need.", count))
	}
	return out
}

// label is the name of an element asked for.
func (m *matter) label(credential int, ref mdoc.ElementRef) string {
	docType := ""
	if types := m.plan.Query.Credentials[credential].Types; len(types) > 0 {
		docType = types[0]
	}
	return oneLine(m.w.deps.Types.Label(m.w.cfg.Language, docType, ref.NameSpace, ref.ID), 120)
}

// The purpose codes of mdoc.PurposeController.
const (
	purposeIdentity = mdoc.PurposeController + ":1"
	purposeDriving  = mdoc.PurposeController + ":2"
	purposeAge      = mdoc.PurposeController + ":3"
)

// purposes are the reasons given, for people, each once.
func purposes(q query.Query) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range q.Sets {
		for _, p := range s.Purposes {
			switch p {
			case purposeIdentity:
				p = "to know who you are"
			case purposeDriving:
				p = "to know what you may drive"
			case purposeAge:
				p = "to know whether you are old enough"
			default:
				p = oneLine(p, 200)
			}
			if !seen[p] && p != "" && len(out) < 16 {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out
}

// onlyAge reports whether age is the only purpose given.
func onlyAge(q query.Query) bool {
	found := false
	for _, s := range q.Sets {
		for _, p := range s.Purposes {
			if p != purposeAge {
				return false
			}
			found = true
		}
	}
	return found
}
