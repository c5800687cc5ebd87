package main

import (
	"encoding/csv"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eidos-id/eidos/cmd/eidos/demodata"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/testkit"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/wallet"
)

// TestLogs: documents of both formats are issued and presented to a website, well
// and badly, while all roles and the app log everything; nothing about the person
// and nothing secret that crossed a wire is in the log.
func TestLogs(t *testing.T) {
	var log testkit.Log
	keep, err := newKeeper(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{ctx: t.Context(), in: strings.NewReader(""), out: io.Discard, err: &log, getenv: os.Getenv, now: time.Now, keep: keep}
	d := &demo{m: m, json: true, keep: keep, ok: true, docs: map[string]wallet.Document{}, link: make(chan string, 1)}
	defer d.close()
	dir, cfg := t.TempDir(), demoConfig("127.0.0.1:0")
	if d.servers, err = m.start(t.Context(), cfg, dir, cfg.rolesHere([]string{"all"}), newLogger(m, "debug"), d.invited); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() (string, error){
		func() (string, error) { return d.install(t.Context()) },
		func() (string, error) { return d.acceptInBrowser(t.Context(), "mdl") },
		func() (string, error) { return d.acceptInBrowser(t.Context(), "pid", "pid-sd-jwt") },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	secrets := map[string]bool{}
	for _, ask := range []string{"mdl:family_name,birth_date,portrait,document_number", "pid@sd-jwt:family_name,given_name,birth_date,resident_address,portrait"} {
		for _, s := range presentRemotely(t, d, ask) {
			secrets[s] = true
		}
	}
	text := log.String()
	for _, line := range []string{"POST /{tenant}/response/{handle}", "POST /{tenant}/credential", "documents stored", "POST /{tenant}/instances"} {
		if !strings.Contains(text, line) {
			t.Errorf("the log has no line of %q", line)
		}
	}
	for _, value := range person(t, dir) {
		if strings.Contains(text, value) {
			t.Errorf("the log has %q of the person", value)
		}
	}
	for _, s := range crossed(t, filepath.Join(keep.dir, "messages")) {
		secrets[s] = true
	}
	if len(secrets) < 50 {
		t.Errorf("only %d secrets were seen on the wires", len(secrets))
	}
	for s := range secrets {
		if i := strings.Index(text, s); i >= 0 {
			t.Errorf("the log has the secret %.60s: %s", s, text[max(0, i-200):min(len(text), i+40)])
		}
	}
}

// presentRemotely has the phone answer a website, posts rubbish beside it, and
// reads the result as the website does. It returns what is secret in that.
func presentRemotely(t *testing.T, d *demo, ask string) []string {
	t.Helper()
	h := *d.servers.house
	h.closers = nil
	defer h.close()
	v, err := h.verifier(t.Context(), h.fetch)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := v.Begin(t.Context(), "default", verifier.AskParams{Ask: ask, SameDevice: true})
	if err != nil {
		t.Fatal(err)
	}
	get := func(uri string) {
		if _, err := h.fetch(t.Context(), fetch.GetRequest(uri, "")); err != nil {
			t.Fatal(err)
		}
	}
	base, handle, _ := strings.Cut(tx.RequestURI, "/request/")
	if _, err := h.fetch(t.Context(), fetch.FormRequest(base+"/response/"+handle, url.Values{"response": {"eyJhbGciOiJub25lIn0.a.b.c.d"}, "state": {"guess"}})); err != nil {
		t.Fatal(err)
	}
	get(tx.Page)
	get(tx.Watch)
	get(tx.Watch + "/dc")
	get(base + "/result/" + tx.ID + "?response_code=guessguessguessguessguess")
	_, redirect, err := d.wallet.Answer(t.Context(), tx.Link)
	if err != nil {
		t.Fatal(err)
	}
	get(redirect)
	u, err := url.Parse(redirect)
	if err != nil {
		t.Fatal(err)
	}
	code := u.Query().Get("response_code")
	get(base + "/result/" + tx.ID + "?response_code=" + code)
	o, err := v.Outcome(t.Context(), "default", tx.ID, code)
	if err != nil || !o.Result.OK() || code == "" {
		t.Fatalf("%+v %v", o, err)
	}
	return []string{tx.ID, code, "guessguessguessguessguess"}
}

// person is what the register knows of the holder, but for what is short.
func person(t *testing.T, dir string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "register", demodata.Register))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, row := range rows[1:] {
		for i, value := range row {
			if row[0] == holder && len(value) >= 6 && !strings.HasSuffix(rows[0][i], "_date") {
				out = append(out, value)
			}
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %v is known of the person", out)
	}
	return append(out, "1984-03-17", "17 March 1984")
}

var (
	inJSON  = regexp.MustCompile(`"(access_token|refresh_token|c_nonce|nonce|state|code|request_uri|tx_code|attestation|client_attestation|challenge|attestation_challenge|pre-authorized_code|credential|notification_id|transaction_id|vp_token)":\s*"([^"]{12,})"`)
	inForm  = regexp.MustCompile(`(?:^|[&?\n])(code|code_verifier|client_assertion|request_uri|pre-authorized_code|refresh_token|response|state|wallet_nonce|tx_code|response_code)=([A-Za-z0-9%._~-]{12,})`)
	inHead  = regexp.MustCompile(`(?m)^(authorization|dpop|dpop-nonce|oauth-client-attestation|oauth-client-attestation-pop|cookie|set-cookie): (?:DPoP |Bearer )?(\S{12,})`)
	anyJOSE = regexp.MustCompile(`(eyJ)([A-Za-z0-9_-]{20,})`)
)

// crossed are the secrets in what crossed the wires.
func crossed(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.http"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no messages were kept: %v", err)
	}
	var out []string
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []*regexp.Regexp{inJSON, inForm, inHead, anyJOSE} {
			for _, found := range pattern.FindAllSubmatch(data, -1) {
				s, err := url.QueryUnescape(string(found[2]))
				if err != nil {
					s = string(found[2])
				}
				out = append(out, s[:min(len(s), 64)])
			}
		}
	}
	return out
}
