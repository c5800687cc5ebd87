package wallet_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

// askedForAge is a question by a shop: age and, if the holder likes, the name.
func askedForAge(standing assure.Standing, keep bool) wallet.Question {
	const ns, docType = "org.iso.18013.5.1", "org.iso.18013.5.1.mDL"
	age, name := query.Element(ns, "age_over_18"), query.Element(ns, "family_name")
	q := query.Query{
		Credentials: []query.Credential{
			{ID: "age", Format: query.FormatMdoc, Types: []string{docType}, Claims: []query.Claim{{Path: age, Retain: keep}}},
			{ID: "name", Format: query.FormatMdoc, Types: []string{docType}, Claims: []query.Claim{{Path: name}}},
		},
		Sets: []query.Set{{Required: true, Options: [][]string{{"age"}}}, {Options: [][]string{{"name"}}}},
	}
	first := query.Candidate{Credential: 0, ClaimSet: -1, Claims: []query.Disclosure{{Path: age, Asked: age, Retain: keep}}}
	second := query.Candidate{Credential: 1, ClaimSet: -1, Claims: []query.Disclosure{{Path: name, Asked: name}}}
	doc := wallet.Document{ID: "1", Format: query.FormatMdoc, DocType: docType}
	return wallet.Question{
		Topic: wallet.TopicShare,
		Party: wallet.Party{Standing: standing, Name: "Corner Shop", ID: "x509_hash:abc", Fingerprint: "00ff"},
		Plan: query.Plan{
			Query: q, Satisfied: true, Credentials: [][]query.Candidate{{first}, {second}}, Missing: []string{"", ""},
			Sets: []query.PlannedSet{{Required: true, Options: [][]int{{0}}}, {Options: [][]int{{1}}}},
		},
		Choices: [][]wallet.Choice{{{Candidate: first, Document: doc}}, {{Candidate: second, Document: doc}}},
	}
}

func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rules    string
		standing assure.Standing
		keep     bool
		shared   int // credentials; 0 is a refusal
	}{
		"none":                     {rules: "", shared: 0},
		"everything":               {rules: "share: [{}]", shared: 1},
		"optional too":             {rules: "share: [{optional: true}]", shared: 2},
		"by name":                  {rules: "share: [{verifier: Corner*}]", shared: 1},
		"by identifier":            {rules: "share: [{verifier: 'x509_hash:abc'}]", shared: 1},
		"by fingerprint":           {rules: "share: [{verifier: 00ff}]", shared: 1},
		"another verifier":         {rules: "share: [{verifier: Corner}]", shared: 0},
		"vouched, and it is not":   {rules: "share: [{vouched: true}]", standing: assure.ReaderUnknown, shared: 0},
		"vouched":                  {rules: "share: [{vouched: true}]", standing: assure.ReaderTrusted, shared: 1},
		"refused first":            {rules: "share: [{verifier: '*Shop', refuse: true}, {}]", shared: 0},
		"the document":             {rules: "share: [{documents: ['*.mDL']}]", shared: 1},
		"another document":         {rules: "share: [{documents: [pid]}]", shared: 0},
		"the claim":                {rules: "share: [{claims: ['org.iso.18013.5.1.age_over_*']}]", shared: 1},
		"not the other claim":      {rules: "share: [{optional: true, claims: ['*.age_over_18']}]", shared: 0},
		"the next rule":            {rules: "share: [{optional: true, claims: ['*.age_over_18']}, {claims: ['*.age_over_18']}]", shared: 1},
		"it means to keep":         {rules: "share: [{}]", keep: true, shared: 0},
		"it means to keep and may": {rules: "share: [{keep: true}]", keep: true, shared: 1},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := wallet.ParseRules([]byte(c.rules))
			if err != nil {
				t.Fatal(err)
			}
			a, err := rules.Ask(t.Context(), askedForAge(c.standing, c.keep))
			if err != nil || a.Allow != (c.shared > 0) || len(a.Selection) != c.shared {
				t.Errorf("%+v, %v; want %d credentials", a, err, c.shared)
			}
		})
	}
}

func TestRulesTrustIssuers(t *testing.T) {
	rules, err := wallet.ParseRules([]byte("issuers: ['https://*.example', Utopia]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		party   wallet.Party
		changed bool
		want    bool
	}{
		{wallet.Party{ID: "https://issuer.example"}, false, true},
		{wallet.Party{ID: "https://issuer.example.org", Name: "Utopia"}, false, true},
		{wallet.Party{ID: "https://issuer.example.org"}, false, false},
		{wallet.Party{}, false, false},
		{wallet.Party{Name: "Utopia"}, true, false},
	} {
		a, err := rules.Ask(t.Context(), wallet.Question{Topic: wallet.TopicTrust, Party: c.party, Changed: c.changed})
		if err != nil || a.Allow != c.want {
			t.Errorf("%+v, changed %v: %v, %v", c.party, c.changed, a.Allow, err)
		}
	}
	if _, err := rules.Ask(t.Context(), wallet.Question{Topic: "weather"}); err == nil {
		t.Error("a question of an unknown topic is answered")
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for _, bad := range []string{
		"share: yes", "shared: [{}]", "share: [{verifer: a}]", "share: [{refuse: true, claims: [a]}]", "share: [{refuse: true, optional: true}]",
		"- share", "share: [{}]\n---\n: [", strings.Repeat("#", 64<<10+1), "share: [" + strings.Repeat("{},", 257) + "]",
	} {
		if _, err := wallet.ParseRules([]byte(bad)); !errors.Is(err, wallet.ErrRules) {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
}

// FuzzParseRules looks for rules that allow what the plan does not hold.
func FuzzParseRules(f *testing.F) {
	f.Add([]byte("share: [{verifier: 'C*r*', claims: ['*.age_over_18']}]"))
	f.Add([]byte("issuers: ['*']"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, err := wallet.ParseRules(data)
		if err != nil {
			if !errors.Is(err, wallet.ErrRules) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		a, err := rules.Ask(t.Context(), askedForAge(assure.ReaderUnknown, true))
		if err != nil || len(a.Selection) > 2 || a.Allow != (len(a.Selection) > 0) {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
