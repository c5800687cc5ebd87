package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
)

// maxAges is how many age statements of one document type a reader may ask
// for; more of them would narrow down the age.
// ISO/IEC 18013-5:2021, 7.2.5; second edition (draft v4), 13.4.6.
const maxAges = 2

// matcher is one held document, with what was looked up in it.
type matcher struct {
	*Held
	// asked are the age statements that may be answered, by document type:
	// the same for all documents.
	asked map[string][]mdoc.ElementRef
	// nearest are the statements that answer them, nil where none does.
	nearest map[mdoc.ElementRef]Path
	// behind are the authorities, in the form that queries have them.
	behind []Authority
}

func matchers(q *Query, held []Held) []matcher {
	asked := askedAges(q)
	out := make([]matcher, len(held))
	for i := range held {
		out[i] = matcher{Held: &held[i], asked: asked, nearest: make(map[mdoc.ElementRef]Path)}
		for _, a := range held[i].Authorities {
			out[i].behind = append(out[i].behind, authority(a.Type, a.Value))
		}
	}
	return out
}

// askedAges are the first age statements asked for of each document type.
func askedAges(q *Query) map[string][]mdoc.ElementRef {
	asked := make(map[string][]mdoc.ElementRef)
	for i := range q.Credentials {
		c := &q.Credentials[i]
		if !c.NearestAge {
			continue
		}
		for _, ref := range ages(c) {
			for _, t := range c.Types {
				if len(asked[t]) < maxAges && !slices.Contains(asked[t], ref) {
					asked[t] = append(asked[t], ref)
				}
			}
		}
	}
	return asked
}

// ages are the age statements asked for, each once, those in alternatives last.
func ages(c *Credential) []mdoc.ElementRef {
	var out []mdoc.ElementRef
	note := func(p Path) {
		if ref, ok := p.element(); ok && !slices.Contains(out, ref) {
			if _, ok := doctype.AgeOver(ref.ID); ok {
				out = append(out, ref)
			}
		}
	}
	for _, cl := range c.Claims {
		note(cl.Path)
	}
	for _, cl := range c.Claims {
		for _, alt := range cl.Alternatives {
			for _, p := range alt {
				note(p)
			}
		}
	}
	return out
}

// candidates are the held documents that answer c, or why none does.
func candidates(c *Credential, index int, docs []matcher) ([]Candidate, string) {
	switch {
	case c.Unsupported != "":
		return nil, c.Unsupported
	case c.Format != FormatMdoc && c.Format != FormatSDJWT:
		return nil, fmt.Sprintf("documents of format %.40q are not kept here", c.Format)
	}
	var out []Candidate
	wanted := combinations(c)
	why := "no document of type " + cmp.Or(strings.Join(c.Types, " or "), c.Format)
	for i := range docs {
		m := &docs[i]
		switch {
		case m.Format != c.Format:
			continue
		case len(c.Types) > 0 && !slices.Contains(c.Types, m.Type):
			continue
		case !c.Unbound && !m.Bound:
			why = "the document is not bound to a key of this device"
			continue
		case !authorised(c.Authorities, m.behind):
			why = "no document of an issuer that the verifier names"
			continue
		}
		cand, missing, ok := m.answer(c, wanted)
		if !ok {
			why = fmt.Sprintf("the document lacks %s", missing)
			continue
		}
		cand.Credential, cand.Held = index, i
		out = append(out, cand)
	}
	if out != nil {
		why = ""
	}
	return out, why
}

// authorised reports whether an authority behind the document is wanted. One
// of a type that nothing is known about is behind none.
func authorised(wanted, held []Authority) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(a Authority) bool { return slices.Contains(held, a) })
}

// combinations are the claims of each claim set, in order, or all claims. Of
// those that point to the same a combination has the first: a verifier must not
// ask so, and a wallet should not heed it. Wanting to keep it counts all the same.
//
// OpenID4VP 1.0, 6.1 and 6.4.1.
func combinations(c *Credential) [][]Claim {
	all := make([]int, len(c.Claims))
	keys := make([]string, len(c.Claims))
	for i := range c.Claims {
		all[i], keys[i] = i, fmt.Sprintf("%q", []any(c.Claims[i].Path))
	}
	sets := c.ClaimSets
	if len(sets) == 0 {
		sets = [][]int{all}
	}
	out := make([][]Claim, len(sets))
	for n, set := range sets {
		at := make(map[string]int, len(set))
		for _, i := range set {
			if k, dup := at[keys[i]]; dup {
				out[n][k].Retain = out[n][k].Retain || c.Claims[i].Retain
				continue
			}
			at[keys[i]] = len(out[n])
			out[n] = append(out[n], c.Claims[i])
		}
	}
	return out
}

// answer is what the document answers the first combination with that it can
// answer, or the first claim that it lacks.
func (m *matcher) answer(c *Credential, combinations [][]Claim) (Candidate, Path, bool) {
	var missing Path
	for n, claims := range combinations {
		cand, miss, ok := m.answerAll(c, claims)
		if ok {
			if cand.ClaimSet = n; len(c.ClaimSets) == 0 {
				cand.ClaimSet = -1
			}
			return cand, nil, true
		}
		if missing == nil {
			missing = miss
		}
	}
	return Candidate{}, missing, false
}

// answerAll collects the disclosures for the claims. What was asked for and is
// there answers itself. For the others alternatives stand in: the first that is
// complete, unless another is disclosed anyway. No stand-in is left that could
// be missed.
//
// ISO/IEC 18013-5 second edition (draft v4), 10.2.8, step 1 d.
func (m *matcher) answerAll(c *Credential, claims []Claim) (Candidate, Path, bool) {
	var cand Candidate
	own := make([]Path, len(claims)) // what answers a claim by itself
	s := standIns{given: make(map[mdoc.ElementRef]bool)}
	for k := range claims {
		cl := &claims[k]
		path, ok := m.itself(c, cl.Path)
		if ok && (len(cl.Values) == 0 || matches(m.Claims.Values(path), cl.Values)) {
			own[k] = path
			if ref, ok := path.element(); ok {
				s.given[ref] = true
			}
		}
	}
	open := make(map[int][][]mdoc.ElementRef) // the complete alternatives of the others
	for k := range claims {
		if own[k] != nil {
			continue
		}
		if open[k] = m.complete(c, &claims[k]); open[k] == nil {
			if !c.Partial {
				return Candidate{}, claims[k].Path, false
			}
			cand.Absent = append(cand.Absent, claims[k].Path)
			continue
		}
		s.stand(open[k])
	}
	s.prune()
	for k := range claims {
		cl := &claims[k]
		switch {
		case own[k] != nil:
			cand.add(Disclosure{Path: own[k], Asked: cl.Path, Retain: cl.Retain})
		case open[k] != nil:
			for _, ref := range s.first(open[k]) {
				cand.add(Disclosure{Path: Element(ref.NameSpace, ref.ID), Asked: cl.Path, Retain: cl.Retain})
			}
		}
	}
	if c.Partial && len(claims) > 0 && len(cand.Claims) == 0 {
		return Candidate{}, claims[0].Path, false
	}
	return cand, nil, true
}

// standIns are the elements that answer the claims of one candidate.
type standIns struct {
	given map[mdoc.ElementRef]bool
	added []mdoc.ElementRef     // those of given that nobody asked for by name
	open  [][][]mdoc.ElementRef // the alternatives of each claim that needs one
}

// stand has a claim answered by the first of its complete alternatives.
func (s *standIns) stand(alternatives [][]mdoc.ElementRef) {
	s.open = append(s.open, alternatives)
	for _, ref := range alternatives[0] {
		if !s.given[ref] {
			s.given[ref] = true
			s.added = append(s.added, ref)
		}
	}
}

// first is the first alternative that is given wholly; nil if none is.
func (s *standIns) first(alternatives [][]mdoc.ElementRef) []mdoc.ElementRef {
	for _, alt := range alternatives {
		if !slices.ContainsFunc(alt, func(ref mdoc.ElementRef) bool { return !s.given[ref] }) {
			return alt
		}
	}
	return nil
}

// prune takes back what other elements make needless, the last first. What is
// needed now is needed of fewer elements too, so that one pass is enough.
func (s *standIns) prune() {
	users := make(map[mdoc.ElementRef][]int) // the claims that an element may answer
	for n, alternatives := range s.open {
		for _, alt := range alternatives {
			for _, ref := range alt {
				if list := users[ref]; len(list) == 0 || list[len(list)-1] != n {
					users[ref] = append(list, n)
				}
			}
		}
	}
	for _, ref := range slices.Backward(s.added) {
		delete(s.given, ref)
		if slices.ContainsFunc(users[ref], func(n int) bool { return s.first(s.open[n]) == nil }) {
			s.given[ref] = true
		}
	}
}

// complete are the alternatives of a claim that the document holds wholly, as
// what would be disclosed.
func (m *matcher) complete(c *Credential, cl *Claim) [][]mdoc.ElementRef {
	var out [][]mdoc.ElementRef
next:
	for _, alt := range cl.Alternatives {
		refs := make([]mdoc.ElementRef, 0, len(alt))
		for _, p := range alt {
			path, ok := m.itself(c, p)
			ref, isElement := path.element()
			if !ok || !isElement {
				continue next
			}
			refs = append(refs, ref)
		}
		if len(refs) > 0 {
			out = append(out, refs)
		}
	}
	return out
}

// add appends d unless its path is there. Wanting to keep it wins, and so does
// who asked for it by name.
func (c *Candidate) add(d Disclosure) {
	for i := range c.Claims {
		old := &c.Claims[i]
		if !old.Path.Equal(d.Path) {
			continue
		}
		old.Retain = old.Retain || d.Retain
		if d.Asked.Equal(d.Path) {
			old.Asked = d.Asked
		}
		return
	}
	c.Claims = append(c.Claims, d)
}

// itself is the path that answers p in the document: p, or for an age
// statement the nearest one.
func (m *matcher) itself(c *Credential, p Path) (Path, bool) {
	if ref, ok := p.element(); ok && c.NearestAge {
		if nn, ok := doctype.AgeOver(ref.ID); ok {
			if len(c.Types) > 0 && !slices.Contains(m.asked[m.Type], ref) {
				return nil, false
			}
			path, known := m.nearest[ref]
			if !known {
				path = m.nearestAge(ref.NameSpace, nn)
				m.nearest[ref] = path
			}
			return path, path != nil
		}
	}
	return p, m.Claims.Has(p)
}

// nearestAge looks at every age statement that the document could hold; nil if
// none answers. ISO/IEC 18013-5:2021, 7.2.5.
func (m *matcher) nearestAge(nameSpace string, requested int) Path {
	statement := func(nn int) Path { return Element(nameSpace, fmt.Sprintf("age_over_%02d", nn)) }
	have := make(map[int]bool)
	for nn := range 100 {
		if vs := m.Claims.Values(statement(nn)); len(vs) == 1 {
			if over, ok := vs[0].(bool); ok {
				have[nn] = over
			}
		}
	}
	if nn, _, ok := doctype.NearestAge(requested, have); ok {
		return statement(nn)
	}
	return nil
}
