package owf_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// The name space that tries the encodings which the mDL's does not have.
const nameSpaceOther = "org.example.interop.1"

// authority is an issuing authority or a reader CA with one signer.
type authority struct {
	root, signer *x509.Certificate
	key          *testkit.Key // the signer's
}

func newAuthority(t testing.TB, ca, leaf pki.Profile, curve elliptic.Curve) authority {
	t.Helper()
	rootKey, key := testkit.Signer(t, curve), testkit.Signer(t, curve)
	certify := func(p pki.Profile, cn string, lifetime time.Duration, issuer *x509.Certificate, k *testkit.Key) *x509.Certificate {
		t.Helper()
		tpl := pki.Template{
			Subject:   pki.Name{Country: "UT", State: "UT-North", Organization: "Utopia Roads", CommonName: cn},
			PublicKey: k.Public(), Issuer: issuer, Contact: "ca@utopia.example", CRLURL: "http://crl.utopia.example/1",
		}
		tpl.NotBefore, tpl.NotAfter = pki.Validity(now, lifetime)
		return pkitest.Issue(t, p, tpl, rootKey)
	}
	a := authority{key: key}
	a.root = certify(ca, "Utopia root", 5*365*24*time.Hour, nil, rootKey)
	a.signer = certify(leaf, "Utopia signer", 400*24*time.Hour, a.root, key)
	return a
}

func newIssuer(t testing.TB, curve elliptic.Curve) authority {
	return newAuthority(t, pki.IACARoot, pki.DocumentSigner, curve)
}

// trusting are the anchors that hold only this authority.
func (a authority) trusting(t testing.TB, p trustlist.Purpose) *assure.Anchors {
	t.Helper()
	anchors, err := assure.NewAnchors(assure.FromCertificates(p, "test", a.root)...)
	if err != nil {
		t.Fatal(err)
	}
	return anchors
}

func validity() mdoc.Validity {
	midnight := now.Truncate(24 * time.Hour)
	return mdoc.Validity{Signed: midnight, ValidFrom: midnight, ValidUntil: midnight.AddDate(0, 0, 14), ExpectedUpdate: midnight.AddDate(0, 0, 7)}
}

// issue makes a document with everything that we may put into one.
func (a authority) issue(t testing.TB, device *testkit.Key, content []mdoc.NameSpace) []byte {
	t.Helper()
	b, err := mdoc.Issue(t.Context(), mdoc.IssueParams{
		DocType: mdoc.DocTypeMDL, NameSpaces: content, DeviceKey: device.Public(), Validity: validity(),
		Status: &status.Claim{List: &status.ListReference{Index: 412, URI: "https://issuer.example/status/1"}},
		Decoys: 3, Chain: [][]byte{a.signer.Raw}, X5T: true,
	}, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// issuing asks the peer for the same document.
func (a authority) issuing(t testing.TB, device *testkit.Key, content []mdoc.NameSpace) task {
	t.Helper()
	v := validity()
	return task{
		"do": "issue", "docType": mdoc.DocTypeMDL, "nameSpaces": spelled(content), "signer": a.key.JWK(t), "chain": hexes(a.signer.Raw),
		"deviceKey": device.JWK(t), "digestAlgorithm": mdoc.SHA256,
		"validity": map[string]time.Time{"signed": v.Signed, "validFrom": v.ValidFrom, "validUntil": v.ValidUntil, "expectedUpdate": v.ExpectedUpdate},
	}
}

func text(s string) []byte { return cbor.AppendText(nil, s) }

// licence is a driving licence with a portrait and, in a name space of its
// own, values of every type that both sides keep to the byte.
func licence() []mdoc.NameSpace {
	birth := cbor.AppendFullDate(nil, cbor.FullDate{Year: 1984, Month: 2, Day: 29})
	issued := cbor.AppendFullDate(nil, cbor.DateOf(now))
	privileges := cbor.AppendArray(nil, 1)
	privileges = cbor.AppendMap(privileges, 3)
	privileges = cbor.AppendText(cbor.AppendText(privileges, "vehicle_category_code"), "B")
	privileges = append(cbor.AppendText(privileges, "issue_date"), issued...)
	privileges = append(cbor.AppendText(privileges, "expiry_date"), issued...)
	nested := cbor.AppendMap(nil, 2)
	nested = cbor.AppendArray(cbor.AppendText(nested, "list"), 2)
	nested = cbor.AppendBytes(cbor.AppendNull(nested), []byte{1, 2, 3})
	nested = cbor.AppendInt(cbor.AppendText(nested, "b"), -70000)
	return []mdoc.NameSpace{
		{Name: mdoc.NameSpaceMDL, Elements: []mdoc.Element{
			{ID: "family_name", Value: text("Müller-Łukaszewicz von und zu Þórshöfn, die Ältere 李")}, {ID: "given_name", Value: text("Erika")},
			{ID: "birth_date", Value: birth}, {ID: "issue_date", Value: issued},
			{ID: "expiry_date", Value: cbor.AppendTDate(nil, now)},
			{ID: "issuing_country", Value: text("UT")}, {ID: "issuing_jurisdiction", Value: text("UT-North")},
			{ID: "issuing_authority", Value: text("Utopia Roads")}, {ID: "document_number", Value: text("A123456789")},
			{ID: "portrait", Value: cbor.AppendBytes(nil, bytes.Repeat([]byte{0xff, 0xd8, 0x00, 0x1a, 0x7e}, 4<<10))},
			{ID: "driving_privileges", Value: privileges}, {ID: "un_distinguishing_sign", Value: text("UTO")},
			{ID: "height", Value: cbor.AppendUint(nil, 170)}, {ID: "sex", Value: cbor.AppendUint(nil, 2)},
			{ID: "age_over_18", Value: cbor.AppendBool(nil, true)}, {ID: "age_over_21", Value: cbor.AppendBool(nil, true)},
			{ID: "age_over_65", Value: cbor.AppendBool(nil, false)},
		}},
		{Name: nameSpaceOther, Elements: []mdoc.Element{
			{ID: "empty", Value: text("")}, {ID: "bytes", Value: cbor.AppendBytes(nil, nil)}, {ID: "null", Value: cbor.AppendNull(nil)},
			{ID: "zero", Value: cbor.AppendUint(nil, 0)}, {ID: "largest", Value: cbor.AppendUint(nil, 1<<64-1)},
			{ID: "negative", Value: cbor.AppendInt(nil, -1)}, {ID: "nested", Value: nested},
			{ID: "fraction of 64 bits", Value: []byte{0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a}}, // 1.1
		}},
	}
}

// selection is what the verifiers of these tests want of a licence.
func selection() []mdoc.ElementRef {
	var refs []mdoc.ElementRef
	for _, id := range []string{"family_name", "birth_date", "expiry_date", "issuing_country", "issuing_jurisdiction", "portrait", "driving_privileges", "age_over_21"} {
		refs = append(refs, mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: id})
	}
	for _, e := range licence()[1].Elements {
		refs = append(refs, mdoc.ElementRef{NameSpace: nameSpaceOther, ID: e.ID})
	}
	return refs
}

// only is the content cut down to some elements.
func only(content []mdoc.NameSpace, refs []mdoc.ElementRef) []mdoc.NameSpace {
	var out []mdoc.NameSpace
	for _, ns := range content {
		kept := mdoc.NameSpace{Name: ns.Name}
		for _, e := range ns.Elements {
			for _, r := range refs {
				if r.NameSpace == ns.Name && r.ID == e.ID {
					kept.Elements = append(kept.Elements, e)
				}
			}
		}
		out = append(out, kept)
	}
	return out
}

// spelled is content as the peer takes and gives it, and as the two are compared.
func spelled(content []mdoc.NameSpace) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, ns := range content {
		out[ns.Name] = map[string]string{}
		for _, e := range ns.Elements {
			out[ns.Name][e.ID] = hex.EncodeToString(e.Value)
		}
	}
	return out
}
