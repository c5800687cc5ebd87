// Package pkitest makes the certificates of tests.
package pkitest

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/testkit"
)

// Issue returns a certificate of a profile, signed by a key.
func Issue(t testing.TB, p pki.Profile, tpl pki.Template, by key.Signer) *x509.Certificate {
	t.Helper()
	der, err := pki.Issue(t.Context(), p, tpl, by)
	if err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return Parse(t, der)
}

// Link returns the link certificate from a root to the one after it, signed by
// the key of the former.
func Link(t testing.TB, p pki.Profile, from, to *x509.Certificate, crl string, by key.Signer) *x509.Certificate {
	t.Helper()
	der, err := pki.IssueLink(t.Context(), p, from, to, crl, by)
	if err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return Parse(t, der)
}

// Parse reads a certificate.
func Parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := pki.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Certified returns a key with a certificate of no profile under a CA that is
// nowhere, for what looks at names and signatures but follows no chain. It is
// valid around now, for these names: of hosts, or URIs.
func Certified(t testing.TB, now time.Time, names ...string) (*testkit.Key, *x509.Certificate) {
	t.Helper()
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
	}
	for _, name := range names {
		if u, err := url.Parse(name); err == nil && u.Scheme != "" {
			tpl.URIs = append(tpl.URIs, u)
		} else {
			tpl.DNSNames = append(tpl.DNSNames, name)
		}
	}
	k := testkit.Signer(t, elliptic.P256())
	der, err := x509.CreateCertificate(rand.Reader, tpl, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, k.Public(), k.Private())
	if err != nil {
		t.Fatal(err)
	}
	return k, Parse(t, der)
}
