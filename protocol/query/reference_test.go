package query_test

import (
	"slices"
	"strconv"

	"github.com/eidos-id/eidos/format/mdoc"
)

// What the texts say, as slowly and plainly as they say it. Nothing here uses
// the planner or its types, so that both can be compared.

// paper is a held document: elements of one name space, or top-level claims.
type paper struct {
	format, kind string
	bound        bool
	authorities  []string
	claims       map[string]any
}

const space = "n"

// DCQL as sent, in the order of OpenID4VP 1.0, 6.
type (
	askedClaim struct {
		ID     string   `json:"id,omitempty"`
		Path   []string `json:"path"`
		Values []any    `json:"values,omitempty"`
		Retain bool     `json:"intent_to_retain,omitempty"`
	}
	askedCredential struct {
		ID        string         `json:"id"`
		Format    string         `json:"format"`
		Multiple  bool           `json:"multiple,omitempty"`
		Meta      map[string]any `json:"meta"`
		Trusted   []askedTrust   `json:"trusted_authorities,omitempty"`
		Binding   *bool          `json:"require_cryptographic_holder_binding,omitempty"`
		Claims    []askedClaim   `json:"claims,omitempty"`
		ClaimSets [][]string     `json:"claim_sets,omitempty"`
	}
	askedTrust struct {
		Type   string   `json:"type"`
		Values []string `json:"values"`
	}
	askedSet struct {
		Options  [][]string `json:"options"`
		Required *bool      `json:"required,omitempty"`
	}
	askedDCQL struct {
		Credentials []askedCredential `json:"credentials"`
		Sets        []askedSet        `json:"credential_sets,omitempty"`
	}
)

// matches: OpenID4VP 1.0, 6.1, 6.1.1, 6.3 and 6.4.1. It returns the names of
// the claims that would be disclosed.
func (c *askedCredential) matches(p *paper) (names []string, claimSet int, ok bool) {
	if c.Format != p.format || !slices.Contains(c.kinds(), p.kind) {
		return nil, 0, false
	}
	if (c.Binding == nil || *c.Binding) && !p.bound {
		return nil, 0, false
	}
	if c.Trusted != nil {
		trusted := false
		for _, a := range c.Trusted {
			for _, v := range a.Values {
				trusted = trusted || a.Type == "aki" && slices.Contains(p.authorities, v)
			}
		}
		if !trusted {
			return nil, 0, false
		}
	}
	has := func(cl *askedClaim) bool {
		v, there := p.claims[cl.Path[len(cl.Path)-1]]
		return there && (cl.Values == nil || slices.Contains(cl.Values, v))
	}
	if c.ClaimSets == nil {
		for i := range c.Claims {
			if !has(&c.Claims[i]) {
				return nil, 0, false
			}
			names = append(names, c.Claims[i].Path[len(c.Claims[i].Path)-1])
		}
		return names, -1, true
	}
	for n, set := range c.ClaimSets {
		names, ok = nil, true
		for _, id := range set {
			i := slices.IndexFunc(c.Claims, func(cl askedClaim) bool { return cl.ID == id })
			ok = ok && has(&c.Claims[i])
			names = append(names, c.Claims[i].Path[len(c.Claims[i].Path)-1])
		}
		if ok {
			return names, n, true
		}
	}
	return nil, 0, false
}

func (c *askedCredential) kinds() []string {
	if s, ok := c.Meta["doctype_value"].(string); ok {
		return []string{s}
	}
	return c.Meta["vct_values"].([]string)
}

// returned reports whether a request for an element is met by what is
// returned: the element itself, or the nearest age statement.
// ISO/IEC 18013-5 second edition (draft v4), 13.4.6.
func (p *paper) returned(element string, out []string) bool {
	e, ok := p.itself(element)
	return ok && slices.Contains(out, e)
}

func (p *paper) itself(element string) (string, bool) {
	if _, isAge := age(element); !isAge {
		_, held := p.claims[element]
		return element, held
	}
	asked, _ := age(element)
	best, found := "", false
	closer := func(e string) bool { // than best
		a, _ := age(e)
		b, _ := age(best)
		return !found || max(a-asked, asked-a) < max(b-asked, asked-b)
	}
	for e, v := range p.claims { // step 1
		if nn, ok := age(e); ok && v == true && nn >= asked && closer(e) {
			best, found = e, true
		}
	}
	if found {
		return best, true
	}
	for e, v := range p.claims { // step 2
		if nn, ok := age(e); ok && v == false && nn <= asked && closer(e) {
			best, found = e, true
		}
	}
	return best, found // step 3
}

func age(element string) (int, bool) {
	if len(element) != len("age_over_NN") || element[:9] != "age_over_" {
		return 0, false
	}
	nn, err := strconv.Atoi(element[9:])
	return nn, err == nil
}

// met reports whether returning out of p satisfies the request for a document,
// or with one named only that element of it. ISO/IEC 18013-5 second edition
// (draft v4), 10.2.8, step 1.
func met(d *mdoc.DocRequest, p *paper, out []string, only string) bool {
	if d.DocType != p.kind || p.format != "mso_mdoc" || !p.bound {
		return false
	}
	if d.Info != nil && d.Info.IssuerIdentifiers != nil {
		named := false
		for _, id := range d.Info.IssuerIdentifiers {
			named = named || slices.Contains(p.authorities, aki(string(id)))
		}
		if !named {
			return false
		}
	}
	for _, e := range d.NameSpaces[0].Elements {
		if only != "" && e.ID != only {
			continue
		}
		ok := p.returned(e.ID, out)
		if d.Info != nil {
			for _, a := range d.Info.Alternatives {
				for _, set := range a.Sets {
					all := a.Requested.ID == e.ID
					for _, x := range set {
						all = all && p.returned(x.ID, out)
					}
					ok = ok || all
				}
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// choice is one set of credentials of which one option is to be answered.
type choice struct {
	required bool
	options  [][]int
}

// isAnswer reports whether exactly these credentials can be the answer: in
// every required set one option, in others one or none, all together these.
// OpenID4VP 1.0, 6.4.2; ISO/IEC 18013-5 second edition (draft v4), 10.2.5.
func isAnswer(sets []choice, given, made map[int]bool) bool {
	if len(sets) == 0 {
		return len(given) > 0 && len(given) == len(made)
	}
	if !sets[0].required && isAnswer(sets[1:], given, made) {
		return true
	}
next:
	for _, o := range sets[0].options {
		more := map[int]bool{}
		for i := range made {
			more[i] = true
		}
		for _, i := range o {
			if !given[i] {
				continue next
			}
			more[i] = true
		}
		if isAnswer(sets[1:], given, more) {
			return true
		}
	}
	return false
}
