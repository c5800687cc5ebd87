// Package mdoctest has the document that tests and benchmarks measure by.
package mdoctest

import (
	"crypto/rand"
	"fmt"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/mdoc"
)

// Licence are the 30 elements of a mobile driving licence, with a portrait of 20
// KiB, issued in a part of Utopia.
func Licence(jurisdiction string) []mdoc.Element {
	text := func(s string) []byte { return cbor.AppendText(nil, s) }
	date := cbor.AppendFullDate(nil, cbor.FullDate{Year: 2024, Month: 5, Day: 6})
	privilege := cbor.AppendText(cbor.AppendText(cbor.AppendMap(cbor.AppendArray(nil, 1), 1), "vehicle_category_code"), "B")
	portrait := make([]byte, 20<<10)
	rand.Read(portrait)
	e := []mdoc.Element{
		{ID: "family_name", Value: text("Mustermann")}, {ID: "given_name", Value: text("Erika")},
		{ID: "birth_date", Value: date}, {ID: "issue_date", Value: date}, {ID: "expiry_date", Value: date},
		{ID: "issuing_country", Value: text("UT")}, {ID: "issuing_authority", Value: text("Utopia Roads")},
		{ID: "document_number", Value: text("A123456789")}, {ID: "portrait", Value: cbor.AppendBytes(nil, portrait)},
		{ID: "driving_privileges", Value: privilege},
		{ID: "un_distinguishing_sign", Value: text("UT")}, {ID: "issuing_jurisdiction", Value: text(jurisdiction)},
		{ID: "sex", Value: cbor.AppendUint(nil, 2)}, {ID: "height", Value: cbor.AppendUint(nil, 170)},
		{ID: "nationality", Value: text("UT")}, {ID: "resident_city", Value: text("Capital")},
		{ID: "resident_postal_code", Value: text("12345")}, {ID: "resident_country", Value: text("UT")},
		{ID: "resident_address", Value: text("Main Street 1")}, {ID: "age_in_years", Value: cbor.AppendUint(nil, 42)},
	}
	for nn := 15; len(e) < 30; nn++ {
		e = append(e, mdoc.Element{ID: fmt.Sprintf("age_over_%02d", nn), Value: cbor.AppendBool(nil, true)})
	}
	return e
}

// Six are the elements of a Licence that a reader asks for.
func Six() []mdoc.ElementRef {
	var out []mdoc.ElementRef
	for _, id := range []string{"family_name", "given_name", "portrait", "age_over_18", "document_number", "driving_privileges"} {
		out = append(out, mdoc.ElementRef{NameSpace: mdoc.NameSpaceMDL, ID: id})
	}
	return out
}
