package offering

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/doctype"
)

var day = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func person() map[string]any {
	return map[string]any{
		"family_name": "Sommer", "given_name": "Ada", "birth_date": "2008-11-30", "nationality": "UT;CH",
		"place_of_birth": "UT,,Lindenau", "birth_place": "Lindenau", "portrait": []byte{0xff, 0xd8, 0xff, 0xe0, 1},
		"driving_privileges": "B,2026-11-01", "mdl_number": "D1", "mdl_issue_date": "2026-11-01", "mdl_expiry_date": "2026-12-31",
		"pid_number": "P1", "sex": "", "age_over_65": "true", "age_over_18": "true", "biometric_template_face": []byte{0x7f, 0x61},
		"shoe_size": "37",
	}
}

func demoOffering(t testing.TB, id string) (Offering, *doctype.Type) {
	t.Helper()
	for _, o := range Demo("utopia") {
		if o.ID == id {
			ty, ok := doctype.Builtin().ByDocType(o.DocType)
			if !ok || o.Tenant != "utopia" {
				t.Fatalf("offering %+v", o)
			}
			return o, ty
		}
	}
	t.Fatalf("no offering %s", id)
	return Offering{}, nil
}

func TestElements(t *testing.T) {
	o, ty := demoOffering(t, "mdl")
	items, err := o.Elements(ty, person(), day)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, ns := range items {
		for _, item := range ns.Elements {
			diag, err := cbor.Diagnose(item.Value)
			if err != nil {
				t.Fatalf("%s: %v", item.ID, err)
			}
			got = append(got, item.ID+" "+diag)
		}
	}
	want := []string{
		`family_name "Sommer"`, `given_name "Ada"`, `birth_date 1004("2008-11-30")`, `issue_date 1004("2026-11-01")`,
		`expiry_date 1004("2026-12-31")`, `issuing_country "UT"`, `issuing_authority "Utopia Road Traffic Authority"`,
		`document_number "D1"`, `portrait h'ffd8ffe001'`,
		`driving_privileges [{"vehicle_category_code": "B", "issue_date": 1004("2026-11-01")}]`,
		`un_distinguishing_sign "UT"`, `birth_place "Lindenau"`, `age_in_years 17`, `age_birth_year 2008`,
		`age_over_15 true`, `age_over_16 true`, `age_over_17 true`, `age_over_18 false`, `age_over_19 false`,
		`age_over_20 false`, `age_over_21 false`, `age_over_25 false`, `age_over_65 true`,
		`nationality "UT"`, `biometric_template_face h'7f61'`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("elements (-want +got):\n%s", diff)
	}
}

func TestMandatoryMissing(t *testing.T) {
	for _, id := range []string{"mdl", "pid", "photoid"} {
		o, ty := demoOffering(t, id)
		p := person()
		delete(p, "family_name")
		_, err := o.Elements(ty, p, day)
		if ce := (*check.Error)(nil); !errors.As(err, &ce) || !strings.Contains(err.Error(), "family_name is missing") {
			t.Errorf("%s: %v, want a failed check of family_name", id, err)
		}
	}
	o, ty := demoOffering(t, "mdl")
	p := person()
	p["birth_date"] = "30.11.2008"
	if _, err := o.Elements(ty, p, day); !errors.Is(err, doctype.ErrDate) || strings.Contains(err.Error(), "2008") {
		t.Errorf("bad date: %v, want ErrDate without the value", err)
	}
}

func TestValidUntil(t *testing.T) {
	o, ty := demoOffering(t, "mdl")
	for _, c := range []struct {
		born, expires, want string
	}{
		{"1984-03-17", "2036-04-01", "2026-12-07"}, // lifetime
		{"2008-11-30", "2036-04-01", "2026-11-30"}, // 18th birthday
		{"1984-03-17", "2026-11-28", "2026-11-29"}, // end of the last day
		{"1984-03-17", "2026-11-22", ""},
	} {
		p := person()
		p["birth_date"], p["mdl_expiry_date"] = c.born, c.expires
		until, err := o.ValidUntil(ty, p, day)
		if c.want == "" {
			if !errors.Is(err, ErrExpired) {
				t.Errorf("expired document: %v, %v", until, err)
			}
			continue
		}
		if err != nil || !until.Equal(until.Truncate(24*time.Hour)) || until.Format("2006-01-02") != c.want {
			t.Errorf("born %s, expires %s: until %v, %v; want %s", c.born, c.expires, until, err, c.want)
		}
	}
}

// TestDefaults checks that a docType alone makes an offering, and that dates
// the source does not have are filled in.
func TestDefaults(t *testing.T) {
	list, err := Load([]byte("offerings: [{docType: org.iso.18013.5.1.mDL, from: {issuing_authority: =X, issuing_country: =UT, un_distinguishing_sign: =, document_number: mdl_number, nationality: '-'}}]"), doctype.Builtin())
	if err != nil {
		t.Fatal(err)
	}
	o := list[0]
	if o.Tenant != "default" || o.ID != "mdl" || o.Scope != "mdl" || o.Format != FormatMdoc || o.Level != Low || o.Batch != 10 ||
		o.Lifetime.Duration() != 14*24*time.Hour || !o.PreAuthorized || !o.Authorization || o.NoTxCode || len(o.Display) != 4 || o.Display[0].Name != "Driving licence" {
		t.Errorf("completed as %+v", o)
	}
	ty, _ := doctype.Builtin().ByDocType(o.DocType)
	items, err := o.Elements(ty, person(), day)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items[0].Elements {
		want := map[string]string{"issue_date": `1004("2026-11-23")`, "expiry_date": `1004("2031-11-22")`}[item.ID]
		if got, err := cbor.Diagnose(item.Value); want != "" && got != want || err != nil {
			t.Errorf("%s is %s, %v; want %s", item.ID, got, err, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"unknown field":    "{docType: org.iso.18013.5.1.mDL, batchSize: 3}",
		"unknown docType":  "{docType: org.example}",
		"old spelling":     "{docType: org.iso.23220.photoID.1}",
		"format":           "{docType: org.iso.18013.5.1.mDL, format: dc+sd-jwt}",
		"level":            "{docType: org.iso.18013.5.1.mDL, level: medium}",
		"batch":            "{docType: org.iso.18013.5.1.mDL, batch: 101}",
		"status period":    "{docType: org.iso.18013.5.1.mDL, statusPeriodDays: -1}",
		"lifetime":         "{docType: org.iso.18013.5.1.mDL, lifetimeDays: -1}",
		"id":               "{docType: org.iso.18013.5.1.mDL, id: a b}",
		"colour":           "{docType: org.iso.18013.5.1.mDL, display: [{name: x, background: red}]}",
		"logo":             "{docType: org.iso.18013.5.1.mDL, display: [{name: x, logo: 'http://x'}]}",
		"locale":           "{docType: org.iso.18013.5.1.mDL, display: [{name: x, locale: de-at}]}",
		"locale twice":     "{docType: org.iso.18013.5.1.mDL, display: [{name: x, locale: de}, {name: y, locale: DE}]}",
		"unknown element":  "{docType: org.iso.18013.5.1.mDL, from: {surname: x}}",
		"retired element":  "{docType: eu.europa.ec.eudi.pid.1, from: {age_in_years: x}}",
		"fixed value":      "{docType: org.iso.18013.5.1.mDL, from: {issuing_country: =Utopia}}",
		"index":            "{docType: org.iso.18013.5.1.mDL, from: {nationality: 'n[x]'}}",
		"the same ID":      "{docType: org.iso.18013.5.1.mDL}, {docType: org.iso.18013.5.1.mDL}",
		"element two ways": "{docType: org.iso.18013.5.1.mDL, from: {sex: a, org.iso.18013.5.1/sex: b}}",
	} {
		if _, err := Load([]byte("offerings: ["+text+"]"), doctype.Builtin()); !errors.Is(err, ErrOffering) {
			t.Errorf("%s: %v, want ErrOffering", name, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("offerings: [{docType: org.iso.18013.5.1.mDL, from: {sex: s}}]"))
	f.Add([]byte("offerings: [{docType: eu.europa.ec.eudi.pid.1, display: [{name: x}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Load(data, doctype.Builtin())
		if err != nil && !errors.Is(err, ErrOffering) {
			t.Fatalf("error without name: %v", err)
		}
		for _, o := range list {
			if _, err := o.Complete(doctype.Builtin()); err != nil {
				t.Fatalf("complete offering refused: %v", err)
			}
		}
	})
}

func BenchmarkElements(b *testing.B) {
	o, ty := demoOffering(b, "mdl")
	p := person()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Elements(ty, p, day); err != nil {
			b.Fatal(err)
		}
	}
}
