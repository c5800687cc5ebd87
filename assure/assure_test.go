package assure_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	annexDClock = time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC)
	p7Clock     = time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	now         = time.Date(2026, 11, 22, 13, 30, 0, 0, time.UTC)
)

func load(t testing.TB, name string) vectors.Record {
	t.Helper()
	return vectors.Read(t, "iso18013-5/"+name+".json")
}

func anchors(t testing.TB, list ...assure.Anchor) *assure.Anchors {
	t.Helper()
	a, err := assure.NewAnchors(list...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func trusting(t testing.TB, p trustlist.Purpose, certs ...*x509.Certificate) *assure.Anchors {
	t.Helper()
	return anchors(t, assure.FromCertificates(p, "test", certs...)...)
}

func named(r check.Report, o check.Outcome) []string {
	var names []string
	for _, c := range r.Checks {
		if c.Outcome == o {
			names = append(names, c.Name)
		}
	}
	return names
}

// annexD is the response of D.4.1.2 and what a reader of D.5.1 knows.
func annexD(t testing.TB) ([]byte, assure.DocumentParams) {
	t.Helper()
	v := load(t, "d4_1_2_device_response")
	return v.Bytes(t), assure.DocumentParams{
		Now: annexDClock, Anchors: trusting(t, trustlist.Issuer, pkitest.Parse(t, v.Want(t, "iaca_certificate"))), DocType: mdoc.DocTypeMDL,
		Transcript: load(t, "d5_1_session_transcript").Want(t, "session_transcript_untagged"), EReaderKey: testkit.ECDH(v.P256(t, "ephemeral_reader_key")), RequireDeviceAuth: true,
	}
}

func verifyFirst(t testing.TB, response []byte, p assure.DocumentParams) (assure.Document, check.Report) {
	t.Helper()
	r, err := mdoc.ParseDeviceResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	return assure.VerifyDocument(context.Background(), &r.Documents[0], p)
}

// The standard's own document verifies with its two known deviations as
// warnings; strictly, they are what fails.
func TestAnnexDDocument(t *testing.T) {
	response, p := annexD(t)
	doc, r := verifyFirst(t, response, p)
	deviations := []string{"issuer chain: CRL distribution points", "validity within signer's"}
	if !r.OK() || !doc.IssuerVerified || !doc.DeviceVerified || doc.DeviceAuth != "mac" || doc.Signer.Anchor.Name != "utopia iaca" || len(doc.NameSpaces) != 1 {
		t.Errorf("%+v\n%s", doc, r)
	}
	if diff := cmp.Diff(deviations, named(r, check.Warn)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	p.Strict = true
	doc, r = verifyFirst(t, response, p)
	if r.OK() || doc.NameSpaces != nil || !contains(named(r, check.Fail), deviations[0]) {
		t.Errorf("strict: %s", r)
	}
	p.Strict, p.Anchors = false, nil
	if _, r = verifyFirst(t, response, p); r.OK() {
		t.Error("verified without anchors")
	}
}

func TestVPTokenOfB6(t *testing.T) {
	v := load(t, "p7_b6_5_vp_token_device_response")
	p := assure.DocumentParams{Now: p7Clock, Anchors: trusting(t, trustlist.Issuer, pkitest.Parse(t, v.Want(t, "iaca_der"))), DocType: mdoc.DocTypeMDL,
		Transcript: load(t, "p7_b6_9_session_transcript").Bytes(t), RequireDeviceAuth: true}
	doc, r := verifyFirst(t, v.Bytes(t), p)
	if !r.OK() || doc.DeviceAuth != "signature" {
		t.Errorf("%s", r)
	}
	p.Anchors = trusting(t, trustlist.Reader, pkitest.Parse(t, v.Want(t, "iaca_der")))
	if _, r := verifyFirst(t, v.Bytes(t), p); r.OK() {
		t.Error("an anchor for readers vouched for an issuer")
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

// The request of D.4.1.1: trusted under its root, unknown under none, forged
// when the transcript is another's.
func TestAnnexDReader(t *testing.T) {
	req, err := mdoc.ParseDeviceRequest(load(t, "d4_1_1_device_request").Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	transcript := load(t, "d5_1_session_transcript").Want(t, "session_transcript_untagged")
	root := pkitest.Parse(t, load(t, "d5_4_reader_root_certificate").Bytes(t))
	a := trusting(t, trustlist.Reader, root)

	reader, r := assure.VerifyReaderAuth(req, transcript, a, annexDClock, assure.ChainOptions{})
	if !r.OK() || reader.Standing != assure.ReaderTrusted || reader.Name != "reader" || reader.Signer.Path.Anchor != root {
		t.Errorf("%+v\n%s", reader, r)
	}
	for name, a := range map[string]*assure.Anchors{"no anchors": nil, "for issuers": trusting(t, trustlist.Issuer, root)} {
		reader, r = assure.VerifyReaderAuth(req, transcript, a, annexDClock, assure.ChainOptions{})
		if !r.OK() || reader.Standing != assure.ReaderUnknown || reader.Name != "reader" || reader.Leaf == nil || len(named(r, check.Warn)) == 0 {
			t.Errorf("%s: %+v\n%s", name, reader, r)
		}
	}
	if reader, _ = assure.VerifyReaderAuth(req, transcript, a, annexDClock.AddDate(10, 0, 0), assure.ChainOptions{}); reader.Standing != assure.ReaderUnknown {
		t.Errorf("expired: %s", reader.Standing)
	}
	if reader, r = assure.VerifyReaderAuth(req, append(bytes.Clone(transcript[:len(transcript)-1]), transcript[len(transcript)-1]^1), a, annexDClock, assure.ChainOptions{}); r.OK() || reader.Standing != assure.ReaderForged || reader.Name != "" {
		t.Errorf("other session: %+v\n%s", reader, r)
	}
	req.Documents[0].ReaderAuth = nil
	if reader, r = assure.VerifyReaderAuth(req, transcript, a, annexDClock, assure.ChainOptions{}); !r.OK() || reader.Standing != assure.ReaderAnonymous {
		t.Errorf("unsigned: %+v\n%s", reader, r)
	}
}

// authority is an issuing authority of a test.
type authority struct {
	root, ds, listSigner      *x509.Certificate
	rootKey, dsKey, statusKey *testkit.Key
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	a := authority{rootKey: testkit.Signer(t, elliptic.P256()), dsKey: testkit.Signer(t, elliptic.P256()), statusKey: testkit.Signer(t, elliptic.P256())}
	nb, na := pki.Validity(now, 9*365*24*time.Hour)
	issue := func(p pki.Profile, cn string, pub *testkit.Key, life time.Duration) *x509.Certificate {
		t.Helper()
		tpl := pki.Template{Subject: pki.Name{Country: "UT", CommonName: cn}, PublicKey: pub.Public(), Issuer: a.root,
			NotBefore: nb, NotAfter: na, Contact: "a@b.example", CRLURL: "http://crl.example"}
		if life > 0 {
			tpl.NotAfter = nb.Add(life)
		}
		return pkitest.Issue(t, p, tpl, a.rootKey)
	}
	a.root = issue(pki.IACARoot, "IACA", a.rootKey, 0)
	a.ds = issue(pki.DocumentSigner, "DS", a.dsKey, 400*24*time.Hour)
	a.listSigner = issue(pki.StatusSigner, "status", a.statusKey, 400*24*time.Hour)
	return a
}

const listURI = "https://issuer.example/status/1"

// document issues a document of a type with index 5 of the status list.
func (a authority) document(t testing.TB, docType string, certificate []byte) *mdoc.IssuerSigned {
	t.Helper()
	midnight := now.Truncate(24 * time.Hour)
	raw, err := mdoc.Issue(context.Background(), mdoc.IssueParams{
		DocType: docType, DeviceKey: testkit.Signer(t, elliptic.P256()).Public(), Chain: [][]byte{a.ds.Raw},
		NameSpaces: []mdoc.NameSpace{{Name: "ns", Elements: []mdoc.Element{{ID: "a", Value: cbor.AppendText(nil, "x")}}}},
		Validity:   mdoc.Validity{Signed: midnight, ValidFrom: midnight, ValidUntil: midnight.Add(14 * 24 * time.Hour)},
		Status:     &status.Claim{List: &status.ListReference{Index: 5, URI: listURI, Certificate: certificate}},
	}, a.dsKey)
	if err != nil {
		t.Fatal(err)
	}
	s, err := mdoc.ParseIssuerSigned(raw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// list is a checker that has one token, signed by whom the caller likes.
func list(t testing.TB, trust *assure.Anchors, revoked bool, expires time.Time, chain [][]byte, signer key.Signer) assure.StatusChecker {
	t.Helper()
	l, err := status.NewList(1, 64)
	if err != nil {
		t.Fatal(err)
	}
	if revoked {
		if err := l.Set(5, status.Invalid); err != nil {
			t.Fatal(err)
		}
	}
	c, err := l.Compress()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := status.SignCWT(context.Background(), signer, status.Headers{X5Chain: chain}, status.Claims{URI: listURI, Issued: now.Add(-time.Hour), Expires: expires}, c)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(_ context.Context, r fetch.Request) (fetch.Response, error) {
		return fetch.Response{Status: 200, Header: map[string]string{"content-type": status.MediaListCWT}, Body: raw}, nil
	}
	return statuslist.NewFetcher(serve, assure.StatusTrust(trustlist.Issuer, trust.Snapshot), statuslist.Options{})
}

func TestDocumentStatus(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	trust := trusting(t, trustlist.Issuer, a.root)
	tomorrow := now.Add(24 * time.Hour)
	own := [][]byte{a.listSigner.Raw}
	offline := statuslist.NewFetcher(func(context.Context, fetch.Request) (fetch.Response, error) {
		return fetch.Response{}, errors.New("no route to host")
	}, assure.StatusTrust(trustlist.Issuer, trust.Snapshot), statuslist.Options{})
	for name, tc := range map[string]struct {
		certificate   []byte // trust point in the document
		fn            assure.StatusChecker
		known         bool
		ok, okRequire bool
	}{
		"valid":                     {nil, list(t, trust, false, tomorrow, own, a.statusKey), true, true, true},
		"revoked":                   {nil, list(t, trust, true, tomorrow, own, a.statusKey), true, false, false},
		"offline":                   {nil, offline, false, true, false},
		"nobody asked":              {nil, nil, false, true, false},
		"expired list":              {nil, list(t, trust, true, now.Add(-time.Minute), own, a.statusKey), false, true, false},
		"list of another authority": {nil, list(t, trust, true, tomorrow, [][]byte{b.listSigner.Raw}, b.statusKey), false, true, false},
		"wrong key":                 {nil, list(t, trust, true, tomorrow, own, b.statusKey), false, true, false},
		"named trust point":         {b.root.Raw, list(t, trust, true, tomorrow, [][]byte{b.listSigner.Raw}, b.statusKey), true, false, false},
		"named signer":              {b.listSigner.Raw, list(t, trust, false, tomorrow, [][]byte{b.listSigner.Raw}, b.statusKey), true, true, true},
		"not the named one":         {b.root.Raw, list(t, trust, true, tomorrow, own, a.statusKey), false, true, false},
		"garbage named":             {[]byte{1}, list(t, trust, false, tomorrow, own, a.statusKey), false, true, false},
	} {
		doc := a.document(t, "d", tc.certificate)
		for _, require := range []bool{false, true} {
			got, r := assure.VerifyIssued(context.Background(), doc, assure.DocumentParams{Now: now, Anchors: trust, Status: tc.fn, RequireStatus: require})
			want := tc.ok
			if require {
				want = tc.okRequire
			}
			if r.OK() != want || (got.Revocation.Outcome == statuslist.Valid || got.Revocation.Outcome == statuslist.Invalid) != tc.known || (got.NameSpaces != nil) != want {
				t.Errorf("%s, required %v: outcome %q, %d name spaces\n%s", name, require, got.Revocation.Outcome, len(got.NameSpaces), r)
			}
			n := 0
			for _, c := range r.Checks {
				if c.Name == "revocation status" {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: %d checks of the status", name, n)
			}
		}
	}
	// An anchor for status lists serves any issuer.
	with, err := trust.With(assure.FromCertificates(trustlist.Status, "test", b.root)...)
	if err != nil {
		t.Fatal(err)
	}
	got, r := assure.VerifyIssued(context.Background(), a.document(t, "d", nil), assure.DocumentParams{Now: now, Anchors: with,
		Status: list(t, with, true, tomorrow, [][]byte{b.listSigner.Raw}, b.statusKey)})
	if r.OK() || got.Revocation.Outcome != statuslist.Invalid {
		t.Errorf("status anchor: %s", r)
	}
}

// A VICAL that does not list the document type is no trust for it; another
// list may be.
func TestDocTypeOfAnchor(t *testing.T) {
	a := newAuthority(t)
	doc := a.document(t, "org.example.b", nil)
	listed := func(docTypes ...string) assure.Anchor {
		return assure.Anchor{Purpose: trustlist.Issuer, Certificate: a.root, DocTypes: docTypes, Name: strings.Join(docTypes, "+"), Origin: "VICAL"}
	}
	for name, tc := range map[string]struct {
		list []assure.Anchor
		want string
	}{
		"listed":     {[]assure.Anchor{listed("org.example.a", "org.example.b")}, "org.example.a+org.example.b"},
		"not listed": {[]assure.Anchor{listed("org.example.a")}, ""},
		"two lists":  {[]assure.Anchor{listed("org.example.a"), listed("org.example.b")}, "org.example.b"},
		"any":        {[]assure.Anchor{listed()}, ""},
	} {
		got, r := assure.VerifyIssued(context.Background(), doc, assure.DocumentParams{Now: now, Anchors: anchors(t, tc.list...)})
		if r.OK() != (name != "not listed") || got.Signer.Anchor.Name != tc.want {
			t.Errorf("%s: %q\n%s", name, got.Signer.Anchor.Name, r)
		}
	}
	exact := assure.Anchor{Purpose: trustlist.Issuer, Certificate: a.ds, Exact: true, Name: "exact"}
	if got, r := assure.VerifyIssued(context.Background(), doc, assure.DocumentParams{Now: now, Anchors: anchors(t, exact)}); !r.OK() || !got.Signer.Path.Exact {
		t.Errorf("exact signer: %s", r)
	}
}

func TestAnchorSources(t *testing.T) {
	raw, err := readVICAL(t)
	if err != nil {
		t.Fatal(err)
	}
	v, err := trustlist.ParseVICAL(raw)
	if err != nil {
		t.Fatal(err)
	}
	a := anchors(t, assure.FromVICAL(v)...)
	if n := len(a.For(trustlist.Issuer)); n != 14 || a.Pool(trustlist.Issuer).Len() != 14 || a.Pool(trustlist.Reader).Len() != 0 {
		t.Errorf("%d anchors", n)
	}
	for _, anchor := range a.For(trustlist.Issuer) {
		if got := a.Lookup(trustlist.Issuer, anchor.Certificate); len(got) != 1 || got[0].Origin != "VICAL of AAMVA" || len(got[0].DocTypes) == 0 {
			t.Errorf("look-up of %s: %+v", anchor.Name, got)
		}
		if a.Lookup(trustlist.Reader, anchor.Certificate) != nil {
			t.Errorf("%s is an anchor for readers", anchor.Name)
		}
	}

	au := newAuthority(t)
	k := testkit.Signer(t, elliptic.P256())
	token, err := jose.Sign(context.Background(), k, jose.Header{Typ: trustlist.TypeAnchors}, trustlist.List{Issuer: "x", IssuedAt: 1, Expires: 2, Sequence: 1, Entries: []trustlist.Entry{
		{Purpose: trustlist.Reader, Certificate: au.root.Raw, LoA: "substantial"}, {Purpose: trustlist.Verifier, Certificate: au.ds.Raw, Exact: true, Name: "RP"},
		{Purpose: "unheard of", Certificate: au.root.Raw}, {Purpose: trustlist.Reader, Certificate: []byte{1}}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := trustlist.ParseList(token)
	if err != nil {
		t.Fatal(err)
	}
	got := assure.FromList(l)
	if len(got) != 2 || got[0].LoA != assure.Substantial || got[0].Name != "IACA" || !got[1].Exact || got[1].Name != "RP" {
		t.Errorf("%+v", got)
	}
	if _, err := assure.NewAnchors(assure.Anchor{Purpose: "unheard of", Certificate: au.root}); err == nil {
		t.Error("unknown purpose accepted")
	}
	if _, err := assure.NewAnchors(assure.Anchor{Purpose: trustlist.Reader}); err == nil {
		t.Error("anchor without certificate accepted")
	}
	var none *assure.Anchors
	if _, r := none.VerifyChain([][]byte{au.ds.Raw}, trustlist.Issuer, now, assure.ChainOptions{}); r.OK() {
		t.Error("nil anchors trust somebody")
	}
	if _, r := a.VerifyChain(nil, trustlist.Issuer, now, assure.ChainOptions{}); r.OK() {
		t.Error("empty chain accepted")
	}
}

func readVICAL(t testing.TB) ([]byte, error) {
	return load(t, "thirdparty_vical_aamva_2025_11_18").Bytes(t), nil
}

func TestLevels(t *testing.T) {
	for _, tc := range []struct {
		storage, auth []string
		want          assure.Level
	}{
		{[]string{"iso_18045_high"}, []string{"iso_18045_high"}, assure.High},
		{[]string{"iso_18045_basic", "iso_18045_high"}, []string{"iso_18045_moderate"}, assure.Substantial},
		{[]string{"iso_18045_enhanced-basic"}, []string{"iso_18045_high"}, assure.Low},
		{[]string{"iso_18045_high"}, nil, ""},
		{[]string{"invented"}, []string{"iso_18045_high"}, ""},
		{nil, nil, ""},
	} {
		if got := assure.LevelOfKey(tc.storage, tc.auth); got != tc.want {
			t.Errorf("%v, %v: %q", tc.storage, tc.auth, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		levels := rapid.SliceOfN(rapid.SampledFrom([]assure.Level{"", assure.Low, assure.Substantial, assure.High}), 1, 5).Draw(t, "levels")
		w := assure.Weakest(levels...)
		for _, l := range levels {
			if !l.AtLeast(w) {
				t.Fatalf("%q below the weakest, %q", l, w)
			}
		}
	})
	if assure.Weakest() != "" || assure.Level("").AtLeast(assure.Low) || !assure.High.AtLeast(assure.Substantial) {
		t.Error("no level counts as one")
	}
	if _, err := assure.ParseLevel("hgih"); err == nil {
		t.Error("misspelt level accepted")
	}
}

// pins is a PinStore in memory.
type pins struct {
	mu   sync.Mutex
	pins map[string]assure.Pin
}

func (s *pins) Pin(_ context.Context, p trustlist.Purpose, who string) (assure.Pin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pin, ok := s.pins[string(p)+" "+who]
	if !ok {
		return assure.Pin{}, assure.ErrNoPin
	}
	return pin, nil
}

func (s *pins) SavePin(_ context.Context, pin assure.Pin, replaces *[32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := string(pin.Purpose) + " " + pin.Counterpart
	old, ok := s.pins[k]
	if ok != (replaces != nil) || ok && old.Key != *replaces {
		return assure.ErrChanged
	}
	s.pins[k] = pin
	return nil
}

func TestTOFU(t *testing.T) {
	ctx := context.Background()
	tofu := assure.TOFU{Store: &pins{pins: map[string]assure.Pin{}}}
	a := newAuthority(t)
	k1, k2 := a.dsKey.Public(), a.statusKey.Public()
	expect := func(p trustlist.Purpose, pub any, want assure.PinState) {
		t.Helper()
		got, r, err := tofu.Check(ctx, p, "rp.example", pub)
		if err != nil || got != want || r.OK() != (want == assure.PinMatches) {
			t.Errorf("%s, not %s: %v\n%s", got, want, err, r)
		}
	}
	expect(trustlist.Verifier, k1, assure.PinUnknown)
	expect(trustlist.Verifier, k1, assure.PinUnknown) // looking is not accepting
	if _, err := tofu.Accept(ctx, trustlist.Verifier, "rp.example", k1, nil, "", now); err == nil {
		t.Error("accepted by nobody")
	}
	if _, err := tofu.Accept(ctx, trustlist.Verifier, "rp.example", k1, a.root, "holder", now); err == nil {
		t.Error("pinned with another's certificate")
	}
	first, err := tofu.Accept(ctx, trustlist.Verifier, "rp.example", k1, a.ds, "holder", now)
	if err != nil || first.By != "holder" || !first.At.Equal(now) {
		t.Fatalf("%+v, %v", first, err)
	}
	expect(trustlist.Verifier, k1, assure.PinMatches)
	expect(trustlist.Verifier, k2, assure.PinChanged)
	expect(trustlist.Reader, k1, assure.PinUnknown) // another purpose
	again, err := tofu.Accept(ctx, trustlist.Verifier, "rp.example", k1, nil, "somebody", now.Add(time.Hour))
	if err != nil || again.By != "holder" {
		t.Errorf("second acceptance overwrote the first: %+v, %v", again, err)
	}
	if _, err := tofu.Accept(ctx, trustlist.Verifier, "rp.example", k2, nil, "holder", now); !errors.Is(err, assure.ErrChanged) {
		t.Errorf("changed key accepted: %v", err)
	}
	anchor, ok := first.Anchor()
	if !ok || !anchor.Exact || anchor.LoA != assure.Low {
		t.Errorf("%+v", anchor)
	}
	second, err := tofu.Replace(ctx, first, k2, nil, "holder", now)
	if err != nil || second.Replaces == nil || *second.Replaces != first.Key {
		t.Errorf("%+v, %v", second, err)
	}
	expect(trustlist.Verifier, k2, assure.PinMatches)
	if _, err := tofu.Replace(ctx, first, k1, nil, "holder", now); !errors.Is(err, assure.ErrChanged) {
		t.Errorf("replaced a pin that is no longer there: %v", err)
	}
	if _, ok := second.Anchor(); ok {
		t.Error("a bare key became an anchor")
	}
}
