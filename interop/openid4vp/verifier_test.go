package openid4vp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/wallet"
)

// Their verifier is at these addresses; nothing listens there.
const (
	verifierHost = "verifier.example"
	verifierURL  = "https://" + verifierHost
	requestURI   = verifierURL + "/request"
	responseURI  = verifierURL + "/response"
)

// relyingParty is their verifier and the network before it.
type relyingParty struct {
	t testing.TB
	*utopia
	cert   party
	begun  answer
	served func(string) string // what becomes of the request object on its way
	posted map[string]string   // the answer of the app
}

func (u *utopia) relyingParty(t testing.TB) *relyingParty {
	return &relyingParty{t: t, utopia: u, cert: certify(t, pki.Verifier, "Bank", &u.readerCA)}
}

// asking is a request for a query, signed by the certificate.
func (r *relyingParty) asking(clientID, mode string, f *format) task {
	return task{"do": "ask", "requestUri": requestURI,
		"sign": map[string]any{"key": r.cert.JWK(r.t), "chain": base64s(r.cert.cert.Raw), "audience": "https://self-issued.me/v2"},
		"payload": map[string]any{
			"response_type": "vp_token", "response_mode": mode, "client_id": clientID, "response_uri": responseURI,
			"nonce": "n-0S6_WzA2Mj-" + mode, "state": "af0ifjsldkj", "dcql_query": json.RawMessage(f.query),
			"client_metadata": map[string]any{
				"vp_formats_supported": map[string]any{
					"mso_mdoc":  map[string]any{"issuerauth_alg_values": []int{-7}, "deviceauth_alg_values": []int{-7}},
					"dc+sd-jwt": map[string]any{"sd-jwt_alg_values": []string{"ES256"}, "kb-jwt_alg_values": []string{"ES256"}},
				},
				"encrypted_response_enc_values_supported": []string{"A256GCM", "A128GCM"},
			},
		}}
}

// unsigned is the same by value from nobody in particular.
func (r *relyingParty) unsigned(mode string, f *format) task {
	a := r.asking("redirect_uri:"+responseURI, mode, f)
	delete(a, "sign")
	delete(a, "requestUri")
	return a
}

// onPage is a request made for a page through the Digital Credentials API; a
// signed one names the page.
func onPage(a task) task {
	payload := a["payload"].(map[string]any)
	a["origin"] = origin
	delete(payload, "response_uri")
	delete(payload, "state")
	delete(a, "requestUri")
	if a["sign"] == nil {
		delete(payload, "client_id")
	} else {
		payload["expected_origins"] = []string{origin}
	}
	return a
}

// registration is what an app knows of the verifier beforehand.
func (r *relyingParty) registration() wallet.KnownVerifier {
	return wallet.KnownVerifier{ClientID: "bank", Name: "Bank", ResponseURIs: []string{responseURI}, Keys: jwks(r.t, r.cert.Key)}
}

// begin has the peer make a request and returns its link.
func (r *relyingParty) begin(asking task) string {
	r.t.Helper()
	r.begun, r.posted = peer.Done(r.t, asking)[0], nil
	return r.begun.Link
}

// fetch is the network before the verifier.
func (r *relyingParty) fetch(_ context.Context, req fetch.Request) (fetch.Response, error) {
	switch req.URL {
	case requestURI:
		object := r.begun.Object
		if req.Method == "POST" {
			form, err := req.Form()
			if err != nil {
				return fetch.Response{}, err
			}
			object = peer.Done(r.t, task{"do": "object", "id": r.begun.ID, "walletNonce": form.Get("wallet_nonce")})[0].Object
		}
		if r.served != nil {
			object = r.served(object)
		}
		return fetch.Response{Status: 200, Header: map[string]string{"content-type": oid4vp.RequestObjectMediaType}, Body: []byte(object)}, nil
	case responseURI:
		form, err := req.Form()
		if err != nil {
			return fetch.Response{}, err
		}
		r.posted = map[string]string{}
		for name := range form {
			r.posted[name] = form.Get(name)
		}
		return fetch.JSONResponse(200, map[string]string{"redirect_uri": verifierURL + "/done"}), nil
	}
	return fetch.Response{}, errors.New("no route to " + req.URL)
}

// read has the peer read what the app posted.
func (r *relyingParty) read() answer {
	r.t.Helper()
	return peer.Ask(r.t, task{"do": "read", "id": r.begun.ID, "response": r.posted})[0]
}

// question is a request of theirs in one of its forms.
type question struct {
	name     string
	ask      task
	method   string // appended to the link; on a page the protocol instead
	standing assure.Standing
	format   *format
}

// questions are requests in all forms that both sides know, by link.
func (r *relyingParty) questions(f *format) []question {
	r.t.Helper()
	hash, dns := oid4vp.X509HashID(r.cert.cert.Raw), oid4vp.X509SANDNSID(verifierHost)
	did := oid4vp.DIDID(peer.Done(r.t, task{"do": "did", "key": r.cert.JWK(r.t)})[0].DID)
	var all []question
	for _, mode := range []string{oid4vp.DirectPost, oid4vp.DirectPostJWT} {
		byValue := r.asking(hash, mode, f)
		delete(byValue, "requestUri")
		// signed is a request that the key signs without a certificate.
		signed := func(clientID, how string, value any) task {
			a := r.asking(clientID, mode, f)
			sign := a["sign"].(map[string]any)
			delete(sign, "chain")
			sign[how] = value
			return a
		}
		for _, q := range []question{
			{"x509_hash", r.asking(hash, mode, f), "", assure.ReaderTrusted, f},
			{"x509_hash, GET", r.asking(hash, mode, f), "&request_uri_method=get", assure.ReaderTrusted, f},
			{"x509_hash, POST", r.asking(hash, mode, f), "&request_uri_method=post", assure.ReaderTrusted, f},
			{"x509_hash, by value", byValue, "", assure.ReaderTrusted, f},
			{"x509_san_dns", r.asking(dns, mode, f), "", assure.ReaderTrusted, f},
			{"decentralized_identifier", signed(did, "did", true), "", assure.ReaderUnknown, f},
			{"known before", signed("bank", "registered", true), "", assure.ReaderTrusted, f},
			{"verifier_attestation", signed(oid4vp.AttestationID("Bank"), "attestation", r.attest(r.t, r.cert.Key)), "", assure.ReaderTrusted, f},
			{"redirect_uri, by value", r.unsigned(mode, f), "", assure.ReaderAnonymous, f},
		} {
			q.name += ", " + mode + ", " + f.name
			all = append(all, q)
		}
	}
	return all
}

// Their verifier asks, our app answers; they read the answer, and it is bound to
// what they say.
func TestTheirVerifier(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch, r.registration())
	for _, q := range slices.Concat(r.questions(formats()[0]), r.questions(formats()[1])) {
		entry, redirect, err := a.Answer(t.Context(), r.begin(q.ask)+q.method)
		if err != nil || redirect != verifierURL+"/done" {
			t.Errorf("%s: to %q, %v", q.name, redirect, err)
			continue
		}
		r.answered(q, entry, r.posted)
	}
}

// Their page asks through the Digital Credentials API.
func TestTheirPage(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	var all []question
	for _, f := range formats() {
		for _, mode := range []string{oid4vp.DCAPI, oid4vp.DCAPIJWT} {
			signed, unsigned := onPage(r.asking(oid4vp.X509HashID(r.cert.cert.Raw), mode, f)), onPage(r.unsigned(mode, f))
			all = append(all, question{"signed, " + mode + ", " + f.name, signed, oid4vp.ProtocolSigned, assure.ReaderTrusted, f},
				question{"unsigned, " + mode + ", " + f.name, unsigned, oid4vp.ProtocolUnsigned, assure.ReaderUnknown, f})
		}
	}
	for _, q := range all {
		r.begin(q.ask)
		request, err := json.Marshal([]oid4vp.DCRequest{{Protocol: q.method, Data: r.begun.Request}})
		if err != nil {
			t.Fatal(err)
		}
		raw, entry, err := a.AnswerBrowser(t.Context(), request, origin)
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
			continue
		}
		var response struct{ Data map[string]any }
		if err := json.Unmarshal(raw, &response); err != nil {
			t.Fatal(err)
		}
		r.answered(q, entry, response.Data)
		if q.method == oid4vp.ProtocolSigned {
			if _, _, err := a.AnswerBrowser(t.Context(), request, "https://other.example"); err == nil {
				t.Errorf("%s: answered on another page", q.name)
			}
		}
	}
}

// answered checks the entry of the app's log and has the peer read the answer.
func (r *relyingParty) answered(q question, entry wallet.LogEntry, response any) {
	r.t.Helper()
	if entry.Party.Standing != q.standing || q.standing == assure.ReaderTrusted && entry.Party.Name != "Bank" {
		r.t.Errorf("%s: asked by %+v", q.name, entry.Party)
	}
	got := peer.Ask(r.t, task{"do": "read", "id": r.begun.ID, "response": response})[0]
	if !got.OK || len(got.Presentations[q.format.id]) != 1 {
		r.t.Errorf("%s: they read %+v", q.name, got)
		return
	}
	if encrypted := r.begun.Bound.Thumbprint != ""; encrypted != (got.Header.Alg == "ECDH-ES" && got.Header.Enc == "A256GCM") {
		r.t.Errorf("%s: encrypted with %+v", q.name, got.Header)
	}
	presentation := got.Presentations[q.format.id][0]
	r.expect(r.t, q.name, q.format, presentation, r.begun.Bound.binding(r.t))
	for what, b := range r.begun.Bound.others(q.format) {
		if _, err := r.verify(r.t, q.format, presentation, b.binding(r.t)); err == nil {
			r.t.Errorf("%s: verified with another %s", q.name, what)
		}
	}
}

// What is wrong with a request is noticed before anybody is asked.
func TestTheirVerifierRefused(t *testing.T) {
	u := newUtopia(t)
	r, stranger := u.relyingParty(t), u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	hash := oid4vp.X509HashID(r.cert.cert.Raw)
	good := func() task { return r.asking(hash, "direct_post.jwt", formats()[0]) }
	for _, tc := range []struct {
		what, says string
		ask        task
		link       func(string) string
		served     func(string) string
	}{
		{what: "another client in the link", says: "differs from the link's", ask: good(),
			link: func(l string) string {
				return strings.Replace(l, url.QueryEscape(hash), "x509_san_dns%3Aother.example", 1)
			}},
		{what: "another certificate than the client's", says: "hash of the signer's certificate", ask: stranger.asking(hash, "direct_post.jwt", formats()[0])},
		{what: "a name that is not in the certificate", says: "DNS name of the signer's certificate", ask: r.asking("x509_san_dns:other.example", "direct_post.jwt", formats()[0])},
		{what: "another state", says: "signature", ask: good(), served: altered},
		{what: "one character of the signature", says: "signature", ask: good(), served: func(s string) string { return flipped(s, 2) }},
		{what: "another request's nonce", says: "wallet_nonce", ask: good(), link: func(l string) string { return l + "&request_uri_method=post" },
			served: func(string) string { return r.begun.Object }},
	} {
		link := r.begin(tc.ask)
		if tc.link != nil {
			link = tc.link(link)
		}
		r.served = tc.served
		_, _, err := a.Answer(t.Context(), link)
		r.served = nil
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", tc.what, err, tc.says)
		}
	}
	if len(a.asked) != 0 {
		t.Errorf("the holder was asked %d times", len(a.asked))
	}
}

// An answer that is not for them, or not as they asked, is refused by them.
func TestTheirVerifierRefuses(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	ask := func(mode string) answer {
		t.Helper()
		if _, _, err := a.Answer(t.Context(), r.begin(r.asking(oid4vp.X509HashID(r.cert.cert.Raw), mode, formats()[0]))); err != nil {
			t.Fatal(err)
		}
		return r.begun
	}
	plain := ask("direct_post")
	clear := r.posted
	first := ask("direct_post.jwt")
	encrypted := r.posted
	second := ask("direct_post.jwt")
	for _, tc := range []struct {
		what, says string
		to         answer
		response   map[string]string
	}{
		{"encrypted to another key", "Failed to decrypt", second, encrypted},
		{"changed on its way", "Failed to decrypt", first, map[string]string{"response": flipped(encrypted["response"], 3)}},
		{"in the clear", "Expected jarm response", first, clear},
		{"another state", "state mismatch", plain, map[string]string{"vp_token": clear["vp_token"], "state": "guess"}},
	} {
		got := peer.Ask(t, task{"do": "read", "id": tc.to.ID, "response": tc.response})[0]
		if got.OK || !strings.Contains(got.Why, tc.says) {
			t.Errorf("%s: %+v, want %q", tc.what, got, tc.says)
		}
	}
}
