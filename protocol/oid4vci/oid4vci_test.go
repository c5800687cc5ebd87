package oid4vci_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/nonce"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

const issuerID = "https://issuer.example/default"

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// authority is an issuer and an attester that it trusts.
type authority struct {
	oid4vci.Issuer
	attester key.Signer
	chain    []*x509.Certificate
	store    *once.Memory
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	k, cert := pkitest.Certified(t, now)
	a := &authority{attester: k, chain: []*x509.Certificate{cert}, store: once.NewMemory()}
	a.Issuer = oid4vci.Issuer{
		Identifier: issuerID,
		Nonces:     nonce.New([32]byte{1}, "c_nonce", 5*time.Minute),
		Attesters: func(_ context.Context, chain []*x509.Certificate, _ time.Time) (attestation.Attester, error) {
			if !chain[0].Equal(cert) {
				return attestation.Attester{}, errors.New("unknown attester")
			}
			return attestation.Attester{Name: "attester", Level: attestation.LevelSubstantial}, nil
		},
		Policy: func(id string) (oid4vci.ProofPolicy, bool) {
			algs := []string{"ES256"}
			switch id {
			case "mdl":
				ka := &oid4vci.KeyAttestations{KeyStorage: []string{attestation.ResistanceBasic}}
				return oid4vci.ProofPolicy{Max: 3, Types: map[string]oid4vci.ProofType{
					oid4vci.ProofJWT:         {Algorithms: algs, KeyAttestations: ka},
					oid4vci.ProofAttestation: {Algorithms: algs, KeyAttestations: ka},
				}}, true
			case "card":
				return oid4vci.ProofPolicy{Max: 3, Types: map[string]oid4vci.ProofType{oid4vci.ProofJWT: {Algorithms: algs}}}, true
			}
			return oid4vci.ProofPolicy{}, false
		},
	}
	return a
}

func (a *authority) attest(t testing.TB, nonce string, storage string, keys ...key.Signer) string {
	t.Helper()
	ka := attestation.KeyAttestation{IssuedAt: now, Expires: now.Add(time.Hour), Nonce: nonce, KeyStorage: []string{storage}}
	for _, k := range keys {
		ka.Keys = append(ka.Keys, k.Public())
	}
	jwt, err := ka.Sign(t.Context(), a.attester, a.chain)
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

func grant() *oauth.Grant {
	return &oauth.Grant{ClientID: "wallet", Credentials: []oauth.GrantedCredential{
		{Configuration: "mdl", Identifiers: []string{"mdl-1"}}, {Configuration: "card"}, {Configuration: "gone"},
	}}
}

func jsonRequest(t testing.TB, v any) fetch.Request {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return fetch.Request{Method: "POST", URL: issuerID + "/credential", Body: body,
		Header: map[string]string{"content-type": "application/json"}}
}

func holders(t testing.TB, n int) []key.Signer {
	var out []key.Signer
	for range n {
		out = append(out, testkit.Signer(t, elliptic.P256()))
	}
	return out
}

// TestConversation joins both ends, with and without key attestations.
func TestConversation(t *testing.T) {
	a := newAuthority(t)
	meta := &oid4vci.Metadata{
		CredentialIssuer: issuerID, CredentialEndpoint: issuerID + "/credential", NonceEndpoint: issuerID + "/nonce",
		Batch: &oid4vci.Batch{Size: 3}, Configurations: map[string]oid4vci.Configuration{},
	}
	for _, id := range []string{"mdl", "card"} {
		p, _ := a.Policy(id)
		meta.Configurations[id] = oid4vci.Configuration{Format: "mso_mdoc", ProofTypes: p.Types}
	}
	var got *oid4vci.CredentialRequest
	var asked fetch.Request
	do := func(ctx context.Context, r fetch.Request) (fetch.Response, error) {
		if r.URL == meta.NonceEndpoint {
			return a.Nonce(now), nil
		}
		req, refusal, err := a.Open(ctx, a.store, grant(), r, now)
		if err != nil {
			return fetch.Response{}, err
		}
		if refusal != nil {
			return refusal.Response(), nil
		}
		got, asked = req, r
		a := oid4vci.Answer{Notification: "n1"}
		for range req.Keys {
			a.Mdocs = append(a.Mdocs, []byte{0xa0})
		}
		return req.Reply(a)
	}
	client := func(configuration string) *oid4vci.Client {
		tok := &oauth.Token{AccessToken: "t"}
		if configuration == "mdl" {
			tok.Details = []oauth.Details{{Configuration: "mdl", CredentialIdentifiers: []string{"mdl-1"}}}
		}
		return &oid4vci.Client{Metadata: meta, Token: tok, OAuth: &oauth.Client{
			Server: &oauth.Metadata{}, ID: "wallet", DPoP: testkit.Signer(t, elliptic.P256()), Fetch: do, Attestation: "x",
		}}
	}
	for _, configuration := range []string{"mdl", "card", "card"} {
		if got != nil && got.Configuration == "card" { // the last time encrypted
			a.encrypt(t, false)
			var err error
			if meta.RequestEncryption, meta.ResponseEncryption, err = a.Encryption.Metadata(); err != nil {
				t.Fatal(err)
			}
		}
		c := client(configuration)
		n, err := c.Nonce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		keys := holders(t, 3)
		ka := ""
		if configuration == "mdl" {
			ka = a.attest(t, n, attestation.ResistanceBasic, keys...)
		}
		answer, err := c.Request(t.Context(), configuration, keys, n, ka, now)
		if err != nil {
			t.Fatalf("%s: %v", configuration, err)
		}
		creds := answer.Credentials
		if answer.Notification != "n1" || answer.Transaction != "" {
			t.Errorf("answer %+v", answer)
		}
		if encrypted := asked.Get("content-type") == "application/jwt"; encrypted != (meta.RequestEncryption != nil) {
			t.Errorf("%s: request as %s", configuration, asked.Get("content-type"))
		}
		if len(creds) != 3 || got.Configuration != configuration || (got.Attestation != nil) != (ka != "") {
			t.Errorf("%s: %d credentials, request opened as %+v", configuration, len(creds), got)
		}
		for i, k := range keys {
			if !key.Equal(got.Keys[i], k.Public()) {
				t.Errorf("%s: key %d is another", configuration, i)
			}
		}
		if b, err := oid4vci.DecodeMdoc(creds[0]); err != nil || !slices.Equal(b, []byte{0xa0}) {
			t.Errorf("credential came back as %x, %v", b, err)
		}
		// The same nonce buys nothing more.
		var e *oid4vci.Error
		if _, err := c.Request(t.Context(), configuration, keys, n, ka, now); !errors.As(err, &e) || e.Code != oid4vci.CodeInvalidNonce {
			t.Errorf("%s: used nonce: %v", configuration, err)
		}
	}
}

// TestOneProofForAllAttestedKeys: a single jwt proof with a key attestation
// gets a document for each attested key. OpenID4VCI 1.0, F.1.
func TestOneProofForAllAttestedKeys(t *testing.T) {
	a := newAuthority(t)
	keys := holders(t, 2)
	n := a.Nonces.Issue(now)
	proof, err := oid4vci.Proof{ClientID: "wallet", Issuer: issuerID, Nonce: n,
		KeyAttestation: a.attest(t, n, attestation.ResistanceBasic, keys...)}.Sign(t.Context(), keys[1], now)
	if err != nil {
		t.Fatal(err)
	}
	req, refusal, err := a.Open(t.Context(), a.store, grant(),
		jsonRequest(t, map[string]any{"credential_configuration_id": "mdl", "proofs": map[string]any{"jwt": []string{proof}}}), now)
	if err != nil || refusal != nil || len(req.Keys) != 2 {
		t.Fatalf("%+v, %v, %v", req, refusal, err)
	}
}

func TestRefusals(t *testing.T) {
	a := newAuthority(t)
	other := newAuthority(t)
	keys := holders(t, 4)
	n := a.Nonces.Issue(now)
	jwt := func(p oid4vci.Proof, k key.Signer, at time.Time) string {
		if p.Issuer == "" {
			p.Issuer = issuerID
		}
		if p.Nonce == "" {
			p.Nonce = n
		}
		s, err := p.Sign(t.Context(), k, at)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := jwt(oid4vci.Proof{}, keys[0], now)
	for _, c := range []struct {
		name          string
		configuration string
		proofs        any
		code          string
	}{
		{"no proofs", "card", nil, oid4vci.CodeInvalidProof},
		{"not a JWT", "card", m("jwt", "x"), oid4vci.CodeInvalidProof},
		{"broken signature", "card", m("jwt", good[:len(good)-6]+"AAAAAA"), oid4vci.CodeInvalidProof},
		{"for another issuer", "card", m("jwt", jwt(oid4vci.Proof{Issuer: "https://other.example"}, keys[0], now)), oid4vci.CodeInvalidProof},
		{"by another client", "card", m("jwt", jwt(oid4vci.Proof{ClientID: "other"}, keys[0], now)), oid4vci.CodeInvalidProof},
		{"old", "card", m("jwt", jwt(oid4vci.Proof{}, keys[0], now.Add(-6*time.Minute))), oid4vci.CodeInvalidProof},
		{"from the future", "card", m("jwt", jwt(oid4vci.Proof{}, keys[0], now.Add(6*time.Minute))), oid4vci.CodeInvalidProof},
		{"foreign nonce", "card", m("jwt", jwt(oid4vci.Proof{Nonce: "abc"}, keys[0], now)), oid4vci.CodeInvalidNonce},
		{"expired nonce", "card", m("jwt", jwt(oid4vci.Proof{Nonce: a.Nonces.Issue(now.Add(-time.Hour))}, keys[0], now)), oid4vci.CodeInvalidNonce},
		{"two nonces", "card", m("jwt", good, jwt(oid4vci.Proof{Nonce: a.Nonces.Issue(now)}, keys[1], now)), oid4vci.CodeInvalidProof},
		{"the same key twice", "card", m("jwt", good, jwt(oid4vci.Proof{}, keys[0], now)), oid4vci.CodeInvalidProof},
		{"more than a batch", "card", m("jwt", good, good, good, good), oid4vci.CodeInvalidProof},
		{"attestation where only jwt is taken", "card", m("attestation", a.attest(t, n, attestation.ResistanceBasic, keys[0])), oid4vci.CodeInvalidProof},
		{"no key attestation", "mdl", m("jwt", good), oid4vci.CodeInvalidProof},
		{"key attestation by a stranger", "mdl", m("jwt", jwt(oid4vci.Proof{KeyAttestation: other.attest(t, n, attestation.ResistanceBasic, keys[0])}, keys[0], now)), oid4vci.CodeInvalidProof},
		{"key attestation about other keys", "mdl", m("jwt", jwt(oid4vci.Proof{KeyAttestation: a.attest(t, n, attestation.ResistanceBasic, keys[1])}, keys[0], now)), oid4vci.CodeInvalidProof},
		{"key attestation for another nonce", "mdl", m("jwt", jwt(oid4vci.Proof{KeyAttestation: a.attest(t, "x", attestation.ResistanceBasic, keys[0])}, keys[0], now)), oid4vci.CodeInvalidProof},
		{"key storage not as required", "mdl", m("attestation", a.attest(t, n, "unknown", keys[0])), oid4vci.CodeInvalidProof},
		{"attestation without nonce", "mdl", m("attestation", a.attest(t, "", attestation.ResistanceBasic, keys[0])), oid4vci.CodeInvalidProof},
		{"attestation with foreign nonce", "mdl", m("attestation", a.attest(t, "x", attestation.ResistanceBasic, keys[0])), oid4vci.CodeInvalidNonce},
		{"more attested keys than a batch", "mdl", m("attestation", a.attest(t, n, attestation.ResistanceBasic, keys...)), oid4vci.CodeInvalidProof},
		{"configuration not granted", "other", m("jwt", good), oid4vci.CodeUnknownConfiguration},
		{"configuration that is no more", "gone", m("jwt", good), oid4vci.CodeUnknownConfiguration},
	} {
		body := map[string]any{"credential_configuration_id": c.configuration}
		if c.proofs != nil {
			body["proofs"] = c.proofs
		}
		_, refusal, err := a.Open(t.Context(), a.store, grant(), jsonRequest(t, body), now)
		if err != nil || refusal == nil || refusal.Code != c.code {
			t.Errorf("%s: %v, %v; want %s", c.name, refusal, err, c.code)
		}
	}
	// None of them used the nonce up.
	if _, refusal, err := a.Open(t.Context(), a.store, grant(),
		jsonRequest(t, map[string]any{"credential_configuration_id": "card", "proofs": m("jwt", good)}), now); refusal != nil || err != nil {
		t.Errorf("good request after the bad ones: %v, %v", refusal, err)
	}
}

func m(typ string, proofs ...string) map[string]any { return map[string]any{typ: proofs} }

func TestRequestVectors(t *testing.T) {
	var f struct {
		Data struct {
			Cases []struct {
				ID      string          `json:"id"`
				Request json.RawMessage `json:"request"`
				Errors  []string        `json:"errors_allowed"`
			} `json:"cases"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vci/derived_requests_invalid.json", &f)
	a := newAuthority(t)
	g := &oauth.Grant{Credentials: []oauth.GrantedCredential{{Configuration: "a"}, {Configuration: "b"}, {Configuration: "card"}}}
	for _, c := range f.Data.Cases {
		req := jsonRequest(t, c.Request)
		_, refusal, err := a.Open(t.Context(), a.store, g, req, now)
		if err != nil || refusal == nil {
			t.Errorf("%s: %v, %v", c.ID, refusal, err)
			continue
		}
		// Their configuration "a" is none of ours, which is seen first.
		if !slices.Contains(c.Errors, refusal.Code) && refusal.Code != oid4vci.CodeUnknownConfiguration {
			t.Errorf("%s: %s, want one of %v", c.ID, refusal.Code, c.Errors)
		}
		if s := refusal.Description; strings.ContainsAny(s, "\"\\") {
			t.Errorf("%s: description with characters that 8.3.1.2 forbids: %s", c.ID, s)
		}
	}
	if len(f.Data.Cases) == 0 {
		t.Fatal("no cases")
	}
}

func TestOfferVectors(t *testing.T) {
	var good struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	vectors.Load(t, "openid4vci/offers.json", &good)
	for name, raw := range good.Data {
		o, err := oid4vci.ParseOffer(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		link, err := o.Link(oid4vci.OfferScheme)
		if err != nil {
			t.Fatal(err)
		}
		again, err := oid4vci.ReadOffer(t.Context(), nil, link)
		if err != nil || again.Issuer != o.Issuer || (again.PreAuthorized == nil) != (o.PreAuthorized == nil) {
			t.Errorf("%s: came back as %+v, %v", name, again, err)
		}
	}
	var bad struct {
		Data struct {
			Cases []struct {
				ID    string          `json:"id"`
				Offer json.RawMessage `json:"offer"`
			} `json:"cases"`
		} `json:"data"`
	}
	vectors.Load(t, "openid4vci/derived_offers_invalid.json", &bad)
	for _, c := range bad.Data.Cases {
		if _, err := oid4vci.ParseOffer(c.Offer); err == nil {
			t.Errorf("%s accepted", c.ID)
		}
	}
	if len(good.Data) == 0 || len(bad.Data.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, link := range []string{
		"openid-credential-offer://", "openid-credential-offer://?credential_offer={}&credential_offer_uri=https%3A%2F%2Fa.example",
		"openid-credential-offer://?credential_offer_uri=http%3A%2F%2Fa.example", "%zz",
	} {
		if _, err := oid4vci.ReadOffer(t.Context(), nil, link); err == nil {
			t.Errorf("%s accepted", link)
		}
	}
}

func TestMetadataVector(t *testing.T) {
	var f struct {
		Data json.RawMessage `json:"data"`
	}
	vectors.Load(t, "openid4vci/issuer_metadata_long.json", &f)
	const id = "https://credential-issuer.example.com"
	md, err := oid4vci.ParseMetadata(f.Data, id)
	if err != nil {
		t.Fatal(err)
	}
	if md.BatchSize() != 10 || len(md.Configurations) == 0 {
		t.Errorf("metadata parsed as %+v", md)
	}
	if as, err := md.AuthorizationServer(""); err != nil || as != "https://server.example.com" {
		t.Errorf("authorisation server %s, %v", as, err)
	}
	if _, err := md.AuthorizationServer("https://evil.example"); err == nil {
		t.Error("an authorisation server that only the offer names is used")
	}
	if _, err := oid4vci.ParseMetadata(f.Data, id+"/"); err == nil {
		t.Error("metadata of another issuer accepted")
	}
}

// TestProofVector: the specification's own proof verifies by our rules.
func TestProofVector(t *testing.T) {
	var v struct {
		Text string `json:"text"`
	}
	vectors.Load(t, "openid4vci/proof_jwt.json", &v)
	a := newAuthority(t)
	a.Identifier = "https://credential-issuer.example.com"
	a.Nonces = anyNonce{}
	req := jsonRequest(t, map[string]any{"credential_configuration_id": "card", "proofs": m("jwt", v.Text)})
	at := time.Unix(1701960444, 0)
	out, refusal, err := a.Open(t.Context(), a.store, grant(), req, at)
	if err != nil || refusal != nil || len(out.Keys) != 1 {
		t.Fatalf("%+v, %v, %v", out, refusal, err)
	}
}

type anyNonce struct{}

func (anyNonce) Issue(time.Time) string        { return "n" }
func (anyNonce) Check(string, time.Time) error { return nil }
func (anyNonce) Lifetime() time.Duration       { return time.Minute }

func FuzzParseOffer(f *testing.F) {
	var good struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	vectors.Load(f, "openid4vci/offers.json", &good)
	for _, raw := range good.Data {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := oid4vci.ParseOffer(data)
		if err != nil {
			return
		}
		if _, err := o.Link(oid4vci.OfferScheme); err != nil {
			t.Fatalf("accepted and not written: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	a := newAuthority(f)
	var v struct {
		Text string `json:"text"`
	}
	vectors.Load(f, "openid4vci/proof_jwt.json", &v)
	f.Add([]byte(`{"credential_configuration_id":"card","proofs":{"jwt":["` + v.Text + `"]}}`))
	f.Add([]byte(`{"credential_identifier":"mdl-1","proofs":{"attestation":["` + v.Text + `"]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		req := fetch.Request{Method: "POST", Body: body, Header: map[string]string{"content-type": "application/json"}}
		out, refusal, err := a.Open(context.Background(), a.store, grant(), req, now)
		if err != nil || (out == nil) == (refusal == nil) {
			t.Fatalf("%v, %v, %v", out, refusal, err)
		}
		if out != nil && slices.ContainsFunc(out.Keys, func(k crypto.PublicKey) bool { return k == nil }) {
			t.Fatal("a key that is none")
		}
	})
}
