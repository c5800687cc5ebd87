package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/check"
)

const (
	clausePath = annexB + "12.8.3"
	clauseCRL  = annexB + "B.3"

	maxSameName = 8 // anchors of one name tried for one certificate: a CA and its renewals
)

// Pool is an immutable set of trust anchors, looked up by subject name, safe for
// concurrent use. A nil Pool is empty.
type Pool struct {
	bySubject map[string][]*x509.Certificate
	exact     map[[sha256.Size]byte]*x509.Certificate
	links     []*x509.Certificate // from one of them to its successor
	n         int
	memory    memory
}

// NewPool returns a pool of anchors. The certificates are kept, not copied;
// one that occurs twice counts once.
func NewPool(anchors ...*x509.Certificate) *Pool {
	p := &Pool{bySubject: make(map[string][]*x509.Certificate, len(anchors))}
	for _, a := range anchors {
		if p.contains(a) {
			continue
		}
		p.bySubject[string(a.RawSubject)] = append(p.bySubject[string(a.RawSubject)], a)
		p.n++
	}
	return p
}

// WithExact returns a pool that also trusts these very certificates as
// signers: a chain whose first certificate is one of them is accepted without
// profile, name and key usage checks, on dates and bytes alone. It is for
// pinned counterparts (trust on first use) and for test set-ups whose signer
// certificate fits no profile.
func (p *Pool) WithExact(signers ...*x509.Certificate) *Pool {
	q := &Pool{exact: make(map[[sha256.Size]byte]*x509.Certificate, len(signers))}
	if p != nil {
		q.bySubject, q.links, q.n = p.bySubject, p.links, p.n
		maps.Copy(q.exact, p.exact)
	}
	before := len(q.exact)
	for _, s := range signers {
		q.exact[Fingerprint(s)] = s
	}
	q.n += len(q.exact) - before
	return q
}

// Len is the number of anchors, exact signers included.
func (p *Pool) Len() int {
	if p == nil {
		return 0
	}
	return p.n
}

// contains reports whether the certificate is itself an anchor.
func (p *Pool) contains(cert *x509.Certificate) bool {
	if p == nil {
		return false
	}
	for _, a := range p.bySubject[string(cert.RawSubject)] {
		if bytes.Equal(a.Raw, cert.Raw) {
			return true
		}
	}
	return false
}

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
	Chain      [][]byte          // DER, first the signer; as presented, or over links of the pool, up to what the anchor issued
	Signer     Signer            // what Chain[0] says
	Anchor     *x509.Certificate // of the pool; equal to Chain[0] if Exact
	Exact      bool              // trusted as an exact signer, not by a CA
	Revocation Revocation        // of Chain[0]

	From, Until time.Time // all certificates are current, the anchor's and the ends included
}

// Signer is whose key signed an object, as far as those who rely on a path ask.
type Signer struct {
	Key                 crypto.PublicKey
	Country, State      string // C and ST of the subject; empty if absent
	NotBefore, NotAfter time.Time
}

// parsers are empty.
var parsers = sync.Pool{New: func() any { return new(parser) }}

// VerifyDER is VerifyChain for the DER certificates of an x5chain or x5c; what
// cannot be read fails the check "certificate chain". Every document takes this
// path: a signer who is met for the first time is read into memory that is used
// again, which halves the cost, and who comes again is remembered by the pool,
// so that nothing but dates and revocation is looked at.
func VerifyDER(der [][]byte, anchors *Pool, o VerifyOptions) (Path, check.Report) {
	if anchors == nil {
		anchors = NewPool()
	}
	if err := checkSizes(der); err != nil { // before anything is hashed
		return Path{}, unreadable(err)
	}
	id := idOf(der, o)
	known, met := anchors.memory.find(id, o.Now)
	switch {
	case known != nil:
		c := checker{policy: Tolerant, brief: true}
		c.Checks = append(make([]check.Check, 0, len(known.checks)+len(known.chain)+1), known.checks...)
		return c.end(known.chain, known.anchor, o)
	case met:
		return anchors.learn(id, der, o)
	}
	p := parsers.Get().(*parser)
	defer func() {
		*p = parser{} // it refers to what was received
		parsers.Put(p)
	}()
	chain, err := p.chain(der)
	if err != nil {
		return Path{}, unreadable(err)
	}
	path, r := VerifyChain(chain, anchors, o)
	if r.OK() && !path.Exact {
		anchors.memory.meet(id)
	}
	return path, r
}

// learn is VerifyChain for a chain that is to be remembered.
func (p *Pool) learn(id chainID, der [][]byte, o VerifyOptions) (Path, check.Report) {
	own := make([][]byte, len(der))
	for i, cert := range der {
		own[i] = bytes.Clone(cert)
	}
	chain, err := ParseChain(own)
	if err != nil {
		return Path{}, unreadable(err)
	}
	c := newChecker(chain, o)
	chain, anchor := c.validate(chain, p, o)
	if anchor == nil {
		return Path{}, c.Report
	}
	if c.OK() {
		whole := newPath(chain, anchor, Undetermined)
		p.memory.keep(id, &knownPath{chain, anchor, slices.Clone(c.Checks), whole.From, whole.Until})
	}
	return c.end(chain, anchor, o)
}

func unreadable(err error) (r check.Report) {
	r.Fail("certificate chain", clausePath, err.Error(), "send the signer's certificate, and those between it and the root")
	return r
}

// VerifyChain validates a certification path from chain[0] to an anchor.
// Each certificate is issued by an anchor, which ends the path, by the root that
// a link certificate of the pool leads to, or by the next one of the chain. The
// path is valid, and the Path filled, only if the report is OK.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.8.3 and B.3; RFC 5280, 6.1.
func VerifyChain(chain []*x509.Certificate, anchors *Pool, o VerifyOptions) (Path, check.Report) {
	c := newChecker(chain, o)
	if !c.OK() {
		return Path{}, c.Report
	}
	if path, ok := c.exactSigner(chain, anchors, o.Now); ok {
		return path, c.Report
	}
	chain, anchor := c.validate(chain, anchors, o)
	if anchor == nil {
		return Path{}, c.Report
	}
	return c.end(chain, anchor, o)
}

// newChecker begins the report on a chain. It fails one of no usual length.
func newChecker(chain []*x509.Certificate, o VerifyOptions) checker {
	c := checker{policy: Tolerant, brief: true}
	c.Checks = make([]check.Check, 0, 10) // the usual chain has eight, and its user adds one
	if o.Strict {
		c.policy = Strict
	}
	if len(chain) == 0 || len(chain) > MaxChainLength {
		c.Fail("certificate chain", clausePath, fmt.Sprintf("%d certificates", len(chain)), fmt.Sprintf("send 1 to %d", MaxChainLength))
		return c
	}
	c.cert = chain[0]
	return c
}

// validate makes all checks but those on revocation, and returns the part of the
// chain that leads to the anchor, nil if there is none.
func (c *checker) validate(chain []*x509.Certificate, anchors *Pool, o VerifyOptions) (_ []*x509.Certificate, anchor *x509.Certificate) {
	if c.profile(o.Profile); c.OK() {
		c.Pass("certificate profile", c.rules.clause, string(o.Profile))
	}
	chain, anchor = c.build(chain, anchors, o.Now)
	if anchor != nil {
		c.limits(chain, anchor, o.Now)
		if c.rules.sameC {
			c.checkCountry(anchor)
		}
	}
	return chain, anchor
}

// end looks at revocation and returns the path.
func (c *checker) end(chain []*x509.Certificate, anchor *x509.Certificate, o VerifyOptions) (Path, check.Report) {
	state := c.revocation(chain, anchor, o)
	if !c.OK() {
		return Path{}, c.Report
	}
	return newPath(chain, anchor, state), c.Report
}

// newPath keeps nothing of the chain but what was received and the key.
func newPath(chain []*x509.Certificate, anchor *x509.Certificate, state Revocation) Path {
	leaf := chain[0]
	path := Path{Chain: make([][]byte, len(chain)), Anchor: anchor, Revocation: state, Signer: Signer{
		Key: leaf.PublicKey, Country: first(leaf.Subject.Country), State: first(leaf.Subject.Province),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, From: anchor.NotBefore, Until: anchor.NotAfter}
	for i, cert := range chain {
		path.Chain[i] = cert.Raw
		if cert.NotBefore.After(path.From) {
			path.From = cert.NotBefore
		}
		if cert.NotAfter.Before(path.Until) {
			path.Until = cert.NotAfter
		}
	}
	return path
}

// exactSigner accepts a certificate that is trusted by itself. An expired one
// is reported as such and not tried any further.
func (c *checker) exactSigner(chain []*x509.Certificate, anchors *Pool, now time.Time) (Path, bool) {
	if anchors == nil || len(anchors.exact) == 0 {
		return Path{}, false
	}
	anchor, ok := anchors.exact[Fingerprint(chain[0])]
	if !ok {
		return Path{}, false
	}
	c.Warn("certificate chain", clausePath, "this exact signer certificate is trusted; its profile was not checked", "trust its CA instead, where there is one")
	if !c.current("signer certificate dates", chain[0], now) {
		return Path{}, true
	}
	path := newPath(chain[:1], anchor, Undetermined)
	path.Exact = true
	return path, true
}

// build finds the anchor, verifying every signature on the way, and returns the
// part of the chain that leads to it. The anchor is nil if there is none; the
// report then says why.
func (c *checker) build(chain []*x509.Certificate, anchors *Pool, now time.Time) (_ []*x509.Certificate, anchor *x509.Certificate) {
	for i := 0; i < MaxChainLength; i++ {
		cert, names := chain[i], certNames(i)
		if !c.current(names.dates, cert, now) {
			return nil, nil
		}
		if !signatureAllowed(cert.SignatureAlgorithm) {
			c.Fail(names.signature, clauseB11, cert.SignatureAlgorithm.String(), "sign with ECDSA and SHA-2")
			return nil, nil
		}
		anchor, tried := anchors.issuerOf(cert)
		if anchor != nil {
			if len(chain) > i+1 && bytes.Equal(chain[i+1].Raw, anchor.Raw) {
				c.departure(form, "anchor in the chain", clauseB11, "present", "leave the root out of the chain")
			}
			c.Pass(names.signature, clausePath, "verifies with the anchor's key")
			return chain[:i+1], anchor
		}
		if link := anchors.linkAbove(cert); link != nil {
			chain = append(chain[:i+1:i+1], link)
		}
		if i+1 == len(chain) {
			seen, advice := "no anchor named "+cert.Issuer.String(), "add the issuer's root to the anchors if you trust it"
			if tried {
				seen, advice = "not signed with the key of the anchor named "+cert.Issuer.String(), "the certificate is forged, or the CA has a newer key"
			}
			c.Fail("trust anchor", clausePath, seen, advice)
			return nil, nil
		}
		if !c.intermediate(cert, chain[i+1], i) {
			return nil, nil
		}
	}
	c.Fail("path length", clausePath, "no anchor within that many certificates", fmt.Sprintf("a path has at most %d", MaxChainLength))
	return nil, nil
}

// checkNames are the names of the checks on one certificate of a chain.
type checkNames struct{ dates, signature, issuer, extensions, revocation string }

// certNames names the checks on the i-th certificate; the usual case, that of
// the signer, builds no strings.
func certNames(i int) checkNames {
	if i == 0 {
		return checkNames{"signer certificate dates", "signer certificate signature", "signer certificate issuer",
			"signer certificate extensions", "signer certificate revocation"}
	}
	p := fmt.Sprintf("CA certificate %d ", i)
	return checkNames{p + "dates", p + "signature", p + "issuer", p + "extensions", p + "revocation"}
}

// issuerOf returns the anchor whose key signed the certificate, or whether
// any bore the issuer's name.
func (p *Pool) issuerOf(cert *x509.Certificate) (anchor *x509.Certificate, tried bool) {
	if p == nil {
		return nil, false
	}
	n := 0
	for _, a := range p.bySubject[string(cert.RawIssuer)] {
		if !sameKeyIdentifier(cert, a) {
			tried = true
			continue
		}
		if n++; n > maxSameName {
			break
		}
		tried = true
		if verifySignature(cert, a) {
			return a, true
		}
	}
	return nil, tried
}

// IssuedUnder reports whether a certificate names a CA as its issuer, by name
// and key identifier. Whether the CA really signed it, VerifyChain says.
func IssuedUnder(cert, ca *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, ca.RawSubject) && sameKeyIdentifier(cert, ca)
}

// sameKeyIdentifier compares the certificate's authority key identifier with
// the CA's subject key identifier, where both are there.
func sameKeyIdentifier(cert, ca *x509.Certificate) bool {
	return len(cert.AuthorityKeyId) == 0 || len(ca.SubjectKeyId) == 0 || bytes.Equal(cert.AuthorityKeyId, ca.SubjectKeyId)
}

// intermediate checks that next, a CA certificate of the chain, issued cert.
// RFC 5280, 6.1.3 and 6.1.4.
func (c *checker) intermediate(cert, next *x509.Certificate, i int) bool {
	const advice = "send the chain in order, each certificate issued by the next"
	names := certNames(i)
	switch {
	case !IssuedUnder(cert, next):
		c.Fail(names.issuer, clausePath, "the next certificate has another name or key identifier", advice)
	case !next.BasicConstraintsValid || !next.IsCA || next.KeyUsage&x509.KeyUsageCertSign == 0:
		c.Fail(names.issuer, clausePath, "the next certificate is not that of a CA", advice)
	case !verifySignature(cert, next):
		c.Fail(names.signature, clausePath, "does not verify with the next certificate's key", advice)
	default:
		c.Pass(names.signature, clausePath, "verifies with the next certificate's key")
		return c.processable(certNames(i+1).extensions, next)
	}
	return false
}

// processable refuses CA certificates with constraints that path validation
// here does not process.
func (c *checker) processable(name string, ca *x509.Certificate) bool {
	for i := range ca.Extensions {
		e := &ca.Extensions[i]
		constraint := isCE(e.Id) && (e.Id[3] == 30 || e.Id[3] == 33 || e.Id[3] == 36 || e.Id[3] == 54)
		if constraint || e.Critical && !(isCE(e.Id) && understood(e.Id[3])) {
			c.Fail(name, clauseB11, e.Id.String(), "the profiles forbid constraints and unknown critical extensions in a CA certificate")
			return false
		}
	}
	return true
}

// limits checks what the anchor itself says: that it is a CA, current, and
// how many CAs may stand below it.
func (c *checker) limits(chain []*x509.Certificate, a *x509.Certificate, now time.Time) {
	c.current("anchor dates", a, now)
	if !a.BasicConstraintsValid || !a.IsCA || a.KeyUsage&x509.KeyUsageCertSign == 0 {
		c.Fail("anchor", clausePath, "not the certificate of a CA", "trust its CA, or this signer exactly")
	}
	c.processable("anchor extensions", a)
	// below counts the CAs between a CA and the signer, successors of their issuers apart.
	below, links := 0, 0
	for i := 1; i <= len(chain); i++ {
		ca, issuer := a, a
		if i < len(chain) {
			ca = chain[i]
		}
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		if (ca.MaxPathLen > 0 || ca.MaxPathLenZero) && below > ca.MaxPathLen {
			c.Fail("path length", clausePath, fmt.Sprintf("%d CAs below one that allows %d", below, ca.MaxPathLen), "an IACA issues signer certificates itself")
			return
		}
		switch {
		case i == len(chain):
		case !succeeds(ca, issuer):
			below++
		default:
			if links++; links > maxLinks {
				c.Fail("path length", clausePath, fmt.Sprintf("more than %d links from root to root", maxLinks), "get the anchors anew")
				return
			}
			if issuer == a && ca.NotAfter.After(a.NotAfter) {
				c.departure(form, "link certificate", annexB+"B.1.3", "it outlives the old root", "end a link certificate with the old root")
			}
		}
	}
	c.Pass("path length", clausePath, "allowed")
}

// current checks the dates of one certificate.
func (c *checker) current(name string, cert *x509.Certificate, now time.Time) bool {
	switch {
	case now.Before(cert.NotBefore):
		c.Fail(name, clausePath, "valid from "+cert.NotBefore.UTC().Format(time.RFC3339), "not yet valid; check the clock")
	case now.After(cert.NotAfter):
		c.Fail(name, clausePath, "valid until "+cert.NotAfter.UTC().Format(time.RFC3339), "expired; get a newer one")
	default:
		c.Pass(name, clausePath, "current")
		return true
	}
	return false
}

// revocation looks every certificate of the path up in its issuer's list and
// returns the state of the signer's.
func (c *checker) revocation(chain []*x509.Certificate, anchor *x509.Certificate, o VerifyOptions) Revocation {
	var state Revocation
	for i, cert := range chain {
		issuer := anchor
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		s, seen := lookUp(o.CRLs, cert, issuer, o.Now)
		name := certNames(i).revocation
		switch {
		case s == Revoked:
			c.Fail(name, clauseCRL, seen, "do not accept what it signed")
		case s == Good:
			c.Pass(name, clauseCRL, seen)
		case o.RequireRevocation:
			c.Fail(name, clauseCRL, seen, "fetch the issuer's current revocation list")
		default:
			c.Skip(name, clauseCRL, seen)
		}
		if i == 0 {
			state = s
		}
	}
	return state
}

// verifySignature verifies the signature of a certificate with the public key
// of another, algorithm on the allow-list or not at all.
func verifySignature(cert, issuer *x509.Certificate) bool {
	return verifyRaw(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature, issuer.PublicKey)
}

func verifyRaw(alg x509.SignatureAlgorithm, message, signature []byte, pub any) bool {
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		return alg == x509.PureEd25519 && len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, message, signature)
	case *ecdsa.PublicKey:
		switch alg {
		case x509.ECDSAWithSHA256:
			digest := sha256.Sum256(message)
			return ecdsa.VerifyASN1(pub, digest[:], signature)
		case x509.ECDSAWithSHA384:
			digest := sha512.Sum384(message)
			return ecdsa.VerifyASN1(pub, digest[:], signature)
		case x509.ECDSAWithSHA512:
			digest := sha512.Sum512(message)
			return ecdsa.VerifyASN1(pub, digest[:], signature)
		}
	}
	return false
}
