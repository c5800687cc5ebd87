package core_test

import (
	"errors"
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
			s += " " + cl.Path[0].(string) + "/" + cl.Path[1].(string)
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

const mdl = "org.iso.18013.5.1.mDL org.iso.18013.5.1/"

func TestParseAsk(t *testing.T) {
	for text, want := range map[string]string{
		"mdl:age_over_18,portrait":                            "mdl=" + mdl + "age_over_18 org.iso.18013.5.1/portrait",
		" mdl : age_over_18+ , portrait ":                     "mdl=" + mdl + "age_over_18+ org.iso.18013.5.1/portrait",
		"org.iso.18013.5.1/age_over_18":                       "mdl=" + mdl + "age_over_18",
		"org.iso.18013.5.1.mDL:family_name":                   "mdl=" + mdl + "family_name",
		"mdl:family_name;mdl:given_name":                      "mdl=" + mdl + "family_name; mdl-2=" + mdl + "given_name",
		"mdl:family_name|pid:family_name":                     "mdl=" + mdl + "family_name; pid=eu.europa.ec.eudi.pid.1 eu.europa.ec.eudi.pid.1/family_name; or mdl; or pid",
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
		"":                                 "element is missing",
		"mdl:":                             "element is missing",
		"mdl:age_over_18,":                 "element is missing",
		"mdl:no_such_element":              "no_such_element",
		"family_name":                      "say of which document",
		"org.example/x":                    "no known document type",
		"badge:id":                         "not known",
		"mdl:family_name,family_name":      "twice",
		"mdl:portrait;":                    "element is missing",
		"mdl:org.iso.18013.5.1/nonsense":   "no element",
		"mdl:a b":                          "identifier",
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
	own := core.Preset{Name: "age18", Title: "Ours", Ask: "pid:age_over_18"}
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
	} {
		a, err := core.ParseAsk(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, extended := range []bool{true, false} {
			q := core.OnSite(a.Query, extended)
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
	documents, info, err := core.OnSite(a.Query, true).DeviceRequest()
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
