package jose

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/google/go-cmp/cmp"
)

// publicOf reads a JWK of a vector, with or without its private part.
func publicOf(t testing.TB, raw json.RawMessage) JWK {
	t.Helper()
	k, err := ParseJWK(raw)
	if errors.Is(err, ErrPrivate) {
		k, _, err = ParsePrivateJWK(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return *k
}

func agreerOf(t testing.TB, raw json.RawMessage) *testkit.AgreeKey {
	t.Helper()
	_, private, err := ParsePrivateJWK(raw)
	if err != nil {
		t.Fatal(err)
	}
	switch private := private.(type) {
	case *ecdh.PrivateKey:
		return testkit.ECDH(private)
	case *ecdsa.PrivateKey:
		k, err := private.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		return testkit.ECDH(k)
	}
	t.Fatalf("%T does not agree", private)
	return nil
}

func sameJSON(t testing.TB, got, want []byte) {
	t.Helper()
	var g, w any
	if err := Unmarshal(got, &g, Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("JSON differs (-want +got):\n%s", diff)
	}
}

// flipped returns the token with one bit of its signature changed.
func flipped(tok *Token) *Token {
	other := *tok
	other.signature = bytes.Clone(tok.signature)
	other.signature[len(other.signature)/2] ^= 1
	return &other
}

func TestJWSVectors(t *testing.T) {
	for _, name := range []string{
		"jose/rfc7515_A3_es256_jws.json",
		"jose/rfc8037_A4_ed25519_jws.json",
		"jose/rfc9449_dpop_token_request.json",
		"jose/rfc9449_dpop_resource_request.json",
	} {
		t.Run(name, func(t *testing.T) {
			r := vectors.Read(t, name)
			tok, err := Parse(r.Text, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			k := publicOf(t, r.Keys["jwk"])
			if err := tok.VerifyJWK(k); err != nil {
				t.Error(err)
			}
			if err := flipped(tok).Verify(k.Key); !errors.Is(err, key.ErrSignature) {
				t.Errorf("signature changed: %v", err)
			}
			for _, payload := range []json.RawMessage{r.Expected["payload"], r.Data["payload"]} {
				if payload != nil {
					sameJSON(t, tok.Payload, payload)
				}
			}
			if want, ok := r.Expected["payload_text"]; ok && string(tok.Payload) != vectors.String(t, want) {
				t.Errorf("payload %q", tok.Payload)
			}
			if jkt, ok := r.Expected["jkt"]; ok {
				if !tok.Header.HasType("dpop+jwt") {
					t.Errorf("typ %q", tok.Header.Typ)
				}
				if got, err := ThumbprintString(tok.Header.JWK.Key); err != nil || got != vectors.String(t, jkt) {
					t.Errorf("thumbprint %s, %v", got, err)
				}
			}
		})
	}
}

// Ed25519 is deterministic, so the whole token must come out as printed.
func TestSignRFC8037(t *testing.T) {
	r := vectors.Read(t, "jose/rfc8037_A4_ed25519_jws.json")
	_, private, err := ParsePrivateJWK(r.Keys["jwk"])
	if err != nil {
		t.Fatal(err)
	}
	got, err := SignBytes(t.Context(), ed25519Key{private.(ed25519.PrivateKey)}, Header{}, []byte(vectors.String(t, r.Expected["payload_text"])))
	if err != nil || got != r.Text {
		t.Errorf("got %s, %v\nwant %s", got, err, r.Text)
	}
}

// RFC 9101's request object is signed with RS256, which is not accepted here:
// no profile we implement uses RSA for messages. It must be refused as such.
func TestRSAIsRefused(t *testing.T) {
	r := vectors.Read(t, "jose/rfc9101_jar.json")
	if _, err := Parse(r.Text, Limits{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("token: %v", err)
	}
	if _, err := ParseJWK(r.Keys["jwk"]); !errors.Is(err, ErrUnsupported) {
		t.Errorf("key: %v", err)
	}
}

func TestRequestObjectOfTS18013_7(t *testing.T) {
	r := vectors.Read(t, "iso18013-5/p7_b6_3_authorization_request_jar.json")
	tok, err := Parse(r.Text, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(tok.Header.X5C) != 1 {
		t.Fatalf("%d certificates", len(tok.Header.X5C))
	}
	cert, err := x509.ParseCertificate(tok.Header.X5C[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Verify(cert.PublicKey); err != nil {
		t.Error(err)
	}
	if err := flipped(tok).Verify(cert.PublicKey); !errors.Is(err, key.ErrSignature) {
		t.Errorf("signature changed: %v", err)
	}
	if k := publicOf(t, r.Keys["static_reader_private_jwk"]); !key.Equal(k.Key, cert.PublicKey) {
		t.Error("certificate and JWK have different keys")
	}
	sameJSON(t, tok.Payload, r.Data["payload"])
}

func TestThumbprintVectors(t *testing.T) {
	r := vectors.Read(t, "jose/jwk_thumbprints.json")
	var cases []struct {
		ID    string          `json:"id"`
		JWK   json.RawMessage `json:"jwk"`
		Print string          `json:"thumbprint_sha256"`
	}
	if err := json.Unmarshal(r.Data["cases"], &cases); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, c := range cases {
		k, err := ParseJWK(c.JWK)
		if c.ID == "RSA" { // RSA keys are not read here, so they have no thumbprint
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("RSA: %v", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		if got, err := ThumbprintString(k.Key); err != nil || got != c.Print {
			t.Errorf("%s: %s, %v, want %s", c.ID, got, err, c.Print)
		}
		checked++
	}
	if checked < 3 {
		t.Errorf("only %d thumbprints checked", checked)
	}
}

func TestConcatKDFOfRFC7518(t *testing.T) {
	r := vectors.Read(t, "jose/rfc7518_C_ecdh_es_concat_kdf.json")
	bob := agreerOf(t, r.Keys["bob_static"])
	alice := agreerOf(t, r.Keys["alice_ephemeral"])
	z, err := bob.Agree(t.Context(), alice.Public())
	if err != nil || hex.EncodeToString(z) != vectors.String(t, r.Expected["Z"]) {
		t.Fatalf("Z = %x, %v", z, err)
	}
	got := contentKey(z, A128GCM, []byte("Alice"), []byte("Bob"))
	if Encode(got) != vectors.String(t, r.Expected["derived_key"]) {
		t.Errorf("key %x", got)
	}
	header, err := parseJWEHeader(Encode(r.Data["header"]), Limits{}.withDefaults())
	if err != nil || string(header.APU) != "Alice" || string(header.APV) != "Bob" {
		t.Errorf("header %+v, %v", header, err)
	}
}

func TestX25519OfRFC8037(t *testing.T) {
	r := vectors.Read(t, "jose/rfc8037_A6_x25519.json")
	ephemeral := publicOf(t, r.Keys["ephemeral"])
	peer, err := key.ToECDH(ephemeral.Key)
	if err != nil {
		t.Fatal(err)
	}
	z, err := agreerOf(t, r.Keys["recipient"]).Agree(t.Context(), peer)
	if err != nil || hex.EncodeToString(z) != vectors.String(t, r.Expected["Z"]) {
		t.Errorf("Z = %x, %v", z, err)
	}
}

func TestJWEVectors(t *testing.T) {
	r := vectors.Read(t, "jose/derived_jwe_ecdh_es.json")
	bob := agreerOf(t, r.Keys["bob_static"])
	alice := agreerOf(t, r.Keys["alice_ephemeral"])
	z, err := alice.Agree(t.Context(), bob.Public())
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID    string `json:"id"`
		JWE   string `json:"jwe"`
		CEK   string `json:"cek"`
		Valid bool   `json:"valid"`
	}
	if err := json.Unmarshal(r.Data["cases"], &cases); err != nil {
		t.Fatal(err)
	}
	want := vectors.String(t, r.Expected["plaintext_text"])
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			j, err := ParseJWE(c.JWE)
			switch c.ID {
			case "A128CBC-HS256_none", "A128CBC-HS256_apu_apv":
				// OpenID4VP 1.0 and HAIP 1.0 ask for AES-GCM; CBC with HMAC is left out.
				if !errors.Is(err, ErrUnsupported) {
					t.Errorf("got %v", err)
				}
				return
			}
			var plain []byte
			if err == nil {
				plain, err = j.Decrypt(t.Context(), bob)
			}
			if !c.Valid {
				if err == nil {
					t.Errorf("decrypts to %q", plain)
				}
				return
			}
			if err != nil || string(plain) != want {
				t.Fatalf("%q, %v", plain, err)
			}
			cek := contentKey(z, j.Header.Enc, j.Header.APU, j.Header.APV)
			if hex.EncodeToString(cek) != c.CEK {
				t.Errorf("key %x, want %s", cek, c.CEK)
			}
			protected, err := Decode(string(j.protected))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := seal(protected, cek, j.iv, slices.Clone(plain)); err != nil || string(again) != c.JWE {
				t.Errorf("sealed again: %s, %v", again, err)
			}
		})
	}
}

func TestEncryptedResponses(t *testing.T) {
	t.Run("OpenID4VP 1.0, 8.3", func(t *testing.T) {
		r := vectors.Read(t, "openid4vp/s8_3_encrypted_response.json")
		j, err := ParseJWE(r.Text)
		if err != nil {
			t.Fatal(err)
		}
		if j.Header.KID != vectors.String(t, r.Expected["kid"]) || j.Header.Enc != vectors.String(t, r.Expected["enc"]) || j.Header.APU != nil {
			t.Errorf("header %+v", j.Header)
		}
		plain, err := j.Decrypt(t.Context(), agreerOf(t, r.Keys["verifier_jwk"]))
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, plain, r.Expected["plaintext"])

		var request struct {
			Metadata struct {
				JWKS Set `json:"jwks"`
			} `json:"client_metadata"`
		}
		if err := Unmarshal(r.Data["request"], &request, Limits{}); err != nil {
			t.Fatal(err)
		}
		// Of the four keys, X448 is of a curve not supported and left out.
		if n := len(request.Metadata.JWKS.Keys); n != 3 {
			t.Errorf("%d keys", n)
		}
		for _, k := range request.Metadata.JWKS.Keys {
			if err := k.Agrees(); err != nil {
				t.Errorf("%s: %v", k.KID, err)
			}
			if k.Verifies() == nil {
				t.Errorf("%s is for encryption but verifies", k.KID)
			}
		}
		if k, ok := request.Metadata.JWKS.ByKID("ac"); !ok || !key.Equal(k.Key, publicOf(t, r.Keys["verifier_jwk"]).Key) {
			t.Error("key ac not found")
		}
	})
	t.Run("ISO/IEC TS 18013-7, B.6.7", func(t *testing.T) {
		r := vectors.Read(t, "iso18013-5/p7_b6_7_authorization_response_jarm.json")
		j, err := ParseJWE(r.Text)
		if err != nil {
			t.Fatal(err)
		}
		reader := agreerOf(t, r.Keys["reader_ephemeral_private_jwk"])
		epk, err := key.ToECDH(j.Header.EPK.Key)
		if err != nil {
			t.Fatal(err)
		}
		z, err := reader.Agree(t.Context(), epk)
		if err != nil || hex.EncodeToString(z) != vectors.String(t, r.Expected["ecdh_z"]) {
			t.Errorf("Z = %x, %v", z, err)
		}
		cek := contentKey(z, j.Header.Enc, j.Header.APU, j.Header.APV)
		if hex.EncodeToString(cek) != vectors.String(t, r.Expected["content_encryption_key"]) {
			t.Errorf("key %x", cek)
		}
		plain, err := j.Decrypt(t.Context(), reader)
		if err != nil || string(plain) != vectors.String(t, r.Expected["plaintext_json"]) {
			t.Errorf("%.60q…, %v", plain, err)
		}
	})
}

// ed25519Key signs with the private key that a vector brings.
type ed25519Key struct{ private ed25519.PrivateKey }

func (k ed25519Key) Public() crypto.PublicKey { return k.private.Public() }

func (k ed25519Key) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.private, message), nil
}
