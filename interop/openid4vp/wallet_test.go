package openid4vp_test

import (
	"crypto/elliptic"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

// house is our verifier on a listener of its own, and documents in the hands of
// their wallet: it makes no presentations, which is left to its caller, the test.
type house struct {
	t testing.TB
	*utopia
	*verifier.Verifier
	readerCA []string // trusted by their wallet
	device   *testkit.Key
}

// The tenants of the house, by how they name themselves.
var tenants = []string{verifier.ClientX509Hash, verifier.ClientX509SANDNS}

func tenantID(clientID string) string { return strings.ReplaceAll(clientID, "_", "-") }

func (u *utopia) house(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, utopia: u, device: testkit.Signer(t, elliptic.P256())}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.Handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")

	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "verifier.db"), "verifier", verifier.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := verifier.Config{URL: "http://localhost:" + port}
	for _, id := range tenants {
		cfg.Tenants = append(cfg.Tenants, verifier.Tenant{ID: tenantID(id), Name: "Bank by " + id, Country: "UT", ClientID: id})
	}
	if h.Verifier, err = verifier.New(cfg, verifier.Deps{DB: d, Area: area, Anchors: u.anchors}); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range cfg.Tenants {
		ca, err := h.ReaderCA(t.Context(), tenant.ID)
		if err != nil {
			t.Fatal(err)
		}
		h.readerCA = append(h.readerCA, base64s(ca.Raw)...)
	}
	return h
}

// begin has our verifier ask.
func (h *house) begin(tenant string, f *format) verifier.Transaction {
	h.t.Helper()
	tr, err := h.Begin(h.t.Context(), tenantID(tenant), verifier.AskParams{Ask: f.ask})
	if err != nil {
		h.t.Fatal(err)
	}
	return tr
}

func (h *house) opening(link string) task {
	return task{"do": "open", "request": link, "known": map[string]any{"anchors": h.readerCA}}
}

// opened has their wallet open a request.
func (h *house) opened(tr verifier.Transaction) answer {
	h.t.Helper()
	return peer.Done(h.t, h.opening(tr.Link))[0]
}

// present makes the presentation for what their wallet says it is bound to, in
// which the device may authorise a payment.
func (h *house) present(f *format, b bound, device *testkit.Key, pays ...string) string {
	h.t.Helper()
	return f.present(h.t, f.issue(h.utopia, h.t, h.device.Public()), b.binding(h.t), device, strings.Join(pays, ""))
}

// answering has their wallet send a presentation for the only credential asked for.
func (h *house) answering(o answer, presentation string) task {
	h.t.Helper()
	return o.answering(map[string]any{o.asked(h.t): []string{presentation}})
}

func (o *answer) answering(vpToken map[string]any) task {
	return task{"do": "answer", "id": o.ID, "payload": map[string]any{"vp_token": vpToken}}
}

// asked is the id of the only credential in the query that they read.
func (o *answer) asked(t testing.TB) string {
	t.Helper()
	var q struct{ Credentials []struct{ ID string } }
	if err := json.Unmarshal(o.Query, &q); err != nil || len(q.Credentials) != 1 {
		t.Fatalf("they read the query %s: %v", o.Query, err)
	}
	return q.Credentials[0].ID
}

func (h *house) outcome(tr verifier.Transaction, tenant string) verifier.Outcome {
	h.t.Helper()
	o, err := h.Outcome(h.t.Context(), tenantID(tenant), tr.ID, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return o
}

// Our verifier asks, their wallet answers over the network of this machine.
func TestTheirWallet(t *testing.T) {
	h := newUtopia(t).house(t)
	for _, tenant := range tenants {
		for _, f := range formats() {
			name := tenant + ", " + f.name
			tr := h.begin(tenant, f)
			o := h.opened(tr)
			if o.Prefix != tenant || o.Mode != "direct_post.jwt" || !strings.HasPrefix(o.Bound.ClientID, tenant+":") {
				t.Errorf("%s: they read %+v", name, o)
			}
			if state := h.outcome(tr, tenant).State; state != verifier.Fetched {
				t.Errorf("%s: %s once it was fetched", name, state)
			}
			sent := peer.Done(t, h.answering(o, h.present(f, o.Bound, h.device)))[0]
			if sent.Status != http.StatusOK || !strings.Contains(sent.Reply.RedirectURI, "response_code=") {
				t.Errorf("%s: we replied %d %+v", name, sent.Status, sent.Reply)
			}
			if again := peer.Done(t, h.answering(o, h.present(f, o.Bound, h.device)))[0]; again.Status != http.StatusBadRequest {
				t.Errorf("%s: we replied %d %+v to a second answer", name, again.Status, again.Reply)
			}
			got := h.outcome(tr, tenant)
			if got.State != verifier.Done || !got.Result.OK() {
				t.Fatalf("%s: %+v", name, got)
			}
			values := map[string]string{}
			for _, e := range got.Result.Documents[0].Elements {
				values[e.ID] = e.Text
			}
			if diff := cmp.Diff(f.values, values); diff != "" {
				t.Errorf("%s (-issued +read):\n%s", name, diff)
			}
		}
	}
}

// What was changed in our request is noticed by them.
func TestTheirWalletRefuses(t *testing.T) {
	h := newUtopia(t).house(t)
	stranger := certify(t, pki.ReaderCA, "Strangers", nil)
	for _, tenant := range tenants {
		tr := h.begin(tenant, formats()[0])
		with := func(name string, value any) task {
			o := h.opening(tr.Link)
			o[name] = value
			return o
		}
		object := h.object(tr)
		link, err := url.Parse(tr.Link)
		if err != nil {
			t.Fatal(err)
		}
		query := link.Query()
		query.Set("client_id", "x509_san_dns:other.example")
		for _, tc := range []struct {
			what, says string
			open       task
		}{
			{"another client in the link", "client_id does not match", with("request", "openid4vp://?"+query.Encode())},
			{"another state", "verification of jwt", with("object", altered(object))},
			{"one character of the signature", "verification of jwt", with("object", flipped(object, 2))},
			{"nobody they trust", "certificate not trusted", with("known", map[string]any{"anchors": base64s(stranger.cert.Raw)})},
		} {
			got := peer.Ask(t, tc.open)[0]
			if got.OK || !strings.Contains(got.Why, tc.says) {
				t.Errorf("%s, %s: %+v, want %q", tenant, tc.what, got, tc.says)
			}
		}
		if got := peer.Ask(t, with("object", object))[0]; !got.OK { // or the above proves nothing
			t.Errorf("%s: unchanged: %s", tenant, got.Why)
		}
	}
}

// object fetches the request object.
func (h *house) object(tr verifier.Transaction) string {
	h.t.Helper()
	resp, err := http.Get(tr.RequestURI)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	object, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(object)
}

// What is wrong with an answer of theirs is refused by us, with the reason.
func TestTheirWalletRefused(t *testing.T) {
	h := newUtopia(t).house(t)
	const tenant = verifier.ClientX509Hash
	strangersKey := testkit.Signer(t, elliptic.P256())
	for _, f := range formats() {
		other := h.opened(h.begin(tenant, f))
		boundTo := func(change func(*bound)) func(answer) task {
			return func(o answer) task {
				b := o.Bound
				change(&b)
				return h.answering(o, h.present(f, b, h.device))
			}
		}
		for _, tc := range []struct {
			part, says string
			answer     func(answer) task
		}{
			{part: "nonce", answer: boundTo(func(b *bound) { b.Nonce = other.Bound.Nonce })},
			{part: "client", answer: boundTo(func(b *bound) { b.ClientID = "x509_san_dns:localhost" })},
			{part: "addressee", answer: boundTo(func(b *bound) { b.ResponseURI = other.Bound.ResponseURI })},
			{part: "key", answer: boundTo(func(b *bound) { b.Thumbprint = other.Bound.Thumbprint })},
			{part: "device", answer: func(o answer) task { return h.answering(o, h.present(f, o.Bound, strangersKey)) }},
			{"recipient", "another key", func(o answer) task {
				a := h.answering(o, h.present(f, o.Bound, h.device))
				jwk := publicJWK(t, strangersKey)
				jwk["kid"], jwk["alg"] = "stranger", "ECDH-ES"
				a["recipient"] = jwk
				return a
			}},
			{"question", "not asked", func(o answer) task {
				return o.answering(map[string]any{"other": []string{h.present(f, o.Bound, h.device)}})
			}},
			{"format", "presentation", func(o answer) task { return h.answering(o, "a presentation") }},
		} {
			says, over := tc.says, tc.says == "" // an answer ends the transaction, whatever is in it
			if over {
				if says = f.refusals[tc.part]; says == "" {
					continue
				}
			}
			tr := h.begin(tenant, f)
			sent := peer.Done(t, tc.answer(h.opened(tr)))[0]
			if sent.Status != http.StatusBadRequest || sent.Reply.Error != oid4vp.InvalidRequest || !strings.Contains(sent.Reply.ErrorDescription, says) {
				t.Errorf("%s, another %s: we replied %d %+v, want %q", f.name, tc.part, sent.Status, sent.Reply, says)
			}
			got := h.outcome(tr, tenant)
			if !over && got.State != verifier.Fetched || over && (got.Result == nil || got.Result.Verdict != core.Invalid) {
				t.Errorf("%s, another %s: %+v", f.name, tc.part, got)
			}
		}
	}
}

// A refusal of their wallet, encrypted like an answer, is told to the relying party.
func TestTheirWalletDeclines(t *testing.T) {
	h := newUtopia(t).house(t)
	tr := h.begin(verifier.ClientX509Hash, formats()[0])
	sent := peer.Done(t, task{"do": "answer", "id": h.opened(tr).ID, "payload": map[string]any{"error": oid4vp.AccessDenied}})[0]
	if got := h.outcome(tr, verifier.ClientX509Hash); sent.Status != http.StatusOK || got.State != verifier.Refused {
		t.Errorf("we replied %d %+v: %+v", sent.Status, sent.Reply, got)
	}
}
