package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/check"
)

const (
	maxKnown = 1024 // chains that a pool remembers
	maxMet   = 64   // chains of which it remembers that they came once
)

// memory is of the chains that were found in order under the anchors of a pool,
// by their bytes. A chain is kept when it comes for the second time: of a signer
// who is met once nothing is worth keeping.
type memory struct {
	mu   sync.Mutex
	once [maxMet]uint64 // beginnings of ids, each at a place of its own; one moves another out
	kept map[chainID]*knownPath
}

// knownPath is a path that is valid, but for the revocation of its certificates.
type knownPath struct {
	chain       []*x509.Certificate
	anchor      *x509.Certificate
	checks      []check.Check
	from, until time.Time // all certificates are current, the ends included
}

// chainID names all that a path depends on but the pool, the time and the lists
// of what was revoked.
type chainID [sha256.Size]byte

func idOf(der [][]byte, o VerifyOptions) (id chainID) {
	h := sha256.New()
	var n [4]byte
	write := func(b []byte) {
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	write([]byte(o.Profile))
	if o.Strict {
		write(nil)
	}
	for _, cert := range der {
		write(cert)
	}
	h.Sum(id[:0])
	return id
}

// find returns the path of a chain that is known at a time, and otherwise
// whether the chain came before.
func (m *memory) find(id chainID, now time.Time) (p *knownPath, met bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p = m.kept[id]; p != nil && !now.Before(p.from) && !now.After(p.until) {
		return p, true
	}
	return nil, p != nil || *m.place(id) == id.beginning()
}

func (id *chainID) beginning() uint64 { return binary.BigEndian.Uint64(id[:]) }

func (m *memory) place(id chainID) *uint64 { return &m.once[id.beginning()%maxMet] }

// meet notes a chain that was found in order for the first time.
func (m *memory) meet(id chainID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*m.place(id) = id.beginning()
}

// keep remembers a path, whose certificates stay as they are.
func (m *memory) keep(id chainID, p *knownPath) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= maxKnown {
		m.kept = make(map[chainID]*knownPath)
	}
	m.kept[id] = p
}
