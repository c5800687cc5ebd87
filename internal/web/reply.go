package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Error is an error with what the client may know of it. An ErrFunc that
// returns any other error answers 500 and tells nothing but the reference id.
type Error struct {
	Status  int    // HTTP status
	Code    string // of the protocol's own table, for JSON. Optional, from the status if empty
	Message string // a sentence for people, without personal data. Optional
	Err     error  // for the log only. Optional

	// Wait is when to come back: it goes into Retry-After. Optional.
	Wait time.Duration
	// Next is where a page of the error leads on. Optional.
	Next Link
}

// Errorf returns an Error with a status and a sentence for people, which the
// log gets as well.
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Error implements error; it is for the log.
func (e *Error) Error() string {
	switch {
	case e.Err == nil && e.Message == "":
		return strings.ToLower(http.StatusText(e.Status))
	case e.Err == nil:
		return e.Message
	case e.Message == "":
		return e.Err.Error()
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// ErrFunc is a handler that returns what went wrong; it must not have written
// anything then.
type ErrFunc func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (f ErrFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		Fail(w, r, err)
	}
}

// Fail answers with an error: an *Error in the chain says with which status
// and words. It is logged with the reference id that the answer shows. Clients
// that prefer text/html get a page, others JSON:
//
//	{"error":"invalid_request","error_description":"…","reference":"…"}
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	we, ok := errors.AsType[*Error](err)
	if tooLarge, is := errors.AsType[*http.MaxBytesError](err); !ok && is {
		we, ok = Errorf(http.StatusRequestEntityTooLarge, "The request is larger than %d bytes.", tooLarge.Limit), true
	}
	if !ok {
		we = &Error{Status: http.StatusInternalServerError}
	}
	if we.Status >= 500 {
		Log(r.Context()).Error("request failed", "status", we.Status, "error", err.Error())
	} else {
		Log(r.Context()).Info("request refused", "status", we.Status, "error", err.Error())
	}
	renderError(w, r, we)
}

func renderError(w http.ResponseWriter, r *http.Request, e *Error) {
	reference := Reference(r.Context())
	if e.Wait > 0 {
		w.Header().Set("Retry-After", RetryAfter(e.Wait))
	}
	if wantsHTML(r) {
		shared.render(w, e.Status, "error.html", PageData{Title: titleOf(e.Status), Data: struct {
			Message, Reference string
			Next               Link
		}{e.Message, reference, e.Next}})
		return
	}
	code := e.Code
	if code == "" {
		code = codeOf(e.Status)
	}
	JSON(w, e.Status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
		Reference   string `json:"reference,omitempty"`
	}{code, e.Message, reference})
}

// titleOf says in plain words what a status means to who reads a page.
func titleOf(status int) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "Not allowed"
	case status == http.StatusNotFound, status == http.StatusGone:
		return "Not found"
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return "One moment, please"
	case status >= 500:
		return "Something went wrong"
	}
	return "That did not work"
}

// codeOf names a status in the manner of RFC 6749, 5.2.
func codeOf(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "invalid_token"
	case status == http.StatusForbidden:
		return "access_denied"
	case status == http.StatusNotFound:
		return "not_found"
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return "temporarily_unavailable"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request"
}

// wantsHTML reports whether the client is a browser showing pages: text/html
// stands in Accept, before any JSON.
func wantsHTML(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	html := strings.Index(accept, "text/html")
	js := strings.Index(accept, "json")
	return html >= 0 && (js < 0 || html < js)
}

// Spliced is an object of which one more member, the last, is JSON already:
// encoding/json would read all of it again. JSON takes it.
type Spliced struct {
	Object any    // not empty
	Name   string // of the member
	Value  []byte // JSON; without the member if empty
}

func (s Spliced) encode() ([]byte, error) {
	object, err := json.Marshal(s.Object)
	if err != nil || len(s.Value) == 0 {
		return object, err
	}
	name, err := json.Marshal(s.Name)
	return slices.Concat(object[:len(object)-1], []byte{','}, name, []byte{':'}, s.Value, []byte{'}'}), err
}

// JSON answers with v as JSON, which no cache may keep unless the handler has
// set Cache-Control. It panics if v cannot be encoded, which is a mistake in
// our own code; Wrap then answers 500.
func JSON(w http.ResponseWriter, status int, v any) {
	encode := func() ([]byte, error) { return json.Marshal(v) }
	if s, ok := v.(Spliced); ok {
		encode = s.encode
	}
	body, err := encode()
	if err != nil {
		panic(fmt.Sprintf("web: encode %T: %v", v, err))
	}
	Reply(w, status, "application/json", body)
}

// Reply answers with a body of a media type, which no cache may keep unless
// the handler has set Cache-Control.
func Reply(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	if w.Header().Get("Cache-Control") == "" {
		NoStore(w)
	}
	w.WriteHeader(status)
	w.Write(body) // a client that went away is not our error
}

// NoStore forbids every cache to keep the answer.
func NoStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
