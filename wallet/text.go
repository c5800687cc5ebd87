package wallet

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// maxText bounds texts of others, in characters.
const maxText = 2000

// printable makes a text of others safe to show: no control characters, which
// could rewrite a terminal, and none that turn the direction of writing.
func printable(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		n++
		switch {
		case n > maxText:
			return -1
		case r == '\n' || unicode.IsPrint(r):
			return r
		}
		return '\ufffd'
	}, s)
}

// oneLine is printable without line breaks and at most n characters long.
func oneLine(s string, n int) string {
	s = strings.Join(strings.Fields(printable(s)), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// CopiesLeft says in a few words how many copies can still be shown for the
// first time, where that matters.
func (d *Document) CopiesLeft() string {
	switch {
	case d.Reuse.Method() == oid4vci.ReuseLimited:
		return "one copy for all who ask"
	case !d.Single():
		return fmt.Sprintf("%d copies, shown in turn", d.Copies)
	case d.Unused == 0:
		return fmt.Sprintf("all %d copies shown before", d.Copies)
	}
	return fmt.Sprintf("%d of %d copies left", d.Unused, d.Copies)
}

// String is who it is, in a few words.
func (p Party) String() string {
	name := p.Name
	if name == "" {
		name = p.ID
	}
	switch p.Standing {
	case assure.ReaderTrusted:
		if p.VouchedBy != "" && p.VouchedBy != name {
			return fmt.Sprintf("%s (vouched for by %s)", name, p.VouchedBy)
		}
		return name
	case assure.ReaderAnonymous:
		return "somebody who does not say who they are"
	case assure.ReaderForged:
		return "somebody with a forged signature"
	}
	if name == "" {
		return "somebody unknown"
	}
	return fmt.Sprintf("somebody who calls themselves %q", name)
}

// Text is the question in plain text, for a terminal.
func (q Question) Text() string {
	var b strings.Builder
	switch {
	case q.Topic == TopicTrust && q.Channel != "":
		fmt.Fprintf(&b, "%s wants to ask you something (%s).\n", q.Party, q.Channel)
		if q.Party.Fingerprint != "" {
			fmt.Fprintf(&b, "  certificate (SHA-256): %s\n", q.Party.Fingerprint)
		}
		for _, s := range q.Warnings {
			fmt.Fprintf(&b, "  !! %s\n", s)
		}
		b.WriteString("Have you made sure that this is who you think, and go on all the same? Nothing is shared yet.\n")
		return b.String()
	case q.Topic == TopicTrust:
		fmt.Fprintf(&b, "The document comes from %s, %s.\n", q.Party.ID, q.Party)
		fmt.Fprintf(&b, "  certificate (SHA-256): %s\n", q.Party.Fingerprint)
		for _, s := range q.Warnings {
			fmt.Fprintf(&b, "  ! %s\n", s)
		}
		b.WriteString("Trust this issuer from now on?\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s asks (%s):\n", q.Party, q.Channel)
	if s := q.Acquaintance(); s != "" {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	if len(q.Purposes) == 0 {
		b.WriteString("  purpose: not said\n")
	}
	for _, p := range q.Purposes {
		fmt.Fprintf(&b, "  purpose: %s\n", p)
	}
	for _, s := range q.Party.Registration.Lines() {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	for _, a := range q.Authorises {
		fmt.Fprintf(&b, "  by sharing you authorise: %s\n", a)
	}
	either := q.writeSets(&b)
	for _, s := range q.Warnings {
		fmt.Fprintf(&b, "  ! %s\n", s)
	}
	if either {
		b.WriteString("Share this, the first of what is joined by \"or\"?\n")
	} else {
		b.WriteString("Share this?\n")
	}
	return b.String()
}

// writeSets writes what would be shared, and reports whether there is a choice.
func (q Question) writeSets(b *strings.Builder) (either bool) {
	written := map[int]bool{}
	for i, set := range q.Plan.Sets {
		for n, option := range set.Options {
			join := ""
			if !q.Needed(i) {
				join = "optional: "
			}
			if n > 0 {
				join, either = "or ", true
			}
			for _, i := range option {
				if written[i] {
					continue
				}
				written[i] = true
				for k, c := range q.Choices[i] {
					if k > 0 {
						join = "or "
						if q.Plan.Query.Credentials[i].Multiple {
							join = "and "
						}
						either = either || join == "or "
					}
					fmt.Fprintf(b, "  %sfrom %q of %s:\n", join, c.Document.Name, c.Document.Issuer.label())
					c.write(b)
					join = "and "
				}
			}
		}
	}
	for i, why := range q.Plan.Missing {
		if why != "" && !q.replaced(i) {
			fmt.Fprintf(b, "  cannot be answered: %s\n", oneLine(why, 200))
		}
	}
	return either
}

// replaced reports whether a credential that cannot be answered stands in sets
// only of which another option can.
func (q Question) replaced(i int) bool {
	id, alone := q.Plan.Query.Credentials[i].ID, false
	for n, set := range q.Plan.Query.Sets {
		in := slices.ContainsFunc(set.Options, func(o []string) bool { return slices.Contains(o, id) })
		alone = alone || in && len(q.Plan.Sets[n].Options) == 0
	}
	return len(q.Plan.Query.Sets) > 0 && !alone
}

// label is the name of an issuer.
func (p Party) label() string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}

func (c Choice) write(b *strings.Builder) {
	if len(c.Elements) == 0 {
		b.WriteString("    nothing but that you have it\n")
	}
	for _, e := range c.Elements {
		lines := strings.Split(strings.TrimRight(e.Text, "\n"), "\n")
		fmt.Fprintf(b, "    %s: %s", e.Label, strings.Join(lines, "\n      "))
		if e.InsteadOf != "" {
			fmt.Fprintf(b, " (instead of %s)", e.InsteadOf)
		}
		if e.Retain {
			b.WriteString(" [will be kept]")
		}
		b.WriteByte('\n')
	}
	if len(c.Absent) > 0 {
		fmt.Fprintf(b, "    not in the document: %s\n", strings.Join(c.Absent, ", "))
	}
}

// standingSays is how well a verifier is known, for somebody else.
func standingSays(p Party) string {
	switch p.Standing {
	case assure.ReaderTrusted:
		return "vouched for by " + p.VouchedBy
	case assure.ReaderAnonymous:
		return "it proved nothing about itself"
	case assure.ReaderForged:
		return "its signature was wrong"
	}
	if len(p.Key) == 0 {
		return "nobody that the app trusts vouches for the name"
	}
	return "it proved to have a key of its own, and nobody that the app trusts vouches for the name"
}
