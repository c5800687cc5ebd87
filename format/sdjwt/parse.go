package sdjwt

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/eidos-id/eidos/format/jose"
)

// SDJWT is an SD-JWT, or SD-JWT+KB, as it was received: parsed, not verified.
//
// RFC 9901, 4.
type SDJWT struct {
	// Token is the issuer-signed JWT. Its Payload still has the digests.
	Token *jose.Token
	// Disclosures are as received, in that order.
	Disclosures []Disclosure
	// KeyBinding is the key binding JWT; nil if there is none.
	KeyBinding *jose.Token

	compact   string // the whole in compact form
	bytes     []byte // the same, for what hashes and decodes
	end       int    // of compact before the key binding JWT: what sd_hash covers
	jwt       int    // length of the issuer-signed JWT
	algorithm hashAlgorithm
	digests   int // in the payload and in what was disclosed
	root      *node
	fit       error // why disclosures and digests do not fit; nil if they do
	holder    *jose.JWK
	unbound   error // why there is no holder key though there is a "cnf"
}

// Disclosure is one disclosure.
//
//	[salt, name, value] or, for an array element, [salt, value]
//
// RFC 9901, 4.2.1 and 4.2.2.
type Disclosure struct {
	// Encoded is the base64url text that the digest is taken over.
	Encoded string
	Salt    string
	// Name is the member's; empty for an array element.
	Name string
	// IsElement says that it is an array element.
	IsElement bool

	bytes []byte // Encoded
	value *node
}

// hashAlgorithm is one that "_sd_alg" may name. RFC 9901, 4.1.1.
type hashAlgorithm struct {
	name string
	size int // bytes
}

// hashNamed finds an algorithm by its name in the registry of RFC 6920, 9.4.
func hashNamed(name string) (hashAlgorithm, error) {
	switch name {
	case "sha-256":
		return hashAlgorithm{name, sha256.Size}, nil
	case "sha-384":
		return hashAlgorithm{name, sha512.Size384}, nil
	case "sha-512":
		return hashAlgorithm{name, sha512.Size}, nil
	}
	return hashAlgorithm{}, fmt.Errorf("\"_sd_alg\" %.32q: %w (RFC 9901, 7.1)", name, ErrUnsupported)
}

// digest is the base64url text of the hash of text.
func (a hashAlgorithm) digest(text []byte) string {
	var sum [sha512.Size]byte
	var out [86]byte // base64url of 64 bytes
	switch a.size {
	case sha256.Size:
		s := sha256.Sum256(text)
		copy(sum[:], s[:])
	case sha512.Size384:
		s := sha512.Sum384(text)
		copy(sum[:], s[:])
	default:
		sum = sha512.Sum512(text)
	}
	enc := base64.RawURLEncoding
	enc.Encode(out[:], sum[:a.size])
	return string(out[:enc.EncodedLen(a.size)])
}

// Parse reads the compact form. It verifies no signature. It refuses what is
// beyond the limits, what is no canonical base64url, duplicate members, and
// what RFC 9901 does not allow in payload and disclosures: [ErrSyntax],
// [ErrLimit], [ErrUnsupported]. Whether digests and disclosures fit is found
// out too, and told by [SDJWT.Unverified] and in the report of [Verify].
//
// RFC 9901, 4.
func Parse(compact string, limits Limits) (*SDJWT, error) {
	lim := limits.or()
	if len(compact) > lim.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, len(compact), lim.Bytes)
	}
	n := strings.Count(compact, "~") - 1
	switch {
	case n < 0:
		return nil, fmt.Errorf("%w: no tilde after the JWT (RFC 9901, 4)", ErrSyntax)
	case n > lim.Disclosures:
		return nil, fmt.Errorf("%w: %d disclosures, at most %d", ErrLimit, n, lim.Disclosures)
	}
	s := &SDJWT{compact: compact, jwt: strings.IndexByte(compact, '~'), end: strings.LastIndexByte(compact, '~') + 1}
	s.bytes, s.Disclosures = []byte(compact), make([]Disclosure, n)
	p := parser{SDJWT: s, lim: lim}
	if err := p.token(s.bytes[:s.jwt]); err != nil {
		return nil, err
	}
	for at, i := s.jwt+1, 0; i < n; i++ {
		d := &s.Disclosures[i]
		d.Encoded, _, _ = strings.Cut(compact[at:], "~")
		d.bytes = s.bytes[at : at+len(d.Encoded)]
		at += len(d.Encoded) + 1
		if err := p.disclosure(d); err != nil {
			return nil, fmt.Errorf("disclosure %d: %w", i+1, err)
		}
	}
	if kb := s.bytes[s.end:]; len(kb) > 0 {
		var err error
		if s.KeyBinding, err = jose.ParseBytes(kb, p.jose()); err != nil {
			return nil, fmt.Errorf("%w: key binding JWT: %w", ErrSyntax, err)
		}
	}
	s.fit = p.process()
	s.holder, s.unbound = s.confirmation()
	return s, nil
}

// parser reads one SD-JWT.
type parser struct {
	*SDJWT
	lim  Limits
	read reader
	text []byte         // of the disclosure that is read, which is not kept
	refs map[string]int // by digest: the number of its disclosure, and seen for one that was met
}

func (p *parser) jose() jose.Limits {
	return jose.Limits{Token: p.lim.Bytes, Depth: p.lim.Depth, Members: p.lim.Members}
}

// token reads the issuer-signed JWT.
func (p *parser) token(jwt []byte) (err error) {
	if p.Token, err = jose.ParseBytes(jwt, p.jose()); err != nil {
		return fmt.Errorf("%w: issuer-signed JWT: %w", ErrSyntax, err)
	}
	p.read.members, p.read.top = p.lim.Members, true
	if p.root, err = p.read.readJSON(p.Token.Payload, p.lim); err != nil {
		return fmt.Errorf("%w: payload: %w", ErrSyntax, err)
	}
	if p.root.kind != '{' {
		return fmt.Errorf("%w: the payload is no JSON object (RFC 9901, 4.1)", ErrSyntax)
	}
	name := "sha-256" // RFC 9901, 4.1.1
	if a := p.read.algorithm; a != nil {
		var ok bool
		if name, ok = a.text(); !ok {
			return fmt.Errorf("%w: \"_sd_alg\" is no string (RFC 9901, 4.1.1)", ErrSyntax)
		}
	}
	p.algorithm, err = hashNamed(name)
	return err
}

// disclosure reads d.Encoded into the rest of d.
func (p *parser) disclosure(d *Disclosure) error {
	p.text = slices.Grow(p.text[:0], strictURL.DecodedLen(len(d.bytes)))
	text, err := decodeInto(p.text[:strictURL.DecodedLen(len(d.bytes))], d.bytes)
	if err != nil {
		return err
	}
	r := &p.read
	if err := jose.CheckJSON(text, jose.Limits{Token: p.lim.Bytes, Depth: p.lim.Depth, Members: p.lim.Members}); err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	r.data, r.pos = string(text), 0
	const shape = "no array of salt, name and value or salt and value (RFC 9901, 4.2)"
	if r.next() != '[' {
		return fmt.Errorf("%w: %s", ErrSyntax, shape)
	}
	r.pos++
	if r.next() != '"' {
		return fmt.Errorf("%w: salt is no string, or %s", ErrSyntax, shape)
	}
	d.Salt = unquote(r.skipString())
	if r.closes(']') {
		return fmt.Errorf("%w: %s", ErrSyntax, shape)
	}
	d.value = r.value(false)
	if r.err != nil {
		return r.err
	}
	if d.IsElement = r.closes(']'); d.IsElement {
		return nil
	}
	name := d.value
	d.value = r.value(false)
	if r.err != nil {
		return r.err
	}
	if !r.closes(']') {
		return fmt.Errorf("%w: %s", ErrSyntax, shape)
	}
	var ok bool
	switch d.Name, ok = name.text(); {
	case !ok:
		return fmt.Errorf("%w: claim name is no string (RFC 9901, 4.2.1)", ErrSyntax)
	case d.Name == nameDigests || d.Name == nameElement || d.Name == nameAlgorithm:
		return fmt.Errorf("%w: claim named %q (RFC 9901, 7.1)", ErrSyntax, d.Name)
	}
	return nil
}

// decode is strict base64url. Unlike jose.Decode it does not look for line
// breaks first, which the library skips: with them the result is too short, or
// the text of a length that none has.
func decode(s []byte) ([]byte, error) {
	return decodeInto(make([]byte, strictURL.DecodedLen(len(s))), s)
}

// decodeInto is decode into out, which has the length of the result.
func decodeInto(out, s []byte) ([]byte, error) {
	n, err := strictURL.Decode(out, s)
	if err != nil || n != len(out) || n == 0 || len(s)%4 == 1 {
		return nil, fmt.Errorf("%w: no canonical base64url", ErrSyntax)
	}
	return out, nil
}

var strictURL = base64.RawURLEncoding.Strict()

// String is the compact form; what [ParseJSON] read comes out as it was hashed
// for the key binding JWT.
func (s *SDJWT) String() string { return s.compact }

// VCT is the type that the credential claims to have, as the issuer's JWT has
// it; empty if it has none. It is not to be believed before [Verify].
func (s *SDJWT) VCT() string {
	v, _ := s.registered("vct").text()
	return v
}

// registered returns a member of the payload that the issuer may not hide, or
// nil. What came from a disclosure does not count.
func (s *SDJWT) registered(name string) *node {
	if m := s.root.find(name); m != nil && m.from == permanent {
		return m.value
	}
	return nil
}

// Unverified returns the processed payload of a credential that was verified
// when it was received and stored since. Whoever receives one uses [Verify].
// The error is [ErrDisclosure] or [ErrLimit].
//
// RFC 9901, 7.1.
func (s *SDJWT) Unverified() (*Payload, error) {
	if s.fit != nil {
		return nil, s.fit
	}
	return &Payload{s.root}, nil
}
