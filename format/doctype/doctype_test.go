package doctype

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/sdjwt"
)

func member(t testing.TB) *Type {
	t.Helper()
	data, err := os.ReadFile("testdata/member.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ty, err := Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return ty
}

// TestNewTypeIsAFile takes an invented type through everything.
func TestNewTypeIsAFile(t *testing.T) {
	ty := member(t)
	c, err := Builtin().With(ty)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := c.ByDocType("org.example.member.1"); !ok || got != ty || len(c.All()) != len(All())+1 {
		t.Fatalf("catalogue has %v, %v of %d", got, ok, len(c.All()))
	}
	ns := ty.DocType
	derived, err := ty.Derive(Values{
		{ns, "birth_date"}: "2008-11-24", {ns, "resident_country"}: "DE", {ns, "courses"}: "Climbing,12;First aid",
	}, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	want := Values{{ns, "age_over_18"}: false, {ns, "resident_of_de"}: true, {ns, "has_first_aid"}: true}
	if diff := cmp.Diff(want, derived); diff != "" {
		t.Errorf("derived (-want +got):\n%s", diff)
	}
	e, ok := ty.Element(ns, "courses")
	if !ok {
		t.Fatal("no courses")
	}
	data, err := e.Encode("Climbing,12;First aid")
	if err != nil {
		t.Fatal(err)
	}
	if label, text := c.Display("de", ty.DocType, ns, "courses", data); label != "Courses" || text != "Climbing · Hours: 12\nCourse: First aid" {
		t.Errorf("shown as %q: %q", label, text)
	}
	if got := ty.ClaimElements(sdjwt.Path{"birthdate"}); len(got) != 1 || got[0].ID != "birth_date" {
		t.Errorf("claim birthdate is %v", got)
	}
	if _, err := c.With(ty); err == nil {
		t.Error("the same type twice was accepted")
	}
}

// TestBuiltinIsComplete checks the shipped files: names in four languages,
// one portrait, and the counts of the standards' tables.
func TestBuiltinIsComplete(t *testing.T) {
	mandatory := map[string]int{}
	for _, ty := range All() {
		if _, ok := ty.Portrait(); !ok {
			t.Errorf("%s has no portrait", ty.ID)
		}
		for _, ns := range ty.Namespaces {
			for _, e := range ns.Elements {
				if e.Presence == Mandatory {
					mandatory[ty.ID]++
				}
				checkLanguages(t, e.Name().String(), e.Names, e.Shape)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"mdl": 11, "pid": 8, "photoid": 9}, mandatory); diff != "" {
		t.Errorf("mandatory elements (-want +got):\n%s", diff)
	}
}

func checkLanguages(t *testing.T, where string, n Names, s Shape) {
	t.Helper()
	for _, lang := range []string{"en", "de", "fr", "es"} {
		if n[lang] == "" {
			t.Errorf("%s has no name in %s", where, lang)
		}
	}
	for _, c := range s.Values {
		checkLanguages(t, where+"="+c.Value, c.Names, Shape{})
	}
	for _, m := range s.Members {
		checkLanguages(t, where+"."+m.ID, m.Names, m.Shape)
	}
	if s.Of != nil {
		checkLanguages(t, where, n, *s.Of)
	}
}

func TestOlderSpellings(t *testing.T) {
	for _, c := range []struct{ docType, namespace, id, want string }{
		{"org.iso.23220.photoID.1", "org.iso.23220.1", "family_name_unicode", "org.iso.23220.1/family_name"},
		{"org.iso.23220.photoID.1", "org.iso.23220.photoID.1", "person_id", "org.iso.23220.photoid.1/person_id"},
		{"org.iso.23220.photoID.1", "org.iso.23220.dtc.1", "dtc_dg1", "org.iso.23220.datagroups.1/dg1"},
		{"org.iso.23220.2.photoid.1", "org.iso.23220.photoid.1", "issuance_date", "org.iso.23220.1/issue_date"},
		{"org.iso.23220.2.photoid.1", "org.iso.23220.photoid.1", "age_over_21", "org.iso.23220.1/age_over_21"},
		{photo, "org.iso.23220.1", "age_over_18", "org.iso.23220.1/age_over_18"},
		{pid, pid, "birth_place", pid + "/place_of_birth"},
		{pid, pid, "age_over_18", pid + "/age_over_18"},
		{pid, pid, "gender", pid + "/sex"},
		{mdl, mdlNS, "biometric_template_face", mdlNS + "/biometric_template_face"},
	} {
		if e := mustElement(t, c.docType, c.namespace, c.id); e.Name().String() != c.want {
			t.Errorf("%s %s/%s is %s, want %s", c.docType, c.namespace, c.id, e.Name(), c.want)
		}
	}
	ty, _ := Builtin().ByDocType(mdl)
	for _, id := range []string{"age_over_NN", "age_over_1", "age_over_100", "biometric_template_", "Family_name", ""} {
		if e, ok := ty.Element(mdlNS, id); ok {
			t.Errorf("%q found as %s", id, e.Name())
		}
	}
	// A text nationality and a text place of birth of older PIDs still decode.
	for id, raw := range map[string][]byte{"nationality": cbor.AppendText(nil, "DE"), "birth_place": cbor.AppendText(nil, "Berlin")} {
		e := mustElement(t, pid, pid, id)
		if v, err := e.Decode(raw); err != nil || v == nil {
			t.Errorf("%s: %v, %v", id, v, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	jpeg := []byte{0xff, 0xd8, 0xff, 0xe0}
	for _, c := range []struct {
		docType, id string
		value       any
		want        error
	}{
		{mdl, "family_name", "", ErrLength},
		{mdl, "family_name", strings.Repeat("x", 151), ErrLength},
		{mdl, "family_name", "Ковальчук", ErrChars},
		{mdl, "family_name", "a\x00b", ErrChars},
		{mdl, "family_name", "a\xffb", ErrChars},
		{mdl, "family_name", 7, ErrKind},
		{mdl, "birth_date", "1984-02-30", ErrDate},
		{mdl, "birth_date", cbor.FullDate{Year: 2023, Month: 2, Day: 29}, ErrDate},
		{mdl, "birth_date", "1984-03-17T00:00:00Z", ErrDate},
		{mdl, "issuing_country", "deu", ErrCode},
		{mdl, "issuing_jurisdiction", "DE", ErrCode},
		{mdl, "sex", "3", ErrChoice},
		{mdl, "sex", "-1", ErrText},
		{mdl, "sex", -1, ErrKind},
		{mdl, "eye_colour", "violet", ErrChoice},
		{mdl, "age_over_18", "yes", ErrText},
		{mdl, "portrait", []byte("GIF89a"), ErrImage},
		{mdl, "portrait", []byte{}, ErrLength},
		{mdl, "portrait", append(append([]byte{}, jpeg...), make([]byte, 256<<10)...), ErrLength},
		{mdl, "driving_privileges", "B,2018-08-09;,2018-08-09", ErrMember},
		{mdl, "driving_privileges", "B,2018-08-09,2020-01-01,01,surplus", ErrMember},
		{mdl, "driving_privileges", "B,vehicle_category_code=C", ErrMember},
		{mdl, "driving_privileges", "(B", ErrText},
		{mdl, "driving_privileges", "B)", ErrText},
		{mdl, "driving_privileges", []any{map[string]any{"category": "B"}}, ErrMember},
		{mdl, "driving_privileges", strings.Repeat("B;", 64) + "B", ErrLength},
		{pid, "nationality", "", ErrLength},
		{pid, "nationality", "DE;xx", ErrCode},
		{pid, "place_of_birth", "", ErrLength},
		{pid, "place_of_birth", "Germany", ErrCode},
		{pid, "email_address", "nobody", ErrCode},
		{pid, "mobile_phone_number", "0301234", ErrCode},
		{pid, "portrait", []byte("\x00\x00\x00\x0cjP  \r\n\x87\n"), ErrImage},
	} {
		ns := map[string]string{mdl: mdlNS, pid: pid}[c.docType]
		e := mustElement(t, c.docType, ns, c.id)
		_, err := e.Encode(c.value)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.id, err, c.want)
		}
		if text, ok := c.value.(string); ok && len(text) > 4 && err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%s: error repeats the value: %v", c.id, err)
		}
	}
}

func TestTextForms(t *testing.T) {
	for _, c := range []struct{ docType, namespace, id, text, want string }{
		{mdl, mdlNS, "driving_privileges", "()", `[]`},
		{mdl, mdlNS, "driving_privileges", `B,codes=(01.06;70,=,D\,E)`, `[{"vehicle_category_code": "B", "codes": [{"code": "01.06"}, {"code": "70", "sign": "=", "value": "D,E"}]}]`},
		{mdl, mdlNS, "family_name", `O\Neill; (sen.)`, `"O\\Neill; (sen.)"`},
		{mdl, mdlNS, "issue_date", "2024-01-02", `1004("2024-01-02")`},
		{mdl, mdlNS, "issue_date", "2024-01-02T03:04:05+01:00", `0("2024-01-02T02:04:05Z")`},
		{mdl, mdlNS, "portrait_capture_date", "2024-01-02", `0("2024-01-02T00:00:00Z")`},
		{mdl, mdlNS, "un_distinguishing_sign", "", `""`},
		{pid, pid, "nationality", "DE; FR", `["DE", "FR"]`},
		{pid, pid, "place_of_birth", "DE,,Bad Berg", `{"country": "DE", "locality": "Bad Berg"}`},
		{pid, pid, "portrait", "", `h''`},
		{photo, "org.iso.23220.1", "birth_date", "1980-01-01,00001111", `{"birth_date": 1004("1980-01-01"), "approximate_mask": "00001111"}`},
	} {
		data, err := mustElement(t, c.docType, c.namespace, c.id).Encode(c.text)
		if err != nil {
			t.Errorf("%s %q: %v", c.id, c.text, err)
			continue
		}
		if got, err := cbor.Diagnose(data); err != nil || got != c.want {
			t.Errorf("%s %q: got %s, %v; want %s", c.id, c.text, got, err, c.want)
		}
	}
}

func TestDeriveAges(t *testing.T) {
	ty, _ := Builtin().ByDocType(mdl)
	for _, c := range []struct {
		born, day  string
		years      uint64
		over18     bool
		next       string
		thresholds int
	}{
		{"2008-02-29", "2026-02-28", 17, false, "2026-03-01", 8},
		{"2008-02-29", "2026-03-01", 18, true, "2027-03-01", 8},
		{"1984-03-17", "2026-11-23", 42, true, "2027-03-17", 10},
		{"1924-01-01", "2026-11-23", 102, true, "2027-01-01", 8},
		{"2026-11-23", "2026-11-23", 0, false, "2027-11-23", 10},
	} {
		day, err := time.Parse("2006-01-02", c.day)
		if err != nil {
			t.Fatal(err)
		}
		values := Values{{mdlNS, "birth_date"}: c.born}
		got, err := ty.Derive(values, day)
		if err != nil {
			t.Errorf("%s: %v", c.born, err)
			continue
		}
		if got[Name{mdlNS, "age_in_years"}] != c.years || got[Name{mdlNS, "age_over_18"}] != c.over18 || len(got) != c.thresholds+2 {
			t.Errorf("born %s, on %s: %v", c.born, c.day, got)
		}
		end, ok, err := ty.StableUntil(values, day)
		if err != nil || !ok || end.Format("2006-01-02") != c.next {
			t.Errorf("born %s, on %s: stable until %v, %v, %v; want %s", c.born, c.day, end, ok, err, c.next)
		}
	}
	if _, err := ty.Derive(Values{{mdlNS, "birth_date"}: "2030-01-01"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !errors.Is(err, ErrDate) {
		t.Errorf("born in the future: %v", err)
	}
}

// TestMaskedBirthDate counts from the latest possible day and leaves out what
// is not certain.
func TestMaskedBirthDate(t *testing.T) {
	ty, _ := Builtin().ByDocType(photo)
	ns := "org.iso.23220.1"
	got, err := ty.Derive(Values{{ns, "birth_date"}: "2008-01-01,00001111"}, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if got[Name{ns, "age_over_18"}] != false || got[Name{ns, "age_over_16"}] != true || got[Name{ns, "age_birth_year"}] != uint64(2008) {
		t.Errorf("derived %v", got)
	}
	if years, ok := got[Name{ns, "age_in_years"}]; ok {
		t.Errorf("age_in_years is %v, want none: it may be 17 or 18", years)
	}
}

func TestCheck(t *testing.T) {
	ty, _ := Builtin().ByDocType(photo)
	c1 := "org.iso.23220.1"
	var all []Name
	for _, id := range []string{"family_name", "given_name", "birth_date", "portrait", "issue_date", "expiry_date", "issuing_authority", "issuing_country", "age_over_18"} {
		all = append(all, Name{c1, id})
	}
	if r := ty.Check(all); !r.OK() {
		t.Errorf("complete document refused:\n%s", r)
	}
	for name, present := range map[string][]Name{
		"no portrait":   append(append([]Name{}, all[:3]...), all[4:]...),
		"twice":         append(append([]Name{}, all...), all[0]),
		"old name":      append(append([]Name{}, all...), Name{c1, "family_name_unicode"}),
		"dg1 alone":     append(append([]Name{}, all...), Name{"org.iso.23220.datagroups.1", "dg1"}),
		"retired (PID)": nil,
	} {
		ty := ty
		if name == "retired (PID)" {
			ty, _ = Builtin().ByDocType(pid)
			present = []Name{{pid, "age_over_18"}}
		}
		err := ty.Check(present).Err()
		if ce := (*check.Error)(nil); !errors.As(err, &ce) {
			t.Errorf("%s: %v, want a failed check", name, err)
		}
	}
	if r := ty.Check(append(append([]Name{}, all...), Name{"org.iso.23220.photoid.UT.1", "x"})); !r.OK() {
		t.Errorf("domestic namespace refused:\n%s", r)
	}
}

func TestLoadRefuses(t *testing.T) {
	good, err := os.ReadFile("testdata/member.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"unknown field":      {"version:", "versoin: x\nversion:"},
		"duplicate key":      {"version:", "id: member\nversion:"},
		"unknown type":       {"type: alpha-2", "type: alpha2"},
		"unknown presence":   {"presence: mandatory", "presence: required"},
		"no English name":    {"{en: Member card, ", "{"},
		"spaces in docType":  {"docType: org.example", "docType: org example"},
		"element twice":      {"id: barcode_value", "id: member_number"},
		"unknown condition":  {"/barcode_value", "/barcode"},
		"array without of":   {"of: {type: map", "accept: [{type: map"},
		"rule of no element": {"from: birth_date", "from: date_of_birth"},
		"rule to wrong type": {"to: resident_of_de", "to: barcode_value"},
		"age out of range":   {"ages: [18]", "ages: [180]"},
		"bad colour":         {"#7b241c", "red"},
		"wildcard":           {"wild: NN", "wild: N*"},
		"second document":    {"derive:", "---\nderive:"},
	} {
		data := strings.Replace(string(good), c[0], c[1], 1)
		if name == "array without of" {
			data = strings.Replace(data, "names: {en: Hours}}]}", "names: {en: Hours}}]}]", 1)
		}
		if data == string(good) {
			t.Errorf("%s: nothing replaced", name)
		}
		if _, err := Load([]byte(data)); !errors.Is(err, ErrDefinition) {
			t.Errorf("%s: %v, want ErrDefinition", name, err)
		}
	}
	if _, err := Load(make([]byte, maxDefinition+1)); !errors.Is(err, ErrDefinition) {
		t.Errorf("huge: %v", err)
	}
}

// TestUnknownIsShown checks that a value without or against a definition is
// shown all the same.
func TestUnknownIsShown(t *testing.T) {
	for _, c := range []struct {
		docType, id string
		raw         []byte
		label, text string
	}{
		{"org.example.unknown", "x", cbor.AppendUint(nil, 7), "x", "7"},
		{mdl, "sex", cbor.AppendText(nil, "male"), "Sex", `"male"`},
		{mdl, "sex", cbor.AppendUint(nil, 2), "Sex", "female"},
		{mdl, "age_over_21", cbor.AppendBool(nil, true), "Over 21", "Yes"},
		{mdl, "biometric_template_face", cbor.AppendBytes(nil, make([]byte, 9)), "Biometric template (face)", "9 bytes"},
		{mdl, "height", []byte{0xff}, "Height (cm)", "1 bytes"},
	} {
		if label, text := Builtin().Display("xx", c.docType, mdlNS, c.id, c.raw); label != c.label || text != c.text {
			t.Errorf("%s: shown as %q: %q, want %q: %q", c.id, label, text, c.label, c.text)
		}
	}
}

// TestNearestAgeIsTrue checks for any age and any statements that the answer
// is implied by the age and answers the question.
func TestNearestAgeIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		years := rapid.IntRange(0, 120).Draw(t, "years")
		have := map[int]bool{}
		for _, nn := range rapid.SliceOf(rapid.IntRange(0, 99)).Draw(t, "statements") {
			have[nn] = years >= nn
		}
		requested := rapid.IntRange(0, 99).Draw(t, "requested")
		nn, value, ok := NearestAge(requested, have)
		if ok && (have[nn] != value || value != (years >= requested)) {
			t.Fatalf("asked %d of %d years: %d is %v", requested, years, nn, value)
		}
		if _, held := have[requested]; held && (!ok || value != (years >= requested)) {
			t.Fatalf("held statement %d not answered: %v, %v", requested, value, ok)
		}
	})
}

func FuzzLoad(f *testing.F) {
	// The shipped definitions are too long to be changed quickly.
	data, err := os.ReadFile("testdata/member.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("{id: x, docType: x, version: x, source: x, names: {en: x}, namespaces: [{name: x, elements: [{id: x, type: tstr, names: {en: x}}]}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ty, err := Load(data)
		if err != nil {
			if !errors.Is(err, ErrDefinition) {
				t.Fatalf("error without name: %v", err)
			}
			return
		}
		if _, ok := ty.Element(ty.Namespaces[0].Name, ty.Namespaces[0].Elements[0].ID); !ok && ty.Namespaces[0].Elements[0].Wild == "" {
			t.Fatal("first element not found")
		}
	})
}

// FuzzDecode decodes anything with every element of the mDL; what decodes can
// be shown and encoded.
func FuzzDecode(f *testing.F) {
	for _, raw := range items(f) {
		f.Add(raw)
	}
	ty, _ := Builtin().ByDocType(mdl)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, e := range ty.Namespaces[0].Elements {
			v, err := e.Decode(data)
			if err != nil {
				continue
			}
			if _, _, err := e.Display("es", data); err != nil {
				t.Fatalf("%s: decoded but not shown: %v", e.ID, err)
			}
			if _, isText := v.(string); isText {
				if _, err := e.Encode(v); err != nil {
					t.Fatalf("%s: decoded but not encoded: %v", e.ID, err)
				}
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	data, err := files.ReadFile("types/mdl.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodePrivileges(b *testing.B) {
	e := mustElement(b, mdl, mdlNS, "driving_privileges")
	for b.Loop() {
		if _, err := e.Encode("A,2018-08-09,2024-10-20;B,2017-02-23,2024-10-20"); err != nil {
			b.Fatal(err)
		}
	}
}
