package verifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

const (
	payment   = "https://bank.example/payment"
	signature = "https://bank.example/signature" // that mdocs cannot agree to
)

var paymentElement = mdoc.ElementRef{NameSpace: "org.example.pay", ID: "hash"}

// selling is a relying party that has holders pay.
func selling() verifier.Config {
	cfg := keeping()
	cfg.Tenants[0].TransactionTypes = []verifier.TransactionType{{Type: payment, Element: "org.example.pay/hash"}, {Type: signature, HashAlgorithms: []string{"sha-512"}}}
	return cfg
}

// payingApp is what a wallet knows that can pay.
func payingApp() oid4vp.Environment {
	return oid4vp.Environment{Transactions: []oid4vp.TransactionType{{Type: payment, Element: &paymentElement, Read: func(object json.RawMessage) ([]string, error) {
		return []string{string(object)}, nil
	}}}}
}

// asksToPay opens a request as a wallet that can pay.
func (w *world) asksToPay(tr verifier.Transaction) *oid4vp.Request {
	w.t.Helper()
	l, err := oid4vp.ParseLink(tr.Link)
	w.check(err)
	object, nonce, err := l.Fetch(context.Background(), w.fetch)
	w.check(err)
	req, rep, err := oid4vp.Open(context.Background(), object, l, nonce, payingApp(), w.Now())
	if err != nil {
		w.t.Fatalf("%v\n%s", err, rep)
	}
	return req
}

// pays is the presentation of a holder who agrees to everything in a request.
func (h *holder) pays(req *oid4vp.Request) oid4vp.Presentations {
	h.w.t.Helper()
	transcript, err := req.Transcript()
	h.w.check(err)
	hashes, err := oid4vp.BindTransactions(req.Transactions, []string{"mdl"})
	h.w.check(err)
	return oid4vp.Presentations{"mdl": {oid4vp.EncodeMdoc(h.presentWith(req.DeviceSigned(hashes["mdl"]), transcript, "family_name", "age_over_21", "portrait"))}}
}

func (w *world) payer() *holder {
	return w.issueFor(5, mdoc.KeyAuthorizations{NameSpaces: []string{paymentElement.NameSpace}})
}

// What the holder agreed to with an mdoc is in the result and in what is kept, to
// the letter, by link and through the browser.
func TestAgreed(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, selling())
		p := verifier.AskParams{Ask: ask, Retain: time.Hour, Agree: []verifier.Agreement{{Type: payment, Data: []byte(`{"amount": 5.00, "to": "Shop"}`)}}}
		const object = `{"amount":5.00,"credential_ids":["mdl"],"to":"Shop","type":"https://bank.example/payment"}`
		check := func(tr verifier.Transaction) {
			t.Helper()
			o := w.outcome(tr)
			if o.Result == nil || !o.Result.OK() || len(o.Result.Agreed) != 1 || o.Result.Agreed[0].Type != payment || string(o.Result.Agreed[0].Data) != object ||
				len(o.Result.Documents[0].Elements) != 3 {
				t.Fatalf("%+v", o)
			}
			var text strings.Builder
			if err := o.Result.WriteText(&text, false); err != nil || !strings.Contains(text.String(), "AGREED TO") || !strings.Contains(text.String(), `"amount":5.00`) {
				t.Errorf("%s", &text)
			}
			if e, err := w.v.Evidence(t.Context(), "default", tr.Number); err != nil || len(e.Result.Agreed) != 1 || string(e.Result.Agreed[0].Data) != object {
				t.Errorf("kept: %+v %v", e.Result, err)
			}
			if rec := w.asPage("GET", tr.Page, "", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "Agreed to") {
				t.Errorf("page: %d %s", rec.Code, rec.Body)
			}
		}
		tr := w.beginAs(p)
		req := w.asksToPay(tr)
		if len(req.Transactions) != 1 || !slices.Equal(req.Transactions[0].Lines, []string{object}) {
			t.Fatalf("the holder is asked %+v", req.Transactions)
		}
		msg, err := req.Answer(w.payer().pays(req))
		w.check(err)
		_, err = w.post(msg)
		w.check(err)
		check(tr)

		tr = w.beginAs(p)
		for _, r := range w.asked(tr, shop) {
			switch r.Protocol {
			case dcapi.ProtocolMdoc:
				t.Error("a DeviceRequest asks for a payment")
			case oid4vp.ProtocolSigned:
				if req, _, err = oid4vp.OpenDC(t.Context(), r.Protocol, r.Data, shop, payingApp(), w.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		data, err := req.AnswerDC(w.payer().pays(req))
		w.check(err)
		raw, err := json.Marshal(dcapi.Response{Protocol: oid4vp.ProtocolSigned, Data: data})
		w.check(err)
		if rec := w.asPage("POST", tr.Watch+"/dc", shop, string(raw)); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		check(tr)
	})
}

// An answer without what was to be agreed to, with something else, or from
// another request is not accepted, and shows none.
func TestNotAgreed(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), selling())
	pay := []verifier.Agreement{{Type: payment, Data: []byte(`{"amount":5}`)}}
	hash := func(b byte) []mdoc.DeviceNameSpace {
		sum := make([]byte, 32)
		sum[0] = b
		return []mdoc.DeviceNameSpace{{Name: paymentElement.NameSpace, Elements: []mdoc.DeviceElement{{ID: paymentElement.ID, Value: cbor.AppendBytes(nil, sum)}}}}
	}
	for name, c := range map[string]struct {
		agree  []verifier.Agreement
		device []mdoc.DeviceNameSpace
		by     *holder
		says   string
	}{
		"nothing":        {pay, nil, w.payer(), "not authorised"},
		"something else": {pay, hash(1), w.payer(), "not authorised"},
	} {
		tr := w.beginAs(verifier.AskParams{Ask: ask, Agree: c.agree})
		req := w.asksToPay(tr)
		transcript, err := req.Transcript()
		w.check(err)
		msg, err := req.Answer(oid4vp.Presentations{"mdl": {oid4vp.EncodeMdoc(c.by.presentWith(c.device, transcript, "family_name", "age_over_21", "portrait"))}})
		w.check(err)
		if _, err := w.post(msg); err == nil {
			t.Errorf("%s: accepted", name)
		}
		o := w.outcome(tr)
		if o.Result.Verdict != core.Invalid || o.Result.Agreed != nil || !strings.Contains(o.Result.Reason, c.says) {
			t.Errorf("%s: %+v", name, o.Result)
		}
	}
	// What is agreed to for one request is nothing for another: the hash is over
	// what that one says, and the signature over its nonce.
	first, second := w.beginAs(verifier.AskParams{Ask: ask, Agree: pay}), w.beginAs(verifier.AskParams{Ask: ask, Agree: []verifier.Agreement{{Type: payment, Data: []byte(`{"amount":500}`)}}})
	answer := w.payer().pays(w.asksToPay(first))
	msg, err := w.asksToPay(second).Answer(answer)
	w.check(err)
	if _, err := w.post(msg); err == nil || w.outcome(second).Result.Agreed != nil {
		t.Errorf("another payment: %v", err)
	}
}

// What cannot be agreed to is not asked for.
func TestAgreementRefused(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), selling())
	for says, a := range map[string]verifier.Agreement{
		"not among those":         {Type: "https://bank.example/gift"},
		"nothing that is asked":   {Type: signature},
		"is not asked for":        {Type: payment, Credentials: []string{"pid"}},
		"no JSON object":          {Type: payment, Data: []byte(`[1]`)},
		"a member credential_ids": {Type: payment, Data: []byte(`{"credential_ids":["x"]}`)},
		"null":                    {Type: payment, Data: []byte(`null`)},
	} {
		if says == "null" {
			says = "no JSON object"
		}
		if _, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Agree: []verifier.Agreement{a}}); !errors.Is(err, verifier.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, wanted %q", err, says)
		}
	}
	if _, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Agree: make([]verifier.Agreement, 17)}); !errors.Is(err, verifier.ErrInvalid) {
		t.Errorf("too many: %v", err)
	}
	tr := w.beginAs(verifier.AskParams{Ask: ask, Agree: []verifier.Agreement{{Type: payment}}})
	if _, err := w.v.AnnexBLink(t.Context(), "default", tr.ID); !errors.Is(err, verifier.ErrInvalid) {
		t.Errorf("by Annex B: %v", err)
	}
	if _, err := w.v.ReaderLink(t.Context(), "default", tr.ID); !errors.Is(err, verifier.ErrInvalid) {
		t.Errorf("by a reader's link: %v", err)
	}
	if _, err := w.opened(tr); err == nil {
		t.Error("a wallet that does not know the type takes the request")
	}
	for says, types := range map[string][]verifier.TransactionType{
		"has a type": {{}}, "there twice": {{Type: "a"}, {Type: "a"}}, "NAMESPACE/ELEMENT": {{Type: "a", Element: "x"}},
		"hashAlgorithms": {{Type: "a", HashAlgorithms: []string{"md5"}}}, "sha-256": {{Type: "a", Element: "x/y", HashAlgorithms: []string{"sha-512"}}},
	} {
		cfg := selling()
		cfg.Tenants[0].TransactionTypes = types
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, wanted %q", err, says)
		}
	}
}

// Of several presentations for one credential the one that has the hash is that
// by which the holder agreed.
func TestAgreedByWhich(t *testing.T) {
	data, err := oid4vp.NewTransactionData([]byte(`{"type":"https://bank.example/payment","credential_ids":["card"]}`))
	if err != nil {
		t.Fatal(err)
	}
	other, mine := `{"jti":"1","transaction_data_hashes":["x"]}`, `{"jti":"2","transaction_data_hashes":["h"]}`
	result := core.Result{Documents: []core.Document{
		{Credential: "card", KeyBinding: []byte(other)}, {Credential: "pid", KeyBinding: []byte(mine)}, {Credential: "card", KeyBinding: []byte(mine)},
	}}
	got := verifier.Agreed([]oid4vp.TransactionData{data}, []oid4vp.Authorised{{Credential: "card", Algorithm: "sha-256", Hash: "h"}}, &result, time.Now())
	if len(got) != 1 || string(got[0].Binding) != mine {
		t.Errorf("%s", got[0].Binding)
	}
}
