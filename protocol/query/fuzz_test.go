package query_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/query"
)

// planned has a question of anybody planned, and checks that the first answer
// is one and holds only what the documents do.
func planned(t *testing.T, q query.Query, held []query.Held) {
	t.Helper()
	p := query.Make(q, held)
	for i, list := range p.Credentials {
		for _, c := range list {
			for _, d := range c.Claims {
				if c.Credential != i || !held[c.Held].Claims.Has(d.Path) {
					t.Fatalf("%+v discloses %s", c, d.Path)
				}
			}
		}
	}
	if first := p.First(true); len(first) > 0 {
		// The search may be given up on; what it returns is the selection.
		if again, err := p.Check(first); err == nil && !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v became %+v", first, again)
		}
	}
}

// FuzzParseDCQL: what is accepted can be planned, and what can be asked for by
// us too comes back the same.
func FuzzParseDCQL(f *testing.F) {
	for _, name := range []string{"dcql/spec_cases.json", "dcql/dcql_ts_cases.json", "openid4vp/derived_dcql_invalid.json"} {
		var v struct {
			Data struct {
				Cases []struct {
					Query json.RawMessage `json:"query"`
				} `json:"cases"`
			} `json:"data"`
		}
		vectors.Load(f, name, &v)
		for _, c := range v.Data.Cases {
			f.Add([]byte(c.Query))
		}
	}
	held := []query.Held{vc(map[string]any{"a": "b", "n": []any{"y", map[string]any{"p": int64(1)}}}), holds("a", "age_over_18")}
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := query.ParseDCQL(data)
		if err != nil {
			return
		}
		planned(t, q, held)
		out, err := q.MarshalDCQL()
		if err != nil {
			return // a question that we would not ask
		}
		if again, err := query.ParseDCQL(out); err != nil || !reflect.DeepEqual(q, again) {
			t.Fatalf("%s came back as %s, %v", data, out, err)
		}
	})
}

// FuzzFromDeviceRequest: what is accepted can be planned.
func FuzzFromDeviceRequest(f *testing.F) {
	for _, name := range []string{"d4_1_1_device_request", "d4_1_3_device_request_extended"} {
		var v struct {
			Hex string `json:"hex"`
		}
		vectors.Load(f, "iso18013-5/"+name+".json", &v)
		f.Add(vectors.Hex(f, v.Hex))
	}
	claims := map[string]any{"family_name": "x", "portrait": "y", "birth_date": "z", "age_over_21": true}
	held := []query.Held{{Format: query.FormatMdoc, Type: mdoc.DocTypeMDL, Bound: true, Claims: jsonClaims{"org.iso.18013.5.1": claims}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := mdoc.ParseDeviceRequest(data)
		if err != nil {
			return
		}
		if q, err := query.FromDeviceRequest(req); err == nil {
			planned(t, q, held)
		}
	})
}
