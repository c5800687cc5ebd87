package verifier_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// What a relying party wants of documents decides, and the report says by what.
func TestPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		policy verifier.Policy
		says   string // why not; empty: valid
	}{
		"all met":             {verifier.Policy{MaxAge: 48 * time.Hour, MaxStatusAge: time.Hour, Countries: []string{"XX", "UT"}}, ""},
		"signed too long ago": {verifier.Policy{MaxAge: time.Hour}, "policy: age of the document: 12h0m0s, at most 1h0m0s"},
		"another country":     {verifier.Policy{Countries: []string{"XX"}}, "policy: country of the issuer: UT, accepted are XX"},
		"no level":            {verifier.Policy{MinLevel: "low"}, "policy: level of assurance: none stated, wanted is low"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testkit.SQLite(t), verifier.Config{Tenants: []verifier.Tenant{{ID: "default", Name: "Shop", Policy: c.policy}}})
			tr := w.begin(ask)
			req, err := w.opened(tr)
			w.check(err)
			_, err = w.post(w.issue(5).answer(req, "family_name", "age_over_21", "portrait"))
			o := w.outcome(tr)
			if c.says == "" {
				if err != nil || !o.Result.OK() || !strings.Contains(o.Result.Documents[0].Report.String(), "policy: age of the status list") {
					t.Errorf("%v %+v", err, o.Result)
				}
				return
			}
			if err == nil || o.Result.Verdict != core.Invalid || !strings.Contains(o.Result.Reason, c.says) || o.Result.Documents[0].Elements != nil {
				t.Errorf("%v %+v", err, o.Result)
			}
		})
	}
}

// A status list that is kept for long is too old for who wants a fresh one.
func TestPolicyStatusAge(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{StatusMaxAge: time.Hour, Tenants: []verifier.Tenant{
		{ID: "default", Name: "Shop", Policy: verifier.Policy{MaxStatusAge: 10 * time.Minute}},
	}})
	h := w.issue(5)
	for _, valid := range []bool{true, false} {
		tr := w.begin(ask)
		req, err := w.opened(tr)
		w.check(err)
		if _, err := w.post(h.answer(req, "family_name", "age_over_21", "portrait")); (err == nil) != valid {
			t.Errorf("valid %v: %v", valid, err)
		}
		if o := w.outcome(tr); o.Result.OK() != valid || !valid && !strings.Contains(o.Result.Reason, "policy: age of the status list") {
			t.Errorf("valid %v: %+v", valid, o.Result)
		}
		w.Pass(20 * time.Minute)
	}
}

// An issuer that no list has counts where its signer's certificate was accepted,
// with a warning, and nobody else's does.
func TestPolicyFirstUse(t *testing.T) {
	stranger := newWorld(t, testkit.SQLite(t), verifier.Config{})
	file := filepath.Join(t.TempDir(), "signer.pem")
	if err := os.WriteFile(file, pki.EncodePEM(stranger.ds), 0o600); err != nil {
		t.Fatal(err)
	}
	tenants := []verifier.Tenant{{ID: "default", Name: "Shop", Policy: verifier.Policy{FirstUse: []string{file}}}}
	w := newWorld(t, testkit.SQLite(t), verifier.Config{Tenants: tenants})
	third := newWorld(t, testkit.SQLite(t), verifier.Config{})
	for name, c := range map[string]struct {
		by    *world
		valid bool
	}{"accepted": {stranger, true}, "on a list": {w, true}, "nobody's": {third, false}} {
		tr := w.begin(ask)
		req, err := w.opened(tr)
		w.check(err)
		if _, err := w.post(c.by.issue(5).answer(req, "family_name", "age_over_21", "portrait")); (err == nil) != c.valid {
			t.Errorf("%s: %v", name, err)
		}
		o := w.outcome(tr)
		if warned := strings.Contains(o.Result.Documents[0].Report.String(), "trust on first use"); o.Result.OK() != c.valid || warned != (c.by == stranger) {
			t.Errorf("%s: %+v\n%s", name, o.Result, &o.Result.Documents[0].Report)
		}
	}
}
