package wallet_test

import (
	"context"
	"crypto/elliptic"
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/wallet"
	"github.com/google/go-cmp/cmp"
)

func TestInstall(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	ctx := t.Context()
	if _, err := d.Status(ctx); !errors.Is(err, wallet.ErrNotInstalled) {
		t.Errorf("status before: %v", err)
	}
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); !errors.Is(err, wallet.ErrNotInstalled) {
		t.Errorf("accept before: %v", err)
	}
	inst, err := d.Install(ctx, providerURL+"/")
	if err != nil {
		t.Fatal(err)
	}
	if inst.Provider != providerURL || inst.ID != "i1" || inst.ClientID != clientID || inst.Level != "low" || d.keys(t) != 1 {
		t.Errorf("%+v, %d keys", inst, d.keys(t))
	}
	w.Pass(time.Hour)
	again, err := d.Install(ctx, providerURL)
	if err != nil || again.ID != inst.ID || !again.Expires.After(inst.Expires) || d.keys(t) != 1 {
		t.Errorf("again: %+v %v", again, err)
	}
	if _, err := d.Install(ctx, "http://other.localhost/default"); err == nil || !strings.Contains(err.Error(), "uninstall") {
		t.Errorf("second provider: %v", err)
	}
	if _, err := d.Install(ctx, "http://provider.example"); err == nil {
		t.Error("plain http to a public name")
	}
	w.refuse[providerURL+"/instances/i1/attestation"] = fetch.JSONResponse(403, map[string]string{"error": "instance_revoked"})
	if _, err := d.Install(ctx, providerURL); !errors.Is(err, wallet.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	w.refuse[providerURL+"/instances/i1/attestation"] = fetch.JSONResponse(404, map[string]string{"error": "unknown_instance"})
	if _, err := d.Install(ctx, providerURL); err != nil || d.keys(t) != 1 {
		t.Errorf("forgotten by the provider: %v, %d keys", err, d.keys(t))
	}
	if err := d.Uninstall(ctx); err != nil || d.keys(t) != 0 {
		t.Errorf("uninstall: %v, %d keys", err, d.keys(t))
	}
}

// A failed installation leaves nothing.
func TestInstallFails(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	w.refuse[providerURL+"/instances"] = fetch.JSONResponse(400, map[string]string{"error": "unsupported_evidence"})
	if _, err := d.Install(t.Context(), providerURL); err == nil || d.keys(t) != 0 {
		t.Errorf("%v, %d keys", err, d.keys(t))
	}
	if _, err := d.Status(t.Context()); !errors.Is(err, wallet.ErrNotInstalled) {
		t.Error(err)
	}
}

func TestAccept(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		w := newWorld(t)
		w.reverse = reverse
		d := w.device(func(c *wallet.Config, _ *wallet.Deps) { c.Language = "de" })
		if _, err := d.Install(t.Context(), providerURL); err != nil {
			t.Fatal(err)
		}
		offer, err := d.ReadOffer(t.Context(), w.offer(pin, "mdl"))
		if err != nil {
			t.Fatal(err)
		}
		if offer.TxCode == nil || offer.Browser || offer.Issuer.Name != "Utopia Registry" || offer.Documents[0].Name != "Führerschein" {
			t.Errorf("%s", mustJSON(offer))
		}
		var steps []wallet.Step
		docs, err := d.Accept(t.Context(), offer, wallet.AcceptOptions{TxCode: pin, Progress: func(s wallet.Step) { steps = append(steps, s) }})
		if err != nil {
			t.Fatal(err)
		}
		want := []wallet.Step{wallet.StepAuthorise, wallet.StepKeys, wallet.StepRequest, wallet.StepVerify, wallet.StepStore}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Error(diff)
		}
		doc := docs[0]
		if doc.Copies != 5 || doc.Unused != 5 || doc.Name != "Führerschein" || doc.Issuer.Standing != assure.ReaderTrusted || doc.Issuer.VouchedBy != "Utopia IACA" ||
			doc.Issuer.Name != "Utopia Registry" || doc.Issuer.ID != issuerURL || doc.ValidUntil.Before(w.Now()) {
			t.Errorf("%+v", doc)
		}
		if d.keys(t) != 1+5 {
			t.Errorf("%d keys, want the instance's and five", d.keys(t))
		}
		listed, err := d.Documents(t.Context())
		if err != nil || len(listed) != 1 || !cmp.Equal(listed[0], doc) {
			t.Errorf("listed %+v %v", listed, err)
		}
		_, elements, err := d.Show(t.Context(), doc.ID)
		if err != nil {
			t.Fatal(err)
		}
		n := slices.IndexFunc(elements, func(e wallet.Element) bool { return e.ID == "family_name" })
		if len(elements) != len(w.subject) || n < 0 || elements[n].Text != "Muster" || elements[n].Label == "family_name" {
			t.Errorf("%+v", elements)
		}
		log, err := d.Log(t.Context())
		if err != nil || len(log) != 1 || log[0].Event != wallet.EventIssuance || log[0].Outcome != wallet.OutcomeDone || strings.Contains(mustJSON(log), "Muster") {
			t.Errorf("%+v %v", log, err)
		}
		if err := d.Delete(t.Context(), doc.ID); err != nil || d.keys(t) != 1 {
			t.Errorf("delete: %v, %d keys", err, d.keys(t))
		}
		if err := d.Delete(t.Context(), doc.ID); !errors.Is(err, wallet.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
	}
}

func TestAcceptByCode(t *testing.T) {
	for _, configuration := range []string{"mdl", "pid"} { // by scope, by authorization_details
		w := newWorld(t)
		d := w.device(nil)
		if _, err := d.Install(t.Context(), providerURL); err != nil {
			t.Fatal(err)
		}
		link, err := oid4vci.Offer{Issuer: issuerURL, Configurations: []string{configuration}, Code: &oid4vci.CodeGrant{IssuerState: "desk 3"}}.Link("haip-vci")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.take(link, wallet.AcceptOptions{}); err == nil || !strings.Contains(err.Error(), "browser") {
			t.Errorf("no browser: %v", err)
		}
		browse := func(yes bool) func(context.Context, string) (string, error) {
			return func(ctx context.Context, raw string) (string, error) {
				pending, _, err := w.oauth.Authorize(ctx, w.store, fetch.Request{Method: "GET", URL: raw}, w.Now())
				if err != nil || pending == nil || pending.IssuerState != "desk 3" || !slices.Equal(pending.Configurations, []string{configuration}) {
					t.Errorf("pending %+v %v", pending, err)
				}
				u, _ := url.Parse(raw)
				var rep oauth.Reply
				if yes {
					rep, err = w.oauth.Approve(ctx, w.store, u.Query().Get("request_uri"), oauth.Approval{Subject: "p1"}, w.Now())
				} else {
					rep, err = w.oauth.Refuse(ctx, w.store, u.Query().Get("request_uri"), w.Now())
				}
				return rep.Response.Get("location"), err
			}
		}
		if _, err := d.take(link, wallet.AcceptOptions{Browser: browse(false)}); !errors.Is(err, wallet.ErrRefused) {
			t.Errorf("refused: %v", err)
		}
		docs, err := d.take(link, wallet.AcceptOptions{Browser: browse(true)})
		if err != nil || docs[0].Copies != 5 {
			t.Fatalf("%s: %+v %v", configuration, docs, err)
		}
		foreign := func(context.Context, string) (string, error) { return "http://evil.example/?code=1", nil }
		if _, err := d.take(link, wallet.AcceptOptions{Browser: foreign}); err == nil {
			t.Error("foreign redirect accepted")
		}
	}
}

// Where the metadata name authorisation servers, authorization_details name the
// issuer that they are for, and nothing that belongs in an answer. OpenID4VCI
// 1.0, 5.1.1.
func TestAuthorizationDetailsOfTheWallet(t *testing.T) {
	for _, servers := range [][]string{nil, {issuerURL}} {
		w := newWorld(t)
		w.servers = servers
		var pushed url.Values
		d := w.device(func(_ *wallet.Config, deps *wallet.Deps) {
			inner := deps.Fetch
			deps.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
				if form, err := r.Form(); err == nil && strings.HasSuffix(r.URL, "/par") {
					pushed = form
				}
				return inner(ctx, r)
			}
		})
		if _, err := d.Install(t.Context(), providerURL); err != nil {
			t.Fatal(err)
		}
		link, err := oid4vci.Offer{Issuer: issuerURL, Configurations: []string{"pid"}, Code: &oid4vci.CodeGrant{IssuerState: "desk 3"}}.Link("haip-vci")
		if err != nil {
			t.Fatal(err)
		}
		no := errors.New("no")
		if _, err := d.take(link, wallet.AcceptOptions{Browser: func(context.Context, string) (string, error) { return "", no }}); !errors.Is(err, no) {
			t.Fatal(err)
		}
		want := `[{"type":"openid_credential","credential_configuration_id":"pid"}]`
		if servers != nil {
			want = `[{"type":"openid_credential","credential_configuration_id":"pid","locations":["` + issuerURL + `"]}]`
		}
		if pushed.Get("authorization_details") != want || pushed.Has("scope") || pushed.Get("issuer_state") != "desk 3" || pushed.Get("code_challenge_method") != "S256" {
			t.Errorf("pushed %v", pushed)
		}
	}
}

func TestWrongPIN(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	link := w.offer(pin, "mdl")
	for _, tries := range []struct {
		code string
		want error
		says string
	}{
		{"", wallet.ErrTxCode, "in the letter"}, {"12345", wallet.ErrTxCode, "6 characters"}, {"abcdef", wallet.ErrTxCode, "no try was used"},
		{"000001", wallet.ErrTxCode, "5 wrong tries"}, {"000002", wallet.ErrTxCode, ""}, {"000003", wallet.ErrTxCode, ""}, {"000004", wallet.ErrTxCode, ""},
		{"000005", wallet.ErrOfferUsed, "new offer"}, {pin, wallet.ErrOfferUsed, "new offer"},
	} {
		_, err := d.take(link, wallet.AcceptOptions{TxCode: tries.code})
		if !errors.Is(err, tries.want) || !strings.Contains(err.Error(), tries.says) || strings.Contains(err.Error(), pin) {
			t.Errorf("%q: %v", tries.code, err)
		}
	}
	link = w.offer(pin, "mdl")
	if _, err := d.take(link, wallet.AcceptOptions{TxCode: pin}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.take(link, wallet.AcceptOptions{TxCode: pin}); !errors.Is(err, wallet.ErrOfferUsed) {
		t.Errorf("twice: %v", err)
	}
	if d.keys(t) != 1+5 {
		t.Errorf("%d keys", d.keys(t))
	}
}

// Whatever is wrong with one copy, nothing is stored and no key stays.
func TestBadCopies(t *testing.T) {
	stranger := testkit.Signer(t, elliptic.P256()).Public()
	for name, mangle := range map[string]func(w *world, n int, p *mdoc.IssueParams){
		"foreign key": func(_ *world, n int, p *mdoc.IssueParams) { p.DeviceKey = stranger },
		"expired": func(_ *world, n int, p *mdoc.IssueParams) {
			p.Validity.ValidUntil = p.Validity.ValidFrom.Add(time.Hour)
		},
		"not yet valid": func(_ *world, n int, p *mdoc.IssueParams) {
			p.Validity.ValidFrom = p.Validity.ValidFrom.Add(72 * time.Hour)
		},
		"other docType":  func(_ *world, n int, p *mdoc.IssueParams) { p.DocType = "org.example.other" },
		"other elements": func(_ *world, n int, p *mdoc.IssueParams) { p.NameSpaces[0].Elements = p.NameSpaces[0].Elements[n:] },
	} {
		w := newWorld(t)
		d := w.device(nil)
		if _, err := d.Install(t.Context(), providerURL); err != nil {
			t.Fatal(err)
		}
		w.mangle = func(n int, p *mdoc.IssueParams) {
			if n > 0 || name == "expired" {
				mangle(w, n, p)
			}
		}
		docs, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		listed, _ := d.Documents(t.Context())
		if docs != nil || len(listed) != 0 || d.keys(t) != 1 {
			t.Errorf("%s: %d documents, %d keys left", name, len(listed), d.keys(t))
		}
		if log, _ := d.Log(t.Context()); len(log) != 1 || log[0].Outcome != wallet.OutcomeFailed || log[0].Reason == "" {
			t.Errorf("%s: log %+v", name, log)
		}
	}
}

// Two copies for one key: one would have no key of its own.
func TestSameKeyTwice(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	var first any
	w.mangle = func(n int, p *mdoc.IssueParams) {
		if n == 0 {
			first = p.DeviceKey
		}
		p.DeviceKey = first
	}
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err == nil || !strings.Contains(err.Error(), "another copy") || d.keys(t) != 1 {
		t.Errorf("%v, %d keys", err, d.keys(t))
	}
}

func TestUnknownIssuer(t *testing.T) {
	w := newWorld(t)
	known := w.anchors
	w.anchors = nil
	refreshed := 0
	d := w.device(func(_ *wallet.Config, deps *wallet.Deps) {
		deps.Refresh = func(context.Context, time.Time) error { refreshed++; return nil }
	})
	ctx := t.Context()
	if _, err := d.Install(ctx, providerURL); err != nil {
		t.Fatal(err)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); !errors.Is(err, wallet.ErrUntrusted) || d.keys(t) != 1 {
		t.Errorf("%v, %d keys", err, d.keys(t))
	}
	q := d.consent.last()
	if q.Topic != wallet.TopicTrust || q.Changed || q.Party.Name != "Utopia Registry" || q.Party.ID != issuerURL || q.Party.Fingerprint == "" || refreshed != 1 {
		t.Errorf("%+v, refreshed %d", q, refreshed)
	}
	if text := q.Text(); !strings.Contains(text, "Utopia Registry") || !strings.Contains(text, q.Party.Fingerprint) {
		t.Error(text)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{Allow: true}, nil }
	docs, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil || docs[0].Issuer.Standing != assure.ReaderUnknown || docs[0].Issuer.VouchedBy != "the holder" {
		t.Fatalf("%+v %v", docs, err)
	}
	// The signer of the status list stands under the IACA, which nobody here knows.
	if doc, err := d.CheckStatus(ctx, docs[0].ID); err == nil {
		t.Errorf("status by a list of nobody: %+v", doc)
	}
	asked := len(d.consent.asked)
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil || len(d.consent.asked) != asked {
		t.Errorf("second time: %v, asked %d times more", err, len(d.consent.asked)-asked)
	}
	w.ds = certify(t, "document-signer", w.Now(), "Utopia Registry", &w.iaca)
	d.consent.answer = nil // AutoApprove never accepts a change
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); !errors.Is(err, wallet.ErrUntrusted) || !d.consent.last().Changed {
		t.Errorf("changed key: %v", err)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{Allow: true}, nil }
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil {
		t.Errorf("changed key accepted: %v", err)
	}
	w.anchors = known
	docs, err = d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
	if err != nil || docs[0].Issuer.Standing != assure.ReaderTrusted {
		t.Errorf("known now: %+v %v", docs, err)
	}
}

// The provider vouches for the app anew for each issuer and each offer, with a
// key that is used for nothing else, and for as long as the issuer prefers.
func TestAttestationPerOffer(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	w.clientPeriod, w.keysPeriod = 90*24*3600, 60*24*3600
	for range 2 {
		if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.clientPeriod, w.keysPeriod = -1, math.MaxInt64
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil {
		t.Fatal(err)
	}
	for n, want := range [][2]time.Duration{{90 * 24 * time.Hour, 60 * 24 * time.Hour}, {90 * 24 * time.Hour, 60 * 24 * time.Hour}, {0, attestation.MaxStatusPeriod}} {
		if w.renewed[n].StatusPeriod != want[0] || w.keysAsk[n].StatusPeriod != want[1] {
			t.Errorf("%d: asked for %v and %v", n, w.renewed[n].StatusPeriod, w.keysAsk[n].StatusPeriod)
		}
		if r := w.renewed[n]; r.NewKey == nil || key.Equal(r.NewKey, w.instance) || n > 0 && key.Equal(r.NewKey, w.renewed[n-1].NewKey) {
			t.Errorf("%d: vouched for a key that was used before", n)
		}
	}
	if d.keys(t) != 1+3*5 {
		t.Errorf("%d keys: those of the offers are still there", d.keys(t))
	}
	w.refuse[providerURL+"/instances/i1/attestation"] = fetch.JSONResponse(403, map[string]string{"error": "instance_revoked"})
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); !errors.Is(err, wallet.ErrRevoked) || d.keys(t) != 1+3*5 {
		t.Errorf("revoked: %v, %d keys", err, d.keys(t))
	}
}

func TestCheckStatus(t *testing.T) {
	w := newWorld(t)
	d, doc := w.holder(nil)
	got, err := d.CheckStatus(t.Context(), doc.ID)
	if err != nil || got.Status != statuslist.Valid || !got.Checked.Equal(w.Now()) {
		t.Errorf("%+v %v", got, err)
	}
	if err := w.revoked.Set(4, status.Invalid); err != nil { // one copy of five
		t.Fatal(err)
	}
	if got, err = d.CheckStatus(t.Context(), doc.ID); err != nil || got.Status != statuslist.Invalid {
		t.Errorf("%+v %v", got, err)
	}
	w.refuse[issuerURL+"/status/1"] = fetch.Response{Status: 503}
	if got, err = d.CheckStatus(t.Context(), doc.ID); err == nil || got.Status != statuslist.Invalid {
		t.Errorf("no list: %+v %v", got, err)
	}
}

// Keys that a crash left behind go, keys on their way stay.
func TestSweep(t *testing.T) {
	w := newWorld(t)
	d := w.device(nil)
	if _, err := d.Install(t.Context(), providerURL); err != nil {
		t.Fatal(err)
	}
	w.more[issuerURL+"/credential"] = func(fetch.Request) (fetch.Response, error) { panic("crash") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no crash")
			}
		}()
		w.take(d)
	}()
	if d.keys(t) != 1+2+5 {
		t.Fatalf("%d keys after the crash", d.keys(t))
	}
	delete(w.more, issuerURL+"/credential")
	w.Pass(time.Minute)
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil || d.keys(t) != 8+5 {
		t.Errorf("%v, %d keys", err, d.keys(t))
	}
	w.Pass(2 * time.Hour)
	if _, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{}); err != nil || d.keys(t) != 1+5+5 {
		t.Errorf("%v, %d keys", err, d.keys(t))
	}
}

func (w *world) take(d *device) {
	_, _ = d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
}

// An answer that was lost on its way costs neither the offer nor the documents;
// one that never comes ends in an error, and no key is left.
func TestLostAnswers(t *testing.T) {
	for _, endpoint := range []string{"/token", "/credential"} {
		for _, lost := range []int{1, 2} {
			w := newWorld(t)
			d := w.device(nil)
			if _, err := d.Install(t.Context(), providerURL); err != nil {
				t.Fatal(err)
			}
			n := 0
			w.more[issuerURL+endpoint] = func(fetch.Request) (fetch.Response, error) {
				if n++; n == lost {
					delete(w.more, issuerURL+endpoint)
				}
				return fetch.Response{}, errors.New("connection reset")
			}
			docs, err := d.take(w.offer("", "mdl"), wallet.AcceptOptions{})
			if lost == 1 && (err != nil || len(docs) != 1) {
				t.Errorf("%s lost: %+v, %v", endpoint, docs, err)
			}
			if lost == 2 && (err == nil || d.keys(t) != 1) {
				t.Errorf("%s lost twice: %v, %d keys", endpoint, err, d.keys(t))
			}
		}
	}
}
