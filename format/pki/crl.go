package pki

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
)

const (
	clauseB2       = annexB + "B.2"
	maxCRLLifetime = 90 * day // a new list at least that often
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
// Errors are ErrTemplate or what the signer returned.
// ISO/IEC 18013-5 second edition (draft v4), B.2.
func IssueCRL(ctx context.Context, t CRLTemplate, signer key.Signer) ([]byte, error) {
	switch life := t.NextUpdate.Sub(t.ThisUpdate); {
	case t.Issuer == nil || t.Issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return nil, fmt.Errorf("revocation list: issuer may not sign one: %w", ErrTemplate)
	case !key.Equal(signer.Public(), t.Issuer.PublicKey):
		return nil, fmt.Errorf("revocation list: the signer's key is not that of the issuer certificate: %w", ErrTemplate)
	case t.Number == nil || t.Number.Sign() < 0 || t.Number.BitLen() > 159:
		return nil, fmt.Errorf("revocation list: number missing or negative or longer than 20 octets: %w", ErrTemplate)
	case life <= 0 || life > maxCRLLifetime:
		return nil, fmt.Errorf("revocation list: next update %.1f days after this one, not within 90 (%s): %w", life.Hours()/24, clauseB2, ErrTemplate)
	}
	list := &x509.RevocationList{Number: t.Number, ThisUpdate: t.ThisUpdate.UTC().Truncate(time.Second), NextUpdate: t.NextUpdate.UTC().Truncate(time.Second)}
	for _, r := range t.Revoked {
		if r.SerialNumber == nil {
			return nil, fmt.Errorf("revocation list: entry without serial number: %w", ErrTemplate)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.SerialNumber, RevocationTime: r.At.UTC().Truncate(time.Second),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, t.Issuer, key.CryptoSigner(ctx, signer))
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	return der, nil
}

// CRL is a parsed revocation list. Its signature is checked when it is used
// against its issuer, see Check. It is immutable.
type CRL struct {
	list    *x509.RevocationList
	revoked map[string]time.Time // by the big-endian bytes of the serial number
}

// ParseCRL parses one DER revocation list of at most MaxCRLSize bytes.
// Critical extensions, such as those of delta and indirect lists, are refused
// with ErrUnsupported.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > MaxCRLSize {
		return nil, fmt.Errorf("revocation list of %d bytes: %w", len(der), ErrMalformed)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w: %w", ErrMalformed, err)
	}
	for _, e := range list.Extensions {
		if e.Critical {
			return nil, fmt.Errorf("revocation list: critical extension %v: %w", e.Id, ErrUnsupported)
		}
	}
	c := &CRL{list: list, revoked: make(map[string]time.Time, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return nil, fmt.Errorf("revocation list: critical entry extension %v: %w", e.Id, ErrUnsupported)
			}
		}
		c.revoked[string(entry.SerialNumber.Bytes())] = entry.RevocationTime
	}
	return c, nil
}

// Len is the number of revoked certificates.
func (c *CRL) Len() int { return len(c.revoked) }

// Number is the list's CRL number, nil if it has none.
func (c *CRL) Number() *big.Int { return c.list.Number }

// ThisUpdate is when the list was issued.
func (c *CRL) ThisUpdate() time.Time { return c.list.ThisUpdate }

// NextUpdate is when the list stops being current.
func (c *CRL) NextUpdate() time.Time { return c.list.NextUpdate }

// Check looks a certificate up. The list must be of the certificate's issuer,
// signed by it and current; otherwise the state is undetermined and the
// report says why. An entry of a list past its next update still revokes.
func (c *CRL) Check(cert, issuer *x509.Certificate, now time.Time) (Revocation, check.Report) {
	var r check.Report
	state, seen := c.lookUp(cert, issuer, now)
	switch state {
	case Good:
		r.Pass("revocation", clauseCRL, seen)
	case Revoked:
		r.Fail("revocation", clauseCRL, seen, "do not accept what it signed")
	default:
		r.Skip("revocation", clauseCRL, seen)
	}
	return state, r
}

// lookUp asks each list of the issuer; one that knows the certificate as
// revoked decides, then one that is current.
func lookUp(lists []*CRL, cert, issuer *x509.Certificate, now time.Time) (Revocation, string) {
	state, seen := Undetermined, "no revocation list of the issuer at hand"
	for _, c := range lists {
		if !bytes.Equal(c.list.RawIssuer, issuer.RawSubject) {
			continue
		}
		s, why := c.lookUp(cert, issuer, now)
		if s == Revoked {
			return s, why
		}
		if state == Undetermined {
			state, seen = s, why
		}
	}
	return state, seen
}

func (c *CRL) lookUp(cert, issuer *x509.Certificate, now time.Time) (Revocation, string) {
	aki := c.list.AuthorityKeyId
	switch {
	case !bytes.Equal(c.list.RawIssuer, issuer.RawSubject), !bytes.Equal(cert.RawIssuer, issuer.RawSubject):
		return Undetermined, "the list is of another issuer"
	case len(aki) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(aki, issuer.SubjectKeyId):
		return Undetermined, "the list is of another key of the issuer"
	case issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return Undetermined, "the issuer may not sign revocation lists"
	case !signatureAllowed(c.list.SignatureAlgorithm),
		!verifyRaw(c.list.SignatureAlgorithm, c.list.RawTBSRevocationList, c.list.Signature, issuer.PublicKey):
		return Undetermined, "the list's signature does not verify"
	}
	if at, ok := c.revoked[string(cert.SerialNumber.Bytes())]; ok {
		return Revoked, "revoked " + at.UTC().Format(time.RFC3339)
	}
	switch {
	case now.Before(c.list.ThisUpdate):
		return Undetermined, "the list is from the future"
	case c.list.NextUpdate.IsZero() || now.After(c.list.NextUpdate):
		return Undetermined, "the list is past its next update"
	}
	return Good, "not on the issuer's list"
}
