// Package resttest asks an API and holds its answers against its description.
package resttest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/eidos-id/eidos/internal/rest"
)

var inPath = regexp.MustCompile(`\{(\w+)\}`)

// Client asks the API at a URL that has these operations.
type Client struct {
	T          testing.TB
	URL        string
	Operations []rest.Operation
}

// Answer is what came back, checked against the description of the API.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	JSON   map[string]any
}

// Text is a member of the answer, "" if it is no text.
func (a Answer) Text(name string) string { s, _ := a.JSON[name].(string); return s }

// Ask sends a request and checks its answer against the schema of the
// operation. headers are names and values in turn.
func (c *Client) Ask(token, method, path, body string, headers ...string) Answer {
	c.T.Helper()
	req, err := http.NewRequestWithContext(c.T.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		c.T.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.T.Fatal(err)
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Body, err = io.ReadAll(resp.Body); err != nil {
		c.T.Fatal(err)
	}
	c.described(method, path, &a)
	return a
}

// described fails if the answer is not what the description says.
func (c *Client) described(method, path string, a *Answer) {
	c.T.Helper()
	wanted, mediaType := rest.SchemaOf(reflect.TypeFor[rest.Problem]()), "application/problem+json"
	if a.Status < 400 {
		wanted, mediaType = nil, "application/json"
		for _, o := range c.Operations {
			pattern := "^" + inPath.ReplaceAllString(o.Path, `[^/]+`) + "$"
			plain, _, _ := strings.Cut(path, "?")
			if o.Method == method && regexp.MustCompile(pattern).MatchString(plain) {
				wanted = o.Answer
				if a.Status != o.Status {
					c.T.Errorf("%s %s: status %d, described as %d", method, path, a.Status, o.Status)
				}
			}
		}
	}
	if wanted == nil {
		if len(a.Body) > 0 {
			c.T.Errorf("%s %s: an answer that is not described: %s", method, path, a.Body)
		}
		return
	}
	if mt := a.Header.Get("Content-Type"); mt != mediaType {
		c.T.Errorf("%s %s: %d with media type %q: %s", method, path, a.Status, mt, a.Body)
	}
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.UseNumber()
	if err := d.Decode(&a.JSON); err != nil {
		c.T.Fatalf("%s %s: %v: %s", method, path, err, a.Body)
	}
	if err := wanted.Check(a.JSON, ""); err != nil {
		c.T.Errorf("%s %s: not as described: %v\n%s", method, path, err, a.Body)
	}
	if s := a.Header.Get("Cache-Control"); s != "no-store" {
		c.T.Errorf("%s %s: Cache-Control %q", method, path, s)
	}
}

// Want fails unless the answer has this status and code.
func (c *Client) Want(a Answer, status int, code string) Answer {
	c.T.Helper()
	if a.Status != status || a.Text("code") != code {
		c.T.Errorf("answered %d %s, want %d %q", a.Status, a.Body, status, code)
	}
	return a
}

// IsDescribed fails unless the published description is that of the
// operations, and each of them is there and closed to who has no token.
func (c *Client) IsDescribed() {
	c.T.Helper()
	resp, err := http.Get(c.URL + "/openapi.json")
	if err != nil {
		c.T.Fatal(err)
	}
	defer resp.Body.Close()
	var d struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		c.T.Fatal(err)
	}
	if d.OpenAPI != "3.1.1" {
		c.T.Errorf("openapi %q", d.OpenAPI)
	}
	ids := map[string]bool{}
	for path, item := range d.Paths {
		for method, o := range item {
			id, _ := o["operationId"].(string)
			if id == "" || ids[id] {
				c.T.Errorf("operationId %q of %s %s", id, method, path)
			}
			ids[id] = true
			path := inPath.ReplaceAllString(strings.Replace(path, "{tenant}", "default", 1), "x")
			c.Want(c.Ask("", strings.ToUpper(method), path, ""), 401, "no_token")
		}
	}
	if len(ids) != len(c.Operations) {
		c.T.Errorf("%d of %d operations are described", len(ids), len(c.Operations))
	}
}
