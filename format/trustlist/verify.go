package trustlist

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
)

// VerifyOptions say against what a list is verified. Now and Anchors are required.
type VerifyOptions struct {
	Now     time.Time
	Anchors *pki.Pool // of list signers

	// Above are CA certificates between the signer and an anchor that the
	// list does not carry itself; lists in the field leave them out.
	Above []*x509.Certificate

	// CRLs and Strict are as in pki.VerifyOptions. Strict also fails a list
	// that is past its next update, and entries that deviate.
	CRLs   []*pki.CRL
	Strict bool

	// After refuses a list with an issue or sequence number below it: an
	// older list played back. Zero accepts any.
	After uint64
}

// chain validates the signer's chain for a profile. The report is appended to r.
func (o *VerifyOptions) chain(r *check.Report, der [][]byte, p pki.Profile) (pki.Path, bool) {
	if len(der) == 1 {
		for _, above := range o.Above {
			der = append(der[:len(der):len(der)], above.Raw)
		}
	}
	path, rep := pki.VerifyDER(der, o.Anchors, pki.VerifyOptions{Now: o.Now, Profile: p, CRLs: o.CRLs, Strict: o.Strict})
	r.Add("signer chain", rep)
	return path, rep.OK()
}

// Verify says whether the list may be used: the signer's chain, the signature,
// the dates, and how its entries look. If the report is OK, Entries with a
// Certificate can be trusted for their DocTypes.
// ISO/IEC 18013-5 second edition (draft v4), C.1.8.
func (v *VICAL) Verify(o VerifyOptions) check.Report {
	var r check.Report
	if v.signed == nil {
		r.Fail("signature", clauseUse, "the list was not parsed but built", "parse it")
		return r
	}
	if path, ok := o.chain(&r, v.signed.X5Chain, pki.VICALSigner); ok {
		if err := v.signed.Verify(path.Signer.Key, nil, nil); err != nil {
			r.Fail("signature", clauseUse, err.Error(), "the list was changed after it was signed; fetch it again")
		} else {
			r.Pass("signature", clauseUse, v.signed.Alg.String())
		}
	} else {
		r.Skip("signature", clauseUse, "the signer is not trusted, see its chain")
	}
	v.dates(&r, o)
	if v.IssueID < o.After {
		r.Fail("issue", clauseVICAL, fmt.Sprintf("number %d, after %d", v.IssueID, o.After), "an older list came back; fetch it from its provider")
	}
	v.entries(&r, o.Strict)
	return r
}

func (v *VICAL) dates(r *check.Report, o VerifyOptions) {
	r.Pass("issued", clauseVICAL, v.Date.UTC().Format(time.RFC3339))
	if v.Date.After(o.Now.Add(clockSkew)) {
		r.Fail("issued", clauseUse, v.Date.UTC().Format(time.RFC3339), "the list is from the future; check the clock")
	}
	if !v.NotAfter.IsZero() && o.Now.After(v.NotAfter) {
		r.Fail("not after", clauseUse, v.NotAfter.UTC().Format(time.RFC3339), "the list has expired; fetch a newer one")
	}
	const advice = "fetch a newer list"
	switch seen := v.NextUpdate.UTC().Format(time.RFC3339); {
	case v.NextUpdate.IsZero():
		r.Skip("next update", clauseUse, "the list names none")
	case !o.Now.After(v.NextUpdate):
		r.Pass("next update", clauseUse, seen)
	case o.Strict:
		r.Fail("next update", clauseUse, seen, advice)
	default: // the clause says should: a reader may have been offline for a while
		r.Warn("next update", clauseUse, seen, advice)
	}
}

func (v *VICAL) entries(r *check.Report, strict bool) {
	usable := 0
	for i := range v.Entries {
		e := &v.Entries[i]
		name := fmt.Sprintf("entry %d", i)
		if e.Certificate == nil {
			r.Warn(name, clauseVICAL, e.Problem, "documents under this CA cannot be verified here")
			continue
		}
		usable++
		if d := e.Deviations(); len(d) > 0 {
			seen := e.Certificate.Subject.String() + ": " + strings.Join(d, ", ")
			if strict {
				r.Fail(name, clauseVICAL, seen, "the provider should correct the list")
			} else {
				r.Warn(name, clauseVICAL, seen, "the certificate's own values are used")
			}
		}
	}
	r.Pass("entries", clauseVICAL, fmt.Sprintf("%d of %d usable", usable, len(v.Entries)))
}

// Find returns the entry whose certificate it is.
func (v *VICAL) Find(cert *x509.Certificate) (*CertificateInfo, bool) {
	for i := range v.Entries {
		if c := v.Entries[i].Certificate; c != nil && c.Equal(cert) {
			return &v.Entries[i], true
		}
	}
	return nil, false
}
