package cose_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

func issuerAuth(b *testing.B) []byte {
	var v struct{ Hex string }
	vectors.Load(b, "iso18013-5/d5_2_issuer_auth.json", &v)
	return vectors.Hex(b, v.Hex)
}

func BenchmarkParseSign1(b *testing.B) {
	raw := issuerAuth(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cose.ParseSign1(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrepareAndFinish is all that AppendSign1 does besides the signature.
func BenchmarkPrepareAndFinish(b *testing.B) {
	s, err := cose.ParseSign1(issuerAuth(b))
	if err != nil {
		b.Fatal(err)
	}
	pub := testkit.Signer(b, elliptic.P256()).Public()
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		p, err := cose.PrepareSign1(pub, cose.Headers{X5Chain: s.X5Chain}, cose.Content{Payload: s.Payload})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Finish(dst, s.Signature); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRawVerify is the measure for BenchmarkVerify.
func BenchmarkRawVerify(b *testing.B) {
	k := testkit.Signer(b, elliptic.P256()).Private().(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte("x"))
	der, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !ecdsa.VerifyASN1(&k.PublicKey, digest[:], der) {
			b.Fatal("does not verify")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k := testkit.Signer(b, elliptic.P256())
	payload := make([]byte, 2500)
	raw, err := cose.AppendSign1(b.Context(), nil, k, cose.Headers{}, cose.Content{Payload: payload})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := cose.ParseSign1(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Verify(k.Public(), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseKey(b *testing.B) {
	raw, err := cose.AppendKey(nil, testkit.Signer(b, elliptic.P256()).Public())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cose.ParseKey(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseECDHKey(b *testing.B) {
	raw, err := cose.AppendKey(nil, testkit.Signer(b, elliptic.P256()).Public())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cose.ParseECDHKey(raw); err != nil {
			b.Fatal(err)
		}
	}
}
