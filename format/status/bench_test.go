package status_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
)

// million is a list of one million entries of one bit, of which some are
// revoked at random.
func million(b *testing.B, percent int) (list *status.List, packed []byte) {
	b.Helper()
	const size = 1_000_000
	list, err := status.NewList(1, size)
	if err != nil {
		b.Fatal(err)
	}
	packed = make([]byte, size/8)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(size) {
		if random.IntN(100) < percent {
			if err := list.Set(i, status.Invalid); err != nil {
				b.Fatal(err)
			}
			packed[i/8] |= 1 << (i % 8)
		}
	}
	return list, packed
}

func atFills(b *testing.B, f func(b *testing.B, list *status.List, packed []byte)) {
	for _, fill := range []struct {
		name    string
		percent int
	}{{"1%", 1}, {"random", 50}} {
		list, packed := million(b, fill.percent)
		b.Run(fill.name, func(b *testing.B) { f(b, list, packed) })
	}
}

// BenchmarkSign compresses a list once and signs it as JWT and as CWT, in
// multiples of zlib at level 6 alone.
func BenchmarkSign(b *testing.B) {
	signer := testkit.Signer(b, elliptic.P256())
	atFills(b, func(b *testing.B, list *status.List, packed []byte) {
		deflated := func() {
			var out bytes.Buffer
			w, _ := zlib.NewWriterLevel(&out, 6) // the level exists
			w.Write(packed)                      // to memory
			w.Close()
		}
		testkit.Ratio(b, deflated, "deflate", func() {
			c, err := list.Compress()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := status.SignJWT(context.Background(), signer, status.Headers{}, published, c); err != nil {
				b.Fatal(err)
			}
			if _, err := status.SignCWT(context.Background(), signer, status.Headers{}, published, c); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// BenchmarkVerify reads an entry from the bytes of a token, in multiples of
// what cannot be left out: inflating, decoding base64url twice (JWT) and
// verifying the one signature, into memory that is there already.
func BenchmarkVerify(b *testing.B) {
	signer := testkit.Signer(b, elliptic.P256())
	atFills(b, func(b *testing.B, list *status.List, packed []byte) {
		c, err := list.Compress()
		if err != nil {
			b.Fatal(err)
		}
		inflated := make([]byte, len(packed))
		inflate := func(data []byte) {
			z, err := zlib.NewReader(bytes.NewReader(data))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(z, inflated); err != nil {
				b.Fatal(err)
			}
		}
		verify := func(message, signature []byte) {
			if err := key.Verify(signer.Public(), message, signature); err != nil {
				b.Fatal(err)
			}
		}
		read := func(raw []byte) func() {
			return func() {
				t, err := status.Parse(raw)
				if err != nil {
					b.Fatal(err)
				}
				if _, report := t.Verify(signer.Public(), listClaim(77, published.URI), published.Issued, status.Policy{}); !report.OK() {
					b.Fatal(report.Err())
				}
			}
		}
		b.Run("JWT", func(b *testing.B) {
			raw, err := status.SignJWT(context.Background(), signer, status.Headers{}, published, c)
			if err != nil {
				b.Fatal(err)
			}
			input, encoded, _ := cutLast(raw, '.')
			signature, err := base64.RawURLEncoding.AppendDecode(nil, encoded)
			if err != nil {
				b.Fatal(err)
			}
			_, payload, _ := bytes.Cut(input, []byte{'.'})
			lst := base64.RawURLEncoding.AppendEncode(nil, c.Data)
			decoded := make([]byte, len(payload))
			testkit.Ratio(b, func() {
				if _, err := base64.RawURLEncoding.Decode(decoded, payload); err != nil {
					b.Fatal(err)
				}
				n, err := base64.RawURLEncoding.Decode(decoded, lst)
				if err != nil {
					b.Fatal(err)
				}
				inflate(decoded[:n])
				verify(input, signature)
			}, "raw", read(raw))
		})
		b.Run("CWT", func(b *testing.B) {
			raw, err := status.SignCWT(context.Background(), signer, status.Headers{}, published, c)
			if err != nil {
				b.Fatal(err)
			}
			message := slices.Clone(raw)
			signature, err := signer.Sign(b.Context(), message)
			if err != nil {
				b.Fatal(err)
			}
			testkit.Ratio(b, func() {
				inflate(c.Data)
				verify(message, signature)
			}, "raw", read(raw))
		})
	})
}

func cutLast(b []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.LastIndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// BenchmarkLookup reads an entry of an opened list.
func BenchmarkLookup(b *testing.B) {
	list, _ := million(b, 1)
	c, err := list.Compress()
	if err != nil {
		b.Fatal(err)
	}
	signer := testkit.Signer(b, elliptic.P256())
	raw, err := status.SignCWT(b.Context(), signer, status.Headers{}, published, c)
	if err != nil {
		b.Fatal(err)
	}
	t, err := status.Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	if err := t.VerifySignature(signer.Public()); err != nil {
		b.Fatal(err)
	}
	view, err := t.Open(0)
	if err != nil {
		b.Fatal(err)
	}
	claim := listClaim(77, published.URI)
	b.ReportAllocs()
	for b.Loop() {
		var r check.Report
		if view.Lookup(&r, claim, status.Policy{MSO: true}); !r.OK() {
			b.Fatal(r.Err())
		}
	}
}
