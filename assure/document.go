package assure

import (
	"context"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/statuslist"
)

// StatusChecker finds out what status lists say about a document;
// *statuslist.Fetcher is one. See StatusTrust for whom it should believe.
type StatusChecker interface {
	Check(ctx context.Context, q statuslist.Question, now time.Time) (statuslist.Verdict, check.Report)
}

// DocumentParams is what a verifier knows. Now and Anchors are required.
type DocumentParams struct {
	Now     time.Time
	Anchors *Anchors

	DocType           string     // that was asked for; empty accepts any
	Transcript        []byte     // of the session, built by the verifier; nil leaves device authentication "not checked"
	EReaderKey        key.Agreer // the reader's ephemeral key; for a device MAC only
	RequireDeviceAuth bool

	// Strict fails the deviations that otherwise warn: of the signer's
	// certificate from its profile, and validUntil past its end.
	Strict            bool
	CRLs              []*pki.CRL
	RequireRevocation bool // fail if the signer's revocation state is undetermined

	// Status asks for the document's own status; nil leaves it "not checked".
	Status StatusChecker
	// RequireStatus fails a document that names status lists of which nothing
	// could be found out. Otherwise that is a warning: on-site, both sides may
	// be offline. A document that names none is as valid as its dates say.
	RequireStatus bool

	// Policy is what the relying party wants beyond that.
	Policy Policy

	// KeyBinding is what the key binding JWT of an SD-JWT VC has to say; nil
	// leaves it "not checked". MaxAge is five minutes if zero.
	KeyBinding *sdjwt.KeyBindingParams
}

// Document is a verified document.
type Document struct {
	mdoc.Result
	Signer Signer // of the issuer's data; zero unless the chain was in order

	// Revocation is what status lists say; its Outcome is empty if the
	// document names none or nobody asked.
	Revocation statuslist.Verdict
}

// VerifyDocument verifies one returned document to one report: chain and
// anchor, signature, digests, document type, dates, device authentication,
// status and policy. A document that fails any of it hands out no elements.
//
// ISO/IEC 18013-5:2021, 9.3; second edition (draft v4), 12.8 and 12.3.6.
func VerifyDocument(ctx context.Context, d *mdoc.Document, p DocumentParams) (Document, check.Report) {
	var doc Document
	result, report := mdoc.Verify(ctx, d, p.mdoc(&doc.Signer))
	doc.Result = result
	p.status(ctx, &doc, &report)
	if report.OK() {
		p.Policy.check(seen{p.Now, doc.Validity.Signed, doc.Issuer.Country, doc.Signer.Anchor, doc.Revocation}, &report)
	}
	if !report.OK() {
		doc.NameSpaces, doc.DeviceSigned = nil, nil
	}
	return doc, report
}

// VerifyIssued verifies what an issuer handed over, without device
// authentication: for the mdoc app that takes it in.
//
// ISO/IEC 18013-5:2021, 9.3.1; second edition (draft v4), 12.8.1.
func VerifyIssued(ctx context.Context, s *mdoc.IssuerSigned, p DocumentParams) (Document, check.Report) {
	var doc Document
	result, report := mdoc.VerifyIssuerSigned(s, p.mdoc(&doc.Signer))
	doc.Result = result
	p.status(ctx, &doc, &report)
	return doc, report
}

func (p *DocumentParams) mdoc(signer *Signer) mdoc.VerifyParams {
	o := ChainOptions{Strict: p.Strict, CRLs: p.CRLs, RequireRevocation: p.RequireRevocation}
	return mdoc.VerifyParams{
		Now: p.Now, DocType: p.DocType, Transcript: p.Transcript, EReaderKey: p.EReaderKey,
		RefuseLongValidity: p.Strict, RequireDeviceAuth: p.RequireDeviceAuth,
		ValidateChain: p.Anchors.IssuerChain(o, signer),
	}
}

// IssuerChain is VerifyChain for issuers in the form that package mdoc wants.
// The signer found is also left in *found, unless that is nil.
func (a *Anchors) IssuerChain(o ChainOptions, found *Signer) mdoc.ChainValidator {
	return func(chain [][]byte, docType string, now time.Time) (mdoc.Issuer, check.Report) {
		o := o
		o.DocType = docType
		signer, report := a.VerifyChain(chain, trustlist.Issuer, now, o)
		if !report.OK() {
			return mdoc.Issuer{}, report
		}
		if found != nil {
			*found = signer
		}
		s := &signer.Path.Signer
		return mdoc.Issuer{
			Key: s.Key, Name: signer.Organisation(), Country: s.Country, Jurisdiction: s.State,
			NotBefore: s.NotBefore, NotAfter: s.NotAfter,
		}, report
	}
}

// status asks for the document's status and puts the answer in place of the
// report's "revocation status".
func (p *DocumentParams) status(ctx context.Context, doc *Document, report *check.Report) {
	if doc.Status == nil || !doc.IssuerVerified {
		return // mdoc.Verify has said what there is to say
	}
	q := statuslist.Question{Claim: *doc.Status, MSO: true, Issuer: doc.Signer.Path.Chain}
	doc.Revocation = p.askStatus(ctx, true, q, report)
	if !report.OK() {
		doc.NameSpaces = nil
	}
}

// askStatus asks, if anybody wants to know, and puts the answer in place of the
// report's "revocation status". named says whether the document names lists.
func (p *DocumentParams) askStatus(ctx context.Context, named bool, q statuslist.Question, report *check.Report) statuslist.Verdict {
	if !named || p.Status == nil && !p.RequireStatus {
		return statuslist.Verdict{}
	}
	const name = "revocation status"
	report.Checks = slices.DeleteFunc(report.Checks, func(c check.Check) bool { return c.Name == name })
	unknown := report.Warn
	if p.RequireStatus {
		unknown = report.Fail
	}
	const advice = "try again with a connection, or decide without"
	if p.Status == nil {
		unknown(name, clauseStatus, "no way to fetch status lists", advice)
		return statuslist.Verdict{}
	}
	verdict, found := p.Status.Check(ctx, q, p.Now)
	if verdict.Outcome == statuslist.Unknown {
		if !p.RequireStatus { // a list that cannot be relied on says nothing, as if it were not to be had
			found = soften(found)
		}
		report.Add("status list", found)
		unknown(name, clauseStatus, "nothing is known, see the checks of the status list", advice)
		return verdict
	}
	report.Add("status list", found)
	if verdict.Outcome == statuslist.Valid {
		report.Pass(name, clauseStatus, string(verdict.Outcome))
	} else {
		report.Fail(name, clauseStatus, string(verdict.Outcome), "the issuer has withdrawn the document; do not accept it")
	}
	return verdict
}

// soften makes warnings of failures that policy leaves to people.
func soften(r check.Report) check.Report {
	soft := check.Report{Checks: slices.Clone(r.Checks)}
	for i := range soft.Checks {
		if soft.Checks[i].Outcome == check.Fail {
			soft.Checks[i].Outcome = check.Warn
		}
	}
	return soft
}
