package testkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

// Raw are the two operations of P-256 on a digest as the standard library does
// them: units for Ratio.
type Raw struct {
	key       *ecdsa.PrivateKey
	digest    [32]byte
	signature []byte
}

// NewRaw returns the operations with a new key.
func NewRaw(b *testing.B) *Raw {
	b.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	r := &Raw{key: k, digest: sha256.Sum256([]byte("message"))}
	r.Sign()
	return r
}

// Sign makes a signature.
func (r *Raw) Sign() {
	var err error
	if r.signature, err = ecdsa.SignASN1(rand.Reader, r.key, r.digest[:]); err != nil {
		panic(err)
	}
}

// Verify verifies the last one.
func (r *Raw) Verify() {
	if !ecdsa.VerifyASN1(&r.key.PublicKey, r.digest[:], r.signature) {
		panic("raw signature does not verify")
	}
}
