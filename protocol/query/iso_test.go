package query_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/query"
)

// TestExtendedRequest: the example of the standard is planned and means the
// same after it was written by us.
//
// ISO/IEC 18013-5 second edition (draft v4), D.4.1.3.
func TestExtendedRequest(t *testing.T) {
	for _, name := range []string{"d4_1_1_device_request", "d4_1_3_device_request_extended"} {
		var v struct {
			Hex string `json:"hex"`
		}
		vectors.Load(t, "iso18013-5/"+name+".json", &v)
		req, err := mdoc.ParseDeviceRequest(vectors.Hex(t, v.Hex))
		if err != nil {
			t.Fatal(err)
		}
		q, err := query.FromDeviceRequest(req)
		if err != nil {
			t.Fatal(err)
		}
		if len(q.Credentials) != len(req.Documents) || req.Info != nil && len(q.Sets) != len(req.Info.UseCases) {
			t.Errorf("%s: %+v", name, q)
		}
		if req.Info == nil {
			continue // the first edition has no word for how its documents belong together
		}
		docs, info, err := q.DeviceRequest()
		if err != nil {
			t.Fatal(err)
		}
		again, err := query.FromDeviceRequest(rebuilt(t, docs, info))
		if err != nil || !reflect.DeepEqual(q, again) {
			t.Errorf("%s: came back as %+v, %v\nfrom %+v", name, again, err, q)
		}
	}
}

func rebuilt(t testing.TB, docs []mdoc.DocRequest, info *mdoc.DeviceRequestInfo) *mdoc.DeviceRequest {
	t.Helper()
	raw, err := mdoc.BuildDeviceRequest(context.Background(), mdoc.RequestParams{Documents: docs, Info: info})
	if err != nil {
		t.Fatal(err)
	}
	req, err := mdoc.ParseDeviceRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// wants is a document request; alternatives are "a: b+c | d".
func wants(elements []string, alternatives ...string) mdoc.DocRequest {
	d := mdoc.DocRequest{DocType: "t", NameSpaces: []mdoc.RequestedNameSpace{{Name: space}}, Info: &mdoc.DocRequestInfo{}}
	for _, e := range elements {
		name, keep := strings.CutSuffix(e, "!")
		d.NameSpaces[0].Elements = append(d.NameSpaces[0].Elements, mdoc.RequestedElement{ID: name, IntentToRetain: keep})
	}
	for _, a := range alternatives {
		name, sets, _ := strings.Cut(a, ": ")
		alt := mdoc.AlternativeDataElements{Requested: mdoc.ElementRef{NameSpace: space, ID: name}}
		for set := range strings.SplitSeq(sets, " | ") {
			var refs []mdoc.ElementRef
			for e := range strings.SplitSeq(set, "+") {
				refs = append(refs, mdoc.ElementRef{NameSpace: space, ID: e})
			}
			alt.Sets = append(alt.Sets, refs)
		}
		d.Info.Alternatives = append(d.Info.Alternatives, alt)
	}
	return d
}

func ask(t testing.TB, docs ...mdoc.DocRequest) query.Query {
	t.Helper()
	q, err := query.FromDeviceRequest(&mdoc.DeviceRequest{Documents: docs})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func holds(elements ...string) query.Held {
	m := map[string]any{}
	for _, e := range elements {
		name, no := strings.CutPrefix(e, "-")
		m[name] = !no
	}
	return query.Held{Format: query.FormatMdoc, Type: "t", Bound: true, Claims: jsonClaims{space: m}}
}

func TestStandIns(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  mdoc.DocRequest
		held []string
		want string // "path<asked", ! where it is to be retained
	}{
		{"itself before its alternatives", wants([]string{"a"}, "a: b"), []string{"a", "b"}, "a<a"},
		{"the first complete one", wants([]string{"a"}, "a: b+c | d | b"), []string{"b", "d"}, "d<a"},
		{"one that is given anyway", wants([]string{"a", "d"}, "a: b | d"), []string{"b", "d"}, "d<d"},
		{"none that another stands in for", wants([]string{"a", "c"}, "a: b | d", "c: d"), []string{"b", "d"}, "d<a"},
		{"the intent to retain goes with it", wants([]string{"a!", "d"}, "a: d"), []string{"d"}, "d<d!"},
		{"a nearer age", wants([]string{"age_over_18"}, "age_over_18: d"), []string{"age_over_21", "d"}, "age_over_21<age_over_18"},
		{"an age as alternative", wants([]string{"a"}, "a: age_over_18"), []string{"age_over_21"}, "age_over_21<a"},
		{"two ages", wants([]string{"age_over_16", "age_over_18", "age_over_21"}), []string{"age_over_16", "age_over_18", "-age_over_21"}, "age_over_16<age_over_16 age_over_18<age_over_18"},
		{"ages in alternatives after those asked for", wants([]string{"a", "age_over_18", "age_over_21"}, "a: age_over_16"), []string{"age_over_16", "age_over_18"}, "age_over_18<age_over_18"},
	} {
		p := query.Make(ask(t, tc.ask), []query.Held{holds(tc.held...)})
		var got []string
		for _, d := range p.First(true)[0].Claims {
			s := fmt.Sprintf("%s<%s", d.Path[1], d.Asked[1])
			if d.Retain {
				s += "!"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, s, tc.want)
		}
	}
	// Two requests for one document type are asked no more ages than one.
	p := query.Make(ask(t, wants([]string{"age_over_16", "age_over_18"}), wants([]string{"age_over_21"})), []query.Held{holds("age_over_16", "age_over_18", "age_over_21")})
	if len(p.Credentials[0]) != 1 || len(p.Credentials[1]) != 0 {
		t.Errorf("%+v", p.Credentials)
	}
}

// zkRequest is a ZkRequest without systems. Its zkRequired is any item.
func zkRequest(required []byte) []byte {
	b := cbor.AppendText(cbor.AppendMap(nil, 2), "systemSpecs")
	b = cbor.AppendText(cbor.AppendArray(b, 0), "zkRequired")
	return append(b, required...)
}

func TestDocRequestInfo(t *testing.T) {
	refine := func(change func(*mdoc.DocRequestInfo)) mdoc.DocRequest {
		d := wants([]string{"a"})
		change(d.Info)
		return d
	}
	is := func(b bool) *bool { return &b }
	held := []query.Held{holds("a"), holds("a")}
	held[0].Authorities = []query.Authority{{Type: query.AuthorityAKI, Value: aki("one") + "="}} // as some write it
	for _, tc := range []struct {
		name string
		ask  mdoc.DocRequest
		want []int // the documents of the first answer
		why  string
	}{
		{"nothing said", refine(func(*mdoc.DocRequestInfo) {}), []int{0}, ""},
		{"one wanted", refine(func(i *mdoc.DocRequestInfo) { i.UniqueDocSetRequired = is(true) }), []int{0}, ""},
		{"several welcome", refine(func(i *mdoc.DocRequestInfo) { i.UniqueDocSetRequired = is(false) }), []int{0, 1}, ""},
		{"issuer", refine(func(i *mdoc.DocRequestInfo) {
			i.IssuerIdentifiers, i.UniqueDocSetRequired = [][]byte{[]byte("none"), []byte("one")}, is(false)
		}), []int{0}, ""},
		{"no issuer", refine(func(i *mdoc.DocRequestInfo) { i.IssuerIdentifiers = [][]byte{[]byte("two")} }), nil, "issuer"},
		{"a proof welcome", refine(func(i *mdoc.DocRequestInfo) { i.ZKRequest = zkRequest([]byte{0xf4}) }), []int{0}, ""},
		{"a proof required", refine(func(i *mdoc.DocRequestInfo) { i.ZKRequest = zkRequest([]byte{0xf5}) }), nil, "zero-knowledge"},
	} {
		p := query.Make(ask(t, tc.ask), held)
		var got []int
		for _, c := range p.First(true) {
			got = append(got, c.Held)
		}
		if !slices.Equal(got, tc.want) || !strings.Contains(p.Missing[0], tc.why) || p.Satisfied != (tc.want != nil) {
			t.Errorf("%s: %v, want %v; %q", tc.name, got, tc.want, p.Missing[0])
		}
	}
}

func TestPurposes(t *testing.T) {
	hint := func(controller string, code int64) mdoc.PurposeHint {
		return mdoc.PurposeHint{Controller: controller, Code: code}
	}
	req := &mdoc.DeviceRequest{
		Documents: []mdoc.DocRequest{wants([]string{"a"})},
		Info: &mdoc.DeviceRequestInfo{UseCases: []mdoc.UseCase{
			{DocumentSets: [][]int{{0}}, Purposes: []mdoc.PurposeHint{hint("org.example", -7), hint(mdoc.PurposeController, 3)}},
			{DocumentSets: [][]int{{0}}, Purposes: []mdoc.PurposeHint{hint("org.example:x", -7), hint("org.example.other", 1)}},
			{DocumentSets: [][]int{{0}}},
		}},
	}
	q, err := query.FromDeviceRequest(req)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{{mdoc.PurposeController + ":3"}, {"org.example:x:-7"}, nil} {
		if got := q.Sets[i].Purposes; !slices.Equal(got, want) {
			t.Errorf("use case %d: %v, want %v", i, got, want)
		}
	}
	q.Sets[2].Purposes = []string{"to know you"} // a text has no place in a DeviceRequest
	_, info, err := q.DeviceRequest()
	if err != nil || !reflect.DeepEqual(info.UseCases[1].Purposes, req.Info.UseCases[1].Purposes[:1]) || info.UseCases[2].Purposes != nil {
		t.Errorf("%+v %v", info, err)
	}
}

func TestDeviceRequestRefused(t *testing.T) {
	many := make([]string, 257)
	for i := range many {
		many[i] = fmt.Sprint("e", i)
	}
	proof := func(raw []byte) mdoc.DocRequest { d := wants([]string{"a"}); d.Info.ZKRequest = raw; return d }
	issuers := wants([]string{"a"})
	issuers.Info.IssuerIdentifiers = make([][]byte, 257)
	for name, req := range map[string]*mdoc.DeviceRequest{
		"documents":    {Documents: slices.Repeat([]mdoc.DocRequest{wants([]string{"a"})}, 33)},
		"elements":     {Documents: []mdoc.DocRequest{wants(many)}},
		"alternatives": {Documents: []mdoc.DocRequest{wants([]string{"a"}, "a: "+strings.Join(many, "+"))}},
		"issuers":      {Documents: []mdoc.DocRequest{issuers}},
		"no document":  {Documents: []mdoc.DocRequest{wants([]string{"a"})}, Info: &mdoc.DeviceRequestInfo{UseCases: []mdoc.UseCase{{DocumentSets: [][]int{{1}}}}}},
		"zkRequest":    {Documents: []mdoc.DocRequest{proof([]byte{0x01})}},
		"zkRequired":   {Documents: []mdoc.DocRequest{proof(zkRequest([]byte{0x01}))}},
	} {
		if _, err := query.FromDeviceRequest(req); !errors.Is(err, query.ErrQuery) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What a DeviceRequest cannot say, or must not.
	good := ask(t, wants([]string{"a"})).Credentials[0]
	for name, change := range map[string]func(*query.Credential){
		"format":      func(c *query.Credential) { c.Format = query.FormatSDJWT },
		"types":       func(c *query.Credential) { c.Types = []string{"t", "u"} },
		"nothing":     func(c *query.Credential) { c.Claims = nil },
		"claim sets":  func(c *query.Credential) { c.ClaimSets = [][]int{{0}} },
		"values":      func(c *query.Credential) { c.Claims[0].Values = []any{"x"} },
		"path":        func(c *query.Credential) { c.Claims[0].Path = query.Path{"a"} },
		"twice":       func(c *query.Credential) { c.Claims = append(c.Claims, c.Claims[0]) },
		"authorities": func(c *query.Credential) { c.Authorities = []query.Authority{{Type: "etsi_tl", Value: "https://x"}} },
		"three ages": func(c *query.Credential) {
			for _, e := range elements[4:] {
				c.Claims = append(c.Claims, query.Claim{Path: query.Element(space, e)})
			}
		},
	} {
		c := good
		c.Claims = slices.Clone(good.Claims)
		change(&c)
		if _, _, err := (query.Query{Credentials: []query.Credential{c}}).DeviceRequest(); !errors.Is(err, query.ErrQuery) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
