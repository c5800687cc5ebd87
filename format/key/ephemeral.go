package key

import (
	"context"
	"crypto/ecdh"
	"fmt"
)

// Ephemeral is a private key that lives in memory for one conversation. It is
// an Agreer. Keys that last live in a secure area.
type Ephemeral struct{ Private *ecdh.PrivateKey }

// Public returns the key's public half.
func (e Ephemeral) Public() *ecdh.PublicKey { return e.Private.PublicKey() }

// Agree returns Z. A peer on another curve is ErrKey.
func (e Ephemeral) Agree(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) {
	z, err := e.Private.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return z, nil
}
