package jose

import (
	"crypto/ecdh"
	"crypto/elliptic"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
)

type benchClaims struct {
	ISS   string `json:"iss"`
	AUD   string `json:"aud"`
	Nonce string `json:"nonce"`
	Times
}

// BenchmarkJWS sets signing and verifying a proof beside the bare signature.
func BenchmarkJWS(b *testing.B) {
	s := testkit.Signer(b, elliptic.P256())
	header := Header{Typ: "openid4vci-proof+jwt", JWK: &JWK{Key: s.Public()}}
	claims := benchClaims{ISS: "wallet", AUD: "https://issuer.example", Nonce: "0123456789abcdef", Times: Times{IssuedAt: 1_700_000_000}}
	token, err := Sign(b.Context(), s, header, claims)
	if err != nil {
		b.Fatal(err)
	}
	tok, err := Parse(token, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Sign(b.Context(), s, header, claims); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sign/ecdsa", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Sign(b.Context(), tok.signingInput); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tok, err := Parse(token, Limits{})
			if err != nil {
				b.Fatal(err)
			}
			if err := tok.VerifyJWK(*tok.Header.JWK); err != nil {
				b.Fatal(err)
			}
			var c benchClaims
			if err := tok.Claims(&c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify/ecdsa", func(b *testing.B) {
		for b.Loop() {
			if err := key.Verify(s.Public(), tok.signingInput, tok.signature); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkJWE is a response of 60 kB, about an mDL with its portrait.
func BenchmarkJWE(b *testing.B) {
	agreer := testkit.Agreer(b, ecdh.P256())
	o := EncryptOptions{Recipient: jwkOf(b, agreer), Enc: A256GCM}
	plain := make([]byte, 60_000)
	token, err := Encrypt(plain, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encrypt", func(b *testing.B) {
		for b.Loop() {
			if _, err := Encrypt(plain, o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decrypt", func(b *testing.B) {
		for b.Loop() {
			j, err := ParseJWE(token)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := j.Decrypt(b.Context(), agreer); err != nil {
				b.Fatal(err)
			}
		}
	})
}
