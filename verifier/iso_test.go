package verifier_test

import (
	"context"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/verifier"
)

const pageOrigin = "https://shop.example"

// signed checks that a DeviceRequest is signed by a reader of the tenant's CA.
func (w *world) signed(req *mdoc.DeviceRequest, transcript []byte) {
	w.t.Helper()
	ca, err := w.v.ReaderCA(context.Background(), "default")
	w.check(err)
	anchors, err := assure.NewAnchors(assure.FromCertificates(trustlist.Reader, "test", ca)...)
	w.check(err)
	reader, rep := assure.VerifyReaderAuth(req, transcript, anchors, w.Now(), assure.ChainOptions{Strict: true})
	if reader.Standing != assure.ReaderTrusted {
		w.t.Errorf("%s\n%s", reader.Standing, rep)
	}
}

// answered checks that a transaction has the answer to ask.
func (w *world) answered(tr verifier.Transaction) {
	w.t.Helper()
	o := w.outcome(tr)
	if o.State != verifier.Done || !o.Result.OK() || o.Result.Documents[0].Elements[0].Text != secretName {
		w.t.Errorf("%+v %+v", o, o.Result)
	}
}

// A page's request by org-iso-mdoc, answered by a wallet behind the browser.
func TestBrowserMdoc(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		h := w.issue(5)
		tr := w.begin(ask)
		r, err := w.mdocRequest(tr.ID, pageOrigin)
		w.check(err)
		if again, err := w.mdocRequest(tr.ID, pageOrigin); err != nil || sameInfo(again) != sameInfo(r) {
			t.Errorf("asked again: %v", err)
		}
		req, err := dcapi.OpenMdoc(r, pageOrigin)
		w.check(err)
		w.signed(req.Device, req.Transcript())
		respond := func(req *dcapi.MdocRequest) dcapi.Response {
			data, err := req.Answer(h.present(req.Transcript(), "family_name", "age_over_21", "portrait"))
			w.check(err)
			return dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: data}
		}
		relayed, err := dcapi.OpenMdoc(r, "https://evil.example")
		w.check(err)
		if _, err := w.v.AnswerDigital(t.Context(), "default", tr.ID, pageOrigin, respond(relayed)); err == nil || !strings.Contains(err.Error(), "another origin") {
			t.Errorf("relayed: %v", err)
		}
		other := w.begin(ask)
		if _, err := w.v.AnswerDigital(t.Context(), "default", other.ID, pageOrigin, respond(req)); err == nil {
			t.Error("answered without having asked this way")
		}
		_, err = w.mdocRequest(other.ID, pageOrigin)
		w.check(err)
		if _, err := w.v.AnswerDigital(t.Context(), "default", other.ID, pageOrigin, respond(req)); err == nil || !strings.Contains(err.Error(), "another request") {
			t.Errorf("answer to another transaction: %v", err)
		}
		back, err := w.v.AnswerDigital(t.Context(), "default", tr.ID, pageOrigin, respond(req))
		if err != nil || !strings.Contains(back, "/done?response_code=") {
			t.Errorf("%s %v", back, err)
		}
		w.answered(tr)
		if _, err := w.v.AnswerDigital(t.Context(), "default", tr.ID, pageOrigin, respond(req)); !errors.Is(err, verifier.ErrInvalid) {
			t.Errorf("twice: %v", err)
		}
		w.check(w.v.Forget(t.Context(), "default", other.ID))
		w.retention(dsn)
	})
}

// mdocRequest is what a page asks by org-iso-mdoc.
func (w *world) mdocRequest(id, origin string) (dcapi.Request, error) {
	list, err := w.v.DigitalRequests(context.Background(), "default", id, origin)
	if err != nil {
		return dcapi.Request{}, err
	}
	i := slices.IndexFunc(list, func(r dcapi.Request) bool { return r.Protocol == dcapi.ProtocolMdoc })
	if i < 0 {
		return dcapi.Request{}, errors.New("not among the requests")
	}
	return list[i], nil
}

// sameInfo is the encryptionInfo of a request.
func sameInfo(r dcapi.Request) string {
	var data struct{ EncryptionInfo string }
	if err := json.Unmarshal(r.Data, &data); err != nil {
		panic(err)
	}
	return data.EncryptionInfo
}

// A document that is not valid ends the transaction, and the page hears why.
func TestBrowserMdocNotValid(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	h := w.issue(7)
	w.revoked[7] = true
	tr := w.begin(ask)
	r, err := w.mdocRequest(tr.ID, pageOrigin)
	w.check(err)
	req, err := dcapi.OpenMdoc(r, pageOrigin)
	w.check(err)
	data, err := req.Answer(h.present(req.Transcript(), "family_name", "age_over_21", "portrait"))
	w.check(err)
	if _, err := w.v.AnswerDigital(t.Context(), "default", tr.ID, pageOrigin, dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: data}); err == nil {
		t.Error("a revoked document was accepted")
	}
	if o := w.outcome(tr); o.State != verifier.Done || o.Result.OK() {
		t.Errorf("%+v", o)
	}
	for name, f := range map[string]func() error{
		"no tenant":      func() error { _, err := w.v.DigitalRequests(t.Context(), "nobody", tr.ID, pageOrigin); return err },
		"no transaction": func() error { _, err := w.mdocRequest("x", pageOrigin); return err },
		"over":           func() error { _, err := w.mdocRequest(tr.ID, pageOrigin); return err },
		"no origin":      func() error { _, err := w.mdocRequest(w.begin(ask).ID, "shop"); return err },
	} {
		if err := f(); err == nil {
			t.Errorf("%s: asked", name)
		}
	}
}

// The older OpenID4VP profile, by its link.
func TestAnnexB(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		h := w.issue(5)
		tr := w.begin(ask)
		link, err := w.v.AnnexBLink(t.Context(), "default", tr.ID)
		w.check(err)
		if again, err := w.v.AnnexBLink(t.Context(), "default", tr.ID); err != nil || again != link {
			t.Errorf("asked again: %s %v", again, err)
		}
		l, err := oid4vp.ParseLink(link)
		w.check(err)
		object, _, err := l.Fetch(t.Context(), w.fetch)
		w.check(err)
		if o := w.outcome(tr); o.State != verifier.Fetched {
			t.Errorf("%+v", o)
		}
		req, rep, err := oid4vp.OpenAnnexB(object, l, w.Now())
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		msg, err := req.Answer(h.present(req.Transcript(), "family_name", "age_over_21", "portrait"))
		w.check(err)
		garbage := msg
		garbage.Body = []byte("response=x")
		if _, err := w.post(garbage); err == nil || !strings.Contains(err.Error(), "no JWE") {
			t.Errorf("garbage: %v", err)
		}
		back, err := w.post(msg)
		if err != nil || back.Query().Get("response_code") == "" {
			t.Errorf("%s %v", back, err)
		}
		w.answered(tr)
		if _, err := w.post(msg); err == nil || !strings.Contains(err.Error(), "finished") {
			t.Errorf("twice: %v", err)
		}
		w.retention(dsn)

		tr = w.begin(ask)
		link, err = w.v.AnnexBLink(t.Context(), "default", tr.ID)
		w.check(err)
		l, err = oid4vp.ParseLink(link)
		w.check(err)
		object, _, err = l.Fetch(t.Context(), w.fetch)
		w.check(err)
		req, _, err = oid4vp.OpenAnnexB(object, l, w.Now())
		w.check(err)
		msg, err = req.Refuse(oid4vp.AccessDenied, "")
		w.check(err)
		if _, err := w.post(msg); err != nil {
			t.Error(err)
		}
		if o := w.outcome(tr); o.State != verifier.Refused || o.Error == "" {
			t.Errorf("%+v", o)
		}
		// Nobody asked for this one by Annex B.
		other := strings.Replace(l.RequestURI, l.RequestURI[strings.LastIndex(l.RequestURI, "/"):], w.begin(ask).RequestURI[strings.LastIndex(tr.RequestURI, "/"):], 1)
		if resp := w.serve(fetch.GetRequest(other, "")); resp.Status != http.StatusBadRequest {
			t.Errorf("%d %s", resp.Status, resp.Body)
		}
	})
}

// Where the relying party says so, the answer is for the browser that comes back.
func TestAnnexBSameDevice(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, SameDevice: true})
	w.check(err)
	link, err := w.v.AnnexBLink(t.Context(), "default", tr.ID)
	w.check(err)
	l, err := oid4vp.ParseLink(link)
	w.check(err)
	object, _, err := l.Fetch(t.Context(), w.fetch)
	w.check(err)
	req, _, err := oid4vp.OpenAnnexB(object, l, w.Now())
	w.check(err)
	msg, err := req.Answer(w.issue(5).present(req.Transcript(), "family_name", "age_over_21", "portrait"))
	w.check(err)
	back, err := w.post(msg)
	w.check(err)
	if _, err := w.v.Outcome(t.Context(), "default", tr.ID, ""); !errors.Is(err, verifier.ErrResponseCode) {
		t.Errorf("without the code: %v", err)
	}
	if o, err := w.v.Outcome(t.Context(), "default", tr.ID, back.Query().Get("response_code")); err != nil || o.Result == nil || !o.Result.OK() {
		t.Errorf("with the code: %+v %v", o, err)
	}
}

// app is an mdoc that follows a reader's link.
type app struct {
	w       *world
	device  *session.Device
	address string
}

func (w *world) follow(link string, curve ecdh.Curve, domain string) (a *app, message []byte) {
	w.t.Helper()
	to, err := engagement.ParseReaderLink(link)
	w.check(err)
	a = &app{w: w}
	a.address, err = to.Address()
	w.check(err)
	a.device, err = session.NewDevice(curve)
	w.check(err)
	e, err := engagement.New(engagement.Options{EDeviceKey: a.device.EDeviceKey(), OriginInfos: []engagement.OriginInfo{engagement.FromDomain(domain)}})
	w.check(err)
	w.check(a.device.EngageReader(e, to, w.Now()))
	return a, e.Message()
}

func (a *app) post(message []byte) fetch.Response {
	return a.w.serve(fetch.Request{Method: "POST", URL: a.address, Body: message, Header: map[string]string{"content-type": "application/cbor"}})
}

// asked is the request that came for an engagement.
func (a *app) asked(resp fetch.Response) *mdoc.DeviceRequest {
	a.w.t.Helper()
	if resp.Status != http.StatusOK || resp.MediaType() != "application/cbor" {
		a.w.t.Fatalf("%d %s", resp.Status, resp.Body)
	}
	event, err := a.device.Receive(resp.Body, a.w.Now())
	a.w.check(err)
	req, err := mdoc.ParseDeviceRequest(event.Plaintext)
	a.w.check(err)
	return req
}

func (a *app) respond(response []byte, end bool) []byte {
	a.w.t.Helper()
	message, err := a.device.Respond(response, end, a.w.Now())
	a.w.check(err)
	return message
}

// A reader's link, followed with every curve that an mdoc may have.
func TestReaderLink(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		h := w.issue(5)
		for i, curve := range []ecdh.Curve{ecdh.P256(), ecdh.X25519()} {
			tr := w.begin(ask)
			link, err := w.v.ReaderLink(t.Context(), "default", tr.ID)
			w.check(err)
			if again, err := w.v.ReaderLink(t.Context(), "default", tr.ID); err != nil || again != link {
				t.Errorf("asked again: %s %v", again, err)
			}
			a, message := w.follow(link, curve, "verifier.localhost")
			req := a.asked(a.post(message))
			w.signed(req, a.device.Transcript())
			if o := w.outcome(tr); o.State != verifier.Fetched {
				t.Errorf("%+v", o)
			}
			end := i == 1 // the mdoc may end the session together with its answer
			answer := a.respond(h.present(a.device.Transcript(), "family_name", "age_over_21", "portrait"), end)
			resp := a.post(answer)
			if resp.Status != http.StatusOK {
				t.Fatalf("%d %s", resp.Status, resp.Body)
			}
			if !end {
				if event, err := a.device.Receive(resp.Body, w.Now()); err != nil || !event.Ended {
					t.Errorf("%+v %v", event, err)
				}
			}
			w.answered(tr)
			if resp := a.post(answer); resp.Status != http.StatusBadRequest {
				t.Errorf("twice: %d %s", resp.Status, resp.Body)
			}
		}
		w.retention(dsn)
	})
}

func TestReaderLinkRefusals(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	h := w.issue(5)
	tr := w.begin(ask)
	link, err := w.v.ReaderLink(t.Context(), "default", tr.ID)
	w.check(err)
	stranger, relayed := w.follow(link, ecdh.P256(), "evil.example")
	if resp := stranger.post(relayed); resp.Status != http.StatusBadRequest || !strings.Contains(resp.Refusal(), "did not come from a page") {
		t.Errorf("relayed: %d %s", resp.Status, resp.Body)
	}
	a, message := w.follow(link, ecdh.P256(), "verifier.localhost")
	for name, r := range map[string]fetch.Request{
		"a form":      {Method: "POST", URL: a.address, Body: message, Header: map[string]string{"content-type": "application/x-www-form-urlencoded"}},
		"garbage":     {Method: "POST", URL: a.address, Body: []byte("x"), Header: map[string]string{"content-type": "application/cbor"}},
		"no such one": {Method: "POST", URL: a.address + "x", Body: message, Header: map[string]string{"content-type": "application/cbor"}},
	} {
		if resp := w.serve(r); resp.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, resp.Status, resp.Body)
		}
	}
	if o := w.outcome(tr); o.State != verifier.Waiting {
		t.Errorf("%+v", o)
	}
	a.asked(a.post(message))
	late, message2 := w.follow(link, ecdh.P256(), "verifier.localhost")
	if resp := late.post(message2); resp.MediaType() == "application/cbor" { // taken for an answer that does not decrypt
		if _, err := late.device.Receive(resp.Body, w.Now()); !errors.Is(err, session.ErrPeer) {
			t.Errorf("a second mdoc: %v", err)
		}
	}
	// A document that somebody else's session signed.
	resp := a.post(a.respond(h.present([]byte{0x83, 0xf6, 0xf6, 0xf6}, "family_name", "age_over_21", "portrait"), false))
	if event, err := a.device.Receive(resp.Body, w.Now()); err != nil || !event.Ended {
		t.Errorf("%+v %v", event, err)
	}
	if o := w.outcome(tr); o.State != verifier.Done || o.Result.OK() {
		t.Errorf("%+v", o)
	}
	// The holder refuses, in a response or by ending the session.
	for _, refuse := range []func(a *app) []byte{
		func(a *app) []byte {
			none, err := mdoc.EncodeResponse(nil, []mdoc.DocumentError{{DocType: mdoc.DocTypeMDL}})
			w.check(err)
			return a.respond(none, false)
		},
		func(a *app) []byte { message, err := a.device.Terminate(); w.check(err); return message },
	} {
		tr := w.begin(ask)
		link, err := w.v.ReaderLink(t.Context(), "default", tr.ID)
		w.check(err)
		a, message := w.follow(link, ecdh.P256(), "verifier.localhost")
		a.asked(a.post(message))
		if resp := a.post(refuse(a)); resp.Status != http.StatusOK {
			t.Errorf("%d %s", resp.Status, resp.Body)
		}
		if o := w.outcome(tr); o.State != verifier.Refused || o.Result != nil {
			t.Errorf("%+v", o)
		}
	}
	same, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, SameDevice: true})
	w.check(err)
	if _, err := w.v.ReaderLink(t.Context(), "default", same.ID); !errors.Is(err, verifier.ErrInvalid) {
		t.Errorf("bound to the browser: %v", err)
	}
	tr = w.begin(ask)
	link, err = w.v.ReaderLink(t.Context(), "default", tr.ID)
	w.check(err)
	a, message = w.follow(link, ecdh.P256(), "verifier.localhost")
	w.Pass(time.Hour)
	if resp := a.post(message); resp.Status != http.StatusBadRequest {
		t.Errorf("late: %d %s", resp.Status, resp.Body)
	}
}

// Of several mdocs that follow one link at once, one is asked.
func TestReaderLinkRace(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		tr := w.begin(ask)
		link, err := w.v.ReaderLink(t.Context(), "default", tr.ID)
		w.check(err)
		const n = 4
		var apps [n]*app
		var replies [n]fetch.Response
		var group sync.WaitGroup
		for i := range n {
			var message []byte
			apps[i], message = w.follow(link, ecdh.P256(), "verifier.localhost")
			group.Go(func() { replies[i] = apps[i].post(message) })
		}
		group.Wait()
		won := 0
		for i, a := range apps {
			if event, err := a.device.Receive(replies[i].Body, w.Now()); replies[i].Status == http.StatusOK && err == nil && event.Plaintext != nil {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d were asked", won)
		}
	})
}
