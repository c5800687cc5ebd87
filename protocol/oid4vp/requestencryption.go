package oid4vp

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// requestKey is what a wallet has one request encrypted to. It is made for one
// POST and forgotten after the answer: whoever records the request and breaks into
// the wallet later reads nothing.
type requestKey struct {
	private *ecdh.PrivateKey
	jwk     jose.JWK
}

func newRequestKey() (requestKey, error) {
	priv, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return requestKey{}, fmt.Errorf("key for the request: %w", err)
	}
	jwk, err := responseJWK(priv)
	return requestKey{priv, jwk}, err
}

// open takes the encryption off a request object. One that came without is taken
// as it is: a verifier need not know how to encrypt, and TLS hid it on its way.
//
// OpenID4VP 1.0, 5.10; RFC 9101, 6.1.
func (k requestKey) open(ctx context.Context, object string) (string, error) {
	if strings.Count(object, ".") != 4 {
		return object, nil
	}
	jwe, err := jose.ParseJWE(object)
	if err != nil {
		return "", fail(InvalidRequest, "encrypted request object: %w (OpenID4VP 1.0, 5.10)", err)
	}
	if jwe.Header.KID != "" && jwe.Header.KID != k.jwk.KID {
		return "", fail(InvalidRequest, "the request object is encrypted to another key (OpenID4VP 1.0, 5.10)")
	}
	if cty := jwe.Header.CTY; cty != "" && !strings.EqualFold(strings.TrimPrefix(strings.ToLower(cty), "application/"), "jwt") && !strings.EqualFold(cty, RequestObjectType) {
		return "", fail(InvalidRequest, "encrypted request object with %.40q in it, not a JWT (RFC 7519, 5.2)", cty)
	}
	plain, err := jwe.DecryptAtMost(ctx, key.Ephemeral{Private: k.private}, maxRequest)
	if err != nil {
		return "", fail(InvalidRequest, "encrypted request object: %w (OpenID4VP 1.0, 5.10)", err)
	}
	return string(plain), nil
}
