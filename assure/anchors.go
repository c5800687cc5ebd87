// Package assure is what all roles need to judge what others present: trust
// anchors by purpose, trust on first use, levels of assurance, and the
// verification of a whole document or reader to one report.
//
// It does no I/O of its own: lists, pins and status come in through values
// and small interfaces, and the time is the caller's.
package assure

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
)

// Anchor is one thing that is trusted, and for what.
type Anchor struct {
	Purpose     trustlist.Purpose
	Certificate *x509.Certificate

	// Exact trusts this very certificate as a signer (a pinned counterpart,
	// a test set-up) and nothing that it issued.
	Exact bool

	// Pinned says that nobody but a person who accepted it once vouches for it:
	// an anchor of [Pin.Anchor].
	Pinned bool

	// Link says that it is a link certificate: trusted for nothing by itself, it
	// leads from another anchor of the set to the root that follows it.
	// ISO/IEC 18013-5 second edition (draft v4), B.1.3.
	Link bool

	Name     string   // for people
	Country  string   // ISO 3166-1 alpha-2, empty if not about a country
	DocTypes []string // that documents under it may have; none means any
	LoA      Level    // the level that its publisher gives it; empty if none

	StatusService string // where the CA publishes revocation, empty if unknown
	Origin        string // where it came from, for people: "VICAL of …", "file …", "pinned …"
}

// allows reports whether documents of that type are expected under the anchor.
func (a *Anchor) allows(docType string) bool {
	if docType == "" || len(a.DocTypes) == 0 {
		return true
	}
	for _, d := range a.DocTypes {
		if d == docType {
			return true
		}
	}
	return false
}

// Anchors is an immutable set of anchors by purpose, safe for concurrent use.
// Replace the whole set when a list is refreshed. A nil Anchors trusts nobody.
type Anchors struct {
	byPurpose map[trustlist.Purpose]*purposeSet
}

type purposeSet struct {
	list   []Anchor // without links
	links  []Anchor
	pool   *pki.Pool
	byCert map[string][]Anchor // by the DER certificate
}

// NewAnchors makes a set. Anchors without a certificate or of an unknown
// purpose are an error.
func NewAnchors(list ...Anchor) (*Anchors, error) {
	a := &Anchors{byPurpose: map[trustlist.Purpose]*purposeSet{}}
	roots, exact := map[trustlist.Purpose][]*x509.Certificate{}, map[trustlist.Purpose][]*x509.Certificate{}
	for _, anchor := range list {
		p := anchor.Purpose
		if anchor.Certificate == nil || !p.Known() {
			return nil, fmt.Errorf("anchor %q without certificate, or for unknown purpose %q", anchor.Name, p)
		}
		s := a.byPurpose[p]
		if s == nil {
			s = &purposeSet{byCert: map[string][]Anchor{}}
			a.byPurpose[p] = s
		}
		if anchor.Link {
			s.links = append(s.links, anchor)
			continue
		}
		der := string(anchor.Certificate.Raw)
		s.byCert[der] = append(s.byCert[der], anchor)
		s.list = append(s.list, anchor)
		if anchor.Exact {
			exact[p] = append(exact[p], anchor.Certificate)
		} else {
			roots[p] = append(roots[p], anchor.Certificate)
		}
	}
	for p, s := range a.byPurpose {
		s.pool = pki.NewPool(roots[p]...)
		if len(exact[p]) > 0 {
			s.pool = s.pool.WithExact(exact[p]...)
		}
		for _, l := range s.links {
			s.pool = s.pool.WithLinks(l.Certificate)
		}
	}
	return a, nil
}

// With returns a set that has these anchors too.
func (a *Anchors) With(more ...Anchor) (*Anchors, error) {
	var list []Anchor
	for _, p := range trustlist.Purposes() {
		if s := a.of(p); s != nil {
			list = append(append(list, s.list...), s.links...)
		}
	}
	return NewAnchors(append(list, more...)...)
}

// For lists the anchors of a purpose, without links. The caller must not change them.
func (a *Anchors) For(p trustlist.Purpose) []Anchor {
	if s := a.of(p); s != nil {
		return s.list[:len(s.list):len(s.list)]
	}
	return nil
}

// Pool is the anchors of a purpose for pki.VerifyChain.
func (a *Anchors) Pool(p trustlist.Purpose) *pki.Pool {
	if s := a.of(p); s != nil {
		return s.pool
	}
	return nil
}

func (a *Anchors) of(p trustlist.Purpose) *purposeSet {
	if a == nil {
		return nil
	}
	return a.byPurpose[p]
}

// Lookup returns the anchors of a purpose with that certificate; several if
// several lists have it. Failing one list does not forbid another: ISO/IEC
// 18013-5 second edition (draft v4), C.1.8. The caller must not change them.
func (a *Anchors) Lookup(p trustlist.Purpose, cert *x509.Certificate) []Anchor {
	if s := a.of(p); s != nil {
		return s.byCert[string(cert.Raw)]
	}
	return nil
}

// FromVICAL takes over the usable entries of a list that Verify found to be in order.
func FromVICAL(v *trustlist.VICAL) []Anchor {
	var list []Anchor
	for i := range v.Entries {
		e := &v.Entries[i]
		if e.Certificate == nil || len(e.DocTypes) == 0 {
			continue
		}
		list = append(list, Anchor{
			Purpose: trustlist.Issuer, Certificate: e.Certificate, DocTypes: e.DocTypes,
			Name:    firstOf(e.IssuingAuthority, e.Certificate.Subject.CommonName),
			Country: e.IssuingCountry, Origin: "VICAL of " + v.Provider,
		})
	}
	return list
}

// FromList takes over the usable entries of our list of anchors, if Verify
// found it to be in order.
func FromList(l *trustlist.List) []Anchor {
	var list []Anchor
	for i := range l.Entries {
		e := &l.Entries[i]
		cert, _ := e.Parsed()
		if cert == nil {
			continue
		}
		level, _ := ParseLevel(e.LoA)
		list = append(list, Anchor{
			Purpose: e.Purpose, Certificate: cert, Exact: e.Exact, DocTypes: e.DocTypes,
			Name: firstOf(e.Name, cert.Subject.CommonName), Country: e.Country, LoA: level,
			StatusService: e.StatusService, Origin: "list of " + l.Issuer,
		})
	}
	return list
}

// FromCertificates trusts certificates, of a file say, for one purpose. Links
// between roots of issuing authorities are taken as such.
func FromCertificates(p trustlist.Purpose, origin string, certs ...*x509.Certificate) []Anchor {
	list := make([]Anchor, len(certs))
	for i, c := range certs {
		list[i] = Anchor{Purpose: p, Certificate: c, Name: c.Subject.CommonName, Country: firstOf(c.Subject.Country...), Origin: origin,
			Link: p == trustlist.Issuer && pki.IsLink(c)}
	}
	return list
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// ChainOptions refine VerifyChain. The zero value is the default policy.
type ChainOptions struct {
	Profile           pki.Profile // of the signer; empty means the usual one of the purpose
	DocType           string      // that the anchor has to be trusted for; empty means any
	Strict            bool        // fail departures from the certificate profile that otherwise warn
	CRLs              []*pki.CRL
	RequireRevocation bool
}

// Signer is who signed something, once their chain was found in order.
type Signer struct {
	Path   pki.Path
	Anchor Anchor
}

// Organisation is who stands behind the anchor, for people: the organisation in
// its certificate, or else the name on the list. Empty for the zero Signer.
func (s Signer) Organisation() string {
	if c := s.Anchor.Certificate; c != nil {
		if o := firstOf(c.Subject.Organization...); o != "" {
			return o
		}
	}
	return s.Anchor.Name
}

// VerifyChain validates a chain of DER certificates, the signer's first, for a
// purpose, and says under which anchor it stands. The Signer counts only if
// the report is OK.
// ISO/IEC 18013-5 second edition (draft v4), 12.8.3 and C.1.8.
func (a *Anchors) VerifyChain(chain [][]byte, p trustlist.Purpose, now time.Time, o ChainOptions) (Signer, check.Report) {
	profile := o.Profile
	if profile == "" {
		profile = usualProfile(p)
	}
	path, r := pki.VerifyDER(chain, a.Pool(p), pki.VerifyOptions{
		Now: now, Profile: profile, Strict: o.Strict, CRLs: o.CRLs, RequireRevocation: o.RequireRevocation,
	})
	if !r.OK() {
		return Signer{}, r
	}
	found := a.Lookup(p, path.Anchor)
	for _, anchor := range found {
		if anchor.Exact == path.Exact && anchor.allows(o.DocType) {
			r.Pass("trust anchor", clauseAnchor, anchor.Name+", "+anchor.Origin)
			return Signer{Path: path, Anchor: anchor}, r
		}
	}
	r.Fail("trust anchor", clauseAnchor, fmt.Sprintf("no list trusts %q for %.128q", path.Anchor.Subject.CommonName, o.DocType),
		"the issuer is known, but not for documents of this type")
	return Signer{}, r
}

const clauseAnchor = "ISO/IEC 18013-5 second edition (draft v4), C.1.8"

// usualProfile is the profile of the signers under an anchor of a purpose.
func usualProfile(p trustlist.Purpose) pki.Profile {
	switch p {
	case trustlist.Issuer:
		return pki.DocumentSigner
	case trustlist.Reader:
		return pki.ReaderAuth
	case trustlist.Verifier:
		return pki.Verifier
	case trustlist.WalletProvider:
		return pki.WalletProvider
	case trustlist.Status:
		return pki.StatusSigner
	case trustlist.Registrar:
		return pki.CredentialSigner
	}
	return pki.TrustListSigner
}
