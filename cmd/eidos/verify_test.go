package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/vectors"
)

// TestVerifyFlippedBits: with any one bit flipped in what the issuer signed in
// the standard's own response, verify ends with status 1 and names what is
// wrong. Every 67th bit is tried here; package mdoc tries all of them.
func TestVerifyFlippedBits(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of verifications one after the other take minutes under the race detector, which has nothing to find in them")
	}
	var response, root struct {
		Hex string `json:"hex"`
	}
	vectors.Load(t, "iso18013-5/d4_1_2_device_response.json", &response)
	vectors.Load(t, "iso18013-5/d5_2_iaca_certificate.json", &root)
	dir := t.TempDir()
	anchor := filepath.Join(dir, "iaca.cer")
	if err := os.WriteFile(anchor, vectors.Hex(t, root.Hex), 0o600); err != nil {
		t.Fatal(err)
	}
	good := vectors.Hex(t, response.Hex)
	verify := func(data []byte) (int, string) {
		var out, errs bytes.Buffer
		status := run(context.Background(), []string{"verify", "--anchors", anchor, "--at", "2020-12-01T00:00:00Z", "-"},
			strings.NewReader(hex.EncodeToString(data)), &out, &errs, os.Getenv)
		return status, out.String() + errs.String()
	}
	if status, text := verify(good); status != exitOK {
		t.Fatalf("the response as it is: status %d\n%s", status, text)
	}
	parsed, err := mdoc.ParseDeviceResponse(good)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	tried := 0
	for _, item := range signedParts(&parsed.Documents[0]) {
		at := bytes.Index(good, item)
		if at < 0 {
			t.Fatal("a signed part is not in the response")
		}
		for bit := 0; bit < 8*len(item); bit += 67 {
			bad := bytes.Clone(good)
			bad[at+bit/8] ^= 1 << (bit % 8)
			status, text := verify(bad)
			named := strings.Contains(text, "\nfail ") || strings.Contains(text, "eidos: error: ")
			if status != exitFailed || !named {
				t.Fatalf("bit %d of a part of %d bytes: status %d\n%s", bit, len(item), status, text)
			}
			tried++
		}
	}
	t.Logf("%d bits in %s", tried, time.Since(start).Round(time.Millisecond))
}

// signedParts are what the issuer's signature covers: the items by their
// digests, the mobile security object and the protected header directly.
func signedParts(d *mdoc.Document) [][]byte {
	parts := [][]byte{d.IssuerSigned.Auth.MSO.Raw, d.IssuerSigned.Auth.Sign1.Signature}
	for _, ns := range d.IssuerSigned.NameSpaces {
		for _, item := range ns.Items {
			parts = append(parts, item.Raw)
		}
	}
	return parts
}
