package main

import (
	"fmt"
	"io"
	"strings"
)

type inspectCmd struct {
	JSON bool   `help:"Print the tree as JSON."`
	File string `arg:"" optional:"" default:"-" help:"A file, a URI such as mdoc:…, openid4vp:… or openid-credential-offer:…, a token, or - for standard input."`
}

// node is one thing in what is looked at, with what is in it.
type node struct {
	Name     string `json:"name,omitempty"`
	Value    string `json:"value,omitempty"`
	Note     string `json:"note,omitempty"`
	Clause   string `json:"clause,omitempty"`
	Children []node `json:"children,omitempty"`
}

func leaf(name, format string, args ...any) node {
	return node{Name: name, Value: fmt.Sprintf(format, args...)}
}

// Run decodes and prints. Nothing is verified.
func (c *inspectCmd) Run(m *machine) error {
	data := []byte(c.File)
	if !looksLikeValue(c.File) {
		var err error
		if data, err = m.readInput(c.File); err != nil {
			return err
		}
	}
	root, err := inspect(data)
	if err != nil {
		return hint(err, "eidos reads CBOR (binary, hex, base64), JWT, JWE, JSON, certificates, revocation lists and the links of the system")
	}
	if c.JSON {
		return m.json(root)
	}
	root.print(m.out, 0)
	return nil
}

// looksLikeValue reports whether an argument is the thing itself and no file.
func looksLikeValue(s string) bool {
	return strings.HasPrefix(s, "mdoc:") || strings.Contains(s, "://") || (strings.Count(s, ".") >= 2 && strings.HasPrefix(s, "eyJ"))
}

// inspect finds out what data is and decodes it.
func inspect(data []byte) (node, error) {
	text := strings.TrimSpace(string(data))
	if isText(data) {
		switch {
		case strings.HasPrefix(text, "{") || strings.HasPrefix(text, "["):
			return inspectJSON(text)
		case strings.HasPrefix(text, "mdoc:") || strings.Contains(text[:min(len(text), 64)], "://"):
			return inspectURI(text)
		case strings.HasPrefix(text, "-----BEGIN"):
			return inspectPEM(data)
		case strings.HasPrefix(text, "eyJ"):
			return inspectToken(text)
		}
	}
	b := binary(data)
	if n, ok := inspectDER(b); ok {
		return n, nil
	}
	return inspectCBOR(b)
}

// print writes the tree with two spaces a level.
func (n node) print(w io.Writer, depth int) {
	indent := strings.Repeat("  ", depth)
	line := indent + n.Name
	if n.Value != "" {
		sep := ": "
		if n.Name == "" {
			sep = ""
		}
		line += sep + strings.ReplaceAll(n.Value, "\n", "\n"+indent+"    ")
	}
	if n.Note != "" {
		line += "  · " + n.Note
	}
	if n.Clause != "" {
		line += "  (" + n.Clause + ")"
	}
	fmt.Fprintln(w, visible(line))
	for _, c := range n.Children {
		c.print(w, depth+1)
	}
}
