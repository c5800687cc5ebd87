package wallet_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
	"github.com/google/go-cmp/cmp"
)

const verifierURL = "http://verifier.localhost:8080/default"

// relyingParty asks over OpenID4VP, on the network of a world.
type relyingParty struct {
	w      *world
	engine oid4vp.Verifier
	tx     *oid4vp.Transaction
	object func(string) string // changes the request object
	got    *oid4vp.Answer
	posted int

	unsigned  bool
	authorise []oid4vp.TransactionData
	elements  []mdoc.ElementRef // in which an mdoc authorises
}

func (w *world) relyingParty(s signer) *relyingParty {
	v := &relyingParty{w: w, engine: oid4vp.Verifier{ClientID: oid4vp.X509HashID(s.cert.Raw), Key: s, Chain: s.chain()}}
	w.more[verifierURL+"/request/1"] = v.request
	w.more[verifierURL+"/response/1"] = v.response
	return v
}

func (v *relyingParty) request(r fetch.Request) (fetch.Response, error) {
	var post oid4vp.WalletPost
	if form, err := r.Form(); r.Method == "POST" && err == nil {
		if post, err = oid4vp.ParseWalletPost(form); err != nil {
			return fetch.Response{}, err
		}
	}
	object, err := v.engine.RequestObject(context.Background(), v.tx, post, v.w.Now())
	if v.object != nil {
		object = v.object(object)
	}
	return fetch.Response{Status: 200, Header: map[string]string{"content-type": oid4vp.RequestObjectMediaType}, Body: []byte(object)}, err
}

func (v *relyingParty) response(r fetch.Request) (fetch.Response, error) {
	v.posted++
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return fetch.Response{}, err
	}
	if v.got, err = v.tx.Open(context.Background(), form, v.w.Now()); err != nil {
		return fetch.JSONResponse(400, map[string]string{"error": oid4vp.CodeOf(err)}), nil
	}
	return fetch.JSONResponse(200, map[string]string{"redirect_uri": verifierURL + "/done#1"}), nil
}

// link begins a transaction with a DCQL query.
func (v *relyingParty) link(dcql string) string {
	v.w.t.Helper()
	q, err := query.ParseDCQL([]byte(dcql))
	if err != nil {
		v.w.t.Fatal(err)
	}
	if v.tx, err = v.engine.Begin(oid4vp.Params{Query: q, RequestURI: verifierURL + "/request/1", ResponseURI: verifierURL + "/response/1",
		Unsigned: v.unsigned, Transactions: v.authorise}, v.w.Now()); err != nil {
		v.w.t.Fatal(err)
	}
	v.got, v.posted = nil, 0
	return v.tx.Link("openid4vp")
}

const nameAndAge = `{"credentials":[{"id":"licence","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},
	"claims":[{"path":["org.iso.18013.5.1","family_name"],"intent_to_retain":true},{"path":["org.iso.18013.5.1","age_over_18"]}]}],
	"credential_sets":[{"options":[["licence"]],"purpose":"to open an account"}]}`

func TestAnswer(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, doc := w.holder(nil)
	v := w.relyingParty(rp)
	entry, redirect, err := d.Answer(t.Context(), v.link(nameAndAge))
	if err != nil {
		t.Fatal(err)
	}
	if redirect != verifierURL+"/done#1" || entry.Channel != wallet.Remote || entry.Outcome != wallet.OutcomeDone || entry.Party.Name != "Bank" ||
		entry.Party.Standing != assure.ReaderTrusted || entry.Documents[0].ID != doc.ID || !slices.Equal(entry.Purposes, []string{"to open an account"}) {
		t.Errorf("%q %+v", redirect, entry)
	}
	responses, err := v.got.Presentations.Mdoc("licence")
	if err != nil || len(responses) != 1 {
		t.Fatalf("%v %v", responses, err)
	}
	resp, err := mdoc.ParseDeviceResponse(responses[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"age_over_18", "family_name"}, verified(t, w, resp, v.got.Transcript)); diff != "" {
		t.Error(diff)
	}
	if log, _ := d.Log(t.Context()); !cmp.Equal(log[0], entry) {
		t.Errorf("logged %+v", log[0])
	}
	if text := d.consent.last().Text(); !strings.Contains(text, "to open an account") || !strings.Contains(text, "remote") {
		t.Error(text)
	}
}

func TestAnswerRefused(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holder(nil)
	v := w.relyingParty(rp)
	refuse := func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	part := func(q wallet.Question) (wallet.Answer, error) {
		a := q.Approve()
		a.Selection[0].Claims = a.Selection[0].Claims[:1]
		return a, nil
	}
	for _, tc := range []struct {
		name, dcql, code string
		answer           func(wallet.Question) (wallet.Answer, error)
		want             error
		outcome          wallet.Outcome
	}{
		{"refused", nameAndAge, oid4vp.AccessDenied, refuse, wallet.ErrRefused, wallet.OutcomeRefused},
		{"no such element", strings.ReplaceAll(nameAndAge, "family_name", "weight"), oid4vp.AccessDenied, nil, wallet.ErrNothing, wallet.OutcomeNothing},
		{"no such document", strings.ReplaceAll(nameAndAge, "mDL", "x"), oid4vp.AccessDenied, nil, wallet.ErrNothing, wallet.OutcomeNothing},
		{"a part of a DCQL query", nameAndAge, oid4vp.WalletUnavailable, part, nil, wallet.OutcomeFailed},
	} {
		d.consent.answer = tc.answer
		entry, redirect, err := d.Answer(t.Context(), v.link(tc.dcql))
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || entry.Outcome != tc.outcome {
			t.Errorf("%s: %+v %v", tc.name, entry, err)
		}
		if v.got == nil || v.got.Error != tc.code || len(v.got.Presentations) != 0 || redirect == "" {
			t.Errorf("%s: the verifier got %+v", tc.name, v.got)
		}
	}
	if listed, _ := d.Documents(t.Context()); listed[0].Unused != 5 {
		t.Errorf("refusals used up copies: %+v", listed)
	}
}

func TestAnswerHostile(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holder(nil)
	v := w.relyingParty(rp)
	asked := len(d.consent.asked)
	v.object = func(s string) string { return s[:len(s)-3] + "AAA" }
	if _, _, err := d.Answer(t.Context(), v.link(nameAndAge)); err == nil || v.posted != 0 {
		t.Errorf("changed request: %v", err)
	}
	v.object = nil
	link := v.link(nameAndAge)
	if _, _, err := d.Answer(t.Context(), strings.Replace(link, "x509_hash", "x509_san_dns", 1)); err == nil || v.posted != 0 {
		t.Errorf("another client: %v", err)
	}
	w.Pass(time.Hour)
	if _, _, err := d.Answer(t.Context(), link); err == nil || v.posted != 0 {
		t.Errorf("late: %v", err)
	}
	if _, _, err := d.Answer(t.Context(), "openid4vp://?client_id=x"); err == nil {
		t.Error("link without request")
	}
	if len(d.consent.asked) != asked {
		t.Error("the holder was bothered")
	}
}

// A verifier whom nobody vouches for is shown as such, after asking for fresh
// anchors once; a verifier that does not take the answer is an error.
func TestAnswerUnknownVerifier(t *testing.T) {
	w := newWorld(t)
	ca := certify(t, pki.ServiceCA, w.Now(), "Somebody's CA", nil)
	rp := certify(t, pki.Verifier, w.Now(), "Shop", &ca)
	refreshed := 0
	d, _ := w.holder(func(_ *wallet.Config, deps *wallet.Deps) {
		deps.Refresh = func(context.Context, time.Time) error {
			if refreshed++; refreshed == 2 {
				var err error
				w.anchors, err = w.anchors.With(assure.FromCertificates("verifier", "test", ca.cert)...)
				return err
			}
			return nil
		}
	})
	v := w.relyingParty(rp)
	entry, _, err := d.Answer(t.Context(), v.link(nameAndAge))
	if err != nil || entry.Party.Standing != assure.ReaderUnknown || entry.Party.Name != "Shop" || refreshed != 1 {
		t.Errorf("%+v %v", entry, err)
	}
	if q := d.consent.last(); !strings.Contains(strings.Join(q.Warnings, " "), "vouches") {
		t.Errorf("%v", q.Warnings)
	}
	entry, _, err = d.Answer(t.Context(), v.link(nameAndAge))
	if err != nil || entry.Party.Standing != assure.ReaderTrusted || entry.Party.VouchedBy != "Somebody's CA" {
		t.Errorf("%+v %v", entry, err)
	}
	w.more[verifierURL+"/response/1"] = func(fetch.Request) (fetch.Response, error) {
		return fetch.JSONResponse(400, map[string]string{"error": "invalid_request", "error_description": "finished"}), nil
	}
	entry, _, err = d.Answer(t.Context(), v.link(nameAndAge))
	if err == nil || !strings.Contains(err.Error(), "finished") || entry.Outcome != wallet.OutcomeFailed {
		t.Errorf("%+v %v", entry, err)
	}
}
