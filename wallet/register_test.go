package wallet_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/registration"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/protocol/oid4vp"
)

// shopWith is a relying party with an identifier in its certificate, and what
// signs registrations for it: a registrar that the app trusts.
func (w *world) shopWith(id string) (*relyingParty, func(c registration.Certificate) oid4vp.VerifierInfo) {
	w.t.Helper()
	rp := certify(w.t, pki.ReaderAuth, w.Clock.Now(), "Shop", &w.readerCA)
	nb, na := pki.Validity(w.Clock.Now(), 300*24*time.Hour)
	der, err := pki.Issue(w.t.Context(), pki.ReaderAuth, pki.Template{Subject: pki.Name{Country: "UT", Organization: "Shop", OrganizationID: id, CommonName: "Shop"},
		PublicKey: rp.Public(), Issuer: w.readerCA.cert, NotBefore: nb, NotAfter: na, CRLURL: "http://crl.example"}, w.readerCA.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	if rp.cert, err = pki.ParseCertificate(der); err != nil {
		w.t.Fatal(err)
	}
	ca := certify(w.t, pki.ServiceCA, w.Clock.Now(), "Utopia Register", nil)
	signer := certify(w.t, pki.CredentialSigner, w.Clock.Now(), "Registrar", &ca)
	if w.anchors, err = w.anchors.With(assure.FromCertificates(trustlist.Registrar, "test", ca.cert)...); err != nil {
		w.t.Fatal(err)
	}
	v := w.relyingParty(rp)
	return v, func(c registration.Certificate) oid4vp.VerifierInfo {
		payload, err := c.MarshalPayload()
		if err != nil {
			w.t.Fatal(err)
		}
		token, err := jose.Sign(w.t.Context(), signer, jose.Header{Typ: registration.Type, X5C: signer.chain()}, json.RawMessage(payload))
		if err != nil {
			w.t.Fatal(err)
		}
		data, err := json.Marshal(token)
		if err != nil {
			w.t.Fatal(err)
		}
		return oid4vp.VerifierInfo{Format: registration.Format, Data: data}
	}
}

// registeredShop is a shop that may ask for the age.
func registeredShop(now time.Time) registration.Certificate {
	return registration.Certificate{
		Name: "Shop", Subject: "VATUT-1", LegalName: "Shop Ltd", Country: "UT", Registry: "https://registry.example",
		Entitlements: []string{"https://uri.etsi.org/19475/Entitlement/Service_Provider"}, PrivacyPolicy: "https://shop.example/privacy",
		Support: "https://shop.example/support", Supervision: registration.Supervision{Email: "dpa@example.ut"},
		Purpose:     []registration.Text{{Lang: "de", Value: "Alter"}, {Lang: "en", Value: "To sell\x1b wine"}},
		Credentials: []registration.Credential{{Format: "mso_mdoc", Meta: registration.Meta{DocType: "org.iso.18013.5.1.mDL"}, Claim: []registration.Claim{{Path: []any{"org.iso.18013.5.1", "age_over_18"}}}}},
		Times:       jose.Times{IssuedAt: jose.NewDate(now), Expires: jose.NewDate(now.Add(24 * time.Hour))},
	}
}

// TestRegistration: the holder sees who is registered for what, and what is asked
// beyond it; the log and the rights know the authority.
func TestRegistration(t *testing.T) {
	w := newWorld(t)
	d, _ := w.holder(nil)
	v, sign := w.shopWith("VATUT-1")
	v.engine.Info = []oid4vp.VerifierInfo{{Format: "unknown", Data: json.RawMessage(`{"x":1}`)}, sign(registeredShop(w.Clock.Now()))}
	entry, _, err := d.Answer(t.Context(), v.link(nameAndAge))
	if err != nil {
		t.Fatal(err)
	}
	q := d.consent.last()
	r := q.Party.Registration
	if r == nil || r.Owner != "Shop Ltd" || r.Identifier != "VATUT-1" || r.Registrar != "Utopia Register" || !slices.Equal(r.Purposes, []string{"To sell\ufffd wine"}) || !slices.Equal(r.Beyond, []string{"Family name"}) {
		t.Fatalf("%+v", r)
	}
	text := q.Text()
	for _, want := range []string{"  registered as Shop Ltd (VATUT-1) by Utopia Register\n", "  registered purpose: To sell\ufffd wine\n", "  what it does with data: https://shop.example/privacy\n",
		"  ! It asks for more than it is registered to: Family name.\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if c := entry.Party.Contact; c == nil || !slices.Equal(c.Authorities, []string{"dpa@example.ut"}) || !slices.Contains(c.Websites, "https://shop.example/support") || entry.Party.Registration == nil {
		t.Errorf("%+v", entry.Party)
	}
	if rep, err := d.Report(t.Context(), entry.ID, "x"); err != nil || !slices.Contains(rep.Authorities, "dpa@example.ut") {
		t.Errorf("%+v %v", rep.Authorities, err)
	}

	all := registeredShop(w.Clock.Now())
	all.Credentials[0].Claim = nil
	silent := registeredShop(w.Clock.Now())
	silent.Credentials = nil
	other := registeredShop(w.Clock.Now())
	other.Credentials[0].Meta.DocType = "org.example"
	for name, c := range map[string]struct {
		info   []oid4vp.VerifierInfo
		beyond []string
	}{
		"all claims":                  {[]oid4vp.VerifierInfo{sign(all)}, nil},
		"nothing said about claims":   {[]oid4vp.VerifierInfo{sign(silent)}, nil},
		"another document":            {[]oid4vp.VerifierInfo{sign(other)}, []string{"Driving licence"}},
		"two that are good together":  {[]oid4vp.VerifierInfo{sign(other), sign(all)}, nil},
		"about another of the query":  {[]oid4vp.VerifierInfo{withID(sign(other), "licence"), sign(all)}, nil},
		"one for it, one for nothing": {[]oid4vp.VerifierInfo{sign(registeredShop(w.Clock.Now())), sign(other)}, []string{"Family name"}},
	} {
		v.engine.Info = c.info
		if _, _, err := d.Answer(t.Context(), v.link(nameAndAge)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r := d.consent.last().Party.Registration; r == nil || !slices.Equal(r.Beyond, c.beyond) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func withID(i oid4vp.VerifierInfo, ids ...string) oid4vp.VerifierInfo {
	i.CredentialIDs = ids
	return i
}

// TestRegistrationNotBelieved: what is of somebody else, over, or of a stranger
// says nothing, and the holder is told why.
func TestRegistrationNotBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		id, says string
		change   func(*world, *oid4vp.VerifierInfo, *registration.Certificate)
	}{
		"of somebody else": {"VATUT-2", "registered party", nil},
		"without a name":   {"", "registered party", nil},
		"over": {"VATUT-1", "registration time", func(w *world, _ *oid4vp.VerifierInfo, c *registration.Certificate) {
			c.IssuedAt, c.Expires = jose.NewDate(w.Clock.Now().Add(-48*time.Hour)), jose.NewDate(w.Clock.Now().Add(-time.Hour))
		}},
		"of a stranger": {"VATUT-1", "registrar", func(w *world, _ *oid4vp.VerifierInfo, _ *registration.Certificate) {
			w.anchors, _ = assure.NewAnchors(append(w.anchors.For(trustlist.Issuer), w.anchors.For(trustlist.Reader)...)...)
		}},
		"no certificate": {"VATUT-1", "registration certificate", func(_ *world, i *oid4vp.VerifierInfo, _ *registration.Certificate) { i.Data = json.RawMessage(`"x"`) }},
	} {
		w := newWorld(t)
		d, _ := w.holder(nil)
		v, sign := w.shopWith(c.id)
		cert := registeredShop(w.Clock.Now())
		if c.change != nil {
			c.change(w, new(oid4vp.VerifierInfo), &cert)
		}
		info := sign(cert)
		if c.change != nil {
			c.change(w, &info, &cert)
		}
		v.engine.Info = []oid4vp.VerifierInfo{info}
		if _, _, err := d.Answer(t.Context(), v.link(nameAndAge)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		q := d.consent.last()
		if told := slices.ContainsFunc(q.Warnings, func(s string) bool {
			return strings.HasPrefix(s, "It sent a registration certificate that is not to be believed: "+c.says)
		}); !told || q.Party.Registration != nil {
			t.Errorf("%s: %q %+v", name, q.Warnings, q.Party.Registration)
		}
	}
	// Nothing sent, and nothing known of what was sent: nothing is said.
	w := newWorld(t)
	d, _ := w.holder(nil)
	v, _ := w.shopWith("VATUT-1")
	v.engine.Info = []oid4vp.VerifierInfo{{Format: "jwt", Data: json.RawMessage(`"x"`)}, {Format: registration.Format, Data: json.RawMessage(`{"cwt":1}`)}}
	if _, _, err := d.Answer(t.Context(), v.link(nameAndAge)); err != nil {
		t.Fatal(err)
	}
	if q := d.consent.last(); q.Party.Registration != nil || strings.Contains(q.Text(), "regist") {
		t.Errorf("%s", q.Text())
	}
}
