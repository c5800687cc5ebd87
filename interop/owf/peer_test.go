package owf_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

// task is one thing asked of the peer; peer.mjs lists them.
type task map[string]any

// answer is what came back. Bytes are hexadecimal.
type answer struct {
	OK           bool
	Why          []string
	Transcript   string
	IssuerSigned string
	Response     string
	Request      string
	DocType      string
	Elements     map[string]map[string]string
	Version      string
	Documents    []struct {
		DocType       string
		NameSpaces    map[string]map[string]bool
		Authenticated bool
	}
}

// refusal is the reasons in one line.
func (a answer) refusal() string { return strings.Join(a.Why, "; ") }

// ask runs the tasks in one process of the peer and returns its answers, in
// order. The test is skipped where the peer cannot run.
func ask(t testing.TB, tasks ...task) []answer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: @owf/mdoc needs Node.js 20 or later")
	}
	// Looked at one by one so that go test knows what its cached result hangs on.
	for _, own := range []string{"peer.mjs", "context.mjs"} {
		if _, err := os.Stat(own); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat("node_modules/@owf/mdoc/package.json"); err != nil {
		t.Skip("@owf/mdoc is not installed: script/install-test-deps.sh, which make test runs, fetches it")
	}
	in, err := json.Marshal(tasks)
	if err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), node, "peer.mjs")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("peer.mjs: %v\n%s", err, problems.Bytes())
	}
	var answers []answer
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		t.Fatalf("peer.mjs: %v", err)
	}
	if len(answers) != len(tasks) {
		t.Fatalf("peer.mjs answered %d of %d tasks", len(answers), len(tasks))
	}
	return answers
}

// done is ask for tasks that must succeed.
func done(t testing.TB, tasks ...task) []answer {
	t.Helper()
	answers := ask(t, tasks...)
	for i, a := range answers {
		if !a.OK {
			t.Fatalf("%s: %s", tasks[i]["do"], a.refusal())
		}
	}
	return answers
}

func hexes(list ...[]byte) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = hex.EncodeToString(b)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// jwk is a private key for the peer.
func jwk(t testing.TB, k *testkit.Key) map[string]string {
	t.Helper()
	enc := base64.RawURLEncoding.EncodeToString
	switch p := k.Private().(type) {
	case ed25519.PrivateKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": enc(p[32:]), "d": enc(p.Seed())}
	case *ecdsa.PrivateKey:
		d, err := p.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		point, err := p.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		n := len(point) / 2
		return map[string]string{"kty": "EC", "crv": p.Params().Name, "x": enc(point[1 : 1+n]), "y": enc(point[1+n:]), "d": enc(d)}
	default:
		t.Fatalf("key of type %T", p)
		return nil
	}
}
