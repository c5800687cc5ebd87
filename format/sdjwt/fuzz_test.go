package sdjwt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/sdjwt"
)

// FuzzParse holds the reader to the strictness of jose.CheckJSON, and to that
// nothing unverified is handed out. What was disclosed can be selected, and
// what was selected is what it was.
func FuzzParse(f *testing.F) {
	for _, name := range signed {
		f.Add(load(f, name).Text)
	}
	for _, c := range as[[]struct {
		Text string `json:"sd_jwt"`
	}](f, load(f, "derived_verification_cases").Data["cases"]) {
		f.Add(c.Text)
	}
	params := newAuthority(f).verify()
	f.Fuzz(func(t *testing.T, text string) { checkParsed(t, text, params) })
}

// FuzzPayload is FuzzParse for what is in the base64. D1 and D2 in the payload
// and in the second disclosure stand for the digests of the disclosures.
func FuzzPayload(f *testing.F) {
	f.Add(`{"vct":"x","_sd":["D2"],"_sd_alg":"sha-256","a":{"b":1.5e3}}`, `["s","n",1]`, `["s","address",{"_sd":["D1"],"c":"\u00e9"}]`)
	f.Add(`{"vct":"x","l":[1,{"...":"D1"},{"...":"D2"}]}`, `["s",{}]`, ` [ "s" , [ {"...":"x"} , null ] ] `)
	f.Add(`{"vct":"x","_sd":["D1","D2"]}`, `["s","n",1]`, `["s","n",2]`)
	params := newAuthority(f).verify()
	f.Fuzz(func(t *testing.T, payload, first, second string) {
		digest := func(d string) (encoded, digest string) {
			encoded = jose.Encode([]byte(d))
			sum := sha256.Sum256([]byte(encoded))
			return encoded, jose.Encode(sum[:])
		}
		one, d1 := digest(first)
		second = strings.ReplaceAll(second, "D1", d1)
		two, d2 := digest(second)
		payload = strings.NewReplacer("D1", d1, "D2", d2).Replace(payload)
		input, err := jose.Prepare(jose.Header{Alg: "ES256", Typ: sdjwt.Type}, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		checkParsed(t, jose.Finish(input, make([]byte, 64))+"~"+one+"~"+two+"~", params)
	})
}

func checkParsed(t *testing.T, text string, params sdjwt.VerifyParams) {
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		return
	}
	if s.String() != text {
		t.Fatal("not as received")
	}
	if res, report := sdjwt.Verify(s, params); report.OK() || res.Payload != nil || res.VCT != "" || res.HolderVerified {
		t.Fatal("handed out without an issuer")
	}
	p, err := s.Unverified()
	if err != nil {
		return
	}
	whole := p.JSON()
	if err := jose.CheckJSON(whole, jose.Limits{}); err != nil {
		t.Fatalf("processed payload: %v", err)
	}
	if bytes.Contains(whole, []byte(`"_sd":`)) {
		t.Fatal("digests in the processed payload")
	}
	claims := p.Disclosed()
	if len(claims) != len(s.Disclosures) {
		t.Fatalf("%d claims of %d disclosures", len(claims), len(s.Disclosures))
	}
	for _, c := range claims {
		got, err := p.Select(c.Path)
		if err != nil || len(got) != 1 || !got[0].Disclosed || !bytes.Equal(got[0].Value, c.Value) {
			t.Fatalf("%s: %v, %v", c.Path, got, err)
		}
		shown, err := s.Select([]sdjwt.Path{c.Path})
		if err != nil {
			t.Fatal(err)
		}
		part, err := sdjwt.Parse(shown.String(), sdjwt.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		q, err := part.Unverified()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := q.Select(c.Path); err != nil || len(again) != 1 || !bytes.Equal(again[0].Value, c.Value) {
			t.Fatalf("%s of a part: %v, %v", c.Path, again, err)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, name := range []string{"d22_8_2_flattened_issuance", "d22_8_2_flattened_kb", "d22_8_3_general_kb"} {
		f.Add([]byte(load(f, name).Data["jws_json"]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := sdjwt.ParseJSON(data, sdjwt.Limits{})
		if err != nil {
			return
		}
		if _, err := sdjwt.Parse(s.String(), sdjwt.Limits{}); err != nil {
			t.Fatalf("compact form: %v", err)
		}
	})
}

// FuzzTypeMetadata: what was read is written and read again as the same.
func FuzzTypeMetadata(f *testing.F) {
	f.Add([]byte(load(f, "vc18_A2_type_metadata").Data["type_metadata"]))
	for _, name := range []string{"base", "child"} {
		f.Add([]byte(load(f, "vc18_4_6_5_2_extends").Data[name]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := sdjwt.ParseTypeMetadata(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := sdjwt.ParseTypeMetadata(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		other, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, other) {
			t.Fatalf("%s became %s, %v", text, other, err)
		}
	})
}
