package mdoc

import (
	"context"
	"crypto"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
)

// Issuer is what a validated chain says about the document signer.
type Issuer struct {
	// Key is the public key of the first certificate.
	Key crypto.PublicKey
	// Name is for people, such as the issuer's common name.
	Name string
	// Country and Jurisdiction are C and ST of the signer's subject; empty if absent.
	Country, Jurisdiction string
	// NotBefore and NotAfter are the signer's certificate's.
	NotBefore, NotAfter time.Time
}

// ChainValidator validates an x5chain, which is not empty, for documents of
// the given type at a time, up to a trusted root. Its checks become part of
// the report; if one fails nothing else of the document is trusted.
// ISO/IEC 18013-5:2021, 9.3.3.
type ChainValidator func(chain [][]byte, docType string, now time.Time) (Issuer, check.Report)

// VerifyParams is what a verifier knows.
type VerifyParams struct {
	// Now is the time to verify at.
	Now time.Time
	// ValidateChain is required: without it the chain check fails.
	ValidateChain ChainValidator
	// DocType is the document type that was asked for; empty accepts any.
	DocType string
	// Transcript is the SessionTranscript that the verifier built itself; nil
	// leaves device authentication "not checked".
	Transcript []byte
	// EReaderKey is the reader's ephemeral private key; needed for deviceMac only.
	EReaderKey key.Agreer
	// RefuseLongValidity fails a document whose validUntil is past the
	// signer's notAfter, which is a warning otherwise: the standard's own
	// example does it. Second edition (draft v4), 12.8.1.
	RefuseLongValidity bool
	// RequireDeviceAuth fails when device authentication was not checked.
	RequireDeviceAuth bool
}

// Result is what a verified document says. Elements are there only if the
// issuer's signature, chain, digests, docType and validity held, device-signed
// elements only if device authentication held too.
type Result struct {
	DocType string
	Issuer  Issuer
	// IssuerVerified and DeviceVerified tell which half held.
	IssuerVerified, DeviceVerified bool
	// DeviceAuth is "signature", "mac" or empty if not checked.
	DeviceAuth string
	// NameSpaces are the issuer's elements that were returned.
	NameSpaces []NameSpace
	// DeviceSigned are the elements that the device vouches for.
	DeviceSigned []DeviceNameSpace
	// Validity and Status are the mobile security object's. Asking whether
	// the document was revoked is the caller's part.
	Validity Validity
	Status   *Status
}

// Verify checks a returned document: issuer data authentication, mdoc
// authentication, and what the mobile driving licence asks for in addition.
// Each step is a check of the report.
//
// ISO/IEC 18013-5:2021, 9.3.1 and 9.1.3; second edition (draft v4), 12.8.
func Verify(ctx context.Context, d *Document, p VerifyParams) (Result, check.Report) { panic("stub") }

// VerifyIssuerSigned checks what an issuer handed over: all of [Verify] but
// device authentication.
func VerifyIssuerSigned(s *IssuerSigned, p VerifyParams) (Result, check.Report) { panic("stub") }
