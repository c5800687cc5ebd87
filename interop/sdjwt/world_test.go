package sdjwt_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/internal/testkit"
)

var now = time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)

const (
	audience = "x509_hash:verifier"
	nonce    = "n-0S6_WzA2Mj"
	listURI  = "https://issuer.example/status/1"
	index    = 412
)

// authority is an issuing authority with one signer.
type authority struct {
	root, signer *x509.Certificate
	key          *testkit.Key // the signer's
}

func newAuthority(t testing.TB, curve elliptic.Curve) authority {
	t.Helper()
	rootKey, a := testkit.Signer(t, curve), authority{key: testkit.Signer(t, curve)}
	certify := func(p pki.Profile, tpl pki.Template) *x509.Certificate {
		t.Helper()
		tpl.Subject.Country, tpl.Subject.Organization = "UT", "Utopia"
		tpl.NotBefore, tpl.NotAfter = pki.Validity(now, 400*24*time.Hour)
		return pkitest.Issue(t, p, tpl, rootKey)
	}
	a.root = certify(pki.ServiceCA, pki.Template{
		Subject: pki.Name{CommonName: "Utopia CA"}, PublicKey: rootKey.Public(), Contact: "https://ca.utopia.example"})
	a.signer = certify(pki.CredentialSigner, pki.Template{
		Subject: pki.Name{CommonName: "Utopia signer"}, PublicKey: a.key.Public(), Issuer: a.root, CRLURL: "https://ca.utopia.example/crl"})
	return a
}

// verify is what our verifier knows.
func (a authority) verify(t testing.TB) sdjwt.VerifyParams {
	pool := pki.NewPool(a.root)
	return sdjwt.VerifyParams{
		Now: now, VCT: pid(t).VCT, KeyBinding: &sdjwt.KeyBindingParams{Audience: audience, Nonce: nonce},
		ValidateChain: func(chain [][]byte, _ string, now time.Time) (sdjwt.Issuer, check.Report) {
			path, report := pki.VerifyDER(chain, pool, pki.VerifyOptions{Now: now, Profile: pki.CredentialSigner})
			return sdjwt.Issuer{Key: path.Signer.Key}, report
		},
	}
}

// verifying asks the peer for the same.
func (a authority) verifying(t testing.TB, credential string) task {
	t.Helper()
	return task{"do": "verify", "credential": credential, "anchors": base64s(a.root.Raw), "now": now.Unix(), "statusList": a.list(t)}
}

func base64s(list ...[]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = base64.StdEncoding.EncodeToString(b)
	}
	return out
}

// list is our status list token, with the given indexes revoked.
func (a authority) list(t testing.TB, revoked ...int) string {
	t.Helper()
	l, err := status.NewList(1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range revoked {
		if err := l.Set(uint64(i), status.Invalid); err != nil {
			t.Fatal(err)
		}
	}
	c, err := l.Compress()
	if err != nil {
		t.Fatal(err)
	}
	token, err := status.SignJWT(t.Context(), a.key, status.Headers{X5Chain: [][]byte{a.signer.Raw}},
		status.Claims{URI: listURI, Issued: now, Expires: now.AddDate(0, 1, 0)}, c)
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func (a authority) params(t testing.TB, holder *testkit.Key, claims []sdjwt.Node) sdjwt.IssueParams {
	midnight := now.Truncate(24 * time.Hour)
	return sdjwt.IssueParams{
		VCT: pid(t).VCT, IssuedAt: midnight, NotBefore: midnight, Expires: midnight.AddDate(0, 0, 14), HolderKey: holder.Public(),
		Status: &status.Claim{List: &status.ListReference{Index: index, URI: listURI}},
		Claims: claims, Decoys: 3, Chain: [][]byte{a.signer.Raw},
	}
}

func (a authority) issue(t testing.TB, p sdjwt.IssueParams) string {
	t.Helper()
	text, err := sdjwt.Issue(t.Context(), p, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// issuing asks the peer for the same credential.
func (a authority) issuing(t testing.TB, p sdjwt.IssueParams, holder *testkit.Key) task {
	t.Helper()
	payload := value(sdjwt.Node{Members: p.Claims}).(map[string]any)
	public := holder.JWK(t)
	delete(public, "d")
	payload["vct"], payload["cnf"] = p.VCT, map[string]any{"jwk": public}
	payload["iat"], payload["nbf"], payload["exp"] = p.IssuedAt.Unix(), p.NotBefore.Unix(), p.Expires.Unix()
	payload["status"] = p.Status
	hash := p.DigestAlgorithm
	if hash == "" {
		hash = "sha-256"
	}
	return task{"do": "issue", "payload": payload, "frame": frame(p.Claims, p.Decoys, false), "key": a.key.JWK(t),
		"chain": base64s(p.Chain...), "hash": hash}
}

// value is what a node stands for.
func value(n sdjwt.Node) any {
	switch {
	case n.Members != nil:
		m := map[string]any{}
		for _, inner := range n.Members {
			m[inner.Name] = value(inner)
		}
		return m
	case n.Elements != nil:
		list := []any{}
		for _, inner := range n.Elements {
			list = append(list, value(inner))
		}
		return list
	}
	return n.Value
}

// frame is how the package is told what is selectively disclosable.
func frame(nodes []sdjwt.Node, decoys int, array bool) map[string]any {
	f, sd := map[string]any{}, []any{}
	for i, n := range nodes {
		name := n.Name
		if array {
			name = strconv.Itoa(i)
		}
		if n.SD != sdjwt.Never {
			if array {
				sd = append(sd, i)
			} else {
				sd = append(sd, name)
			}
		}
		if n.Members != nil || n.Elements != nil {
			f[name] = frame(append(n.Members, n.Elements...), decoys, n.Elements != nil)
		}
	}
	f["_sd"], f["_sd_decoy"] = sd, decoys
	return f
}

func pid(t testing.TB) *doctype.Type {
	t.Helper()
	ty, ok := doctype.Builtin().ByID("pid")
	if !ok {
		t.Fatal("no PID")
	}
	return ty
}

// person are the claims of a PID, as its definition has them from an mdoc's
// elements, and two that are always there.
func person(t testing.TB) []sdjwt.Node {
	t.Helper()
	ty := pid(t)
	elements := map[doctype.Name][]byte{}
	for id, v := range map[string]any{
		"family_name": "Müller-Łukaszewicz von und zu Þórshöfn, \"die\\Ältere\" 李 🜁", "given_name": "Erika", "birth_date": "1984-02-29",
		"place_of_birth": map[string]any{"country": "UT", "locality": "Capital"}, "nationality": []any{"UT", "DE", "FR"},
		"portrait": append([]byte{0xff, 0xd8, 0xff}, make([]byte, 8<<10)...), "resident_address": "Main Street 1 <&>", "resident_country": "UT",
		"resident_city": "Capital", "sex": uint64(2), "issuing_authority": "Utopia Registry", "issuing_country": "UT", "age_over_18": true,
	} {
		e, ok := ty.Element(ty.DocType, id)
		if !ok {
			t.Fatalf("no element %s", id)
		}
		data, err := e.Encode(v)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		elements[e.Name()] = data
	}
	claims, err := ty.SDJWTClaims(elements)
	if err != nil {
		t.Fatal(err)
	}
	return append(claims, sdjwt.Node{Name: "open", SD: sdjwt.Never, Value: json.RawMessage(`{"a":[1,null,{"b":true}],"c":-2.5}`)},
		sdjwt.Node{Name: "list", SD: sdjwt.Never, Elements: []sdjwt.Node{
			{SD: sdjwt.Never, Value: json.RawMessage(`"first"`)}, {SD: sdjwt.Always, Members: []sdjwt.Node{{Name: "x", Value: json.RawMessage(`0`)}}},
		}})
}

// selection is what the verifiers of these tests want, and asked the same of
// the package, which discloses what is named and what that is in.
func selection() ([]sdjwt.Path, map[string]any) {
	return []sdjwt.Path{{"family_name"}, {"address", "country"}, {"nationalities", 1}, {"list", 1, "x"}, {"picture"}, {"age_equal_or_over", "18"}},
		map[string]any{"family_name": true, "address": map[string]any{"country": true}, "nationalities": map[string]any{"1": true},
			"list": map[string]any{"1": map[string]any{"x": true}}, "picture": true, "age_equal_or_over": map[string]any{"18": true}}
}

// selected is what a presentation of the selection has, apart from what every
// credential has.
func selected(t testing.TB) map[string]any {
	whole := value(sdjwt.Node{Members: person(t)}).(map[string]any)
	return map[string]any{
		"family_name": whole["family_name"], "address": map[string]any{"country": "UT"}, "nationalities": []any{"DE"},
		"list": []any{"first", map[string]any{"x": 0}}, "picture": whole["picture"], "age_equal_or_over": map[string]any{"18": true},
		"open": whole["open"],
	}
}
