package wallet_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/wallet"
)

// A bank's description of its card, with a name of its own for a payment.
const (
	ownPayment   = "https://bank.example/payment"
	cardMetadata = `{"vct":"` + cardVCT + `","name":"Card","category":"urn:eu:europa:ec:eudi:sua:sca","transaction_data_types":{
		"urn:eudi:sca:payment:1":{"schema_uri":"urn:eudi:sca:payment:1"},"` + ownPayment + `":{"schema":"urn:eudi:sca:payment:1","claims":[]}}}`
	pay  = `"payload":{"transaction_id":"T1","payee":{"name":"Super Store","id":"DE99"},"currency":"EUR","amount":23.58}`
	sign = `"numSignatures":1,"signatureQualifier":"eu_eidas_qes","hashAlgorithmOID":"2.16.840.1.101.3.4.2.2",
		"documentDigests":[{"label":"Contract","hashType":"sodr","hash":"` + sha384 + `"}]`
	sha384 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// card is a world whose issuer describes the type of a card, and one that asks
// the holder of such a card.
func card(t *testing.T, metadata string) (*world, *device, *relyingParty) {
	t.Helper()
	w := newWorld(t)
	w.vct = cardVCT
	w.more[cardVCT] = func(fetch.Request) (fetch.Response, error) {
		return fetch.Response{Status: 200, Header: map[string]string{"content-type": "application/json"}, Body: []byte(metadata)}, nil
	}
	d, _ := w.holderSD()
	return w, d, w.relyingParty(certify(t, pki.ReaderAuth, w.Clock.Now(), "Bank", &w.readerCA))
}

func (v *relyingParty) toAuthorise(kind, id, members string) {
	v.w.t.Helper()
	one, err := oid4vp.NewTransactionData([]byte(`{"type":"` + kind + `","credential_ids":["` + id + `"],` + members + `}`))
	if err != nil {
		v.w.t.Fatal(err)
	}
	v.authorise = append(v.authorise, one)
}

// bindingOf are the claims of the key binding JWT that the verifier got.
func (v *relyingParty) bindingOf(id string) map[string]any {
	v.w.t.Helper()
	s, err := sdjwt.Parse(v.got.Presentations[id][0], sdjwt.Limits{})
	if err != nil {
		v.w.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(s.KeyBinding.Payload, &claims); err != nil {
		v.w.t.Fatal(err)
	}
	return claims
}

// TestAuthorisePayment: the holder sees amount and payee, the bank gets what it
// needs to act on it, and the log says who was paid.
func TestAuthorisePayment(t *testing.T) {
	for _, kind := range []string{transaction.Payment, ownPayment} {
		_, d, v := card(t, cardMetadata)
		d.consent.answer = func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			a.Factors = []wallet.Factor{{Category: "knowledge", Method: "pin_6_or_more_digits"}}
			return a, nil
		}
		v.toAuthorise(kind, "card", pay)
		entry, _, err := d.Answer(t.Context(), v.link(cardQuery()))
		if err != nil {
			t.Fatal(err)
		}
		q := d.consent.last()
		if diff := cmp.Diff([]string{"payment of: 23.58 EUR", "to: Super Store", "whose account or number is: DE99", "number of the transaction: T1"}, q.Authorises); diff != "" {
			t.Error(diff)
		}
		if !slices.Equal(q.AuthorisedTypes, []string{kind}) || !strings.Contains(q.Text(), "by sharing you authorise: payment of: 23.58 EUR\n") {
			t.Errorf("%q\n%s", q.AuthorisedTypes, q.Text())
		}
		if r := v.verify(); r.Verdict != "valid" {
			t.Fatalf("%s\n%s", r.Reason, r.Report)
		}
		claims := v.bindingOf("card")
		if diff := cmp.Diff([]any{map[string]any{"possession": "other"}, map[string]any{"knowledge": "pin_6_or_more_digits"}}, claims["amr"]); diff != "" {
			t.Error(diff)
		}
		if jti, _ := claims["jti"].(string); len(jti) < 22 || claims["response_mode"] != oid4vp.DirectPostJWT {
			t.Errorf("%v", claims)
		}
		want := []wallet.Authorised{{Type: kind, Record: transaction.Record{Name: "Payment Confirmation", ID: "T1", Payee: "Super Store"}}}
		if log, _ := d.Log(t.Context()); !cmp.Equal(log[0].Authorised, want) || !cmp.Equal(entry.Authorised, want) || want[0].Text() != "Payment Confirmation, Super Store, number T1" {
			t.Errorf("logged %+v", log[0])
		}
		first := claims["jti"]
		if _, _, err := d.Answer(t.Context(), v.link(cardQuery())); err != nil || v.bindingOf("card")["jti"] == first {
			t.Errorf("the same authentication code again: %v", err)
		}
		d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
		if entry, _, err := d.Answer(t.Context(), v.link(cardQuery())); !errors.Is(err, wallet.ErrRefused) || !cmp.Equal(entry.Authorised, want) {
			t.Errorf("refused: %v %+v", err, entry)
		}
	}
}

// TestAuthoriseSignature: the holder sees document and hash, and the claim of
// the approval is over what was sent.
func TestAuthoriseSignature(t *testing.T) {
	_, d, v := card(t, cardMetadata)
	v.toAuthorise(transaction.SignApproval, "card", sign)
	if _, _, err := d.Answer(t.Context(), v.link(cardQuery())); err != nil {
		t.Fatal(err)
	}
	if q := d.consent.last(); !slices.Contains(q.Authorises, "document: Contract") || !slices.Contains(q.Authorises, "sha-384 of the document: "+strings.Repeat("00", 48)) {
		t.Errorf("%q", q.Authorises)
	}
	sum, err := v.authorise[0].Hash("sha-384")
	if err != nil {
		t.Fatal(err)
	}
	claims := v.bindingOf("card")
	got, _ := claims["org.cloudsignatureconsortium.dm.1.qesApproval"].(string)
	if want := strings.NewReplacer("-", "+", "_", "/").Replace(jose.Encode(sum)); got != want || claims["amr"] != nil || v.verify().Verdict != "valid" {
		t.Errorf("%v, want %s", claims, want)
	}
	v.toAuthorise(transaction.SignApproval, "card", strings.Replace(sign, "Contract", "Annex", 1))
	if _, _, err := d.Answer(t.Context(), v.link(cardQuery())); err == nil || v.got.Error != oid4vp.InvalidTransactionData {
		t.Errorf("two approvals in one claim: %v %+v", err, v.got)
	}
}

// TestNotAuthorised: what the app does not know to the letter, and what the
// document is not for, is refused before anybody is asked.
func TestNotAuthorised(t *testing.T) {
	for _, c := range []struct {
		name, metadata, kind, members, code, says string
	}{
		{"unknown type", cardMetadata, "urn:eudi:sca:payment:2", pay, oid4vp.InvalidTransactionData, `type "urn:eudi:sca:payment:2" is not known here`},
		{"unknown member", cardMetadata, transaction.Payment, `"fee":1,` + pay, oid4vp.InvalidTransactionData, `"fee": not known`},
		{"unknown member under another name", cardMetadata, ownPayment, strings.Replace(pay, `"currency"`, `"fee":1,"currency"`, 1), oid4vp.InvalidTransactionData, `"fee": not known`},
		{"type that the issuer does not list", cardMetadata, transaction.Login, `"payload":{"transaction_id":"1","action":"x"}`, oid4vp.AccessDenied, "may authorise it"},
		{"no category", strings.Replace(cardMetadata, `"category"`, `"cat"`, 1), transaction.Payment, pay, oid4vp.AccessDenied, "may authorise it"},
		{"metadata of another type", strings.Replace(cardMetadata, cardVCT, cardVCT+"2", 1), transaction.Payment, pay, oid4vp.AccessDenied, "may authorise it"},
		{"nothing published", "", ownPayment, pay, oid4vp.InvalidTransactionData, "is not known here"},
	} {
		_, d, v := card(t, c.metadata)
		v.toAuthorise(c.kind, "card", c.members)
		_, _, err := d.Answer(t.Context(), v.link(cardQuery()))
		if err == nil || !strings.Contains(err.Error(), c.says) || v.got == nil || v.got.Error != c.code || len(d.consent.asked) != 0 {
			t.Errorf("%s: %v %+v", c.name, err, v.got)
		}
	}
	w, _, v := card(t, cardMetadata)
	w.vctHash = sdjwt.Integrity([]byte("another"))
	d, _ := w.holderSD()
	v.toAuthorise(transaction.Payment, "card", pay)
	if _, _, err := d.Answer(t.Context(), v.link(cardQuery())); !errors.Is(err, wallet.ErrNothing) {
		t.Errorf("described by another document than the card says: %v", err)
	}
}

// TestAuthoriseByRules: rules share with whom they always do, and authorise
// only what they name. A factor that nobody has defined is not passed on.
func TestAuthoriseByRules(t *testing.T) {
	_, d, v := card(t, cardMetadata)
	v.toAuthorise(transaction.Payment, "card", pay)
	by := func(text string) error {
		t.Helper()
		rules, err := wallet.ParseRules([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		d.consent.answer = func(q wallet.Question) (wallet.Answer, error) { return rules.Ask(t.Context(), q) }
		_, _, err = d.Answer(t.Context(), v.link(cardQuery()))
		return err
	}
	for _, text := range []string{"share: [{}]", "share: [{authorise: ['*']}]", "share: [{authorise: ['urn:eudi:sca:login_risk_transaction:1']}]"} {
		if err := by(text); !errors.Is(err, wallet.ErrRefused) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := by("share: [{authorise: ['urn:eudi:sca:payment:1']}]"); err != nil {
		t.Error(err)
	}
	v.toAuthorise(ownPayment, "card", pay)
	if err := by("share: [{authorise: ['urn:eudi:sca:payment:1']}]"); !errors.Is(err, wallet.ErrRefused) {
		t.Errorf("one of two named: %v", err)
	}
	if _, err := wallet.ParseRules([]byte("share: [{refuse: true, authorise: [x]}]")); !errors.Is(err, wallet.ErrRules) {
		t.Error(err)
	}
	d.consent.answer = func(q wallet.Question) (wallet.Answer, error) {
		a := q.Approve()
		a.Factors = []wallet.Factor{{Category: "knowledge", Method: "mothers_maiden_name"}}
		return a, nil
	}
	if _, _, err := d.Answer(t.Context(), v.link(cardQuery())); err == nil || v.got.Presentations != nil {
		t.Errorf("an invented factor: %v", err)
	}
}
