package mdoc_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
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

// licence are 30 elements with a portrait of 20 KiB.
func licence() []mdoc.Element {
	date := cbor.AppendFullDate(nil, cbor.FullDate{Year: 2024, Month: 5, Day: 6})
	portrait := make([]byte, 20<<10)
	rand.Read(portrait)
	e := []mdoc.Element{
		{ID: "family_name", Value: text("Mustermann")}, {ID: "given_name", Value: text("Erika")},
		{ID: "birth_date", Value: date}, {ID: "issue_date", Value: date}, {ID: "expiry_date", Value: date},
		{ID: "issuing_country", Value: text("UT")}, {ID: "issuing_authority", Value: text("Utopia Roads")},
		{ID: "document_number", Value: text("A123456789")}, {ID: "portrait", Value: cbor.AppendBytes(nil, portrait)},
		{ID: "un_distinguishing_sign", Value: text("UT")}, {ID: "issuing_jurisdiction", Value: text("UT-1")},
		{ID: "sex", Value: cbor.AppendUint(nil, 2)}, {ID: "height", Value: cbor.AppendUint(nil, 170)},
		{ID: "nationality", Value: text("UT")}, {ID: "resident_city", Value: text("Capital")},
		{ID: "resident_postal_code", Value: text("12345")}, {ID: "resident_country", Value: text("UT")},
		{ID: "resident_address", Value: text("Main Street 1")}, {ID: "age_in_years", Value: cbor.AppendUint(nil, 42)},
	}
	privilege := cbor.AppendText(cbor.AppendText(cbor.AppendMap(cbor.AppendArray(nil, 1), 1), "vehicle_category_code"), "B")
	e = append(e, mdoc.Element{ID: "driving_privileges", Value: privilege})
	for nn := 15; len(e) < 30; nn++ {
		e = append(e, mdoc.Element{ID: fmt.Sprintf("age_over_%02d", nn), Value: cbor.AppendBool(nil, true)})
	}
	return e
}

// six are the elements that a reader asks for in the benchmarks.
func six() []mdoc.ElementRef {
	var out []mdoc.ElementRef
	for _, id := range []string{"family_name", "given_name", "portrait", "age_over_18", "document_number", "driving_privileges"} {
		out = append(out, mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: id})
	}
	return out
}

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
