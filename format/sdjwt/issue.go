package sdjwt

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
)

// SD says whether a claim is selectively disclosable, in the words of type
// metadata. The zero value is [Allowed].
//
// SD-JWT VC draft 18, 4.6.4.
type SD string

// The three policies. [Issue] makes what is allowed disclosable, which tells
// less.
const (
	Always  SD = "always"
	Allowed SD = "allowed"
	Never   SD = "never"
)

// Node is a claim to be issued: a member of an object or an element of an
// array. It has a Value, Members or Elements; without any it is an error.
// Digests of disclosable parents cover what is in them, so that each node's
// policy holds on its own.
type Node struct {
	// Name is the member's; not used in arrays.
	Name string
	SD   SD
	// Value is a JSON value that is disclosed as a whole.
	Value json.RawMessage
	// Members make the claim an object, Elements an array. Of these each is
	// disclosable as its own SD says.
	Members  []Node
	Elements []Node
}

// IssueParams is what a credential is made of.
type IssueParams struct {
	VCT string
	// VCTIntegrity is the type metadata's, see [Integrity]; optional.
	VCTIntegrity string
	// AlsoVCTs are further types that the credential has; optional.
	AlsoVCTs []string
	// Issuer is "iss"; optional, since the certificate names the issuer.
	Issuer string
	// HolderKey is the key that the credential is bound to; nil binds it to
	// none.
	HolderKey crypto.PublicKey
	// The times are optional, in whole seconds; fractions are cut off.
	IssuedAt, NotBefore, Expires time.Time
	// Status is optional.
	Status *status.Claim
	// Claims are the others, in order. Their names must not be those of the
	// fields above.
	Claims []Node
	// DigestAlgorithm is "sha-256" if empty.
	DigestAlgorithm string
	// Decoys is how many digests of nothing each object and each array with
	// something disclosable gets in addition, so that their number says less;
	// in arrays they come last, so that positions stay. RFC 9901, 4.2.5.
	Decoys int
	// Digests is how many digests the payload itself has at least; decoys fill
	// it up, so that credentials of a type have equally many. Optional.
	Digests int
	// Chain is the x5c, DER, the signer's certificate first, without the root.
	// HAIP 1.0, 6.1.1.
	Chain [][]byte
}

// PreparedIssue is a credential that lacks only its signature.
type PreparedIssue struct {
	// ToBeSigned is the JWS Signing Input, to be signed with the issuer's key.
	ToBeSigned []byte

	disclosures []byte // each with a tilde before it
	size        int    // of the signature
}

// Issue makes a credential: fresh salts, disclosures, sorted digests, JWT,
// signature. It returns the compact form. Errors: [ErrSyntax] for parameters
// that the specifications forbid, [ErrLimit], [ErrUnsupported], [ErrKey], or
// the signer's.
//
// RFC 9901, 4; SD-JWT VC draft 18, 2.2.
func Issue(ctx context.Context, p IssueParams, signer key.Signer) (string, error) {
	prepared, err := PrepareIssue(p, signer.Public())
	if err != nil {
		return "", err
	}
	signature, err := signer.Sign(ctx, prepared.ToBeSigned)
	if err != nil {
		return "", fmt.Errorf("issuer signature: %w", err)
	}
	return prepared.Finish(signature)
}

// PrepareIssue is [Issue] up to the signature, which the holder of signer
// (the public key of Chain[0]) makes over ToBeSigned.
func PrepareIssue(p IssueParams, signer crypto.PublicKey) (*PreparedIssue, error) {
	alg, err := key.AlgorithmOf(signer)
	if err != nil {
		return nil, fmt.Errorf("issue %.128q: %w: %w", p.VCT, ErrKey, err)
	}
	if p.DigestAlgorithm == "" {
		p.DigestAlgorithm = "sha-256"
	}
	w := writer{decoys: p.Decoys, least: p.Digests}
	if w.hash, err = hashNamed(p.DigestAlgorithm); err == nil {
		err = p.check()
	}
	if err != nil {
		return nil, fmt.Errorf("issue %.128q: %w", p.VCT, err)
	}
	w.buf = make([]byte, 0, 4<<10)
	if err := w.payload(&p); err != nil {
		return nil, fmt.Errorf("issue %.128q: %w", p.VCT, err)
	}
	input, err := jose.Prepare(jose.Header{Alg: string(alg), Typ: Type, X5C: p.Chain}, w.buf)
	if err != nil {
		return nil, fmt.Errorf("issue %.128q: %w", p.VCT, err)
	}
	return &PreparedIssue{ToBeSigned: input, disclosures: w.out, size: signatureSize(alg)}, nil
}

// signatureSize is the length of a raw signature. RFC 7518, 3.4.
func signatureSize(alg key.Algorithm) int {
	switch alg {
	case key.ES384:
		return 96
	case key.ES512:
		return 132
	}
	return 64
}

// Finish puts the raw signature (r||s, or Ed25519) in and returns the compact
// form. It refuses a signature of another length than the algorithm has
// ([ErrKey]), but does not verify it.
func (p *PreparedIssue) Finish(signature []byte) (string, error) {
	if len(signature) != p.size {
		return "", fmt.Errorf("issuer signature: %w: %d bytes, the algorithm has %d", ErrKey, len(signature), p.size)
	}
	jwt := jose.Finish(p.ToBeSigned, signature)
	out := make([]byte, 0, len(jwt)+len(p.disclosures)+1)
	return string(append(append(append(out, jwt...), p.disclosures...), '~')), nil
}

// check refuses what must not be signed.
func (p *IssueParams) check() error {
	switch {
	case p.VCT == "":
		return fmt.Errorf("%w: no vct (SD-JWT VC draft 18, 2.2.2.1)", ErrSyntax)
	case len(p.Chain) == 0:
		return fmt.Errorf("%w: no certificate for x5c (HAIP 1.0, 6.1.1)", ErrSyntax)
	case p.Status != nil && p.Status.IsEmpty():
		return fmt.Errorf("%w: status without a reference", ErrSyntax)
	case p.Decoys < 0 || p.Decoys > DefaultLimits().Disclosures:
		return fmt.Errorf("%w: %d decoys", ErrLimit, p.Decoys)
	case p.Digests < 0 || p.Digests > DefaultLimits().Disclosures:
		return fmt.Errorf("%w: %d digests", ErrLimit, p.Digests)
	case slices.Contains(p.AlsoVCTs, p.VCT) || slices.Contains(p.AlsoVCTs, ""):
		return fmt.Errorf("%w: an empty type, or vct itself, among the further types (SD-JWT VC draft 18, 2.2.2.2)", ErrSyntax)
	case !p.Expires.IsZero() && (!p.Expires.After(p.IssuedAt) || !p.Expires.After(p.NotBefore)):
		return fmt.Errorf("%w: exp is not after iat and nbf", ErrSyntax)
	}
	for _, t := range [...]time.Time{p.IssuedAt, p.NotBefore, p.Expires} {
		if !t.IsZero() && t.Unix() < 1 {
			return fmt.Errorf("%w: a time before 1970", ErrSyntax)
		}
	}
	if p.VCTIntegrity != "" {
		if _, _, err := strongest(p.VCTIntegrity); err != nil {
			return err
		}
	}
	if u, err := url.Parse(p.VCT); err == nil && u.Scheme == "http" {
		return fmt.Errorf("%w: vct with http, which proves no name (SD-JWT VC draft 18, 4.3.1)", ErrSyntax)
	}
	for i := range p.Claims {
		if name := p.Claims[i].Name; isRegistered(name) || name == "iat" {
			return fmt.Errorf("%w: claim %q has a field of its own", ErrSyntax, name)
		}
	}
	return nil
}

// payload writes the payload into w.buf.
func (w *writer) payload(p *IssueParams) error {
	w.buf = append(w.buf, '{')
	w.buf = appendString(append(w.buf, `"vct":`...), p.VCT)
	w.text("vct#integrity", p.VCTIntegrity)
	if len(p.AlsoVCTs) > 0 {
		for i, vct := range p.AlsoVCTs {
			if i == 0 {
				w.buf = append(w.buf, `,"aka_vcts":[`...)
			} else {
				w.buf = append(w.buf, ',')
			}
			w.buf = appendString(w.buf, vct)
		}
		w.buf = append(w.buf, ']')
	}
	w.text("iss", p.Issuer)
	w.date("iat", p.IssuedAt)
	w.date("nbf", p.NotBefore)
	w.date("exp", p.Expires)
	if p.HolderKey != nil {
		jwk, err := jose.JWK{Key: p.HolderKey}.MarshalJSON()
		if err != nil {
			return fmt.Errorf("holder key: %w: %w", ErrKey, err)
		}
		w.buf = append(append(append(w.buf, `,"cnf":{"jwk":`...), jwk...), '}')
	}
	if p.Status != nil {
		text, err := p.Status.MarshalJSON()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		w.buf = append(append(w.buf, `,"status":`...), text...)
	}
	w.buf = append(w.buf, ',')
	if err := w.members(p.Claims, 1); err != nil {
		return err
	}
	if w.disclosures > 0 {
		w.buf = append(append(w.buf, `,"_sd_alg":`...), strconv.Quote(w.hash.name)...)
	}
	w.buf = append(bytes.TrimSuffix(w.buf, []byte(",")), '}')
	return nil
}

func (w *writer) text(name, value string) {
	if value != "" {
		w.buf = append(appendString(append(w.buf, ','), name), ':')
		w.buf = appendString(w.buf, value)
	}
}

func (w *writer) date(name string, t time.Time) {
	if !t.IsZero() {
		w.buf = append(appendString(append(w.buf, ','), name), ':')
		w.buf = strconv.AppendInt(w.buf, t.Unix(), 10)
	}
}
