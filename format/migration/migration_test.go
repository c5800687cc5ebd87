package migration

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/format/jose"
)

// example has the shapes of the example of EUDI TS10, 4.1 and 4.2, which
// differ from its tables: names as plain strings, booleans as strings.
const example = `{"transactionLog":[{"presentation":{
  "interactingPartyIdentifier":{"type":"http://data.europa.eu/eudi/id/EUID","identifier":"PLKRS.0000123456"},
  "interactingPartyType":"ServiceProvider","interactingPartyName":"ABC Services",
  "interactingPartyContact":["PL","info@serviceprovider.com","0048221234567"],"isIntermediary":"FALSE",
  "registrarURL":"https://www.registrar.pl/","purpose":[{"lang":"pl-PL","content":"Gromadzimy"}],
  "listOfClaimsRequested":[{"credentialIdentifier":"urn:eudi:pid:de:1","claims":["name","address"]}],
  "listOfClaimsPresented":[{"credentialIdentifier":"urn:eudi:pid:de:1","claims":["name"]}]},
  "transactionIdentifier":"346354209358604","time":"2025-07-29T09:11:20","transactionType":"Presentation","transactionResult":"Completed"}],
 "listOfCredentials":[{"credentialIdentifier":"urn:eudi:pid:de:1","format":"dc+sd-jwt","issuerName":"ABC Issuer",
  "issuerIdentifier":{"type":"http://data.europa.eu/eudi/id/EUID","identifier":"PLKRS.0000999999"},"issuerType":"PIDProvider",
  "supplyPointURL":"https://www.abcissuer.pl/supplypoint/"}],
 "nonDeviceBoundCredentials":[{"format":"dc+sd-jwt","credential":"eyJhbGciOiAiRVMyNTYi~"}]}`

func TestParseExample(t *testing.T) {
	d, err := Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	p := d.TransactionLog[0].Presentation
	if p == nil || p.Name != "ABC Services" || bool(p.IsIntermediary) || p.Identifier.ID != "PLKRS.0000123456" || p.Presented[0].Claims[0][0] != "name" ||
		!time.Time(d.TransactionLog[0].Time).Equal(time.Date(2025, 7, 29, 9, 11, 20, 0, time.UTC)) {
		t.Errorf("%+v", d.TransactionLog[0])
	}
	if c := d.ListOfCredentials[0]; c.Issuer != "ABC Issuer" || c.SupplyURL != "https://www.abcissuer.pl/supplypoint/" || len(d.NonDeviceBound) != 1 {
		t.Errorf("%+v", c)
	}
	again, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(again)
	if diff := cmp.Diff(d, back, cmp.Comparer(func(a, b Time) bool { return time.Time(a).Equal(time.Time(b)) })); err != nil || diff != "" {
		t.Error(err, diff)
	}
	log, err := json.Marshal(d.TransactionLog)
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := Parse(log); err != nil || len(alone.TransactionLog) != 1 {
		t.Errorf("the log alone: %+v, %v", alone, err)
	}
}

func TestParseRefused(t *testing.T) {
	for name, change := range map[string][2]string{
		"no identifier":       {`"346354209358604"`, `""`},
		"no time":             {`"time":"2025-07-29T09:11:20",`, ``},
		"a time that is none": {`2025-07-29T09:11:20`, `yesterday`},
		"no type":             {`"transactionType":"Presentation"`, `"x":1`},
		"a document of none":  {`[{"credentialIdentifier":"urn:eudi:pid:de:1","format"`, `[{"format"`},
		"a name in lists":     {`"ABC Services"`, `[["ABC"]]`},
		"half a truth":        {`"FALSE"`, `"MAYBE"`},
		"an empty path":       {`["name"]`, `["[]"]`},
		"a path of objects":   {`["name"]`, `[[{}]]`},
		"half an index":       {`["name"]`, `[["a",0.5]]`},
		"a number for a text": {`"ServiceProvider"`, `7`},
		"a member twice":      {`"isIntermediary"`, `"time":1,"time"`},
		"more behind it":      {`eyJhbGciOiAiRVMyNTYi~"}]}`, `x"}]}{}`},
		"cut off":             {`eyJhbGciOiAiRVMyNTYi~"}]}`, ``},
	} {
		text := strings.Replace(example, change[0], change[1], 1)
		if text == example {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeal(t *testing.T) {
	sealed, err := (Data{TransactionLog: []Transaction{{ID: "1", Time: Time(time.Unix(0, 0)), Type: TypeReport, Result: Completed, DPAReport: &Report{Name: "CNIL"}}}}).Seal("six words are better than one")
	if err != nil || strings.Contains(sealed, "CNIL") {
		t.Fatal(sealed, err)
	}
	d, err := Open(sealed, "six words are better than one")
	if err != nil || d.TransactionLog[0].DPAReport.Name != "CNIL" || d.ListOfCredentials == nil || d.NonDeviceBound == nil {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := Open(sealed, "another"); !errors.Is(err, jose.ErrDecrypt) {
		t.Error(err)
	}
}

// A path comes back as it went, whatever is in it.
func TestClaim(t *testing.T) {
	step := rapid.OneOf(rapid.String().AsAny(), rapid.IntRange(0, 1<<31).AsAny(), rapid.Just[any](nil))
	rapid.Check(t, func(t *rapid.T) {
		c := Claim(rapid.SliceOfN(step, 1, 5).Draw(t, "path"))
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Claim
		if err := json.Unmarshal(data, &back); err != nil || !cmp.Equal(c, back) {
			t.Fatalf("%s: %v, %v", data, back, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again); err != nil {
			t.Fatalf("written and not read: %v\n%s", err, again)
		}
	})
}
