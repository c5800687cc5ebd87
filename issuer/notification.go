package issuer

import (
	"context"
	"errors"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

// errNoBatch: a notification about copies that the token has nothing to do with.
var errNoBatch = errors.New("no such batch under this grant")

// notification answers the notification endpoint: the app says what became of
// copies that it was given. It may say so more than once; a later event
// replaces an earlier one if it goes on from there: see noteEvent. OpenID4VCI
// 1.0, 11.
func (t *tenant) notification(ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
	now := t.authority.now()
	var grant *oauth.Grant
	var reply oauth.Reply
	var n *oid4vci.Notification
	var refusal *oid4vci.Error
	err := t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		n, refusal = nil, nil
		if grant, reply, err = e.oauth.CheckAccess(ctx, tx.Once(t.config.ID), r, now); err != nil || grant == nil {
			return err
		}
		if n, refusal = e.issuer.OpenNotification(r); refusal != nil {
			return nil
		}
		changed, err := noteEvent(ctx, tx, t.config.ID, grant.ID, n.ID, string(n.Event), now)
		switch {
		case errors.Is(err, errNoBatch):
			refusal = &oid4vci.Error{Code: oid4vci.CodeInvalidNotification, Description: "notification_id is none of this token's (OpenID4VCI 1.0, 11.3)", Err: err}
			return nil
		case err != nil || !changed:
			return err
		}
		return t.authority.audit.Append(ctx, tx, now, audit.Event{
			Tenant: t.config.ID, What: "app told what became of copies", Actor: grant.ID, Object: n.ID, Detail: map[string]string{"event": string(n.Event)},
		})
	})
	if err != nil || grant == nil {
		return t.finish(ctx, reply, err)
	}
	if refusal != nil {
		return t.refuse(ctx, refusal), nil
	}
	if n.Event != oid4vci.EventAccepted {
		web.Log(ctx).Warn("app did not keep copies", "tenant", t.config.ID, "batch", n.ID, "event", string(n.Event), "said", n.Description)
	}
	return oid4vci.NotificationReply(), nil
}
