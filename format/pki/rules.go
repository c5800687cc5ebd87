package pki

import (
	"crypto/x509"
	"time"
)

// presence says whether a profile wants a field.
type presence uint8

const (
	optional presence = iota
	required
	forbidden
)

const (
	day    = 24 * time.Hour
	annexB = "ISO/IEC 18013-5 second edition (draft v4), "
)

// rules is one column of the profile tables.
type rules struct {
	clause   string // of the column; every check of the column cites it
	standard bool   // false: ours
	ca       bool
	self     bool // issuer = subject
	link     bool // leads from a CA's old key to its new one
	country  presence
	org      presence
	maxValid time.Duration
	usage    x509.KeyUsage
	ekus     []string // any one of them suffices; the first is the one required of ours; all are written
	ekuForm  bool     // a missing EKU does not decide about trust (no standard demands it)
	aki      presence
	ian      presence
	crldp    presence
	dns      presence // dNSName in subjectAltName
	edKeys   bool     // Ed25519 subject keys are allowed
	sameC    bool     // C, and ST if both have one, equal those of the CA (B.1.1)
}

// rulesOf is the table of profiles. It is a function so that nothing can
// change it while the program runs.
func rulesOf(p Profile) (rules, bool) {
	const caUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	leaf := rules{usage: x509.KeyUsageDigitalSignature, aki: required, maxValid: 1187 * day, edKeys: true}
	switch p {
	case IACARoot:
		return rules{clause: annexB + "B.1.2", standard: true, ca: true, self: true, country: required,
			maxValid: 20*365*day + 5*day, usage: caUsage, ian: required}, true
	case IACALink:
		return rules{clause: annexB + "B.1.3", standard: true, ca: true, link: true, country: required,
			maxValid: 20*365*day + 5*day, usage: caUsage, aki: required, ian: required, crldp: required, sameC: true}, true
	case DocumentSigner:
		r := leaf
		r.clause, r.standard, r.country, r.maxValid = annexB+"B.1.4", true, required, 457*day
		r.ekus, r.ian, r.crldp, r.sameC = []string{oidMDLDS, oidMdocDS}, required, required, true
		return r, true
	case JWSSigner:
		r := leaf
		r.clause, r.standard, r.country, r.maxValid = "ISO/IEC 18013-5:2021, Annex B, JWS signer certificate", true, required, 457*day
		r.ekus, r.ian, r.crldp, r.sameC, r.edKeys = []string{oidMDLJWS}, required, required, true, false
		return r, true
	case ReaderAuth:
		r := leaf
		r.clause, r.standard, r.crldp = annexB+"B.1.5", true, required
		r.ekus = []string{oidMDLReader, oidMdocRead}
		return r, true
	case Verifier:
		r := leaf
		r.clause, r.dns = annexB+"B.1.5 with a dNSName for OpenID4VP 1.0, 5.9.3", required
		r.ekus, r.ekuForm = []string{oidMDLReader, oidMdocRead}, true
		return r, true
	case StatusSigner:
		r := leaf
		r.clause, r.standard, r.edKeys = annexB+"B.1.7", true, false
		return r, true
	case VICALSigner:
		r := leaf
		r.clause, r.standard, r.country, r.org, r.edKeys = annexB+"C.1.7.2", true, required, required, false
		r.usage, r.crldp, r.ekus = x509.KeyUsageContentCommitment, required, []string{oidMDLVICAL, oidMdocVICAL}
		return r, true
	case RICALSigner:
		r := leaf
		r.clause, r.standard, r.country, r.org, r.edKeys = annexB+"F.3.5", true, required, required, false
		r.usage, r.crldp = x509.KeyUsageContentCommitment, required
		return r, true
	case ReaderCA, ServiceCA:
		return rules{clause: annexB + "B.1.2, as far as it suits a CA that issues no document signers", ca: true, self: true,
			maxValid: 20*365*day + 5*day, usage: caUsage}, true
	case CALink:
		return rules{clause: annexB + "B.1.3, as far as it suits a CA that issues no document signers", ca: true, link: true,
			maxValid: 20*365*day + 5*day, usage: caUsage, aki: required, sameC: true}, true
	case WalletProvider, TrustListSigner, CredentialSigner:
		r := leaf
		r.clause = annexB + "B.1.7, taken over"
		return r, true
	}
	return rules{}, false
}
