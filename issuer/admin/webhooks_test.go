package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer"
)

func TestWebhooks(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		token := h.token("default", Admin)
		const path = "/v1/default/webhooks"
		for body, want := range map[string]string{
			`{"url":"http://a.example/"}`:                                   "422",
			`{"url":"https://a.example/","events":["everything"]}`:          "422",
			`{"url":"https://u:p@a.example/"}`:                              "422",
			`{"url":"https://a.example/","secret":"mine"}`:                  "422",
			`{"url":"https://a.example/` + strings.Repeat("x", 3000) + `"}`: "422",
			`{}`: "422",
		} {
			if a := h.Ask(token, "POST", path, body); a.Text("code") != "invalid" {
				t.Errorf("%.60s: %s, want %s", body, a.Body, want)
			}
		}
		a := h.Want(h.Ask(token, "POST", path, `{"url":"https://a.example/hook","events":["document.issued"]}`), 201, "")
		id, secret := a.Text("id"), a.Text("secret")
		if !strings.HasPrefix(secret, "whsec_") || len(secret) != 50 {
			t.Errorf("secret: %s", a.Body)
		}
		a = h.Want(h.Ask(token, "POST", path+"/"+id+"/secret", ""), 200, "")
		if a.Text("secret") == secret {
			t.Error("the same secret again")
		}
		for _, where := range []string{path, path + "/" + id} {
			if a := h.Want(h.Ask(token, "GET", where, ""), 200, ""); strings.Contains(string(a.Body), "whsec_") {
				t.Errorf("the secret is shown again: %s", a.Body)
			}
		}
		a = h.Want(h.Ask(token, "PATCH", path+"/"+id, `{"events":[],"url":"https://b.example/"}`), 200, "")
		if a.Text("url") != "https://b.example/" || len(a.JSON["events"].([]any)) != 0 {
			t.Errorf("changed: %s", a.Body)
		}
		h.Want(h.Ask(token, "PATCH", path+"/"+id, `{"active":null}`), 422, "invalid")
		h.Want(h.Ask(token, "PATCH", path+"/none", `{"active":false}`), 404, "unknown_webhook")

		h.fill("default", "ada", 1)
		h.Want(h.Ask(h.token("default", Revoke), "POST", "/v1/default/revocations", `{"subject":"ada","reason":"lost"}`), 200, "")
		a = h.Want(h.Ask(token, "GET", path+"/"+id+"/deliveries?limit=5", ""), 200, "")
		list := a.JSON["deliveries"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["event"] != issuer.EventRevoked {
			t.Fatalf("deliveries: %s", a.Body)
		}
		message := list[0].(map[string]any)["id"].(string)
		h.Want(h.Ask(token, "POST", path+"/"+id+"/deliveries/"+message+"/retry", ""), 204, "")
		h.Want(h.Ask(token, "POST", path+"/"+id+"/deliveries/none/retry", ""), 404, "unknown_webhook")
		a = h.Want(h.Ask(h.token("default", Read), "GET", "/v1/default/health", ""), 200, "")
		if n := a.JSON["events_waiting"]; n != json.Number("1") {
			t.Errorf("health: %s", a.Body)
		}
		metrics(t, h)

		second := h.token("second", Admin)
		h.Want(h.Ask(second, "GET", "/v1/second/webhooks/"+id, ""), 404, "unknown_webhook")
		h.Want(h.Ask(second, "DELETE", "/v1/second/webhooks/"+id, ""), 404, "unknown_webhook")
		h.Want(h.Ask(token, "DELETE", path+"/"+id, ""), 204, "")
		h.Want(h.Ask(token, "GET", path+"/"+id, ""), 404, "unknown_webhook")
		h.Want(h.Ask(token, "GET", path+"/"+id+"/deliveries", ""), 404, "unknown_webhook")

		var books []string
		err := h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) (err error) {
			books, err = tx.Texts(ctx, `select event from audit where event like '%webhook%' order by seq`)
			return err
		})
		if err != nil || len(books) != 4 || !strings.Contains(books[0], "webhook added") || !strings.Contains(books[0], `"actor":"token `) {
			t.Errorf("audit: %v, %v", books, err)
		}
		for _, secret := range []string{secret, "b.example"} {
			if strings.Contains(h.log.String(), secret) || strings.Contains(strings.Join(books, ""), secret) {
				t.Errorf("log or books hold %q", secret)
			}
		}
	})
}

// metrics are for tokens of all tenants, and say nothing about persons.
func metrics(t *testing.T, h *house) {
	t.Helper()
	h.Want(h.Ask(h.token("default", Read), "GET", "/metrics", ""), 403, "other_tenant")
	req, err := http.NewRequestWithContext(t.Context(), "GET", h.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+h.token(rest.AllTenants, Read))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	for _, want := range []string{
		`eidos_issuer_outbox_messages{state="waiting",tenant="default"} 1`,
		`eidos_issuer_requests_total{listener="admin",route="PATCH /v1/{tenant}/webhooks/{id}",status="404"} 1`,
		`eidos_issuer_request_seconds_count{listener="admin",route="GET /v1/{tenant}/webhooks"} 1`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(string(body), "ada") {
		t.Error("a person is in the metrics")
	}
}
