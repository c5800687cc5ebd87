package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/key"
)

// maxLinks is how many times a root may have been changed between an anchor and
// the root of a signer: two, so that who missed a list or two still gets there.
const maxLinks = 2

// Link is the profile of the link certificates between roots of a profile,
// empty if it is none of a root.
func (p Profile) Link() Profile {
	switch p {
	case IACARoot:
		return IACALink
	case ReaderCA, ServiceCA:
		return CALink
	}
	return ""
}

// IssueLink makes the link certificate from an old root to its successor, with
// the subject and the key of the successor, and returns its DER encoding. It is
// valid while both roots are; crlURL is where the old root's revocation list
// is. signer is the key of the old root.
//
// The successor has to be of the profile of roots and signed with its own key:
// a link for a key whose holder has not shown that he has it would lend his name
// the trust of the old root. Errors: those of Issue, *check.Error.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.3.
func IssueLink(ctx context.Context, root Profile, old, successor *x509.Certificate, crlURL string, signer key.Signer) ([]byte, error) {
	if root.Link() == "" {
		return nil, fmt.Errorf("certificate profile %q is none of a root: %w", root, ErrUnsupported)
	}
	report := CheckProfile(successor, root, Default)
	if err := report.Err(); err != nil {
		return nil, fmt.Errorf("link to %q: %w", successor.Subject.CommonName, err)
	}
	if !verifySignature(successor, successor) {
		return nil, fmt.Errorf("link to %q: it is not signed with its own key: %w", successor.Subject.CommonName, ErrSignature)
	}
	return Issue(ctx, root.Link(), Template{
		successor: successor, PublicKey: successor.PublicKey, Issuer: old, CRLURL: crlURL,
		NotBefore: later(old.NotBefore, successor.NotBefore), NotAfter: earlier(old.NotAfter, successor.NotAfter),
	}, signer)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// IsLink reports whether a certificate is a link between two roots of an
// issuing authority: it has that profile, and a key other than its issuer's.
func IsLink(cert *x509.Certificate) bool { return isLink(cert, IACALink) }

// Following returns those of the roots shown, in their order, that are among
// the known ones or follow one of them, over links that the keys of known roots
// have signed. Nobody's word counts for a root before a known one: whoever has a
// certificate can link to it.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.3.
func Following(known, shown, links []*x509.Certificate, root Profile, now time.Time) (list []*x509.Certificate) {
	pool := NewPool(known...).WithLinks(links...)
	o := VerifyOptions{Now: now, Profile: root.Link()}
	for _, r := range shown {
		if slices.ContainsFunc(known, r.Equal) || slices.ContainsFunc(links, func(l *x509.Certificate) bool {
			if !LinksTo(l, r) {
				return false
			}
			_, report := VerifyChain([]*x509.Certificate{l}, pool, o)
			return report.OK()
		}) {
			list = append(list, r)
		}
	}
	return list
}

func isLink(cert *x509.Certificate, p Profile) bool {
	if bytes.Equal(cert.AuthorityKeyId, cert.SubjectKeyId) {
		return false // a root, or one without identifiers
	}
	r := CheckProfile(cert, p, Default)
	return r.OK()
}

// LinksTo reports whether a certificate is a link to that very root: the same
// name and key.
func LinksTo(link, root *x509.Certificate) bool {
	return bytes.Equal(link.RawSubject, root.RawSubject) && key.Equal(link.PublicKey, root.PublicKey)
}

// WithLinks returns a pool that also knows these link certificates. They are
// trusted for nothing by themselves: a path may lead over one of them to an
// anchor that signed it.
func (p *Pool) WithLinks(links ...*x509.Certificate) *Pool {
	if p == nil {
		return &Pool{links: slices.Clone(links)}
	}
	return &Pool{bySubject: p.bySubject, exact: p.exact, links: slices.Concat(p.links, links), n: p.n}
}

// linkAbove returns the link certificate whose key signed cert, nil if none
// did. Of several, to a root that followed two others, it is one that an anchor
// has issued, if there is one.
func (p *Pool) linkAbove(cert *x509.Certificate) (link *x509.Certificate) {
	if p == nil {
		return nil
	}
	n := 0
	for _, l := range p.links {
		if !IssuedUnder(cert, l) {
			continue
		}
		if n++; n > maxSameName {
			break
		}
		if !verifySignature(cert, l) {
			continue
		}
		if slices.ContainsFunc(p.bySubject[string(l.RawIssuer)], func(a *x509.Certificate) bool { return IssuedUnder(l, a) }) {
			return l
		}
		link = l
	}
	return link
}

// succeeds reports whether a CA certificate of a chain stands for its issuer's
// own next key, and so not for a CA below it: because both have one name
// (self-issued: RFC 5280, 6.1.4), or because it is a link certificate to a root
// with another name, which path length 0 of the old root does not forbid.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.3, gives both roots and the
// link between them path length 0, as ICAO Doc 9303-12 does; a path can only
// lead over the link if it does not count.
func succeeds(ca, issuer *x509.Certificate) bool {
	return bytes.Equal(ca.RawIssuer, ca.RawSubject) || first(ca.Subject.Country) == first(issuer.Subject.Country) && isLink(ca, CALink)
}

// namesOldRoot reports whether the alternative names of a link certificate have
// the name of its issuer.
func (c *checker) namesOldRoot() bool {
	ext := extension(c.cert, 17)
	if ext == nil {
		return false
	}
	body, _ := inside(ext.Value, tagSequence)
	names, _ := generalNames(nil, body)
	return slices.ContainsFunc(names, func(e element) bool { return e.tag == nameDirectory && bytes.Equal(e.body, c.cert.RawIssuer) })
}
