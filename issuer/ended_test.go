package issuer

import (
	"errors"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// Who was granted a document and has not fetched it yet gets none after a
// revocation of the person, whatever of it was done already; a new offer does.
func TestRevokedBeforeIssued(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p, token := w.accept("ada", "mdl", "pid")
		if _, err := w.authority.Revoke(t.Context(), "default", Selection{Subject: "nobody"}, ""); !errors.Is(err, ErrUnknownDocument) {
			t.Errorf("nobody's: %v", err)
		}
		if ids, err := w.authority.Revoke(t.Context(), "default", Selection{Subject: "ada", Offering: "pid"}, "lost"); err != nil || len(ids) != 0 {
			t.Fatalf("%v, %v", ids, err)
		}
		_, _, err := p.get(token, "pid", 1)
		wantCode(t, "the offering that was revoked", err, oid4vci.CodeDenied)
		if _, _, err := p.get(token, "mdl", 1); err != nil {
			t.Errorf("the other one: %v", err)
		}
		if ids, err := w.authority.Revoke(t.Context(), "default", Selection{Subject: "ada"}, "lost"); err != nil || len(ids) != 1 {
			t.Fatalf("%v, %v", ids, err)
		}
		w.Pass(time.Hour)
		if token, err = p.oauth.Refresh(t.Context(), token.RefreshToken, w.Now()); err != nil {
			t.Fatal(err)
		}
		before := w.rows(t)
		for _, offering := range []string{"mdl", "pid"} {
			_, _, err = p.get(token, offering, 1)
			wantCode(t, offering+" after a refresh", err, oid4vci.CodeDenied)
		}
		unchanged(t, before, w.rows(t))
		if h := w.hold(t, "ada", "pid"); w.document(t, h.id).State != StateValid {
			t.Error("a new offer brings nothing")
		}
		if h := w.hold(t, "jonas", "mdl"); w.document(t, h.id).State != StateValid {
			t.Error("another person gets nothing")
		}
	})
}

// The same for a document that an operator has approved, and for a revocation at
// the moment in which the copies are made.
func TestRevokedWhileIssued(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.withApproval()
	p, token, id := w.request(t, "ada")
	if err := w.authority.Decide(t.Context(), "default", id, true, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.authority.Delete(t.Context(), "default", Selection{Subject: "ada"}, "left"); err != nil {
		t.Fatal(err)
	}
	_, err := p.again(t, token, id)
	wantCode(t, "approved, then revoked", err, oid4vci.CodeDenied)

	tenant := w.authority.tenants["default"]
	register := &meddling{Source: tenant.source}
	tenant.source = register
	o := w.offer("jonas", "pid")
	p = w.newApp(w.authority)
	if token, _, err = p.redeem(o, o.TxCode); err != nil {
		t.Fatal(err)
	}
	register.meddle = func() {
		if _, err := w.authority.Revoke(t.Context(), "default", Selection{Subject: "jonas"}, ""); err != nil {
			t.Error(err)
		}
	}
	_, _, err = p.get(token, "pid", 1)
	wantCode(t, "revoked while the copies were made", err, oid4vci.CodeDenied)
	if list, err := w.authority.List(t.Context(), "default", Filter{}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
