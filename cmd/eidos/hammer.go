package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/web"
)

// hammerCmd loads our own servers to see what they can bear.
type hammerCmd struct {
	Issue     hammerIssueCmd     `cmd:"" help:"Have many apps get documents by pre-authorized code, and say how fast that went."`
	Authority hammerAuthorityCmd `cmd:"" help:"The authority that hammer issue loads, for --url: on loopback, with invented people."`
	Present   hammerPresentCmd   `cmd:"" help:"Have many apps show a document to a relying party over the internet, and say how fast that went."`
	Wait      hammerWaitCmd      `cmd:"" help:"Have a verifier hold many open requests, and people wait for answers, and say what memory that takes."`
	Verifier  hammerVerifierCmd  `cmd:"" help:"The verifier that hammer present and wait load, for --url: on loopback."`
}

// hammerFlags are common to all loads.
type hammerFlags struct {
	For     time.Duration `placeholder:"DURATION" help:"How long to go on, preparations not counted: 30s, if nothing else ends the run."`
	Clients int           `default:"8" help:"Apps at the same time, each with a connection of its own."`
	DB      string        `name:"db" placeholder:"DSN" help:"postgres://… to use in place of SQLite. A schema of its own is left there."`
	Procs   int           `default:"1" help:"Processors that the process under load may use at a time."`
	URL     string        `name:"url" placeholder:"URL" help:"Load a process that runs already: eidos hammer authority, or verifier."`
	CA      string        `name:"ca" type:"existingfile" placeholder:"FILE" help:"PEM of the CA of --url."`
	Profile string        `type:"path" placeholder:"FILE" help:"Keep the CPU profile of the longest round, for go tool pprof."`
	JSON    bool          `help:"Print the figures as JSON."`
}

// run loads the process of --url, or starts the one that word names, and prints
// the figures. A flow that failed makes the exit status 1. The run ends after
// so many documents if limit is not zero.
func (c *hammerFlags) run(m *machine, word string, limit int, load hammerLoad) (err error) {
	if err := c.check(limit); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	origin, root, stop, err := c.target(ctx, m, word)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	r := &hammerRun{flags: c, limit: limit, load: load, m: m, now: m.now, origin: origin, roots: []*x509.Certificate{root}}
	result, err := r.whole(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = m.json(result)
	} else {
		result.print(m.out, load)
	}
	if err == nil && (result.Failed > 0 || result.Flows == 0) {
		err = errSilent
	}
	return err
}

// target is the process under load: the one of --url, or one that is started
// and then ended by stop.
func (c *hammerFlags) target(ctx context.Context, m *machine, word string) (origin string, root *x509.Certificate, stop func() error, err error) {
	ready, stop := hammerReady{URL: strings.TrimSuffix(c.URL, "/")}, func() error { return nil }
	if c.URL != "" {
		ca, err := os.ReadFile(c.CA)
		if err != nil {
			return "", nil, nil, err
		}
		ready.CA = string(ca)
	} else {
		p, err := c.start(ctx, m, word)
		if err != nil {
			return "", nil, nil, err
		}
		ready, stop = p.ready, p.stop
	}
	if root, err = certificateOf(ready.CA); err != nil {
		return "", nil, nil, errors.Join(err, stop())
	}
	return ready.URL, root, stop, nil
}

func (c *hammerFlags) check(limit int) error {
	switch {
	case c.For < 0 || limit < 0:
		return usage("--for and --documents cannot be negative")
	case c.Clients < 1 || c.Clients > 1000:
		return usage("--clients %d: wanted 1 to 1000", c.Clients)
	case (c.URL == "") != (c.CA == ""):
		return usage("--url and --ca belong together")
	case c.URL != "" && c.DB != "":
		return usage("--db is said to the process that --url names")
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || !web.IsLoopbackName(u.Hostname()) {
			return usage("--url: wanted the address that eidos hammer authority or verifier printed")
		}
	}
	if c.For == 0 && limit == 0 {
		c.For = 30 * time.Second
	}
	return nil
}

func certificateOf(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("the CA is no certificate in PEM")
	}
	return pki.ParseCertificate(block.Bytes)
}

// hammerProcess is the process under load, which we have started.
type hammerProcess struct {
	ready hammerReady
	stop  func() error
}

// start starts this very program as what is loaded.
func (c *hammerFlags) start(ctx context.Context, m *machine, word string) (*hammerProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"hammer", word, "--tied", "--procs", strconv.Itoa(c.Procs)}
	if c.DB != "" {
		args = append(args, "--db", c.DB)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = m.err
	cmd.WaitDelay = 10 * time.Second
	tie, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = tie.Close // it ends by itself then
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &hammerProcess{stop: func() error {
		tie.Close() // Cancel may have done it
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("the %s under load: %w", word, err)
		}
		return nil
	}}
	line, err := bufio.NewReader(io.LimitReader(out, 1<<20)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.ready)
	}
	if err != nil || !p.ready.Ready {
		return nil, errors.Join(fmt.Errorf("the %s to load did not start", word), p.stop())
	}
	return p, nil
}
