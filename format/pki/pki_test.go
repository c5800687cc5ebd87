package pki_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 22, 13, 30, 0, 0, time.UTC)

func jwsLeaf(t testing.TB, compact string) *x509.Certificate {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(strings.SplitN(strings.TrimSpace(compact), ".", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ X5C [][]byte }
	if err := json.Unmarshal(head, &h); err != nil || len(h.X5C) == 0 {
		t.Fatalf("header without x5c: %v", err)
	}
	return pkitest.Parse(t, h.X5C[0])
}

// ca is a root of a test and its key.
type ca struct {
	cert *x509.Certificate
	key  *testkit.Key
}

func newCA(t testing.TB, p pki.Profile, name pki.Name) ca {
	t.Helper()
	k := testkit.Signer(t, elliptic.P256())
	nb, na := pki.Validity(now, 9*365*24*time.Hour)
	return ca{pkitest.Issue(t, p, pki.Template{Subject: name, PublicKey: k.Public(), NotBefore: nb, NotAfter: na, Contact: "iaca@utopia.example"}, k), k}
}

func iaca(t testing.TB) ca {
	return newCA(t, pki.IACARoot, pki.Name{Country: "UT", State: "UT-North", Organization: "Ministry of Äpfel", CommonName: "Utopia IACA"})
}

// leafTemplate is complete for every profile of a signer.
func leafTemplate(p pki.Profile, root ca, pub *testkit.Key) pki.Template {
	nb, na := pki.Validity(now, 400*24*time.Hour)
	return pki.Template{
		Subject:   pki.Name{Country: "UT", State: "UT-North", Organization: "Utopia", CommonName: "signer"},
		PublicKey: pub.Public(), Issuer: root.cert, NotBefore: nb, NotAfter: na,
		CRLURL: "http://trust.localhost:8080/crl", DNS: []string{"verifier.example"}, Policies: []string{"1.0.18013.5.3.1"},
	}
}

func isCA(p pki.Profile) bool {
	return p == pki.IACARoot || p == pki.IACALink || p == pki.ReaderCA || p == pki.ServiceCA
}

func TestIssueEveryProfile(t *testing.T) {
	root := iaca(t)
	serials := map[string]bool{}
	for _, p := range pki.Profiles() {
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			k := testkit.Signer(t, curve)
			tpl := leafTemplate(p, root, k)
			signer := key.Signer(root.key)
			if isCA(p) && p != pki.IACALink {
				tpl.Issuer, tpl.Contact, signer = nil, "https://utopia.example/contact", k
			}
			cert := pkitest.Issue(t, p, tpl, signer)
			if r := pki.CheckProfile(cert, p, pki.Strict); len(outcomes(r, check.Pass)) != len(r.Checks) {
				t.Errorf("%s: %s", p, r)
			}
			if !bytes.Equal(cert.RawIssuer, root.cert.RawSubject) && tpl.Issuer != nil {
				t.Errorf("%s: issuer name differs from the subject of the CA", p)
			}
			if cert.SerialNumber.BitLen() < 71 || serials[cert.SerialNumber.String()] {
				t.Errorf("%s: serial number %v too short or seen before", p, cert.SerialNumber)
			}
			serials[cert.SerialNumber.String()] = true
			if isCA(p) {
				continue
			}
			path, r := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(root.cert), pki.VerifyOptions{Now: now, Profile: p, Strict: true})
			if !r.OK() || path.Anchor != root.cert {
				t.Errorf("%s: %s", p, r)
			}
			// crypto/x509 agrees, where it does not insist on TLS purposes.
			pool := x509.NewCertPool()
			pool.AddCert(root.cert)
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Errorf("%s: crypto/x509: %v", p, err)
			}
		}
	}
}

func TestIssueEd25519Leaf(t *testing.T) {
	root, k := iaca(t), testkit.Ed25519(t)
	cert := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	if r := pki.CheckProfile(cert, pki.DocumentSigner, pki.Strict); !r.OK() {
		t.Error(r)
	}
	_, err := pki.Issue(context.Background(), pki.StatusSigner, leafTemplate(pki.StatusSigner, root, k), root.key)
	wantFailure(t, err, "public key")
}

// wantFailure expects a report's failure of that name.
func wantFailure(t testing.TB, err error, name string) {
	t.Helper()
	var e *check.Error
	if !errors.As(err, &e) || e.Check.Name != name {
		t.Errorf("want check %q to fail, got %v", name, err)
	}
}

func TestIssueRefuses(t *testing.T) {
	root, other := iaca(t), iaca(t)
	k := testkit.Signer(t, elliptic.P256())
	const p = pki.DocumentSigner
	for name, tc := range map[string]struct {
		change func(*pki.Template)
		check  string // of the report, or empty for ErrTemplate or ErrUnsupported
	}{
		"too long":          {func(x *pki.Template) { x.NotAfter = x.NotBefore.Add(458 * 24 * time.Hour) }, "validity period"},
		"ends first":        {func(x *pki.Template) { x.NotAfter = x.NotBefore }, "validity period"},
		"before its CA":     {func(x *pki.Template) { x.NotBefore = x.NotBefore.Add(-time.Hour) }, "issuer"},
		"other country":     {func(x *pki.Template) { x.Subject.Country = "US" }, "country"},
		"no country":        {func(x *pki.Template) { x.Subject.Country = "" }, "subject country"},
		"lower case":        {func(x *pki.Template) { x.Subject.Country = "ut" }, "subject country code"},
		"no name":           {func(x *pki.Template) { x.Subject.CommonName = "" }, "subject common name"},
		"other state":       {func(x *pki.Template) { x.Subject.State = "UT-South" }, "state or province"},
		"no state":          {func(x *pki.Template) { x.Subject.State = "" }, "state or province"},
		"name of its CA":    {func(x *pki.Template) { x.Subject = mustName(t, root.cert.RawSubject) }, "issuer"},
		"no CRL":            {func(x *pki.Template) { x.CRLURL = "" }, "CRL distribution points"},
		"no issuer":         {func(x *pki.Template) { x.Issuer = nil }, ""},
		"foreign issuer":    {func(x *pki.Template) { x.Issuer = other.cert }, ""},
		"contact":           {func(x *pki.Template) { x.Contact = "call us" }, ""},
		"no key":            {func(x *pki.Template) { x.PublicKey = nil }, ""},
		"URI without sense": {func(x *pki.Template) { x.URIs = []string{"%"} }, ""},
		"policy":            {func(x *pki.Template) { x.Policies = []string{"1.x"} }, ""},
	} {
		tpl := leafTemplate(p, root, k)
		tc.change(&tpl)
		der, err := pki.Issue(context.Background(), p, tpl, root.key)
		if der != nil || err == nil {
			t.Errorf("%s: issued", name)
			continue
		}
		if tc.check != "" {
			wantFailure(t, err, tc.check)
		}
	}
	if _, err := pki.Issue(context.Background(), "tls", leafTemplate(p, root, k), root.key); !errors.Is(err, pki.ErrUnsupported) {
		t.Errorf("unknown profile: %v", err)
	}
	// a signer is no CA
	ds := ca{pkitest.Issue(t, p, leafTemplate(p, root, k), root.key), k}
	tpl := leafTemplate(p, ds, testkit.Signer(t, elliptic.P256()))
	tpl.Subject.CommonName = "another"
	_, err := pki.Issue(context.Background(), p, tpl, ds.key)
	wantFailure(t, err, "issuer")
}

func mustName(t testing.TB, raw []byte) pki.Name {
	t.Helper()
	n, err := pki.NameOf(raw)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The signer of a purpose is no signer of another.
func TestPurposesAreApart(t *testing.T) {
	root, k := iaca(t), testkit.Signer(t, elliptic.P256())
	pool := pki.NewPool(root.cert)
	bound := []pki.Profile{pki.DocumentSigner, pki.ReaderAuth, pki.VICALSigner, pki.JWSSigner}
	for _, p := range bound {
		cert := pkitest.Issue(t, p, leafTemplate(p, root, k), root.key)
		for _, q := range bound {
			_, r := pki.VerifyChain([]*x509.Certificate{cert}, pool, pki.VerifyOptions{Now: now, Profile: q})
			if r.OK() != (p == q) {
				t.Errorf("%s as %s: %s", p, q, r)
			}
		}
	}
}

// forge makes certificates that Issue would not.
func forge(t testing.TB, tpl, parent *x509.Certificate, pub any, k *testkit.Key) *x509.Certificate {
	t.Helper()
	if tpl.SerialNumber == nil {
		tpl.SerialNumber = new(big.Int).Lsh(big.NewInt(0x5eed), 100)
	}
	if tpl.NotAfter.IsZero() {
		tpl.NotBefore, tpl.NotAfter = pki.Validity(now, 300*24*time.Hour)
	}
	der, err := x509.CreateCertificate(nil, tpl, parent, pub, k.Private())
	if err != nil {
		t.Fatal(err)
	}
	return pkitest.Parse(t, der)
}

func ekuExtension(t testing.TB, critical bool, arcs ...int) pkix.Extension {
	v, err := asn1.Marshal([]asn1.ObjectIdentifier{arcs})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: critical, Value: v}
}

func TestProfileNegatives(t *testing.T) {
	root, k := iaca(t), testkit.Signer(t, elliptic.P256())
	good := func() *x509.Certificate {
		return &x509.Certificate{
			Subject:  pkix.Name{Country: []string{"UT"}, Province: []string{"UT-North"}, CommonName: "ds"},
			KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: []byte{1, 2, 3},
			ExtraExtensions:       []pkix.Extension{ekuExtension(t, true, 1, 0, 18013, 5, 1, 2)},
			CRLDistributionPoints: []string{"http://crl.example"},
		}
	}
	for name, tc := range map[string]struct {
		change func(*x509.Certificate)
		check  string
		core   bool // fails even when tolerant
	}{
		"key identifier":    {func(*x509.Certificate) {}, "subject key identifier", false},
		"no key identifier": {func(c *x509.Certificate) { c.SubjectKeyId = nil }, "subject key identifier", false},
		"no IAN":            {func(*x509.Certificate) {}, "issuer alternative name", false},
		"CRL sign too":      {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }, "key usage", false},
		"no key usage":      {func(c *x509.Certificate) { c.KeyUsage = 0 }, "key usage", true},
		"other key usage":   {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, "key usage", true},
		"no EKU":            {func(c *x509.Certificate) { c.ExtraExtensions = nil }, "extended key usage", true},
		"reader's EKU":      {func(c *x509.Certificate) { c.ExtraExtensions[0] = ekuExtension(t, true, 1, 0, 18013, 5, 1, 6) }, "extended key usage", true},
		"generic EKU only":  {func(c *x509.Certificate) { c.ExtraExtensions[0] = ekuExtension(t, true, 1, 0, 23220, 4, 1, 2) }, "extended key usage", false},
		"EKU not critical":  {func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false }, "extended key usage", false},
		"CA":                {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, "basic constraints", true},
		"small serial":      {func(c *x509.Certificate) { c.SerialNumber = big.NewInt(4711) }, "serial number", false},
		"no CRL":            {func(c *x509.Certificate) { c.CRLDistributionPoints = nil }, "CRL distribution points", false},
		"no country":        {func(c *x509.Certificate) { c.Subject.Country = nil }, "subject country", false},
		"unknown critical": {func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
		}, "critical extensions", true},
		"unknown 2.5.29": {func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 99}, Critical: true, Value: []byte{5, 0}})
		}, "critical extensions", true},
		"freshest CRL": {func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: []byte{5, 0}})
		}, "forbidden extensions", false},
		"CRL point garbled": {func(c *x509.Certificate) {
			c.CRLDistributionPoints = nil
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: []byte{0x30, 0}})
		}, "CRL distribution points", false},
		"CRL point, reasons": {func(c *x509.Certificate) {
			c.CRLDistributionPoints = nil
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: []byte{0x30, 0x0d, 0x30, 0x0b, 0xa0, 5, 0xa0, 3, 0x86, 1, 'x', 0x81, 2, 7, 0x80}})
		}, "CRL distribution points", false},
	} {
		tpl := good()
		tc.change(tpl)
		cert := forge(t, tpl, root.cert, k.Public(), root.key)
		failed := outcomes(pki.CheckProfile(cert, pki.DocumentSigner, pki.Default), check.Fail)
		if !contains(failed, tc.check) {
			t.Errorf("%s: %q did not fail, only %q", name, tc.check, failed)
		}
		tolerant := pki.CheckProfile(cert, pki.DocumentSigner, pki.Tolerant)
		if contains(outcomes(tolerant, check.Fail), tc.check) != tc.core || tolerant.OK() == tc.core {
			t.Errorf("%s, tolerant: %s", name, tolerant)
		}
		if _, r := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(root.cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}); r.OK() == tc.core && name != "no country" {
			t.Errorf("%s, chain: %s", name, r)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func TestChainNegatives(t *testing.T) {
	root, k := iaca(t), testkit.Signer(t, elliptic.P256())
	ds := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	twin := iaca(t) // same name, other key
	abroad := newCA(t, pki.IACARoot, pki.Name{Country: "XX", CommonName: "abroad"})

	sub := testkit.Signer(t, elliptic.P256())
	subTpl := func() *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{Country: []string{"UT"}, Province: []string{"UT-North"}, CommonName: "sub CA"}, KeyUsage: x509.KeyUsageCertSign,
			BasicConstraintsValid: true, IsCA: true, SubjectKeyId: []byte{9}}
	}
	subCA := ca{forge(t, subTpl(), root.cert, sub.Public(), root.key), sub}
	below := forge(t, &x509.Certificate{Subject: pkix.Name{Country: []string{"UT"}, CommonName: "ds below"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{ekuExtension(t, true, 1, 0, 18013, 5, 1, 2)}}, subCA.cert, k.Public(), sub)
	foreignDS := forge(t, &x509.Certificate{Subject: pkix.Name{Country: []string{"UT"}, CommonName: "ds"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{ekuExtension(t, true, 1, 0, 18013, 5, 1, 2)}}, abroad.cert, k.Public(), abroad.key)
	underDS := forge(t, &x509.Certificate{Subject: pkix.Name{Country: []string{"UT"}, CommonName: "under ds"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{ekuExtension(t, true, 1, 0, 18013, 5, 1, 2)}}, ds, k.Public(), k)
	many := []*x509.Certificate{ds, ds, ds, ds, ds, ds}

	for name, tc := range map[string]struct {
		chain []*x509.Certificate
		pool  *pki.Pool
		now   time.Time
		check string
	}{
		"no chain":            {nil, pki.NewPool(root.cert), now, "certificate chain"},
		"long chain":          {many, pki.NewPool(root.cert), now, "certificate chain"},
		"no anchors":          {[]*x509.Certificate{ds}, nil, now, "trust anchor"},
		"forged":              {[]*x509.Certificate{ds}, pki.NewPool(twin.cert), now, "trust anchor"},
		"too early":           {[]*x509.Certificate{ds}, pki.NewPool(root.cert), ds.NotBefore.Add(-time.Second), "signer certificate dates"},
		"too late":            {[]*x509.Certificate{ds}, pki.NewPool(root.cert), ds.NotAfter.Add(time.Second), "signer certificate dates"},
		"path length":         {[]*x509.Certificate{below, subCA.cert}, pki.NewPool(root.cert), now, "path length"},
		"other country":       {[]*x509.Certificate{foreignDS}, pki.NewPool(abroad.cert), now, "country"},
		"signer as CA":        {[]*x509.Certificate{underDS, ds}, pki.NewPool(root.cert), now, "signer certificate issuer"},
		"signer as anchor":    {[]*x509.Certificate{underDS}, pki.NewPool(ds), now, "anchor"},
		"out of order":        {[]*x509.Certificate{below, root.cert}, pki.NewPool(root.cert), now, "signer certificate issuer"},
		"root as the signer":  {[]*x509.Certificate{root.cert}, pki.NewPool(root.cert), now, "basic constraints"},
		"chain of a stranger": {[]*x509.Certificate{below, subCA.cert}, pki.NewPool(abroad.cert), now, "trust anchor"},
	} {
		path, r := pki.VerifyChain(tc.chain, tc.pool, pki.VerifyOptions{Now: tc.now, Profile: pki.DocumentSigner})
		if r.OK() || !contains(outcomes(r, check.Fail), tc.check) || path.Anchor != nil {
			t.Errorf("%s: want %q to fail\n%s", name, tc.check, r)
		}
	}
	// Of two anchors with one name the one with the right key is found.
	if path, r := pki.VerifyChain([]*x509.Certificate{ds}, pki.NewPool(twin.cert, root.cert, root.cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}); !r.OK() || path.Anchor != root.cert {
		t.Errorf("renewed CA: %s", r)
	}
	// The anchor at the end of the chain is a matter of form.
	withRoot := []*x509.Certificate{ds, root.cert}
	if _, r := pki.VerifyChain(withRoot, pki.NewPool(root.cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}); !r.OK() || !contains(outcomes(r, check.Warn), "anchor in the chain") {
		t.Errorf("anchor in the chain: %s", r)
	}
	if _, r := pki.VerifyChain(withRoot, pki.NewPool(root.cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner, Strict: true}); r.OK() {
		t.Error("anchor in the chain accepted though strict")
	}
	// A CA below a root without limit may issue; the sub CA itself may be the anchor.
	if path, r := pki.VerifyChain([]*x509.Certificate{below, subCA.cert}, pki.NewPool(subCA.cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}); !r.OK() || path.Anchor != subCA.cert || len(path.Chain) != 1 {
		t.Errorf("sub CA as anchor: %s", r)
	}
	// Constraints that nothing here processes are refused in a CA of the chain.
	long := newCA(t, pki.ReaderCA, pki.Name{CommonName: "reader root"})
	unlimited := forge(t, &x509.Certificate{Subject: pkix.Name{CommonName: "unlimited"}, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1},
		&x509.Certificate{Subject: pkix.Name{CommonName: "unlimited"}}, long.key.Public(), long.key)
	constrained := subTpl()
	constrained.PermittedDNSDomains = []string{"example"}
	mid := ca{forge(t, constrained, unlimited, sub.Public(), long.key), sub}
	leaf := forge(t, &x509.Certificate{Subject: pkix.Name{CommonName: "reader"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{ekuExtension(t, true, 1, 0, 18013, 5, 1, 6)}}, mid.cert, k.Public(), sub)
	if _, r := pki.VerifyChain([]*x509.Certificate{leaf, mid.cert}, pki.NewPool(unlimited), pki.VerifyOptions{Now: now, Profile: pki.ReaderAuth}); r.OK() || !contains(outcomes(r, check.Fail), "CA certificate 1 extensions") {
		t.Errorf("name constraints: %s", r)
	}
	plain := ca{forge(t, subTpl(), unlimited, sub.Public(), long.key), sub}
	leaf = forge(t, &x509.Certificate{Subject: pkix.Name{CommonName: "reader"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{ekuExtension(t, true, 1, 0, 18013, 5, 1, 6)}}, plain.cert, k.Public(), sub)
	if path, r := pki.VerifyChain([]*x509.Certificate{leaf, plain.cert}, pki.NewPool(unlimited), pki.VerifyOptions{Now: now, Profile: pki.ReaderAuth}); !r.OK() || len(path.Chain) != 2 {
		t.Errorf("two levels: %s", r)
	}
}

// Whatever bit of a signed certificate flips, it no longer verifies.
func TestFlippedBits(t *testing.T) {
	root, k := iaca(t), testkit.Signer(t, elliptic.P256())
	ds := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	pool := pki.NewPool(root.cert)
	rapid.Check(t, func(t *rapid.T) {
		der := bytes.Clone(ds.Raw)
		bit := rapid.IntRange(0, 8*len(der)-1).Draw(t, "bit")
		der[bit/8] ^= 1 << (bit % 8)
		cert, err := pki.ParseCertificate(der)
		if err != nil {
			return
		}
		if _, r := pki.VerifyChain([]*x509.Certificate{cert}, pool, pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}); r.OK() {
			t.Fatalf("bit %d flipped and accepted", bit)
		}
	})
}

func TestRevocation(t *testing.T) {
	ctx := context.Background()
	root, other, k := iaca(t), iaca(t), testkit.Signer(t, elliptic.P256())
	good := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	bad := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	tpl := pki.CRLTemplate{Issuer: root.cert, Number: big.NewInt(7), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour),
		Revoked: []pki.RevokedCertificate{{SerialNumber: bad.SerialNumber, At: now.Add(-2 * time.Hour)}}}
	list := func(tpl pki.CRLTemplate, k key.Signer) *pki.CRL {
		t.Helper()
		der, err := pki.IssueCRL(ctx, tpl, k)
		if err != nil {
			t.Fatal(err)
		}
		crl, err := pki.ParseCRL(der)
		if err != nil {
			t.Fatal(err)
		}
		return crl
	}
	crl := list(tpl, root.key)
	if crl.Number().Int64() != 7 || crl.Len() != 1 {
		t.Errorf("number %v, %d entries", crl.Number(), crl.Len())
	}
	otherTpl := tpl
	otherTpl.Issuer = other.cert
	foreign := list(otherTpl, other.key) // same issuer name, other key
	pool := pki.NewPool(root.cert)
	for name, tc := range map[string]struct {
		cert *x509.Certificate
		crls []*pki.CRL
		at   time.Time
		want pki.Revocation
	}{
		"good":               {good, []*pki.CRL{foreign, crl}, now, pki.Good},
		"revoked":            {bad, []*pki.CRL{foreign, crl}, now, pki.Revoked},
		"revoked, old list":  {bad, []*pki.CRL{crl}, now.Add(48 * time.Hour), pki.Revoked},
		"old list":           {good, []*pki.CRL{crl}, now.Add(48 * time.Hour), pki.Undetermined},
		"early":              {good, []*pki.CRL{crl}, now.Add(-2 * time.Hour), pki.Undetermined},
		"no list":            {bad, nil, now, pki.Undetermined},
		"list of other keys": {bad, []*pki.CRL{foreign}, now, pki.Undetermined},
	} {
		o := pki.VerifyOptions{Now: tc.at, Profile: pki.DocumentSigner, CRLs: tc.crls}
		path, r := pki.VerifyChain([]*x509.Certificate{tc.cert}, pool, o)
		if r.OK() != (tc.want != pki.Revoked) || r.OK() && path.Revocation != tc.want {
			t.Errorf("%s: %q\n%s", name, path.Revocation, r)
		}
		o.RequireRevocation = true
		if _, r := pki.VerifyChain([]*x509.Certificate{tc.cert}, pool, o); r.OK() != (tc.want == pki.Good) {
			t.Errorf("%s, required: %s", name, r)
		}
		if len(tc.crls) > 0 {
			if got, _ := tc.crls[len(tc.crls)-1].Check(tc.cert, root.cert, tc.at); got != tc.want {
				t.Errorf("%s: Check says %s", name, got)
			}
		}
	}
	for name, change := range map[string]func(*pki.CRLTemplate){
		"91 days":        func(x *pki.CRLTemplate) { x.NextUpdate = x.ThisUpdate.Add(91 * 24 * time.Hour) },
		"backwards":      func(x *pki.CRLTemplate) { x.NextUpdate = x.ThisUpdate.Add(-time.Hour) },
		"no number":      func(x *pki.CRLTemplate) { x.Number = nil },
		"foreign issuer": func(x *pki.CRLTemplate) { x.Issuer = other.cert },
		"no CA":          func(x *pki.CRLTemplate) { x.Issuer = good },
	} {
		x := tpl
		change(&x)
		if _, err := pki.IssueCRL(ctx, x, root.key); !errors.Is(err, pki.ErrTemplate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequest(t *testing.T) {
	k := testkit.Signer(t, elliptic.P384())
	name := pki.Name{Country: "UT", State: "North", Locality: "City", Organization: "O", Unit: "U", SerialNumber: "42", CommonName: "Ümlaut"}
	der, err := pki.CreateRequest(context.Background(), name, []string{"a.example"}, k)
	if err != nil {
		t.Fatal(err)
	}
	req, err := pki.ParseRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if got := mustName(t, req.RawSubject); got != name || !key.Equal(req.PublicKey, k.Public()) || len(req.DNSNames) != 1 {
		t.Errorf("got %+v, %v", got, req.DNSNames)
	}
	der[len(der)-1] ^= 1
	if _, err := pki.ParseRequest(der); !errors.Is(err, pki.ErrSignature) && !errors.Is(err, pki.ErrMalformed) {
		t.Errorf("flipped: %v", err)
	}
	if _, err := pki.CreateRequest(context.Background(), pki.Name{}, nil, k); !errors.Is(err, pki.ErrTemplate) {
		t.Errorf("nameless: %v", err)
	}
	if _, err := pki.ParseRequest(make([]byte, 1<<20)); !errors.Is(err, pki.ErrMalformed) {
		t.Errorf("huge: %v", err)
	}
}

func TestParseBundle(t *testing.T) {
	a, b := iaca(t), newCA(t, pki.ReaderCA, pki.Name{CommonName: "readers"})
	both := pki.EncodePEM(a.cert, b.cert)
	for name, c := range map[string]struct {
		data []byte
		want int
		err  error
	}{
		"PEM": {both, 2, nil}, "DER": {b.cert.Raw, 1, nil}, "text": {[]byte("not one"), 0, pki.ErrMalformed}, "nothing": {nil, 0, pki.ErrMalformed},
		"a private key": {[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0, pki.ErrMalformed},
		"cut":           {both[:len(both)-20], 0, pki.ErrMalformed},
	} {
		if certs, err := pki.ParseBundle(c.data); len(certs) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v", name, len(certs), err)
		}
	}
	if _, err := pki.ParseChain(make([][]byte, pki.MaxChainLength+1)); !errors.Is(err, pki.ErrMalformed) {
		t.Errorf("long chain: %v", err)
	}
	if _, err := pki.ParseCertificate(make([]byte, pki.MaxCertificateSize+1)); !errors.Is(err, pki.ErrMalformed) {
		t.Errorf("huge certificate: %v", err)
	}
}

// FuzzCheckProfile: no certificate makes the checks panic, and none passes
// for a path unless an anchor signed it.
func FuzzCheckProfile(f *testing.F) {
	for _, name := range []string{"d5_2_iaca_certificate", "d5_2_ds_certificate", "d5_4_reader_root_certificate", "d5_4_reader_certificate"} {
		f.Add(vectorCert(f, name).Raw)
	}
	pool := pki.NewPool(iaca(f).cert)
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := pki.ParseCertificate(der)
		if err != nil {
			return
		}
		for _, p := range pki.Profiles() {
			if r := pki.CheckProfile(cert, p, pki.Strict); r.OK() && !pki.CheckProfile(cert, p, pki.Tolerant).OK() {
				t.Errorf("%s: strict passes what tolerant fails", p)
			}
			if _, r := pki.VerifyChain([]*x509.Certificate{cert}, pool, pki.VerifyOptions{Now: annexDClock, Profile: p}); r.OK() {
				t.Errorf("%s: accepted without an anchor", p)
			}
		}
		_, _ = pki.NameOf(cert.RawSubject)
	})
}

// FuzzParseAnchors: bundles, requests and revocation lists of any bytes.
func FuzzParseAnchors(f *testing.F) {
	f.Add(pki.EncodePEM(vectorCert(f, "d5_2_iaca_certificate"), vectorCert(f, "d5_4_reader_root_certificate")))
	f.Add(vectorCert(f, "d5_2_iaca_certificate").Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		if certs, err := pki.ParseBundle(data); err == nil {
			again, err := pki.ParseBundle(pki.EncodePEM(certs...))
			if err != nil || len(again) != len(certs) {
				t.Errorf("%d certificates became %d: %v", len(certs), len(again), err)
			}
		}
		_, _ = pki.ParseRequest(data)
		_, _ = pki.ParseCRL(data)
	})
}

func BenchmarkVerifyChain(b *testing.B) {
	root, k := iaca(b), testkit.Signer(b, elliptic.P256())
	ds := pkitest.Issue(b, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	pool := pki.NewPool(root.cert)
	o := pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}
	b.Run("parse+chain", func(b *testing.B) {
		for b.Loop() {
			cert, err := pki.ParseCertificate(ds.Raw)
			if err != nil {
				b.Fatal(err)
			}
			if _, r := pki.VerifyChain([]*x509.Certificate{cert}, pool, o); !r.OK() {
				b.Fatal(r)
			}
		}
	})
	b.Run("chain", func(b *testing.B) {
		for b.Loop() {
			if _, r := pki.VerifyChain([]*x509.Certificate{ds}, pool, o); !r.OK() {
				b.Fatal(r)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := pki.ParseCertificate(ds.Raw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) {
		pub := root.cert.PublicKey.(*ecdsa.PublicKey)
		for b.Loop() {
			digest := sha256.Sum256(ds.RawTBSCertificate)
			if !ecdsa.VerifyASN1(pub, digest[:], ds.Signature) {
				b.Fatal("no")
			}
		}
	})
}

// VerifyDER reads into memory that it uses again: what it returned must not
// change when it does, nor what it says differ from VerifyChain.
func TestVerifyDER(t *testing.T) {
	root := iaca(t)
	pool := pki.NewPool(root.cert)
	o := pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}
	type answer struct {
		path   pki.Path
		report check.Report
	}
	var got, want []answer
	verify := func(der ...[]byte) {
		path, r := pki.VerifyDER(der, pool, o)
		got = append(got, answer{path, r})
		chain, err := pki.ParseChain(der)
		if err != nil {
			if r.OK() || len(r.Checks) != 1 || r.Checks[0].Name != "certificate chain" {
				t.Errorf("unreadable chain: %s", r)
			}
			want = append(want, got[len(got)-1])
			return
		}
		path, r = pki.VerifyChain(chain, pool, o)
		want = append(want, answer{path, r})
	}
	for range 3 {
		ds := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, testkit.Signer(t, elliptic.P256())), root.key)
		reader := pkitest.Issue(t, pki.ReaderAuth, leafTemplate(pki.ReaderAuth, root, testkit.Signer(t, elliptic.P384())), root.key)
		verify(ds.Raw)
		verify(ds.Raw, root.cert.Raw)
		verify(reader.Raw)
		verify(ds.Raw[:len(ds.Raw)-1])
		verify(make([][]byte, pki.MaxChainLength+1)...)
		verify()
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("chain %d:\n%+v\nnot\n%+v", i, got[i], want[i])
		}
	}
	if first := got[0]; !first.report.OK() || first.path.Anchor != root.cert || first.path.Signer.Country != "UT" {
		t.Errorf("%+v\n%s", first.path, first.report)
	}
}
