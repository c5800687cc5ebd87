package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	"pgregory.net/rapid"
)

func signers(t testing.TB) []key.Signer {
	return []key.Signer{
		testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P384()),
		testkit.Signer(t, elliptic.P521()), testkit.Ed25519(t),
	}
}

func agreers(t testing.TB) []key.Agreer {
	return []key.Agreer{
		testkit.Agreer(t, ecdh.P256()), testkit.Agreer(t, ecdh.P384()),
		testkit.Agreer(t, ecdh.P521()), testkit.Agreer(t, ecdh.X25519()),
	}
}

func jwkOf(t testing.TB, agreer key.Agreer) JWK {
	t.Helper()
	pub, err := key.FromECDH(agreer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return JWK{Key: pub}
}

func TestSignedTokensComeBack(t *testing.T) {
	all := signers(t)
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.SampledFrom(all).Draw(r, "signer")
		member, err := json.Marshal(rapid.String().Draw(r, "member"))
		if err != nil {
			r.Fatal(err)
		}
		in := Header{
			Typ: rapid.String().Draw(r, "typ"), Cty: rapid.String().Draw(r, "cty"), KID: rapid.String().Draw(r, "kid"),
			Raw: map[string]json.RawMessage{"key_attestation": member},
		}
		if rapid.Bool().Draw(r, "jwk") {
			in.JWK = &JWK{Key: s.Public(), KID: "k"}
		}
		if n := rapid.IntRange(0, maxChain).Draw(r, "chain"); n > 0 {
			in.X5C = make([][]byte, n)
			for i := range in.X5C {
				in.X5C[i] = rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(r, "certificate")
			}
		}
		payload := rapid.SliceOf(rapid.Byte()).Draw(r, "payload")
		token, err := SignBytes(t.Context(), s, in, payload)
		if err != nil {
			r.Fatal(err)
		}
		tok, err := Parse(token, Limits{})
		if err != nil {
			r.Fatal(err)
		}
		if err := tok.Verify(s.Public()); err != nil {
			r.Fatal(err)
		}
		h := tok.Header
		if h.Typ != in.Typ || h.Cty != in.Cty || h.KID != in.KID || !bytes.Equal(tok.Payload, payload) {
			r.Fatalf("%+v came back as %+v", in, h)
		}
		if (in.JWK == nil) != (h.JWK == nil) || in.JWK != nil && !key.Equal(in.JWK.Key, h.JWK.Key) {
			r.Fatal("jwk came back different")
		}
		if fmt.Sprint(h.X5C) != fmt.Sprint(in.X5C) {
			r.Fatal("x5c came back different")
		}
		want, err1 := in.String("key_attestation")
		got, err2 := h.String("key_attestation")
		if err := errors.Join(err1, err2); err != nil || got != want {
			r.Fatalf("%q came back as %q, %v", want, got, err)
		}
		for _, other := range all {
			if other != s && tok.Verify(other.Public()) == nil {
				r.Fatal("verifies with another key")
			}
		}
	})
}

// Every single character of a token matters.
func TestChangedTokens(t *testing.T) {
	s := testkit.Signer(t, elliptic.P256())
	token, err := Sign(t.Context(), s, Header{Typ: "JWT", KID: "1"}, map[string]any{"iss": "https://a.example?b=1&c=2", "n": 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		for _, c := range []byte{'A', '_', '.', '\n', '=', ' '} {
			if token[i] == c {
				continue
			}
			changed := token[:i] + string(c) + token[i+1:]
			if tok, err := Parse(changed, Limits{}); err == nil && tok.Verify(s.Public()) == nil {
				t.Errorf("byte %d changed to %q: still verifies", i, c)
			}
		}
		if tok, err := Parse(token[:i], Limits{}); err == nil && tok.Verify(s.Public()) == nil {
			t.Errorf("cut to %d bytes: still verifies", i)
		}
	}
	tok, err := Parse(token, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(tok.Payload), `\u0026`) {
		t.Errorf("payload escaped for HTML: %s", tok.Payload)
	}
}

func rawToken(header string) string { return Encode([]byte(header)) + ".e30.AAAA" }

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	good := `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	chain := strings.TrimSuffix(strings.Repeat(`"AAAA",`, 11), ",")
	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"empty", "", ErrMalformed},
		{"two parts", "e30.e30", ErrMalformed},
		{"four parts", "e30.e30.e30.e30", ErrMalformed},
		{"header no base64url", "e30=.e30.AA", ErrMalformed},
		{"line break", rawToken(`{"alg":"ES256"}`) + "\n", ErrMalformed},
		{"unused bits", Encode([]byte(`{"alg":"ES256"}`)) + ".e30.AB", ErrMalformed},
		{"header no object", rawToken(`[]`), ErrMalformed},
		{"header null", rawToken(`null`), ErrMalformed},
		{"header empty", ".e30.AA", ErrMalformed},
		{"no alg", rawToken(`{}`), ErrUnsupported},
		{"none", rawToken(`{"alg":"none"}`), ErrUnsupported},
		{"None", rawToken(`{"alg":"None"}`), ErrUnsupported},
		{"HS256", rawToken(`{"alg":"HS256"}`), ErrUnsupported},
		{"ES256K", rawToken(`{"alg":"ES256K"}`), ErrUnsupported},
		{"ALG", rawToken(`{"ALG":"ES256"}`), ErrUnsupported},
		{"alg number", rawToken(`{"alg":1}`), ErrMalformed},
		{"alg null", rawToken(`{"alg":null}`), ErrMalformed},
		{"alg twice", rawToken(`{"alg":"ES256","alg":"ES256"}`), ErrMalformed},
		{"alg twice, escaped", rawToken(`{"alg":"ES256","\u0061lg":"none"}`), ErrMalformed},
		{"trailing data", rawToken(`{"alg":"ES256"}{}`), ErrMalformed},
		{"crit", rawToken(`{"alg":"ES256","crit":["b64"],"b64":false}`), ErrUnsupported},
		{"crit empty", rawToken(`{"alg":"ES256","crit":[]}`), ErrUnsupported},
		{"invalid UTF-8", rawToken("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"), ErrMalformed},
		{"unpaired surrogate", rawToken(`{"alg":"ES256","kid":"\ud800"}`), ErrMalformed},
		{"deep", rawToken(`{"alg":"ES256","x":` + deep + `}`), ErrMalformed},
		{"long header", rawToken(`{"alg":"ES256","x":"` + strings.Repeat("x", 70<<10) + `"}`), ErrMalformed},
		{"jwk private", rawToken(`{"alg":"EdDSA","jwk":` + good[:len(good)-1] + `,"d":""}}`), ErrPrivate},
		{"jwk RSA", rawToken(`{"alg":"ES256","jwk":{"kty":"RSA"}}`), ErrUnsupported},
		{"jwk no object", rawToken(`{"alg":"ES256","jwk":""}`), ErrMalformed},
		{"jwk null", rawToken(`{"alg":"ES256","jwk":null}`), ErrMalformed},
		{"x5c no array", rawToken(`{"alg":"ES256","x5c":"AAAA"}`), ErrMalformed},
		{"x5c empty", rawToken(`{"alg":"ES256","x5c":[]}`), ErrMalformed},
		{"x5c with an empty certificate", rawToken(`{"alg":"ES256","x5c":[""]}`), ErrMalformed},
		{"x5c with a line break", rawToken(`{"alg":"ES256","x5c":["AA\nAA"]}`), ErrMalformed},
		{"x5c base64url", rawToken(`{"alg":"ES256","x5c":["-_-_"]}`), ErrMalformed},
		{"x5c of 11", rawToken(`{"alg":"ES256","x5c":[` + chain + `]}`), ErrMalformed},
		{"huge", strings.Repeat("A", 1<<20+1), ErrMalformed},
	} {
		if _, err := Parse(c.token, Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := Parse(rawToken(`{"alg":"EdDSA","jwk":`+good+`}`), Limits{}); err != nil {
		t.Errorf("good: %v", err)
	}
}

func TestAlgorithmIsTheKeys(t *testing.T) {
	all := signers(t)
	ed, p256 := all[3], all[0]
	token, err := Sign(t.Context(), ed, Header{Alg: "Ed25519"}, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(token, Limits{})
	if err != nil || tok.Header.Alg != "Ed25519" {
		t.Fatalf("%v, %v", tok, err)
	}
	if err := tok.Verify(ed.Public()); err != nil {
		t.Errorf("RFC 9864 name: %v", err)
	}
	if err := tok.Verify(p256.Public()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("key of another algorithm: %v", err)
	}
	if _, err := Sign(t.Context(), p256, Header{Alg: "ES384"}, struct{}{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("signing under another name: %v", err)
	}
	// A good signature under a header that names another algorithm.
	input, err := Prepare(Header{Alg: "ES384"}, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := p256.Sign(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	tok, err = Parse(Finish(input, signature), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Verify(p256.Public()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("ES384 in the header, P-256 key: %v", err)
	}
	if _, err := Prepare(Header{Alg: "none"}, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("none: %v", err)
	}
	for _, name := range []string{"crit", "alg", "jwk"} {
		raw := map[string]json.RawMessage{name: json.RawMessage(`"x"`)}
		if _, err := Prepare(Header{Alg: "ES256", Raw: raw}, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s through Raw: %v", name, err)
		}
	}
	for _, claims := range []any{nil, 1, []int{}, "x"} {
		if _, err := Sign(t.Context(), p256, Header{}, claims); !errors.Is(err, ErrMalformed) {
			t.Errorf("claims %v: %v", claims, err)
		}
	}
}

func TestHasType(t *testing.T) {
	for _, c := range []struct {
		typ, want string
		same      bool
	}{
		{"dpop+jwt", "dpop+jwt", true}, {"DPoP+JWT", "dpop+jwt", true},
		{"application/dpop+jwt", "dpop+jwt", true}, {"Application/dpop+jwt", "application/DPOP+jwt", true},
		{"", "", false}, {"", "JWT", false}, {"JWT", "dpop+jwt", false}, {"text/dpop+jwt", "dpop+jwt", false},
		{"application/", "", false}, {"application/a/b", "a/b", false},
	} {
		if got := (&Header{Typ: c.typ}).HasType(c.want); got != c.same {
			t.Errorf("typ %q, asked for %q: %v", c.typ, c.want, got)
		}
	}
}

func TestClaims(t *testing.T) {
	var v struct {
		ISS string `json:"iss"`
		Times
	}
	for payload, ok := range map[string]bool{
		`{"iss":"a","exp":1700000000}`: true,
		` {"iss":"a","exp":1.7e9} `:    true,
		`{"exp":1700000000.9}`:         true,
		`{"other":[{"a":1},{"a":1}]}`:  true,
		``:                             false,
		`[]`:                           false,
		`null`:                         false,
		`{"iss":1}`:                    false,
		`{"iss":"a","iss":"b"}`:        false,
		`{"x":{"a":1,"a":2}}`:          false,
		`{"iss":"a"} x`:                false,
		`{"exp":"1700000000"}`:         false,
		`{"exp":0}`:                    false,
		`{"exp":-1}`:                   false,
		`{"exp":0.5}`:                  false,
		`{"exp":null}`:                 false,
		`{"exp":1e300}`:                false,
		`{"exp":01}`:                   false,
		`{"iss":"a",}`:                 false,
		`{"iss":'a'}`:                  false,
	} {
		err := (&Token{Payload: []byte(payload)}).Claims(&v)
		if ok && err != nil || !ok && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", payload, err)
		}
	}
	many := `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", 200), ",") + `]}`
	if err := (&Token{Payload: []byte(many), limits: Limits{Members: 100}}).Claims(&v); !errors.Is(err, ErrMalformed) {
		t.Errorf("too many members: %v", err)
	}
}

func TestTimes(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	at := func(d time.Duration) NumericDate { return NewDate(now.Add(d)) }
	for _, c := range []struct {
		times Times
		want  error
	}{
		{Times{}, nil},
		{Times{IssuedAt: at(0), NotBefore: at(0), Expires: at(time.Second)}, nil},
		{Times{Expires: at(-4 * time.Second)}, nil},
		{Times{Expires: at(-5 * time.Second)}, ErrExpired},
		{Times{NotBefore: at(5 * time.Second)}, nil},
		{Times{NotBefore: at(6 * time.Second)}, ErrNotYet},
		{Times{IssuedAt: at(5 * time.Second)}, nil},
		{Times{IssuedAt: at(6 * time.Second)}, ErrNotYet},
	} {
		if err := c.times.Check(now, 5*time.Second); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.times, err)
		}
	}
	if b, err := json.Marshal(Times{Expires: 1_700_000_000}); err != nil || string(b) != `{"exp":1700000000}` {
		t.Errorf("%s, %v", b, err)
	}
	if !NumericDate(0).Time().IsZero() || !at(0).Time().Equal(now) {
		t.Error("Time is wrong")
	}
}

// CheckJSON accepts nothing that the library refuses, and of what the library
// accepts, it refuses only what it says.
func TestCheckJSONAgainstLibrary(t *testing.T) {
	alphabet := []rune(`{}[]",:\u0aD8eE+-.1 tfn` + "\t\n\x01é")
	rapid.Check(t, func(r *rapid.T) {
		data := []byte(rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 20, -1).Draw(r, "json"))
		compareJSON(r, data)
	})
	for _, s := range []string{`0`, `-0`, `-`, `01`, `1.`, `1e`, `1e+`, `.1`, `1E-2`, `tru`, `truee`, `"\u12"`, `"\ud83d\ude00"`, `"\ude00"`,
		`{"a" : 1 , "b" : [ ] }`, `{"a"}`, `{,}`, `[1,]`, `[,]`, `[1 2]`, "\"\x1f\"", "\"\x7f\"", `"\x"`, `{"":1,"":2}`, `{"é":1,"\u00e9":2}`, "\ufeff{}"} {
		compareJSON(t, []byte(s))
	}
}

// TestEncodeLarge compares what is encoded in a different way with the library.
func TestEncodeLarge(t *testing.T) {
	for n := 4<<10 - 2; n < 4<<10+8; n++ {
		b := bytes.Repeat([]byte{0xfb, 0, 0x7e, 9, 200}, n/5+1)[:n]
		if got := Encode(b); got != base64.RawURLEncoding.EncodeToString(b) {
			t.Errorf("%d bytes are encoded otherwise", n)
		}
	}
}

func TestAppendText(t *testing.T) {
	alphabet := []rune("abcdefghi\"\\\n\x7f<é\u2028😀")
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 40, -1).Draw(r, "text")
		out := AppendText([]byte("before"), s)
		var back string
		if err := json.Unmarshal(out[6:], &back); err != nil || back != s || string(out[:6]) != "before" {
			r.Fatalf("%q written as %s: %v", s, out, err)
		}
	})
	if got := string(AppendText(nil, "a\xffb")); got != `"a\ufffdb"` {
		t.Errorf("no UTF-8 becomes %s", got)
	}
}

type failer interface{ Fatalf(string, ...any) }

func compareJSON(t failer, data []byte) {
	err := CheckJSON(data, Limits{})
	valid := json.Valid(data)
	if err == nil && !valid {
		t.Fatalf("accepts %q", data)
	}
	if err != nil && valid && !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "surrogate") && !strings.Contains(err.Error(), "UTF-8") {
		t.Fatalf("refuses %q: %v", data, err)
	}
	compareMembers(t, data, err == nil)
}

// compareMembers holds the way in which objects are taken apart to encoding/json.
func compareMembers(t failer, data []byte, good bool) {
	m, err := parseMembers(data, Limits{})
	var want map[string]json.RawMessage
	object := good && json.Unmarshal(data, &want) == nil && want != nil
	if object != (err == nil) {
		t.Fatalf("%q as an object: %v", data, err)
	}
	if !object {
		return
	}
	if !maps.EqualFunc(m, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
		t.Fatalf("%q has members %q, want %q", data, m, want)
	}
	for name, raw := range want {
		compareTaken[string](t, m, name, raw)
		compareTaken[[]string](t, m, name, raw)
	}
}

func compareTaken[T any](t failer, m members, name string, raw json.RawMessage) {
	var got, want T
	err := maps.Clone(m).take(name, &got)
	wrong := json.Unmarshal(raw, &want) != nil || string(raw) == "null"
	if (err != nil) != wrong || !wrong && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s taken as %#v, %v; want %#v", raw, got, err, want)
	}
}

func publicKeys(t testing.TB) []crypto.PublicKey {
	var keys []crypto.PublicKey
	for _, s := range signers(t) {
		keys = append(keys, s.Public())
	}
	return append(keys, testkit.Agreer(t, ecdh.X25519()).Public())
}
