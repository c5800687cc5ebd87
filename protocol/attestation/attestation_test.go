package attestation_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/attestation"
)

var now = time.Unix(1_800_000_000, 0).UTC()

// attester is a wallet provider's signing key with its certificate chain.
type attester struct {
	signer key.Signer
	chain  []*x509.Certificate
	root   *x509.Certificate
}

func newAttester(t testing.TB) *attester {
	t.Helper()
	ca, leaf := testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	certificate := func(name string, isCA bool, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: isCA, BasicConstraintsValid: true,
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent = tmpl
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := certificate("root", true, nil, ca.Public(), ca.Private())
	return &attester{leaf, []*x509.Certificate{certificate("wallet provider", false, root, leaf.Public(), ca.Private())}, root}
}

// trust believes chains that end at this attester's root.
func (a *attester) trust(level attestation.Level) attestation.Trust {
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	return func(_ context.Context, chain []*x509.Certificate, now time.Time) (attestation.Attester, error) {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return attestation.Attester{Name: "Wonderland", Level: level}, err
	}
}

func instance(t testing.TB, pub crypto.PublicKey) attestation.WalletInstance {
	t.Helper()
	return attestation.WalletInstance{
		Issuer: "https://provider.example", ClientID: "https://wallet.example", Key: pub,
		IssuedAt: now, NotBefore: now, Expires: now.Add(12 * time.Hour),
		WalletName: "eidos", WalletLink: "https://provider.example/wallet", WalletVersion: "1.2.3", Level: attestation.LevelLow,
		Status: attestation.Status{Reference: attestation.StatusReference{Index: 1337, URI: "https://provider.example/status/1"}, Ends: now.Add(31 * 24 * time.Hour)},
	}
}

func wantFailure(t *testing.T, report check.Report, name string) {
	t.Helper()
	failed := report.Failed()
	if len(failed) == 0 {
		t.Fatalf("accepted, want check %q to fail:\n%s", name, report)
	}
	if failed[0].Name != name {
		t.Errorf("failed check is %q, want %q:\n%s", failed[0].Name, name, report)
	}
	if failed[0].Clause == "" || failed[0].Advice == "" {
		t.Errorf("failure without clause or advice: %+v", failed[0])
	}
}

func TestWalletAttestationVector(t *testing.T) { // OpenID4VCI 1.0, Appendix E
	var v struct {
		Text     string
		Expected struct {
			Now int64 `json:"now_inside_validity"`
		}
	}
	vectors.Load(t, "openid4vci/wallet_attestation.json", &v)
	var name string
	trust := func(_ context.Context, chain []*x509.Certificate, at time.Time) (attestation.Attester, error) {
		name = chain[0].Subject.CommonName
		return attestation.Attester{Name: name, Level: attestation.LevelSubstantial}, chain[0].CheckSignature(x509.ECDSAWithSHA256, chain[0].RawTBSCertificate, chain[0].Signature)
	}
	at := time.Unix(v.Expected.Now, 0)
	w, report := attestation.VerifyWalletInstance(context.Background(), v.Text, trust, at)
	if w == nil {
		t.Fatalf("refused:\n%s", report)
	}
	if name != "wallet-provider.example.com" || w.ClientID != "https://wallet.example.com" || w.Issuer != "https://wallet-provider.example.com" ||
		!strings.HasPrefix(w.WalletName, "Wallet Solution X") || w.Level != attestation.LevelSubstantial || !w.Status.IsZero() {
		t.Errorf("read %+v", w)
	}
	if _, report := attestation.VerifyWalletInstance(context.Background(), v.Text, trust, w.Expires.Add(time.Minute)); report.OK() {
		t.Error("accepted after its end")
	}
	flipped := v.Text[:len(v.Text)-3] + "AAA"
	_, report = attestation.VerifyWalletInstance(context.Background(), flipped, trust, at)
	wantFailure(t, report, "signature")
}

type clientAttestationVector struct {
	Data struct {
		Attestation string `json:"client_attestation"`
		PoP         string `json:"client_attestation_pop"`
		PoPRS       string `json:"pop_for_resource_server"`
	}
}

func TestClientAttestationVectors(t *testing.T) {
	for _, draft := range []string{"07", "10"} {
		t.Run("draft "+draft, func(t *testing.T) {
			var v clientAttestationVector
			vectors.Load(t, "openid4vci/client_attestation_draft"+draft+".json", &v)
			w, err := attestation.ParseWalletInstance(v.Data.Attestation)
			if err != nil {
				t.Fatal(err)
			}
			if w.ClientID != "https://client.example.com" {
				t.Errorf("client id %q", w.ClientID)
			}
			_, report := attestation.VerifyWalletInstance(context.Background(), v.Data.Attestation, nil, now)
			wantFailure(t, report, "certificate chain") // these name their key by kid only: HAIP 1.0 wants x5c
			e := attestation.PoPExpectation{Key: w.Key, ClientID: w.ClientID, Audience: "https://as.example.com", Now: time.Unix(1772487595, 0)}
			pop, report := attestation.VerifyPoP(v.Data.PoP, e)
			if draft == "07" { // the print has no iat and a signature by another key
				wantFailure(t, report, "iat")
				return
			}
			if pop == nil {
				t.Fatalf("refused:\n%s", report)
			}
			if pop.ID != "d25d00ab-552b-46fc-ae19-98f440f25064" || pop.Challenge != "5c1a9e10-29ff-4c2b-ae73-57c0957c09c4" {
				t.Errorf("read %+v", pop)
			}
			_, report = attestation.VerifyPoP(v.Data.PoPRS, e)
			wantFailure(t, report, "aud")
		})
	}
}

func TestKeyAttestationVector(t *testing.T) { // OpenID4VCI 1.0, D.1: decoded only
	var v struct {
		Data struct{ Payload json.RawMessage }
	}
	vectors.Load(t, "openid4vci/key_attestation.json", &v)
	a := newAttester(t)
	token, err := jose.SignBytes(context.Background(), a.signer, jose.Header{Typ: "key-attestation+jwt", X5C: [][]byte{a.chain[0].Raw}}, v.Data.Payload)
	if err != nil {
		t.Fatal(err)
	}
	k, err := attestation.ParseKeyAttestation(token)
	if err != nil {
		t.Fatal(err)
	}
	if len(k.Keys) != 1 || k.IssuedAt.Unix() != 1516247022 || k.Expires.Unix() != 1541493724 ||
		!cmp.Equal(k.KeyStorage, []string{attestation.ResistanceModerate}) || !cmp.Equal(k.UserAuthentication, []string{attestation.ResistanceModerate}) {
		t.Errorf("read %+v", k)
	}
	_, report := attestation.VerifyKeyAttestation(context.Background(), token, a.trust(""), nil, now)
	wantFailure(t, report, "validity") // it ended in 2018
}

func TestWalletInstanceRoundTrip(t *testing.T) {
	a, app := newAttester(t), testkit.Signer(t, elliptic.P256())
	want := instance(t, app.Public())
	want.Level = attestation.LevelHigh
	token, err := want.Sign(context.Background(), a.signer, a.chain)
	if err != nil {
		t.Fatal(err)
	}
	got, report := attestation.VerifyWalletInstance(context.Background(), token, a.trust(attestation.LevelSubstantial), now)
	if got == nil {
		t.Fatalf("refused:\n%s", report)
	}
	want.Level = attestation.LevelSubstantial // capped
	want.Attester = attestation.Attester{Name: "Wonderland", Level: attestation.LevelSubstantial}
	if !key.Equal(got.Key, want.Key) {
		t.Error("another key")
	}
	got.Key, want.Key = nil, nil
	if d := cmp.Diff(&want, got); d != "" {
		t.Error(d)
	}

	var claims struct {
		Status       struct{ Status_list struct{ Idx int } }
		ClientStatus struct {
			Exp    int64
			Status struct{ Status_list struct{ URI string } }
		} `json:"client_status"`
	}
	parsed, err := jose.Parse(token, jose.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	if claims.Status.Status_list.Idx != 1337 || claims.ClientStatus.Exp != want.Status.Ends.Unix() || claims.ClientStatus.Status.Status_list.URI != want.Status.Reference.URI {
		t.Errorf("claims on the wire %+v", claims)
	}
}

func TestWalletInstanceRefusals(t *testing.T) {
	a, other, app := newAttester(t), newAttester(t), testkit.Signer(t, elliptic.P256())
	header := jose.Header{Typ: attestation.TypeClientAttestation, X5C: [][]byte{a.chain[0].Raw}}
	jwk, err := json.Marshal(jose.JWK{Key: app.Public()})
	if err != nil {
		t.Fatal(err)
	}
	base := func() map[string]any {
		return map[string]any{"iss": "https://p.example", "sub": "wallet", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": json.RawMessage(jwk)}}
	}
	private := `{"kty":"EC","crv":"P-256","x":"Rxw-dYxJBChbun5TEY7Q9SSt6wdX0lvS-Oew1236cUw","y":"3VIPesqKi5F6zDf1HejwybvjrYWDgucC3CWhLQn3qFg","d":"EjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8"}`
	cases := []struct {
		name, fails string
		header      func(*jose.Header)
		claims      func(map[string]any)
		signer      key.Signer
	}{
		{name: "expired", fails: "validity", claims: func(c map[string]any) { c["exp"] = now.Add(-10 * time.Minute).Unix() }},
		{name: "no exp", fails: "validity", claims: func(c map[string]any) { delete(c, "exp") }},
		{name: "not yet", fails: "validity", claims: func(c map[string]any) { c["nbf"] = now.Add(10 * time.Minute).Unix() }},
		{name: "no sub", fails: "sub", claims: func(c map[string]any) { delete(c, "sub") }},
		{name: "no cnf", fails: "cnf", claims: func(c map[string]any) { delete(c, "cnf") }},
		{name: "private cnf", fails: "claims", claims: func(c map[string]any) { c["cnf"] = map[string]any{"jwk": json.RawMessage(private)} }},
		{name: "unknown level", fails: "assurance_level", claims: func(c map[string]any) { c["assurance_level"] = "utmost" }},
		{name: "status without idx", fails: "client_status", claims: func(c map[string]any) {
			c["status"] = map[string]any{"status_list": map[string]any{"uri": "https://x.example"}}
		}},
		{name: "client_status without end", fails: "client_status", claims: func(c map[string]any) {
			c["client_status"] = map[string]any{"status": map[string]any{"status_list": map[string]any{"idx": 1, "uri": "https://x.example"}}}
		}},
		{name: "status uri is a file", fails: "client_status", claims: func(c map[string]any) {
			c["status"] = map[string]any{"status_list": map[string]any{"idx": 1, "uri": "file:///etc/passwd"}}
		}},
		{name: "typ", fails: "type", header: func(h *jose.Header) { h.Typ = "JWT" }},
		{name: "no chain", fails: "certificate chain", header: func(h *jose.Header) { h.X5C = nil }},
		{name: "certificate is junk", fails: "certificate chain", header: func(h *jose.Header) { h.X5C = [][]byte{{0x30, 0}} }},
		{name: "stranger's chain", fails: "trusted attester", header: func(h *jose.Header) { h.X5C = [][]byte{other.chain[0].Raw} }, signer: other.signer},
		{name: "signed by another key", fails: "signature", signer: other.signer},
		{name: "Ed25519 where ECDSA is asked", fails: "algorithm", signer: testkit.Ed25519(t)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h, claims, signer := header, base(), key.Signer(a.signer)
			if c.header != nil {
				c.header(&h)
			}
			if c.claims != nil {
				c.claims(claims)
			}
			if c.signer != nil {
				signer = c.signer
			}
			token, err := jose.Sign(context.Background(), signer, h, claims)
			if err != nil {
				t.Fatal(err)
			}
			w, report := attestation.VerifyWalletInstance(context.Background(), token, a.trust(""), now)
			wantFailure(t, report, c.fails)
			if w != nil {
				t.Error("a result beside a failure")
			}
		})
	}
	_, report := attestation.VerifyWalletInstance(context.Background(), strings.Repeat("a", 1<<17), a.trust(""), now)
	wantFailure(t, report, "well-formed")
}

func TestPoPRefusals(t *testing.T) {
	app := testkit.Signer(t, elliptic.P256())
	good := attestation.PoP{ClientID: "wallet", Audience: "https://as.example", Challenge: "c", IssuedAt: now}
	expect := attestation.PoPExpectation{Key: app.Public(), ClientID: "wallet", Audience: "https://as.example", Now: now}
	sign := func(p attestation.PoP, by key.Signer) string {
		token, err := p.Sign(context.Background(), by)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, offset := range []time.Duration{0, -10 * time.Second, 10 * time.Second, 4 * time.Minute, -4 * time.Minute} {
		p := good
		p.IssuedAt = now.Add(offset)
		if got, report := attestation.VerifyPoP(sign(p, app), expect); got == nil || got.Challenge != "c" || got.ID == "" {
			t.Errorf("iat %v off: refused:\n%s", offset, report)
		}
	}
	for _, c := range []struct {
		name, fails string
		change      func(*attestation.PoP)
		by          key.Signer
	}{
		{"another client", "iss", func(p *attestation.PoP) { p.ClientID = "thief" }, app},
		{"another server", "aud", func(p *attestation.PoP) { p.Audience = "https://other.example" }, app},
		{"old", "iat", func(p *attestation.PoP) { p.IssuedAt = now.Add(-10 * time.Minute) }, app},
		{"from the future", "iat", func(p *attestation.PoP) { p.IssuedAt = now.Add(10 * time.Minute) }, app},
		{"long jti", "jti", func(p *attestation.PoP) { p.ID = strings.Repeat("j", 600) }, app},
		{"another key", "signature", func(*attestation.PoP) {}, testkit.Signer(t, elliptic.P256())},
		{"Ed25519", "algorithm", func(*attestation.PoP) {}, testkit.Ed25519(t)},
	} {
		p := good
		c.change(&p)
		_, report := attestation.VerifyPoP(sign(p, c.by), expect)
		t.Run(c.name, func(t *testing.T) { wantFailure(t, report, c.fails) })
	}
}

func TestKeyAttestationRoundTripAndLimits(t *testing.T) {
	a := newAttester(t)
	var keys []crypto.PublicKey
	for range 3 {
		keys = append(keys, testkit.Signer(t, elliptic.P256()).Public())
	}
	want := attestation.KeyAttestation{
		Issuer: "https://provider.example", IssuedAt: now, Expires: now.Add(24 * time.Hour), Keys: keys,
		KeyStorage: []string{attestation.ResistanceBasic}, UserAuthentication: []string{attestation.ResistanceBasic}, Nonce: "n-1",
		Status: attestation.Status{Reference: attestation.StatusReference{Index: 0, URI: "https://provider.example/status/2"}, Ends: now.Add(800 * time.Hour)},
	}
	token, err := want.Sign(context.Background(), a.signer, a.chain)
	if err != nil {
		t.Fatal(err)
	}
	nonce := func(n string) error {
		if n != "n-1" {
			return errors.New("unknown nonce")
		}
		return nil
	}
	got, report := attestation.VerifyKeyAttestation(context.Background(), token, a.trust(""), nonce, now)
	if got == nil {
		t.Fatalf("refused:\n%s", report)
	}
	if len(got.Keys) != 3 || got.Holds(keys[2]) != 2 || got.Holds(a.signer.Public()) != -1 || got.Status != want.Status ||
		!got.Expires.Equal(want.Expires) || got.Attester.Level != attestation.LevelLow {
		t.Errorf("read %+v", got)
	}
	_, report = attestation.VerifyKeyAttestation(context.Background(), token, a.trust(""), func(string) error { return errors.New("old") }, now)
	wantFailure(t, report, "nonce")
	_, report = attestation.VerifyKeyAttestation(context.Background(), token, a.trust(""), nonce, now.Add(25*time.Hour))
	wantFailure(t, report, "validity")
	_, report = attestation.VerifyKeyAttestation(context.Background(), token, newAttester(t).trust(""), nonce, now)
	wantFailure(t, report, "trusted attester")

	bare := want
	bare.Nonce = ""
	if token, err = bare.Sign(context.Background(), a.signer, a.chain); err != nil {
		t.Fatal(err)
	}
	_, report = attestation.VerifyKeyAttestation(context.Background(), token, a.trust(""), nonce, now)
	wantFailure(t, report, "nonce")

	for name, keys := range map[string][]crypto.PublicKey{"none": nil, "twice": {keys[0], keys[0]}, "too many": tooMany(t)} {
		bad := want
		bad.Keys = keys
		if _, err := bad.Sign(context.Background(), a.signer, a.chain); err == nil {
			t.Errorf("%s: signed", name)
		}
		set := make([]jose.JWK, len(keys))
		for i, k := range keys {
			set[i] = jose.JWK{Key: k}
		}
		token, err := jose.Sign(context.Background(), a.signer, jose.Header{Typ: attestation.TypeKeyAttestation, X5C: [][]byte{a.chain[0].Raw}},
			map[string]any{"iat": now.Unix(), "attested_keys": set})
		if err != nil {
			t.Fatal(err)
		}
		_, report := attestation.VerifyKeyAttestation(context.Background(), token, a.trust(""), nil, now)
		t.Run(name, func(t *testing.T) { wantFailure(t, report, "attested_keys") })
	}
}

func tooMany(t *testing.T) (keys []crypto.PublicKey) {
	for range attestation.MaxKeys + 1 {
		keys = append(keys, testkit.Ed25519(t).Public())
	}
	return keys
}

func TestLevels(t *testing.T) {
	levels := []attestation.Level{"", attestation.LevelLow, attestation.LevelSubstantial, attestation.LevelHigh}
	for i, l := range levels {
		for j, least := range levels {
			if got, want := l.AtLeast(least), i > 0 && i >= j; got != want {
				t.Errorf("%q at least %q: %v", l, least, got)
			}
		}
	}
}

func FuzzClientAttestation(f *testing.F) {
	a, app := newAttester(f), testkit.Signer(f, elliptic.P256())
	token, err := instance(f, app.Public()).Sign(context.Background(), a.signer, a.chain)
	if err != nil {
		f.Fatal(err)
	}
	pop, err := attestation.PoP{ClientID: "c", Audience: "https://as.example", IssuedAt: now}.Sign(context.Background(), app)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token, pop)
	var v clientAttestationVector
	for _, draft := range []string{"07", "10"} {
		vectors.Load(f, fmt.Sprintf("openid4vci/client_attestation_draft%s.json", draft), &v)
		f.Add(v.Data.Attestation, v.Data.PoP)
	}
	f.Fuzz(func(t *testing.T, token, pop string) {
		w, report := attestation.VerifyWalletInstance(context.Background(), token, a.trust(""), now)
		if (w != nil) != report.OK() {
			t.Fatalf("result %v beside report %s", w, report)
		}
		if w != nil && (w.ClientID == "" || w.Key == nil || w.Attester.Name == "") {
			t.Fatalf("accepted with parts missing: %+v", w)
		}
		p, report := attestation.VerifyPoP(pop, attestation.PoPExpectation{Key: app.Public(), ClientID: "c", Audience: "https://as.example", Now: now})
		if (p != nil) != report.OK() || (p != nil && p.ID == "") {
			t.Fatalf("result %v beside report %s", p, report)
		}
	})
}
