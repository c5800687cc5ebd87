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
func (r *relyingParty) asking(clientID, mode, query string) task {
	return task{"do": "ask", "requestUri": requestURI,
		"sign": map[string]any{"key": r.cert.JWK(r.t), "chain": base64s(r.cert.cert.Raw), "audience": "https://self-issued.me/v2"},
		"payload": map[string]any{
			"response_type": "vp_token", "response_mode": mode, "client_id": clientID, "response_uri": responseURI,
			"nonce": "n-0S6_WzA2Mj-" + mode, "state": "af0ifjsldkj", "dcql_query": json.RawMessage(query),
			"client_metadata": map[string]any{
				"vp_formats_supported":                    map[string]any{"mso_mdoc": map[string]any{"issuerauth_alg_values": []int{-7}, "deviceauth_alg_values": []int{-7}}},
				"encrypted_response_enc_values_supported": []string{"A256GCM", "A128GCM"},
			},
		}}
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

// Their verifier asks, our app answers; they read the answer, and it is bound to
// what they say.
func TestTheirVerifier(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	for _, clientID := range []string{oid4vp.X509HashID(r.cert.cert.Raw), oid4vp.X509SANDNSID(verifierHost)} {
		for _, mode := range []string{"direct_post", "direct_post.jwt"} {
			for _, method := range []string{"", "&request_uri_method=get", "&request_uri_method=post"} {
				name := clientID[:9] + " " + mode + " " + method
				link := r.begin(r.asking(clientID, mode, nameAndAge)) + method
				entry, redirect, err := a.Answer(t.Context(), link)
				if err != nil || redirect != verifierURL+"/done" {
					t.Errorf("%s: to %q, %v", name, redirect, err)
					continue
				}
				if entry.Party.Standing != assure.ReaderTrusted || entry.Party.Name != "Bank" {
					t.Errorf("%s: asked by %+v", name, entry.Party)
				}
				got := r.read()
				if !got.OK || len(got.Presentations["licence"]) != 1 {
					t.Errorf("%s: they read %+v", name, got)
					continue
				}
				if mode == "direct_post.jwt" && (got.Header.Alg != "ECDH-ES" || got.Header.Enc != "A256GCM") {
					t.Errorf("%s: encrypted with %+v", name, got.Header)
				}
				names, err := u.verify(t, got.Presentations["licence"][0], r.begun.Bound.transcript(t))
				if err != nil || !slices.Equal(names, []string{"age_over_18", "family_name"}) {
					t.Errorf("%s: %v %v", name, names, err)
				}
				for what, b := range map[string]bound{
					"nonce":     {ClientID: r.begun.Bound.ClientID, Nonce: "another", ResponseURI: responseURI, Thumbprint: r.begun.Bound.Thumbprint},
					"client":    {ClientID: "x509_san_dns:other.example", Nonce: r.begun.Bound.Nonce, ResponseURI: responseURI, Thumbprint: r.begun.Bound.Thumbprint},
					"addressee": {ClientID: r.begun.Bound.ClientID, Nonce: r.begun.Bound.Nonce, ResponseURI: verifierURL, Thumbprint: r.begun.Bound.Thumbprint},
					"key":       {ClientID: r.begun.Bound.ClientID, Nonce: r.begun.Bound.Nonce, ResponseURI: responseURI, Thumbprint: strings.Repeat("00", 32)},
				} {
					if _, err := u.verify(t, got.Presentations["licence"][0], b.transcript(t)); err == nil {
						t.Errorf("%s: verified with another %s", name, what)
					}
				}
			}
		}
	}
}

// What is wrong with a request is noticed before anybody is asked.
func TestTheirVerifierRefused(t *testing.T) {
	u := newUtopia(t)
	r, stranger := u.relyingParty(t), u.relyingParty(t)
	a := u.newApp(t, r.fetch)
	hash := oid4vp.X509HashID(r.cert.cert.Raw)
	good := func() task { return r.asking(hash, "direct_post.jwt", nameAndAge) }
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
		{what: "another certificate than the client's", says: "hash of the signer's certificate", ask: stranger.asking(hash, "direct_post.jwt", nameAndAge)},
		{what: "a name that is not in the certificate", says: "DNS name of the signer's certificate", ask: r.asking("x509_san_dns:other.example", "direct_post.jwt", nameAndAge)},
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
		if _, _, err := a.Answer(t.Context(), r.begin(r.asking(oid4vp.X509HashID(r.cert.cert.Raw), mode, nameAndAge))); err != nil {
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
