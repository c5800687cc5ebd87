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
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/hammer"
	"github.com/eidos-id/eidos/internal/web"
)

// hammerCmd loads our own servers to see what they can bear.
type hammerCmd struct {
	Issue     hammerIssueCmd     `cmd:"" help:"Have many apps get documents by pre-authorized code, and say how fast that went."`
	Authority hammerAuthorityCmd `cmd:"" help:"The authority that hammer issue loads, for --url: on loopback, with invented people."`
}

type hammerIssueCmd struct {
	For       time.Duration `placeholder:"DURATION" help:"How long to go on, preparations not counted: 30s, if neither this nor --documents is given."`
	Documents int           `placeholder:"N" help:"End when so many documents were issued."`
	Clients   int           `default:"8" help:"Apps at the same time, each with a connection of its own."`
	Offering  string        `default:"mdl" help:"What is issued: mdl, pid, photoid, pid-sd-jwt."`
	Proofs    string        `enum:"attestation,jwt" default:"attestation" help:"One key attestation for all keys, or a JWT by each key with the attestation in it."`
	Plain     bool          `help:"Do not encrypt requests and answers on top of TLS."`
	DB        string        `name:"db" placeholder:"DSN" help:"postgres://… for the authority to use in place of SQLite. A schema of its own is left there."`
	Procs     int           `default:"1" help:"Processors that the authority may use at a time."`
	URL       string        `name:"url" placeholder:"URL" help:"Load an eidos hammer authority that runs already."`
	CA        string        `name:"ca" type:"existingfile" placeholder:"FILE" help:"PEM of the CA of --url."`
	Profile   string        `type:"path" placeholder:"FILE" help:"Keep the CPU profile of the authority's longest round, for go tool pprof."`
	JSON      bool          `help:"Print the figures as JSON."`
}

// Run loads an authority and prints the figures. A flow that failed makes the
// exit status 1.
func (c *hammerIssueCmd) Run(m *machine) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	ready := hammerReady{URL: strings.TrimSuffix(c.URL, "/")}
	if c.URL != "" {
		ca, err := os.ReadFile(c.CA)
		if err != nil {
			return err
		}
		ready.CA = string(ca)
	} else {
		a, failed := c.startAuthority(ctx, m)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, a.stop()) }()
		ready = a.ready
	}
	root, err := certificateOf(ready.CA)
	if err != nil {
		return err
	}
	r := &hammerRun{cmd: c, m: m, now: m.now, origin: ready.URL, roots: []*x509.Certificate{root}}
	result, err := r.issue(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = m.json(result)
	} else {
		result.print(m.out)
	}
	if err == nil && (result.Failed > 0 || result.Flows == 0) {
		err = errSilent
	}
	return err
}

func (c *hammerIssueCmd) check() error {
	switch {
	case c.For < 0 || c.Documents < 0:
		return usage("--for and --documents cannot be negative")
	case c.Clients < 1 || c.Clients > 1000:
		return usage("--clients %d: wanted 1 to 1000", c.Clients)
	case (c.URL == "") != (c.CA == ""):
		return usage("--url and --ca belong together")
	case c.URL != "" && c.DB != "":
		return usage("--db is said to the authority that --url names")
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || !web.IsLoopbackName(u.Hostname()) {
			return usage("--url: wanted the address that eidos hammer authority printed")
		}
	}
	if c.For == 0 && c.Documents == 0 {
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

// authorityProcess is the process under load, which we have started.
type authorityProcess struct {
	ready hammerReady
	stop  func() error
}

// startAuthority starts this very program as an authority.
func (c *hammerIssueCmd) startAuthority(ctx context.Context, m *machine) (*authorityProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"hammer", "authority", "--tied", "--procs", strconv.Itoa(c.Procs)}
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
	a := &authorityProcess{stop: func() error {
		tie.Close() // Cancel may have done it
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			return fmt.Errorf("the authority under load: %w", err)
		}
		return nil
	}}
	line, err := bufio.NewReader(io.LimitReader(out, 1<<20)).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &a.ready)
	}
	if err != nil || !a.ready.Ready {
		return nil, errors.Join(errors.New("the authority to load did not start"), a.stop())
	}
	return a, nil
}

// hammerResult is what is printed.
type hammerResult struct {
	Load struct {
		Offering   string `json:"offering"`
		Proofs     string `json:"proofs"`
		Encryption bool   `json:"encryption"` // of requests and answers, on top of TLS
		Batch      int    `json:"batch"`      // documents of a flow
		Clients    int    `json:"clients"`
		Database   string `json:"database"` // sqlite or postgres
		Schema     string `json:"schema,omitempty"`
		Procs      int    `json:"authority_procs"` // GOMAXPROCS of the authority's process
		CPUs       int    `json:"machine_cpus"`
		Go         string `json:"go"`
		Prepared   string `json:"prepared"` // what is not in the figures
	} `json:"load"`
	Seconds   float64                   `json:"seconds"` // preparations not counted
	Rounds    int                       `json:"rounds"`
	Flows     int                       `json:"flows"`
	Documents int                       `json:"documents"`
	Failed    int                       `json:"failed"`
	Errors    map[string]int            `json:"errors,omitempty"`
	PerSecond hammerRates               `json:"per_second"`
	Requests  map[string]hammer.Summary `json:"requests"`
	Authority hammerProcess             `json:"authority"`
	Database  hammerDatabase            `json:"database"`
	Crypto    hammerCrypto              `json:"cryptography"`
	Raw       hammerRaw                 `json:"raw_signing"`
}

type hammerRates struct {
	Flows     float64 `json:"flows"`
	Documents float64 `json:"documents"`
}

// hammerProcess is the process of the authority.
type hammerProcess struct {
	CPUSeconds    float64 `json:"cpu_seconds"` // user and system
	CPUPerFlow    float64 `json:"cpu_ms_per_flow"`
	CPUShare      float64 `json:"cpu_of_wall"` // 1 is one processor all the time
	ResidentStart float64 `json:"resident_start_mib"`
	ResidentHalf  float64 `json:"resident_middle_mib"`
	ResidentEnd   float64 `json:"resident_end_mib"`
	ResidentMost  float64 `json:"resident_most_mib"`
}

// hammerDatabase is what one flow asks of the database.
type hammerDatabase struct {
	Transactions float64 `json:"transactions_per_flow"`
	Commits      float64 `json:"commits_per_flow"`
	Statements   float64 `json:"statements_per_flow"` // besides begin and commit
	Retries      float64 `json:"retries_per_flow"`
}

// hammerCrypto is the share of the authority's CPU time that no implementation
// could leave out.
type hammerCrypto struct {
	Percent float64      `json:"percent"`
	Samples int64        `json:"samples"` // of the CPU profile, in all
	Parts   []hammerPart `json:"parts"`
}

type hammerPart struct {
	Name      string   `json:"name"`
	Percent   float64  `json:"percent"`
	Functions []string `json:"functions"` // prefixes of their names
}

// hammerRaw is signing digests with P-256 and nothing else in the same process.
type hammerRaw struct {
	PerSecond    float64 `json:"per_second"`
	PerCPUSecond float64 `json:"per_cpu_second"`
	PerDocument  float64 `json:"signatures_worth_of_cpu_per_document"`
}

func (r *hammerResult) print(w io.Writer) {
	how := "encrypted on top of TLS"
	if !r.Load.Encryption {
		how = "not encrypted on top of TLS"
	}
	fmt.Fprintf(w, "%s, %d documents a flow, proofs by %s, %s, %s, %d clients, authority on %d of %d processors, %s\n",
		r.Load.Offering, r.Load.Batch, r.Load.Proofs, how, r.Load.Database, r.Load.Clients, r.Load.Procs, r.Load.CPUs, r.Load.Go)
	fmt.Fprintf(w, "prepared and not counted: %s\n\n", r.Load.Prepared)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-24s "+format+"\n", append([]any{name}, args...)...)
	}
	row("time", "%.1f s in %d rounds", r.Seconds, r.Rounds)
	row("flows", "%d, %.1f a second", r.Flows, r.PerSecond.Flows)
	row("documents", "%d, %.1f a second", r.Documents, r.PerSecond.Documents)
	row("failed", "%d", r.Failed)
	for text, n := range r.Errors {
		row("", "%d times %s", n, visible(text))
	}
	row("CPU of the authority", "%.1f s, %.2f ms a flow, %.0f %% of one processor", r.Authority.CPUSeconds, r.Authority.CPUPerFlow, 100*r.Authority.CPUShare)
	row("memory of the authority", "%.0f MiB at the start, %.0f in the middle, %.0f at the end, %.0f at most",
		r.Authority.ResidentStart, r.Authority.ResidentHalf, r.Authority.ResidentEnd, r.Authority.ResidentMost)
	row("database", "%.1f transactions in %.1f commits, and %.1f statements a flow, %.3f retries", r.Database.Transactions, r.Database.Commits, r.Database.Statements, r.Database.Retries)
	row("raw P-256 signing", "%.0f a second, %.0f a second of CPU; a document costs %.1f signatures", r.Raw.PerSecond, r.Raw.PerCPUSecond, r.Raw.PerDocument)
	row("cryptography", "%.1f %% of the authority's CPU (%d samples)", r.Crypto.Percent, r.Crypto.Samples)
	for _, p := range r.Crypto.Parts {
		row("  "+p.Name, "%.1f %%", p.Percent)
	}
	fmt.Fprintf(w, "\n%-12s %8s %8s %9s %9s %9s %9s\n", "request", "count", "refused", "p50 ms", "p90 ms", "p99 ms", "max ms")
	for _, name := range hammerKinds(r.Requests) {
		s := r.Requests[name]
		fmt.Fprintf(w, "%-12s %8d %8d %9.2f %9.2f %9.2f %9.2f\n", name, s.Count, s.Refused, s.P50, s.P90, s.P99, s.Max)
	}
}

func hammerGo() string { return runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH }
