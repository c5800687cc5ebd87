// Package fetch describes HTTP exchanges as data, without net/http, so that
// the protocol clients and engines and the cores of wallet and verifier also
// run in a browser. [internal/web] and the wasm shells supply the Func that
// does the exchange.
package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// DefaultMaxBytes limits a response's body when Request.MaxBytes is zero: 1 MiB.
const DefaultMaxBytes = 1 << 20

// maxParameters limits how many parameters a form or query may have.
const maxParameters = 64

// Errors of this package and of every Func. Test with errors.Is.
var (
	ErrTooLarge  = errors.New("body is larger than the limit")
	ErrForbidden = errors.New("address is not allowed") // private, loopback or link-local address, or plain http
	ErrForm      = errors.New("malformed form")
)

// Request is what is asked of a server, or what a server was asked.
type Request struct {
	Method string // upper case
	URL    string // absolute; on the server's side built from its public URL
	Header map[string]string
	Body   []byte

	// MaxBytes limits the response's body; DefaultMaxBytes if zero.
	MaxBytes int
}

// Get returns the value of a header. Lower-case keys are looked up directly,
// others by folding case; "" if absent.
func (r Request) Get(name string) string { return get(r.Header, name) }

// Response is what a server answered. The keys of Header are in lower case.
type Response struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Get returns the value of a header, as Request.Get does.
func (r Response) Get(name string) string { return get(r.Header, name) }

// MediaType returns the type/subtype of the body in lower case, without
// parameters, "" if none is stated.
func (r Response) MediaType() string { return mediaType(r.Get("content-type")) }

// Refusal returns what an answer that is no success says about why: the
// members error and error_description of its JSON, or "" if it has none. They
// are the words of a stranger: only printable ASCII of them is kept, up to 300
// characters, so that they may stand in an error, a log or a terminal.
//
// RFC 6749, 5.2.
func (r Response) Refusal() string {
	var e struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if len(r.Body) > 64<<10 || json.Unmarshal(r.Body, &e) != nil {
		return ""
	}
	words := e.Error
	if e.Description != "" {
		words += ": " + e.Description
	}
	return Printable(words)
}

// Printable keeps of a stranger's words what may stand in an error, a log or a
// terminal: printable ASCII, up to 300 characters.
func Printable(words string) string {
	if len(words) > 300 {
		words = words[:300]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, words)
}

// Func does one exchange. It never follows a redirect: a 3xx answer is
// returned as it is. An answer of any status is not an error; an error means
// that there was no complete answer within the limits of size and time.
// The caller owns the returned bytes. A Func may be called concurrently.
type Func func(ctx context.Context, r Request) (Response, error)

// GetRequest returns a GET request for a URL, asking for the media type accept
// ("" leaves the choice to the server).
func GetRequest(rawURL, accept string) Request {
	r := Request{Method: "GET", URL: rawURL, Header: map[string]string{}}
	if accept != "" {
		r.Header["accept"] = accept
	}
	return r
}

// FormRequest returns a POST request with a form as its body, asking for JSON.
func FormRequest(rawURL string, form url.Values) Request {
	return Request{Method: "POST", URL: rawURL, Body: []byte(form.Encode()), Header: map[string]string{
		"accept":       "application/json",
		"content-type": "application/x-www-form-urlencoded",
	}}
}

// JSONRequest returns a POST request with v as its JSON body, asking for JSON.
func JSONRequest(rawURL string, v any) (Request, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Request{}, fmt.Errorf("encode request: %w", err)
	}
	return Request{Method: "POST", URL: rawURL, Body: body, Header: map[string]string{
		"accept":       "application/json",
		"content-type": "application/json",
	}}, nil
}

// JSONResponse returns an answer with v as its JSON body, which no cache may
// keep. It panics if v cannot be encoded, which is a mistake in our own code.
func JSONResponse(status int, v any) Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("fetch: encode %T: %v", v, err))
	}
	return Response{Status: status, Body: body, Header: map[string]string{
		"content-type":  "application/json",
		"cache-control": "no-store",
	}}
}

// Redirect returns an answer that sends the browser to location with a GET
// request (RFC 9110, 15.4.4).
func Redirect(location string) Response {
	return Response{Status: 303, Header: map[string]string{
		"location":      location,
		"cache-control": "no-store",
	}}
}

// Form decodes the request's body as application/x-www-form-urlencoded. The
// error wraps ErrForm if the media type is another, the body is malformed, or
// a parameter comes twice (RFC 6749, 3.1 and 3.2: parameters must not be
// included more than once).
func (r Request) Form() (url.Values, error) {
	if mt := mediaType(r.Get("content-type")); mt != "application/x-www-form-urlencoded" {
		return nil, fmt.Errorf("%w: media type is %q, not application/x-www-form-urlencoded", ErrForm, mt)
	}
	return ParseForm(string(r.Body))
}

// Query decodes the query of the request's URL, under the rules of Form.
func (r Request) Query() (url.Values, error) {
	_, query, _ := strings.Cut(r.URL, "?")
	query, _, _ = strings.Cut(query, "#")
	return ParseForm(query)
}

// ParseForm decodes a form or query of at most 64 parameters. Each may be
// there once, even if empty; the error wraps ErrForm.
func ParseForm(s string) (url.Values, error) {
	if strings.Count(s, "&") >= maxParameters {
		return nil, fmt.Errorf("%w: more than %d parameters", ErrForm, maxParameters)
	}
	form, err := url.ParseQuery(s)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not correctly percent-encoded", ErrForm) // the cause would quote values
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if n := len(form[name]); n > 1 {
			return nil, fmt.Errorf("%w: parameter %q comes %d times", ErrForm, clip(name), n)
		}
	}
	return form, nil
}

// clip shortens what a stranger wrote before it goes into an error.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func get(header map[string]string, name string) string {
	if v, ok := header[name]; ok {
		return v
	}
	for k, v := range header {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}

func mediaType(contentType string) string {
	mt, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(mt))
}
