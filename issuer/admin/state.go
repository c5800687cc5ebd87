package admin

import (
	"path"
	"time"

	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/keyring"
)

type statusLists struct {
	StatusLists []statusListRef `json:"status_lists"`
}

type statusListRef struct {
	ID  string `json:"id"`
	URI string `json:"uri" doc:"as documents refer to it"`
}

func (s *Server) listStatusLists(c rest.Call, _ rest.None) (statusLists, error) {
	out := statusLists{StatusLists: []statusListRef{}}
	board, err := s.authority.Board(c.Tenant)
	if err != nil {
		return out, err
	}
	all, err := board.Lists(c, c.Now)
	for _, uri := range all.StatusLists {
		out.StatusLists = append(out.StatusLists, statusListRef{ID: path.Base(uri), URI: uri})
	}
	return out, err
}

type statusList struct {
	ID      string    `json:"id"`
	URI     string    `json:"uri" doc:"as documents refer to it"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	TTL     int       `json:"ttl" doc:"seconds that readers keep a copy"`
	Token   string    `json:"token" doc:"the signed list as published, JWT"`
}

func (s *Server) getStatusList(c rest.Call, _ rest.None) (statusList, error) {
	board, err := s.authority.Board(c.Tenant)
	if err != nil {
		return statusList{}, err
	}
	p, err := board.Current(c, c.ID, c.Now)
	if err != nil {
		return statusList{}, err
	}
	return statusList{c.ID, board.ListURI(c.ID), p.Issued.UTC(), p.Expires.UTC(), int(p.TTL / time.Second), string(p.JWT)}, nil
}

// certificate is a key of the authority; its private half is none of the API's
// business.
type certificate struct {
	ID        string    `json:"id"`
	Purpose   string    `json:"purpose"`
	State     string    `json:"state"`
	Signs     bool      `json:"signs" doc:"it is the one that signs now"`
	Name      string    `json:"name,omitempty"`
	Serial    string    `json:"serial,omitempty" doc:"hex"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Successor time.Time `json:"successor,omitzero" doc:"when a successor is due"`
}

type certificateList struct {
	Certificates []certificate `json:"certificates"`
}

// purposes are those of an authority, in the order in which they are listed.
func purposes() []keyring.Purpose {
	return []keyring.Purpose{keyring.IACA, keyring.DocSigner, keyring.Credential, keyring.Status, keyring.Metadata}
}

func (s *Server) listCertificates(c rest.Call, _ rest.None) (certificateList, error) {
	out := certificateList{Certificates: []certificate{}}
	ca, err := s.authority.CA(c.Tenant)
	if err != nil {
		return out, err
	}
	for _, purpose := range purposes() {
		keys, err := ca.Keys(c, purpose, c.Now)
		if err != nil {
			return out, err
		}
		for _, k := range keys {
			if k.State == keyring.Destroyed || k.State != keyring.Pending && !k.NotAfter.IsZero() && !c.Now.Before(k.NotAfter) {
				continue
			}
			out.Certificates = append(out.Certificates, certificate{
				ID: k.ID, Purpose: string(k.Purpose), State: string(k.State), Signs: k.Signs, Name: k.Name, Serial: k.Serial,
				NotBefore: k.NotBefore, NotAfter: k.NotAfter, Successor: k.Successor,
			})
		}
	}
	return out, nil
}

type health struct {
	Status  string   `json:"status" enum:"ok|failing"`
	Failing []string `json:"failing" doc:"what keeps this process from working"`
	Waiting int64    `json:"events_waiting" doc:"for receivers of webhooks"`
	GivenUp int64    `json:"events_given_up" doc:"in the last 30 days"`
}

func (s *Server) getHealth(c rest.Call, _ rest.None) (health, error) {
	h := health{Status: "ok", Failing: s.authority.Failing(c)}
	if len(h.Failing) > 0 {
		h.Status = "failing"
	}
	all, err := s.authority.Outbox().Depths(c)
	for _, d := range all {
		if d.Tenant == c.Tenant {
			h.Waiting, h.GivenUp = d.Waiting, d.GivenUp
		}
	}
	return h, err
}
