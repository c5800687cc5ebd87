// Package check is the report that every verification in eidos comes down to.
//
// A verification is a list of named checks. Each says what was looked at, the
// clause that asks for it, the outcome, what was seen, and what a person can
// do about it. Consoles, the command line, the HTTP API and the tests all show
// the same report, so nobody has to guess why a document was refused.
package check

import (
	"fmt"
	"strings"
)

// Outcome is the result of one check.
type Outcome string

// The outcomes. Only Fail makes a report not OK.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Warn Outcome = "warn"
	Skip Outcome = "not checked"
)

// Check is one thing that was looked at.
type Check struct {
	// Name says what was checked, in lower case, such as "issuer signature".
	Name string `json:"name"`
	// Outcome is how it ended.
	Outcome Outcome `json:"outcome"`
	// Clause cites the specification with its edition, such as
	// "ISO/IEC 18013-5:2021, 9.3.1".
	Clause string `json:"clause,omitempty"`
	// Seen is the value found. It holds no personal data and no secret.
	Seen string `json:"seen,omitempty"`
	// Advice tells what to do about a failure or a warning.
	Advice string `json:"advice,omitempty"`
}

// Report is a list of checks in the order they were made. The zero Report is
// empty and OK. A Report is not safe for concurrent use.
type Report struct {
	Checks []Check `json:"checks"`
}

// Pass records a check that held.
func (r *Report) Pass(name, clause, seen string) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Pass, Clause: clause, Seen: seen})
}

// Fail records a check that did not hold.
func (r *Report) Fail(name, clause, seen, advice string) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Fail, Clause: clause, Seen: seen, Advice: advice})
}

// Warn records a deviation that policy lets pass.
func (r *Report) Warn(name, clause, seen, advice string) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Warn, Clause: clause, Seen: seen, Advice: advice})
}

// Skip records a check that was not made, and why.
func (r *Report) Skip(name, clause, why string) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Skip, Clause: clause, Seen: why})
}

// Add appends the checks of other, each name behind "prefix: " unless prefix
// is empty.
func (r *Report) Add(prefix string, other Report) {
	added := len(r.Checks)
	r.Checks = append(r.Checks, other.Checks...)
	if prefix == "" {
		return
	}
	size := 0
	for i := range other.Checks {
		size += len(prefix) + len(": ") + len(other.Checks[i].Name)
	}
	var names strings.Builder // the new names are cut from one string
	names.Grow(size)
	for i := range other.Checks {
		names.WriteString(prefix)
		names.WriteString(": ")
		names.WriteString(other.Checks[i].Name)
	}
	rest := names.String()
	for i := range other.Checks {
		n := len(prefix) + len(": ") + len(other.Checks[i].Name)
		r.Checks[added+i].Name, rest = rest[:n], rest[n:]
	}
}

// OK reports whether no check failed. Warnings and checks not made are no
// failures.
func (r Report) OK() bool {
	for i := range r.Checks {
		if r.Checks[i].Outcome == Fail {
			return false
		}
	}
	return true
}

// Find returns the first check of the given name.
func (r Report) Find(name string) (Check, bool) {
	for _, c := range r.Checks {
		if c.Name == name {
			return c, true
		}
	}
	return Check{}, false
}

// Failed returns the checks that failed.
func (r Report) Failed() []Check {
	var out []Check
	for _, c := range r.Checks {
		if c.Outcome == Fail {
			out = append(out, c)
		}
	}
	return out
}

// Err returns nil if the report is OK, else an *Error of the first failure.
func (r Report) Err() error {
	for _, c := range r.Checks {
		if c.Outcome == Fail {
			return &Error{Check: c}
		}
	}
	return nil
}

// String is the report as text, one check a line, for people at a terminal.
func (r Report) String() string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-11s %s", c.Outcome, c.Name)
		if c.Seen != "" {
			fmt.Fprintf(&b, ": %s", c.Seen)
		}
		if c.Clause != "" {
			fmt.Fprintf(&b, " (%s)", c.Clause)
		}
		if c.Advice != "" {
			fmt.Fprintf(&b, "\n            → %s", c.Advice)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Error is a failed check as an error.
type Error struct {
	Check Check
}

// Error names the check, what was seen, the clause and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Check.Name)
	if e.Check.Seen != "" {
		b.WriteString(": ")
		b.WriteString(e.Check.Seen)
	}
	if e.Check.Clause != "" {
		b.WriteString(" (")
		b.WriteString(e.Check.Clause)
		b.WriteByte(')')
	}
	if e.Check.Advice != "" {
		b.WriteString(": ")
		b.WriteString(e.Check.Advice)
	}
	return b.String()
}
