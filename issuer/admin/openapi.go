package admin

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// openAPI is the description of the operations. OpenAPI 3.1.1, 4.8.
func openAPI(all []operation) map[string]any {
	paths := map[string]any{}
	for _, o := range all {
		item, ok := paths[o.path].(map[string]any)
		if !ok {
			item = map[string]any{}
			paths[o.path] = item
		}
		item[strings.ToLower(o.method)] = o.describe()
	}
	return map[string]any{
		"openapi":           "3.1.1",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": map[string]any{
			"title": "eidos issuing authority, administration", "version": "1",
			"description": "For consoles and automation. Times are RFC 3339, UTC. Errors are problem details (RFC 9457) with a code for programs.",
		},
		"paths": paths,
		"components": map[string]any{
			"schemas":         map[string]any{"problem": schemaOf(reflect.TypeFor[problem]())},
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

var inPath = regexp.MustCompile(`\{(\w+)\}`)

// describe is the operation in the document. OpenAPI 3.1.1, 4.8.10.
func (o operation) describe() map[string]any {
	parameters := []any{}
	add := func(name, in string, required bool, s *schema) {
		parameters = append(parameters, map[string]any{"name": name, "in": in, "required": required, "schema": s})
	}
	for _, m := range inPath.FindAllStringSubmatch(o.path, -1) {
		add(m[1], "path", true, (&schema{Type: "string"}).bounded())
	}
	d := map[string]any{
		"operationId": o.id, "summary": o.summary,
		"description": fmt.Sprintf("Needs a token with the scope %s.", o.scope),
		"security":    []any{map[string]any{"token": []string{string(o.scope)}}},
	}
	switch {
	case o.input == nil:
	case o.method == "GET" || o.method == "DELETE":
		for _, name := range slices.Sorted(maps.Keys(o.input.Properties)) {
			add(name, "query", slices.Contains(o.input.Required, name), o.input.Properties[name])
		}
	default:
		d["requestBody"] = map[string]any{"required": true, "content": content("application/json", o.input)}
	}
	if o.idempotent {
		add("Idempotency-Key", "header", false, &schema{Type: "string", MinLength: 8, MaxLength: maxKey,
			Description: "The same request under the same key within a day gets the same answer; another request is refused."})
	}
	d["parameters"] = parameters
	success := map[string]any{"description": "Done."}
	if o.answer != nil {
		success["content"] = content("application/json", o.answer)
	}
	d["responses"] = map[string]any{fmt.Sprint(o.status): success, "default": map[string]any{"$ref": "#/components/responses/problem"}}
	return d
}
