package wallet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
)

// manyElements is from how many elements on a question is called unusual.
const manyElements = 16

// question is the plan for people.
func (m *matter) question() Question {
	q := Question{Topic: TopicShare, Party: m.entry.Party, Channel: m.entry.Channel, Plan: m.plan, Purposes: m.entry.Purposes, Authorises: m.authorises, AuthorisedTypes: m.authorisedTypes()}
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
	out := Choice{Candidate: c, Document: h.document, Reused: h.next.seen}
	for _, d := range c.Claims {
		s, ok := h.signed.show(m.w, d.Path)
		if !ok {
			continue // the plan holds only what the document does
		}
		s.Path, s.Retain = d.Path, d.Retain
		s.Label, s.Text = oneLine(s.Label, 120), printable(s.Text)
		if !d.Path.Equal(d.Asked) {
			s.InsteadOf = m.w.label(h.document.Format, h.document.DocType, d.Asked)
		}
		out.Elements = append(out.Elements, s)
	}
	for _, p := range c.Absent {
		out.Absent = append(out.Absent, m.w.label(h.document.Format, h.document.DocType, p))
	}
	return out
}

func (r *receivedMdoc) show(w *Wallet, p query.Path) (Shown, bool) {
	ref, ok := elementOf(p)
	item := (*mdoc.IssuerSigned)(r).Item(ref)
	if !ok || item == nil {
		return Shown{}, false
	}
	var s Shown
	docType := r.Auth.MSO.DocType
	s.Label, s.Text = w.deps.Types.Display(w.cfg.Language, docType, ref.NameSpace, ref.ID, item.Value)
	if t, known := w.deps.Types.ByDocType(docType); known {
		el, ok := t.Element(ref.NameSpace, ref.ID)
		s.Sensitive = ok && el.Sensitive
	}
	return s, true
}

func (r *receivedSDJWT) show(w *Wallet, p query.Path) (Shown, bool) {
	payload, err := r.sdjwt().Unverified()
	if err != nil {
		return Shown{}, false
	}
	found, err := payload.Select(sdjwt.Path(p))
	if err != nil || len(found) == 0 {
		return Shown{}, false
	}
	vct := r.sdjwt().VCT()
	s := Shown{Label: w.deps.Types.ClaimLabel(w.cfg.Language, vct, sdjwt.Path(p))}
	texts := make([]string, len(found))
	for i, c := range found {
		_, texts[i] = w.deps.Types.DisplayClaim(w.cfg.Language, vct, c.Path, c.Value)
	}
	s.Text = strings.Join(texts, "\n")
	if t, known := w.deps.Types.ByVCT(vct); known {
		s.Sensitive = slices.ContainsFunc(t.ClaimElements(sdjwt.Path(p)), func(e doctype.Element) bool { return e.Sensitive })
	}
	return s, true
}

// label is what people call an element or a claim of documents of a type.
func (w *Wallet) label(format, docType string, p query.Path) string {
	e, _ := loggedElement(format, p, false)
	return oneLine(e.Label(w.deps.Types, w.cfg.Language, docType), 120)
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
	out = append(out, m.noted...)
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

// overAsking says where less would do. Of sets of claims that stand in for each
// other, each is looked at by itself: one of them is shared.
func (m *matter) overAsking() []string {
	var out []string
	both := false
	var beyondAge []string
	counts := make([]int, len(m.plan.Query.Credentials))
	all := touches{}
	for i, c := range m.plan.Query.Credentials {
		sets := c.ClaimSets
		if len(sets) == 0 {
			sets = [][]int{nil}
		}
		for _, set := range sets {
			t := m.touch(i, set)
			counts[i] = max(counts[i], t.count)
			both = both || t.age && t.birth
			for _, label := range t.others {
				if !slices.Contains(beyondAge, label) {
					beyondAge = append(beyondAge, label)
				}
			}
			if len(c.ClaimSets) == 0 {
				all.age, all.birth = all.age || t.age, all.birth || t.birth
			}
		}
	}
	if both || all.age && all.birth {
		out = append(out, "It asks for the date of birth although a statement about the age, which it asks for too, says enough.")
	}
	if onlyAge(m.plan.Query) && len(beyondAge) > 0 {
		out = append(out, "It says that it is about the age, and asks for more: "+strings.Join(beyondAge, ", ")+".")
	}
	if count := longest(m.plan.Query, counts); count >= manyElements {
		out = append(out, fmt.Sprintf("It asks for %d elements: more than most purposes need.", count))
	}
	return out
}

// touches is what some of the claims of a credential are about.
type touches struct {
	count      int
	age, birth bool
	others     []string // neither about the age nor the portrait
}

// touch looks at the claims of a set, or at all.
func (m *matter) touch(credential int, set []int) touches {
	var t touches
	for i, cl := range m.plan.Query.Credentials[credential].Claims {
		ids := m.touched(credential, cl.Path)
		if set != nil && !slices.Contains(set, i) || len(ids) == 0 {
			continue
		}
		t.count++
		over := slices.ContainsFunc(ids, func(id string) bool { _, over := doctype.AgeOver(id); return over })
		t.age = t.age || over
		t.birth = t.birth || slices.Contains(ids, "birth_date") || slices.Contains(ids, "birthdate")
		if !over && !slices.Contains(ids, "portrait") {
			t.others = append(t.others, m.label(credential, cl.Path))
		}
	}
	return t
}

// longest is how many elements the longest answer to a query has, where each
// credential has so many: of alternatives, one is shown.
func longest(q query.Query, counts []int) int {
	sum := 0
	if len(q.Sets) == 0 {
		for _, n := range counts {
			sum += n
		}
		return sum
	}
	taken := make(map[string]bool)
	for _, s := range q.Sets {
		var most []string
		best := 0
		for _, o := range s.Options {
			n := 0
			for i, c := range q.Credentials {
				if slices.Contains(o, c.ID) && !taken[c.ID] {
					n += counts[i]
				}
			}
			if n > best {
				best, most = n, o
			}
		}
		for _, id := range most {
			taken[id] = true
		}
		sum += best
	}
	return sum
}

// typeAsked is the type of a credential asked for, the first of several.
func (m *matter) typeAsked(credential int) string {
	if types := m.plan.Query.Credentials[credential].Types; len(types) > 0 {
		return types[0]
	}
	return ""
}

// label is the name of what is asked for.
func (m *matter) label(credential int, p query.Path) string {
	return m.w.label(m.plan.Query.Credentials[credential].Format, m.typeAsked(credential), p)
}

// touched are the identifiers of the elements that a path asked for is about.
func (m *matter) touched(credential int, p query.Path) []string {
	if m.plan.Query.Credentials[credential].Format == query.FormatMdoc {
		ref, ok := elementOf(p)
		if !ok {
			return nil
		}
		return []string{ref.ID}
	}
	var out []string
	if t, ok := m.w.deps.Types.ByVCT(m.typeAsked(credential)); ok {
		for _, e := range t.ClaimElements(sdjwt.Path(p)) {
			out = append(out, e.ID)
		}
	}
	for _, step := range p {
		if name, ok := step.(string); ok && out == nil {
			out = []string{name}
		}
	}
	return out
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
