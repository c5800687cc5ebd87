package attestation

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Client is the app's end of the conversation. It keeps no state but its
// configuration and may be used by several goroutines.
type Client struct {
	Base     string     // BASE of the package comment
	Instance key.Signer // the instance key
	Fetch    fetch.Func
}

// Install registers this installation and returns what the provider vouches
// for; r.Key is taken from the instance key. A refusal is *Error.
func (c *Client) Install(ctx context.Context, r InstallRequest, now time.Time) (*InstallResponse, error) {
	var out InstallResponse
	err := c.exchange(ctx, "/instances", &out, func(rc requestClaims) (string, error) {
		return jose.Sign(ctx, c.Instance, jose.Header{Typ: typeInstall, JWK: &jose.JWK{Key: c.Instance.Public()}},
			installClaims{rc, r.Format, jose.Encode(r.Evidence), r.App, r.Area})
	}, now)
	if err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	if err := out.check(c.Instance.Public()); err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	return &out, nil
}

// Renew fetches a fresh wallet instance attestation for the key next, or, when
// it is nil, for the instance key itself. r.NewKey is taken from next.
func (c *Client) Renew(ctx context.Context, r RenewRequest, next key.Signer, now time.Time) (*InstallResponse, error) {
	if !validInstanceID(r.InstanceID) {
		return nil, fmt.Errorf("renew: instance id is not base64url")
	}
	want := c.Instance.Public()
	if next != nil {
		want = next.Public()
	}
	var out InstallResponse
	err := c.exchange(ctx, "/instances/"+r.InstanceID+"/attestation", &out, func(rc requestClaims) (string, error) {
		claims := renewClaims{requestClaims: rc, App: r.App, StatusPeriod: int64(r.StatusPeriod / time.Second)}
		if next != nil && !key.Equal(want, c.Instance.Public()) {
			proof, err := jose.Sign(ctx, next, jose.Header{Typ: typeNewKey, JWK: &jose.JWK{Key: want}}, rc)
			if err != nil {
				return "", err
			}
			claims.NewKey = proof
		}
		return jose.Sign(ctx, c.Instance, jose.Header{Typ: typeRenew, KID: r.InstanceID}, claims)
	}, now)
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	if err := out.check(want); err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return &out, nil
}

// AttestKeys asks the provider to vouch for keys, and checks that the answer
// is about them.
func (c *Client) AttestKeys(ctx context.Context, r KeyAttestationRequest, now time.Time) (*KeyAttestationResponse, error) {
	if !validInstanceID(r.InstanceID) {
		return nil, fmt.Errorf("attest keys: instance id is not base64url")
	}
	if err := checkKeys(r.Keys); err != nil {
		return nil, fmt.Errorf("attest keys: %w", err)
	}
	var out KeyAttestationResponse
	err := c.exchange(ctx, "/instances/"+r.InstanceID+"/keys", &out, func(rc requestClaims) (string, error) {
		return jose.Sign(ctx, c.Instance, jose.Header{Typ: typeKeysAsks, KID: r.InstanceID},
			keysAskClaims{rc, jwks(r.Keys), r.Nonce, r.Area, int64(r.StatusPeriod / time.Second)})
	}, now)
	if err != nil {
		return nil, fmt.Errorf("attest keys: %w", err)
	}
	got, err := ParseKeyAttestation(out.KeyAttestation)
	if err != nil {
		return nil, fmt.Errorf("attest keys: %w", err)
	}
	if got.Nonce != r.Nonce || len(got.Keys) != len(r.Keys) {
		return nil, fmt.Errorf("attest keys: the attestation has %d keys, asked for %d, or another nonce", len(got.Keys), len(r.Keys))
	}
	for i, k := range r.Keys {
		if !key.Equal(k, got.Keys[i]) {
			return nil, fmt.Errorf("attest keys: key %d of the attestation is another", i)
		}
	}
	return &out, nil
}

// check makes sure that the answer is about the key it was asked for.
func (r *InstallResponse) check(want crypto.PublicKey) error {
	if !validInstanceID(r.InstanceID) {
		return fmt.Errorf("instance id of the provider is not 1 to 64 characters of base64url")
	}
	w, err := ParseWalletInstance(r.Attestation)
	if err != nil {
		return err
	}
	if !key.Equal(w.Key, want) || w.ClientID != r.ClientID {
		return fmt.Errorf("the provider vouches for another key or client id")
	}
	return nil
}

// exchange fetches a challenge, has the request signed and sends it; once more
// when the provider wants another challenge.
func (c *Client) exchange(ctx context.Context, path string, out any, sign func(requestClaims) (string, error), now time.Time) error {
	for try := 1; ; try++ {
		var ch challengeResponse
		if err := c.post(ctx, fetch.Request{Method: "POST", URL: c.Base + "/challenge"}, &ch); err != nil {
			return err
		}
		if ch.Challenge == "" || len(ch.Challenge) > maxNonce {
			return fmt.Errorf("challenge of %d characters, want 1 to %d", len(ch.Challenge), maxNonce)
		}
		token, err := sign(requestClaims{audience(c.Base), jose.NewDate(now), ch.Challenge})
		if err != nil {
			return fmt.Errorf("sign request: %w", err)
		}
		err = c.post(ctx, fetch.Request{Method: "POST", URL: c.Base + path, Body: []byte(token),
			Header: map[string]string{"content-type": "application/jwt"}}, out)
		var refusal *Error
		if try == 1 && errors.As(err, &refusal) && refusal.Code == CodeUseChallenge {
			continue
		}
		return err
	}
}

// post sends a request and decodes the answer.
func (c *Client) post(ctx context.Context, r fetch.Request, out any) error {
	r.MaxBytes = maxResponse
	if r.Header == nil {
		r.Header = map[string]string{}
	}
	r.Header["accept"] = "application/json"
	resp, err := c.Fetch(ctx, r)
	if err != nil {
		return err
	}
	if resp.Status/100 != 2 {
		var e errorResponse
		if err := decodeResponse(resp.Body, &e); err != nil || e.Code == "" {
			return fmt.Errorf("provider answered %d", resp.Status)
		}
		return &Error{Code: clip(e.Code), Description: clip(e.Description)}
	}
	if err := decodeResponse(resp.Body, out); err != nil {
		return fmt.Errorf("answer of the provider: %w", err)
	}
	return nil
}
