package trust

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
)

// maxShown is how many certificates a source may show.
const maxShown = 16

// shown is what a source shows: its roots, the newest first, and the link
// certificates from one to the next.
type shown struct {
	roots, links []*x509.Certificate
	named        *x509.Certificate // of the roots, the one with the configured fingerprint; nil if none is configured
}

// readAnchors reads what a source shows, in DER or PEM: at least one root.
func readAnchors(data []byte, purpose trustlist.Purpose, now time.Time) (s shown, err error) {
	certs, err := pki.ParseBundle(data)
	if err != nil {
		return shown{}, err
	}
	if len(certs) > maxShown {
		return shown{}, fmt.Errorf("it has %d certificates, more than %d", len(certs), maxShown)
	}
	for i, cert := range certs {
		link := pki.CheckProfile(cert, rootProfile(purpose).Link(), pki.Tolerant)
		if i > 0 && link.OK() && !bytes.Equal(cert.AuthorityKeyId, cert.SubjectKeyId) && cert.CheckSignatureFrom(cert) != nil {
			s.links = append(s.links, cert)
			continue
		}
		root, err := checkAnchor(cert, purpose, now)
		if err != nil {
			return shown{}, err
		}
		s.roots = append(s.roots, root)
	}
	return s, nil
}

// follow returns the roots shown that are among the known ones or follow one of
// them, each over a link that its predecessor signed.
func (s shown) follow(known []*x509.Certificate, purpose trustlist.Purpose, now time.Time) []*x509.Certificate {
	return pki.Following(known, s.roots, s.links, rootProfile(purpose), now)
}

// before returns a root shown with those that it follows.
func (s shown) before(root *x509.Certificate, purpose trustlist.Purpose, now time.Time) (list []*x509.Certificate) {
	for _, r := range s.roots {
		if slices.ContainsFunc(s.follow([]*x509.Certificate{r}, purpose, now), root.Equal) {
			list = append(list, r)
		}
	}
	return list
}

// listed are the certificates that are listed, the newest first.
func (f found) listed() ([]*x509.Certificate, error) {
	if len(f.certificate) == 0 {
		return nil, nil
	}
	return x509.ParseCertificates(f.certificate)
}

// list lists certificates in place of those before. They are stored one behind
// the other; nothing waits any more.
func (f *found) list(certs []*x509.Certificate) {
	*f = found{fetched: f.fetched, problem: f.problem}
	for _, c := range certs {
		f.certificate = append(f.certificate, c.Raw...)
	}
}
