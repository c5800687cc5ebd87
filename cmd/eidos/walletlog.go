package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/wallet"
)

// walletLogCmd is about what was shared with whom, and the rights that follow.
type walletLogCmd struct {
	List walletLogListCmd `cmd:"" default:"withargs" help:"List what was shared with whom, and what was issued; the default."`

	DeleteRequest walletDeleteRequestCmd `cmd:"" help:"Ask the verifier of an entry to delete what it was shown."`
	Report        walletReportCmd        `cmd:"" help:"Make a report about the verifier of an entry, for a data protection authority."`
}

type walletLogListCmd struct {
	walletFlags
	Forget bool `help:"Delete the log instead."`
	JSON   bool `help:"Print the log as JSON."`
}

// Run lists the log.
func (c *walletLogListCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	if c.Forget {
		return w.DeleteLog(m.ctx)
	}
	entries, err := w.Log(m.ctx)
	if err != nil {
		return err
	}
	return printLog(m, entries, c.JSON)
}

// printLog prints entries of the holder's log.
func printLog(m *machine, entries []wallet.LogEntry, asJSON bool) error {
	if asJSON {
		if entries == nil {
			entries = []wallet.LogEntry{}
		}
		return m.json(entries)
	}
	if len(entries) == 0 {
		fmt.Fprintln(m.out, "nothing was shared")
		return nil
	}
	for _, e := range entries {
		who := e.Party.Name
		if who == "" {
			who = "somebody without a name"
		}
		fmt.Fprintf(m.out, "%s  %s  %-9s %-8s %s (%s)", e.ID, e.At.Local().Format("2006-01-02 15:04"), e.Event, e.Outcome, visible(who), e.Party.Standing)
		if e.Reason != "" {
			fmt.Fprintf(m.out, ": %s", visible(e.Reason))
		}
		fmt.Fprintln(m.out)
		for _, d := range e.Documents {
			var names []string
			for _, el := range d.Elements {
				names = append(names, el.Name())
			}
			fmt.Fprintf(m.out, "    %s: %s\n", visible(d.DocType), visible(strings.Join(names, ", ")))
		}
		for _, a := range e.Authorised {
			fmt.Fprintf(m.out, "    to be authorised: %s\n", visible(a.Text()))
		}
		if e.Deletion != nil {
			fmt.Fprintf(m.out, "    asked to delete on %s (%s)\n", e.Deletion.At.Local().Format("2006-01-02 15:04"), e.Deletion.State)
		}
		for _, r := range e.Reports {
			fmt.Fprintf(m.out, "    report made on %s for %s\n", r.At.Local().Format("2006-01-02 15:04"), visible(r.To))
		}
	}
	return nil
}

type walletDeleteRequestCmd struct {
	walletFlags
	Entry string `arg:"" help:"Id of the entry, as log prints it."`
	JSON  bool   `help:"Print the request as JSON."`
}

// Run asks. Where no machine takes the request it says where to turn to.
func (c *walletDeleteRequestCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	d, err := w.RequestDeletion(m.ctx, c.Entry)
	if err != nil && d.ID == "" {
		return err
	}
	if c.JSON {
		return errors.Join(err, m.json(d))
	}
	if d.State == wallet.DeletionSent {
		fmt.Fprintf(m.out, "sent to %s on %s", visible(d.To), d.At.Local().Format("2006-01-02 15:04"))
		if d.Number != "" {
			fmt.Fprintf(m.out, ", which keeps it as %s", visible(d.Number))
		}
		fmt.Fprintln(m.out, "\nwhether anything was deleted, only they know; they may ask you to prove who you are")
		return nil
	}
	fmt.Fprintln(m.out, "noted; now turn to them yourself:")
	for _, way := range []struct{ how, to string }{{"page", d.Website}, {"e-mail", d.Email}, {"telephone", d.Phone}} {
		if way.to != "" {
			fmt.Fprintf(m.out, "  %-9s %s\n", way.how, visible(way.to))
		}
	}
	if d.Website+d.Email+d.Phone == "" {
		fmt.Fprintln(m.out, "  it gave no address: ask where you met it")
	}
	printLetter(m, d.Letter)
	return err
}

func printLetter(m *machine, l wallet.Letter) {
	fmt.Fprintf(m.out, "\nSubject: %s\n\n%s", visible(l.Subject), visible(l.Body))
}

type walletReportCmd struct {
	walletFlags
	Entry     string `arg:"" help:"Id of the entry, as log prints it."`
	Complaint string `placeholder:"TEXT" help:"What you complain about, in your own words."`
	Facts     string `type:"path" placeholder:"FILE" help:"Write the facts for machines here, to be attached."`
	JSON      bool   `help:"Print the report as JSON."`
}

// Run makes the report. Sending it is for the holder.
func (c *walletReportCmd) Run(m *machine) error {
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	r, err := w.Report(m.ctx, c.Entry, c.Complaint)
	if err != nil {
		return err
	}
	if c.Facts != "" {
		data, err := json.MarshalIndent(r.Facts, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(c.Facts, append(data, '\n'), 0o600); err != nil {
			return err
		}
	}
	if c.JSON {
		return m.json(r)
	}
	fmt.Fprintf(m.out, "To: %s\n", visible(strings.Join(r.Authorities, ", ")))
	printLetter(m, r.Letter)
	return nil
}
