package wallet_test

import (
	"context"
	"errors"
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

// olderParty asks by ISO/IEC TS 18013-7, Annex B, on the network of a world.
type olderParty struct {
	w      *world
	engine oid4vp.Verifier
	tx     *oid4vp.AnnexBTransaction
	got    *oid4vp.AnnexBAnswer
	posted int
}

func (w *world) olderParty(s signer) *olderParty {
	v := &olderParty{w: w, engine: oid4vp.Verifier{Key: s, Chain: s.chain()}}
	w.more[verifierURL+"/request/1"] = func(fetch.Request) (fetch.Response, error) {
		object, err := v.engine.AnnexBObject(context.Background(), v.tx, w.Now())
		return fetch.Response{Status: 200, Body: []byte(object)}, err
	}
	w.more[verifierURL+"/response/1"] = func(r fetch.Request) (fetch.Response, error) {
		v.posted++
		form, err := r.Form()
		if err == nil {
			v.got, err = v.tx.Open(context.Background(), form, w.Now())
		}
		if err != nil {
			return fetch.JSONResponse(400, map[string]string{"error": oid4vp.CodeOf(err)}), nil
		}
		return fetch.JSONResponse(200, map[string]string{"redirect_uri": verifierURL + "/done#1"}), nil
	}
	return v
}

// link begins a transaction that asks for elements of the mDL.
func (v *olderParty) link(docType string, ids ...string) string {
	v.w.t.Helper()
	c := query.Credential{ID: "1", Format: query.FormatMdoc, Types: []string{docType}}
	for _, id := range ids {
		c.Claims = append(c.Claims, query.Claim{Path: query.Element(mdoc.NameSpaceMDL, id), Retain: id == "family_name"})
	}
	var err error
	v.tx, err = v.engine.BeginAnnexB(oid4vp.Params{
		Query: query.Query{Credentials: []query.Credential{c}}, RequestURI: verifierURL + "/request/1", ResponseURI: verifierURL + "/response/1",
	}, v.w.Now())
	if err != nil {
		v.w.t.Fatal(err)
	}
	v.got, v.posted = nil, 0
	return v.tx.Link()
}

func TestAnswerAnnexB(t *testing.T) {
	w := newWorld(t)
	ca := certify(t, pki.ServiceCA, w.Now(), "Verifier CA", nil)
	bank := certify(t, pki.Verifier, w.Now(), "Bank", &ca)
	var err error
	if w.anchors, err = w.anchors.With(assure.FromCertificates("verifier", "test", ca.cert)...); err != nil {
		t.Fatal(err)
	}
	d, doc := w.holder(nil)
	v := w.olderParty(bank)
	entry, redirect, err := d.Answer(t.Context(), v.link(mdoc.DocTypeMDL, "family_name", "age_over_18", "weight"))
	if err != nil {
		t.Fatal(err)
	}
	if redirect != verifierURL+"/done#1" || entry.Channel != wallet.Remote || entry.Outcome != wallet.OutcomeDone || entry.Party.Name != "Bank" ||
		entry.Party.Standing != assure.ReaderTrusted || entry.Party.ID != "verifier.localhost" || entry.Documents[0].ID != doc.ID || !entry.Documents[0].Elements[0].Retain {
		t.Errorf("%q %+v", redirect, entry)
	}
	resp, err := mdoc.ParseDeviceResponse(v.got.Response)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"age_over_18", "family_name"}, verified(t, w, resp, v.got.Transcript)); diff != "" {
		t.Error(diff)
	}
}

func TestAnswerAnnexBRefused(t *testing.T) {
	w := newWorld(t)
	ca := certify(t, pki.ServiceCA, w.Now(), "Verifier CA", nil)
	bank := certify(t, pki.Verifier, w.Now(), "Bank", &ca)
	d, _ := w.holder(nil)
	v := w.olderParty(bank)
	entry, redirect, err := d.Answer(t.Context(), v.link("org.example.none", "x"))
	if !errors.Is(err, wallet.ErrNothing) || redirect == "" || entry.Outcome != wallet.OutcomeNothing || v.got == nil || v.got.Error != oid4vp.AccessDenied {
		t.Errorf("%+v %v", entry, err)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	entry, redirect, err = d.Answer(t.Context(), v.link(mdoc.DocTypeMDL, "family_name"))
	if !errors.Is(err, wallet.ErrRefused) || redirect == "" || entry.Outcome != wallet.OutcomeRefused || v.got == nil || v.got.Error != oid4vp.AccessDenied || v.got.Response != nil {
		t.Errorf("%+v %v", entry, err)
	}
	if entry.Party.Standing != assure.ReaderUnknown {
		t.Errorf("%+v", entry.Party)
	}
	asked := len(d.consent.asked)
	link := v.link(mdoc.DocTypeMDL, "family_name")
	if _, _, err := d.Answer(t.Context(), strings.Replace(link, "verifier.localhost", "other.localhost", 1)); err == nil || v.posted != 0 {
		t.Errorf("another client: %v", err)
	}
	w.Pass(time.Hour)
	if _, _, err := d.Answer(t.Context(), link); err == nil || v.posted != 0 {
		t.Errorf("late: %v", err)
	}
	if len(d.consent.asked) != asked {
		t.Error("the holder was bothered")
	}
	d.consent.answer = nil
	link = v.link(mdoc.DocTypeMDL, "family_name")
	w.refuse[verifierURL+"/response/1"] = fetch.JSONResponse(400, map[string]string{"error": "invalid_request", "error_description": "finished"})
	if entry, _, err := d.Answer(t.Context(), link); err == nil || !strings.Contains(err.Error(), "finished") || entry.Outcome != wallet.OutcomeFailed {
		t.Errorf("%+v %v", entry, err)
	}
}
