package pki

import (
	"crypto/x509"
	"time"

	"github.com/eidos-id/eidos/format/check"
)

// Pool is an immutable set of trust anchors, looked up by subject name.
type Pool struct {
	bySubject map[string][]*x509.Certificate
	exact     map[[32]byte]bool
	n         int
}

// NewPool returns a pool of anchors. The certificates are kept, not copied.
func NewPool(anchors ...*x509.Certificate) *Pool {
	return &Pool{}
}

// WithExact returns a pool that also trusts these very certificates as
// signers: a chain whose first certificate is one of them is accepted without
// profile, name and key usage checks, on dates and bytes alone. It is for
// pinned counterparts (trust on first use) and for test set-ups whose signer
// certificate fits no profile.
func (p *Pool) WithExact(signers ...*x509.Certificate) *Pool { return p }

// Len is the number of anchors, exact signers included.
func (p *Pool) Len() int { return p.n }

// VerifyOptions say what a path is wanted for. Now and Profile are required.
type VerifyOptions struct {
	Now     time.Time
	Profile Profile // of the first certificate: extended key usage, key usage, country rule

	// Strict fails also departures from the profile that do not decide
	// about trust, which otherwise warn.
	Strict bool

	// CRLs are the revocation lists at hand; those of other issuers are
	// passed over. Without a usable one the state is undetermined.
	CRLs []*CRL

	// RequireRevocation fails a certificate whose state is undetermined.
	RequireRevocation bool
}

// Path is a validated certification path.
type Path struct {
	Chain      []*x509.Certificate // as presented, first the signer; without the anchor
	Anchor     *x509.Certificate   // of the pool; equal to Chain[0] if Exact
	Exact      bool                // trusted as an exact signer, not by a CA
	Revocation Revocation          // of Chain[0]
}

// Signer is the certificate whose key signed the object.
func (p Path) Signer() *x509.Certificate { return p.Chain[0] }

// VerifyChain validates a certification path from chain[0] to an anchor.
// Certificates after the first must each have issued the one before; the
// anchor itself is accepted at the end of the chain and passed over. The path
// is valid, and the Path filled, only if the report is OK.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.8.3 and B.3; RFC 5280, 6.1.
func VerifyChain(chain []*x509.Certificate, anchors *Pool, o VerifyOptions) (Path, check.Report) {
	var r check.Report
	r.Fail("path", annexB+"12.8.3", "not written yet", "wait")
	return Path{}, r
}
