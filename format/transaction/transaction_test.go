package transaction_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/transaction"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// entry is an object of a type of TS12.
func entry(kind, payload string) string {
	return `{"type":"` + kind + `","credential_ids":["card"],"transaction_data_hashes_alg":["sha-256"],"payload":` + payload + `}`
}

// Every member of the JSON schemas of EUDI TS12 1.0.1 is read, and what the
// holder is to know of it is said.
const fullPayment = `{"transaction_id":"8D8AC610-566D-4EF0-9C22-186B2A5ED793","date_time":"2025-11-13T20:20:39+00:00",
	"payee":{"name":"Super Store","id":"DE99370501981234567890","logo":"data:image/png;base64,AA==","website":"https://store.example"},
	"pisp":{"legal_name":"Pay Easy Ltd","brand_name":"PayEasy","domain_name":"payeasy.example"},
	"currency":"EUR","amount":23.5,"amount_estimated":true,"amount_earmarked":true,"sct_inst":true,
	"recurrence":{"start_date":"2026-12-01","end_date":"2027-12-01T00:00:00Z","number":12,"frequency":"MNTH",
		"mit_options":{"amount_variable":true,"min_amount":1,"max_amount":50.00,"total_amount":282,"initial_amount":0.5,"initial_amount_number":2,"apr":4.25}}}`

const approval = `{"type":"https://cloudsignatureconsortium.org/2025/qes-approval","credential_ids":["sign"],"credentialID":"GX0112348",
	"signatureQualifier":"eu_eidas_qes","numSignatures":2,"hashAlgorithmOID":"2.16.840.1.101.3.4.2.1","locations":["https://qtsp.example"],
	"documentDigests":[{"label":"Service Agreement","hash":"sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI=","hashType":"sodr",
		"href":"https://qtsp.example/contract.pdf","access":{"type":"OTP","oneTimePassword":"51623"},
		"checksum":{"value":"HZQzZmMAIWekfGH0/ZKW1nsdt0xg3H6bZYztgsMTLw0=","algorithmOID":"2.16.840.1.101.3.4.2.1"}}]}`

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, kind, object string
		lines              []string
		record             transaction.Record
	}{
		{"payment", transaction.Payment, entry(transaction.Payment, fullPayment), []string{
			"regular payments of: 23.50 EUR", "the amount is an estimate", "to: Super Store", "whose account or number is: DE99370501981234567890",
			"and whose website is: https://store.example", "the payment is initiated by: PayEasy", "its legal name: Pay Easy Ltd", "its domain: payeasy.example",
			"the payee has the amount set aside at once", "as SEPA instant credit transfer", "how often: monthly", "from: 1 December 2026", "until: 1 December 2027",
			"how many payments: 12", "the amount may differ from one payment to the next", "each at least: 1.00 EUR", "each at most: 50.00 EUR",
			"all together: 282.00 EUR", "the first payments: 0.50 EUR", "how many first payments: 2", "interest, per cent a year: 4.25",
			"number of the transaction: 8D8AC610-566D-4EF0-9C22-186B2A5ED793", "begun: 2025-11-13T20:20:39+00:00",
		}, transaction.Record{Name: "Payment Confirmation", ID: "8D8AC610-566D-4EF0-9C22-186B2A5ED793", Payee: "Super Store", Provider: "Pay Easy Ltd"}},
		{"once, in yen, today", transaction.Payment, entry(transaction.Payment, `{"transaction_id":"1","payee":{"name":"A","id":"B"},"currency":"JPY","amount":500.0,"execution_date":"2026-11-23T00:00:00Z"}`),
			[]string{"payment of: 500 JPY", "to: A", "whose account or number is: B", "to be paid on: 23 November 2026", "number of the transaction: 1"},
			transaction.Record{Name: "Payment Confirmation", ID: "1", Payee: "A"}},
		{"log-in", transaction.Login, entry(transaction.Login, `{"transaction_id":"2","service":"Superbank","action":"Change the limit to 10,000 EUR"}`),
			[]string{"action: Change the limit to 10,000 EUR", "at: Superbank", "number of the transaction: 2"},
			transaction.Record{Name: "Login, Risk-based Authentication", ID: "2", Service: "Superbank"}},
		{"account", transaction.AccountAccess, entry(transaction.AccountAccess, `{"transaction_id":"3","aisp":{"legal_name":"See Ltd","brand_name":"See","domain_name":"see.example"},"description":"All of it"}`),
			[]string{"access to the information of your payment account", "what for, in their words: All of it", "seen by: See", "its legal name: See Ltd", "its domain: see.example", "number of the transaction: 3"},
			transaction.Record{Name: "Payment Account Information Access", ID: "3", Provider: "See Ltd"}},
		{"mandate", transaction.Mandate, entry(transaction.Mandate, `{"transaction_id":"4","purpose":"Pay the\nbill","start_date":"2026-12-01","end_date":"2027-01-01","reference_number":"A-1","creditor_id":"FR14",
			"payment_payload":{"transaction_id":"5","payee":{"name":"Gas","id":"B"},"currency":"EUR","amount":10}}`),
			[]string{"a mandate to collect payments from you", "its text: Pay the bill", "valid from: 1 December 2026", "valid until: 1 January 2027", "reference of the mandate: A-1", "number of the creditor: FR14",
				"payment of: 10.00 EUR", "to: Gas", "whose account or number is: B", "number of the transaction: 5", "number of the transaction: 4"},
			transaction.Record{Name: "E-mandate", ID: "4", Payee: "Gas"}},
		{"signature", transaction.SignApproval, approval, []string{
			"signatures in your name: 2", "kind: qualified electronic signature (EU)", "signing key: GX0112348", "document: Service Agreement",
			"sha-256 of the document: b133a0c0e9bee3be20163d2ad31d6248db292aa6dcb1ee087a2aa50e0fc75ae2", "to be found at: https://qtsp.example/contract.pdf",
			"with the one-time password: 51623", "checksum of what is found there, sha-256: HZQzZmMAIWekfGH0/ZKW1nsdt0xg3H6bZYztgsMTLw0=",
			"more signatures than documents are listed", "signing service 1: https://qtsp.example",
		}, transaction.Record{Name: "Signature", Documents: []string{"Service Agreement"}}},
	} {
		kind, ok := transaction.Find(c.kind)
		if !ok {
			t.Fatal(c.kind)
		}
		s, err := kind.Read([]byte(c.object), now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.lines, s.Lines); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if diff := cmp.Diff(c.record, s.Record); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if (s.ApprovalHash == "sha-256") != (c.kind == transaction.SignApproval) || kind.SCA == (c.kind == transaction.SignApproval) {
			t.Errorf("%s: %q %v", c.name, s.ApprovalHash, kind.SCA)
		}
	}
	if _, ok := transaction.Find("urn:eudi:sca:payment:2"); ok {
		t.Error("knows a type of a later edition")
	}
}

// What cannot be told to the letter is refused, not left out.
func TestRefuse(t *testing.T) {
	const mandate = `{"transaction_id":"4","purpose":"p"}`
	for _, c := range []struct{ name, kind, object, old, with, says string }{
		{"unknown member of the frame", transaction.Payment, entry(transaction.Payment, fullPayment), `"payload"`, `"more":1,"payload"`, `"more": not known`},
		{"unknown member", transaction.Payment, entry(transaction.Payment, fullPayment), `"sct_inst"`, `"hidden_fee":1,"sct_inst"`, `payload."hidden_fee": not known`},
		{"unknown member inside", transaction.Payment, entry(transaction.Payment, fullPayment), `"id":"DE`, `"x":1,"id":"DE`, `payload.payee."x": not known`},
		{"member in other case", transaction.Payment, entry(transaction.Payment, fullPayment), `"amount":23.5`, `"amount":23.5,"Amount":2`, "not known"},
		{"no payload", transaction.Payment, entry(transaction.Payment, fullPayment), `"payload"`, `"load"`, `"payload": missing`},
		{"no amount", transaction.Payment, entry(transaction.Payment, fullPayment), `"amount":23.5,`, ``, `"amount": missing`},
		{"amount as text", transaction.Payment, entry(transaction.Payment, fullPayment), `23.5`, `"23.5"`, "no decimal number"},
		{"exponent", transaction.Payment, entry(transaction.Payment, fullPayment), `23.5`, `2e3`, "no decimal number"},
		{"too precise", transaction.Payment, entry(transaction.Payment, fullPayment), `23.5`, `23.505`, "2 digits behind the point"},
		{"huge", transaction.Payment, entry(transaction.Payment, fullPayment), `23.5`, `1234567890123456`, "no decimal number"},
		{"small currency", transaction.Payment, entry(transaction.Payment, fullPayment), `"EUR"`, `"eur"`, "ISO 4217"},
		{"text that turns around", transaction.Payment, entry(transaction.Payment, fullPayment), `Super Store`, `Super \u202eerotS`, "cannot be shown"},
		{"escape sequence", transaction.Payment, entry(transaction.Payment, fullPayment), `Super Store`, `Super\u001b[2J`, "cannot be shown"},
		{"payee of blanks", transaction.Payment, entry(transaction.Payment, fullPayment), `Super Store`, ` `, "empty"},
		{"long payee", transaction.Payment, entry(transaction.Payment, fullPayment), `Super Store`, strings.Repeat("x", 201), "200 characters"},
		{"date and recurrence", transaction.Payment, entry(transaction.Payment, fullPayment), `"sct_inst"`, `"execution_date":"2026-12-01","sct_inst"`, "together with recurrence"},
		{"yesterday", transaction.Payment, entry(transaction.Payment, `{"transaction_id":"1","payee":{"name":"A","id":"B"},"currency":"EUR","amount":5,"execution_date":"2026-11-21"}`), "", "", "lies in the past"},
		{"frequency", transaction.Payment, entry(transaction.Payment, fullPayment), `MNTH`, `OFTN`, "not known"},
		{"ends first", transaction.Payment, entry(transaction.Payment, fullPayment), `2027-12-01T`, `2025-12-01T`, "before start_date"},
		{"number of payments", transaction.Payment, entry(transaction.Payment, fullPayment), `"number":12`, `"number":0`, "whole number"},
		{"yes as text", transaction.Payment, entry(transaction.Payment, fullPayment), `"sct_inst":true`, `"sct_inst":"true"`, "neither true nor false"},
		{"script as website", transaction.Payment, entry(transaction.Payment, fullPayment), `https://store.example`, `javascript:alert(1)`, "no web address"},
		{"long transaction id", transaction.Payment, entry(transaction.Payment, fullPayment), `8D8AC610-`, `8D8AC610--`, "36 characters"},
		{"twice the same member", transaction.Payment, entry(transaction.Payment, fullPayment), `"amount":23.5`, `"amount":23.5,"amount":2`, "twice"},
		{"mandate for nothing", transaction.Mandate, entry(transaction.Mandate, mandate), `,"purpose":"p"`, ``, "missing"},
		{"null", transaction.Mandate, entry(transaction.Mandate, mandate), `"p"`, `null`, "no text"},
		{"action", transaction.Login, entry(transaction.Login, `{"transaction_id":"2","action":"`+strings.Repeat("y", 141)+`"}`), "", "", "140 characters"},
		{"no document", transaction.SignApproval, approval, `[{"label"`, `[],"x":[{"label"`, "no array of 1 to 32"},
		{"no signature", transaction.SignApproval, approval, `"numSignatures":2`, `"numSignatures":0`, "whole number"},
		{"no kind and no key", transaction.SignApproval, strings.Replace(approval, `"credentialID":"GX0112348",`, "", 1), `"signatureQualifier":"eu_eidas_qes",`, ``, "no credentialID in its place"},
		{"unknown kind", transaction.SignApproval, approval, `eu_eidas_qes`, `eu_eidas_x`, "not known"},
		{"hash of another length", transaction.SignApproval, approval, `sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI=`, `AQID`, "no sha-256 hash"},
		{"SHA-1", transaction.SignApproval, approval, `"hashAlgorithmOID":"2.16.840.1.101.3.4.2.1"`, `"hashAlgorithmOID":"1.3.14.3.2.26"`, "neither SHA-256"},
		{"what is signed beside", transaction.SignApproval, approval, `"hashType"`, `"signed_props":[],"hashType"`, "not known"},
		{"two lists of documents", transaction.SignApproval, approval, `"locations"`, `"documentInfos":[{"hash":"sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="}],"locations"`, "not known"},
	} {
		kind, _ := transaction.Find(c.kind)
		object := strings.Replace(c.object, c.old, c.with, 1)
		if object == c.object && c.old != "" {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		if s, err := kind.Read([]byte(object), now); !errors.Is(err, transaction.ErrInvalid) || s.Lines != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v %q", c.name, err, s.Lines)
		}
	}
}

// The same list under its other name.
func TestDocumentInfos(t *testing.T) {
	kind, _ := transaction.Find(transaction.SignApproval)
	object := strings.Replace(strings.Replace(approval, "documentDigests", "documentInfos", 1), `{"value":"HZQzZmMAIWekfGH0/ZKW1nsdt0xg3H6bZYztgsMTLw0=","algorithmOID":"2.16.840.1.101.3.4.2.1"}`, `"sha256-HZQz"`, 1)
	s, err := kind.Read([]byte(object), now)
	if err != nil || !slices.Contains(s.Lines, "checksum of what is found there: sha256-HZQz") {
		t.Errorf("%v %q", err, s.Lines)
	}
}

// Whatever comes: what is shown is on one line each, and never silent.
func FuzzRead(f *testing.F) {
	f.Add(0, []byte(entry(transaction.Payment, fullPayment)))
	f.Add(1, []byte(entry(transaction.Login, `{"transaction_id":"2","action":"x"}`)))
	f.Add(2, []byte(entry(transaction.AccountAccess, `{"transaction_id":"2"}`)))
	f.Add(3, []byte(entry(transaction.Mandate, `{"transaction_id":"2","purpose":"x"}`)))
	f.Add(4, []byte(approval))
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		types := transaction.Types()
		s, err := types[int(uint(kind)%uint(len(types)))].Read(data, now)
		if err != nil {
			if !errors.Is(err, transaction.ErrInvalid) || s.Lines != nil {
				t.Errorf("%v %q", err, s.Lines)
			}
			return
		}
		if len(s.Lines) == 0 || s.Record.Name == "" {
			t.Error("nothing to show")
		}
		for _, l := range s.Lines {
			if l == "" || len(l) > 8000 || strings.ContainsAny(l, "\n\r\x1b\u202e") {
				t.Errorf("%q", l)
			}
		}
	})
}
