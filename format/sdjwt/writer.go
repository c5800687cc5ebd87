package sdjwt

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/format/jose"
)

// writer turns a tree of nodes into a payload with digests, and disclosures.
type writer struct {
	hash        hashAlgorithm
	decoys      int
	least       int      // digests of the payload itself
	buf         []byte   // JSON in progress; what is finished above an unfinished object is taken off again
	out         []byte   // the disclosures, each with a tilde before it
	digests     []string // of objects in progress, in the same manner as buf
	disclosures int
	random      []byte // drawn and not yet used
}

// saltSize is 128 bits. RFC 9901, 9.3.
const saltSize = 16

// draw returns n random bytes, valid until the next call.
func (w *writer) draw(n int) []byte {
	if len(w.random) < n {
		w.random = make([]byte, max(n, 32*saltSize))
		rand.Read(w.random)
	}
	b := w.random[:n]
	w.random = w.random[n:]
	return b
}

// members writes the members of an object, without its braces: those that are
// always there, then the digests of the others.
func (w *writer) members(nodes []Node, depth int) error {
	if depth > DefaultLimits().Depth {
		return fmt.Errorf("%w: claims nested deeper than %d", ErrLimit, DefaultLimits().Depth)
	}
	if dup, ok := distinct(nodes); !ok {
		return fmt.Errorf("%w: claim %.64q twice in an object", ErrSyntax, dup)
	}
	first, start := len(w.digests), len(w.buf)
	comma := func() {
		if len(w.buf) > start {
			w.buf = append(w.buf, ',')
		}
	}
	for i := range nodes {
		n := &nodes[i]
		if n.Name == nameDigests || n.Name == nameElement || n.Name == nameAlgorithm {
			return fmt.Errorf("%w: claim named %q (RFC 9901, 4.1)", ErrSyntax, n.Name)
		}
		if n.SD != Never {
			digest, err := w.disclose(n, true, depth)
			if err != nil {
				return err
			}
			w.digests = append(w.digests, digest)
			continue
		}
		comma()
		w.buf = append(appendString(w.buf, n.Name), ':')
		if err := w.value(n, depth); err != nil {
			return err
		}
	}
	if len(w.digests) == first {
		return nil
	}
	for range w.decoys {
		w.digests = append(w.digests, w.decoy())
	}
	for depth == 1 && len(w.digests)-first < w.least {
		w.digests = append(w.digests, w.decoy())
	}
	// Sorted, they say nothing of the order of the claims. RFC 9901, 4.2.4.1.
	slices.Sort(w.digests[first:])
	comma()
	w.buf = append(w.buf, `"_sd":[`...)
	for i, d := range w.digests[first:] {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(append(append(w.buf, '"'), d...), '"')
	}
	w.buf = append(w.buf, ']')
	w.digests = w.digests[:first]
	return nil
}

// value writes the value of a node.
func (w *writer) value(n *Node, depth int) error {
	switch kinds := count(n.Value != nil, n.Members != nil, n.Elements != nil); {
	case kinds != 1:
		return fmt.Errorf("%w: claim %.64q with %d of value, members and elements", ErrSyntax, n.Name, kinds)
	case n.SD != "" && n.SD != Always && n.SD != Allowed && n.SD != Never:
		return fmt.Errorf("%w: claim %.64q with policy %.16q", ErrSyntax, n.Name, string(n.SD))
	case n.Members != nil:
		w.buf = append(w.buf, '{')
		if err := w.members(n.Members, depth+1); err != nil {
			return err
		}
		w.buf = append(w.buf, '}')
		return nil
	case n.Elements != nil:
		return w.elements(n, depth+1)
	}
	if err := w.whole(n.Value); err != nil {
		return fmt.Errorf("value of claim %.64q: %w", n.Name, err)
	}
	w.buf = append(w.buf, n.Value...)
	return nil
}

// whole checks a value that is disclosed as a whole. Digests in it would be
// taken for ours.
func (w *writer) whole(value []byte) error {
	d := DefaultLimits()
	if len(value) > 0 && value[0] != '{' && value[0] != '[' {
		if err := jose.CheckJSON(value, jose.Limits{Token: d.Bytes}); err != nil {
			return fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		return nil
	}
	r := reader{members: d.Members}
	v, err := r.readJSON(value, d)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if v.digested || v.find(nameElement) != nil {
		return fmt.Errorf("%w: digests in it", ErrSyntax)
	}
	return nil
}

func (w *writer) elements(n *Node, depth int) error {
	if depth > DefaultLimits().Depth {
		return fmt.Errorf("%w: claims nested deeper than %d", ErrLimit, DefaultLimits().Depth)
	}
	w.buf = append(w.buf, '[')
	hidden := false
	for i := range n.Elements {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		e := &n.Elements[i]
		if e.SD == Never {
			if err := w.value(e, depth); err != nil {
				return err
			}
			continue
		}
		digest, err := w.disclose(e, false, depth)
		if err != nil {
			return err
		}
		w.element(digest)
		hidden = true
	}
	for range w.decoys {
		if hidden {
			w.buf = append(w.buf, ',')
			w.element(w.decoy())
		}
	}
	w.buf = append(w.buf, ']')
	return nil
}

func (w *writer) element(digest string) {
	w.buf = append(append(append(w.buf, `{"...":"`...), digest...), `"}`...)
}

// disclose writes a disclosure and returns its digest.
func (w *writer) disclose(n *Node, named bool, depth int) (digest string, err error) {
	if w.disclosures++; w.disclosures > DefaultLimits().Disclosures {
		return "", fmt.Errorf("%w: more than %d disclosures", ErrLimit, DefaultLimits().Disclosures)
	}
	start := len(w.buf)
	w.buf = append(w.buf, '[', '"')
	w.buf = base64.RawURLEncoding.AppendEncode(w.buf, w.draw(saltSize))
	w.buf = append(w.buf, '"', ',')
	if named {
		w.buf = append(appendString(w.buf, n.Name), ',')
	}
	if err := w.value(n, depth); err != nil {
		return "", err
	}
	w.buf = append(w.buf, ']')
	w.out = append(w.out, '~')
	at := len(w.out)
	w.out = base64.RawURLEncoding.AppendEncode(w.out, w.buf[start:])
	w.buf = w.buf[:start]
	return w.hash.digest(w.out[at:]), nil
}

// decoy is the digest of nothing that exists.
func (w *writer) decoy() string { return w.hash.digest(w.draw(2 * saltSize)) }

// distinct reports whether all names differ, and else one that does not.
func distinct(nodes []Node) (dup string, ok bool) {
	seen := make(map[string]struct{}, len(nodes))
	for i := range nodes {
		if _, twice := seen[nodes[i].Name]; twice {
			return nodes[i].Name, false
		}
		seen[nodes[i].Name] = struct{}{}
	}
	return "", true
}

func count(all ...bool) int {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}
