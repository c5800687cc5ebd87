package jose

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/eidos-id/eidos/format/key"
)

// Header is the protected header of a signed token (RFC 7515, 4.1).
type Header struct {
	Alg string   // "alg"; Sign sets it to the algorithm of its key
	Typ string   // "typ", see HasType
	Cty string   // "cty"
	KID string   // "kid"
	JWK *JWK     // "jwk"
	X5C [][]byte // "x5c": DER certificates, leaf first; at most 10

	// Raw holds the members that have no field above, such as
	// "key_attestation", each as its JSON text. "crit" is never among them:
	// tokens with critical extensions are refused.
	Raw map[string]json.RawMessage
}

// HasType reports whether "typ" is the given media type, in any case and with
// or without its "application/" prefix (RFC 7515, 4.1.9).
func (h *Header) HasType(typ string) bool {
	return h.Typ != "" && strings.EqualFold(shortType(h.Typ), shortType(typ))
}

// shortType leaves out "application/" where no other slash follows.
func shortType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) && !strings.Contains(typ[len(prefix):], "/") {
		return typ[len(prefix):]
	}
	return typ
}

// String returns a member of Raw that is a JSON string; absent is "".
func (h *Header) String(name string) (string, error) { return stringOf(h.Raw, name) }

func stringOf(raw map[string]json.RawMessage, name string) (string, error) {
	text, ok := raw[name]
	if !ok {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(text, &s); err != nil || s == nil {
		return "", fmt.Errorf("header %q is no string: %w", name, ErrMalformed)
	}
	return *s, nil
}

// canonical gives one name to each algorithm: RFC 9864, 2.2 calls "Ed25519"
// what RFC 8037 calls "EdDSA". Names that are not ours give "".
func canonical(alg string) key.Algorithm {
	switch alg {
	case "ES256", "ES384", "ES512", "EdDSA":
		return key.Algorithm(alg)
	case "Ed25519":
		return key.EdDSA
	}
	return ""
}

// Prepare returns the JWS Signing Input (RFC 7515, 5.1) of a payload. Whoever
// holds the key signs these bytes with header.Alg, and Finish makes the token.
func Prepare(header Header, payload []byte) (signingInput []byte, err error) {
	if canonical(header.Alg) == "" {
		return nil, fmt.Errorf("header \"alg\" %q: %w", header.Alg, ErrUnsupported)
	}
	protected, err := header.marshal()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, rawURL.EncodedLen(len(protected))+1+rawURL.EncodedLen(len(payload)))
	out = append(AppendEncode(out, protected), '.')
	return AppendEncode(out, payload), nil
}

// Finish joins a signing input and its raw signature to a JWS in compact
// serialisation (RFC 7515, 7.1).
func Finish(signingInput, signature []byte) string {
	var b strings.Builder
	b.Grow(len(signingInput) + 1 + rawURL.EncodedLen(len(signature)))
	b.Write(signingInput)
	b.WriteByte('.')
	b.WriteString(Encode(signature))
	return b.String()
}

func (h *Header) marshal() ([]byte, error) {
	w := newObject(300)
	w.text("alg", h.Alg)
	w.text("typ", h.Typ)
	w.text("cty", h.Cty)
	w.text("kid", h.KID)
	if h.JWK != nil {
		jwk, err := h.JWK.MarshalJSON()
		if err != nil {
			return nil, err
		}
		w.raw("jwk", jwk)
	}
	w.chain(h.X5C)
	return w.finish(h.Raw, "alg", "typ", "cty", "kid", "jwk", "x5c", "crit")
}

// Sign makes a signed JWT of claims, which encoding/json must turn into an
// object (RFC 7519, 7.1). header.Alg may be empty; if not, it must be the key's.
func Sign(ctx context.Context, signer key.Signer, header Header, claims any) (string, error) {
	payload, err := marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	if payload[0] != '{' {
		return "", fmt.Errorf("claims are no JSON object: %w", ErrMalformed)
	}
	return SignBytes(ctx, signer, header, payload)
}

// SignBytes makes a JWS of any payload.
func SignBytes(ctx context.Context, signer key.Signer, header Header, payload []byte) (string, error) {
	alg, err := key.AlgorithmOf(signer.Public())
	if err != nil {
		return "", err
	}
	if header.Alg == "" {
		header.Alg = string(alg)
	}
	if canonical(header.Alg) != alg {
		return "", fmt.Errorf("header \"alg\" %q with a key for %s: %w", header.Alg, alg, ErrUnsupported)
	}
	input, err := Prepare(header, payload)
	if err != nil {
		return "", err
	}
	signature, err := signer.Sign(ctx, input)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return Finish(input, signature), nil
}

// Token is a JWS as it was received: parsed, not yet verified.
type Token struct {
	Header  Header
	Payload []byte // decoded; not to be believed before Verify

	// Unprotected is the unprotected header, which only ParseJSON finds. No
	// signature covers it: it is a hint and never to be believed.
	Unprotected map[string]json.RawMessage

	limits       Limits
	signingInput []byte // as received
	signature    []byte
}

// Parse reads a JWS in compact serialisation (RFC 7515, 7.1). It verifies
// nothing. It refuses what is beyond the limits, base64url that is not
// canonical, duplicate header members, "crit", and "alg" values that are not
// ours, "none" among them (ErrUnsupported).
func Parse(token string, limits Limits) (*Token, error) { return ParseBytes([]byte(token), limits) }

// ParseBytes is Parse for bytes that nobody changes any more: it keeps them.
func ParseBytes(token []byte, limits Limits) (*Token, error) {
	limits = limits.withDefaults()
	if len(token) > limits.Token {
		return nil, fmt.Errorf("JWS of %d bytes, limit %d: %w", len(token), limits.Token, ErrMalformed)
	}
	if n := bytes.Count(token, []byte{'.'}); n != 2 {
		return nil, fmt.Errorf("JWS of %d parts, not 3: %w", n+1, ErrMalformed)
	}
	return newToken(token, limits)
}

// newToken reads the three parts of a token and keeps it.
func newToken(token []byte, limits Limits) (*Token, error) {
	first, last := bytes.IndexByte(token, '.'), bytes.LastIndexByte(token, '.')
	t := &Token{limits: limits, signingInput: token[:last:last]}
	var err error
	if t.Header, err = parseHeader(token[:first], limits); err != nil {
		return nil, fmt.Errorf("JWS header: %w", err)
	}
	if t.Payload, err = decodeBytes(token[first+1 : last]); err != nil {
		return nil, fmt.Errorf("JWS payload: %w", err)
	}
	if t.signature, err = decodeBytes(token[last+1:]); err != nil {
		return nil, fmt.Errorf("JWS signature: %w", err)
	}
	return t, nil
}

// protectedMembers decodes a protected header and refuses extensions that the
// sender calls critical, because none is understood here (RFC 7515, 4.1.11).
func protectedMembers(encoded []byte, limits Limits) (members, error) {
	if rawURL.DecodedLen(len(encoded)) > limits.Header {
		return nil, fmt.Errorf("%d bytes encoded, limit %d decoded: %w", len(encoded), limits.Header, ErrMalformed)
	}
	text, err := decodeBytes(encoded)
	if err != nil {
		return nil, err
	}
	m, err := parseMembers(text, limits)
	if err != nil {
		return nil, err
	}
	if _, ok := m["crit"]; ok {
		return nil, fmt.Errorf("\"crit\": %w", ErrUnsupported)
	}
	return m, nil
}

func parseHeader(encoded []byte, limits Limits) (Header, error) {
	m, err := protectedMembers(encoded, limits)
	if err != nil {
		return Header{}, err
	}
	var h Header
	err = m.takeStrings(stringMember{"alg", &h.Alg}, stringMember{"typ", &h.Typ},
		stringMember{"cty", &h.Cty}, stringMember{"kid", &h.KID})
	if err != nil {
		return Header{}, err
	}
	if canonical(h.Alg) == "" {
		return Header{}, fmt.Errorf("\"alg\" %q: %w", abbreviate(h.Alg), ErrUnsupported)
	}
	if raw, ok := m["jwk"]; ok {
		delete(m, "jwk")
		if h.JWK, err = ParseJWK(raw); err != nil {
			return Header{}, err
		}
	}
	if h.X5C, err = m.takeChain(); err != nil {
		return Header{}, err
	}
	h.Raw = m
	return h, nil
}

// Verify checks the signature with a key that the caller has reason to trust.
// The algorithm is the key's: a header naming another one is refused.
// "Ed25519" is accepted for "EdDSA" (RFC 9864, 2.2).
// Errors: key.ErrSignature, key.ErrKey, key.ErrUnsupported, ErrUnsupported.
func (t *Token) Verify(pub crypto.PublicKey) error {
	alg, err := key.AlgorithmOf(pub)
	if err != nil {
		return fmt.Errorf("JWS: %w", err)
	}
	if canonical(t.Header.Alg) != alg {
		return fmt.Errorf("JWS \"alg\" %q, the key is for %s: %w", abbreviate(t.Header.Alg), alg, ErrUnsupported)
	}
	if err := key.Verify(pub, t.signingInput, t.signature); err != nil {
		return fmt.Errorf("JWS: %w", err)
	}
	return nil
}

// VerifyJWK is Verify with a JWK, whose "use", "key_ops" and "alg" are obeyed.
func (t *Token) VerifyJWK(k JWK) error {
	if err := k.Verifies(); err != nil {
		return fmt.Errorf("JWS: %w", err)
	}
	return t.Verify(k.Key)
}

// Claims decodes the payload, a JSON object, into v with Unmarshal's
// strictness. Call it after Verify, except to find the key.
func (t *Token) Claims(v any) error {
	if firstByte(t.Payload) != '{' {
		return fmt.Errorf("JWT claims are no JSON object: %w", ErrMalformed)
	}
	if err := Unmarshal(t.Payload, v, t.limits); err != nil {
		return fmt.Errorf("JWT claims: %w", err)
	}
	return nil
}

// firstByte is the first byte that is no white space of JSON, or 0.
func firstByte(text []byte) byte {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}
