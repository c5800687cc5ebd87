package demodata

import (
	"bytes"
	"context"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/issuer/source"
)

var now = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func open(t *testing.T) (dir string, s *source.CSV) {
	t.Helper()
	dir = t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	s, err := source.OpenCSV(filepath.Join(dir, Register), source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

// TestEveryDocument issues the content of every demo document to everybody;
// only the minor gets no driving licence.
func TestEveryDocument(t *testing.T) {
	_, s := open(t)
	ids, err := s.IDs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ada", "jonas", "kwame", "leo", "mei", "olena", "rosa", "yusuf"}, ids); diff != "" {
		t.Fatalf("people (-want +got):\n%s", diff)
	}
	for _, id := range ids {
		p, err := s.Find(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range offering.Demo("default") {
			ty, ok := doctype.Builtin().ByDocType(o.DocType)
			if !ok {
				t.Fatalf("no type %s", o.DocType)
			}
			items, err := o.Elements(ty, p.Attributes, now)
			if id == "leo" && o.ID == "mdl" {
				if err == nil || !strings.Contains(err.Error(), "is missing") {
					t.Errorf("a minor without licence got an mDL: %v", err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", id, o.ID, err)
				continue
			}
			for _, ns := range items {
				for _, item := range ns.Elements {
					e, ok := ty.Element(ns.Namespace, item.ID)
					if !ok {
						t.Errorf("%s, %s: unknown element %s", id, o.ID, item.ID)
						continue
					}
					if _, text, err := e.Display("fr", item.Value); err != nil || text == "" {
						t.Errorf("%s, %s: element %s shown as %q, %v", id, o.ID, item.ID, text, err)
					}
				}
			}
		}
	}
}

func TestPortraits(t *testing.T) {
	_, s := open(t)
	seen := map[string]string{}
	for _, id := range []string{"ada", "jonas", "kwame", "leo", "mei", "olena", "rosa", "yusuf"} {
		p, err := s.Find(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		portrait, _ := p.Attributes["portrait"].([]byte)
		img, err := jpeg.Decode(bytes.NewReader(portrait))
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if b := img.Bounds(); b.Dx() != 413 || b.Dy() != 531 || len(portrait) < 15<<10 || len(portrait) > 25<<10 {
			t.Errorf("%s: %v of %d bytes, want 413 × 531 of 15 to 25 KiB", id, b, len(portrait))
		}
		if other, ok := seen[string(portrait)]; ok {
			t.Errorf("%s looks like %s", id, other)
		}
		seen[string(portrait)] = id
	}
}

func TestWriteKeepsEdits(t *testing.T) {
	dir, _ := open(t)
	path := filepath.Join(dir, Register)
	if err := os.WriteFile(path, []byte("id\nme\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "id\nme\n" {
		t.Errorf("register is %q, %v", data, err)
	}
}
