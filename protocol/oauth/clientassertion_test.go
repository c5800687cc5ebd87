package oauth_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oauth"
)

const (
	serverApp  = "https://app.example"   // has two keys, with kid
	serverApp2 = "https://other.example" // has one, without
	jwtBearer  = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// appWorld is a world where some clients have keys of their own.
type appWorld struct {
	*world
	es256, eddsa, other *testkit.Key
}

func newAppWorld(t testing.TB, change func(*oauth.ServerConfig)) *appWorld {
	t.Helper()
	w := &appWorld{es256: testkit.Signer(t, elliptic.P256()), eddsa: testkit.Ed25519(t), other: testkit.Signer(t, elliptic.P256())}
	w.world = newWorld(t, func(c *oauth.ServerConfig) {
		clients := []oauth.Registration{
			{ID: serverApp, RedirectURIs: []string{redirect}, Keys: []jose.JWK{{Key: w.es256.Public(), KID: "16"}, {Key: w.eddsa.Public(), KID: "17"}}},
			{ID: serverApp2, RedirectURIs: []string{redirect}, Keys: []jose.JWK{{Key: w.other.Public()}}},
			{ID: clientID, RedirectURIs: []string{redirect}},
		}
		for _, r := range clients {
			if err := r.Check(); err != nil {
				t.Fatal(err)
			}
		}
		c.Clients, c.PrivateKeyJWT, c.RefreshLifetime = oauth.Fixed(clients...), true, month
		if change != nil {
			change(c)
		}
	})
	return w
}

func (w *appWorld) app(id string, signer key.Signer, kid string) *oauth.Client {
	w.t.Helper()
	md, err := oauth.Discover(w.ctx, w.fetch, issuer)
	if err != nil {
		w.t.Fatal(err)
	}
	return &oauth.Client{Server: md, ID: id, RedirectURI: redirect, DPoP: testkit.Signer(w.t, elliptic.P256()), Fetch: w.fetch, Key: signer, KeyID: kid}
}

// claims are those of a good assertion by serverApp.
func (w *appWorld) claims() map[string]any {
	return map[string]any{"iss": serverApp, "sub": serverApp, "aud": issuer, "jti": rand.Text(),
		"iat": w.Now().Unix(), "exp": w.Now().Add(time.Minute).Unix()}
}

// assertion is one by serverApp, signed with its first key.
func (w *appWorld) assertion(change func(claims map[string]any)) string {
	w.t.Helper()
	c := w.claims()
	if change != nil {
		change(c)
	}
	return w.jwt(w.es256, jose.Header{KID: "16"}, c)
}

// forms are a good request at each endpoint, but for the client's authentication.
func (w *appWorld) forms(id string) map[string]url.Values {
	return map[string]url.Values{
		"/par":   parFormOf(&oauth.Client{ID: id}),
		"/token": {"client_id": {id}, "grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {w.offer("")}},
	}
}

// request is a request with an assertion and, at the token endpoint, a proof.
func (w *appWorld) request(endpoint string, form url.Values, assertion string) fetch.Request {
	w.t.Helper()
	form = maps.Clone(form)
	if assertion != "" {
		form.Set("client_assertion_type", jwtBearer)
		form.Set("client_assertion", assertion)
	}
	r := fetch.FormRequest(issuer+endpoint, form)
	if endpoint == "/token" {
		r.Header["dpop"] = w.proof(testkit.Signer(w.t, elliptic.P256()), "POST", r.URL, "")
	}
	return r
}

// refused sends a request and wants it refused with the code.
func (w *appWorld) refused(t *testing.T, r fetch.Request, code string) {
	t.Helper()
	rep, err := w.route(w.ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Refusal == nil || rep.Refusal.Code != code {
		t.Fatalf("refusal %v, want %s", rep.Refusal, code)
	}
	wantErrorBody(t, rep.Response)
}

func (w *appWorld) accepted(t *testing.T, r fetch.Request) {
	t.Helper()
	if rep, err := w.route(w.ctx, r); err != nil || rep.Refusal != nil {
		t.Fatal(rep.Refusal, err)
	}
}

// The example of OpenID4VCI 1.0, 6.1 shows the form, and has no whole
// assertion; RFC 7523, 2.2 prints a header.
func TestClientAssertionVector(t *testing.T) {
	var v struct {
		Data struct {
			Request struct {
				Type      string `json:"client_assertion_type"`
				Assertion string `json:"client_assertion"`
			} `json:"token_request_code"`
		}
	}
	vectors.Load(t, "openid4vci/par_and_errors.json", &v)
	w := newAppWorld(t, nil)
	a := w.app(serverApp, w.es256, "16")
	if _, err := a.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err != nil {
		t.Fatal(err)
	}
	sent, err := w.log[len(w.log)-1].Form()
	if err != nil || sent.Get("client_assertion_type") != v.Data.Request.Type || !strings.HasPrefix(sent.Get("client_assertion"), "eyJ") {
		t.Errorf("sent %v, %v", sent, err)
	}
	w.refused(t, w.request("/par", parFormOf(a), v.Data.Request.Assertion), "invalid_client")

	const header = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0" // RFC 7523, 2.2
	claims, err := json.Marshal(w.claims())
	if err != nil {
		t.Fatal(err)
	}
	w.accepted(t, w.request("/par", parFormOf(a), w.signed(header, claims)))
}

// signed is a token of these parts by serverApp's first key.
func (w *appWorld) signed(header string, claims []byte) string {
	w.t.Helper()
	input := []byte(header + "." + jose.Encode(claims))
	signature, err := w.es256.Sign(w.ctx, input)
	if err != nil {
		w.t.Fatal(err)
	}
	return jose.Finish(input, signature)
}

func TestPrivateKeyJWT(t *testing.T) {
	w := newAppWorld(t, nil)
	for name, a := range map[string]*oauth.Client{
		"ES256":       w.app(serverApp, w.es256, "16"),
		"EdDSA":       w.app(serverApp, w.eddsa, "17"),
		"without kid": w.app(serverApp2, w.other, ""),
	} {
		t.Run(name, func(t *testing.T) {
			w.log = nil
			token := w.token(a)
			if w.use(a, token) != 200 || w.grant.ClientID != a.ID || w.grant.Instance != nil {
				t.Errorf("grant %+v", w.grant)
			}
			again, err := a.Refresh(w.ctx, token.RefreshToken, w.Now())
			if err != nil || w.use(a, again) != 200 {
				t.Errorf("refresh: %v", err)
			}
			offered, err := a.RedeemPreAuthorized(w.ctx, w.offer(""), "", nil, w.Now())
			if err != nil || w.use(a, offered) != 200 || w.grant.ClientID != a.ID {
				t.Errorf("offer: %v, %+v", err, w.grant)
			}
			seen := map[string]bool{}
			for _, r := range w.log {
				form, err := r.Form()
				if err != nil || !strings.HasSuffix(r.URL, "/par") && !strings.HasSuffix(r.URL, "/token") {
					continue
				}
				token, err := jose.Parse(form.Get("client_assertion"), jose.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				var c map[string]any
				if err := token.Claims(&c); err != nil {
					t.Fatal(err)
				}
				id, _ := c["jti"].(string)
				if seen[id] || len(id) < 22 || c["aud"] != issuer || c["sub"] != a.ID || c["iss"] != a.ID || c["exp"] == nil {
					t.Errorf("assertion with %v", c)
				}
				seen[id] = true
			}
			if len(seen) < 4 {
				t.Errorf("%d assertions", len(seen))
			}
		})
	}
}

// What was granted to one client is of no use to another, nor with another key.
func TestGrantsOfClientsWithKeys(t *testing.T) {
	w := newAppWorld(t, nil)
	a, b := w.app(serverApp, w.es256, "16"), w.app(serverApp2, w.other, "")
	token := w.token(a)
	b.DPoP = a.DPoP
	_, err := b.Refresh(w.ctx, token.RefreshToken, w.Now())
	w.wantCode(t, err, "invalid_grant")
	thief := w.app(serverApp, w.es256, "16")
	_, err = thief.Refresh(w.ctx, token.RefreshToken, w.Now())
	w.wantCode(t, err, "invalid_grant")
	wallet := w.client(clientID)
	wallet.DPoP = a.DPoP
	_, err = wallet.Refresh(w.ctx, token.RefreshToken, w.Now())
	w.wantCode(t, err, "invalid_grant")
	b.KeyID = "16" // its one key has no kid
	_, err = b.Refresh(w.ctx, token.RefreshToken, w.Now())
	w.wantCode(t, err, "invalid_client")
	b.KeyID = ""
	authorization, code := w.authorised(a)
	_, err = b.RedeemCode(w.ctx, authorization, code, w.Now())
	w.wantCode(t, err, "invalid_grant")
	// The client's other key is the same client.
	renewed := w.app(serverApp, w.eddsa, "17")
	renewed.DPoP = a.DPoP
	if _, err = renewed.Refresh(w.ctx, token.RefreshToken, w.Now()); err != nil {
		t.Error(err)
	}
}

func TestClientAssertionRefusals(t *testing.T) {
	w := newAppWorld(t, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger := testkit.Signer(t, elliptic.P256())
	p384 := testkit.Signer(t, elliptic.P384())
	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	del := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	after := func(name string, d time.Duration) func(map[string]any) { return set(name, w.Now().Add(d).Unix()) }
	raw := func(header string, sign func(input string) []byte) func() string {
		return func() string {
			claims, err := json.Marshal(w.claims())
			if err != nil {
				t.Fatal(err)
			}
			input := jose.Encode([]byte(header)) + "." + jose.Encode(claims)
			return input + "." + jose.Encode(sign(input))
		}
	}
	by := func(k key.Signer, h jose.Header) func() string {
		return func() string { return w.jwt(k, h, w.claims()) }
	}
	claims := func(change func(map[string]any)) func() string { return func() string { return w.assertion(change) } }
	both := func(id string) func() string {
		return claims(func(c map[string]any) { c["iss"], c["sub"] = id, id })
	}
	for _, tc := range []struct {
		name      string
		assertion func() string
	}{
		{"wrong aud", claims(set("aud", "https://elsewhere.example"))},
		{"aud is the token endpoint", claims(set("aud", issuer+"/token"))},
		{"aud is the PAR endpoint", claims(set("aud", issuer+"/par"))},
		{"aud array with several", claims(set("aud", []string{issuer, issuer + "/token"}))},
		{"aud array with one", claims(set("aud", []string{issuer}))},
		{"aud with more behind it", claims(set("aud", issuer+"/"))},
		{"aud null", claims(set("aud", nil))},
		{"no aud", claims(del("aud"))},
		{"expired", claims(after("exp", -5*time.Minute))},
		{"just expired", claims(after("exp", -time.Minute))},
		{"exp too far ahead", claims(after("exp", 10*time.Minute+time.Second))},
		{"exp in the far future", claims(set("exp", int64(253402300799)))},
		{"no exp", claims(del("exp"))},
		{"exp null", claims(set("exp", nil))},
		{"exp is text", claims(set("exp", "1800000060"))},
		{"iat in the future", claims(after("iat", 61*time.Second))},
		{"iat long ago", claims(after("iat", -11*time.Minute))},
		{"nbf in the future", claims(after("nbf", 61*time.Second))},
		{"no jti", claims(del("jti"))},
		{"empty jti", claims(set("jti", ""))},
		{"jti is a number", claims(set("jti", 7))},
		{"huge jti", claims(set("jti", strings.Repeat("j", 600)))},
		{"iss is not sub", claims(set("iss", serverApp2))},
		{"sub is not iss", claims(set("sub", serverApp2))},
		{"no sub", claims(del("sub"))},
		{"no iss", claims(del("iss"))},
		{"neither", claims(func(c map[string]any) { delete(c, "iss"); delete(c, "sub") })},
		{"signed by one client for another", both(serverApp2)},
		{"unknown client", both("https://nobody.example")},
		{"client without keys", both(clientID)},
		{"huge", claims(set("x", strings.Repeat("x", 9<<10)))},
		{"deep", claims(set("x", json.RawMessage(strings.Repeat("[", 50)+strings.Repeat("]", 50))))},
		{"alg none", raw(`{"alg":"none"}`, func(string) []byte { return nil })},
		{"alg none with kid", raw(`{"alg":"none","kid":"16"}`, func(string) []byte { return nil })},
		{"HS256 with the public key as secret", raw(`{"alg":"HS256","kid":"16"}`, func(input string) []byte {
			jwk, _ := json.Marshal(jose.JWK{Key: w.es256.Public(), KID: "16"})
			m := hmac.New(sha256.New, jwk)
			m.Write([]byte(input))
			return m.Sum(nil)
		})},
		{"RS256", raw(`{"alg":"RS256","kid":"16"}`, func(input string) []byte {
			sum := sha256.Sum256([]byte(input))
			s, _ := rsaKey.Sign(rand.Reader, sum[:], crypto.SHA256)
			return s
		})},
		{"ES384", by(p384, jose.Header{KID: "16"})},
		{"EdDSA for a P-256 key", by(w.eddsa, jose.Header{KID: "16"})},
		{"critical extension", raw(`{"alg":"ES256","kid":"16","crit":["x"],"x":1}`, func(input string) []byte {
			s, _ := w.es256.Sign(w.ctx, []byte(input))
			return s
		})},
		{"key not registered", by(stranger, jose.Header{KID: "16"})},
		{"key not registered, in the header", by(stranger, jose.Header{JWK: &jose.JWK{Key: stranger.Public()}})},
		{"unknown kid", by(w.es256, jose.Header{KID: "18"})},
		{"kid of another key", by(w.es256, jose.Header{KID: "17"})},
		{"no kid, two keys", by(w.es256, jose.Header{})},
		{"other client's key", by(w.other, jose.Header{KID: "16"})},
		{"another kind of JWT", by(w.es256, jose.Header{KID: "16", Typ: "dpop+jwt"})},
		{"no signature", func() string { a := w.assertion(nil); return a[:strings.LastIndexByte(a, '.')+1] }},
		{"no JWT", func() string { return "assertion" }},
		{"dots", func() string { return ".." }},
		{"claims are no object", func() string { return w.signed("eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0", []byte(`[]`)) }},
		{"a claim twice", func() string {
			return w.signed("eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0", []byte(`{"sub":"`+serverApp+`","sub":"`+serverApp+`"}`))
		}},
	} {
		for endpoint, form := range w.forms(serverApp) {
			t.Run(tc.name+endpoint, func(t *testing.T) {
				form.Del("client_id") // so that it is the assertion that is refused
				w.refused(t, w.request(endpoint, form, tc.assertion()), "invalid_client")
			})
		}
	}
}

// How far the clocks may differ. FAPI 2.0 Security Profile, 5.3.2.1.
func TestClientAssertionTimes(t *testing.T) {
	w := newAppWorld(t, nil)
	for name, c := range map[string]map[string]time.Duration{
		"iat 10 s ahead":     {"iat": 10 * time.Second},
		"iat 60 s ahead":     {"iat": time.Minute},
		"nbf 10 s ahead":     {"nbf": 10 * time.Second},
		"expired 59 s ago":   {"exp": -59 * time.Second},
		"exp 10 min ahead":   {"exp": 10 * time.Minute},
		"iat 10 min ago":     {"iat": -10 * time.Minute},
		"all that may be":    {"iat": -time.Second, "nbf": -time.Second, "exp": time.Second},
		"nbf long ago":       {"nbf": -1000 * time.Hour},
		"nothing but expiry": {},
	} {
		r := w.request("/par", parFormOf(&oauth.Client{ID: serverApp}), w.assertion(func(claims map[string]any) {
			if len(c) == 0 {
				delete(claims, "iat")
			}
			for claim, d := range c {
				claims[claim] = w.Now().Add(d).Unix()
			}
		}))
		t.Run(name, func(t *testing.T) { w.accepted(t, r) })
	}
}

func TestClientAssertionForms(t *testing.T) {
	w := newAppWorld(t, nil)
	wallet := w.client(serverApp) // attested as the client that has keys
	for endpoint, form := range w.forms(serverApp) {
		request := func(change func(url.Values)) fetch.Request {
			f := maps.Clone(form)
			f.Set("client_assertion_type", jwtBearer)
			f.Set("client_assertion", w.assertion(nil))
			change(f)
			return w.request(endpoint, f, "")
		}
		more := func(r fetch.Request, name, value string) fetch.Request {
			r.Body = append(r.Body, "&"+url.Values{name: {value}}.Encode()...)
			return r
		}
		same := func(url.Values) {}
		attested := w.request(endpoint, form, "")
		w.attestTo(&attested, wallet)
		twoWays := w.request(endpoint, form, w.assertion(nil))
		w.attestTo(&twoWays, wallet)
		basic := request(same)
		basic.Header["authorization"] = "Basic YTpi"
		for name, tc := range map[string]struct {
			request fetch.Request
			code    string
		}{
			"sub is not client_id":         {request(func(f url.Values) { f.Set("client_id", serverApp2) }), "invalid_client"},
			"sub is not client_id, either": {request(func(f url.Values) { f.Set("client_id", clientID) }), "invalid_client"},
			"other type": {request(func(f url.Values) {
				f.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
			}), "invalid_client"},
			"no type":                    {request(func(f url.Values) { f.Del("client_assertion_type") }), "invalid_client"},
			"no assertion":               {request(func(f url.Values) { f.Del("client_assertion") }), "invalid_client"},
			"empty assertion":            {request(func(f url.Values) { f.Set("client_assertion", "") }), "invalid_client"},
			"two assertions":             {more(request(same), "client_assertion", w.assertion(nil)), "invalid_request"},
			"two types":                  {more(request(same), "client_assertion_type", jwtBearer), "invalid_request"},
			"attestation too":            {twoWays, "invalid_request"},
			"a secret too":               {request(func(f url.Values) { f.Set("client_secret", "x") }), "invalid_request"},
			"an Authorization header":    {basic, "invalid_request"},
			"attestation in place of it": {attested, "invalid_client"},
			"nothing at all":             {w.request(endpoint, form, ""), "invalid_client"},
		} {
			t.Run(name+endpoint, func(t *testing.T) { w.refused(t, tc.request, tc.code) })
		}
		form.Del("client_id") // RFC 7521, 4.2: it is not needed
		w.accepted(t, w.request(endpoint, form, w.assertion(nil)))
	}
}

func TestOneMethodForEachClient(t *testing.T) {
	public := newAppWorld(t, func(c *oauth.ServerConfig) { c.Attesters, c.Challenges = nil, nil })
	for endpoint, form := range public.forms(serverApp) {
		public.refused(t, public.request(endpoint, form, ""), "invalid_client")
		public.accepted(t, public.request(endpoint, form, public.assertion(nil)))
	}
	for endpoint, form := range public.forms(clientID) {
		public.accepted(t, public.request(endpoint, form, ""))
	}
	anonymous := newAppWorld(t, func(c *oauth.ServerConfig) { c.AnonymousPreAuthorized = true })
	form := anonymous.forms(serverApp)["/token"]
	anonymous.refused(t, anonymous.request("/token", form, anonymous.assertion(nil)+"AAAA"), "invalid_client")
	a := anonymous.app(serverApp, anonymous.es256, "16")
	token, err := a.RedeemPreAuthorized(anonymous.ctx, anonymous.offer(""), "", nil, anonymous.Now())
	if err != nil || anonymous.use(a, token) != 200 || anonymous.grant.ClientID != serverApp {
		t.Errorf("%v, grant %+v", err, anonymous.grant)
	}
}

func TestClientAssertionOnlyOnce(t *testing.T) {
	w := newAppWorld(t, nil)
	used := w.assertion(func(c map[string]any) { // one that is taken for as long as can be
		c["exp"] = w.Now().Add(10 * time.Minute).Unix()
		delete(c, "iat")
	})
	w.accepted(t, w.request("/par", parFormOf(&oauth.Client{ID: serverApp}), used))
	replay := func(t *testing.T) {
		t.Helper()
		for endpoint, form := range w.forms(serverApp) {
			w.refused(t, w.request(endpoint, form, used), "invalid_client")
		}
	}
	replay(t)
	w.Pass(11*time.Minute - time.Second) // the last second of it
	w.store.DeleteExpired(w.Now())
	replay(t)
	var e *oauth.Error
	if err := w.form(w.client(clientID), "/par", parFormOf(&oauth.Client{ID: clientID}), nil); errors.As(err, &e) {
		t.Errorf("another client: %v", err)
	}
	// A client's own choice of jti is its own: the same with another key is another.
	same := func(c map[string]any) { c["jti"] = "1" }
	w.accepted(t, w.request("/par", parFormOf(&oauth.Client{ID: serverApp}), w.assertion(same)))
	c := w.claims()
	c["jti"], c["iss"], c["sub"] = "1", serverApp2, serverApp2
	w.accepted(t, w.request("/par", parFormOf(&oauth.Client{ID: serverApp2}), w.jwt(w.other, jose.Header{}, c)))
}

func TestOneOfManyWithAnAssertion(t *testing.T) {
	w := newAppWorld(t, nil)
	for range 4 {
		assertion := w.assertion(nil)
		var requests []fetch.Request
		for range 8 {
			requests = append(requests, w.request("/token", w.forms(serverApp)["/token"], assertion))
		}
		if n := w.race(requests); n != 1 {
			t.Errorf("%d tokens with one assertion", n)
		}
	}
}

// Whatever is changed about an assertion, it is refused, and uses nothing up.
func TestChangedClientAssertion(t *testing.T) {
	w := newAppWorld(t, nil)
	good := w.assertion(nil)
	try := func(assertion string) bool {
		rep, err := w.route(w.ctx, w.request("/par", parFormOf(&oauth.Client{ID: serverApp}), assertion))
		if err != nil {
			t.Fatal(err)
		}
		if rep.Refusal != nil && rep.Refusal.Code != "invalid_client" {
			t.Fatalf("refused with %v", rep.Refusal)
		}
		return rep.Refusal == nil
	}
	dot := strings.LastIndexByte(good, '.') + 1
	signature, err := jose.Decode(good[dot:])
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(signature) * 8 {
		changed := slices.Clone(signature)
		changed[bit/8] ^= 1 << (bit % 8)
		if try(good[:dot] + jose.Encode(changed)) {
			t.Fatalf("accepted with bit %d of the signature flipped", bit)
		}
	}
	for i := range good {
		for _, c := range "A_=.\n" {
			if changed := good[:i] + string(c) + good[i+1:]; changed != good && try(changed) {
				t.Fatalf("accepted with %q at %d", c, i)
			}
		}
	}
	for _, changed := range []string{good + "=", good + " ", " " + good, good + "." + good, good[:dot] + jose.Encode(make([]byte, 64)), good[:dot] + jose.Encode(signature[:63])} {
		if try(changed) {
			t.Fatalf("accepted %q", changed)
		}
	}
	if !try(good) {
		t.Error("the one that was not changed is refused")
	}
}

func TestAuthMethodsAnnounced(t *testing.T) {
	w := newAppWorld(t, nil)
	md := w.server.Metadata()
	if !slices.Equal(md.TokenEndpointAuthMethodsSupported, []string{"attest_jwt_client_auth", "private_key_jwt"}) ||
		!slices.Equal(md.TokenEndpointAuthSigningAlgValuesSupported, []string{"ES256", "EdDSA"}) {
		t.Errorf("announced: %v, %v", md.TokenEndpointAuthMethodsSupported, md.TokenEndpointAuthSigningAlgValuesSupported)
	}
	md = newWorld(t, nil).server.Metadata()
	if !slices.Equal(md.TokenEndpointAuthMethodsSupported, []string{"attest_jwt_client_auth"}) || md.TokenEndpointAuthSigningAlgValuesSupported != nil {
		t.Errorf("announced without: %v, %v", md.TokenEndpointAuthMethodsSupported, md.TokenEndpointAuthSigningAlgValuesSupported)
	}
}

// The client sends nothing where its key cannot be used.
func TestClientKeyNotUsable(t *testing.T) {
	w := newAppWorld(t, nil)
	for name, change := range map[string]func(*oauth.Client){
		"not announced":        func(c *oauth.Client) { c.Server.TokenEndpointAuthMethodsSupported = []string{"attest_jwt_client_auth"} },
		"alg not announced":    func(c *oauth.Client) { c.Server.TokenEndpointAuthSigningAlgValuesSupported = []string{"PS256"} },
		"beside attestation":   func(c *oauth.Client) { c.Attestation, c.Instance = w.attest(serverApp, w.other.Public(), nil), w.other },
		"key cannot sign JWTs": func(c *oauth.Client) { c.Key = testkit.Signer(t, elliptic.P224()) },
	} {
		a := w.app(serverApp, w.es256, "16")
		change(a)
		for _, r := range w.log {
			if strings.HasSuffix(r.URL, "/par") {
				t.Fatal("sent")
			}
		}
		if _, err := a.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRegisteredKeys(t *testing.T) {
	pub := func(kid string) jose.JWK { return jose.JWK{Key: testkit.Signer(t, elliptic.P256()).Public(), KID: kid} }
	var many []jose.JWK
	for i := range 17 {
		many = append(many, pub(fmt.Sprint(i)))
	}
	encrypts := pub("a")
	encrypts.Use = "enc"
	for name, keys := range map[string][]jose.JWK{
		"P-384":          {{Key: testkit.Signer(t, elliptic.P384()).Public()}},
		"X25519":         {{Key: testkit.Agreer(t, ecdh.X25519()).Public()}},
		"for encryption": {encrypts},
		"kid twice":      {pub("a"), pub("a")},
		"no kid":         {pub("a"), pub("")},
		"too many":       many,
		"huge kid":       {pub(strings.Repeat("k", 600))},
		"nothing":        {{}},
	} {
		if err := (oauth.Registration{ID: "c", Keys: keys}).Check(); err == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
	const point = `"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"` // RFC 7515, A.3
	const private = `"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`
	for name, text := range map[string]string{
		"empty":            ``,
		"no keys":          `{}`,
		"empty set":        `{"keys":[]}`,
		"a key, no set":    `{"kty":"EC","crv":"P-256",` + point + `}`,
		"private":          `{"keys":[{"kty":"EC","crv":"P-256",` + point + `,` + private + `}]}`,
		"secret":           `{"keys":[{"kty":"oct","k":"AAAA"}]}`,
		"RSA":              `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
		"unknown kty":      `{"keys":[{"kty":"EC","crv":"P-256",` + point + `},{"kty":"AKP"}]}`,
		"null":             `{"keys":[null]}`,
		"keys twice":       `{"keys":[{"kty":"EC","crv":"P-256",` + point + `}],"keys":[]}`,
		"off the curve":    `{"keys":[{"kty":"EC","crv":"P-256",` + strings.Replace(point, "f83O", "g83O", 1) + `}]}`,
		"data after it":    `{"keys":[{"kty":"EC","crv":"P-256",` + point + `}]} {}`,
		"an unknown curve": `{"keys":[{"kty":"EC","crv":"secp256k1",` + point + `}]}`,
		"not JSON":         `keys`,
	} {
		keys, err := oauth.ParseKeys([]byte(text))
		if err == nil {
			err = oauth.Registration{ID: "c", Keys: keys}.Check()
		}
		if err == nil {
			t.Errorf("%s: no complaint", name)
		} else if strings.Contains(err.Error(), "jpsQ") {
			t.Errorf("%s: the error quotes the private key", name)
		}
	}
	keys, err := oauth.ParseKeys([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256",` + point + `}]}`))
	if err != nil || len(keys) != 1 || keys[0].KID != "1" {
		t.Errorf("%+v, %v", keys, err)
	}
}

// FuzzClientAssertion signs whatever header and claims with a registered key,
// and sends the header as an assertion too. What gets through has all that it
// must have, and does so once.
func FuzzClientAssertion(f *testing.F) {
	w := newAppWorld(f, func(c *oauth.ServerConfig) { c.DPoPNonces = nil })
	for _, header := range []string{`{"alg":"ES256","kid":"16"}`, `{"alg":"ES256","kid":"16","typ":"JWT"}`, `{"alg":"none"}`, w.jwt(w.other, jose.Header{KID: "16"}, w.claims())} {
		for _, aud := range []string{`"` + issuer + `"`, `["` + issuer + `"]`} {
			f.Add(header, fmt.Sprintf(`{"iss":"%s","sub":"%s","aud":%s,"jti":"1","exp":%d,"iat":%d}`, serverApp, serverApp, aud, w.Now().Unix()+60, w.Now().Unix()))
		}
	}
	form := parFormOf(&oauth.Client{ID: serverApp})
	form.Del("client_id")
	f.Fuzz(func(t *testing.T, header, claims string) {
		inner := *w.world
		inner.t, inner.store = t, once.NewMemory()
		w := &appWorld{world: &inner, es256: w.es256}
		for _, assertion := range []string{header, w.signed(jose.Encode([]byte(header)), []byte(claims))} {
			r := w.request("/par", form, assertion)
			rep, err := w.route(w.ctx, r)
			if err != nil {
				t.Fatalf("internal error %v", err)
			}
			if rep.Refusal != nil {
				wantErrorBody(t, rep.Response)
				continue
			}
			var c struct{ Iss, Sub, Aud, Jti string }
			if err := json.Unmarshal([]byte(claims), &c); err != nil || c.Iss != serverApp || c.Sub != serverApp || c.Aud != issuer || c.Jti == "" || assertion == header {
				t.Fatalf("accepted %s, %s", header, claims)
			}
			w.refused(t, r, "invalid_client")
		}
	})
}
