package verifier_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/verifier"
)

// A public page starts a transaction for anybody, but not many from one address.
func TestFloodOfAPage(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		guard := web.NewGuard(web.GuardOptions{PerAddress: 4, PerTenant: 1000, PerClient: 1, PerServer: 7, WrongPerAddress: 1, WrongPerTenant: 1, Now: w.now})
		v, err := verifier.New(verifier.Config{}, verifier.Deps{DB: w.db, Area: w.area, Fetch: w.fetch, Guard: guard, Now: w.now})
		w.check(err)
		w.v = v
		count := func() (n int) {
			w.check(w.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				return tx.QueryRow(ctx, "select count(*) from presentation").Scan(&n)
			}))
			return n
		}
		begun, held := 0, 0
		for range 20 {
			switch resp := w.serve(fetch.FormRequest("http://verifier.localhost:8080/default/", url.Values{"ask": {"driving"}})); {
			case resp.Status == 303:
				begun++
			case resp.Status == 429 && resp.Get("retry-after") == "15":
				held++
			default:
				t.Fatalf("%d %s", resp.Status, resp.Body)
			}
		}
		if n := count(); begun != 4 || held != 16 || n != 4 {
			t.Errorf("%d begun, %d held back, %d rows", begun, held, n)
		}
		w.pass(24 * time.Hour)
		w.check(v.Sweep(t.Context()))
		if n := count(); n != 0 {
			t.Errorf("%d rows a day later", n)
		}
	})
}
