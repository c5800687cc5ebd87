package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/key"
)

// House is the tenant of keys that belong to a role as a whole. No tenant of a
// configuration can have that name.
const House = "*"

// Audit is the purpose of the key that signs checkpoints of a role's audit.
const Audit Purpose = "audit"

// SignAudit signs a checkpoint of the role's audit, with a key that is made at
// first use, and names the key. It is an audit.Signer.
func (r *Ring) SignAudit(ctx context.Context, now time.Time, message []byte) (id string, signature []byte, err error) {
	k, err := r.Ensure(ctx, Spec{Tenant: House, Purpose: Audit}, now, nil)
	if err != nil {
		return "", nil, err
	}
	signature, err = k.Sign(ctx, message)
	return k.Record.ID, signature, err
}

// VerifyAudit verifies what SignAudit has signed, with the public key that the
// secure area has under that name: the records alone, which whoever writes to
// the database can change, prove nothing.
func (r *Ring) VerifyAudit(ctx context.Context, id string, message, signature []byte) error {
	keys, err := r.openAll(ctx, House, Audit, func(rec Record) bool { return rec.ID == id && rec.KeyID == id && rec.State != Pending })
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fmt.Errorf("%w: %.80q for the audit", ErrUnknownKey, id)
	}
	return key.Verify(keys[0].Public(), message, signature)
}
