package mdoc

import (
	"context"
	"crypto"
	"crypto/subtle"
	"fmt"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
)

// Issuer is what a validated chain says about the document signer.
type Issuer struct {
	// Key is the public key of the first certificate.
	Key crypto.PublicKey
	// Name is for people, such as the issuer's common name.
	Name string
	// Country and Jurisdiction are C and ST of the signer's subject; empty if absent.
	Country, Jurisdiction string
	// NotBefore and NotAfter are the signer's certificate's.
	NotBefore, NotAfter time.Time
}

// ChainValidator validates an x5chain, which is not empty, for documents of
// the given type at a time, up to a trusted root. Its checks become part of
// the report; if one fails nothing else of the document is trusted.
// ISO/IEC 18013-5:2021, 9.3.3.
type ChainValidator func(chain [][]byte, docType string, now time.Time) (Issuer, check.Report)

// VerifyParams is what a verifier knows.
type VerifyParams struct {
	// Now is the time to verify at.
	Now time.Time
	// ValidateChain is required: without it the chain check fails.
	ValidateChain ChainValidator
	// DocType is the document type that was asked for; empty accepts any.
	DocType string
	// Transcript is the SessionTranscript that the verifier built itself; nil
	// leaves device authentication "not checked".
	Transcript []byte
	// EReaderKey is the reader's ephemeral private key; needed for deviceMac only.
	EReaderKey key.Agreer
	// RefuseLongValidity fails a document whose validUntil is past the
	// signer's notAfter, which is a warning otherwise: the standard's own
	// example does it. Second edition (draft v4), 12.8.1.
	RefuseLongValidity bool
	// RequireDeviceAuth fails when device authentication was not checked.
	RequireDeviceAuth bool
}

// Result is what a verified document says. Elements are there only if no check
// of the report failed, device-signed elements only if device authentication
// was checked too.
type Result struct {
	DocType string
	Issuer  Issuer
	// IssuerVerified tells that issuer data authentication held,
	// DeviceVerified that mdoc authentication held as well.
	IssuerVerified, DeviceVerified bool
	// DeviceAuth is "signature", "mac" or empty if not checked.
	DeviceAuth string
	// NameSpaces are the issuer's elements that were returned.
	NameSpaces []NameSpace
	// DeviceSigned are the elements that the device vouches for.
	DeviceSigned []DeviceNameSpace
	// Validity and Status are the mobile security object's. Asking whether
	// the document was revoked is the caller's part.
	Validity Validity
	Status   *status.Claim
}

// The clauses that the checks cite.
const (
	clauseChain     = "ISO/IEC 18013-5:2021, 9.3.3"
	clauseIssuer    = "ISO/IEC 18013-5:2021, 9.3.1"
	clauseMSO       = "ISO/IEC 18013-5:2021, 9.1.2.4"
	clauseDigest    = "ISO/IEC 18013-5:2021, 9.1.2.5"
	clauseLong      = "ISO/IEC 18013-5 second edition (draft v4), 12.8.1"
	clauseElements  = "ISO/IEC 18013-5:2021, 7.2.1"
	clauseDevice    = "ISO/IEC 18013-5:2021, 9.1.3"
	clauseMAC       = "ISO/IEC 18013-5:2021, 9.1.3.5"
	clauseSignature = "ISO/IEC 18013-5:2021, 9.1.3.6"
	clauseStatus    = "ISO/IEC 18013-5 second edition (draft v4), 12.3.6"
)

// Verify checks a returned document: issuer data authentication, mdoc
// authentication, and what the mobile driving licence asks for in addition.
// Each step is a check of the report. ctx is for EReaderKey.
//
// ISO/IEC 18013-5:2021, 9.3.1 and 9.1.3; second edition (draft v4), 12.8.
func Verify(ctx context.Context, d *Document, p VerifyParams) (Result, check.Report) {
	v := verification{params: &p, signed: &d.IssuerSigned, mso: &d.IssuerSigned.Auth.MSO}
	v.report.Checks = make([]check.Check, 0, usualChecks)
	v.issuerData(d.DocType)
	issuerOK := v.report.OK()
	v.deviceData(ctx, d)
	v.status()
	return v.result(d, issuerOK), v.report
}

// VerifyIssuerSigned checks what an issuer handed over: all of [Verify] but
// device authentication.
//
// ISO/IEC 18013-5:2021, 9.3.1; second edition (draft v4), 12.8.
func VerifyIssuerSigned(s *IssuerSigned, p VerifyParams) (Result, check.Report) {
	v := verification{params: &p, signed: s, mso: &s.Auth.MSO}
	v.report.Checks = make([]check.Check, 0, usualChecks)
	v.issuerData(v.mso.DocType)
	issuerOK := v.report.OK()
	v.status()
	return v.result(nil, issuerOK), v.report
}

// usualChecks is how many checks a report has, those of the chain included.
const usualChecks = 20

// verification is one run of [Verify].
type verification struct {
	params     *VerifyParams
	signed     *IssuerSigned
	mso        *MobileSecurityObject
	issuer     Issuer
	deviceAuth string // "signature" or "mac" once it verified
	report     check.Report
}

// issuerData is issuer data authentication, in the order of the clause.
//
// ISO/IEC 18013-5:2021, 9.3.1.
func (v *verification) issuerData(docType string) {
	v.chain()          // 1. the certificate of the document signer
	v.signature()      // 2. the signature over the mobile security object
	v.digests()        // 3. the digest of each returned element
	v.docType(docType) // 4. the document type
	v.validity()       // 5. the dates
	v.signerNames()    // what the elements say of the issuer: 7.2.1
}

func (v *verification) chain() {
	const name = "issuer chain"
	chain := v.signed.Auth.Sign1.X5Chain
	switch {
	case len(chain) == 0:
		v.report.Fail(name, clauseMSO, "no x5chain in issuerAuth", "the issuer must include the document signer's certificate")
		return
	case v.params.ValidateChain == nil:
		v.report.Fail(name, clauseChain, "no trust anchors to validate with", "give the issuing authority certificates to trust")
		return
	}
	issuer, rep := v.params.ValidateChain(chain, v.mso.DocType, v.params.Now)
	v.issuer = issuer
	v.report.Add(name, rep)
	if rep.OK() && issuer.Key == nil {
		v.report.Fail(name, clauseChain, "validated without a key", "this is a defect of the validator of chains")
	}
}

func (v *verification) signature() {
	const name = "issuer signature"
	if v.issuer.Key == nil {
		v.report.Skip(name, clauseMSO, "the signer's key is not known, see the chain")
		return
	}
	if err := v.signed.Auth.Sign1.Verify(v.issuer.Key, nil, nil); err != nil {
		v.report.Fail(name, clauseMSO, err.Error(), "the document was changed after it was issued, or was not issued by this signer")
		return
	}
	v.report.Pass(name, clauseMSO, v.signed.Auth.Sign1.Alg.String())
}

// digests compares each returned element with the mobile security object. An
// identifier that the name space does not have is as wrong as a digest that differs.
func (v *verification) digests() {
	const name = "element digest"
	const advice = "the element was changed, or belongs to another document; do not use it"
	count, bad := 0, false
	large := uint64(0) // a digestID that the standard does not allow
	var buf [64]byte
	digest := buf[:digestSize(v.mso.DigestAlgorithm)]
	for i := range v.signed.NameSpaces {
		ns := &v.signed.NameSpaces[i]
		expected := newDigestIndex(v.mso.digests(ns.Name))
		for j := range ns.Items {
			item := &ns.Items[j]
			count++
			if item.DigestID > maxDigestID {
				large = item.DigestID
			}
			want := expected.find(item.DigestID)
			if want == nil {
				bad = true
				v.report.Fail(name, clauseDigest, fmt.Sprintf("%s/%s: the issuer signed no digest %d in this name space", ns.Name, item.ID, item.DigestID), advice)
				continue
			}
			sum(v.mso.DigestAlgorithm, digest, item.Raw)
			if subtle.ConstantTimeCompare(digest, want) != 1 {
				bad = true
				v.report.Fail(name, clauseDigest, fmt.Sprintf("%s/%s: differs from digest %d that the issuer signed", ns.Name, item.ID, item.DigestID), advice)
				continue
			}
			if expected.used(item.DigestID) {
				bad = true
				v.report.Fail(name, clauseDigest, fmt.Sprintf("%s/%s: digest %d stands for two elements", ns.Name, item.ID, item.DigestID), advice)
			}
		}
	}
	if !bad {
		v.report.Pass(name, clauseDigest, strconv.Itoa(count)+" elements, "+v.mso.DigestAlgorithm)
	}
	if large != 0 {
		v.report.Warn("digest identifier", clauseMSO, fmt.Sprintf("%d is not smaller than 2^31", large), "the issuer should draw smaller numbers; nothing else is wrong with it")
	}
}

func (v *verification) docType(docType string) {
	const name = "document type"
	switch {
	case v.mso.DocType != docType:
		v.report.Fail(name, clauseIssuer, fmt.Sprintf("the document says %.128q, the issuer signed %.128q", docType, v.mso.DocType), "the document was changed; do not use it")
	case v.params.DocType != "" && v.params.DocType != docType:
		v.report.Fail(name, clauseIssuer, fmt.Sprintf("%.128q, asked for was %.128q", docType, v.params.DocType), "ask again for the document that is needed")
	default:
		v.report.Pass(name, clauseIssuer, docType)
	}
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// validity looks at the dates of the mobile security object, against the clock
// and against the signer's certificate.
func (v *verification) validity() {
	w, now := &v.mso.Validity, v.params.Now
	if !v.mso.plainTimes {
		v.report.Warn("date format", clauseMSO, "a date with a fraction of a second or without Z", "the issuer should write dates in UTC to the second")
	}
	if w.ValidFrom.Before(w.Signed) || !w.ValidUntil.After(w.ValidFrom) {
		v.report.Fail("validity order", clauseMSO, "not signed <= validFrom < validUntil", "the issuer must correct the document's dates")
	}
	signed := date(w.Signed)
	switch {
	case v.issuer.NotAfter.IsZero():
		v.report.Skip("signing date", clauseIssuer, "the signer's certificate is not known, see the chain")
	case w.Signed.Before(v.issuer.NotBefore) || w.Signed.After(v.issuer.NotAfter):
		v.report.Fail("signing date", clauseIssuer, signed+", the signer's certificate is for "+date(v.issuer.NotBefore)+" to "+date(v.issuer.NotAfter), "the document was not signed with a current certificate; ask the holder to update it")
	default:
		v.report.Pass("signing date", clauseIssuer, signed)
	}
	from := signed
	if !w.ValidFrom.Equal(w.Signed) {
		from = date(w.ValidFrom)
	}
	if now.Before(w.ValidFrom) {
		v.report.Fail("valid from", clauseIssuer, from+", now is "+date(now), "the document is not valid yet")
	} else {
		v.report.Pass("valid from", clauseIssuer, from)
	}
	if now.After(w.ValidUntil) {
		v.report.Fail("valid until", clauseIssuer, date(w.ValidUntil)+", now is "+date(now), "the document has expired; ask the holder to update it")
	} else {
		v.report.Pass("valid until", clauseIssuer, date(w.ValidUntil))
	}
	if !v.issuer.NotAfter.IsZero() && w.ValidUntil.After(v.issuer.NotAfter) {
		seen := date(w.ValidUntil) + ", the signer's certificate ends " + date(v.issuer.NotAfter)
		const advice = "the issuer should end a document before its signer's certificate"
		if v.params.RefuseLongValidity {
			v.report.Fail("validity within signer's", clauseLong, seen, advice)
		} else {
			v.report.Warn("validity within signer's", clauseLong, seen, advice)
		}
	}
}

// signerNames compares issuing_country and issuing_jurisdiction of a mobile
// driving licence with the certificate of its signer, where they were returned.
func (v *verification) signerNames() {
	if v.issuer.Key == nil {
		return
	}
	for _, c := range []struct{ element, attribute, value string }{
		{"issuing_country", "C", v.issuer.Country},
		{"issuing_jurisdiction", "ST", v.issuer.Jurisdiction},
	} {
		item := v.signed.Item(ElementRef{NameSpaceMDL, c.element})
		if item == nil || c.value == "" && c.attribute == "ST" {
			continue
		}
		r := cbor.NewReader(item.Value)
		got := r.Text()
		if r.Done() != nil || got != c.value {
			v.report.Fail(c.element, clauseElements, fmt.Sprintf("%.16q, the signer's certificate has %s=%.16q", got, c.attribute, c.value), "the document was signed by another authority than it names")
			continue
		}
		v.report.Pass(c.element, clauseElements, got)
	}
}

// status says where revocation is published; asking is the caller's part.
func (v *verification) status() {
	const name = "revocation status"
	s := v.mso.Status
	switch {
	case s == nil:
		v.report.Skip(name, clauseStatus, "the document names no status list")
	case s.List != nil:
		v.report.Skip(name, clauseStatus, "status list "+s.List.URI) // without the index, which no other document has
	case s.Identifier != nil:
		v.report.Skip(name, clauseStatus, "identifier list "+s.Identifier.URI)
	default:
		v.report.Skip(name, clauseStatus, "the document names a mechanism that is not known here")
	}
}

// result hands out what was verified, and nothing else.
func (v *verification) result(d *Document, issuerOK bool) Result {
	res := Result{DocType: v.mso.DocType, Issuer: v.issuer, IssuerVerified: issuerOK,
		Validity: v.mso.Validity, Status: v.mso.Status}
	if !v.report.OK() {
		return res
	}
	res.NameSpaces = make([]NameSpace, len(v.signed.NameSpaces))
	for i := range v.signed.NameSpaces {
		from := &v.signed.NameSpaces[i]
		ns := NameSpace{Name: from.Name, Elements: make([]Element, len(from.Items))}
		for j := range from.Items {
			ns.Elements[j] = Element{ID: from.Items[j].ID, Value: from.Items[j].Value}
		}
		res.NameSpaces[i] = ns
	}
	if d != nil && v.deviceAuth != "" {
		res.DeviceVerified, res.DeviceAuth, res.DeviceSigned = true, v.deviceAuth, d.DeviceSigned.NameSpaces
	}
	return res
}
