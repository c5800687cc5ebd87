package admin

import (
	"errors"
	"strings"

	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer"
	"github.com/eidos-id/eidos/statuslist"
)

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
	}
}

// told is what the client is told of an error.
func told(err error) (web.Error, bool) {
	if errors.Is(err, issuer.ErrInvalid) { // its words name limits and ids of offerings only
		return web.Error{Status: 422, Code: "invalid", Message: strings.TrimPrefix(err.Error(), issuer.ErrInvalid.Error()+": ")}, true
	}
	for _, k := range known() {
		if errors.Is(err, k.err) {
			return k.Error, true
		}
	}
	return web.Error{}, false
}
