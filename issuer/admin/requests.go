package admin

import (
	"github.com/eidos-id/eidos/issuer"
)

type requestFilter struct {
	State string `json:"state,omitempty" enum:"waiting|approved|denied" doc:"waiting if absent"`
}

type requestList struct {
	Requests []issuer.Request `json:"requests" doc:"the oldest first, at most 1000"`
}

func (s *Server) listRequests(c call, in requestFilter) (requestList, error) {
	if in.State == "" {
		in.State = string(issuer.RequestWaiting)
	}
	list, err := s.authority.Requests(c, c.tenant, issuer.RequestState(in.State))
	return requestList{Requests: append([]issuer.Request{}, list...)}, err
}

type approval struct {
	Reason string `json:"reason,omitempty" max:"200" doc:"for the authority's own books; no personal data"`
}

func (s *Server) approveRequest(c call, in approval) (none, error) {
	return none{}, s.authority.Decide(c, c.tenant, c.id, true, in.Reason)
}

func (s *Server) denyRequest(c call, in reason) (none, error) {
	return none{}, s.authority.Decide(c, c.tenant, c.id, false, in.Reason)
}
