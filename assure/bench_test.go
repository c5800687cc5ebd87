package assure_test

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/mdoc/mdoctest"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
)

// The figures of docs/performance.md: what it costs to issue, present and
// verify an mDL of 30 elements with a portrait of 20 KiB, in raw P-256
// operations measured in the same run.

func BenchmarkIssue(b *testing.B) {
	l := newLicence(b)
	testkit.Ratio(b, testkit.NewRaw(b).Sign, "signatures", func() { l.issue(b) })
}

// BenchmarkPresent presents six elements, from stored bytes to the encoded response.
func BenchmarkPresent(b *testing.B) {
	l := newLicence(b)
	stored := l.issue(b)
	testkit.Ratio(b, testkit.NewRaw(b).Sign, "signatures", func() { l.present(b, stored) })
}

// BenchmarkVerify verifies the presentation from bytes to verdict: certificate
// parsed and checked against its profile, chain to the root.
func BenchmarkVerify(b *testing.B) {
	l := newLicence(b)
	response := l.present(b, l.issue(b))
	p := assure.DocumentParams{Now: now, DocType: mdoc.DocTypeMDL, Transcript: l.transcript, RequireDeviceAuth: true}
	testkit.Ratio(b, testkit.NewRaw(b).Verify, "verifications", func() {
		doc, report := assure.VerifyDocument(context.Background(), l.document(b, response), p)
		l.must(b, doc.Result, report)
	}, func() { p.Anchors = strangers(b, l.root) })
}

// strangers are anchors that have not met the signer.
func strangers(b *testing.B, root *x509.Certificate) *assure.Anchors {
	a, err := assure.NewAnchors(assure.Anchor{Purpose: trustlist.Issuer, Certificate: root})
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// BenchmarkVerifyChainKnown is for a verifier that has met the signer before.
func BenchmarkVerifyChainKnown(b *testing.B) {
	l := newLicence(b)
	response := l.present(b, l.issue(b))
	p := assure.DocumentParams{Now: now, Anchors: l.anchors, DocType: mdoc.DocTypeMDL, Transcript: l.transcript, RequireDeviceAuth: true}
	testkit.Ratio(b, testkit.NewRaw(b).Verify, "verifications", func() {
		doc, report := assure.VerifyDocument(context.Background(), l.document(b, response), p)
		l.must(b, doc.Result, report)
	})
}

// BenchmarkVerifySDJWT verifies a presentation of six of twenty claims in the
// same way: three signatures, the chain from x5c.
func BenchmarkVerifySDJWT(b *testing.B) {
	c := newCredential(b)
	var six []sdjwt.Path
	for n := len(c.params.Claims); n < 20; n++ {
		name := fmt.Sprintf("claim_%d", n)
		c.params.Claims = append(c.params.Claims, sdjwt.Node{Name: name, SD: sdjwt.Always, Value: []byte(`"a value of usual length"`)})
		if len(six) < 6 {
			six = append(six, sdjwt.Path{name})
		}
	}
	text, p := c.present(b, kb, c.holder, six...), c.verify(b)
	testkit.Ratio(b, testkit.NewRaw(b).Verify, "verifications", func() {
		s, err := sdjwt.Parse(text, sdjwt.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if got, report := assure.VerifySDJWT(context.Background(), s, p); !report.OK() || !got.HolderVerified || got.Payload == nil {
			b.Fatal(report)
		}
	}, func() { p.Anchors = strangers(b, c.root) })
}

// licence is a mobile driving licence to be, with all who take part.
type licence struct {
	root       *x509.Certificate
	anchors    *assure.Anchors
	signer     *x509.Certificate
	signerKey  *testkit.Key
	device     *testkit.Key
	params     mdoc.IssueParams
	six        []mdoc.ElementRef
	transcript []byte
}

func newLicence(b *testing.B) *licence {
	b.Helper()
	rootKey := testkit.Signer(b, elliptic.P256())
	l := &licence{signerKey: testkit.Signer(b, elliptic.P256()), device: testkit.Signer(b, elliptic.P256()), six: mdoctest.Six()}
	from, until := pki.Validity(now, 400*24*time.Hour)
	root := pkitest.Issue(b, pki.IACARoot, pki.Template{
		Subject:   pki.Name{Country: "UT", State: "UT-North", Organization: "Utopia Roads", CommonName: "Utopia IACA"},
		PublicKey: rootKey.Public(), NotBefore: from, NotAfter: until, Contact: "https://iaca.utopia.example",
	}, rootKey)
	l.signer = pkitest.Issue(b, pki.DocumentSigner, pki.Template{
		Subject:   pki.Name{Country: "UT", State: "UT-North", Organization: "Utopia Roads", CommonName: "Utopia document signer 1"},
		PublicKey: l.signerKey.Public(), Issuer: root, NotBefore: from, NotAfter: until, CRLURL: "https://iaca.utopia.example/crl",
	}, rootKey)
	l.root, l.anchors = root, trusting(b, trustlist.Issuer, root)
	midnight := now.Truncate(24 * time.Hour)
	l.params = mdoc.IssueParams{
		DocType: mdoc.DocTypeMDL, NameSpaces: []mdoc.NameSpace{{Name: mdoc.NameSpaceMDL, Elements: mdoctest.Licence("UT-North")}},
		DeviceKey: l.device.Public(), Chain: [][]byte{l.signer.Raw},
		Validity: mdoc.Validity{Signed: midnight, ValidFrom: midnight, ValidUntil: midnight.AddDate(0, 0, 14)},
		Status:   &status.Claim{List: &status.ListReference{Index: 4711, URI: "https://issuer.utopia.example/status/1"}},
	}
	l.transcript = mdoc.TranscriptOpenID4VP("x509_san_dns:verifier.example", "nonce", nil, "https://verifier.example/response")
	return l
}

func (l *licence) issue(b *testing.B) []byte {
	stored, err := mdoc.Issue(context.Background(), l.params, l.signerKey)
	if err != nil {
		b.Fatal(err)
	}
	return stored
}

func (l *licence) present(b *testing.B, stored []byte) []byte {
	p, err := mdoc.Select(stored, l.six)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Sign(context.Background(), l.transcript, l.device); err != nil {
		b.Fatal(err)
	}
	response, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return response
}

func (l *licence) document(b *testing.B, response []byte) *mdoc.Document {
	r, err := mdoc.ParseDeviceResponse(response)
	if err != nil {
		b.Fatal(err)
	}
	return &r.Documents[0]
}

func (l *licence) must(b *testing.B, r mdoc.Result, report check.Report) {
	if !report.OK() || !r.DeviceVerified || len(r.NameSpaces[0].Elements) != len(l.six) {
		b.Fatalf("%+v\n%s", r, report)
	}
}
