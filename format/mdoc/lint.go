package mdoc

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strconv"

	"github.com/eidos-id/eidos/format/check"
)

// Lint looks at an encoded IssuerSigned as a careful issuer does before
// release. It verifies the signature and every digest with the certificate in
// the document, but no chain. Its failures are what a strict verifier would
// stumble over or what would weaken the holder's privacy.
//
// ISO/IEC 18013-5:2021, 9.1.2; second edition (draft v4), 12.3.
func Lint(issuerSigned []byte) check.Report {
	var l linter
	s, err := ParseIssuerSigned(issuerSigned)
	if err != nil {
		l.report.Fail("structure", "ISO/IEC 18013-5:2021, 8.3.2.1.2.2", err.Error(), "do not release it")
		return l.report
	}
	l.report.Pass("structure", "ISO/IEC 18013-5:2021, 8.3.2.1.2.2", strconv.Itoa(len(issuerSigned))+" bytes")
	l.signed, l.mso = s, &s.Auth.MSO
	l.chain()
	l.signature()
	l.digests()
	l.salts()
	l.identifiers()
	l.dates()
	l.deviceKey()
	l.status()
	return l.report
}

type linter struct {
	signed *IssuerSigned
	mso    *MobileSecurityObject
	signer *x509.Certificate // nil if there is none
	report check.Report
}

const lintAdvice = "correct what issues it; do not release it"

// verdict records a check that passes when wrong is empty.
func (l *linter) verdict(name, clause, wrong string) {
	if wrong != "" {
		l.report.Fail(name, clause, wrong, lintAdvice)
		return
	}
	l.report.Pass(name, clause, "")
}

func (l *linter) chain() {
	chain := l.signed.Auth.Sign1.X5Chain
	wrong := ""
	switch {
	case len(chain) == 0:
		wrong = "no x5chain"
	case l.signed.Auth.Sign1.X5ChainProtected:
		wrong = "x5chain in the protected header"
	}
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			wrong = fmt.Sprintf("certificate %d: %v", i, err)
			break
		}
		if i == 0 {
			l.signer = cert
		}
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
			wrong = fmt.Sprintf("certificate %d is a self-signed root", i)
		}
	}
	l.verdict("x5chain", clauseMSO, wrong)
}

func (l *linter) signature() {
	if l.signer == nil {
		l.report.Skip("issuer signature", clauseMSO, "no certificate")
		return
	}
	wrong := ""
	if err := l.signed.Auth.Sign1.Verify(l.signer.PublicKey, nil, nil); err != nil {
		wrong = err.Error()
	}
	l.verdict("issuer signature", clauseMSO, wrong)
}

func (l *linter) digests() {
	v := verification{params: &VerifyParams{}, signed: l.signed, mso: l.mso}
	v.digests()
	l.report.Add("", v.report)
	wrong := ""
	for _, ns := range l.mso.ValueDigests {
		if len(ns.Digests) == 0 {
			wrong = fmt.Sprintf("no digest in name space %.128q", ns.Name)
		}
	}
	if len(l.mso.ValueDigests) == 0 {
		wrong = "no name space"
	}
	l.verdict("value digests", clauseMSO, wrong)
}

// salts: 16 bytes at least, a fresh one for each element.
func (l *linter) salts() {
	wrong := ""
	seen := make(map[[sha256.Size]byte]bool)
	for _, ns := range l.signed.NameSpaces {
		for _, item := range ns.Items {
			sum := sha256.Sum256(item.Random)
			switch {
			case len(item.Random) < 16:
				wrong = fmt.Sprintf("%s/%s: %d bytes, at least 16", ns.Name, item.ID, len(item.Random))
			case seen[sum]:
				wrong = fmt.Sprintf("%s/%s: the same as another element's", ns.Name, item.ID)
			}
			seen[sum] = true
		}
	}
	l.verdict("salts", clauseDigest, wrong)
}

// identifiers: digest identifiers in the order of the elements tell the
// elements that were not shown apart.
func (l *linter) identifiers() {
	ordered := false
	for _, ns := range l.mso.ValueDigests {
		for _, d := range ns.Digests {
			if d.ID > maxDigestID {
				l.report.Fail("digest identifiers", clauseMSO, fmt.Sprintf("%d is not smaller than 2^31", d.ID), "draw smaller numbers")
				return
			}
		}
	}
	for _, ns := range l.signed.NameSpaces {
		rising := len(ns.Items) >= 8 // by chance less than once in 40000
		for i := 1; i < len(ns.Items); i++ {
			rising = rising && ns.Items[i].DigestID > ns.Items[i-1].DigestID
		}
		ordered = ordered || rising
	}
	if ordered {
		l.report.Warn("digest identifiers", clauseMSO, "in the order of the elements", "shuffle them anew for each document, so that they correlate with nothing")
		return
	}
	l.report.Pass("digest identifiers", clauseMSO, "")
}

func (l *linter) dates() {
	w := &l.mso.Validity
	wrong := ""
	if !l.mso.plainTimes {
		wrong = "a date with a fraction of a second or without Z"
	}
	l.verdict("date format", clauseMSO, wrong)
	wrong = ""
	switch {
	case w.ValidFrom.Before(w.Signed):
		wrong = "validFrom before signed"
	case !w.ValidUntil.After(w.ValidFrom):
		wrong = "validUntil not after validFrom"
	}
	l.verdict("validity order", clauseMSO, wrong)
	if l.signer == nil {
		l.report.Skip("validity within signer's", clauseLong, "no certificate")
		return
	}
	wrong = ""
	switch {
	case w.ValidUntil.After(l.signer.NotAfter):
		wrong = "validUntil " + date(w.ValidUntil) + " after the signer's " + date(l.signer.NotAfter)
	case w.Signed.Before(l.signer.NotBefore):
		wrong = "signed " + date(w.Signed) + " before the signer's " + date(l.signer.NotBefore)
	}
	l.verdict("validity within signer's", clauseLong, wrong)
}

func (l *linter) deviceKey() {
	wrong := ""
	if _, err := l.mso.DevicePublicKey(); err != nil {
		wrong = err.Error()
	}
	l.verdict("device key", clauseMSO, wrong)
	wrong = ""
	if err := l.mso.KeyAuthorizations.check(); err != nil {
		wrong = err.Error()
	}
	l.verdict("key authorizations", clauseMSO, wrong)
}

func (l *linter) status() {
	s := l.mso.Status
	if s == nil {
		l.report.Skip("status", clauseStatus, "none: the document cannot be revoked")
		return
	}
	wrong := ""
	switch {
	case s.List == nil && s.Identifier == nil:
		wrong = "no mechanism that is known here"
	case s.List != nil && s.List.URI == "", s.Identifier != nil && s.Identifier.URI == "":
		wrong = "no address"
	}
	l.verdict("status", clauseStatus, wrong)
}
