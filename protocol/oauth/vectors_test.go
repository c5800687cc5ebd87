package oauth_test

import (
	"crypto/elliptic"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/oauth"
)

func TestPKCEVectors(t *testing.T) {
	var v struct {
		Data struct {
			CodeVerifier string `json:"code_verifier"`
		}
		Expected struct {
			CodeChallenge string `json:"code_challenge"`
		}
	}
	vectors.Load(t, "jose/rfc7636_B_pkce.json", &v)
	if got := oauth.CodeChallenge(v.Data.CodeVerifier); got != v.Expected.CodeChallenge {
		t.Errorf("challenge %s, want %s", got, v.Expected.CodeChallenge)
	}
	var m struct {
		Data struct {
			Response string `json:"authorization_response"`
			Error    string `json:"authorization_error"`
			Token    struct {
				Status int
				Body   struct {
					AccessToken string `json:"access_token"`
				}
			} `json:"token_response"`
		}
		Expected struct {
			PKCE struct{ Verifier, Challenge string }
		}
	}
	vectors.Load(t, "openid4vci/par_and_errors.json", &m)
	// The printed responses have no state and iss; with them they read as printed.
	a := oauth.Authorization{Issuer: issuer, ExpectISS: true, State: "s", RedirectURI: "https://wallet.example.org/cb"}
	if _, err := a.Code(m.Data.Response); err == nil {
		t.Error("accepted without state and iss")
	}
	tail := "&state=s&iss=" + url.QueryEscape(issuer)
	if code, err := a.Code(m.Data.Response + tail); err != nil || code != "SplxlOBeZQQYbYS6WxSbIA" {
		t.Errorf("code %q, %v", code, err)
	}
	var refusal *oauth.Error
	if _, err := a.Code(m.Data.Error + tail); !errors.As(err, &refusal) || refusal.Code != "invalid_request" || refusal.Description != "Unsupported response_type value" {
		t.Errorf("error %v", err)
	}
}

type dpopVector struct {
	Text string
	Data struct {
		AccessToken string `json:"access_token"`
	}
	Expected struct {
		Method string `json:"htm"`
		URL    string `json:"htu"`
		JKT    string
		IAT    int64
	}
}

func TestDPoPVectors(t *testing.T) { // RFC 9449, figures 2, 4 and 13
	for _, name := range []string{"rfc9449_dpop_token_request", "rfc9449_dpop_resource_request"} {
		var v dpopVector
		vectors.Load(t, "jose/"+name+".json", &v)
		e := oauth.DPoPExpectation{Method: v.Expected.Method, URL: v.Expected.URL, AccessToken: v.Data.AccessToken, Now: time.Unix(v.Expected.IAT, 0)}
		d, err := oauth.VerifyDPoP(v.Text, e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.Thumbprint != v.Expected.JKT || d.ID == "" {
			t.Errorf("%s: read %+v", name, d)
		}
		e.AccessToken = "another"
		if _, err := oauth.VerifyDPoP(v.Text, e); err == nil {
			t.Errorf("%s: accepted for another token", name)
		}
	}
}

type dpopCases struct {
	Data struct {
		Request struct {
			Method, URL, Nonce string
			AccessToken        string `json:"access_token"`
			Now                int64
			MaxAge             int64 `json:"max_age"`
		}
		Cases []struct {
			ID    string
			Valid bool
			Proof string
		}
	}
	Expected struct{ JKT string }
}

func TestDerivedDPoPCases(t *testing.T) {
	var v dpopCases
	vectors.Load(t, "jose/derived_dpop_cases.json", &v)
	r := v.Data.Request
	e := oauth.DPoPExpectation{Method: r.Method, URL: r.URL, AccessToken: r.AccessToken, Now: time.Unix(r.Now, 0), Window: time.Duration(r.MaxAge) * time.Second,
		Nonce: func(n string) error {
			if n != r.Nonce {
				return errors.New("another")
			}
			return nil
		}}
	for _, c := range v.Data.Cases {
		d, err := oauth.VerifyDPoP(c.Proof, e)
		if (err == nil) != c.Valid {
			t.Errorf("%s: valid %v, got %v", c.ID, c.Valid, err)
			continue
		}
		if c.Valid {
			if d.Thumbprint != v.Expected.JKT {
				t.Errorf("%s: jkt %s", c.ID, d.Thumbprint)
			}
			continue
		}
		want := oauth.CodeInvalidDPoPProof
		if strings.HasSuffix(c.ID, "nonce") {
			want = oauth.CodeUseDPoPNonce
		}
		var refusal *oauth.Error
		if !errors.As(err, &refusal) || refusal.Code != want {
			t.Errorf("%s: %v, want %s", c.ID, err, want)
		}
	}
	if len(v.Data.Cases) < 20 {
		t.Errorf("%d cases", len(v.Data.Cases))
	}
}

func TestDPoPTargetProperty(t *testing.T) {
	k := testkit.Signer(t, elliptic.P256())
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + rapid.StringMatching(`[a-zA-Z0-9._~/-]{0,20}`).Draw(t, "path")
		query := rapid.SampledFrom([]string{"", "?a=b", "?"}).Draw(t, "query")
		spelling := rapid.SampledFrom([]string{"https://rs.example", "HTTPS://RS.example", "https://rs.example:443"}).Draw(t, "origin")
		offset := rapid.IntRange(-600, 600).Draw(t, "offset")
		proof, err := oauth.DPoP{Method: "POST", URL: spelling + path + query, IssuedAt: start.Add(time.Duration(offset) * time.Second)}.Sign(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		_, err = oauth.VerifyDPoP(proof, oauth.DPoPExpectation{Method: "POST", URL: "https://rs.example" + path + "?other=query", Now: start})
		if want := offset >= -300 && offset <= 300; (err == nil) != want {
			t.Fatalf("%s%s, %d s: %v", spelling, path, offset, err)
		}
		if _, err := oauth.VerifyDPoP(proof, oauth.DPoPExpectation{Method: "POST", URL: "https://rs.example" + path + "x", Now: start}); err == nil {
			t.Fatal("accepted for another path")
		}
	})
}

func TestWellKnown(t *testing.T) {
	for in, want := range map[string]string{
		"https://host":          "https://host/.well-known/oauth-authorization-server",
		"https://host/":         "https://host/.well-known/oauth-authorization-server",
		"https://host/a/b":      "https://host/.well-known/oauth-authorization-server/a/b",
		"https://host:8443/a/":  "https://host:8443/.well-known/oauth-authorization-server/a",
		"http://i.localhost:80": "http://i.localhost:80/.well-known/oauth-authorization-server",
		"http://[::1]:80/x":     "http://[::1]:80/.well-known/oauth-authorization-server/x",
	} {
		if got, err := oauth.WellKnown(in, oauth.WellKnownServer); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "host", "http://host", "http://evil-localhost", "https://", "https://u@host", "https://host?q", "https://host#f", "ftp://host", "https://host/" + strings.Repeat("a", 3000), "http://10.0.0.1"} {
		if got, err := oauth.WellKnown(bad, "x"); err == nil {
			t.Errorf("%q gives %s", bad, got)
		}
	}
}

func FuzzDPoP(f *testing.F) {
	var v dpopCases
	vectors.Load(f, "jose/derived_dpop_cases.json", &v)
	for _, c := range v.Data.Cases {
		f.Add(c.Proof, v.Data.Request.URL)
	}
	r := v.Data.Request
	f.Fuzz(func(t *testing.T, proof, target string) {
		d, err := oauth.VerifyDPoP(proof, oauth.DPoPExpectation{Method: r.Method, URL: target, AccessToken: r.AccessToken, Now: time.Unix(r.Now, 0)})
		if (d == nil) == (err == nil) {
			t.Fatalf("%v beside %v", d, err)
		}
		if d != nil && (d.Thumbprint == "" || d.ID == "" || d.Method != r.Method) {
			t.Fatalf("accepted with parts missing: %+v", d)
		}
	})
}

func FuzzTokenRequest(f *testing.F) {
	w := newWorld(f, func(c *oauth.ServerConfig) { c.Attesters, c.DPoPNonces, c.AnonymousPreAuthorized = nil, nil, true })
	k := testkit.Signer(f, elliptic.P256())
	for _, seed := range []url.Values{
		{"grant_type": {"authorization_code"}, "client_id": {clientID}, "code": {"SplxlOBeZQQYbYS6WxSbIA"}, "code_verifier": {"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}, "redirect_uri": {redirect}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {"SplxlOBeZQQYbYS6WxSbIA"}, "tx_code": {"493536"},
			"authorization_details": {`[{"type":"openid_credential","credential_configuration_id":"org.iso.18013.5.1.mDL"}]`}},
	} {
		f.Add(seed.Encode(), "application/x-www-form-urlencoded")
	}
	f.Fuzz(func(t *testing.T, body, mediaType string) {
		w := *w
		w.t, w.store = t, once.NewMemory()
		for _, endpoint := range []string{"/token", "/par"} {
			r := fetch.Request{Method: "POST", URL: issuer + endpoint, Body: []byte(body), Header: map[string]string{"content-type": mediaType}}
			r.Header["dpop"] = w.proof(k, "POST", r.URL, "")
			rep, err := w.route(w.ctx, r)
			if err != nil {
				t.Fatalf("%s: internal error %v", endpoint, err)
			}
			if endpoint == "/token" && rep.Refusal == nil {
				t.Fatal("a token for nothing")
			}
			if rep.Refusal != nil {
				wantErrorBody(t, rep.Response)
			}
		}
	})
}
