package oid4vp_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// payment is a type of transaction data with one member, "amount".
func payment(element *mdoc.ElementRef) oid4vp.TransactionType {
	return oid4vp.TransactionType{Type: "payment", Element: element, Read: func(object json.RawMessage) ([]string, error) {
		var p struct {
			Amount string `json:"amount"`
		}
		if err := json.Unmarshal(object, &p); err != nil || p.Amount == "" {
			return nil, errors.New("payment without amount")
		}
		return []string{"Pay " + p.Amount}, nil
	}}
}

var hashElement = &mdoc.ElementRef{NameSpace: "org.example.pay", ID: "hash"}

// twoQuery asks for an mdoc "pid", an SD-JWT VC "card" and one "ticket" that
// need not be bound.
func twoQuery(t testing.TB) query.Query {
	t.Helper()
	q, err := query.ParseDCQL([]byte(`{"credentials":[{"id":"pid","format":"mso_mdoc","meta":{"doctype_value":"x"}},
		{"id":"card","format":"dc+sd-jwt","meta":{"vct_values":["c"]}},
		{"id":"ticket","format":"dc+sd-jwt","meta":{"vct_values":["t"]},"require_cryptographic_holder_binding":false}]}`))
	check(t, err)
	return q
}

func entry(t testing.TB, object string) oid4vp.TransactionData {
	t.Helper()
	d, err := oid4vp.NewTransactionData([]byte(object))
	check(t, err)
	return d
}

func TestTransactionDataVector(t *testing.T) {
	var f struct {
		Text     string `json:"text"`
		Expected struct {
			Hashes []string `json:"transaction_data_hashes"`
			Alg    string   `json:"transaction_data_hashes_alg"`
		} `json:"expected"`
	}
	vectors.Load(t, "openid4vp/derived_transaction_data_hash.json", &f)
	object, err := jose.Decode(f.Text)
	check(t, err)
	d := entry(t, string(object))
	bound, err := oid4vp.BindTransactions([]oid4vp.TransactionData{d}, []string{"id_card_credential"})
	check(t, err)
	if diff := cmp.Diff(map[string]sdjwt.TransactionHashes{"id_card_credential": {Algorithm: f.Expected.Alg, Values: f.Expected.Hashes}}, bound); diff != "" || d.Encoded != f.Text {
		t.Error(diff)
	}
}

// TestTransactionData goes from one end to the other, with hashes in both
// formats.
func TestTransactionData(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	pay := entry(t, `{"type":"payment","amount":"5 EUR","credential_ids":["pid","card"]}`)
	tip := entry(t, `{"type":"payment","amount":"1 EUR","credential_ids":["card"],"transaction_data_hashes_alg":["sha-512","sha-256"]}`)
	env := oid4vp.Environment{Transactions: []oid4vp.TransactionType{payment(hashElement)}}
	tx, err := v.Begin(oid4vp.Params{Query: twoQuery(t), RequestURI: "https://shop.example/request/1", ResponseURI: "https://shop.example/response/1",
		Transactions: []oid4vp.TransactionData{pay, tip}}, now)
	check(t, err)
	n := &names{env: env}
	req := n.received(t, v, tx, tx.Link("openid4vp"), true)
	if len(req.Transactions) != 2 || !slices.Equal(req.Transactions[1].Lines, []string{"Pay 1 EUR"}) {
		t.Fatalf("%+v", req.Transactions)
	}
	hashes, err := oid4vp.BindTransactions(req.Transactions, []string{"ticket", "card", "pid"})
	check(t, err)
	if len(hashes["pid"].Values) != 1 || hashes["pid"].Algorithm != "" || len(hashes["card"].Values) != 1 || hashes["card"].Algorithm != "sha-256" {
		t.Errorf("bound %+v", hashes)
	}
	signed := req.DeviceSigned(hashes["pid"])
	if len(signed) != 1 || signed[0].Name != hashElement.NameSpace || signed[0].Elements[0].ID != hashElement.ID {
		t.Fatalf("device-signed %+v", signed)
	}
	value := cbor.NewReader(signed[0].Elements[0].Value)
	ofMdoc := sdjwt.TransactionHashes{Values: []string{jose.Encode(value.Bytes())}}
	check(t, value.Done())

	msg, err := req.Answer(oid4vp.Presentations{"pid": {"AAAA"}, "card": {"x~"}})
	check(t, err)
	a := exchanged(t, tx, req, msg)
	check(t, oid4vp.CheckTransactions(a.Transactions, map[string][]sdjwt.TransactionHashes{"pid": {ofMdoc}, "card": {hashes["card"]}}))

	// Another wallet lets the card authorise both.
	both, err := oid4vp.BindTransactions(req.Transactions, []string{"card"})
	check(t, err)
	check(t, oid4vp.CheckTransactions(a.Transactions, map[string][]sdjwt.TransactionHashes{"card": {both["card"]}}))
	long, err := tip.Hash("sha-512")
	check(t, err)
	check(t, oid4vp.CheckTransactions(a.Transactions, map[string][]sdjwt.TransactionHashes{"pid": {ofMdoc}, "card": {{Algorithm: "sha-512", Values: []string{jose.Encode(long)}}}}))

	for name, found := range map[string]map[string][]sdjwt.TransactionHashes{
		"nothing":                      nil,
		"one of two":                   {"pid": {ofMdoc}},
		"the wrong document":           {"pid": {ofMdoc, hashes["card"]}},
		"another algorithm":            {"pid": {ofMdoc}, "card": {{Algorithm: "sha-512", Values: hashes["card"].Values}}},
		"algorithm not asked for":      {"pid": {ofMdoc}, "card": {{Algorithm: "sha-384", Values: hashes["card"].Values}}},
		"something else besides":       {"card": {{Algorithm: "sha-256", Values: append([]string{jose.Encode(make([]byte, 32))}, both["card"].Values...)}}},
		"something else, by a ticket":  {"card": {both["card"]}, "ticket": {{Values: []string{"x"}}}},
		"the hash of the decoded JSON": {"pid": {ofMdoc}, "card": {{Algorithm: "sha-256", Values: []string{"bE-Mb0ttGQZ4DT7lGrUCbrl38uNTC7WSzDD4tUlL0bw"}}}},
	} {
		if err := oid4vp.CheckTransactions(a.Transactions, found); oid4vp.CodeOf(err) != oid4vp.InvalidTransactionData || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(req.DeviceSigned(sdjwt.TransactionHashes{})) != 0 {
		t.Error("a device signs what it does not authorise")
	}
	if _, err := oid4vp.BindTransactions(req.Transactions, []string{"pid"}); oid4vp.CodeOf(err) != oid4vp.InvalidTransactionData {
		t.Errorf("no document that can: %v", err)
	}
}

// TestTransactionDataRefused: each of these is invalid_transaction_data
// (OpenID4VP 1.0, 8.5), told to the verifier.
func TestTransactionDataRefused(t *testing.T) {
	v, _ := newVerifier(t, "shop.example")
	tx, err := v.Begin(oid4vp.Params{Query: twoQuery(t), RequestURI: "https://shop.example/request/1", ResponseURI: "https://shop.example/response/1"}, now)
	check(t, err)
	object, err := v.RequestObject(t.Context(), tx, oid4vp.WalletPost{}, now)
	check(t, err)
	token, err := jose.Parse(object, jose.Limits{})
	check(t, err)
	good := `{"type":"payment","amount":"5 EUR","credential_ids":["card"]}`
	onlySDJWT := payment(nil)
	for name, c := range map[string]struct {
		data any
		env  []oid4vp.TransactionType
	}{
		"as it is":                   {[]string{good}, []oid4vp.TransactionType{onlySDJWT}},
		"type not known":             {[]string{strings.Replace(good, "payment", "loan", 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"no type known":              {[]string{good}, nil},
		"one of two not known":       {[]string{good, strings.Replace(good, "payment", "loan", 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"member of the type missing": {[]string{strings.Replace(good, "amount", "sum", 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"no credential_ids":          {[]string{`{"type":"payment","amount":"5 EUR"}`}, []oid4vp.TransactionType{onlySDJWT}},
		"empty credential_ids":       {[]string{`{"type":"payment","amount":"5 EUR","credential_ids":[]}`}, []oid4vp.TransactionType{onlySDJWT}},
		"credential not asked for":   {[]string{strings.Replace(good, "card", "mdl", 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"credential not bound":       {[]string{strings.Replace(good, "card", "ticket", 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"mdoc without an element":    {[]string{strings.Replace(good, "card", "pid", 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"no hash algorithm":          {[]string{strings.Replace(good, "}", `,"transaction_data_hashes_alg":[]}`, 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"hash algorithm not known":   {[]string{strings.Replace(good, "}", `,"transaction_data_hashes_alg":["md5"]}`, 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"no algorithm in common": {[]string{strings.Replace(good, "}", `,"transaction_data_hashes_alg":["sha-512"]}`, 1),
			strings.Replace(good, "}", `,"transaction_data_hashes_alg":["sha-384"]}`, 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"mdoc for two of a type": {[]string{strings.Replace(good, "card", "pid", 1), strings.Replace(good, `5 EUR","credential_ids":["card`, `6 EUR","credential_ids":["pid`, 1)}, []oid4vp.TransactionType{payment(hashElement)}},
		"mdoc with other hashes": {[]string{strings.Replace(strings.Replace(good, "card", "pid", 1), "}", `,"transaction_data_hashes_alg":["sha-512"]}`, 1)}, []oid4vp.TransactionType{payment(hashElement)}},
		"members twice":          {[]string{strings.Replace(good, "}", `,"type":"payment"}`, 1)}, []oid4vp.TransactionType{onlySDJWT}},
		"no object":              {[]string{`"payment"`}, []oid4vp.TransactionType{onlySDJWT}},
		"huge":                   {[]string{`{"type":"payment","amount":"` + strings.Repeat("5", 70<<10) + `","credential_ids":["card"]}`}, []oid4vp.TransactionType{onlySDJWT}},
		"too many":               {slices.Repeat([]string{good}, 17), []oid4vp.TransactionType{onlySDJWT}},
		"none":                   {[]string{}, []oid4vp.TransactionType{onlySDJWT}},
		"no array":               {"x", []oid4vp.TransactionType{onlySDJWT}},
	} {
		var m map[string]any
		check(t, json.Unmarshal(token.Payload, &m))
		m["transaction_data"] = c.data
		if list, ok := c.data.([]string); ok {
			encoded := []string{}
			for _, s := range list {
				encoded = append(encoded, jose.Encode([]byte(s)))
			}
			m["transaction_data"] = encoded
		}
		signed, err := jose.Sign(t.Context(), v.Key, jose.Header{Typ: oid4vp.RequestObjectType, X5C: v.Chain}, m)
		check(t, err)
		_, _, err = oid4vp.Open(t.Context(), signed, oid4vp.Link{ClientID: v.ClientID}, "", oid4vp.Environment{Transactions: c.env}, now)
		if name == "as it is" {
			check(t, err)
			continue
		}
		if e, ok := errors.AsType[*oid4vp.Error](err); !ok || e.Code != oid4vp.InvalidTransactionData || e.Tell == nil || !told(t, tx, e) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.Begin(oid4vp.Params{Query: pidQuery(t), Transactions: []oid4vp.TransactionData{entry(t, good)}}, now); err == nil {
		t.Error("a verifier asks to authorise with a document that it does not ask for")
	}
}

// FuzzTransactionData: no object makes NewTransactionData panic, and what it
// takes has what every entry must have.
func FuzzTransactionData(f *testing.F) {
	f.Add([]byte(`{"type":"payment","credential_ids":["card"],"transaction_data_hashes_alg":["sha-256"]}`))
	f.Fuzz(func(t *testing.T, object []byte) {
		d, err := oid4vp.NewTransactionData(object)
		if err == nil && (d.Type == "" || len(d.CredentialIDs) == 0) {
			t.Fatal("an entry without type or credentials")
		}
	})
}
