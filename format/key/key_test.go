package key_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	"pgregory.net/rapid"
)

func signers(t testing.TB) map[key.Algorithm]key.Signer {
	return map[key.Algorithm]key.Signer{
		key.ES256: testkit.Signer(t, elliptic.P256()),
		key.ES384: testkit.Signer(t, elliptic.P384()),
		key.ES512: testkit.Signer(t, elliptic.P521()),
		key.EdDSA: testkit.Ed25519(t),
	}
}

func TestSignatures(t *testing.T) {
	all := signers(t)
	rapid.Check(t, func(r *rapid.T) {
		alg := rapid.SampledFrom([]key.Algorithm{key.ES256, key.ES384, key.ES512, key.EdDSA}).Draw(r, "alg")
		message := rapid.SliceOf(rapid.Byte()).Draw(r, "message")
		pub := all[alg].Public()
		if got, err := key.AlgorithmOf(pub); got != alg || err != nil {
			r.Fatalf("AlgorithmOf: %q, %v", got, err)
		}
		sig, err := all[alg].Sign(context.Background(), message)
		if err != nil {
			r.Fatal(err)
		}
		if err := key.Verify(pub, message, sig); err != nil {
			r.Fatal(err)
		}
		i := rapid.IntRange(0, len(sig)*8-1).Draw(r, "bit")
		sig[i/8] ^= 1 << (i % 8)
		if err := key.Verify(pub, message, sig); !errors.Is(err, key.ErrSignature) {
			r.Fatalf("bit %d of the signature flipped: %v", i, err)
		}
		sig[i/8] ^= 1 << (i % 8)
		if err := key.Verify(pub, append(message, 0), sig); !errors.Is(err, key.ErrSignature) {
			r.Fatalf("another message: %v", err)
		}
	})
}

func TestVerifyRefuses(t *testing.T) {
	s := testkit.Signer(t, elliptic.P256())
	pub := s.Public().(*ecdsa.PublicKey)
	message := []byte("m")
	good, err := s.Sign(context.Background(), message)
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	ones := bytes.Repeat([]byte{0xff}, 32)
	zeros := make([]byte, 32)
	//lint:ignore SA1019 a point off the curve can be made in no other way
	offCurve := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519 := testkit.Agreer(t, ecdh.X25519()).Public()
	der, err := key.RawToASN1(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*ecdsa.PublicKey{offCurve, {Curve: elliptic.P256()}} {
		if _, _, err := key.XY(bad); !errors.Is(err, key.ErrKey) {
			t.Errorf("XY of a bad key: %v", err)
		}
	}
	if _, _, err := key.XY(nil); !errors.Is(err, key.ErrUnsupported) {
		t.Errorf("XY of nil: %v", err)
	}
	for _, c := range []struct {
		name string
		pub  crypto.PublicKey
		sig  []byte
		want error
	}{
		{"empty", pub, nil, key.ErrSignature},
		{"short", pub, good[:63], key.ErrSignature},
		{"long", pub, append(bytes.Clone(good), 0), key.ErrSignature},
		{"DER instead of raw", pub, der, key.ErrSignature},
		{"r is zero", pub, join(zeros, good[32:]), key.ErrSignature},
		{"s is zero", pub, join(good[:32], zeros), key.ErrSignature},
		{"r is the order", pub, join(order, good[32:]), key.ErrSignature},
		{"s is the order", pub, join(good[:32], order), key.ErrSignature},
		{"r is 2^256-1", pub, join(ones, good[32:]), key.ErrSignature},
		{"key off the curve", offCurve, good, key.ErrKey},
		{"key without coordinates", &ecdsa.PublicKey{Curve: elliptic.P256()}, good, key.ErrKey},
		{"short Ed25519 key", ed25519.PublicKey("short"), good, key.ErrKey},
		{"nil", nil, good, key.ErrUnsupported},
		{"nil EC key", (*ecdsa.PublicKey)(nil), good, key.ErrUnsupported},
		{"zero EC key", &ecdsa.PublicKey{}, good, key.ErrUnsupported},
		{"P-224", &p224.PublicKey, good, key.ErrUnsupported},
		{"RSA", &rsa.PublicKey{N: big.NewInt(15), E: 3}, good, key.ErrUnsupported},
		{"X25519", x25519, good, key.ErrUnsupported},
	} {
		if err := key.Verify(c.pub, message, c.sig); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func join(a, b []byte) []byte { return append(bytes.Clone(a), b...) }

func TestASN1ToRawRefuses(t *testing.T) {
	pub := testkit.Signer(t, elliptic.P256()).Public()
	big33 := append([]byte{0x02, 0x21, 0x01}, make([]byte, 32)...) // 2^256
	for name, der := range map[string][]byte{
		"empty":          {},
		"trailing":       {0x30, 6, 2, 1, 1, 2, 1, 1, 0},
		"zero":           {0x30, 6, 2, 1, 0, 2, 1, 1},
		"negative":       {0x30, 6, 2, 1, 0x80, 2, 1, 1},
		"padded":         {0x30, 7, 2, 2, 0, 1, 2, 1, 1},
		"too big":        append(append([]byte{0x30, byte(len(big33) + 3)}, big33...), 2, 1, 1),
		"indefinite":     {0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0},
		"three integers": {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1},
	} {
		if raw, err := key.ASN1ToRaw(pub, der); !errors.Is(err, key.ErrSignature) {
			t.Errorf("%s: %x, %v", name, raw, err)
		}
	}
	for _, n := range []int{0, 63, 65, 66, 128} {
		if _, err := key.RawToASN1(bytes.Repeat([]byte{1}, n)); !errors.Is(err, key.ErrSignature) {
			t.Errorf("RawToASN1 of %d bytes: %v", n, err)
		}
	}
}

func TestKeysRoundTrip(t *testing.T) {
	var keys []crypto.PublicKey
	for _, s := range signers(t) {
		keys = append(keys, s.Public())
	}
	keys = append(keys, testkit.Agreer(t, ecdh.X25519()).Public())
	for i, pub := range keys {
		der, err := key.Marshal(pub)
		if err != nil {
			t.Fatal(err)
		}
		back, err := key.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range keys {
			if key.Equal(back, other) != (i == j) {
				t.Errorf("keys %T and %T: Equal is wrong", back, other)
			}
		}
		if _, err := key.Parse(append(der, 0)); !errors.Is(err, key.ErrKey) {
			t.Errorf("%T with a trailing byte: %v", pub, err)
		}
		agree, err := key.ToECDH(pub)
		if _, ed := pub.(ed25519.PublicKey); ed {
			if !errors.Is(err, key.ErrUnsupported) {
				t.Errorf("Ed25519 for agreement: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if again, err := key.FromECDH(agree); err != nil || !key.Equal(again, pub) {
			t.Errorf("%T through ToECDH and FromECDH: %v", pub, err)
		}
		if ec, ok := pub.(*ecdsa.PublicKey); ok {
			x, y, err := key.XY(ec)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := key.FromXY(ec.Curve, x, y); err != nil || !key.Equal(again, pub) {
				t.Errorf("%s through XY and FromXY: %v", ec.Curve.Params().Name, err)
			}
			if _, err := key.FromXY(ec.Curve, x[1:], y); !errors.Is(err, key.ErrKey) {
				t.Errorf("short x: %v", err)
			}
			y[len(y)-1] ^= 1
			if _, err := key.FromXY(ec.Curve, x, y); !errors.Is(err, key.ErrKey) {
				t.Errorf("point off the curve: %v", err)
			}
		}
	}
	if key.Equal(nil, nil) {
		t.Error("nil equals nil")
	}
}

func TestCryptoSigner(t *testing.T) {
	for alg, s := range signers(t) {
		cs := key.CryptoSigner(t.Context(), s)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1000, 0),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, s.Public(), cs)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := cs.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err == nil {
			t.Errorf("%s signed a digest", alg)
		}
		if _, err := cs.SignMessage(rand.Reader, nil, crypto.SHA3_256); !errors.Is(err, key.ErrUnsupported) {
			t.Errorf("%s with a foreign hash: %v", alg, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range signers(f) {
		der, err := key.Marshal(s.Public())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		pub, err := key.Parse(der)
		if err != nil {
			return
		}
		again, err := key.Marshal(pub)
		if err != nil {
			t.Fatalf("parsed but not written: %v", err)
		}
		if back, err := key.Parse(again); err != nil || !key.Equal(pub, back) {
			t.Fatalf("written but not read: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := testkit.Signer(b, elliptic.P256())
	message := make([]byte, 300)
	raw, err := s.Sign(b.Context(), message)
	if err != nil {
		b.Fatal(err)
	}
	pub := s.Public().(*ecdsa.PublicKey)
	der, err := key.RawToASN1(raw)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("key.Verify", func(b *testing.B) {
		for b.Loop() {
			if err := key.Verify(pub, message, raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ecdsa.VerifyASN1", func(b *testing.B) {
		for b.Loop() {
			digest := sha256.Sum256(message)
			if !ecdsa.VerifyASN1(pub, digest[:], der) {
				b.Fatal("refused")
			}
		}
	})
}
