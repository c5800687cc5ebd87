package openid4vp_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// format is a document in one of the two formats, with all that the tests do
// with it.
type format struct {
	name    string
	docType string
	id      string            // of the only credential that is asked for
	query   string            // for two elements of it
	ask     string            // the same for a verifier of ours
	values  map[string]string // what is to come of that
	// refusals are what a verifier of ours says of a presentation that is bound
	// to another part of the conversation; those that are not there, it is not
	// bound to.
	refusals map[string]string

	issue   func(u *utopia, t testing.TB, device crypto.PublicKey) []byte
	present func(t testing.TB, issued []byte, b binding, device *testkit.Key, pays string) string
	verify  func(presentation string, b binding, p assure.DocumentParams) (shown, error)
}

// shown is what is in a presentation that was verified.
type shown struct {
	names  []string // sorted
	hashes []sdjwt.TransactionHashes
}

// binding is what a presentation is bound to: an mdoc to the transcript, an
// SD-JWT VC to the others.
type binding struct {
	transcript      []byte
	audience, nonce string
}

func formats() []*format {
	return []*format{
		{
			name: query.FormatMdoc, docType: mdoc.DocTypeMDL, id: "licence", ask: "mdl@mdoc:family_name,age_over_18",
			query: `{"credentials":[{"id":"licence","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},
				"claims":[{"path":["org.iso.18013.5.1","family_name"]},{"path":["org.iso.18013.5.1","age_over_18"]}]}]}`,
			values:   map[string]string{"family_name": familyName, "age_over_18": "Yes"},
			refusals: map[string]string{"nonce": "device", "client": "device", "addressee": "device", "key": "device", "device": "device"},
			issue:    (*utopia).licence, present: presentMdoc, verify: verifyMdoc,
		}, {
			name: query.FormatSDJWT, docType: pidVCT, id: "pid", ask: "pid@sd-jwt:family_name,given_name",
			query:    familyAndGiven("pid", pidVCT),
			values:   map[string]string{"family_name": familyName, "given_name": "Erika"},
			refusals: map[string]string{"nonce": "'nonce' differs", "client": "'aud' differs", "device": "signature"},
			issue:    credential(pidVCT), present: presentSDJWT, verify: verifySDJWT,
		},
	}
}

// card is a customer card as SD-JWT VC, which may authorise what a PID may not.
func card() *format {
	const vct = "urn:utopia:card:1"
	return &format{
		name: query.FormatSDJWT, docType: vct, id: "card", query: familyAndGiven("card", vct),
		values: map[string]string{"family_name": familyName, "given_name": "Erika"},
		issue:  credential(vct), present: presentSDJWT, verify: verifySDJWT,
	}
}

func familyAndGiven(id, vct string) string {
	return `{"credentials":[{"id":"` + id + `","format":"dc+sd-jwt","meta":{"vct_values":["` + vct + `"]},
		"claims":[{"path":["family_name"]},{"path":["given_name"]}]}]}`
}

// midnight is when the documents were issued.
func midnight() time.Time { return time.Now().UTC().Truncate(day) }

// licence makes a driving licence for a device key, which may authorise payments.
func (u *utopia) licence(t testing.TB, device crypto.PublicKey) []byte {
	t.Helper()
	b, err := mdoc.Issue(t.Context(), mdoc.IssueParams{
		DocType: mdoc.DocTypeMDL, DeviceKey: device, Chain: [][]byte{u.ds.cert.Raw},
		Validity:          mdoc.Validity{Signed: midnight(), ValidFrom: midnight(), ValidUntil: midnight().Add(14 * day)},
		KeyAuthorizations: mdoc.KeyAuthorizations{Elements: []mdoc.ElementRef{*payment.Element}},
		NameSpaces: []mdoc.NameSpace{{Name: mdoc.NameSpaceMDL, Elements: []mdoc.Element{
			{ID: "family_name", Value: cbor.AppendText(nil, familyName)}, {ID: "given_name", Value: cbor.AppendText(nil, "Erika")},
			{ID: "age_over_18", Value: cbor.AppendBool(nil, true)}, {ID: "document_number", Value: cbor.AppendText(nil, "A123456789")},
		}}},
	}, u.ds)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// presentMdoc does not look whose key the device's is.
func presentMdoc(t testing.TB, issued []byte, b binding, device *testkit.Key, pays string) string {
	t.Helper()
	s, err := mdoc.ParseIssuerSigned(issued)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Select([]mdoc.ElementRef{{NameSpace: mdoc.NameSpaceMDL, ID: "family_name"}, {NameSpace: mdoc.NameSpaceMDL, ID: "age_over_18"}})
	if err != nil {
		t.Fatal(err)
	}
	if pays != "" {
		sum := sha256.Sum256([]byte(pays))
		element := mdoc.DeviceElement{ID: payment.Element.ID, Value: cbor.AppendBytes(nil, sum[:])}
		if err := p.SignElements([]mdoc.DeviceNameSpace{{Name: payment.Element.NameSpace, Elements: []mdoc.DeviceElement{element}}}); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, device, p.Finish)(p.Prepare(b.transcript))
	raw, err := mdoc.EncodeResponse([]*mdoc.Presentation{p}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return oid4vp.EncodeMdoc(raw)
}

// finish signs what was prepared, with any key.
func finish(t testing.TB, device *testkit.Key, finish func([]byte) error) func([]byte, error) {
	return func(message []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		signature, err := device.Sign(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		if err := finish(signature); err != nil {
			t.Fatal(err)
		}
	}
}

func verifyMdoc(presentation string, b binding, p assure.DocumentParams) (out shown, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(presentation)
	if err != nil {
		return out, err
	}
	resp, err := mdoc.ParseDeviceResponse(raw)
	if err != nil {
		return out, err
	}
	p.Transcript, p.RequireDeviceAuth = b.transcript, true
	doc, report := assure.VerifyDocument(context.Background(), &resp.Documents[0], p)
	if err := report.Err(); err != nil {
		return out, err
	}
	for _, ns := range doc.NameSpaces {
		for _, e := range ns.Elements {
			out.names = append(out.names, e.ID)
		}
	}
	for _, ns := range doc.DeviceSigned {
		for _, e := range ns.Elements {
			r := cbor.NewReader(e.Value)
			sum := r.Bytes()
			if err := r.Done(); err != nil {
				return out, err
			}
			out.hashes = append(out.hashes, sdjwt.TransactionHashes{Values: []string{base64.RawURLEncoding.EncodeToString(sum)}})
		}
	}
	slices.Sort(out.names)
	return out, nil
}

const pidVCT = "urn:eudi:pid:1"

// credential makes SD-JWT VCs of a type, for a device key each.
func credential(vct string) func(u *utopia, t testing.TB, device crypto.PublicKey) []byte {
	return func(u *utopia, t testing.TB, device crypto.PublicKey) []byte {
		t.Helper()
		return u.credential(t, vct, device)
	}
}

func (u *utopia) credential(t testing.TB, vct string, device crypto.PublicKey) []byte {
	t.Helper()
	claim := func(name, value string) sdjwt.Node {
		text, _ := json.Marshal(value) // strings always can
		return sdjwt.Node{Name: name, Value: text}
	}
	s, err := sdjwt.Issue(t.Context(), sdjwt.IssueParams{
		VCT: vct, IssuedAt: midnight(), NotBefore: midnight(), Expires: midnight().Add(14 * day), HolderKey: device, Decoys: 2,
		Claims: []sdjwt.Node{claim("family_name", familyName), claim("given_name", "Erika"), claim("birthdate", "1984-02-29")},
		Chain:  [][]byte{u.signer.cert.Raw},
	}, u.signer)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(s)
}

// presentSDJWT does not look whose key the device's is.
func presentSDJWT(t testing.TB, issued []byte, b binding, device *testkit.Key, pays string) string {
	t.Helper()
	p, err := sdjwt.Select(string(issued), []sdjwt.Path{{"family_name"}, {"given_name"}})
	if err != nil {
		t.Fatal(err)
	}
	kb := sdjwt.KeyBinding{Audience: b.audience, Nonce: b.nonce, IssuedAt: time.Now()}
	if pays != "" {
		sum := sha256.Sum256([]byte(pays))
		kb.Transactions.Values = []string{base64.RawURLEncoding.EncodeToString(sum[:])}
	}
	finish(t, device, p.Finish)(p.Prepare(kb))
	return p.String()
}

func verifySDJWT(presentation string, b binding, p assure.DocumentParams) (out shown, err error) {
	s, err := sdjwt.Parse(presentation, sdjwt.Limits{})
	if err != nil {
		return out, err
	}
	p.KeyBinding = &sdjwt.KeyBindingParams{Audience: b.audience, Nonce: b.nonce}
	doc, report := assure.VerifySDJWT(context.Background(), s, p)
	if err := report.Err(); err != nil {
		return out, err
	}
	for _, c := range doc.Payload.Disclosed() {
		out.names = append(out.names, fmt.Sprint(c.Path...))
	}
	if len(doc.Transactions.Values) > 0 {
		out.hashes = []sdjwt.TransactionHashes{doc.Transactions}
	}
	slices.Sort(out.names)
	return out, nil
}
