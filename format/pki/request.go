package pki

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/eidos-id/eidos/format/key"
)

// CreateRequest makes a PKCS #10 certificate request for the signer's key, for
// CAs that are kept offline, and returns its DER encoding.
// RFC 2986.
func CreateRequest(ctx context.Context, subject Name, dns []string, signer key.Signer) ([]byte, error) {
	if subject.CommonName == "" {
		return nil, fmt.Errorf("certificate request without common name: %w", ErrTemplate)
	}
	raw, err := subject.encode()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: raw, DNSNames: dns}, key.CryptoSigner(ctx, signer))
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return der, nil
}

// ParseRequest parses a DER or PEM request and verifies that its sender holds
// the private key (ErrSignature). Nothing of it is taken over into a
// certificate unless the caller puts it into a Template; NameOf helps.
func ParseRequest(data []byte) (*x509.CertificateRequest, error) {
	if len(data) > maxRequestSize {
		return nil, fmt.Errorf("certificate request of %d bytes: %w", len(data), ErrMalformed)
	}
	if block, rest := pem.Decode(data); block != nil {
		if block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("PEM block %q, or more than one: %w", block.Type, ErrMalformed)
		}
		data = block.Bytes
	}
	req, err := x509.ParseCertificateRequest(data)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w: %w", ErrMalformed, err)
	}
	if err := key.Check(req.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate request: %w: %w", ErrUnsupported, err)
	}
	if !verifyRaw(req.SignatureAlgorithm, req.RawTBSCertificateRequest, req.Signature, req.PublicKey) {
		return nil, fmt.Errorf("certificate request: %w", ErrSignature)
	}
	return req, nil
}
