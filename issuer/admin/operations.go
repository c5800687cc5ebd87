package admin

import (
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/issuer"
)

// operations is everything that the API does.
func (s *Server) operations() []rest.Operation {
	offer := rest.Op("POST", "/v1/{tenant}/offers", "createOffer", "Offer documents to a person: a link, and a PIN that goes another way.", Issue, 201, s.createOffer)
	offer.Idempotent = true
	revoke, suspend := event{s, (*issuer.Authority).Revoke}, event{s, (*issuer.Authority).Suspend}
	resume, forget := event{s, (*issuer.Authority).Resume}, event{s, (*issuer.Authority).Delete}
	all := []rest.Operation{
		rest.Op("GET", "/v1/{tenant}/offerings", "listOfferings", "What the authority issues.", Read, 200, s.listOfferings),
		offer,
		rest.Op("GET", "/v1/{tenant}/documents", "listDocuments", "Documents that were issued, the newest first.", Read, 200, s.listDocuments),
		rest.Op("GET", "/v1/{tenant}/documents/{id}", "getDocument", "One document.", Read, 200, s.getDocument),
		rest.Op("POST", "/v1/{tenant}/documents/{id}/revoke", "revokeDocument", "Revoke a document for good.", Revoke, 200, revoke.one),
		rest.Op("POST", "/v1/{tenant}/documents/{id}/suspend", "suspendDocument", "Suspend a document until it is resumed.", Revoke, 200, suspend.one),
		rest.Op("POST", "/v1/{tenant}/documents/{id}/resume", "resumeDocument", "End the suspension of a document.", Revoke, 200, resume.one),
		rest.Op("POST", "/v1/{tenant}/documents/{id}/delete", "deleteDocument", "Revoke a document and forget whose it was.", Revoke, 200, forget.one),
		rest.Op("POST", "/v1/{tenant}/revocations", "revokeSelection", "Revoke all documents of a person for good, of one offering or of any, and what was granted and not yet issued.", Revoke, 200, revoke.all),
		rest.Op("POST", "/v1/{tenant}/suspensions", "suspendSelection", "Suspend all documents of a person, of one offering or of any.", Revoke, 200, suspend.all),
		rest.Op("POST", "/v1/{tenant}/resumptions", "resumeSelection", "End the suspension of all documents of a person.", Revoke, 200, resume.all),
		rest.Op("POST", "/v1/{tenant}/deletions", "deleteSelection", "Revoke all documents of a person and forget whose they were.", Revoke, 200, forget.all),
		rest.Op("GET", "/v1/{tenant}/requests", "listRequests", "Requests for documents that need approval.", Read, 200, s.listRequests),
		rest.Op("POST", "/v1/{tenant}/requests/{id}/approve", "approveRequest", "Approve a request: the app gets the document when it asks again.", Issue, 204, s.approveRequest),
		rest.Op("POST", "/v1/{tenant}/requests/{id}/deny", "denyRequest", "Deny a request.", Issue, 204, s.denyRequest),
		rest.Op("GET", "/v1/{tenant}/status-lists", "listStatusLists", "The status lists of the authority.", Read, 200, s.listStatusLists),
		rest.Op("GET", "/v1/{tenant}/status-lists/{id}", "getStatusList", "The current edition of a status list.", Read, 200, s.getStatusList),
		rest.Op("GET", "/v1/{tenant}/certificates", "listCertificates", "Certificates whose signatures count, and keys that wait for theirs.", Read, 200, s.listCertificates),
		rest.Op("GET", "/v1/{tenant}/health", "getHealth", "Whether the authority can work, and what waits.", Read, 200, s.getHealth),
	}
	return append(all, rest.Webhooks(s.authority.Outbox(), issuer.Events(), Admin, s.loopback)...)
}
