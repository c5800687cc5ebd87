package doctype

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/vectors"
)

func TestDisplayClaim(t *testing.T) {
	c := Builtin()
	for _, tc := range []struct {
		vct, lang   string
		path        sdjwt.Path
		value       string
		label, text string
	}{
		{"urn:eudi:pid:1", "en", sdjwt.Path{"birthdate"}, `"1984-03-17"`, "Date of birth", "17 March 1984"},
		{"urn:eudi:pid:1", "de", sdjwt.Path{"birthdate"}, `"1984-03-17"`, "Geburtsdatum", "17. März 1984"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"date_of_expiry"}, `"2031-03-16T23:30:00Z"`, "Date of expiry", "16 March 2031, 23:30:00 UTC"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"sex"}, `2`, "Sex", "female"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"sex"}, `"F"`, "Sex", "F"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"nationalities"}, `["UT","DE"]`, "Nationality", "UT, DE"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"nationalities", nil}, `"UT"`, "Nationality", "UT"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"nationalities", 1}, `"DE"`, "Nationality", "DE"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"place_of_birth", "locality"}, `"Capital"`, "Town of birth", "Capital"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"place_of_birth"}, `{"locality":"Capital"}`, "Place of birth", "Town of birth: Capital"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"place_of_birth"}, `{"locality":"Capital","planet":"Mars"}`, "Place of birth", "Town of birth: Capital · planet: Mars"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"address", "locality"}, `"Capital"`, "Town", "Capital"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"address"}, `{"locality":"Capital","street_address":"Main Street 1"}`, "address", "Town: Capital · Street and number: Main Street 1"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"age_equal_or_over", "18"}, `true`, "Over 18", "Yes"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"picture"}, `"data:image/jpeg;base64,/9j/4AAA"`, "Photo", "image, 1 KiB"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"picture"}, `""`, "Photo", "none"},
		{"urn:eudi:pid:1", "en", sdjwt.Path{"shoe_size"}, `42.5`, "shoe size", "42.5"},
		{"urn:x", "en", sdjwt.Path{"member", "card_number"}, `"7"`, "member / card number", "7"},
		{"urn:x", "en", sdjwt.Path{"list"}, `[{"a":1,"b":null},{"a":false}]`, "list", "a: 1 · b: none\na: No"},
		{"urn:x", "en", sdjwt.Path{"picture"}, `"data:image/png;base64,AAAA"`, "picture", "image, 1 KiB"},
		{"urn:x", "en", sdjwt.Path{"nothing"}, ``, "nothing", ""},
	} {
		label, text := c.DisplayClaim(tc.lang, tc.vct, tc.path, json.RawMessage(tc.value))
		if label != tc.label || text != tc.text {
			t.Errorf("%s %s: %q: %q, want %q: %q", tc.path, tc.value, label, text, tc.label, tc.text)
		}
		if got := c.ClaimLabel(tc.lang, tc.vct, tc.path); got != tc.label {
			t.Errorf("%s: label %q, want %q", tc.path, got, tc.label)
		}
	}
}

// What nobody could read is cut, at a character.
func TestDisplayClaimCuts(t *testing.T) {
	_, text := Builtin().DisplayClaim("en", "urn:x", sdjwt.Path{"a"}, json.RawMessage(`"`+strings.Repeat("ä", 1<<20)+`"`))
	if len(text) > 4010 || !utf8.ValidString(text) || !strings.HasSuffix(text, "ä…") {
		t.Errorf("%d bytes", len(text))
	}
}

func TestClaimElements(t *testing.T) {
	ty := pidType(t)
	for want, path := range map[string]sdjwt.Path{
		"birth_date":  {"birthdate"},
		"nationality": {"nationalities", nil},
		"age_over_18": {"age_equal_or_over", "18"},
		"age_over_NN": {"age_equal_or_over"},
		"":            {"age_equal_or_over", "x8"},
		"resident_address resident_country resident_state resident_city resident_postal_code resident_street resident_house_number": {"address"},
	} {
		var got []string
		for _, e := range ty.ClaimElements(path) {
			got = append(got, e.ID)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s touches %q, want %q", path, s, want)
		}
	}
	if len(ty.ClaimElements(sdjwt.Path{nil})) != 0 || len(ty.ClaimElements(nil)) != 0 {
		t.Error("no name touches an element")
	}
}

// What a document shows is the same in both formats.
func TestBothFormatsReadAlike(t *testing.T) {
	ty := pidType(t)
	elements := encoded(t, ty, ada(ty))
	claims, err := ty.SDJWTClaims(elements)
	if err != nil {
		t.Fatal(err)
	}
	_, p := credential(t, claims)
	for name, data := range elements {
		e, _ := ty.Element(name.Namespace, name.ID)
		if name.ID == "expiry_date" {
			continue // of an instant the claim has the day
		}
		path := sdjwt.Path{}
		for _, step := range e.Claim {
			path = append(path, step)
		}
		found, err := p.Select(path)
		if err != nil || len(found) != 1 {
			t.Errorf("%s: %v, %v", name, found, err)
			continue
		}
		wantLabel, want := Builtin().Display("en", ty.DocType, name.Namespace, name.ID, data)
		if label, got := Builtin().DisplayClaim("en", ty.VCT, path, found[0].Value); got != want || label != wantLabel {
			t.Errorf("%s: %q: %q, as an mdoc %q: %q", name, label, got, wantLabel, want)
		}
	}
}

// The PID of SD-JWT VC's appendix is of another country's making.
func TestDisplayForeignPID(t *testing.T) {
	var v struct{ Text string }
	vectors.Load(t, "sdjwt/vc18_A1_pid_issuance.json", &v)
	s, err := sdjwt.Parse(v.Text, sdjwt.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Unverified()
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, c := range p.Disclosed() {
		label, text := Builtin().DisplayClaim("en", "urn:eudi:pid:1", c.Path, c.Value)
		if label == "" || text == "" || strings.ContainsAny(text, "{}[]") {
			t.Errorf("%s: %q: %q", c.Path, label, text)
		}
		shown++
	}
	if shown == 0 {
		t.Error("nothing was shown")
	}
}

func FuzzDisplayClaim(f *testing.F) {
	f.Add(`["address"]`, `{"locality":"Capital"}`)
	f.Add(`["nationalities",null]`, `"UT"`)
	f.Add(`["place_of_birth","x",0]`, `[[1],{"a":{}}]`)
	f.Fuzz(func(t *testing.T, path, value string) {
		var p sdjwt.Path
		if p.UnmarshalJSON([]byte(path)) != nil || !json.Valid([]byte(value)) {
			return
		}
		for _, vct := range []string{"urn:eudi:pid:1", "x"} {
			Builtin().DisplayClaim("en", vct, p, json.RawMessage(value))
		}
	})
}
