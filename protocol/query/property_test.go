package query_test

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// The small world that questions and documents are drawn from.
var (
	kinds    = []string{"t.one", "t.two"}
	issuers  = []string{"issuer one", "issuer two"}
	elements = []string{"a", "b", "c", "d", "age_over_16", "age_over_18", "age_over_21"}
	values   = []any{"x", "y", int64(1), int64(2), true, false}
)

func aki(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

// The draws are made of coins, because rapid's other generators favour what is
// small, and nothing is small about a question that goes wrong.

func coin(t *rapid.T, label string) bool { return rapid.Bool().Draw(t, label) }

// check is rapid.Check over more cases: most are cheap and say little.
func check(t *testing.T, property func(*rapid.T)) {
	rapid.Check(t, func(t *rapid.T) {
		for range 10 {
			property(t)
		}
	})
}

// rare is true once in eight times.
func rare(t *rapid.T, label string) bool {
	return rapid.IntRange(0, 7).Draw(t, label) == 7
}

// count is from 1 to most.
func count(t *rapid.T, most int, label string) int {
	n := 1
	for range most - 1 {
		if coin(t, label) {
			n++
		}
	}
	return n
}

// some draws at least one of the list, in its order: many of it, or few.
func some[T any](t *rapid.T, list []T, many bool, label string) []T {
	var out []T
	for _, x := range list {
		if a, b := coin(t, label), coin(t, label); many && (a || b) || a && b {
			out = append(out, x)
		}
	}
	if out == nil {
		out = append(out, rapid.SampledFrom(list).Draw(t, label))
	}
	return out
}

func drawPaper(t *rapid.T, format string) *paper {
	p := &paper{format: format, kind: rapid.SampledFrom(kinds).Draw(t, "kind"), bound: !rare(t, "unbound"), claims: map[string]any{}}
	for _, i := range some(t, issuers, true, "issuers") {
		p.authorities = append(p.authorities, aki(i))
	}
	for _, e := range some(t, elements, coin(t, "many"), "held") {
		p.claims[e] = rapid.SampledFrom(values).Draw(t, e)
		if _, isAge := age(e); isAge {
			p.claims[e] = coin(t, e)
		}
	}
	return p
}

func (p *paper) held() query.Held {
	h := query.Held{Format: p.format, Type: p.kind, Bound: p.bound, Claims: jsonClaims(p.claims)}
	if p.format == query.FormatMdoc {
		h.Claims = jsonClaims{space: p.claims}
	}
	for _, a := range p.authorities {
		h.Authorities = append(h.Authorities, query.Authority{Type: query.AuthorityAKI, Value: a})
	}
	return h
}

func drawPapers(t *rapid.T, formats ...string) ([]*paper, []query.Held) {
	var papers []*paper
	var held []query.Held
	for range count(t, 3, "documents") {
		p := drawPaper(t, rapid.SampledFrom(formats).Draw(t, "format"))
		papers, held = append(papers, p), append(held, p.held())
	}
	return papers, held
}

// names are what a candidate discloses.
func names(c query.Candidate) []string {
	var out []string
	for _, d := range c.Claims {
		out = append(out, d.Path[len(d.Path)-1].(string))
	}
	return out
}

func drawDCQL(t *rapid.T) askedDCQL {
	var q askedDCQL
	var ids []string
	for i := range count(t, 3, "credentials") {
		ids = append(ids, "c"+strconv.Itoa(i))
		q.Credentials = append(q.Credentials, drawCredential(t, ids[i]))
	}
	if coin(t, "sets") {
		for range count(t, 3, "set count") {
			var s askedSet
			for range count(t, 3, "options") {
				s.Options = append(s.Options, some(t, ids, false, "option"))
			}
			if coin(t, "said whether required") {
				required := coin(t, "required")
				s.Required = &required
			}
			q.Sets = append(q.Sets, s)
		}
	}
	return q
}

func drawCredential(t *rapid.T, id string) askedCredential {
	c := askedCredential{ID: id, Multiple: coin(t, "multiple"), Format: query.FormatMdoc}
	c.Meta = map[string]any{"doctype_value": rapid.SampledFrom(kinds).Draw(t, "doctype")}
	if coin(t, "sd-jwt") {
		c.Format, c.Meta = query.FormatSDJWT, map[string]any{"vct_values": some(t, kinds, true, "vct")}
	}
	if rare(t, "binding said") {
		binding := coin(t, "binding")
		c.Binding = &binding
	}
	if rare(t, "trusted") {
		for _, i := range some(t, issuers, false, "trusted issuers") {
			c.Trusted = append(c.Trusted, askedTrust{"aki", []string{aki(i)}})
		}
		c.Trusted = append(c.Trusted, askedTrust{"etsi_tl", []string{aki(issuers[0])}}) // not for us to judge
	}
	for _, e := range elements {
		if rapid.IntRange(0, 3).Draw(t, "claimed") < 3 {
			continue
		}
		cl := askedClaim{ID: "id-" + e, Path: []string{e}, Retain: coin(t, "retain")}
		if c.Format == query.FormatMdoc {
			cl.Path = []string{space, e}
		}
		if rare(t, "values") {
			cl.Values = some(t, values, true, "which values")
		}
		c.Claims = append(c.Claims, cl)
	}
	if c.Claims != nil && coin(t, "claim sets") {
		var all []string
		for _, cl := range c.Claims {
			all = append(all, cl.ID)
		}
		for range count(t, 3, "claim set count") {
			c.ClaimSets = append(c.ClaimSets, some(t, all, true, "claim set"))
		}
	}
	return c
}

// TestDCQLAgainstReference: for every question and every holding the plan says
// what OpenID4VP 1.0, 6.4 says, and what was parsed is written the same.
func TestDCQLAgainstReference(t *testing.T) {
	check(t, func(t *rapid.T) {
		asked := drawDCQL(t)
		papers, held := drawPapers(t, query.FormatMdoc, query.FormatSDJWT)
		text, err := json.Marshal(asked)
		if err != nil {
			t.Fatal(err)
		}
		q, err := query.ParseDCQL(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := q.MarshalDCQL()
		if err != nil {
			t.Fatal(err)
		}
		if q2, err := query.ParseDCQL(again); err != nil || !reflect.DeepEqual(q, q2) {
			t.Fatalf("%s came back as %s, %v", text, again, err)
		}
		p := query.Make(q, held)
		var can []bool
		for i := range asked.Credentials {
			c := &asked.Credentials[i]
			n := 0
			for k, doc := range papers {
				disclosed, claimSet, ok := c.matches(doc)
				if !ok {
					continue
				}
				if n >= len(p.Credentials[i]) {
					t.Fatalf("%s: document %d is no candidate", c.ID, k)
				}
				got := p.Credentials[i][n]
				if got.Held != k || got.ClaimSet != claimSet || !slices.Equal(names(got), disclosed) {
					t.Fatalf("%s: %+v, want %d %d %v", c.ID, got, k, claimSet, disclosed)
				}
				n++
			}
			if n != len(p.Credentials[i]) || (n == 0) != (p.Missing[i] != "") {
				t.Fatalf("%s: %d candidates, want %d; missing: %q", c.ID, len(p.Credentials[i]), n, p.Missing[i])
			}
			can = append(can, n > 0)
		}
		sets := []choice{{required: true, options: [][]int{nil}}}
		for i := range asked.Credentials {
			sets[0].options[0] = append(sets[0].options[0], i)
		}
		if asked.Sets != nil {
			sets = nil
		}
		for _, s := range asked.Sets {
			one := choice{required: s.Required == nil || *s.Required}
			for _, o := range s.Options {
				var option []int
				for _, id := range o {
					i, _ := strconv.Atoi(id[1:])
					option = append(option, i)
				}
				one.options = append(one.options, option)
			}
			sets = append(sets, one)
		}
		checkSets(t, &p, sets, can, false)
	})
}

// checkSets compares options and satisfaction, and tries every selection.
func checkSets(t *rapid.T, p *query.Plan, sets []choice, can []bool, nonEmpty bool) {
	satisfied, some := true, false
	for n := range sets {
		var left [][]int
		for _, o := range sets[n].options {
			if !slices.ContainsFunc(o, func(i int) bool { return !can[i] }) {
				left = append(left, o)
			}
		}
		if got := p.Sets[n]; got.Required != sets[n].required || !reflect.DeepEqual(got.Options, left) {
			t.Fatalf("set %d: %+v, want %v", n, got, left)
		}
		some = some || left != nil
		satisfied = satisfied && (left != nil || !sets[n].required)
	}
	if satisfied = satisfied && (some || !nonEmpty); p.Satisfied != satisfied {
		t.Fatalf("satisfied %v, want %v", p.Satisfied, satisfied)
	}
	if first := p.First(true); len(first) > 0 {
		if again, err := p.Check(first); err != nil || !reflect.DeepEqual(again, first) {
			t.Fatalf("the first answer %+v is none: %+v, %v", first, again, err)
		}
	}
	// Every way to take none or one candidate for each credential, and all of
	// them where several may answer.
	var try func(i int, s query.Selection, given map[int]bool)
	try = func(i int, s query.Selection, given map[int]bool) {
		if i == len(p.Credentials) {
			_, err := p.Check(s)
			if want := satisfied && isAnswer(sets, given, nil); (err == nil) != want {
				t.Fatalf("selection %+v: %v, want an answer: %v", s, err, want)
			}
			return
		}
		delete(given, i)
		try(i+1, s, given)
		given[i] = true
		for _, c := range p.Credentials[i] {
			try(i+1, append(slices.Clone(s), c), given)
		}
		if n := len(p.Credentials[i]); n > 1 && p.Query.Credentials[i].Multiple {
			try(i+1, append(slices.Clone(s), p.Credentials[i]...), given)
		}
		delete(given, i)
	}
	try(0, nil, map[int]bool{})
}

func drawDeviceRequest(t *rapid.T) *mdoc.DeviceRequest {
	req := &mdoc.DeviceRequest{Version: "1.1"}
	// A reader asks for two age statements at most.
	ages := rapid.Permutation(elements[4:]).Draw(t, "ages")[:2]
	pool := append(slices.Clone(elements[:4]), ages...)
	for range count(t, 3, "document requests") {
		d := mdoc.DocRequest{DocType: rapid.SampledFrom(kinds).Draw(t, "docType"), NameSpaces: []mdoc.RequestedNameSpace{{Name: space}}}
		info := &mdoc.DocRequestInfo{}
		for _, e := range some(t, pool, coin(t, "many"), "elements") {
			d.NameSpaces[0].Elements = append(d.NameSpaces[0].Elements, mdoc.RequestedElement{ID: e, IntentToRetain: coin(t, "retain")})
			if !coin(t, "alternatives") {
				continue
			}
			alt := mdoc.AlternativeDataElements{Requested: mdoc.ElementRef{NameSpace: space, ID: e}}
			for range count(t, 3, "alternative sets") {
				var set []mdoc.ElementRef
				for _, x := range some(t, pool, false, "alternative") {
					set = append(set, mdoc.ElementRef{NameSpace: space, ID: x})
				}
				alt.Sets = append(alt.Sets, set)
			}
			info.Alternatives = append(info.Alternatives, alt)
		}
		if rare(t, "issuers named") {
			for _, i := range some(t, issuers, false, "named") {
				info.IssuerIdentifiers = append(info.IssuerIdentifiers, []byte(i))
			}
		}
		if coin(t, "unique said") {
			unique := coin(t, "unique")
			info.UniqueDocSetRequired = &unique
		}
		if !rare(t, "no info") {
			d.Info = info
		}
		req.Documents = append(req.Documents, d)
	}
	if coin(t, "use cases") {
		req.Info = &mdoc.DeviceRequestInfo{}
		ids := make([]int, len(req.Documents))
		for i := range ids {
			ids[i] = i
		}
		for range count(t, 3, "use case count") {
			u := mdoc.UseCase{Mandatory: coin(t, "mandatory")}
			for range count(t, 3, "document sets") {
				u.DocumentSets = append(u.DocumentSets, some(t, ids, false, "document set"))
			}
			req.Info.UseCases = append(req.Info.UseCases, u)
		}
	}
	return req
}

// TestDeviceRequestAgainstReference: for every DeviceRequest and every holding
// the plan satisfies it as ISO/IEC 18013-5 second edition (draft v4), 10.2.8
// says, gives nothing that was not asked for, and nothing that could be missed.
func TestDeviceRequestAgainstReference(t *testing.T) {
	check(t, func(t *rapid.T) {
		req := drawDeviceRequest(t)
		papers, held := drawPapers(t, query.FormatMdoc)
		q, err := query.FromDeviceRequest(req)
		if err != nil {
			t.Fatal(err)
		}
		p := query.Make(q, held)
		strict := req.Info != nil
		var can []bool
		for i := range req.Documents {
			d := &req.Documents[i]
			n := 0
			for k, doc := range papers {
				all := slices.Collect(func(yield func(string) bool) {
					for e := range doc.claims {
						if !yield(e) {
							return
						}
					}
				})
				var wanted []string // what the document can meet
				for _, e := range d.NameSpaces[0].Elements {
					if met(d, doc, all, e.ID) {
						wanted = append(wanted, e.ID)
					}
				}
				if len(wanted) == 0 || strict && len(wanted) < len(d.NameSpaces[0].Elements) {
					continue
				}
				if n >= len(p.Credentials[i]) || p.Credentials[i][n].Held != k {
					t.Fatalf("request %d: document %d is no candidate", i, k)
				}
				checkCandidate(t, d, doc, p.Credentials[i][n], wanted)
				n++
			}
			if n != len(p.Credentials[i]) {
				t.Fatalf("request %d: %d candidates, want %d", i, len(p.Credentials[i]), n)
			}
			can = append(can, n > 0)
		}
		var sets []choice
		if strict {
			for _, u := range req.Info.UseCases {
				sets = append(sets, choice{required: u.Mandatory, options: u.DocumentSets})
			}
		} else {
			for i := range req.Documents {
				sets = append(sets, choice{options: [][]int{{i}}})
			}
		}
		checkSets(t, &p, sets, can, true)
	})
}

// checkCandidate: the disclosures meet what can be met, each is the answer to
// an element asked for by name or could not be missed, and an intent to retain
// is handed on.
func checkCandidate(t *rapid.T, d *mdoc.DocRequest, doc *paper, c query.Candidate, wanted []string) {
	out := names(c)
	for _, e := range wanted {
		if !met(d, doc, out, e) {
			t.Fatalf("%v does not answer %s", out, e)
		}
	}
	if len(c.Absent) != len(d.NameSpaces[0].Elements)-len(wanted) {
		t.Fatalf("absent %v, though %v can be answered", c.Absent, wanted)
	}
	for i, x := range out {
		if slices.Contains(out[:i], x) {
			t.Fatalf("%s is disclosed twice", x)
		}
		byName, retain := false, false
		for _, e := range d.NameSpaces[0].Elements {
			if own, ok := doc.itself(e.ID); ok && own == x {
				byName, retain = true, retain || e.IntentToRetain
			}
		}
		if byName {
			if retain && !c.Claims[i].Retain {
				t.Fatalf("%s is to be retained", x)
			}
			continue
		}
		less := slices.Delete(slices.Clone(out), i, i+1)
		if !slices.ContainsFunc(wanted, func(e string) bool { return !met(d, doc, less, e) }) {
			t.Fatalf("%s is disclosed, though %v is enough for %v", x, less, wanted)
		}
	}
}
