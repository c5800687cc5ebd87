package sdjwt

import (
	"crypto"
	"crypto/elliptic"
	"fmt"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
)

// HolderKey is the key that the credential is bound to, or nil if it is bound
// to none; not to be believed before [Verify]. The error is [ErrKey] for a
// "cnf" without a usable "jwk".
//
// RFC 9901, 4.1.2; RFC 7800, 3.2.
func (s *SDJWT) HolderKey() (crypto.PublicKey, error) {
	if s.holder == nil {
		return nil, s.unbound
	}
	return s.holder.Key, nil
}

// confirmation reads "cnf".
func (s *SDJWT) confirmation() (*jose.JWK, error) {
	cnf := s.registered("cnf")
	if cnf == nil {
		return nil, nil
	}
	jwk := cnf.member("jwk")
	if jwk == nil {
		return nil, fmt.Errorf("%w: \"cnf\" without \"jwk\" (RFC 7800, 3.2)", ErrKey)
	}
	k, err := parseJWK(jwk)
	if err != nil {
		return nil, fmt.Errorf("\"cnf\": %w: %w", ErrKey, err)
	}
	return k, nil
}

// parseJWK reads the usual key, on P-256 and with no member but what makes it,
// from what was read already, and leaves all others to package jose.
func parseJWK(n *node) (*jose.JWK, error) {
	if len(n.members) == 4 {
		kty, _ := n.member("kty").text()
		crv, _ := n.member("crv").text()
		x, okX := n.member("x").text()
		y, okY := n.member("y").text()
		if kty == "EC" && crv == "P-256" && okX && okY {
			x, errX := decode([]byte(x))
			y, errY := decode([]byte(y))
			if errX == nil && errY == nil {
				if pub, err := key.FromXY(elliptic.P256(), x, y); err == nil {
					return &jose.JWK{Key: pub}, nil
				}
			}
		}
	}
	return jose.ParseJWK([]byte(n.raw))
}
