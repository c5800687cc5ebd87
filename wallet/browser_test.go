package wallet_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/wallet"
	"github.com/google/go-cmp/cmp"
)

const pageOrigin = "https://bank.example"

// page asks by the Digital Credentials API.
type page struct {
	w  *world
	tx *dcapi.Transaction
}

// asks is the list of requests of a page, signed if by is not nil.
func (p *page) asks(by *signer, docs ...mdoc.DocRequest) []byte {
	p.w.t.Helper()
	var err error
	if p.tx, err = dcapi.Begin(pageOrigin, 0, p.w.Now()); err != nil {
		p.w.t.Fatal(err)
	}
	params := mdoc.RequestParams{Documents: docs}
	if by != nil {
		params.Reader = &mdoc.ReaderSigner{Key: by, Chain: by.chain()}
	}
	r, err := p.tx.Request(context.Background(), params)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return []byte(mustJSON([]dcapi.Request{r}))
}

// opens returns the answer that the page was given.
func (p *page) opens(raw []byte) *mdoc.DeviceResponse {
	p.w.t.Helper()
	r, err := dcapi.ParseResponse(raw)
	if err != nil {
		p.w.t.Fatal(err)
	}
	plain, err := p.tx.Open(r, p.w.Now())
	if err != nil {
		p.w.t.Fatal(err)
	}
	resp, err := mdoc.ParseDeviceResponse(plain)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return resp
}

func TestAnswerBrowser(t *testing.T) {
	w := newWorld(t)
	bank := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, doc := w.holder(nil)
	p := &page{w: w}
	before := len(w.log)
	raw, entry, err := d.AnswerBrowser(t.Context(), p.asks(&bank, wants(mdoc.DocTypeMDL, "!family_name", "age_over_18", "weight")), pageOrigin)
	if err != nil {
		t.Fatal(err)
	}
	resp := p.opens(raw)
	if diff := cmp.Diff([]string{"age_over_18", "family_name"}, verified(t, w, resp, p.tx.Transcript())); diff != "" {
		t.Error(diff)
	}
	if entry.Channel != wallet.Remote || entry.Outcome != wallet.OutcomeDone || entry.Party.Standing != assure.ReaderTrusted || entry.Party.Name != "Bank" ||
		entry.Party.ID != pageOrigin || entry.Documents[0].ID != doc.ID || !entry.Documents[0].Elements[0].Retain {
		t.Errorf("%+v", entry)
	}
	if log, _ := d.Log(t.Context()); !cmp.Equal(log[0], entry) {
		t.Errorf("logged %+v", log[0])
	}
	if len(w.log) != before {
		t.Errorf("fetched: %v", w.log[before:])
	}
}

// A page that did not sign is known by the origin that the platform told.
func TestAnswerBrowserUnsigned(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	p := &page{w: w}
	raw, entry, err := d.AnswerBrowser(t.Context(), p.asks(nil, wants(mdoc.DocTypeMDL, "age_over_18"), wants("org.example.none", "x")), pageOrigin)
	if err != nil {
		t.Fatal(err)
	}
	resp := p.opens(raw)
	if len(resp.Documents) != 1 || len(resp.Errors) != 1 || resp.Errors[0].DocType != "org.example.none" {
		t.Errorf("%+v", resp)
	}
	if entry.Party.Standing != assure.ReaderUnknown || entry.Party.Name != "bank.example" || entry.Party.ID != pageOrigin {
		t.Errorf("%+v", entry.Party)
	}
	if q := d.consent.last(); !strings.Contains(q.Text(), "bank.example") || !strings.Contains(strings.Join(q.Warnings, " "), "vouches") {
		t.Errorf("%s", q.Text())
	}
}

func TestAnswerBrowserRefused(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	p := &page{w: w}
	for _, tc := range []struct {
		name    string
		request mdoc.DocRequest
		answer  func(wallet.Question) (wallet.Answer, error)
		want    error
		outcome wallet.Outcome
	}{
		{"refused", wants(mdoc.DocTypeMDL, "family_name"), func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }, wallet.ErrRefused, wallet.OutcomeRefused},
		{"no document", wants("org.example.none", "x"), nil, wallet.ErrNothing, wallet.OutcomeNothing},
		{"no element", wants(mdoc.DocTypeMDL, "weight"), nil, wallet.ErrNothing, wallet.OutcomeNothing},
	} {
		d.consent.answer = tc.answer
		raw, entry, err := d.AnswerBrowser(t.Context(), p.asks(nil, tc.request), pageOrigin)
		if raw != nil || !errors.Is(err, tc.want) || entry.Outcome != tc.outcome {
			t.Errorf("%s: %s %+v %v", tc.name, raw, entry, err)
		}
	}
	d.consent.answer = nil
	small := wants(mdoc.DocTypeMDL, "family_name")
	small.Info = &mdoc.DocRequestInfo{MaximumResponseSize: 100}
	raw, entry, err := d.AnswerBrowser(t.Context(), p.asks(nil, small), pageOrigin)
	if raw != nil || err == nil || !strings.Contains(err.Error(), "100 bytes") || entry.Outcome != wallet.OutcomeFailed {
		t.Errorf("too large: %+v %v", entry, err)
	}
}

// Of several requests the first that the app speaks and that is in order is
// answered; what is wrong is refused before anybody is asked.
func TestAnswerBrowserHostile(t *testing.T) {
	w := newWorld(t)
	bank := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holder(nil)
	p := &page{w: w}
	signed := p.asks(&bank, wants(mdoc.DocTypeMDL, "family_name"))
	var list []dcapi.Request
	if err := json.Unmarshal(signed, &list); err != nil {
		t.Fatal(err)
	}
	other := &page{w: w}
	var unsigned []dcapi.Request
	if err := json.Unmarshal(other.asks(nil, wants(mdoc.DocTypeMDL, "age_over_18")), &unsigned); err != nil {
		t.Fatal(err)
	}
	asked := len(d.consent.asked)
	for name, tc := range map[string]struct{ request, origin string }{
		"relayed to another origin": {string(signed), "https://evil.example"},
		"no origin":                 {string(signed), ""},
		"a path for an origin":      {string(signed), pageOrigin + "/"},
		"plain http":                {string(signed), "http://bank.example"},
		"no JSON":                   {"x", pageOrigin},
		"no list":                   {`{"requests":1}`, pageOrigin},
		"unknown protocols only":    {`[{"protocol":"x","data":{}},{"protocol":"openid4vp","data":{}}]`, pageOrigin},
		"no data":                   {`[{"protocol":"org-iso-mdoc","data":{}}]`, pageOrigin},
		"huge":                      {strings.Replace(string(signed), `[{`, `[{"x":"`+strings.Repeat("x", 1<<20)+`",`, 1), pageOrigin},
	} {
		raw, entry, err := d.AnswerBrowser(t.Context(), []byte(tc.request), tc.origin)
		if raw != nil || err == nil || entry.ID != "" || !strings.Contains(err.Error(), "nothing was shown") {
			t.Errorf("%s: %s %+v %v", name, raw, entry, err)
		}
	}
	if len(d.consent.asked) != asked {
		t.Error("the holder was bothered")
	}
	mixed := slices.Concat([]dcapi.Request{{Protocol: "x", Data: json.RawMessage(`{}`)}, {Protocol: "org-iso-mdoc", Data: json.RawMessage(`{}`)}}, unsigned, list)
	raw, _, err := d.AnswerBrowser(t.Context(), []byte(mustJSON(mixed)), pageOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if resp := other.opens(raw); !slices.Equal(verified(t, w, resp, other.tx.Transcript()), []string{"age_over_18"}) {
		t.Errorf("%+v", resp)
	}
	var response dcapi.Response
	if err := json.Unmarshal(raw, &response); err != nil {
		t.Fatal(err)
	}
	if _, err := p.tx.Open(response, w.Now()); !errors.Is(err, dcapi.ErrDecrypt) {
		t.Errorf("the answer to another request: %v", err)
	}
}

// A verifier that nobody vouches for yet has the app look for newer anchors.
func TestAnswerBrowserRefreshes(t *testing.T) {
	w := newWorld(t)
	ca := certify(t, pki.ReaderCA, w.Now(), "New CA", nil)
	shop := certify(t, pki.ReaderAuth, w.Now(), "Shop", &ca)
	d, _ := w.holder(func(_ *wallet.Config, deps *wallet.Deps) {
		deps.Refresh = func(context.Context, time.Time) error {
			var err error
			w.anchors, err = w.anchors.With(assure.FromCertificates("reader", "test", ca.cert)...)
			return err
		}
	})
	p := &page{w: w}
	_, entry, err := d.AnswerBrowser(t.Context(), p.asks(&shop, wants(mdoc.DocTypeMDL, "age_over_18")), pageOrigin)
	if err != nil || entry.Party.Standing != assure.ReaderTrusted || entry.Party.VouchedBy != "New CA" {
		t.Errorf("%+v %v", entry.Party, err)
	}
}
