package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/securearea/software"
)

// house is an authority with its API on a real socket.
type house struct {
	t      *testing.T
	dsn    string
	db     *db.DB
	tokens *Tokens
	issuer *issuer.Authority
	url    string
	log    *bytes.Buffer

	mu   sync.Mutex
	time time.Time
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.time = h.time.Add(d)
}

func newHouse(t *testing.T, dsn string) *house {
	t.Helper()
	h := &house{t: t, dsn: dsn, log: &bytes.Buffer{}, time: time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)}
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
		DB: h.db, Area: area, Now: h.now, Log: log,
		Anchors: func(context.Context, time.Time) (*assure.Anchors, error) { return assure.NewAnchors() },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.tokens = NewTokens(h.db, h.issuer.Books())
	s, err := New(Deps{Authority: h.issuer, DB: h.db, Tokens: h.tokens, Loopback: true, Now: h.now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// token makes one for a tenant.
func (h *house) token(tenant string, scopes ...Scope) string {
	h.t.Helper()
	_, text, err := h.tokens.Create(h.t.Context(), Token{Tenant: tenant, Name: "test", Scopes: scopes, Expires: h.now().Add(time.Hour)}, h.now())
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// answer is what came back, checked against the description of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

// ask sends a request and checks its answer against the schema of the operation.
func (h *house) ask(token, method, path, body string, headers ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		h.t.Fatal(err)
	}
	h.described(method, path, &a)
	return a
}

func (h *house) described(method, path string, a *answer) {
	h.t.Helper()
	wanted, mediaType := schemaOf(reflect.TypeFor[problem]()), "application/problem+json"
	if a.status < 400 {
		wanted, mediaType = nil, "application/json"
		for _, o := range operations() {
			pattern := "^" + inPath.ReplaceAllString(o.path, `[^/]+`) + "$"
			plain, _, _ := strings.Cut(path, "?")
			if o.method == method && regexp.MustCompile(pattern).MatchString(plain) {
				wanted = o.answer
				if a.status != o.status {
					h.t.Errorf("%s %s: status %d, described as %d", method, path, a.status, o.status)
				}
			}
		}
	}
	if wanted == nil {
		if len(a.body) > 0 {
			h.t.Errorf("%s %s: an answer that is not described: %s", method, path, a.body)
		}
		return
	}
	if mt := a.header.Get("Content-Type"); mt != mediaType {
		h.t.Errorf("%s %s: %d with media type %q: %s", method, path, a.status, mt, a.body)
	}
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&a.json); err != nil {
		h.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
	}
	if err := wanted.check(a.json, ""); err != nil {
		h.t.Errorf("%s %s: not as described: %v\n%s", method, path, err, a.body)
	}
	if c := a.header.Get("Cache-Control"); c != "no-store" {
		h.t.Errorf("%s %s: Cache-Control %q", method, path, c)
	}
}

func (a answer) text(name string) string { s, _ := a.json[name].(string); return s }

// want fails unless the answer has this status and code.
func (h *house) want(a answer, status int, code string) answer {
	h.t.Helper()
	if a.status != status || a.text("code") != code {
		h.t.Errorf("answered %d %s, want %d %q", a.status, a.body, status, code)
	}
	return a
}

// fill writes documents without issuing them.
func (h *house) fill(tenant, subject string, n int) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(ctx context.Context, tx *db.Tx) error {
		for i := range n {
			_, err := tx.Exec(ctx, `
				insert into document (tenant, id, offering, doctype, subject, grant_id, created, fingerprint, batches, copies, valid_until, level, revoked, reason)
				values ($1, $2, 'mdl', 'org.iso.18013.5.1.mDL', $3, $2, $4, $5, 1, 10, $6, 'low', 0, '')`,
				tenant, fmt.Sprintf("%s%04d", strings.ToUpper(subject), i), subject, db.Millis(h.time.Add(-time.Duration(i/3)*time.Hour)), []byte{1},
				db.Millis(h.time.Add(24*time.Hour)))
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
		if a := h.ask(read, "GET", "/v1/default/offerings", ""); a.status != 200 || !strings.Contains(string(a.body), `"id":"mdl"`) {
			t.Errorf("offerings: %s", a.body)
		}
		a := h.want(h.ask(issue, "POST", "/v1/default/offers", `{"offerings":["mdl"],"subject":"ada","qr":"png"}`), 201, "")
		if len(a.text("tx_code")) != 6 || !strings.HasPrefix(a.text("link"), "openid-credential-offer://") {
			t.Errorf("offer: %s", a.body)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a.text("qr"), "data:image/png;base64,"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(raw)); err != nil {
			t.Errorf("QR code: %v", err)
		}
		a = h.want(h.ask(issue, "POST", "/v1/default/offers",
			`{"offerings":["mdl"],"subject":"ada","grant":"authorization_code","expires":"2026-11-24T00:00:00+01:00","qr":"svg"}`), 201, "")
		if a.text("tx_code") != "" || a.text("expires") != "2026-11-23T23:00:00Z" || !strings.HasPrefix(a.text("qr"), "data:image/svg+xml;base64,") {
			t.Errorf("offer: %s", a.body)
		}
		for body, want := range map[string]string{
			`{"offerings":["nothing"],"subject":"ada"}`:                              "422 unknown_offering",
			`{"offerings":["mdl"],"subject":"nobody"}`:                               "422 unknown_person",
			`{"offerings":["mdl","mdl"],"subject":"ada"}`:                            "422 invalid",
			`{"offerings":["mdl"],"subject":"ada","no_tx_code":true}`:                "422 invalid",
			`{"offerings":["mdl"],"subject":"ada","expires":"2020-01-01T00:00:00Z"}`: "422 invalid",
		} {
			a := h.ask(issue, "POST", "/v1/default/offers", body)
			if got := fmt.Sprint(a.status, " ", a.text("code")); got != want {
				t.Errorf("%s: %s, want %s", body, got, want)
			}
		}
		for _, secret := range []string{a.text("link"), issue, "ada"} {
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
		a := h.ask(issue, "POST", "/v1/default/offers", body)
		if got := fmt.Sprint(a.status, " ", a.text("code")); got != want {
			t.Errorf("%.80s: %s, want %s", body, got, want)
		}
		if a.text("reference") == "" || !strings.Contains(h.log.String(), a.text("reference")) {
			t.Errorf("%.80s: the reference is not in the log", body)
		}
	}
	good := `{"offerings":["mdl"],"subject":"ada"}`
	h.want(h.ask(issue, "POST", "/v1/default/offers", good, "Content-Type", "text/plain"), 415, "unsupported_media_type")
	h.want(h.ask(issue, "POST", "/v1/default/offers?x=1", good), 400, "invalid_request")
	h.want(h.ask(issue, "PUT", "/v1/default/offers", good), 405, "method_not_allowed")
	h.want(h.ask(issue, "GET", "/v1/default/nothing", ""), 404, "not_found")
	read := h.token(AllTenants, Read)
	h.want(h.ask(read, "GET", "/v1/nobody/offerings", ""), 404, "unknown_tenant")
	for _, query := range []string{"limit=0", "limit=x", "limit=501", "limit=1&limit=2", "nothing=1", "state=asleep", "cursor=%00", "cursor=AAAA", "limit=%zz"} {
		if a := h.ask(read, "GET", "/v1/default/documents?"+query, ""); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	h.want(h.ask(read, "GET", "/v1/default/documents", "{}"), 400, "invalid_request")
}

func TestTokens(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		first, err := h.tokens.First(t.Context(), h.now())
		if err != nil || first == "" {
			t.Fatalf("first token: %q, %v", first, err)
		}
		if again, err := h.tokens.First(t.Context(), h.now()); again != "" || err != nil {
			t.Errorf("a second first token: %v", err)
		}
		const path = "/v1/default/offerings"
		h.want(h.ask(first, "GET", path, ""), 200, "")
		h.want(h.ask(first, "GET", "/v1/second/offerings", ""), 200, "")

		read := h.token("default", Read)
		a := h.want(h.ask(read, "POST", "/v1/default/offers", `{"offerings":["mdl"],"subject":"ada"}`), 403, "insufficient_scope")
		if w := a.header.Get("WWW-Authenticate"); !strings.Contains(w, `scope="issue"`) {
			t.Errorf("WWW-Authenticate: %s", w)
		}
		h.want(h.ask(read, "GET", "/v1/second/offerings", ""), 403, "other_tenant")

		a = h.want(h.ask("", "GET", path, ""), 401, "no_token")
		if w := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(w, "Bearer ") || strings.Contains(w, "error") {
			t.Errorf("WWW-Authenticate: %s", w)
		}
		// The same token, moved to another tenant or with another secret.
		parts := strings.Split(read, ".")
		for _, wrong := range []string{
			strings.Join([]string{parts[0], "second", parts[2], parts[3]}, "."), strings.Join([]string{parts[0], "~", parts[2], parts[3]}, "."),
			strings.Join([]string{parts[0], parts[1], parts[2], strings.Repeat("A", 43)}, "."), parts[3], strings.Repeat("a", 9000),
		} {
			a := h.want(h.ask(wrong, "GET", path, ""), 401, "invalid_token")
			if w := a.header.Get("WWW-Authenticate"); !strings.Contains(w, `error="invalid_token"`) {
				t.Errorf("WWW-Authenticate: %s", w)
			}
		}
		h.pass(2 * time.Minute)
		if err := h.tokens.Revoke(t.Context(), "default", parts[2], h.now()); err != nil {
			t.Fatal(err)
		}
		h.want(h.ask(read, "GET", path, ""), 401, "invalid_token")
		if err := h.tokens.Revoke(t.Context(), "second", parts[2], h.now()); err != ErrUnknownToken {
			t.Errorf("revoked through another tenant: %v", err)
		}
		short := h.token("default", Read)
		h.want(h.ask(short, "GET", path, ""), 200, "")
		h.pass(time.Hour)
		h.want(h.ask(short, "GET", path, ""), 401, "invalid_token")
		list, err := h.tokens.List(t.Context(), "default")
		if err != nil || len(list) != 2 || list[0].Hash != nil || list[1].Revoked.IsZero() {
			t.Errorf("tokens: %+v, %v", list, err)
		}
		stored := ""
		err = h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			all, err := tx.Records("default").List(ctx, kindToken)
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
		h.time = time.Now().Add(-time.Minute)
		old := h.token("default", Read)
		h.want(h.ask(old, "GET", "/v1/default/offerings", ""), 200, "")
		if err := h.db.MarkRestored(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.want(h.ask(old, "GET", "/v1/default/offerings", ""), 401, "invalid_token")
		if list, err := h.tokens.List(t.Context(), "default"); err != nil || list[0].Valid(h.now()) {
			t.Errorf("%+v, %v", list, err)
		}
		h.pass(2 * time.Minute)
		h.want(h.ask(h.token("default", Read), "GET", "/v1/default/offerings", ""), 200, "")
	})
}

func TestTokensThatAreNone(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	end := h.now().Add(time.Hour)
	for name, tok := range map[string]Token{
		"no name":     {Scopes: []Scope{Read}, Expires: end},
		"no scope":    {Name: "x", Expires: end},
		"wrong scope": {Name: "x", Scopes: []Scope{"all"}, Expires: end},
		"twice":       {Name: "x", Scopes: []Scope{Read, Read}, Expires: end},
		"ended":       {Name: "x", Scopes: []Scope{Read}, Expires: h.now()},
		"endless":     {Name: "x", Scopes: []Scope{Read}, Expires: h.now().Add(10 * maxLifetime)},
		"tenant":      {Name: "x", Scopes: []Scope{Read}, Expires: end, Tenant: "../x"},
	} {
		if _, _, err := h.tokens.Create(t.Context(), tok, h.now()); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// Who guesses is held up.
func TestWrongTokensAreHeldUp(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	right := h.token("default", Read)
	const path = "/v1/default/offerings"
	for range wrongLimit {
		h.want(h.ask("wrong", "GET", path, ""), 401, "invalid_token")
	}
	if a := h.want(h.ask(right, "GET", path, ""), 429, "too_many_attempts"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.pass(wrongWindow)
	h.want(h.ask(right, "GET", path, ""), 200, "")
}

func TestIdempotency(t *testing.T) {
	testkit.DBs(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		issue, other := h.token("default", Issue), h.token("default", Issue)
		body := `{"offerings":["mdl"],"subject":"ada"}`
		const path, name, k = "/v1/default/offers", "Idempotency-Key", `"0d4f8a2e-1111"`
		first := h.want(h.ask(issue, "POST", path, body, name, k), 201, "")
		again := h.want(h.ask(issue, "POST", path, body, name, strings.Trim(k, `"`)), 201, "")
		if string(first.body) != string(again.body) {
			t.Errorf("another answer:\n%s\n%s", first.body, again.body)
		}
		h.want(h.ask(issue, "POST", path, `{"offerings":["mdl"],"subject":"mei"}`, name, k), 422, "idempotency_key_reused")
		if a := h.want(h.ask(other, "POST", path, body, name, k), 201, ""); a.text("id") == first.text("id") {
			t.Error("one token got what another had asked for")
		}
		for _, wrong := range []string{"short", `"`, strings.Repeat("a", 200), "with space in", "with\"quote"} {
			h.want(h.ask(issue, "POST", path, body, name, wrong), 400, "invalid_idempotency_key")
		}
		// What was refused may be put right.
		h.want(h.ask(issue, "POST", path, `{"offerings":["x"],"subject":"ada"}`, name, "another-key"), 422, "unknown_offering")
		h.want(h.ask(issue, "POST", path, body, name, "another-key"), 201, "")
		h.pass(30 * time.Minute)
		h.want(h.ask(issue, "POST", path, body, name, k), 201, "")

		stored := ""
		err := h.db.View(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			var value []byte
			err := tx.QueryRow(ctx, `select value from once where kind = $1 limit 1`, kindKey).Scan(&value)
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
				a := h.ask(issue, "POST", "/v1/default/offers", `{"offerings":["mdl"],"subject":"ada"}`, "Idempotency-Key", "all-together")
				mu.Lock()
				defer mu.Unlock()
				if a.status == 201 {
					ids[a.text("id")]++
				} else if a.text("code") != "in_progress" {
					t.Errorf("answered %s", a.body)
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
			a := h.want(h.ask(token, "GET", "/v1/default/documents?subject=ada&limit=7&cursor="+next, ""), 200, "")
			for _, d := range a.json["documents"].([]any) {
				seen = append(seen, d.(map[string]any)["id"].(string))
			}
			pages++
			if next = a.text("next"); next == "" {
				break
			}
		}
		if compact := slices.Compact(slices.Sorted(slices.Values(seen))); len(seen) != 25 || len(compact) != 25 || pages != 4 {
			t.Errorf("%d documents, %d different, on %d pages", len(seen), len(compact), pages)
		}
		h.want(h.ask(token, "GET", "/v1/default/documents/ADA0003", ""), 200, "")
		h.want(h.ask(token, "GET", "/v1/default/documents/NONE", ""), 404, "unknown_document")
		h.want(h.ask(token, "POST", "/v1/default/documents/ADA0003/revoke", `{}`), 422, "invalid")
		for range 2 {
			a := h.want(h.ask(token, "POST", "/v1/default/documents/ADA0003/revoke", `{"reason":"lost"}`), 200, "")
			if a.json["published"] != true {
				t.Errorf("revoked: %s", a.body)
			}
		}
		a := h.want(h.ask(token, "GET", "/v1/default/documents?state=revoked", ""), 200, "")
		if list := a.json["documents"].([]any); len(list) != 1 || list[0].(map[string]any)["reason"] != "lost" {
			t.Errorf("revoked documents: %s", a.body)
		}
		a = h.want(h.ask(token, "POST", "/v1/default/revocations", `{"subject":"mei","offering":"mdl","reason":"moved"}`), 200, "")
		if list := a.json["documents"].([]any); len(list) != 5 {
			t.Errorf("revoked: %s", a.body)
		}
		for _, step := range []struct{ event, all, state string }{
			{"suspend", "suspensions", "suspended"}, {"resume", "resumptions", "valid"}, {"delete", "deletions", "revoked"},
		} {
			a = h.want(h.ask(token, "POST", "/v1/default/documents/ADA0005/"+step.event, `{"reason":"lost"}`), 200, "")
			if list := a.json["documents"].([]any); len(list) != 1 || list[0] != "ADA0005" {
				t.Errorf("%s: %s", step.event, a.body)
			}
			if a = h.want(h.ask(token, "GET", "/v1/default/documents/ADA0005", ""), 200, ""); a.text("state") != step.state {
				t.Errorf("after %s: %s", step.event, a.body)
			}
			a = h.want(h.ask(token, "POST", "/v1/default/"+step.all, `{"subject":"ada","reason":"lost"}`), 200, "")
			if list := a.json["documents"].([]any); len(list) < 20 {
				t.Errorf("%s: %s", step.all, a.body)
			}
		}
		h.want(h.ask(token, "GET", "/v1/default/requests", ""), 200, "")
		h.want(h.ask(h.token("default", Issue), "POST", "/v1/default/requests/NONE/approve", `{}`), 404, "unknown_request")
		h.want(h.ask(h.token("default", Issue), "POST", "/v1/default/requests/NONE/deny", `{}`), 422, "invalid")
		h.want(h.ask(token, "POST", "/v1/default/revocations", `{"subject":"nobody","reason":"x"}`), 404, "unknown_document")
		h.want(h.ask(token, "POST", "/v1/second/revocations", `{"subject":"ada","reason":"x"}`), 403, "other_tenant")
		h.want(h.ask(h.token("default", Read, Issue, Admin), "POST", "/v1/default/documents/ADA0004/revoke", `{"reason":"x"}`), 403, "insufficient_scope")
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
		if err := ca.Maintain(t.Context(), h.now()); err != nil {
			t.Fatal(err)
		}
		a := h.want(h.ask(token, "GET", "/v1/default/certificates", ""), 200, "")
		if list := a.json["certificates"].([]any); len(list) < 4 {
			t.Errorf("certificates: %s", a.body)
		}
		h.want(h.ask(token, "GET", "/v1/default/health", ""), 200, "")
		h.want(h.ask(token, "GET", "/v1/default/status-lists", ""), 200, "")
		h.want(h.ask(token, "GET", "/v1/default/status-lists/none", ""), 404, "unknown_list")
		for _, path := range []string{"/livez", "/readyz"} {
			resp, err := http.Get(h.url + path)
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("%s: %v", path, err)
			}
			resp.Body.Close()
		}
	})
}

// The description is one of the routes, and the routes are those described.
func TestOpenAPI(t *testing.T) {
	h := newHouse(t, testkit.SQLite(t))
	resp, err := http.Get(h.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var d struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.1" {
		t.Errorf("openapi %q", d.OpenAPI)
	}
	ids := map[string]bool{}
	for path, item := range d.Paths {
		for method, o := range item {
			id, _ := o["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("operationId %q of %s %s", id, method, path)
			}
			ids[id] = true
			path := inPath.ReplaceAllString(strings.Replace(path, "{tenant}", "default", 1), "x")
			// Each is there, and closed.
			h.want(h.ask("", strings.ToUpper(method), path, ""), 401, "no_token")
		}
	}
	if len(ids) != len(operations()) {
		t.Errorf("%d of %d operations are described", len(ids), len(operations()))
	}
}

// The checker notices what it is there for.
func TestSchemaRefuses(t *testing.T) {
	s := schemaOf(reflect.TypeFor[documentPage]())
	for _, wrong := range []string{`{}`, `{"documents":null}`, `{"documents":[{}]}`, `{"documents":[],"more":1}`, `{"documents":[],"next":1}`, `[]`} {
		var v any
		if err := json.Unmarshal([]byte(wrong), &v); err != nil {
			t.Fatal(err)
		}
		if s.check(v, "") == nil {
			t.Errorf("%s passes", wrong)
		}
	}
}
