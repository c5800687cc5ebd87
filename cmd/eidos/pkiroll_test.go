package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
)

// A folder with the old root and the link leads to a signer of the new root;
// without the old root the link is worth nothing.
func TestVerifyOverLink(t *testing.T) {
	dir := t.TempDir()
	vault, anchors := filepath.Join(dir, "vault"), filepath.Join(dir, "anchors")
	eidos := func(args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if status := run(context.Background(), args, strings.NewReader(""), &out, &errs, os.Getenv); status != exitOK {
			t.Fatalf("%v: %s", args, errs.String())
		}
	}
	const list = "https://utopia.example/iaca.crl"
	eidos("pki", "iaca", "--keys", vault, "--name", "Utopia", "--country", "UT", "--contact", "ca@utopia.example", "--crl", list)
	eidos("pki", "iaca", "roll", "--keys", vault, "-o", filepath.Join(dir, "next.pem"))
	eidos("pki", "ds", "--keys", vault, "--name", "DS", "--crl", list)
	next, err := certificatesOf(filepath.Join(dir, "next.pem"))
	if err != nil || len(next) != 2 || next[0].CRLDistributionPoints[0] != fmt.Sprintf("%s/%x", list, next[0].SubjectKeyId) {
		t.Fatalf("%d certificates, %v", len(next), err)
	}
	ds, err := os.ReadFile(filepath.Join(vault, "ds.cer"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := writeFile(filepath.Join(anchors, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(anchors, 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	write("link.pem", pki.EncodePEM(next[1]))
	if _, err := loadAnchors(anchors, now); err == nil || !strings.Contains(err.Error(), "no trust anchors") {
		t.Errorf("the link alone: %v", err)
	}
	old, err := os.ReadFile(filepath.Join(vault, "iaca.cer"))
	if err != nil {
		t.Fatal(err)
	}
	write("iaca.cer", old)
	for _, linked := range []bool{true, false} {
		set, err := loadAnchors(anchors, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, r := set.VerifyChain([][]byte{ds}, trustlist.Issuer, now, assure.ChainOptions{Strict: true}); r.OK() != linked {
			t.Errorf("with the link %v: %s", linked, r)
		}
		if err := os.WriteFile(filepath.Join(anchors, "link.pem"), old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
