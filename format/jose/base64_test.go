package jose_test

import (
	"encoding/base64"
	"math/rand/v2"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
)

// Text of any length is as the standard library writes it, wherever it begins.
func TestEncode(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for n := range 9000 {
		if n > 200 && n%97 != 0 {
			continue
		}
		b := make([]byte, n)
		random.Read(b)
		want := base64.RawURLEncoding.EncodeToString(b)
		if got := jose.Encode(b); got != want {
			t.Fatalf("%d bytes: %s, not %s", n, got, want)
		}
		if got := string(jose.AppendEncode([]byte("before."), b)); got != "before."+want {
			t.Fatalf("%d bytes appended: %s, not %s", n, got, want)
		}
		back, err := jose.Decode(want)
		if err != nil || string(back) != string(b) {
			t.Fatalf("%d bytes back: %v", n, err)
		}
	}
}
