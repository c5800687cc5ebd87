package attestation

import (
	"context"
	"errors"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Client is the app's end of the conversation. It keeps no state but its
// configuration and may be used by several goroutines.
type Client struct {
	Base     string     // BASE of the package comment; https, or http on loopback
	Instance key.Signer // the instance key
	Fetch    fetch.Func
}

// Install registers this installation and returns what the provider vouches
// for. A refusal is *Error.
func (c *Client) Install(ctx context.Context, r InstallRequest, now time.Time) (*InstallResponse, error) {
	return nil, errors.New("attestation: not written yet")
}

// Renew fetches a fresh wallet instance attestation for the key next, which
// may be the instance key itself.
func (c *Client) Renew(ctx context.Context, r RenewRequest, next key.Signer, now time.Time) (*InstallResponse, error) {
	return nil, errors.New("attestation: not written yet")
}

// AttestKeys asks the provider to vouch for keys.
func (c *Client) AttestKeys(ctx context.Context, r KeyAttestationRequest, now time.Time) (*KeyAttestationResponse, error) {
	return nil, errors.New("attestation: not written yet")
}
