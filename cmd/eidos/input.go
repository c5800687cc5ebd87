package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// maxInput bounds what the tools read from a file or standard input.
const maxInput = 64 << 20

// readInput reads a file, or standard input for "-" or "".
func (m *machine) readInput(name string) ([]byte, error) {
	if name == "" || name == "-" {
		return readAll(m.in, "standard input")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &failure{status: exitUsage, err: err}
	}
	defer f.Close()
	return readAll(f, name)
}

func readAll(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case errors.As(err, new(*fs.PathError)):
		return nil, &failure{status: exitUsage, err: err} // names the file
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(data) > maxInput:
		return nil, usage("%s is larger than %d MiB", name, maxInput>>20)
	case len(data) == 0:
		return nil, usage("%s is empty", name)
	}
	return data, nil
}

// binary undoes the text encodings that CBOR messages travel in: hex, base64
// and base64url, with or without padding and line breaks. Anything else is
// returned as it is.
func binary(data []byte) []byte {
	if !utf8.Valid(data) {
		return data
	}
	s := strings.Join(strings.Fields(string(data)), "")
	if b, err := hex.DecodeString(s); err == nil && len(b) > 0 {
		return b
	}
	unpadded := strings.TrimRight(s, "=")
	for _, enc := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
		if b, err := enc.DecodeString(unpadded); err == nil && len(b) > 8 {
			return b
		}
	}
	return data
}

// isText reports whether data is a line of printable text or several.
func isText(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	return bytes.IndexFunc(data, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }) < 0
}
