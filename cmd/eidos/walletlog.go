package main

import (
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/wallet"
)

// walletLogCmd is about what was shared with whom, and the rights that follow.
type walletLogCmd struct {
	List walletLogListCmd `cmd:"" default:"withargs" help:"List what was shared with whom, and what was issued; the default."`
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
		fmt.Fprintf(m.out, "%s  %-9s %-8s %s (%s)", e.At.Local().Format("2006-01-02 15:04"), e.Event, e.Outcome, visible(who), e.Party.Standing)
		if e.Reason != "" {
			fmt.Fprintf(m.out, ": %s", visible(e.Reason))
		}
		fmt.Fprintln(m.out)
		for _, d := range e.Documents {
			var names []string
			for _, el := range d.Elements {
				names = append(names, el.ID)
			}
			fmt.Fprintf(m.out, "    %s: %s\n", visible(d.DocType), visible(strings.Join(names, ", ")))
		}
	}
	return nil
}
