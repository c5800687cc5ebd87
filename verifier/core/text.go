package core

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteText writes the result for people at a terminal; with report, every
// check too. The first line of each document begins with its verdict.
//
//	VALID    Driving licence — Utopia Registry of Persons, UT
//	  Age over 18                   Yes
//	  Portrait                      image, 21 KiB
//	  status list 12 minutes old; device proved itself by signature; valid until 2026-12-07
func (r *Result) WriteText(w io.Writer, report bool) error {
	var b strings.Builder
	for i := range r.Documents {
		if i > 0 {
			b.WriteByte('\n')
		}
		r.Documents[i].text(&b, report)
	}
	if len(r.Missing) > 0 {
		b.WriteString("\nMISSING\n")
		for _, m := range r.Missing {
			line(&b, m.Label, m.Why)
		}
	}
	if len(r.Agreed) > 0 {
		b.WriteString("\nAGREED TO\n")
		for _, a := range r.Agreed {
			line(&b, a.Type, a.Text())
		}
	}
	if len(r.Documents) == 0 {
		fmt.Fprintf(&b, "%s  %s\n", strings.ToUpper(string(r.Verdict)), printable(r.Reason))
	}
	if report {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimRight(printable(r.Report.String()), "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d *Document) text(b *strings.Builder, report bool) {
	verdict := "VALID    "
	if d.Verdict != Valid {
		verdict = "NOT VALID"
	}
	fmt.Fprintf(b, "%s  %s", verdict, printable(d.Name))
	if d.Issuer.Name != "" {
		fmt.Fprintf(b, " — %s", printable(strings.TrimSuffix(d.Issuer.Name+", "+d.Issuer.Country, ", ")))
	}
	b.WriteByte('\n')
	if d.Reason != "" {
		fmt.Fprintf(b, "  %s\n", printable(d.Reason))
	}
	for _, e := range d.Elements {
		text := e.Text
		if e.Asked != "" {
			text += "  (answers " + e.Asked + ")"
		}
		line(b, e.Label, text)
	}
	foot := d.Status.Text
	if d.Device != "" {
		foot += "; device proved itself by " + d.Device
	}
	if !d.Validity.Until.IsZero() {
		foot += "; valid until " + d.Validity.Until.UTC().Format("2006-01-02")
	}
	fmt.Fprintf(b, "  %s\n", printable(foot))
	if report {
		fmt.Fprintf(b, "\n%s\n", strings.TrimRight(printable(d.Report.String()), "\n"))
	}
}

// line is a name and its value; further lines of the value stand below it.
func line(b *strings.Builder, name, value string) {
	name = printable(name)
	const width = 30
	pad := max(1, width-utf8.RuneCountInString(name))
	value = strings.ReplaceAll(printable(value), "\n", "\n  "+strings.Repeat(" ", width))
	fmt.Fprintf(b, "  %s%s%s\n", name, strings.Repeat(" ", pad), value)
}
