package rest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Schema is the part of JSON Schema that the API needs. One description serves
// the published document, what is taken in, and the tests of what goes out.
//
// JSON Schema 2020-12; OpenAPI 3.1.1, 4.8.24.
type Schema struct {
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	MinLength   int                `json:"minLength,omitempty"` // characters
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	Items       *Schema            `json:"items,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	MaxItems    int                `json:"maxItems,omitempty"`
	Properties  map[string]*Schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  *bool              `json:"additionalProperties,omitempty"`
}

// maxText is the longest text of a request that says nothing else, in characters.
const maxText = 256

// SchemaOf describes a Go type as encoding/json writes it. Tags of a field:
// doc is its description, enum its values with "|" between them, min and max
// its length, count or value; of a list they are the list's, and each its
// items' (enum is theirs too).
func SchemaOf(t reflect.Type) *Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time", MaxLength: 40}
	case t == reflect.TypeFor[json.RawMessage]():
		return &Schema{Type: "object"} // of somebody else's making
	case t == reflect.TypeFor[[]byte]():
		return &Schema{Type: "string", Format: "byte"} // base64
	case t.Kind() == reflect.Pointer:
		return SchemaOf(t.Elem())
	}
	switch t.Kind() {
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.Int, reflect.Int64:
		return &Schema{Type: "integer"}
	case reflect.Interface:
		return &Schema{} // any value
	case reflect.Slice:
		return &Schema{Type: "array", Items: SchemaOf(t.Elem())}
	case reflect.Struct:
		s := &Schema{Type: "object", Properties: map[string]*Schema{}, Additional: new(bool)}
		s.addFields(t)
		return s
	}
	panic(fmt.Sprintf("rest: no schema for %v", t)) // a type of an API
}

func (s *Schema) addFields(t reflect.Type) {
	for f := range t.Fields() {
		tag, ok := f.Tag.Lookup("json")
		if f.Anonymous && !ok {
			s.addFields(f.Type)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if !ok || name == "-" {
			continue
		}
		p := SchemaOf(f.Type)
		p.limit(f.Tag)
		s.Properties[name] = p
		if !strings.Contains(options, "omit") {
			s.Required = append(s.Required, name)
		}
	}
}

// limit takes over what the tags of a field say.
func (s *Schema) limit(tag reflect.StructTag) {
	s.Description = tag.Get("doc")
	text := s
	if s.Items != nil {
		text = s.Items
	}
	if e := tag.Get("enum"); e != "" {
		text.Enum = strings.Split(e, "|")
	}
	low, high := number(tag.Get("min")), number(tag.Get("max"))
	switch s.Type {
	case "string":
		s.MinLength, s.MaxLength = int(low), max(int(high), s.MaxLength)
	case "array":
		s.MinItems, s.MaxItems = int(low), int(high)
	case "integer":
		if tag.Get("min") != "" {
			s.Minimum = &low
		}
		if tag.Get("max") != "" {
			s.Maximum = &high
		}
	}
}

func number(s string) int64 {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err) // a tag of an API
	}
	return n
}

// Bounded gives every text and list of a request a limit.
func (s *Schema) Bounded() *Schema {
	switch s.Type {
	case "string":
		if s.MaxLength == 0 && s.Enum == nil {
			s.MaxLength = maxText
		}
	case "array":
		if s.MaxItems == 0 {
			s.MaxItems = maxText
		}
		s.Items.Bounded()
	case "object":
		for _, p := range s.Properties {
			p.Bounded()
		}
	}
	return s
}

// Check reports what of a decoded JSON value is not as described. at is a JSON
// pointer (RFC 6901). The error quotes nothing of the value.
func (s *Schema) Check(v any, at string) error {
	wrong := func(format string, args ...any) error {
		if at == "" {
			at = "the value"
		}
		return fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...))
	}
	switch s.Type {
	case "object":
		o, ok := v.(map[string]any)
		if !ok {
			return wrong("an object is wanted")
		}
		if s.Properties == nil {
			return nil
		}
		return s.checkObject(o, at, wrong)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return wrong("a list is wanted")
		}
		if len(list) < s.MinItems || s.MaxItems > 0 && len(list) > s.MaxItems {
			return wrong("%d items, wanted %d to %d", len(list), s.MinItems, s.MaxItems)
		}
		for i, item := range list {
			if err := s.Items.Check(item, fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
	case "string":
		text, ok := v.(string)
		if !ok {
			return wrong("a text is wanted")
		}
		return s.checkText(text, wrong)
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong("true or false is wanted")
		}
	case "integer":
		n, ok := v.(json.Number)
		if !ok {
			return wrong("a whole number is wanted")
		}
		i, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || s.Minimum != nil && i < *s.Minimum || s.Maximum != nil && i > *s.Maximum {
			return wrong("not a whole number of the range that is wanted")
		}
	}
	return nil
}

func (s *Schema) checkObject(o map[string]any, at string, wrong func(string, ...any) error) error {
	for _, name := range s.Required {
		if _, ok := o[name]; !ok {
			return wrong("member %q is missing", name)
		}
	}
	for name, member := range o {
		p, ok := s.Properties[name]
		if !ok {
			return wrong("member %.40q is not known here", name)
		}
		if err := p.Check(member, at+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Schema) checkText(text string, wrong func(string, ...any) error) error {
	n := utf8.RuneCountInString(text)
	switch {
	case n < s.MinLength || s.MaxLength > 0 && n > s.MaxLength:
		return wrong("%d characters, wanted %d to %d", n, s.MinLength, s.MaxLength)
	case s.Enum != nil && !slices.Contains(s.Enum, text):
		return wrong("wanted one of %s", strings.Join(s.Enum, ", "))
	}
	if s.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return wrong("wanted a time such as 2026-11-23T12:00:00Z (RFC 3339)")
		}
	}
	return nil
}
