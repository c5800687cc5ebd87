package attestation_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/nonce"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/attestation"
)

const base = "http://provider.localhost:8080/default"

// provider is the smallest role around the provider's end: one instance, all asked for is granted.
type provider struct {
	t        *testing.T
	engine   attestation.Provider
	store    *once.Memory
	attester *attester
	now      time.Time
	instance crypto.PublicKey // registered as "i1"

	installed attestation.InstallRequest
	renewed   attestation.RenewRequest
	asked     attestation.KeyAttestationRequest
	requests  []fetch.Request
}

func newProvider(t *testing.T) *provider {
	return &provider{
		t: t, attester: newAttester(t), store: once.NewMemory(), now: now,
		engine: attestation.Provider{Base: base, Challenges: nonce.New([32]byte{1}, "install", 5*time.Minute)},
	}
}

func (p *provider) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	p.requests = append(p.requests, r)
	path, ok := strings.CutPrefix(r.URL, base)
	if !ok || r.Method != "POST" {
		p.t.Errorf("request %s %s", r.Method, r.URL)
	}
	resp, err := p.handle(ctx, path, r.Body)
	var refusal *attestation.Error
	if errors.As(err, &refusal) {
		return refusal.Response(), nil
	}
	return resp, err
}

func (p *provider) handle(ctx context.Context, path string, body []byte) (fetch.Response, error) {
	switch path {
	case "/challenge":
		return p.engine.Challenge(p.now), nil
	case "/instances":
		r, err := p.engine.OpenInstall(ctx, p.store, body, p.now)
		if err != nil {
			return fetch.Response{}, err
		}
		p.installed, p.instance = *r, r.Key
		return attestation.InstallReply(p.vouch(r.Key), true), nil
	case "/instances/i1/attestation":
		r, err := p.engine.OpenRenew(ctx, p.store, "i1", p.instance, body, p.now)
		if err != nil {
			return fetch.Response{}, err
		}
		p.renewed = *r
		if r.NewKey != nil {
			return attestation.InstallReply(p.vouch(r.NewKey), false), nil
		}
		return attestation.InstallReply(p.vouch(p.instance), false), nil
	case "/instances/i1/keys":
		r, err := p.engine.OpenKeyAttestation(ctx, p.store, "i1", p.instance, body, p.now)
		if err != nil {
			return fetch.Response{}, err
		}
		p.asked = *r
		k := attestation.KeyAttestation{IssuedAt: p.now, Expires: p.now.Add(time.Hour), Keys: r.Keys, Nonce: r.Nonce}
		token, err := k.Sign(ctx, p.attester.signer, p.attester.chain)
		return attestation.KeyAttestationReply(attestation.KeyAttestationResponse{KeyAttestation: token, Expires: k.Expires}), err
	}
	return fetch.Response{Status: 404, Body: []byte(`{"error":"unknown_instance"}`)}, nil
}

func (p *provider) vouch(pub crypto.PublicKey) attestation.InstallResponse {
	w := instance(p.t, pub)
	token, err := w.Sign(context.Background(), p.attester.signer, p.attester.chain)
	if err != nil {
		p.t.Fatal(err)
	}
	return attestation.InstallResponse{InstanceID: "i1", Attestation: token, ClientID: w.ClientID, Expires: w.Expires, Level: attestation.LevelLow,
		Links: attestation.Links{Revoke: "https://provider.example/lost"}}
}

var (
	anApp  = attestation.App{Name: "eidos", Version: "1.2.3", Platform: "linux/amd64"}
	anArea = attestation.Area{Type: "software", Name: "software keys"}
)

func TestInstallationConversation(t *testing.T) {
	p, app := newProvider(t), testkit.Signer(t, elliptic.P256())
	c := attestation.Client{Base: base, Instance: app, Fetch: p.fetch}
	ctx := context.Background()

	got, err := c.Install(ctx, attestation.InstallRequest{Format: attestation.EvidenceSoftwareTOFU, App: anApp, Area: anArea}, now)
	if err != nil {
		t.Fatal(err)
	}
	if got.InstanceID != "i1" || got.Links.Revoke == "" || got.Level != attestation.LevelLow || !got.Expires.Equal(now.Add(12*time.Hour)) {
		t.Errorf("answer %+v", got)
	}
	if !key.Equal(p.installed.Key, app.Public()) || p.installed.Format != "software-tofu" || p.installed.App != anApp || p.installed.Area != anArea || p.installed.Evidence != nil {
		t.Errorf("provider saw %+v", p.installed)
	}
	w, report := attestation.VerifyWalletInstance(ctx, got.Attestation, p.attester.trust(""), now)
	if w == nil || !key.Equal(w.Key, app.Public()) {
		t.Fatalf("attestation: %s", report)
	}

	next := testkit.Signer(t, elliptic.P256())
	for _, signer := range []key.Signer{nil, next} {
		if _, err = c.Renew(ctx, attestation.RenewRequest{InstanceID: "i1", App: anApp, StatusPeriod: 90 * 24 * time.Hour}, signer, now); err != nil {
			t.Fatal(err)
		}
	}
	if !key.Equal(p.renewed.NewKey, next.Public()) || p.renewed.StatusPeriod != 90*24*time.Hour {
		t.Errorf("the provider did not learn of the new key or the period: %+v", p.renewed)
	}

	keys := []crypto.PublicKey{testkit.Signer(t, elliptic.P256()).Public(), testkit.Signer(t, elliptic.P256()).Public()}
	ka, err := c.AttestKeys(ctx, attestation.KeyAttestationRequest{InstanceID: "i1", Keys: keys, Nonce: "cn", Area: anArea, StatusPeriod: time.Minute}, now)
	if err != nil {
		t.Fatal(err)
	}
	if p.asked.StatusPeriod != time.Minute {
		t.Errorf("the provider saw a period of %v", p.asked.StatusPeriod)
	}
	for _, period := range []time.Duration{-time.Second, attestation.MaxStatusPeriod + time.Second} {
		_, err := c.AttestKeys(ctx, attestation.KeyAttestationRequest{InstanceID: "i1", Keys: keys, Area: anArea, StatusPeriod: period}, now)
		_, err2 := c.Renew(ctx, attestation.RenewRequest{InstanceID: "i1", App: anApp, StatusPeriod: period}, nil, now)
		for _, err := range []error{err, err2} {
			var refusal *attestation.Error
			if !errors.As(err, &refusal) || refusal.Code != attestation.CodeInvalidRequest {
				t.Errorf("a period of %v: %v", period, err)
			}
		}
	}
	k, report := attestation.VerifyKeyAttestation(ctx, ka.KeyAttestation, p.attester.trust(""), nil, now)
	if k == nil || k.Nonce != "cn" || k.Holds(keys[1]) != 1 {
		t.Fatalf("key attestation %+v: %s", k, report)
	}
	if d := cmp.Diff(anArea, p.asked.Area); d != "" {
		t.Error(d)
	}
}

// What others state as a period is a period, whatever they state.
func TestSeconds(t *testing.T) {
	for n, want := range map[int64]time.Duration{0: 0, 1: time.Second, -5: 0, math.MaxInt64: attestation.MaxStatusPeriod, math.MinInt64: 0} {
		if got := attestation.Seconds(n); got != want {
			t.Errorf("%d: %v", n, got)
		}
	}
}

func TestInstallRetriesWithAFreshChallenge(t *testing.T) {
	p, app := newProvider(t), testkit.Signer(t, elliptic.P256())
	var stale string
	c := attestation.Client{Base: base, Instance: app, Fetch: func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if strings.HasSuffix(r.URL, "/challenge") && stale == "" {
			p.now = now.Add(-time.Hour)
			defer func() { p.now = now }()
			stale = "given"
		}
		return p.fetch(ctx, r)
	}}
	if _, err := c.Install(context.Background(), attestation.InstallRequest{Format: attestation.EvidenceSoftwareTOFU, App: anApp, Area: anArea}, now); err != nil {
		t.Fatal(err)
	}
	if len(p.requests) != 4 {
		t.Errorf("%d requests, want 4", len(p.requests))
	}
}

func TestProviderRefuses(t *testing.T) {
	p, app, other := newProvider(t), testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	p.instance = app.Public()
	ctx := context.Background()
	claims := func(change func(map[string]any)) map[string]any {
		c := map[string]any{"aud": base, "iat": now.Unix(), "challenge": p.engine.Challenges.Issue(now), "evidence_format": "software-tofu", "app": anApp, "secure_area": anArea}
		if change != nil {
			change(c)
		}
		return c
	}
	sign := func(by key.Signer, h jose.Header, c any) []byte {
		token, err := jose.Sign(ctx, by, h, c)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(token)
	}
	install := jose.Header{Typ: "eidos-install+jwt", JWK: &jose.JWK{Key: app.Public()}}
	used := sign(app, install, claims(nil))
	if _, err := p.engine.OpenInstall(ctx, p.store, used, now); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, code string
		body       []byte
	}{
		{"replayed", attestation.CodeUseChallenge, used},
		{"foreign challenge", attestation.CodeUseChallenge, sign(app, install, claims(func(c map[string]any) { c["challenge"] = "abc" }))},
		{"old challenge", attestation.CodeUseChallenge, sign(app, install, claims(func(c map[string]any) { c["challenge"] = p.engine.Challenges.Issue(now.Add(-time.Hour)) }))},
		{"other provider", attestation.CodeInvalidRequest, sign(app, install, claims(func(c map[string]any) { c["aud"] = "https://other.example" }))},
		{"other typ", attestation.CodeInvalidRequest, sign(app, jose.Header{Typ: "JWT", JWK: install.JWK}, claims(nil))},
		{"no key", attestation.CodeInvalidRequest, sign(app, jose.Header{Typ: "eidos-install+jwt"}, claims(nil))},
		{"somebody else's key", attestation.CodeInvalidProof, sign(other, install, claims(nil))},
		{"evidence with software-tofu", attestation.CodeEvidence, sign(app, install, claims(func(c map[string]any) { c["evidence"] = "AAAA" }))},
		{"evidence is no base64url", attestation.CodeInvalidRequest, sign(app, install, claims(func(c map[string]any) { c["evidence"] = "?" }))},
		{"no app name", attestation.CodeInvalidRequest, sign(app, install, claims(func(c map[string]any) { c["app"] = attestation.App{Version: "1"} }))},
		{"not a JWT", attestation.CodeInvalidRequest, []byte("{}")},
		{"huge", attestation.CodeTooLarge, make([]byte, 1<<20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.engine.OpenInstall(ctx, p.store, c.body, now)
			wantRefusal(t, err, c.code)
		})
	}
	kid := jose.Header{Typ: "eidos-renew+jwt", KID: "i1"}
	for name, body := range map[string][]byte{
		"signed by another instance": sign(other, kid, claims(nil)),
		"new key did not sign": sign(app, kid, claims(func(c map[string]any) {
			c["new_key"] = string(sign(app, jose.Header{Typ: "eidos-new-key+jwt", JWK: &jose.JWK{Key: other.Public()}}, c))
		})),
		"new key for another challenge": sign(app, kid, claims(func(c map[string]any) {
			c["new_key"] = string(sign(other, jose.Header{Typ: "eidos-new-key+jwt", JWK: &jose.JWK{Key: other.Public()}}, claims(nil)))
		})),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.engine.OpenRenew(ctx, p.store, "i1", app.Public(), body, now)
			wantRefusal(t, err, attestation.CodeInvalidProof)
		})
	}
	if _, err := p.engine.OpenRenew(ctx, p.store, "i2", app.Public(), sign(app, kid, claims(nil)), now); err == nil {
		t.Error("kid of another instance accepted")
	}
	ask := jose.Header{Typ: "eidos-key-attestation-request+jwt", KID: "i1"}
	for name, keys := range map[string][]crypto.PublicKey{"no keys": nil, "too many": tooMany(t), "twice": {other.Public(), other.Public()}} {
		t.Run(name, func(t *testing.T) {
			var set []jose.JWK
			for _, k := range keys {
				set = append(set, jose.JWK{Key: k})
			}
			_, err := p.engine.OpenKeyAttestation(ctx, p.store, "i1", app.Public(), sign(app, ask, claims(func(c map[string]any) { c["keys"] = set })), now)
			wantRefusal(t, err, attestation.CodeInvalidRequest)
		})
	}
}

func wantRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *attestation.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Fatalf("error %v, want refusal %s", err, code)
	}
	resp := refusal.Response()
	var body map[string]string
	if json.Unmarshal(resp.Body, &body) != nil || body["error"] != code || body["error_description"] == "" || resp.Status/100 != 4 || resp.Get("cache-control") != "no-store" {
		t.Errorf("rendered %d %s", resp.Status, resp.Body)
	}
}

func TestClientRefusesAnAnswerAboutAnotherKey(t *testing.T) {
	p, app := newProvider(t), testkit.Signer(t, elliptic.P256())
	c := attestation.Client{Base: base, Instance: app, Fetch: func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if strings.HasSuffix(r.URL, "/challenge") {
			return p.fetch(ctx, r)
		}
		return attestation.InstallReply(p.vouch(testkit.Signer(t, elliptic.P256()).Public()), true), nil
	}}
	if got, err := c.Install(context.Background(), attestation.InstallRequest{Format: attestation.EvidenceSoftwareTOFU, App: anApp, Area: anArea}, now); err == nil || got != nil {
		t.Errorf("accepted %+v", got)
	}
	if got, err := c.Renew(context.Background(), attestation.RenewRequest{InstanceID: "../i1", App: anApp}, nil, now); err == nil || got != nil {
		t.Errorf("an instance id that leads elsewhere: %+v", got)
	}

	asked, answered := testkit.Signer(t, elliptic.P256()).Public(), testkit.Signer(t, elliptic.P256()).Public()
	for name, k := range map[string]attestation.KeyAttestation{
		"another key":   {IssuedAt: now, Expires: now.Add(time.Hour), Keys: []crypto.PublicKey{answered}, Nonce: "n"},
		"one more key":  {IssuedAt: now, Expires: now.Add(time.Hour), Keys: []crypto.PublicKey{asked, answered}, Nonce: "n"},
		"another nonce": {IssuedAt: now, Expires: now.Add(time.Hour), Keys: []crypto.PublicKey{asked}, Nonce: "m"},
	} {
		token, err := k.Sign(context.Background(), p.attester.signer, p.attester.chain)
		if err != nil {
			t.Fatal(err)
		}
		c.Fetch = func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
			if strings.HasSuffix(r.URL, "/challenge") {
				return p.fetch(ctx, r)
			}
			return attestation.KeyAttestationReply(attestation.KeyAttestationResponse{KeyAttestation: token}), nil
		}
		if _, err := c.AttestKeys(context.Background(), attestation.KeyAttestationRequest{InstanceID: "i1", Keys: []crypto.PublicKey{asked}, Nonce: "n", Area: anArea}, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
