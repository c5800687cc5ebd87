package verifier_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/engagement"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/transport"
	"github.com/eidos-id/eidos/transport/loop"
	"github.com/eidos-id/eidos/transport/tcp"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// phone is the mdoc's side of one session.
type phone struct {
	w   *world
	dev *session.Device
	eng *engagement.DeviceEngagement
	// answer makes the message for an opened request.
	answer func(p *phone, req *mdoc.DeviceRequest) []byte
	reader assure.Reader
	last   session.Status // that the reader ended with
}

func (w *world) phone(method engagement.RetrievalMethod, answer func(p *phone, req *mdoc.DeviceRequest) []byte) *phone {
	w.t.Helper()
	d, err := session.NewDevice(ecdh.P256())
	w.check(err)
	e, err := engagement.New(engagement.Options{EDeviceKey: d.EDeviceKey(), Retrieval: []engagement.RetrievalMethod{method}})
	w.check(err)
	w.check(d.Engage(e, nil, w.Now()))
	return &phone{w: w, dev: d, eng: e, answer: answer}
}

// shares answers with elements and keeps the session open.
func shares(h *holder, ids ...string) func(p *phone, req *mdoc.DeviceRequest) []byte {
	return func(p *phone, _ *mdoc.DeviceRequest) []byte {
		msg, err := p.dev.Respond(h.present(p.dev.Transcript(), ids...), false, p.w.Now())
		p.w.check(err)
		return msg
	}
}

// run is the phone until the reader ends the session.
func (p *phone) run(conn transport.Conn) error {
	defer conn.Close()
	for {
		raw, err := conn.Receive(context.Background())
		if err != nil {
			return err
		}
		ev, err := p.dev.Receive(raw, p.w.Now())
		p.last = ev.Status
		if ev.Reply != nil {
			conn.Send(context.Background(), ev.Reply)
		}
		if err != nil {
			return err
		}
		if ev.Ended {
			return nil
		}
		req, err := mdoc.ParseDeviceRequest(ev.Plaintext)
		if err != nil {
			return err
		}
		p.judge(req)
		msg := p.answer(p, req)
		if msg == nil {
			return nil
		}
		if err := conn.Send(context.Background(), msg); err != nil {
			return err
		}
	}
}

// judge finds out who asks.
func (p *phone) judge(req *mdoc.DeviceRequest) {
	ca, err := p.w.v.ReaderCA(context.Background(), "default")
	if err != nil {
		p.w.t.Error(err)
		return
	}
	a, err := assure.NewAnchors(assure.FromCertificates(trustlist.Reader, "test", ca)...)
	if err != nil {
		p.w.t.Error(err)
		return
	}
	p.reader, _ = assure.VerifyReaderAuth(req, p.dev.Transcript(), a, p.w.Now(), assure.ChainOptions{Strict: true})
}

func (w *world) reader() *verifier.Reader {
	w.t.Helper()
	r, err := w.v.Reader("default")
	w.check(err)
	return r
}

// overLoop reads a phone over a loop.
func (w *world) overLoop(p *phone, ask string, o verifier.ReadOptions) (core.Result, error) {
	w.t.Helper()
	ours, theirs := loop.Pair(0)
	ended := make(chan error, 1)
	go func() { ended <- p.run(theirs) }()
	r, err := w.reader().ReadConn(context.Background(), ours, p.eng, ask, o)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		w.t.Error("the reader left the phone waiting")
	}
	return r, err
}

// The whole of it: pack, network unplugged, read over a socket; revoked, but
// nobody here knows; packed again, refused.
func TestOnSiteOffline(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		h := w.issue(5)
		packed, err := w.v.Pack(t.Context(), "default")
		w.check(err)
		if packed.Anchors != 1 || len(packed.Lists) != 1 || len(packed.CRLs) != 1 || len(packed.Problems) != 0 {
			t.Fatalf("%+v", packed)
		}
		w.Pass(12 * time.Minute)
		w.unplugged = true
		w.open(verifier.Config{}) // as another process, hours later
		read := func() core.Result {
			t.Helper()
			l, err := tcp.Listen(t.Context(), "127.0.0.1:0", tcp.Options{})
			w.check(err)
			p := w.phone(engagement.TCP(l.Address()), shares(h, "family_name", "age_over_21", "portrait"))
			ended := make(chan error, 1)
			go func() {
				c, err := l.Accept(context.Background())
				if err == nil {
					err = p.run(c)
				}
				ended <- err
			}()
			w.fetched = nil
			r, err := w.reader().Read(t.Context(), p.eng.QR(), ask, verifier.ReadOptions{})
			w.check(err)
			w.check(<-ended)
			if p.last != session.StatusTermination || p.reader.Standing != assure.ReaderTrusted || p.reader.Name != "Eidos Demo Verifier" {
				t.Errorf("ended with %s, reader %+v", p.last, p.reader)
			}
			if slices.ContainsFunc(w.fetched, func(u string) bool { return !strings.HasPrefix(u, trustURL) }) {
				t.Errorf("an offline reader fetched %q", w.fetched)
			}
			return r
		}
		r := read()
		if !r.OK() || len(r.Documents[0].Portrait) == 0 || r.Documents[0].Status.Text != "status list 12 minutes old" {
			t.Errorf("%+v", r)
		}
		var text strings.Builder
		w.check(r.WriteText(&text, true))
		for _, s := range []string{"status list 12 minutes old", "fetched 12 minutes ago", "the oldest fetched 12 minutes ago", secretName} {
			if !strings.Contains(text.String(), s) {
				t.Errorf("lacks %q:\n%s", s, text.String())
			}
		}
		w.retained(t)

		w.revoked[5] = true
		if r = read(); !r.OK() {
			t.Errorf("offline, with the old list: %+v", r)
		}
		w.unplugged = false
		w.Pass(time.Minute)
		if packed, err = w.v.Pack(t.Context(), "default"); err != nil || len(packed.Problems) > 0 {
			t.Fatalf("%+v, %v", packed, err)
		}
		w.unplugged = true
		r = read()
		if r.Verdict != core.Invalid || !strings.Contains(r.Reason, "revo") || r.Documents[0].Elements != nil {
			t.Errorf("after the revocation: %+v", r)
		}
	})
}

// retained checks that nothing of what was read on-site is stored.
func (w *world) retained(t *testing.T) {
	t.Helper()
	if n := w.rows("presentation"); n != 0 {
		t.Errorf("%d rows", n)
	}
	if n := w.rows("known_list"); n != 1 {
		t.Errorf("%d lists remembered", n)
	}
}

func TestOnSiteWithoutPack(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	p := w.phone(engagement.TCP("127.0.0.1:9999"), shares(w.issue(5), "family_name"))
	w.unplugged = true
	if _, err := w.overLoop(p, "mdl:family_name", verifier.ReadOptions{}); err == nil || !strings.Contains(err.Error(), "pack") {
		t.Errorf("without trust lists: %v", err)
	}

	// With trust lists but no status lists it is for people to decide, or not.
	w.unplugged = false
	w.Pass(time.Minute)
	_, err := w.v.Pack(t.Context(), "default")
	w.check(err)
	w.Pass(2 * day)
	w.unplugged = true
	for _, require := range []bool{false, true} {
		w.open(verifier.Config{RequireStatus: require})
		p = w.phone(engagement.TCP("127.0.0.1:9999"), shares(w.issue(5), "family_name"))
		r, err := w.overLoop(p, "mdl:family_name", verifier.ReadOptions{})
		w.check(err)
		if r.OK() == require || r.Documents[0].Status.Outcome != "unknown" {
			t.Errorf("required %t: %+v", require, r)
		}
	}

	// Online, the list is fetched.
	w.unplugged = false
	p = w.phone(engagement.TCP("127.0.0.1:9999"), shares(w.issue(5), "family_name"))
	if r, err := w.overLoop(p, "mdl:family_name", verifier.ReadOptions{Online: true, Anonymous: true}); err != nil || !r.OK() || r.Documents[0].Status.Outcome != "valid" {
		t.Errorf("%+v, %v", r, err)
	}
	if p.reader.Standing != assure.ReaderAnonymous {
		t.Errorf("%+v", p.reader)
	}
}

func TestOnSiteRefusals(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	_, err := w.v.Pack(t.Context(), "default")
	w.check(err)
	h := w.issue(5)
	method := engagement.TCP("127.0.0.1:9999")
	for name, c := range map[string]struct {
		answer func(p *phone, req *mdoc.DeviceRequest) []byte
		want   error
		says   string
	}{
		"holder ends": {func(p *phone, _ *mdoc.DeviceRequest) []byte { m, _ := p.dev.Terminate(); return m }, verifier.ErrNoAnswer, "did not agree"},
		"goes away":   {func(*phone, *mdoc.DeviceRequest) []byte { return nil }, verifier.ErrVanished, ""},
		"status 10": {func(p *phone, _ *mdoc.DeviceRequest) []byte {
			m, _ := p.dev.Refuse(session.StatusEncryptionError)
			return m
		}, verifier.ErrSession, "could not decrypt"},
		"status 11": {func(p *phone, _ *mdoc.DeviceRequest) []byte {
			m, _ := p.dev.Refuse(session.StatusDecodingError)
			return m
		}, verifier.ErrSession, "did not understand"},
		"changed on the way": {func(p *phone, r *mdoc.DeviceRequest) []byte {
			m := shares(h, "family_name")(p, r)
			m[len(m)-1] ^= 1
			return m
		}, verifier.ErrSession, "does not decrypt"},
		"no CBOR": {func(*phone, *mdoc.DeviceRequest) []byte { return []byte("hello") }, verifier.ErrSession, ""},
		"no DeviceResponse": {func(p *phone, _ *mdoc.DeviceRequest) []byte {
			m, err := p.dev.Respond([]byte{0xa0}, false, w.Now())
			w.check(err)
			return m
		}, mdoc.ErrSyntax, "something else"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.phone(method, c.answer)
			r, err := w.overLoop(p, ask, verifier.ReadOptions{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || r.Documents != nil {
				t.Errorf("%v", err)
			}
			if name == "no DeviceResponse" && p.last != session.StatusDecodingError {
				t.Errorf("the phone was told %s", p.last)
			}
		})
	}

	// A document bound to another session is a result: not valid.
	p := w.phone(method, func(p *phone, _ *mdoc.DeviceRequest) []byte {
		other := mdoc.Transcript(p.eng.Raw, []byte{0xa0}, nil)
		m, err := p.dev.Respond(h.present(other, "family_name"), true, w.Now())
		w.check(err)
		return m
	})
	if r, err := w.overLoop(p, ask, verifier.ReadOptions{}); err != nil || r.Verdict != core.Invalid || !strings.Contains(r.Reason, "device") {
		t.Errorf("wrong transcript: %+v, %v", r, err)
	}
	// Refused by the holder in the response.
	p = w.phone(method, func(p *phone, _ *mdoc.DeviceRequest) []byte {
		raw, err := mdoc.EncodeResponse(nil, []mdoc.DocumentError{{DocType: mdoc.DocTypeMDL}})
		w.check(err)
		m, err := p.dev.Respond(raw, true, w.Now())
		w.check(err)
		return m
	})
	if r, err := w.overLoop(p, ask, verifier.ReadOptions{}); err != nil || r.Verdict != core.Empty || r.Reason == "" {
		t.Errorf("refused: %+v, %v", r, err)
	}
	// A phone shows its MAC; the reader's ephemeral key checks it.
	p = w.phone(method, func(p *phone, _ *mdoc.DeviceRequest) []byte {
		m, err := p.dev.Respond(h.presentMAC(p.dev.Transcript(), p.dev.EReaderKey(), "family_name"), true, w.Now())
		w.check(err)
		return m
	})
	if r, err := w.overLoop(p, "mdl:family_name", verifier.ReadOptions{}); err != nil || !r.OK() || r.Documents[0].Device != "mac" {
		t.Errorf("MAC: %+v, %v", r, err)
	}
}

// presentMAC answers with a device MAC.
func (h *holder) presentMAC(transcript []byte, reader *ecdh.PublicKey, ids ...string) []byte {
	h.w.t.Helper()
	private, err := h.key.Private().(*ecdsa.PrivateKey).ECDH()
	h.w.check(err)
	return h.shown(ids, func(p *mdoc.Presentation) {
		h.w.check(p.MAC(context.Background(), transcript, testkit.ECDH(private), reader))
	})
}

// The QR code is anyone's: what it names is called only where it can do no harm.
func TestAddresses(t *testing.T) {
	for _, address := range []string{
		"192.0.2.1:5000", "[2001:db8::1]:5000", "169.254.169.254:8080", "0.0.0.0:5000", "example.org:5000", "127.0.0.1:22", "127.0.0.1", "10.0.0.1:0", "10.0.0.1:99999",
	} {
		if _, err := verifier.Dial(t.Context(), address); !errors.Is(err, verifier.ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	uuid := [16]byte{1}
	p := w.phone(engagement.RetrievalMethod{Type: engagement.TypeBLE, Version: 1, BLE: &engagement.BLEOptions{PeripheralServer: true, PeripheralServerUUID: &uuid}}, nil)
	if _, err := w.reader().Read(t.Context(), p.eng.QR(), ask, verifier.ReadOptions{}); !errors.Is(err, verifier.ErrNoTransport) || !strings.Contains(err.Error(), "Bluetooth") {
		t.Errorf("%v", err)
	}
	if _, err := w.reader().Read(t.Context(), "mdoc:AAAA", ask, verifier.ReadOptions{}); !errors.Is(err, engagement.ErrMalformed) {
		t.Errorf("%v", err)
	}
	p = w.phone(engagement.TCP("192.0.2.1:5000"), nil)
	if _, err := w.reader().Read(t.Context(), p.eng.QR(), ask, verifier.ReadOptions{}); !errors.Is(err, verifier.ErrAddress) {
		t.Errorf("%v", err)
	}
	if _, err := w.reader().Read(t.Context(), p.eng.QR(), "nonsense", verifier.ReadOptions{}); !errors.Is(err, verifier.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// The pages say what is asked, where to go and what came of it, and the
// browser that began sees the answer.
func TestPages(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{Tenants: []verifier.Tenant{{ID: "default", Name: "Shop", Page: true, Presets: []core.Preset{
		{Name: "rental", Title: "Rent a car", Ask: "mdl:driving_privileges,expiry_date,family_name,given_name,portrait", Purpose: "Hand over a car"},
	}}}})
	const base = "http://verifier.localhost:8080/default/"
	get := func(u, cookie string, status int, says ...string) fetch.Response {
		t.Helper()
		r := fetch.GetRequest(u, "text/html")
		if cookie != "" {
			r.Header["cookie"] = cookie
		}
		resp := w.serve(r)
		if resp.Status != status {
			t.Errorf("%s: status %d, want %d", u, resp.Status, status)
		}
		for _, s := range says {
			if !strings.Contains(string(resp.Body), s) {
				t.Errorf("%s lacks %q:\n%s", u, s, resp.Body)
			}
		}
		return resp
	}
	get(base, "", 200, "Prove your identity", "Over 18", "Driving licence")
	form := fetch.FormRequest(base, url.Values{"ask": {"rental"}})
	foreign := fetch.FormRequest(base, url.Values{"ask": {"rental"}})
	foreign.Header["sec-fetch-site"] = "cross-site"
	if r := w.serve(foreign); r.Status != 403 {
		t.Errorf("a foreign page began: %d", r.Status)
	}
	if r := w.serve(fetch.FormRequest(base, url.Values{"ask": {"mdl:document_number"}})); r.Status != 400 {
		t.Errorf("a visitor's own question: %d", r.Status)
	}
	begun := w.serve(form)
	if begun.Status != 303 {
		t.Fatalf("%d %s", begun.Status, begun.Body)
	}
	page, cookie := begun.Get("location"), strings.SplitN(begun.Get("set-cookie"), ";", 2)[0]
	waits := get(page, "", 200, "openid4vp://?", "data:image/svg", "Driving privileges", "wait.js", `data-state="waiting"`)
	get(base+"wait.js", "", 200, "location.reload")
	watch := string(waits.Body)
	watch = watch[strings.Index(watch, `data-watch="`)+12:]
	get(watch[:strings.IndexByte(watch, 34)], "", 200, `"waiting"`)

	link := string(waits.Body)
	link = link[strings.Index(link, "openid4vp://"):]
	link = strings.ReplaceAll(link[:strings.IndexAny(link, `"<`)], "&amp;", "&")
	req, err := w.opened(verifier.Transaction{Link: link})
	w.check(err)
	get(page, "", 200, "Your wallet has the request")
	back, err := w.post(w.issue(5).answer(req, "family_name", "given_name", "portrait", "expiry_date"))
	w.check(err)
	get(back.String(), "", 200, "Go back to the page")
	if r := get(back.String(), cookie, 303); !strings.HasPrefix(r.Get("location"), page+"?response_code=") {
		t.Errorf("the browser that began goes to %s", r.Get("location"))
	}
	result := get(page, "", 200, secretName, "data:image/jpeg;base64,", "2 January 2030", "Not shown", "Driving privileges", "How this was verified", "issuer signature")
	if cc := result.Get("cache-control"); !strings.Contains(cc, "no-store") {
		t.Errorf("the result may be cached: %q", cc)
	}
	if r := w.serve(fetch.FormRequest(page+"/forget", url.Values{})); r.Status != 303 {
		t.Errorf("%d", r.Status)
	}
	get(page, "", 404)
	get("http://verifier.localhost:8080/nobody/", "", 404)
	get("http://verifier.localhost:8080/", "", 303)
}

func TestRun(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.v.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); w.rows("pack_item") < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Run made no pack")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := w.rows("record where kind like 'signing key %'"); n != 2 {
		t.Errorf("%d keys", n)
	}
}
