package pki_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"math/big"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/testkit"
)

// A pool says of a chain that comes again what it said the first time, and what
// VerifyChain says, whatever has changed in between.
func TestChainThatComesAgain(t *testing.T) {
	root, k := iaca(t), testkit.Signer(t, elliptic.P256())
	ds := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	other := pkitest.Issue(t, pki.DocumentSigner, leafTemplate(pki.DocumentSigner, root, k), root.key)
	revoked, err := pki.IssueCRL(t.Context(), pki.CRLTemplate{
		Issuer: root.cert, Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour),
		Revoked: []pki.RevokedCertificate{{SerialNumber: ds.SerialNumber, At: now.Add(-time.Hour)}},
	}, root.key)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := pki.ParseCRL(revoked)
	if err != nil {
		t.Fatal(err)
	}
	pool, usual := pki.NewPool(root.cert), pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}
	with := func(f func(o *pki.VerifyOptions)) pki.VerifyOptions {
		o := usual
		f(&o)
		return o
	}
	early, late := root.cert.NotBefore, ds.NotAfter
	if ds.NotBefore.After(early) {
		early = ds.NotBefore
	}
	for range 4 {
		for name, o := range map[string]pki.VerifyOptions{
			"usual":          usual,
			"revoked":        with(func(o *pki.VerifyOptions) { o.CRLs = []*pki.CRL{crl} }),
			"state required": with(func(o *pki.VerifyOptions) { o.RequireRevocation = true }),
			"strict":         with(func(o *pki.VerifyOptions) { o.Strict = true }),
			"other profile":  with(func(o *pki.VerifyOptions) { o.Profile = pki.ReaderAuth }),
			"first moment":   with(func(o *pki.VerifyOptions) { o.Now = early }),
			"too early":      with(func(o *pki.VerifyOptions) { o.Now = early.Add(-time.Second) }),
			"last moment":    with(func(o *pki.VerifyOptions) { o.Now = late }),
			"too late":       with(func(o *pki.VerifyOptions) { o.Now = late.Add(time.Second) }),
		} {
			for _, cert := range []*x509.Certificate{ds, other} {
				wantPath, want := pki.VerifyChain([]*x509.Certificate{cert}, pool, o)
				received := bytes.Clone(cert.Raw)
				path, got := pki.VerifyDER([][]byte{received}, pool, o)
				if got.String() != want.String() || !reflect.DeepEqual(path, wantPath) {
					t.Fatalf("%s:\n%s\nwant\n%s", name, got, want)
				}
				clear(received) // is its owner's again
			}
			for _, der := range [][][]byte{nil, {nil}, {ds.Raw, nil}, {ds.Raw, other.Raw, other.Raw, other.Raw, other.Raw, other.Raw}} {
				if _, r := pki.VerifyDER(der, pool, o); r.OK() {
					t.Fatalf("%s: accepted with more certificates, or none", name)
				}
			}
		}
	}
	// What another pool remembers says nothing here.
	if _, r := pki.VerifyDER([][]byte{ds.Raw}, pki.NewPool(iaca(t).cert), usual); r.OK() {
		t.Error("under another anchor")
	}
	// No bit that flips is passed over.
	for bit := range 8 * len(ds.Raw) {
		der := bytes.Clone(ds.Raw)
		der[bit/8] ^= 1 << (bit % 8)
		if _, r := pki.VerifyDER([][]byte{der}, pool, usual); r.OK() {
			t.Fatalf("bit %d flipped and accepted", bit)
		}
	}
}

// More signers than a pool remembers are as good as few.
func TestManySigners(t *testing.T) {
	root, k := iaca(t), testkit.Signer(t, elliptic.P256())
	pool := pki.NewPool(root.cert)
	tpl := leafTemplate(pki.DocumentSigner, root, k)
	var all [][]byte
	for i := range 1100 {
		tpl.Subject.CommonName = fmt.Sprintf("signer %d", i)
		all = append(all, pkitest.Issue(t, pki.DocumentSigner, tpl, root.key).Raw)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 3 {
				for i, der := range all {
					if path, r := pki.VerifyDER([][]byte{der}, pool, pki.VerifyOptions{Now: now, Profile: pki.DocumentSigner}); !r.OK() || !bytes.Equal(path.Chain[0], der) {
						t.Errorf("signer %d: %s", i, r)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
