package rights

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eidos-id/eidos/internal/fetch"
)

func some() Deletion {
	return Deletion{
		ID: "K7Q2", ResponseURI: "https://rp.example/response/1", ClientID: "x509_san_dns:rp.example", Shared: time.Date(2026, 11, 23, 12, 0, 0, 5, time.FixedZone("", 3600)),
		Elements: []string{"org.iso.18013.5.1.mDL org.iso.18013.5.1.family_name"}, Receipts: []string{Receipt([]byte("x"))}, Contact: "ada@example.org", Message: "Please.\nThank you.",
	}
}

func TestDeletion(t *testing.T) {
	r, err := some().Request("https://rp.example/deletion")
	if err != nil || r.Method != "POST" || r.Get("content-type") != "application/json" || !strings.Contains(string(r.Body), `"shared":"2026-11-23T11:00:00Z"`) {
		t.Fatalf("%s %v", r.Body, err)
	}
	got, err := ParseDeletion(r.Body)
	want := some()
	want.Shared = want.Shared.UTC().Truncate(time.Second)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	again, err := some().Request("https://rp.example/deletion")
	if err != nil || string(again.Body) != string(r.Body) {
		t.Errorf("asked twice it is another message: %s %v", again.Body, err)
	}
}

func TestDeletionRefused(t *testing.T) {
	r, err := some().Request("https://rp.example/deletion")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"no id":                  {`"K7Q2"`, `""`},
		"no time":                {`"shared"`, `"when"`},
		"a time that is none":    {`2026-11-23T11:00:00Z`, `yesterday`},
		"a line break in a name": {`family_name`, `family\u000aname`},
		"an escape sequence":     {`Please.`, `\u001b[2J`},
		"a long text":            {`family_name`, strings.Repeat("x", 600)},
		"a receipt of nothing":   {`"receipts":["`, `"receipts":["","`},
		"elements of numbers":    {`"elements":[`, `"elements":[1,`},
		"a member twice":         {`"id":`, `"id":"x","id":`},
		"no object":              {`{"id"`, `[{"id"`},
		"too many":               {`"elements":[`, `"elements":[` + strings.Repeat(`"x",`, 300)},
		"much too long":          {`Please.`, strings.Repeat("x", 20<<10)},
	} {
		text := strings.Replace(string(r.Body), change[0], change[1], 1)
		if text == string(r.Body) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := ParseDeletion([]byte(text)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However much was shared, a message can be sent and read.
func TestDeletionOfMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := some()
		d.Elements, d.Receipts = nil, nil
		for n := range rapid.IntRange(0, 400).Draw(t, "elements") {
			d.Elements = append(d.Elements, fmt.Sprintf("%s %d", strings.Repeat("x", 100), n))
		}
		for n := range rapid.IntRange(0, 300).Draw(t, "receipts") {
			d.Receipts = append(d.Receipts, Receipt([]byte{byte(n)}))
		}
		r, err := d.Request("https://rp.example/deletion")
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseDeletion(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if cut := len(got.Elements) < len(d.Elements) || len(got.Receipts) < len(d.Receipts); cut != strings.Contains(got.Message, "delete everything") {
			t.Fatalf("%d of %d elements, and the message is %q", len(got.Elements), len(d.Elements), got.Message)
		}
	})
}

func TestAcknowledgement(t *testing.T) {
	if a, err := ParseAcknowledgement(Acknowledgement{ID: "7"}.Reply()); err != nil || a.ID != "7" {
		t.Errorf("%+v %v", a, err)
	}
	page := fetch.Response{Status: 200, Header: map[string]string{"content-type": "text/html"}, Body: []byte("<p>Hello")}
	for name, tc := range map[string]struct {
		r    fetch.Response
		none bool
	}{
		"a page":          {page, true},
		"a form only":     {fetch.JSONResponse(405, map[string]string{}), true},
		"elsewhere":       {fetch.Redirect("https://other.example/"), true},
		"another object":  {fetch.JSONResponse(200, map[string]string{"ok": "yes"}), true},
		"an id of an ESC": {fetch.JSONResponse(202, Acknowledgement{ID: "\x1b[2J"}), true},
		"no":              {fetch.JSONResponse(400, map[string]string{"error": "invalid_request"}), false},
		"later":           {fetch.JSONResponse(503, map[string]string{}), false},
	} {
		if _, err := ParseAcknowledgement(tc.r); err == nil || errors.Is(err, ErrNoEndpoint) != tc.none {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseDeletion(f *testing.F) {
	r, err := some().Request("https://rp.example/deletion")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.Body)
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := ParseDeletion(body)
		if err != nil {
			return
		}
		if _, err := d.Request("https://rp.example/deletion"); err != nil && d.Shared.Year() > 0 && d.Shared.Year() < 9999 {
			t.Fatalf("read and not written: %v", err)
		}
	})
}
