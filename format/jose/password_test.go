package jose

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"
)

// TestPasswordVector: RFC 7517, Appendix C, as far as it is not about
// AES-CBC; RFC 3394, 4.1.
func TestPasswordVector(t *testing.T) {
	salt := []byte{217, 96, 147, 112, 150, 117, 70, 247, 127, 8, 155, 137, 174, 42, 80, 215}
	kek, err := passwordKey("Thus from my lips, by yours, my sin is purged.", salt, 4096)
	want := []byte{110, 171, 169, 92, 129, 92, 109, 117, 233, 242, 116, 233, 170, 14, 24, 75}
	if err != nil || !bytes.Equal(kek, want) {
		t.Errorf("derived %v, %v", kek, err)
	}
	cek := []byte{111, 27, 25, 52, 66, 29, 20, 78, 92, 176, 56, 240, 65, 208, 82, 112, 161, 131, 36, 55, 202, 236, 185, 172, 129, 23, 153, 194, 195, 48, 253, 182}
	wrapped := []byte{78, 186, 151, 59, 11, 141, 81, 240, 213, 245, 83, 211, 53, 188, 134, 188, 66, 125, 36, 200, 222, 124, 5, 103, 249, 52, 117, 184, 140, 81, 246, 158, 161, 177, 20, 33, 245, 57, 59, 4}
	if got, err := wrapKey(kek, cek); err != nil || !bytes.Equal(got, wrapped) {
		t.Errorf("wrapped %v, %v", got, err)
	}
	if got, err := unwrapKey(kek, wrapped); err != nil || !bytes.Equal(got, cek) {
		t.Errorf("unwrapped %v, %v", got, err)
	}
	hexed := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	got, err := wrapKey(hexed("000102030405060708090A0B0C0D0E0F"), hexed("00112233445566778899AABBCCDDEEFF"))
	if err != nil || !bytes.Equal(got, hexed("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")) {
		t.Errorf("RFC 3394, 4.1: %x, %v", got, err)
	}
}

// TestPasswordOracle: go-jose reads ours, and we read its.
func TestPasswordOracle(t *testing.T) {
	token, err := EncryptWithPassword([]byte("hello"), "correct horse", "x+json")
	if err != nil {
		t.Fatal(err)
	}
	obj, err := gojose.ParseEncryptedCompact(token, []gojose.KeyAlgorithm{gojose.PBES2_HS256_A128KW}, []gojose.ContentEncryption{gojose.A128GCM})
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := obj.Decrypt([]byte("correct horse")); err != nil || string(plain) != "hello" {
		t.Errorf("go-jose reads %q, %v", plain, err)
	}
	for _, enc := range []gojose.ContentEncryption{gojose.A128GCM, gojose.A256GCM} {
		e, err := gojose.NewEncrypter(enc, gojose.Recipient{Algorithm: gojose.PBES2_HS256_A128KW, Key: []byte("pass"), PBES2Count: 5000}, nil)
		if err != nil {
			t.Fatal(err)
		}
		obj, err := e.Encrypt([]byte("theirs"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := obj.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := DecryptWithPassword(text, "pass"); err != nil || string(plain) != "theirs" {
			t.Errorf("%s: %q, %v", enc, plain, err)
		}
	}
}

func TestPasswordRefused(t *testing.T) {
	token, err := EncryptWithPassword([]byte("hello"), "correct horse", "")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := DecryptWithPassword(token, "correct horse"); err != nil || string(plain) != "hello" {
		t.Fatalf("%q, %v", plain, err)
	}
	parts := strings.Split(token, ".")
	header := func(json string) string {
		return strings.Join(append([]string{Encode([]byte(json))}, parts[1:]...), ".")
	}
	for name, tc := range map[string]struct {
		token, password string
		want            error
	}{
		"another password":    {token, "correct hors", ErrDecrypt},
		"no password":         {token, "", ErrDecrypt},
		"changed":             {token[:len(token)-4] + "AAAA", "correct horse", ErrDecrypt},
		"four parts":          {strings.Join(parts[:4], "."), "correct horse", ErrMalformed},
		"no wrapped key":      {parts[0] + ".." + strings.Join(parts[2:], "."), "correct horse", ErrMalformed},
		"ECDH-ES":             {header(`{"alg":"ECDH-ES","enc":"A128GCM"}`), "x", ErrUnsupported},
		"dir":                 {header(`{"alg":"dir","enc":"A128GCM"}`), "x", ErrUnsupported},
		"compressed":          {header(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","zip":"DEF","p2s":"AAAAAAAAAAAAAAAA","p2c":1000}`), "x", ErrUnsupported},
		"too few rounds":      {header(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAAAAAAAAAAAAAA","p2c":999}`), "x", ErrMalformed},
		"work for an hour":    {header(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAAAAAAAAAAAAAA","p2c":2000000000}`), "x", ErrMalformed},
		"short salt":          {header(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAA","p2c":1000}`), "x", ErrMalformed},
		"critical extensions": {header(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","crit":["b64"],"p2s":"AAAAAAAAAAAAAAAA","p2c":1000}`), "x", ErrUnsupported},
	} {
		if _, err := DecryptWithPassword(tc.token, tc.password); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestWrapUnwrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kek := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "kek")
		plain := rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "key")
		plain = plain[:len(plain)/8*8]
		wrapped, err := wrapKey(kek, plain)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := unwrapKey(kek, wrapped); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("%x, %v", back, err)
		}
		wrapped[rapid.IntRange(0, len(wrapped)-1).Draw(t, "byte")] ^= 1
		if _, err := unwrapKey(kek, wrapped); !errors.Is(err, ErrDecrypt) {
			t.Fatalf("changed: %v", err)
		}
	})
}

func FuzzDecryptWithPassword(f *testing.F) {
	token, err := EncryptWithPassword([]byte("hello"), "x", "")
	if err != nil {
		f.Fatal(err)
	}
	head := Encode([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAAAAAAAAAAAAAA","p2c":1000}`))
	_, rest, _ := strings.Cut(token, ".")
	f.Add(head + "." + rest)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := DecryptWithPassword(token, "another"); err == nil {
			t.Fatal("decrypts with a password made here")
		}
	})
}
