package jose

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/json"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

// seeds adds the text of vectors; without vectors a fuzz target is skipped.
func seeds(f *testing.F, names ...string) {
	for _, name := range names {
		f.Add(vectors.Read(f, name).Text)
	}
}

func FuzzParseJWS(f *testing.F) {
	seeds(f, "jose/rfc7515_A3_es256_jws.json", "jose/rfc8037_A4_ed25519_jws.json", "jose/rfc9449_dpop_token_request.json",
		"jose/rfc9101_jar.json", "iso18013-5/p7_b6_3_authorization_request_jar.json")
	f.Add(rawToken(`{"alg":"ES256","crit":["b64"]}`))
	s := testkit.Signer(f, elliptic.P256())
	f.Fuzz(func(t *testing.T, token string) {
		tok, err := Parse(token, Limits{})
		if err != nil {
			return
		}
		if tok.Verify(s.Public()) == nil {
			t.Fatal("verifies with a key made here")
		}
		var claims struct{ Times }
		_ = tok.Claims(&claims) // must not panic
		again, err := Prepare(tok.Header, tok.Payload)
		if err != nil {
			t.Fatalf("parsed but not written: %v", err)
		}
		back, err := Parse(Finish(again, tok.signature), Limits{Token: 4 << 20, Header: 1 << 20})
		if err != nil || back.Header.KID != tok.Header.KID || string(back.Payload) != string(tok.Payload) {
			t.Fatalf("written but not read: %v", err)
		}
	})
}

func FuzzParseJWE(f *testing.F) {
	seeds(f, "openid4vp/s8_3_encrypted_response.json", "iso18013-5/p7_b6_7_authorization_response_jarm.json")
	var cases []struct {
		JWE string `json:"jwe"`
	}
	if err := json.Unmarshal(vectors.Read(f, "jose/derived_jwe_ecdh_es.json").Data["cases"], &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.JWE)
	}
	agreer := testkit.Agreer(f, ecdh.P256())
	f.Fuzz(func(t *testing.T, token string) {
		j, err := ParseJWE(token)
		if err != nil {
			return
		}
		if _, err := key.ToECDH(j.Header.EPK.Key); err != nil {
			t.Fatalf("epk: %v", err)
		}
		if _, err := j.Decrypt(t.Context(), agreer); err == nil {
			t.Fatal("decrypts with a key made here")
		}
	})
}

func FuzzParseJWK(f *testing.F) {
	for _, pub := range publicKeys(f) {
		text, err := JWK{Key: pub, KID: "1"}.MarshalJSON()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"keys":[{` + goodEC + `,"key_ops":["verify"],"x5c":["AAAA"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if set, err := ParseSet(text); err == nil {
			if _, err := set.MarshalJSON(); err != nil {
				t.Fatalf("set parsed but not written: %v", err)
			}
		}
		k, err := ParseJWK(text)
		if err != nil {
			return
		}
		if err := key.Check(k.Key); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		again, err := k.MarshalJSON()
		if err != nil {
			t.Fatalf("parsed but not written: %v", err)
		}
		back, err := ParseJWK(again)
		if err != nil || !key.Equal(back.Key, k.Key) || back.KID != k.KID {
			t.Fatalf("written but not read: %s: %v", again, err)
		}
	})
}

func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e+3,"\ud83d\ude00",true,false,null,{}]}`, `"\u00e9"`, `[[[]]]`, ` 0 `,
		`{"\u0061": "long enough for eight at a time", "l" : [ "one,\t" , "two" ] , "e":[],"n":["a",null],"m":["a",1],"x":[["a"]],"s":"]"}`, `[{"a":1}]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compareJSON(t, text) })
}
