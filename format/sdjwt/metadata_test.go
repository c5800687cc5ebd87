package sdjwt_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/sdjwt"
)

func TestTypeMetadataRefuses(t *testing.T) {
	claim := func(c string) string { return `{"vct":"x","claims":[` + c + `]}` }
	display := func(d string) string {
		return `{"vct":"x","display":[{"locale":"en","name":"n","rendering":` + d + `}]}`
	}
	for what, text := range map[string]string{
		"no JSON":                  `{`,
		"no object":                `[]`,
		"no vct":                   `{}`,
		"vct no text":              `{"vct":1}`,
		"vct twice":                `{"vct":"x","vct":"y"}`,
		"too large":                `{"vct":"` + strings.Repeat("x", 300<<10) + `"}`,
		"long text":                `{"vct":"` + strings.Repeat("x", 5<<10) + `"}`,
		"integrity":                `{"vct":"x","extends":"y","extends#integrity":"md5-x"}`,
		"claims no array":          `{"vct":"x","claims":{}}`,
		"claim no object":          claim(`1`),
		"no path":                  claim(`{}`),
		"empty path":               claim(`{"path":[]}`),
		"path of bool":             claim(`{"path":[true]}`),
		"path of fraction":         claim(`{"path":[1.5]}`),
		"path of negative":         claim(`{"path":["a",-1]}`),
		"path too long":            claim(`{"path":[` + strings.Repeat("null,", 16) + `null]}`),
		"path twice":               claim(`{"path":["a"]},{"path":["a"]}`),
		"mandatory no bool":        claim(`{"path":["a"],"mandatory":1}`),
		"sd":                       claim(`{"path":["a"],"sd":"sometimes"}`),
		"sd no text":               claim(`{"path":["a"],"sd":1}`),
		"svg_id with a digit":      claim(`{"path":["a"],"svg_id":"1a"}`),
		"svg_id empty":             claim(`{"path":["a"],"svg_id":""}`),
		"svg_id twice":             claim(`{"path":["a"],"svg_id":"a"},{"path":["b"],"svg_id":"a"}`),
		"claim display no label":   claim(`{"path":["a"],"display":[{"locale":"en"}]}`),
		"claim display no locale":  claim(`{"path":["a"],"display":[{"label":"x"}]}`),
		"locale no tag":            claim(`{"path":["a"],"display":[{"label":"x","locale":"e n"}]}`),
		"display no name":          `{"vct":"x","display":[{"locale":"en"}]}`,
		"logo without uri":         display(`{"simple":{"logo":{}}}`),
		"logo with http":           display(`{"simple":{"logo":{"uri":"http://x.example/"}}}`),
		"logo with javascript":     display(`{"simple":{"logo":{"uri":"javascript:x"}}}`),
		"logo's integrity":         display(`{"simple":{"logo":{"uri":"https://x.example/","uri#integrity":"x"}}}`),
		"templates no array":       display(`{"svg_templates":{}}`),
		"templates without":        display(`{"svg_templates":[{"uri":"https://x.example/"},{"uri":"https://x.example/"}]}`),
		"template without any":     display(`{"svg_templates":[{"uri":"https://x.example/","properties":{}}]}`),
		"template upside down":     display(`{"svg_templates":[{"uri":"https://x.example/","properties":{"orientation":"upside"}}]}`),
		"rendering no object":      display(`1`),
		"properties of wrong kind": display(`{"svg_templates":[{"uri":"https://x.example/","properties":1}]}`),
	} {
		if _, err := sdjwt.ParseTypeMetadata([]byte(text)); !errors.Is(err, sdjwt.ErrMetadata) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTypeMetadataIgnores(t *testing.T) {
	m, err := sdjwt.ParseTypeMetadata([]byte(`{"vct":"x","VCT":"y","schema_uri":"z","_sd":1,"...":2,"display":[{"lang":"en","name":"n","rendering":{"hologram":{},
		"simple":{"background_color":"red;}","text_color":"#fff"}}}],"claims":[{"path":["a"],"new":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if s := m.Display[0].Rendering.Simple; m.VCT != "x" || m.Display[0].Locale != "en" || s.BackgroundColor != "" || s.TextColor != "#fff" {
		t.Errorf("%+v, %+v", m, s)
	}
}

func TestResolveTypeRefuses(t *testing.T) {
	chain := func(n int) map[string][]byte {
		out := map[string][]byte{}
		for i := range n {
			out[fmt.Sprint("t", i)] = fmt.Appendf(nil, `{"vct":"t%d","extends":"t%d"}`, i, (i+1)%n)
		}
		return out
	}
	for what, docs := range map[string]map[string][]byte{
		"itself":      chain(1),
		"a circle":    chain(3),
		"a long one":  chain(40),
		"another vct": {"t0": []byte(`{"vct":"x"}`)},
		"malformed":   {"t0": []byte(`{`)},
		"never to always": {"t0": []byte(`{"vct":"t0","extends":"t1","claims":[{"path":["a"],"sd":"always"}]}`),
			"t1": []byte(`{"vct":"t1","claims":[{"path":["a"],"sd":"never"}]}`)},
		"always to allowed": {"t0": []byte(`{"vct":"t0","extends":"t1","claims":[{"path":["a"],"sd":"allowed"}]}`),
			"t1": []byte(`{"vct":"t1","claims":[{"path":["a"],"sd":"always"}]}`)},
		"mandatory to optional": {"t0": []byte(`{"vct":"t0","extends":"t1","claims":[{"path":["a"],"mandatory":false}]}`),
			"t1": []byte(`{"vct":"t1","claims":[{"path":["a"],"mandatory":true}]}`)},
		"svg_id of another claim": {"t0": []byte(`{"vct":"t0","extends":"t1","claims":[{"path":["b"],"svg_id":"a"}]}`),
			"t1": []byte(`{"vct":"t1","claims":[{"path":["a"],"svg_id":"a"}]}`)},
	} {
		if _, err := sdjwt.ResolveType("t0", "", docs); !errors.Is(err, sdjwt.ErrMetadata) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := sdjwt.ResolveType("", "", nil); !errors.Is(err, sdjwt.ErrMetadata) {
		t.Errorf("no type: %v", err)
	}
	docs := map[string][]byte{"t0": []byte(`{"vct":"t0","extends":"t1","extends#integrity":"` + sdjwt.Integrity([]byte("x")) + `"}`), "t1": []byte(`{"vct":"t1"}`)}
	if _, err := sdjwt.ResolveType("t0", "", docs); !errors.Is(err, sdjwt.ErrIntegrity) {
		t.Errorf("base of another integrity: %v", err)
	}
}

func TestResolveTypeInherits(t *testing.T) {
	docs := map[string][]byte{
		"t0": []byte(`{"vct":"t0","extends":"t1","claims":[{"path":["a"],"sd":"always"},{"path":["b"],"mandatory":true}]}`),
		"t1": []byte(`{"vct":"t1","extends":"t2","display":[{"locale":"en","name":"one"}]}`),
		"t2": []byte(`{"vct":"t2","display":[{"locale":"en","name":"two"}],"claims":[{"path":["a"],"mandatory":true,"svg_id":"a"},{"path":["b"],"sd":"never"}]}`),
	}
	m, err := sdjwt.ResolveType("t0", "", docs)
	if err != nil {
		t.Fatal(err)
	}
	a, b := m.Claims[0], m.Claims[1]
	if m.VCT != "t0" || m.Display[0].Name != "one" || len(m.Claims) != 2 || a.SD != sdjwt.Always || !*a.Mandatory || a.SVGID != "a" || b.SD != sdjwt.Never || !*b.Mandatory {
		t.Errorf("%+v", m)
	}
}

// Rules against what was issued and what is shown of it.
func TestMetadataCheck(t *testing.T) {
	a := newAuthority(t)
	issued := parse(t, a.issue(t, a.params(nil, person()...)))
	shown, err := issued.Select([]sdjwt.Path{{"address", "country"}, {"degrees", 1, "year"}})
	if err != nil {
		t.Fatal(err)
	}
	all, part := payload(t, issued), payload(t, parse(t, shown.String()))
	for _, c := range []struct {
		claim     string
		all, part string // the check that fails
	}{
		{`{"path":["family_name"],"sd":"always","mandatory":true}`, "", ""},
		{`{"path":["family_name"],"sd":"never"}`, "selective disclosure", ""},
		{`{"path":["issuing_country"],"sd":"never","mandatory":true}`, "", ""},
		{`{"path":["issuing_country"],"sd":"always"}`, "selective disclosure", "selective disclosure"},
		{`{"path":["issuing_country"]}`, "", ""},
		{`{"path":["height"],"mandatory":true}`, "mandatory claim", ""},
		{`{"path":["height"],"mandatory":true,"sd":"never"}`, "mandatory claim", "mandatory claim"},
		{`{"path":["status","x"],"mandatory":true}`, "mandatory claim", "mandatory claim"},
		{`{"path":["address","kind"],"sd":"never","mandatory":true}`, "", ""},
		{`{"path":["address","kind"],"sd":"always"}`, "selective disclosure", "selective disclosure"},
		{`{"path":["address","street"],"mandatory":true}`, "mandatory claim", ""},
		{`{"path":["nationalities",null],"sd":"always","mandatory":true}`, "", ""},
		{`{"path":["nationalities",null],"sd":"never"}`, "selective disclosure", "selective disclosure"},
		{`{"path":["nationalities",1],"sd":"always","mandatory":true}`, "", ""},
		{`{"path":["nationalities",2],"mandatory":true}`, "mandatory claim", ""},
		{`{"path":["degrees",null],"sd":"always"}`, "selective disclosure", "selective disclosure"},
		{`{"path":["degrees",1],"sd":"always"}`, "", ""},
		{`{"path":["degrees",null,"year"],"sd":"always","mandatory":true}`, "", ""},
		{`{"path":["family_name","x"]}`, "claim path", ""},
		{`{"path":["issuing_country",0]}`, "claim path", "claim path"},
	} {
		m, err := sdjwt.ParseTypeMetadata([]byte(`{"vct":"x","claims":[` + c.claim + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range []struct {
			what string
			p    *sdjwt.Payload
			want string
		}{{"all", all, c.all}, {"part", part, c.part}} {
			failed := m.Check(one.p, one.what == "all").Failed()
			if one.want == "" && len(failed) > 0 || one.want != "" && (len(failed) != 1 || failed[0].Name != one.want) {
				t.Errorf("%s of %s: %v, want %q", c.claim, one.what, failed, one.want)
			}
		}
	}
}

func TestPathJSON(t *testing.T) {
	var p sdjwt.Path
	if err := p.UnmarshalJSON([]byte(`["a\"b",null,7]`)); err != nil || !p.Equal(sdjwt.Path{`a"b`, nil, 7}) {
		t.Errorf("%v, %v", p, err)
	}
	if text, err := p.MarshalJSON(); err != nil || string(text) != `["a\"b",null,7]` || jose.CheckJSON(text, jose.Limits{}) != nil {
		t.Errorf("%s, %v", text, err)
	}
	if p.Equal(sdjwt.Path{`a"b`, nil}) || p.Equal(sdjwt.Path{`a"b`, 0, 7}) {
		t.Error("equals another")
	}
	for _, text := range []string{`{}`, `[]`, `[[]]`, `[2147483648]`, `[01]`, `["a"`} {
		if err := p.UnmarshalJSON([]byte(text)); !errors.Is(err, sdjwt.ErrSyntax) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
