package assure

import (
	"context"
	"strconv"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/statuslist"
)

// SDJWT is a verified SD-JWT VC.
type SDJWT struct {
	sdjwt.Result
	Signer     Signer             // zero unless the chain was in order
	Revocation statuslist.Verdict // as in Document
}

// VerifySDJWT verifies one presentation to one report: chain and anchor,
// signature, type, dates, disclosures, key binding, status and policy. A
// presentation that fails any of it hands out no payload. Of the parameters,
// those about the mdoc's device and session are not used; DocType is the vct.
// "iss" is not compared with the certificate: it names a service, the
// certificate an authority.
//
// RFC 9901, 7.3; SD-JWT VC draft 18, 2.4 and 2.5; HAIP 1.0, 6.1.1.
func VerifySDJWT(ctx context.Context, s *sdjwt.SDJWT, p DocumentParams) (SDJWT, check.Report) {
	var out SDJWT
	var report check.Report
	params := p.sdjwt(&out.Signer)
	params.Skew, params.KeyBinding = skew, p.KeyBinding
	out.Result, report = sdjwt.Verify(s, params)
	p.credential(ctx, &out, &report)
	if report.OK() {
		signed := out.IssuedAt
		if signed.IsZero() {
			signed = out.NotBefore
		}
		p.Policy.check(seen{p.Now, signed, out.Issuer.Country, out.Signer.Anchor, out.Revocation}, &report)
	}
	if !report.OK() {
		out.Payload, out.HolderVerified, out.Transactions, out.KeyBinding = nil, false, sdjwt.TransactionHashes{}, nil
	}
	return out, report
}

// VerifyIssuedSDJWT verifies what an issuer handed over, without key binding and
// policy: for the mdoc app that takes it in.
//
// RFC 9901, 7.1; SD-JWT VC draft 18, 2.4 and 2.5; HAIP 1.0, 6.1.1.
func VerifyIssuedSDJWT(ctx context.Context, s *sdjwt.SDJWT, p DocumentParams) (SDJWT, check.Report) {
	var out SDJWT
	var report check.Report
	out.Result, report = sdjwt.VerifyIssued(s, p.sdjwt(&out.Signer))
	p.credential(ctx, &out, &report)
	if !report.OK() {
		out.Payload = nil
	}
	return out, report
}

// skew is how far the clock of who presents may be ahead.
const skew = time.Minute

func (p *DocumentParams) sdjwt(signer *Signer) sdjwt.VerifyParams {
	return sdjwt.VerifyParams{
		Now: p.Now, VCT: p.DocType, ValidateChain: p.Anchors.credentialChain(*p, signer),
	}
}

// credential asks for the status of a credential that is in order so far, and
// compares the country it names with its signer's.
func (p *DocumentParams) credential(ctx context.Context, out *SDJWT, report *check.Report) {
	if !report.OK() {
		return
	}
	var claim status.Claim
	if out.Status != nil {
		claim = *out.Status
	}
	out.Revocation = p.askStatus(ctx, out.Status != nil, statuslist.Question{Claim: claim, Issuer: out.Signer.Path.Chain}, report)
	named, err := out.Payload.Select(sdjwt.Path{"issuing_country"})
	if country := out.Issuer.Country; err == nil && len(named) == 1 && country != "" && string(named[0].Value) != strconv.Quote(country) {
		report.Warn("issuing_country", "ISO/IEC 18013-5:2021, 7.2.1", "the signer's certificate has C="+country,
			"the document was signed by an authority of another country than it names; decide whether that may be")
	}
}

// credentialChain is VerifyChain for issuers in the form that package sdjwt
// wants. The signer found is left in *found.
func (a *Anchors) credentialChain(p DocumentParams, found *Signer) sdjwt.ChainValidator {
	validate := a.IssuerChain(ChainOptions{
		Profile: pki.CredentialSigner, Strict: p.Strict, CRLs: p.CRLs, RequireRevocation: p.RequireRevocation,
	}, found)
	return func(chain [][]byte, vct string, now time.Time) (sdjwt.Issuer, check.Report) {
		issuer, report := validate(chain, vct, now)
		return sdjwt.Issuer(issuer), report
	}
}
