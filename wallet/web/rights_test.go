package web

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/format/migration"
	"github.com/eidos-id/eidos/wallet"
)

// remember puts an entry into the history: a shop was shown something.
func (w *world) remember(contact ...string) string {
	w.t.Helper()
	claims := func(ids ...string) []migration.ClaimInfo {
		c := migration.ClaimInfo{Credential: "org.iso.18013.5.1.mDL"}
		for _, id := range ids {
			c.Claims = append(c.Claims, migration.Claim{nameSpace, id})
		}
		return []migration.ClaimInfo{c}
	}
	const passphrase = "six words are better than one"
	file, err := migration.Data{TransactionLog: []migration.Transaction{{
		ID: "1", Time: migration.Time(w.Now()), Type: migration.TypePresentation, Result: migration.Completed,
		Presentation: &migration.Presentation{Name: "<b>Shop</b>", Contact: contact, DPAContact: []string{"dpa@authority.example"},
			Requested: claims("age_over_18", "family_name"), Presented: claims("age_over_18")},
	}}}.Seal(passphrase)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.wallet.Import(w.t.Context(), file, passphrase); err != nil {
		w.t.Fatal(err)
	}
	list, err := w.wallet.Log(w.t.Context())
	if err != nil || len(list) != 1 {
		w.t.Fatal(list, err)
	}
	return list[0].ID
}

func TestEntryPage(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	at := "/history/" + w.remember("https://shop.example/help", "help@shop.example", "+43 1 234567")
	says := func(r *http.Request, status int, want ...string) string {
		t.Helper()
		out := w.do(with(r, c))
		body := out.Body.String()
		if out.Code != status || strings.Contains(body, "<b>Shop") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s: status %d\n%s", r.URL, out.Code, body)
		}
		for _, s := range want {
			if !strings.Contains(body, s) {
				t.Errorf("%s does not say %q", r.URL, s)
			}
		}
		return body
	}
	says(request("GET", "/history", nil), http.StatusOK, at, "ask them to delete")
	says(request("GET", at, nil), http.StatusOK, "from another app", "Left out", "Family name", at+"/deletion", at+"/report")

	// The network is down: the holder is told, and how to go on.
	says(request("POST", at+"/deletion", nil), http.StatusBadGateway, "did not arrive", "https://shop.example/help",
		"mailto:help@shop.example?subject=Request%20for%20the%20erasure", "tel:&#43;43", "Article 17")
	says(request("GET", "/history", nil), http.StatusOK, "You asked them to delete it on 23 November 2026")
	if w.calls != 1 {
		t.Errorf("%d calls", w.calls)
	}
	body := says(request("POST", at+"/report", url.Values{"complaint": {"It was <rude>."}}), http.StatusOK,
		"It was &lt;rude&gt;.", "mailto:dpa@authority.example", "Nothing was sent", `download="report.json"`)
	if !regexp.MustCompile(`href="data:application/json;base64,[A-Za-z0-9+/=]{100,}"`).MatchString(strings.ReplaceAll(body, "&#43;", "+")) {
		t.Error("no facts to save")
	}
	says(request("GET", at, nil), http.StatusOK, "Report made on 23 November 2026")
	says(request("POST", at+"/report", url.Values{"complaint": {strings.Repeat("x", 5000)}}), http.StatusBadRequest, "too long")
	for _, r := range []*http.Request{
		request("GET", "/history/none", nil), request("POST", "/history/none/deletion", nil), request("POST", "/history/none/report", nil),
		request("POST", "/trusted/forget", url.Values{"id": {"none"}}),
	} {
		says(r, http.StatusNotFound)
	}
	says(request("GET", "/trusted", nil), http.StatusOK, "Nobody so far")
	if out := w.do(request("GET", at, nil)); strings.Contains(out.Body.String(), "Shop") {
		t.Error("the history is shown to anybody")
	}
}

// What was refused can be reported, and there is nothing to delete.
func TestEntryPageRefused(t *testing.T) {
	w := newWorld(t)
	c := w.enter()
	id := w.remember()
	if err := w.wallet.DeleteLog(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if out := w.do(with(request("GET", "/history/"+id, nil), c)); out.Code != http.StatusNotFound {
		t.Errorf("forgotten: status %d", out.Code)
	}
	e := wallet.LogEntry{Event: wallet.EventSharing, Outcome: wallet.OutcomeRefused, Documents: []wallet.LoggedDocument{{DocType: "x"}}}
	if e.Shared() {
		t.Error("a refusal shared something")
	}
}
