package openid4vp_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
)

// counter is the protocol's end of a verifier of ours, on a listener: it asks in
// all ways at once, where a tenant of package verifier has one name.
type counter struct {
	*house
	bank   party
	url    string
	tx     *oid4vp.Transaction
	object string     // to be fetched
	posted url.Values // what came back
}

func (h *house) counter(t testing.TB) *counter {
	c := &counter{house: h, bank: certify(t, pki.Verifier, "Bank", &h.utopia.readerCA)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.ParseForm() == nil {
			c.posted = r.PostForm
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{}`))
			return
		}
		w.Header().Set("Content-Type", oid4vp.RequestObjectMediaType)
		w.Write([]byte(c.object))
	}))
	t.Cleanup(server.Close)
	c.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return c
}

// way is a way to ask.
type way struct {
	name   string
	format *format
	by     *oid4vp.Verifier
	mode   string
	value  bool // by value, otherwise by reference
	nobody bool // unsigned
	prefix string
	info   []oid4vp.VerifierInfo
	pay    []oid4vp.TransactionData
}

func (c *counter) certified() *oid4vp.Verifier {
	return &oid4vp.Verifier{ClientID: oid4vp.X509HashID(c.bank.cert.Raw), Key: c.bank, Chain: [][]byte{c.bank.cert.Raw}}
}

// begin makes a transaction, through the Digital Credentials API if there is no url.
func (c *counter) begin(w way, url string) {
	c.t.Helper()
	q, err := query.ParseDCQL([]byte(w.format.query))
	if err != nil {
		c.t.Fatal(err)
	}
	p := oid4vp.Params{Query: q, Mode: w.mode, Unsigned: w.nobody, Info: w.info, Transactions: w.pay}
	if url != "" {
		p.ResponseURI = url + "/response"
		if !w.value {
			p.RequestURI = url + "/request"
		}
	}
	if c.tx, err = w.by.Begin(p, time.Now()); err != nil {
		c.t.Fatal(err)
	}
}

// link is the request for their wallet.
func (c *counter) link(w way) string {
	c.t.Helper()
	c.begin(w, c.url)
	if w.value {
		link, err := w.by.LinkByValue(c.t.Context(), c.tx, "openid4vp", time.Now())
		if err != nil {
			c.t.Fatal(err)
		}
		return link
	}
	var err error
	if c.object, err = w.by.RequestObject(c.t.Context(), c.tx, oid4vp.WalletPost{}, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	return c.tx.Link("openid4vp")
}

// opening has their wallet open a request of the counter.
func (c *counter) opening(request any) task {
	return task{"do": "open", "request": request, "known": map[string]any{
		"anchors": base64s(c.utopia.readerCA.cert.Raw), "attester": publicJWK(c.t, c.attester), "registered": publicJWK(c.t, c.bank.Key)}}
}

// receive verifies an answer that was opened.
func (c *counter) receive(w way, got *oid4vp.Answer, err error) shown {
	c.t.Helper()
	if err != nil || len(got.Presentations[w.format.id]) != 1 {
		c.t.Errorf("%s: %+v %v", w.name, got, err)
		return shown{}
	}
	return c.expect(c.t, w.name, w.format, got.Presentations[w.format.id][0], binding{got.Transcript, got.Audience, got.Nonce})
}

// Our verifier asks by every name and in every way that they know.
func TestTheirWalletInEveryWay(t *testing.T) {
	c := newUtopia(t).house(t).counter(t)
	did, err := oid4vp.DIDJWK(c.bank.Public())
	if err != nil {
		t.Fatal(err)
	}
	byDID := &oid4vp.Verifier{ClientID: oid4vp.DIDID(did), Key: c.bank, KeyID: did + "#0"}
	attested := &oid4vp.Verifier{ClientID: oid4vp.AttestationID("Bank"), Key: c.bank, Attestation: c.attest(t, c.bank.Key)}
	known := &oid4vp.Verifier{ClientID: "bank", Key: c.bank}
	for _, w := range []way{
		{name: "certificate", by: c.certified(), prefix: "x509_hash"},
		{name: "certificate, by value", by: c.certified(), value: true, prefix: "x509_hash"},
		{name: "DID", by: byDID, prefix: "decentralized_identifier"},
		{name: "DID, by value", by: byDID, value: true, prefix: "decentralized_identifier"},
		{name: "attested", by: attested, prefix: "verifier_attestation"},
		{name: "known before", by: known, prefix: "pre-registered"},
		{name: "nobody, by value", by: &oid4vp.Verifier{}, value: true, nobody: true, prefix: "redirect_uri"},
	} {
		for _, w := range w.inBoth(oid4vp.DirectPost, oid4vp.DirectPostJWT) {
			o := peer.Ask(t, c.opening(c.link(w)))[0]
			if !o.OK || o.Prefix != w.prefix || o.Mode != w.mode {
				t.Errorf("%s: they read %+v", w.name, o)
				continue
			}
			peer.Done(t, c.answering(o, c.present(w.format, o.Bound, c.device)))
			got, err := c.tx.Open(t.Context(), c.posted, time.Now())
			c.receive(w, got, err)
		}
	}
}

// inBoth is the way with both formats and both modes.
func (w way) inBoth(modes ...string) (all []way) {
	for _, f := range formats() {
		for _, mode := range modes {
			one := w
			one.name, one.format, one.mode = w.name+", "+mode+", "+f.name, f, mode
			all = append(all, one)
		}
	}
	return all
}

// A page of ours asks through the Digital Credentials API.
func TestTheirWalletOnAPage(t *testing.T) {
	c := newUtopia(t).house(t).counter(t)
	for _, w := range (way{by: c.certified()}).inBoth(oid4vp.DirectPost, oid4vp.DirectPostJWT) { // which stand for dc_api and dc_api.jwt
		c.begin(w, "")
		requests, err := w.by.DCRequests(t.Context(), c.tx, []string{origin}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range requests {
			w.name = r.Protocol + ", " + w.mode + ", " + w.format.name
			c.onPage(w, r)
		}
	}
}

func (c *counter) onPage(w way, r oid4vp.DCRequest) {
	t := c.t
	opening := c.opening(r.Data)
	opening["origin"] = origin
	o := peer.Ask(t, opening)[0]
	if r.Protocol == oid4vp.ProtocolMultisigned {
		if o.OK {
			t.Errorf("%s: they take several signatures now", w.name)
		}
		return
	}
	if !o.OK {
		t.Errorf("%s: %s", w.name, o.Why)
		return
	}
	sent := peer.Done(t, c.answering(o, c.present(w.format, o.Bound, c.device)))[0]
	got, err := c.tx.OpenDC(t.Context(), sent.Response, origin, time.Now())
	c.receive(w, got, err)
	got, err = c.tx.OpenDC(t.Context(), sent.Response, "https://other.example", time.Now())
	if err == nil {
		_, err = c.verify(t, w.format, got.Presentations[w.format.id][0], binding{got.Transcript, got.Audience, got.Nonce})
	}
	if err == nil {
		t.Errorf("%s: verified for another page", w.name)
	}
	opening["origin"] = "https://other.example"
	if o := peer.Ask(t, opening)[0]; o.OK && r.Protocol == oid4vp.ProtocolSigned {
		t.Errorf("%s: they take it on another page", w.name)
	}
}
