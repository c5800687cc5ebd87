package admin

import (
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/issuer"
)

type requestFilter struct {
	State string `json:"state,omitempty" enum:"waiting|approved|denied" doc:"waiting if absent"`
}

type requestList struct {
	Requests []issuer.Request `json:"requests" doc:"the oldest first, at most 1000"`
}

func (s *Server) listRequests(c rest.Call, in requestFilter) (requestList, error) {
	if in.State == "" {
		in.State = string(issuer.RequestWaiting)
	}
	list, err := s.authority.Requests(c, c.Tenant, issuer.RequestState(in.State))
	return requestList{Requests: append([]issuer.Request{}, list...)}, err
}

type approval struct {
	Reason string `json:"reason,omitempty" max:"200" doc:"for the authority's own books; no personal data"`
}

func (s *Server) approveRequest(c rest.Call, in approval) (rest.None, error) {
	return rest.None{}, s.authority.Decide(c, c.Tenant, c.ID, true, in.Reason)
}

func (s *Server) denyRequest(c rest.Call, in reason) (rest.None, error) {
	return rest.None{}, s.authority.Decide(c, c.Tenant, c.ID, false, in.Reason)
}
