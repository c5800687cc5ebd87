package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/internal/fetch"
)

// hammerControl gives orders to the process under load.
type hammerControl struct {
	fetch  fetch.Func
	origin string
}

// order sends an order and reads the answer into v, if it is not nil.
func (c *hammerControl) order(ctx context.Context, path string, body []byte, v any) error {
	resp, err := c.fetch(ctx, fetch.Request{Method: "POST", URL: c.origin + "/hammer/" + path, Body: body, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	if resp.Status/100 != 2 {
		name, _, _ := strings.Cut(path, "?")
		return fmt.Errorf("the process under load answers %d to %s: %s", resp.Status, name, resp.Refusal())
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(resp.Body, v)
}

// hammerKey is a key in memory, on P-256: a secure area would take its time.
type hammerKey struct{ private *ecdsa.PrivateKey }

func newHammerKey() (hammerKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return hammerKey{private}, err
}

// Public implements key.Signer.
func (k hammerKey) Public() crypto.PublicKey { return k.private.Public() }

// Sign implements key.Signer.
func (k hammerKey) Sign(_ context.Context, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	der, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		return nil, err
	}
	return key.ASN1ToRaw(k.private.Public(), der)
}
