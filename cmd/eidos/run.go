package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
)

// Exit statuses of every command.
const (
	exitOK     = 0
	exitFailed = 1 // it did not work, or what was looked at is not valid
	exitUsage  = 2 // the command line or the configuration is wrong
)

// machine is what a command gets of the world: only this package touches
// arguments, environment, standard streams and the clock.
type machine struct {
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string
	now    func() time.Time
	keep   *keeper // what crosses the wires, for demo --keep; nil keeps nothing
	shop   bool    // the demonstration's shop is served beside the roles
}

// run is the program: it returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer, getenv func(string) string) int {
	printed := &output{w: out}
	m := &machine{ctx: ctx, in: in, out: printed, err: errw, getenv: getenv, now: time.Now}
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("eidos"),
		kong.Description("A mobile eID system: issue, carry, show and verify identity documents (ISO/IEC 23220-1)."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(printed, errw),
		kong.Exit(func(code int) { exited = code }),
		kong.Bind(m),
		kong.Vars{"data": dataDir(getenv), "profiles": profileNames(), "reasons": reasonNames()},
	)
	if err != nil {
		fmt.Fprintln(errw, "eidos: internal error:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if printed.err != nil {
		return m.report(printed.failure())
	}
	if exited >= 0 {
		return exited // --help and --version
	}
	if err != nil {
		fmt.Fprintf(errw, "eidos: error: %v\n", err)
		var pe *kong.ParseError
		if errors.As(err, &pe) {
			fmt.Fprintf(errw, "eidos: hint: %s --help\n", strings.Join(typed(pe.Context), " "))
		}
		return exitUsage
	}
	if words := strings.Fields(kctx.Selected().Path()); len(words) > 1 {
		kctx.Bind(commandNoun(words[0]), commandWord(words[1]))
	}
	err = kctx.Run(m)
	if printed.err != nil && (err == nil || errors.Is(err, printed.err) || errors.Is(err, errSilent)) {
		err = printed.failure() // what was to be said did not get out
	}
	if err != nil {
		return m.report(err)
	}
	return exitOK
}

// typed is the command as far as it was understood: "eidos issuer offer".
func typed(k *kong.Context) []string {
	words := []string{k.Model.Name}
	for _, p := range k.Path {
		if p.Command != nil {
			words = append(words, p.Command.Name)
		}
	}
	return words
}

// output is standard output. It remembers the first error, so that a command
// whose result could not be written does not end with status 0.
type output struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	o.err = err
	return n, err
}

func (o *output) failure() error { return fmt.Errorf("the result could not be written: %w", o.err) }

// dataDir is where everything is kept unless --data says otherwise: one
// directory, EIDOS_DATA, else "eidos-data" below the current one.
func dataDir(getenv func(string) string) string {
	if d := getenv("EIDOS_DATA"); d != "" {
		return d
	}
	return "eidos-data"
}

// failure is an error with an exit status and what to do about it.
type failure struct {
	status int
	err    error
	hint   string // optional
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errSilent ends a command with exitFailed when its output has said it all.
var errSilent = errors.New("failed")

// usage is a failure of the command line.
func usage(format string, args ...any) error {
	return &failure{status: exitUsage, err: fmt.Errorf(format, args...)}
}

// hint attaches advice to an error.
func hint(err error, format string, args ...any) error {
	return &failure{status: exitFailed, err: err, hint: fmt.Sprintf(format, args...)}
}

// report prints an error as people should see it and returns the exit status.
func (m *machine) report(err error) int {
	if errors.Is(err, errSilent) {
		return exitFailed
	}
	if m.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(m.err, "eidos: interrupted")
		return exitFailed
	}
	fmt.Fprintf(m.err, "eidos: error: %s\n", visible(err.Error()))
	var f *failure
	if !errors.As(err, &f) {
		return exitFailed
	}
	if f.hint != "" {
		fmt.Fprintf(m.err, "eidos: hint: %s\n", f.hint)
	}
	return f.status
}

// visible is text of a stranger without what steers a terminal: control
// characters but the end of a line, and marks that turn the writing direction.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return '\ufffd'
		}
		return r
	}, s)
}

// json prints v as one line of JSON.
func (m *machine) json(v any) error {
	e := json.NewEncoder(m.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// isTerminal reports whether w is a terminal, where a QR code can be drawn.
func isTerminal(w io.Writer) bool {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
