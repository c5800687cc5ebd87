package rest

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
)

// read returns the input of an operation as JSON: the body, or what the query of
// GET and DELETE says; nil if the operation takes none.
func (a *API) read(w http.ResponseWriter, r *http.Request, o Operation) ([]byte, error) {
	if o.Method == http.MethodGet || o.Method == http.MethodDelete || o.Input == nil {
		if r.ContentLength != 0 {
			return nil, Refusal(http.StatusBadRequest, "invalid_request", "This takes no body.")
		}
		return query(r, o.Input)
	}
	if r.URL.RawQuery != "" {
		return nil, Refusal(http.StatusBadRequest, "invalid_request", "This takes no query.")
	}
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mt != "application/json" {
		return nil, Refusal(http.StatusUnsupportedMediaType, "unsupported_media_type", "The request is not application/json.")
	}
	return web.ReadBody(w, r, a.config.MaxBody)
}

// query writes a query as the JSON that its schema describes.
func query(r *http.Request, s *Schema) ([]byte, error) {
	form, err := fetch.ParseForm(r.URL.RawQuery)
	if err != nil {
		return nil, &web.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The query is malformed, or says something twice.", Err: err}
	}
	if s == nil {
		if len(form) > 0 {
			return nil, Refusal(http.StatusBadRequest, "invalid_request", "This takes no query.")
		}
		return nil, nil
	}
	members := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		members[name] = form.Get(name)
		if p := s.Properties[name]; p != nil && p.Type == "integer" {
			n := json.Number(form.Get(name))
			if _, err := n.Int64(); err != nil {
				return nil, Refusal(http.StatusUnprocessableEntity, "invalid", "/%s: a whole number is wanted", name)
			}
			members[name] = n
		}
	}
	return json.Marshal(members)
}

// checkJSON refuses a body that is not one JSON text without ambiguities.
func (a *API) checkJSON(input []byte, o Operation) error {
	if o.Input == nil {
		return nil
	}
	if err := a.config.CheckJSON(input); err != nil {
		return &web.Error{Status: http.StatusBadRequest, Code: "malformed_json", Message: "The request is not one plain JSON text: " + plain(err), Err: err}
	}
	return nil
}

// Decode reads a JSON text as the schema describes it, names to the letter. That
// it is without ambiguities was seen to before. Its errors are *web.Error.
func (s *Schema) Decode(input []byte, v any) error {
	if s == nil {
		return nil
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(input))
	d.UseNumber()
	err := d.Decode(&value)
	if err == nil {
		err = s.Check(value, "")
	}
	if err == nil {
		err = json.Unmarshal(input, v)
	}
	if err != nil {
		return &web.Error{Status: http.StatusUnprocessableEntity, Code: "invalid", Message: "The request is not what is expected here: " + plain(err), Err: err}
	}
	return nil
}

// plain is an error in one line of printable ASCII: it may name a member that a
// stranger thought of.
func plain(err error) string {
	text := err.Error()
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' && c != '…' {
			return '?'
		}
		return c
	}, text)
}
