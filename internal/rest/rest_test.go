package rest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

// order is a request of an API as it might be.
type order struct {
	Things  []string  `json:"things" min:"1" max:"16"`
	For     string    `json:"for" min:"1" max:"128"`
	Expires time.Time `json:"expires,omitzero"`
	QR      string    `json:"qr,omitempty" enum:"png|svg"`
}

// What Decode lets through is within the limits of the schema, and says the same
// to a second reader.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"things":["mdl"],"for":"ada"}`, `{"things":["mdl","pid"],"for":"ada","expires":"2026-11-24T00:00:00+01:00","qr":"svg"}`,
		`{"For":"ada","things":[]}`, `null`, `[[[[[[[[[[`, "\xff", `{"things":[null],"for":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	s := SchemaOf(reflect.TypeFor[order]()).Bounded()
	f.Fuzz(func(t *testing.T, input []byte) {
		var in order
		if s.Decode(input, &in) != nil {
			return
		}
		if len(in.Things) < 1 || len(in.Things) > 16 || in.For == "" || utf8.RuneCountInString(in.For) > 128 || in.QR != "" && in.QR != "png" && in.QR != "svg" {
			t.Errorf("%q is let through as %+v", input, in)
		}
		again, err := json.Marshal(in)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", input, err)
		}
		var second order
		if err := s.Decode(again, &second); err != nil || !second.Expires.Equal(in.Expires) || second.For != in.For {
			t.Errorf("%q, then %q: %v", input, again, err)
		}
	})
}

// A token has one spelling.
func FuzzToken(f *testing.F) {
	f.Add("eia.default.ABCDEFGHIJKL.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("eia.~.ABCDEFGHIJKL.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add("eia..ABCDEFGHIJKL.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB")
	f.Add("eia.~.ABCDEFGHIJKL.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r")
	f.Add("...")
	tokens := &Tokens{rules: TokenRules{Prefix: "eia"}}
	f.Fuzz(func(t *testing.T, text string) {
		tenant, id, secret, ok := tokens.parse(text)
		if ok && (len(secret) != secretBytes || len(id) != 12 || tokens.text(tenant, id, secret) != text) {
			t.Errorf("%q is read as %q %q", text, tenant, id)
		}
	})
}

// The checker notices what it is there for.
func TestSchemaRefuses(t *testing.T) {
	s := SchemaOf(reflect.TypeFor[struct {
		List []order         `json:"list"`
		Next string          `json:"next,omitempty"`
		Raw  json.RawMessage `json:"raw,omitempty"`
		Any  any             `json:"any,omitempty"`
		Data []byte          `json:"data,omitempty"`
	}]())
	for text, passes := range map[string]bool{
		`{}`: false, `{"list":null}`: false, `{"list":[{}]}`: false, `{"list":[],"more":1}`: false, `{"list":[],"next":1}`: false, `[]`: false,
		`{"list":[],"raw":[]}`: false, `{"list":[],"data":1}`: false, `{"list":[],"raw":{"x":[1]},"any":[1],"data":"AA=="}`: true, `{"list":[]}`: true,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(v, ""); (err == nil) != passes {
			t.Errorf("%s: %v", text, err)
		}
	}
}
