package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/eidos-id/eidos/internal/fetch"
)

// DefaultBodyLimit is for requests that carry no documents: 64 KiB.
const DefaultBodyLimit = 64 << 10

// maxHeld bounds the bodies that the requests of a handler hold in memory
// together, as far as they are larger than DefaultBodyLimit: 48 MiB.
const maxHeld = 48 << 20

var errBusy = errors.New("too many large requests at once")

// heldBody counts what is read of a body against maxHeld, from the byte on at
// which it is larger than other requests may be. A slow client counts with what
// it has sent, not with what it announces.
type heldBody struct {
	io.Reader
	request *request
	size    int64
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.size += int64(n)
	if more := min(int64(n), b.size-DefaultBodyLimit); more > 0 {
		b.request.held += more
		if b.request.all.Add(more) > maxHeld {
			return n, errBusy
		}
	}
	return n, err
}

// ReadBody reads the whole body of a request of at most limit bytes. Its
// errors are *Error: 413 if it is larger, 400 if it breaks off, 503 if the
// requests of the handler below Wrap hold too much already.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	var from io.Reader = http.MaxBytesReader(w, r.Body, int64(limit))
	if rq, ok := r.Context().Value(requestKey{}).(*request); ok && limit > DefaultBodyLimit {
		from = &heldBody{Reader: from, request: rq}
	}
	body, err := io.ReadAll(from)
	if errors.Is(err, errBusy) {
		w.Header().Set("Retry-After", "2")
		return nil, &Error{Status: http.StatusServiceUnavailable, Message: "There is too much to do at the moment. Please try again.", Err: err}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, Errorf(http.StatusRequestEntityTooLarge, "The request is larger than %d bytes.", limit)
	}
	if err != nil {
		return nil, &Error{Status: http.StatusBadRequest, Message: "The request broke off.", Err: err}
	}
	return body, nil
}

// ReadJSON decodes the JSON body of a request of at most limit bytes into v:
// media type application/json, one value, no unknown members. Its errors are
// *Error.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int, v any) error {
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mt != "application/json" {
		return Errorf(http.StatusUnsupportedMediaType, "The request is not application/json.")
	}
	body, err := ReadBody(w, r, limit)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &Error{Status: http.StatusBadRequest, Message: "The request is not the JSON that is expected here.", Err: fmt.Errorf("decode %T: %w", v, err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Errorf(http.StatusBadRequest, "Something follows the JSON of the request.")
	}
	return nil
}

// Form decodes the form of a POST request of at most DefaultBodyLimit bytes,
// under the rules of fetch.ParseForm: no parameter twice. Its errors are
// *Error.
func Form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := ReadBody(w, r, DefaultBodyLimit)
	if err != nil {
		return nil, err
	}
	return ParseForm(r, body)
}

// ParseForm is Form for a body that was read.
func ParseForm(r *http.Request, body []byte) (url.Values, error) {
	form, err := fetch.Request{Header: map[string]string{"content-type": r.Header.Get("Content-Type")}, Body: body}.Form()
	if err != nil {
		return nil, &Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: "The form is malformed.", Err: err}
	}
	return form, nil
}

// ToFetch turns a request of at most limit bytes into the data that engines of
// protocols take. base is the role's public origin, without trailing slash,
// because the request does not know it behind a proxy. Header names are in
// lower case. Its errors are *Error; a header that may be there once only is
// refused if it comes twice.
func ToFetch(w http.ResponseWriter, r *http.Request, base string, limit int) (fetch.Request, error) {
	for _, name := range singleHeaders() {
		if len(r.Header[name]) > 1 {
			return fetch.Request{}, Errorf(http.StatusBadRequest, "The header %s comes more than once.", name)
		}
	}
	body, err := ReadBody(w, r, limit)
	if err != nil {
		return fetch.Request{}, err
	}
	return fetch.Request{Method: r.Method, URL: base + r.URL.RequestURI(), Header: flatten(r.Header), Body: body}, nil
}

// singleHeaders are headers that decide who the client is and what the body
// means (RFC 9449, 4.3, check 1; RFC 9110, 5.3).
func singleHeaders() []string {
	return []string{"Authorization", "Content-Type", "Dpop", "Oauth-Client-Attestation", "Oauth-Client-Attestation-Pop", "Origin"}
}

// WriteFetch sends an engine's answer. Like JSON, it forbids caches unless the
// answer says otherwise.
func WriteFetch(w http.ResponseWriter, resp fetch.Response) {
	for k, v := range resp.Header {
		w.Header().Set(k, v)
	}
	if w.Header().Get("Cache-Control") == "" {
		NoStore(w)
	}
	w.WriteHeader(resp.Status)
	w.Write(resp.Body) // a client that went away is not our error
}

// Engine mounts a function over requests and responses as data, typically one
// that runs a protocol's engine in a transaction. An error of f is rendered by
// Fail: what the protocol has words for must be in the response.
func Engine(base string, limit int, f func(ctx context.Context, r fetch.Request) (fetch.Response, error)) http.Handler {
	return ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		req, err := ToFetch(w, r, base, limit)
		if err != nil {
			return err
		}
		resp, err := f(r.Context(), req)
		if err != nil {
			return err
		}
		WriteFetch(w, resp)
		return nil
	})
}
