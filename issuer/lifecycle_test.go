package issuer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// holding is a document with the app that holds it.
type holding struct {
	app   *app
	token *oauth.Token
	id    string
	state func() status.Status // what is published of the newest copy
}

// hold has a person get copies of a document.
func (w *world) hold(t *testing.T, subject, offering string) *holding {
	t.Helper()
	p, token := w.accept(subject, offering)
	h := &holding{app: p, token: token}
	w.renew(t, h, offering)
	list, err := w.authority.List(t.Context(), "default", Filter{Subject: subject, Offering: offering})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	h.id = list[0].ID
	return h
}

// renew gets new copies.
func (w *world) renew(t *testing.T, h *holding, offering string) {
	t.Helper()
	list, signers, err := h.app.get(h.token, offering, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list[0], "~") {
		d, _ := w.verify(list[0], signers)
		h.state = func() status.Status { return w.published(d) }
		return
	}
	s, err := sdjwt.Parse(list[0], sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	d, report := assure.VerifyIssuedSDJWT(t.Context(), s, assure.DocumentParams{Now: w.Now(), Anchors: w.anchors(), DocType: "urn:eudi:pid:1", Strict: true})
	if !report.OK() {
		t.Fatal(report)
	}
	h.state = func() status.Status { return w.publishedJWT(t, d) }
}

// publishedJWT is what the list says that an SD-JWT VC points at.
func (w *world) publishedJWT(t *testing.T, d assure.SDJWT) status.Status {
	t.Helper()
	claim := status.Claim{List: d.Status.List}
	resp, err := via(w.authority)(t.Context(), fetch.GetRequest(claim.List.URI, status.MediaListJWT))
	if err != nil || resp.Status != 200 {
		t.Fatalf("%v, %d", err, resp.Status)
	}
	token, err := status.Parse(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	question := statuslist.Question{Claim: claim, Issuer: [][]byte{d.Signer.Path.Chain[0]}}
	pub, report := w.anchors().ListSigner(trustlist.Issuer, question, token.X5Chain, w.Now())
	if !report.OK() {
		t.Fatal(report)
	}
	s, report := token.Verify(pub, claim, w.Now(), status.Policy{})
	if !report.OK() {
		t.Fatal(report)
	}
	return s
}

func (w *world) document(t *testing.T, id string) Document {
	t.Helper()
	list, err := w.authority.List(t.Context(), "default", Filter{ID: id})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list[0]
}

// register rewrites the row of a person; an empty new row takes it out.
func (w *world) changeRow(t *testing.T, id string, change func(row string) string) {
	t.Helper()
	raw, err := os.ReadFile(w.registerFile())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, row := range strings.Split(string(raw), "\n") {
		if strings.HasPrefix(row, id+",") {
			row = change(row)
		}
		if row != "" {
			out = append(out, row)
		}
	}
	if err := os.WriteFile(w.registerFile(), []byte(strings.Join(out, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Pass(time.Minute) // the register looks for a new file now and then
	w.authority = w.open()
}

// A suspended SD-JWT VC is suspended in its list and valid again afterwards; an
// mdoc, whose lists cannot say so, is revoked and gets new copies.
func TestSuspend(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		for _, c := range []struct {
			offering  string
			meanwhile status.Status
			after     status.Status // of the copies from before
		}{
			{"pid-sd-jwt", status.Suspended, status.Valid},
			{"mdl", status.Invalid, status.Invalid},
		} {
			h := w.hold(t, "ada", c.offering)
			which := Selection{Document: h.id}
			for range 2 { // twice is as once
				if ids, err := w.authority.Suspend(t.Context(), "default", which, "reported lost"); err != nil || len(ids) != 1 {
					t.Fatal(ids, err)
				}
			}
			if s := h.state(); s != c.meanwhile {
				t.Errorf("%s, suspended: %v", c.offering, s)
			}
			if d := w.document(t, h.id); d.State != StateSuspended || d.Reason != "reported lost" {
				t.Errorf("%+v", d)
			}
			_, _, err := h.app.get(h.token, c.offering, 1)
			wantCode(t, "copies of a suspended document", err, oid4vci.CodeDenied)
			if _, err := w.authority.Resume(t.Context(), "default", which, "found"); err != nil {
				t.Fatal(err)
			}
			if s := h.state(); s != c.after {
				t.Errorf("%s, resumed: %v", c.offering, s)
			}
			if d := w.document(t, h.id); d.State != StateValid || d.Reason != "" {
				t.Errorf("%+v", d)
			}
			w.renew(t, h, c.offering)
			if s := h.state(); s != status.Valid {
				t.Errorf("%s, new copies: %v", c.offering, s)
			}
			// Revocation is for good.
			if _, err := w.authority.Revoke(t.Context(), "default", which, "stolen"); err != nil {
				t.Fatal(err)
			}
			for _, again := range []func(context.Context, string, Selection, string) ([]string, error){w.authority.Suspend, w.authority.Resume} {
				if ids, err := again(t.Context(), "default", which, ""); err != nil || len(ids) != 1 {
					t.Fatal(ids, err)
				}
			}
			if s := h.state(); s != status.Invalid || w.document(t, h.id).State != StateRevoked {
				t.Errorf("%s, resumed after revocation: %v", c.offering, s)
			}
		}
		noPersonalData(t, w)
	})
}

// Copies that are revoked while suspended stay revoked, in the list too.
func TestRevokeSuspended(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	h := w.hold(t, "ada", "pid-sd-jwt")
	if _, err := w.authority.Suspend(t.Context(), "default", Selection{Document: h.id}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.authority.Revoke(t.Context(), "default", Selection{Document: h.id}, ""); err != nil {
		t.Fatal(err)
	}
	if s := h.state(); s != status.Invalid {
		t.Errorf("%v", s)
	}
}

// What is deleted is revoked, says nothing of the person at once, gives no new
// copies, and is gone when its copies have ended.
func TestDelete(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		h := w.hold(t, "ada", "mdl")
		kept := w.hold(t, "jonas", "mdl")
		if _, err := w.authority.Delete(t.Context(), "default", Selection{Subject: "ada"}, "erasure requested"); err != nil {
			t.Fatal(err)
		}
		if s := h.state(); s != status.Invalid {
			t.Errorf("%v", s)
		}
		if list, err := w.authority.List(t.Context(), "default", Filter{Subject: "ada"}); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		if d := w.document(t, h.id); d.Subject != "" || d.State != StateRevoked {
			t.Errorf("%+v", d)
		}
		_, _, err := h.app.get(h.token, "mdl", 1)
		if err == nil {
			t.Error("new copies of a deleted document")
		}
		if _, err := h.app.oauth.Refresh(t.Context(), h.token.RefreshToken, w.Now()); err == nil {
			t.Error("the grant of a deleted document still holds")
		}
		w.nothingOf(t, "ada")
		w.Pass(60 * 24 * time.Hour)
		if err := w.authority.maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if list, err := w.authority.List(t.Context(), "default", Filter{ID: h.id}); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		if d := w.document(t, kept.id); d.Subject != "jonas" {
			t.Errorf("%+v", d)
		}
	})
}

// nothingOf looks for a person's id in the tables that an authority keeps of
// documents and grants. The offers of the last minutes run out on their own.
func (w *world) nothingOf(t *testing.T, subject string) {
	t.Helper()
	err := w.authority.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		values, err := tx.Texts(ctx, `select value from once where kind in ('oauth-grant', 'oauth-access') order by 1`)
		if err != nil {
			return err
		}
		for _, v := range values {
			if strings.Contains(v, `"`+subject+`"`) {
				t.Errorf("still there: %s", v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A review finds what the register says otherwise now. The app gets new copies,
// at which the old ones end; if it does not, they end after a while.
func TestReview(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		w.authority.config.UpdateWithin = 7 * day
		quick, slow, same := w.hold(t, "ada", "mdl"), w.hold(t, "ada", "pid-sd-jwt"), w.hold(t, "jonas", "mdl")
		review := func(want Reviewed) {
			t.Helper()
			var told int
			got, err := w.authority.Review(t.Context(), "default", func(n int) { told = n })
			if err != nil || got != want || told != want.Documents {
				t.Fatalf("reviewed %+v, told %d, %v; wanted %+v", got, told, err, want)
			}
		}
		review(Reviewed{Documents: 3})
		w.changeRow(t, "ada", func(row string) string { return strings.Replace(row, "Sommerfeld", "Winterfeld", 1) })
		review(Reviewed{Documents: 3, Outdated: 2})
		review(Reviewed{Documents: 3})
		if d := w.document(t, quick.id); d.Outdated.IsZero() || d.State != StateValid || quick.state() != status.Valid {
			t.Errorf("%+v", d)
		}
		old := quick.state
		w.renew(t, quick, "mdl")
		if err := w.authority.maintain(t.Context()); err != nil { // publishes
			t.Fatal(err)
		}
		if old() != status.Invalid || quick.state() != status.Valid {
			t.Errorf("after new copies: old %v, new %v", old(), quick.state())
		}
		if d := w.document(t, quick.id); !d.Outdated.IsZero() {
			t.Errorf("%+v", d)
		}
		w.Pass(7 * day)
		review(Reviewed{Documents: 3, Ended: 1})
		if slow.state() != status.Invalid || same.state() != status.Valid {
			t.Errorf("after the time to update: %v, unchanged %v", slow.state(), same.state())
		}
		if d := w.document(t, slow.id); d.State != StateExpired || d.Outdated.IsZero() {
			t.Errorf("%+v", d)
		}
		review(Reviewed{Documents: 3})
		noPersonalData(t, w)
	})
}

// The documents of the dead, and of those who are not in the register any more,
// are revoked.
func TestReviewGone(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	dead, gone := w.hold(t, "ada", "mdl"), w.hold(t, "jonas", "mdl")
	if err := os.Remove(filepath.Join(w.register, "people", "ada.jpg")); err != nil { // dead all the same
		t.Fatal(err)
	}
	w.changeRow(t, "ada", func(row string) string { return row + "2026-11-22" })
	w.changeRow(t, "jonas", func(string) string { return "" })
	got, err := w.authority.Review(t.Context(), "default", nil)
	if err != nil || got != (Reviewed{Documents: 2, Revoked: 2}) {
		t.Fatalf("%+v, %v", got, err)
	}
	for h, reason := range map[*holding]string{dead: "holder deceased", gone: "holder not in the register any more"} {
		if d := w.document(t, h.id); d.State != StateRevoked || d.Reason != reason || h.state() != status.Invalid {
			t.Errorf("%+v", d)
		}
	}
}

// A register that cannot be read ends nothing, and the next review goes on.
func TestReviewWithoutRegister(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	h := w.hold(t, "ada", "mdl")
	away := &awaySource{Source: w.authority.tenants["default"].source, away: true}
	w.authority.tenants["default"].source = away
	if _, err := w.authority.Review(t.Context(), "default", nil); err == nil {
		t.Error("no error")
	}
	if h.state() != status.Valid {
		t.Error("revoked because the register was away")
	}
	away.away = false
	if got, err := w.authority.Review(t.Context(), "default", nil); err != nil || got.Documents != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A row that is not fit for a document any more stops nobody else's review.
func TestReviewUnfit(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	unfit, other := w.hold(t, "ada", "mdl"), w.hold(t, "jonas", "mdl")
	if err := os.Remove(filepath.Join(w.register, "people", "ada.jpg")); err != nil {
		t.Fatal(err)
	}
	w.changeRow(t, "jonas", func(row string) string { return strings.Replace(row, "Weidmann", "Waldmann", 1) })
	got, err := w.authority.Review(t.Context(), "default", nil)
	if err != nil || got != (Reviewed{Documents: 2, Problems: 1, Outdated: 1}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if d := w.document(t, other.id); d.Outdated.IsZero() || unfit.state() != status.Valid {
		t.Errorf("%+v", d)
	}
}

// awaySource is a register that does not answer at times.
type awaySource struct {
	source.Source
	away bool
}

func (s *awaySource) Find(ctx context.Context, id string) (source.Person, error) {
	if s.away {
		return source.Person{}, os.ErrDeadlineExceeded
	}
	return s.Source.Find(ctx, id)
}

// Upkeep reviews when it is time, in slices that any process can go on with.
func TestReviewRounds(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	h := w.hold(t, "ada", "mdl")
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.changeRow(t, "ada", func(row string) string { return strings.Replace(row, "Sommerfeld", "Winterfeld", 1) })
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.document(t, h.id); !d.Outdated.IsZero() {
		t.Error("reviewed again at once")
	}
	w.Pass(time.Hour)
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := w.document(t, h.id); d.Outdated.IsZero() {
		t.Error("not reviewed after an hour")
	}
}
