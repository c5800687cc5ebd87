package jose

import (
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	gojose "github.com/go-jose/go-jose/v4"
)

// TestGoJoseReadsOurs and TestWeReadGoJose hold this package against another
// implementation, go-jose, in both directions. X25519 is left out: go-jose
// does not know it.
func TestGoJoseReadsOurs(t *testing.T) {
	algs := []gojose.SignatureAlgorithm{gojose.ES256, gojose.ES384, gojose.ES512, gojose.EdDSA}
	for i, s := range signers(t) {
		token, err := Sign(t.Context(), s, Header{Typ: "JWT", JWK: &JWK{Key: s.Public()}}, map[string]int{"n": i})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := gojose.ParseSignedCompact(token, algs)
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := sig.Verify(s.Public()); err != nil || !json.Valid(payload) {
			t.Errorf("%s: %v", algs[i], err)
		}
		if !sig.Signatures[0].Header.JSONWebKey.Valid() {
			t.Errorf("%s: jwk not valid", algs[i])
		}
		theirs, err := sig.Signatures[0].Header.JSONWebKey.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if ours, err := Thumbprint(s.Public()); err != nil || string(ours[:]) != string(theirs) {
			t.Errorf("%s: thumbprints %x and %x, %v", algs[i], ours, theirs, err)
		}
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		s := testkit.Signer(t, curve)
		for _, zip := range []bool{false, true} {
			for _, enc := range []string{A128GCM, A192GCM, A256GCM} {
				token, err := Encrypt([]byte("secret"), EncryptOptions{
					Recipient: JWK{Key: s.Public(), KID: "1"}, Enc: enc, APU: []byte("u"), APV: []byte("v"), Zip: zip,
				})
				if err != nil {
					t.Fatal(err)
				}
				j, err := gojose.ParseEncryptedCompact(token, []gojose.KeyAlgorithm{gojose.ECDH_ES}, []gojose.ContentEncryption{gojose.ContentEncryption(enc)})
				if err != nil {
					t.Fatal(err)
				}
				if plain, err := j.Decrypt(s.Private()); err != nil || string(plain) != "secret" {
					t.Errorf("%s %s zip=%v: %q, %v", curve.Params().Name, enc, zip, plain, err)
				}
			}
		}
	}
}

func TestWeReadGoJose(t *testing.T) {
	algs := []gojose.SignatureAlgorithm{gojose.ES256, gojose.ES384, gojose.ES512}
	for i, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		s := testkit.Signer(t, curve)
		signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: algs[i], Key: s.Private()}, &gojose.SignerOptions{EmbedJWK: true})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		tok, err := Parse(token, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := tok.VerifyJWK(*tok.Header.JWK); err != nil || !key.Equal(tok.Header.JWK.Key, s.Public()) {
			t.Errorf("%s: %v", algs[i], err)
		}
		e, err := gojose.NewEncrypter(gojose.A256GCM, gojose.Recipient{Algorithm: gojose.ECDH_ES, Key: s.Public()},
			&gojose.EncrypterOptions{Compression: gojose.DEFLATE})
		if err != nil {
			t.Fatal(err)
		}
		message, err := e.Encrypt([]byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		if token, err = message.CompactSerialize(); err != nil {
			t.Fatal(err)
		}
		j, err := ParseJWE(token)
		if err != nil {
			t.Fatal(err)
		}
		private, _ := json.Marshal(gojose.JSONWebKey{Key: s.Private()})
		if plain, err := j.Decrypt(t.Context(), agreerOf(t, private)); err != nil || string(plain) != "secret" {
			t.Errorf("%s: %q, %v", curve.Params().Name, plain, err)
		}
	}
}
