package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
)

// passphraseFlag is where the passphrase of an export comes from.
type passphraseFlag struct {
	Passphrase string `type:"existingfile" placeholder:"FILE" help:"File with the passphrase; asked for otherwise."`
}

// read reads the passphrase: the first line of the file, or of what is typed.
func (p passphraseFlag) read(m *machine) (string, error) {
	if p.Passphrase != "" {
		data, err := m.readInput(p.Passphrase)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(data), "\n")
		return strings.TrimRight(line, "\r"), nil
	}
	fmt.Fprint(m.err, "Passphrase: ")
	line, err := bufio.NewReader(m.in).ReadString('\n')
	if err != nil && line == "" {
		return "", usage("no passphrase was given: --passphrase FILE")
	}
	return strings.TrimRight(line, "\r\n"), nil
}

type walletExportCmd struct {
	walletFlags
	passphraseFlag
	File string `arg:"" type:"path" help:"File to write."`
	JSON bool   `help:"Print what was written as JSON."`
}

// Run exports.
func (c *walletExportCmd) Run(m *machine) error {
	passphrase, err := c.read(m)
	if err != nil {
		return err
	}
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	file, err := w.Export(m.ctx, passphrase)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.File); err == nil {
		return usage("%s is there already", c.File)
	}
	if err := writeFile(c.File, []byte(file+"\n"), 0o600); err != nil {
		return err
	}
	if c.JSON {
		return m.json(struct {
			File  string `json:"file"`
			Bytes int    `json:"bytes"`
		}{c.File, len(file) + 1})
	}
	fmt.Fprintf(m.out, "written to %s: the log, and the list of your documents; without their values and keys\n", c.File)
	return nil
}

type walletImportCmd struct {
	walletFlags
	passphraseFlag
	File string `arg:"" type:"existingfile" help:"File that an app exported (EUDI TS10)."`
	JSON bool   `help:"Print what was taken over as JSON."`
}

// maxExport is more than any export has, in bytes.
const maxExport = 22 << 20

// Run imports.
func (c *walletImportCmd) Run(m *machine) error {
	passphrase, err := c.read(m)
	if err != nil {
		return err
	}
	if info, err := os.Stat(c.File); err != nil || info.Size() > maxExport {
		return usage("%s cannot be read, or is no export: %d bytes at most", c.File, maxExport)
	}
	data, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	w, h, err := c.open(m, false)
	if err != nil {
		return err
	}
	defer h.close()
	in, err := w.Import(m.ctx, strings.TrimSpace(string(data)), passphrase)
	if errors.Is(err, jose.ErrDecrypt) {
		return hint(err, "the passphrase is another one, or the file was changed")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return m.json(in)
	}
	fmt.Fprintf(m.out, "taken over: %s of the log", count(in.Entries, "entry", "entries"))
	if in.Known > 0 {
		fmt.Fprintf(m.out, ", %d known already", in.Known)
	}
	if in.Skipped > 0 {
		fmt.Fprintf(m.out, ", %d without a place here", in.Skipped)
	}
	fmt.Fprintln(m.out)
	for _, d := range in.Documents {
		what := "get it again from " + d.URL
		if d.Held {
			what = "is here"
		}
		fmt.Fprintf(m.out, "  %-28s by %s: %s\n", visible(d.Name), visible(d.Issuer), visible(what))
	}
	if in.Unbound > 0 {
		fmt.Fprintf(m.out, "%s without a key of the device came along and cannot be taken over: get them again\n", count(in.Unbound, "document", "documents"))
	}
	return nil
}
