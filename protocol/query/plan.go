package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/doctype"
)

// Plan is how what is held answers a query: what a consent screen shows.
type Plan struct {
	Query Query
	// Satisfied says that an answer exists.
	Satisfied bool
	// Credentials are the candidates for each of Query.Credentials.
	Credentials [][]Candidate
	// Sets are the options of each set that can be answered, as indexes into
	// Query.Credentials. A query without sets has one set of all credentials.
	Sets []PlannedSet
	// Missing says for each of Query.Credentials without candidates why, in
	// words for a person; "" for the others.
	Missing []string
}

// PlannedSet are the ways to answer one set.
type PlannedSet struct {
	Required bool
	Options  [][]int
	Purposes []string
}

// Candidate is a held document that answers a credential of the query.
type Candidate struct {
	// Credential is the index into Query.Credentials.
	Credential int
	// Held is the index into what was held.
	Held int
	// ClaimSet is the index of the claim set answered, -1 without claim sets.
	ClaimSet int
	// Claims are what would be disclosed, each once.
	Claims []Disclosure
	// Absent are the wanted claims that the document does not hold.
	Absent []Path
}

// Disclosure is one claim that would be disclosed.
type Disclosure struct {
	// Path is what is disclosed; it differs from Asked when another element
	// stands in: a nearer age statement, an alternative.
	Path, Asked Path
	Retain      bool
}

// Selection is what the holder agreed to: one candidate, or with Multiple
// several, for each credential to be returned.
type Selection []Candidate

// Make matches q with what is held.
//
// OpenID4VP 1.0, 6.4; ISO/IEC 18013-5 second edition (draft v4), 10.2.8.
func Make(q Query, held []Held) Plan {
	p := Plan{
		Query:       q,
		Credentials: make([][]Candidate, len(q.Credentials)),
		Missing:     make([]string, len(q.Credentials)),
	}
	for i := range q.Credentials {
		p.Credentials[i], p.Missing[i] = candidates(&q.Credentials[i], i, held)
	}
	sets := q.Sets
	if len(sets) == 0 {
		all := Set{Required: true, Options: [][]string{nil}}
		for _, c := range q.Credentials {
			all.Options[0] = append(all.Options[0], c.ID)
		}
		sets = []Set{all}
	}
	p.Satisfied = true
	answered := false
	for _, s := range sets {
		ps := PlannedSet{Required: s.Required, Purposes: s.Purposes}
		for _, o := range s.Options {
			if option, ok := p.option(o); ok {
				ps.Options = append(ps.Options, option)
			}
		}
		p.Sets = append(p.Sets, ps)
		answered = answered || len(ps.Options) > 0
		if s.Required && len(ps.Options) == 0 {
			p.Satisfied = false
		}
	}
	if q.NonEmpty && !answered {
		p.Satisfied = false
	}
	return p
}

// option resolves the credential ids of an option; false if one has no candidate.
func (p *Plan) option(ids []string) ([]int, bool) {
	var out []int
	for _, id := range ids {
		i := slices.IndexFunc(p.Query.Credentials, func(c Credential) bool { return c.ID == id })
		if i < 0 || len(p.Credentials[i]) == 0 {
			return nil, false
		}
		out = append(out, i)
	}
	return out, true
}

// First is the answer of the verifier's first preferences: in every required
// set the first option that can be answered and its first candidate (all of
// them where several may answer), and so in the optional sets if optional says
// so. It is empty if the plan is not satisfied.
func (p *Plan) First(optional bool) Selection {
	if !p.Satisfied {
		return nil
	}
	var out Selection
	taken := make([]bool, len(p.Query.Credentials))
	for _, s := range p.Sets {
		if len(s.Options) == 0 || (!s.Required && !optional) {
			continue
		}
		for _, i := range s.Options[0] {
			if taken[i] {
				continue
			}
			taken[i] = true
			n := 1
			if p.Query.Credentials[i].Multiple {
				n = len(p.Credentials[i])
			}
			out = append(out, p.Credentials[i][:n]...)
		}
	}
	return out
}

// candidates are the held documents that answer c, or why none does.
func candidates(c *Credential, index int, held []Held) ([]Candidate, string) {
	var out []Candidate
	why := "no document of type " + strings.Join(c.Types, " or ")
	for i := range held {
		h := &held[i]
		switch {
		case h.Format != c.Format:
			continue
		case len(c.Types) > 0 && !slices.Contains(c.Types, h.Type):
			continue
		case !c.Unbound && !h.Bound:
			why = "the document is not bound to a key of this device"
			continue
		case !authorised(c.Authorities, h.Authorities):
			why = "no document of an issuer that the verifier names"
			continue
		}
		cand, missing, ok := answer(c, h)
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

func authorised(wanted, held []Authority) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(a Authority) bool { return slices.Contains(held, a) })
}

// answer tries the claim sets in order, or all claims.
func answer(c *Credential, h *Held) (Candidate, Path, bool) {
	if len(c.ClaimSets) == 0 {
		all := make([]int, len(c.Claims))
		for i := range all {
			all[i] = i
		}
		return answerSet(c, h, all, -1)
	}
	var missing Path
	for n, set := range c.ClaimSets {
		cand, miss, ok := answerSet(c, h, set, n)
		if ok {
			return cand, nil, true
		}
		if missing == nil {
			missing = miss
		}
	}
	return Candidate{}, missing, false
}

// answerSet collects the disclosures for the claims of the given indexes.
func answerSet(c *Credential, h *Held, set []int, n int) (Candidate, Path, bool) {
	cand := Candidate{ClaimSet: n}
	for _, i := range set {
		cl := &c.Claims[i]
		found := disclose(c, h, cl)
		if found == nil {
			if !c.Partial {
				return Candidate{}, cl.Path, false
			}
			cand.Absent = append(cand.Absent, cl.Path)
			continue
		}
		for _, d := range found {
			cand.add(d)
		}
	}
	if c.Partial && len(c.Claims) > 0 && len(cand.Claims) == 0 {
		return Candidate{}, c.Claims[0].Path, false
	}
	return cand, nil, true
}

// add appends d unless its path is there; wanting to keep it wins.
func (c *Candidate) add(d Disclosure) {
	for i := range c.Claims {
		if c.Claims[i].Path.Equal(d.Path) {
			c.Claims[i].Retain = c.Claims[i].Retain || d.Retain
			return
		}
	}
	c.Claims = append(c.Claims, d)
}

// disclose is what answers one claim: itself, the nearest age statement, or
// the first complete alternative; nil if nothing does.
func disclose(c *Credential, h *Held, cl *Claim) []Disclosure {
	if path, ok := itself(c, h, cl.Path); ok && (len(cl.Values) == 0 || matches(h.Claims.Values(path), cl.Values)) {
		return []Disclosure{{Path: path, Asked: cl.Path, Retain: cl.Retain}}
	}
	for _, alt := range cl.Alternatives {
		var out []Disclosure
		for _, p := range alt {
			path, ok := itself(c, h, p)
			if !ok {
				out = nil
				break
			}
			out = append(out, Disclosure{Path: path, Asked: cl.Path, Retain: cl.Retain})
		}
		if out != nil {
			return out
		}
	}
	return nil
}

// itself is the path that answers p in the document: p, or for an age
// statement the nearest one.
func itself(c *Credential, h *Held, p Path) (Path, bool) {
	if ref, ok := p.element(); ok && c.NearestAge {
		if nn, ok := ageOver(ref.ID); ok {
			return nearestAge(h, ref.NameSpace, nn)
		}
	}
	return p, h.Claims.Has(p)
}

// ageOver is NN of "age_over_NN".
func ageOver(id string) (int, bool) {
	nn, ok := strings.CutPrefix(id, "age_over_")
	if !ok || len(nn) != 2 || nn[0] < '0' || nn[0] > '9' || nn[1] < '0' || nn[1] > '9' {
		return 0, false
	}
	return int(nn[0]-'0')*10 + int(nn[1]-'0'), true
}

// nearestAge looks at every age statement the document could hold.
// ISO/IEC 18013-5:2021, 7.2.5.
func nearestAge(h *Held, nameSpace string, requested int) (Path, bool) {
	have := make(map[int]bool)
	for nn := range 100 {
		p := Element(nameSpace, fmt.Sprintf("age_over_%02d", nn))
		if !h.Claims.Has(p) {
			continue
		}
		if vs := h.Claims.Values(p); len(vs) == 1 {
			if over, ok := vs[0].(bool); ok {
				have[nn] = over
			}
		}
	}
	nn, _, ok := doctype.NearestAge(requested, have)
	return Element(nameSpace, fmt.Sprintf("age_over_%02d", nn)), ok
}
