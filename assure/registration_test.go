package assure_test

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/registration"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/statuslist"
)

// registered is a payload as ETSI TS 119 475 V1.2.1, Annex C has it, with the
// member of table 10 in the place of the one in the example.
const registered = `{"name":"Shop","sub":"VATUT-1","sub_ln":"Shop Ltd","country":"UT","registry_uri":"https://registry.example/api",
	"srv_description":[[{"lang":"en","value":"A shop"}]],"entitlements":["https://uri.etsi.org/19475/Entitlement/Service_Provider"],
	"privacy_policy":"https://shop.example/privacy","support_uri":"https://shop.example/support","supervisory_authority":{"email":"dpa@example.ut"},
	"policy_id":["0.4.0.19475.3.1"],"iat":%IAT%,"exp":%EXP%,"purpose":[{"lang":"de","value":"Alter"},{"lang":"en","value":"Age check"}],
	"credentials":[{"format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},"claim":[{"path":["org.iso.18013.5.1","age_over_18"]}]},
		{"format":"dc+sd-jwt","meta":{"vct_values":["urn:eudi:pid:1"]},"claims":[{"path":["address"]},{"path":["nationalities",null]}]}],
	"intended_use_id":"7","status":{"status_list":{"idx":3,"uri":"https://registry.example/status"}}}`

// judging answers for a status list.
type judging statuslist.Outcome

func (j judging) Check(context.Context, statuslist.Question, time.Time) (statuslist.Verdict, check.Report) {
	return statuslist.Verdict{Outcome: statuslist.Outcome(j)}, check.Report{}
}

func TestVerifyRegistration(t *testing.T) {
	r := newRegistrar(t)
	sign := func(typ string, change func(string) string) string {
		payload := strings.NewReplacer("%IAT%", "1795300000", "%EXP%", "1797000000").Replace(registered)
		return r.sign(typ, []byte(change(payload)))
	}
	same := func(s string) string { return s }
	put := func(old, with string) func(string) string {
		return func(s string) string {
			if !strings.Contains(s, old) {
				t.Fatalf("no %s", old)
			}
			return strings.Replace(s, old, with, 1)
		}
	}
	p := assure.RegistrationParams{Now: now, Anchors: r.anchors, Subject: "VATUT-1", Status: judging(statuslist.Valid)}
	c, signer, rep := assure.VerifyRegistration(t.Context(), sign(registration.Type, same), p)
	if !rep.OK() || signer.Organisation() == "" || c.Owner() != "Shop Ltd" || c.IntendedUse != "7" || c.Purpose[1].Value != "Age check" {
		t.Fatalf("%+v %s", c, rep)
	}
	for _, x := range []struct {
		format, docType string
		path            []any
		covered         bool
	}{
		{"mso_mdoc", "org.iso.18013.5.1.mDL", []any{"org.iso.18013.5.1", "age_over_18"}, true},
		{"mso_mdoc", "org.iso.18013.5.1.mDL", []any{"org.iso.18013.5.1", "family_name"}, false},
		{"dc+sd-jwt", "org.iso.18013.5.1.mDL", []any{"org.iso.18013.5.1", "age_over_18"}, false},
		{"dc+sd-jwt", "urn:eudi:pid:1", []any{"address", "locality"}, true},
		{"dc+sd-jwt", "urn:eudi:pid:1", []any{"nationalities", 0}, true},
		{"dc+sd-jwt", "urn:eudi:pid:1", []any{"nationalities", "x"}, false},
		{"dc+sd-jwt", "urn:eudi:pid:1", []any{"nationalities"}, false},
	} {
		claims, _ := c.Registered(x.format, x.docType)
		got := false
		for _, cl := range claims {
			got = got || cl.Covers(x.path)
		}
		if got != x.covered {
			t.Errorf("%v: %v", x, got)
		}
	}
	payload, err := c.MarshalPayload()
	if err != nil {
		t.Fatal(err)
	}
	if c, _, rep := assure.VerifyRegistration(t.Context(), r.sign(registration.Type, payload), p); !rep.OK() || len(c.Credentials) != 2 {
		t.Errorf("written again: %s", rep)
	}
	other := newRegistrar(t)
	for _, x := range []struct {
		name, text string
		change     func(*assure.RegistrationParams)
		check      string
		outcome    check.Outcome
	}{
		{"another type", sign("jwt", same), nil, "registration certificate", check.Fail},
		{"not a JWT", "x", nil, "registration certificate", check.Fail},
		{"without sub", sign(registration.Type, put(`"sub":"VATUT-1",`, "")), nil, "registration certificate", check.Fail},
		{"without entitlements", sign(registration.Type, put(`["https://uri.etsi.org/19475/Entitlement/Service_Provider"]`, "[]")), nil, "registration certificate", check.Fail},
		{"too long", sign(registration.Type, put("1797000000", "1897000000")), nil, "registration certificate", check.Fail},
		{"a path of objects", sign(registration.Type, put(`["address"]`, `[{}]`)), nil, "registration certificate", check.Fail},
		{"a negative index", sign(registration.Type, put(`["address"]`, `["a",-1]`)), nil, "registration certificate", check.Fail},
		{"over", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Now = time.Unix(1797000100, 0) }, "registration time", check.Fail},
		{"not yet", sign(registration.Type, put("1795300000", "1796000000")), nil, "registration time", check.Fail},
		{"of somebody else", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Subject = "VATUT-2" }, "registered party", check.Fail},
		{"of nobody known", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Subject = "" }, "registered party", check.Fail},
		{"through somebody", sign(registration.Type, put(`"purpose"`, `"intermediary":{"sub":"VATUT-9","sname":"Hub"},"purpose"`)), nil, "registered party", check.Fail},
		{"withdrawn", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Status = judging(statuslist.Invalid) }, "registration status", check.Fail},
		{"no status to be had", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Status = judging(statuslist.Unknown) }, "registration status", check.Warn},
		{"status not asked for", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Status = nil }, "registration status", check.Skip},
		{"another registrar", sign(registration.Type, same), func(p *assure.RegistrationParams) { p.Anchors = other.anchors }, "registrar: trust anchor", check.Fail},
		{"changed", strings.Replace(sign(registration.Type, same), ".", ".e30", 1), nil, "registration certificate", check.Fail},
		{"signed by another", mix(sign(registration.Type, same), other.sign(registration.Type, []byte(`{}`))), nil, "registration signature", check.Fail},
	} {
		params := p
		if x.change != nil {
			x.change(&params)
		}
		_, _, rep := assure.VerifyRegistration(t.Context(), x.text, params)
		if found, ok := rep.Find(x.check); !ok || found.Outcome != x.outcome || rep.OK() != (x.outcome != check.Fail) {
			t.Errorf("%s: %s", x.name, rep)
		}
	}
	through := p
	through.Subject = "VATUT-9"
	if _, _, rep := assure.VerifyRegistration(t.Context(), sign(registration.Type, put(`"purpose"`, `"intermediary":{"sub":"VATUT-9","sname":"Hub"},"act":{"sub":"VATUT-9"},"purpose"`)), through); !rep.OK() {
		t.Errorf("through an intermediary: %s", rep)
	}
}

// mix is a token with the signature of another.
func mix(token, other string) string {
	return token[:strings.LastIndexByte(token, '.')] + other[strings.LastIndexByte(other, '.'):]
}

// FuzzRegistration: nothing makes the reader panic, and what is taken can be
// written and read again.
func FuzzRegistration(f *testing.F) {
	r := newRegistrar(f)
	f.Add([]byte(strings.NewReplacer("%IAT%", "1795300000", "%EXP%", "1797000000").Replace(registered)))
	f.Add([]byte(`{"name":"a","sub":"b","entitlements":["c"],"iat":1,"credentials":[{"format":"x","claim":[{"path":[1,null,"a"]}]}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !json.Valid(payload) {
			return
		}
		token, err := jose.Sign(t.Context(), r.key, jose.Header{Typ: registration.Type, X5C: r.chain}, json.RawMessage(payload))
		if err != nil {
			t.Skip(err)
		}
		c, _, err := registration.Parse(token)
		if err != nil {
			return
		}
		if _, err := c.MarshalPayload(); err != nil {
			t.Error(err)
		}
	})
}

// registrar registers relying parties.
type registrar struct {
	t       testing.TB
	anchors *assure.Anchors
	chain   [][]byte
	key     *testkit.Key
}

func newRegistrar(t testing.TB) registrar {
	t.Helper()
	ca, leaf := testkit.Signer(t, elliptic.P256()), testkit.Signer(t, elliptic.P256())
	nb, na := pki.Validity(now, 300*24*time.Hour)
	tpl := pki.Template{Subject: pki.Name{Country: "UT", Organization: "Utopia Register", CommonName: "Registrar CA"}, PublicKey: ca.Public(), NotBefore: nb, NotAfter: na, Contact: "a@b.example"}
	root := pkitest.Issue(t, pki.ServiceCA, tpl, ca)
	tpl.Subject.CommonName, tpl.PublicKey, tpl.Issuer = "Registrar", leaf.Public(), root
	signer := pkitest.Issue(t, pki.CredentialSigner, tpl, ca)
	return registrar{t, trusting(t, trustlist.Registrar, root), [][]byte{signer.Raw}, leaf}
}

func (r registrar) sign(typ string, payload []byte) string {
	r.t.Helper()
	token, err := jose.Sign(context.Background(), r.key, jose.Header{Typ: typ, X5C: r.chain}, json.RawMessage(payload))
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}
