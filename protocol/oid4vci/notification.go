package oid4vci

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/internal/fetch"
)

// The error codes of the notification endpoint. OpenID4VCI 1.0, 11.3.
const (
	CodeInvalidNotification        = "invalid_notification_id"
	CodeInvalidNotificationRequest = "invalid_notification_request"
)

// Event is what became of documents in the wallet. OpenID4VCI 1.0, 11.1.
type Event string

// The events.
const (
	EventAccepted Event = "credential_accepted" // stored
	EventFailure  Event = "credential_failure"  // not all could be stored
	EventDeleted  Event = "credential_deleted"  // the person did not want them
)

// Notification is what a wallet tells about documents it was given.
type Notification struct {
	ID          string `json:"notification_id"` // of the Answer
	Event       Event  `json:"event"`
	Description string `json:"event_description,omitempty"` // printable ASCII
}

// check wants what OpenID4VCI 1.0, 11.1 does.
func (n *Notification) check() error {
	switch n.Event {
	case EventAccepted, EventFailure, EventDeleted:
	default:
		return fmt.Errorf("event %.40q", n.Event)
	}
	if strings.ContainsFunc(n.Description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return fmt.Errorf("event_description with characters that are not allowed")
	}
	return nil
}

// OpenNotification reads a notification request. Whether its ID is one of the
// token's is for the role to find out.
//
// OpenID4VCI 1.0, 11.1.
func (i *Issuer) OpenNotification(req fetch.Request) (*Notification, *Error) {
	mediaType, _, _ := strings.Cut(req.Get("content-type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), mediaJSON) {
		return nil, refuse(CodeInvalidNotificationRequest, "content type is not application/json (OpenID4VCI 1.0, 11.1)")
	}
	var n Notification
	err := jose.Unmarshal(req.Body, &n, jose.Limits{Token: 64 << 10})
	if err == nil {
		err = n.check()
	}
	if err != nil {
		return nil, &Error{Code: CodeInvalidNotificationRequest, Description: "request is not as it should be (OpenID4VCI 1.0, 11.1)", Err: err}
	}
	if n.ID == "" || len(n.ID) > maxID {
		return nil, refuse(CodeInvalidNotification, "notification_id is missing or none of ours (OpenID4VCI 1.0, 11.3)")
	}
	n.Description = n.Description[:min(len(n.Description), maxDescription)]
	return &n, nil
}

// NotificationReply thanks for a notification. OpenID4VCI 1.0, 11.2.
func NotificationReply() fetch.Response { return fetch.Response{Status: 204} }

// Notify tells the authority what became of documents. It does nothing where
// the authority has no endpoint for it or gave no id. A refusal is *Error.
//
// OpenID4VCI 1.0, 11.
func (c *Client) Notify(ctx context.Context, n Notification, now time.Time) error {
	if c.Metadata.NotificationEndpoint == "" || n.ID == "" {
		return nil
	}
	n.Description = strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, fetch.Printable(n.Description))
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	resp, err := c.OAuth.Resource(ctx, c.Token, fetch.Request{
		Method: "POST", URL: c.Metadata.NotificationEndpoint, Body: body, MaxBytes: 64 << 10,
		Header: map[string]string{"content-type": mediaJSON, "accept": mediaJSON},
	}, now)
	if err != nil {
		return fmt.Errorf("notify the issuer: %w", err)
	}
	if resp.Status/100 != 2 {
		return refusalOf("notify the issuer", resp.Status, resp.Body)
	}
	return nil
}
