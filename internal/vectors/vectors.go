// Package vectors finds the shared test vectors, which are not part of this
// repository, and hands them to tests.
//
// They are looked for in the directory that EIDOS_VECTORS names, and else in
// shared/vectors beside any parent directory of the test. Where they are
// absent a test skips and says so. Only test files import this package.
package vectors

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Load decodes the JSON vector of that name into v, for example
// "iso18013-5/d5_2_mso.json". It skips the test if the vectors are absent and
// fails it if this one is, or does not fit v.
func Load(t testing.TB, name string, v any) {
	t.Helper()
	if err := json.Unmarshal(Bytes(t, name), v); err != nil {
		t.Fatalf("vectors: %s: %v", name, err)
	}
}

// Bytes returns the raw file of that name. It skips the test if the vectors
// are absent and fails it if only this file is.
func Bytes(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Dir(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	return data
}

// Hex decodes a hexadecimal string of a vector. Spaces and line breaks are
// ignored. It fails the test if anything else is wrong.
func Hex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("vectors: hex of %d characters: %v", len(s), err)
	}
	return b
}

// Dir returns the directory of the vectors, to list it. It skips the test if
// there is none; it fails the test if EIDOS_VECTORS names none, because then
// somebody meant the vectors to be used.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("EIDOS_VECTORS"); dir != "" {
		if !isDir(dir) {
			t.Fatalf("vectors: EIDOS_VECTORS=%s is not a directory", dir)
		}
		return dir
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatalf("vectors: %v", err)
	}
	if dir := find(wd); dir != "" {
		return dir
	}
	t.Skip("the shared test vectors are absent: no shared/vectors beside any parent directory, and EIDOS_VECTORS is not set")
	return ""
}

// find walks up from dir and returns the first shared/vectors, or "".
func find(dir string) string {
	for {
		if d := filepath.Join(dir, "shared", "vectors"); isDir(d) {
			return d
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
