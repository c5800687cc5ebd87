// Package owf_test lets eidos talk to @owf/mdoc, a mobile document library in
// TypeScript: each issues, presents, asks and verifies, and the other is its
// counterpart. README.md says more.
package owf_test

import (
	"bytes"
	"crypto/elliptic"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/google/go-cmp/cmp"
)

// flip is a message with one bit changed.
type flip struct {
	what  string
	bytes []byte
	// refusal is what the peer must say, among other things.
	refusal string
}

// flipped changes one bit in the middle of part, which occurs once in message.
func flipped(t testing.TB, message, part []byte, what, refusal string) flip {
	t.Helper()
	i := bytes.Index(message, part)
	if i < 0 || bytes.Contains(message[i+1:], part) {
		t.Fatalf("%s does not occur exactly once", what)
	}
	out := bytes.Clone(message)
	out[i+len(part)/2] ^= 1
	return flip{what, out, refusal}
}

// flips changes what the issuer signed.
func flips(t testing.TB, message []byte, s *mdoc.IssuerSigned) []flip {
	t.Helper()
	name := s.Item(mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"})
	portrait := s.Item(mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: "portrait"})
	var digest []byte
	for _, ns := range s.Auth.MSO.ValueDigests {
		for _, d := range ns.Digests {
			if ns.Name == mdoc.NameSpaceMDL && d.ID == name.DigestID {
				digest = d.Value
			}
		}
	}
	return []flip{
		flipped(t, message, portrait.Value, "portrait", "/portrait attribute must match the digest"),
		flipped(t, message, name.Random, "salt", "/family_name attribute must match the digest"),
		flipped(t, message, digest, "digest", "Issuer auth signature is invalid"),
		flipped(t, message, s.Auth.Sign1.Signature, "issuer's signature", "Issuer auth signature is invalid"),
	}
}

// reparse finds the issuer's part in a message that one side made.
func reparse(t testing.TB, issuerSigned []byte) *mdoc.IssuerSigned {
	t.Helper()
	s, err := mdoc.ParseIssuerSigned(issuerSigned)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refused fails the test unless the peer refused for the reason expected.
func refused(t testing.TB, what string, a answer, reason string) {
	t.Helper()
	if a.OK {
		t.Errorf("%s: they accepted it", what)
	} else if !strings.Contains(a.Why, reason) {
		t.Errorf("%s: they refused it because %s, not %s", what, a.Why, reason)
	}
}

// noteworthy lists the checks that did not pass.
func noteworthy(r check.Report) []string {
	var names []string
	for _, c := range r.Checks {
		if (c.Outcome == check.Warn && c.Name != "digest identifier") || c.Outcome == check.Fail { // theirs are too large half of the time
			names = append(names, fmt.Sprintf("%s: %s", c.Name, c.Seen))
		}
	}
	return names
}

// Documents of either side, on every curve, are verified by both with the root
// alone as trust anchor, and hold what went in. One flipped bit is noticed.
func TestIssued(t *testing.T) {
	content := licence()
	device := testkit.Signer(t, elliptic.P256())
	type document struct {
		name  string
		by    authority
		bytes []byte
	}
	var documents []document
	var issuing []task
	curves := []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}
	for _, curve := range curves {
		a := newIssuer(t, curve)
		issuing = append(issuing, a.issuing(t, device, content))
		documents = append(documents,
			document{"ours on " + curve.Params().Name, a, a.issue(t, device, content)},
			document{"theirs on " + curve.Params().Name, a, nil})
	}
	for i, a := range peer.Done(t, issuing...) {
		documents[2*i+1].bytes = unhex(t, a.IssuerSigned)
	}

	var accepting []task
	var changed []flip
	for _, d := range documents {
		s := reparse(t, d.bytes)
		p := assure.DocumentParams{Now: now, Anchors: d.by.trusting(t, trustlist.Issuer), DocType: mdoc.DocTypeMDL, Strict: true}
		doc, report := assure.VerifyIssued(t.Context(), s, p)
		if names := noteworthy(report); names != nil {
			t.Errorf("%s: %v", d.name, names)
		}
		if diff := cmp.Diff(spelled(content), spelled(doc.NameSpaces)); diff != "" {
			t.Errorf("%s, read by us (-issued +read):\n%s", d.name, diff)
		}
		for _, f := range append(flips(t, d.bytes, s), flip{d.name, d.bytes, ""}) {
			if f.refusal != "" {
				f.what = d.name + ", " + f.what
				if s, err := mdoc.ParseIssuerSigned(f.bytes); err == nil {
					if _, report := assure.VerifyIssued(t.Context(), s, p); report.OK() {
						t.Errorf("%s: we accepted one flipped bit", f.what)
					}
				}
			}
			changed = append(changed, f)
			accepting = append(accepting, task{"do": "accept", "issuerSigned": hexes(f.bytes)[0], "anchors": hexes(d.by.root.Raw), "now": now})
		}
	}
	for i, a := range peer.Ask(t, accepting...) {
		switch f := changed[i]; {
		case f.refusal != "":
			refused(t, f.what, a, f.refusal)
		case !a.OK:
			t.Errorf("%s: they refused it: %s", f.what, a.Why)
		default:
			if diff := cmp.Diff(spelled(content), a.Elements); diff != "" {
				t.Errorf("%s, read by them (-issued +read):\n%s", f.what, diff)
			}
		}
	}
}

// Documents of somebody else's authority, and documents past their time, are
// refused by both.
func TestUntrusted(t *testing.T) {
	a, stranger := newIssuer(t, elliptic.P256()), newIssuer(t, elliptic.P256())
	device, late := testkit.Signer(t, elliptic.P256()), validity().ValidUntil.AddDate(0, 0, 1)
	theirs := unhex(t, peer.Done(t, a.issuing(t, device, licence()))[0].IssuerSigned)
	for by, b := range map[string][]byte{"our document": a.issue(t, device, licence()), "their document": theirs} {
		accept := func(by authority, at time.Time) task {
			return task{"do": "accept", "issuerSigned": hexes(b)[0], "anchors": hexes(by.root.Raw), "now": at}
		}
		answers := peer.Ask(t, accept(stranger, now), accept(a, late))
		refused(t, by+" under another root", answers[0], "no trusted certificate issued")
		refused(t, by+", too late", answers[1], "must be valid at the time of verification")
		for _, p := range []assure.DocumentParams{
			{Now: now, Anchors: stranger.trusting(t, trustlist.Issuer)}, {Now: late, Anchors: a.trusting(t, trustlist.Issuer)},
		} {
			if _, report := assure.VerifyIssued(t.Context(), reparse(t, b), p); report.OK() {
				t.Errorf("%s: we accepted it at %s under %s", by, p.Now, p.Anchors.For(trustlist.Issuer)[0].Name)
			}
		}
	}
}

// presentation is one document shown in one conversation.
type presentation struct {
	name         string
	issuer       authority
	conversation conversation
	issuerSigned []byte
	mac          bool
	response     []byte
}

// us presents as our holder does.
func (p *presentation) us(t testing.TB) {
	t.Helper()
	shown, err := reparse(t, p.issuerSigned).Select(selection())
	if err != nil {
		t.Fatal(err)
	}
	c := p.conversation
	if p.mac {
		err = shown.MAC(t.Context(), c.transcript, agreer(t, c.device), agreer(t, c.reader).Public())
	} else {
		err = shown.Sign(t.Context(), c.transcript, c.device)
	}
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	if p.response, err = mdoc.EncodeResponse([]*mdoc.Presentation{shown}, nil); err != nil {
		t.Fatal(err)
	}
}

// them asks the peer to present.
func (p *presentation) them(t testing.TB, request []byte) task {
	t.Helper()
	return p.withKey(t, task{
		"do": "present", "issuerSigned": hexes(p.issuerSigned)[0], "request": hexes(request)[0],
		"transcript": p.conversation.told, "deviceKey": p.conversation.device.JWK(t),
	})
}

func (p *presentation) withKey(t testing.TB, x task) task {
	if p.mac {
		x["readerKey"] = p.conversation.reader.JWK(t)
	}
	return x
}

// verifying asks the peer to verify.
func (p *presentation) verifying(t testing.TB, response, request []byte, told task) task {
	t.Helper()
	return p.withKey(t, task{
		"do": "verify", "response": hexes(response)[0], "request": hexes(request)[0], "transcript": told,
		"anchors": hexes(p.issuer.root.Raw), "now": now,
	})
}

// verify is our verifier's view of a response.
func (p *presentation) verify(t testing.TB, response, transcript []byte) (assure.Document, check.Report) {
	t.Helper()
	r, err := mdoc.ParseDeviceResponse(response)
	if err != nil || len(r.Documents) != 1 {
		var report check.Report
		report.Fail("parse", "", fmt.Sprint(err), "")
		return assure.Document{}, report
	}
	params := assure.DocumentParams{
		Now: now, Anchors: p.issuer.trusting(t, trustlist.Issuer), DocType: mdoc.DocTypeMDL,
		Transcript: transcript, RequireDeviceAuth: true, Strict: true,
	}
	if p.mac {
		params.EReaderKey = agreer(t, p.conversation.reader)
	}
	return assure.VerifyDocument(t.Context(), &r.Documents[0], params)
}

// presentations are documents of both issuers, shown by both holders in every
// conversation, with a signature and, where the reader has a key, with a MAC.
func presentations(t testing.TB, request []byte) []*presentation {
	t.Helper()
	var all, theirs []*presentation
	var issuing, presenting []task
	meetings := conversations(t)
	issuer, content := newIssuer(t, elliptic.P256()), licence()
	for _, c := range meetings {
		issuing = append(issuing, issuer.issuing(t, c.device, content))
	}
	issued := peer.Done(t, issuing...)
	for i, c := range meetings {
		for by, b := range map[string][]byte{"our document": issuer.issue(t, c.device, content), "their document": unhex(t, issued[i].IssuerSigned)} {
			for _, mac := range []bool{false, true} {
				if mac && c.reader == nil {
					continue
				}
				proof := map[bool]string{false: "signed", true: "MACed"}[mac]
				p := &presentation{name: fmt.Sprintf("%s, %s %s", c.name, by, proof), issuer: issuer, conversation: c, issuerSigned: b, mac: mac}
				q := new(presentation)
				*q = *p
				p.name, q.name = p.name+" by us", q.name+" by them"
				p.us(t)
				presenting = append(presenting, q.them(t, request))
				theirs = append(theirs, q)
				all = append(all, p, q)
			}
		}
	}
	for i, a := range peer.Done(t, presenting...) {
		theirs[i].response = unhex(t, a.Response)
	}
	return all
}

// What either holder shows is verified by both verifiers, which see exactly
// what was asked for. One flipped bit and another conversation are noticed.
func TestPresented(t *testing.T) {
	request := asking(t, nil)
	want := spelled(only(licence(), selection()))
	type verdict struct {
		p *presentation
		f flip
	}
	var verifying []task
	var verdicts []verdict
	expect := func(p *presentation, f flip, told task) {
		verdicts = append(verdicts, verdict{p, f})
		verifying = append(verifying, p.verifying(t, f.bytes, request, told))
	}
	for _, p := range presentations(t, request) {
		doc, report := p.verify(t, p.response, p.conversation.transcript)
		if names := noteworthy(report); names != nil {
			t.Errorf("%s: %v", p.name, names)
		}
		if diff := cmp.Diff(want, spelled(doc.NameSpaces)); diff != "" {
			t.Errorf("%s, read by us (-asked for +read):\n%s", p.name, diff)
		}
		expect(p, flip{bytes: p.response}, p.conversation.told)
		issuers := flips(t, p.response, onlyDocument(t, p.response))
		for _, f := range []flip{issuers[0], p.proofFlip(t)} { // TestIssued has the others
			if _, report := p.verify(t, f.bytes, p.conversation.transcript); report.OK() {
				t.Errorf("%s: we accepted one flipped bit in the %s", p.name, f.what)
			}
			expect(p, f, p.conversation.told)
		}
		elsewhere := task{"flow": "openid4vp", "clientId": "x509_san_dns:verifier.example", "nonce": "another", "responseUri": "https://verifier.example/"}
		if _, report := p.verify(t, p.response, mdoc.TranscriptOpenID4VP("x509_san_dns:verifier.example", "another", nil, "https://verifier.example/")); report.OK() {
			t.Errorf("%s: we accepted it in another conversation", p.name)
		}
		expect(p, flip{"conversation", p.response, p.refusal()}, elsewhere)
	}
	for i, a := range peer.Ask(t, verifying...) {
		p, f := verdicts[i].p, verdicts[i].f
		if f.what != "" {
			refused(t, p.name+", "+f.what, a, f.refusal)
			continue
		}
		if !a.OK || a.DocType != mdoc.DocTypeMDL {
			t.Errorf("%s: they refused %q: %s", p.name, a.DocType, a.Why)
		}
		if diff := cmp.Diff(want, a.Elements); diff != "" {
			t.Errorf("%s, read by them (-asked for +read):\n%s", p.name, diff)
		}
	}
}

func onlyDocument(t testing.TB, response []byte) *mdoc.IssuerSigned {
	t.Helper()
	r, err := mdoc.ParseDeviceResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	return &r.Documents[0].IssuerSigned
}

func (p *presentation) refusal() string {
	if p.mac {
		return "Device MAC must be valid"
	}
	return "Device signature must be valid"
}

// proofFlip changes what the device made.
func (p *presentation) proofFlip(t testing.TB) flip {
	t.Helper()
	r, err := mdoc.ParseDeviceResponse(p.response)
	if err != nil {
		t.Fatal(err)
	}
	d := r.Documents[0].DeviceSigned
	if p.mac {
		m, err := cose.ParseMac0(d.MAC)
		if err != nil {
			t.Fatal(err)
		}
		return flipped(t, p.response, m.Tag, "MAC", p.refusal())
	}
	s, err := cose.ParseSign1(d.Signature)
	if err != nil {
		t.Fatal(err)
	}
	return flipped(t, p.response, s.Signature, "device signature", p.refusal())
}
