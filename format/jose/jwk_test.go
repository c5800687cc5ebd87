package jose

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
)

func TestJWKRoundTrip(t *testing.T) {
	for _, pub := range publicKeys(t) {
		in := JWK{Key: pub, KID: "a&b", Use: "sig", KeyOps: []string{"verify"}, X5C: [][]byte{{1, 2}}}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out JWK
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !key.Equal(in.Key, out.Key) || out.KID != in.KID || out.Use != "sig" || len(out.KeyOps) != 1 || len(out.X5C) != 1 {
			t.Errorf("%+v came back as %+v", in, out)
		}
		a, err1 := Thumbprint(in.Key)
		b, err2 := Thumbprint(out.Key)
		if err := errors.Join(err1, err2); err != nil || a != b {
			t.Errorf("thumbprints %x and %x, %v", a, b, err)
		}
	}
	if _, err := (JWK{}).MarshalJSON(); err == nil {
		t.Error("a key without a key is written")
	}
}

const (
	// The keys of RFC 7515, A.3 and RFC 8037, A.2 and A.6.
	goodX  = `"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"`
	goodY  = `"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	goodD  = `"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`
	goodEC = `"kty":"EC","crv":"P-256",` + goodX + `,` + goodY
	goodEd = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	goodXA = `"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"`
)

func TestParseJWKRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"good EC", goodEC, nil}, {"good Ed25519", goodEd, nil}, {"good X25519", goodXA, nil},
		{"unknown members", goodEC + `,"ext":true,"iat":1,"x5t":null`, nil},
		{"empty", ``, ErrUnsupported},
		{"no crv", `"kty":"EC",` + goodX + `,` + goodY, ErrUnsupported},
		{"secp256k1", strings.Replace(goodEC, "P-256", "secp256k1", 1), ErrUnsupported},
		{"other curve", strings.Replace(goodEC, "P-256", "P-384", 1), ErrMalformed},
		{"EC as OKP", strings.Replace(goodEC, "EC", "OKP", 1), ErrUnsupported},
		{"no y", `"kty":"EC","crv":"P-256",` + goodX, ErrMalformed},
		{"x is y", `"kty":"EC","crv":"P-256",` + goodX + `,` + strings.Replace(goodX, `"x"`, `"y"`, 1), ErrMalformed},
		{"x padded", strings.Replace(goodEC, `VEU"`, `VEU="`, 1), ErrMalformed},
		{"x short", strings.Replace(goodEC, `"x":"f83O`, `"x":"`, 1), ErrMalformed},
		{"x with leading zero", `"kty":"EC","crv":"P-256","x":"AH_NzidwxF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEUA",` + goodY, ErrMalformed},
		{"x null", strings.Replace(goodEC, goodX, `"x":null`, 1), ErrMalformed},
		{"x number", strings.Replace(goodEC, goodX, `"x":1`, 1), ErrMalformed},
		{"Ed25519 short", strings.Replace(goodEd, "11qY", "", 1), ErrMalformed},
		{"Ed25519 with y", goodEd + `,` + goodY, ErrMalformed},
		{"X25519 short", strings.Replace(goodXA, "3p7b", "", 1), ErrMalformed},
		{"X448", strings.Replace(goodXA, "X25519", "X448", 1), ErrUnsupported},
		{"crv twice", goodEC + `,"crv":"P-256"`, ErrMalformed},
		{"private", goodEC + `,` + goodD, ErrPrivate},
		{"private null", goodEC + `,"d":null`, ErrPrivate},
		{"oct", `"kty":"oct","k":"AAAA"`, ErrPrivate},
		{"RSA", `"kty":"RSA","n":"AQAB","e":"AQAB"`, ErrUnsupported},
		{"RSA private", `"kty":"RSA","n":"AQAB","e":"AQAB","p":"AQ"`, ErrPrivate},
		{"use against key_ops", goodEC + `,"use":"enc","key_ops":["verify"]`, ErrMalformed},
		{"key_ops twice", goodEC + `,"key_ops":["verify","verify"]`, ErrMalformed},
		{"alg of another curve", goodEC + `,"alg":"ES384"`, ErrMalformed},
		{"kid number", goodEC + `,"kid":1`, ErrMalformed},
		{"huge", goodEC + `,"x5u":"` + strings.Repeat("x", 64<<10) + `"`, ErrMalformed},
	} {
		k, err := ParseJWK([]byte("{" + c.text + "}"))
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if err == nil && key.Check(k.Key) != nil {
			t.Errorf("%s: the key does not pass its own check", c.name)
		}
		if err != nil && strings.Contains(err.Error(), "jpsQ") {
			t.Errorf("%s: the error quotes the private key", c.name)
		}
	}
}

func TestParsePrivateJWK(t *testing.T) {
	k, private, err := ParsePrivateJWK([]byte("{" + goodEC + "," + goodD + `,"kid":"1"}`))
	if err != nil || k.KID != "1" || !key.Equal(k.Key, private.(*ecdsa.PrivateKey).Public()) {
		t.Errorf("%+v, %v", k, err)
	}
	for name, text := range map[string]string{
		"no private part":      goodEC,
		"of another key":       goodEC + `,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"`,
		"zero":                 goodEC + `,"d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`,
		"short":                goodEC + `,"d":"AAAA"`,
		"Ed25519 short":        goodEd + `,"d":"AAAA"`,
		"Ed25519, another key": goodEd + `,` + goodD,
		"X25519, another key":  goodXA + `,` + goodD,
		"null":                 goodEC + `,"d":null`,
	} {
		if _, _, err := ParsePrivateJWK([]byte("{" + text + "}")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "jpsQ") {
			t.Errorf("%s: the error quotes the private key", name)
		}
	}
}

func TestSet(t *testing.T) {
	ec, ed := `{`+goodEC+`,"kid":"1"}`, `{`+goodEd+`,"kid":"2"}`
	set, err := ParseSet([]byte(`{"keys":[` + ec + `,{"kty":"RSA","kid":"1","n":"AQAB","e":"AQAB"},{"kty":"AKP","x":1},` + ed + `],"more":1}`))
	if err != nil || len(set.Keys) != 2 {
		t.Fatalf("%+v, %v", set, err)
	}
	if k, ok := set.ByKID("2"); !ok || k.KID != "2" {
		t.Error("key 2 not found")
	}
	for _, kid := range []string{"", "3"} {
		if _, ok := set.ByKID(kid); ok {
			t.Errorf("found a key %q", kid)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var again Set
	if err := json.Unmarshal(text, &again); err != nil || len(again.Keys) != 2 || !key.Equal(again.Keys[0].Key, set.Keys[0].Key) {
		t.Errorf("%s: %v", text, err)
	}
	if text, err := json.Marshal(Set{}); err != nil || string(text) != `{"keys":[]}` {
		t.Errorf("%s, %v", text, err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"no keys":       {`{}`, ErrMalformed},
		"keys null":     {`{"keys":null}`, ErrMalformed},
		"keys object":   {`{"keys":{}}`, ErrMalformed},
		"array":         {`[]`, ErrMalformed},
		"key no object": {`{"keys":[1]}`, ErrMalformed},
		"kid twice":     {`{"keys":[` + ec + `,` + ec + `]}`, ErrMalformed},
		"private":       {`{"keys":[` + ed + `,{` + goodEC + `,` + goodD + `}]}`, ErrPrivate},
		"secret":        {`{"keys":[{"kty":"oct","k":"AAAA"}]}`, ErrPrivate},
		"off the curve": {`{"keys":[{` + strings.Replace(goodEC, "f83O", "g83O", 1) + `}]}`, ErrMalformed},
		"too many":      {`{"keys":[` + strings.Repeat(`{"kty":"RSA"},`, 256) + `{"kty":"RSA"}]}`, ErrMalformed},
	} {
		if _, err := ParseSet([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUseOfKeys(t *testing.T) {
	ec := testkit.Signer(t, elliptic.P256()).Public()
	ed := testkit.Ed25519(t).Public()
	x := testkit.Agreer(t, ecdh.X25519()).Public()
	for _, c := range []struct {
		name             string
		k                JWK
		verifies, agrees bool
	}{
		{"EC", JWK{Key: ec}, true, true},
		{"EC, sig", JWK{Key: ec, Use: "sig", Alg: "ES256"}, true, false},
		{"EC, enc", JWK{Key: ec, Use: "enc", Alg: "ECDH-ES"}, false, true},
		{"EC, verify", JWK{Key: ec, KeyOps: []string{"verify"}}, true, false},
		{"EC, deriveBits", JWK{Key: ec, KeyOps: []string{"deriveBits"}}, false, true},
		{"EC, other alg", JWK{Key: ec, Alg: "ECDH-ES+A256KW"}, false, false},
		{"EC, other use", JWK{Key: ec, Use: "tls"}, false, false},
		{"Ed25519", JWK{Key: ed, Alg: "Ed25519"}, true, false},
		{"X25519", JWK{Key: x}, false, true},
		{"nothing", JWK{}, false, false},
	} {
		if err := c.k.Verifies(); (err == nil) != c.verifies {
			t.Errorf("%s verifies: %v", c.name, err)
		}
		if err := c.k.Agrees(); (err == nil) != c.agrees {
			t.Errorf("%s agrees: %v", c.name, err)
		}
	}
}
