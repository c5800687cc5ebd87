package pki

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/eidos-id/eidos/format/key"
)

// CreateRequest makes a PKCS #10 certificate request for the signer's key, for
// CAs that are kept offline, and returns its DER encoding.
// RFC 2986.
func CreateRequest(ctx context.Context, subject Name, dns []string, signer key.Signer) ([]byte, error) {
	return nil, errors.New("pki: not written yet")
}

// ParseRequest parses a DER or PEM request and verifies that its sender holds
// the private key. Nothing of it is taken over into a certificate unless the
// caller puts it into a Template.
func ParseRequest(data []byte) (*x509.CertificateRequest, error) { return nil, ErrMalformed }

// NameOf is the part of a parsed request's or certificate's subject that a
// Name can hold.
func NameOf(raw []byte) (Name, error) { return Name{}, ErrMalformed }
