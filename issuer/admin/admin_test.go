package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/rest/resttest"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/securearea/software"
)

// house is an authority with its API on a real socket.
type house struct {
	*resttest.Client
	*testkit.Clock
	t      *testing.T
	dsn    string
	db     *db.DB
	tokens *rest.Tokens
	issuer *issuer.Authority
	log    *testkit.Log
}

func newHouse(t *testing.T, dsn string) *house {
	t.Helper()
	h := &house{t: t, dsn: dsn, log: &testkit.Log{}, Clock: testkit.NewClock()}
	register := t.TempDir()
	if err := os.CopyFS(register, os.DirFS("../../cmd/eidos/demodata")); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.db, err = db.Open(t.Context(), dsn, "issuer", issuer.Schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.db.Close() })
	area, err := software.Open(t.Context(), software.Options{Storage: software.NewMemory(), Secret: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	first := issuer.DemoTenant()
	first.Source = filepath.Join(register, "registry.csv")
	second := first
	second.ID = "second"
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	h.issuer, err = issuer.New(issuer.Config{Tenants: []issuer.Tenant{first, second}}, issuer.Deps{
		DB: h.db, Area: area, Now: h.Now, Log: log,
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return assure.NewAnchors() },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.tokens = NewTokens(h.db, h.issuer.Books())
	s, err := New(h.issuer, rest.Deps{DB: h.db, Tokens: h.tokens, Loopback: true, Now: h.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	h.Client = &resttest.Client{T: t, URL: server.URL, Operations: s.operations()}
	return h
}

// token makes one for a tenant.
func (h *house) token(tenant string, scopes ...rest.Scope) string {
	h.t.Helper()
	_, text, err := h.tokens.Create(h.t.Context(), rest.Token{Tenant: tenant, Name: "test", Scopes: scopes, Expires: h.Now().Add(time.Hour)}, h.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// fill writes documents without issuing them.
func (h *house) fill(tenant, subject string, n int) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		for i := range n {
			_, err := tx.Exec(ctx, `
				insert into document (tenant, id, offering, doctype, subject, grant_id, created, fingerprint, batches, copies, valid_until, level, revoked, reason)
				values ($1, $2, 'mdl', 'org.iso.18013.5.1.mDL', $3, $2, $4, $5, 1, 10, $6, 'low', 0, '')`,
				tenant, fmt.Sprintf("%s%04d", strings.ToUpper(subject), i), subject, db.Millis(h.Now().Add(-time.Duration(i/3)*time.Hour)), []byte{1},
				db.Millis(h.Now().Add(24*time.Hour)))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestOffers(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		issue, read := h.token("default", Issue), h.token("default", Read)
		if a := h.Ask(read, "GET", "/v1/default/offerings", ""); a.Status != 200 || !strings.Contains(string(a.Body), `"id":"mdl"`) {
			t.Errorf("offerings: %s", a.Body)
		}
		a := h.Want(h.Ask(issue, "POST", "/v1/default/offers", `{"offerings":["mdl"],"subject":"ada","qr":"png"}`), 201, "")
		if len(a.Text("tx_code")) != 6 || !strings.HasPrefix(a.Text("link"), "openid-credential-offer://") {
			t.Errorf("offer: %s", a.Body)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a.Text("qr"), "data:image/png;base64,"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(raw)); err != nil {
			t.Errorf("QR code: %v", err)
		}
		a = h.Want(h.Ask(issue, "POST", "/v1/default/offers",
			`{"offerings":["mdl"],"subject":"ada","grant":"authorization_code","expires":"2026-11-24T00:00:00+01:00","qr":"svg"}`), 201, "")
		if a.Text("tx_code") != "" || a.Text("expires") != "2026-11-23T23:00:00Z" || !strings.HasPrefix(a.Text("qr"), "data:image/svg+xml;base64,") {
			t.Errorf("offer: %s", a.Body)
		}
		for body, want := range map[string]string{
			`{"offerings":["nothing"],"subject":"ada"}`:                              "422 unknown_offering",
			`{"offerings":["mdl"],"subject":"nobody"}`:                               "422 unknown_person",
			`{"offerings":["mdl","mdl"],"subject":"ada"}`:                            "422 invalid",
			`{"offerings":["mdl"],"subject":"ada","no_tx_code":true}`:                "422 invalid",
			`{"offerings":["mdl"],"subject":"ada","expires":"2020-01-01T00:00:00Z"}`: "422 invalid",
		} {
			a := h.Ask(issue, "POST", "/v1/default/offers", body)
			if got := fmt.Sprint(a.Status, " ", a.Text("code")); got != want {
				t.Errorf("%s: %s, want %s", body, got, want)
			}
		}
		for _, secret := range []string{a.Text("link"), issue, "ada"} {
			if strings.Contains(h.log.String(), secret) {
				t.Errorf("the log holds %q", secret)
			}
		}
		actor := ""
		err = h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return tx.QueryRow(ctx, `select event from audit where event like '%offer made%' limit 1`).Scan(&actor)
		})
		if err != nil || !strings.Contains(actor, `"actor":"token `+strings.Split(issue, ".")[2]) {
			t.Errorf("the audit does not name the token: %s, %v", actor, err)
		}
	})
}

// What is hostile is refused before anything is done, and said in one way.
func TestHostileInput(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	issue := h.token("default", Issue)
	deep := strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100)
	many := `{"offerings":[` + strings.Repeat(`"a",`, 20) + `"a"],"subject":"ada"}`
	for body, want := range map[string]string{
		`{"offerings":["mdl"],"subject":"ada","admin":true}`:                 "422 invalid",
		`{"offerings":["mdl"],"subject":"ada","subject":"mei"}`:              "400 malformed_json",
		`{"offerings":["mdl"],"Subject":"ada"}`:                              "422 invalid",
		`{"offerings":["mdl"],"subject":null}`:                               "422 invalid",
		`{"offerings":"mdl","subject":"ada"}`:                                "422 invalid",
		`{"offerings":[],"subject":"ada"}`:                                   "422 invalid",
		`{"offerings":[1],"subject":"ada"}`:                                  "422 invalid",
		`{"offerings":["mdl"],"subject":"ada"} {}`:                           "400 malformed_json",
		`{"offerings":["mdl"],"subject":"` + "\xff" + `"}`:                   "400 malformed_json",
		`{"offerings":["mdl"],"subject":"` + strings.Repeat("a", 200) + `"}`: "422 invalid",
		`{"offerings":["mdl"],"subject":"ada","grant":"x"}`:                  "422 invalid",
		`{"offerings":["mdl"],"subject":"ada","expires":"tomorrow"}`:         "422 invalid",
		deep: "400 malformed_json",
		many: "422 invalid",
		`x`:  "400 malformed_json",
		`[]`: "422 invalid",
		`{"offerings":["mdl"],"subject":"` + strings.Repeat("a", 1<<20) + `"}`: "413 invalid_request",
	} {
		a := h.Ask(issue, "POST", "/v1/default/offers", body)
		if got := fmt.Sprint(a.Status, " ", a.Text("code")); got != want {
			t.Errorf("%.80s: %s, want %s", body, got, want)
		}
		if a.Text("reference") == "" || !strings.Contains(h.log.String(), a.Text("reference")) {
			t.Errorf("%.80s: the reference is not in the log", body)
		}
	}
	good := `{"offerings":["mdl"],"subject":"ada"}`
	h.Want(h.Ask(issue, "POST", "/v1/default/offers", good, "Content-Type", "text/plain"), 415, "unsupported_media_type")
	h.Want(h.Ask(issue, "POST", "/v1/default/offers?x=1", good), 400, "invalid_request")
	h.Want(h.Ask(issue, "PUT", "/v1/default/offers", good), 405, "method_not_allowed")
	h.Want(h.Ask(issue, "GET", "/v1/default/nothing", ""), 404, "not_found")
	read := h.token(rest.AllTenants, Read)
	h.Want(h.Ask(read, "GET", "/v1/nobody/offerings", ""), 404, "unknown_tenant")
	for _, query := range []string{"limit=0", "limit=x", "limit=501", "limit=1&limit=2", "nothing=1", "state=asleep", "cursor=%00", "cursor=AAAA", "limit=%zz"} {
		if a := h.Ask(read, "GET", "/v1/default/documents?"+query, ""); a.Status != 422 && a.Status != 400 {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
	h.Want(h.Ask(read, "GET", "/v1/default/documents", "{}"), 400, "invalid_request")
}

func TestTokens(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		first, err := h.tokens.First(t.Context(), h.Now())
		if err != nil || first == "" {
			t.Fatalf("first token: %q, %v", first, err)
		}
		if again, err := h.tokens.First(t.Context(), h.Now()); again != "" || err != nil {
			t.Errorf("a second first token: %v", err)
		}
		const path = "/v1/default/offerings"
		h.Want(h.Ask(first, "GET", path, ""), 200, "")
		h.Want(h.Ask(first, "GET", "/v1/second/offerings", ""), 200, "")

		read := h.token("default", Read)
		a := h.Want(h.Ask(read, "POST", "/v1/default/offers", `{"offerings":["mdl"],"subject":"ada"}`), 403, "insufficient_scope")
		if w := a.Header.Get("WWW-Authenticate"); !strings.Contains(w, `scope="issue"`) {
			t.Errorf("WWW-Authenticate: %s", w)
		}
		h.Want(h.Ask(read, "GET", "/v1/second/offerings", ""), 403, "other_tenant")

		a = h.Want(h.Ask("", "GET", path, ""), 401, "no_token")
		if w := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(w, "Bearer ") || strings.Contains(w, "error") {
			t.Errorf("WWW-Authenticate: %s", w)
		}
		// The same token, moved to another tenant or with another secret.
		parts := strings.Split(read, ".")
		for _, wrong := range []string{
			strings.Join([]string{parts[0], "second", parts[2], parts[3]}, "."), strings.Join([]string{parts[0], "~", parts[2], parts[3]}, "."),
			strings.Join([]string{parts[0], parts[1], parts[2], strings.Repeat("A", 43)}, "."), parts[3], strings.Repeat("a", 9000),
		} {
			a := h.Want(h.Ask(wrong, "GET", path, ""), 401, "invalid_token")
			if w := a.Header.Get("WWW-Authenticate"); !strings.Contains(w, `error="invalid_token"`) {
				t.Errorf("WWW-Authenticate: %s", w)
			}
		}
		h.Pass(2 * time.Minute)
		if err := h.tokens.Revoke(t.Context(), "default", parts[2], h.Now()); err != nil {
			t.Fatal(err)
		}
		h.Want(h.Ask(read, "GET", path, ""), 401, "invalid_token")
		if err := h.tokens.Revoke(t.Context(), "second", parts[2], h.Now()); err != rest.ErrUnknownToken {
			t.Errorf("revoked through another tenant: %v", err)
		}
		short := h.token("default", Read)
		h.Want(h.Ask(short, "GET", path, ""), 200, "")
		h.Pass(time.Hour)
		h.Want(h.Ask(short, "GET", path, ""), 401, "invalid_token")
		list, err := h.tokens.List(t.Context(), "default")
		if err != nil || len(list) != 2 || list[0].Hash != nil || list[1].Revoked.IsZero() {
			t.Errorf("tokens: %+v, %v", list, err)
		}
		stored := ""
		err = h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			all, err := tx.Records("default").List(ctx, "issuer admin token")
			for _, r := range all {
				stored += string(r.Value)
			}
			return err
		})
		secret, _ := base64.RawURLEncoding.DecodeString(strings.Split(short, ".")[3])
		if err != nil || strings.Contains(stored, strings.Split(short, ".")[3]) || strings.Contains(stored, base64.StdEncoding.EncodeToString(secret)) {
			t.Errorf("the database holds a token: %v", err)
		}
	})
}

// A token that was revoked after the backup does not come back with it.
func TestTokensAfterRestore(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		h.Set(time.Now().Add(-time.Minute))
		old := h.token("default", Read)
		h.Want(h.Ask(old, "GET", "/v1/default/offerings", ""), 200, "")
		if err := h.db.MarkRestored(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Want(h.Ask(old, "GET", "/v1/default/offerings", ""), 401, "invalid_token")
		if list, err := h.tokens.List(t.Context(), "default"); err != nil || list[0].Valid(h.Now()) {
			t.Errorf("%+v, %v", list, err)
		}
		h.Pass(2 * time.Minute)
		h.Want(h.Ask(h.token("default", Read), "GET", "/v1/default/offerings", ""), 200, "")
	})
}

func TestTokensThatAreNone(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	end := h.Now().Add(time.Hour)
	for name, tok := range map[string]rest.Token{
		"no name":     {Scopes: []rest.Scope{Read}, Expires: end},
		"no scope":    {Name: "x", Expires: end},
		"wrong scope": {Name: "x", Scopes: []rest.Scope{"all"}, Expires: end},
		"twice":       {Name: "x", Scopes: []rest.Scope{Read, Read}, Expires: end},
		"ended":       {Name: "x", Scopes: []rest.Scope{Read}, Expires: h.Now()},
		"endless":     {Name: "x", Scopes: []rest.Scope{Read}, Expires: h.Now().Add(30 * 365 * 24 * time.Hour)},
		"tenant":      {Name: "x", Scopes: []rest.Scope{Read}, Expires: end, Tenant: "../x"},
	} {
		if _, _, err := h.tokens.Create(t.Context(), tok, h.Now()); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// Who guesses is held up.
func TestWrongTokensAreHeldUp(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	right := h.token("default", Read)
	const path = "/v1/default/offerings"
	for range 10 {
		h.Want(h.Ask("wrong", "GET", path, ""), 401, "invalid_token")
	}
	if a := h.Want(h.Ask(right, "GET", path, ""), 429, "too_many_attempts"); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.Pass(time.Minute)
	h.Want(h.Ask(right, "GET", path, ""), 200, "")
}

func TestIdempotency(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		issue, other := h.token("default", Issue), h.token("default", Issue)
		body := `{"offerings":["mdl"],"subject":"ada"}`
		const path, name, k = "/v1/default/offers", "Idempotency-Key", `"0d4f8a2e-1111"`
		first := h.Want(h.Ask(issue, "POST", path, body, name, k), 201, "")
		again := h.Want(h.Ask(issue, "POST", path, body, name, strings.Trim(k, `"`)), 201, "")
		if string(first.Body) != string(again.Body) {
			t.Errorf("another answer:\n%s\n%s", first.Body, again.Body)
		}
		h.Want(h.Ask(issue, "POST", path, `{"offerings":["mdl"],"subject":"mei"}`, name, k), 422, "idempotency_key_reused")
		if a := h.Want(h.Ask(other, "POST", path, body, name, k), 201, ""); a.Text("id") == first.Text("id") {
			t.Error("one token got what another had asked for")
		}
		for _, wrong := range []string{"short", `"`, strings.Repeat("a", 200), "with space in", "with\"quote"} {
			h.Want(h.Ask(issue, "POST", path, body, name, wrong), 400, "invalid_idempotency_key")
		}
		// What was refused may be put right.
		h.Want(h.Ask(issue, "POST", path, `{"offerings":["x"],"subject":"ada"}`, name, "another-key"), 422, "unknown_offering")
		h.Want(h.Ask(issue, "POST", path, body, name, "another-key"), 201, "")
		h.Pass(30 * time.Minute)
		h.Want(h.Ask(issue, "POST", path, body, name, k), 201, "")

		stored := ""
		err := h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			var value []byte
			err := tx.QueryRow(ctx, `select value from once where kind = $1 limit 1`, "issuer admin idempotency").Scan(&value)
			stored = string(value)
			return err
		})
		if err != nil || strings.Contains(stored, "openid-credential-offer") || !strings.Contains(stored, "answer") {
			t.Errorf("stored: %s, %v", stored, err)
		}
	})
}

// Requests under one key at the same moment make one offer.
func TestIdempotencyTogether(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		issue := h.token("default", Issue)
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]int{}
		for range 8 {
			wg.Go(func() {
				a := h.Ask(issue, "POST", "/v1/default/offers", `{"offerings":["mdl"],"subject":"ada"}`, "Idempotency-Key", "all-together")
				mu.Lock()
				defer mu.Unlock()
				if a.Status == 201 {
					ids[a.Text("id")]++
				} else if a.Text("code") != "in_progress" {
					t.Errorf("answered %s", a.Body)
				}
			})
		}
		wg.Wait()
		if len(ids) != 1 {
			t.Errorf("%d offers", len(ids))
		}
	})
}

func TestDocuments(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		h.fill("default", "ada", 25)
		h.fill("default", "mei", 5)
		h.fill("second", "ada", 3)
		token := h.token("default", Read, Revoke)
		var seen []string
		next, pages := "", 0
		for {
			a := h.Want(h.Ask(token, "GET", "/v1/default/documents?subject=ada&limit=7&cursor="+next, ""), 200, "")
			for _, d := range a.JSON["documents"].([]any) {
				seen = append(seen, d.(map[string]any)["id"].(string))
			}
			pages++
			if next = a.Text("next"); next == "" {
				break
			}
		}
		if compact := slices.Compact(slices.Sorted(slices.Values(seen))); len(seen) != 25 || len(compact) != 25 || pages != 4 {
			t.Errorf("%d documents, %d different, on %d pages", len(seen), len(compact), pages)
		}
		h.Want(h.Ask(token, "GET", "/v1/default/documents/ADA0003", ""), 200, "")
		h.Want(h.Ask(token, "GET", "/v1/default/documents/NONE", ""), 404, "unknown_document")
		h.Want(h.Ask(token, "POST", "/v1/default/documents/ADA0003/revoke", `{}`), 422, "invalid")
		for range 2 {
			a := h.Want(h.Ask(token, "POST", "/v1/default/documents/ADA0003/revoke", `{"reason":"lost"}`), 200, "")
			if a.JSON["published"] != true {
				t.Errorf("revoked: %s", a.Body)
			}
		}
		a := h.Want(h.Ask(token, "GET", "/v1/default/documents?state=revoked", ""), 200, "")
		if list := a.JSON["documents"].([]any); len(list) != 1 || list[0].(map[string]any)["reason"] != "lost" {
			t.Errorf("revoked documents: %s", a.Body)
		}
		a = h.Want(h.Ask(token, "POST", "/v1/default/revocations", `{"subject":"mei","offering":"mdl","reason":"moved"}`), 200, "")
		if list := a.JSON["documents"].([]any); len(list) != 5 {
			t.Errorf("revoked: %s", a.Body)
		}
		for _, step := range []struct{ event, all, state string }{
			{"suspend", "suspensions", "suspended"}, {"resume", "resumptions", "valid"}, {"delete", "deletions", "revoked"},
		} {
			a = h.Want(h.Ask(token, "POST", "/v1/default/documents/ADA0005/"+step.event, `{"reason":"lost"}`), 200, "")
			if list := a.JSON["documents"].([]any); len(list) != 1 || list[0] != "ADA0005" {
				t.Errorf("%s: %s", step.event, a.Body)
			}
			if a = h.Want(h.Ask(token, "GET", "/v1/default/documents/ADA0005", ""), 200, ""); a.Text("state") != step.state {
				t.Errorf("after %s: %s", step.event, a.Body)
			}
			a = h.Want(h.Ask(token, "POST", "/v1/default/"+step.all, `{"subject":"ada","reason":"lost"}`), 200, "")
			if list := a.JSON["documents"].([]any); len(list) < 20 {
				t.Errorf("%s: %s", step.all, a.Body)
			}
		}
		h.Want(h.Ask(token, "GET", "/v1/default/requests", ""), 200, "")
		h.Want(h.Ask(h.token("default", Issue), "POST", "/v1/default/requests/NONE/approve", `{}`), 404, "unknown_request")
		h.Want(h.Ask(h.token("default", Issue), "POST", "/v1/default/requests/NONE/deny", `{}`), 422, "invalid")
		h.Want(h.Ask(token, "POST", "/v1/default/revocations", `{"subject":"nobody","reason":"x"}`), 404, "unknown_document")
		h.Want(h.Ask(token, "POST", "/v1/second/revocations", `{"subject":"ada","reason":"x"}`), 403, "other_tenant")
		h.Want(h.Ask(h.token("default", Read, Issue, Admin), "POST", "/v1/default/documents/ADA0004/revoke", `{"reason":"x"}`), 403, "insufficient_scope")
	})
}

func TestState(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		token := h.token("default", Read)
		ca, err := h.issuer.CA("default")
		if err != nil {
			t.Fatal(err)
		}
		if err := ca.Maintain(t.Context(), h.Now()); err != nil {
			t.Fatal(err)
		}
		a := h.Want(h.Ask(token, "GET", "/v1/default/certificates", ""), 200, "")
		if list := a.JSON["certificates"].([]any); len(list) < 4 {
			t.Errorf("certificates: %s", a.Body)
		}
		h.Want(h.Ask(token, "GET", "/v1/default/health", ""), 200, "")
		h.Want(h.Ask(token, "GET", "/v1/default/status-lists", ""), 200, "")
		h.Want(h.Ask(token, "GET", "/v1/default/status-lists/none", ""), 404, "unknown_list")
		for _, path := range []string{"/livez", "/readyz"} {
			resp, err := http.Get(h.URL + path)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("%s: %v", path, err)
			}
			resp.Body.Close()
		}
	})
}

// The description is one of the routes, and the routes are those described.
func TestOpenAPI(t *testing.T) { newHouse(t, testkit.SQLite(t)).IsDescribed() }
