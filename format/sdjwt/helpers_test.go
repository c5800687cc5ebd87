package sdjwt_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

const vct = "urn:example:pid:1"

// authority is an issuing authority with one signer.
type authority struct {
	key    *testkit.Key
	signer []byte // DER
	pool   *pki.Pool
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	rootKey, a := testkit.Signer(t, elliptic.P256()), authority{key: testkit.Signer(t, elliptic.P256())}
	certify := func(p pki.Profile, tpl pki.Template) *x509.Certificate {
		t.Helper()
		tpl.Subject.Country, tpl.Subject.Organization = "UT", "Utopia"
		tpl.NotBefore, tpl.NotAfter = pki.Validity(now, 400*24*time.Hour)
		return pkitest.Issue(t, p, tpl, rootKey)
	}
	root := certify(pki.ServiceCA, pki.Template{
		Subject: pki.Name{CommonName: "Utopia CA"}, PublicKey: rootKey.Public(), Contact: "https://ca.utopia.example"})
	a.signer = certify(pki.CredentialSigner, pki.Template{
		Subject: pki.Name{CommonName: "Utopia signer"}, PublicKey: a.key.Public(), Issuer: root, CRLURL: "https://ca.utopia.example/crl"}).Raw
	a.pool = pki.NewPool(root)
	return a
}

// validate is a ChainValidator.
func (a authority) validate(chain [][]byte, _ string, now time.Time) (sdjwt.Issuer, check.Report) {
	path, report := pki.VerifyDER(chain, a.pool, pki.VerifyOptions{Now: now, Profile: pki.CredentialSigner})
	s := &path.Signer
	return sdjwt.Issuer{Key: s.Key, Country: s.Country, NotBefore: s.NotBefore, NotAfter: s.NotAfter}, report
}

func (a authority) params(holder *testkit.Key, claims ...sdjwt.Node) sdjwt.IssueParams {
	midnight := now.Truncate(24 * time.Hour)
	p := sdjwt.IssueParams{
		VCT: vct, IssuedAt: midnight, NotBefore: midnight, Expires: midnight.AddDate(0, 0, 14), Chain: [][]byte{a.signer},
		Status: &status.Claim{List: &status.ListReference{Index: 4711, URI: "https://issuer.utopia.example/status/1"}},
		Claims: claims,
	}
	if holder != nil {
		p.HolderKey = holder.Public()
	}
	return p
}

func (a authority) issue(t testing.TB, p sdjwt.IssueParams) string {
	t.Helper()
	text, err := sdjwt.Issue(t.Context(), p, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign makes an SD-JWT of any payload and disclosures.
func (a authority) sign(t testing.TB, payload string, disclosures ...string) string {
	t.Helper()
	text, err := jose.SignBytes(t.Context(), a.key, jose.Header{Typ: sdjwt.Type, X5C: [][]byte{a.signer}}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text += "~"
	for _, d := range disclosures {
		text += jose.Encode([]byte(d)) + "~"
	}
	return text
}

// binding is what the verifier of these tests expects.
var binding = sdjwt.KeyBinding{Audience: "x509_hash:verifier", Nonce: "n-0S6_WzA2Mj", IssuedAt: now}

func (a authority) verify() sdjwt.VerifyParams {
	return sdjwt.VerifyParams{
		Now: now, Skew: time.Minute, ValidateChain: a.validate, VCT: vct,
		KeyBinding: &sdjwt.KeyBindingParams{Audience: binding.Audience, Nonce: binding.Nonce},
	}
}

// present selects and signs.
func present(t testing.TB, stored string, holder *testkit.Key, paths ...sdjwt.Path) string {
	t.Helper()
	p, err := sdjwt.Select(stored, paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Sign(t.Context(), binding, holder); err != nil {
		t.Fatal(err)
	}
	return p.String()
}

func leaf(name string, value any) sdjwt.Node {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return sdjwt.Node{Name: name, SD: sdjwt.Always, Value: text}
}

// person is a tree with everything: nested, recursive, arrays, and claims that
// are always there.
func person() []sdjwt.Node {
	never := leaf("issuing_country", "UT")
	never.SD = sdjwt.Never
	return []sdjwt.Node{
		leaf("family_name", "Sommerfeld"), leaf("given_name", "Ada Marlene"), never,
		{Name: "address", SD: sdjwt.Always, Members: []sdjwt.Node{leaf("locality", "Capital"), leaf("country", "UT"),
			{Name: "kind", SD: sdjwt.Never, Value: json.RawMessage(`"home"`)}}},
		{Name: "nationalities", SD: sdjwt.Never, Elements: []sdjwt.Node{leaf("", "UT"), leaf("", "XA")}},
		{Name: "degrees", SD: sdjwt.Always, Elements: []sdjwt.Node{
			{SD: sdjwt.Never, Members: []sdjwt.Node{leaf("field", "physics"), leaf("year", 2007)}},
			{SD: sdjwt.Always, Members: []sdjwt.Node{leaf("field", "law"), leaf("year", 2011)}},
		}},
	}
}
