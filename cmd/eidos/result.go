package main

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// resultFlag is in every command that says what it has done.
type resultFlag struct {
	JSON bool `help:"Print the result as JSON."`
}

// say prints v for scripts, or a sentence for people.
func (f resultFlag) say(m *machine, v any, format string, args ...any) error {
	if f.JSON {
		return m.json(v)
	}
	_, err := fmt.Fprintf(m.out, format+"\n", args...)
	return err
}

// made is a key, a certificate or a file that a command has made; what there
// is none of is absent.
type made struct {
	File        string          `json:"file,omitempty"`
	Key         string          `json:"key,omitempty"` // id
	Certificate *certificateOut `json:"certificate,omitempty"`
}

// certificateOut is a certificate for scripts.
type certificateOut struct {
	Name      string    `json:"name"`
	Serial    string    `json:"serial"` // hex
	KeyID     string    `json:"keyId"`  // hex
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	CRL       string    `json:"crl,omitempty"` // of the certificate's issuer
}

func shownCertificate(cert *x509.Certificate) *certificateOut {
	if cert == nil {
		return nil
	}
	c := &certificateOut{
		Name: cert.Subject.CommonName, Serial: hex.EncodeToString(cert.SerialNumber.Bytes()), KeyID: hex.EncodeToString(cert.SubjectKeyId),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
	}
	if len(cert.CRLDistributionPoints) > 0 {
		c.CRL = cert.CRLDistributionPoints[0]
	}
	return c
}
