package testkit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Peer is software that no one here wrote, as the other side of a test: an npm
// package that peer.mjs, in the folder of the test, gives tasks to. Each line of
// its standard input is a JSON array of tasks, each line of its standard output
// the array of their answers, in order. It is started by the first test that
// asks it something, and ends when its standard input does, with the tests.
//
// A is what an answer may hold, "ok" and "why" among the rest.
type Peer[A any] struct {
	Package string // name at npm

	start sync.Once
	err   error // why it does not run
	mu    sync.Mutex
	in    io.Writer
	out   *bufio.Reader
}

// Task is one thing asked of a Peer: "do" says what, the rest with what.
type Task map[string]any

// errMissing says what a peer needs and is not there.
type errMissing string

func (e errMissing) Error() string { return string(e) }

func (p *Peer[A]) run() error {
	node, err := exec.LookPath("node")
	if err != nil {
		return errMissing("node is not installed: " + p.Package + " needs Node.js 20 or later")
	}
	modules, err := filepath.Glob("*.mjs")
	if err != nil {
		return err
	}
	// Looked at so that go test knows what its cached result hangs on.
	for _, m := range append(modules, "peer.mjs") {
		if _, err := os.Stat(m); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join("node_modules", p.Package, "package.json")); err != nil {
		return errMissing(p.Package + " is not installed: script/install-test-deps.sh, which make test runs, fetches it")
	}
	cmd := exec.Command(node, "peer.mjs")
	cmd.Stderr = os.Stderr
	if p.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewReader(out)
	return cmd.Start()
}

// exchange writes a line and reads one.
func (p *Peer[A]) exchange(tasks []Task) (answers []json.RawMessage, err error) {
	line, err := json.Marshal(tasks)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	if line, err = p.out.ReadBytes('\n'); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &answers); err != nil {
		return nil, err
	}
	if len(answers) != len(tasks) {
		return nil, fmt.Errorf("answered %d of %d tasks", len(answers), len(tasks))
	}
	return answers, nil
}

// Ask has the peer do the tasks and returns its answers, in order. The test is
// skipped where the peer cannot run.
func (p *Peer[A]) Ask(t testing.TB, tasks ...Task) []A {
	t.Helper()
	return p.ask(t, tasks, false)
}

// Done is Ask for tasks that must succeed.
func (p *Peer[A]) Done(t testing.TB, tasks ...Task) []A {
	t.Helper()
	return p.ask(t, tasks, true)
}

func (p *Peer[A]) ask(t testing.TB, tasks []Task, all bool) []A {
	t.Helper()
	p.start.Do(func() { p.err = p.run() })
	if missing, ok := errors.AsType[errMissing](p.err); ok {
		t.Skip(missing)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
	answers, err := p.exchange(tasks)
	if err != nil {
		t.Fatalf("peer.mjs: %v", err)
	}
	out := make([]A, len(answers))
	for i, raw := range answers {
		var how struct {
			OK  bool
			Why string
		}
		if err := errors.Join(json.Unmarshal(raw, &how), json.Unmarshal(raw, &out[i])); err != nil {
			t.Fatalf("peer.mjs: %s: %v", tasks[i]["do"], err)
		}
		if all && !how.OK {
			t.Fatalf("%s: %s", tasks[i]["do"], how.Why)
		}
	}
	return out
}
