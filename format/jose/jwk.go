package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/key"
)

// JWK is a public key in JSON (RFC 7517, 4; RFC 7518, 6.2; RFC 8037, 2):
// EC on P-256, P-384 and P-521, OKP with Ed25519 and X25519.
//
// It implements json.Marshaler and json.Unmarshaler, the latter as strict as
// ParseJWK, so that it can stand in other structures ("cnf", "jwks").
type JWK struct {
	Key    crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or, X25519, *ecdh.PublicKey
	KID    string           // "kid", optional
	Use    string           // "use": "sig" or "enc", optional
	Alg    string           // "alg", optional
	KeyOps []string         // "key_ops", optional
	X5C    [][]byte         // "x5c": DER certificates, leaf first, optional; not checked against Key
}

// ParseJWK reads a public key. It refuses points off their curve, coordinates
// of another length than the curve's, duplicate members, "use", "key_ops" and
// "alg" that contradict each other or the curve, and private parts
// (ErrPrivate). Members it does not know are ignored (RFC 7517, 4). Other key
// types and curves give ErrUnsupported.
func ParseJWK(data []byte) (*JWK, error) {
	m, err := parseMembers(data, keyLimits())
	if err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	if err := m.refusePrivate(); err != nil {
		return nil, err
	}
	return m.publicKey()
}

// keyLimits leaves room for a chain of certificates.
func keyLimits() Limits { return Limits{Token: 64 << 10, Depth: 8, Members: 1000} }

// refusePrivate looks for the private and secret members of every key type
// (RFC 7518, 6.2.2, 6.3.2, 6.4), also of those we do not support.
func (m members) refusePrivate() error {
	for _, name := range [...]string{"d", "k", "p", "q", "dp", "dq", "qi", "oth"} {
		if _, ok := m[name]; ok {
			return fmt.Errorf("JWK with %q: %w", name, ErrPrivate)
		}
	}
	return nil
}

func (m members) publicKey() (*JWK, error) {
	var k JWK
	var kty, crv string
	err := m.takeStrings(stringMember{"kty", &kty}, stringMember{"crv", &crv},
		stringMember{"kid", &k.KID}, stringMember{"use", &k.Use}, stringMember{"alg", &k.Alg})
	if err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	if kty != "EC" && kty != "OKP" {
		return nil, fmt.Errorf("JWK: \"kty\" %q: %w", abbreviate(kty), ErrUnsupported)
	}
	x, errX := m.takeBytes("x")
	y, errY := m.takeBytes("y")
	errOps := m.take("key_ops", &k.KeyOps)
	var errChain error
	k.X5C, errChain = m.takeChain()
	if err := errors.Join(errX, errY, errOps, errChain); err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	if k.Key, err = publicKey(kty, crv, x, y); err != nil {
		return nil, fmt.Errorf("JWK: %w", err)
	}
	if err := k.consistent(); err != nil {
		return nil, err
	}
	return &k, nil
}

// publicKey makes the key of RFC 7518, 6.2.1 or RFC 8037, 2.
func publicKey(kty, crv string, x, y []byte) (crypto.PublicKey, error) {
	var pub crypto.PublicKey
	var err error
	switch kty + " " + crv {
	case "EC P-256":
		pub, err = key.FromXY(elliptic.P256(), x, y)
	case "EC P-384":
		pub, err = key.FromXY(elliptic.P384(), x, y)
	case "EC P-521":
		pub, err = key.FromXY(elliptic.P521(), x, y)
	case "OKP Ed25519":
		pub = ed25519.PublicKey(x)
		err = key.Check(pub)
	case "OKP X25519":
		pub, err = ecdh.X25519().NewPublicKey(x)
	default:
		return nil, fmt.Errorf("\"kty\" %q with \"crv\" %q: %w", kty, abbreviate(crv), ErrUnsupported)
	}
	if err == nil && kty == "OKP" && y != nil {
		err = errors.New("\"y\" in an OKP key")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return pub, nil
}

// consistent refuses a key whose members say different things about what it
// is for (RFC 7517, 4.3: "use" and "key_ops" have to agree).
func (k *JWK) consistent() error {
	for i, op := range k.KeyOps {
		if slices.Contains(k.KeyOps[:i], op) {
			return fmt.Errorf("JWK: \"key_ops\" names %q twice: %w", abbreviate(op), ErrMalformed)
		}
		signs := op == "sign" || op == "verify"
		if k.Use == "sig" && !signs || k.Use == "enc" && signs {
			return fmt.Errorf("JWK: \"use\" %q with \"key_ops\" %q: %w", k.Use, abbreviate(op), ErrMalformed)
		}
	}
	switch k.Alg {
	case "ES256", "ES384", "ES512", "EdDSA", "Ed25519":
		if alg, err := key.AlgorithmOf(k.Key); err != nil || alg != canonical(k.Alg) {
			return fmt.Errorf("JWK: \"alg\" %q on another curve: %w", k.Alg, ErrMalformed)
		}
	}
	return nil
}

// Verifies returns nil if the key says nothing against verifying signatures
// with it, and else what does ("use", "key_ops", "alg" or its type).
func (k JWK) Verifies() error {
	alg, err := key.AlgorithmOf(k.Key)
	if err != nil {
		return err
	}
	return k.allows("sig", alg == canonical(k.Alg), "verify")
}

// Agrees returns nil if the key says nothing against agreeing with it on the
// key of a message (ECDH-ES), and else what does.
func (k JWK) Agrees() error {
	if _, err := key.ToECDH(k.Key); err != nil {
		return err
	}
	return k.allows("enc", k.Alg == "ECDH-ES", "deriveKey", "deriveBits")
}

func (k JWK) allows(use string, alg bool, ops ...string) error {
	if k.Use != "" && k.Use != use {
		return fmt.Errorf("key with \"use\" %q used for %q: %w", abbreviate(k.Use), use, ErrUnsupported)
	}
	if k.Alg != "" && !alg {
		return fmt.Errorf("key with \"alg\" %q used for %q: %w", abbreviate(k.Alg), use, ErrUnsupported)
	}
	if len(k.KeyOps) > 0 && !slices.ContainsFunc(k.KeyOps, func(op string) bool { return slices.Contains(ops, op) }) {
		return fmt.Errorf("key without %q in \"key_ops\": %w", ops[0], ErrUnsupported)
	}
	return nil
}

// ParsePrivateJWK reads a key with its private part: an *ecdsa.PrivateKey,
// ed25519.PrivateKey or, for X25519, *ecdh.PrivateKey. It refuses a private
// part that does not belong to the public one. For imports and tests: keys of
// the running system live in a secure area.
func ParsePrivateJWK(data []byte) (*JWK, crypto.PrivateKey, error) {
	m, err := parseMembers(data, keyLimits())
	if err != nil {
		return nil, nil, fmt.Errorf("JWK: %w", err)
	}
	d, err := m.takeBytes("d")
	if err != nil || d == nil {
		return nil, nil, fmt.Errorf("JWK without a well-formed private part: %w", ErrMalformed)
	}
	if err := m.refusePrivate(); err != nil {
		return nil, nil, err
	}
	k, err := m.publicKey()
	if err != nil {
		return nil, nil, err
	}
	private, err := privateKey(k.Key, d)
	if err != nil {
		return nil, nil, err
	}
	return k, private, nil
}

func privateKey(pub crypto.PublicKey, d []byte) (crypto.PrivateKey, error) {
	var private interface {
		Public() crypto.PublicKey
	}
	var err error
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		private, err = ecdsa.ParseRawPrivateKey(pub.Curve, d)
	case *ecdh.PublicKey:
		private, err = pub.Curve().NewPrivateKey(d)
	case ed25519.PublicKey:
		if len(d) != ed25519.SeedSize {
			return nil, fmt.Errorf("private part of %d bytes: %w", len(d), ErrMalformed)
		}
		private = ed25519.NewKeyFromSeed(d)
	}
	if err != nil { // without the library's text: it must not quote the key
		return nil, fmt.Errorf("private part out of range or of wrong length: %w", ErrMalformed)
	}
	if !key.Equal(pub, private.Public()) {
		return nil, fmt.Errorf("private part of another key: %w", ErrMalformed)
	}
	return private, nil
}

// MarshalJSON writes the public key: kty, crv, x and y, then what else is set.
func (k JWK) MarshalJSON() ([]byte, error) {
	kty, crv, x, y, err := publicMembers(k.Key)
	if err != nil {
		return nil, err
	}
	w := newObject(200)
	w.text("kty", kty)
	w.text("crv", crv)
	w.text("x", x)
	w.text("y", y)
	w.text("kid", k.KID)
	w.text("use", k.Use)
	w.text("alg", k.Alg)
	if len(k.KeyOps) > 0 {
		w.any("key_ops", k.KeyOps)
	}
	w.chain(k.X5C)
	return w.finish(nil)
}

// publicMembers returns the members that make a key: those of its thumbprint.
// Only EC keys have y.
func publicMembers(pub crypto.PublicKey) (kty, crv, x, y string, err error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		xb, yb, err := key.XY(pub)
		if err != nil {
			return "", "", "", "", fmt.Errorf("JWK: %w", err)
		}
		return "EC", pub.Curve.Params().Name, Encode(xb), Encode(yb), nil
	case ed25519.PublicKey:
		if err := key.Check(pub); err != nil {
			return "", "", "", "", fmt.Errorf("JWK: %w", err)
		}
		return "OKP", "Ed25519", Encode(pub), "", nil
	case *ecdh.PublicKey:
		if err := key.Check(pub); err != nil {
			return "", "", "", "", fmt.Errorf("JWK: %w", err)
		}
		return "OKP", "X25519", Encode(pub.Bytes()), "", nil
	}
	return "", "", "", "", fmt.Errorf("JWK of %T: %w", pub, ErrUnsupported)
}

// UnmarshalJSON is ParseJWK.
func (k *JWK) UnmarshalJSON(data []byte) error {
	parsed, err := ParseJWK(data)
	if err != nil {
		return err
	}
	*k = *parsed
	return nil
}

// Thumbprint is the SHA-256 JWK thumbprint of a key: the hash of its required
// members in lexicographic order without white space (RFC 7638, 3).
func Thumbprint(pub crypto.PublicKey) ([32]byte, error) {
	kty, crv, x, y, err := publicMembers(pub)
	if err != nil {
		return [32]byte{}, err
	}
	text := `{"crv":"` + crv + `","kty":"` + kty + `","x":"` + x + `"`
	if y != "" {
		text += `,"y":"` + y + `"`
	}
	return sha256.Sum256([]byte(text + `}`)), nil
}

// ThumbprintString is Thumbprint in base64url, as in "jkt" (RFC 9449, 6.1).
func ThumbprintString(pub crypto.PublicKey) (string, error) {
	sum, err := Thumbprint(pub)
	if err != nil {
		return "", err
	}
	return Encode(sum[:]), nil
}

// Set is a JWK Set (RFC 7517, 5).
type Set struct {
	Keys []JWK
}

const maxSet = 256

// ParseSet reads a JWK Set. Keys of unknown type or curve are left out
// (RFC 7517, 5). A private or secret key of any type in it, a malformed key, a
// "kid" that two of the keys share, or more than 256 keys make the whole set
// unusable.
func ParseSet(data []byte) (*Set, error) {
	m, err := parseMembers(data, Limits{})
	if err != nil {
		return nil, fmt.Errorf("JWK Set: %w", err)
	}
	var raw []json.RawMessage
	if err := m.take("keys", &raw); err != nil {
		return nil, fmt.Errorf("JWK Set: %w", err)
	}
	if raw == nil || len(raw) > maxSet {
		return nil, fmt.Errorf("JWK Set without \"keys\" or with more than %d: %w", maxSet, ErrMalformed)
	}
	set := &Set{Keys: make([]JWK, 0, len(raw))}
	seen := make(map[string]bool, len(raw))
	for i, r := range raw {
		k, err := ParseJWK(r)
		if errors.Is(err, ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("JWK Set, key %d: %w", i, err)
		}
		if k.KID != "" && seen[k.KID] {
			return nil, fmt.Errorf("JWK Set: \"kid\" %q twice: %w", abbreviate(k.KID), ErrMalformed)
		}
		seen[k.KID] = true
		set.Keys = append(set.Keys, *k)
	}
	return set, nil
}

// MarshalJSON writes {"keys": […]}.
func (s Set) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"keys":[`)
	for i, k := range s.Keys {
		if i > 0 {
			b.WriteByte(',')
		}
		one, err := k.MarshalJSON()
		if err != nil {
			return nil, err
		}
		b.Write(one)
	}
	b.WriteString(`]}`)
	return b.Bytes(), nil
}

// UnmarshalJSON is ParseSet.
func (s *Set) UnmarshalJSON(data []byte) error {
	parsed, err := ParseSet(data)
	if err != nil {
		return err
	}
	*s = *parsed
	return nil
}

// ByKID returns the key with this identifier. The empty identifier finds nothing.
func (s Set) ByKID(kid string) (JWK, bool) {
	for _, k := range s.Keys {
		if kid != "" && k.KID == kid {
			return k, true
		}
	}
	return JWK{}, false
}
