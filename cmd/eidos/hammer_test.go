package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

// hammerRunOf runs the command as a process, which starts the authority as
// another.
func hammerRunOf(t *testing.T, load string, args ...string) hammerResult {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "eidos", append([]string{"hammer", load, "--json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.Bytes())
	}
	d := json.NewDecoder(bytes.NewReader(out))
	d.DisallowUnknownFields()
	var r hammerResult
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return r
}

// noLoadUnderRace skips what is the work of other tests many times over.
func noLoadUnderRace(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("load under the race detector takes minutes, and finds nothing that one flow does not")
	}
}

// checkHammered looks at the shape of the figures, not at how fast it was. Each
// flow has one request of each kind.
func checkHammered(t *testing.T, r hammerResult, batch int, kinds ...string) {
	t.Helper()
	if r.Failed != 0 || len(r.Errors) != 0 || r.Flows == 0 || r.Documents != batch*r.Flows || r.Load.Batch != batch || r.Rounds == 0 {
		t.Errorf("%d flows, %d documents, %d rounds, %d failed: %v", r.Flows, r.Documents, r.Rounds, r.Failed, r.Errors)
	}
	for _, kind := range kinds {
		if s := r.Requests[kind]; s.Count != r.Flows || s.Refused != 0 || s.P50 <= 0 || s.P50 > s.P90 || s.P90 > s.P99 || s.P99 > s.Max {
			t.Errorf("%s in %d flows: %+v", kind, r.Flows, s)
		}
	}
	if len(r.Requests) != len(kinds) {
		t.Errorf("requests: %v", r.Requests)
	}
	if r.Seconds <= 0 || r.PerSecond.Documents < r.PerSecond.Flows || r.Raw.PerSecond <= 0 {
		t.Errorf("%v s, %+v, %+v", r.Seconds, r.PerSecond, r.Raw)
	}
	if r.Database.Transactions < 3 || r.Database.Statements <= r.Database.Transactions {
		t.Errorf("database: %+v", r.Database)
	}
	if r.Crypto.Percent < 0 || r.Crypto.Percent > 100 || len(r.Crypto.Parts) != len(cryptography()) {
		t.Errorf("cryptography: %+v", r.Crypto)
	}
	if r.Process.ResidentStart > r.Process.ResidentMost || r.Process.ResidentEnd > r.Process.ResidentMost {
		t.Errorf("memory: %+v", r.Process)
	}
}

func TestHammerIssue(t *testing.T) {
	noLoadUnderRace(t)
	r := hammerRunOf(t, "issue", "--for", "1s", "--clients", "2")
	checkHammered(t, r, 10, "offer", "token", "nonce", "credential")
	if l := r.Load; l.Database != "sqlite" || !l.Issue.Encryption || l.Issue.Proofs != "attestation" || l.Clients != 2 || l.Procs != 1 {
		t.Errorf("%+v", l)
	}
}

func TestHammerIssueOtherwise(t *testing.T) {
	noLoadUnderRace(t)
	r := hammerRunOf(t, "issue", "--documents", "40", "--clients", "2", "--offering", "pid-sd-jwt", "--proofs", "jwt", "--plain", "--db", testkit.Postgres(t))
	checkHammered(t, r, 10, "offer", "token", "nonce", "credential")
	if l := r.Load; r.Documents != 40 || l.Database != "postgres" || !strings.HasPrefix(l.Schema, "hammer") || l.Issue.Encryption || l.Issue.Proofs != "jwt" {
		t.Errorf("%d documents, %+v", r.Documents, l)
	}
}

func TestHammerPresent(t *testing.T) {
	noLoadUnderRace(t)
	for _, dsn := range []string{"", testkit.Postgres(t)} {
		args, database := []string{"--transactions", "30", "--clients", "2"}, "sqlite"
		if dsn != "" {
			args, database = append(args, "--db", dsn), "postgres"
		}
		r := hammerRunOf(t, "present", args...)
		checkHammered(t, r, 1, "begin", "request", "response", "result")
		if l := r.Load; r.Documents != 30 || l.Database != database || l.Present.Format != "mso_mdoc" || l.Present.Mode != "direct_post.jwt" || l.Issue != nil {
			t.Errorf("%d transactions, %+v", r.Documents, l)
		}
	}
}

func TestHammerWait(t *testing.T) {
	noLoadUnderRace(t)
	out, err := exec.CommandContext(t.Context(), "eidos", "hammer", "wait", "--json", "--open", "40", "--watch", "10", "--clients", "2").Output()
	var r hammerWaitResult
	if err != nil || json.Unmarshal(out, &r) != nil || r.Open != 40 || r.Watching != 10 || r.Database != "sqlite" || r.Memory.Later <= 0 || r.Memory.Start <= 0 {
		t.Errorf("%v: %s", err, out)
	}
	if err := exec.CommandContext(t.Context(), "eidos", "hammer", "wait", "--open", "1", "--watch", "2").Run(); err == nil {
		t.Error("more pages than requests")
	}
}

// A question that the driving licence does not answer alone fails each flow.
func TestHammerPresentAnother(t *testing.T) {
	noLoadUnderRace(t)
	out, err := exec.CommandContext(t.Context(), "eidos", "hammer", "present", "--transactions", "1", "--ask", "pid@mdoc:family_name").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("is not one that the driving licence answers alone")) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestHammerURL loads an authority that was started by itself.
func TestHammerURL(t *testing.T) {
	noLoadUnderRace(t)
	cmd := exec.CommandContext(t.Context(), "eidos", "hammer", "authority", "--tied")
	tie, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(tie.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}()
	var ready hammerReady
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(ready.CA), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second has a provider of its own
		r := hammerRunOf(t, "issue", "--documents", "20", "--clients", "1", "--url", ready.URL, "--ca", ca)
		checkHammered(t, r, 10, "offer", "token", "nonce", "credential")
		if l := r.Load; l.Database != "sqlite" || l.Procs != 1 || r.Documents != 20 {
			t.Errorf("%d documents, %+v", r.Documents, l)
		}
	}
}

func TestHammerRefuses(t *testing.T) {
	for args, want := range map[string]int{
		"--clients 0":                              exitUsage,
		"--documents -1":                           exitUsage,
		"--offering passport":                      exitUsage,
		"--url https://127.0.0.1:1":                exitUsage,
		"--url https://example.org --ca go.mod":    exitUsage,
		"--url https://127.0.0.1:1 --ca hammer.go": exitFailed, // no certificate
		"--procs 100000":                           exitFailed, // the authority says so
		"--db mysql:somewhere":                     exitFailed,
		"--proofs none":                            exitUsage,
	} {
		err := exec.CommandContext(t.Context(), "eidos", append([]string{"hammer", "issue"}, strings.Fields(args)...)...).Run()
		if status, ok := err.(*exec.ExitError); !ok || status.ExitCode() != want {
			t.Errorf("%s: %v, want status %d", args, err, want)
		}
	}
}
