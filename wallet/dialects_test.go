package wallet_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/wallet"
	"github.com/google/go-cmp/cmp"
)

// build is a request of the second edition.
func (r *reader) build(p mdoc.RequestParams) []byte {
	r.t.Helper()
	raw, err := mdoc.BuildDeviceRequest(context.Background(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// Several documents asked for: those held are given, the others named.
func TestSeveralDocuments(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	w.Pass(time.Second) // documents are listed in the order of time
	second, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil {
		t.Fatal(err)
	}
	docs := []mdoc.DocRequest{wants("org.example.none", "x"), wants(mdoc.DocTypeMDL, "family_name"), wants(mdoc.DocTypeMDL, "birth_date")}
	d.consent.answer = func(q wallet.Question) (wallet.Answer, error) {
		if len(q.Choices[0]) != 0 || len(q.Choices[1]) != 2 || !strings.Contains(q.Text(), "no document of type") {
			t.Errorf("%+v\n%s", q.Choices, q.Text())
		}
		return wallet.Answer{Allow: true, Selection: []candidate{q.Choices[1][1].Candidate, q.Choices[2][0].Candidate}}, nil
	}
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		resp, _ := r.ask(r.request(nil, docs...))
		if len(resp.Documents) != 2 || !cmp.Equal(resp.Errors, []mdoc.DocumentError{{DocType: "org.example.none"}}) || !slices.Equal(r.verify(resp), []string{"family_name"}) {
			t.Errorf("%+v", resp)
		}
	})
	if err != nil || len(entries[0].Documents) != 2 || entries[0].Documents[0].ID != second[0].ID || !slices.Equal(names(entries[0]), []string{"family_name", "birth_date"}) {
		t.Errorf("%+v %v", entries, err)
	}
	// The same document for two questions in one answer takes two copies.
	d.consent.answer = nil
	entries, err = w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		resp, _ := r.ask(r.request(nil, docs[1:]...))
		if len(resp.Documents) != 2 || string(resp.Documents[0].IssuerSigned.Auth.MSO.DeviceKey) == string(resp.Documents[1].IssuerSigned.Auth.MSO.DeviceKey) {
			t.Error("one copy shown twice, or not two documents")
		}
	})
	if err != nil || entries[0].Documents[0].ID != entries[0].Documents[1].ID {
		t.Errorf("%+v %v", entries, err)
	}
}

// A use case that must be answered and cannot be leaves nothing to ask about;
// one that the holder does not answer is a refusal.
func TestUseCases(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	request := func(mandatory bool, other string) mdoc.RequestParams {
		return mdoc.RequestParams{
			Documents: []mdoc.DocRequest{wants(mdoc.DocTypeMDL, "family_name"), wants(other, "age_over_18")},
			Info: &mdoc.DeviceRequestInfo{UseCases: []mdoc.UseCase{
				{Mandatory: mandatory, DocumentSets: [][]int{{1}}, Purposes: []mdoc.PurposeHint{{Controller: mdoc.PurposeController, Code: 3}}},
				{DocumentSets: [][]int{{0}}, Purposes: []mdoc.PurposeHint{{Controller: mdoc.PurposeController, Code: 1}}},
			}},
		}
	}
	for _, tc := range []struct {
		name    string
		params  mdoc.RequestParams
		answer  func(wallet.Question) (wallet.Answer, error)
		outcome wallet.Outcome
		given   int
	}{
		{"mandatory, not held", request(true, "org.example.none"), nil, wallet.OutcomeNothing, 0},
		{"optional, not held", request(false, "org.example.none"), nil, wallet.OutcomeDone, 1},
		{"both", request(true, mdoc.DocTypeMDL), nil, wallet.OutcomeDone, 2},
		{"mandatory, left out", request(true, mdoc.DocTypeMDL), func(q wallet.Question) (wallet.Answer, error) {
			return wallet.Answer{Allow: true, Selection: []candidate{q.Choices[0][0].Candidate}}, nil
		}, wallet.OutcomeRefused, 0},
	} {
		d.consent.answer = tc.answer
		entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
			if resp, _ := r.ask(r.build(tc.params)); len(resp.Documents) != tc.given {
				t.Errorf("%s: %d documents", tc.name, len(resp.Documents))
			}
		})
		if err != nil || entries[0].Outcome != tc.outcome {
			t.Errorf("%s: %+v %v", tc.name, entries, err)
		}
	}
	q := d.consent.last()
	if want := []string{"to know whether you are old enough", "to know who you are"}; !slices.Equal(q.Purposes, want) {
		t.Errorf("%v", q.Purposes)
	}
	d.consent.answer = nil
	ageOnly := request(true, mdoc.DocTypeMDL)
	ageOnly.Info.UseCases[1].Purposes = ageOnly.Info.UseCases[0].Purposes
	if _, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) { r.ask(r.build(ageOnly)) }); err != nil {
		t.Error(err)
	}
	if s := strings.Join(d.consent.last().Warnings, "\n"); !strings.Contains(s, "about the age, and asks for more: Family name") {
		t.Error(s)
	}
}

// An answer that is larger than the reader takes does not leave.
func TestMaximumResponseSize(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	small := wants(mdoc.DocTypeMDL, "family_name")
	small.Info = &mdoc.DocRequestInfo{MaximumResponseSize: 100}
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		if resp, _ := r.ask(r.build(mdoc.RequestParams{Documents: []mdoc.DocRequest{small}})); len(resp.Documents) != 0 || len(resp.Errors) != 1 {
			t.Errorf("%+v", resp)
		}
	})
	if err != nil || entries[0].Outcome != wallet.OutcomeFailed || !strings.Contains(entries[0].Reason, "at most 100 bytes") {
		t.Errorf("%+v %v", entries, err)
	}
}

// A reader that says nothing is waited for until the session's end, then told.
func TestSilentReader(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	_, err := w.meet(d, wallet.PresentOptions{}, func(r *reader) {
		r.verify(first(r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))))
		w.Pass(session.IdleTimeout)
		// The next question comes too late: the device's deadline has passed.
		message, err := r.s.Request(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")), w.Now().Add(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if resp, event := r.exchange(message); resp != nil || event.Status != session.StatusTermination {
			t.Errorf("%+v %+v", resp, event)
		}
	})
	if !errors.Is(err, session.ErrTimeout) {
		t.Error(err)
	}
}

func TestNoReaderComes(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", tcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	show := func(context.Context, string) error { w.Pass(session.EstablishTimeout); return nil }
	if _, err := d.Present(t.Context(), wallet.PresentOptions{Listener: l, Show: show}); !errors.Is(err, session.ErrTimeout) {
		t.Error(err)
	}
	for range 100 { // the system takes a moment to close a port
		conn, err := tcp.Dial(t.Context(), l.Address(), tcp.Options{})
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it still listens")
}

// A reader that never stops asking is stopped.
func TestEndlessReader(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	asked := 0
	entries, err := w.meet(d, wallet.PresentOptions{}, func(r *reader) {
		for range 32 {
			r.ask(r.request(nil, wants("org.example.none", "x")))
			asked++
		}
		raw, err := r.conn.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if event, err := r.s.Receive(raw, w.Now()); err != nil || event.Status != session.StatusTermination {
			t.Errorf("%+v %v", event, err)
		}
	})
	if err == nil || len(entries) != asked {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// Alternatives are shown as such, and a plain yes shares the first.
func TestAlternatives(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, "reader", w.Now(), "Bar", &w.readerCA)
	d, _ := w.holder(nil)
	v := w.relyingParty(rp)
	credential := func(id, docType, element string) string {
		return `{"id":"` + id + `","format":"mso_mdoc","meta":{"doctype_value":"` + docType + `"},"claims":[{"path":["org.iso.18013.5.1","` + element + `"]}]}`
	}
	entry, _, err := d.Answer(t.Context(), v.link(`{"credentials":[`+credential("a", "org.example.none", "x")+","+credential("b", mdoc.DocTypeMDL, "age_over_18")+","+
		credential("c", mdoc.DocTypeMDL, "birth_date")+`],"credential_sets":[{"options":[["a"],["b"],["c"]]}]}`))
	if err != nil || !slices.Equal(names(entry), []string{"age_over_18"}) {
		t.Errorf("%+v %v", entry, err)
	}
	text := d.consent.last().Text()
	if n := strings.Index(text, "or from"); n < 0 || !strings.Contains(text[:n], "Over 18") || !strings.Contains(text[n:], "Date of birth") ||
		strings.Contains(text, "cannot be answered") || !strings.Contains(text, "the first of what is joined") {
		t.Error(text)
	}
}
