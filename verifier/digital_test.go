package verifier_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
)

// asked is what a page of an origin is given to ask the browser with.
func (w *world) asked(tr verifier.Transaction, origin string) []dcapi.Request {
	w.t.Helper()
	rec := w.asPage("GET", tr.Watch+"/dc", origin, "")
	list, err := dcapi.ParseRequests(rec.Body.Bytes())
	if rec.Code != 200 || err != nil {
		w.t.Fatalf("%d %s %v", rec.Code, rec.Body, err)
	}
	return list
}

// answersPage is what the browser gives a page whose request the holder's wallet
// answered. It was told the origin.
func (h *holder) answersPage(list []dcapi.Request, protocol, origin string) string {
	h.w.t.Helper()
	i := slices.IndexFunc(list, func(r dcapi.Request) bool { return r.Protocol == protocol })
	if i < 0 {
		h.w.t.Fatalf("not asked by %s", protocol)
	}
	req, rep, err := oid4vp.OpenDC(h.w.t.Context(), protocol, list[i].Data, origin, oid4vp.Environment{}, h.w.Now())
	if err != nil {
		h.w.t.Fatalf("%v\n%s", err, rep)
	}
	if !req.Encrypted {
		h.w.t.Error("the answer would go in the clear")
	}
	transcript, err := req.Transcript()
	h.w.check(err)
	data, err := req.AnswerDC(oid4vp.Presentations{"mdl": {oid4vp.EncodeMdoc(h.present(transcript, "family_name", "age_over_21", "portrait"))}})
	h.w.check(err)
	raw, err := json.Marshal(dcapi.Response{Protocol: protocol, Data: data})
	h.w.check(err)
	return string(raw)
}

// A page asks by OpenID4VP beside org-iso-mdoc. What was not answered to this
// page, this transaction and for the first time is refused.
func TestDigitalOpenID(t *testing.T) {
	const second = "https://second.example"
	cfg := keeping()
	cfg.Tenants[0].Origins = append(cfg.Tenants[0].Origins, second)
	w := newWorld(t, testkit.SQLite(t), cfg)
	h := w.issue(5)
	for _, protocol := range []string{oid4vp.ProtocolSigned, oid4vp.ProtocolUnsigned} {
		tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, Retain: time.Hour})
		w.check(err)
		list := w.asked(tr, shop)
		var names []string
		for _, r := range list {
			names = append(names, r.Protocol)
		}
		if !slices.Equal(names, []string{oid4vp.ProtocolSigned, dcapi.ProtocolMdoc, oid4vp.ProtocolUnsigned}) {
			t.Errorf("asked by %v", names)
		}
		answer := h.answersPage(list, protocol, shop)
		refused := func(what, origin, body, says string, tr verifier.Transaction) {
			t.Helper()
			if rec := w.asPage("POST", tr.Watch+"/dc", origin, body); rec.Code != 400 || !strings.Contains(rec.Body.String(), says) {
				t.Errorf("%s, %s: %d %s, wanted %q", protocol, what, rec.Code, rec.Body, says)
			}
		}
		refused("from a page that did not ask", second, answer, "not asked for", tr)
		w.asked(tr, second)
		refused("from another page", second, answer, "another key", tr)
		other := w.begin(ask)
		refused("of another transaction, not asked this way", shop, answer, "not asked for", other)
		w.asked(other, shop)
		refused("of another transaction", shop, answer, "another key", other)
		refused("in the clear", shop, `{"protocol":"`+protocol+`","data":{"vp_token":{"mdl":["AAAA"]}}}`, "invalid_request", tr)
		refused("garbage", shop, `{"protocol":"`+protocol+`","data":{"response":"a.b.c.d.e"}}`, "invalid_request", tr)
		if _, _, err := oid4vp.OpenDC(t.Context(), list[0].Protocol, list[0].Data, second, oid4vp.Environment{}, w.Now()); err == nil {
			t.Error("a signed request opens for a page that it is not for")
		}
		if o := w.outcome(tr); o.State != verifier.Waiting {
			t.Fatalf("an attempt ended the transaction: %+v", o)
		}
		if rec := w.asPage("POST", tr.Watch+"/dc", shop, answer); rec.Code != 200 || !strings.Contains(rec.Body.String(), "response_code") {
			t.Fatalf("%s: %d %s", protocol, rec.Code, rec.Body)
		}
		w.answered(tr)
		refused("replay", shop, answer, "finished", tr)
		e, err := w.v.Evidence(t.Context(), "default", tr.Number)
		if err != nil || !strings.Contains(e.Request, oid4vp.ProtocolSigned) || len(e.Received) != 2 || e.Received[0].Value != protocol || len(e.Presentations) != 1 {
			t.Errorf("kept: %+v %v", e, err)
		}
	}
}

// An answer that was bound to a page of somebody else is not accepted, though it
// is encrypted to the right key; a refusal ends the transaction; late is late.
func TestDigitalOpenIDNotAccepted(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), keeping())
	h := w.issue(5)
	tr := w.begin(ask)
	relayed := h.answersPage(w.asked(tr, shop), oid4vp.ProtocolUnsigned, "https://evil.example")
	if rec := w.asPage("POST", tr.Watch+"/dc", shop, relayed); rec.Code != 400 || !strings.Contains(rec.Body.String(), "device") {
		t.Errorf("relayed: %d %s", rec.Code, rec.Body)
	}
	if o := w.outcome(tr); o.State != verifier.Done || o.Result.OK() || o.Result.Documents[0].Elements != nil {
		t.Errorf("relayed: %+v", o)
	}

	tr = w.begin(ask)
	w.asked(tr, shop)
	if rec := w.asPage("POST", tr.Watch+"/dc", shop, `{"protocol":"openid4vp-v1-signed","data":{"error":"access_denied"}}`); rec.Code != 200 {
		t.Errorf("refusal: %d %s", rec.Code, rec.Body)
	}
	if o := w.outcome(tr); o.State != verifier.Refused || o.Result != nil {
		t.Errorf("refusal: %+v", o)
	}

	tr = w.begin(ask)
	late := h.answersPage(w.asked(tr, shop), oid4vp.ProtocolSigned, shop)
	w.Pass(5 * time.Minute)
	if rec := w.asPage("POST", tr.Watch+"/dc", shop, late); rec.Code != 400 {
		t.Errorf("late: %d %s", rec.Code, rec.Body)
	}
}
