package issuer

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// What is refused changes nothing: these tests send requests that the
// specifications forbid, compare the whole database before and after, and then
// do it right with the same offer, code or token.

// tables are those that a refusal must leave alone.
var tables = []string{"document", "batch", "batch_entry", "request", "offer", "audit", "outbox_message", "record"}

// rows counts the rows of each table, and of single-use things by kind.
func (w *world) rows(t testing.TB) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := w.authority.db.View(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		for _, table := range tables {
			var n int
			if err := tx.QueryRow(ctx, "select count(*) from "+table).Scan(&n); err != nil {
				return err
			}
			out[table] = n
		}
		rows, err := tx.Query(ctx, `select kind, claimed is null, count(*) from once group by kind, claimed is null`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kind string
			var open bool
			var n int
			if err := rows.Scan(&kind, &open, &n); err != nil {
				return err
			}
			if out["once "+kind] = n; !open {
				delete(out, "once "+kind)
				out["used "+kind] = n
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// positions is how far the lists are handed out, as the database has it.
func (w *world) positions(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	err := w.authority.db.View(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		list, err := tx.Records("default").List(ctx, "status list")
		for _, r := range list {
			fmt.Fprintf(&out, "%s %s\n", r.ID, r.Value)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// unchanged fails if a refusal has left more than the marks of what was used.
func unchanged(t *testing.T, before, after map[string]int) {
	t.Helper()
	for _, used := range []string{"c_nonce", "oauth-dpop", "oauth-pop", "oauth-assertion"} { // used up, as they have to be
		delete(before, "once "+used)
		delete(after, "once "+used)
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("a refusal changed something:\n%s", d)
	}
}

// wantForm checks status and code, and the form that OpenID4VCI 1.0, 8.3.1.2
// and RFC 6749, 5.2 want: JSON in clear with the two members only, which no
// cache keeps.
func wantForm(t *testing.T, resp fetch.Response, status int, codes ...string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(resp.Body, &body); err != nil || resp.MediaType() != "application/json" || resp.Get("cache-control") != "no-store" {
		t.Errorf("%d %s, %v: %v", resp.Status, resp.Body, resp.Header, err)
		return
	}
	if resp.Status != status || !slices.Contains(codes, body["error"]) {
		t.Errorf("%d %s, want %d and one of %v", resp.Status, resp.Body, status, codes)
	}
	for name, text := range body {
		if name != "error" && name != "error_description" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Errorf("member %s: %q", name, text)
		}
	}
}

// asking is an app about to ask for a document, with all that a good request
// holds, to be spoilt.
type asking struct {
	app     *app
	token   *oauth.Token
	signers []key.Signer
	nonce   string
	body    map[string]any
	request fetch.Request
}

func (w *world) asking(t *testing.T, p *app, token *oauth.Token) *asking {
	t.Helper()
	a := &asking{app: p, token: token}
	c := &oid4vci.Client{Metadata: p.metadata, OAuth: p.oauth, Token: token}
	var err error
	if a.nonce, err = c.Nonce(t.Context()); err != nil {
		t.Fatal(err)
	}
	var attested string
	a.signers, attested = p.keys(2, a.nonce)
	a.body = map[string]any{"credential_configuration_id": "mdl", "proofs": map[string]any{"jwt": a.proofs(t, oid4vci.Proof{KeyAttestation: attested})}, "unknown": 1}
	a.request = fetch.Request{Method: "POST", URL: base + "/credential", Header: map[string]string{"content-type": "application/json"}}
	return a
}

// proofs are by all keys, with what of p is not empty in place of what is right.
func (a *asking) proofs(t *testing.T, p oid4vci.Proof) []string {
	t.Helper()
	if p.Issuer == "" {
		p.Issuer = base
	}
	if p.Nonce == "" {
		p.Nonce = a.nonce
	}
	p.ClientID = walletID
	var out []string
	for _, s := range a.signers {
		jwt, err := p.Sign(t.Context(), s, a.app.world.Now())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, jwt)
	}
	return out
}

func (a *asking) prove(typ string, proofs ...string) { a.body["proofs"] = map[string]any{typ: proofs} }

// send asks, encrypted if a body is in place already.
func (a *asking) send(t *testing.T) fetch.Response {
	t.Helper()
	if a.request.Body == nil {
		text, err := json.Marshal(a.body)
		if err != nil {
			t.Fatal(err)
		}
		a.request.Body = text
	}
	resp, err := a.app.oauth.Resource(t.Context(), a.token, a.request, a.app.world.Now())
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// encrypt makes the request one to the authority's key that wants its answer
// for a key with this alg and enc. OpenID4VCI 1.0, 10.
func (a *asking) encrypt(t *testing.T, alg, enc string) {
	t.Helper()
	pub := testkit.Signer(t, elliptic.P256()).Public()
	a.body["credential_response_encryption"] = map[string]any{"jwk": jose.JWK{Key: pub, KID: "1", Alg: alg, Use: "enc"}, "enc": enc}
	text, err := json.Marshal(a.body)
	if err != nil {
		t.Fatal(err)
	}
	to, err := jose.ParseJWK(a.app.metadata.RequestEncryption.JWKS.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := jose.Encrypt(text, jose.EncryptOptions{Recipient: *to, Enc: "A256GCM", CTY: "json"})
	if err != nil {
		t.Fatal(err)
	}
	a.request.Body, a.request.Header = []byte(jwe), map[string]string{"content-type": "application/jwt"}
}

// The refusals of the credential endpoint, as the conformance modules
// oid4vci-1_0-issuer-fail-* ask for them. The two of the middle are of
// OpenID4VCI 1.0, 8.3.1.2; that a token is taken in its header only is RFC 9449, 7.1.
func TestRefusedRequestsChangeNothing(t *testing.T) {
	invalidRequest := []string{oid4vci.CodeInvalidRequest}
	invalidProof := []string{oid4vci.CodeInvalidProof}
	cases := map[string]struct {
		spoil  func(t *testing.T, a *asking)
		status int // 400 if it is zero
		codes  []string
	}{
		"no proofs":       {func(_ *testing.T, a *asking) { delete(a.body, "proofs") }, 0, invalidProof},
		"empty proofs":    {func(_ *testing.T, a *asking) { a.body["proofs"] = map[string]any{} }, 0, invalidProof},
		"no proof in it":  {func(_ *testing.T, a *asking) { a.prove("jwt") }, 0, invalidProof},
		"a proof of old":  {func(_ *testing.T, a *asking) { delete(a.body, "proofs"); a.body["proof"] = map[string]any{} }, 0, invalidProof},
		"proofs no array": {func(_ *testing.T, a *asking) { a.body["proofs"] = map[string]any{"jwt": "x"} }, 0, invalidProof},
		"two types": {func(t *testing.T, a *asking) {
			_, attested := a.app.keys(1, a.nonce)
			a.body["proofs"].(map[string]any)["attestation"] = []string{attested}
		}, 0, invalidProof},
		"unknown type":         {func(_ *testing.T, a *asking) { a.prove("di_vp", "{}") }, 0, invalidProof},
		"signature of a proof": {func(_ *testing.T, a *asking) { a.mangle(1) }, 0, invalidProof},
		"another issuer":       {func(t *testing.T, a *asking) { a.reprove(t, oid4vci.Proof{Issuer: "https://other.example"}, a.nonce) }, 0, invalidProof},
		"unknown nonce":        {func(t *testing.T, a *asking) { a.reprove(t, oid4vci.Proof{Nonce: "wrong"}, "wrong") }, 0, []string{oid4vci.CodeInvalidNonce}},
		"no key attestation":   {func(t *testing.T, a *asking) { a.prove("jwt", a.proofs(t, oid4vci.Proof{})...) }, 0, invalidProof},
		"attestation's nonce":  {func(t *testing.T, a *asking) { _, k := a.app.keys(2, "wrong"); a.prove("attestation", k) }, 0, []string{oid4vci.CodeInvalidNonce}},
		"attestation signature": {func(t *testing.T, a *asking) {
			_, k := a.app.keys(2, a.nonce)
			a.prove("attestation", k[:len(k)-8]+"AAAAAAAA")
		}, 0, invalidProof},
		"unknown configuration": {func(_ *testing.T, a *asking) { a.body["credential_configuration_id"] = "unknown" }, 0, []string{oid4vci.CodeUnknownConfiguration}},
		"unknown identifier": {func(_ *testing.T, a *asking) {
			delete(a.body, "credential_configuration_id")
			a.body["credential_identifier"] = "unknown"
		}, 0, []string{oid4vci.CodeUnknownIdentifier}},
		"both names":      {func(_ *testing.T, a *asking) { a.body["credential_identifier"] = "mdl" }, 0, invalidRequest},
		"no name":         {func(_ *testing.T, a *asking) { delete(a.body, "credential_configuration_id") }, 0, invalidRequest},
		"no JSON":         {func(_ *testing.T, a *asking) { a.request.Body = []byte("{") }, 0, invalidRequest},
		"an array":        {func(_ *testing.T, a *asking) { a.request.Body = []byte("[]") }, 0, invalidRequest},
		"a form":          {func(_ *testing.T, a *asking) { a.request.Header["content-type"] = "application/x-www-form-urlencoded" }, 0, invalidRequest},
		"unsupported alg": {func(t *testing.T, a *asking) { a.encrypt(t, "UNSUPPORTED_ALG", "A256GCM") }, 0, []string{oid4vci.CodeInvalidEncryption}},
		"unsupported enc": {func(t *testing.T, a *asking) { a.encrypt(t, "ECDH-ES", "A128CBC-HS256") }, 0, []string{oid4vci.CodeInvalidEncryption}},
		"token in the query": {func(_ *testing.T, a *asking) {
			a.request.URL += "?access_token=" + a.token.AccessToken
			a.token = &oauth.Token{AccessToken: "none"}
		}, 401, []string{oauth.CodeInvalidToken}},
		"another key": {func(t *testing.T, a *asking) {
			thief := *a.app.oauth
			thief.DPoP = testkit.Signer(t, elliptic.P256())
			other := *a.app
			other.oauth = &thief
			a.app = &other
		}, 401, []string{oauth.CodeInvalidToken}},
	}
	w := newWorld(t, testkit.SQLite(t))
	p, token := w.accept("ada", "mdl")
	w.asking(t, p, token).first(t)
	before, positions := w.rows(t), w.positions(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			a := w.asking(t, p, token)
			c.spoil(t, a)
			if c.status == 0 {
				c.status = 400
			}
			wantForm(t, a.send(t), c.status, c.codes...)
			unchanged(t, maps.Clone(before), w.rows(t))
		})
	}
	if w.positions(t) != positions {
		t.Error("a refusal took places in the status list")
	}
	if resp := w.asking(t, p, token).send(t); resp.Status != 200 {
		t.Errorf("the good request after all: %d %s", resp.Status, resp.Body)
	}
}

// first uses the token once, in vain: its offer cannot be redeemed again.
func (a *asking) first(t *testing.T) {
	t.Helper()
	delete(a.body, "proofs")
	wantForm(t, a.send(t), 400, oid4vci.CodeInvalidProof)
}

// mangle breaks the signature of a proof.
func (a *asking) mangle(n int) {
	list := a.body["proofs"].(map[string]any)["jwt"].([]string)
	list[n] = list[n][:len(list[n])-8] + "AAAAAAAA"
}

// reprove makes proofs anew, with a key attestation for a nonce.
func (a *asking) reprove(t *testing.T, p oid4vci.Proof, nonce string) {
	t.Helper()
	a.signers, p.KeyAttestation = a.app.keys(2, nonce)
	a.prove("jwt", a.proofs(t, p)...)
}

// Whatever is wrong with a token request but the code and the PIN, the offer
// can be redeemed afterwards.
func TestRefusedTokenRequestsKeepTheOffer(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, o := w.newApp(w.authority), w.offer("ada", "mdl")
	offer, err := oid4vci.ReadOffer(t.Context(), p.fetch, o.Link)
	if err != nil {
		t.Fatal(err)
	}
	send := func(change func(c *oauth.Client, form url.Values, r *fetch.Request)) fetch.Response {
		t.Helper()
		c := *p.oauth
		var got fetch.Response
		c.Fetch = func(ctx context.Context, r fetch.Request) (resp fetch.Response, err error) {
			if strings.HasSuffix(r.URL, "/token") {
				form, err := r.Form()
				if err != nil {
					return resp, err
				}
				change(&c, form, &r)
				r.Body = []byte(form.Encode())
			}
			got, err = p.fetch(ctx, r)
			return got, err
		}
		change(&c, url.Values{}, &fetch.Request{Header: map[string]string{}})
		if token, err := c.RedeemPreAuthorized(t.Context(), offer.PreAuthorized.Code, o.TxCode, nil, w.Now()); err == nil {
			t.Fatalf("redeemed: %+v", token)
		}
		return got
	}
	before := w.rows(t)
	for name, c := range map[string]struct {
		change func(c *oauth.Client, form url.Values, r *fetch.Request)
		status int
		codes  []string
	}{
		"no DPoP": {func(_ *oauth.Client, _ url.Values, r *fetch.Request) { delete(r.Header, "dpop") }, 400, []string{oauth.CodeInvalidDPoPProof}},
		"no attestation": {func(_ *oauth.Client, _ url.Values, r *fetch.Request) {
			delete(r.Header, "oauth-client-attestation")
		}, 401, []string{oauth.CodeInvalidClient}},
		"no client authentication": {func(_ *oauth.Client, _ url.Values, r *fetch.Request) {
			delete(r.Header, "oauth-client-attestation")
			delete(r.Header, "oauth-client-attestation-pop")
		}, 401, []string{oauth.CodeInvalidClient}},
		"PoP by another key":    {func(c *oauth.Client, _ url.Values, _ *fetch.Request) { c.Instance = testkit.Signer(t, elliptic.P256()) }, 401, []string{oauth.CodeInvalidClient}},
		"attestation signature": {func(_ *oauth.Client, _ url.Values, r *fetch.Request) { spoil(r, "oauth-client-attestation") }, 401, []string{oauth.CodeInvalidClient}},
		"PoP signature":         {func(_ *oauth.Client, _ url.Values, r *fetch.Request) { spoil(r, "oauth-client-attestation-pop") }, 401, []string{oauth.CodeInvalidClient}},
		"PoP for another server": {func(c *oauth.Client, _ url.Values, _ *fetch.Request) {
			server := *c.Server
			server.Issuer = "https://other.example"
			c.Server = &server
		}, 401, []string{oauth.CodeInvalidClient}},
		"expired attestation": {func(c *oauth.Client, _ url.Values, _ *fetch.Request) {
			w.Pass(-13 * time.Hour)
			c.Attestation = w.attest(walletID, c.Instance.Public(), p)
			w.Pass(13 * time.Hour)
		}, 401, []string{oauth.CodeInvalidClient}},
		"another client_id": {func(_ *oauth.Client, f url.Values, _ *fetch.Request) { f.Set("client_id", "other") }, 401, []string{oauth.CodeInvalidClient}},
		"unknown grant":     {func(_ *oauth.Client, f url.Values, _ *fetch.Request) { f.Set("grant_type", "password") }, 400, []string{oauth.CodeUnsupportedGrantType}},
		"no grant":          {func(_ *oauth.Client, f url.Values, _ *fetch.Request) { f.Del("grant_type") }, 400, []string{oauth.CodeInvalidRequest}},
		"another code":      {func(_ *oauth.Client, f url.Values, _ *fetch.Request) { f.Set("pre-authorized_code", "x") }, 400, []string{oauth.CodeInvalidGrant}},
		"no code":           {func(_ *oauth.Client, f url.Values, _ *fetch.Request) { f.Del("pre-authorized_code") }, 400, []string{oauth.CodeInvalidRequest}},
		"no PIN":            {func(_ *oauth.Client, f url.Values, _ *fetch.Request) { f.Del("tx_code") }, 400, []string{oauth.CodeInvalidRequest}},
		"what is not offered": {func(_ *oauth.Client, f url.Values, _ *fetch.Request) {
			f.Set("authorization_details", `[{"type":"openid_credential","credential_configuration_id":"pid"}]`)
		}, 400, []string{"invalid_authorization_details"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantForm(t, send(c.change), c.status, c.codes...)
			unchanged(t, maps.Clone(before), w.rows(t))
		})
	}
	token, _, err := p.redeem(o, o.TxCode)
	if err != nil {
		t.Fatal(err)
	}
	if list, _, err := p.get(token, "mdl", 2); err != nil || len(list) != 2 {
		t.Errorf("%d copies, %v", len(list), err)
	}
}

// spoil breaks the signature of a header.
func spoil(r *fetch.Request, name string) {
	if v := r.Header[name]; len(v) > 8 {
		r.Header[name] = v[:len(v)-8] + "AAAAAAAA"
	}
}

// Copies that an app may not have cost places in a status list once, not each
// time that it asks: it does so more often than a block of places would last.
// Resumed, it gets them at once.
func TestDeniedCopiesTakeFewPlaces(t *testing.T) {
	for name, deny := range map[string]func(w *world, h *holding){
		"too many": func(w *world, _ *holding) { w.authority.config.BatchesPerDay = 1 },
		"suspended": func(w *world, h *holding) {
			if _, err := w.authority.Suspend(t.Context(), "default", Selection{Document: h.id}, ""); err != nil {
				t.Fatal(err)
			}
		},
		"revoked": func(w *world, h *holding) {
			if _, err := w.authority.Revoke(t.Context(), "default", Selection{Document: h.id}, ""); err != nil {
				t.Fatal(err)
			}
		},
	} {
		w := newWorld(t, testkit.SQLite(t))
		h := w.hold(t, "ada", "mdl")
		deny(w, h)
		before, positions := w.rows(t), w.positions(t)
		for range 60 {
			_, _, err := h.app.get(h.token, "mdl", 10)
			wantCode(t, name, err, oid4vci.CodeDenied)
		}
		unchanged(t, before, w.rows(t))
		if w.positions(t) != positions {
			t.Errorf("%s: places in the status list were taken", name)
		}
		if name == "suspended" {
			if _, err := w.authority.Resume(t.Context(), "default", Selection{Document: h.id}, ""); err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.app.get(h.token, "mdl", 1); err != nil {
				t.Errorf("resumed: %v", err)
			}
		}
	}
}

// The refusals of the PAR endpoint, as the modules fapi2-security-profile-final-*
// ask for them: no request waits afterwards.
func TestRefusedPushesChangeNothing(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p := w.newApp(w.authority)
	before := w.rows(t)
	invalidRequest := []string{oauth.CodeInvalidRequest}
	for name, c := range map[string]struct {
		change func(form url.Values)
		codes  []string
	}{
		"request_uri inside":      {func(f url.Values) { f.Set("request_uri", "urn:ietf:params:oauth:request_uri:x") }, invalidRequest},
		"no redirect_uri":         {func(f url.Values) { f.Del("redirect_uri") }, invalidRequest},
		"redirect_uri of another": {func(f url.Values) { f.Set("redirect_uri", "https://evil.example/") }, invalidRequest},
		"no PKCE":                 {func(f url.Values) { f.Del("code_challenge"); f.Del("code_challenge_method") }, invalidRequest},
		"plain PKCE":              {func(f url.Values) { f.Set("code_challenge_method", "plain") }, invalidRequest},
		"response_type token":     {func(f url.Values) { f.Set("response_type", "token") }, []string{oauth.CodeUnsupportedResponseType}},
		"response_type code id_token": {func(f url.Values) { f.Set("response_type", "code id_token") },
			[]string{oauth.CodeUnsupportedResponseType}},
		"malformed dpop_jkt": {func(f url.Values) { f.Set("dpop_jkt", "x") }, invalidRequest},
		"unknown scope":      {func(f url.Values) { f.Set("scope", "unknown") }, []string{oauth.CodeInvalidScope}},
		"unknown configuration": {func(f url.Values) {
			f.Set("authorization_details", `[{"type":"openid_credential","credential_configuration_id":"unknown"}]`)
		}, []string{oauth.CodeInvalidDetails}},
	} {
		t.Run(name, func(t *testing.T) {
			var got fetch.Response
			client := *p.oauth
			client.Fetch = func(ctx context.Context, r fetch.Request) (resp fetch.Response, err error) {
				if form, err := r.Form(); err == nil && strings.HasSuffix(r.URL, "/par") {
					c.change(form)
					r.Body = []byte(form.Encode())
				}
				got, err = p.fetch(ctx, r)
				return got, err
			}
			if _, err := client.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err == nil {
				t.Fatal("pushed")
			}
			wantForm(t, got, 400, c.codes...)
			unchanged(t, maps.Clone(before), w.rows(t))
		})
	}
	if _, err := p.oauth.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now()); err != nil {
		t.Error(err)
	}
}
