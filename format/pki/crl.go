package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
)

// Revocation is the state of a certificate after its revocation list.
// ISO/IEC 18013-5 second edition (draft v4), B.3.
type Revocation string

// The states. A list that could not be had leaves the state undetermined.
const (
	Good         Revocation = "good"
	Revoked      Revocation = "revoked"
	Undetermined Revocation = "undetermined"
)

// RevokedCertificate is one entry of a revocation list.
type RevokedCertificate struct {
	SerialNumber *big.Int
	At           time.Time
}

// CRLTemplate is what IssueCRL needs to know.
type CRLTemplate struct {
	Issuer     *x509.Certificate
	Number     *big.Int // grows with every list of this issuer
	ThisUpdate time.Time
	NextUpdate time.Time // at most 90 days after ThisUpdate
	Revoked    []RevokedCertificate
}

// IssueCRL makes a complete version 2 list and returns its DER encoding.
// ISO/IEC 18013-5 second edition (draft v4), B.2.
func IssueCRL(ctx context.Context, t CRLTemplate, signer key.Signer) ([]byte, error) {
	return nil, errors.New("pki: not written yet")
}

// CRL is a parsed revocation list. Its signature is checked when it is used
// against its issuer, see Check.
type CRL struct {
	list    *x509.RevocationList
	revoked map[string]time.Time
}

// ParseCRL parses one DER revocation list of at most MaxCRLSize bytes. Delta
// and indirect lists and entry extensions that are critical are refused.
func ParseCRL(der []byte) (*CRL, error) { return nil, ErrMalformed }

// Check looks a certificate up. The list must be of the certificate's issuer,
// signed by it and current; otherwise the state is undetermined and the
// report says why.
func (c *CRL) Check(cert, issuer *x509.Certificate, now time.Time) (Revocation, check.Report) {
	return Undetermined, check.Report{}
}
