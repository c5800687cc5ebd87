package main

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/dcapi"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/securearea/software"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
)

const (
	wayURL  = "https://rp.example" // of the verifier: did:web is for https only
	wayPage = "https://shop.example"
)

// ways are relying parties of one verifier and a holder with a document in each
// format, joined by what stands for the network.
type ways struct {
	t *testing.T
	s *hosted
	v *verifier.Verifier
	w *wallet.Wallet

	registrars []assure.Anchor // that the app trusts
}

// cardType is a document with which holders pay.
const cardType = "testdata/card.yaml"

// way is how a transaction is answered. It returns where the browser goes next.
type way func(x *ways, tenant string, tr verifier.Transaction) string

// newWays has the holder get documents from the demonstration's authority. app
// configures the app, once there is a verifier.
func newWays(t *testing.T, cfg verifier.Config, app func(*ways) wallet.Config, deps wallet.Deps) *ways {
	t.Helper()
	types, err := doctype.Builtin().WithFiles(os.ReadFile, cardType)
	if err != nil {
		t.Fatal(err)
	}
	x := &ways{t: t, s: hostWith(t, func(_ *machine, c *Config) {
		c.Issuer.Types = []string{cardType}
		authority, dir := issuer.DemoTenant(), t.TempDir()
		if err := demodata.Write(dir); err != nil {
			t.Fatal(err)
		}
		authority.Source = filepath.Join(dir, demodata.Register)
		authority.Offerings = append(offering.Demo(authority.ID), offering.Offering{DocType: "org.example.card.1", Format: offering.FormatSDJWT})
		c.Issuer.Tenants = []issuer.Tenant{authority}
	})}
	cfg.Types, deps.Types = []string{cardType}, types
	follower := x.s.house.followIn(wallet.OnceTx(wallet.NewMemory()))
	cfg.URL, cfg.Trust = wayURL, "https://trust.example/default"
	d, err := db.Open(t.Context(), testkit.SQLite(t), "verifier", verifier.Schema)
	x.check(err)
	t.Cleanup(func() { d.Close() })
	x.v, err = verifier.New(cfg, verifier.Deps{DB: d, Area: x.area(1), Fetch: x.fetch, Now: time.Now, Anchors: x.alsoForCards(follower.Anchors)})
	x.check(err)
	deps.Storage, deps.Area, deps.Fetch, deps.Refresh = wallet.NewMemory(), x.area(2), x.fetch, follower.Refresh
	deps.Now = time.Now
	if deps.Consent == nil {
		deps.Consent = wallet.AutoApprove{Issuers: true}
	}
	var readers []assure.Anchor // somebody vouches for those with a certificate
	for _, tenant := range x.v.Tenants() {
		ca, err := x.v.ReaderCA(t.Context(), tenant)
		x.check(err)
		readers = append(readers, assure.FromCertificates(trustlist.Reader, "test", ca)...)
	}
	deps.Anchors = func(ctx context.Context, now time.Time) (*assure.Anchors, error) {
		a, err := follower.Anchors(ctx, now)
		if err != nil {
			return nil, err
		}
		return a.With(append(readers, x.registrars...)...)
	}
	x.w, err = wallet.New(app(x), deps)
	x.check(err)
	_, err = x.w.Install(t.Context(), x.s.urls[roleProvider]+"/default")
	x.check(err)
	for _, offering := range []string{"mdl", "pid-sd-jwt", "card-sd-jwt"} {
		made := x.s.offer(t, offering, issuer.OfferParams{TxCode: true})
		offer, err := x.w.ReadOffer(t.Context(), made.Link)
		x.check(err)
		_, err = x.w.Accept(t.Context(), offer, wallet.AcceptOptions{TxCode: made.TxCode})
		x.check(err)
	}
	return x
}

// alsoForCards adds the demonstration's authority for the type that its list does
// not name.
func (x *ways) alsoForCards(anchors func(context.Context, time.Time) (*assure.Anchors, error)) func(context.Context, time.Time) (*assure.Anchors, error) {
	return func(ctx context.Context, now time.Time) (*assure.Anchors, error) {
		a, err := anchors(ctx, now)
		if err != nil {
			return nil, err
		}
		resp, err := x.s.house.fetch(ctx, fetch.GetRequest(x.s.urls[roleIssuer]+"/default/iaca.pem", ""))
		if err != nil {
			return nil, err
		}
		certs, err := pki.ParseBundle(resp.Body)
		if err != nil {
			return nil, err
		}
		return a.With(assure.Anchor{Purpose: trustlist.Issuer, Certificate: certs[0], Name: "cards", DocTypes: []string{"urn:example:card:1"}})
	}
}

func (x *ways) check(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *ways) area(secret byte) *software.Area {
	x.t.Helper()
	area, err := software.Open(x.t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{secret}, 32)})
	x.check(err)
	return area
}

// fetch is the network: the verifier is at hand, the others are the
// demonstration's.
func (x *ways) fetch(ctx context.Context, r fetch.Request) (fetch.Response, error) {
	if !strings.HasPrefix(r.URL, wayURL+"/") {
		return x.s.house.fetch(ctx, r)
	}
	rec := x.serve(r)
	resp := fetch.Response{Status: rec.Code, Body: rec.Body.Bytes(), Header: map[string]string{}}
	for name := range rec.Header() {
		resp.Header[strings.ToLower(name)] = rec.Header().Get(name)
	}
	return resp, nil
}

func (x *ways) serve(r fetch.Request) *httptest.ResponseRecorder {
	req := httptest.NewRequest(r.Method, r.URL, bytes.NewReader(r.Body))
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	x.v.Handler().ServeHTTP(rec, req)
	return rec
}

// page is what a page of the relying party's own gets from the verifier.
func (x *ways) page(method, url string, body []byte) []byte {
	x.t.Helper()
	rec := x.serve(fetch.Request{Method: method, URL: url, Body: body, Header: map[string]string{"origin": wayPage, "content-type": "application/json"}})
	if rec.Code != http.StatusOK {
		x.t.Fatalf("%s %s: %d %s", method, url, rec.Code, rec.Body)
	}
	return rec.Body.Bytes()
}

// byLink has the holder answer the link of a transaction.
func (x *ways) byLink(_ string, tr verifier.Transaction) string {
	x.t.Helper()
	_, redirect, err := x.w.Answer(x.t.Context(), tr.Link)
	x.check(err)
	address, answer, ok := strings.Cut(redirect, "#")
	if !ok {
		return redirect
	}
	// What the script of the page does that the browser is sent to.
	if rec := x.serve(fetch.GetRequest(address, "")); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "/fragment.js") {
		x.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	rec := x.serve(fetch.Request{Method: "POST", URL: address, Body: []byte(answer), Header: map[string]string{"content-type": "application/x-www-form-urlencoded"}})
	redirect, err = oid4vp.ParseResult(fetch.Response{Status: rec.Code, Body: rec.Body.Bytes()})
	x.check(err)
	return redirect
}

// byBrowser has a page ask by one protocol of the Digital Credentials API, and
// hand on the answer.
func byBrowser(protocol string) way {
	return func(x *ways, _ string, tr verifier.Transaction) string {
		x.t.Helper()
		requests, err := dcapi.ParseRequests(x.page("GET", tr.Watch+"/dc", nil))
		x.check(err)
		var list []dcapi.Request
		for _, r := range requests {
			if r.Protocol == protocol {
				list = append(list, r)
			}
		}
		asked, err := json.Marshal(list)
		x.check(err)
		response, _, err := x.w.AnswerBrowser(x.t.Context(), asked, wayPage)
		x.check(err)
		var said struct {
			RedirectURI string `json:"redirect_uri"`
		}
		x.check(json.Unmarshal(x.page("POST", tr.Watch+"/dc", response), &said))
		return said.RedirectURI
	}
}

// byAnnexB has the holder answer by the older profile.
func (x *ways) byAnnexB(tenant string, tr verifier.Transaction) string {
	x.t.Helper()
	link, err := x.v.AnnexBLink(x.t.Context(), tenant, tr.ID)
	x.check(err)
	_, redirect, err := x.w.Answer(x.t.Context(), link)
	x.check(err)
	return redirect
}

// byReaderLink has the holder follow a reader's link; nothing brings the browser
// back.
func (x *ways) byReaderLink(tenant string, tr verifier.Transaction) string {
	x.t.Helper()
	link, err := x.v.ReaderLink(x.t.Context(), tenant, tr.ID)
	x.check(err)
	_, err = x.w.AnswerReaderLink(x.t.Context(), link, "rp.example")
	x.check(err)
	return wayURL + "/" + tenant + "/done?response_code=none"
}

// shares checks that a question gets its answer in a way.
func (x *ways) shares(name, tenant string, p verifier.AskParams, way way) {
	x.t.Helper()
	formats := map[string]string{"mso_mdoc": "mdl:family_name,age_over_18", "dc+sd-jwt": "pid@sd-jwt:family_name,birth_date"}
	if strings.HasPrefix(name, "ISO ") {
		delete(formats, "dc+sd-jwt") // a DeviceRequest asks for mdocs
	}
	if p.Agree != nil {
		formats = map[string]string{"dc+sd-jwt": "card@sd-jwt:family_name,birth_date"} // nothing else can agree
	}
	for format, ask := range formats {
		x.t.Run(tenant+" "+name+" "+format, func(t *testing.T) {
			at := *x
			at.t = t
			p.Ask = ask
			tr, err := x.v.Begin(t.Context(), tenant, p)
			at.check(err)
			if back := way(&at, tenant, tr); !strings.HasPrefix(back, wayURL+"/"+tenant+"/done?response_code=") {
				t.Errorf("the browser goes to %s", back)
			}
			o, err := x.v.Outcome(t.Context(), tenant, tr.ID, "")
			at.check(err)
			if o.State != verifier.Done || !o.Result.OK() || len(o.Result.Documents) != 1 {
				t.Fatalf("%+v %+v", o, o.Result)
			}
			if doc := o.Result.Documents[0]; doc.Format != format || doc.Device != "signature" || doc.Elements[0].Text != "Sommerfeld" || len(doc.Elements) != 2 {
				t.Errorf("%+v", doc)
			}
			if a := o.Result.Agreed; len(a) != len(p.Agree) || len(a) > 0 && (!strings.Contains(string(a[0].Data), `"amount":5`) || a[0].Lines[0] != "payment of: 5.00 EUR" || a[0].Credential == "" || a[0].Hash == "") {
				t.Errorf("agreed to %+v", a)
			}
		})
	}
}

// key is the public key of a relying party, as JWK.
func (x *ways) key(tenant string) jose.JWK {
	x.t.Helper()
	ca, err := x.v.CA(tenant)
	x.check(err)
	k, err := ca.Key(x.t.Context(), keyring.Reader, time.Now())
	x.check(err)
	kid, err := jose.ThumbprintString(k.Public())
	x.check(err)
	return jose.JWK{Key: k.Public(), KID: kid}
}

// attest has somebody vouch for a relying party and its key.
func (x *ways) attest(attester key.Signer, tenant string) string {
	x.t.Helper()
	token, err := jose.Sign(x.t.Context(), attester, jose.Header{Typ: oid4vp.AttestationType}, map[string]any{
		"iss": "https://attester.example", "sub": "shop-" + tenant, "exp": time.Now().Add(time.Hour).Unix(), "cnf": map[string]any{"jwk": x.key(tenant)},
		"redirect_uris": []string{wayURL + "/" + tenant + "/response"},
	})
	x.check(err)
	return token
}

// jwks is a JWK Set of one key.
func jwks(t *testing.T, k jose.JWK) string {
	t.Helper()
	text, err := json.Marshal(jose.Set{Keys: []jose.JWK{k}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWays: our verifier and our app, over HTTP, by every client identifier
// prefix, in every way a request and its answer go, in both formats.
func TestWays(t *testing.T) {
	attestation, statement := filepath.Join(t.TempDir(), "attestation.jwt"), filepath.Join(t.TempDir(), "statement.json")
	for name, text := range map[string]string{attestation: "none yet", statement: `{"says":"a shop"}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tenants := []verifier.Tenant{
		{ID: "hash", ClientID: verifier.ClientX509Hash, Info: []verifier.Info{{Format: "example", File: statement}}},
		{ID: "san", ClientID: verifier.ClientX509SANDNS},
		{ID: "did-web", ClientID: verifier.ClientDIDWeb}, {ID: "did-jwk", ClientID: verifier.ClientDIDJWK},
		{ID: "attested", ClientID: verifier.ClientAttestation, Attestation: attestation},
		{ID: "known", ClientID: verifier.ClientRegistered, RegisteredAs: "shop"},
		{ID: "many", ClientID: verifier.ClientX509Hash, AlsoNamed: []string{verifier.ClientX509SANDNS, verifier.ClientDIDWeb, verifier.ClientDIDJWK}},
	}
	for i := range tenants {
		tenants[i].Name, tenants[i].Origins = "Shop "+tenants[i].ID, []string{wayPage}
		tenants[i].TransactionTypes = []verifier.TransactionType{{Type: transaction.Payment, HashAlgorithms: []string{"sha-384"}}}
		tenants[i].Compatibility = verifier.Compatibility{Unsigned: true, ResponseModes: []string{oid4vp.DirectPost, oid4vp.Fragment}}
	}
	attester := testkit.Signer(t, elliptic.P256())
	app := func(x *ways) wallet.Config {
		x.check(os.WriteFile(attestation, []byte(x.attest(attester, "attested")+"\n"), 0o600))
		return wallet.Config{
			Attesters: []wallet.Attester{{Issuer: "https://attester.example", Keys: jwks(t, jose.JWK{Key: attester.Public()})}},
			Verifiers: []wallet.KnownVerifier{{ClientID: "shop", Name: "The shop", ResponseURIs: []string{wayURL + "/known/response"}, Keys: jwks(t, x.key("known"))}},
		}
	}
	x := newWays(t, verifier.Config{Tenants: tenants}, app, wallet.Deps{})
	pay := verifier.AskParams{Agree: []verifier.Agreement{{Type: transaction.Payment,
		Data: json.RawMessage(`{"payload":{"transaction_id":"1","payee":{"name":"Shop","id":"7"},"currency":"EUR","amount":5}}`)}}}
	for _, tenant := range tenants {
		for _, mode := range []string{oid4vp.DirectPostJWT, oid4vp.DirectPost, oid4vp.Fragment} {
			x.shares(mode+" by reference", tenant.ID, verifier.AskParams{ResponseMode: mode}, (*ways).byLink)
			x.shares(mode+" by value", tenant.ID, verifier.AskParams{ResponseMode: mode, ByValue: true}, (*ways).byLink)
		}
		x.shares("unsigned by reference", tenant.ID, verifier.AskParams{Unsigned: true}, (*ways).byLink)
		x.shares("unsigned by value", tenant.ID, verifier.AskParams{Unsigned: true, ByValue: true, ResponseMode: oid4vp.DirectPost}, (*ways).byLink)
		x.shares("unsigned fragment", tenant.ID, verifier.AskParams{Unsigned: true, ResponseMode: oid4vp.Fragment}, (*ways).byLink)
		protocols := []string{oid4vp.ProtocolSigned, oid4vp.ProtocolUnsigned}
		if tenant.AlsoNamed != nil {
			protocols = append(protocols, oid4vp.ProtocolMultisigned)
		}
		for _, protocol := range protocols {
			x.shares(protocol, tenant.ID, verifier.AskParams{}, byBrowser(protocol))
			x.shares("payment by "+protocol, tenant.ID, pay, byBrowser(protocol))
		}
		x.shares("payment by link", tenant.ID, pay, (*ways).byLink)
		x.shares("ISO Annex A", tenant.ID, verifier.AskParams{}, (*ways).byReaderLink)
		x.shares("ISO Annex B", tenant.ID, verifier.AskParams{}, (*ways).byAnnexB)
		x.shares("ISO Annex C", tenant.ID, verifier.AskParams{}, byBrowser(dcapi.ProtocolMdoc))
	}
}

// TestRegisteredShop: a registration certificate that eidos pki made goes along
// with the question, and the app shows what it says, and what is asked beyond it.
func TestRegisteredShop(t *testing.T) {
	dir := t.TempDir()
	statement, root := filepath.Join(dir, "registration.jwt"), filepath.Join(dir, "root.cer")
	if err := os.WriteFile(statement, []byte("none yet"), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked []wallet.Question
	consent := consentFunc(func(q wallet.Question) (wallet.Answer, error) {
		asked = append(asked, q)
		return wallet.AutoApprove{Issuers: true}.Ask(t.Context(), q)
	})
	x := newWays(t, verifier.Config{Tenants: []verifier.Tenant{{ID: "shop", Name: "Shop Ltd", Country: "UT", Identifier: "VATUT-1",
		ClientID: verifier.ClientX509Hash, Info: []verifier.Info{{Format: "registration_cert", File: statement}}}}},
		func(*ways) wallet.Config { return wallet.Config{} }, wallet.Deps{Consent: consent})
	keys := pkiKeys{Keys: filepath.Join(dir, "pki")}
	x.check((&pkiRootCmd{pkiKeys: keys, Name: "Utopia Register", Contact: "a@b.example", Out: root}).Run(x.s.m, "registrar-ca"))
	make := pkiRegistrationCmd{pkiKeys: keys, Identifier: "VATUT-1", Name: "Shop Ltd", Country: "UT", Purpose: []string{"To sell wine", "de=Wein"}, Ask: "mdl:age_over_18", Registry: "https://registry.example",
		Privacy: "https://shop.example/privacy", Entitlement: []string{"https://uri.etsi.org/19475/Entitlement/Service_Provider"}, Days: 365, Out: statement}
	x.check(make.Run(x.s.m))
	der, err := os.ReadFile(root)
	x.check(err)
	certs, err := pki.ParseBundle(der)
	x.check(err)
	x.registrars = assure.FromCertificates(trustlist.Registrar, "test", certs[0])

	for ask, beyond := range map[string][]string{"mdl:age_over_18": nil, "mdl:age_over_18,family_name": {"Family name"}} {
		tr, err := x.v.Begin(t.Context(), "shop", verifier.AskParams{Ask: ask})
		x.check(err)
		x.byLink("shop", tr)
		r := asked[len(asked)-1].Party.Registration
		if r == nil || r.Owner != "Shop Ltd" || r.Identifier != "VATUT-1" || r.Registrar != "Utopia Register" || !slices.Equal(r.Purposes, []string{"To sell wine"}) || !slices.Equal(r.Beyond, beyond) {
			t.Errorf("%s: %+v", ask, r)
		}
	}
	make.Days = 400
	if err := make.Run(x.s.m); err == nil || !strings.Contains(err.Error(), "12 months") {
		t.Errorf("too long: %v", err)
	}
}

// consentFunc is a Consent of a test.
type consentFunc func(wallet.Question) (wallet.Answer, error)

func (f consentFunc) Ask(_ context.Context, q wallet.Question) (wallet.Answer, error) { return f(q) }
