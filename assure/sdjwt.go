package assure

import (
	"context"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/statuslist"
)

// SDJWT is a verified SD-JWT VC.
type SDJWT struct {
	sdjwt.Result
	Signer     Signer             // zero unless the chain was in order
	Revocation statuslist.Verdict // as in Document
}

// VerifyIssuedSDJWT verifies what an issuer handed over: chain and anchor,
// signature, type, dates, disclosures and status. Of the parameters those about
// the device and its session are not used; DocType is the vct.
//
// RFC 9901, 7.1; SD-JWT VC draft 18, 2.4 and 2.5; HAIP 1.0, 6.1.1.
func VerifyIssuedSDJWT(ctx context.Context, s *sdjwt.SDJWT, p DocumentParams) (SDJWT, check.Report) {
	var out SDJWT
	var report check.Report
	out.Result, report = sdjwt.VerifyIssued(s, sdjwt.VerifyParams{
		Now: p.Now, VCT: p.DocType, ValidateChain: p.Anchors.credentialChain(p, &out.Signer),
	})
	if report.OK() {
		var claim status.Claim
		if out.Status != nil {
			claim = *out.Status
		}
		out.Revocation = p.askStatus(ctx, out.Status != nil, statuslist.Question{Claim: claim, Issuer: out.Signer.Path.Chain}, &report)
		if !report.OK() {
			out.Payload = nil
		}
	}
	return out, report
}

// credentialChain is VerifyChain for issuers in the form that package sdjwt
// wants. The signer found is left in *found.
func (a *Anchors) credentialChain(p DocumentParams, found *Signer) sdjwt.ChainValidator {
	return func(chain [][]byte, vct string, now time.Time) (sdjwt.Issuer, check.Report) {
		signer, report := a.VerifyChain(chain, trustlist.Issuer, now, ChainOptions{
			Profile: pki.CredentialSigner, DocType: vct, Strict: p.Strict, CRLs: p.CRLs, RequireRevocation: p.RequireRevocation,
		})
		if !report.OK() {
			return sdjwt.Issuer{}, report
		}
		*found = signer
		s := &signer.Path.Signer
		return sdjwt.Issuer{
			Key: s.Key, Name: signer.Organisation(), Country: s.Country, Jurisdiction: s.State, NotBefore: s.NotBefore, NotAfter: s.NotAfter,
		}, report
	}
}
