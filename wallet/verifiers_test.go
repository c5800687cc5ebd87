package wallet_test

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/wallet"
)

const shopOrigin = "http://shop.localhost:8080"

// TestParties: who asks, by each way of proving it, and what the holder is
// told about it.
func TestParties(t *testing.T) {
	w := newWorld(t)
	k, attester := testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	set := mustJSON(jose.Set{Keys: []jose.JWK{{Key: k.Public()}}})
	d, _ := w.holder(func(cfg *wallet.Config, _ *wallet.Deps) {
		cfg.Verifiers = []wallet.KnownVerifier{{ClientID: "bank", Name: "The bank", Keys: set, ResponseURIs: []string{verifierURL + "/response/1"}}}
		cfg.Attesters = []wallet.Attester{{Issuer: "https://attester.example", Keys: mustJSON(jose.Set{Keys: []jose.JWK{{Key: attester.Public()}}})}}
	})
	attestation, err := jose.Sign(t.Context(), attester, jose.Header{Typ: oid4vp.AttestationType}, map[string]any{
		"iss": "https://attester.example", "sub": "shop", "exp": w.Now().Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": jose.JWK{Key: k.Public()}}})
	if err != nil {
		t.Fatal(err)
	}
	self, err := oid4vp.DIDJWK(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	const web = "did:web:shop.example"
	doc, err := oid4vp.DIDDocument(web, web+"#1", k.Public())
	if err != nil {
		t.Fatal(err)
	}
	w.more["https://shop.example/.well-known/did.json"] = func(fetch.Request) (fetch.Response, error) {
		return fetch.Response{Status: 200, Body: doc}, nil
	}
	v := w.relyingParty(certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA))
	for _, c := range []struct {
		engine   oid4vp.Verifier
		unsigned bool
		standing assure.Standing
		name     string
	}{
		{v.engine, false, assure.ReaderTrusted, "Bank"},
		{oid4vp.Verifier{ClientID: "bank", Key: k}, false, assure.ReaderTrusted, "The bank"},
		{oid4vp.Verifier{ClientID: "verifier_attestation:shop", Key: k, Attestation: attestation}, false, assure.ReaderTrusted, "shop (vouched for by https://attester.example)"},
		{oid4vp.Verifier{ClientID: oid4vp.DIDID(self), Key: k, KeyID: self + "#0"}, false, assure.ReaderUnknown, `somebody who calls themselves "verifier.localhost:8080"`},
		{oid4vp.Verifier{ClientID: oid4vp.DIDID(web), Key: k, KeyID: web + "#1"}, false, assure.ReaderUnknown, `somebody who calls themselves "verifier.localhost:8080"`},
		{oid4vp.Verifier{}, true, assure.ReaderAnonymous, "somebody who does not say who they are"},
	} {
		v.engine, v.unsigned = c.engine, c.unsigned
		entry, redirect, err := d.Answer(t.Context(), v.link(nameAndAge))
		if err != nil || redirect == "" || v.got.Error != "" {
			t.Errorf("%s: %v", c.engine.ClientID, err)
			continue
		}
		p := entry.Party
		if p.Standing != c.standing || !strings.HasPrefix(p.String(), c.name) || p.ID == "" || (p.Identity != "") != (p.Standing == assure.ReaderTrusted) {
			t.Errorf("%s: %+v", c.engine.ClientID, p)
		}
		if (p.Fingerprint == "") != (c.unsigned || p.Standing == assure.ReaderTrusted && p.Name != "Bank") {
			t.Errorf("%s: fingerprint %q", c.engine.ClientID, p.Fingerprint)
		}
	}
	// Somebody else with an attestation that is good, for another key.
	v.engine, v.unsigned = oid4vp.Verifier{ClientID: "verifier_attestation:shop", Key: attester, Attestation: attestation}, false
	if _, _, err := d.Answer(t.Context(), v.link(nameAndAge)); err == nil || v.posted != 0 {
		t.Errorf("attestation of somebody else: %v", err)
	}
}

func TestConfigVerifiers(t *testing.T) {
	key := mustJSON(jose.Set{Keys: []jose.JWK{{Key: testkit.Signer(t, elliptic.P256()).Public()}}})
	uris := []string{"https://bank.example/response"}
	for name, c := range map[string]wallet.Config{
		"prefix":          {Verifiers: []wallet.KnownVerifier{{ClientID: "x509_hash:x", ResponseURIs: uris}}},
		"no name":         {Verifiers: []wallet.KnownVerifier{{ResponseURIs: uris}}},
		"no address":      {Verifiers: []wallet.KnownVerifier{{ClientID: "bank"}}},
		"plain http":      {Verifiers: []wallet.KnownVerifier{{ClientID: "bank", ResponseURIs: []string{"http://bank.example/"}}}},
		"no keys":         {Verifiers: []wallet.KnownVerifier{{ClientID: "bank", ResponseURIs: uris, Keys: "{}"}}},
		"metadata":        {Verifiers: []wallet.KnownVerifier{{ClientID: "bank", ResponseURIs: uris, Metadata: "{"}}},
		"attester":        {Attesters: []wallet.Attester{{Keys: key}}},
		"attester's keys": {Attesters: []wallet.Attester{{Issuer: "x", Keys: `{"keys":[]}`}}},
	} {
		if err := c.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	good := wallet.Config{Verifiers: []wallet.KnownVerifier{{ClientID: "bank", ResponseURIs: uris, Keys: key, Metadata: "{}"}}, Attesters: []wallet.Attester{{Issuer: "x", Keys: key}}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

// TestAnswerFragment: the browser takes the answer, and the refusal.
func TestAnswerFragment(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	v := w.relyingParty(certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA))
	opened := func(redirect string) *oid4vp.Answer {
		back, fragment, _ := strings.Cut(redirect, "#")
		form, err := url.ParseQuery(fragment)
		if err != nil || back != verifierURL+"/cb" || v.posted != 0 {
			t.Fatalf("%.80s %v", redirect, err)
		}
		a, err := v.tx.Open(t.Context(), form, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	begin := func() string {
		q, err := query.ParseDCQL([]byte(nameAndAge))
		if err != nil {
			t.Fatal(err)
		}
		if v.tx, err = v.engine.Begin(oid4vp.Params{Query: q, Mode: oid4vp.Fragment, RedirectURI: verifierURL + "/cb"}, w.Now()); err != nil {
			t.Fatal(err)
		}
		link, err := v.engine.LinkByValue(t.Context(), v.tx, "openid4vp", w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	_, redirect, err := d.Answer(t.Context(), begin())
	if err != nil {
		t.Fatal(err)
	}
	v.got = opened(redirect)
	if r := v.verify(); r.Verdict != "valid" {
		t.Errorf("%+v", r)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	_, redirect, err = d.Answer(t.Context(), begin())
	if a := opened(redirect); !errors.Is(err, wallet.ErrRefused) || a.Error != oid4vp.AccessDenied {
		t.Errorf("%+v %v", a, err)
	}
}

// TestComplain: a verifier hears what is wrong with its request, and the holder
// is not bothered.
func TestComplain(t *testing.T) {
	w := newWorld(t)
	rp := certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA)
	d, _ := w.holder(nil)
	v := w.relyingParty(rp)
	for name, c := range map[string]struct {
		change func(m map[string]any)
		code   string
	}{
		"redirect_uri":     {func(m map[string]any) { m["redirect_uri"] = verifierURL + "/cb" }, oid4vp.InvalidRequest},
		"no nonce":         {func(m map[string]any) { delete(m, "nonce") }, oid4vp.InvalidRequest},
		"transaction data": {func(m map[string]any) { m["transaction_data"] = []string{"eyJ0eXBlIjoieCJ9"} }, oid4vp.InvalidTransactionData},
		"other formats": {func(m map[string]any) {
			m["client_metadata"].(map[string]any)["vp_formats_supported"] = map[string]any{"jwt_vc_json": map[string]any{}}
		}, oid4vp.FormatsNotSupported},
		"in the past": {func(m map[string]any) { m["exp"] = w.Now().Add(-time.Hour).Unix() }, ""},
	} {
		v.object = func(object string) string {
			token, err := jose.Parse(object, jose.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var m map[string]any
			if err := json.Unmarshal(token.Payload, &m); err != nil {
				t.Fatal(err)
			}
			c.change(m)
			signed, err := jose.Sign(t.Context(), rp, token.Header, m)
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		entry, _, err := d.Answer(t.Context(), v.link(nameAndAge))
		if err == nil || entry.ID != "" || (v.posted == 1) != (c.code != "") || c.code != "" && v.got.Error != c.code {
			t.Errorf("%s: %v, told %d times: %+v", name, err, v.posted, v.got)
		}
	}
	if len(d.consent.asked) != 0 {
		t.Error("the holder was bothered")
	}
}

func TestAnswerBrowserOID4VP(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	v := w.relyingParty(certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA))
	requests := func(dcql string) []oid4vp.DCRequest {
		v.link(dcql)
		list, err := v.engine.DCRequests(t.Context(), v.tx, []string{shopOrigin}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	answer := func(r oid4vp.DCRequest, origin string) (string, wallet.LogEntry, error) {
		raw, entry, err := d.AnswerBrowser(t.Context(), []byte(mustJSON([]oid4vp.DCRequest{r})), origin)
		if raw == nil {
			return "", entry, err
		}
		var response oid4vp.DCRequest
		if err := json.Unmarshal(raw, &response); err != nil || response.Protocol != r.Protocol {
			t.Fatalf("%s: %v", raw, err)
		}
		return string(response.Data), entry, err
	}
	for i, want := range []string{"Bank", "Bank", "shop.localhost:8080"} {
		r := requests(nameAndAge)[i]
		data, entry, err := answer(r, shopOrigin)
		if err != nil {
			t.Fatal(err)
		}
		if v.got, err = v.tx.OpenDC(t.Context(), []byte(data), shopOrigin, w.Now()); err != nil {
			t.Fatal(err)
		}
		if result := v.verify(); result.Verdict != "valid" {
			t.Errorf("%s: %+v", r.Protocol, result)
		}
		if entry.Party.Name != want || entry.Outcome != wallet.OutcomeDone || (entry.Party.Standing == assure.ReaderTrusted) != (want == "Bank") {
			t.Errorf("%s: %+v", r.Protocol, entry)
		}
	}
	r := requests(nameAndAge)[0]
	asked := len(d.consent.asked)
	data, entry, err := answer(r, "https://evil.example")
	if err == nil || entry.ID != "" || data != "" || len(d.consent.asked) != asked {
		t.Errorf("another origin: %s %v", data, err)
	}
	none := requests(strings.ReplaceAll(nameAndAge, "mDL", "x"))[0]
	data, entry, err = answer(none, shopOrigin)
	if !errors.Is(err, wallet.ErrNothing) || data != "" || entry.Outcome != wallet.OutcomeNothing {
		t.Errorf("nothing to show: %s %+v %v", data, entry, err)
	}
	d.consent.answer = func(wallet.Question) (wallet.Answer, error) { return wallet.Answer{}, nil }
	data, entry, err = answer(r, shopOrigin)
	if !errors.Is(err, wallet.ErrRefused) || data != `{"error":"access_denied"}` || entry.Outcome != wallet.OutcomeRefused {
		t.Errorf("refused: %s %+v %v", data, entry, err)
	}
}

// TestTransactionData: the holder sees what a presentation authorises, and the
// verifier gets it signed with the document, in both formats.
func TestTransactionData(t *testing.T) {
	w := newWorld(t)
	w.mangle = func(_ int, p *mdoc.IssueParams) {
		p.KeyAuthorizations = mdoc.KeyAuthorizations{NameSpaces: []string{"org.example.pay"}}
	}
	element := mdoc.ElementRef{NameSpace: "org.example.pay", ID: "hash"}
	known := func(_ *wallet.Config, deps *wallet.Deps) {
		deps.Transactions = []oid4vp.TransactionType{{Type: "payment", Element: &element, Read: func(json.RawMessage) ([]string, error) {
			return []string{"Pay 5 EUR\nto the \x1b[2Jshop"}, nil
		}}}
	}
	v := w.relyingParty(certify(t, pki.ReaderAuth, w.Now(), "Bank", &w.readerCA))
	v.elements = []mdoc.ElementRef{element}
	withMdoc, _ := w.holder(known)
	withPID, _ := w.holderSDWith(known)
	w.vct = cardVCT
	withSDJWT, _ := w.holderSDWith(known)
	w.mangle = nil
	unauthorised, _ := w.holder(known)
	for _, c := range []struct {
		name, id, dcql string
		d              *device
		ok             bool
	}{
		{"mdoc", "licence", nameAndAge, withMdoc, true},
		{"SD-JWT VC", "card", cardQuery(), withSDJWT, true},
		{"PID", "pid", pidQuery(`{"path":["family_name"]}`, ""), withPID, false},
		{"mdoc whose issuer does not let it", "licence", nameAndAge, unauthorised, false},
	} {
		one, err := oid4vp.NewTransactionData([]byte(`{"type":"payment","credential_ids":["` + c.id + `"]}`))
		if err != nil {
			t.Fatal(err)
		}
		v.authorise = []oid4vp.TransactionData{one}
		_, _, err = c.d.Answer(t.Context(), v.link(c.dcql))
		if !c.ok {
			if log, _ := c.d.Log(t.Context()); !errors.Is(err, wallet.ErrNothing) || v.got.Error != oid4vp.AccessDenied || len(c.d.consent.asked) != 0 || log[0].Authorised[0].Type != "payment" {
				t.Errorf("%s: %v %+v", c.name, err, v.got)
			}
			continue
		}
		if q := c.d.consent.last(); !slices.Equal(q.Authorises, []string{"Pay 5 EUR to the \ufffd[2Jshop"}) || !strings.Contains(q.Text(), "authorise: Pay 5 EUR") {
			t.Errorf("%s: asked %q", c.name, q.Authorises)
		}
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		r := v.verify()
		if check, ok := r.Report.Find("transaction data"); r.Verdict != "valid" || !ok || check.Seen != "agreed to" {
			t.Errorf("%s: %s\n%s", c.name, r.Reason, r.Report)
		}
		other, err := oid4vp.NewTransactionData([]byte(`{"type":"payment","amount":"500","credential_ids":["` + c.id + `"]}`))
		if err != nil {
			t.Fatal(err)
		}
		v.got.Transactions = []oid4vp.TransactionData{other}
		if r := v.verify(); r.Verdict == "valid" {
			t.Errorf("%s: valid for another payment", c.name)
		}
	}
}
