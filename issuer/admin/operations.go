package admin

import (
	"context"
	"reflect"
	"time"

	"github.com/eidos-id/eidos/issuer"
)

// call is a request that was let through.
type call struct {
	context.Context
	tenant string
	id     string // of the path, "" if it has none
	item   string // the second one of the path
	token  Token
	secret string // text of the token
	key    string // Idempotency-Key, "" if none was sent
	now    time.Time
}

// none is an input or an answer without content.
type none struct{}

// operation is one thing that the API does. Routes, checks, and the OpenAPI
// document are made of the table of operations: one that is added there is
// complete.
type operation struct {
	method, path string
	id           string // operationId
	summary      string
	scope        Scope
	status       int  // of success
	idempotent   bool // takes an Idempotency-Key

	input  *schema // of the body or, for GET and DELETE, of the query; nil for none
	answer *schema // nil for none
	run    func(s *Server, c call, input []byte) (any, error)
}

// op makes an operation of a function. In is the input: the body, or the query
// of GET and DELETE, whose names are the JSON names of its fields. Out is the
// answer. none is for either without content.
func op[In, Out any](method, path, id, summary string, scope Scope, status int, f func(s *Server, c call, in In) (Out, error)) operation {
	o := operation{method: method, path: path, id: id, summary: summary, scope: scope, status: status}
	if t := reflect.TypeFor[In](); t != reflect.TypeFor[none]() {
		o.input = schemaOf(t).bounded()
	}
	if t := reflect.TypeFor[Out](); t != reflect.TypeFor[none]() {
		o.answer = schemaOf(t)
	}
	o.run = func(s *Server, c call, input []byte) (any, error) {
		var in In
		if err := decode(input, o.input, &in); err != nil {
			return nil, err
		}
		return f(s, c, in)
	}
	return o
}

// operations is everything that the API does.
func operations() []operation {
	offer := op("POST", "/v1/{tenant}/offers", "createOffer", "Offer documents to a person: a link, and a PIN that goes another way.", Issue, 201, (*Server).createOffer)
	offer.idempotent = true
	revoke, suspend := event((*issuer.Authority).Revoke), event((*issuer.Authority).Suspend)
	resume, forget := event((*issuer.Authority).Resume), event((*issuer.Authority).Delete)
	return []operation{
		op("GET", "/v1/{tenant}/offerings", "listOfferings", "What the authority issues.", Read, 200, (*Server).listOfferings),
		offer,
		op("GET", "/v1/{tenant}/documents", "listDocuments", "Documents that were issued, the newest first.", Read, 200, (*Server).listDocuments),
		op("GET", "/v1/{tenant}/documents/{id}", "getDocument", "One document.", Read, 200, (*Server).getDocument),
		op("POST", "/v1/{tenant}/documents/{id}/revoke", "revokeDocument", "Revoke a document for good.", Revoke, 200, revoke.one),
		op("POST", "/v1/{tenant}/documents/{id}/suspend", "suspendDocument", "Suspend a document until it is resumed.", Revoke, 200, suspend.one),
		op("POST", "/v1/{tenant}/documents/{id}/resume", "resumeDocument", "End the suspension of a document.", Revoke, 200, resume.one),
		op("POST", "/v1/{tenant}/documents/{id}/delete", "deleteDocument", "Revoke a document and forget whose it was.", Revoke, 200, forget.one),
		op("POST", "/v1/{tenant}/revocations", "revokeSelection", "Revoke all documents of a person for good, of one offering or of any, and what was granted and not yet issued.", Revoke, 200, revoke.all),
		op("POST", "/v1/{tenant}/suspensions", "suspendSelection", "Suspend all documents of a person, of one offering or of any.", Revoke, 200, suspend.all),
		op("POST", "/v1/{tenant}/resumptions", "resumeSelection", "End the suspension of all documents of a person.", Revoke, 200, resume.all),
		op("POST", "/v1/{tenant}/deletions", "deleteSelection", "Revoke all documents of a person and forget whose they were.", Revoke, 200, forget.all),
		op("GET", "/v1/{tenant}/requests", "listRequests", "Requests for documents that need approval.", Read, 200, (*Server).listRequests),
		op("POST", "/v1/{tenant}/requests/{id}/approve", "approveRequest", "Approve a request: the app gets the document when it asks again.", Issue, 204, (*Server).approveRequest),
		op("POST", "/v1/{tenant}/requests/{id}/deny", "denyRequest", "Deny a request.", Issue, 204, (*Server).denyRequest),
		op("GET", "/v1/{tenant}/status-lists", "listStatusLists", "The status lists of the authority.", Read, 200, (*Server).listStatusLists),
		op("GET", "/v1/{tenant}/status-lists/{id}", "getStatusList", "The current edition of a status list.", Read, 200, (*Server).getStatusList),
		op("GET", "/v1/{tenant}/certificates", "listCertificates", "Certificates whose signatures count, and keys that wait for theirs.", Read, 200, (*Server).listCertificates),
		op("GET", "/v1/{tenant}/health", "getHealth", "Whether the authority can work, and what waits.", Read, 200, (*Server).getHealth),
		op("GET", "/v1/{tenant}/webhooks", "listWebhooks", "Who is told of events.", Admin, 200, (*Server).listWebhooks),
		op("POST", "/v1/{tenant}/webhooks", "createWebhook", "Have an address told of events; the answer holds the secret, once.", Admin, 201, (*Server).createWebhook),
		op("GET", "/v1/{tenant}/webhooks/{id}", "getWebhook", "One webhook.", Admin, 200, (*Server).getWebhook),
		op("PATCH", "/v1/{tenant}/webhooks/{id}", "changeWebhook", "Change address, events or activity.", Admin, 200, (*Server).changeWebhook),
		op("DELETE", "/v1/{tenant}/webhooks/{id}", "deleteWebhook", "Forget a webhook and what waits for it.", Admin, 204, (*Server).deleteWebhook),
		op("POST", "/v1/{tenant}/webhooks/{id}/secret", "rotateWebhookSecret", "A new secret; the one before signs as well for a day.", Admin, 200, (*Server).rotateSecret),
		op("GET", "/v1/{tenant}/webhooks/{id}/deliveries", "listDeliveries", "Events that wait for delivery or were given up.", Admin, 200, (*Server).listDeliveries),
		op("POST", "/v1/{tenant}/webhooks/{id}/deliveries/{item}/retry", "retryDelivery", "Try an event again now, also one that was given up.", Admin, 204, (*Server).retryDelivery),
	}
}
