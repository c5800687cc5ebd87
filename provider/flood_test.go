package provider

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// rows counts the rows of each table.
func rows(t *testing.T, p *Provider) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := p.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		for _, table := range []string{"instance", "status_entry", "once", "audit"} {
			var n int
			if err := tx.QueryRow(ctx, "select count(*) from "+table).Scan(&n); err != nil {
				return err
			}
			out[table] = n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Anybody may install an app whose key is trusted on first use, but not many
// from one address; and an app may ask, but not for a flood of attestations.
func TestFlood(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p := w.process(Config{})
		p.guard = web.NewGuard(web.GuardOptions{PerAddress: 3 * installCost, PerTenant: 1000, PerClient: 5, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 1, Now: w.Now})
		if err := p.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := rows(t, p)
		for range 20 { // neither signed by the key that it brings nor about a challenge of ours
			for _, body := range []string{"", "{}", "e30.e30.AAAA"} {
				resp, err := testkit.Through(p.Handler())(t.Context(), fetch.Request{Method: "POST", URL: p.config.URL + "/default/instances", Body: []byte(body)})
				if err != nil || resp.Status < 400 || resp.Status >= 500 {
					t.Fatal(resp.Status, err)
				}
				testkit.Through(p.Handler())(t.Context(), fetch.Request{Method: "POST", URL: p.config.URL + "/default/challenge"})
			}
		}
		if after := rows(t, p); !maps.Equal(after, before) {
			t.Errorf("strangers' rows: %v became %v", before, after)
		}
		w.Pass(time.Minute)

		installed, held := 0, 0
		var c *attestation.Client
		var id string
		for range 20 {
			a := app(t, p)
			in, err := a.Install(t.Context(), installRequest(), w.Now())
			if err == nil {
				installed, c, id = installed+1, a, in.InstanceID
			} else if refusal, ok := errors.AsType[*attestation.Error](err); ok && refusal.Code == "temporarily_unavailable" {
				held++
			}
		}
		after := rows(t, p)
		if installed != 3 || held != 17 || after["instance"]-before["instance"] != 3 || after["once"]-before["once"] > 3 {
			t.Errorf("%d installed, %d held back: %v became %v", installed, held, before, after)
		}

		before, held = after, 0
		for range 20 {
			keys := []crypto.PublicKey{testkit.Signer(t, elliptic.P256()).Public()}
			_, err := c.AttestKeys(t.Context(), attestation.KeyAttestationRequest{InstanceID: id, Keys: keys, Nonce: "n", Area: installRequest().Area}, w.Now())
			if refusal, ok := errors.AsType[*attestation.Error](err); ok && refusal.Code == "temporarily_unavailable" {
				held++
			}
		}
		if after := rows(t, p); held != 15 || after["status_entry"]-before["status_entry"] != 5 || after["once"]-before["once"] > 5 {
			t.Errorf("%d held back: %v became %v", held, before, after)
		}
		w.Pass(time.Hour)
		if err := p.db.Sweep(t.Context(), w.Now()); err != nil {
			t.Fatal(err)
		}
		if n := rows(t, p)["once"]; n != 0 {
			t.Errorf("%d single-use things are left", n)
		}
	})
}
