package query

import "slices"

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
	index := make(map[string]int, len(q.Credentials))
	docs := matchers(&q, held)
	for i := range q.Credentials {
		c := &q.Credentials[i]
		index[c.ID] = i
		p.Credentials[i], p.Missing[i] = candidates(c, i, docs)
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
			if option, ok := p.option(o, index); ok {
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

// option resolves the credential ids of an option, each once; false if one has
// no candidate.
func (p *Plan) option(ids []string, index map[string]int) ([]int, bool) {
	var out []int
	for _, id := range ids {
		i, ok := index[id]
		if !ok || len(p.Credentials[i]) == 0 {
			return nil, false
		}
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
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
