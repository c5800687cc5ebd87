package admin

import (
	"time"

	"github.com/eidos-id/eidos/internal/outbox"
	"github.com/eidos-id/eidos/internal/rest"
)

type webhook struct {
	ID       string    `json:"id"`
	URL      string    `json:"url"`
	Events   []string  `json:"events" doc:"empty for all"`
	Active   bool      `json:"active"`
	Created  time.Time `json:"created"`
	Rotated  time.Time `json:"rotated" doc:"when the secret was made"`
	Failures int       `json:"failures" doc:"one after the other"`
	Resume   time.Time `json:"resume,omitzero" doc:"after failures: nothing is sent before"`
}

func webhookOf(e outbox.Endpoint) webhook {
	return webhook{e.ID, e.URL, append([]string{}, e.Kinds...), e.Active, e.Created.UTC(), e.Rotated.UTC(), e.Failures, e.Resume}
}

// webhookWithSecret is the answer that tells the secret, once.
type webhookWithSecret struct {
	webhook
	Secret string `json:"secret" doc:"of the signatures: whsec_ and base64 (Standard Webhooks)"`
}

type webhookList struct {
	Webhooks []webhook `json:"webhooks"`
}

type newWebhook struct {
	URL    string   `json:"url" min:"1" max:"2048" doc:"https"`
	Events []string `json:"events,omitempty" max:"16" enum:"document.issued|document.revoked|document.suspended|document.resumed|document.deleted|document.outdated|document.requested|offer.used|offer.expired|certificate.attention" doc:"all if absent or empty"`
}

type webhookChange struct {
	URL    *string  `json:"url,omitempty" min:"1" max:"2048"`
	Events []string `json:"events,omitempty" max:"16" enum:"document.issued|document.revoked|document.suspended|document.resumed|document.deleted|document.outdated|document.requested|offer.used|offer.expired|certificate.attention" doc:"empty for all"`
	Active *bool    `json:"active,omitempty"`
}

func (s *Server) listWebhooks(c rest.Call, _ rest.None) (webhookList, error) {
	out := webhookList{Webhooks: []webhook{}}
	list, err := s.authority.Outbox().List(c, c.Tenant)
	for _, e := range list {
		out.Webhooks = append(out.Webhooks, webhookOf(e))
	}
	return out, err
}

func (s *Server) createWebhook(c rest.Call, in newWebhook) (webhookWithSecret, error) {
	e, secret, err := s.authority.Outbox().Add(c, c.Tenant, in.URL, in.Events, s.loopback)
	if err != nil {
		return webhookWithSecret{}, err
	}
	return webhookWithSecret{webhookOf(e), secret}, nil
}

func (s *Server) getWebhook(c rest.Call, _ rest.None) (webhook, error) {
	e, err := s.authority.Outbox().Get(c, c.Tenant, c.ID)
	return webhookOf(e), err
}

func (s *Server) changeWebhook(c rest.Call, in webhookChange) (webhook, error) {
	e, err := s.authority.Outbox().Update(c, c.Tenant, c.ID, outbox.Change{URL: in.URL, Kinds: in.Events, Active: in.Active}, s.loopback)
	if err != nil {
		return webhook{}, err
	}
	return webhookOf(e), nil
}

func (s *Server) deleteWebhook(c rest.Call, _ rest.None) (rest.None, error) {
	return rest.None{}, s.authority.Outbox().Remove(c, c.Tenant, c.ID)
}

func (s *Server) rotateSecret(c rest.Call, _ rest.None) (webhookWithSecret, error) {
	e, secret, err := s.authority.Outbox().Rotate(c, c.Tenant, c.ID)
	if err != nil {
		return webhookWithSecret{}, err
	}
	return webhookWithSecret{webhookOf(e), secret}, nil
}

type deliveryFilter struct {
	Limit int `json:"limit,omitempty" min:"1" max:"500" doc:"100 if absent"`
}

type delivery struct {
	ID      string    `json:"id" doc:"webhook-id"`
	Event   string    `json:"event"`
	Created time.Time `json:"created"`
	Due     time.Time `json:"due" doc:"next try"`
	Tries   int       `json:"tries"`
	GivenUp bool      `json:"given_up" doc:"it is not tried any more"`
	Problem string    `json:"problem,omitempty" doc:"of the last try"`
}

type deliveryList struct {
	Deliveries []delivery `json:"deliveries"`
}

func (s *Server) listDeliveries(c rest.Call, in deliveryFilter) (deliveryList, error) {
	out := deliveryList{Deliveries: []delivery{}}
	if in.Limit == 0 {
		in.Limit = defaultPage
	}
	list, err := s.authority.Outbox().Messages(c, c.Tenant, c.ID, in.Limit)
	for _, m := range list {
		out.Deliveries = append(out.Deliveries, delivery{m.ID, m.Kind, m.Created, m.Due, m.Tries, m.GivenUp, m.Problem})
	}
	return out, err
}

func (s *Server) retryDelivery(c rest.Call, _ rest.None) (rest.None, error) {
	return rest.None{}, s.authority.Outbox().Retry(c, c.Tenant, c.ID, c.Item)
}
