package rest

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// describe is the description of the operations. OpenAPI 3.1.1, 4.8.
func (c Config) describe() map[string]any {
	paths := map[string]any{}
	for _, o := range c.Operations {
		item, ok := paths[o.Path].(map[string]any)
		if !ok {
			item = map[string]any{}
			paths[o.Path] = item
		}
		item[strings.ToLower(o.Method)] = o.describe()
	}
	return map[string]any{
		"openapi":           "3.1.1",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": map[string]any{
			"title": c.Title, "version": "1",
			"description": c.Description + " Times are RFC 3339, UTC. Errors are problem details (RFC 9457) with a code for programs.",
		},
		"paths": paths,
		"components": map[string]any{
			"schemas":         map[string]any{"problem": SchemaOf(reflect.TypeFor[Problem]())},
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
			"responses": map[string]any{"problem": map[string]any{
				"description": "It was refused, or did not work.",
				"content":     content("application/problem+json", map[string]any{"$ref": "#/components/schemas/problem"}),
			}},
		},
	}
}

func content(mediaType string, s any) map[string]any {
	return map[string]any{mediaType: map[string]any{"schema": s}}
}

// inPath finds the parameters of a path.
var inPath = regexp.MustCompile(`\{(\w+)\}`)

// describe is the operation in the document. OpenAPI 3.1.1, 4.8.10.
func (o Operation) describe() map[string]any {
	parameters := []any{}
	add := func(name, in string, required bool, s *Schema) {
		parameters = append(parameters, map[string]any{"name": name, "in": in, "required": required, "schema": s})
	}
	for _, m := range inPath.FindAllStringSubmatch(o.Path, -1) {
		add(m[1], "path", true, (&Schema{Type: "string"}).Bounded())
	}
	d := map[string]any{
		"operationId": o.ID, "summary": o.Summary,
		"description": fmt.Sprintf("Needs a token with the scope %s.", o.Scope),
		"security":    []any{map[string]any{"token": []string{string(o.Scope)}}},
	}
	switch {
	case o.Input == nil:
	case o.Method == "GET" || o.Method == "DELETE":
		for _, name := range slices.Sorted(maps.Keys(o.Input.Properties)) {
			add(name, "query", slices.Contains(o.Input.Required, name), o.Input.Properties[name])
		}
	default:
		d["requestBody"] = map[string]any{"required": true, "content": content("application/json", o.Input)}
	}
	if o.Idempotent {
		add("Idempotency-Key", "header", false, &Schema{Type: "string", MinLength: 8, MaxLength: maxKey,
			Description: "The same request under the same key within a day gets the same answer; another request is refused."})
	}
	d["parameters"] = parameters
	success := map[string]any{"description": "Done."}
	switch {
	case o.Stream != nil:
		success["content"] = content("text/event-stream", o.Answer)
	case o.Answer != nil:
		success["content"] = content("application/json", o.Answer)
	}
	d["responses"] = map[string]any{fmt.Sprint(o.Status): success, "default": map[string]any{"$ref": "#/components/responses/problem"}}
	return d
}
