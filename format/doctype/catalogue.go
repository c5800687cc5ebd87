package doctype

import (
	"embed"
	"fmt"
	"sync"
)

//go:embed types/*.yaml
var files embed.FS

// Catalogue is a set of document types, looked up by docType. It is
// immutable and may be used by several goroutines; the zero Catalogue is
// empty.
type Catalogue struct {
	types     []*Type
	byDocType map[string]*Type
	byID      map[string]*Type
}

// builtin loads the embedded definitions once. They are part of the program,
// so an error would be a defect of their files, which a test would show.
var builtin = sync.OnceValue(func() *Catalogue {
	c, err := new(Catalogue).WithFiles(files.ReadFile, "types/mdl.yaml", "types/pid.yaml", "types/photoid.yaml")
	if err != nil {
		panic("doctype: internal error: " + err.Error())
	}
	return c
})

// Builtin returns the types that are part of the program: mdl, pid, photoid.
func Builtin() *Catalogue { return builtin() }

// All returns the built-in types.
func All() []*Type { return Builtin().All() }

// WithFiles is With for type definitions in files, each read by read. The error
// is read's, or names the file and what is wrong in it.
func (c *Catalogue) WithFiles(read func(name string) ([]byte, error), names ...string) (*Catalogue, error) {
	var types []*Type
	for _, name := range names {
		data, err := read(name)
		if err != nil {
			return nil, err
		}
		t, err := Load(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		types = append(types, t)
	}
	return c.With(types...)
}

// With returns a catalogue that has the given types too. The error names a
// docType, an accepted spelling or a short name that two types claim.
func (c *Catalogue) With(types ...*Type) (*Catalogue, error) {
	out := &Catalogue{byDocType: map[string]*Type{}, byID: map[string]*Type{}}
	for _, t := range append(append([]*Type(nil), c.types...), types...) {
		if out.byID[t.ID] != nil {
			return nil, fmt.Errorf("doctype: two types are called %q", t.ID)
		}
		out.byID[t.ID] = t
		spellings := []string{t.DocType}
		for i := range t.Accept {
			if t.Accept[i].DocType != t.DocType {
				spellings = append(spellings, t.Accept[i].DocType)
			}
		}
		for _, s := range spellings {
			if out.byDocType[s] != nil {
				return nil, fmt.Errorf("doctype: two types have docType %q", s)
			}
			out.byDocType[s] = t
		}
		out.types = append(out.types, t)
	}
	return out, nil
}

// All returns the types in the order they were added.
func (c *Catalogue) All() []*Type { return append([]*Type(nil), c.types...) }

// ByDocType returns the type with the docType or with a spelling of it that
// readers accept; only if t.DocType == name may name be issued.
func (c *Catalogue) ByDocType(name string) (t *Type, ok bool) {
	t, ok = c.byDocType[name]
	return t, ok
}

// ByID returns the type with the short name.
func (c *Catalogue) ByID(id string) (t *Type, ok bool) {
	t, ok = c.byID[id]
	return t, ok
}
