package pki_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/google/go-cmp/cmp"
)

// annexDClock is when the examples of Annex D are valid.
var annexDClock = time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)

func vectorCert(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	var v struct{ Hex string }
	vectors.Load(t, "iso18013-5/"+name+".json", &v)
	return pkitest.Parse(t, vectors.Hex(t, v.Hex))
}

// outcomes lists the names of the checks with that outcome.
func outcomes(r check.Report, o check.Outcome) []string {
	var names []string
	for _, c := range r.Checks {
		if c.Outcome == o {
			names = append(names, c.Name)
		}
	}
	return names
}

// The standard's own certificates depart from its profiles in one way, the
// distribution point as dNSName: a warning by default, a failure when strict.
func TestAnnexDProfiles(t *testing.T) {
	for name, profile := range map[string]pki.Profile{
		"d5_2_iaca_certificate":        pki.IACARoot,
		"d5_2_ds_certificate":          pki.DocumentSigner,
		"d5_4_reader_root_certificate": pki.ReaderCA,
		"d5_4_reader_certificate":      pki.ReaderAuth,
	} {
		cert := vectorCert(t, name)
		known := []string{"CRL distribution points"}
		r := pki.CheckProfile(cert, profile, pki.Default)
		if diff := cmp.Diff(known, outcomes(r, check.Warn)); diff != "" || !r.OK() {
			t.Errorf("%s: warnings (-want +got):\n%s\n%s", name, diff, r)
		}
		r = pki.CheckProfile(cert, profile, pki.Strict)
		if diff := cmp.Diff(known, outcomes(r, check.Fail)); diff != "" {
			t.Errorf("%s, strict: failures (-want +got):\n%s\n%s", name, diff, r)
		}
		for _, c := range r.Checks {
			if c.Clause == "" || c.Seen == "" {
				t.Errorf("%s: check without clause or without what was seen: %+v", name, c)
			}
		}
	}
}

func TestAnnexDChains(t *testing.T) {
	for _, tc := range []struct {
		leaf, root string
		profile    pki.Profile
	}{
		{"d5_2_ds_certificate", "d5_2_iaca_certificate", pki.DocumentSigner},
		{"d5_4_reader_certificate", "d5_4_reader_root_certificate", pki.ReaderAuth},
	} {
		leaf, root := vectorCert(t, tc.leaf), vectorCert(t, tc.root)
		o := pki.VerifyOptions{Now: annexDClock, Profile: tc.profile}
		path, r := pki.VerifyChain([]*x509.Certificate{leaf}, pki.NewPool(root), o)
		if !r.OK() || path.Anchor != root || !bytes.Equal(path.Chain[0], leaf.Raw) || !key.Equal(path.Signer.Key, leaf.PublicKey) || path.Revocation != pki.Undetermined {
			t.Errorf("%s: path %+v\n%s", tc.leaf, path, r)
		}
		o.Strict = true
		if _, r := pki.VerifyChain([]*x509.Certificate{leaf}, pki.NewPool(root), o); r.OK() {
			t.Errorf("%s: accepted though strict", tc.leaf)
		}
		o.Strict, o.Now = false, leaf.NotAfter.Add(time.Second)
		if _, r := pki.VerifyChain([]*x509.Certificate{leaf}, pki.NewPool(root), o); r.OK() {
			t.Errorf("%s: accepted after its end", tc.leaf)
		}
		if _, r := pki.VerifyChain([]*x509.Certificate{leaf}, pki.NewPool(vectorCert(t, "d5_4_reader_certificate")), pki.VerifyOptions{Now: annexDClock, Profile: tc.profile}); r.OK() {
			t.Errorf("%s: accepted under a foreign anchor", tc.leaf)
		}
	}
}

// The document signer of ISO/IEC TS 18013-7, B.6.5, under the root of B.6.8.
func TestDocumentSignerOfB6(t *testing.T) {
	var v struct {
		Expected map[string]any
	}
	vectors.Load(t, "iso18013-5/p7_b6_5_vp_token_device_response.json", &v)
	ders := map[string]*x509.Certificate{}
	for _, k := range []string{"ds_der", "iaca_der"} {
		s, _ := v.Expected[k].(string)
		raw, err := hex.DecodeString(s)
		if err != nil || s == "" {
			t.Fatalf("%s: %q, %v", k, s, err)
		}
		ders[k] = pkitest.Parse(t, raw)
	}
	o := pki.VerifyOptions{Now: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), Profile: pki.DocumentSigner}
	path, r := pki.VerifyChain([]*x509.Certificate{ders["ds_der"]}, pki.NewPool(ders["iaca_der"]), o)
	if !r.OK() || path.Anchor != ders["iaca_der"] {
		t.Errorf("%s", r)
	}
}

// The request of B.6.3 is signed with a self-signed certificate: no CA
// vouches for it, but it can be trusted as it is.
func TestSelfSignedVerifierOfB6(t *testing.T) {
	var v struct {
		Data struct{ Header struct{ X5C []string } }
	}
	vectors.Load(t, "iso18013-5/p7_b6_3_authorization_request_jar.json", &v)
	der, err := base64.StdEncoding.DecodeString(v.Data.Header.X5C[0])
	if err != nil {
		t.Fatal(err)
	}
	cert := pkitest.Parse(t, der)
	chain := []*x509.Certificate{cert}
	o := pki.VerifyOptions{Now: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), Profile: pki.Verifier}
	if _, r := pki.VerifyChain(chain, pki.NewPool(cert), o); r.OK() {
		t.Error("a self-signed signer passed as one that a CA vouches for")
	}
	path, r := pki.VerifyChain(chain, pki.NewPool().WithExact(cert), o)
	if !r.OK() || !path.Exact || path.Anchor != cert {
		t.Errorf("exact signer refused: %s", r)
	}
	o.Now = cert.NotAfter.Add(time.Second)
	if _, r := pki.VerifyChain(chain, pki.NewPool().WithExact(cert), o); r.OK() {
		t.Error("exact signer accepted after its end")
	}
	if _, r := pki.VerifyChain([]*x509.Certificate{vectorCert(t, "d5_2_ds_certificate")}, pki.NewPool().WithExact(cert), o); r.OK() {
		t.Error("another certificate accepted as the exact signer")
	}
}

// The JWS signer of server retrieval (N2549, D.5.5).
func TestJWSSignerOfN2549(t *testing.T) {
	var v struct{ Text string }
	vectors.Load(t, "iso18013-5/n2549_d4_2_1_2_webapi_response.json", &v)
	cert := jwsLeaf(t, v.Text)
	iaca := vectorCert(t, "d5_2_iaca_certificate")
	o := pki.VerifyOptions{Now: time.Date(2021, 1, 5, 14, 0, 30, 0, time.UTC), Profile: pki.JWSSigner}
	if _, r := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(iaca), o); !r.OK() {
		t.Errorf("%s", r)
	}
	o.Profile = pki.DocumentSigner
	if _, r := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(iaca), o); r.OK() {
		t.Error("a JWS signer passed as a document signer")
	}
}
