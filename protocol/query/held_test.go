package query_test

import (
	"crypto/elliptic"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/query"
)

// disclosable makes every member and element disclosable on its own.
func disclosable(t testing.TB, name string, value any) sdjwt.Node {
	t.Helper()
	n := sdjwt.Node{Name: name, SD: sdjwt.Always}
	switch v := value.(type) {
	case map[string]any:
		n.Members = []sdjwt.Node{}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			n.Members = append(n.Members, disclosable(t, k, v[k]))
		}
	case []any:
		n.Elements = []sdjwt.Node{}
		for _, e := range v {
			n.Elements = append(n.Elements, disclosable(t, "", e))
		}
	default:
		var err error
		if n.Value, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func issued(t testing.TB, vct string, claims map[string]any) *sdjwt.SDJWT {
	t.Helper()
	nodes := disclosable(t, "", claims).Members
	text, err := sdjwt.Issue(t.Context(), sdjwt.IssueParams{VCT: vct, Claims: nodes, Chain: [][]byte{{1}}}, testkit.Signer(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, text)
}

func parsed(t testing.TB, text string) *sdjwt.SDJWT {
	t.Helper()
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func claimsOf(t testing.TB, s *sdjwt.SDJWT) query.SDJWTClaims {
	t.Helper()
	p, err := s.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	return query.SDJWTClaims{Payload: p}
}

// The vectors' claims, issued, give the plan that the vectors want, and what
// the plan discloses is what was asked and nothing beside it.
func TestSDJWTVectors(t *testing.T) {
	planned := 0
	for _, c := range dcqlCases(t) {
		if why := skipped(c.ID); why != "" {
			continue // TestPlanVectors says why
		}
		q, err := query.ParseDCQL(c.Query)
		if err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		var plain, held []query.Held
		documents := map[int]*sdjwt.SDJWT{}
		for i, h := range c.Held {
			plain = append(plain, h.held())
			one := h.held()
			if h.Format == query.FormatSDJWT {
				documents[i] = issued(t, h.VCT, h.Claims)
				one.Claims = claimsOf(t, documents[i])
			}
			held = append(held, one)
		}
		want, got := query.Make(q, plain), query.Make(q, held)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", c.ID, diff)
		}
		for _, cand := range got.First(true) {
			if s := documents[cand.Held]; s != nil {
				planned++
				minimal(t, c.ID, s, cand)
			}
		}
	}
	if planned == 0 {
		t.Error("no vector was answered with an SD-JWT VC")
	}
}

// minimal checks that each disclosure is of a path asked, in one, or on the way.
func minimal(t *testing.T, id string, s *sdjwt.SDJWT, c query.Candidate) {
	t.Helper()
	var paths []sdjwt.Path
	for _, d := range c.Claims {
		paths = append(paths, sdjwt.Path(d.Path))
	}
	p, err := s.Select(paths)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	shown := claimsOf(t, parsed(t, p.String()))
	for _, d := range c.Claims {
		if !cmp.Equal(claimsOf(t, s).Values(d.Path), shown.Values(d.Path)) {
			t.Errorf("%s: %s is not what it was", id, d.Path)
		}
	}
	for _, d := range shown.Payload.Disclosed() {
		if !slices.ContainsFunc(paths, func(p sdjwt.Path) bool { return onTheWay(p, d.Path) }) {
			t.Errorf("%s: %s was disclosed and not asked for", id, d.Path)
		}
	}
}

// onTheWay reports whether one path begins with the other; null is any element.
func onTheWay(asked, disclosed sdjwt.Path) bool {
	for i := range min(len(asked), len(disclosed)) {
		if _, index := disclosed[i].(int); asked[i] != disclosed[i] && !(asked[i] == nil && index) {
			return false
		}
	}
	return true
}

// Positions are those as issued, whoever looks.
func TestSDJWTPositions(t *testing.T) {
	s := issued(t, "x", map[string]any{"list": []any{"a", "b", json.Number("3")}, "flag": true})
	p, err := s.Select([]sdjwt.Path{{"list", 1}})
	if err != nil {
		t.Fatal(err)
	}
	shown := claimsOf(t, parsed(t, p.String()))
	for _, tc := range []struct {
		path      query.Path
		all, some []any
	}{
		{query.Path{"list", 1}, []any{"b"}, []any{"b"}},
		{query.Path{"list", 0}, []any{"a"}, nil},
		{query.Path{"list", nil}, []any{"a", "b", json.Number("3")}, []any{"b"}},
		{query.Path{"list", 3}, nil, nil},
		{query.Path{"list", "a"}, nil, nil},
		{query.Path{"flag"}, []any{true}, nil},
		{query.Path{"flag", 0}, nil, nil},
	} {
		for name, c := range map[string]struct {
			claims query.SDJWTClaims
			want   []any
		}{"holder": {claimsOf(t, s), tc.all}, "verifier": {shown, tc.some}} {
			if diff := cmp.Diff(c.want, c.claims.Values(tc.path)); diff != "" || c.claims.Has(tc.path) != (c.want != nil) {
				t.Errorf("%s, %s: %s", tc.path, name, diff)
			}
		}
	}
}

func TestAccepts(t *testing.T) {
	c := query.Claim{Values: []any{"a", int64(3), true}}
	for _, good := range [][]any{{"a"}, {json.Number("3")}, {int64(3)}, {true}, {"x", "a"}} {
		if !c.Accepts(good) {
			t.Errorf("%v", good)
		}
	}
	for _, bad := range [][]any{nil, {"b"}, {json.Number("3.0")}, {nil}, {map[string]any{}}} {
		if c.Accepts(bad) {
			t.Errorf("%v", bad)
		}
	}
	if any := (&query.Claim{}); !any.Accepts(nil) {
		t.Error("without values")
	}
}
