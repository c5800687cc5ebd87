package doctype

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/internal/vectors"
)

func mustElement(t testing.TB, docType, namespace, id string) Element {
	t.Helper()
	ty, ok := Builtin().ByDocType(docType)
	if !ok {
		t.Fatalf("no type %s", docType)
	}
	e, ok := ty.Element(namespace, id)
	if !ok {
		t.Fatalf("%s has no element %s/%s", docType, namespace, id)
	}
	return e
}

const (
	mdl   = "org.iso.18013.5.1.mDL"
	mdlNS = "org.iso.18013.5.1"
	pid   = "eu.europa.ec.eudi.pid.1"
	photo = "org.iso.23220.photoid.1"
)

// TestNearestAgeTable runs Table D.1 of ISO/IEC 18013-5 second edition (draft v4).
func TestNearestAgeTable(t *testing.T) {
	type answer struct {
		Element string `json:"element"`
		Value   bool   `json:"value"`
	}
	var v struct {
		Data struct {
			Cases []struct {
				Request  string             `json:"request"`
				Response map[string]*answer `json:"response_by_actual_age"`
			} `json:"cases"`
			Stored map[string]map[string]bool `json:"stored_attestations_by_actual_age"`
		} `json:"data"`
	}
	vectors.Load(t, "iso18013-5/d2_2_age_over_nn_table.json", &v)
	cells := 0
	for _, c := range v.Data.Cases {
		requested, ok := AgeOver(c.Request)
		if !ok {
			t.Fatalf("AgeOver(%q) is not a statement", c.Request)
		}
		for years, want := range c.Response {
			have := map[int]bool{}
			for id, value := range v.Data.Stored[years] {
				nn, ok := AgeOver(id)
				if !ok {
					t.Fatalf("AgeOver(%q) is not a statement", id)
				}
				have[nn] = value
			}
			nn, value, ok := NearestAge(requested, have)
			cells++
			if want == nil {
				if ok {
					t.Errorf("%s at %s: answered age_over_%d, want nothing", c.Request, years, nn)
				}
				continue
			}
			if !ok || ageOverID(nn) != want.Element || value != want.Value {
				t.Errorf("%s at %s: got %s=%v (%v), want %s=%v", c.Request, years, ageOverID(nn), value, ok, want.Element, want.Value)
			}
		}
	}
	if cells != 55 {
		t.Errorf("table has %d cells, want 55", cells)
	}
}

// TestDrivingPrivileges encodes D.2.1 of ISO/IEC 18013-5 second edition
// (draft v4) to the byte, from text and from Go values.
func TestDrivingPrivileges(t *testing.T) {
	var v struct {
		Hex string `json:"hex"`
	}
	vectors.Load(t, "iso18013-5/d2_1_driving_privileges.json", &v)
	want := vectors.Hex(t, v.Hex)
	e := mustElement(t, mdl, mdlNS, "driving_privileges")
	date := func(s string) cbor.FullDate {
		d, err := cbor.ParseFullDate(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	values := map[string]any{
		"positional text": "A,2018-08-09,2024-10-20;B,2017-02-23,2024-10-20",
		"named text":      "(expiry_date=2024-10-20,vehicle_category_code=A,issue_date=2018-08-09) ; (B, 2017-02-23, 2024-10-20)",
		"Go values": []any{
			map[string]any{"vehicle_category_code": "A", "issue_date": date("2018-08-09"), "expiry_date": date("2024-10-20")},
			map[string]any{"vehicle_category_code": "B", "issue_date": "2017-02-23", "expiry_date": date("2024-10-20").Time()},
		},
	}
	for name, value := range values {
		got, err := e.Encode(value)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x\nwant %x", name, got, want)
		}
	}
	label, text, err := e.Display("de-AT", want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("A · Erteilt: 9. August 2018 · Gültig bis: 20. Oktober 2024\nB · Erteilt: 23. Februar 2017 · Gültig bis: 20. Oktober 2024", text); diff != "" || label != "Fahrerlaubnisklassen" {
		t.Errorf("label %q, text (-want +got):\n%s", label, diff)
	}
}

// items returns the elements of the first document of D.4.1.2.
func items(t testing.TB) map[string][]byte {
	var v struct {
		Hex string `json:"hex"`
	}
	vectors.Load(t, "iso18013-5/d4_1_2_device_response.json", &v)
	var response struct {
		Documents []struct {
			DocType      string `cbor:"docType"`
			IssuerSigned struct {
				NameSpaces map[string][]cbor.Tag `cbor:"nameSpaces"`
			} `cbor:"issuerSigned"`
		} `cbor:"documents"`
	}
	if err := cbor.Unmarshal(vectors.Hex(t, v.Hex), &response); err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, tag := range response.Documents[0].IssuerSigned.NameSpaces[mdlNS] {
		var item struct {
			ID    string          `cbor:"elementIdentifier"`
			Value cbor.RawMessage `cbor:"elementValue"`
		}
		inner, ok := tag.Content.([]byte)
		if !ok {
			t.Fatalf("item is %T", tag.Content)
		}
		if err := cbor.Unmarshal(inner, &item); err != nil {
			t.Fatal(err)
		}
		out[item.ID] = item.Value
	}
	return out
}

// TestResponseElements decodes and shows the elements of D.4.1.2 with the mDL
// definition; encoding what was decoded gives the same bytes.
func TestResponseElements(t *testing.T) {
	got := map[string]string{}
	for id, raw := range items(t) {
		e := mustElement(t, mdl, mdlNS, id)
		v, err := e.Decode(raw)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		again, err := e.Encode(v)
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%s: encoded again as %x, %v", id, again, err)
		}
		label, text := Builtin().Display("en", mdl, mdlNS, id, raw)
		got[label] = text
	}
	want := map[string]string{
		"Family name":        "Doe",
		"Date of issue":      "20 October 2019",
		"Date of expiry":     "20 October 2024",
		"Licence number":     "123456789",
		"Photo":              "image, 2 KiB",
		"Driving privileges": "A · Issued: 9 August 2018 · Expires: 20 October 2024\nB · Issued: 23 February 2017 · Expires: 20 October 2024",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

// TestAgeOverIDs checks that identifiers and numbers map both ways.
func TestAgeOverIDs(t *testing.T) {
	for nn := range 100 {
		if got, ok := AgeOver(ageOverID(nn)); !ok || got != nn {
			t.Errorf("AgeOver(%s) = %d, %v", ageOverID(nn), got, ok)
		}
	}
	for _, id := range []string{"age_over_1", "age_over_100", "age_over_1a", "age_over_NN", "", "age_over_" + strconv.Itoa(-1)} {
		if nn, ok := AgeOver(id); ok {
			t.Errorf("AgeOver(%q) = %d, want none", id, nn)
		}
	}
}
