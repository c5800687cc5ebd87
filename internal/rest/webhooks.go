package rest

import (
	"time"

	"github.com/eidos-id/eidos/internal/outbox"
)

// hooks are the operations on who is told of events.
type hooks struct {
	box      *outbox.Outbox
	loopback bool
}

// Webhooks are the operations on who is told of events of these kinds, for an
// API to take up. loopback lets them go to http addresses of this machine.
func Webhooks(box *outbox.Outbox, kinds []string, scope Scope, loopback bool) []Operation {
	h := hooks{box, loopback}
	create := Op("POST", "/v1/{tenant}/webhooks", "createWebhook", "Have an address told of events; the answer holds the secret, once.", scope, 201, h.create)
	change := Op("PATCH", "/v1/{tenant}/webhooks/{id}", "changeWebhook", "Change address, events or activity.", scope, 200, h.change)
	for _, o := range []Operation{create, change} {
		o.Input.Properties["events"].Items.Enum = kinds
	}
	return []Operation{
		Op("GET", "/v1/{tenant}/webhooks", "listWebhooks", "Who is told of events.", scope, 200, h.list),
		create,
		Op("GET", "/v1/{tenant}/webhooks/{id}", "getWebhook", "One webhook.", scope, 200, h.get),
		change,
		Op("DELETE", "/v1/{tenant}/webhooks/{id}", "deleteWebhook", "Forget a webhook and what waits for it.", scope, 204, h.remove),
		Op("POST", "/v1/{tenant}/webhooks/{id}/secret", "rotateWebhookSecret", "A new secret; the one before signs as well for a day.", scope, 200, h.rotate),
		Op("GET", "/v1/{tenant}/webhooks/{id}/deliveries", "listDeliveries", "Events that wait for delivery or were given up.", scope, 200, h.deliveries),
		Op("POST", "/v1/{tenant}/webhooks/{id}/deliveries/{item}/retry", "retryDelivery", "Try an event again now, also one that was given up.", scope, 204, h.retry),
	}
}

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
	Events []string `json:"events,omitempty" max:"16" doc:"all if absent or empty"`
}

type webhookChange struct {
	URL    *string  `json:"url,omitempty" min:"1" max:"2048"`
	Events []string `json:"events,omitempty" max:"16" doc:"empty for all"`
	Active *bool    `json:"active,omitempty"`
}

func (h hooks) list(c Call, _ None) (webhookList, error) {
	out := webhookList{Webhooks: []webhook{}}
	list, err := h.box.List(c, c.Tenant)
	for _, e := range list {
		out.Webhooks = append(out.Webhooks, webhookOf(e))
	}
	return out, err
}

func (h hooks) create(c Call, in newWebhook) (webhookWithSecret, error) {
	e, secret, err := h.box.Add(c, c.Tenant, in.URL, in.Events, h.loopback)
	if err != nil {
		return webhookWithSecret{}, err
	}
	return webhookWithSecret{webhookOf(e), secret}, nil
}

func (h hooks) get(c Call, _ None) (webhook, error) {
	e, err := h.box.Get(c, c.Tenant, c.ID)
	return webhookOf(e), err
}

func (h hooks) change(c Call, in webhookChange) (webhook, error) {
	e, err := h.box.Update(c, c.Tenant, c.ID, outbox.Change{URL: in.URL, Kinds: in.Events, Active: in.Active}, h.loopback)
	if err != nil {
		return webhook{}, err
	}
	return webhookOf(e), nil
}

func (h hooks) remove(c Call, _ None) (None, error) {
	return None{}, h.box.Remove(c, c.Tenant, c.ID)
}

func (h hooks) rotate(c Call, _ None) (webhookWithSecret, error) {
	e, secret, err := h.box.Rotate(c, c.Tenant, c.ID)
	if err != nil {
		return webhookWithSecret{}, err
	}
	return webhookWithSecret{webhookOf(e), secret}, nil
}

const defaultDeliveries = 100 // of a list

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

func (h hooks) deliveries(c Call, in deliveryFilter) (deliveryList, error) {
	out := deliveryList{Deliveries: []delivery{}}
	if in.Limit == 0 {
		in.Limit = defaultDeliveries
	}
	list, err := h.box.Messages(c, c.Tenant, c.ID, in.Limit)
	for _, m := range list {
		out.Deliveries = append(out.Deliveries, delivery{m.ID, m.Kind, m.Created, m.Due, m.Tries, m.GivenUp, m.Problem})
	}
	return out, err
}

func (h hooks) retry(c Call, _ None) (None, error) {
	return None{}, h.box.Retry(c, c.Tenant, c.ID, c.Item)
}
