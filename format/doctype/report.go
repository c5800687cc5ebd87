package doctype

import (
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/check"
)

// Check reports whether the elements make a complete document of the type, as
// an issuer must provide it: all mandatory elements, all conditional ones
// whose condition holds, nothing unknown in a closed namespace, nothing
// retired. A holder may disclose less, so this is no check of a presentation.
func (t *Type) Check(present []Name) check.Report {
	var r check.Report
	have := make(map[Name]bool, len(present))
	spaces := make(map[string]bool)
	for _, n := range present {
		if have[n] {
			r.Fail("element given once", t.Source, n.String(), "give each element once")
		}
		have[n] = true
		spaces[n.Namespace] = true
	}
	missing := 0
	for i := range t.Namespaces {
		for j := range t.Namespaces[i].Elements {
			e := &t.Namespaces[i].Elements[j]
			if !have[e.Name()] && e.wanted(have, spaces) {
				missing++
				r.Fail("mandatory element", t.Source, e.Name().String()+" is missing", "provide the attribute or map it in the offering")
			}
		}
	}
	if missing == 0 {
		r.Pass("mandatory elements", t.Source, fmt.Sprintf("%d elements, none missing", len(have)))
	}
	for _, n := range present {
		t.checkName(&r, n)
	}
	return r
}

// wanted reports whether an issuer must provide the element.
func (e *Element) wanted(have map[Name]bool, spaces map[string]bool) bool {
	switch e.Presence {
	case Mandatory:
		return true
	case Conditional:
		if e.When == whenNamespace {
			return spaces[e.Namespace]
		}
		ns, id, ok := cutName(e.When)
		return ok && have[Name{ns, id}]
	}
	return false
}

// checkName reports what is wrong with the name of an element that is there.
func (t *Type) checkName(r *check.Report, n Name) {
	e, ok := t.Element(n.Namespace, n.ID)
	switch {
	case !ok && t.closed(n.Namespace):
		r.Fail("element known", t.Source, n.String(), "use a domestic or own namespace for further elements")
	case !ok:
		r.Warn("element known", t.Source, n.String(), "readers show it by its identifier only")
	case e.Name() != n:
		r.Fail("current spelling", t.Source, n.String(), "issue it as "+e.Name().String())
	case e.Presence == Retired:
		r.Fail("current element", t.Source, n.String()+" is of an older edition", "leave it out")
	}
}

func (t *Type) closed(namespace string) bool {
	for i := range t.Namespaces {
		if t.Namespaces[i].Name == namespace {
			return t.Namespaces[i].Closed
		}
	}
	return false
}

// whenNamespace is the condition that an element of the namespace is there.
const whenNamespace = "namespace"

// cutName splits "namespace/id".
func cutName(s string) (namespace, id string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i <= 0 || i == len(s)-1 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
