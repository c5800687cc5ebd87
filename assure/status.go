package assure

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/status"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/statuslist"
)

const clauseStatus = "ISO/IEC 18013-5 second edition (draft v4), 12.3.6"

// Snapshot returns the anchors themselves, in the form of [Follower.Anchors].
func (a *Anchors) Snapshot(context.Context, time.Time) (*Anchors, error) { return a, nil }

// StatusTrust says whose status lists are believed about documents, or
// attestations, whose signers stand under anchors of a purpose: for
// statuslist.NewFetcher. anchors is [Follower.Anchors] or [Anchors.Snapshot].
// Chains that were found in order are remembered by their bytes, for as long as
// the anchors are the same and all of their certificates are current.
func StatusTrust(p trustlist.Purpose, anchors func(context.Context, time.Time) (*Anchors, error)) statuslist.Trust {
	known := &knownSigners{}
	return func(ctx context.Context, q statuslist.Question, token *status.Token, now time.Time) (crypto.PublicKey, check.Report) {
		a, err := anchors(ctx, now)
		if err != nil {
			var r check.Report
			r.Fail("status list signer", clauseStatus, err.Error(), "get trust anchors first")
			return nil, r
		}
		id := questionID(q, token.X5Chain)
		if s, ok := known.get(a, id, now); ok {
			return s.key, check.Report{Checks: slices.Clone(s.checks)}
		}
		path, r := a.listSigner(p, q, token.X5Chain, now)
		if r.OK() {
			known.put(a, id, path, r)
		}
		return path.Signer.Key, r
	}
}

// maxKnown bounds the remembered chains: lists have few signers, but documents
// have many, and each may be asked about.
const maxKnown = 1024

// knownSigners are signers of status lists whose chains were found in order.
type knownSigners struct {
	mu      sync.Mutex
	anchors *Anchors                         // that they stand under
	signers map[[sha256.Size]byte]listSigner // by questionID
}

// listSigner is a signer of status lists, while all certificates are current.
type listSigner struct {
	key         crypto.PublicKey
	checks      []check.Check
	from, until time.Time
}

// questionID names all that the answer depends on but the anchors and the time.
func questionID(q statuslist.Question, chain [][]byte) (id [sha256.Size]byte) {
	h := sha256.New()
	var named [][]byte
	if point := trustPoint(q.Claim); point != nil {
		named = [][]byte{point}
	}
	for _, list := range [][][]byte{named, q.Issuer, chain} {
		binary.Write(h, binary.BigEndian, uint32(len(list)))
		for _, der := range list {
			binary.Write(h, binary.BigEndian, uint32(len(der)))
			h.Write(der)
		}
	}
	h.Sum(id[:0])
	return id
}

func (k *knownSigners) get(a *Anchors, id [sha256.Size]byte, now time.Time) (listSigner, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.signers[id]
	return s, ok && k.anchors == a && !now.Before(s.from) && !now.After(s.until)
}

func (k *knownSigners) put(a *Anchors, id [sha256.Size]byte, path pki.Path, r check.Report) {
	s := listSigner{key: path.Signer.Key, checks: slices.Clone(r.Checks), from: path.From, until: path.Until}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.anchors != a || len(k.signers) >= maxKnown {
		k.anchors, k.signers = a, map[[sha256.Size]byte]listSigner{}
	}
	k.signers[id] = s
}

// ListSigner validates the chain of a status list token and returns the key
// that its signature has to verify with; it counts only if the report is OK.
//
// If the document names a certificate, that is the trust point. Otherwise the
// chain has to end under the CA that issued the document's signer, under the
// root that a link certificate leads from or to, which is the same authority's,
// or under an anchor for status lists. q.Issuer must have been validated before.
//
// An authority that changes its root signs the lists of old documents with a
// signer under the new one, with the link in the token's chain: it verifies for
// who knows the old root alone, without links, and needs no second signer that
// would have to live as long as the last old document. For a while it is the
// other way round: a list that the old signer has signed holds until its end,
// and new documents stand on it.
//
// ISO/IEC 18013-5 second edition (draft v4), 12.3.6; Token Status List, 11.3.
func (a *Anchors) ListSigner(p trustlist.Purpose, q statuslist.Question, chain [][]byte, now time.Time) (crypto.PublicKey, check.Report) {
	path, r := a.listSigner(p, q, chain, now)
	return path.Signer.Key, r
}

func (a *Anchors) listSigner(p trustlist.Purpose, q statuslist.Question, chain [][]byte, now time.Time) (pki.Path, check.Report) {
	var r check.Report
	pools, err := a.listPools(p, q)
	if err != nil {
		r.Fail("status list signer", clauseStatus, err.Error(), "ask the issuer of the document")
		return pki.Path{}, r
	}
	for _, pool := range pools {
		path, rep := pki.VerifyDER(chain, pool, pki.VerifyOptions{Now: now, Profile: pki.StatusSigner})
		if rep.OK() {
			return path, rep
		}
		if len(r.Checks) == 0 { // the most particular trust point tells most
			r = rep
		}
	}
	return pki.Path{}, r
}

// listPools lists the sets of anchors to try, the most particular first.
func (a *Anchors) listPools(p trustlist.Purpose, q statuslist.Question) ([]*pki.Pool, error) {
	if named := trustPoint(q.Claim); named != nil {
		cert, err := pki.ParseCertificate(named)
		if err != nil {
			return nil, fmt.Errorf("the document's trust point for its status: %w", err)
		}
		return []*pki.Pool{pki.NewPool(cert).WithExact(cert)}, nil
	}
	var pools []*pki.Pool
	if len(q.Issuer) > 0 {
		pool, err := a.issuerPool(p, q.Issuer)
		if err != nil {
			return nil, err
		}
		pools = append(pools, pool)
	}
	if pool := a.Pool(trustlist.Status); pool.Len() > 0 {
		pools = append(pools, pool)
	}
	if len(pools) == 0 {
		return nil, errors.New("nobody is trusted for status lists")
	}
	return pools, nil
}

// trustPoint is the certificate that a document names for its lists, nil if none.
func trustPoint(c status.Claim) []byte {
	switch {
	case c.List != nil && c.List.Certificate != nil:
		return c.List.Certificate
	case c.Identifier != nil:
		return c.Identifier.Certificate
	}
	return nil
}

// issuerPool is the CA that issued the signer of the document: the next of its
// chain, or an anchor. A signer that is trusted exactly signs its own lists.
func (a *Anchors) issuerPool(p trustlist.Purpose, issuer [][]byte) (*pki.Pool, error) {
	certs, err := pki.ParseChain(issuer)
	if err != nil {
		return nil, fmt.Errorf("the document's signer: %w", err)
	}
	for _, anchor := range a.Lookup(p, certs[0]) {
		if anchor.Exact {
			return pki.NewPool().WithExact(certs[0]), nil
		}
	}
	if len(certs) > 1 && !pki.IsLink(certs[1]) {
		return pki.NewPool(certs[1]), nil
	}
	// The roots of the authority: the one that issued the signer, and those from
	// which the links at hand lead there.
	var roots, links []*x509.Certificate
	if s := a.of(p); s != nil {
		for _, l := range s.links {
			links = append(links, l.Certificate)
		}
	}
	for _, anchor := range a.For(p) {
		if !anchor.Exact && (slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return pki.IssuedUnder(c, anchor.Certificate) }) ||
			slices.ContainsFunc(links, func(l *x509.Certificate) bool {
				return pki.IssuedUnder(certs[0], l) && l.CheckSignatureFrom(anchor.Certificate) == nil
			})) {
			roots = append(roots, anchor.Certificate)
		}
	}
	return pki.NewPool(append(roots, certs[1:]...)...).WithLinks(links...), nil
}
