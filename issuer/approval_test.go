package issuer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// withApproval has an operator approve all mDLs.
func (w *world) withApproval() {
	t := w.authority.tenants["default"]
	o := t.offerings["mdl"]
	o.Approval = true
	t.offerings["mdl"] = o
}

// request asks for a person's mDL, which needs approval, with one key, and
// returns the id of the request.
func (w *world) request(t *testing.T, subject string) (p *app, token *oauth.Token, id string) {
	t.Helper()
	p, token = w.accept(subject, "mdl")
	if _, _, err := p.get(token, "mdl", 1); err != nil || p.answer.Transaction == "" {
		t.Fatalf("%+v, %v", p.answer, err)
	}
	return p, token, p.answer.Transaction
}

// again asks for a document that was not ready.
func (p *app) again(t *testing.T, token *oauth.Token, transaction string) (oid4vci.Answer, error) {
	t.Helper()
	c := &oid4vci.Client{Metadata: p.metadata, OAuth: p.oauth, Token: token}
	return c.Deferred(t.Context(), transaction, 10, p.world.Now())
}

func TestApproval(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		if p := w.newApp(w.authority); p.metadata.DeferredEndpoint != "" {
			t.Error("a deferred endpoint for nothing")
		}
		w.withApproval()
		p, token := w.accept("ada", "mdl")
		none, signers, err := p.get(token, "mdl", 3)
		if err != nil || len(none) != 0 || p.answer.Transaction == "" || p.answer.Interval != time.Minute {
			t.Fatalf("%+v, %v", p.answer, err)
		}
		id := p.answer.Transaction
		for range 2 { // asking too soon is no harm
			if a, err := p.again(t, token, id); err != nil || a.Transaction != id || a.Interval != time.Minute {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		list, err := w.authority.Requests(t.Context(), "default", RequestWaiting)
		if err != nil || len(list) != 1 || list[0].ID != id || list[0].Subject != "ada" || list[0].Copies != 3 {
			t.Fatalf("%+v, %v", list, err)
		}
		// Nobody else gets it.
		other, token2 := w.accept("jonas", "mdl")
		_, err = other.again(t, token2, id)
		wantCode(t, "the request of another", err, oid4vci.CodeInvalidTransaction)

		if err := w.authority.Decide(t.Context(), "default", id, true, "seen"); err != nil {
			t.Fatal(err)
		}
		if err := w.authority.Decide(t.Context(), "default", id, false, ""); !errors.Is(err, ErrUnknownRequest) {
			t.Errorf("decided twice: %v", err)
		}
		w.Pass(6 * time.Hour) // the token has ended
		if token, err = p.oauth.Refresh(t.Context(), token.RefreshToken, w.Now()); err != nil {
			t.Fatal(err)
		}
		a, err := p.again(t, token, id)
		if err != nil || len(a.Credentials) != 3 || a.Notification == "" {
			t.Fatalf("%+v, %v", a, err)
		}
		for _, c := range a.Credentials {
			w.verify(c, signers)
		}
		_, err = p.again(t, token, id)
		wantCode(t, "asked again after all", err, oid4vci.CodeInvalidTransaction)
		if more, _, err := p.get(token, "mdl", 1); err != nil || len(more) != 1 { // the document is approved
			t.Errorf("new copies: %v, %+v", err, p.answer)
		}
		noPersonalData(t, w)
	})
}

// Who asks again from the start gets the document that was approved meanwhile,
// and not another chance after it was denied.
func TestApprovalAskedAnew(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.withApproval()
	p, token, first := w.request(t, "ada")
	if _, _, err := p.get(token, "mdl", 2); err != nil || p.answer.Transaction == first {
		t.Fatalf("%+v, %v", p.answer, err)
	}
	_, err := p.again(t, token, first)
	wantCode(t, "replaced", err, oid4vci.CodeInvalidTransaction)
	if err := w.authority.Decide(t.Context(), "default", p.answer.Transaction, true, ""); err != nil {
		t.Fatal(err)
	}
	got, signers, err := p.get(token, "mdl", 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", p.answer, err)
	}
	w.verify(got[0], signers)

	p, token, _ = w.request(t, "jonas")
	if err := w.authority.Decide(t.Context(), "default", p.answer.Transaction, false, "not him"); err != nil {
		t.Fatal(err)
	}
	_, err = p.again(t, token, p.answer.Transaction)
	wantCode(t, "denied", err, oid4vci.CodeDenied)
	_, _, err = p.get(token, "mdl", 1)
	wantCode(t, "denied, asked anew", err, oid4vci.CodeDenied)
	if list, err := w.authority.List(t.Context(), "default", Filter{Subject: "jonas"}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := w.authority.Requests(t.Context(), "default", RequestDenied); err != nil || len(list) != 1 || list[0].Reason != "not him" {
		t.Errorf("%+v, %v", list, err)
	}
	w.Pass(31 * day)
	if err := w.authority.maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := w.authority.Requests(t.Context(), "default", RequestDenied); err != nil || len(list) != 0 {
		t.Errorf("kept for ever: %+v, %v", list, err)
	}
}

// A request that nobody decided about is over after a month.
func TestApprovalExpires(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.withApproval()
	_, _, id := w.request(t, "ada")
	w.Pass(30 * day)
	if err := w.authority.Decide(t.Context(), "default", id, true, ""); !errors.Is(err, ErrUnknownRequest) {
		t.Errorf("%v", err)
	}
}

// A document that is not issued any more is not issued to those who wait either.
func TestApprovalOfNothing(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	w.withApproval()
	p, token, id := w.request(t, "ada")
	if err := w.authority.Decide(t.Context(), "default", id, true, ""); err != nil {
		t.Fatal(err)
	}
	delete(w.authority.tenants["default"].offerings, "mdl")
	_, err := p.again(t, token, id)
	wantCode(t, "not issued any more", err, oid4vci.CodeDenied)
}

// meddling is a register in which something else happens while it is asked.
type meddling struct {
	source.Source
	meddle func()
}

func (m *meddling) Find(ctx context.Context, id string) (source.Person, error) {
	if f := m.meddle; f != nil {
		m.meddle = nil
		f()
	}
	return m.Source.Find(ctx, id)
}

// An app that asks at both endpoints at once for what was approved: who comes
// second at the credential endpoint gets copies of the document that there is by
// then, who comes second at the other is told that its transaction is used.
func TestApprovedTwiceAtOnce(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		w.withApproval()
		tenant := w.authority.tenants["default"]
		register := &meddling{Source: tenant.source}
		tenant.source = register
		approved := func(subject string) (*app, *oauth.Token, string) {
			p, token := w.accept(subject, "mdl")
			if _, _, err := p.get(token, "mdl", 2); err != nil {
				t.Fatal(err)
			}
			id := p.answer.Transaction
			if err := w.authority.Decide(t.Context(), "default", id, true, ""); err != nil {
				t.Fatal(err)
			}
			return p, token, id
		}
		p, token, id := approved("ada")
		second := *p.oauth // a client is for one request at a time
		register.meddle = func() {
			c := &oid4vci.Client{Metadata: p.metadata, OAuth: &second, Token: token}
			if a, err := c.Deferred(t.Context(), id, 10, w.Now()); err != nil || len(a.Credentials) != 2 {
				t.Errorf("deferred: %+v, %v", a, err)
			}
		}
		got, signers, err := p.get(token, "mdl", 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("credential: %v", err)
		}
		w.verify(got[0], signers)
		if list, err := w.authority.List(t.Context(), "default", Filter{Subject: "ada"}); err != nil || len(list) != 1 || list[0].Batches != 2 || list[0].Copies != 3 {
			t.Errorf("%+v, %v", list, err)
		}

		p, token, id = approved("jonas")
		second = *p.oauth
		register.meddle = func() {
			other := *p
			other.oauth = &second
			if got, _, err := other.get(token, "mdl", 1); err != nil || len(got) != 1 {
				t.Errorf("credential: %v", err)
			}
		}
		_, err = p.again(t, token, id)
		wantCode(t, "deferred", err, oid4vci.CodeInvalidTransaction)
		if list, err := w.authority.List(t.Context(), "default", Filter{Subject: "jonas"}); err != nil || len(list) != 1 || list[0].Copies != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
