package query_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
)

// TestCheck: what comes back is the plan's, whatever the selection says.
func TestCheck(t *testing.T) {
	partial := query.Make(ask(t, wants([]string{"a!", "b"}), wants([]string{"c"})), []query.Held{holds("a", "b", "c"), holds("a")})
	whole := query.Make(query.Query{Credentials: []query.Credential{{
		ID: "c", Format: query.FormatMdoc, Types: []string{"t"}, Claims: []query.Claim{{Path: query.Element(space, "a")}, {Path: query.Element(space, "b")}},
	}}}, []query.Held{holds("a", "b")})
	unsatisfied := query.Make(whole.Query, nil)
	pick := func(credential, held int, elements ...string) query.Candidate {
		c := query.Candidate{Credential: credential, Held: held, ClaimSet: 7}
		for _, e := range elements {
			c.Claims = append(c.Claims, query.Disclosure{Path: query.Element(space, e)})
		}
		return c
	}
	for _, tc := range []struct {
		name string
		plan query.Plan
		s    query.Selection
		want string // the claims, or words of the error
	}{
		{"nothing", partial, nil, query.ErrIncomplete.Error()},
		{"all", partial, query.Selection{pick(0, 0, "b", "a"), pick(1, 0, "c")}, "0.0[a! b] 1.0[c]"},
		{"some", partial, query.Selection{pick(0, 0, "b")}, "0.0[b]"},
		{"a document of which nothing is left", partial, query.Selection{pick(0, 1), pick(1, 0, "c")}, "1.0[c]"},
		{"nothing of anything", partial, query.Selection{pick(0, 0)}, query.ErrIncomplete.Error()},
		{"two where one was asked for", partial, query.Selection{pick(0, 0, "a"), pick(0, 1, "a")}, "two documents where one"},
		{"one twice", partial, query.Selection{pick(0, 0, "a"), pick(0, 0, "b")}, "twice"},
		{"a claim that is not in the plan", partial, query.Selection{pick(0, 1, "a", "b")}, "claim that is not in the plan"},
		{"a document that is not in the plan", partial, query.Selection{pick(1, 1, "c")}, "document that is not in the plan"},
		{"a credential that is not in the plan", partial, query.Selection{pick(2, 0, "c")}, "credential 2 of 2"},
		{"a negative one", partial, query.Selection{pick(-1, 0, "c")}, "credential -1 of 2"},
		{"all of all or nothing", whole, query.Selection{pick(0, 0, "a", "b")}, "0.0[a b]"},
		{"some of all or nothing", whole, query.Selection{pick(0, 0, "a")}, "all that it asked for or nothing"},
		{"none of all or nothing", whole, query.Selection{pick(0, 0)}, "all that it asked for or nothing"},
		{"where there is no answer", unsatisfied, query.Selection{pick(0, 0, "a", "b")}, "not in the plan"},
	} {
		s, err := tc.plan.Check(tc.s)
		var got []string
		for _, c := range s {
			var list []string
			for _, d := range c.Claims {
				e := d.Path[1].(string)
				if d.Retain {
					e += "!"
				}
				list = append(list, e)
			}
			got = append(got, fmt.Sprintf("%d.%d%v", c.Credential, c.Held, list))
			if c.ClaimSet != -1 {
				t.Errorf("%s: claim set %d is the selection's", tc.name, c.ClaimSet)
			}
		}
		if err != nil && !strings.Contains(err.Error(), tc.want) || err == nil && strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %v %v, want %s", tc.name, got, err, tc.want)
		}
	}
}

// TestCheckEntangled: sets made to be hard to search are given up on, soon.
func TestCheckEntangled(t *testing.T) {
	req := &mdoc.DeviceRequest{Info: &mdoc.DeviceRequestInfo{}}
	for i := range 32 {
		req.Documents = append(req.Documents, wants([]string{"a"}))
		req.Info.UseCases = append(req.Info.UseCases, mdoc.UseCase{DocumentSets: [][]int{{i}, {i, (i * 7) % 32}, {(i * 11) % 32, 31 - i}}})
	}
	q, err := query.FromDeviceRequest(req)
	if err != nil {
		t.Fatal(err)
	}
	p := query.Make(q, []query.Held{holds("a")})
	if _, err := p.Check(p.First(true)); err == nil || errors.Is(err, query.ErrIncomplete) || !strings.Contains(err.Error(), "entangled") {
		t.Error(err)
	}
}
