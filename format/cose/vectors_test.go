package cose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/vectors"
)

type jwk struct {
	Kty, Crv, X, Y, K string
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (j jwk) public(t testing.TB) crypto.PublicKey {
	t.Helper()
	if j.Kty == "OKP" {
		return ed25519.PublicKey(unbase64(t, j.X))
	}
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
	pub, err := key.FromXY(curve, unbase64(t, j.X), unbase64(t, j.Y))
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// example is a file of cose-wg/Examples as the vectors have it.
type example struct {
	Name string
	Hex  string
	Data struct {
		PayloadText    string `json:"payload_text"`
		ExternalAADHex string `json:"external_aad_hex"`
	}
	Keys     struct{ JWK jwk }
	Expected struct {
		Valid        bool
		SigStructure string `json:"sig_structure"`
		MacStructure string `json:"mac_structure"`
	}
}

func examples(t testing.TB, prefix string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(vectors.Dir(t), "cose", prefix+"*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors cose/%s*: %v", prefix, err)
	}
	for i, f := range files {
		files[i] = "cose/" + filepath.Base(f)
	}
	slices.Sort(files)
	return files
}

// refused lists the valid examples that we refuse on purpose: with what, and why.
var refused = map[string]struct {
	err error
	why string
}{
	"sign1_sign1_tests_sign_pass_01":    {cose.ErrAlgorithm, "alg only in the unprotected header; RFC 9052, 3.1 wants it authenticated"},
	"sign1_ecdsa_examples_ecdsa_sig_04": {cose.ErrAlgorithm, "ES512 on P-256; ISO/IEC 18013-5:2021, 9.1.2.4 binds ES512 to P-521"},
	"sign1_eddsa_examples_eddsa_sig_02": {cose.ErrKey, "Ed448; needs a library for few users, comes with its key type"},
	"mac0_mac0_tests_mac_pass_01":       {cose.ErrAlgorithm, "alg only in the unprotected header; RFC 9052, 3.1 wants it authenticated"},
	"mac0_mac0_tests_mac_pass_02":       {cose.ErrAlgorithm, "alg only in the unprotected header; RFC 9052, 3.1 wants it authenticated"},
	"mac0_mac0_tests_mac_pass_03":       {cose.ErrAlgorithm, "alg only in the unprotected header; RFC 9052, 3.1 wants it authenticated"},
	"mac0_hmac_examples_hmac_enc_02":    {cose.ErrAlgorithm, "HMAC 384/384; ISO/IEC 18013-5:2021, 9.1.3.5 has HMAC 256/256 alone"},
	"mac0_hmac_examples_hmac_enc_03":    {cose.ErrAlgorithm, "HMAC 512/512; as before"},
	"mac0_hmac_examples_hmac_enc_05":    {cose.ErrAlgorithm, "HMAC 256/64, a truncated tag; as before"},
}

func judge(t *testing.T, e example, err error) {
	t.Helper()
	if r, ok := refused[e.Name]; ok {
		if !errors.Is(err, r.err) {
			t.Errorf("refused on purpose (%s), but the error is %v", r.why, err)
		}
		return
	}
	switch {
	case e.Expected.Valid && err != nil:
		t.Errorf("a valid example does not verify: %v", err)
	case !e.Expected.Valid && err == nil:
		t.Error("an invalid example verifies")
	}
}

func TestSign1Examples(t *testing.T) {
	for _, name := range examples(t, "sign1_") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			var e example
			vectors.Load(t, name, &e)
			aad := vectors.Hex(t, e.Data.ExternalAADHex)
			raw := vectors.Hex(t, e.Hex)
			var pub crypto.PublicKey = e.Keys.JWK // a type that no algorithm fits
			if e.Keys.JWK.Crv != "Ed448" {
				pub = e.Keys.JWK.public(t)
			}
			s, err := cose.ParseSign1(raw)
			if err == nil {
				err = s.Verify(pub, nil, aad)
			}
			judge(t, e, err)
			if e.Expected.SigStructure == "" {
				return
			}
			r := cbor.NewReader(raw)
			if r.Kind() == cbor.KindTag {
				r.Tag(18)
			}
			r.ArrayOf(4)
			got := cose.SigStructure(r.Bytes(), aad, []byte(e.Data.PayloadText))
			if want := vectors.Hex(t, e.Expected.SigStructure); !bytes.Equal(got, want) {
				t.Errorf("Sig_structure\n got %x\nwant %x", got, want)
			}
		})
	}
}

func TestMac0Examples(t *testing.T) {
	for _, name := range examples(t, "mac0_") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".json"), func(t *testing.T) {
			var e example
			vectors.Load(t, name, &e)
			aad := vectors.Hex(t, e.Data.ExternalAADHex)
			raw := vectors.Hex(t, e.Hex)
			secret := unbase64(t, e.Keys.JWK.K)
			m, err := cose.ParseMac0(raw)
			if err == nil {
				err = m.Verify(secret, nil, aad)
			}
			judge(t, e, err)
			if e.Expected.MacStructure == "" {
				return
			}
			r := cbor.NewReader(raw)
			if r.Kind() == cbor.KindTag {
				r.Tag(17)
			}
			r.ArrayOf(4)
			got := cose.MacStructure(r.Bytes(), aad, []byte(e.Data.PayloadText))
			if want := vectors.Hex(t, e.Expected.MacStructure); !bytes.Equal(got, want) {
				t.Errorf("MAC_structure\n got %x\nwant %x", got, want)
			}
		})
	}
}

// leaf returns the key of the first certificate of an x5chain.
func leaf(t testing.TB, h cose.Header) crypto.PublicKey {
	t.Helper()
	if len(h.X5Chain) != 1 || h.X5ChainProtected {
		t.Fatalf("x5chain of %d certificates, protected %v; want 1 in the unprotected header", len(h.X5Chain), h.X5ChainProtected)
	}
	cert, err := x509.ParseCertificate(h.X5Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert.PublicKey
}

func TestIssuerAuth(t *testing.T) {
	var v struct {
		Hex      string
		Expected struct {
			SigStructure string `json:"sig_structure"`
		}
	}
	vectors.Load(t, "iso18013-5/d5_2_issuer_auth.json", &v)
	raw := vectors.Hex(t, v.Hex)
	s, err := cose.ParseSign1(raw)
	if err != nil {
		t.Fatal(err)
	}
	if s.Tagged || s.Alg != cose.ES256 || !bytes.Equal(s.Raw, raw) {
		t.Errorf("tagged %v, alg %v", s.Tagged, s.Alg)
	}
	if got, want := cose.SigStructure(s.Protected, nil, s.Payload), vectors.Hex(t, v.Expected.SigStructure); !bytes.Equal(got, want) {
		t.Errorf("Sig_structure differs from D.5.2:\n got %x\nwant %x", got, want)
	}
	if err := s.Verify(leaf(t, s.Header), nil, nil); err != nil {
		t.Error(err)
	}

	// Our own writer, given the same parts, writes the same bytes.
	p, err := cose.PrepareSign1(leaf(t, s.Header), cose.Headers{X5Chain: s.X5Chain}, cose.Content{Payload: s.Payload})
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Finish(nil, s.Signature)
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("writing D.5.2 again: %v\n got %x\nwant %x", err, again, raw)
	}
}

func TestIssuerAuthBitFlips(t *testing.T) {
	var v struct{ Hex string }
	vectors.Load(t, "iso18013-5/d5_2_issuer_auth.json", &v)
	raw := vectors.Hex(t, v.Hex)
	good, err := cose.ParseSign1(raw)
	if err != nil {
		t.Fatal(err)
	}
	pub := leaf(t, good.Header)
	unprotected := bytes.Index(raw, good.Unprotected)
	for i := range raw {
		if i >= unprotected && i < unprotected+len(good.Unprotected) {
			continue // not signed; the chain is judged by whoever trusts it
		}
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		s, err := cose.ParseSign1(bad)
		if err == nil {
			err = s.Verify(pub, nil, nil)
		}
		if err == nil {
			t.Errorf("a flipped bit in byte %d goes unnoticed", i)
		}
	}
}

func TestDeviceAuthMac(t *testing.T) {
	var v struct {
		Hex      string
		Keys     struct{ EMacKey string }
		Expected map[string]any
	}
	vectors.Load(t, "iso18013-5/d5_3_device_auth_mac.json", &v)
	r := cbor.ReadChecked(vectors.Hex(t, v.Hex), cbor.Limits{})
	var m *cose.Mac0
	r.Map(func() {
		if name := r.Text(); name != "deviceMac" {
			t.Fatalf("member %q", name)
		}
		var err error
		if m, err = cose.ReadMac0(r); err != nil {
			t.Fatal(err)
		}
	})
	secret := vectors.Hex(t, v.Keys.EMacKey)
	detached := vectors.Hex(t, v.Expected["device_authentication_bytes"].(string))
	if want, ok := v.Expected["mac_structure"].(string); ok {
		if got := cose.MacStructure(m.Protected, nil, detached); !bytes.Equal(got, vectors.Hex(t, want)) {
			t.Errorf("MAC_structure differs from D.5.3: %x", got)
		}
	} else {
		t.Error("the vector has no mac_structure")
	}
	if err := m.Verify(secret, detached, nil); err != nil {
		t.Error(err)
	}
	if err := m.Verify(secret, nil, nil); !errors.Is(err, cose.ErrPayload) {
		t.Errorf("without the detached payload: %v", err)
	}
	if err := m.Verify(secret, detached[1:], nil); !errors.Is(err, cose.ErrSignature) {
		t.Errorf("with another payload: %v", err)
	}
	if err := m.Verify(secret[1:], detached, nil); !errors.Is(err, cose.ErrKey) {
		t.Errorf("with a short key: %v", err)
	}
	made, err := cose.AppendMac0(nil, secret, cose.Headers{}, cose.Content{Payload: detached, Detached: true})
	if err != nil || !bytes.Equal(made, m.Raw) {
		t.Errorf("writing D.5.3 again: %v\n got %x\nwant %x", err, made, m.Raw)
	}
}

func TestReaderAuth(t *testing.T) {
	var v struct {
		Hex      string
		Expected struct {
			Bytes        string `json:"reader_authentication_bytes"`
			SigStructure string `json:"sig_structure"`
		}
	}
	vectors.Load(t, "iso18013-5/d5_4_reader_auth.json", &v)
	s, err := cose.ParseSign1(vectors.Hex(t, v.Hex))
	if err != nil {
		t.Fatal(err)
	}
	detached := vectors.Hex(t, v.Expected.Bytes)
	pub := leaf(t, s.Header)
	if s.Payload != nil {
		t.Error("null payload came out as something")
	}
	if got, want := cose.SigStructure(s.Protected, nil, detached), vectors.Hex(t, v.Expected.SigStructure); !bytes.Equal(got, want) {
		t.Errorf("Sig_structure differs from D.5.4:\n got %x\nwant %x", got, want)
	}
	if err := s.Verify(pub, detached, nil); err != nil {
		t.Error(err)
	}
	if err := s.Verify(pub, nil, nil); !errors.Is(err, cose.ErrPayload) {
		t.Errorf("without the detached payload: %v", err)
	}
	if err := s.Verify(pub, detached, []byte{1}); !errors.Is(err, cose.ErrSignature) {
		t.Errorf("with external data: %v", err)
	}
}

func TestWebAuthnKeys(t *testing.T) {
	var v struct {
		Data struct {
			Keys []struct {
				ID        string
				CoseKey   string `json:"cose_key"`
				Private   string `json:"private_key_hex"`
				Signed    string
				Signature string
			}
		}
	}
	vectors.Load(t, "cose/webauthn_cose_keys.json", &v)
	for _, k := range v.Data.Keys {
		t.Run(k.ID, func(t *testing.T) {
			pub, err := cose.ParseKey(vectors.Hex(t, k.CoseKey))
			if k.ID == "packed-rs256" || k.ID == "packed-ed448" { // RSA is not for documents; Ed448 see refused
				if !errors.Is(err, key.ErrUnsupported) {
					t.Errorf("error is %v, not that the key is unsupported", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sig := vectors.Hex(t, k.Signature)
			if _, ok := pub.(*ecdsa.PublicKey); ok {
				if sig, err = key.ASN1ToRaw(pub, sig); err != nil {
					t.Fatal(err)
				}
			}
			if err := key.Verify(pub, vectors.Hex(t, k.Signed), sig); err != nil {
				t.Error(err)
			}
			again, err := cose.AppendKey(nil, pub)
			if err != nil {
				t.Fatal(err)
			}
			back, err := cose.ParseKey(again)
			if err != nil || !key.Equal(pub, back) {
				t.Errorf("key does not come back: %v", err)
			}
		})
	}
}

func TestKeyCases(t *testing.T) {
	var v struct {
		Data struct {
			Cases []struct {
				ID    string
				Valid bool
				Hex   string
			}
		}
	}
	vectors.Load(t, "cose/derived_cose_key_cases.json", &v)
	for _, c := range v.Data.Cases {
		raw := vectors.Hex(t, c.Hex)
		pub, err := cose.ParseKey(raw)
		if (err == nil) != c.Valid {
			t.Errorf("%s: valid %v, error %v", c.ID, c.Valid, err)
			continue
		}
		if err != nil {
			if !errors.Is(err, cose.ErrKey) {
				t.Errorf("%s: error is not ErrKey: %v", c.ID, err)
			}
			continue
		}
		agree, err := cose.ParseECDHKey(raw)
		if err != nil {
			t.Errorf("%s: for key agreement: %v", c.ID, err)
			continue
		}
		a, err := cose.AppendKey(nil, pub)
		if err != nil {
			t.Fatal(err)
		}
		b, err := cose.AppendKey(nil, agree)
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %v: %x and %x", c.ID, err, a, b)
		}
		if c.ID == "ok" && !bytes.Equal(a, raw) {
			t.Errorf("writing it again gives %x", a)
		}
	}
}

func TestKeySet(t *testing.T) {
	var v struct {
		Data struct {
			Keys []struct {
				Hex string
				JWK jwk
			}
		}
	}
	vectors.Load(t, "cose/cose_key_keyset.json", &v)
	for _, k := range v.Data.Keys {
		pub, err := cose.ParseKey(vectors.Hex(t, k.Hex))
		if k.JWK.Kty == "oct" {
			if !errors.Is(err, key.ErrUnsupported) {
				t.Errorf("a symmetric key: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", k.JWK.Crv, err)
			continue
		}
		if !key.Equal(pub, k.JWK.public(t)) {
			t.Errorf("%s: COSE_Key and JWK differ", k.JWK.Crv)
		}
	}
}

// TestMac0ByHand recomputes one tag with the standard library alone.
func TestMac0ByHand(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, 32)
	raw, err := cose.AppendMac0(nil, secret, cose.Headers{}, cose.Content{Payload: []byte("x"), Tagged: true})
	if err != nil {
		t.Fatal(err)
	}
	h := hmac.New(sha256.New, secret)
	h.Write(vectors.Hex(t, "84 64 4d414330 43 a10105 40 41 78"))
	want := append(vectors.Hex(t, "d1 84 43 a10105 a0 41 78 58 20"), h.Sum(nil)...)
	if !bytes.Equal(raw, want) {
		t.Errorf("got %x\nwant %x", raw, want)
	}
}
