package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strings"
)

// Ceilings of non-test files, in lines.
const (
	maxFile = 600
	maxFunc = 80
)

// checkSource returns a sentence for each file of production code that breaks
// a rule about source.
func checkSource(root fs.FS) (wrong []string, err error) {
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != "." && (base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_') {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		w, err := checkFile(name, src)
		wrong = append(wrong, w...)
		return err
	})
	return wrong, err
}

func checkFile(name string, src []byte) (wrong []string, err error) {
	if n := bytes.Count(src, []byte("\n")); n > maxFile {
		wrong = append(wrong, fmt.Sprintf("%s has %d lines, at most %d", name, n, maxFile))
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return wrong, err
	}
	line := func(p token.Pos) int { return fset.Position(p).Line }
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := line(fn.End()) - line(fn.Pos()) + 1; n > maxFunc {
			wrong = append(wrong, fmt.Sprintf("%s: func %s has %d lines, at most %d", name, fn.Name.Name, n, maxFunc))
		}
		if fn.Recv == nil && fn.Name.Name == "init" {
			wrong = append(wrong, fmt.Sprintf("%s: func init: build it where it is used", name))
		}
	}
	if belowClock(name) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isClock(s) {
				wrong = append(wrong, fmt.Sprintf("%s:%d reads the clock: the caller passes now", name, line(s.Pos())))
			}
			return true
		})
	}
	return wrong, nil
}

// belowClock reports whether a file is below the roles and given the time by
// its caller.
func belowClock(name string) bool {
	switch top(name) {
	case "format", "protocol", "assure", "statuslist", "keyring":
		return true
	}
	return false
}

func isClock(s *ast.SelectorExpr) bool {
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "time" && (s.Sel.Name == "Now" || s.Sel.Name == "Since" || s.Sel.Name == "Until")
}
