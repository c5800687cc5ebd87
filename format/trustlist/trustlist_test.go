package trustlist_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var now = time.Date(2026, 11, 22, 13, 30, 0, 0, time.UTC)

// aamva is a real list, with the CA certificates that it leaves out.
func aamva(t testing.TB) (raw []byte, intermediate, root *x509.Certificate) {
	t.Helper()
	var v struct {
		Hex      string
		Expected struct {
			Intermediate string `json:"intermediate_ca_der"`
			Root         string `json:"root_ca_der"`
			Count        int    `json:"certificate_count"`
		}
	}
	vectors.Load(t, "iso18013-5/thirdparty_vical_aamva_2025_11_18.json", &v)
	return vectors.Hex(t, v.Hex), pkitest.Parse(t, vectors.Hex(t, v.Expected.Intermediate)), pkitest.Parse(t, vectors.Hex(t, v.Expected.Root))
}

func failed(r check.Report) []string {
	var names []string
	for _, c := range r.Failed() {
		names = append(names, c.Name)
	}
	return names
}

func TestAAMVA(t *testing.T) {
	raw, intermediate, root := aamva(t)
	v, err := trustlist.ParseVICAL(raw)
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Date(2025, 11, 18, 18, 38, 12, 0, time.UTC)
	if v.Provider != "AAMVA" || v.Version != "1.0" || !v.Date.Equal(issued) || !v.NextUpdate.Equal(issued.Add(24*time.Hour)) || len(v.Entries) != 14 {
		t.Errorf("provider %q, version %q, date %v, next %v, %d entries", v.Provider, v.Version, v.Date, v.NextUpdate, len(v.Entries))
	}
	padded := 0
	for i := range v.Entries {
		e := &v.Entries[i]
		if e.Certificate == nil {
			t.Errorf("entry %d: %s", i, e.Problem)
			continue
		}
		if !bytes.Equal(e.SKI, e.Certificate.SubjectKeyId) || e.SerialNumber.Cmp(e.Certificate.SerialNumber) != 0 {
			t.Errorf("entry %d: ski %x, serial %v do not come out as the certificate's", i, e.SKI, e.SerialNumber)
		}
		d := strings.Join(e.Deviations(), ", ")
		if !strings.HasPrefix(d, "ski is wrapped in DER") {
			t.Errorf("entry %d: deviations %q", i, d)
		}
		if strings.Contains(d, "leading zeros") {
			padded++
		}
		if !e.Lists("org.iso.18013.5.1.mDL") || e.Lists("org.iso.18013.5.1") {
			t.Errorf("entry %d: document types %q", i, e.DocTypes)
		}
		if got, ok := v.Find(e.Certificate); !ok || got != e {
			t.Errorf("entry %d is not found by its certificate", i)
		}
	}
	if padded == 0 {
		t.Error("no serial number with leading zeros seen, though the list has some")
	}

	o := trustlist.VerifyOptions{Now: issued.Add(time.Hour), Anchors: pki.NewPool(root), Above: []*x509.Certificate{intermediate}}
	if r := v.Verify(o); !r.OK() {
		t.Errorf("under the root: %s", r)
	}
	o.Above, o.Anchors = nil, pki.NewPool(intermediate)
	if r := v.Verify(o); !r.OK() {
		t.Errorf("under the intermediate: %s", r)
	}
	o.Now = issued.Add(48 * time.Hour)
	if r := v.Verify(o); !r.OK() {
		t.Errorf("past its next update: %s", r)
	}
	o.Strict = true
	if r := v.Verify(o); r.OK() {
		t.Error("past its next update and accepted though strict")
	}
	o.Strict, o.Now = false, issued.Add(-time.Hour)
	if r := v.Verify(o); !cmp.Equal(failed(r), []string{"issued"}) {
		t.Errorf("from the future: %v", failed(r))
	}
	o.Now, o.After = issued, v.IssueID+1
	if r := v.Verify(o); !cmp.Equal(failed(r), []string{"issue"}) {
		t.Errorf("older issue: %v", failed(r))
	}
	o.After, o.Anchors = 0, pki.NewPool()
	if r := v.Verify(o); r.OK() {
		t.Error("accepted without anchors")
	}

	// One bit of the payload flipped: no longer what was signed.
	flipped := bytes.Clone(raw)
	flipped[bytes.LastIndex(flipped, []byte("AAMVA"))] ^= 1 // the provider's name, behind the signer's certificate
	v, err = trustlist.ParseVICAL(flipped)
	if err != nil {
		t.Fatal(err)
	}
	if r := v.Verify(trustlist.VerifyOptions{Now: issued, Anchors: pki.NewPool(intermediate)}); !cmp.Equal(failed(r), []string{"signature"}) {
		t.Errorf("flipped: %v", failed(r))
	}
}

// Fourteen issuing authorities' roots from the field, and the signer of their
// list, keep to the profiles to the letter.
func TestAAMVAProfiles(t *testing.T) {
	raw, _, _ := aamva(t)
	v, err := trustlist.ParseVICAL(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Entries {
		if r := pki.CheckProfile(v.Entries[i].Certificate, pki.IACARoot, pki.Strict); !r.OK() {
			t.Errorf("entry %d, %s: %s", i, v.Entries[i].Certificate.Subject, r)
		}
	}
}

// signers is a CA of list signers with one for each kind of list.
type signers struct {
	root        *x509.Certificate
	vical, list *x509.Certificate
	vicalKey    *testkit.Key
	listKey     *testkit.Key
}

func newSigners(t testing.TB) signers {
	t.Helper()
	rootKey := testkit.Signer(t, elliptic.P384())
	nb, na := pki.Validity(now, 1000*24*time.Hour)
	issue := func(p pki.Profile, cn string, pub *testkit.Key, issuer *x509.Certificate) *x509.Certificate {
		return pkitest.Issue(t, p, pki.Template{
			Subject: pki.Name{Country: "UT", Organization: "Utopia Trust", CommonName: cn}, PublicKey: pub.Public(), Issuer: issuer,
			NotBefore: nb, NotAfter: na, Contact: "trust@utopia.example", CRLURL: "http://trust.localhost:8080/crl",
		}, rootKey)
	}
	s := signers{vicalKey: testkit.Signer(t, elliptic.P256()), listKey: testkit.Signer(t, elliptic.P256())}
	s.root = issue(pki.ServiceCA, "trust root", rootKey, nil)
	s.vical = issue(pki.VICALSigner, "vical signer", s.vicalKey, s.root)
	s.list = issue(pki.TrustListSigner, "list signer", s.listKey, s.root)
	return s
}

func iaca(t testing.TB) *x509.Certificate {
	t.Helper()
	k := testkit.Signer(t, elliptic.P256())
	nb, na := pki.Validity(now, 9*365*24*time.Hour)
	return pkitest.Issue(t, pki.IACARoot, pki.Template{Subject: pki.Name{Country: "UT", State: "UT-N", CommonName: "IACA"},
		PublicKey: k.Public(), NotBefore: nb, NotAfter: na, Contact: "a@b.example"}, k)
}

func TestBuildVICAL(t *testing.T) {
	ctx, s, ca := context.Background(), newSigners(t), iaca(t)
	want := trustlist.VICAL{Provider: "Utopia", Date: now, IssueID: 9, NextUpdate: now.Add(24 * time.Hour), NotAfter: now.Add(72 * time.Hour), URL: "https://trust.example/vical",
		Entries: []trustlist.CertificateInfo{{Certificate: ca, DocTypes: []string{"a", "b"}, IssuingAuthority: "Ministry"}}}
	raw, err := trustlist.BuildVICAL(ctx, want, []*x509.Certificate{s.vical}, s.vicalKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trustlist.ParseVICAL(raw)
	if err != nil {
		t.Fatal(err)
	}
	e := got.Entries[0]
	if got.Provider != "Utopia" || got.IssueID != 9 || got.URL != want.URL || !got.NextUpdate.Equal(want.NextUpdate) || !got.NotAfter.Equal(want.NotAfter) ||
		!e.Certificate.Equal(ca) || e.IssuingAuthority != "Ministry" || e.IssuingCountry != "UT" || e.StateOrProvinceName != "UT-N" ||
		!cmp.Equal(e.Profiles, []string{"urn:oid:1.0.18013.5.1.7"}) || !cmp.Equal(e.DocTypes, []string{"a", "b"}) || len(e.Deviations()) != 0 {
		t.Errorf("read back %+v", got)
	}
	o := trustlist.VerifyOptions{Now: now, Anchors: pki.NewPool(s.root), Strict: true, After: 9}
	if r := got.Verify(o); !r.OK() {
		t.Error(r)
	}
	o.Now = now.Add(73 * time.Hour)
	if r := got.Verify(o); !cmp.Equal(failed(r), []string{"not after", "next update"}) {
		t.Errorf("expired: %v", failed(r))
	}
	// The signer of another kind of list is no VICAL signer.
	raw, err = trustlist.BuildVICAL(ctx, want, []*x509.Certificate{s.list}, s.listKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = trustlist.ParseVICAL(raw); err != nil {
		t.Fatal(err)
	}
	if r := got.Verify(trustlist.VerifyOptions{Now: now, Anchors: pki.NewPool(s.root)}); r.OK() {
		t.Error("a trust list signer passed as VICAL signer")
	}
	if r := want.Verify(o); r.OK() {
		t.Error("a list that was never parsed verified")
	}
	for name, change := range map[string]func(*trustlist.VICAL){
		"no provider":   func(v *trustlist.VICAL) { v.Provider = "" },
		"no date":       func(v *trustlist.VICAL) { v.Date = time.Time{} },
		"update before": func(v *trustlist.VICAL) { v.NextUpdate = now },
		"no docType":    func(v *trustlist.VICAL) { v.Entries = []trustlist.CertificateInfo{{Certificate: ca}} },
		"no cert":       func(v *trustlist.VICAL) { v.Entries = []trustlist.CertificateInfo{{DocTypes: []string{"a"}}} },
	} {
		v := want
		change(&v)
		if _, err := trustlist.BuildVICAL(ctx, v, []*x509.Certificate{s.vical}, s.vicalKey); !errors.Is(err, trustlist.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := trustlist.BuildVICAL(ctx, want, []*x509.Certificate{s.list}, s.vicalKey); !errors.Is(err, trustlist.ErrContent) {
		t.Errorf("foreign certificate: %v", err)
	}
}

// craft signs any payload as a VICAL.
func craft(t testing.TB, s signers, payload []byte) []byte {
	t.Helper()
	raw, err := cose.AppendSign1(context.Background(), nil, s.vicalKey, cose.Headers{X5Chain: [][]byte{s.vical.Raw}}, cose.Content{Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// vicalMap writes the members of a list around given entries.
func vicalMap(version string, entries ...[]byte) []byte {
	b := cbor.AppendMap(nil, 5)
	b = cbor.AppendText(cbor.AppendText(b, "version"), version)
	b = cbor.AppendText(cbor.AppendText(b, "vicalProvider"), "P")
	b = cbor.AppendTDate(cbor.AppendText(b, "date"), now)
	b = cbor.AppendBool(cbor.AppendText(b, "unheard of"), true)
	b = cbor.AppendArray(cbor.AppendText(b, "certificateInfos"), len(entries))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

func entry(cert, ski []byte, serial *big.Int) []byte {
	b := cbor.AppendMap(nil, 4)
	b = cbor.AppendBytes(cbor.AppendText(b, "certificate"), cert)
	b = cbor.AppendBytes(cbor.AppendTag(cbor.AppendText(b, "serialNumber"), 2), serial.Bytes())
	b = cbor.AppendBytes(cbor.AppendText(b, "ski"), ski)
	return appendDocType(cbor.AppendText(b, "docType"))
}

func appendDocType(b []byte) []byte {
	return cbor.AppendText(cbor.AppendArray(b, 1), "org.iso.18013.5.1.mDL")
}

func TestVICALEntries(t *testing.T) {
	s, ca := newSigners(t), iaca(t)
	good := entry(ca.Raw, ca.SubjectKeyId, ca.SerialNumber)
	lies := entry(ca.Raw, []byte{1, 2, 3}, big.NewInt(1<<40))
	broken := entry([]byte{0x30, 0}, []byte{1}, big.NewInt(5))
	v, err := trustlist.ParseVICAL(craft(t, s, vicalMap("1.7", good, lies, broken)))
	if err != nil {
		t.Fatal(err)
	}
	if v.Entries[2].Certificate != nil || v.Entries[2].Problem == "" || len(v.Entries[0].Deviations()) != 0 || len(v.Entries[1].Deviations()) != 2 {
		t.Errorf("%+v", v.Entries)
	}
	o := trustlist.VerifyOptions{Now: now, Anchors: pki.NewPool(s.root)}
	if r := v.Verify(o); !r.OK() {
		t.Error(r)
	}
	o.Strict = true
	if r := v.Verify(o); !cmp.Equal(failed(r), []string{"entry 1"}) {
		t.Errorf("strict: %v", failed(r))
	}
	for name, payload := range map[string][]byte{
		"version 2": vicalMap("2.0", good),
		"no list":   cbor.AppendText(cbor.AppendText(cbor.AppendMap(nil, 1), "version"), "1.0"),
		"trailing":  append(vicalMap("1.0", good), 0),
		"no map":    cbor.AppendArray(nil, 0),
		"too many":  vicalMap("1.0", slicesRepeat(cbor.AppendMap(nil, 0), 4097)...),
	} {
		if _, err := trustlist.ParseVICAL(craft(t, s, payload)); !errors.Is(err, trustlist.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func slicesRepeat(b []byte, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = b
	}
	return list
}

func anchorList(t testing.TB, certs ...*x509.Certificate) trustlist.List {
	t.Helper()
	l := trustlist.List{Issuer: "https://trust.example", IssuedAt: jose.NewDate(now), Expires: jose.NewDate(now.Add(24 * time.Hour)), Sequence: 3}
	for i, c := range certs {
		l.Entries = append(l.Entries, trustlist.Entry{Purpose: trustlist.Purposes()[i%len(trustlist.Purposes())], Certificate: c.Raw, Name: "n", Country: "UT",
			DocTypes: []string{"a"}, LoA: "high", StatusService: "https://crl.example"})
	}
	return l
}

func TestList(t *testing.T) {
	ctx, s, ca := context.Background(), newSigners(t), iaca(t)
	want := anchorList(t, ca, s.root)
	token, err := trustlist.BuildList(ctx, want, []*x509.Certificate{s.list}, s.listKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := trustlist.ParseList(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Entries {
		cert, _ := got.Entries[i].Parsed()
		if cert == nil || !bytes.Equal(cert.Raw, want.Entries[i].Certificate) || got.Entries[i].Purpose != want.Entries[i].Purpose || got.Entries[i].LoA != "high" {
			t.Errorf("entry %d: %+v", i, got.Entries[i])
		}
	}
	o := trustlist.VerifyOptions{Now: now, Anchors: pki.NewPool(s.root), Strict: true, After: 3}
	if r := got.Verify(o); !r.OK() {
		t.Error(r)
	}
	for name, tc := range map[string]struct {
		o    trustlist.VerifyOptions
		want []string
	}{
		"expired":  {trustlist.VerifyOptions{Now: now.Add(25 * time.Hour), Anchors: o.Anchors}, []string{"dates"}},
		"early":    {trustlist.VerifyOptions{Now: now.Add(-time.Hour), Anchors: o.Anchors}, []string{"dates"}},
		"replayed": {trustlist.VerifyOptions{Now: now, Anchors: o.Anchors, After: 4}, []string{"sequence"}},
		"stranger": {trustlist.VerifyOptions{Now: now, Anchors: pki.NewPool(ca)}, []string{"signer chain: trust anchor"}},
	} {
		if r := got.Verify(tc.o); !cmp.Equal(failed(r), tc.want) {
			t.Errorf("%s: %v", name, failed(r))
		}
	}
	// Another's signature under the same claims.
	parts := strings.Split(token, ".")
	parts[2] = jose.Encode(make([]byte, 64))
	if got, err = trustlist.ParseList(strings.Join(parts, ".")); err != nil {
		t.Fatal(err)
	}
	if r := got.Verify(o); !cmp.Equal(failed(r), []string{"signature"}) {
		t.Errorf("unsigned: %v", failed(r))
	}
	// Entries of purposes from the future do not spoil the list.
	later := anchorList(t, ca)
	later.Entries[0].Purpose = "time-travel"
	if _, err := trustlist.BuildList(ctx, later, []*x509.Certificate{s.list}, s.listKey); !errors.Is(err, trustlist.ErrContent) {
		t.Errorf("built with unknown purpose: %v", err)
	}
	token, err = jose.Sign(ctx, s.listKey, jose.Header{Typ: trustlist.TypeAnchors, X5C: [][]byte{s.list.Raw}}, later)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = trustlist.ParseList(token); err != nil {
		t.Fatal(err)
	}
	if cert, problem := got.Entries[0].Parsed(); cert != nil || problem == "" {
		t.Error("anchor of unknown purpose usable")
	}
	if r := got.Verify(o); !r.OK() {
		t.Error(r)
	}
	for name, l := range map[string]trustlist.List{"no issuer": {IssuedAt: 1, Expires: 2, Sequence: 1}, "no sequence": {Issuer: "x", IssuedAt: 1, Expires: 2}, "exp": {Issuer: "x", IssuedAt: 2, Expires: 2, Sequence: 1}} {
		if _, err := trustlist.BuildList(ctx, l, []*x509.Certificate{s.list}, s.listKey); !errors.Is(err, trustlist.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other, err := jose.Sign(ctx, s.listKey, jose.Header{Typ: "JWT", X5C: [][]byte{s.list.Raw}}, want)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"typ": other, "empty": "", "not a token": "a.b.c"} {
		if _, err := trustlist.ParseList(token); !errors.Is(err, trustlist.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is built comes back, whatever the texts are.
func TestVICALRoundTrip(t *testing.T) {
	s, ca := newSigners(t), iaca(t)
	rapid.Check(t, func(t *rapid.T) {
		want := trustlist.VICAL{Provider: rapid.StringN(1, 20, -1).Draw(t, "provider"), Date: now, IssueID: rapid.Uint64().Draw(t, "id"), URL: rapid.String().Draw(t, "url")}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			want.Entries = append(want.Entries, trustlist.CertificateInfo{Certificate: ca, IssuingAuthority: rapid.String().Draw(t, "ia"),
				DocTypes: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "docTypes")})
		}
		raw, err := trustlist.BuildVICAL(context.Background(), want, []*x509.Certificate{s.vical}, s.vicalKey)
		if err != nil {
			t.Fatal(err)
		}
		got, err := trustlist.ParseVICAL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got.Provider != want.Provider || got.IssueID != want.IssueID || got.URL != want.URL || len(got.Entries) != len(want.Entries) {
			t.Fatalf("got %+v", got)
		}
		for i := range want.Entries {
			if !cmp.Equal(got.Entries[i].DocTypes, want.Entries[i].DocTypes) || got.Entries[i].IssuingAuthority != want.Entries[i].IssuingAuthority {
				t.Fatalf("entry %d: %+v", i, got.Entries[i])
			}
		}
	})
}

// FuzzParseVICAL: no list panics, and none verifies that no anchor signed.
func FuzzParseVICAL(f *testing.F) {
	raw, _, _ := aamva(f)
	f.Add(raw)
	s := newSigners(f)
	f.Add(craft(f, s, vicalMap("1.0")))
	pool := pki.NewPool(iaca(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := trustlist.ParseVICAL(raw)
		if err != nil {
			return
		}
		if r := v.Verify(trustlist.VerifyOptions{Now: now, Anchors: pool}); r.OK() {
			t.Error("accepted without an anchor")
		}
	})
}

// FuzzParseList is the same for our list.
func FuzzParseList(f *testing.F) {
	s := newSigners(f)
	token, err := trustlist.BuildList(context.Background(), anchorList(f, iaca(f)), []*x509.Certificate{s.list}, s.listKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("eyJhbGciOiJFUzI1NiIsInR5cCI6ImVpZG9zLWFuY2hvcnMrand0In0.e30.AA")
	pool := pki.NewPool(iaca(f))
	f.Fuzz(func(t *testing.T, token string) {
		l, err := trustlist.ParseList(token)
		if err != nil {
			return
		}
		if r := l.Verify(trustlist.VerifyOptions{Now: now, Anchors: pool}); r.OK() {
			t.Error("accepted without an anchor")
		}
	})
}
