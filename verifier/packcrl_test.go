package verifier_test

import (
	"context"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// A revocation list from before the one at hand, still valid, does not bring a
// signer back that has been revoked since.
func TestPackNothingOlder(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	var served []byte
	var err error
	w.v, err = verifier.New(verifier.Config{}, verifier.Deps{DB: w.db, Area: w.area, Now: w.now, Fetch: func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if r.URL == issuerURL+"/iaca.crl" {
			return fetch.Response{Status: 200, Body: served}, nil
		}
		return w.fetch(ctx, r)
	}})
	w.check(err)
	h := w.issue(5)
	crl := func(revoked ...pki.RevokedCertificate) []byte {
		t.Helper()
		w.pass(time.Minute)
		der, err := pki.IssueCRL(t.Context(), pki.CRLTemplate{Issuer: w.iaca, Number: big.NewInt(w.now().Unix()), ThisUpdate: w.now(), NextUpdate: w.now().Add(30 * day), Revoked: revoked}, w.iacaKey)
		w.check(err)
		return der
	}
	pack := func(list []byte) []string {
		t.Helper()
		served = list
		p, err := w.v.Pack(t.Context(), "default")
		w.check(err)
		if len(p.CRLs) != 1 {
			t.Errorf("%+v", p)
		}
		return p.Problems
	}
	verdict := func() core.Verdict {
		t.Helper()
		tr := w.begin(ask)
		req, err := w.opened(tr)
		w.check(err)
		_, _ = w.post(h.answer(req, "family_name", "age_over_21", "portrait"))
		return w.outcome(tr).Result.Verdict
	}
	before := crl()
	if p := pack(before); len(p) != 0 || verdict() != core.Valid {
		t.Fatalf("%v", p)
	}
	if p := pack(crl(pki.RevokedCertificate{SerialNumber: w.ds.SerialNumber, At: w.now()})); len(p) != 0 || verdict() != core.Invalid {
		t.Fatalf("%v", p)
	}
	if p := pack(before); len(p) != 1 || !strings.Contains(p[0], "older") || verdict() != core.Invalid {
		t.Errorf("an older list: %v", p)
	}
	// Its own end ends it: then what there is counts.
	w.pass(31 * day)
	if p := pack(crl()); len(p) != 0 {
		t.Errorf("a newer list: %v", p)
	}
}
