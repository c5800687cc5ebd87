package core_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki/pkitest"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/internal/vectors"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

func load(t testing.TB, name string) vectors.Record {
	t.Helper()
	return vectors.Read(t, "iso18013-5/"+name+".json")
}

func trusting(t testing.TB, der []byte) *assure.Anchors {
	t.Helper()
	a, err := assure.NewAnchors(assure.FromCertificates(trustlist.Issuer, "test", pkitest.Parse(t, der))...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// annexD is the exchange of Annex D.4: what was asked, what came back, and
// what the reader knew.
func annexD(t testing.TB) ([]byte, core.VerifyParams) {
	t.Helper()
	v := load(t, "d4_1_2_device_response")
	req, err := mdoc.ParseDeviceRequest(load(t, "d4_1_1_device_request").Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	q, err := query.FromDeviceRequest(req)
	if err != nil {
		t.Fatal(err)
	}
	return v.Bytes(t), core.VerifyParams{
		Asked: q, Anchors: trusting(t, v.Want(t, "iaca_certificate")), Now: time.Date(2020, 12, 1, 0, 0, 0, 0, time.UTC),
		Transcript: load(t, "d5_1_session_transcript").Want(t, "session_transcript_untagged"), EReaderKey: testkit.ECDH(v.P256(t, "ephemeral_reader_key")),
	}
}

func ids(d core.Document) []string {
	var out []string
	for _, e := range d.Elements {
		out = append(out, e.ID)
	}
	return out
}

func TestAnnexD(t *testing.T) {
	response, p := annexD(t)
	r, err := core.Verify(t.Context(), response, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Documents) != 1 || r.Documents[0].Verdict != core.Valid || r.Documents[0].Device != "mac" {
		t.Fatalf("%+v", r)
	}
	d := r.Documents[0]
	want := []string{"family_name", "issue_date", "expiry_date", "document_number", "portrait", "driving_privileges"}
	if diff := cmp.Diff(want, ids(d)); diff != "" {
		t.Error(diff)
	}
	if e := d.Elements[0]; e.Text != "Doe" || e.Value != "Doe" || e.Label == "" || e.Label == e.ID {
		t.Errorf("%+v", e)
	}
	if len(d.Portrait) == 0 || d.PortraitType != "image/jpeg" || d.Elements[4].Value != nil {
		t.Errorf("portrait of %d bytes, %q, value %v", len(d.Portrait), d.PortraitType, d.Elements[4].Value)
	}

	// The result comes back from its JSON as it was.
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back core.Result
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("JSON is not stable: %v\n%s\n%s", err, data, again)
	}
	var text strings.Builder
	if err := r.WriteText(&text, true); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"VALID", "Doe", "by mac", "issuer"} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("text lacks %q:\n%s", s, text.String())
		}
	}
}

// Whatever bit an attacker turns, nothing of it is shown.
func TestAnnexDRefused(t *testing.T) {
	response, good := annexD(t)
	for name, c := range map[string]struct {
		change func(p *core.VerifyParams)
		reason string
	}{
		"another session":  {func(p *core.VerifyParams) { p.Transcript = mdoc.Transcript([]byte{0xa0}, []byte{0xa0}, nil) }, "device"},
		"no transcript":    {func(p *core.VerifyParams) { p.Transcript = nil }, "device"},
		"expired":          {func(p *core.VerifyParams) { p.Now = p.Now.AddDate(3, 0, 0) }, "2021"},
		"unknown issuer":   {func(p *core.VerifyParams) { p.Anchors = nil }, "issuer"},
		"strict":           {func(p *core.VerifyParams) { p.Strict = true }, "CRL"},
		"reader key is no": {func(p *core.VerifyParams) { p.EReaderKey = testkit.Agreer(t, ecdh.P256()) }, "device"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			c.change(&p)
			r, err := core.Verify(t.Context(), response, p)
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != core.Invalid || r.OK() || len(r.Documents) != 1 || r.Documents[0].Elements != nil || r.Documents[0].Portrait != nil {
				t.Errorf("%+v", r)
			}
			if !strings.Contains(r.Reason, c.reason) {
				t.Errorf("reason %q does not say %q", r.Reason, c.reason)
			}
		})
	}
	if _, err := core.Verify(t.Context(), response[:len(response)-1], good); !errors.Is(err, mdoc.ErrSyntax) {
		t.Errorf("truncated: %v", err)
	}
}

func TestUnaskedIsDropped(t *testing.T) {
	response, p := annexD(t)
	p.Asked.Credentials[0].Claims = p.Asked.Credentials[0].Claims[:1]
	r, err := core.Verify(t.Context(), response, p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"family_name"}, ids(r.Documents[0])); diff != "" || r.Documents[0].Portrait != nil {
		t.Errorf("%s, portrait of %d bytes", diff, len(r.Documents[0].Portrait))
	}
	c, ok := r.Documents[0].Report.Find("only what was asked")
	if !ok || c.Outcome != check.Warn || !strings.Contains(c.Seen, "portrait") {
		t.Errorf("%+v", c)
	}
	if r.Verdict != core.Valid {
		t.Errorf("verdict %s: %s", r.Verdict, r.Reason)
	}

	// A whole document that nobody asked for is not even verified.
	p.Asked.Credentials[0].Types = []string{"org.example.other"}
	if r, err = core.Verify(t.Context(), response, p); err != nil || len(r.Documents) != 0 || r.Verdict != core.Empty || len(r.Missing) != 0 && r.Missing[0].ID != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if c, ok := r.Report.Find("only what was asked"); !ok || c.Outcome != check.Warn {
		t.Errorf("%+v", c)
	}
}

func TestMissingIsReported(t *testing.T) {
	response, p := annexD(t)
	ask, err := core.ParseAsk("mdl:family_name,given_name; pid:family_name", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Asked = ask.Query
	r, err := core.Verify(t.Context(), response, p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != core.Incomplete || len(r.Missing) != 2 || r.Missing[0].ID != "given_name" || r.Missing[1].ID != "" || r.Missing[1].Credential != "pid" {
		t.Errorf("%s %+v", r.Verdict, r.Missing)
	}

	// Of a choice, one suffices.
	if ask, err = core.ParseAsk("pid:family_name | mdl:family_name", nil); err != nil {
		t.Fatal(err)
	}
	p.Asked = ask.Query
	if r, err = core.Verify(t.Context(), response, p); err != nil || r.Verdict != core.Valid || len(r.Missing) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPresentations(t *testing.T) {
	v := load(t, "p7_b6_5_vp_token_device_response")
	resp, err := mdoc.ParseDeviceResponse(v.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	c := query.Credential{ID: "x", Format: query.FormatMdoc, Types: []string{mdoc.DocTypeMDL}}
	for _, ns := range resp.Documents[0].IssuerSigned.NameSpaces {
		for _, item := range ns.Items {
			c.Claims = append(c.Claims, query.Claim{Path: query.Element(ns.Name, item.ID)})
		}
	}
	p := core.VerifyParams{
		Asked: query.Query{Credentials: []query.Credential{c}}, Anchors: trusting(t, v.Want(t, "iaca_der")),
		Now: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC), Transcript: load(t, "p7_b6_9_session_transcript").Bytes(t),
	}
	raw := v.Bytes(t)
	text := jose.Encode(raw)
	r, err := core.VerifyPresentations(t.Context(), map[string][]string{"x": {text}}, p)
	if err != nil || r.Verdict != core.Valid || r.Documents[0].Device != "signature" {
		t.Fatalf("%+v, %v", r, err)
	}
	// The same document for an id that was not asked answers nothing, and of
	// two where one was asked the second is dropped.
	if r, err = core.VerifyPresentations(t.Context(), map[string][]string{"y": {text}}, p); err != nil || r.Verdict != core.Empty {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = core.VerifyPresentations(t.Context(), map[string][]string{"x": {text, text}}, p); err != nil || len(r.Documents) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// One bit of the device signature.
	i := bytes.Index(raw, resp.Documents[0].DeviceSigned.Signature)
	bad := bytes.Clone(raw)
	bad[i+len(resp.Documents[0].DeviceSigned.Signature)-1] ^= 1
	if r, err = core.VerifyPresentations(t.Context(), map[string][]string{"x": {jose.Encode(bad)}}, p); err != nil || r.Verdict != core.Invalid || r.Documents[0].Elements != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestErrorResponse(t *testing.T) {
	ask, err := core.ParseAsk("driving", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := core.VerifyParams{Asked: ask.Query, Now: time.Unix(1e9, 0), Transcript: []byte{0x80}}
	r, err := core.Verify(context.Background(), mdoc.EncodeErrorResponse(mdoc.StatusGeneralError), p)
	if err != nil || r.Verdict != core.Invalid || !strings.Contains(r.Reason, "10") {
		t.Errorf("%+v, %v", r, err)
	}
	raw, err := mdoc.EncodeResponse(nil, []mdoc.DocumentError{{DocType: mdoc.DocTypeMDL, Code: 0}})
	if err != nil {
		t.Fatal(err)
	}
	r, err = core.Verify(context.Background(), raw, p)
	if err != nil || r.Verdict != core.Empty || len(r.Missing) != 1 || !strings.Contains(r.Missing[0].Why, "did not return") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 90 * time.Second: "90 seconds", 12 * time.Minute: "12 minutes",
		3 * time.Hour: "3 hours", 49 * time.Hour: "2 days",
	} {
		if got := core.Age(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
