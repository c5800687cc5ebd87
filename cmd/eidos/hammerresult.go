package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	"github.com/eidos-id/eidos/internal/hammer"
)

// hammerResult is what is printed.
type hammerResult struct {
	Load struct {
		hammerAbout
		Clients  int    `json:"clients"`
		Database string `json:"database"` // sqlite or postgres
		Schema   string `json:"schema,omitempty"`
		Procs    int    `json:"procs"` // GOMAXPROCS of the process under load
		CPUs     int    `json:"machine_cpus"`
		Go       string `json:"go"`
	} `json:"load"`
	Seconds   float64                   `json:"seconds"` // preparations not counted
	Rounds    int                       `json:"rounds"`
	Flows     int                       `json:"flows"`
	Documents int                       `json:"documents"`
	Failed    int                       `json:"failed"`
	Errors    map[string]int            `json:"errors,omitempty"`
	PerSecond hammerRates               `json:"per_second"`
	Requests  map[string]hammer.Summary `json:"requests"`
	Process   hammerProcessFigures      `json:"process"`
	Database  hammerDatabase            `json:"database"`
	Crypto    hammerCrypto              `json:"cryptography"`
	Raw       hammerRaw                 `json:"raw_signing"`
}

type hammerRates struct {
	Flows     float64 `json:"flows"`
	Documents float64 `json:"documents"`
}

// hammerAbout is what a run is about. One of the two kinds is there.
type hammerAbout struct {
	Issue    *hammerIssueAbout   `json:"issue,omitempty"`
	Present  *hammerPresentAbout `json:"present,omitempty"`
	Batch    int                 `json:"batch"`    // documents of a flow
	Prepared string              `json:"prepared"` // what is not in the figures
}

// hammerProcessFigures is what the process under load used.
type hammerProcessFigures struct {
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

// hammerCrypto is the share of the CPU time of the process under load that no implementation
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

func (r *hammerResult) print(w io.Writer, load hammerLoad) {
	fmt.Fprintf(w, "%s, %s, %d clients, %d of %d processors, %s\n", load, r.Load.Database, r.Load.Clients, r.Load.Procs, r.Load.CPUs, r.Load.Go)
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
	row("CPU of the process", "%.1f s, %.2f ms a flow, %.0f %% of one processor", r.Process.CPUSeconds, r.Process.CPUPerFlow, 100*r.Process.CPUShare)
	row("memory of the process", "%.0f MiB at the start, %.0f in the middle, %.0f at the end, %.0f at most",
		r.Process.ResidentStart, r.Process.ResidentHalf, r.Process.ResidentEnd, r.Process.ResidentMost)
	row("database", "%.1f transactions in %.1f commits, and %.1f statements a flow, %.3f retries", r.Database.Transactions, r.Database.Commits, r.Database.Statements, r.Database.Retries)
	row("raw P-256 signing", "%.0f a second, %.0f a second of CPU; a document costs %.1f signatures", r.Raw.PerSecond, r.Raw.PerCPUSecond, r.Raw.PerDocument)
	row("cryptography", "%.1f %% of the process's CPU (%d samples)", r.Crypto.Percent, r.Crypto.Samples)
	for _, p := range r.Crypto.Parts {
		row("  "+p.Name, "%.1f %%", p.Percent)
	}
	fmt.Fprintf(w, "\n%-12s %8s %8s %9s %9s %9s %9s\n", "request", "count", "refused", "p50 ms", "p90 ms", "p99 ms", "max ms")
	for _, name := range hammerKinds(r.Requests, load.kinds()) {
		s := r.Requests[name]
		fmt.Fprintf(w, "%-12s %8d %8d %9.2f %9.2f %9.2f %9.2f\n", name, s.Count, s.Refused, s.P50, s.P90, s.P99, s.Max)
	}
}

func hammerGo() string { return runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH }

// memory picks the start, the middle by number of documents, and the end.
func (p *hammerProcessFigures) memory(list []residence) {
	if len(list) == 0 {
		return
	}
	mib := func(r residence) float64 { return float64(r.bytes) / (1 << 20) }
	last := list[len(list)-1]
	p.ResidentStart, p.ResidentEnd = mib(list[0]), mib(last)
	half := slices.IndexFunc(list, func(r residence) bool { return 2*r.documents >= last.documents })
	p.ResidentHalf = mib(list[half])
	for _, r := range list {
		p.ResidentMost = max(p.ResidentMost, mib(r))
	}
}

// hammerKinds are the kinds of requests in the order of a flow.
func hammerKinds(requests map[string]hammer.Summary, order []string) []string {
	all := slices.Sorted(maps.Keys(requests))
	slices.SortStableFunc(all, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
	return all
}
