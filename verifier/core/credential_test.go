package core_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

// registry issues PIDs as SD-JWT VCs to one holder.
type registry struct {
	anchors *assure.Anchors
	chain   [][]byte
	key     *testkit.Key
	holder  *testkit.Key
	claims  []sdjwt.Node
	vct     string
	unbound bool
}

func newRegistry(t testing.TB) *registry {
	t.Helper()
	rootKey, r := testkit.Signer(t, elliptic.P256()), &registry{key: testkit.Signer(t, elliptic.P256()), holder: testkit.Signer(t, elliptic.P256()), vct: "urn:eudi:pid:1"}
	tpl := pki.Template{Subject: pki.Name{Country: "UT", CommonName: "Utopia IACA"}, PublicKey: rootKey.Public(), Contact: "a@b.example", CRLURL: "http://crl.example"}
	tpl.NotBefore, tpl.NotAfter = pki.Validity(now, 400*24*time.Hour)
	root := pkitest.Issue(t, pki.IACARoot, tpl, rootKey)
	r.anchors = trusting(t, root.Raw)
	tpl.Issuer, tpl.PublicKey, tpl.Subject.CommonName = root, r.key.Public(), "signer"
	r.chain = [][]byte{pkitest.Issue(t, pki.CredentialSigner, tpl, rootKey).Raw}
	leaf := func(name, value string) sdjwt.Node {
		return sdjwt.Node{Name: name, SD: sdjwt.Always, Value: json.RawMessage(value)}
	}
	r.claims = []sdjwt.Node{leaf("family_name", `"Sommerfeld"`), leaf("birthdate", `"1984-03-17"`),
		leaf("picture", `"data:image/jpeg;base64,/9j/4AAA"`),
		{Name: "nationalities", SD: sdjwt.Always, Elements: []sdjwt.Node{leaf("", `"UT"`), leaf("", `"XA"`)}},
		{Name: "address", SD: sdjwt.Always, Members: []sdjwt.Node{leaf("locality", `"Capital"`), leaf("country", `"UT"`)}}}
	return r
}

// shown is a presentation; change may make it another.
func (r *registry) shown(t testing.TB, change func(*sdjwt.KeyBinding), paths ...sdjwt.Path) string {
	t.Helper()
	midnight := now.Truncate(24 * time.Hour)
	p := sdjwt.IssueParams{VCT: r.vct, IssuedAt: midnight, Expires: midnight.AddDate(0, 0, 14), Claims: r.claims, Chain: r.chain}
	if !r.unbound {
		p.HolderKey = r.holder.Public()
	}
	stored, err := sdjwt.Issue(t.Context(), p, r.key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sdjwt.Select(stored, paths)
	if err != nil {
		t.Fatal(err)
	}
	if r.unbound {
		return s.String()
	}
	kb := sdjwt.KeyBinding{Audience: "x509_hash:v", Nonce: "n", IssuedAt: now}
	if change != nil {
		change(&kb)
	}
	if err := s.Sign(t.Context(), kb, r.holder); err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func (r *registry) params(t testing.TB, dcql string) core.VerifyParams {
	t.Helper()
	q, err := query.ParseDCQL([]byte(dcql))
	if err != nil {
		t.Fatal(err)
	}
	return core.VerifyParams{Asked: q, Anchors: r.anchors, Now: now, Audience: "x509_hash:v", Nonce: "n"}
}

func pid(claims string) string {
	return `{"credentials":[{"id":"pid","format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]},"claims":[` + claims + `]}]}`
}

const allClaims = `{"path":["family_name"],"intent_to_retain":true},{"path":["birthdate"]},{"path":["picture"]},{"path":["nationalities",null]},{"path":["nationalities",1]},{"path":["address"]}`

func verifyOne(t testing.TB, text string, p core.VerifyParams) core.Result {
	t.Helper()
	r, err := core.VerifyPresentations(t.Context(), map[string][]string{"pid": {text}}, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCredential(t *testing.T) {
	reg := newRegistry(t)
	text := reg.shown(t, nil, sdjwt.Path{"family_name"}, sdjwt.Path{"birthdate"}, sdjwt.Path{"picture"}, sdjwt.Path{"nationalities"}, sdjwt.Path{"address"})
	r := verifyOne(t, text, reg.params(t, pid(allClaims)))
	if !r.OK() || len(r.Documents) != 1 {
		t.Fatalf("%s %s\n%s", r.Verdict, r.Reason, r.Report)
	}
	d := r.Documents[0]
	want := []core.Element{
		{ID: "family_name", Path: sdjwt.Path{"family_name"}, Label: "Family name", Text: "Sommerfeld", Value: "Sommerfeld", Retain: true},
		{ID: "birth_date", Path: sdjwt.Path{"birthdate"}, Label: "Date of birth", Text: "17 March 1984", Value: "1984-03-17"},
		{ID: "portrait", Path: sdjwt.Path{"picture"}, Label: "Photo", Text: "image, 1 KiB"},
		{Path: sdjwt.Path{"nationalities", nil}, Label: "Nationality", Text: "UT, XA", Value: []any{"UT", "XA"}},
		{Path: sdjwt.Path{"nationalities", 1}, Label: "Nationality", Text: "XA", Value: "XA"},
		{Path: sdjwt.Path{"address"}, Label: "address", Text: "Country of residence: UT · Town: Capital", Value: map[string]any{"locality": "Capital", "country": "UT"}},
	}
	if diff := cmp.Diff(want, d.Elements); diff != "" {
		t.Error(diff)
	}
	if d.Name != "Personal ID" || d.Issuer.Country != "UT" || d.Device != "signature" || d.PortraitType != "image/jpeg" || len(d.Portrait) != 6 ||
		!d.Validity.Signed.Equal(now.Truncate(24*time.Hour)) || d.Status.Text != "the document refers to no status list" {
		t.Errorf("%+v", d)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back core.Result
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(back); err != nil || string(again) != string(data) {
		t.Errorf("JSON is not stable: %v\n%s\n%s", err, data, again)
	}
}

// Whatever is wrong, nothing is shown, and the reason says which check it was.
func TestCredentialRefused(t *testing.T) {
	reg := newRegistry(t)
	family := sdjwt.Path{"family_name"}
	good := reg.shown(t, nil, family)
	other := newRegistry(t)
	stranger := *reg
	stranger.holder = other.holder
	foreign := *other
	foreign.holder = reg.holder
	parts := strings.Split(good, "~")
	born := strings.Split(reg.shown(t, nil, sdjwt.Path{"birthdate"}), "~")
	kb := func(f func(*sdjwt.KeyBinding)) string { return reg.shown(t, f, family) }
	for name, tc := range map[string]struct {
		text, reason string
	}{
		"nonce":            {kb(func(k *sdjwt.KeyBinding) { k.Nonce = "m" }), "nonce"},
		"audience":         {kb(func(k *sdjwt.KeyBinding) { k.Audience = "x509_hash:w" }), "audience"},
		"too old":          {kb(func(k *sdjwt.KeyBinding) { k.IssuedAt = now.Add(-7 * time.Minute) }), "key binding time"},
		"of the future":    {kb(func(k *sdjwt.KeyBinding) { k.IssuedAt = now.Add(2 * time.Minute) }), "key binding time"},
		"hash":             {parts[0] + "~" + parts[2], "presentation hash"},
		"foreign part":     {parts[0] + "~" + parts[1] + "~" + born[1] + "~" + parts[2], "disclosures"},
		"foreign binding":  {parts[0] + "~" + parts[1] + "~" + born[2], "presentation hash"},
		"no key binding":   {parts[0] + "~" + parts[1] + "~", "key binding"},
		"KB signature":     {good[:len(good)-4] + "AAAA", "holder signature"},
		"issuer signature": {strings.Replace(good, parts[0], parts[0][:len(parts[0])-4]+"AAAA", 1), "issuer signature"},
		"unknown issuer":   {foreign.shown(t, nil, family), "issuer chain"},
	} {
		t.Run(name, func(t *testing.T) {
			r := verifyOne(t, tc.text, reg.params(t, pid(`{"path":["family_name"]}`)))
			if r.Verdict != core.Invalid || len(r.Documents) != 1 || r.Documents[0].Elements != nil || r.Documents[0].Device != "" {
				t.Errorf("%s: %+v", r.Verdict, r.Documents)
			}
			if failed := r.Documents[0].Report.Failed(); !slices.ContainsFunc(failed, func(c check.Check) bool { return strings.Contains(c.Name, tc.reason) }) {
				t.Errorf("failed %v, want %s", failed, tc.reason)
			}
			if strings.Contains(r.Reason, "Sommerfeld") || strings.Contains(r.Documents[0].Report.String(), "Sommerfeld") {
				t.Error("a name in a report")
			}
		})
	}
	if _, err := core.VerifyPresentations(t.Context(), map[string][]string{"pid": {"x"}}, reg.params(t, pid(`{"path":["family_name"]}`))); !errors.Is(err, sdjwt.ErrSyntax) {
		t.Errorf("no SD-JWT: %v", err)
	}
	// Nothing expected is met by nothing.
	p := reg.params(t, pid(`{"path":["family_name"]}`))
	p.Audience, p.Nonce = "", ""
	if r := verifyOne(t, good, p); r.Verdict != core.Invalid {
		t.Error("accepted without knowing the request")
	}
}

// What is missing, more, or of another value than asked.
func TestCredentialAsAsked(t *testing.T) {
	reg := newRegistry(t)
	text := reg.shown(t, nil, sdjwt.Path{"family_name"}, sdjwt.Path{"nationalities", 1}, sdjwt.Path{"address", "locality"})
	r := verifyOne(t, text, reg.params(t, pid(`{"path":["family_name"]},{"path":["birthdate"]},{"path":["nationalities",0]}`)))
	if r.Verdict != core.Incomplete || len(r.Missing) != 2 {
		t.Fatalf("%s %+v", r.Verdict, r.Missing)
	}
	if m := r.Missing[0]; m.ID != "birth_date" || m.Path.String() != `["birthdate"]` || m.Label != "Date of birth" || m.Why != "not returned" {
		t.Errorf("%+v", m)
	}
	c, _ := r.Documents[0].Report.Find("only what was asked")
	if c.Outcome != check.Warn || !strings.Contains(c.Seen, `["address","locality"]`) || !strings.Contains(c.Seen, `["nationalities",1]`) || strings.Contains(c.Seen, "family_name") {
		t.Errorf("%+v", c)
	}
	if len(r.Documents[0].Elements) != 1 {
		t.Errorf("%+v", r.Documents[0].Elements)
	}

	for value, verdict := range map[string]core.Verdict{`"Sommerfeld"`: core.Valid, `"Winter"`: core.Incomplete} {
		r := verifyOne(t, reg.shown(t, nil, sdjwt.Path{"family_name"}), reg.params(t, pid(`{"path":["family_name"],"values":[`+value+`]}`)))
		if r.Verdict != verdict || verdict != core.Valid && (r.Documents[0].Elements != nil || !strings.Contains(r.Missing[0].Why, "another value")) {
			t.Errorf("%s: %s %+v", value, r.Verdict, r.Missing)
		}
	}

	// A claim set that is complete suffices.
	sets := `{"credentials":[{"id":"pid","format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]},"claims":[{"id":"a","path":["sex"]},{"id":"b","path":["family_name"]}],"claim_sets":[["a"],["b"]]}]}`
	if r := verifyOne(t, reg.shown(t, nil, sdjwt.Path{"family_name"}), reg.params(t, sets)); r.Verdict != core.Valid {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}

	// Another type than asked for is not valid, an unasked second is dropped.
	another := *reg
	another.vct = "urn:eudi:pid:2"
	if r := verifyOne(t, another.shown(t, nil, sdjwt.Path{"family_name"}), reg.params(t, pid(`{"path":["family_name"]}`))); r.Verdict != core.Invalid {
		t.Errorf("another type: %s", r.Verdict)
	}
	one := reg.shown(t, nil, sdjwt.Path{"family_name"})
	r, err := core.VerifyPresentations(t.Context(), map[string][]string{"pid": {one, one}, "x": {"garbage"}}, reg.params(t, pid(`{"path":["family_name"]}`)))
	if err != nil || len(r.Documents) != 1 || r.Verdict != core.Valid {
		t.Errorf("%+v %v", r, err)
	}
}

// Whether the holder has to prove themselves is what was asked.
func TestCredentialUnbound(t *testing.T) {
	reg := newRegistry(t)
	reg.unbound = true
	family := sdjwt.Path{"family_name"}
	text := reg.shown(t, nil, family)
	bound := pid(`{"path":["family_name"]}`)
	unbound := strings.Replace(bound, `"claims"`, `"require_cryptographic_holder_binding":false,"claims"`, 1)
	if r := verifyOne(t, text, reg.params(t, bound)); r.Verdict != core.Invalid {
		t.Error("accepted without the key binding that was asked for")
	}
	if r := verifyOne(t, text, reg.params(t, unbound)); !r.OK() || r.Documents[0].Device != "" {
		t.Errorf("%s %+v", r.Reason, r.Documents)
	}
	// A key binding that is there has to be right, wanted or not.
	reg.unbound = false
	if r := verifyOne(t, reg.shown(t, nil, family), reg.params(t, unbound)); !r.OK() || r.Documents[0].Device != "signature" {
		t.Errorf("%s", r.Reason)
	}
	if r := verifyOne(t, reg.shown(t, func(k *sdjwt.KeyBinding) { k.Nonce = "m" }, family), reg.params(t, unbound)); r.Verdict != core.Invalid {
		t.Error("a wrong key binding was accepted because none was needed")
	}
}

// A type that nobody knows here is shown by its own names.
func TestCredentialOfUnknownType(t *testing.T) {
	reg := newRegistry(t)
	reg.vct = "urn:x:card"
	reg.claims = []sdjwt.Node{{Name: "card_number", SD: sdjwt.Always, Value: json.RawMessage(`"7"`)}}
	r := verifyOne(t, reg.shown(t, nil, sdjwt.Path{"card_number"}), reg.params(t, strings.ReplaceAll(pid(`{"path":["card_number"]}`), "urn:eudi:pid:1", "urn:x:card")))
	want := []core.Element{{Path: sdjwt.Path{"card_number"}, Label: "card number", Text: "7", Value: "7"}}
	if diff := cmp.Diff(want, r.Documents[0].Elements); !r.OK() || diff != "" || r.Documents[0].Name != "urn:x:card" {
		t.Errorf("%s %s", r.Reason, diff)
	}
}

func TestCredentialTransactions(t *testing.T) {
	reg := newRegistry(t)
	family := sdjwt.Path{"family_name"}
	agreed := reg.shown(t, func(k *sdjwt.KeyBinding) { k.Transactions.Values = []string{"h"} }, family)
	p := reg.params(t, pid(`{"path":["family_name"]}`))
	if r := verifyOne(t, agreed, p); r.Verdict != core.Invalid || !strings.Contains(r.Reason, "transaction data") || r.Documents[0].Elements != nil {
		t.Errorf("agreed to what nobody asked: %s %s %+v", r.Verdict, r.Reason, r.Documents[0].Elements)
	}
	p.Transactions = func(found map[string][]sdjwt.TransactionHashes) error {
		if diff := cmp.Diff(map[string][]sdjwt.TransactionHashes{"pid": {{Values: []string{"h"}}}}, found); diff != "" {
			return errors.New("not authorised")
		}
		return nil
	}
	if r := verifyOne(t, agreed, p); !r.OK() {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}
	if r := verifyOne(t, reg.shown(t, nil, family), p); r.Verdict != core.Invalid {
		t.Error("accepted though the holder did not agree")
	}
	// What an invalid presentation agrees to counts for nothing.
	wrong := reg.shown(t, func(k *sdjwt.KeyBinding) { k.Transactions.Values, k.Nonce = []string{"h"}, "m" }, family)
	if r := verifyOne(t, wrong, p); r.Verdict != core.Invalid || !slices.ContainsFunc(r.Report.Failed(), func(c check.Check) bool { return c.Name == "transaction data" }) {
		t.Errorf("%s %s", r.Verdict, r.Report)
	}
}

// A policy reaches documents of both formats.
func TestCredentialPolicy(t *testing.T) {
	reg := newRegistry(t)
	p := reg.params(t, pid(`{"path":["family_name"]}`))
	p.Policy.Countries = []string{"XA"}
	if r := verifyOne(t, reg.shown(t, nil, sdjwt.Path{"family_name"}), p); r.Verdict != core.Invalid || !strings.Contains(r.Reason, "country") {
		t.Errorf("%s %s", r.Verdict, r.Reason)
	}
	response, q := annexD(t)
	q.Policy.Countries = []string{"XA"}
	if r, err := core.Verify(t.Context(), response, q); err != nil || r.Verdict != core.Invalid {
		t.Errorf("%s %v", r.Verdict, err)
	}
}

// An answer in the other format than asked for is none.
func TestFormatAsAsked(t *testing.T) {
	reg := newRegistry(t)
	raw, err := mdoc.EncodeResponse(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.VerifyPresentations(t.Context(), map[string][]string{"pid": {jose.Encode(raw)}}, reg.params(t, pid(`{"path":["family_name"]}`))); err == nil {
		t.Error("an mdoc passed for an SD-JWT VC")
	}
	p := reg.params(t, `{"credentials":[{"id":"pid","format":"mso_mdoc","meta":{"doctype_value":"eu.europa.ec.eudi.pid.1"}}]}`)
	if _, err := core.VerifyPresentations(t.Context(), map[string][]string{"pid": {reg.shown(t, nil)}}, p); err == nil {
		t.Error("an SD-JWT VC passed for an mdoc")
	}
}

// A document of another authority than was asked for is refused, by name of the
// check, in both formats; what cannot be resolved is said to be so.
func TestTrustedAuthorities(t *testing.T) {
	r := newRegistry(t)
	text := r.shown(t, nil, sdjwt.Path{"family_name"})
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(s.Token.Header.X5C[0])
	if err != nil {
		t.Fatal(err)
	}
	own := base64.RawURLEncoding.EncodeToString(leaf.AuthorityKeyId)
	ask := func(authorities string) string {
		return strings.Replace(pid(`{"path":["family_name"]}`), `"claims"`, `"trusted_authorities":[`+authorities+`],"claims"`, 1)
	}
	for name, c := range map[string]struct {
		authorities string
		verdict     core.Verdict
		outcome     check.Outcome
	}{
		"the authority":              {`{"type":"aki","values":["AAAA","` + own + `"]}`, core.Valid, check.Pass},
		"another":                    {`{"type":"aki","values":["AAAA"]}`, core.Invalid, check.Fail},
		"a trusted list":             {`{"type":"etsi_tl","values":["https://lotl.example"]}`, core.Valid, check.Skip},
		"another, or a trusted list": {`{"type":"aki","values":["AAAA"]},{"type":"openid_federation","values":["https://x.example"]}`, core.Valid, check.Skip},
	} {
		res := verifyOne(t, text, r.params(t, ask(c.authorities)))
		found, ok := res.Documents[0].Report.Find("trusted authorities")
		if res.Verdict != c.verdict || !ok || found.Outcome != c.outcome || (c.verdict == core.Invalid) != (len(res.Documents[0].Elements) == 0) {
			t.Errorf("%s: %s %s", name, res.Verdict, res.Documents[0].Report)
		}
	}
	if _, ok := verifyOne(t, text, r.params(t, pid(`{"path":["family_name"]}`))).Documents[0].Report.Find("trusted authorities"); ok {
		t.Error("a check that nobody asked for")
	}

	response, p := annexD(t)
	for value, verdict := range map[string]core.Verdict{"AAAA": core.Invalid, "": core.Valid} {
		asked := p
		asked.Asked.Credentials = slices.Clone(p.Asked.Credentials)
		resp, err := mdoc.ParseDeviceResponse(response)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(resp.Documents[0].IssuerSigned.Auth.Sign1.X5Chain[0])
		if err != nil {
			t.Fatal(err)
		}
		asked.Asked.Credentials[0].Authorities = []query.Authority{{Type: query.AuthorityAKI, Value: firstOf(value, base64.RawURLEncoding.EncodeToString(leaf.AuthorityKeyId))}}
		res, err := core.Verify(t.Context(), response, asked)
		if err != nil || res.Documents[0].Verdict != verdict {
			t.Errorf("mdoc, %q: %s %v", value, res.Documents[0].Report, err)
		}
	}
}

// firstOf is the first that is not empty.
func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
