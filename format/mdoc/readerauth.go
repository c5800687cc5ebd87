package mdoc

import (
	"crypto"

	"github.com/eidos-id/eidos/format/check"
)

// ReaderVerdict is what reader authentication came to. Whether the chain leads
// to a trusted reader CA is the caller's question.
type ReaderVerdict string

const (
	// ReaderNone: the request, or a part of it, is not signed.
	ReaderNone ReaderVerdict = "none"
	// ReaderValid: every signature verifies and every document is covered.
	ReaderValid ReaderVerdict = "valid"
	// ReaderInvalid: a signature is there and does not verify.
	ReaderInvalid ReaderVerdict = "invalid"
)

// ReaderAuthentication is the outcome of [VerifyReader].
type ReaderAuthentication struct {
	// Verdict is for the request as a whole.
	Verdict ReaderVerdict
	// Chain is the x5chain to show and to validate, DER, leaf first: that of
	// readerAuthAll if present, else that of the first signed document. nil
	// unless Verdict is [ReaderValid].
	Chain [][]byte
	// Documents are the verdicts by DocRequestID.
	Documents []ReaderVerdict
	// Report has one check per signature.
	Report check.Report
}

// VerifyReader verifies every reader signature in a request against the
// transcript that the mdoc app built itself. publicKey takes the key out of a
// DER certificate; nil means crypto/x509. All signatures must be by the same
// leaf certificate.
//
// ISO/IEC 18013-5:2021, 9.1.4; second edition (draft v4), 12.5.
func VerifyReader(req *DeviceRequest, transcript []byte, publicKey func(der []byte) (crypto.PublicKey, error)) ReaderAuthentication {
	panic("stub")
}
