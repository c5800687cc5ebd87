package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// exchange is an HTTP request and its answer, as the keeper left them.
type exchange struct {
	method, url   string
	path          string // below the origin
	header        map[string]string
	body          string
	status        string
	answerHeader  map[string]string
	answer        string
	fromTheWallet bool
}

// readExchanges reads what crossed the wire, in order.
func readExchanges(t *testing.T, dir string) []exchange {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.http"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no messages: %v", err)
	}
	var out []exchange
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		x := exchange{fromTheWallet: strings.HasSuffix(name, "-wallet.http")}
		first, rest, _ := strings.Cut(string(data), "\n")
		x.method, x.url, _ = strings.Cut(first, " ")
		u, err := url.Parse(x.url)
		if err != nil {
			t.Fatal(err)
		}
		x.path = u.Path
		x.header, rest = cutHeader(rest)
		x.body, rest, _ = strings.Cut(rest, "\n\n")
		x.status, rest, _ = strings.Cut(rest, "\n")
		x.answerHeader, x.answer = cutHeader(rest)
		out = append(out, x)
	}
	return out
}

func cutHeader(text string) (map[string]string, string) {
	header := make(map[string]string)
	for {
		line, rest, _ := strings.Cut(text, "\n")
		if text = rest; line == "" {
			return header, text
		}
		name, value, _ := strings.Cut(line, ": ")
		header[name] = value
	}
}

// claimsOf are the claims of a token; its signature was checked by who got it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parsed, err := jose.Parse(token, jose.Limits{Token: 1 << 20, Header: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(parsed.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// checkHAIP makes sure that everything that was issued in the browser was issued
// as HAIP 1.0, 4 has it, and the rest as much like it as a PIN allows.
func checkHAIP(t *testing.T, dir string) {
	t.Helper()
	count := map[string]int{}
	apps := map[any]bool{}   // where the status of each client attestation stands
	nonce, vouched := "", "" // the newest c_nonce, and the newest one attested with keys
	for _, x := range readExchanges(t, dir) {
		if x.status[0] != '2' && x.status[0] != '3' {
			continue // such as the answer that brings the nonce
		}
		what := filepath.Base(x.path)
		switch {
		case strings.HasPrefix(x.path, "/.well-known/openid-credential-issuer/") && x.fromTheWallet:
			what = "metadata"
			checkIssuerMetadata(t, x)
		case what == "par":
			apps[checkClient(t, x)] = true
			checkPushed(t, x)
		case what == "authorize":
			q, err := url.Parse(x.url)
			if err != nil || len(q.Query()) != 2 || !q.Query().Has("client_id") || !q.Query().Has("request_uri") {
				t.Errorf("authorisation request %s: more than the pushed request (HAIP 1.0, 4.3)", x.url)
			}
		case what == "token":
			apps[checkClient(t, x)] = true
			checkDPoP(t, x)
			form, err := url.ParseQuery(x.body)
			if err != nil || form.Get("grant_type") == "authorization_code" && form.Get("code_verifier") == "" {
				t.Errorf("token request without code_verifier, %v", err)
			}
			what += " " + form.Get("grant_type")
		case what == "nonce":
			var answer struct {
				Nonce string `json:"c_nonce"`
			}
			if err := json.Unmarshal([]byte(x.answer), &answer); err != nil || answer.Nonce == "" {
				t.Errorf("nonce: %v", err)
			}
			nonce = answer.Nonce
		case what == "keys":
			var answer attestation.KeyAttestationResponse
			if err := json.Unmarshal([]byte(x.answer), &answer); err != nil {
				t.Fatal(err)
			}
			vouched, _ = claimsOf(t, answer.KeyAttestation)["nonce"].(string)
		case what == "credential":
			checkDPoP(t, x)
			if !strings.HasPrefix(x.header["authorization"], "DPoP ") || claimsOf(t, x.header["dpop"])["ath"] == nil {
				t.Error("credential request without a bound token (HAIP 1.0, 4)")
			}
			if nonce == "" || vouched != nonce { // the request itself is encrypted
				t.Error("credential request without a fresh key attestation (HAIP 1.0, 4.5.1)")
			}
			vouched = ""
		default:
			continue
		}
		count[what]++
	}
	want := map[string]int{
		"metadata": 4, "par": 2, "authorize": 2, "token authorization_code": 2, "token urn:ietf:params:oauth:grant-type:pre-authorized_code": 1, "token refresh_token": 1,
		"nonce": 5, "keys": 5, "credential": 5, // PID in two formats, and once more
	}
	if len(apps) != 3 { // the new copies of the PID come to the app that got the first
		t.Errorf("%d client attestations for three offers (HAIP 1.0, 4.4.1)", len(apps))
	}
	for what, n := range want {
		if count[what] != n {
			t.Errorf("%d of %s, wanted %d", count[what], what, n)
		}
	}
}

// checkIssuerMetadata: HAIP 1.0, 4.1.
func checkIssuerMetadata(t *testing.T, x exchange) {
	t.Helper()
	if x.answerHeader["content-type"] != "application/jwt" {
		t.Errorf("metadata are not signed but %s", x.answerHeader["content-type"])
		return
	}
	data, err := json.Marshal(claimsOf(t, x.answer))
	if err != nil {
		t.Fatal(err)
	}
	var m oid4vci.Metadata
	if err := json.Unmarshal(data, &m); err != nil || m.NonceEndpoint == "" {
		t.Errorf("no nonce endpoint, %v", err)
	}
	for id, c := range m.Configurations {
		if c.Scope == "" || c.ProofTypes[oid4vci.ProofJWT].KeyAttestations == nil || c.ProofTypes[oid4vci.ProofAttestation].KeyAttestations == nil {
			t.Errorf("configuration %s lacks a scope, or takes keys that nobody vouches for", id)
		}
	}
}

// checkClient returns where the status of the client attestation stands.
// HAIP 1.0, 4.4.1.
func checkClient(t *testing.T, x exchange) any {
	t.Helper()
	instance, pop := x.header["oauth-client-attestation"], x.header["oauth-client-attestation-pop"]
	if instance == "" || pop == "" {
		t.Errorf("%s without client attestation", x.path)
		return nil
	}
	form, err := url.ParseQuery(x.body)
	if err != nil || form.Has("client_id") && form.Get("client_id") != claimsOf(t, instance)["sub"] {
		t.Errorf("%s: client_id is not the sub of the client attestation, %v", x.path, err)
	}
	if claimsOf(t, pop)["challenge"] == nil {
		t.Errorf("%s: proof of possession without the server's challenge", x.path)
	}
	return fmt.Sprint(claimsOf(t, instance)["client_status"].(map[string]any)["status"])
}

// checkPushed: HAIP 1.0, 4.3; FAPI 2.0 Security Profile, 5.3.2.2.
func checkPushed(t *testing.T, x exchange) {
	t.Helper()
	form, err := url.ParseQuery(x.body)
	if err != nil || form.Get("scope") == "" || form.Has("authorization_details") || form.Get("code_challenge_method") != "S256" ||
		form.Get("response_type") != "code" || form.Get("issuer_state") == "" {
		t.Errorf("pushed request %v, %v", form, err)
	}
}

// checkDPoP: HAIP 1.0, 4; RFC 9449, 8.
func checkDPoP(t *testing.T, x exchange) {
	t.Helper()
	c := claimsOf(t, x.header["dpop"])
	if c["nonce"] == nil || c["htu"] != x.url || c["htm"] != x.method {
		t.Errorf("%s: DPoP proof %v", x.path, c)
	}
}
