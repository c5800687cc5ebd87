package core_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// summary writes a query in one line.
func summary(q query.Query) string {
	var parts []string
	for _, c := range q.Credentials {
		s := c.ID + "=" + strings.Join(c.Types, "|")
		for _, cl := range c.Claims {
			s += " "
			for i, step := range cl.Path {
				if i > 0 {
					s += "/"
				}
				s += fmt.Sprint(step)
			}
			if cl.Retain {
				s += "+"
			}
		}
		parts = append(parts, s)
	}
	for _, set := range q.Sets {
		for _, o := range set.Options {
			parts = append(parts, "or "+strings.Join(o, "+"))
		}
	}
	return strings.Join(parts, "; ")
}

const pidMdoc = "pid=eu.europa.ec.eudi.pid.1 eu.europa.ec.eudi.pid.1/"

const mdl = "org.iso.18013.5.1.mDL org.iso.18013.5.1/"

func TestParseAsk(t *testing.T) {
	for text, want := range map[string]string{
		"mdl:age_over_18,portrait":                            "mdl=" + mdl + "age_over_18 org.iso.18013.5.1/portrait",
		" mdl : age_over_18+ , portrait ":                     "mdl=" + mdl + "age_over_18+ org.iso.18013.5.1/portrait",
		"org.iso.18013.5.1/age_over_18":                       "mdl=" + mdl + "age_over_18",
		"org.iso.18013.5.1.mDL:family_name":                   "mdl=" + mdl + "family_name",
		"mdl:family_name;mdl:given_name":                      "mdl=" + mdl + "family_name; mdl-2=" + mdl + "given_name",
		"mdl:family_name|pid@mdoc:family_name":                "mdl=" + mdl + "family_name; " + pidMdoc + "family_name; or mdl; or pid",
		"pid:birth_date+,resident_city":                       pidMdoc + "birth_date+ eu.europa.ec.eudi.pid.1/resident_city; pid-sd-jwt=urn:eudi:pid:1 birthdate+ address/locality; or pid; or pid-sd-jwt",
		"pid:age_over_18":                                     pidMdoc + "age_over_18; pid-sd-jwt=urn:eudi:pid:1 age_equal_or_over/18; or pid; or pid-sd-jwt",
		"mdl:family_name|pid:family_name":                     "mdl=" + mdl + "family_name; " + pidMdoc + "family_name; pid-sd-jwt=urn:eudi:pid:1 family_name; or mdl; or pid; or pid-sd-jwt",
		"pid@sd-jwt:birth_date,nationality":                   "pid-sd-jwt=urn:eudi:pid:1 birthdate nationalities",
		" pid@sd-jwt : birthdate , address/locality+":         "pid-sd-jwt=urn:eudi:pid:1 birthdate address/locality+",
		"urn:eudi:pid:1:family_name":                          "pid-sd-jwt=urn:eudi:pid:1 family_name",
		"eu.europa.ec.eudi.pid.1:family_name":                 pidMdoc + "family_name",
		"urn:x:card:1@sd-jwt:member/number,name":              "document-sd-jwt=urn:x:card:1 member/number name",
		"https://example.com/card@sd-jwt:name":                "document-sd-jwt=https://example.com/card name",
		"org.example.badge@mdoc:org.example/id":               "document=org.example.badge org.example/id",
		"pid:sex;pid@sd-jwt:sex":                              pidMdoc + "sex; pid-sd-jwt=urn:eudi:pid:1 sex; pid-sd-jwt-2=urn:eudi:pid:1 sex; or pid; or pid-sd-jwt; or pid-sd-jwt-2",
		"org.example.badge:org.example/id,urn:x:y/a":          "document=org.example.badge org.example/id urn:x:y/a",
		"mdl:org.iso.18013.5.1.aamva/DHS_compliance":          "mdl=org.iso.18013.5.1.mDL org.iso.18013.5.1.aamva/DHS_compliance",
		"org.iso.18013.5.1.mDL:org.iso.18013.5.1/family_name": "mdl=" + mdl + "family_name",
	} {
		a, err := core.ParseAsk(text, nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, summary(a.Query)); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}

func TestParseAskRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                "element is missing",
		"mdl:":                            "element is missing",
		"mdl:age_over_18,":                "element is missing",
		"mdl:no_such_element":             "no_such_element",
		"family_name":                     "say of which document",
		"org.example/x":                   "no known document type",
		"badge:id":                        "not known",
		"mdl:family_name,family_name":     "twice",
		"mdl:portrait;":                   "element is missing",
		"mdl:org.iso.18013.5.1/nonsense":  "no element",
		"mdl:a b":                         "identifier",
		"mdl@sd-jwt:family_name":          "not issued as SD-JWT VC",
		"pid@sd-jwt:shoe_size":            "no element and no claim",
		"pid@sd-jwt:birth_date,birthdate": "twice",
		"pid@sd-jwt:":                     "element is missing",
		"@sd-jwt:name":                    "type is missing",
		"urn:x@sd-jwt:a//b":               "no path",
		"urn:x@sd-jwt:" + strings.Repeat("a/", 40) + "b": "no path",
		"pid@cbor:family_name":                           "not known",
		strings.Repeat("pid:sex|pid:sex|pid:sex|pid:sex|pid:sex|pid:sex|pid:sex|pid:sex;", 3) + "mdl:sex": "at most 32",
		"\xff":                             "UTF-8",
		strings.Repeat("x", 5000):          "bytes",
		strings.Repeat("mdl:portrait;", 9): "documents",
	} {
		if a, err := core.ParseAsk(text, nil); !errors.Is(err, core.ErrAsk) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v, %s", text, err, summary(a.Query))
		}
	}
}

func TestPresets(t *testing.T) {
	for _, p := range core.Presets() {
		a, err := core.ParseAsk(p.Name, nil)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		if a.Title != p.Title || a.Purpose != p.Purpose || len(a.Query.Sets) == 0 || a.Query.Sets[0].Purposes[0] != p.Purpose {
			t.Errorf("%s: %+v", p.Name, a)
		}
		checkAsk(t, a)
	}
	portrait := func(a core.Ask, err error) (all, any bool) {
		if err != nil {
			t.Fatal(err)
		}
		all = true
		for _, c := range a.Query.Credentials {
			has := slices.ContainsFunc(c.Claims, func(c query.Claim) bool {
				last, _ := c.Path[len(c.Path)-1].(string)
				return last == "portrait" || last == "picture"
			})
			all, any = all && has, any || has
		}
		return all, any
	}
	for _, p := range core.Presets() { // a website cannot look at anybody
		if _, any := portrait(core.ParseAsk(p.Name, nil)); any {
			t.Errorf("%s asks for the portrait over the internet", p.Name)
		}
		if all, _ := portrait(core.ParseOnSite(p.Name, nil)); !all {
			t.Errorf("%s does not ask for the portrait on-site", p.Name)
		}
	}
	own := core.Preset{Name: "age18", Title: "Ours", Ask: "mdl:age_over_18"}
	if a, err := core.ParseOnSite("age18", nil, own); err != nil || len(a.Query.Credentials) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := core.ParseAsk("age18", nil, own); err != nil || a.Title != "Ours" || len(a.Query.Credentials) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestPurposeAndRetain(t *testing.T) {
	a, err := core.ParseAsk("mdl:family_name,portrait", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.WithRetain(true).WithPurpose(" open an account ")
	if err != nil || b.Purpose != "open an account" || !b.Query.Credentials[0].Claims[1].Retain || a.Query.Credentials[0].Claims[1].Retain {
		t.Errorf("%+v, %v", b, err)
	}
	for _, s := range []string{strings.Repeat("x", 201), "two\nlines", "\x1b[31m"} {
		if _, err := a.WithPurpose(s); !errors.Is(err, core.ErrAsk) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// What is no choice needs no deviceRequestInfo, and a choice that the mdoc
// does not understand is not put to it.
func TestOnSite(t *testing.T) {
	for text, want := range map[string][2]string{
		"mdl:portrait":               {"mdl", "mdl"},
		"age18":                      {"mdl photoid pid info", "mdl"},
		"driving":                    {"mdl", "mdl"},
		"pid:sex|mdl:sex;mdl:weight": {"pid mdl mdl-2 info", "pid mdl-2"},
		"pid:sex":                    {"pid", "pid"},
		"pid@sd-jwt:sex|mdl:sex":     {"mdl", "mdl"},
	} {
		a, err := core.ParseAsk(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, extended := range []bool{true, false} {
			q, err := core.OnSite(a.Query, extended)
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			var got []string
			for _, c := range q.Credentials {
				got = append(got, c.ID)
			}
			_, info, err := q.DeviceRequest()
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if info != nil {
				got = append(got, "info")
			}
			if s := strings.Join(got, " "); s != want[i] {
				t.Errorf("%s, extended %t: %q, want %q", text, extended, s, want[i])
			}
		}
	}
}

// On-site an SD-JWT VC is not shown, and who wants nothing else is told.
func TestOnSiteRefuses(t *testing.T) {
	for _, text := range []string{"pid@sd-jwt:sex", "mdl:sex;pid@sd-jwt:sex", "mdl:sex|pid:sex;pid@sd-jwt:sex"} {
		a, err := core.ParseAsk(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := core.OnSite(a.Query, true); !errors.Is(err, core.ErrAsk) || !strings.Contains(err.Error(), "on-site") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// checkAsk is what holds of every question that was understood.
func checkAsk(t *testing.T, a core.Ask) {
	t.Helper()
	dcql, err := a.Query.MarshalDCQL()
	if err != nil {
		t.Fatalf("%q has no DCQL: %v", a.Text, err)
	}
	back, err := query.ParseDCQL(dcql)
	if err != nil {
		t.Fatalf("%q makes DCQL that nobody reads: %v", a.Text, err)
	}
	if diff := cmp.Diff(summary(a.Query), summary(back)); diff != "" {
		t.Fatalf("%q through DCQL:\n%s", a.Text, diff)
	}
	onSite, err := core.OnSite(a.Query, true)
	if err != nil {
		if !errors.Is(err, core.ErrAsk) {
			t.Fatalf("%q on-site: %v", a.Text, err)
		}
		return
	}
	documents, info, err := onSite.DeviceRequest()
	if err != nil {
		t.Fatalf("%q has no DeviceRequest: %v", a.Text, err)
	}
	raw, err := mdoc.BuildDeviceRequest(t.Context(), mdoc.RequestParams{Documents: documents, Info: info})
	if err != nil {
		t.Fatalf("%q makes no DeviceRequest: %v", a.Text, err)
	}
	if _, err := mdoc.ParseDeviceRequest(raw); err != nil {
		t.Fatalf("%q makes a DeviceRequest that nobody reads: %v", a.Text, err)
	}
}

func FuzzParseAsk(f *testing.F) {
	for _, s := range []string{
		"mdl:age_over_18,portrait", "org.iso.18013.5.1/age_over_18", "age18", "pid:family_name+|mdl:family_name;photoid:portrait",
		"org.example.badge:org.example/id,urn:x:y/a", "mdl:org.iso.18013.5.1.aamva/DHS_compliance", ":;|,/+", "a:b:c/d",
		"pid@sd-jwt:address/locality|pid:sex", "urn:x:card:1@sd-jwt:member/number", "pid@mdoc@sd-jwt:sex", "@sd-jwt:x", "pid:age_over_18 else birth_date,portrait", "mdl:age_over_21 else age_in_years+ else birth_date|pid:sex",
	} {
		f.Add(s)
	}
	types := doctype.Builtin()
	f.Fuzz(func(t *testing.T, text string) {
		a, err := core.ParseAsk(text, types)
		if err != nil {
			if !errors.Is(err, core.ErrAsk) {
				t.Fatalf("%v", err)
			}
			return
		}
		checkAsk(t, a)
	})
}
