package vectors

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	want := filepath.Join(root, "shared", "vectors")
	deep := filepath.Join(root, "main", "format", "mdoc")
	for _, dir := range []string{want, deep} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := find(deep); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("EIDOS_VECTORS", dir)
	if err := os.WriteFile(filepath.Join(dir, "v.json"), []byte(`{"hex":"00 ff\n10"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var v struct{ Hex string }
	Load(t, "v.json", &v)
	if b := Hex(t, v.Hex); string(b) != "\x00\xff\x10" {
		t.Errorf("hex: %x", b)
	}
}
