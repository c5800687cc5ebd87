package doctype

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
)

// encoded makes elements of text forms or Go values.
func encoded(t testing.TB, ty *Type, values Values) map[Name][]byte {
	t.Helper()
	out := map[Name][]byte{}
	for n, v := range values {
		e, ok := ty.Element(n.Namespace, n.ID)
		if !ok {
			t.Fatalf("no element %s", n)
		}
		data, err := e.Encode(v)
		if err != nil {
			t.Fatalf("%s: %v", n, err)
		}
		out[n] = data
	}
	return out
}

func pidType(t testing.TB) *Type {
	t.Helper()
	ty, ok := Builtin().ByID("pid")
	if !ok {
		t.Fatal("no PID")
	}
	return ty
}

func ada(ty *Type) Values {
	v := Values{}
	for id, value := range map[string]any{
		"family_name": "Sommerfeld", "given_name": "Ada Marlene", "birth_date": "1984-03-17",
		"place_of_birth": map[string]any{"country": "UT", "locality": "Capital"}, "nationality": []any{"UT", "DE"},
		"portrait": []byte{0xff, 0xd8, 0xff, 0xe0}, "resident_address": "Main Street 1, Capital", "resident_country": "UT",
		"sex": uint64(2), "email_address": "ada@utopia.example", "issuing_authority": "Utopia Registry of Persons", "issuing_country": "UT",
		"expiry_date": "2031-03-16T23:30:00Z", "attestation_legal_category": "PID", "age_over_18": true, "age_over_21": true,
	} {
		v[Name{ty.DocType, id}] = value
	}
	return v
}

// credential issues the claims and gives back the payload.
func credential(t testing.TB, claims []sdjwt.Node) (*sdjwt.SDJWT, *sdjwt.Payload) {
	t.Helper()
	text, err := sdjwt.Issue(t.Context(), sdjwt.IssueParams{VCT: "urn:eudi:pid:1", Claims: claims, Chain: [][]byte{{1}}}, testkit.Signer(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func TestSDJWTOfPID(t *testing.T) {
	ty := pidType(t)
	claims, err := ty.SDJWTClaims(encoded(t, ty, ada(ty)))
	if err != nil {
		t.Fatal(err)
	}
	s, p := credential(t, claims)
	const want = `{"vct":"urn:eudi:pid:1","family_name":"Sommerfeld","given_name":"Ada Marlene","birthdate":"1984-03-17",
		"place_of_birth":{"country":"UT","locality":"Capital"},"nationalities":["UT","DE"],"picture":"data:image/jpeg;base64,/9j/4A==",
		"address":{"formatted":"Main Street 1, Capital","country":"UT"},"sex":2,"email":"ada@utopia.example",
		"issuing_authority":"Utopia Registry of Persons","issuing_country":"UT","date_of_expiry":"2031-03-16",
		"attestation_legal_category":"PID","age_equal_or_over":{"18":true,"21":true}}`
	var got, expected any
	if json.Unmarshal(p.JSON(), &got) != nil || json.Unmarshal([]byte(want), &expected) != nil {
		t.Fatal("no JSON")
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	// Nothing but the type is in clear, and each leaf, object and entry has a disclosure of its own.
	if strings.Contains(string(s.Token.Payload), `"UT"`) || len(s.Disclosures) != 14+2+2+2+2 {
		t.Errorf("%d disclosures, in clear %s", len(s.Disclosures), s.Token.Payload)
	}
	for _, path := range []sdjwt.Path{{"address"}, {"address", "country"}, {"nationalities", 1}, {"age_equal_or_over", "21"}, {"place_of_birth", "locality"}} {
		if c, err := p.Select(path); err != nil || len(c) != 1 || !c[0].Disclosed {
			t.Errorf("%s: %v, %v", path, c, err)
		}
	}
	for _, e := range []string{"family_name", "portrait", "resident_country", "nationality", "expiry_date"} {
		el, _ := ty.Element(ty.DocType, e)
		path := sdjwt.Path{}
		for _, step := range el.Claim {
			path = append(path, step)
		}
		if c, err := p.Select(path); err != nil || len(c) != 1 {
			t.Errorf("element %s at %s: %v, %v", e, path, c, err)
		}
	}
}

func TestSDJWTOfAnOptOut(t *testing.T) {
	ty := pidType(t)
	claims, err := ty.SDJWTClaims(map[Name][]byte{{ty.DocType, "portrait"}: cbor.AppendBytes(nil, nil)})
	if err != nil || len(claims) != 1 || string(claims[0].Value) != `""` {
		t.Errorf("%v, %v", claims, err)
	}
}

func TestSDJWTRefuses(t *testing.T) {
	ty := pidType(t)
	for what, c := range map[string]struct {
		id    string
		value []byte
		want  error
	}{
		"older shape of a map":    {"place_of_birth", cbor.AppendText(nil, "Capital"), ErrKind},
		"older shape of an array": {"nationality", cbor.AppendText(nil, "UT"), ErrKind},
		"another kind":            {"sex", cbor.AppendText(nil, "2"), ErrKind},
		"not allowed":             {"issuing_country", cbor.AppendText(nil, "Utopia"), ErrCode},
		"unknown element":         {"shoe_size", cbor.AppendUint(nil, 43), ErrMember},
		"older name":              {"gender", cbor.AppendUint(nil, 1), ErrMember},
	} {
		if _, err := ty.SDJWTClaims(map[Name][]byte{{ty.DocType, c.id}: c.value}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	mdl, _ := Builtin().ByID("mdl")
	if mdl.HasSDJWT() || !ty.HasSDJWT() {
		t.Error("the mDL has an SD-JWT form, or the PID none")
	}
	if _, err := mdl.SDJWTClaims(nil); !errors.Is(err, ErrDefinition) {
		t.Errorf("claims of an mDL: %v", err)
	}
	if _, err := mdl.TypeMetadata(""); !errors.Is(err, ErrDefinition) {
		t.Errorf("metadata of an mDL: %v", err)
	}
}

// Elements without a claim path are no part of the SD-JWT form.
func TestSDJWTLeavesOut(t *testing.T) {
	ty := member(t)
	claims, err := ty.SDJWTClaims(encoded(t, ty, Values{{ty.DocType, "member_number"}: "7", {ty.DocType, "barcode_value"}: "7"}))
	if err != nil || len(claims) != 1 || claims[0].Name != "member_number" {
		t.Errorf("%v, %v", claims, err)
	}
}

// What the types publish about their SD-JWT form is what they issue.
func TestTypeMetadata(t *testing.T) {
	ty := pidType(t)
	m, err := ty.TypeMetadata("https://issuer.example/pid")
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := sdjwt.ResolveType(m.VCT, sdjwt.Integrity(document), map[string][]byte{m.VCT: document})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	if d := m.Display; len(d) != 4 || d[0].Locale != "en" || d[0].Name != "Personal ID" || d[0].Rendering.Simple.BackgroundColor != "#003399" {
		t.Errorf("display %+v", d)
	}
	at := func(path ...any) sdjwt.ClaimMetadata {
		i := slices.IndexFunc(m.Claims, func(c sdjwt.ClaimMetadata) bool { return c.Path.Equal(path) })
		if i < 0 {
			t.Fatalf("no %s", sdjwt.Path(path))
		}
		return m.Claims[i]
	}
	for _, c := range m.Claims {
		if c.SD != sdjwt.Always {
			t.Errorf("%s: sd %s", c.Path, c.SD)
		}
	}
	if c := at("birthdate"); c.Mandatory == nil || !*c.Mandatory || len(c.Display) != 4 || c.Display[0].Label != "Date of birth" {
		t.Errorf("birthdate %+v", c)
	}
	if c := at("address", "country"); c.Mandatory != nil || c.Display[1].Locale != "de" || c.Display[1].Label != "Wohnsitzstaat" {
		t.Errorf("address.country %+v", c)
	}
	at("address")
	at("nationalities", nil)
	at("place_of_birth", "locality")

	elements := encoded(t, ty, ada(ty))
	claims, err := ty.SDJWTClaims(elements)
	if err != nil {
		t.Fatal(err)
	}
	s, p := credential(t, claims)
	if r := m.Check(p, true); !r.OK() {
		t.Errorf("issued:\n%s", r)
	}
	bare, err := s.Select([]sdjwt.Path{{"family_name"}})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := sdjwt.Parse(bare.String(), sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	part, err := shown.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Check(part, false); !r.OK() { // the rest may be withheld
		t.Errorf("shown:\n%s", r)
	}
	delete(elements, Name{ty.DocType, "birth_date"})
	if claims, err = ty.SDJWTClaims(elements); err != nil {
		t.Fatal(err)
	}
	_, p = credential(t, claims)
	if f := m.Check(p, true).Failed(); len(f) != 1 || f[0].Name != "mandatory claim" || !strings.Contains(f[0].Seen, "birthdate") {
		t.Errorf("without birthdate: %v", f)
	}
}

func TestLocale(t *testing.T) {
	for tag, want := range map[string]string{"en": "en", "pt-br": "pt-BR", "zh-hant-tw": "zh-Hant-TW", "de-1996": "de-1996", "EN-gb": "en-GB"} {
		if got := Locale(tag); got != want {
			t.Errorf("%s became %s, want %s", tag, got, want)
		}
	}
	if diff := cmp.Diff([]string{"en", "de", "fr"}, Names{"fr": "a", "en": "b", "de": "c"}.Languages()); diff != "" {
		t.Error(diff)
	}
}

// A type says in its metadata what its documents may authorise.
func TestAuthorises(t *testing.T) {
	const card = `{id: card, docType: org.example.card, version: "1", source: example, vct: "urn:example:card", names: {en: Card}, %s
		namespaces: [{name: n, elements: [{id: a, claim: [a], type: tstr, names: {en: A}}]}]}`
	load := func(more string) (*Type, error) { return Load([]byte(strings.Replace(card, "%s", more, 1))) }
	ty, err := load(`authorises: ["urn:eudi:sca:payment:1"],`)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ty.TypeMetadata("")
	if err != nil || m.Category != sdjwt.CategorySCA || m.Transactions["urn:eudi:sca:payment:1"].Schema != "urn:eudi:sca:payment:1" {
		t.Errorf("%+v %v", m, err)
	}
	for _, wrong := range []string{`authorises: ["a", "a"],`, `authorises: ["a b"],`, `authorises: [a], neverAuthorises: true,`} {
		if _, err := load(wrong); !errors.Is(err, ErrDefinition) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	pid, _ := Builtin().ByID("pid")
	if !pid.NeverAuthorises {
		t.Error("a PID authorises")
	}
}
