package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// ParseCertificate parses one DER certificate of at most MaxCertificateSize
// bytes, with the result of crypto/x509. It refers to der. The error is
// ErrMalformed.
func ParseCertificate(der []byte) (*x509.Certificate, error) { return new(parser).certificate(der) }

// certificate is ParseCertificate with an empty parser.
func (p *parser) certificate(der []byte) (*x509.Certificate, error) {
	if err := checkSize(der); err != nil {
		return nil, err
	}
	if cert, ok := p.usual(der); ok {
		return cert, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w: %w", ErrMalformed, err)
	}
	return cert, nil
}

func checkSize(der []byte) error {
	if len(der) > MaxCertificateSize {
		return fmt.Errorf("certificate of %d bytes, more than %d: %w", len(der), MaxCertificateSize, ErrMalformed)
	}
	return nil
}

// checkSizes refuses a chain that is not worth looking at.
func checkSizes(der [][]byte) error {
	if len(der) == 0 || len(der) > MaxChainLength {
		return fmt.Errorf("chain of %d certificates, not 1 to %d: %w", len(der), MaxChainLength, ErrMalformed)
	}
	for i, d := range der {
		if err := checkSize(d); err != nil {
			return fmt.Errorf("chain, number %d: %w", i+1, err)
		}
	}
	return nil
}

// ParseChain parses the DER certificates of an x5chain or x5c, the signer's first.
// At most MaxChainLength are accepted.
func ParseChain(der [][]byte) ([]*x509.Certificate, error) { return new(parser).chain(der) }

// chain is ParseChain with an empty parser for the signer's certificate.
func (p *parser) chain(der [][]byte) ([]*x509.Certificate, error) {
	if err := checkSizes(der); err != nil {
		return nil, err
	}
	chain := make([]*x509.Certificate, len(der))
	for i, d := range der {
		if i > 0 {
			p = new(parser)
		}
		cert, err := p.certificate(d)
		if err != nil {
			return nil, fmt.Errorf("chain, number %d: %w", i+1, err)
		}
		chain[i] = cert
	}
	return chain, nil
}

// ParseBundle parses certificates in PEM (any number; other blocks, such as
// private keys, are refused) or one in DER.
func ParseBundle(data []byte) ([]*x509.Certificate, error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		cert, err := ParseCertificate(data)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{cert}, nil
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %q among certificates: %w", block.Type, ErrMalformed)
		}
		if len(certs) == maxBundle {
			return nil, fmt.Errorf("more than %d certificates: %w", maxBundle, ErrMalformed)
		}
		cert, err := ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("PEM after %d certificates: %w", len(certs), ErrMalformed)
	}
	return certs, nil
}

// EncodePEM returns certificates as PEM blocks.
func EncodePEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
