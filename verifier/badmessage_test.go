package verifier_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
)

// sealed encrypts what our own engine would not send.
func (a *arena) sealed(req *oid4vp.Request, plain []byte, zip bool) fetch.Request {
	a.t.Helper()
	jwe, err := jose.Encrypt(plain, jose.EncryptOptions{Recipient: responseKey(a.t, req), Enc: jose.A256GCM, Zip: zip})
	a.check(err)
	return fetch.FormRequest(req.ResponseURI, url.Values{"response": {jwe}})
}

// vpToken is a response with a text as the only presentation.
func (a *arena) vpToken(req *oid4vp.Request, presentation string) []byte {
	return fmt.Appendf(nil, `{"vp_token":{%q:[%q]},"state":%q}`, req.Query.Credentials[0].ID, presentation, req.State)
}

// within fails if f allocates more than so many MiB or takes longer than 5 s.
func within(t *testing.T, name string, mib uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	f()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > mib {
		t.Errorf("%s: %d MiB allocated, at most %d", name, used, mib)
	}
	if took > 5*time.Second {
		t.Errorf("%s: took %v", name, took)
	}
}

// What is too large, too deep, or grows too much is refused before it costs
// anything, and leaves the transaction open for the holder.
func TestBadMessages(t *testing.T) {
	a := newArena(t, testkit.SQLite(t))
	tr, req := a.fetched(askMdoc)
	_, reqSD := a.fetched(askSD)
	_, other := a.fetched(askMdoc)
	form := func(fields url.Values) fetch.Request { return fetch.FormRequest(req.ResponseURI, fields) }
	state := func(more string) []byte { return []byte(`{"state":"` + req.State + `",` + more + `}`) }
	deepCBOR := append(cbor.AppendText([]byte{0xa1}, "unknown"), bytes.Repeat([]byte{0x81}, 100_000)...)
	moved := a.sealed(other, a.vpToken(other, a.mdoc([]byte{0xf6}, a.mdl.key)), false)
	moved.URL = req.ResponseURI
	good := strings.Split(strings.TrimPrefix(string(a.sealed(req, state(`"error":"x"`), false).Body), "response="), ".")
	header := func(h string) fetch.Request {
		return form(url.Values{"response": {strings.Join(append([]string{jose.Encode([]byte(h))}, good[1:]...), ".")}})
	}
	for _, tc := range []struct {
		name   string
		msg    fetch.Request
		status int
		says   string
		mib    uint64
	}{
		{"a JWE of 13 MiB", form(url.Values{"response": {strings.Repeat("A", 13<<20)}}), http.StatusRequestEntityTooLarge, "larger", 64},
		{"a JWE that grows to 128 MiB", a.sealed(req, bytes.Repeat([]byte(" "), 128<<20), true), http.StatusBadRequest, "compressed", 8},
		{"a JWE with more than 8 MiB of JSON", a.sealed(req, state(`"x":"`+strings.Repeat("A", 8<<20+1)+`"`), false), http.StatusBadRequest, "limit 8388608", 160},
		{"a JWE for another request", moved, http.StatusBadRequest, "encrypted to another key", 8},
		{"a JWE without kid", header(`{"alg":"ECDH-ES","enc":"A256GCM"}`), http.StatusBadRequest, "JWE", 8},
		{"a JWE of another algorithm", header(`{"alg":"RSA1_5","enc":"A256GCM"}`), http.StatusBadRequest, "RSA1_5", 8},
		{"a JWE in the clear", header(`{"alg":"dir","enc":"none"}`), http.StatusBadRequest, "JWE", 8},
		{"deep JSON", a.sealed(req, state(`"x":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)), false), http.StatusBadRequest, "nested too deeply", 16},
		{"a million members", a.sealed(req, state(strings.TrimSuffix(strings.Repeat(`"a":1,`, 1_000_000), ",")), false), http.StatusBadRequest, "response", 128},
		{"a member twice", a.sealed(req, state(`"state":"x"`), false), http.StatusBadRequest, "twice", 8},
		{"no JSON", a.sealed(req, []byte("x"), false), http.StatusBadRequest, "response", 8},
		{"a presentation of nobody's", a.sealed(req, state(`"vp_token":{"x":["y"]}`), false), http.StatusBadRequest, "not asked", 8},
		{"seventeen presentations", a.sealed(req, state(`"vp_token":{"`+req.Query.Credentials[0].ID+`":["`+strings.Repeat(`x","`, 16)+`y"]}`), false), http.StatusBadRequest, "17 presentations", 8},
		{"no base64url", a.sealed(req, a.vpToken(req, "*"), false), http.StatusBadRequest, "base64url", 8},
		{"deep CBOR", a.sealed(req, a.vpToken(req, oid4vp.EncodeMdoc(deepCBOR)), false), http.StatusBadRequest, "nested deeper", 16},
		{"CBOR that announces 4 GiB", a.sealed(req, a.vpToken(req, oid4vp.EncodeMdoc([]byte{0x5a, 0xff, 0xff, 0xff, 0xff})), false), http.StatusBadRequest, "cbor", 8},
		{"CBOR that announces 2^32 members", a.sealed(req, a.vpToken(req, oid4vp.EncodeMdoc([]byte{0xba, 0xff, 0xff, 0xff, 0xff})), false), http.StatusBadRequest, "cbor", 8},
		{"5 MiB of CBOR", a.sealed(req, a.vpToken(req, oid4vp.EncodeMdoc(cbor.AppendBytes(nil, make([]byte, 5<<20)))), false), http.StatusBadRequest, "exceeds a limit", 160},
		{"5000 disclosures", sdTo(a, reqSD, strings.Repeat("~WyJhIiwiYiIsImMiXQ", 5000)), http.StatusBadRequest, "disclosures", 32},
		{"5 MiB of SD-JWT", sdTo(a, reqSD, strings.Repeat("A", 5<<20)), http.StatusBadRequest, "presentation for", 160},
		{"65 parameters", fetch.Request{Method: "POST", URL: req.ResponseURI, Header: form(nil).Header, Body: []byte("response=x" + strings.Repeat("&a=b", 65))}, http.StatusBadRequest, "64 parameters", 8},
		{"a parameter twice", fetch.Request{Method: "POST", URL: req.ResponseURI, Header: form(nil).Header, Body: []byte("state=a&state=b")}, http.StatusBadRequest, "2 times", 8},
	} {
		within(t, tc.name, tc.mib, func() {
			resp, err := a.server(t.Context(), tc.msg)
			a.check(err)
			if resp.Status != tc.status || !strings.Contains(string(resp.Body), tc.says) || len(resp.Body) > 1<<10 {
				t.Errorf("%s: %d %.300s, want %d and %q", tc.name, resp.Status, resp.Body, tc.status, tc.says)
			}
		})
	}
	if o := a.outcome(tr); o.State != verifier.Fetched {
		t.Fatalf("an attempt ended the transaction: %+v", o)
	}
	transcript, err := req.Transcript()
	a.check(err)
	if resp := a.send(req, a.mdoc(transcript, a.mdl.key)); resp.Status != http.StatusOK {
		t.Errorf("afterwards: %d %s", resp.Status, resp.Body)
	}
	a.private("the log", []byte(a.log.String()), req.Nonce, req.State, tr.ID)
}

func sdTo(a *arena, req *oid4vp.Request, more string) fetch.Request {
	parts := strings.SplitN(a.sd(a.binding(req), a.sdHold), "~", 2)
	return a.sealed(req, a.vpToken(req, parts[0]+more+"~"+parts[1]), false)
}

// One answer counts, however often it and others come at once, and whichever
// process they come to.
func TestManyAnswersAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		a := newArena(t, dsn)
		servers := []fetch.Func{a.server, testkit.OverHTTP(t, a.another(verifier.Config{}).Handler())}
		tr, req := a.fetched(askMdoc)
		transcript, err := req.Transcript()
		a.check(err)
		id := req.Query.Credentials[0].ID
		answer, err := req.Answer(oid4vp.Presentations{id: {a.mdoc(transcript, a.mdl.key)}})
		a.check(err)
		refusal, err := req.Refuse(oid4vp.AccessDenied, "")
		a.check(err)
		var won, lost atomic.Int32
		var codes sync.Map
		var all sync.WaitGroup
		for i := range 100 {
			msg := answer
			if i%10 == 9 {
				msg = refusal
			}
			all.Go(func() {
				resp, err := servers[i%2](context.Background(), msg)
				switch {
				case err == nil && resp.Status == http.StatusOK:
					won.Add(1)
					codes.Store(string(resp.Body), true)
				case err == nil && resp.Status == http.StatusBadRequest && strings.Contains(resp.Refusal(), "finished"):
					lost.Add(1)
				default:
					t.Errorf("%d %s %v", resp.Status, resp.Body, err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 || lost.Load() != 99 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
		if o := a.outcome(tr); o.State != verifier.Done && o.State != verifier.Refused {
			t.Errorf("%+v", o)
		}
		if n := a.rows("history"); n != 1 {
			t.Errorf("%d entries of the history", n)
		}
	})
}

// What a page hands on is bound as well: a late answer, one that another page
// relayed, one to another transaction, and what is too large.
func TestBadPageAnswers(t *testing.T) {
	a := newArena(t, testkit.SQLite(t))
	a.v = a.another(keeping())
	a.server = testkit.OverHTTP(t, a.v.Handler())
	ask := func() (verifier.Transaction, *dcapi.MdocRequest) {
		tr := a.begin(askMdoc)
		rec := a.asPage("GET", tr.Watch+"/dc", shop, "")
		list, err := dcapi.ParseRequests(rec.Body.Bytes())
		a.check(err)
		at := slices.IndexFunc(list, func(r dcapi.Request) bool { return r.Protocol == dcapi.ProtocolMdoc })
		req, err := dcapi.OpenMdoc(list[at], shop)
		a.check(err)
		return tr, req
	}
	answer := func(req *dcapi.MdocRequest, transcript []byte) string {
		response, err := req.Answer(a.mdl.present(transcript, "family_name", "portrait"))
		a.check(err)
		raw, err := json.Marshal(dcapi.Response{Protocol: dcapi.ProtocolMdoc, Data: response})
		a.check(err)
		return string(raw)
	}
	post := func(name string, tr verifier.Transaction, body string, status int, says string) {
		t.Helper()
		within(t, name, 64, func() {
			resp, err := a.server(t.Context(), fetch.Request{Method: "POST", URL: tr.Watch + "/dc", Body: []byte(body), Header: map[string]string{"origin": shop, "content-type": "application/json"}})
			a.check(err)
			if resp.Status != status || !strings.Contains(string(resp.Body), says) {
				t.Errorf("%s: %d %.300s, want %q", name, resp.Status, resp.Body, says)
			}
			a.private(name, resp.Body)
		})
	}
	tr, req := ask()
	other, otherReq := ask()
	post("to another transaction", tr, answer(otherReq, otherReq.Transcript()), 400, "another request")
	post("13 MiB", tr, strings.Repeat(" ", 13<<20), 413, "larger")
	post("deep JSON", tr, `{"protocol":"org-iso-mdoc","data":`+strings.Repeat(`{"a":`, 50_000)+"1"+strings.Repeat("}", 50_001), 400, "nested too deeply")
	post("a member twice", tr, `{"protocol":"org-iso-mdoc","protocol":"x","data":{}}`, 400, "twice")
	post("a response that was not encrypted", tr, `{"protocol":"org-iso-mdoc","data":{"response":"`+jose.Encode(a.mdl.present(req.Transcript(), "family_name"))+`"}}`, 400, "invalid_request")
	if o := a.outcome(tr); o.State != verifier.Waiting && o.State != verifier.Fetched {
		t.Fatalf("an attempt ended the transaction: %+v", o)
	}
	// A document for another session ends it.
	body := answer(req, otherReq.Transcript())
	resp, err := a.server(t.Context(), fetch.Request{Method: "POST", URL: tr.Watch + "/dc", Body: []byte(body), Header: map[string]string{"origin": shop}})
	a.check(err)
	a.judged(tr, resp, "device authentication", "9.1.3")
	post("a second answer", tr, answer(req, req.Transcript()), 400, "finished")
	a.Pass(6 * time.Minute)
	post("late", other, answer(otherReq, otherReq.Transcript()), 400, "start again")
	a.private("the log", []byte(a.log.String()), tr.ID, other.ID)
}

// A status list that is stale, forged, or another issuer's says nothing: whoever
// is on the way could make it so. The report warns of what is wrong with it, and
// where a status is required the document is not valid.
func TestBadStatusLists(t *testing.T) {
	a := newArena(t, testkit.SQLite(t))
	const uri = issuerURL + "/status/1"
	stranger := testkit.Signer(t, elliptic.P256())
	strangerRoot := a.certificate(pki.IACARoot, "Evil IACA", stranger, nil, stranger)
	neighbour := testkit.Signer(t, elliptic.P256())
	neighbourRoot := a.certificate(pki.IACARoot, "Neighbour IACA", neighbour, nil, neighbour)
	a.listed = append(a.listed, neighbourRoot) // trusted, for its own documents
	sign := func(by *testkit.Key, chain *x509.Certificate, change func(*status.Claims)) []byte {
		l, err := status.NewList(1, 1024)
		a.check(err)
		z, err := l.Compress()
		a.check(err)
		c := status.Claims{URI: uri, Issued: a.Now(), Expires: a.Now().Add(day), TTL: time.Hour}
		if change != nil {
			change(&c)
		}
		raw, err := status.SignCWT(t.Context(), by, status.Headers{X5Chain: [][]byte{chain.Raw}}, c, z)
		a.check(err)
		return raw
	}
	var same func(*status.Claims)
	for _, tc := range []struct {
		name  string
		list  func() []byte // nil: it cannot be had
		check string        // that fails; empty: nothing is known
	}{
		{"stale", func() []byte {
			return sign(a.lstKey, a.listSigner, func(c *status.Claims) { c.Issued, c.Expires = a.Now().Add(-2*day), a.Now().Add(-day) })
		}, "freshness"},
		{"of the future", func() []byte {
			return sign(a.lstKey, a.listSigner, func(c *status.Claims) { c.Issued, c.Expires = a.Now().Add(day), a.Now().Add(2*day) })
		}, "issued at"},
		{"forged", func() []byte { return sign(stranger, a.listSigner, same) }, "signature"},
		{"changed", func() []byte { raw := sign(a.lstKey, a.listSigner, same); raw[len(raw)-1] ^= 1; return raw }, "signature"},
		{"of a stranger", func() []byte {
			return sign(stranger, a.certificate(pki.StatusSigner, "Evil", stranger, strangerRoot, stranger), same)
		}, "status signer"},
		{"of another issuer", func() []byte {
			return sign(neighbour, a.certificate(pki.StatusSigner, "Neighbour", neighbour, neighbourRoot, neighbour), same)
		}, "status signer"},
		{"another list", func() []byte { return sign(a.lstKey, a.listSigner, func(c *status.Claims) { c.URI = uri + "0" }) }, "subject"},
		{"no list", func() []byte { return []byte("<html>") }, ""},
		{"17 MiB", func() []byte { return make([]byte, 17<<20) }, ""},
		{"away", nil, ""},
	} {
		for _, required := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, required %v", tc.name, required), func(t *testing.T) {
				a.world.t = t
				a.list = func() ([]byte, error) {
					if tc.list == nil {
						return nil, errUnplugged
					}
					return tc.list(), nil
				}
				a.v = a.another(verifier.Config{RequireStatus: required}) // with an empty cache
				a.server = testkit.OverHTTP(t, a.v.Handler())
				tr, req := a.fetched(askMdoc)
				transcript, err := req.Transcript()
				a.check(err)
				resp := a.send(req, a.mdoc(transcript, a.mdl.key))
				d := a.outcome(tr).Result.Documents[0]
				if required {
					a.judged(tr, resp, "revocation status", "12.3.6")
				} else if resp.Status != http.StatusOK || d.Status.Outcome != "unknown" || d.Status.Text != "no usable status list" {
					t.Errorf("%d %s: %+v", resp.Status, resp.Body, d.Status)
				}
				if tc.check != "" && !slices.ContainsFunc(d.Report.Checks, func(c check.Check) bool {
					return (c.Outcome == check.Warn || c.Outcome == check.Fail) && strings.Contains(c.Name, tc.check) && c.Clause != "" && c.Advice != ""
				}) {
					t.Errorf("nothing about %q:\n%s", tc.check, d.Report)
				}
			})
		}
	}
}
