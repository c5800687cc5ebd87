package verifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

func onBoth(t *testing.T, f func(t *testing.T, dsn string)) { testkit.DBs(t, f) }

const ask = "mdl:family_name,age_over_21,portrait"

func TestRemote(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		h := w.issue(5)
		tr := w.begin(ask)
		if o := w.outcome(tr); o.State != verifier.Waiting || o.Result != nil {
			t.Errorf("%+v", o)
		}
		req, err := w.opened(tr)
		w.check(err)
		if o := w.outcome(tr); o.State != verifier.Fetched {
			t.Errorf("%+v", o)
		}
		w.trusted(req)
		back, err := w.post(h.answer(req, "family_name", "age_over_21", "portrait"))
		w.check(err)
		if back.Query().Get("response_code") == "" || !strings.HasPrefix(back.String(), "http://verifier.localhost:8080/default/done?") {
			t.Errorf("comes back to %s", back)
		}
		o := w.outcome(tr)
		if o.State != verifier.Done || !o.Result.OK() {
			t.Fatalf("%+v %+v", o, o.Result)
		}
		d := o.Result.Documents[0]
		if d.Device != "signature" || d.Elements[0].Text != secretName || !bytes.Equal(d.Portrait, picture()) ||
			d.Status.Text != "status list 0 seconds old" || d.Issuer.Origin != "VICAL of Utopia Trust" {
			t.Errorf("%+v", d)
		}
		// What a relying party's systems read over HTTP is the same.
		resp := w.serve(fetch.GetRequest("http://verifier.localhost:8080/default/result/"+tr.ID, ""))
		var got verifier.Outcome
		w.check(json.Unmarshal(resp.Body, &got))
		if got.State != verifier.Done || got.Result.Documents[0].Elements[0].Text != secretName {
			t.Errorf("%s", resp.Body)
		}
		w.retention(dsn)

		// The result goes at the end of its time.
		w.Pass(6 * time.Minute)
		w.check(w.v.Sweep(t.Context()))
		if _, err := w.v.Outcome(t.Context(), "default", tr.ID, ""); !errors.Is(err, verifier.ErrUnknownTransaction) {
			t.Errorf("after its time: %v", err)
		}
		if n := w.rows("presentation"); n != 0 {
			t.Errorf("%d rows left", n)
		}
	})
}

// trusted checks that the request stands under the reader CA, for both ways to
// judge it.
func (w *world) trusted(req *oid4vp.Request) {
	w.t.Helper()
	ca, err := w.v.ReaderCA(context.Background(), "default")
	w.check(err)
	for _, p := range []trustlist.Purpose{trustlist.Verifier, trustlist.Reader} {
		a, err := assure.NewAnchors(assure.FromCertificates(p, "test", ca)...)
		w.check(err)
		if _, rep := a.VerifyChain(req.Chain, p, w.Now(), assure.ChainOptions{Strict: true}); !rep.OK() {
			w.t.Errorf("%s:\n%s", p, rep)
		}
	}
}

func (w *world) rows(table string) (n int) {
	w.t.Helper()
	w.check(w.db.View(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		return tx.QueryRow(ctx, "select count(*) from "+table).Scan(&n)
	}))
	return n
}

// retention looks for an element's value where it must not be.
func (w *world) retention(dsn string) {
	w.t.Helper()
	portrait := picture()[100:140]
	look := func(where string, data []byte) {
		if bytes.Contains(data, []byte(secretName)) || bytes.Contains(data, portrait) || bytes.Contains(data, []byte("Erika")) {
			w.t.Errorf("%s holds personal data in the clear", where)
		}
	}
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		n := 0
		w.check(filepath.WalkDir(filepath.Dir(path), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(name)
			n += len(data)
			look(name, data)
			return err
		}))
		if n == 0 {
			w.t.Error("no database file was found")
		}
	}
	w.check(w.db.View(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		var request, result []byte
		if err := tx.QueryRow(ctx, "select request, result from presentation").Scan(&request, &result); err != nil {
			return err
		}
		look("presentation", append(request, result...))
		if len(request) != 0 || len(result) == 0 {
			w.t.Errorf("request of %d bytes, result of %d", len(request), len(result))
		}
		return nil
	}))
}

// What makes a wallet's answer no answer leaves the transaction open; what is
// an answer ends it, whatever comes of it.
func TestRemoteRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		h := w.issue(5)
		tr := w.begin(ask)
		req, err := w.opened(tr)
		w.check(err)
		refused := func(name, says string, msg fetch.Request) {
			t.Helper()
			if _, err := w.post(msg); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v, want %q", name, err, says)
			}
		}

		other, err := w.opened(w.begin(ask))
		w.check(err)
		moved := h.answer(other, "family_name")
		moved.URL = req.ResponseURI
		refused("answer to another request", "another key", moved)
		refused("bad state", "state", fetch.FormRequest(req.ResponseURI, url.Values{"error": {"access_denied"}, "state": {"guess"}}))
		refused("in the clear", "direct_post.jwt", fetch.FormRequest(req.ResponseURI, url.Values{"vp_token": {"{}"}, "state": {req.State}}))
		refused("garbage", "response", fetch.FormRequest(req.ResponseURI, url.Values{"response": {"a.b.c.d.e"}}))
		refused("nothing", "malformed form", fetch.Request{Method: "POST", URL: req.ResponseURI, Header: map[string]string{}})
		refused("unknown request", "no such request", fetch.FormRequest(strings.Replace(req.ResponseURI, "/response/", "/response/X", 1), url.Values{}))
		msg, err := req.Answer(oid4vp.Presentations{"mdl": {oid4vp.EncodeMdoc([]byte{0xa0})}})
		w.check(err)
		refused("no DeviceResponse", "malformed", msg)
		if o := w.outcome(tr); o.State != verifier.Fetched {
			t.Fatalf("an attempt ended the transaction: %+v", o)
		}

		good := h.answer(req, "family_name", "age_over_21", "portrait")
		_, err = w.post(good)
		w.check(err)
		refused("replay", "finished", good)
		if _, err := w.opened(tr); err == nil {
			t.Error("the request of a finished transaction is still served")
		}
		if o := w.outcome(tr); !o.Result.OK() {
			t.Errorf("%+v", o.Result)
		}

		late := w.begin(ask)
		req, err = w.opened(late)
		w.check(err)
		w.Pass(5 * time.Minute)
		refused("late", "expired", h.answer(req, "family_name"))
		if o := w.outcome(late); o.State != verifier.Expired {
			t.Errorf("%+v", o)
		}
		if _, err := w.opened(late); err == nil {
			t.Error("an expired request is still served")
		}
	})
}

func TestRemoteNotAccepted(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{StatusMaxAge: time.Second})
		stranger := newWorld(t, testkit.SQLite(t), verifier.Config{})
		old := w.issue(5)
		w.Pass(20 * day)
		for name, c := range map[string]struct {
			answer func(req *oid4vp.Request) fetch.Request
			says   string
		}{
			"wrong transcript": {func(req *oid4vp.Request) fetch.Request {
				return w.issue(5).answerBound(req, mdoc.TranscriptOpenID4VP(req.ClientID, "another nonce", nil, req.ResponseURI), "family_name")
			}, "device"},
			"expired document": {func(req *oid4vp.Request) fetch.Request { return old.answer(req, "family_name") }, "valid until"},
			"unknown issuer":   {func(req *oid4vp.Request) fetch.Request { return stranger.issue(5).answer(req, "family_name") }, "issuer chain"},
			"revoked": {func(req *oid4vp.Request) fetch.Request {
				w.revoked[9] = true
				w.Pass(2 * time.Second) // the list that is kept is too old by now
				return w.issue(9).answer(req, "family_name")
			}, "revo"},
		} {
			t.Run(name, func(t *testing.T) {
				tr := w.begin(ask)
				req, err := w.opened(tr)
				w.check(err)
				if _, err = w.post(c.answer(req)); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("the wallet is told %v", err)
				}
				o := w.outcome(tr)
				if o.State != verifier.Done || o.Result.Verdict != core.Invalid || !strings.Contains(o.Result.Reason, c.says) {
					t.Errorf("%s: %+v", o.State, o.Result)
				}
				if d := o.Result.Documents[0]; d.Elements != nil || d.Portrait != nil {
					t.Errorf("shows %+v", d.Elements)
				}
			})
		}
	})
}

func TestRemoteHolderRefuses(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	tr := w.begin(ask)
	req, err := w.opened(tr)
	w.check(err)
	msg, err := req.Refuse(oid4vp.AccessDenied, "no")
	w.check(err)
	_, err = w.post(msg)
	w.check(err)
	if o := w.outcome(tr); o.State != verifier.Refused || o.Error == "" || o.Result != nil {
		t.Errorf("%+v", o)
	}
}

// Of answers that come at once, one counts.
func TestRemoteRace(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn, verifier.Config{})
		tr := w.begin(ask)
		req, err := w.opened(tr)
		w.check(err)
		h := w.issue(5)
		const n = 8
		var msgs [n]fetch.Request
		for i := range msgs {
			msgs[i] = h.answer(req, "family_name", "age_over_21", "portrait")
		}
		var won, lost sync.Map
		var wg sync.WaitGroup
		for i, msg := range msgs {
			wg.Go(func() {
				resp, err := w.fetch(context.Background(), msg)
				switch {
				case err == nil && resp.Status == http.StatusOK:
					won.Store(i, true)
				case err == nil && resp.Status == http.StatusBadRequest && bytes.Contains(resp.Body, []byte("finished")):
					lost.Store(i, true)
				default:
					t.Errorf("%d %s %v", resp.Status, resp.Body, err)
				}
			})
		}
		wg.Wait()
		count := func(m *sync.Map) (n int) { m.Range(func(_, _ any) bool { n++; return true }); return n }
		if count(&won) != 1 || count(&lost) != n-1 {
			t.Errorf("%d won, %d lost", count(&won), count(&lost))
		}
	})
}

// On the same device the result is for the browser that comes back.
func TestSameDevice(t *testing.T) {
	const own = "https://shop.example/back?x=1"
	cfg := verifier.Config{Tenants: []verifier.Tenant{{ID: "shop", Name: "Shop", ClientID: verifier.ClientX509SANDNS, RedirectURIs: []string{own}}}}
	w := newWorld(t, testkit.SQLite(t), cfg)
	if _, err := w.v.Begin(t.Context(), "shop", verifier.AskParams{Ask: ask, RedirectURI: "https://evil.example/"}); !errors.Is(err, verifier.ErrInvalid) {
		t.Errorf("foreign redirect: %v", err)
	}
	if _, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask}); !errors.Is(err, verifier.ErrUnknownTenant) {
		t.Errorf("unknown tenant: %v", err)
	}
	tr, err := w.v.Begin(t.Context(), "shop", verifier.AskParams{Ask: ask, RedirectURI: own, SameDevice: true, Purpose: "open an account"})
	w.check(err)
	req, err := w.opened(tr)
	w.check(err)
	if req.ClientID != "x509_san_dns:verifier.localhost" || req.Query.Sets[0].Purposes[0] != "open an account" {
		t.Errorf("%s %+v", req.ClientID, req.Query.Sets)
	}
	back, err := w.post(w.issue(5).answer(req, "family_name", "age_over_21", "portrait"))
	w.check(err)
	if back.Host != "shop.example" || back.Query().Get("x") != "1" {
		t.Errorf("comes back to %s", back)
	}
	for _, code := range []string{"", "guess"} {
		if o, err := w.v.Outcome(t.Context(), "shop", tr.ID, code); !errors.Is(err, verifier.ErrResponseCode) || o.Result != nil {
			t.Errorf("code %q: %v", code, err)
		}
		resp := w.serve(fetch.GetRequest("http://verifier.localhost:8080/shop/result/"+tr.ID+"?response_code="+code, ""))
		if resp.Status != http.StatusForbidden || bytes.Contains(resp.Body, []byte(secretName)) {
			t.Errorf("%d %s", resp.Status, resp.Body)
		}
	}
	o, err := w.v.Outcome(t.Context(), "shop", tr.ID, back.Query().Get("response_code"))
	if err != nil || !o.Result.OK() {
		t.Errorf("%+v, %v", o, err)
	}
	if b, err := tr.Button(); err != nil || tr.Code != "" || b.QRPath != "" || b.QRSize != 0 || b.Link != tr.Link {
		t.Errorf("a code for another device: %+v %v", b, err)
	}
	w.check(w.v.Forget(t.Context(), "shop", tr.ID))
	if _, err := w.v.Outcome(t.Context(), "shop", tr.ID, ""); !errors.Is(err, verifier.ErrUnknownTransaction) {
		t.Errorf("after Forget: %v", err)
	}
}

// An answer that is not accepted sends nobody back with a code: whoever asked
// learns all the same that there was one, and why it was not.
func TestSameDeviceInvalid(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, SameDevice: true})
	w.check(err)
	req, err := w.opened(tr)
	w.check(err)
	other := *req
	other.Nonce = "of another request"
	if _, err := w.post(w.issue(5).answer(&other, "family_name", "age_over_21", "portrait")); err == nil {
		t.Fatal("accepted")
	}
	o, err := w.v.Outcome(t.Context(), "default", tr.ID, "")
	if err != nil || o.State != verifier.Done || o.Result == nil || o.Result.Verdict != core.Invalid || o.Result.Reason == "" {
		t.Fatalf("%+v %v", o, err)
	}
	if o.Result.Shows() {
		t.Errorf("%+v", o.Result)
	}
}

// Another process, with the same database and area, goes on where one was; one
// with another area cannot read what is sealed.
func TestOtherProcess(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	tr := w.begin(ask)
	req, err := w.opened(tr)
	w.check(err)
	w.open(verifier.Config{})
	_, err = w.post(w.issue(5).answer(req, "family_name", "age_over_21", "portrait"))
	w.check(err)
	w.open(verifier.Config{})
	if o := w.outcome(tr); !o.Result.OK() {
		t.Errorf("%+v", o)
	}
	stranger := newWorld(t, testkit.SQLite(t), verifier.Config{})
	w.area = stranger.area
	w.open(verifier.Config{})
	if o, err := w.v.Outcome(t.Context(), "default", tr.ID, ""); err == nil || o.Result != nil {
		t.Errorf("another secure area reads %+v", o)
	}
}

// An age statement that says more than was asked answers; one that says less
// does not and is dropped.
func TestNearestAge(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	h := w.issue(5, mdoc.Element{ID: "age_over_16", Value: cbor.AppendBool(nil, true)})
	for id, want := range map[string]core.Verdict{"age_over_21": core.Valid, "age_over_16": core.Incomplete} {
		tr := w.begin("mdl:age_over_18")
		req, err := w.opened(tr)
		w.check(err)
		_, err = w.post(h.answer(req, id))
		w.check(err)
		r := w.outcome(tr).Result
		if r.Verdict != want {
			t.Errorf("%s: %+v", id, r)
			continue
		}
		if want == core.Valid {
			if e := r.Documents[0].Elements; len(e) != 1 || e[0].Asked != "age_over_18" || e[0].Value != true {
				t.Errorf("%+v", e)
			}
		} else if e := r.Documents[0].Elements; len(e) != 0 || len(r.Missing) != 1 {
			t.Errorf("%+v %+v", e, r.Missing)
		}
	}
}

func TestCertificates(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	list, err := w.v.Certificates(t.Context(), "default")
	w.check(err)
	var purposes []string
	for _, c := range list {
		purposes = append(purposes, string(c.Purpose))
	}
	if diff := cmp.Diff([]string{"reader-ca", "reader"}, purposes); diff != "" {
		t.Error(diff)
	}
	resp := w.serve(fetch.GetRequest("http://verifier.localhost:8080/default/reader-ca.cer", ""))
	ca := pkitest.Parse(t, resp.Body)
	if rep := pki.CheckProfile(ca, pki.ReaderCA, pki.Strict); !rep.OK() {
		t.Error(rep)
	}
	resp = w.serve(fetch.GetRequest("http://verifier.localhost:8080/default/reader-ca.crl", ""))
	crl, err := pki.ParseCRL(resp.Body)
	w.check(err)
	if state, rep := crl.Check(ca, ca, w.Now()); state != pki.Good {
		t.Error(rep)
	}
	if r := w.serve(fetch.GetRequest("http://verifier.localhost:8080/default/certificates", "")); r.Status != 200 || !bytes.Contains(r.Body, []byte(`"notAfter"`)) {
		t.Errorf("%d %s", r.Status, r.Body)
	}

	// Before the certificate ends there is a new one, and both are listed.
	w.Pass(340 * day)
	if list, err = w.v.Certificates(t.Context(), "default"); err != nil || len(list) != 3 || list[1].NotAfter.Sub(w.Now()) < 300*day {
		t.Errorf("%+v, %v", list, err)
	}

	// Near the end of the CA there is a new one, and both are listed.
	w.Pass(ca.NotAfter.Sub(w.Now()) - 30*day)
	for range 2 {
		if list, err = w.v.Certificates(t.Context(), "default"); err != nil || len(list) != 3 || !list[1].NotAfter.Equal(ca.NotAfter) || !list[2].NotAfter.After(ca.NotAfter) {
			t.Errorf("%+v, %v", list, err)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := (verifier.Config{}).Check(); err != nil {
		t.Error(err)
	}
	good := verifier.Config{URL: "https://v.example", Trust: "https://t.example/default", Tenants: []verifier.Tenant{{ID: "a", Name: "A"}}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(c *verifier.Config){
		"url: wanted https":  func(c *verifier.Config) { c.URL = "http://v.example" },
		"without path":       func(c *verifier.Config) { c.URL = "https://v.example/" },
		"host name":          func(c *verifier.Config) { c.URL = "https://192.0.2.1" },
		"loopback only":      func(c *verifier.Config) { c.Tenants = nil },
		"trust: wanted":      func(c *verifier.Config) { c.Trust = "" },
		"demonstration's tr": func(c *verifier.Config) { c.Trust = "http://trust.localhost:8080/default" },
		"trustFingerprint":   func(c *verifier.Config) { c.TrustFingerprint = "abc" },
		"requestLifetime":    func(c *verifier.Config) { c.RequestLifetime = time.Second },
		"given twice":        func(c *verifier.Config) { c.Tenants = append(c.Tenants, c.Tenants[0]) },
		"clientID":           func(c *verifier.Config) { c.Tenants[0].ClientID = "did" },
		"redirectURIs":       func(c *verifier.Config) { c.Tenants[0].RedirectURIs = []string{"javascript:alert(1)"} },
		"presets": func(c *verifier.Config) {
			c.Tenants[0].Presets = []core.Preset{{Name: "x", Title: "X", Ask: "nonsense"}}
		},
		"country":   func(c *verifier.Config) { c.Tenants[0].Country = "ut" },
		"maxAge":    func(c *verifier.Config) { c.Tenants[0].Policy.MaxAge = -time.Hour },
		"minLevel":  func(c *verifier.Config) { c.Tenants[0].Policy.MinLevel = "highest" },
		"countries": func(c *verifier.Config) { c.Tenants[0].Policy.Countries = []string{"Utopia"} },
		"firstUse":  func(c *verifier.Config) { c.Tenants[0].Policy.FirstUse = []string{"/nowhere.pem"} },
	} {
		c := good
		c.Tenants = []verifier.Tenant{good.Tenants[0]}
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// Who asks for a value is not answered by a statement about another age that says
// the contrary.
func TestAgeWithValue(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t), verifier.Config{})
	const asked = `{"credentials":[{"id":"mdl","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},` +
		`"claims":[{"path":["org.iso.18013.5.1","age_over_18"],"values":[true]}]}]}`
	for name, tc := range map[string]struct {
		shown string
		value bool
		want  core.Verdict
	}{
		"itself":      {"age_over_18", true, core.Valid},
		"itself, not": {"age_over_18", false, core.Incomplete},
		"older":       {"age_over_21", true, core.Valid},
		"younger":     {"age_over_16", false, core.Incomplete},
	} {
		h := w.issue(5)
		if tc.shown != "age_over_21" {
			h = w.issue(5, mdoc.Element{ID: tc.shown, Value: cbor.AppendBool(nil, tc.value)})
		}
		tr, err := w.v.Begin(t.Context(), "default", verifier.AskParams{DCQL: []byte(asked)})
		w.check(err)
		req, err := w.opened(tr)
		w.check(err)
		if _, err := w.post(h.answer(req, tc.shown)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		o := w.outcome(tr)
		if o.Result == nil || o.Result.Verdict != tc.want || (len(o.Result.Documents[0].Elements) == 1) != (tc.want == core.Valid) {
			t.Errorf("%s: %+v", name, o.Result)
		}
	}
}
