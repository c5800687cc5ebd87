package openid4vp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// payment is the type of transaction data of these tests.
var payment = oid4vp.TransactionType{
	Type: "payment", Element: &mdoc.ElementRef{NameSpace: "org.example.pay", ID: "hash"},
	Read: func(object json.RawMessage) ([]string, error) {
		var p struct{ Amount string }
		if err := json.Unmarshal(object, &p); err != nil || p.Amount == "" {
			return nil, errors.New("payment without amount")
		}
		return []string{"Pay " + p.Amount}, nil
	},
}

// What the holder pays, in spelling that is not the shortest: hashes are over it.
const fiveEuro = `{ "type": "payment", "credential_ids": ["licence"], "amount": "5 EUR" }`

// authorisation are the hashes that the device vouches for.
func authorisation(t testing.TB, doc assure.Document) oid4vp.Hashes {
	t.Helper()
	if len(doc.DeviceSigned) != 1 || len(doc.DeviceSigned[0].Elements) != 1 || doc.DeviceSigned[0].Elements[0].ID != payment.Element.ID {
		t.Fatalf("the device vouches for %+v", doc.DeviceSigned)
	}
	h, err := oid4vp.MdocHashes(doc.DeviceSigned[0].Elements[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The holder of our app authorises a payment that they ask for.
func TestTheirTransaction(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	asking := func(objects ...string) task {
		ask := r.asking(oid4vp.X509HashID(r.cert.cert.Raw), oid4vp.DirectPostJWT, nameAndAge)
		var encoded []string
		for _, o := range objects {
			encoded = append(encoded, base64.RawURLEncoding.EncodeToString([]byte(o)))
		}
		ask["payload"].(map[string]any)["transaction_data"] = encoded
		return ask
	}
	if _, _, err := a.Answer(t.Context(), r.begin(asking(fiveEuro))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Pay 5 EUR"}, a.asked[len(a.asked)-1].Authorises); diff != "" {
		t.Error(diff)
	}
	doc, err := u.verify(t, r.read().Presentations["licence"][0], r.begun.Bound.transcript(t))
	if err != nil {
		t.Fatal(err)
	}
	hashes := authorisation(t, doc)
	told := func(id int) task {
		h := map[string]any{"transaction_data_hashes": hashes.Values, "transaction_data_hashes_alg": hashes.Alg}
		return task{"do": "authorised", "id": id, "hashes": map[string]any{"licence": []any{h}}}
	}
	if got := peer.Ask(t, told(r.begun.ID))[0]; !slices.Equal(got.Authorised, []string{"licence"}) {
		t.Errorf("they found %+v", got)
	}
	r.begin(asking(strings.Replace(fiveEuro, "5", "500", 1)))
	if got := peer.Ask(t, told(r.begun.ID))[0]; got.OK || !strings.Contains(got.Why, "matching hash") {
		t.Errorf("another payment: they found %+v", got)
	}

	// What the app could not show the holder it does not have authorised.
	before := len(a.asked)
	for what, object := range map[string]string{
		"unknown type": strings.Replace(fiveEuro, "payment", "loan", 1), "no amount": strings.Replace(fiveEuro, "amount", "sum", 1),
	} {
		if _, _, err := a.Answer(t.Context(), r.begin(asking(object))); oid4vp.CodeOf(err) != oid4vp.InvalidTransactionData {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(a.asked) != before {
		t.Error("the holder was asked")
	}
}

// Their wallet reads the payment that we ask for, and what others say of us.
func TestOurTransaction(t *testing.T) {
	c := newUtopia(t).house(t).counter(t)
	entry, err := oid4vp.NewTransactionData([]byte(fiveEuro))
	if err != nil {
		t.Fatal(err)
	}
	w := way{
		by: c.certified(), mode: oid4vp.DirectPostJWT, pay: []oid4vp.TransactionData{entry},
		info: []oid4vp.VerifierInfo{{Format: "registration_cert", Data: []byte(`"a.b.c"`), CredentialIDs: []string{"licence"}}},
	}
	o := peer.Done(t, c.opening(c.link(w)))[0]
	if diff := cmp.Diff(w.info, o.VerifierInfo); diff != "" {
		t.Errorf("verifier_info (-sent +read):\n%s", diff)
	}
	if len(o.TransactionData) != 1 || o.TransactionData[0].TransactionData.Amount != "5 EUR" {
		t.Fatalf("they read %+v", o.TransactionData)
	}
	pay := func(encoded string) error {
		t.Helper()
		sum := sha256.Sum256([]byte(encoded))
		element := mdoc.DeviceElement{ID: payment.Element.ID, Value: cbor.AppendBytes(cbor.AppendArray(nil, 1), sum[:])}
		presentation := c.present(o.Bound, c.device, []mdoc.DeviceNameSpace{{Name: payment.Element.NameSpace, Elements: []mdoc.DeviceElement{element}}})
		peer.Done(t, c.answering(o, presentation))
		got, err := c.tx.Open(t.Context(), c.posted, time.Now())
		doc := c.receive("payment", got, err)
		return oid4vp.CheckTransactions(got.Transactions, map[string][]oid4vp.Hashes{"licence": {authorisation(t, doc)}})
	}
	if err := pay(o.TransactionData[0].Encoded); err != nil {
		t.Error(err)
	}
	if err := pay("something else"); err == nil {
		t.Error("another payment: accepted")
	}
}
