package jose

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"runtime"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

// Who expects little does not hold much in memory to find out that it is more.
func TestDecryptAtMost(t *testing.T) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreer := testkit.ECDH(private)
	open := func(plain []byte, most int) ([]byte, error) {
		t.Helper()
		token, err := Encrypt(plain, EncryptOptions{Recipient: jwkOf(t, agreer), Enc: A256GCM, Zip: true})
		if err != nil {
			t.Fatal(err)
		}
		j, err := ParseJWE(token)
		if err != nil {
			t.Fatal(err)
		}
		return j.DecryptAtMost(t.Context(), agreer, most)
	}
	text := bytes.Repeat([]byte("x"), 4096)
	if got, err := open(text, len(text)); err != nil || !bytes.Equal(got, text) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := open(text, len(text)-1); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	bomb, err := Encrypt(make([]byte, maxPlaintext), EncryptOptions{Recipient: jwkOf(t, agreer), Enc: A256GCM, Zip: true})
	if err != nil {
		t.Fatal(err)
	}
	j, err := ParseJWE(bomb)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = j.DecryptAtMost(t.Context(), agreer, 64<<10)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrMalformed) || used > 1<<20 {
		t.Errorf("%v, with %d bytes allocated", err, used)
	}
}
