package jose

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestObject(t *testing.T) {
	m, err := Object([]byte(` {"a": "x\u0041\"", "b":[ "1" , "two"], "c":{"d":[]}, "e":[] } `), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"a": {`xA"`}, "b": {"1", "two"}, "e": {}} {
		list, many, err := Strings(m[name])
		if err != nil || many != (name != "a") || !cmp.Equal(list, want) {
			t.Errorf("%s: %q %v %v", name, list, many, err)
		}
	}
	for _, bad := range []string{`{}`, `null`, `1`, ``, `["a",1]`, `["a" "b"]`, `["a",`, `[["a"]]`} {
		if list, _, err := Strings(json.RawMessage(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %q %v", bad, list, err)
		}
	}
	for _, bad := range []string{`[]`, `{"a":1,"a":2}`, `{"a":1`, `"a"`, `{} {}`} {
		if _, err := Object([]byte(bad), Limits{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// FuzzObject holds Object and Strings to encoding/json.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":["b","\u00e9\ud83d\ude00"],"c":"d"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Object(data, Limits{})
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(m) {
			t.Fatalf("%d members, encoding/json has %d, %v", len(m), len(want), err)
		}
		for name, raw := range m {
			list, many, err := Strings(raw)
			var one string
			var several []*string // null is no string
			switch {
			case err != nil:
				if len(raw) > 0 && raw[0] == '"' {
					t.Errorf("%s: %v", raw, err)
				}
			case many:
				if json.Unmarshal(want[name], &several) != nil || len(several) != len(list) {
					t.Errorf("%s: %q", raw, list)
				}
				for i := range several {
					if several[i] == nil || *several[i] != list[i] {
						t.Errorf("%s: %q", raw, list)
					}
				}
			default:
				if json.Unmarshal(want[name], &one) != nil || one != list[0] {
					t.Errorf("%s: %q", raw, list)
				}
			}
		}
	})
}
