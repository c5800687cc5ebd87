package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"reflect"
	"strings"
)

// manual is what the sources of configuration structs say: the manual cannot
// drift from the code because it is the code's own comments.
type manual struct {
	structs map[string][]setting // by "package.Type"
	docs    map[string]string    // of the structs
}

// setting is one field of a configuration struct.
type setting struct {
	key  string
	typ  string // Go type with its package: "string", "[]issuer.Tenant", "time.Duration"
	text string
}

func newManual() *manual {
	return &manual{structs: make(map[string][]setting), docs: make(map[string]string)}
}

// add parses one source file.
func (m *manual) add(pkg, source string) error {
	file, err := parser.ParseFile(token.NewFileSet(), pkg+".go", source, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("manual of %s: %w", pkg, err)
	}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			ts := spec.(*ast.TypeSpec)
			st, ok := ts.Type.(*ast.StructType)
			if !ok {
				continue
			}
			name := pkg + "." + ts.Name.Name
			m.docs[name] = gen.Doc.Text()
			m.structs[name] = settings(pkg, st)
		}
	}
	return nil
}

func settings(pkg string, st *ast.StructType) []setting {
	var out []setting
	for _, f := range st.Fields.List {
		if f.Tag == nil || len(f.Names) == 0 {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		key, _, _ := strings.Cut(tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		out = append(out, setting{key, typeName(pkg, f.Type), strings.TrimSpace(text)})
	}
	return out
}

// typeName writes a type with the package of names that have none.
func typeName(pkg string, e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		if ast.IsExported(t.Name) {
			return pkg + "." + t.Name
		}
		return t.Name
	case *ast.SelectorExpr:
		return typeName(pkg, t.X) + "." + t.Sel.Name
	case *ast.ArrayType:
		return "[]" + typeName(pkg, t.Elt)
	case *ast.StarExpr:
		return typeName(pkg, t.X)
	case *ast.MapType:
		return "map[" + typeName(pkg, t.Key) + "]" + typeName(pkg, t.Value)
	}
	return "any"
}

// print writes the settings of a struct as commented YAML.
func (m *manual) print(w io.Writer, name string, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, s := range m.structs[name] {
		for _, line := range strings.Split(s.text, "\n") {
			fmt.Fprintf(w, "%s# %s\n", indent, line)
		}
		elem := strings.TrimPrefix(s.typ, "[]")
		_, nested := m.structs[elem]
		switch {
		case nested && elem != s.typ:
			fmt.Fprintf(w, "%s%s: # a list of\n", indent, s.key)
			m.print(w, elem, depth+2)
		case nested:
			fmt.Fprintf(w, "%s%s:\n", indent, s.key)
			m.print(w, elem, depth+1)
		default:
			fmt.Fprintf(w, "%s%s: # %s\n\n", indent, s.key, plainType(s.typ))
		}
	}
}

// plainType is a Go type in the words of YAML.
func plainType(t string) string {
	if rest, ok := strings.CutPrefix(t, "[]"); ok {
		return "list of " + plainType(rest)
	}
	switch t {
	case "string":
		return "text"
	case "bool":
		return "true or false"
	case "int", "int64", "uint64":
		return "number"
	case "time.Duration":
		return "duration, such as 30s, 5m or 24h"
	}
	return "structure"
}

// schema is the JSON Schema of a struct.
func (m *manual) schema(name string) map[string]any {
	props := make(map[string]any)
	for _, s := range m.structs[name] {
		p := m.typeSchema(s.typ)
		p["description"] = strings.Join(strings.Fields(s.text), " ")
		props[s.key] = p
	}
	return map[string]any{"type": "object", "properties": props, "additionalProperties": false}
}

func (m *manual) typeSchema(t string) map[string]any {
	if rest, ok := strings.CutPrefix(t, "[]"); ok {
		return map[string]any{"type": "array", "items": m.typeSchema(rest)}
	}
	switch t {
	case "string":
		return map[string]any{"type": "string"}
	case "bool":
		return map[string]any{"type": "boolean"}
	case "int", "int64", "uint64":
		return map[string]any{"type": "integer"}
	case "time.Duration":
		return map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|ms|s|m|h))+$`}
	}
	if _, ok := m.structs[t]; ok {
		return m.schema(t)
	}
	return map[string]any{"type": "object"}
}
