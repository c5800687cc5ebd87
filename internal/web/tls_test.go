package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
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

// What a server agrees to, and what it refuses whoever asks: FAPI 2.0 Security
// Profile, 5.2.1 and 5.2.2; RFC 9325, 3.1 and 4.2.
func TestServedTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, certFile, keyFile, 1)
	c, err := ServerTLS(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, ln, http.NotFoundHandler(), ServeOptions{TLS: c}) }()
	defer func() { cancel(); <-ended }()
	for name, tc := range map[string]struct {
		lowest, highest uint16
		suites          []uint16
		want            uint16 // version, 0 for none
	}{
		"all":             {tls.VersionTLS10, tls.VersionTLS13, nil, tls.VersionTLS13},
		"1.3":             {tls.VersionTLS13, tls.VersionTLS13, nil, tls.VersionTLS13},
		"1.2":             {tls.VersionTLS12, tls.VersionTLS12, nil, tls.VersionTLS12},
		"1.1":             {tls.VersionTLS11, tls.VersionTLS11, nil, 0},
		"1.0":             {tls.VersionTLS10, tls.VersionTLS10, nil, 0},
		"1.2 AES-128-GCM": {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, tls.VersionTLS12},
		"1.2 AES-256-GCM": {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, tls.VersionTLS12},
		"1.2 ChaCha20":    {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}, 0},
		"1.2 CBC":         {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}, 0},
		"1.2 without forward secrecy": {tls.VersionTLS12, tls.VersionTLS12,
			[]uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384}, 0},
	} {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{
			InsecureSkipVerify: true, MinVersion: tc.lowest, MaxVersion: tc.highest, CipherSuites: tc.suites, // only the handshake is looked at
		})
		switch {
		case (err == nil) != (tc.want != 0):
			t.Errorf("%s: %v", name, err)
		case err == nil && conn.ConnectionState().Version != tc.want:
			t.Errorf("%s: agreed on %s", name, tls.VersionName(conn.ConnectionState().Version))
		}
		if err == nil {
			conn.Close()
		}
	}
}
