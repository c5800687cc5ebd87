package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const maxSignatures = 16

// ParseJSON reads a JWS in JSON serialisation, general or flattened
// (RFC 7515, 7.2), as multi-signed requests have it (OpenID4VP 1.0, A.3.2),
// and returns a Token for each signature over the one payload. It verifies
// nothing. Each has to name its algorithm in the protected header. Signatures
// with algorithms, keys or extensions that are not ours are left out, because
// one good signature is enough; if none remains the error is ErrUnsupported.
// Anything malformed makes the whole unusable.
func ParseJSON(data []byte, limits Limits) ([]*Token, error) {
	limits = limits.withDefaults()
	m, err := parseMembers(data, limits)
	if err != nil {
		return nil, fmt.Errorf("JWS in JSON: %w", err)
	}
	var payload string
	if _, ok := m["payload"]; !ok {
		return nil, fmt.Errorf("JWS in JSON without \"payload\": %w", ErrMalformed)
	}
	if err := m.take("payload", &payload); err != nil {
		return nil, fmt.Errorf("JWS in JSON: %w", err)
	}
	signatures, err := m.signatures()
	if err != nil {
		return nil, err
	}
	var tokens []*Token
	for i, one := range signatures {
		t, err := one.token(payload, limits)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("JWS in JSON, signature %d: %w", i, err)
		}
		tokens = append(tokens, t)
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("JWS in JSON: none of %d signatures: %w", len(signatures), ErrUnsupported)
	}
	return tokens, nil
}

// signatures returns the objects that hold "protected", "header" and
// "signature": the elements of "signatures", or of the flattened form the
// whole. The two forms must not mix (RFC 7515, 7.2.2).
func (m members) signatures() ([]members, error) {
	if _, general := m["signatures"]; !general {
		return []members{m}, nil
	}
	if _, flattened := m["signature"]; flattened {
		return nil, fmt.Errorf("JWS in JSON with \"signature\" and \"signatures\": %w", ErrMalformed)
	}
	var list []members
	if err := m.take("signatures", &list); err != nil {
		return nil, fmt.Errorf("JWS in JSON: %w", err)
	}
	if len(list) == 0 || len(list) > maxSignatures {
		return nil, fmt.Errorf("JWS in JSON with %d signatures, not 1 to %d: %w", len(list), maxSignatures, ErrMalformed)
	}
	return list, nil
}

func (m members) token(payload string, limits Limits) (*Token, error) {
	var protected, signature string
	err := m.takeStrings(stringMember{"protected", &protected}, stringMember{"signature", &signature})
	if err != nil {
		return nil, err
	}
	var unprotected map[string]json.RawMessage
	if err := m.take("header", &unprotected); err != nil {
		return nil, err
	}
	if strings.Contains(protected, ".") || strings.Contains(signature, ".") {
		return nil, fmt.Errorf("JWS in JSON with a dot in a part: %w", ErrMalformed)
	}
	t, err := newToken([]byte(protected+"."+payload+"."+signature), limits)
	if err != nil {
		return nil, err
	}
	text, err := Decode(protected)
	if err != nil {
		return nil, err
	}
	inside, err := parseMembers(text, limits)
	if err != nil {
		return nil, err
	}
	for name := range unprotected {
		if _, twice := inside[name]; twice || name == "crit" { // RFC 7515, 4.1.11 and 7.2.1
			return nil, fmt.Errorf("%q in the unprotected header: %w", abbreviate(name), ErrMalformed)
		}
	}
	t.Unprotected = unprotected
	return t, nil
}
