package sdjwt_test

import (
	"crypto/elliptic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
)

// TestTransactionData has the hash of the vector, and what differs from it.
//
// OpenID4VP 1.0, 8.4 and B.3.3.1.
func TestTransactionData(t *testing.T) {
	var v struct {
		Expected struct {
			Hashes []string `json:"transaction_data_hashes"`
			Alg    string   `json:"transaction_data_hashes_alg"`
			Wrong  string   `json:"wrong_hash_over_decoded"`
		}
	}
	vectors.Load(t, "openid4vp/derived_transaction_data_hash.json", &v)
	a, holder := newAuthority(t), testkit.Signer(t, elliptic.P256())
	stored := a.issue(t, a.params(holder, leaf("name", "Ada")))
	good := v.Expected.Hashes
	for name, tc := range map[string]struct {
		alg      string
		said     []string
		expected []string
		want     check.Outcome // empty: no check at all
	}{
		"as asked":             {v.Expected.Alg, good, good, check.Pass},
		"default algorithm":    {"", good, good, check.Pass},
		"one of two":           {"", good, append([]string{"x"}, good...), check.Pass},
		"none":                 {"", nil, good, ""},
		"over the JSON":        {"", []string{v.Expected.Wrong}, good, check.Fail},
		"twice":                {"", append(good, good...), good, check.Fail},
		"not asked":            {"", good, nil, check.Fail},
		"one more":             {"", append([]string{"x"}, good...), good, check.Fail},
		"another algorithm":    {"sha-512", good, good, check.Fail},
		"algorithm is no hash": {"none", good, good, check.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := sdjwt.Select(stored, nil)
			if err != nil {
				t.Fatal(err)
			}
			kb := binding
			kb.Transactions, kb.TransactionHash = tc.said, tc.alg
			if err := p.Sign(t.Context(), kb, holder); err != nil {
				t.Fatal(err)
			}
			params := a.verify()
			params.KeyBinding.Transactions = tc.expected
			s, err := sdjwt.Parse(p.String(), sdjwt.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			res, report := sdjwt.Verify(s, params)
			c, found := report.Find("transaction data")
			if found != (tc.want != "") || c.Outcome != tc.want || report.OK() != (tc.want != check.Fail) {
				t.Errorf("%+v\n%s", c, report)
			}
			want := tc.said
			if tc.want != check.Pass {
				want = nil
			}
			if diff := cmp.Diff(want, res.Transactions); diff != "" {
				t.Error(diff)
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
	for _, hashes := range []string{`"x"`, `[]`, `[1]`, `[null]`, `{"0":"x"}`} {
		kb, err := jose.SignBytes(t.Context(), holder, jose.Header{Typ: "kb+jwt"}, []byte(
			`{"iat":1795426200,"aud":"`+binding.Audience+`","nonce":"`+binding.Nonce+`","sd_hash":"x","transaction_data_hashes":`+hashes+`}`))
		if err != nil {
			t.Fatal(err)
		}
		s, err := sdjwt.Parse(p.String()+kb, sdjwt.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		params := a.verify()
		params.KeyBinding.Transactions = []string{"x"}
		if res, report := sdjwt.Verify(s, params); report.OK() || res.Transactions != nil {
			t.Errorf("%s: %s", hashes, report)
		} else if c, _ := report.Find("transaction data"); c.Outcome != check.Fail {
			t.Errorf("%s: %+v", hashes, c)
		}
	}
}
