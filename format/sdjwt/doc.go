// Package sdjwt is the SD-JWT VC: how an issuing authority signs it, how its
// holder presents parts of it, and how a verifier checks what it was shown.
// It follows RFC 9901 (SD-JWT), SD-JWT VC draft 18 and what HAIP 1.0 asks of
// both.
//
// Four people use it:
//
//   - the issuer calls [Issue] (or [PrepareIssue] when the signature is made
//     elsewhere) with a tree of [Node], and publishes [TypeMetadata];
//   - the holder calls [Parse] and [VerifyIssued] on what it receives; later
//     [Select] with the stored text and the paths agreed to, then
//     [Presentation.Sign];
//   - the verifier calls [Parse] or [ParseJSON] and [Verify], which returns a
//     report of named checks, and reads the [Payload];
//   - holder and verifier call [ResolveType] and [TypeMetadata.Check] where
//     they hold a credential to the rules of its type.
//
// The JWT and the disclosures are kept as they were received and never encoded
// again. Times are passed in; nothing here fetches anything.
package sdjwt

import "errors"

// The errors of this package, to be found with errors.Is. Each comes wrapped
// in a sentence that says where and what was seen. Errors of package jose are
// wrapped beside them.
var (
	// ErrSyntax: not the structure that RFC 9901 or SD-JWT VC prescribes.
	ErrSyntax = errors.New("malformed SD-JWT")
	// ErrLimit: larger, longer or deeper than the limits allow.
	ErrLimit = errors.New("SD-JWT exceeds a limit")
	// ErrDisclosure: disclosures and digests do not fit together.
	ErrDisclosure = errors.New("disclosures do not fit the digests (RFC 9901, 7.1)")
	// ErrUnsupported: a hash algorithm that is not one of ours.
	ErrUnsupported = errors.New("algorithm not supported")
	// ErrNoClaim: a path selects nothing, or leads through what is no object
	// or array.
	ErrNoClaim = errors.New("path selects no claim")
	// ErrKey: the key is not the one, or not of the kind, that is needed here.
	ErrKey = errors.New("unsuitable key")
	// ErrMetadata: type metadata that breaks a rule of SD-JWT VC.
	ErrMetadata = errors.New("type metadata not valid")
	// ErrIntegrity: a document is not the one that its integrity value names.
	ErrIntegrity = errors.New("document does not match its integrity value")
)

// The media types in the "typ" headers: of the SD-JWT VC (SD-JWT VC draft 18,
// 2.2.1), of the same before November 2024, and of the key binding JWT
// (RFC 9901, 4.3).
const (
	Type           = "dc+sd-jwt"
	typeFormer     = "vc+sd-jwt"
	typeKeyBinding = "kb+jwt"
)

// Limits bounds what the parsers accept, before any signature is looked at.
// A zero field takes its value from [DefaultLimits].
type Limits struct {
	// Bytes is the size of the whole as received. Default 4 MiB.
	Bytes int
	// Disclosures bounds their number. Default 1024.
	Disclosures int
	// Depth bounds the nesting of objects and arrays, disclosures put in
	// place. Default 16.
	Depth int
	// Members bounds the members and array elements of payload and disclosures
	// together, digests included. Default 10 000.
	Members int
}

// DefaultLimits are the limits where none are given.
func DefaultLimits() Limits {
	return Limits{Bytes: 4 << 20, Disclosures: 1024, Depth: 16, Members: 10_000}
}

// or fills the zero fields of l from the defaults.
func (l Limits) or() Limits {
	d := DefaultLimits()
	for _, f := range []struct {
		v *int
		d int
	}{
		{&l.Bytes, d.Bytes}, {&l.Disclosures, d.Disclosures}, {&l.Depth, d.Depth}, {&l.Members, d.Members},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return l
}
