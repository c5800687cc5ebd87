package oauth_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/nonce"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
)

const (
	issuer   = "https://issuer.example/t/default"
	resource = issuer + "/credential"
	clientID = "https://wallet.example"
	redirect = "https://wallet.example/cb"
	mdl      = "org.iso.18013.5.1.mDL"
	pid      = "eu.europa.ec.eudi.pid.1"
)

var start = testkit.NewClock().Now()

// world is an authorisation server, a resource behind it, and what wallets
// need to talk to them. Requests and responses cross as bytes.
type world struct {
	*testkit.Clock
	t        testing.TB
	ctx      context.Context
	server   *oauth.Server
	store    *once.Memory
	attester key.Signer
	chain    []*x509.Certificate
	log      []fetch.Request
	replies  []fetch.Response
	refusals []*oauth.Error
	grant    *oauth.Grant // of the last request to the resource
	granted  []string     // access tokens that race got
}

func newWorld(t testing.TB, change func(*oauth.ServerConfig)) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), Clock: testkit.NewClock(), store: once.NewMemory()}
	signer, leaf := pkitest.Certified(t, start)
	w.attester, w.chain = signer, []*x509.Certificate{leaf}
	c := oauth.ServerConfig{
		Issuer: issuer,
		Clients: oauth.Fixed(oauth.Registration{ID: clientID, Name: "Wallet", RedirectURIs: []string{redirect, redirect + "?dummy1=lorem&dummy2=ipsum", "eidos://cb"}},
			oauth.Registration{ID: "client2", RedirectURIs: []string{redirect}}),
		Configurations: []oauth.Configuration{{ID: mdl, Scope: "mdl"}, {ID: pid, Scope: "pid"}, {ID: "no-scope"}},
		Attesters: func(_ context.Context, chain []*x509.Certificate, _ time.Time) (attestation.Attester, error) {
			if !chain[0].Equal(leaf) {
				return attestation.Attester{}, errors.New("not on the list")
			}
			return attestation.Attester{Name: "Provider One", Level: attestation.LevelSubstantial}, nil
		},
		DPoPNonces: nonce.New([32]byte{1}, "dpop", 10*time.Minute),
		Challenges: nonce.New([32]byte{1}, "challenge", 10*time.Minute),
	}
	if change != nil {
		change(&c)
	}
	var err error
	if w.server, err = oauth.NewServer(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// fetch is the network: it routes a request to the engine.
func (w *world) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	w.log = append(w.log, r)
	rep, err := w.route(ctx, r)
	if err != nil {
		return fetch.Response{}, err
	}
	w.replies = append(w.replies, rep.Response)
	w.refusals = append(w.refusals, rep.Refusal)
	return rep.Response, nil
}

func (w *world) route(ctx context.Context, r fetch.Request) (oauth.Reply, error) {
	path, _, _ := strings.Cut(r.URL, "?")
	switch path {
	case "https://issuer.example/.well-known/oauth-authorization-server/t/default":
		return oauth.Reply{Response: fetch.JSONResponse(200, w.server.Metadata())}, nil
	case issuer + "/par":
		return w.server.Push(ctx, w.store, r, w.Now())
	case issuer + "/token":
		return w.server.Token(ctx, w.store, r, w.Now())
	case issuer + "/challenge":
		return w.server.Challenge(r, w.Now()), nil
	case resource:
		g, rep, err := w.server.CheckAccess(ctx, w.store, r, w.Now())
		if g != nil {
			w.grant = g
			rep.Response = fetch.JSONResponse(200, "here you are")
		}
		return rep, err
	}
	return oauth.Reply{}, errors.New("no such server: " + r.URL)
}

// client is an installed wallet with keys of its own.
func (w *world) client(id string) *oauth.Client {
	w.t.Helper()
	md, err := oauth.Discover(w.ctx, w.fetch, issuer)
	if err != nil {
		w.t.Fatal(err)
	}
	instance := testkit.Signer(w.t, elliptic.P256())
	return &oauth.Client{Server: md, ID: id, RedirectURI: redirect, DPoP: testkit.Signer(w.t, elliptic.P256()), Fetch: w.fetch,
		Attestation: w.attest(id, instance.Public(), nil), Instance: instance}
}

func (w *world) attest(id string, pub crypto.PublicKey, change func(*attestation.WalletInstance)) string {
	w.t.Helper()
	a := attestation.WalletInstance{Issuer: "https://provider.example", ClientID: id, Key: pub, IssuedAt: w.Now(), Expires: w.Now().Add(12 * time.Hour),
		WalletName: "eidos", WalletVersion: "1.2.3", Level: attestation.LevelLow,
		Status: attestation.Status{Reference: attestation.StatusReference{Index: 42, URI: "https://provider.example/status"}, Ends: w.Now().Add(31 * 24 * time.Hour)}}
	if change != nil {
		change(&a)
	}
	token, err := a.Sign(w.ctx, w.attester, w.chain)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// browse opens the authorisation URL and says yes.
func (w *world) browse(rawURL string) string {
	w.t.Helper()
	p, rep, err := w.server.Authorize(w.ctx, w.store, fetch.GetRequest(rawURL, ""), w.Now())
	if err != nil || p == nil {
		w.t.Fatalf("authorisation page: %v %v", rep.Refusal, err)
	}
	rep, err = w.server.Approve(w.ctx, w.store, p.RequestURI, oauth.Approval{Subject: "person-1", Data: json.RawMessage(`{"proof":"desk"}`)}, w.Now())
	if err != nil || rep.Refusal != nil {
		w.t.Fatalf("approve: %v %v", rep.Refusal, err)
	}
	return rep.Response.Get("location")
}

// authorised goes as far as a code.
func (w *world) authorised(c *oauth.Client) (*oauth.Authorization, string) {
	w.t.Helper()
	a, err := c.Push(w.ctx, oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	code, err := a.Code(w.browse(a.URL))
	if err != nil {
		w.t.Fatal(err)
	}
	return a, code
}

// token goes as far as an access token.
func (w *world) token(c *oauth.Client) *oauth.Token {
	w.t.Helper()
	a, code := w.authorised(c)
	t, err := c.RedeemCode(w.ctx, a, code, w.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) offer(txCode string) string {
	w.t.Helper()
	code, err := w.server.Offer(w.ctx, w.store, oauth.Offer{
		Approval: oauth.Approval{Subject: "person-2", Credentials: []oauth.GrantedCredential{{Configuration: mdl, Identifiers: []string{"mdl-1"}}, {Configuration: pid}}},
		TxCode:   txCode, Expires: w.Now().Add(time.Hour),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// wantCode checks that the client was refused with one of the codes, and that
// the refusal looked as RFC 6749, 5.2 wants it.
func (w *world) wantCode(t *testing.T, err error, codes ...string) {
	t.Helper()
	var e *oauth.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want one of %v", err, codes)
	}
	if !strings.Contains(" "+strings.Join(codes, " ")+" ", " "+e.Code+" ") {
		t.Fatalf("refused with %v, want one of %v", e, codes)
	}
	wantErrorBody(t, w.replies[len(w.replies)-1])
}

func wantErrorBody(t *testing.T, resp fetch.Response) {
	t.Helper()
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(resp.Body, &body); err != nil || body.Error == "" || resp.MediaType() != "application/json" || resp.Get("cache-control") != "no-store" {
		t.Errorf("error body %s (%v), headers %v", resp.Body, err, resp.Header)
	}
	want := 400
	if body.Error == "invalid_client" || strings.HasPrefix(resp.Get("www-authenticate"), "DPoP") {
		want = 401
	}
	if resp.Status != want && resp.Status != 405 {
		t.Errorf("status %d for %s, want %d", resp.Status, body.Error, want)
	}
	for _, r := range body.Description {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			t.Errorf("error_description has %q", r)
		}
	}
}

// form sends a hand-made request with the client's attestation and, when
// proof is not nil, a DPoP proof by it.
func (w *world) form(c *oauth.Client, endpoint string, form url.Values, proof key.Signer) error {
	w.t.Helper()
	r := fetch.FormRequest(issuer+endpoint, form)
	w.attestTo(&r, c)
	if proof != nil {
		r.Header["dpop"] = w.proof(proof, "POST", r.URL, "")
	}
	resp, err := w.fetch(w.ctx, r)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.Status/100 == 2 {
		return nil
	}
	return w.refusals[len(w.refusals)-1]
}

func (w *world) attestTo(r *fetch.Request, c *oauth.Client) {
	w.t.Helper()
	pop, err := attestation.PoP{ClientID: c.ID, Audience: issuer, Challenge: w.challenge(), IssuedAt: w.Now()}.Sign(w.ctx, c.Instance)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header["oauth-client-attestation"], r.Header["oauth-client-attestation-pop"] = c.Attestation, pop
}

func (w *world) challenge() string {
	var body struct {
		C string `json:"attestation_challenge"`
	}
	rep := w.server.Challenge(fetch.Request{Method: "POST", URL: issuer + "/challenge"}, w.Now())
	if err := json.Unmarshal(rep.Response.Body, &body); err != nil {
		w.t.Fatal(err)
	}
	return body.C
}

func (w *world) proof(by key.Signer, method, target, token string) string {
	w.t.Helper()
	p, err := oauth.DPoP{Method: method, URL: target, IssuedAt: w.Now(), AccessToken: token, Nonce: w.nonce()}.Sign(w.ctx, by)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// nonce gets a DPoP nonce as anybody can: from a refusal.
func (w *world) nonce() string {
	_, rep, err := w.server.CheckAccess(w.ctx, w.store, fetch.GetRequest(resource, ""), w.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return rep.Response.Get("dpop-nonce")
}

// jwt signs whatever is wanted.
func (w *world) jwt(by key.Signer, h jose.Header, claims map[string]any) string {
	w.t.Helper()
	token, err := jose.Sign(w.ctx, by, h, claims)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}
