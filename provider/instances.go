package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/protocol/attestation"
)

// Instance is an installation of a product, as the provider knows it.
type Instance struct {
	ID         string            `json:"id"`
	Thumbprint string            `json:"thumbprint"` // of the instance key, RFC 7638
	App        attestation.App   `json:"app"`
	Area       attestation.Area  `json:"area"`     // as the app tells it
	Evidence   string            `json:"evidence"` // on which it was registered, such as "software-tofu"
	Level      attestation.Level `json:"level"`
	Created    time.Time         `json:"created"`
	LastSeen   time.Time         `json:"last_seen"`
	Revoked    time.Time         `json:"revoked,omitzero"`
	Reason     string            `json:"reason,omitempty"`

	// Status is the entry that the attestations of the instance key refer to.
	Status attestation.StatusReference `json:"status"`
}

// Filter narrows List. The zero Filter lists the newest 100.
type Filter struct {
	ID      string // one instance
	Revoked *bool  // only revoked ones, or only those that are not
	Limit   int    // 100 if zero, at most 1000
}

// List returns instances of a product, the newest first. Errors:
// ErrUnknownTenant, ErrInvalid.
func (p *Provider) List(ctx context.Context, tenant string, f Filter) ([]Instance, error) {
	t, err := p.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if f.Limit == 0 {
		f.Limit = 100
	}
	if f.Limit < 1 || f.Limit > 1000 {
		return nil, fmt.Errorf("%w: limit %d is not 1 to 1000", ErrInvalid, f.Limit)
	}
	var list []Instance
	err = p.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		found, err := instances(ctx, tx, tenant, f)
		if err != nil {
			return err
		}
		list = make([]Instance, len(found))
		for i, in := range found {
			list[i] = Instance{
				ID: in.id, Thumbprint: in.thumbprint, App: in.app, Area: in.area, Evidence: in.evidence, Level: in.level,
				Created: in.created, LastSeen: in.lastSeen, Revoked: in.revoked, Reason: in.reason,
				Status: attestation.StatusReference{Index: in.index, URI: t.board.ListURI(in.list)},
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("provider: list instances: %w", err)
	}
	return list, nil
}

// maxReason limits why an instance was revoked.
const maxReason = 200

// Revoke ends an instance: it gets nothing any more, its status and that of
// all its keys become invalid, and the lists that say so are published before
// Revoke returns. Revoking again changes nothing. The reason, at most 200
// bytes, is kept and not published. Errors: ErrUnknownTenant,
// ErrUnknownInstance, ErrInvalid.
func (p *Provider) Revoke(ctx context.Context, tenant, instance, reason string) error {
	t, err := p.tenant(tenant)
	if err != nil {
		return err
	}
	if len(reason) > maxReason {
		return fmt.Errorf("%w: reason of %d bytes, at most %d", ErrInvalid, len(reason), maxReason)
	}
	var lists []string
	err = p.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		in, ok, err := instanceByID(ctx, tx, tenant, instance)
		if err != nil {
			return err
		}
		if !ok {
			return ErrUnknownInstance
		}
		if lists, err = listsOf(ctx, tx, tenant, instance); err != nil {
			return err
		}
		if in.revoked.IsZero() {
			if err := revokeInstance(ctx, tx, tenant, instance, reason, lists, p.now()); err != nil {
				return err
			}
			event := audit.Event{Tenant: tenant, What: "instance revoked", Object: instance, Detail: map[string]string{"reason": reason}}
			if err := p.audit.Append(ctx, tx, p.now(), event); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("provider: revoke instance: %w", err)
	}
	var problems []error
	for _, list := range lists {
		_, err := t.board.Publish(ctx, list, p.now())
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
