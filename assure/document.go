package assure

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
)

const clauseStatus = "ISO/IEC 18013-5 second edition (draft v4), 12.3.6"

// ListTrust validates the chain of a status list token and returns the key
// that its signature has to verify with. The key counts only if the report is OK.
type ListTrust func(chain [][]byte) (crypto.PublicKey, check.Report)

// StatusFunc finds out what a status list says about one document; package
// statuslist has one with a cache. The Status counts only if the report is OK.
// An error means that the list could not be had, which is no statement about
// the document.
type StatusFunc func(ctx context.Context, claim status.Claim, trust ListTrust, now time.Time) (status.Status, check.Report, error)

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
	Status StatusFunc
	// RequireStatus fails a document whose status could not be found out.
	// Otherwise that is a warning: on-site, both sides may be offline.
	RequireStatus bool
}

// Document is a verified document.
type Document struct {
	mdoc.Result
	Signer Signer // of the issuer's data; zero unless the chain was in order

	// StatusKnown says that Status was found out.
	StatusKnown bool
	Status      status.Status
}

// VerifyDocument verifies one returned document to one report: chain and
// anchor, signature, digests, document type, dates, device authentication and
// status. A document whose status is not valid hands out no elements.
//
// ISO/IEC 18013-5:2021, 9.3; second edition (draft v4), 12.8 and 12.3.6.
func VerifyDocument(ctx context.Context, d *mdoc.Document, p DocumentParams) (Document, check.Report) {
	var doc Document
	result, report := mdoc.Verify(ctx, d, p.mdoc(&doc.Signer))
	doc.Result = result
	p.status(ctx, &doc, &report)
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
		cert := signer.Certificate()
		return mdoc.Issuer{
			Key: cert.PublicKey, Name: signer.Anchor.Name,
			Country: firstOf(cert.Subject.Country...), Jurisdiction: firstOf(cert.Subject.Province...),
			NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		}, report
	}
}

// status asks for the document's status and puts the answer in place of the
// report's "revocation status".
func (p *DocumentParams) status(ctx context.Context, doc *Document, report *check.Report) {
	if doc.Result.Status == nil || p.Status == nil && !p.RequireStatus || !doc.IssuerVerified {
		return // mdoc.Verify has said what there is to say
	}
	const name = "revocation status"
	kept := report.Checks[:0]
	for _, c := range report.Checks {
		if c.Name != name {
			kept = append(kept, c)
		}
	}
	report.Checks = kept

	unknown := report.Warn
	if p.RequireStatus {
		unknown = report.Fail
	}
	const advice = "try again with a connection, or decide without"
	if p.Status == nil {
		unknown(name, clauseStatus, "no way to fetch status lists", advice)
		return
	}
	claim := claimOf(doc.Result.Status)
	state, rep, err := p.Status(ctx, claim, p.Anchors.StatusTrust(doc.Signer, claim, p.Now), p.Now)
	switch {
	case err != nil:
		unknown(name, clauseStatus, err.Error(), advice)
	case !rep.OK(): // a list that does not verify says nothing, as if it were not to be had
		if !p.RequireStatus {
			rep = soften(rep)
		}
		report.Add("status list", rep)
		unknown(name, clauseStatus, "the status list cannot be relied on", advice)
	default:
		report.Add("status list", rep)
		doc.StatusKnown, doc.Status = true, state
		if state == status.Valid {
			report.Pass(name, clauseStatus, state.String())
			break
		}
		report.Fail(name, clauseStatus, state.String(), "the issuer has withdrawn the document; do not accept it")
	}
	if !report.OK() {
		doc.NameSpaces, doc.DeviceSigned = nil, nil
	}
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

func claimOf(s *mdoc.Status) status.Claim {
	var c status.Claim
	if s.List != nil {
		c.List = &status.ListReference{Index: s.List.Index, URI: s.List.URI, Certificate: s.List.Certificate}
	}
	if s.Identifier != nil {
		c.Identifier = &status.IdentifierReference{ID: s.Identifier.ID, URI: s.Identifier.URI, Certificate: s.Identifier.Certificate}
	}
	return c
}

// StatusTrust says whose status lists are believed about a signer's documents.
// If the document names a certificate, that is the trust point. Otherwise the
// list's chain has to end under the CA that issued the document signer, or
// under an anchor for status lists.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.3.6.
func (a *Anchors) StatusTrust(signer Signer, claim status.Claim, now time.Time) ListTrust {
	var named []byte
	switch {
	case claim.List != nil && claim.List.Certificate != nil:
		named = claim.List.Certificate
	case claim.Identifier != nil:
		named = claim.Identifier.Certificate
	}
	return func(chain [][]byte) (crypto.PublicKey, check.Report) {
		var r check.Report
		certs, err := pki.ParseChain(chain)
		if err != nil {
			r.Fail("status list signer", clauseStatus, err.Error(), "the list has to carry its signer's chain")
			return nil, r
		}
		pools, err := a.statusPools(signer, named)
		if err != nil {
			r.Fail("status list signer", clauseStatus, err.Error(), "ask the issuer of the document")
			return nil, r
		}
		for _, pool := range pools {
			path, rep := pki.VerifyChain(certs, pool, pki.VerifyOptions{Now: now, Profile: pki.StatusSigner})
			if rep.OK() {
				return path.Signer().PublicKey, rep
			}
			if len(r.Checks) == 0 {
				r = rep
			}
		}
		return nil, r
	}
}

// statusPools lists the sets of anchors to try, the most particular first.
func (a *Anchors) statusPools(signer Signer, named []byte) ([]*pki.Pool, error) {
	if named != nil {
		cert, err := pki.ParseCertificate(named)
		if err != nil {
			return nil, fmt.Errorf("the document's trust point for its status: %w", err)
		}
		return []*pki.Pool{pki.NewPool(cert).WithExact(cert)}, nil
	}
	var pools []*pki.Pool
	switch {
	case signer.Path.Exact: // nobody issued it that we know: it may sign its lists itself
		pools = append(pools, pki.NewPool().WithExact(signer.Path.Anchor))
	case len(signer.Path.Chain) > 1:
		pools = append(pools, pki.NewPool(signer.Path.Chain[1]))
	case signer.Path.Anchor != nil:
		pools = append(pools, pki.NewPool(signer.Path.Anchor))
	}
	if pool := a.Pool(trustlist.Status); pool.Len() > 0 {
		pools = append(pools, pool)
	}
	if len(pools) == 0 {
		return nil, errors.New("nobody is trusted for status lists")
	}
	return pools, nil
}

// Standing is what a holder can be told about the reader that asks.
type Standing string

// The standings. Only ReaderForged is a failure; the others are for the holder
// to judge.
const (
	ReaderAnonymous Standing = "anonymous" // it did not say who it is
	ReaderUnknown   Standing = "unknown"   // it proved a name that nobody here vouches for
	ReaderTrusted   Standing = "trusted"   // a trusted CA vouches for the name
	ReaderForged    Standing = "forged"    // a signature is wrong
)

// Reader is who asks.
type Reader struct {
	Standing Standing
	Name     string            // of the certificate; empty if anonymous or forged
	Signer   Signer            // only if trusted
	Leaf     *x509.Certificate // what it showed; nil if anonymous or forged
}

const clauseReader = "ISO/IEC 18013-5:2021, 9.1.4"

// VerifyReaderAuth verifies who sent a request. Its report fails only for a
// forged signature; what keeps a reader unknown are warnings.
//
// ISO/IEC 18013-5:2021, 9.1.4; second edition (draft v4), 12.5 and 12.8.3.
func VerifyReaderAuth(req *mdoc.DeviceRequest, transcript []byte, anchors *Anchors, now time.Time, o ChainOptions) (Reader, check.Report) {
	auth := mdoc.VerifyReader(req, transcript, nil)
	report := auth.Report
	switch auth.Verdict {
	case mdoc.ReaderNone:
		return Reader{Standing: ReaderAnonymous}, report
	case mdoc.ReaderValid:
	default:
		return Reader{Standing: ReaderForged}, report
	}
	reader := Reader{Standing: ReaderUnknown}
	for i, chain := range append([][][]byte{auth.Chain}, auth.Others...) {
		signer, rep := anchors.VerifyChain(chain, trustlist.Reader, now, o)
		if rep.OK() {
			report.Add("reader chain", rep)
			cert := signer.Certificate()
			return Reader{Standing: ReaderTrusted, Name: readerName(cert), Signer: signer, Leaf: cert}, report
		}
		report.Add("reader chain", soften(rep))
		if i == 0 {
			leaf, err := pki.ParseCertificate(chain[0])
			if err != nil { // mdoc.VerifyReader took its key out of it
				report.Fail("reader certificate", clauseReader, err.Error(), "treat the reader as unknown")
				return Reader{Standing: ReaderForged}, report
			}
			reader.Leaf, reader.Name = leaf, readerName(leaf)
		}
	}
	return reader, report
}

// readerName is what to show: the organisation if the certificate names one.
func readerName(cert *x509.Certificate) string {
	return firstOf(firstOf(cert.Subject.Organization...), cert.Subject.CommonName)
}
