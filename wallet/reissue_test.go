package wallet_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/wallet"
)

const refreshLifetime = 90 * 24 * time.Hour

// lastingHolder is a holder whose authority gives refresh tokens.
func (w *world) lastingHolder() (*device, wallet.Document) {
	w.t.Helper()
	w.serve(refreshLifetime)
	return w.holder(nil)
}

// New copies come without the person, with what the register says now, and
// replace the old ones; their keys go.
func TestReissue(t *testing.T) {
	w := newWorld(t)
	d, doc := w.lastingHolder()
	if doc.Grant == "" || d.keys(t) != 1+2+5 { // of the instance, of the grant (two), of the copies
		t.Fatalf("grant %q, %d keys", doc.Grant, d.keys(t))
	}
	if w.notified["n5"] != string(oid4vci.EventAccepted) {
		t.Errorf("issuer was told %v", w.notified)
	}
	if doc.Due(w.Now()) {
		t.Error("due at once")
	}
	before, err := d.Copies(t.Context(), doc.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.Pass(10 * 24 * time.Hour)
	w.subject[doctype.Name{Namespace: mdoc.NameSpaceMDL, ID: "family_name"}] = "Muster-Neu"
	if !doc.Due(w.Now()) {
		t.Errorf("not due four days before %v", doc.ValidUntil)
	}
	came, err := d.ReissueDue(t.Context())
	if err != nil || len(came) != 1 {
		t.Fatalf("%+v, %v", came, err)
	}
	fresh := came[0]
	if fresh.ID != doc.ID || fresh.Grant != doc.Grant || !fresh.Added.Equal(doc.Added) || !fresh.ValidUntil.After(doc.ValidUntil) ||
		fresh.Unused != 5 || !fresh.Updated.Equal(w.Now()) || fresh.Due(w.Now()) {
		t.Errorf("%+v", fresh)
	}
	listed, err := d.Documents(t.Context())
	if err != nil || len(listed) != 1 || listed[0].ValidUntil != fresh.ValidUntil || listed[0].Copies != 5 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	_, elements, err := d.Show(t.Context(), doc.ID)
	if n := slices.IndexFunc(elements, func(e wallet.Element) bool { return e.ID == "family_name" }); err != nil || elements[n].Text != "Muster-Neu" {
		t.Errorf("%+v, %v", elements, err)
	}
	after, err := d.Copies(t.Context(), doc.ID)
	if err != nil || slices.ContainsFunc(after, func(a []byte) bool {
		return slices.ContainsFunc(before, func(b []byte) bool { return slices.Equal(a, b) })
	}) {
		t.Errorf("old copies are still there, %v", err)
	}
	if d.keys(t) != 1+2+5+5 {
		t.Errorf("%d keys: those of old copies stay for a while", d.keys(t))
	}
	w.Pass(2 * time.Hour)
	w.take(d) // sweeps
	if d.keys(t) != 1+2+5+2+5 {
		t.Errorf("%d keys after a while", d.keys(t))
	}
	if w.notified["n10"] != string(oid4vci.EventAccepted) {
		t.Errorf("issuer was told %v", w.notified)
	}
	if err := d.Delete(t.Context(), doc.ID); err != nil || d.keys(t) != 1+2+5 {
		t.Errorf("delete: %v, %d keys", err, d.keys(t))
	}
}

// Copies that were shown make a document due.
func TestDueByUse(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	d := wallet.Document{Grant: "g", Copies: 10, Unused: 3, ValidFrom: now, ValidUntil: now.Add(14 * day)}
	if d.Due(now) {
		t.Error("due with three left of ten")
	}
	d.Unused = 2
	if !d.Due(now) {
		t.Error("not due with two left of ten")
	}
	d.Grant = ""
	if d.Due(now) {
		t.Error("due without a way to get copies")
	}
}

func TestReissueRefused(t *testing.T) {
	w := newWorld(t)
	d, doc := w.lastingHolder()
	keys := d.keys(t)
	unchanged := func(what string) {
		t.Helper()
		got, _, err := d.Show(t.Context(), doc.ID)
		if err != nil || got.ValidUntil != doc.ValidUntil || got.Unused != doc.Unused || d.keys(t) != keys {
			t.Errorf("%s: %+v, %v, %d keys", what, got, err, d.keys(t))
		}
	}
	if _, err := d.Reissue(t.Context(), "nothing"); !errors.Is(err, wallet.ErrNotFound) {
		t.Errorf("unknown document: %v", err)
	}
	w.refuse[issuerURL+"/credential"] = (&oid4vci.Error{Code: oid4vci.CodeDenied, Description: "revoked"}).Response()
	if _, err := d.Reissue(t.Context(), doc.ID); err == nil || !strings.Contains(err.Error(), "ask there") {
		t.Errorf("denied: %v", err)
	}
	unchanged("denied")
	delete(w.refuse, issuerURL+"/credential")

	w.mangle = func(n int, p *mdoc.IssueParams) {
		if n == 3 {
			p.NameSpaces[0].Elements = p.NameSpaces[0].Elements[1:]
		}
	}
	if _, err := d.Reissue(t.Context(), doc.ID); err == nil {
		t.Error("copies that differ were taken")
	}
	unchanged("copies that differ")
	if w.notified["n10"] != string(oid4vci.EventFailure) {
		t.Errorf("issuer was told %v", w.notified)
	}
	w.mangle = nil

	w.Pass(refreshLifetime + time.Hour)
	if _, err := d.Reissue(t.Context(), doc.ID); !errors.Is(err, wallet.ErrNoGrant) {
		t.Errorf("after the refresh token ended: %v", err)
	}
	unchanged("refresh token ended")

	if err := d.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reissue(t.Context(), doc.ID); !errors.Is(err, wallet.ErrNotInstalled) {
		t.Errorf("not installed: %v", err)
	}
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reissue(t.Context(), doc.ID); !errors.Is(err, wallet.ErrNoGrant) {
		t.Errorf("installed anew: %v", err)
	}
}

// Copies that the issuer has ended are replaced, which the app finds out once a
// day; it does not insist when there are none.
func TestReissueEnded(t *testing.T) {
	w := newWorld(t)
	d, doc := w.lastingHolder()
	if came, err := d.ReissueDue(t.Context()); err != nil || len(came) != 0 {
		t.Fatalf("%+v, %v", came, err)
	}
	if err := w.revoked.Set(4, status.Invalid); err != nil {
		t.Fatal(err)
	}
	asked := len(w.log)
	w.Pass(23 * time.Hour)
	if came, err := d.ReissueDue(t.Context()); err != nil || len(came) != 0 || len(w.log) != asked {
		t.Errorf("checked within the day: %v, %v", came, err)
	}
	w.Pass(time.Hour)
	w.refuse[issuerURL+"/credential"] = (&oid4vci.Error{Code: oid4vci.CodeDenied}).Response()
	if _, err := d.ReissueDue(t.Context()); err == nil {
		t.Error("no error for a refusal")
	}
	asked = len(w.log)
	if _, err := d.ReissueDue(t.Context()); err != nil || len(w.log) != asked {
		t.Errorf("insists: %v, %v", w.log[asked:], err)
	}
	delete(w.refuse, issuerURL+"/credential")
	w.Pass(24 * time.Hour)
	came, err := d.ReissueDue(t.Context())
	if err != nil || len(came) != 1 || came[0].ID != doc.ID || came[0].Status != "" {
		t.Errorf("%+v, %v", came, err)
	}
}

// Without a refresh token an offer is good for one time.
func TestNoGrant(t *testing.T) {
	w := newWorld(t)
	d, doc := w.holder(nil)
	if _, err := d.Reissue(t.Context(), doc.ID); doc.Grant != "" || !errors.Is(err, wallet.ErrNoGrant) {
		t.Errorf("grant %q, %v", doc.Grant, err)
	}
}

// A document that is not ready comes later, for the keys that were asked for.
func TestDeferred(t *testing.T) {
	w := newWorld(t)
	w.serve(refreshLifetime)
	w.later = 2
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	docs, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil || len(docs) != 0 || d.keys(t) != 1+2+5 {
		t.Fatalf("%+v, %v, %d keys", docs, err, d.keys(t))
	}
	waiting, err := d.Pending(t.Context())
	if err != nil || len(waiting) != 1 || waiting[0].Name != "Driving licence" || !waiting[0].After.Equal(w.Now().Add(time.Minute)) {
		t.Fatalf("%+v, %v", waiting, err)
	}
	asked := len(w.log)
	if came, err := d.ReissueDue(t.Context()); err != nil || len(came) != 0 || len(w.log) != asked {
		t.Errorf("asked too soon: %v, %v", w.log[asked:], err)
	}
	w.Pass(time.Minute)
	if came, err := d.ReissueDue(t.Context()); err != nil || len(came) != 0 {
		t.Errorf("%+v, %v", came, err)
	}
	w.Pass(time.Minute)
	came, err := d.ReissueDue(t.Context())
	if err != nil || len(came) != 1 || came[0].Copies != 5 || came[0].Grant != waiting[0].Grant || d.keys(t) != 1+2+5 {
		t.Fatalf("%+v, %v, %d keys", came, err, d.keys(t))
	}
	if waiting, err = d.Pending(t.Context()); err != nil || len(waiting) != 0 {
		t.Errorf("still waiting: %+v, %v", waiting, err)
	}
	if w.notified["n5"] != string(oid4vci.EventAccepted) {
		t.Errorf("issuer was told %v", w.notified)
	}
	w.Pass(2 * time.Hour)
	if err := d.Delete(t.Context(), came[0].ID); err != nil || d.keys(t) != 1 {
		t.Errorf("delete: %v, %d keys", err, d.keys(t))
	}
}

// A request that the issuer has refused meanwhile is forgotten with its keys.
func TestDeferredRefused(t *testing.T) {
	w := newWorld(t)
	w.serve(refreshLifetime)
	w.later = 2
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Pass(time.Minute)
	w.refuse[issuerURL+"/deferred"] = fetch.Response{Status: 503}
	if _, err := d.ReissueDue(t.Context()); err == nil {
		t.Error("no error for a failure")
	}
	if waiting, err := d.Pending(t.Context()); err != nil || len(waiting) != 1 {
		t.Errorf("given up for a failure: %+v, %v", waiting, err)
	}
	w.refuse[issuerURL+"/deferred"] = (&oid4vci.Error{Code: oid4vci.CodeDenied}).Response()
	if _, err := d.ReissueDue(t.Context()); err == nil {
		t.Error("no error for a refusal")
	}
	if waiting, err := d.Pending(t.Context()); err != nil || len(waiting) != 0 || d.keys(t) != 1 {
		t.Errorf("%+v, %v, %d keys", waiting, err, d.keys(t))
	}
}

// The issuer's word on when to get new copies counts more than ours.
func TestDueAsTheIssuerWants(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	doc := func(unused int, left time.Duration, reuse *oid4vci.ReuseOption) wallet.Document {
		return wallet.Document{Grant: "g", Copies: 10, Unused: unused, ValidFrom: now.Add(left - 12*day), ValidUntil: now.Add(left), Reuse: reuse}
	}
	once := &oid4vci.ReuseOption{Details: []string{oid4vci.ReuseOnce}, BatchSize: 10, Unused: 6}
	limited := &oid4vci.ReuseOption{Details: []string{oid4vci.ReuseLimited}, LifetimeLeft: 24 * 3600}
	for name, c := range map[string]struct {
		doc  wallet.Document
		want bool
	}{
		"no word, few left":           {doc(2, 10*day, nil), true},
		"no word, some left":          {doc(3, 10*day, nil), false},
		"once, as few as it says":     {doc(6, 10*day, once), true},
		"once, more than it says":     {doc(7, 10*day, once), false},
		"once, soon over":             {doc(10, 4*day, once), true},
		"limited, shown to everybody": {doc(0, 2*day, limited), false},
		"limited, last day":           {doc(1, day, limited), true},
	} {
		if got := c.doc.Due(now); got != c.want {
			t.Errorf("%s: due %v", name, got)
		}
	}
	few := doc(1, 10*day, once) // another app asked for fewer than the issuer thinks
	few.Copies = 1
	if few.Due(now) {
		t.Error("due before it was shown")
	}
}

// There are as many copies as the issuer gives for the way they are used.
func TestCopiesAsTheIssuerWants(t *testing.T) {
	for want, option := range map[int]oid4vci.ReuseOption{
		3: {Details: []string{oid4vci.ReuseOnce}, BatchSize: 3, Unused: 1},
		1: {Details: []string{oid4vci.ReuseLimited}, LifetimeLeft: 600},
	} {
		w := newWorld(t)
		w.reuse = &oid4vci.ReusePolicy{ID: oid4vci.ReusePolicyARF, Options: []oid4vci.ReuseOption{option}}
		_, doc := w.lastingHolder()
		if doc.Copies != want || doc.Reuse == nil || doc.Reuse.Details[0] != option.Details[0] {
			t.Errorf("%d copies, %+v; wanted %d", doc.Copies, doc.Reuse, want)
		}
	}
}
