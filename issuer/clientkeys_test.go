package issuer

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

const serverApp = "https://app.example"

// registerApp adds an app with a key of its own, and starts the authority anew.
func (w *world) registerApp(id string, k key.Signer) {
	w.t.Helper()
	text, err := json.Marshal(jose.Set{Keys: []jose.JWK{{Key: k.Public(), KID: "1", Use: "sig"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.clients = append(w.clients, Client{ID: id, Name: "Server app", RedirectURIs: []string{redirect}, JWKS: file})
	w.authority = w.open()
}

// newServerApp is an app that authenticates by private_key_jwt.
func (w *world) newServerApp(id string, k key.Signer) *app {
	w.t.Helper()
	p := &app{world: w, fetch: via(w.authority), ends: w.Now().Add(31 * day)}
	var err error
	if p.metadata, err = oid4vci.Discover(w.t.Context(), p.fetch, base); err != nil {
		w.t.Fatal(err)
	}
	server, err := oauth.Discover(w.t.Context(), p.fetch, base)
	if err != nil {
		w.t.Fatal(err)
	}
	p.oauth = &oauth.Client{Server: server, ID: id, RedirectURI: redirect, DPoP: testkit.Signer(w.t, elliptic.P256()), Fetch: p.fetch, Key: k, KeyID: "1"}
	return p
}

func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *oauth.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("%v, want %s", err, code)
	}
}

// An app with keys of its own gets documents both ways, and nobody in its name
// without them.
func TestAppWithKeys(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		w.t = t
		k := testkit.Signer(t, elliptic.P256())
		w.registerApp(serverApp, k)
		p := w.newServerApp(serverApp, k)
		var sent []fetch.Request
		p.oauth.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
			resp, err := p.fetch(ctx, r)
			if resp.Status < 300 && (strings.HasSuffix(r.URL, "/par") || strings.HasSuffix(r.URL, "/token")) {
				sent = append(sent, r)
			}
			return resp, err
		}

		token, _, err := redeemed(p, w.offer("ada", "mdl"))
		if err != nil {
			t.Fatal(err)
		}
		w.gets(t, p, token)

		b := w.browser(t, w.authority)
		authorization := w.begin(t, p, b, oauth.AuthorizationRequest{Scope: "mdl"})
		if !strings.Contains(b.page, "Server app") {
			t.Fatalf("first page: %d\n%s", b.status, b.page)
		}
		b.identify("ada", adasCode)
		token = b.approve(p, authorization)
		w.gets(t, p, token)

		other := via(w.open())
		for _, r := range sent {
			for _, do := range []fetch.Func{p.fetch, other} {
				if resp, err := do(t.Context(), r); err != nil || resp.Status != 401 || !strings.Contains(string(resp.Body), "jti was used before") {
					t.Errorf("%s replayed: %d %s %v", r.URL, resp.Status, resp.Body, err)
				}
			}
		}
		if len(sent) < 3 {
			t.Errorf("%d requests", len(sent))
		}

		// Months later, with a fresh assertion.
		w.Pass(60 * day)
		p.ends = w.Now().Add(31 * day)
		if token, err = p.oauth.Refresh(t.Context(), token.RefreshToken, w.Now()); err != nil {
			t.Fatal(err)
		}
		w.gets(t, p, token)
		noPersonalData(t, w)
	})
}

// redeemed is redeem with the offer's own transaction code.
func redeemed(p *app, o Offer) (*oauth.Token, *oid4vci.Offer, error) { return p.redeem(o, o.TxCode) }

// gets wants two valid documents for a token.
func (w *world) gets(t *testing.T, p *app, token *oauth.Token) {
	t.Helper()
	list, signers, err := p.get(token, "mdl", 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, credential := range list {
		if _, state := w.verify(credential, signers); state != status.Valid {
			t.Errorf("status %v", state)
		}
	}
}

func TestAppWithoutItsAssertion(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	attested := w.newApp(w.authority)
	if m := attested.oauth.Server; slices.Contains(m.TokenEndpointAuthMethodsSupported, "private_key_jwt") || m.TokenEndpointAuthSigningAlgValuesSupported != nil {
		t.Error("private_key_jwt is announced, though no client has keys")
	}
	k, stranger := testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	w.registerApp(serverApp, k)
	good := w.newServerApp(serverApp, k)
	if m := good.oauth.Server; !slices.Contains(m.TokenEndpointAuthMethodsSupported, "private_key_jwt") || !slices.Contains(m.TokenEndpointAuthSigningAlgValuesSupported, "ES256") {
		t.Errorf("announced: %v %v", m.TokenEndpointAuthMethodsSupported, m.TokenEndpointAuthSigningAlgValuesSupported)
	}
	without, foreign, wallet := w.newServerApp(serverApp, nil), w.newServerApp(serverApp, stranger), w.newServerApp(walletID, k)
	impostor := w.newServerApp(serverApp, nil) // vouched for by a provider as the app that it is not
	impostor.oauth.Instance = testkit.Signer(t, elliptic.P256())
	impostor.oauth.Attestation = w.attest(serverApp, impostor.oauth.Instance.Public(), impostor)
	offer := w.offer("ada", "mdl")
	for name, p := range map[string]*app{"without": without, "with another key": foreign, "by a client without keys": wallet, "by attestation": impostor} {
		t.Run(name, func(t *testing.T) {
			_, err := p.oauth.Push(t.Context(), oauth.AuthorizationRequest{Scope: "mdl"}, w.Now())
			wantRefusal(t, err, oauth.CodeInvalidClient)
			_, _, err = redeemed(p, offer)
			wantRefusal(t, err, oauth.CodeInvalidClient)
		})
	}
	if _, _, err := redeemed(good, offer); err != nil {
		t.Errorf("the offer was used up by those refused: %v", err)
	}
	if _, _, err := redeemed(attested, w.offer("ada", "mdl")); err != nil {
		t.Errorf("an attested app beside it: %v", err)
	}
}

func TestClientKeysConfig(t *testing.T) {
	k := testkit.Signer(t, elliptic.P256())
	public, err := json.Marshal(jose.JWK{Key: k.Public(), KID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	strong, err := json.Marshal(jose.JWK{Key: testkit.Signer(t, elliptic.P384()).Public(), KID: "2"})
	if err != nil {
		t.Fatal(err)
	}
	private := strings.TrimSuffix(string(public), "}") + `,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	const rsa = `{"kty":"RSA","n":"AQAB","e":"AQAB"}`
	check := func(text string) error {
		tenant := DemoTenant()
		file := filepath.Join(t.TempDir(), "jwks.json")
		if text != "" {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tenant.Clients = []Client{{ID: serverApp, Name: "Server app", RedirectURIs: []string{redirect}, JWKS: file}}
		return Config{Tenants: []Tenant{tenant}}.Check()
	}
	for name, text := range map[string]string{
		"no file": "", "no JSON": "x", "no set": string(public), "empty": `{"keys":[]}`, "no keys": `{}`,
		"private":      `{"keys":[` + private + `]}`,
		"RSA":          `{"keys":[` + rsa + `]}`,
		"RSA among":    `{"keys":[` + string(public) + `,` + rsa + `]}`,
		"kid twice":    `{"keys":[` + string(public) + `,` + string(public) + `]}`,
		"not ES256":    `{"keys":[` + string(strong) + `]}`,
		"secret":       `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`,
		"unknown type": `{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}]}`,
	} {
		err := check(text)
		if err == nil || !strings.Contains(err.Error(), "clients") || !strings.Contains(err.Error(), serverApp) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "jpsQ") || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: the complaint quotes the key: %v", name, err)
		}
	}
	if err := check(`{"keys":[` + string(public) + `]}`); err != nil {
		t.Errorf("good: %v", err)
	}
}
