package main

import (
	"slices"
	"testing"

	"github.com/alecthomas/kong"
)

// TestEveryCommandHasJSON walks the grammar: a command that prints has --json,
// but for those that print nothing else than JSON or are no data.
func TestEveryCommandHasJSON(t *testing.T) {
	without := map[string]string{
		"serve":            "says that it is ready in JSON, always",
		"hammer authority": "says that it is ready in JSON, always",
		"hammer verifier":  "says that it is ready in JSON, always",
		"config schema":    "is JSON",
		"config doc":       "a manual for people; the schema is the same for programs",
	}
	var c cli
	parser, err := kong.New(&c, kong.Vars{"data": ".", "profiles": "-", "reasons": "-"})
	if err != nil {
		t.Fatal(err)
	}
	leaves := parser.Model.Leaves(false)
	if len(leaves) < 40 {
		t.Fatalf("%d commands", len(leaves))
	}
	for _, leaf := range leaves {
		has := slices.ContainsFunc(leaf.Flags, func(f *kong.Flag) bool { return f.Name == "json" })
		why, excused := without[leaf.Path()]
		delete(without, leaf.Path())
		if has == excused {
			t.Errorf("eidos %s has --json: %v; excused: %q", leaf.Path(), has, why)
		}
	}
	for path := range without {
		t.Errorf("eidos %s is excused, and not in the grammar", path)
	}
}
