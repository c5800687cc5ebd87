package testkit_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha512"
	"math/big"
	"os/exec"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

func TestKeysSign(t *testing.T) {
	message := []byte("message")
	k := testkit.Signer(t, elliptic.P521())
	sig, err := k.Sign(context.Background(), message)
	if err != nil || len(sig) != 132 {
		t.Fatalf("P-521 signature of %d bytes, error %v", len(sig), err)
	}
	digest := sha512.Sum512(message)
	r, s := new(big.Int).SetBytes(sig[:66]), new(big.Int).SetBytes(sig[66:])
	if !ecdsa.Verify(k.Public().(*ecdsa.PublicKey), digest[:], r, s) {
		t.Error("P-521 signature does not verify")
	}
	e := testkit.Ed25519(t)
	sig, err = e.Sign(context.Background(), message)
	if err != nil || !ed25519.Verify(e.Public().(ed25519.PublicKey), message, sig) {
		t.Errorf("Ed25519 signature does not verify, error %v", err)
	}
	a, b := testkit.Agreer(t, ecdh.P256()), testkit.Agreer(t, ecdh.P256())
	za, err1 := a.Agree(context.Background(), b.Public())
	zb, err2 := b.Agree(context.Background(), a.Public())
	if err1 != nil || err2 != nil || string(za) != string(zb) || len(za) != 32 {
		t.Errorf("agreed on %x and %x, errors %v, %v", za, zb, err1, err2)
	}
}

func TestPostgresGivesFreshDatabases(t *testing.T) {
	a, b := testkit.Postgres(t), testkit.Postgres(t)
	if a == b {
		t.Fatalf("the same database twice: %s", a)
	}
	for _, dsn := range []string{a, b} {
		out, err := exec.Command("psql", "-At", dsn, "-c", "create table fresh (n int); select count(*) from fresh").CombinedOutput()
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "0") {
			t.Errorf("%s: %v: %s", dsn, err, out)
		}
	}
}
