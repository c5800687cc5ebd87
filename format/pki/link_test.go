package pki_test

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
)

const year = 365 * 24 * time.Hour

// rootAt is a root of an issuing authority that was made then, for nine years.
func rootAt(t testing.TB, name string, made time.Time) ca {
	t.Helper()
	k := testkit.Signer(t, elliptic.P256())
	nb, na := pki.Validity(made, 9*year)
	return ca{pkitest.Issue(t, pki.IACARoot, pki.Template{
		Subject: pki.Name{Country: "UT", State: "UT-North", CommonName: name}, PublicKey: k.Public(), NotBefore: nb, NotAfter: na, Contact: "iaca@utopia.example",
	}, k), k}
}

func linkTo(t testing.TB, old, successor ca) *x509.Certificate {
	t.Helper()
	return pkitest.Link(t, pki.IACARoot, old.cert, successor.cert, "https://utopia.example/old.crl", old.key)
}

// signerOf is a document signer under a root, as of now.
func signerOf(t testing.TB, root ca) *x509.Certificate {
	t.Helper()
	return pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, testkit.Signer(t, elliptic.P256())), root.key)
}

// A link has the name and the key of the new root and ends with the old one,
// whether the name stays or changes, in every detail of its profile.
func TestLink(t *testing.T) {
	old := rootAt(t, "Utopia IACA", now.Add(-5*year))
	for _, name := range []string{"Utopia IACA", "Utopia IACA 2"} {
		successor := rootAt(t, name, now)
		link := linkTo(t, old, successor)
		for _, p := range []pki.Profile{pki.IACALink, pki.CALink} {
			if r := pki.CheckProfile(link, p, pki.Strict); len(outcomes(r, check.Pass)) != len(r.Checks) {
				t.Errorf("%s: %s", name, r)
			}
		}
		if !pki.IsLink(link) || pki.IsLink(old.cert) || pki.IsLink(signerOf(t, old)) || !pki.LinksTo(link, successor.cert) || pki.LinksTo(link, old.cert) {
			t.Errorf("%s: not known as a link to its root", name)
		}
		if !link.NotAfter.Equal(old.cert.NotAfter) || !link.NotBefore.Equal(successor.cert.NotBefore) {
			t.Errorf("%s: valid %s to %s", name, link.NotBefore, link.NotAfter)
		}
		if link.CheckSignatureFrom(old.cert) != nil || signerOf(t, successor).CheckSignatureFrom(link) != nil {
			t.Errorf("%s: crypto/x509 does not follow it", name)
		}
		// Who trusts the old root alone comes to a signer of the new one, with
		// the link at hand or in the chain.
		ds := signerOf(t, successor)
		o := pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner, Strict: true}
		for way, chain := range map[string][]*x509.Certificate{"at hand": {ds}, "in the chain": {ds, link}, "both": {ds, link}, "the root in the chain": {ds, successor.cert}} {
			pool := pki.NewPool(old.cert)
			if way != "in the chain" {
				pool = pool.WithLinks(link)
			}
			path, r := pki.VerifyChain(chain, pool, o)
			if !r.OK() || path.Anchor != old.cert || len(path.Chain) != 2 || string(path.Chain[1]) != string(link.Raw) {
				t.Errorf("%s, %s: %s", name, way, r)
			}
		}
		// Who trusts the new root needs no link.
		if path, r := pki.VerifyChain([]*x509.Certificate{ds, link}, pki.NewPool(successor.cert, old.cert).WithLinks(link), o); !r.OK() || path.Anchor != successor.cert || len(path.Chain) != 1 {
			t.Errorf("%s, new root: %s", name, r)
		}
	}
}

// What must not be linked.
func TestIssueLinkRefuses(t *testing.T) {
	ctx := context.Background()
	old, next := rootAt(t, "Utopia IACA", now.Add(-5*year)), rootAt(t, "Utopia IACA", now)
	abroad := newCA(t, pki.IACARoot, pki.Name{Country: "XX", CommonName: "abroad"})
	south := newCA(t, pki.IACARoot, pki.Name{Country: "UT", State: "UT-South", CommonName: "south"})
	claim := *next.cert // somebody else's key in a root
	claim.SubjectKeyId, claim.ExtraExtensions = old.cert.SubjectKeyId, []pkix.Extension{ian(next.cert)}
	borrowed := forge(t, &claim, &claim, old.key.Public(), next.key)
	ended := rootAt(t, "Utopia IACA", now.Add(-9*year-5*24*time.Hour))
	for name, tc := range map[string]struct {
		old       ca
		successor *x509.Certificate
		crl       string
		check     string // that fails, or empty for one of the errors
		err       error
	}{
		"to itself":          {old, old.cert, "https://x.example/crl", "public key", nil},
		"to another country": {old, abroad.cert, "https://x.example/crl", "country", nil},
		"to another state":   {old, south.cert, "https://x.example/crl", "state or province", nil},
		"to a signer":        {old, signerOf(t, next), "https://x.example/crl", "issuer", nil},
		"to no own key":      {old, borrowed, "https://x.example/crl", "", pki.ErrSignature},
		"without a list":     {old, next.cert, "", "CRL distribution points", nil},
		"when the old ended": {ended, next.cert, "https://x.example/crl", "validity period", nil},
		"by another key":     {ca{old.cert, next.key}, next.cert, "https://x.example/crl", "", pki.ErrTemplate},
	} {
		der, err := pki.IssueLink(ctx, pki.IACARoot, tc.old.cert, tc.successor, tc.crl, tc.old.key)
		if der != nil || err == nil {
			t.Errorf("%s: made", name)
		} else if tc.err != nil && !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", name, err)
		} else if tc.check != "" {
			wantFailure(t, err, tc.check)
		}
	}
	if _, err := pki.IssueLink(ctx, pki.DocumentSigner, old.cert, next.cert, "https://x.example/crl", old.key); !errors.Is(err, pki.ErrUnsupported) {
		t.Errorf("between signers: %v", err)
	}
}

// names are the alternative names of a link, its subject's and its issuer's.
func names(cert *x509.Certificate) (list []pkix.Extension) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) || e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 18}) {
			list = append(list, e)
		}
	}
	return list
}

// ian is the last of names, which roots have too.
func ian(cert *x509.Certificate) pkix.Extension {
	list := names(cert)
	return list[len(list)-1]
}

func TestLinkProfileNegatives(t *testing.T) {
	old, next := rootAt(t, "Utopia IACA", now.Add(-5*year)), rootAt(t, "Utopia IACA 2", now)
	good := linkTo(t, old, next)
	for name, tc := range map[string]struct {
		change func(*x509.Certificate)
		check  string
	}{
		"no alternative name": {func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{ian(good)} }, "subject alternative name"},
		"another old name": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{ian(good), {Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{0x30, 4, 0xa4, 2, 0x30, 0}}}
		}, "subject alternative name"},
		"no contact":     {func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{names(good)[0]} }, "issuer alternative name"},
		"no list":        {func(c *x509.Certificate) { c.CRLDistributionPoints = nil }, "CRL distribution points"},
		"no CA":          {func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }, "basic constraints"},
		"no path length": {func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = -1, false }, "basic constraints"},
		"path length 1":  {func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 1, false }, "basic constraints"},
		"signs no lists": {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, "key usage"},
		"purpose": {func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, ekuExtension(t, true, 1, 0, 18013, 5, 1, 2))
		}, "extended key usage"},
		"no country":        {func(c *x509.Certificate) { c.RawSubject, c.Subject = nil, pkix.Name{CommonName: "x"} }, "subject country"},
		"no key identifier": {func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} }, "subject key identifier"},
	} {
		tpl := *good
		tpl.ExtraExtensions = names(good)
		tc.change(&tpl)
		cert := forge(t, &tpl, old.cert, next.key.Public(), old.key)
		if failed := outcomes(pki.CheckProfile(cert, pki.IACALink, pki.Default), check.Fail); !contains(failed, tc.check) || pki.IsLink(cert) {
			t.Errorf("%s: %q did not fail, only %q", name, tc.check, failed)
		}
		// Under another name it is a CA below the old root, which allows none.
		_, r := pki.VerifyChain([]*x509.Certificate{signerOf(t, next)}, pki.NewPool(old.cert).WithLinks(cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner})
		switch name {
		case "no contact", "no list", "no country": // form that decides nothing
		default:
			if r.OK() {
				t.Errorf("%s: a path leads over it", name)
			}
		}
	}
}

// Paths over links, and where they end.
func TestPathOverLinks(t *testing.T) {
	one := rootAt(t, "one", now.Add(-7*year))
	two, three, four := rootAt(t, "two", now.Add(-5*year)), rootAt(t, "three", now.Add(-2*year)), rootAt(t, "four", now)
	twin := rootAt(t, "two", now.Add(-5*year)) // same name, other key
	abroad := newCA(t, pki.IACARoot, pki.Name{Country: "XX", CommonName: "abroad"})
	l12, l23, l34, l13 := linkTo(t, one, two), linkTo(t, two, three), linkTo(t, three, four), linkTo(t, one, three)
	back := linkTo(t, two, one)
	impostor := *one.cert
	impostor.PublicKey = twin.key.Public()
	forged := forge(t, l12, &impostor, two.key.Public(), twin.key)
	toAbroad := forge(t, &x509.Certificate{RawSubject: abroad.cert.RawSubject, KeyUsage: l12.KeyUsage, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		SubjectKeyId: abroad.cert.SubjectKeyId, AuthorityKeyId: one.cert.SubjectKeyId, ExtraExtensions: names(l12)}, one.cert, abroad.key.Public(), one.key)
	abroadDS := pkitest.Issue(t, pki.StatusSigner, leafTemplate(pki.StatusSigner, abroad, testkit.Signer(t, elliptic.P256())), abroad.key)

	for name, tc := range map[string]struct {
		chain  []*x509.Certificate
		anchor *x509.Certificate
		links  []*x509.Certificate
		now    time.Time
		check  string // that fails; empty if all is well
	}{
		"one link":              {[]*x509.Certificate{signerOf(t, two)}, one.cert, []*x509.Certificate{l12}, now, ""},
		"two links":             {[]*x509.Certificate{signerOf(t, three)}, one.cert, []*x509.Certificate{l23, l12}, now, ""},
		"two in the chain":      {[]*x509.Certificate{signerOf(t, three), l23, l12}, one.cert, nil, now, ""},
		"one here, one there":   {[]*x509.Certificate{signerOf(t, three), l23}, one.cert, []*x509.Certificate{l12}, now, ""},
		"the shorter way":       {[]*x509.Certificate{signerOf(t, three)}, one.cert, []*x509.Certificate{l23, l13}, now, ""},
		"three links":           {[]*x509.Certificate{signerOf(t, four)}, one.cert, []*x509.Certificate{l34, l23, l12}, now, "path length"},
		"no link":               {[]*x509.Certificate{signerOf(t, two)}, one.cert, nil, now, "trust anchor"},
		"the link backwards":    {[]*x509.Certificate{signerOf(t, one)}, two.cert, []*x509.Certificate{l12}, now, "trust anchor"},
		"one is missing":        {[]*x509.Certificate{signerOf(t, three)}, one.cert, []*x509.Certificate{l23}, now, "trust anchor"},
		"in circles":            {[]*x509.Certificate{signerOf(t, two)}, four.cert, []*x509.Certificate{l12, back}, now, "path length"},
		"a forged one":          {[]*x509.Certificate{signerOf(t, two)}, one.cert, []*x509.Certificate{forged}, now, "trust anchor"},
		"to another's key":      {[]*x509.Certificate{signerOf(t, twin)}, one.cert, []*x509.Certificate{l12}, now, "trust anchor"},
		"the link alone":        {[]*x509.Certificate{signerOf(t, two)}, three.cert, []*x509.Certificate{l12}, now, "trust anchor"},
		"the link has ended":    {[]*x509.Certificate{signerOf(t, two)}, one.cert, []*x509.Certificate{linkUntil(t, one, two, now.Add(-time.Hour))}, now, "CA certificate 1 dates"},
		"to another country":    {[]*x509.Certificate{abroadDS}, one.cert, []*x509.Certificate{toAbroad}, now, "path length"},
		"the link as a signer":  {[]*x509.Certificate{l12}, one.cert, nil, now, "basic constraints"},
		"outlives the old root": {[]*x509.Certificate{signerOf(t, two)}, one.cert, []*x509.Certificate{linkUntil(t, one, two, one.cert.NotAfter.Add(time.Hour))}, now, "link certificate"},
	} {
		p := pki.DocumentSigner
		if tc.chain[0] == abroadDS {
			p = pki.StatusSigner
		}
		path, r := pki.VerifyChain(tc.chain, pki.NewPool(tc.anchor).WithLinks(tc.links...), pki.VerifyOptions{Now: tc.now, Profile: p, Strict: true})
		if tc.check == "" && (!r.OK() || path.Anchor != tc.anchor) || tc.check != "" && (r.OK() || path.Anchor != nil || !contains(outcomes(r, check.Fail), tc.check)) {
			t.Errorf("%s: want %q to fail\n%s", name, tc.check, r)
		}
	}
}

// linkUntil is a link with an end that IssueLink would not give it.
func linkUntil(t testing.TB, old, successor ca, end time.Time) *x509.Certificate {
	t.Helper()
	tpl := *linkTo(t, old, successor)
	tpl.NotAfter, tpl.ExtraExtensions = end, names(&tpl)
	return forge(t, &tpl, old.cert, successor.key.Public(), old.key)
}

// Each certificate of a path is looked up in the list of its own issuer, also
// where both roots have one name.
func TestRevocationOverLinks(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		old, next := rootAt(t, "one", now.Add(-5*year)), rootAt(t, name, now)
		link, ds := linkTo(t, old, next), signerOf(t, next)
		list := func(c ca, revoked ...*x509.Certificate) *pki.CRL {
			tpl := pki.CRLTemplate{Issuer: c.cert, Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
			for _, r := range revoked {
				tpl.Revoked = append(tpl.Revoked, pki.RevokedCertificate{SerialNumber: r.SerialNumber, At: now})
			}
			der, err := pki.IssueCRL(context.Background(), tpl, key.Signer(c.key))
			if err != nil {
				t.Fatal(err)
			}
			crl, err := pki.ParseCRL(der)
			if err != nil {
				t.Fatal(err)
			}
			return crl
		}
		for what, tc := range map[string]struct {
			lists []*pki.CRL
			ok    bool
			state pki.Revocation
		}{
			"both good":             {[]*pki.CRL{list(old), list(next)}, true, pki.Good},
			"the signer is revoked": {[]*pki.CRL{list(old), list(next, ds)}, false, ""},
			"the link is revoked":   {[]*pki.CRL{list(old, link), list(next)}, false, ""},
			"on the wrong lists":    {[]*pki.CRL{list(old, ds), list(next, link)}, true, pki.Good},
			"no list of the old":    {[]*pki.CRL{list(next)}, false, ""},
			"no list of the new":    {[]*pki.CRL{list(old)}, false, ""},
		} {
			path, r := pki.VerifyChain([]*x509.Certificate{ds}, pki.NewPool(old.cert).WithLinks(link),
				pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner, CRLs: tc.lists, RequireRevocation: true})
			if r.OK() != tc.ok || path.Revocation != tc.state {
				t.Errorf("%s, %s: %s\n%s", name, what, path.Revocation, r)
			}
		}
	}
}
