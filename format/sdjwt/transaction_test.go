package sdjwt_test

import (
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

// TestTransactionData carries the hash of the vector from holder to verifier.
//
// OpenID4VP 1.0, 8.4 and B.3.3.1.
func TestTransactionData(t *testing.T) {
	var v struct {
		Expected struct {
			Hashes []string `json:"transaction_data_hashes"`
			Alg    string   `json:"transaction_data_hashes_alg"`
		}
	}
	vectors.Load(t, "openid4vp/derived_transaction_data_hash.json", &v)
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	stored := a.issue(t, a.params(holder, leaf("name", "Ada")))
	for name, said := range map[string]sdjwt.TransactionHashes{
		"as asked":          {Algorithm: v.Expected.Alg, Values: v.Expected.Hashes},
		"default algorithm": {Values: v.Expected.Hashes},
		"two":               {Algorithm: "sha-512", Values: append([]string{"x"}, v.Expected.Hashes...)},
		"none":              {},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := sdjwt.Select(stored, nil)
			if err != nil {
				t.Fatal(err)
			}
			kb := binding
			kb.Transactions = said
			if err := p.Sign(t.Context(), kb, holder); err != nil {
				t.Fatal(err)
			}
			s, err := sdjwt.Parse(p.String(), sdjwt.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			res, report := sdjwt.Verify(s, a.verify())
			if diff := cmp.Diff(said, res.Transactions); diff != "" || !report.OK() {
				t.Errorf("%s\n%s", diff, report)
			}
		})
	}
}

// Hashes that are no array of texts are refused, whoever signed them.
func TestTransactionDataMalformed(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	stored := a.issue(t, a.params(holder, leaf("name", "Ada")))
	p, err := sdjwt.Select(stored, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, hashes := range []string{`"x"`, `[]`, `[1]`, `[null]`, `[""]`, `{"0":"x"}`, `["x"],"transaction_data_hashes_alg":1`, `["x"` + strings.Repeat(`,"x"`, 64) + `]`} {
		kb, err := jose.SignBytes(t.Context(), holder, jose.Header{Typ: "kb+jwt"}, []byte(
			`{"iat":1795426200,"aud":"`+binding.Audience+`","nonce":"`+binding.Nonce+`","sd_hash":"x","transaction_data_hashes":`+hashes+`}`))
		if err != nil {
			t.Fatal(err)
		}
		s, err := sdjwt.Parse(p.String()+kb, sdjwt.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if res, report := sdjwt.Verify(s, a.verify()); report.OK() || res.Transactions.Values != nil {
			t.Errorf("%s: %s", hashes, report)
		} else if c, _ := report.Find("transaction data"); c.Outcome != check.Fail {
			t.Errorf("%s: %+v", hashes, c)
		}
	}
}

// Further claims come through as they were put in, and none replaces another.
func TestFurtherClaims(t *testing.T) {
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	p, err := sdjwt.Select(a.issue(t, a.params(holder, leaf("name", "Ada"))), nil)
	if err != nil {
		t.Fatal(err)
	}
	kb := binding
	kb.More = map[string]any{"jti": "7", "amr": []map[string]string{{"knowledge": "pattern"}}}
	if err := p.Sign(t.Context(), kb, holder); err != nil {
		t.Fatal(err)
	}
	s, err := sdjwt.Parse(p.String(), sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	res, report := sdjwt.Verify(s, a.verify())
	if !report.OK() || !strings.Contains(string(res.KeyBinding), `"amr":[{"knowledge":"pattern"}],"jti":"7"}`) {
		t.Errorf("%s\n%s", res.KeyBinding, report)
	}
	for _, name := range []string{"nonce", "sd_hash", "transaction_data_hashes"} {
		kb.More = map[string]any{name: "x"}
		if _, err := p.Prepare(kb); err == nil {
			t.Errorf("%s was replaced", name)
		}
	}
}

// Types of transaction data in type metadata, as EUDI TS12 1.0.1, 4.1 has them.
func TestMetadataTransactions(t *testing.T) {
	const good = `{"vct":"https://bank.example/card","category":"urn:eu:europa:ec:eudi:sua:sca","transaction_data_types":{
		"a":{"schema":"urn:eudi:sca:payment:1"},"b":{"schema_uri":"https://bank.example/b.json"},"c":{"schema":{"type":"object"}}}}`
	m, err := sdjwt.ParseTypeMetadata([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]sdjwt.Transaction{"a": {Schema: "urn:eudi:sca:payment:1"}, "b": {Schema: "https://bank.example/b.json"}, "c": {}}
	if diff := cmp.Diff(want, m.Transactions); diff != "" || m.Category != sdjwt.CategorySCA {
		t.Errorf("%q %s", m.Category, diff)
	}
	for old, with := range map[string]string{
		`{"type":"object"}`: `{},"schema_uri":"https://x.example"`, `{"schema":"urn:eudi:sca:payment:1"}`: `[]`, `"urn:eu:europa:ec:eudi:sua:sca"`: `1`,
	} {
		if _, err := sdjwt.ParseTypeMetadata([]byte(strings.Replace(good, old, with, 1))); err == nil {
			t.Errorf("%s in place of %s", with, old)
		}
	}
}
