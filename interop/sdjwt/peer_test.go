package sdjwt_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/eidos-id/eidos/internal/testkit"
)

// task is one thing asked of the peer; peer.mjs lists them.
type task map[string]any

// answer is what came back.
type answer struct {
	OK         bool
	Why        string
	Credential string
	Payload    json.RawMessage
	Audience   string
	Type       json.RawMessage
	Flattened  json.RawMessage
	General    json.RawMessage
}

// peer is the process on the other side, started by the first test that asks
// it something. It ends when its standard input does, with the tests.
type peer struct {
	in  io.Writer
	out *bufio.Reader
}

// errMissing says what the peer needs and is not there.
type errMissing string

func (e errMissing) Error() string { return string(e) }

var start = sync.OnceValues(func() (*peer, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errMissing("node is not installed: @sd-jwt/sd-jwt-vc needs Node.js 20 or later")
	}
	// Looked at so that go test knows what its cached result hangs on.
	if _, err := os.Stat("peer.mjs"); err != nil {
		return nil, err
	}
	if _, err := os.Stat("node_modules/@sd-jwt/sd-jwt-vc/package.json"); err != nil {
		return nil, errMissing("@sd-jwt/sd-jwt-vc is not installed: script/install-test-deps.sh, which make test runs, fetches it")
	}
	cmd := exec.Command(node, "peer.mjs")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peer{in, bufio.NewReader(out)}, cmd.Start()
})

// ask has the peer do the tasks and returns its answers, in order. The test is
// skipped where the peer cannot run.
func ask(t testing.TB, tasks ...task) []answer {
	t.Helper()
	p, err := start()
	if missing := errMissing(""); errors.As(err, &missing) {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(tasks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		t.Fatalf("peer.mjs: %v", err)
	}
	if line, err = p.out.ReadBytes('\n'); err != nil {
		t.Fatalf("peer.mjs: %v", err)
	}
	var answers []answer
	if err := json.Unmarshal(line, &answers); err != nil {
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
			t.Fatalf("%s: %s", tasks[i]["do"], a.Why)
		}
	}
	return answers
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
