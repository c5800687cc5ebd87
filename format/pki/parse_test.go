package pki_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
)

// sameAsStandard parses with this package and with crypto/x509 and wants the
// same of both, to the last field.
func sameAsStandard(t testing.TB, der []byte) {
	t.Helper()
	want, wantErr := x509.ParseCertificate(der)
	got, err := pki.ParseCertificate(der)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x\nerror %v, crypto/x509 says %v", der, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%x\n got %+v\nwant %+v", der, got, want)
	}
}

// isShort reports whether the certificate took the short way, which allocates
// far less than crypto/x509.
func isShort(t testing.TB, der []byte) bool {
	t.Helper()
	standard := testing.AllocsPerRun(10, func() { _, _ = x509.ParseCertificate(der) })
	return testing.AllocsPerRun(10, func() { _, _ = pki.ParseCertificate(der) }) < 0.7*standard
}

// plainCertificates are of the shape that parser.usual is for: every profile on
// every kind of key.
func plainCertificates(t testing.TB) [][]byte {
	t.Helper()
	root := iaca(t)
	ders := [][]byte{root.cert.Raw}
	for _, p := range []pki.Profile{pki.DocumentSigner, pki.ReaderAuth, pki.StatusSigner} {
		for _, k := range []*testkit.Key{testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P384()), testkit.Signer(t, elliptic.P521())} {
			tpl := leafTemplate(p, root, k)
			tpl.DNS, tpl.Policies = nil, nil
			tpl.Subject.SerialNumber, tpl.Subject.Locality, tpl.Subject.Unit = "7", "Nordstadt", "Straßen"
			tpl.NotAfter = tpl.NotAfter.Add(time.Second)
			ders = append(ders, pkitest.Issue(t, p, tpl, root.key).Raw)
		}
	}
	ed := testkit.Ed25519(t).Private()
	for _, end := range []time.Time{time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)} {
		ders = append(ders, selfSigned(t, &x509.Certificate{NotAfter: end, IsCA: true, BasicConstraintsValid: true, MaxPathLen: 3}, ed))
	}
	return ders
}

// otherCertificates are what parser.usual leaves alone.
func otherCertificates(t testing.TB) [][]byte {
	t.Helper()
	k := testkit.Signer(t, elliptic.P256()).Private()
	var ders [][]byte
	for _, name := range []string{"d5_2_iaca_certificate", "d5_2_ds_certificate", "d5_4_reader_certificate"} {
		ders = append(ders, vectorCert(t, name).Raw) // distribution points as dNSName
	}
	for _, tpl := range []*x509.Certificate{
		{DNSNames: []string{"verifier.example"}},
		{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		{OCSPServer: []string{"http://ocsp.example"}},
		{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 18}, Critical: true, Value: []byte{0x30, 0}}}},
		{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}}}},
		{Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: "example"}}}},
	} {
		ders = append(ders, selfSigned(t, tpl, k))
	}
	return ders
}

func selfSigned(t testing.TB, tpl *x509.Certificate, k crypto.Signer) []byte {
	t.Helper()
	tpl.SerialNumber = big.NewInt(0x80)
	if tpl.Subject.CommonName == "" {
		tpl.Subject.CommonName = "self"
	}
	tpl.NotBefore = now
	if tpl.NotAfter.IsZero() {
		tpl.NotAfter = now.AddDate(1, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseCertificateIsThatOfTheStandardLibrary(t *testing.T) {
	for i, der := range plainCertificates(t) {
		sameAsStandard(t, der)
		if !isShort(t, der) {
			t.Errorf("certificate %d was left to crypto/x509: %x", i, der)
		}
	}
	for i, der := range otherCertificates(t) {
		sameAsStandard(t, der)
		if isShort(t, der) {
			t.Errorf("certificate %d was not left to crypto/x509: %x", i, der)
		}
	}
}

// TestParseCertificateChanged changes every byte in turn, so that every tag,
// length and value is once wrong.
func TestParseCertificateChanged(t *testing.T) {
	ders := plainCertificates(t)
	for _, der := range [][]byte{ders[0], ders[1], ders[len(ders)-1]} {
		changed := bytes.Clone(der)
		for i := range der {
			for _, b := range []byte{0, 1, 0x30, 0x7f, 0x80, 0x81, 0xa0, 0xff, der[i] - 1, der[i] + 1, der[i] ^ 0x20, der[i] ^ 0x80} {
				changed[i] = b
				sameAsStandard(t, changed)
			}
			changed[i] = der[i]
			sameAsStandard(t, der[:i])
		}
		sameAsStandard(t, append(changed, 0))
	}
}

func FuzzParseCertificate(f *testing.F) {
	for _, der := range append(plainCertificates(f), otherCertificates(f)...) {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if len(der) <= pki.MaxCertificateSize {
			sameAsStandard(t, der)
		}
	})
}
