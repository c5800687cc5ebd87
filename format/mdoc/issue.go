package mdoc

import (
	"context"
	"crypto"

	"github.com/eidos-id/eidos/format/key"
)

// IssueParams is what a document is made of.
type IssueParams struct {
	DocType    string
	NameSpaces []NameSpace
	// DeviceKey is the key that the document is bound to: *ecdsa.PublicKey,
	// ed25519.PublicKey or *ecdh.PublicKey.
	DeviceKey crypto.PublicKey
	// Validity is written in UTC without fractions of a second, which are cut off.
	Validity Validity
	// Status is optional.
	Status *Status
	// DigestAlgorithm is [SHA256] if empty.
	DigestAlgorithm string
	// KeyAuthorizations is optional.
	KeyAuthorizations KeyAuthorizations
	// Decoys is how many digests of nothing each name space gets in addition,
	// so that their number says less. Second edition (draft v4), E.9.5.
	Decoys int
	// Chain is the x5chain, DER, the document signer's certificate first,
	// without the root.
	Chain [][]byte
	// X5T writes the SHA-256 thumbprint of the signer's certificate into the
	// protected header. Second edition (draft v4), 12.3.4.
	X5T bool
}

// NameSpace is one name space of a document to be issued. Without elements it
// gets a decoy digest and stays out of the issued nameSpaces.
type NameSpace struct {
	Name     string
	Elements []Element
}

// Element is one data element: of a document to be issued, or of a result.
type Element struct {
	ID string
	// Value is one encoded CBOR item.
	Value []byte
}

// PreparedIssue is a document that lacks only its signature.
type PreparedIssue struct {
	// ToBeSigned is the Sig_structure to be signed with the document signer's key.
	ToBeSigned []byte
}

// Issue makes a document: fresh salts, shuffled digest identifiers, digests,
// mobile security object, signature. It returns the encoded [IssuerSigned],
// maps in the order of the CDDL. Errors: [ErrSyntax] for parameters that the
// standard forbids, [ErrKey], or the signer's.
//
// ISO/IEC 18013-5:2021, 9.1.2.
func Issue(ctx context.Context, p IssueParams, signer key.Signer) ([]byte, error) {
	panic("stub")
}

// PrepareIssue is [Issue] up to the signature, which the holder of signer
// (the public key of Chain[0]) makes over ToBeSigned.
func PrepareIssue(p IssueParams, signer crypto.PublicKey) (*PreparedIssue, error) { panic("stub") }

// Finish puts the raw signature (r||s, or Ed25519) in and returns the encoded
// [IssuerSigned]. It may be called once.
func (p *PreparedIssue) Finish(signature []byte) ([]byte, error) { panic("stub") }
