package core_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// askedForAge is the SD-JWT VC of a preset, as it goes through DCQL.
func askedForAge(t *testing.T, preset string) query.Query {
	t.Helper()
	a, err := core.ParseAsk(preset, nil)
	if err != nil {
		t.Fatal(err)
	}
	dcql, err := a.Query.MarshalDCQL()
	if err != nil {
		t.Fatal(err)
	}
	q, err := query.ParseDCQL(dcql)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(q.Credentials, func(c query.Credential) bool { return c.ID == "pid-sd-jwt" })
	if i < 0 {
		t.Fatalf("%s asks for no PID as SD-JWT VC", dcql)
	}
	q.Credentials, q.Sets = q.Credentials[i:i+1], nil
	q.Credentials[0].ID = "pid"
	return q
}

// What a relying party learns is whether somebody is of age, from whatever a PID
// says about it; a date of birth is not handed on.
func TestAgeFromStandIns(t *testing.T) {
	leaf := func(name, value string) sdjwt.Node {
		return sdjwt.Node{Name: name, SD: sdjwt.Always, Value: json.RawMessage(value)}
	}
	statement := sdjwt.Node{Name: "age_equal_or_over", SD: sdjwt.Always, Members: []sdjwt.Node{leaf("18", "true")}}
	for _, c := range []struct {
		name, ask string
		claim     sdjwt.Node
		path      sdjwt.Path
		over      any
		from      string
	}{
		{"a statement", "age18", statement, sdjwt.Path{"age_equal_or_over", "18"}, true, ""},
		{"years", "age18", leaf("age_in_years", "18"), sdjwt.Path{"age_in_years"}, true, "age_in_years"},
		{"too few years", "age21", leaf("age_in_years", "20"), sdjwt.Path{"age_in_years"}, false, "age_in_years"},
		{"18 today", "age18", leaf("birthdate", `"2008-11-23"`), sdjwt.Path{"birthdate"}, true, "birth_date"},
		{"18 tomorrow", "age18", leaf("birthdate", `"2008-11-24"`), sdjwt.Path{"birthdate"}, false, "birth_date"},
		{"born on 29 February", "age18", leaf("birthdate", `"2008-02-29"`), sdjwt.Path{"birthdate"}, true, "birth_date"},
	} {
		r := newRegistry(t)
		r.claims = []sdjwt.Node{c.claim}
		p := r.params(t, pid(allClaims))
		p.Asked = askedForAge(t, c.ask)
		res := verifyOne(t, r.shown(t, nil, c.path), p)
		if res.Verdict != core.Valid || len(res.Documents[0].Elements) != 1 {
			t.Fatalf("%s: %s %+v", c.name, res.Reason, res.Documents[0].Elements)
		}
		i := slices.IndexFunc(res.Documents[0].Elements, func(e core.Element) bool { return strings.HasPrefix(e.ID, "age_over_") })
		if i < 0 {
			t.Fatalf("%s: %+v", c.name, res.Documents[0].Elements)
		}
		if e := res.Documents[0].Elements[i]; e.Value != c.over || e.From != c.from || (e.Text == "Yes") != (c.over == true) || !strings.HasPrefix(e.Label, "Over ") {
			t.Errorf("%s: %+v", c.name, e)
		}
		if text, _ := json.Marshal(res); c.from == "birth_date" && strings.Contains(string(text), "2008-") {
			t.Errorf("%s: the date of birth is handed on: %s", c.name, text)
		}
	}
}

// Nothing is computed from what is no date, nor where the date of birth was asked
// for as such.
func TestAgeNotComputed(t *testing.T) {
	leaf := func(name, value string) sdjwt.Node {
		return sdjwt.Node{Name: name, SD: sdjwt.Always, Value: json.RawMessage(value)}
	}
	for name, c := range map[string]struct{ claim, value, asked string }{
		"no date":         {"birthdate", `"soon"`, ""},
		"to come":         {"birthdate", `"2031-01-01"`, ""},
		"years as text":   {"age_in_years", `"many"`, ""},
		"asked as such":   {"birthdate", `"1984-03-17"`, `{"path":["age_equal_or_over","18"]},{"path":["birthdate"]}`},
		"asked by itself": {"birthdate", `"1984-03-17"`, `{"path":["birthdate"]}`},
	} {
		r := newRegistry(t)
		r.claims = []sdjwt.Node{leaf(c.claim, c.value)}
		p := r.params(t, pid(allClaims))
		if c.asked != "" {
			p = r.params(t, pid(c.asked))
		} else {
			p.Asked = askedForAge(t, "age18")
		}
		res := verifyOne(t, r.shown(t, nil, sdjwt.Path{c.claim}), p)
		if slices.ContainsFunc(res.Documents[0].Elements, func(e core.Element) bool { return e.From != "" }) ||
			c.asked != "" && !slices.ContainsFunc(res.Documents[0].Elements, func(e core.Element) bool { return e.Value == "1984-03-17" }) {
			t.Errorf("%s: %+v", name, res.Documents[0].Elements)
		}
	}
}

// On-site the same is asked of an mdoc, and computed the same way.
func TestAgeOnSite(t *testing.T) {
	response, p := annexD(t)
	a, err := core.ParseAsk("mdl:age_over_18 else birth_date,portrait", nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := core.OnSite(a.Query, true)
	if err != nil || len(q.Credentials[0].Claims) != 2 || len(q.Credentials[0].Claims[0].Alternatives) != 1 {
		t.Fatalf("%+v %v", q, err)
	}
	if first, err := core.OnSite(a.Query, false); err != nil || len(first.Credentials[0].Claims) != 2 || first.Credentials[0].Claims[0].Alternatives != nil {
		t.Fatalf("for a first edition mdoc: %+v %v", first, err)
	}
	q.Credentials[0].ID = p.Asked.Credentials[0].ID
	p.Asked = q
	res, err := core.Verify(t.Context(), response, p)
	if err != nil || len(res.Documents) != 1 {
		t.Fatalf("%+v %v", res, err)
	}
	if missing := slices.ContainsFunc(res.Missing, func(m core.Missing) bool { return m.ID == "age_over_18" }); !missing || len(res.Documents[0].Elements) != 1 {
		t.Errorf("what is neither there is missing: %+v %+v", res.Missing, res.Documents[0].Elements)
	}
}

// What stands in is written behind "else", once in a document.
func TestAskElse(t *testing.T) {
	a, err := core.ParseAsk("pid@sd-jwt:family_name,age_over_18 else  age_in_years else birth_date+", nil)
	if err != nil {
		t.Fatal(err)
	}
	checkAsk(t, a)
	c := a.Query.Credentials[0]
	if len(c.Claims) != 4 || !slices.EqualFunc(c.ClaimSets, [][]int{{0, 1}, {0, 2}, {0, 3}}, slices.Equal[[]int]) || !c.Claims[3].Retain || c.Claims[0].ID == "" {
		t.Errorf("%+v", c)
	}
	for _, wrong := range []string{"pid:age_over_18 else", "pid:else birth_date", "pid:age_over_18 else birth_date,sex else family_name", "pid:sex else sex", "pid:sex" + strings.Repeat(" else family_name", 9)} {
		if a, err := core.ParseAsk(wrong, nil); err == nil {
			t.Errorf("%s: %+v", wrong, a.Query)
		}
	}
}
