package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"rsc.io/qr"

	"github.com/eidos-id/eidos/wallet"
)

// terminalConsent asks the holder on the terminal. Everything goes to standard
// error: standard output is for results.
type terminalConsent struct {
	in  *bufio.Reader
	out io.Writer
}

// Ask implements wallet.Consent. Anything but a clear yes is a no.
func (t *terminalConsent) Ask(_ context.Context, q wallet.Question) (wallet.Answer, error) {
	fmt.Fprint(t.out, q.Text())
	fmt.Fprint(t.out, "[y/N] ")
	line, err := t.in.ReadString('\n')
	if err != nil && !(errors.Is(err, io.EOF) && line != "") {
		fmt.Fprintln(t.out)
		return wallet.Answer{}, errors.New("nobody answered: use --yes to share without being asked")
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		if q.Topic == wallet.TopicShare {
			return q.Approve(), nil
		}
		return wallet.Answer{Allow: true}, nil
	}
	return wallet.Answer{}, nil
}

// drawQR draws a QR code with half blocks, dark on light whatever the colours
// of the terminal.
func drawQR(w io.Writer, text string) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return // too long for a code: the text is printed anyway
	}
	const quiet = 2
	for y := -quiet; y < code.Size+quiet; y += 2 {
		fmt.Fprint(w, "\x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := code.Black(x, y), code.Black(x, y+1); {
			case top && bottom:
				fmt.Fprint(w, "█")
			case top:
				fmt.Fprint(w, "▀")
			case bottom:
				fmt.Fprint(w, "▄")
			default:
				fmt.Fprint(w, " ")
			}
		}
		fmt.Fprint(w, "\x1b[0m\n")
	}
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
				names = append(names, el.Name())
			}
			fmt.Fprintf(m.out, "    %s: %s\n", visible(d.DocType), visible(strings.Join(names, ", ")))
		}
	}
	return nil
}
