package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

const module = "github.com/eidos-id/eidos"

// floor is where a top folder stands: higher ranks import lower ones.
type floor struct {
	rank int
	name string
}

// floors is the one-minute rule. internal/ stands apart.
func floors() map[string]floor {
	return map[string]floor{
		"format":     {1, "format"},
		"protocol":   {2, "protocol"},
		"securearea": {3, "secure areas"},
		"transport":  {3, "transports"},
		"assure":     {4, "workbench"},
		"statuslist": {4, "workbench"},
		"keyring":    {4, "workbench"},
		"publish":    {4, "workbench"},
		"issuer":     {5, "role"},
		"wallet":     {5, "role"},
		"verifier":   {5, "role"},
		"provider":   {5, "role"},
		"trust":      {5, "role"},
		"monitor":    {5, "role"},
		"cmd":        {6, "command"},
		"interop":    {6, "conversations"},
	}
}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// list asks for the packages of the module in dir and all that they reach.
func list(dir string) ([]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports", "./...")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, p)
	}
}

// inside returns a package's path in the module, "" if it is of another.
func inside(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return rest
}

func top(path string) string {
	first, _, _ := strings.Cut(path, "/")
	return first
}

// checkImports returns a sentence for each import against the one-minute rule.
func checkImports(all []pkg) (wrong []string) {
	fl := floors()
	for _, p := range all {
		from := inside(p.ImportPath)
		if from == "" {
			continue
		}
		if _, known := fl[top(from)]; !known && top(from) != "internal" {
			wrong = append(wrong, fmt.Sprintf("%s stands on no floor: name it in DESIGN.md and here", from))
			continue
		}
		for _, i := range p.Imports {
			if to := inside(i); to != "" && !mayImport(fl, from, to) {
				wrong = append(wrong, fmt.Sprintf("%s (%s) imports %s (%s)", from, floorName(fl, from), to, floorName(fl, to)))
			}
			if (i == "testing" || strings.HasPrefix(i, "testing/")) && !forTests(from) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s in production code", from, i))
			}
		}
	}
	return wrong
}

func floorName(fl map[string]floor, path string) string {
	if top(path) == "internal" {
		return "plumbing"
	}
	return fl[top(path)].name
}

func mayImport(fl map[string]floor, from, to string) bool {
	if forTests(to) && !forTests(from) {
		return false // checkImports sees no test files
	}
	if top(from) == "internal" {
		return top(to) == "internal" || to == "format/check"
	}
	if top(to) == "internal" || top(to) == top(from) {
		return true
	}
	f, t := fl[top(from)], fl[top(to)]
	return t.rank != 0 && (t.rank < f.rank || f.name == "workbench" && t.name == "workbench")
}

// forTests reports whether only test files may import a package: one whose
// name ends in test, in the manner of testing/fstest, and some of internal.
func forTests(path string) bool {
	return strings.HasSuffix(path, "test") || path == "internal/testkit" || strings.HasPrefix(path, "internal/testkit/") || path == "internal/vectors"
}

// runsInBrowser reports whether a package also runs in wasm and so must not
// reach what is never there.
func runsInBrowser(path string) bool {
	switch top(path) {
	case "format", "protocol", "assure", "statuslist", "keyring":
		return true
	}
	return path == "wallet" || path == "verifier/core" || strings.HasPrefix(path, "verifier/core/")
}

// checkReach returns a sentence for each package that runs in a browser and
// reaches net/http, html/template or database/sql, with the way it gets there.
func checkReach(all []pkg) (wrong []string) {
	byPath := make(map[string]pkg, len(all))
	for _, p := range all {
		byPath[p.ImportPath] = p
	}
	for _, p := range all {
		if from := inside(p.ImportPath); from != "" && runsInBrowser(from) && !forTests(from) {
			for _, far := range []string{"net/http", "html/template", "database/sql"} {
				if way := path(byPath, p.ImportPath, far); way != nil {
					wrong = append(wrong, fmt.Sprintf("%s reaches %s: %s", from, far, strings.Join(way, " → ")))
				}
			}
		}
	}
	return wrong
}

// path returns a shortest chain of imports, nil if there is none.
func path(byPath map[string]pkg, from, to string) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == to {
			var way []string
			for ; at != ""; at = before[at] {
				way = append(way, strings.TrimPrefix(at, module+"/"))
			}
			slices.Reverse(way)
			return way
		}
		for _, next := range byPath[at].Imports {
			if _, seen := before[next]; !seen {
				before[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}
