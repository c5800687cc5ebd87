package wallet_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/wallet"
	"github.com/google/go-cmp/cmp"
)

const websiteURL = "https://api.bank.example/mdoc/1"

// website is a reader behind a link, on the network of a world. Between the
// messages it keeps what session.Website says.
type website struct {
	w      *world
	signer *signer
	docs   []mdoc.DocRequest
	kept   []byte // JSON
	got    *mdoc.DeviceResponse
	script []byte // the transcript that got is bound to
	posted int
	spoil  func(message []byte) []byte // changes what is sent to the mdoc
}

func (w *world) website(s *signer, docs ...mdoc.DocRequest) (site *website, link string) {
	w.t.Helper()
	v := &website{w: w, signer: s, docs: docs}
	kept, err := session.NewWebsite(websiteURL, w.Now().Add(5*time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	if link, err = kept.Link(); err != nil {
		w.t.Fatal(err)
	}
	v.keep(kept)
	w.more[websiteURL] = v.post
	return v, link
}

func (v *website) keep(s *session.Website) { v.kept = []byte(mustJSON(s)) }

func (v *website) post(r fetch.Request) (fetch.Response, error) {
	v.posted++
	reply, err := v.answer(r.Body)
	if err != nil {
		return fetch.JSONResponse(400, map[string]string{"error": "refused", "error_description": err.Error()}), nil
	}
	if v.spoil != nil {
		reply = v.spoil(reply)
	}
	return fetch.Response{Status: 200, Header: map[string]string{"content-type": "application/cbor"}, Body: reply}, nil
}

func (v *website) answer(message []byte) ([]byte, error) {
	now := v.w.Now()
	kept := new(session.Website)
	if err := json.Unmarshal(v.kept, kept); err != nil {
		return nil, err
	}
	if len(kept.DeviceEngagement) == 0 {
		r, err := kept.Engage(message, "bank.example", now)
		if err != nil {
			return nil, err
		}
		p := mdoc.RequestParams{Documents: v.docs}
		if v.signer != nil {
			p.Reader = &mdoc.ReaderSigner{Key: v.signer, Chain: v.signer.chain(), Transcript: r.Transcript()}
		}
		request, err := mdoc.BuildDeviceRequest(context.Background(), p)
		if err != nil {
			return nil, err
		}
		v.keep(kept)
		return r.Request(request, now)
	}
	r, err := kept.Resume(now)
	if err != nil {
		return nil, err
	}
	event, err := r.Receive(message, now)
	if err != nil || event.Ended {
		return event.Reply, err
	}
	v.script = r.Transcript()
	if v.got, err = mdoc.ParseDeviceResponse(event.Plaintext); err != nil {
		return nil, err
	}
	return r.Terminate()
}

func TestAnswerReaderLink(t *testing.T) {
	w := newWorld(t)
	bank := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, doc := w.holder(nil)
	v, link := w.website(&bank, wants(mdoc.DocTypeMDL, "!family_name", "age_over_18"))
	entries, err := d.AnswerReaderLink(t.Context(), link, "bank.example")
	if err != nil || len(entries) != 1 {
		t.Fatalf("%+v %v", entries, err)
	}
	if diff := cmp.Diff([]string{"age_over_18", "family_name"}, verified(t, w, v.got, v.script)); diff != "" {
		t.Error(diff)
	}
	e := entries[0]
	if e.Outcome != wallet.OutcomeDone || e.Channel != wallet.Remote || e.Party.Standing != assure.ReaderTrusted || e.Party.Name != "Bank" ||
		e.Party.ID != "https://api.bank.example" || e.Documents[0].ID != doc.ID || !e.Documents[0].Elements[0].Retain || v.posted != 2 {
		t.Errorf("%d %+v", v.posted, e)
	}
	if log, _ := d.Log(t.Context()); !cmp.Equal(log[0], e) {
		t.Errorf("logged %+v", log[0])
	}
	if text := d.consent.last().Text(); !strings.Contains(text, "remote") {
		t.Error(text)
	}
	// The link is used up.
	if entries, err := d.AnswerReaderLink(t.Context(), link, "bank.example"); err == nil || len(entries) != 0 {
		t.Errorf("twice: %+v %v", entries, err)
	}
}

func TestAnswerReaderLinkRefused(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	v, link := w.website(nil, wants(mdoc.DocTypeMDL, "family_name"))
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	entries, err := d.AnswerReaderLink(t.Context(), link, "bank.example")
	if err != nil || len(entries) != 1 || entries[0].Outcome != wallet.OutcomeRefused || entries[0].Party.Standing != assure.ReaderUnknown ||
		entries[0].Party.Name != "api.bank.example" {
		t.Errorf("%+v %v", entries, err)
	}
	if v.got == nil || len(v.got.Documents) != 0 || len(v.got.Errors) != 1 {
		t.Errorf("the reader got %+v", v.got)
	}
}

func TestAnswerReaderLinkHostile(t *testing.T) {
	w := newWorld(t)
	bank := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holder(nil)
	asked := len(d.consent.asked)
	ask := wants(mdoc.DocTypeMDL, "family_name")
	for _, domain := range []string{"", "evil.example"} {
		v, link := w.website(&bank, ask)
		if entries, err := d.AnswerReaderLink(t.Context(), link, domain); err == nil || !strings.Contains(err.Error(), "400") || len(entries) != 0 || v.posted != 1 {
			t.Errorf("from %q: %+v %v", domain, entries, err)
		}
	}
	for _, link := range []string{"", "mdoc://", "mdoc:" + strings.Repeat("A", 20), "openid4vp://?x", "mdoc://" + strings.Repeat("A", 1<<20)} {
		if _, err := d.AnswerReaderLink(t.Context(), link, "bank.example"); err == nil {
			t.Errorf("%.20q taken", link)
		}
	}
	for _, uri := range []string{"http://bank.example/1", "ftp://bank.example/1", "bank.example", "https://u@bank.example/1"} {
		s, err := session.NewWebsite(uri, w.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		link, err := s.Link()
		if err != nil {
			t.Fatal(err)
		}
		before := len(w.log)
		if _, err := d.AnswerReaderLink(t.Context(), link, "bank.example"); err == nil || len(w.log) != before {
			t.Errorf("%s fetched: %v", uri, err)
		}
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"changed":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"no CBOR":   func([]byte) []byte { return []byte("x") },
		"no answer": func([]byte) []byte { return nil },
	} {
		v, link := w.website(&bank, ask)
		v.spoil = spoil
		if entries, err := d.AnswerReaderLink(t.Context(), link, "bank.example"); err == nil || len(entries) != 0 || v.got != nil {
			t.Errorf("%s: %+v %v", name, entries, err)
		}
	}
	if len(d.consent.asked) != asked {
		t.Error("the holder was bothered")
	}
}
