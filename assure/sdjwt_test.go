package assure_test

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/statuslist"
)

// The PID of SD-JWT VC's appendix, presented, verifies to the end but for its
// signer, whose certificate nobody has: the example has none.
func TestSDJWTVector(t *testing.T) {
	var v struct{ Text string }
	vectors.Load(t, "sdjwt/vc18_A1_pid_presentation_kb.json", &v)
	s, err := sdjwt.Parse(v.Text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var kb struct {
		Audience string `json:"aud"`
		Nonce    string `json:"nonce"`
		IssuedAt int64  `json:"iat"`
	}
	if err := json.Unmarshal(s.KeyBinding.Payload, &kb); err != nil {
		t.Fatal(err)
	}
	got, r := assure.VerifySDJWT(t.Context(), s, assure.DocumentParams{Now: time.Unix(kb.IssuedAt, 0), DocType: s.VCT(),
		KeyBinding: &sdjwt.KeyBindingParams{Audience: kb.Audience, Nonce: kb.Nonce}})
	if failed := named(r, check.Fail); len(failed) != 1 || failed[0] != "issuer chain" || got.Payload != nil || got.HolderVerified {
		t.Errorf("%v\n%s", failed, r)
	}
}

const pidVCT = "urn:eudi:pid:1"

// credential is an SD-JWT VC of a test with index 5 of the status list.
type credential struct {
	authority
	signer    *x509.Certificate
	signerKey *testkit.Key
	holder    *testkit.Key
	params    sdjwt.IssueParams
}

func newCredential(t testing.TB) *credential {
	t.Helper()
	c := &credential{authority: newAuthority(t), signerKey: testkit.Signer(t, elliptic.P256()), holder: testkit.Signer(t, elliptic.P256())}
	nb, na := pki.Validity(now, 400*24*time.Hour)
	c.signer = pkitest.Issue(t, pki.CredentialSigner, pki.Template{Subject: pki.Name{Country: "UT", CommonName: "signer"},
		PublicKey: c.signerKey.Public(), Issuer: c.root, NotBefore: nb, NotAfter: na, Contact: "a@b.example", CRLURL: "http://crl.example"}, c.rootKey)
	midnight := now.Truncate(24 * time.Hour)
	leaf := func(name, value string) sdjwt.Node {
		return sdjwt.Node{Name: name, SD: sdjwt.Always, Value: json.RawMessage(value)}
	}
	c.params = sdjwt.IssueParams{VCT: pidVCT, Issuer: "https://elsewhere.example", IssuedAt: midnight, NotBefore: midnight, Expires: midnight.AddDate(0, 0, 14),
		HolderKey: c.holder.Public(), Chain: [][]byte{c.signer.Raw},
		Status: &status.Claim{List: &status.ListReference{Index: 5, URI: listURI}},
		Claims: []sdjwt.Node{leaf("family_name", `"Sommerfeld"`), leaf("given_name", `"Ada"`), leaf("issuing_country", `"UT"`)}}
	return c
}

var kb = sdjwt.KeyBinding{Audience: "x509_hash:verifier", Nonce: "n-0S6_WzA2Mj", IssuedAt: now}

// present issues, discloses and signs.
func (c *credential) present(t testing.TB, kb sdjwt.KeyBinding, holder *testkit.Key, paths ...sdjwt.Path) string {
	t.Helper()
	stored, err := sdjwt.Issue(t.Context(), c.params, c.signerKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sdjwt.Select(stored, paths)
	if err != nil {
		t.Fatal(err)
	}
	if kb.Nonce == "" {
		return p.String()
	}
	input, err := p.Prepare(kb)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := holder.Sign(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Finish(signature); err != nil {
		t.Fatal(err)
	}
	return p.String()
}

func (c *credential) verify(t testing.TB) assure.DocumentParams {
	return assure.DocumentParams{Now: now, Anchors: trusting(t, trustlist.Issuer, c.root), DocType: pidVCT,
		KeyBinding: &sdjwt.KeyBindingParams{Audience: kb.Audience, Nonce: kb.Nonce}}
}

func verifySDJWT(t testing.TB, text string, p assure.DocumentParams) (assure.SDJWT, check.Report) {
	t.Helper()
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return assure.VerifySDJWT(context.Background(), s, p)
}

func TestSDJWT(t *testing.T) {
	c := newCredential(t)
	good := c.present(t, kb, c.holder, sdjwt.Path{"family_name"}, sdjwt.Path{"issuing_country"})
	p := c.verify(t)
	got, r := verifySDJWT(t, good, p)
	if !r.OK() || !got.HolderVerified || got.Payload == nil || got.Signer.Anchor.Certificate == nil || got.Issuer.Country != "UT" {
		t.Fatalf("%+v\n%s", got, r)
	}
	if warned := named(r, check.Warn); len(warned) != 0 {
		t.Errorf("warned of %v", warned)
	}
	other := testkit.Signer(t, elliptic.P256())
	at := func(d time.Duration) sdjwt.KeyBinding { k := kb; k.IssuedAt = now.Add(d); return k }
	change := func(f func(*assure.DocumentParams)) assure.DocumentParams { q := c.verify(t); f(&q); return q }
	tampered := strings.Replace(good, "~", "~"+strings.SplitN(c.present(t, kb, c.holder, sdjwt.Path{"given_name"}), "~", 3)[1]+"~", 1)
	for name, tc := range map[string]struct {
		text string
		p    assure.DocumentParams
		says string
	}{
		"another audience":   {good, change(func(p *assure.DocumentParams) { p.KeyBinding.Audience = "x" }), "audience"},
		"another nonce":      {good, change(func(p *assure.DocumentParams) { p.KeyBinding.Nonce = "x" }), "nonce"},
		"no nonce expected":  {good, change(func(p *assure.DocumentParams) { p.KeyBinding.Nonce = "" }), "nonce"},
		"another holder":     {c.present(t, kb, other), p, "holder signature"},
		"key binding old":    {c.present(t, at(-6*time.Minute-time.Second), c.holder), p, "key binding time"},
		"key binding future": {c.present(t, at(time.Minute+time.Second), c.holder), p, "key binding time"},
		"no key binding":     {c.present(t, sdjwt.KeyBinding{}, nil), p, "key binding"},
		"disclosure added":   {tampered, p, "disclosures"},
		"disclosure removed": {strings.Replace(good, strings.SplitN(good, "~", 3)[1]+"~", "", 1), p, "presentation hash"},
		"another type":       {good, change(func(p *assure.DocumentParams) { p.DocType = "x" }), "credential type"},
		"nobody trusted":     {good, change(func(p *assure.DocumentParams) { p.Anchors = nil }), "issuer chain"},
		"reader anchor":      {good, change(func(p *assure.DocumentParams) { p.Anchors = trusting(t, trustlist.Reader, c.root) }), "issuer chain"},
		"expired":            {good, change(func(p *assure.DocumentParams) { p.Now = now.AddDate(0, 0, 15) }), "valid until"},
		"signature":          {flip(good), p, "issuer signature"},
	} {
		t.Run(name, func(t *testing.T) {
			got, r := verifySDJWT(t, tc.text, tc.p)
			if r.OK() || got.Payload != nil || got.HolderVerified {
				t.Errorf("accepted:\n%s", r)
			}
			if found := strings.Join(named(r, check.Fail), "; "); !strings.Contains(found, tc.says) {
				t.Errorf("failed: %s, want %s", found, tc.says)
			}
		})
	}
	// Without expectations key binding is not checked, and nobody is verified.
	got, r = verifySDJWT(t, good, change(func(p *assure.DocumentParams) { p.KeyBinding = nil }))
	if !r.OK() || got.HolderVerified || got.Payload == nil {
		t.Errorf("%s", r)
	}
}

// flip turns a bit of the issuer's signature.
func flip(text string) string {
	i := strings.IndexByte(text, '~') - 10
	b := []byte(text)
	if b[i]++; b[i] == '{' || b[i] == '[' || b[i] == ':' || b[i] == '`' || b[i] == '.' {
		b[i] = 'A'
	}
	return string(b)
}

func TestSDJWTStatus(t *testing.T) {
	c := newCredential(t)
	text := c.present(t, kb, c.holder)
	tomorrow := now.Add(24 * time.Hour)
	for name, tc := range map[string]struct {
		revoked bool
		want    statuslist.Outcome
	}{"valid": {false, statuslist.Valid}, "revoked": {true, statuslist.Invalid}} {
		p := c.verify(t)
		p.Status, p.RequireStatus = list(t, p.Anchors, tc.revoked, tomorrow, [][]byte{c.listSigner.Raw}, c.statusKey), true
		if got, r := verifySDJWT(t, text, p); r.OK() == tc.revoked || got.Revocation.Outcome != tc.want || (got.Payload == nil) != tc.revoked {
			t.Errorf("%s: %q\n%s", name, got.Revocation.Outcome, r)
		}
	}
	p := c.verify(t)
	p.RequireStatus = true
	if _, r := verifySDJWT(t, text, p); r.OK() {
		t.Error("accepted without the status that is required")
	}
}

// A signer that is trusted exactly needs no profile, and the report says so;
// so does one that was accepted once, where policy takes it at all.
func TestSDJWTExactSigner(t *testing.T) {
	c := newCredential(t)
	text := c.present(t, kb, c.holder, sdjwt.Path{"family_name"})
	p := c.verify(t)
	exact := assure.Anchor{Purpose: trustlist.Issuer, Certificate: c.signer, Exact: true, Name: "Suite", Origin: "file"}
	p.Anchors = anchors(t, exact)
	_, r := verifySDJWT(t, text, p)
	if chain, _ := r.Find("issuer chain: certificate chain"); !r.OK() || chain.Outcome != check.Warn || !strings.Contains(chain.Seen, "profile was not checked") {
		t.Errorf("%+v\n%s", chain, r)
	}

	tofu := assure.TOFU{Store: &pins{pins: map[string]assure.Pin{}}}
	pin, err := tofu.Accept(t.Context(), trustlist.Issuer, "signer", c.signer.PublicKey, c.signer, "operator", now)
	if err != nil {
		t.Fatal(err)
	}
	pinned, ok := pin.Anchor()
	if !ok {
		t.Fatal("no anchor")
	}
	p.Anchors = anchors(t, pinned)
	if got, r := verifySDJWT(t, text, p); r.OK() || got.Payload != nil || strings.Join(named(r, check.Fail), "") != "trust on first use" {
		t.Errorf("accepted on first use without a policy for it:\n%s", r)
	}
	p.Policy.FirstUse = true
	if _, r := verifySDJWT(t, text, p); !r.OK() || !contains(named(r, check.Warn), "trust on first use") {
		t.Errorf("%s", r)
	}
}

func TestSDJWTCountry(t *testing.T) {
	c := newCredential(t)
	c.params.Claims[2].Value = json.RawMessage(`"XA"`)
	if _, r := verifySDJWT(t, c.present(t, kb, c.holder, sdjwt.Path{"issuing_country"}), c.verify(t)); !r.OK() || !contains(named(r, check.Warn), "issuing_country") {
		t.Errorf("%s", r)
	}
	// What is not disclosed says nothing.
	if _, r := verifySDJWT(t, c.present(t, kb, c.holder), c.verify(t)); !r.OK() || contains(named(r, check.Warn), "issuing_country") {
		t.Errorf("%s", r)
	}
}

// Each wish of a policy, met and not met, for both formats.
func TestPolicy(t *testing.T) {
	c := newCredential(t)
	text := c.present(t, kb, c.holder, sdjwt.Path{"family_name"})
	response, annex := annexD(t)
	for name, tc := range map[string]struct {
		policy assure.Policy
		level  assure.Level
		ok     bool
	}{
		"nothing":            {assure.Policy{}, "", true},
		"young enough":       {assure.Policy{MaxAge: 3 * 365 * 24 * time.Hour}, "", true},
		"too old":            {assure.Policy{MaxAge: time.Minute}, "", false},
		"level":              {assure.Policy{MinLevel: assure.Substantial}, assure.High, true},
		"level too low":      {assure.Policy{MinLevel: assure.Substantial}, assure.Low, false},
		"level not stated":   {assure.Policy{MinLevel: assure.Low}, "", false},
		"country":            {assure.Policy{Countries: []string{"us", "UT"}}, "", true},
		"another country":    {assure.Policy{Countries: []string{"XA"}}, "", false},
		"status not asked":   {assure.Policy{MaxStatusAge: time.Minute}, "", true},
		"everything at once": {assure.Policy{MaxAge: time.Minute, MinLevel: assure.High, Countries: []string{"XA"}}, "", false},
	} {
		p := c.verify(t)
		p.Policy, p.Anchors = tc.policy, anchors(t, assure.Anchor{Purpose: trustlist.Issuer, Certificate: c.root, LoA: tc.level})
		if got, r := verifySDJWT(t, text, p); r.OK() != tc.ok || (got.Payload != nil) != tc.ok {
			t.Errorf("%s, SD-JWT VC:\n%s", name, r)
		}
		p = annex
		p.Policy, p.Anchors = tc.policy, anchors(t, assure.Anchor{Purpose: trustlist.Issuer, Certificate: annex.Anchors.For(trustlist.Issuer)[0].Certificate, LoA: tc.level})
		if got, r := verifyFirst(t, response, p); r.OK() != tc.ok || (got.NameSpaces != nil) != tc.ok {
			t.Errorf("%s, mdoc:\n%s", name, r)
		}
	}
	for most, ok := range map[time.Duration]bool{2 * time.Hour: true, 30 * time.Minute: false} {
		p := c.verify(t) // the list is an hour old
		p.Policy.MaxStatusAge = most
		p.Status = list(t, p.Anchors, false, now.Add(24*time.Hour), [][]byte{c.listSigner.Raw}, c.statusKey)
		if _, r := verifySDJWT(t, text, p); r.OK() != ok {
			t.Errorf("status list at most %s old:\n%s", most, r)
		}
	}
	c.params.IssuedAt, c.params.NotBefore = time.Time{}, time.Time{}
	p := c.verify(t)
	p.Policy.MaxAge = time.Hour
	if _, r := verifySDJWT(t, c.present(t, kb, c.holder), p); r.OK() {
		t.Error("a credential without a date is young enough")
	}
}

// An authority that a list trusts for one type does not get around it by saying
// that its credentials are of another type as well.
func TestSDJWTOtherType(t *testing.T) {
	const card = "urn:example:card:1"
	c := newCredential(t)
	c.params.VCT, c.params.AlsoVCTs = card, []string{pidVCT}
	text := c.present(t, kb, c.holder, sdjwt.Path{"family_name"})
	for name, tc := range map[string]struct {
		trusted []string
		asked   string
		good    bool
	}{
		"its own type":                            {[]string{card}, card, true},
		"any type":                                {[]string{card}, "", true},
		"the other type":                          {[]string{card}, pidVCT, false},
		"the other type, trusted for that":        {[]string{card, pidVCT}, pidVCT, true},
		"the other type, trusted for that alone":  {[]string{pidVCT}, pidVCT, false},
		"its own type, trusted for the other one": {[]string{pidVCT}, card, false},
	} {
		p := c.verify(t)
		var err error
		p.DocType = tc.asked
		if p.Anchors, err = assure.NewAnchors(assure.Anchor{Purpose: trustlist.Issuer, Certificate: c.root, DocTypes: tc.trusted, Name: "cards"}); err != nil {
			t.Fatal(err)
		}
		got, r := verifySDJWT(t, text, p)
		if r.OK() != tc.good || (got.Payload != nil) != tc.good {
			t.Errorf("%s: %v\n%s", name, named(r, check.Fail), r)
		}
	}
}
