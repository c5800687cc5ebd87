package nonce_test

import (
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/nonce"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestCheck(t *testing.T) {
	key := [32]byte{1}
	s := nonce.New(key, "c_nonce", time.Minute)
	n := s.Issue(now)
	if len(n) != nonce.Len {
		t.Errorf("nonce of %d characters, want %d", len(n), nonce.Len)
	}
	if n == s.Issue(now) {
		t.Error("the same nonce twice")
	}
	for name, c := range map[string]struct {
		source nonce.Source
		nonce  string
		at     time.Time
		want   error
	}{
		"fresh":         {s, n, now, nil},
		"last moment":   {s, n, now.Add(time.Minute - time.Millisecond), nil},
		"expired":       {s, n, now.Add(time.Minute), nonce.ErrExpired},
		"other key":     {nonce.New([32]byte{2}, "c_nonce", time.Minute), n, now, nonce.ErrForged},
		"other purpose": {nonce.New(key, "dpop", time.Minute), n, now, nonce.ErrForged},
		"empty":         {s, "", now, nonce.ErrForged},
		"short":         {s, n[1:], now, nonce.ErrForged},
		"long":          {s, n + "A", now, nonce.ErrForged},
		"not base64url": {s, "!" + n[1:], now, nonce.ErrForged},
		"line break":    {s, n[:10] + "\n" + n[11:], now, nonce.ErrForged},
	} {
		if err := c.source.Check(c.nonce, c.at); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestEveryBit changes each character in turn.
func TestEveryBit(t *testing.T) {
	s := nonce.New([32]byte{1}, "c_nonce", time.Minute)
	n := []byte(s.Issue(now))
	for i, was := range n {
		for _, c := range []byte("AQgw") { // differ in the two highest bits of six
			if c == was {
				continue
			}
			n[i] = c
			if err := s.Check(string(n), now); err != nonce.ErrForged {
				t.Errorf("character %d changed from %c to %c: %v", i, was, c, err)
			}
		}
		n[i] = was
	}
	if err := s.Check(string(n), now); err != nil {
		t.Errorf("unchanged again: %v", err)
	}
}

// FuzzCheck: nothing that was made without the key passes. The fuzzer has seen
// nonces of another key only.
func FuzzCheck(f *testing.F) {
	mine := nonce.New([32]byte{1}, "c_nonce", time.Minute)
	f.Add(nonce.New([32]byte{2}, "c_nonce", time.Minute).Issue(now))
	f.Add(nonce.New([32]byte{2}, "another purpose", time.Minute).Issue(now))
	f.Add("")
	f.Fuzz(func(t *testing.T, n string) {
		if err := mine.Check(n, now); err == nil {
			t.Errorf("forged: %q", n)
		}
	})
}
