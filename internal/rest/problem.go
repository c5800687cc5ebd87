package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/internal/web"
)

// Problem is how an API says what went wrong. RFC 9457, 3.
type Problem struct {
	Title     string `json:"title" doc:"the HTTP status in words"`
	Status    int    `json:"status"`
	Detail    string `json:"detail" doc:"a sentence for people"`
	Code      string `json:"code" doc:"for programs; it does not change"`
	Reference string `json:"reference" doc:"by which the log knows the request"`
}

// Refusal is an error for the client.
func Refusal(status int, code, format string, args ...any) *web.Error {
	return &web.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// problemOf is what the client is told of an error.
func (a *API) problemOf(err error) web.Error {
	if we, ok := errors.AsType[*web.Error](err); ok {
		return *we
	}
	if e, ok := a.config.Known(err); ok {
		return e
	}
	if errors.Is(err, outbox.ErrUnknown) {
		return web.Error{Status: http.StatusNotFound, Code: "unknown_webhook", Message: "There is no such webhook or delivery."}
	}
	if errors.Is(err, outbox.ErrInvalid) {
		return web.Error{Status: http.StatusUnprocessableEntity, Code: "invalid", Message: "The webhook is not one that can be called."}
	}
	return web.Error{Status: http.StatusInternalServerError, Code: "server_error", Message: "It did not work. The log says why, under the reference."}
}

// Fail answers with a problem and logs the error.
func (a *API) Fail(w http.ResponseWriter, r *http.Request, err error) {
	e := a.problemOf(err)
	if e.Code == "" {
		e.Code = "invalid_request"
	}
	if e.Wait > 0 {
		w.Header().Set("Retry-After", web.RetryAfter(e.Wait))
	}
	log := web.Log(r.Context())
	if e.Status >= 500 {
		log.Error("request failed", "status", e.Status, "code", e.Code, "error", err.Error())
	} else {
		log.Info("request refused", "status", e.Status, "code", e.Code, "error", err.Error())
	}
	body, err := json.Marshal(Problem{Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Message, Code: e.Code, Reference: web.Reference(r.Context())})
	if err != nil {
		panic(err) // texts and a number
	}
	web.Reply(w, e.Status, "application/problem+json", body)
}
