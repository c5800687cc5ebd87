package admin

import (
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// What decode lets through says the same to a second reader, and is within the
// limits of its schema.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"offerings":["mdl"],"subject":"ada"}`, `{"offerings":["mdl","pid"],"subject":"ada","grant":"pre-authorized","expires":"2026-11-24T00:00:00+01:00","qr":"svg"}`,
		`{"offerings":["mdl"],"subject":"ada","subject":"mei"}`, `{"Subject":"ada","offerings":[]}`, `null`, `[[[[[[[[[[`, "\xff", `{"offerings":[null],"subject":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	s := schemaOf(reflect.TypeFor[offerRequest]()).bounded()
	f.Fuzz(func(t *testing.T, input []byte) {
		var in offerRequest
		if decode(input, s, &in) != nil {
			return
		}
		if len(in.Offerings) < 1 || len(in.Offerings) > 16 || in.Subject == "" || utf8.RuneCountInString(in.Subject) > 128 || in.QR != "" && in.QR != "png" && in.QR != "svg" {
			t.Errorf("%q is let through as %+v", input, in)
		}
		again, err := json.Marshal(in)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", input, err)
		}
		var second offerRequest
		if err := decode(again, s, &second); err != nil || !second.Expires.Equal(in.Expires) || second.Subject != in.Subject {
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
	f.Fuzz(func(t *testing.T, text string) {
		tenant, id, secret, ok := parseToken(text)
		if ok && (len(secret) != secretBytes || len(id) != 12 || tokenText(tenant, id, secret) != text) {
			t.Errorf("%q is read as %q %q", text, tenant, id)
		}
	})
}
