package issuer

import (
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// The PID as SD-JWT VC: under the authority's root, each copy for a key of its
// own, with a status index of its own, times at midnight and nothing of the
// person in clear.
func TestSDJWT(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	p, token := w.accept("ada", "pid-sd-jwt")
	credentials, signers, err := p.get(token, "pid-sd-jwt", 3)
	if err != nil || len(credentials) != 3 {
		t.Fatalf("%d copies, %v", len(credentials), err)
	}
	var salts, digests []string
	indexes := map[uint64]bool{}
	for i, c := range credentials {
		s, err := sdjwt.Parse(c, sdjwt.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		doc, report := assure.VerifyIssuedSDJWT(t.Context(), s, assure.DocumentParams{Now: w.Now(), Anchors: w.anchors(), DocType: "urn:eudi:pid:1", Strict: true})
		if !report.OK() {
			t.Fatalf("%s", report)
		}
		if !slices.ContainsFunc(signers, func(k key.Signer) bool { return key.Equal(k.Public(), doc.HolderKey) }) || doc.HolderKey == crypto.PublicKey(nil) {
			t.Errorf("copy %d is bound to another key", i)
		}
		for name, at := range map[string]time.Time{"iat": doc.IssuedAt, "nbf": doc.NotBefore, "exp": doc.Expires} {
			if at.IsZero() || !at.Equal(at.Truncate(day)) {
				t.Errorf("%s is %v", name, at)
			}
		}
		if doc.Status == nil || doc.Status.List == nil || indexes[doc.Status.List.Index] {
			t.Errorf("status %+v", doc.Status)
		} else {
			indexes[doc.Status.List.Index] = true
		}
		if got, err := doc.Payload.Select(sdjwt.Path{"family_name"}); err != nil || len(got) != 1 || string(got[0].Value) != `"Sommerfeld"` {
			t.Errorf("family_name %v, %v", got, err)
		}
		for _, d := range s.Disclosures {
			salts = append(salts, d.Salt)
		}
		var clear struct {
			SD []string `json:"_sd"`
		}
		if err := json.Unmarshal(s.Token.Payload, &clear); err != nil || strings.Contains(string(s.Token.Payload), "Sommerfeld") {
			t.Errorf("in clear: %s", s.Token.Payload)
		}
		digests = append(digests, clear.SD...)
	}
	for what, list := range map[string][]string{"salt": salts, "digest": digests} {
		slices.Sort(list)
		if n := len(list); n < 30 || len(slices.Compact(list)) != n {
			t.Errorf("a %s occurs twice among %d", what, n)
		}
	}
	conf := p.metadata.Configurations["pid-sd-jwt"]
	if conf.Format != "dc+sd-jwt" || conf.VCT != "urn:eudi:pid:1" || conf.DocType != "" || !slices.Equal(conf.BindingMethods, []string{"jwk"}) ||
		len(conf.CredentialMetadata.Claims) < 20 {
		t.Errorf("%+v", conf)
	}
}

// A type that the authority describes itself is served where the documents say,
// and they hold its integrity value.
func TestTypeMetadata(t *testing.T) {
	w := newWorld(t, testkit.SQLite(t))
	tenant := w.authority.tenants["default"]
	o := tenant.offerings["pid-sd-jwt"]
	o.VCT = offering.VCTHere
	tenant.offerings["pid-sd-jwt"], tenant.base = o, "https://issuer.example/default" // no name is proved by http
	vct := tenant.base + "/types/pid-sd-jwt"
	c, refusal, err := tenant.content(t.Context(), o, "ada", w.Now())
	if err != nil || refusal != nil {
		t.Fatal(refusal, err)
	}
	signer, err := tenant.ca.Key(t.Context(), keyring.Credential, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	holder := testkit.Signer(t, elliptic.P256())
	answer, err := tenant.signSDJWT(t.Context(), c, &oid4vci.CredentialRequest{Keys: []crypto.PublicKey{holder.Public()}}, []statuslist.Entry{{List: "x"}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sdjwt.Parse(answer.Credentials[0], sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Integrity string `json:"vct#integrity"`
	}
	if err := json.Unmarshal(s.Token.Payload, &claims); err != nil || s.VCT() != vct {
		t.Fatalf("vct %s, %v", s.VCT(), err)
	}
	conf, err := tenant.configuration(o)
	if err != nil || conf.VCT != vct {
		t.Errorf("metadata: %s, %v", conf.VCT, err)
	}
	resp, err := via(w.authority)(t.Context(), fetch.GetRequest(base+"/types/pid-sd-jwt", "application/json"))
	if err != nil || resp.Status != 200 {
		t.Fatalf("%d, %v", resp.Status, err)
	}
	m, err := sdjwt.ResolveType(vct, claims.Integrity, map[string][]byte{vct: resp.Body})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := s.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	if report := m.Check(payload, true); !report.OK() {
		t.Errorf("%s", report)
	}
	typ, _ := w.authority.types.ByDocType(o.DocType)
	one, err1 := tenant.describe(o, typ)
	two, err2 := tenant.describe(o, typ)
	if one != two || err1 != nil || err2 != nil {
		t.Errorf("described anew for each request: %v %v", err1, err2)
	}
	for _, path := range []string{"/types/mdl", "/types/nothing", "/types/pid"} {
		if resp, err := via(w.authority)(t.Context(), fetch.GetRequest(base+path, "")); err != nil || resp.Status != 404 {
			t.Errorf("%s: %d, %v", path, resp.Status, err)
		}
	}
	cfg := Config{Tenants: []Tenant{DemoTenant()}}
	cfg.Tenants[0].Offerings = []offering.Offering{o}
	if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "vct") {
		t.Errorf("an address with http as a type: %v", err)
	}
}
