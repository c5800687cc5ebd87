package jose

import (
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/vectors"
)

func TestParseJSONVectors(t *testing.T) {
	for name, count := range map[string]int{
		"sdjwt/d22_8_2_flattened_issuance.json": 1,
		"sdjwt/d22_8_2_flattened_kb.json":       1,
		"sdjwt/d22_8_3_general_kb.json":         2,
	} {
		t.Run(name, func(t *testing.T) {
			r := vectors.Read(t, name)
			tokens, err := ParseJSON(r.Data["jws_json"], Limits{})
			if err != nil || len(tokens) != count {
				t.Fatalf("%d tokens, %v", len(tokens), err)
			}
			if tokens[0].Unprotected["disclosures"] == nil {
				t.Error("no disclosures in the unprotected header")
			}
			pub := publicOf(t, r.Keys["issuer_jwk"]).Key
			if err := tokens[0].Verify(pub); err != nil {
				t.Error(err)
			}
			if err := flipped(tokens[0]).Verify(pub); !errors.Is(err, key.ErrSignature) {
				t.Errorf("signature changed: %v", err)
			}
			// The key of the second signature is not published: ours must refuse it.
			if count == 2 && tokens[1].Verify(pub) == nil {
				t.Error("the second signature verifies with the first key")
			}
		})
	}
}

func TestParseJSONRefuses(t *testing.T) {
	es, rs := Encode([]byte(`{"alg":"ES256","typ":"a"}`)), Encode([]byte(`{"alg":"RS256"}`))
	good := `{"protected":"` + es + `","signature":"AAAA"}`
	foreign := `{"protected":"` + rs + `","signature":"AAAA"}`
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"one of two", `{"payload":"e30","signatures":[` + foreign + `,` + good + `]}`, nil},
		{"flattened", `{"payload":"e30","protected":"` + es + `","signature":"AAAA","header":{"kid":"1"}}`, nil},
		{"none of ours", `{"payload":"e30","signatures":[` + foreign + `]}`, ErrUnsupported},
		{"no payload", `{"signatures":[` + good + `]}`, ErrMalformed},
		{"payload twice", `{"payload":"e30","payload":"e30","signatures":[` + good + `]}`, ErrMalformed},
		{"no signatures", `{"payload":"e30","signatures":[]}`, ErrMalformed},
		{"signatures null", `{"payload":"e30","signatures":null}`, ErrMalformed},
		{"signature null", `{"payload":"e30","signatures":[null]}`, ErrMalformed},
		{"both forms", `{"payload":"e30","signature":"AAAA","signatures":[` + good + `]}`, ErrMalformed},
		{"nothing", `{"payload":"e30"}`, ErrMalformed},
		{"alg unprotected", `{"payload":"e30","header":{"alg":"ES256"},"protected":"e30","signature":"AAAA"}`, ErrUnsupported},
		{"member in both headers", `{"payload":"e30","header":{"typ":"b"},"protected":"` + es + `","signature":"AAAA"}`, ErrMalformed},
		{"crit unprotected", `{"payload":"e30","header":{"crit":[]},"protected":"` + es + `","signature":"AAAA"}`, ErrMalformed},
		{"too many", `{"payload":"e30","signatures":[` + strings.Repeat(good+",", 16) + good + `]}`, ErrMalformed},
		{"compact", es + `.e30.AAAA`, ErrMalformed},
	} {
		tokens, err := ParseJSON([]byte(c.text), Limits{})
		if !errors.Is(err, c.want) || c.want == nil && (err != nil || len(tokens) != 1) {
			t.Errorf("%s: %d tokens, %v, want %v", c.name, len(tokens), err, c.want)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, name := range []string{"sdjwt/d22_8_2_flattened_kb.json", "sdjwt/d22_8_3_general_kb.json"} {
		f.Add([]byte(vectors.Read(f, name).Data["jws_json"]))
	}
	pub := signers(f)[0].Public()
	f.Fuzz(func(t *testing.T, data []byte) {
		tokens, err := ParseJSON(data, Limits{})
		if err == nil && len(tokens) == 0 {
			t.Fatal("nothing and no error")
		}
		for _, tok := range tokens {
			if tok.Verify(pub) == nil {
				t.Fatal("verifies with a key made here")
			}
		}
	})
}
