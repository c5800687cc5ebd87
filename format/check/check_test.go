package check_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/check"
)

func TestReport(t *testing.T) {
	var r check.Report
	r.Pass("issuer signature", "RFC 9052, 4.4", "ES256")
	r.Warn("validity past the signer", "", "one day", "renew earlier")
	r.Skip("status", "", "no network")
	if !r.OK() || r.Err() != nil || len(r.Failed()) != 0 {
		t.Fatalf("report without a failure is not OK: %v", r.Err())
	}

	var inner check.Report
	inner.Fail("digest", "ISO/IEC 18013-5:2021, 9.3.1", "family_name", "ask again")
	r.Add("document 1", inner)
	if r.OK() {
		t.Fatal("report with a failure is OK")
	}
	var e *check.Error
	if err := r.Err(); !errors.As(err, &e) || e.Check.Name != "document 1: digest" {
		t.Fatalf("Err() = %v", r.Err())
	}
	want := "document 1: digest: family_name (ISO/IEC 18013-5:2021, 9.3.1): ask again"
	if got := r.Err().Error(); got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if _, ok := r.Find("status"); !ok {
		t.Error("Find does not find a check by its name")
	}
	for _, s := range []string{"pass ", "warn ", "not checked status", "→ ask again"} {
		if !strings.Contains(r.String(), s) {
			t.Errorf("String() lacks %q:\n%s", s, r)
		}
	}
}
