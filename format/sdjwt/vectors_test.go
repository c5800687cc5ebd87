package sdjwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/google/go-cmp/cmp"
)

// record is a vector with keys of its own form.
type record struct{ vectors.Record }

func load(t testing.TB, name string) record {
	t.Helper()
	return record{vectors.Read(t, "sdjwt/"+name+".json")}
}

// as decodes a part of a vector.
func as[T any](t testing.TB, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("vector: %v", err)
	}
	return v
}

// issuerKey is the public key of all issuers in the vectors.
func (r record) issuerKey(t testing.TB) crypto.PublicKey {
	t.Helper()
	return r.key(t, "issuer_jwk").Public()
}

func (r record) key(t testing.TB, name string) *testkit.Key {
	t.Helper()
	_, private, err := jose.ParsePrivateJWK(r.Keys[name])
	if err != nil {
		t.Fatal(err)
	}
	return testkit.ECDSA(private.(*ecdsa.PrivateKey))
}

func parse(t testing.TB, text string) *sdjwt.SDJWT {
	t.Helper()
	s, err := sdjwt.Parse(text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func payload(t testing.TB, s *sdjwt.SDJWT) *sdjwt.Payload {
	t.Helper()
	p, err := s.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sameJSON compares two JSON texts by what they say.
func sameJSON(t testing.TB, what string, got, want json.RawMessage) {
	t.Helper()
	if diff := cmp.Diff(as[any](t, want), as[any](t, got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// disclosed is how the vectors list a disclosure.
type disclosed struct {
	Disclosure string          `json:"disclosure"`
	Digest     string          `json:"digest"`
	Salt       string          `json:"salt"`
	Name       *string         `json:"claim_name"`
	Value      json.RawMessage `json:"value"`
}

// signed are the vectors with an issuer's signature.
var signed = []string{
	"rfc9901_5_1_issuance", "rfc9901_5_2_presentation_kb", "d22_A1_structured_decoy_presentation", "d22_A2_complex_presentation",
	"d22_A3_pid_sdjwtvc_issuance", "d22_A3_pid_sdjwtvc_presentation", "d22_A4_w3c_vcdm2_issuance", "d22_A4_w3c_vcdm2_presentation",
	"vc18_2_3_issuance", "vc18_2_3_presentation_kb", "vc18_2_3_presentation_no_kb", "vc18_A1_pid_issuance", "vc18_A1_pid_presentation_kb",
}

func TestVectorsSigned(t *testing.T) {
	for _, name := range signed {
		t.Run(name, func(t *testing.T) {
			r := load(t, name)
			s := parse(t, r.Text)
			if s.String() != r.Text {
				t.Error("not as received")
			}
			if err := s.Token.Verify(r.issuerKey(t)); err != nil {
				t.Error(err)
			}
			if p, ok := r.Data["payload"]; ok {
				sameJSON(t, "issuer's payload", s.Token.Payload, p)
			}
			p := payload(t, s)
			if want, ok := r.Expected["processed_payload"]; ok {
				sameJSON(t, "processed payload", p.JSON(), want)
			}
			for _, list := range []string{"disclosures_all", "disclosures"} {
				if raw, ok := r.Data[list]; ok && raw[0] == '[' {
					checkListed(t, s, as[[]disclosed](t, raw))
				}
			}
			if n := len(p.Disclosed()); n != len(s.Disclosures) {
				t.Errorf("%d claims of %d disclosures", n, len(s.Disclosures))
			}
			if input, ok := r.Data["input_claims"]; ok && strings.Contains(name, "issuance") {
				all := as[map[string]any](t, p.JSON())
				for claim, want := range as[map[string]any](t, input) {
					if diff := cmp.Diff(want, all[claim]); diff != "" {
						t.Errorf("claim %s (-want +got):\n%s", claim, diff)
					}
				}
			}
		})
	}
}

// checkListed compares the disclosures that the vector and the SD-JWT share.
func checkListed(t *testing.T, s *sdjwt.SDJWT, list []disclosed) {
	t.Helper()
	found := 0
	for _, d := range list {
		for _, got := range s.Disclosures {
			if got.Encoded != d.Disclosure {
				continue
			}
			found++
			name := ""
			if d.Name != nil {
				name = *d.Name
			}
			if got.Salt != d.Salt || got.Name != name || got.IsElement != (d.Name == nil) {
				t.Errorf("disclosure %+v, want %+v", got, d)
			}
		}
	}
	if found != len(s.Disclosures) {
		t.Errorf("%d of %d disclosures are listed", found, len(s.Disclosures))
	}
}

// SD-JWT VCs of the vectors verify, with the printed key in place of a chain.
func TestVectorsVerify(t *testing.T) {
	for _, name := range signed {
		t.Run(name, func(t *testing.T) {
			r := load(t, name)
			s := parse(t, r.Text)
			p := sdjwt.VerifyParams{Now: time.Unix(1785785060, 0), Issuer: sdjwt.Issuer{Key: r.issuerKey(t)}}
			if s.KeyBinding != nil {
				var kb struct{ IAT int64 }
				if err := s.KeyBinding.Claims(&kb); err != nil {
					t.Fatal(err)
				}
				p.Now = time.Unix(kb.IAT+5, 0)
				p.KeyBinding = &sdjwt.KeyBindingParams{
					Audience: as[string](t, r.Expected["aud"]), Nonce: as[string](t, r.Expected["nonce"]),
				}
			}
			res, report := sdjwt.Verify(s, p)
			if !s.Token.Header.HasType(sdjwt.Type) { // plain SD-JWTs
				if c, _ := report.Find("type header"); report.OK() || c.Outcome != "fail" || res.Payload != nil {
					t.Errorf("not refused for its type:\n%s", report)
				}
				return
			}
			if !report.OK() {
				t.Fatalf("refused:\n%s", report)
			}
			if res.HolderVerified != (s.KeyBinding != nil) {
				t.Error("holder verified without key binding, or not with it")
			}
			if want, ok := r.Expected["processed_payload"]; ok {
				sameJSON(t, "processed payload", res.Payload.JSON(), want)
			}
		})
	}
}

// A presentation is made again from the issuance with the same disclosures.
func TestVectorsPresent(t *testing.T) {
	for _, c := range []struct{ issuance, presentation string }{
		{"rfc9901_5_1_issuance", "rfc9901_5_2_presentation_kb"}, {"d22_A3_pid_sdjwtvc_issuance", "d22_A3_pid_sdjwtvc_presentation"},
		{"d22_A4_w3c_vcdm2_issuance", "d22_A4_w3c_vcdm2_presentation"}, {"vc18_2_3_issuance", "vc18_2_3_presentation_kb"},
		{"vc18_A1_pid_issuance", "vc18_A1_pid_presentation_kb"},
	} {
		t.Run(c.presentation, func(t *testing.T) {
			r := load(t, c.presentation)
			shown := parse(t, r.Text)
			// What was shown, told by the paths of claims without anything in them.
			var paths []sdjwt.Path
			all := payload(t, shown).Disclosed()
			for i, one := range all {
				inner := i+1 < len(all) && len(all[i+1].Path) > len(one.Path) && all[i+1].Path[:len(one.Path)].Equal(one.Path)
				if !inner {
					paths = append(paths, one.Path)
				}
			}
			p, err := sdjwt.Select(load(t, c.issuance).Text, paths)
			if err != nil {
				t.Fatal(err)
			}
			got, want := encodings(parse(t, p.String())), encodings(shown)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("disclosures (-want +got):\n%s", diff)
			}
			if shown.KeyBinding == nil {
				return
			}
			kb := sdjwt.KeyBinding{Audience: as[string](t, r.Expected["aud"]), Nonce: as[string](t, r.Expected["nonce"]), IssuedAt: time.Unix(1785785060, 0)}
			if err := p.Sign(t.Context(), kb, r.key(t, "holder_jwk")); err != nil {
				t.Fatal(err)
			}
			again := parse(t, p.String())
			_, report := sdjwt.Verify(again, sdjwt.VerifyParams{
				Now: kb.IssuedAt, Issuer: sdjwt.Issuer{Key: r.issuerKey(t)}, KeyBinding: &sdjwt.KeyBindingParams{Audience: kb.Audience, Nonce: kb.Nonce},
			})
			if again.Token.Header.HasType(sdjwt.Type) && !report.OK() {
				t.Errorf("refused:\n%s", report)
			}
		})
	}
}

func encodings(s *sdjwt.SDJWT) []string {
	var out []string
	for _, d := range s.Disclosures {
		out = append(out, d.Encoded)
	}
	slices.Sort(out)
	return out
}

func TestVectorsJSON(t *testing.T) {
	for _, name := range []string{"d22_8_2_flattened_issuance", "d22_8_2_flattened_kb", "d22_8_3_general_kb"} {
		t.Run(name, func(t *testing.T) {
			r := load(t, name)
			s, err := sdjwt.ParseJSON(r.Data["jws_json"], sdjwt.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Token.Verify(r.issuerKey(t)); err != nil {
				t.Error(err)
			}
			if n := as[int](t, r.Expected["disclosures"]); len(s.Disclosures) != n {
				t.Errorf("%d disclosures, want %d", len(s.Disclosures), n)
			}
			payload(t, s)
			if want, ok := r.Expected["compact"]; ok && s.String() != as[string](t, want) {
				t.Errorf("compact form %s", s)
			}
			if want, ok := r.Expected["compact_without_kb"]; ok {
				if rest, ok := strings.CutPrefix(s.String(), as[string](t, want)); !ok || s.KeyBinding == nil || rest == "" {
					t.Errorf("compact form %s", s)
				}
				var kb struct {
					IAT  int64
					Hash string `json:"sd_hash"`
				}
				if err := s.KeyBinding.Claims(&kb); err != nil || kb.Hash != as[string](t, r.Expected["sd_hash"]) {
					t.Errorf("sd_hash %s, %v", kb.Hash, err)
				}
				// A plain SD-JWT: refused for its type and that it has no vct, and for nothing else.
				_, report := sdjwt.Verify(s, sdjwt.VerifyParams{Now: time.Unix(kb.IAT, 0), Issuer: sdjwt.Issuer{Key: r.issuerKey(t)},
					KeyBinding: &sdjwt.KeyBindingParams{Audience: as[string](t, r.Expected["aud"]), Nonce: as[string](t, r.Expected["nonce"])}})
				for _, c := range report.Failed() {
					if c.Name != "type header" && c.Name != "credential type" {
						t.Errorf("%s: %s", c.Name, c.Seen)
					}
				}
			}
		})
	}
}

// The processing examples without a JWT are wrapped into one that nobody signed.
func TestVectorsProcess(t *testing.T) {
	for _, name := range []string{"rfc9901_6_flat", "rfc9901_6_structured", "rfc9901_6_structured_one_open", "rfc9901_6_recursive"} {
		t.Run(name, func(t *testing.T) {
			r := load(t, name)
			input, err := jose.Prepare(jose.Header{Alg: "ES256"}, r.Data["payload"])
			if err != nil {
				t.Fatal(err)
			}
			text := jose.Finish(input, make([]byte, 64)) + "~"
			for _, d := range as[[]disclosed](t, r.Data["disclosures"]) {
				text += d.Disclosure + "~"
			}
			p := payload(t, parse(t, text))
			sameJSON(t, "processed payload", p.JSON(), r.Expected["processed_payload_all_disclosed"])
		})
	}
}

func TestVectorsEncodings(t *testing.T) {
	r := load(t, "rfc9901_4_2_disclosure_encodings")
	digests := as[map[string]string](t, r.Expected["digests"])
	if len(digests) == 0 {
		t.Fatal("no digests")
	}
	for _, d := range as[[]disclosed](t, r.Data["disclosures"]) {
		body := `{"_sd":[]}`
		if digest := digests[d.Disclosure]; digest != "" {
			body = `{"_sd":["` + digest + `"]}`
			if d.Name == nil {
				body = `{"x":[{"...":"` + digest + `"}]}`
			}
		}
		input, err := jose.Prepare(jose.Header{Alg: "ES256"}, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		s := parse(t, jose.Finish(input, make([]byte, 64))+"~"+d.Disclosure+"~")
		checkListed(t, s, []disclosed{d})
		if digests[d.Disclosure] == "" {
			continue
		}
		claims := payload(t, s).Disclosed()
		if len(claims) != 1 {
			t.Fatalf("claims %v", claims)
		}
		sameJSON(t, "value", claims[0].Value, d.Value)
	}
}

func TestVectorsVerificationCases(t *testing.T) {
	r := load(t, "derived_verification_cases")
	verifier := as[struct {
		Now        int64
		Aud, Nonce string
	}](t, r.Data["verifier"])
	cases := as[[]struct {
		ID        string
		Text      string `json:"sd_jwt"`
		Valid, KB bool
		Processed json.RawMessage
	}](t, r.Data["cases"])
	if len(cases) < 40 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			s, err := sdjwt.Parse(c.Text, sdjwt.Limits{})
			if err != nil {
				if c.Valid {
					t.Fatal(err)
				}
				if !errors.Is(err, sdjwt.ErrSyntax) && !errors.Is(err, sdjwt.ErrUnsupported) {
					t.Errorf("refused with %v", err)
				}
				return
			}
			p := sdjwt.VerifyParams{Now: time.Unix(verifier.Now, 0), Issuer: sdjwt.Issuer{Key: r.issuerKey(t)}}
			if c.KB {
				p.KeyBinding = &sdjwt.KeyBindingParams{Audience: verifier.Aud, Nonce: verifier.Nonce}
			}
			res, report := sdjwt.Verify(s, p)
			if report.OK() != c.Valid {
				t.Fatalf("valid %v:\n%s", report.OK(), report)
			}
			if (res.Payload != nil) != c.Valid || res.VCT != "" != c.Valid {
				t.Error("handed out what did not verify, or not what did")
			}
			if c.Valid {
				sameJSON(t, "processed payload", res.Payload.JSON(), c.Processed)
			} else {
				t.Log(report.Err())
			}
		})
	}
}

func TestVectorsClaimPath(t *testing.T) {
	r := load(t, "vc18_4_6_1_1_claim_path")
	input, err := jose.Prepare(jose.Header{Alg: "ES256"}, r.Data["credential"])
	if err != nil {
		t.Fatal(err)
	}
	p := payload(t, parse(t, jose.Finish(input, make([]byte, 64))+"~"))
	for _, c := range as[[]struct {
		Path     sdjwt.Path
		Selected []json.RawMessage
		Error    bool
	}](t, r.Expected["cases"]) {
		claims, err := p.Select(c.Path)
		if c.Error {
			if !errors.Is(err, sdjwt.ErrNoClaim) {
				t.Errorf("%s: error %v", c.Path, err)
			}
			continue
		}
		if err != nil || len(claims) != len(c.Selected) {
			t.Errorf("%s: %v, %v", c.Path, claims, err)
			continue
		}
		for i := range claims {
			sameJSON(t, c.Path.String(), claims[i].Value, c.Selected[i])
		}
	}
}

func TestVectorsIntegrity(t *testing.T) {
	var r struct {
		Text     string
		Expected struct {
			Match   []string
			NoMatch []string `json:"no_match"`
		}
	}
	vectors.Load(t, "sdjwt/derived_integrity.json", &r)
	document := []byte(r.Text)
	if r.Expected.Match[0] != sdjwt.Integrity(document) {
		t.Errorf("integrity %s, want %s", sdjwt.Integrity(document), r.Expected.Match[0])
	}
	for _, s := range r.Expected.Match {
		if err := sdjwt.CheckIntegrity(s, document); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range r.Expected.NoMatch {
		if err := sdjwt.CheckIntegrity(s, document); !errors.Is(err, sdjwt.ErrIntegrity) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "md5-AAAA", "sha256"} {
		if err := sdjwt.CheckIntegrity(s, document); !errors.Is(err, sdjwt.ErrMetadata) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestVectorsExtends(t *testing.T) {
	r := load(t, "vc18_4_6_5_2_extends")
	documents := map[string][]byte{}
	for _, name := range []string{"base", "child"} {
		documents[as[struct{ VCT string }](t, r.Data[name]).VCT] = r.Data[name]
	}
	const child = "https://example.com/custom-type-metadata"
	m, err := sdjwt.ResolveType(child, sdjwt.Integrity(documents[child]), documents)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m.Claims)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, "effective claims", got, r.Expected["effective_claims"])

	base := maps.Clone(documents)
	delete(base, "https://example.com/base-type-metadata")
	var missing *sdjwt.MissingTypeError
	if _, err := sdjwt.ResolveType(child, "", base); !errors.As(err, &missing) || missing.VCT != "https://example.com/base-type-metadata" {
		t.Errorf("without the base: %v", err)
	}
	if _, err := sdjwt.ResolveType(child, sdjwt.Integrity([]byte("x")), documents); !errors.Is(err, sdjwt.ErrIntegrity) {
		t.Errorf("another document: %v", err)
	}
}

func TestVectorsTypeMetadata(t *testing.T) {
	r := load(t, "vc18_A2_type_metadata")
	m, err := sdjwt.ParseTypeMetadata(r.Data["type_metadata"])
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, "written again", again, r.Data["type_metadata"])
	input, err := jose.Prepare(jose.Header{Alg: "ES256"}, r.Data["payload"])
	if err != nil {
		t.Fatal(err)
	}
	p := payload(t, parse(t, jose.Finish(input, make([]byte, 64))+"~"))
	values := as[map[string][]any](t, r.Expected["paths_to_values"])
	found := 0
	for i := range m.Claims {
		want, ok := values[m.Claims[i].Path.String()]
		if !ok {
			continue
		}
		found++
		claims, err := p.Select(m.Claims[i].Path)
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		for _, c := range claims {
			got = append(got, as[any](t, c.Value))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", m.Claims[i].Path, diff)
		}
	}
	if found != len(values) {
		t.Errorf("%d of %d paths in the metadata", found, len(values))
	}
}
