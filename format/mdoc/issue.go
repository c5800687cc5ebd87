package mdoc

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/eidos-id/eidos/format/cbor"
	"github.com/eidos-id/eidos/format/cose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/status"
)

// IssueParams is what a document is made of.
type IssueParams struct {
	DocType    string
	NameSpaces []NameSpace
	// DeviceKey is the key that the document is bound to: *ecdsa.PublicKey,
	// ed25519.PublicKey or *ecdh.PublicKey.
	DeviceKey crypto.PublicKey
	// Validity is written in UTC without fractions of a second, which are cut off.
	Validity Validity
	// Status is optional.
	Status *status.Claim
	// DigestAlgorithm is [SHA256] if empty.
	DigestAlgorithm string
	// KeyAuthorizations is optional.
	KeyAuthorizations KeyAuthorizations
	// Decoys is how many digests of nothing each name space gets in addition,
	// so that their number says less. Second edition (draft v4), E.9.5.
	Decoys int
	// Chain is the x5chain, DER, the document signer's certificate first,
	// without the root.
	Chain [][]byte
	// X5T writes the SHA-256 thumbprint of the signer's certificate into the
	// protected header. Second edition (draft v4), 12.3.4.
	X5T bool
}

// NameSpace is one name space of a document to be issued. Without elements it
// gets a decoy digest and stays out of the issued nameSpaces.
type NameSpace struct {
	Name     string
	Elements []Element
	// Digests is how many digests the name space has at least; decoys fill it
	// up, so that documents of a type have equally many. Optional.
	Digests int
}

// Element is one data element: of a document to be issued, or of a result.
type Element struct {
	ID string
	// Value is one encoded CBOR item.
	Value []byte
}

// PreparedIssue is a document that lacks only its signature.
type PreparedIssue struct {
	// ToBeSigned is the Sig_structure to be signed with the document signer's key.
	ToBeSigned []byte

	out  []byte // the IssuerSigned up to the value of issuerAuth
	sign *cose.Prepared
}

// Issue makes a document: fresh salts, shuffled digest identifiers, digests,
// mobile security object, signature. It returns the encoded [IssuerSigned],
// maps in the order of the CDDL. Errors: [ErrSyntax] for parameters that the
// standard forbids, [ErrKey], or the signer's.
//
// ISO/IEC 18013-5:2021, 9.1.2.
func Issue(ctx context.Context, p IssueParams, signer key.Signer) ([]byte, error) {
	prepared, err := PrepareIssue(p, signer.Public())
	if err != nil {
		return nil, err
	}
	signature, err := signer.Sign(ctx, prepared.ToBeSigned)
	if err != nil {
		return nil, fmt.Errorf("issuer signature: %w", err)
	}
	return prepared.Finish(signature)
}

// PrepareIssue is [Issue] up to the signature, which the holder of signer
// (the public key of Chain[0]) makes over ToBeSigned.
func PrepareIssue(p IssueParams, signer crypto.PublicKey) (*PreparedIssue, error) {
	if p.DigestAlgorithm == "" {
		p.DigestAlgorithm = SHA256
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("issue %.128q: %w", p.DocType, err)
	}
	out, digests := p.items()
	mso, err := p.mso(digests)
	if err != nil {
		return nil, fmt.Errorf("issue %.128q: %w", p.DocType, err)
	}
	sign, err := cose.PrepareSign1(signer, cose.Headers{X5Chain: p.Chain, X5T: p.X5T}, cose.Content{Payload: mso})
	if err != nil {
		return nil, fmt.Errorf("issue %.128q: %w: %w", p.DocType, ErrKey, err)
	}
	return &PreparedIssue{ToBeSigned: sign.Message, out: cbor.AppendText(out, "issuerAuth"), sign: sign}, nil
}

// Finish puts the raw signature (r||s, or Ed25519) in and returns the encoded
// [IssuerSigned]. It does not verify it; [Lint] does. It may be called once.
func (p *PreparedIssue) Finish(signature []byte) ([]byte, error) {
	b, err := p.sign.Finish(p.out, signature)
	if err != nil {
		return nil, fmt.Errorf("issuer signature: %w", err)
	}
	return b, nil
}

// check refuses what must not be signed.
func (p *IssueParams) check() error {
	v := &p.Validity
	switch {
	case p.DocType == "" || !utf8.ValidString(p.DocType):
		return fmt.Errorf("%w: docType is empty or not UTF-8", ErrSyntax)
	case len(p.NameSpaces) == 0:
		return fmt.Errorf("%w: no name space", ErrSyntax)
	case len(p.Chain) == 0:
		return fmt.Errorf("%w: no certificate for x5chain (ISO/IEC 18013-5:2021, 9.1.2.4)", ErrSyntax)
	case digestSize(p.DigestAlgorithm) == 0:
		return fmt.Errorf("%w: digest algorithm %q", ErrSyntax, p.DigestAlgorithm)
	case v.Signed.IsZero() || v.ValidFrom.Before(v.Signed) || !v.ValidUntil.After(v.ValidFrom):
		return fmt.Errorf("%w: not signed <= validFrom < validUntil (ISO/IEC 18013-5:2021, 9.1.2.4)", ErrSyntax)
	case p.Decoys < 0 || p.Decoys > DefaultLimits().Elements:
		return fmt.Errorf("%w: %d decoys", ErrLimit, p.Decoys)
	case p.Status != nil && p.Status.IsEmpty():
		return fmt.Errorf("%w: status without a reference", ErrSyntax)
	}
	if dup, ok := unique(len(p.NameSpaces), func(i int) string { return p.NameSpaces[i].Name }); !ok {
		return fmt.Errorf("%w: name space %.128q twice", ErrSyntax, dup)
	}
	for i := range p.NameSpaces {
		if err := p.NameSpaces[i].check(); err != nil {
			return fmt.Errorf("name space %.128q: %w", p.NameSpaces[i].Name, err)
		}
	}
	return p.KeyAuthorizations.check()
}

func (ns *NameSpace) check() error {
	if ns.Name == "" || !utf8.ValidString(ns.Name) {
		return fmt.Errorf("%w: name is empty or not UTF-8", ErrSyntax)
	}
	if ns.Digests < 0 || ns.Digests > DefaultLimits().Elements {
		return fmt.Errorf("%w: %d digests", ErrLimit, ns.Digests)
	}
	if dup, ok := unique(len(ns.Elements), func(i int) string { return ns.Elements[i].ID }); !ok {
		return fmt.Errorf("%w: element %.128q twice", ErrSyntax, dup)
	}
	for i := range ns.Elements {
		e := &ns.Elements[i]
		if e.ID == "" || !utf8.ValidString(e.ID) {
			return fmt.Errorf("%w: element identifier is empty or not UTF-8", ErrSyntax)
		}
		if err := cbor.Check(e.Value, cbor.Limits{}); err != nil {
			return wrap("value of element "+e.ID, err)
		}
	}
	return nil
}

// check refuses what the verifier's side could read in two ways.
func (k *KeyAuthorizations) check() error {
	for _, e := range k.Elements {
		if slices.Contains(k.NameSpaces, e.NameSpace) {
			return fmt.Errorf("%w: key authorization for name space %.128q as a whole and by element (ISO/IEC 18013-5:2021, 9.1.2.4)", ErrSyntax, e.NameSpace)
		}
	}
	return nil
}

// saltSize is the length of random: the standard asks for 16 bytes at least,
// its own examples have 32. ISO/IEC 18013-5:2021, 9.1.2.5.
const (
	saltSize = 32
	saltHead = "\x58\x20"
)

// nameSpaceDigests has what valueDigests says of one name space: n digests one after
// the other in the order of their identifiers, which are 0 to n-1.
type nameSpaceDigests struct {
	n      int
	values []byte
}

// items writes the IssuerSigned map up to its nameSpaces, and computes the
// digests of the elements and decoys on the way.
func (p *IssueParams) items() (out []byte, all []nameSpaceDigests) {
	size, total, shown := 64, 0, 0
	all = make([]nameSpaceDigests, len(p.NameSpaces))
	for i := range p.NameSpaces {
		ns := &p.NameSpaces[i]
		n := max(len(ns.Elements)+p.Decoys, ns.Digests)
		if n == 0 {
			n = 1 // valueDigests holds no empty map: second edition (draft v4), 12.3.4
		}
		if len(ns.Elements) > 0 {
			shown++
		}
		all[i] = nameSpaceDigests{n: n}
		total += n
		size += 16 + len(ns.Name)
		for j := range ns.Elements {
			size += 128 + len(ns.Elements[j].ID) + len(ns.Elements[j].Value)
		}
	}
	for _, der := range p.Chain {
		size += 8 + len(der)
	}
	size += total*(digestSize(p.DigestAlgorithm)+6) + 1024 // the mobile security object

	// One read for everything: salts (or decoys), then eight bytes a place for the shuffle.
	random := make([]byte, total*(saltSize+8))
	rand.Read(random)
	salts, order := random[:total*saltSize], random[total*saltSize:]

	out = make([]byte, 0, size)
	members := 1
	if shown > 0 {
		members = 2
	}
	out = cbor.AppendMap(out, members)
	if shown > 0 {
		out = cbor.AppendMap(cbor.AppendText(out, "nameSpaces"), shown)
	}
	n := digestSize(p.DigestAlgorithm)
	ids := make([]int, 0, total)
	for i := range p.NameSpaces {
		ns, d := &p.NameSpaces[i], &all[i]
		d.values = make([]byte, d.n*n)
		ids = shuffled(ids[:0], d.n, order)
		if len(ns.Elements) > 0 {
			out = cbor.AppendArray(cbor.AppendText(out, ns.Name), len(ns.Elements))
		}
		for j, id := range ids {
			at := d.values[id*n : (id+1)*n]
			salt := salts[j*saltSize : (j+1)*saltSize]
			if j >= len(ns.Elements) {
				sum(p.DigestAlgorithm, at, salt) // a decoy: the digest of nothing that exists
				continue
			}
			start := len(out)
			out = appendItem(out, id, salt, &ns.Elements[j])
			sum(p.DigestAlgorithm, at, out[start:])
		}
		salts, order = salts[d.n*saltSize:], order[d.n*8:]
	}
	return out, all
}

// appendItem writes one IssuerSignedItemBytes.
func appendItem(out []byte, id int, salt []byte, e *Element) []byte {
	n := len(itemDigestID) + cbor.HeadSize(uint64(id)) + len(itemRandom) + len(saltHead) + saltSize +
		len(itemID) + cbor.HeadSize(uint64(len(e.ID))) + len(e.ID) + len(itemValue) + len(e.Value)
	out = cbor.AppendBytesHead(cbor.AppendTag(out, cbor.TagEmbedded), n)
	out = cbor.AppendUint(append(out, itemDigestID...), uint64(id))
	out = append(append(append(out, itemRandom...), saltHead...), salt...)
	out = cbor.AppendText(append(out, itemID...), e.ID)
	return append(append(out, itemValue...), e.Value...)
}

// shuffled appends the numbers below n in random order, so that identifiers of
// two documents do not correlate (ISO/IEC 18013-5:2021, 9.1.2.4). random has
// eight bytes a number: the bias of the multiplication is below 2^-50.
func shuffled(ids []int, n int, random []byte) []int {
	for i := range n {
		ids = append(ids, i)
	}
	for i := n - 1; i > 0; i-- {
		hi, _ := bits.Mul64(binary.BigEndian.Uint64(random[8*i:]), uint64(i+1))
		ids[i], ids[hi] = ids[hi], ids[i]
	}
	return ids
}
