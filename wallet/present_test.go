package wallet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/loop"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/wallet"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// loopListener has its reader connected already.
type loopListener struct{ conn transport.Conn }

func (l loopListener) Address() string                                { return "127.0.0.1:1" }
func (l loopListener) Accept(context.Context) (transport.Conn, error) { return l.conn, nil }
func (l loopListener) Close() error                                   { return nil }

// reader is a verifier on-site, from its engagement on.
type reader struct {
	t    testing.TB
	w    *world
	conn transport.Conn
	s    *session.Reader
}

// meet has a device present to a reader that does what script says, and
// returns what Present did.
func (w *world) meet(d *device, o wallet.PresentOptions, script func(*reader)) ([]wallet.LogEntry, error) {
	w.t.Helper()
	ours, theirs := loop.Pair(0)
	qr := make(chan string, 1)
	o.Listener = loopListener{ours}
	o.Show = func(_ context.Context, text string) error { qr <- text; return nil }
	var entries []wallet.LogEntry
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		entries, err = d.Present(context.Background(), o)
	}()
	r := w.reader(<-qr, theirs)
	script(r)
	theirs.Close()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		w.t.Fatal("Present does not end")
	}
	return entries, err
}

func (w *world) reader(qr string, conn transport.Conn) *reader {
	w.t.Helper()
	eng, err := engagement.ParseQR(qr)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := session.NewReader(eng, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &reader{w.t, w, conn, s}
}

// wants is a request for elements of the mDL; "!" before a name means to keep it.
func wants(docType string, ids ...string) mdoc.DocRequest {
	ns := mdoc.RequestedNameSpace{Name: mdoc.NameSpaceMDL}
	for _, id := range ids {
		id, keep := strings.CutPrefix(id, "!")
		ns.Elements = append(ns.Elements, mdoc.RequestedElement{ID: id, IntentToRetain: keep})
	}
	return mdoc.DocRequest{DocType: docType, NameSpaces: []mdoc.RequestedNameSpace{ns}}
}

// request builds a request, signed if by is not nil.
func (r *reader) request(by *signer, docs ...mdoc.DocRequest) []byte {
	r.t.Helper()
	p := mdoc.RequestParams{Documents: docs}
	if by != nil {
		p.Reader = &mdoc.ReaderSigner{Key: by, Chain: by.chain(), Transcript: r.s.Transcript()}
	}
	raw, err := mdoc.BuildDeviceRequest(context.Background(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// ask sends a request and returns the answer, with what came besides.
func (r *reader) ask(request []byte) (*mdoc.DeviceResponse, session.Event) {
	r.t.Helper()
	message, err := r.s.Request(request, r.w.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.exchange(message)
}

func (r *reader) exchange(message []byte) (*mdoc.DeviceResponse, session.Event) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.conn.Send(ctx, message); err != nil {
		r.t.Fatal(err)
	}
	raw, err := r.conn.Receive(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	event, err := r.s.Receive(raw, r.w.Now())
	if err != nil && event.Plaintext == nil {
		return nil, event
	}
	if event.Plaintext == nil {
		return nil, event
	}
	resp, err := mdoc.ParseDeviceResponse(event.Plaintext)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, event
}

func (r *reader) terminate() {
	message, err := r.s.Terminate()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.conn.Send(context.Background(), message); err != nil {
		r.t.Fatal(err)
	}
}

// verify checks the first document of an answer and returns its elements.
func (r *reader) verify(resp *mdoc.DeviceResponse) []string {
	r.t.Helper()
	if resp == nil || len(resp.Documents) == 0 {
		r.t.Fatalf("no document in the answer %+v", resp)
	}
	return verified(r.t, r.w, resp, r.s.Transcript())
}

func verified(t testing.TB, w *world, resp *mdoc.DeviceResponse, transcript []byte) []string {
	t.Helper()
	doc, rep := assure.VerifyDocument(context.Background(), &resp.Documents[0], assure.DocumentParams{
		Now: w.Now(), Anchors: w.anchors, DocType: mdoc.DocTypeMDL, Transcript: transcript, RequireDeviceAuth: true})
	if !rep.OK() {
		t.Fatalf("answer does not verify:\n%s", rep)
	}
	var out []string
	for _, ns := range doc.NameSpaces {
		for _, e := range ns.Elements {
			out = append(out, e.ID)
		}
	}
	slices.Sort(out)
	return out
}

func TestPresent(t *testing.T) {
	w := newWorld(t)
	trusted := certify(t, pki.ReaderAuth, w.Now(), "Police", &w.readerCA)
	d, doc := w.holder(nil)
	before := len(w.log)
	entries, err := w.meet(d, wallet.PresentOptions{}, func(r *reader) {
		resp, _ := r.ask(r.request(&trusted, wants(mdoc.DocTypeMDL, "family_name", "!age_over_20", "portrait")))
		if diff := cmp.Diff([]string{"age_over_21", "family_name"}, r.verify(resp)); diff != "" {
			t.Error(diff)
		}
		resp, _ = r.ask(r.request(&trusted, wants("org.example.none", "x")))
		if len(resp.Documents) != 0 || len(resp.Errors) != 1 || resp.Status != mdoc.StatusOK {
			t.Errorf("%+v", resp)
		}
		r.terminate()
	})
	if err != nil || len(entries) != 2 {
		t.Fatalf("%+v %v", entries, err)
	}
	if len(w.log) != before {
		t.Errorf("fetched on-site: %v", w.log[before:])
	}
	e := entries[0]
	if e.Outcome != wallet.OutcomeDone || e.Channel != wallet.OnSite || e.Party.Name != "Police" || e.Party.Standing != assure.ReaderTrusted || e.Party.VouchedBy != "Reader CA" ||
		e.Documents[0].ID != doc.ID || e.Documents[0].Reused || !slices.Equal(names(e), []string{"family_name", "age_over_21"}) || !e.Documents[0].Elements[1].Retain {
		t.Errorf("%+v", e)
	}
	if e := entries[1]; e.Outcome != wallet.OutcomeNothing || !strings.Contains(e.Reason, "org.example.none") {
		t.Errorf("%+v", e)
	}
	log, err := d.Log(t.Context())
	if err != nil || len(log) != 3 || !cmp.Equal(log[1], e) && !cmp.Equal(log[0], e) || strings.Contains(mustJSON(log), "Muster") {
		t.Errorf("%s %v", mustJSON(log), err)
	}
	if len(d.consent.asked) != 1 {
		t.Errorf("asked %d times: nothing can be shown of a document that is not there", len(d.consent.asked))
	}
	text := d.consent.last().Text()
	for _, want := range []string{"Police", "Reader CA", "Muster", "[will be kept]", "instead of", "Photo", "Driving licence"} {
		if !strings.Contains(text, want) {
			t.Errorf("question lacks %q:\n%s", want, text)
		}
	}
	if err := d.DeleteLog(t.Context(), e.ID); err != nil {
		t.Error(err)
	}
	if log, _ = d.Log(t.Context()); len(log) != 2 {
		t.Errorf("%d entries left", len(log))
	}
	if err := d.DeleteLog(t.Context()); err != nil {
		t.Error(err)
	}
	if log, _ = d.Log(t.Context()); len(log) != 0 {
		t.Errorf("%d entries left", len(log))
	}
}

// Over a real socket, with one answer.
func TestPresentTCP(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	l, err := tcp.Listen(t.Context(), "127.0.0.1:0", tcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	show := func(ctx context.Context, qr string) error {
		eng, err := engagement.ParseQR(qr)
		if err != nil {
			return err
		}
		wg.Go(func() {
			conn, err := tcp.Dial(ctx, eng.Retrieval[0].TCP.Address, tcp.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			r := w.reader(qr, conn)
			resp, event := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))
			if !event.Ended || !slices.Equal(r.verify(resp), []string{"family_name"}) {
				t.Errorf("%+v", event)
			}
		})
		return nil
	}
	entries, err := d.Present(t.Context(), wallet.PresentOptions{Listener: l, Show: show, Once: true})
	wg.Wait()
	if err != nil || len(entries) != 1 || entries[0].Party.Standing != assure.ReaderAnonymous {
		t.Errorf("%+v %v", entries, err)
	}
	if q := d.consent.last(); !slices.Contains(q.Warnings, "It does not say who it is.") {
		t.Errorf("%v", q.Warnings)
	}
}

// Each presentation shows another copy; when all were shown it says so and
// takes the one shown least.
func TestSingleUse(t *testing.T) {
	w := newWorld(t)
	d, doc := w.holder(nil)
	seen := map[string]int{}
	for n := range 7 {
		entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
			resp, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))
			r.verify(resp)
			seen[string(resp.Documents[0].IssuerSigned.Auth.MSO.DeviceKey)]++
		})
		if err != nil || entries[0].Documents[0].Reused != (n >= 5) {
			t.Errorf("%d: %+v %v", n, entries, err)
		}
		q := d.consent.last()
		warned := slices.ContainsFunc(q.Warnings, func(s string) bool { return strings.Contains(s, "shown before") })
		if warned != (n >= 5) || q.Choices[0][0].Reused != warned {
			t.Errorf("%d: warned %v", n, q.Warnings)
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d copies were shown", len(seen))
	}
	listed, err := d.Documents(t.Context())
	if err != nil || listed[0].ID != doc.ID || listed[0].Unused != 0 || listed[0].Copies != 5 {
		t.Errorf("%+v %v", listed, err)
	}
}

// Between marking a copy and sending it, the app may end: the copy counts as
// shown, and the log says that it may have been.
func TestCrashBeforeSending(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	ours, theirs := loop.Pair(0)
	broken := &failing{Conn: ours}
	qr := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		_, err := d.Present(context.Background(), wallet.PresentOptions{Listener: loopListener{broken}, Show: func(_ context.Context, s string) error { qr <- s; return nil }})
		done <- err
	}()
	r := w.reader(<-qr, theirs)
	message, err := r.s.Request(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")), w.Now())
	if err != nil {
		t.Fatal(err)
	}
	var open wallet.LogEntry
	broken.crash = func() { // the state as a crash would leave it
		log, err := d.Log(context.Background())
		if err != nil || len(log) < 1 {
			t.Errorf("%v %v", log, err)
			return
		}
		open = log[0]
	}
	if err := r.conn.Send(context.Background(), message); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("nothing was sent, and nobody says so")
	}
	if open.Outcome != wallet.OutcomeOpen || !slices.Equal(names(open), []string{"family_name"}) {
		t.Errorf("%+v", open)
	}
	listed, err := d.Documents(t.Context())
	if err != nil || listed[0].Unused != 4 {
		t.Errorf("%+v %v", listed, err)
	}
	if log, _ := d.Log(t.Context()); log[0].Outcome != wallet.OutcomeFailed || !strings.Contains(log[0].Reason, "may not have arrived") {
		t.Errorf("%+v", log[0])
	}
}

// failing is a connection that breaks at the first message.
type failing struct {
	transport.Conn
	crash func()
}

func (f *failing) Send(context.Context, []byte) error {
	f.crash()
	return transport.ErrClosed
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	for name, tc := range map[string]struct {
		answer  func(wallet.Question) (wallet.Answer, error)
		outcome wallet.Outcome
	}{
		"no":           {func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }, wallet.OutcomeRefused},
		"yes, nothing": {func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{Allow: true}, nil }, wallet.OutcomeRefused},
		"nobody there": {func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, errors.New("no screen") }, wallet.OutcomeFailed},
		"all struck out": {func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			a.Selection[0].Claims = nil
			return a, nil
		}, wallet.OutcomeRefused},
		"not asked for": {func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			a.Selection[0].Claims = append(slices.Clone(a.Selection[0].Claims), query.Disclosure{Path: query.Element(mdoc.NameSpaceMDL, "birth_date")})
			return a, nil
		}, wallet.OutcomeFailed},
		"twice": {func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			a.Selection = append(a.Selection, a.Selection...)
			return a, nil
		}, wallet.OutcomeFailed},
		"another document": {func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			a.Selection[0].Held = 7
			return a, nil
		}, wallet.OutcomeFailed},
		"another question": {func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			a.Selection[0].Credential = -1
			return a, nil
		}, wallet.OutcomeFailed},
	} {
		d.consent.answer = tc.answer
		entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
			resp, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name", "given_name")))
			if resp == nil || len(resp.Documents) != 0 || !cmp.Equal(resp.Errors, []mdoc.DocumentError{{DocType: mdoc.DocTypeMDL}}) || resp.Status != 0 {
				t.Errorf("%s: %+v", name, resp)
			}
		})
		if err != nil || len(entries) != 1 || entries[0].Outcome != tc.outcome || entries[0].Reason == "" {
			t.Errorf("%s: %+v %v", name, entries, err)
		}
	}
	if listed, _ := d.Documents(t.Context()); listed[0].Unused != 5 {
		t.Errorf("refusals used up copies: %+v", listed)
	}
}

// What an ISO reader asks for may be given in part.
func TestStrikingOut(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	d.consent.answer = func(q wallet.Question) (wallet.Answer, error) {
		a := q.Approve()
		a.Selection[0].Claims = a.Selection[0].Claims[1:]
		return a, nil
	}
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		resp, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "birth_date", "family_name")))
		if got := r.verify(resp); !slices.Equal(got, []string{"family_name"}) {
			t.Errorf("%v", got)
		}
	})
	if err != nil || !slices.Equal(names(entries[0]), []string{"family_name"}) {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestOverAsking(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	warned := func(ids ...string) string {
		if _, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) { r.ask(r.request(nil, wants(mdoc.DocTypeMDL, ids...))) }); err != nil {
			t.Error(err)
		}
		return strings.Join(d.consent.last().Warnings, "\n")
	}
	if s := warned("age_over_18"); strings.Contains(s, "birth") || strings.Contains(s, "keep") {
		t.Error(s)
	}
	if s := warned("age_over_18", "birth_date", "!family_name"); !strings.Contains(s, "date of birth") || !strings.Contains(s, "keep 1 of the 3") {
		t.Error(s)
	}
	var many []string
	for n := range 20 {
		many = append(many, fmt.Sprintf("invented_%d", n))
	}
	if s := warned(append(many, "family_name")...); !strings.Contains(s, "21 elements") {
		t.Error(s)
	}
}

func TestHostileReaders(t *testing.T) {
	w := newWorld(t)
	trusted := certify(t, pki.ReaderAuth, w.Now(), "Police", &w.readerCA)
	d, _ := w.holder(nil)
	message := func(r *reader, request []byte) []byte {
		m, err := r.s.Request(request, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, tc := range map[string]struct {
		script func(*reader)
		says   string
	}{
		"request changed after signing": {func(r *reader) {
			raw := r.request(&trusted, wants(mdoc.DocTypeMDL, "family_name"))
			raw = bytes.Replace(raw, []byte("family_name"), []byte("given__name"), 1)
			if resp, event := r.ask(raw); resp == nil || resp.Status != mdoc.StatusGeneralError || len(resp.Documents) != 0 || !event.Ended {
				t.Errorf("%+v", resp)
			}
		}, "signature is wrong"},
		"signed for another session": {func(r *reader) {
			other := w.reader(mustQR(t, d), nil)
			if resp, _ := r.ask(other.request(&trusted, wants(mdoc.DocTypeMDL, "family_name"))); resp == nil || resp.Status != mdoc.StatusGeneralError {
				t.Errorf("%+v", resp)
			}
		}, "signature is wrong"},
		"no CBOR": {func(r *reader) {
			if resp, event := r.ask([]byte{0xa1, 0xff}); resp == nil || resp.Status != mdoc.StatusCBORDecodingError || !event.Ended {
				t.Errorf("%+v", resp)
			}
		}, "request of the reader"},
		"no request": {func(r *reader) {
			if resp, _ := r.ask([]byte{0xa0}); resp == nil || resp.Status != mdoc.StatusCBORValidationError {
				t.Errorf("%+v", resp)
			}
		}, "request of the reader"},
		"tampered ciphertext": {func(r *reader) {
			m := message(r, r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))
			m[len(m)-1] ^= 1
			if resp, event := r.exchange(m); resp != nil || event.Status != session.StatusEncryptionError {
				t.Errorf("%+v", event)
			}
		}, "encryption"},
		"replay": {func(r *reader) {
			m := message(r, r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))
			resp, _ := r.exchange(m)
			r.verify(resp)
			if resp, event := r.exchange(m); resp != nil || event.Status != session.StatusEncryptionError {
				t.Errorf("%+v", event)
			}
		}, "second SessionEstablishment"},
		"not CBOR at all": {func(r *reader) {
			if err := r.conn.Send(t.Context(), []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if raw, err := r.conn.Receive(t.Context()); err != nil || !bytes.Equal(raw, append(append([]byte{0xa1, 0x66}, "status"...), 11)) {
				t.Errorf("%x %v", raw, err)
			}
		}, "decoding"},
		"vanishes": {func(r *reader) { r.conn.Close() }, "closed"},
	} {
		_, err := w.meet(d, wallet.PresentOptions{}, tc.script)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if log, _ := d.Log(t.Context()); slices.ContainsFunc(log, func(e wallet.LogEntry) bool {
		return e.Party.Standing == assure.ReaderForged && e.Outcome != wallet.OutcomeFailed
	}) {
		t.Errorf("%s", mustJSON(log))
	}
}

// mustQR is an engagement of the same device that nobody answers.
func mustQR(t testing.TB, _ *device) string {
	t.Helper()
	dev, err := session.NewDevice(p256())
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engagement.New(engagement.Options{EDeviceKey: dev.EDeviceKey()})
	if err != nil {
		t.Fatal(err)
	}
	return eng.QR()
}

// A reader's name is text of a stranger.
func TestNamesArePrintable(t *testing.T) {
	w := newWorld(t)
	other := certify(t, pki.ReaderCA, w.Now(), "Other CA", nil)
	evil := certify(t, pki.ReaderAuth, w.Now(), "Pol\x1b[2Jice\u202e", &other)
	d, _ := w.holder(nil)
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
		r.ask(r.request(&evil, wants(mdoc.DocTypeMDL, "family_name")))
	})
	if err != nil || entries[0].Party.Standing != assure.ReaderUnknown {
		t.Fatalf("%+v %v", entries, err)
	}
	if text := d.consent.last().Text(); strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, "calls themselves") {
		t.Errorf("%q", text)
	}
}

// An expired document is not shown, and the question says why.
func TestExpired(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	w.Pass(20 * 24 * time.Hour)
	entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) { r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name"))) })
	if err != nil || entries[0].Outcome != wallet.OutcomeNothing || !strings.Contains(entries[0].Reason, "not valid at this time") {
		t.Errorf("%+v %v", entries, err)
	}
}

// A document that the app knows to be revoked is not shown, and the question
// says why.
func TestRevoked(t *testing.T) {
	w := newWorld(t)
	d, doc := w.holder(nil)
	if err := w.revoked.Set(4, status.Invalid); err != nil {
		t.Fatal(err)
	}
	meet := func() wallet.LogEntry {
		t.Helper()
		entries, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) { r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name"))) })
		if err != nil {
			t.Fatal(err)
		}
		return entries[0]
	}
	if e := meet(); e.Outcome != wallet.OutcomeDone {
		t.Errorf("before the app asks, nobody knows: %+v", e)
	}
	if _, err := d.CheckStatus(t.Context(), doc.ID); err != nil {
		t.Fatal(err)
	}
	if e := meet(); e.Outcome != wallet.OutcomeNothing || !strings.Contains(e.Reason, "was revoked") {
		t.Errorf("%+v", e)
	}
}

// When the person gives up, the reader is told.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	ours, theirs := loop.Pair(0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	qr := make(chan string, 1)
	go func() {
		_, err := d.Present(ctx, wallet.PresentOptions{Listener: loopListener{ours}, Show: func(_ context.Context, s string) error { qr <- s; return nil }})
		done <- err
	}()
	r := w.reader(<-qr, theirs)
	r.verify(first(r.ask(r.request(nil, wants(mdoc.DocTypeMDL, "family_name")))))
	cancel()
	raw, err := theirs.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if event, err := r.s.Receive(raw, w.Now()); err != nil || event.Status != session.StatusTermination {
		t.Errorf("%+v %v", event, err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func first(r *mdoc.DeviceResponse, _ session.Event) *mdoc.DeviceResponse { return r }

// What leaves was agreed to, and what was agreed to was asked for.
func TestOnlyWhatWasAgreedLeaves(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	var all []string
	for name := range w.subject {
		all = append(all, name.ID)
	}
	slices.Sort(all)
	all = append(all, "portrait", "age_over_30", "weight")
	rapid.Check(t, func(rt *rapid.T) {
		asked := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, len(all), rapid.ID).Draw(rt, "asked")
		keep := rapid.SliceOfN(rapid.Bool(), len(all), len(all)).Draw(rt, "agreed")
		var agreed []string
		d.consent.answer = func(q wallet.Question) (wallet.Answer, error) {
			a := q.Approve()
			var left []query.Disclosure
			for i, c := range a.Selection[0].Claims {
				if keep[i] {
					left = append(left, c)
					agreed = append(agreed, c.Path[1].(string))
				}
				if id := c.Asked[1].(string); !slices.Contains(asked, id) {
					rt.Errorf("%s was not asked for", id)
				}
			}
			a.Selection[0].Claims = left
			return a, nil
		}
		agreed = nil
		_, err := w.meet(d, wallet.PresentOptions{Once: true}, func(r *reader) {
			resp, _ := r.ask(r.request(nil, wants(mdoc.DocTypeMDL, asked...)))
			slices.Sort(agreed)
			if len(agreed) == 0 {
				if len(resp.Documents) != 0 {
					rt.Errorf("a document, and nothing was agreed")
				}
				return
			}
			if diff := cmp.Diff(agreed, r.verify(resp)); diff != "" {
				rt.Errorf("asked %v: %s", asked, diff)
			}
		})
		if err != nil {
			rt.Error(err)
		}
	})
}
