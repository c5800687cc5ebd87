package pki

import (
	"crypto/x509"
	"io/fs"
)

// ParseCertificate parses one DER certificate of at most MaxCertificateSize bytes.
func ParseCertificate(der []byte) (*x509.Certificate, error) { return nil, ErrMalformed }

// ParseChain parses the DER certificates of an x5chain or x5c, the signer's first.
// At most MaxChainLength are accepted.
func ParseChain(der [][]byte) ([]*x509.Certificate, error) { return nil, ErrMalformed }

// ParseBundle parses certificates in PEM (any number; other blocks are
// refused) or one in DER.
func ParseBundle(data []byte) ([]*x509.Certificate, error) { return nil, ErrMalformed }

// LoadBundle reads the certificates of a PEM or DER file or, if name is a
// directory, of all its *.pem, *.crt, *.cer and *.der files in name order.
func LoadBundle(fsys fs.FS, name string) ([]*x509.Certificate, error) { return nil, ErrMalformed }

// EncodePEM returns certificates as PEM blocks.
func EncodePEM(certs ...*x509.Certificate) []byte { return nil }
