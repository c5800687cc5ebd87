package query_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/protocol/query"
)

// of is a query for one SD-JWT VC of type t with more members.
func of(members string) string {
	return `{"credentials":[{"id":"c","format":"dc+sd-jwt","meta":{"vct_values":["t"]}` + members + `}]}`
}

func vc(claims map[string]any, authorities ...query.Authority) query.Held {
	return query.Held{Format: query.FormatSDJWT, Type: "t", Bound: true, Claims: jsonClaims(claims), Authorities: authorities}
}

// TestDCQLPlan has what the vectors leave out.
func TestDCQLPlan(t *testing.T) {
	one := query.Authority{Type: "aki", Value: "b25l"}
	held := []query.Held{vc(map[string]any{"a": "x", "n": []any{"y", "z"}, "o": map[string]any{"p": int64(1)}}, one)}
	for _, tc := range []struct{ name, dcql, want string }{
		{"no claims", of(``), ""},
		{"a duplicate is not heeded, except that it is to be retained", of(`,"claims":[{"path":["a"]},{"path":["a"],"values":["other"],"intent_to_retain":true}]`), "a!"},
		{"paths with the same name", of(`,"claims":[{"path":["o","p"]},{"path":["o"]}]`), "o.p o"},
		{"all of an array", of(`,"claims":[{"path":["n",null],"values":["z"]}]`), "n.*"},
		{"past the end of an array", of(`,"claims":[{"path":["n",2]}]`), "the document lacks n.2"},
		{"null into an object", of(`,"claims":[{"path":["o",null]}]`), "the document lacks o.*"},
		{"another type of the same text", of(`,"claims":[{"path":["o","p"],"values":["1"]}]`), "the document lacks o.p"},
		{"key identifier with padding", of(`,"trusted_authorities":[{"type":"aki","values":["b25l=="]}]`), ""},
		{"one of several authorities", of(`,"trusted_authorities":[{"type":"etsi_tl","values":["https://x"]},{"type":"aki","values":["b25m","b25l"]}]`), ""},
		{"authorities of which nothing is known", of(`,"trusted_authorities":[{"type":"openid_federation","values":["b25l"]},{"type":"x","values":["b25l"]}]`), "no document of an issuer that the verifier names"},
		{"key identifier that is none", of(`,"trusted_authorities":[{"type":"aki","values":["?"]}]`), "no document of an issuer that the verifier names"},
		{"a format that is not kept", `{"credentials":[{"id":"c","format":"ldp_vc","meta":{"type_values":[["A"]]},"claims":[{"path":["a"]}]}]}`, `documents of format "ldp_vc" are not kept here`},
		{"an mdoc of any type", `{"credentials":[{"id":"c","format":"mso_mdoc","meta":{},"claims":[{"path":["n","a"]}]}]}`, "no document of type mso_mdoc"},
		{"members that are not known", `{"x":1,` + of(`,"y":[{}],"claims":[{"path":["a"],"z":null}]`)[1:], "a"},
	} {
		q, err := query.ParseDCQL([]byte(tc.dcql))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		p := query.Make(q, held)
		got := p.Missing[0]
		for _, c := range p.First(true) {
			var list []string
			for _, d := range c.Claims {
				s := d.Path.String()
				if d.Retain {
					s += "!"
				}
				list = append(list, s)
			}
			got = strings.Join(list, " ")
		}
		if got != tc.want || p.Satisfied != (p.Missing[0] == "") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestDCQLRefused has what the vectors leave out.
func TestDCQLRefused(t *testing.T) {
	for name, dcql := range map[string]string{
		"a member twice":                      `{"credentials":[],` + of(``)[1:],
		"data after it":                       of(``) + "{}",
		"too large":                           of(`,"x":"` + strings.Repeat("x", 64<<10) + `"`),
		"too deep":                            of(`,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)),
		"a claim without id beside sets":      of(`,"claims":[{"id":"a","path":["a"]},{"path":["b"]}],"claim_sets":[["a"]]`),
		"a path too long":                     of(`,"claims":[{"path":[` + strings.Repeat(`null,`, 16) + `null]}]`),
		"an index beyond all arrays":          of(`,"claims":[{"path":["a",4294967296]}]`),
		"a value beyond 64 bits":              of(`,"claims":[{"path":["a"],"values":[18446744073709551616]}]`),
		"too many values of authorities":      of(`,"trusted_authorities":[` + strings.Repeat(`{"type":"x","values":["`+strings.Repeat(`a","`, 199)+`a"]},`, 1) + `{"type":"y","values":["` + strings.Repeat(`a","`, 99) + `a"]}]`),
		"a credential set naming nothing":     `{` + of(``)[1:len(of(``))-1] + `,"credential_sets":[{"options":[["d"]]}]}`,
		"a credential set that is no boolean": `{` + of(``)[1:len(of(``))-1] + `,"credential_sets":[{"options":[["c"]],"required":1}]}`,
	} {
		if _, err := query.ParseDCQL([]byte(dcql)); !errors.Is(err, query.ErrQuery) {
			t.Errorf("%s: %v", name, err)
		}
	}
	claim := query.Claim{Path: query.Path{"a"}}
	for name, c := range map[string]query.Credential{
		"twice the same": {ID: "c", Format: query.FormatSDJWT, Types: []string{"t"}, Claims: []query.Claim{claim, claim}},
		"unknown format": {ID: "c", Format: "ldp_vc"},
		"two docTypes":   {ID: "c", Format: query.FormatMdoc, Types: []string{"t", "u"}},
		"no vct":         {ID: "c", Format: query.FormatSDJWT},
		"claim set":      {ID: "c", Format: query.FormatSDJWT, Types: []string{"t"}, Claims: []query.Claim{claim}, ClaimSets: [][]int{{1}}},
		"no id":          {Format: query.FormatSDJWT, Types: []string{"t"}},
	} {
		if _, err := (query.Query{Credentials: []query.Credential{c}}).MarshalDCQL(); !errors.Is(err, query.ErrQuery) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
