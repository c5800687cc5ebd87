package verifier_test

import (
	"context"
	"math/big"
	"slices"
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
	w := newWorld(t, testkit.SQLite(t), verifier.Config{RequestLifetime: 5 * time.Minute})
	now := w.begin(ask).Expires.Add(-5 * time.Minute) // of the world
	var served []byte
	var err error
	w.v, err = verifier.New(verifier.Config{}, verifier.Deps{DB: w.db, Area: w.area, Now: func() time.Time { return now }, Fetch: func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if r.URL == issuerURL+"/iaca.crl" {
			return fetch.Response{Status: 200, Body: served}, nil
		}
		return w.fetch(ctx, r)
	}})
	w.check(err)
	h := w.issue(5)
	crl := func(lifetime time.Duration, revoked ...pki.RevokedCertificate) []byte {
		t.Helper()
		now = now.Add(time.Minute)
		der, err := pki.IssueCRL(t.Context(), pki.CRLTemplate{Issuer: w.iaca, Number: big.NewInt(now.Unix()), ThisUpdate: now, NextUpdate: now.Add(lifetime), Revoked: revoked}, w.iacaKey)
		w.check(err)
		return der
	}
	pack := func(list []byte) (refused bool) {
		t.Helper()
		served = list
		p, err := w.v.Pack(t.Context(), "default")
		if err != nil || len(p.CRLs) != 1 {
			t.Errorf("%+v %v", p, err)
		}
		return slices.ContainsFunc(p.Problems, func(s string) bool { return strings.Contains(s, "older") })
	}
	verdict := func() core.Verdict {
		t.Helper()
		tr := w.begin(ask)
		req, err := w.opened(tr)
		w.check(err)
		_, _ = w.post(h.answer(req, "family_name", "age_over_21", "portrait"))
		return w.outcome(tr).Result.Verdict
	}
	before := crl(30 * day)
	if pack(before) || verdict() != core.Valid {
		t.Fatal("a first list")
	}
	if pack(crl(30*time.Second, pki.RevokedCertificate{SerialNumber: w.ds.SerialNumber, At: now})) || verdict() != core.Invalid {
		t.Fatal("a newer list, with the signer")
	}
	if !pack(before) || verdict() != core.Invalid {
		t.Error("an older list is taken, or nobody says that it is not")
	}
	now = now.Add(time.Minute)
	if !pack(before) || verdict() != core.Invalid {
		t.Error("an older list is taken once the newer one has ended")
	}
	if pack(crl(30*day)) || verdict() != core.Valid {
		t.Error("a newer list, without it")
	}
}
