package mdoc_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
)

var demoNow = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// authority is an issuing authority of a test: a root and a document signer.
type authority struct {
	root, signer *x509.Certificate
	key          *testkit.Key
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	rootKey, signerKey := testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"UT"}, CommonName: "Utopia IACA"},
		NotBefore: demoNow.AddDate(-1, 0, 0), NotAfter: demoNow.AddDate(8, 0, 0),
		IsCA: true, MaxPathLenZero: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	a := &authority{key: signerKey}
	a.root = certify(t, root, root, rootKey.Public(), rootKey)
	a.signer = certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{Country: []string{"UT"}, Province: []string{"UT-1"}, CommonName: "Utopia DS"},
		NotBefore: demoNow.AddDate(0, -1, 0), NotAfter: demoNow.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}, a.root, signerKey.Public(), rootKey)
	return a
}

func certify(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, by *testkit.Key) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, by.Private())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// params is a document of the authority with the given elements in one name space.
func (a *authority) params(device crypto.PublicKey, elements ...mdoc.Element) mdoc.IssueParams {
	return mdoc.IssueParams{
		DocType:    mdoc.DocTypeMDL,
		NameSpaces: []mdoc.NameSpace{{Name: mdoc.NameSpaceMDL, Elements: elements}},
		DeviceKey:  device,
		Validity:   mdoc.Validity{Signed: demoNow, ValidFrom: demoNow, ValidUntil: demoNow.AddDate(0, 0, 14)},
		Chain:      [][]byte{a.signer.Raw},
	}
}

func (a *authority) issue(t testing.TB, p mdoc.IssueParams) []byte {
	t.Helper()
	b, err := mdoc.Issue(t.Context(), p, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (a *authority) verify(t testing.TB, transcript []byte) mdoc.VerifyParams {
	return mdoc.VerifyParams{Now: demoNow.AddDate(0, 0, 1), ValidateChain: anchor(t, a.root.Raw), Transcript: transcript}
}

func text(s string) []byte { return cbor.AppendText(nil, s) }

// present shows elements of a stored document with a device signature.
func present(t testing.TB, stored []byte, device *testkit.Key, transcript []byte, elements []mdoc.ElementRef) []byte {
	t.Helper()
	p, err := mdoc.Select(stored, elements)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Sign(t.Context(), transcript, device); err != nil {
		t.Fatal(err)
	}
	b, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func demoTranscript() []byte {
	return mdoc.TranscriptOpenID4VP("x509_san_dns:verifier.example", "nonce", nil, "https://verifier.example/response")
}

func p256(t testing.TB) *testkit.Key { return testkit.Signer(t, elliptic.P256()) }
