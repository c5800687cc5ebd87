package query_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/query"
)

type heldVector struct {
	Format      string                    `json:"format"`
	DocType     string                    `json:"doctype"`
	VCT         string                    `json:"vct"`
	Type        json.RawMessage           `json:"type"`
	NameSpaces  map[string]map[string]any `json:"namespaces"`
	Claims      map[string]any            `json:"claims"`
	Binding     bool                      `json:"holder_binding"`
	Authorities []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"authorities"`
}

func (h heldVector) held() query.Held {
	out := query.Held{Format: h.Format, Type: h.DocType + h.VCT, Bound: h.Binding, Claims: jsonClaims(h.Claims)}
	if h.NameSpaces != nil {
		m := map[string]any{}
		for ns, els := range h.NameSpaces {
			m[ns] = map[string]any(els)
		}
		out.Claims = jsonClaims(m)
	}
	for _, a := range h.Authorities {
		out.Authorities = append(out.Authorities, query.Authority{Type: a.Type, Value: a.Value})
	}
	return out
}

type dcqlCase struct {
	ID       string          `json:"id"`
	Query    json.RawMessage `json:"query"`
	Held     []heldVector    `json:"held"`
	Expected struct {
		Satisfied   bool `json:"satisfied"`
		Credentials map[string][]struct {
			Index    int     `json:"index"`
			Claims   [][]any `json:"claims"`
			ClaimSet *int    `json:"claim_set"`
		} `json:"credentials"`
	} `json:"expected"`
	Options [][][]string `json:"options"`
}

func decode(t testing.TB, data []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// skipped are the cases of a format that this product does not hold.
func skipped(id string) string {
	if strings.HasPrefix(id, "ldp_vc") {
		return "W3C Linked Data credentials are not among the formats of ISO/IEC 23220"
	}
	return ""
}

func TestPlanVectors(t *testing.T) {
	for _, c := range dcqlCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			if why := skipped(c.ID); why != "" {
				t.Skip(why)
			}
			testPlan(t, c)
		})
	}
}

// dcqlCases are the questions with what is held and the plan that is wanted.
func dcqlCases(t testing.TB) (all []dcqlCase) {
	t.Helper()
	for _, file := range []string{"dcql/spec_cases.json", "dcql/dcql_ts_cases.json"} {
		var f struct {
			Data struct {
				Cases []dcqlCase `json:"cases"`
			} `json:"data"`
		}
		decode(t, vectors.Bytes(t, file), &f)
		all = append(all, f.Data.Cases...)
	}
	return all
}

func testPlan(t *testing.T, c dcqlCase) {
	q, err := query.ParseDCQL(c.Query)
	if err != nil {
		t.Fatal(err)
	}
	var held []query.Held
	for _, h := range c.Held {
		held = append(held, h.held())
	}
	p := query.Make(q, held)
	if p.Satisfied != c.Expected.Satisfied {
		t.Fatalf("satisfied %v, want %v (%v)", p.Satisfied, c.Expected.Satisfied, p.Missing)
	}
	if len(p.First(true)) > 0 && !p.Satisfied {
		t.Error("something is selected though the query is not satisfied")
	}
	for id, want := range c.Expected.Credentials {
		var got []query.Candidate
		for i := range q.Credentials {
			if q.Credentials[i].ID == id {
				got = p.Credentials[i]
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d candidates, want %d", id, len(got), len(want))
		}
		for i, w := range want {
			if got[i].Held != w.Index {
				t.Errorf("%s: candidate %d is held %d, want %d", id, i, got[i].Held, w.Index)
			}
			if w.ClaimSet != nil && got[i].ClaimSet != *w.ClaimSet {
				t.Errorf("%s: claim set %d, want %d", id, got[i].ClaimSet, *w.ClaimSet)
			}
			var paths, wantPaths []string
			for _, d := range got[i].Claims {
				paths = append(paths, d.Path.String())
			}
			for _, steps := range w.Claims {
				wantPaths = append(wantPaths, path(steps).String())
			}
			if !reflect.DeepEqual(paths, wantPaths) {
				t.Errorf("%s: claims %v, want %v", id, paths, wantPaths)
			}
		}
	}
	if c.Options == nil {
		return
	}
	for i, set := range p.Sets {
		var got [][]string
		for _, o := range set.Options {
			var ids []string
			for _, n := range o {
				ids = append(ids, q.Credentials[n].ID)
			}
			got = append(got, ids)
		}
		if want := c.Options[i]; len(got) != len(want) || (len(got) > 0 && !reflect.DeepEqual(got, want)) {
			t.Errorf("set %d: options %v, want %v", i, got, want)
		}
	}
}

func path(steps []any) query.Path {
	var p query.Path
	for _, s := range steps {
		if n, ok := s.(json.Number); ok {
			i, _ := n.Int64()
			s = int(i)
		}
		p = append(p, s)
	}
	return p
}

func TestInvalidDCQL(t *testing.T) {
	var f struct {
		Data struct {
			Cases []struct {
				ID    string          `json:"id"`
				Query json.RawMessage `json:"query"`
			} `json:"cases"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vp/derived_dcql_invalid.json", &f)
	for _, c := range f.Data.Cases {
		if _, err := query.ParseDCQL(c.Query); !errors.Is(err, query.ErrQuery) {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	if len(f.Data.Cases) == 0 {
		t.Fatal("no cases")
	}
}

// TestDCQLRoundTrip: the specification's queries are accepted and mean the
// same after they were written by us.
func TestDCQLRoundTrip(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors.Dir(t), "openid4vp", "dcql_*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no query vectors: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Data struct {
				Query json.RawMessage `json:"query"`
			} `json:"data"`
		}
		decode(t, data, &v)
		q, err := query.ParseDCQL(v.Data.Query)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if name := filepath.Base(file); strings.Contains(name, "jwt_vc") || strings.Contains(name, "ldp_vc") {
			continue // meta of formats we do not speak is read over
		}
		out, err := q.MarshalDCQL()
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		again, err := query.ParseDCQL(out)
		if err != nil || !reflect.DeepEqual(q, again) {
			t.Errorf("%s: came back as %+v, %v", filepath.Base(file), again, err)
		}
	}
}

func TestClaimsPath(t *testing.T) {
	var v struct {
		Data struct {
			Credential map[string]any `json:"credential"`
		} `json:"data"`
		Expected struct {
			Cases []struct {
				Path     []any `json:"path"`
				Selected []any `json:"selected"`
				Error    bool  `json:"error"`
			} `json:"cases"`
		} `json:"expected"`
	}
	decode(t, vectors.Bytes(t, "openid4vp/s7_3_claims_path_pointer.json"), &v)
	for _, c := range v.Expected.Cases {
		got, err := path(c.Path).Select(v.Data.Credential)
		if (err != nil) != c.Error || (!c.Error && !reflect.DeepEqual(got, c.Selected)) {
			t.Errorf("%v: %v, %v", c.Path, got, err)
		}
	}
	if len(v.Expected.Cases) == 0 {
		t.Fatal("no cases")
	}
}
