package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writePair makes a self-signed certificate with that serial number.
func writePair(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"issuer.example"}}
	cert, err1 := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	key, err2 := x509.MarshalPKCS8PrivateKey(k)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateFilesReload(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := ServerTLS(certFile, keyFile); err == nil {
		t.Fatal("absent files were accepted")
	}
	writePair(t, certFile, keyFile, 1)
	c, err := ServerTLS(certFile, keyFile)
	if err != nil || c.MinVersion != tls.VersionTLS12 || len(c.CipherSuites) != 4 {
		t.Fatalf("%+v, error %v", c, err)
	}
	f := &certificateFiles{cert: certFile, key: keyFile}
	if err := f.load(time.Now()); err != nil {
		t.Fatal(err)
	}
	// look asks for the certificate as if the last look was a while ago.
	look := func(ago time.Duration) int64 {
		t.Helper()
		f.looked = time.Now().Add(-ago)
		c, err := f.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.Int64()
	}
	touch := func(at time.Time) {
		t.Helper()
		for _, name := range []string{certFile, keyFile} {
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	writePair(t, certFile, keyFile, 2)
	touch(time.Now().Add(time.Second))
	if n := look(recheck / 2); n != 1 {
		t.Errorf("certificate %d before the files are looked at again", n)
	}
	if n := look(recheck); n != 2 {
		t.Errorf("certificate %d after the files changed", n)
	}
	if err := os.WriteFile(certFile, []byte("half wri"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(time.Now().Add(2 * time.Second))
	if n := look(recheck); n != 2 {
		t.Errorf("certificate %d while the file is broken", n)
	}
	writePair(t, certFile, keyFile, 3)
	touch(time.Now().Add(3 * time.Second))
	if n := look(recheck); n != 3 {
		t.Errorf("certificate %d after it was mended", n)
	}
}
