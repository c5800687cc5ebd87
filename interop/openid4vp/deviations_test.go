package openid4vp_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/verifier"
)

// The deviations of the README that can be seen from outside. A test that fails
// here is good news: the version does it right, and its row goes.

const origin = "https://shop.example"

// byValue is a request that is not signed, as their wallet gets it.
func byValue(more map[string]any) map[string]any {
	r := map[string]any{
		"response_type": "vp_token", "response_mode": "direct_post", "client_id": "redirect_uri:" + responseURI, "response_uri": responseURI,
		"nonce": "n-0S6_WzA2Mj", "dcql_query": json.RawMessage(formats()[0].query),
	}
	for name, v := range more {
		if r[name] = v; v == nil {
			delete(r, name)
		}
	}
	return r
}

func TestDeviationsOfTheirWallet(t *testing.T) {
	open := func(more map[string]any) answer {
		return peer.Ask(t, task{"do": "open", "request": byValue(more), "origin": origin})[0]
	}
	if got := open(nil); !got.OK {
		t.Fatalf("they refuse an unsigned request: %s", got.Why)
	}
	if got := open(map[string]any{"redirect_uri": responseURI}); !got.OK {
		t.Errorf("redirect_uri beside response_uri: they refuse it now: %s", got.Why)
	}
	for what, more := range map[string]map[string]any{
		"no nonce": {"nonce": nil}, "response_type code": {"response_type": "code"}, "client_metadata that is none": {"client_metadata": 7},
	} {
		if got := open(more); !got.OK {
			t.Errorf("%s: they refuse it now: %s", what, got.Why)
		}
	}
	got := open(map[string]any{"response_mode": "dc_api", "client_id": "someone", "response_uri": nil})
	if !got.OK || got.Bound.ClientID != "someone" {
		t.Errorf("client_id in an unsigned request of the Digital Credentials API: they ignore it now: %+v", got)
	}

	// Of two keys the first is for signatures, the second for encryption.
	sig, enc := publicJWK(t, testkit.Signer(t, elliptic.P256())), publicJWK(t, testkit.Signer(t, elliptic.P256()))
	sig["use"], enc["alg"] = "sig", "ECDH-ES"
	keys := func(list ...any) map[string]any {
		return map[string]any{"response_mode": "direct_post.jwt", "client_metadata": map[string]any{"jwks": map[string]any{"keys": list}}}
	}
	both, alone := open(keys(sig, enc)), open(keys(sig))
	if both.Bound.Thumbprint == "" || both.Bound.Thumbprint != alone.Bound.Thumbprint {
		t.Error("a key for signatures before the one for encryption: they choose the right one now")
	}
}

// Their wallet posts what it is to a request_uri as parameters of the form, and
// no nonce, although it knows one and then misses it.
func TestDeviationOfTheirPost(t *testing.T) {
	h := newUtopia(t).house(t)
	tr := h.begin(verifier.ClientX509Hash, formats()[0])
	var posted url.Values
	spy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() == nil {
			posted = r.PostForm
		}
		http.Error(w, "", http.StatusNotFound)
	}))
	defer spy.Close()
	link := strings.Replace(tr.Link, url.QueryEscape(tr.RequestURI), url.QueryEscape(spy.URL), 1)
	peer.Ask(t, task{"do": "open", "request": link, "walletNonce": "a-nonce"})
	if posted.Has("wallet_metadata") || posted.Has("wallet_nonce") || !posted.Has("vp_formats_supported") {
		t.Errorf("they post %v now", posted)
	}
	opening := h.opening(tr.Link)
	opening["walletNonce"] = "a-nonce"
	if got := peer.Ask(t, opening)[0]; got.OK || !strings.Contains(got.Why, "wallet_nonce") {
		t.Errorf("they post a nonce now: %+v", got)
	}
}

// Their wallet decrypts a request object only after it has read it as a JWT.
func TestDeviationOfTheirDecryption(t *testing.T) {
	c := newUtopia(t).house(t).counter(t)
	w := way{by: c.certified(), format: formats()[0]}
	link := c.link(w)
	post, err := oid4vp.ParseWalletPost(url.Values{"wallet_metadata": {string(peer.Done(t, task{"do": "metadata"})[0].Metadata)}})
	if err != nil {
		t.Fatal(err)
	}
	if c.object, err = w.by.RequestObject(t.Context(), c.tx, post, time.Now()); err != nil {
		t.Fatal(err)
	}
	if parts := strings.Count(c.object, ".") + 1; parts != 5 {
		t.Errorf("request of %d parts, not a JWE", parts)
	}
	if got := peer.Ask(t, c.opening(link))[0]; got.OK || !strings.Contains(got.Why, "not a valid jwt") {
		t.Errorf("they read it now: %+v", got)
	}
}

func TestDeviationsOfTheirVerifier(t *testing.T) {
	u := newUtopia(t)
	r := u.relyingParty(t)
	a, licence := u.newApp(t, r.fetch), formats()[0]
	ask := r.asking(oid4vp.X509HashID(r.cert.cert.Raw), oid4vp.DirectPost, licence)

	// Without being told it names the request_uri as audience; we warn, and answer.
	delete(ask["sign"].(map[string]any), "audience")
	if _, _, err := a.Answer(t.Context(), r.begin(ask)); err != nil {
		t.Errorf("request for another audience: %v", err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(r.begun.Object, ".")[1])
	if err != nil || !strings.Contains(string(claims), `"aud":"`+requestURI+`"`) {
		t.Errorf("audience: they name another now: %s %v", claims, err)
	}

	unasked := map[string]string{"vp_token": `{"other":["o2d2"]}`, "state": r.posted["state"]}
	if got := peer.Ask(t, task{"do": "read", "id": r.begun.ID, "response": unasked})[0]; !got.OK {
		t.Errorf("a presentation of what was not asked: they refuse it now: %s", got.Why)
	}

	// Our app tells them that it has no such document.
	for _, mode := range []string{"direct_post", "direct_post.jwt"} {
		passport := *licence
		passport.query = strings.Replace(licence.query, "mDL", "passport", 1)
		if _, _, err := a.Answer(t.Context(), r.begin(r.asking(oid4vp.X509HashID(r.cert.cert.Raw), mode, &passport))); err == nil || r.posted == nil {
			t.Fatalf("asked for what it lacks, our app posted %v: %v", r.posted, err)
		}
		if got := r.read(); got.OK || !strings.Contains(got.Why, "vp_token") {
			t.Errorf("error response by %s: they read it now: %+v", mode, got)
		}
	}
}
