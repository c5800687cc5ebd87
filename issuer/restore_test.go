package issuer

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/keyring"
)

// restore turns the world's database back to a copy of it, as an operator does.
func (w *world) restore(t *testing.T) (turn func()) {
	t.Helper()
	var dsn string
	if strings.HasPrefix(w.dsn, "sqlite:") {
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := w.authority.db.Backup(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		dsn = "sqlite:" + path
	} else {
		dsn = testkit.PostgresCopy(t, w.dsn, "--exclude-table-data=*."+db.TableWithoutData)
	}
	return func() {
		w.dsn = dsn
		w.authority = w.open()
	}
}

// place is where a copy stands: list and index.
func place(t *testing.T, credential string) string {
	t.Helper()
	signed := parsed(t, credential)
	ref := signed.Auth.MSO.Status.List
	return fmt.Sprint(ref.URI, " ", ref.Index)
}

func (w *world) crlNumber(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%020d", w.crl(t, "/iaca.crl").Number())
}

// After a restore nothing is given out a second time: no place in a status
// list, no offer, no number of a revocation list; also after a second restore
// of the same backup. What was issued before still verifies.
func TestRestore(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		seen := map[string]bool{}
		issue := func() string {
			t.Helper()
			p, token := w.accept("ada", "mdl")
			list, keys, err := p.get(token, "mdl", 5)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				if at := place(t, c); seen[at] {
					t.Errorf("%s was given twice", at)
				} else {
					seen[at] = true
				}
			}
			w.verify(list[0], keys)
			return list[0]
		}
		issue()
		offer := w.offer("jonas", "mdl")
		turn := w.restore(t)
		again := w.restore(t)

		issue()
		p := w.newApp(w.authority)
		if _, _, err := p.redeem(offer, offer.TxCode); err != nil { // after the backup
			t.Fatal(err)
		}
		ca, err := w.authority.CA("default")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			w.Pass(time.Second)
			k, err := ca.Rotate(t.Context(), keyring.DocSigner, w.Now())
			if err != nil {
				t.Fatal(err)
			}
			cert, err := k.Certificate()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ca.Revoke(t.Context(), cert, "superseded", w.Now()); err != nil {
				t.Fatal(err)
			}
		}
		number := w.crlNumber(t)

		for _, turn := range []func(){turn, again} {
			w.Pass(time.Minute)
			turn()
			p := w.newApp(w.authority)
			if _, _, err := p.redeem(offer, offer.TxCode); err == nil {
				t.Error("an offer was redeemed a second time")
			}
			issue()
			if next := w.crlNumber(t); next <= number {
				t.Errorf("revocation list %s after %s", next, number)
			} else {
				number = next
			}
		}
		if len(seen) != 20 {
			t.Errorf("%d places", len(seen))
		}
	})
}
