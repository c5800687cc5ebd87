package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/statuslist"
)

// problem is how the API says what went wrong. RFC 9457, 3.
type problem struct {
	Title     string `json:"title" doc:"the HTTP status in words"`
	Status    int    `json:"status"`
	Detail    string `json:"detail" doc:"a sentence for people"`
	Code      string `json:"code" doc:"for programs; it does not change"`
	Reference string `json:"reference" doc:"by which the log knows the request"`
}

// refusal is an error for the client.
func refusal(status int, code, format string, args ...any) *web.Error {
	return &web.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// known are the errors of what lies below, with what the client is told.
func known() []struct {
	err error
	web.Error
} {
	return []struct {
		err error
		web.Error
	}{
		{issuer.ErrUnknownTenant, web.Error{Status: 404, Code: "unknown_tenant", Message: "There is no such authority here."}},
		{issuer.ErrUnknownRequest, web.Error{Status: 404, Code: "unknown_request", Message: "No such request waits for a decision."}},
		{issuer.ErrUnknownDocument, web.Error{Status: 404, Code: "unknown_document", Message: "There is no such document."}},
		{issuer.ErrUnknownOffering, web.Error{Status: 422, Code: "unknown_offering", Message: "The authority has no such offering, or not by this grant."}},
		{issuer.ErrUnknownPerson, web.Error{Status: 422, Code: "unknown_person", Message: "Nobody in the register has this id."}},
		{issuer.ErrDeceased, web.Error{Status: 422, Code: "deceased", Message: "The person has died."}},
		{statuslist.ErrUnknown, web.Error{Status: 404, Code: "unknown_list", Message: "There is no such status list."}},
		{outbox.ErrUnknown, web.Error{Status: 404, Code: "unknown_webhook", Message: "There is no such webhook or delivery."}},
		{outbox.ErrInvalid, web.Error{Status: 422, Code: "invalid", Message: "The webhook is not one that can be called."}},
	}
}

// problemOf is what the client is told of an error.
func problemOf(err error) web.Error {
	if we, ok := errors.AsType[*web.Error](err); ok {
		return *we
	}
	if errors.Is(err, issuer.ErrInvalid) { // its words name limits and ids of offerings only
		return web.Error{Status: 422, Code: "invalid", Message: strings.TrimPrefix(err.Error(), issuer.ErrInvalid.Error()+": ")}
	}
	for _, k := range known() {
		if errors.Is(err, k.err) {
			return k.Error
		}
	}
	return web.Error{Status: http.StatusInternalServerError, Code: "server_error", Message: "It did not work. The log of the authority says why, under the reference."}
}

// fail answers with a problem and logs the error.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	e := problemOf(err)
	if e.Code == "" {
		e.Code = "invalid_request"
	}
	log := web.Log(r.Context())
	if e.Status >= 500 {
		log.Error("request failed", "status", e.Status, "code", e.Code, "error", err.Error())
	} else {
		log.Info("request refused", "status", e.Status, "code", e.Code, "error", err.Error())
	}
	body, err := json.Marshal(problem{Title: http.StatusText(e.Status), Status: e.Status, Detail: e.Message, Code: e.Code, Reference: web.Reference(r.Context())})
	if err != nil {
		panic(err) // texts and a number
	}
	web.Reply(w, e.Status, "application/problem+json", body)
}
