package mdoc_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/elliptic"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/mdoc/mdoctest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
)

func TestIssueEverything(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	other := cbor.AppendUint(nil, 7)
	for _, alg := range []string{mdoc.SHA256, mdoc.SHA384, mdoc.SHA512} {
		p := a.params(device.Public(), mdoctest.Licence("UT-1")...)
		p.NameSpaces = append(p.NameSpaces,
			mdoc.NameSpace{Name: "org.iso.18013.5.1.UT", Elements: []mdoc.Element{{ID: "level", Value: other}}},
			mdoc.NameSpace{Name: "org.example.empty"})
		p.DigestAlgorithm, p.Decoys, p.X5T = alg, 3, true
		p.Validity.ExpectedUpdate = demoNow.AddDate(0, 0, 10)
		p.Status = &status.Claim{
			List:       &status.ListReference{Index: 1 << 20, URI: "https://status.example/1"},
			Identifier: &status.IdentifierReference{ID: []byte{0xcc, 0xcc}, URI: "https://status.example/2", Certificate: []byte{0x30, 0}},
		}
		p.KeyAuthorizations = mdoc.KeyAuthorizations{NameSpaces: []string{"com.example.device"},
			Elements: []mdoc.ElementRef{{NameSpace: "com.example.pay", ID: "payment"}, {NameSpace: "com.example.pay", ID: "docsign"}}}
		b := a.issue(t, p)
		if err := cbor.Check(b, cbor.Limits{}); err != nil {
			t.Fatal(err)
		}
		s, err := mdoc.ParseIssuerSigned(b)
		if err != nil {
			t.Fatal(err)
		}
		m := s.Auth.MSO
		if diff := cmp.Diff(p.Validity, m.Validity); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(p.Status, m.Status); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(p.KeyAuthorizations, m.KeyAuthorizations); diff != "" {
			t.Error(diff)
		}
		if len(m.ValueDigests[0].Digests) != 33 || len(m.ValueDigests[1].Digests) != 4 || len(m.ValueDigests[2].Digests) != 3 || len(s.NameSpaces) != 2 {
			t.Error("decoys or name spaces are not as asked for")
		}
		if m.DigestAlgorithm != alg || !s.Auth.Sign1.X5T.Matches(a.signer.Raw) {
			t.Error("digest algorithm or x5t is not as asked for")
		}
		if rep := mdoc.Lint(b); !rep.OK() {
			t.Errorf("lint:\n%s", rep)
		}
		res, rep := mdoc.VerifyIssuerSigned(s, a.verify(t, nil))
		if !rep.OK() || !res.IssuerVerified {
			t.Errorf("verify:\n%s", rep)
		}
		want := slices.Clone(p.NameSpaces[:2])
		if diff := cmp.Diff(want, res.NameSpaces); diff != "" {
			t.Error(diff)
		}
	}
}

// Two documents with the same content share nothing that links them.
func TestIssueIsFresh(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	p := a.params(device.Public(), mdoctest.Licence("UT-1")...)
	parse := func() *mdoc.IssuerSigned {
		s, err := mdoc.ParseIssuerSigned(a.issue(t, p))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two := parse().NameSpaces[0].Items, parse().NameSpaces[0].Items
	same := 0
	for i := range one {
		if len(one[i].Random) != 32 {
			t.Errorf("salt of %d bytes", len(one[i].Random))
		}
		if bytes.Equal(one[i].Random, two[i].Random) {
			t.Error("a salt twice")
		}
		if one[i].DigestID == two[i].DigestID {
			same++
		}
	}
	if same > 12 { // one is expected; more than 12 happens once in 10^9
		t.Errorf("%d of %d digest identifiers are the same", same, len(one))
	}
}

func TestIssueTimesAreUTC(t *testing.T) {
	a := newAuthority(t)
	p := a.params(p256(t).Public(), mdoc.Element{ID: "family_name", Value: text("Doe")})
	zone := time.FixedZone("", 5*3600)
	p.Validity.Signed = demoNow.In(zone).Add(123 * time.Millisecond)
	p.Validity.ValidFrom = p.Validity.Signed
	b := a.issue(t, p)
	if !bytes.Contains(b, []byte("2026-03-01T00:00:00Z")) || bytes.Contains(b, []byte("+05")) {
		t.Error("times are not in UTC to the second")
	}
}

func TestIssuePrepared(t *testing.T) {
	a := newAuthority(t)
	p := a.params(p256(t).Public(), mdoc.Element{ID: "family_name", Value: text("Doe")})
	prepared, err := mdoc.PrepareIssue(p, a.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := a.key.Sign(t.Context(), prepared.ToBeSigned)
	if err != nil {
		t.Fatal(err)
	}
	b, err := prepared.Finish(signature)
	if err != nil {
		t.Fatal(err)
	}
	if rep := mdoc.Lint(b); !rep.OK() {
		t.Errorf("lint:\n%s", rep)
	}
	if _, err := prepared.Finish(signature[:10]); err == nil {
		t.Error("a short signature is accepted")
	}
}

func TestIssueRefuses(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	name := mdoc.Element{ID: "family_name", Value: text("Doe")}
	for what, change := range map[string]func(p *mdoc.IssueParams){
		"no docType":          func(p *mdoc.IssueParams) { p.DocType = "" },
		"no name space":       func(p *mdoc.IssueParams) { p.NameSpaces = nil },
		"unnamed name space":  func(p *mdoc.IssueParams) { p.NameSpaces[0].Name = "" },
		"name space twice":    func(p *mdoc.IssueParams) { p.NameSpaces = append(p.NameSpaces, p.NameSpaces[0]) },
		"element twice":       func(p *mdoc.IssueParams) { p.NameSpaces[0].Elements = append(p.NameSpaces[0].Elements, name) },
		"empty value":         func(p *mdoc.IssueParams) { p.NameSpaces[0].Elements[0].Value = nil },
		"two values":          func(p *mdoc.IssueParams) { p.NameSpaces[0].Elements[0].Value = []byte{0, 0} },
		"identifier not text": func(p *mdoc.IssueParams) { p.NameSpaces[0].Elements[0].ID = "\xff" },
		"no chain":            func(p *mdoc.IssueParams) { p.Chain = nil },
		"unknown digest":      func(p *mdoc.IssueParams) { p.DigestAlgorithm = "SHA-1" },
		"valid before signed": func(p *mdoc.IssueParams) { p.Validity.ValidFrom = demoNow.AddDate(0, 0, -1) },
		"never valid":         func(p *mdoc.IssueParams) { p.Validity.ValidUntil = p.Validity.ValidFrom },
		"no device key":       func(p *mdoc.IssueParams) { p.DeviceKey = nil },
		"empty status":        func(p *mdoc.IssueParams) { p.Status = &status.Claim{} },
		"too many decoys":     func(p *mdoc.IssueParams) { p.Decoys = 1 << 20 },
		"too many digests":    func(p *mdoc.IssueParams) { p.NameSpaces[0].Digests = 1 << 20 },
		"authorised in both": func(p *mdoc.IssueParams) {
			p.KeyAuthorizations = mdoc.KeyAuthorizations{NameSpaces: []string{"x"}, Elements: []mdoc.ElementRef{{NameSpace: "x", ID: "y"}}}
		},
	} {
		p := a.params(device.Public(), name)
		change(&p)
		if _, err := mdoc.Issue(t.Context(), p, a.key); err == nil {
			t.Errorf("%s: issued", what)
		}
	}
	failing := failingSigner{a.key}
	if _, err := mdoc.Issue(t.Context(), a.params(device.Public(), name), failing); !errors.Is(err, errSigner) {
		t.Errorf("signer's error: %v", err)
	}
}

var errSigner = errors.New("the key is locked")

type failingSigner struct{ *testkit.Key }

func (failingSigner) Sign(context.Context, []byte) ([]byte, error) { return nil, errSigner }

func TestDeviceKeysOfAllKinds(t *testing.T) {
	a := newAuthority(t)
	name := mdoc.Element{ID: "family_name", Value: text("Doe")}
	for _, device := range []*testkit.Key{p256(t), testkit.Signer(t, elliptic.P384()), testkit.Signer(t, elliptic.P521()), testkit.Ed25519(t)} {
		stored := a.issue(t, a.params(device.Public(), name))
		response := present(t, stored, device, demoTranscript(), []mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"}})
		d := parseResponse(t, response)
		res, rep := mdoc.Verify(t.Context(), &d.Documents[0], a.verify(t, demoTranscript()))
		if !rep.OK() || res.DeviceAuth != "signature" {
			t.Errorf("%T:\n%s", device.Public(), rep)
		}
	}
	for _, curve := range []ecdh.Curve{ecdh.P256(), ecdh.P384(), ecdh.P521(), ecdh.X25519()} {
		device, reader := testkit.Agreer(t, curve), testkit.Agreer(t, curve)
		s, err := mdoc.ParseIssuerSigned(a.issue(t, a.params(device.Public(), name)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Select(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.MAC(t.Context(), demoTranscript(), device, reader.Public()); err != nil {
			t.Fatal(err)
		}
		response, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := parseResponse(t, response)
		vp := a.verify(t, demoTranscript())
		vp.EReaderKey = reader
		if res, rep := mdoc.Verify(t.Context(), &d.Documents[0], vp); !rep.OK() || res.DeviceAuth != "mac" {
			t.Errorf("%v:\n%s", curve, rep)
		}
		vp.EReaderKey = testkit.Agreer(t, curve)
		if _, rep := mdoc.Verify(t.Context(), &d.Documents[0], vp); rep.OK() {
			t.Errorf("%v: accepted by another reader", curve)
		}
		vp.EReaderKey = nil
		if _, rep := mdoc.Verify(t.Context(), &d.Documents[0], vp); rep.OK() {
			t.Errorf("%v: accepted without a reader key", curve)
		}
	}
}

func TestPresentRefuses(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	stored := a.issue(t, a.params(device.Public(), mdoc.Element{ID: "family_name", Value: text("Doe")}))
	s, err := mdoc.ParseIssuerSigned(stored)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Select([]mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "birth_date"}}); !errors.Is(err, mdoc.ErrNoElement) || !strings.Contains(err.Error(), "birth_date") {
		t.Errorf("select what is not there: %v", err)
	}
	if _, err := mdoc.Select(stored, []mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "birth_date"}}); !errors.Is(err, mdoc.ErrNoElement) {
		t.Errorf("select what is not stored: %v", err)
	}
	if _, err := mdoc.Select(stored[1:], nil); !errors.Is(err, mdoc.ErrSyntax) {
		t.Errorf("select from something else: %v", err)
	}
	p, err := s.Select([]mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil); !errors.Is(err, mdoc.ErrSyntax) {
		t.Errorf("without proof: %v", err)
	}
	if err := p.Sign(t.Context(), demoTranscript(), p256(t)); !errors.Is(err, mdoc.ErrKey) {
		t.Errorf("another device's key: %v", err)
	}
	if err := p.MAC(t.Context(), demoTranscript(), testkit.Agreer(t, ecdh.P256()), testkit.Agreer(t, ecdh.P256()).Public()); !errors.Is(err, mdoc.ErrKey) {
		t.Errorf("MAC with another device's key: %v", err)
	}
	own := testkit.Agreer(t, ecdh.P256())
	s2, err := mdoc.ParseIssuerSigned(a.issue(t, a.params(own.Public(), mdoc.Element{ID: "x", Value: []byte{0}})))
	if err != nil {
		t.Fatal(err)
	}
	p2, err := s2.Select(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p2.MAC(t.Context(), demoTranscript(), own, testkit.Agreer(t, ecdh.P384()).Public()); !errors.Is(err, mdoc.ErrKey) {
		t.Errorf("MAC across curves: %v", err)
	}
	if err := p2.Finish(make([]byte, 64)); !errors.Is(err, mdoc.ErrSyntax) {
		t.Errorf("finish without prepare: %v", err)
	}
}

// Selecting from the bytes and from the parsed document gives the same answer.
func TestSelectAgrees(t *testing.T) {
	a, device := newAuthority(t), testkit.Ed25519(t) // whose signatures are the same each time
	stored := a.issue(t, a.params(device.Public(), mdoctest.Licence("UT-1")...))
	for _, wanted := range [][]mdoc.ElementRef{nil, mdoctest.Six(), append(mdoctest.Six(), mdoctest.Six()[0])} {
		s, err := mdoc.ParseIssuerSigned(stored)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Select(wanted)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Sign(t.Context(), demoTranscript(), device); err != nil {
			t.Fatal(err)
		}
		want, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, "response", present(t, stored, device, demoTranscript(), wanted), want)
	}
}

func TestDeviceSignedElements(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	ip := a.params(device.Public(), mdoc.Element{ID: "family_name", Value: text("Doe")})
	ip.KeyAuthorizations = mdoc.KeyAuthorizations{NameSpaces: []string{mdoc.NameSpaceMDL}, Elements: []mdoc.ElementRef{{NameSpace: "com.example.pay", ID: "payment"}}}
	s, err := mdoc.ParseIssuerSigned(a.issue(t, ip))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Select([]mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"}})
	if err != nil {
		t.Fatal(err)
	}
	one := func(ns, id string) []mdoc.DeviceNameSpace {
		return []mdoc.DeviceNameSpace{{Name: ns, Elements: []mdoc.DeviceElement{{ID: id, Value: text("20.20 usd")}}}}
	}
	for what, ns := range map[string][]mdoc.DeviceNameSpace{
		"not authorised":     one("com.example.pay", "other"),
		"issuer signed too":  one(mdoc.NameSpaceMDL, "family_name"),
		"name space twice":   append(one("com.example.pay", "payment"), one("com.example.pay", "payment")...),
		"empty name space":   {{Name: "com.example.pay"}},
		"value not an item":  {{Name: "com.example.pay", Elements: []mdoc.DeviceElement{{ID: "payment", Value: []byte{0x61}}}}},
		"element identified": one("com.example.pay", ""),
	} {
		if err := p.SignElements(ns); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if err := p.SignElements(one("com.example.pay", "payment")); err != nil {
		t.Fatal(err)
	}
	p.AddErrors([]mdoc.ElementError{{ElementRef: mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: "portrait"}, Code: 0}})
	if err := p.Sign(t.Context(), demoTranscript(), device); err != nil {
		t.Fatal(err)
	}
	response, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, []mdoc.DocumentError{{DocType: "org.example.other", Code: -3}})
	if err != nil {
		t.Fatal(err)
	}
	d := parseResponse(t, response)
	if len(d.Errors) != 1 || d.Errors[0].Code != -3 || len(d.Documents[0].Errors) != 1 || d.Documents[0].Errors[0].ID != "portrait" {
		t.Errorf("errors: %+v %+v", d.Errors, d.Documents[0].Errors)
	}
	res, rep := mdoc.Verify(t.Context(), &d.Documents[0], a.verify(t, demoTranscript()))
	if !rep.OK() || len(res.DeviceSigned) != 1 || res.DeviceSigned[0].Elements[0].ID != "payment" {
		t.Errorf("result %+v\n%s", res, rep)
	}
	// Without a transcript nobody vouches for what the device says.
	res, rep = mdoc.Verify(t.Context(), &d.Documents[0], a.verify(t, nil))
	if !rep.OK() || res.DeviceSigned != nil || res.DeviceVerified {
		t.Errorf("without transcript: %+v\n%s", res, rep)
	}
}

func TestRequestSignatures(t *testing.T) {
	a := newAuthority(t)
	want := []mdoc.DocRequest{
		{DocType: mdoc.DocTypeMDL, NameSpaces: []mdoc.RequestedNameSpace{{Name: mdoc.NameSpaceMDL, Elements: []mdoc.RequestedElement{{ID: "age_over_18"}}}}},
		{DocType: "org.example", NameSpaces: []mdoc.RequestedNameSpace{{Name: "org.example", Elements: []mdoc.RequestedElement{{ID: "level", IntentToRetain: true}}}}},
	}
	for _, all := range []bool{false, true} {
		raw, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: want,
			Reader: &mdoc.ReaderSigner{Key: a.key, Chain: [][]byte{a.signer.Raw}, Transcript: demoTranscript(), All: all}})
		if err != nil {
			t.Fatal(err)
		}
		req, err := mdoc.ParseDeviceRequest(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := mdoc.VerifyReader(req, demoTranscript(), nil); got.Verdict != mdoc.ReaderValid || !bytes.Equal(got.Chain[0], a.signer.Raw) || got.Documents[1] != mdoc.ReaderValid {
			t.Errorf("all %v: %+v", all, got)
		}
		if got := mdoc.VerifyReader(req, demoTranscript()[:len(demoTranscript())-1], nil); got.Verdict != mdoc.ReaderInvalid || got.Documents[0] != mdoc.ReaderInvalid {
			t.Errorf("all %v: another transcript: %+v", all, got)
		}
		// The second document loses its signature, or is changed.
		if !all {
			req.Documents[1].ReaderAuth = nil
			if got := mdoc.VerifyReader(req, demoTranscript(), nil); got.Verdict != mdoc.ReaderNone || got.Chain != nil || got.Documents[0] != mdoc.ReaderValid {
				t.Errorf("half signed: %+v", got)
			}
			continue
		}
		req.Documents[1].Raw = bytes.Clone(req.Documents[1].Raw)
		req.Documents[1].Raw[len(req.Documents[1].Raw)-1] ^= 1
		if got := mdoc.VerifyReader(req, demoTranscript(), nil); got.Verdict != mdoc.ReaderInvalid {
			t.Errorf("changed: %+v", got)
		}
	}
	// Two readers, one signature each: the person would be shown one name.
	b := newAuthority(t)
	var reqs []*mdoc.DeviceRequest
	for _, r := range []*authority{a, b} {
		raw, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: want,
			Reader: &mdoc.ReaderSigner{Key: r.key, Chain: [][]byte{r.signer.Raw}, Transcript: demoTranscript()}})
		if err != nil {
			t.Fatal(err)
		}
		req, err := mdoc.ParseDeviceRequest(raw)
		if err != nil {
			t.Fatal(err)
		}
		reqs = append(reqs, req)
	}
	reqs[0].Documents[1] = reqs[1].Documents[1]
	if got := mdoc.VerifyReader(reqs[0], demoTranscript(), nil); got.Verdict != mdoc.ReaderInvalid {
		t.Errorf("two readers: %s", got.Verdict)
	}
	if got := mdoc.VerifyReader(&mdoc.DeviceRequest{}, demoTranscript(), nil); got.Verdict != mdoc.ReaderNone {
		t.Errorf("nothing asked: %s", got.Verdict)
	}
}

func TestLint(t *testing.T) {
	a, device := newAuthority(t), p256(t)
	name := mdoc.Element{ID: "family_name", Value: text("Doe")}
	for what, c := range map[string]struct {
		change func(p *mdoc.IssueParams)
		check  string
	}{
		"too long":     {func(p *mdoc.IssueParams) { p.Validity.ValidUntil = a.signer.NotAfter.AddDate(0, 0, 1) }, "validity within signer's"},
		"too early":    {func(p *mdoc.IssueParams) { p.Validity.Signed = a.signer.NotBefore.AddDate(0, 0, -1) }, "validity within signer's"},
		"root":         {func(p *mdoc.IssueParams) { p.Chain = append(p.Chain, a.root.Raw) }, "x5chain"},
		"other signer": {func(p *mdoc.IssueParams) { p.Chain = [][]byte{newAuthority(t).signer.Raw} }, "issuer signature"},
		"not DER":      {func(p *mdoc.IssueParams) { p.Chain = [][]byte{{0x30}} }, "x5chain"},
	} {
		p := a.params(device.Public(), name)
		c.change(&p)
		rep := mdoc.Lint(a.issue(t, p))
		if got, ok := rep.Find(c.check); !ok || got.Outcome != "fail" {
			t.Errorf("%s: %s is %q\n%s", what, c.check, got.Outcome, rep)
		}
	}
	if rep := mdoc.Lint([]byte{0xa0}); rep.OK() {
		t.Error("nothing passes")
	}
	// The standard's own example breaks the rule of the second edition only.
	response, _ := annexD(t)
	rep := mdoc.Lint(parseResponse(t, response).Documents[0].IssuerSigned.Raw)
	if failed := rep.Failed(); len(failed) != 1 || failed[0].Name != "validity within signer's" {
		t.Errorf("Annex D: %v", failed)
	}
}
