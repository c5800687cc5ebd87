package openid4vp_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
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

// fiveEuro is what the holder pays with a credential, in spelling that is not the
// shortest: hashes are over it.
func (f *format) fiveEuro() string {
	return `{ "type": "payment", "credential_ids": ["` + f.id + `"], "amount": "5 EUR" }`
}

// The holder of our app authorises a payment that they ask for.
func TestTheirTransaction(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	for _, f := range []*format{formats()[0], card()} {
		asking := func(object string) task {
			ask := r.asking(oid4vp.X509HashID(r.cert.cert.Raw), oid4vp.DirectPostJWT, f)
			ask["payload"].(map[string]any)["transaction_data"] = []string{base64.RawURLEncoding.EncodeToString([]byte(object))}
			return ask
		}
		if _, _, err := a.Answer(t.Context(), r.begin(asking(f.fiveEuro()))); err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		if diff := cmp.Diff([]string{"Pay 5 EUR"}, a.asked[len(a.asked)-1].Authorises); diff != "" {
			t.Errorf("%s: %s", f.name, diff)
		}
		got := u.expect(t, f.name, f, r.read().Presentations[f.id][0], r.begun.Bound.binding(t))
		if len(got.hashes) != 1 {
			t.Errorf("%s: the device signed %+v", f.name, got.hashes)
			continue
		}
		told := func(id int) task {
			h := map[string]any{"transaction_data_hashes": got.hashes[0].Values}
			if alg := got.hashes[0].Algorithm; alg != "" {
				h["transaction_data_hashes_alg"] = alg
			}
			return task{"do": "authorised", "id": id, "hashes": map[string]any{f.id: []any{h}}}
		}
		if found := peer.Ask(t, told(r.begun.ID))[0]; !slices.Equal(found.Authorised, []string{f.id}) {
			t.Errorf("%s: they found %+v", f.name, found)
		}
		r.begin(asking(strings.Replace(f.fiveEuro(), "5", "500", 1)))
		if found := peer.Ask(t, told(r.begun.ID))[0]; found.OK || !strings.Contains(found.Why, "matching hash") {
			t.Errorf("%s: another payment: they found %+v", f.name, found)
		}

		// What the app could not show the holder it does not have authorised.
		before := len(a.asked)
		for what, object := range map[string]string{
			"unknown type": strings.Replace(f.fiveEuro(), "payment", "loan", 1), "no amount": strings.Replace(f.fiveEuro(), "amount", "sum", 1),
		} {
			if _, _, err := a.Answer(t.Context(), r.begin(asking(object))); oid4vp.CodeOf(err) != oid4vp.InvalidTransactionData {
				t.Errorf("%s, %s: %v", f.name, what, err)
			}
		}
		if len(a.asked) != before {
			t.Errorf("%s: the holder was asked", f.name)
		}
	}
}

// Their wallet reads the payment that we ask for, and what others say of us.
func TestOurTransaction(t *testing.T) {
	c := newUtopia(t).house(t).counter(t)
	for _, w := range (way{by: c.certified()}).inBoth(oid4vp.DirectPostJWT) {
		entry, err := oid4vp.NewTransactionData([]byte(w.format.fiveEuro()))
		if err != nil {
			t.Fatal(err)
		}
		w.pay = []oid4vp.TransactionData{entry}
		w.info = []oid4vp.VerifierInfo{{Format: "registration_cert", Data: []byte(`"a.b.c"`), CredentialIDs: []string{w.format.id}}}
		o := peer.Done(t, c.opening(c.link(w)))[0]
		if diff := cmp.Diff(w.info, o.VerifierInfo); diff != "" {
			t.Errorf("verifier_info (-sent +read):\n%s", diff)
		}
		if len(o.TransactionData) != 1 || o.TransactionData[0].TransactionData.Amount != "5 EUR" {
			t.Fatalf("they read %+v", o.TransactionData)
		}
		pay := func(encoded string) error {
			t.Helper()
			peer.Done(t, c.answering(o, c.present(w.format, o.Bound, c.device, encoded)))
			got, err := c.tx.Open(t.Context(), c.posted, time.Now())
			seen := c.receive(w, got, err)
			return oid4vp.CheckTransactions(got.Transactions, map[string][]sdjwt.TransactionHashes{w.format.id: seen.hashes})
		}
		if err := pay(o.TransactionData[0].Encoded); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		if err := pay("something else"); err == nil {
			t.Errorf("%s: accepted another payment", w.name)
		}
	}
}
