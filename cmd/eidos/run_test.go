package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fullDisk is a standard output that takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// typedIn runs a command line beside an empty data directory, with no server
// there.
func typedIn(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	dir := t.TempDir()
	status = run(t.Context(), args, strings.NewReader(""), &o, &e, func(name string) string {
		if name == "EIDOS_DATA" {
			return dir
		}
		return ""
	})
	return status, o.String(), e.String()
}

// A mistake is one plain line, with what to do where that is not plain, and a
// status of its own; nothing is half printed, also not as JSON.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(`{"a":"b://c"} and more`), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("openid4vp://x:y?client_id=hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line   string
		status int
		says   string // on standard error
	}{
		{"nonsense", exitUsage, "hint: eidos --help"},
		{"issuer offer mdl", exitUsage, "hint: eidos issuer offer --help"},
		{"demo --nonsense", exitUsage, "hint: eidos demo --help"},
		{"serve nobody", exitUsage, "must be one of"},
		{"serve all --listen banana", exitUsage, "missing port"},
		{"serve all --listen 192.0.2.1:8080", exitUsage, "needs a public URL"},
		{"serve all -c " + dir + "/none.yaml", exitUsage, "none.yaml: no such file"},
		{"serve issuer --listen 127.0.0.1:0 --data " + file, exitFailed, "not a directory"},
		{"config check " + dir + "/none.yaml", exitUsage, "not in order"},
		{"issuer list --tenant nobody --json", exitFailed, "no such tenant"},
		{"issuer revoke --subject ada", exitUsage, "--reason"},
		{"issuer approve nothing --json", exitFailed, "no such request"},
		{"issuer suspend --document x --reason y --json", exitFailed, "no such document"},
		{"issuer offer mdl --subject ada --scheme https", exitUsage, "must be one of"},
		{"wallet list --json --data " + file, exitFailed, "not a directory"},
		{"wallet status --json", exitFailed, "not installed"},
		{"wallet show nothing --json", exitFailed, `"nothing"`},
		{"wallet accept " + dir, exitUsage, "is a directory"},
		{"wallet accept " + file, exitFailed, "offer"},
		{"wallet accept openid-credential-offer://?credential_offer_uri=https://10.0.0.1/x", exitFailed, "a private address"},
		{"wallet accept openid-credential-offer://?credential_offer_uri=http://169.254.169.254/x", exitFailed, "https wanted"},
		{"wallet present", exitUsage, "either --qr FILE"},
		{"wallet present --qr " + dir + "/none/qr.txt", exitFailed, "write " + dir + "/none/qr.txt: no such file"},
		{"wallet present openid4vp://?client_id=x509_hash:abc&request_uri=https://192.168.1.1/x", exitFailed, "a private address"},
		{"reader read --qr mdoc:xx --json", exitFailed, "RFC 4648"},
		{"verifier show nothing --json", exitFailed, "no such transaction"},
		{"verifier request --ask nothing", exitFailed, "question not understood"},
		{"inspect " + dir, exitUsage, "is a directory"},
		{"inspect --json " + dir + "/none", exitUsage, "no such file"},
		{"inspect " + secret, exitFailed, "not a URI (RFC 3986)"},
		{"verify --anchors " + dir + "/none " + file, exitUsage, "no such file"},
	} {
		t.Run(c.line, func(t *testing.T) {
			status, out, errs := typedIn(t, strings.Fields(c.line)...)
			if status != c.status || !strings.Contains(errs, c.says) {
				t.Errorf("status %d, want %d:\n%s", status, c.status, errs)
			}
			if out != "" && !strings.HasPrefix(c.line, "config check") {
				t.Errorf("prints %q", out)
			}
			if strings.Count(errs, "eidos: error: ") != 1 || strings.Contains(errs, "goroutine") || strings.Contains(errs, "hush") {
				t.Errorf("standard error:\n%s", errs)
			}
		})
	}
}

// A result that nobody got is no success.
func TestFullOutput(t *testing.T) {
	for _, line := range []string{"--help", "config doc", "config schema", "issuer types", "issuer types --json", "wallet list", "wallet list --json"} {
		var errs bytes.Buffer
		dir := t.TempDir()
		status := run(t.Context(), strings.Fields(line), strings.NewReader(""), fullDisk{}, &errs, func(string) string { return dir })
		if status != exitFailed || strings.Count(errs.String(), "no space left") != 1 {
			t.Errorf("%s: status %d\n%s", line, status, &errs)
		}
	}
}

// Whoever interrupts knows it: no error is made of it.
func TestInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	dir := t.TempDir()
	status := run(ctx, []string{"wallet", "present", "--qr", filepath.Join(dir, "qr.txt")}, strings.NewReader(""), &out, &errs,
		func(string) string { return filepath.Join(dir, "data") })
	if status != exitFailed || errs.String() != "eidos: interrupted\n" {
		t.Errorf("status %d: %s", status, &errs)
	}
}

// A link that no server answers is handed out with a word about it.
func TestLinkWithoutServer(t *testing.T) {
	status, out, errs := typedIn(t, "verifier", "request", "--ask", "identity", "--json")
	if status != exitOK || !strings.HasPrefix(out, "{") || !strings.Contains(errs, "nobody has served") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// What a stranger wrote does not steer the terminal.
func TestNoEscapes(t *testing.T) {
	link := "openid4vp://x?client_id=a%1b%5b2Jb%E2%80%AEc&request_uri=https://v.example/"
	if status, out, errs := typedIn(t, "inspect", link); status != exitOK || !strings.Contains(out, "a\ufffd[2Jb\ufffdc") {
		t.Errorf("status %d\n%q%q", status, out, errs)
	}
	if _, _, errs := typedIn(t, "wallet", "show", "x\x1b[2J\u202e"); strings.ContainsAny(errs, "\x1b\u202e") {
		t.Errorf("%q", errs)
	}
}

// Every command explains itself.
func TestHelp(t *testing.T) {
	for _, line := range []string{"", "demo", "serve", "config", "config check", "config doc", "config schema", "issuer", "issuer offer", "issuer types",
		"issuer list", "issuer revoke", "issuer suspend", "issuer resume", "issuer delete", "issuer review", "issuer requests", "issuer approve", "issuer deny", "provider", "provider list", "provider revoke", "wallet", "wallet install", "wallet accept", "wallet list",
		"wallet show", "wallet present", "wallet check", "wallet delete", "wallet log", "wallet status", "reader", "reader read", "reader pack",
		"verifier", "verifier request", "verifier show", "inspect", "verify", "pki", "pki iaca", "pki ds", "pki vical"} {
		status, out, errs := typedIn(t, append(strings.Fields(line), "--help")...)
		if status != exitOK || !strings.HasPrefix(out, "Usage: eidos") || errs != "" {
			t.Errorf("%s: status %d\n%s%s", line, status, out, errs)
		}
	}
}
