package provider

import (
	"context"
	"time"

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

// List returns instances of a product, the newest first. Error: ErrUnknownTenant.
func (p *Provider) List(ctx context.Context, tenant string, f Filter) ([]Instance, error) {
	return nil, ErrUnknownTenant
}

// Revoke ends an instance: it gets nothing any more, its status and that of
// all its keys become invalid, and the lists that say so are published before
// Revoke returns. Revoking again changes nothing. The reason, at most 200
// bytes, is kept and not published. Errors: ErrUnknownTenant,
// ErrUnknownInstance.
func (p *Provider) Revoke(ctx context.Context, tenant, instance, reason string) error {
	return ErrUnknownTenant
}
