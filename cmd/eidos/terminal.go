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
	prompt := "[y/N] "
	if hasChoice(q) {
		prompt = "[y = yes to all of it, c = choose, N = no] "
	}
	line, err := t.line(prompt)
	if err != nil {
		return wallet.Answer{}, err
	}
	switch {
	case strings.EqualFold(line, "y"), strings.EqualFold(line, "yes"):
		if q.Topic == wallet.TopicShare {
			return q.Approve(), nil
		}
		return wallet.Answer{Allow: true}, nil
	case hasChoice(q) && strings.EqualFold(line, "c"):
		return t.choose(q)
	}
	return wallet.Answer{}, nil
}

// line asks for a line and takes the blanks around it away.
func (t *terminalConsent) line(prompt string) (string, error) {
	fmt.Fprint(t.out, prompt)
	line, err := t.in.ReadString('\n')
	if err != nil && !(errors.Is(err, io.EOF) && line != "") {
		fmt.Fprintln(t.out)
		return "", errors.New("nobody answered: use --yes to share without being asked")
	}
	return strings.TrimSpace(line), nil
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
