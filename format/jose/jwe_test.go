package jose

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
	"pgregory.net/rapid"
)

func TestMessagesComeBack(t *testing.T) {
	all := agreers(t)
	rapid.Check(t, func(r *rapid.T) {
		agreer := rapid.SampledFrom(all).Draw(r, "agreer")
		plain := rapid.SliceOf(rapid.Byte()).Draw(r, "plaintext")
		recipient := jwkOf(t, agreer)
		recipient.KID = rapid.String().Draw(r, "kid of the key")
		o := EncryptOptions{
			Recipient: recipient,
			Enc:       rapid.SampledFrom([]string{A128GCM, A192GCM, A256GCM}).Draw(r, "enc"),
			APU:       rapid.SliceOf(rapid.Byte()).Draw(r, "apu"),
			APV:       rapid.SliceOf(rapid.Byte()).Draw(r, "apv"),
			CTY:       rapid.String().Draw(r, "cty"),
			KID:       rapid.String().Draw(r, "kid"),
			Zip:       rapid.Bool().Draw(r, "zip"),
		}
		token, err := Encrypt(plain, o)
		if err != nil {
			r.Fatal(err)
		}
		j, err := ParseJWE(token)
		if err != nil {
			r.Fatal(err)
		}
		kid := o.KID
		if kid == "" {
			kid = recipient.KID
		}
		h := j.Header
		if h.KID != kid || h.CTY != o.CTY || h.Enc != o.Enc || !bytes.Equal(h.APU, o.APU) || !bytes.Equal(h.APV, o.APV) {
			r.Fatalf("%+v came back as %+v", o, h)
		}
		back, err := j.Decrypt(t.Context(), agreer)
		if err != nil || !bytes.Equal(back, plain) {
			r.Fatalf("%x came back as %x, %v", plain, back, err)
		}
		for _, other := range all {
			if _, err := j.Decrypt(t.Context(), other); other != agreer && !errors.Is(err, ErrDecrypt) {
				r.Fatalf("with another key: %v", err)
			}
		}
	})
}

func TestChangedMessages(t *testing.T) {
	agreer := testkit.Agreer(t, ecdh.P256())
	token, err := Encrypt([]byte("secret"), EncryptOptions{Recipient: jwkOf(t, agreer), Enc: A256GCM, APU: []byte("u"), APV: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		for _, c := range []byte("A_.\n=") {
			if token[i] == c {
				continue
			}
			j, err := ParseJWE(token[:i] + string(c) + token[i+1:])
			if err != nil {
				continue
			}
			if _, err := j.Decrypt(t.Context(), agreer); err == nil {
				t.Errorf("byte %d changed to %q: still decrypts", i, c)
			}
		}
	}
	j, err := ParseJWE(token)
	if err != nil {
		t.Fatal(err)
	}
	locked := errors.New("locked")
	if _, err := j.Decrypt(t.Context(), failing{agreer, locked}); !errors.Is(err, locked) {
		t.Errorf("error of the agreer: %v", err)
	}
}

type failing struct {
	*testkit.AgreeKey
	err error
}

func (f failing) Agree(context.Context, *ecdh.PublicKey) ([]byte, error) { return nil, f.err }

func TestParseJWERefuses(t *testing.T) {
	epk := `"epk":{` + goodXA + `}`
	good := `"alg":"ECDH-ES","enc":"A128GCM"`
	iv, tag := strings.Repeat("A", 16), "AAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct {
		name, header, rest string
		want               error
	}{
		{"good", good + `,` + epk, `..` + iv + `..` + tag, nil},
		{"three parts", good + `,` + epk, `..`, ErrMalformed},
		{"encrypted key", good + `,` + epk, `.AAAA.` + iv + `..` + tag, ErrMalformed},
		{"short IV", good + `,` + epk, `..AAAA..` + tag, ErrMalformed},
		{"short tag", good + `,` + epk, `..` + iv + `..AAAA`, ErrMalformed},
		{"no epk", good, `..` + iv + `..` + tag, ErrMalformed},
		{"epk null", good + `,"epk":null`, `..` + iv + `..` + tag, ErrMalformed},
		{"epk private", good + `,"epk":{` + goodEC + `,` + goodD + `}`, `..` + iv + `..` + tag, ErrPrivate},
		{"epk off the curve", good + `,"epk":{` + strings.Replace(goodEC, "f83O", "g83O", 1) + `}`, `..` + iv + `..` + tag, ErrMalformed},
		{"key wrap", `"alg":"ECDH-ES+A128KW","enc":"A128GCM",` + epk, `..` + iv + `..` + tag, ErrUnsupported},
		{"dir", `"alg":"dir","enc":"A128GCM"`, `..` + iv + `..` + tag, ErrUnsupported},
		{"CBC", `"alg":"ECDH-ES","enc":"A128CBC-HS256",` + epk, `..` + iv + `..` + tag, ErrUnsupported},
		{"crit", good + `,` + epk + `,"crit":["exp"],"exp":1`, `..` + iv + `..` + tag, ErrUnsupported},
		{"zip", good + `,` + epk + `,"zip":"GZ"`, `..` + iv + `..` + tag, ErrUnsupported},
		{"apu padded", good + `,` + epk + `,"apu":"AA=="`, `..` + iv + `..` + tag, ErrMalformed},
		{"apv number", good + `,` + epk + `,"apv":1`, `..` + iv + `..` + tag, ErrMalformed},
		{"enc twice", good + `,"enc":"A128GCM",` + epk, `..` + iv + `..` + tag, ErrMalformed},
	} {
		_, err := ParseJWE(Encode([]byte("{"+c.header+"}")) + c.rest)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	ed := `"epk":{` + goodEd + `}`
	if _, err := ParseJWE(Encode([]byte("{"+good+`,`+ed+"}")) + `..` + iv + `..` + tag); err == nil {
		t.Error("epk on Ed25519 accepted")
	}
}

func TestEncryptRefuses(t *testing.T) {
	agreer := testkit.Agreer(t, ecdh.P256())
	ok := jwkOf(t, agreer)
	signing := ok
	signing.Use = "sig"
	for name, o := range map[string]EncryptOptions{
		"no enc":       {Recipient: ok},
		"CBC":          {Recipient: ok, Enc: "A128CBC-HS256"},
		"no recipient": {Enc: A128GCM},
		"signing key":  {Recipient: signing, Enc: A128GCM},
		"Ed25519":      {Recipient: JWK{Key: testkit.Ed25519(t).Public()}, Enc: A128GCM},
	} {
		if token, err := Encrypt(nil, o); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
}

// A few kilobytes must not become gigabytes.
func TestCompressionBomb(t *testing.T) {
	agreer := testkit.Agreer(t, ecdh.P256())
	decrypt := func(compressed []byte) error {
		o := EncryptOptions{Recipient: jwkOf(t, agreer), Enc: A128GCM}
		eph, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		z, err := eph.ECDH(agreer.Public())
		if err != nil {
			t.Fatal(err)
		}
		h := JWEHeader{Alg: algECDHES, Enc: o.Enc, Zip: zipDeflate, EPK: jwkOf(t, testkit.ECDH(eph))}
		protected, err := h.marshal()
		if err != nil {
			t.Fatal(err)
		}
		token, err := seal(protected, contentKey(z, o.Enc, nil, nil), make([]byte, ivSize), compressed)
		if err != nil {
			t.Fatal(err)
		}
		j, err := ParseJWE(string(token))
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.Decrypt(t.Context(), agreer)
		return err
	}
	largest, err := deflate(make([]byte, maxPlaintext))
	if err != nil {
		t.Fatal(err)
	}
	bomb, err := deflate(make([]byte, maxPlaintext+1))
	if err != nil {
		t.Fatal(err)
	}
	if err := decrypt(largest); err != nil {
		t.Errorf("the largest message: %v", err)
	}
	if err := decrypt(bomb); !errors.Is(err, ErrMalformed) {
		t.Errorf("%d bytes that grow too far: %v", len(bomb), err)
	}
	small, err := deflate([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := decrypt(append(small, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("trailing byte: %v", err)
	}
	if err := decrypt(small[:len(small)-1]); !errors.Is(err, ErrMalformed) {
		t.Errorf("cut off: %v", err)
	}
	if err := decrypt([]byte{0xff}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no DEFLATE: %v", err)
	}
}
