package keyring

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/record"
)

// ErrUnknownRoot: there is no root of that name.
var ErrUnknownRoot = errors.New("keyring: no such root")

const (
	kindLink = "link certificate" // record; its id is the fingerprint

	// ahead is how long a new root is published before it certifies, as long as
	// another one still can: lists and those who keep copies of them for offline
	// use need that time. An operator who orders a signer does not wait.
	ahead = 30 * day
)

// link is a link certificate as it is stored.
type link struct{ DER []byte }

// Root is a root whose signatures count.
type Root struct {
	Certificate *x509.Certificate
	// List names the root's revocation list below the address of the first
	// root's, for CA.CRL: the key identifier in hex; empty for the first root.
	List string
}

// listName is what people call the root's list.
func (r Root) listName() string {
	if r.List == "" {
		return r.Certificate.Subject.CommonName
	}
	return r.Certificate.Subject.CommonName + " " + r.List
}

// Root returns the certificate of the newest root. Error: ErrOffline if it is
// kept elsewhere and its certificate was not brought in.
func (ca *CA) Root(ctx context.Context, now time.Time) (*x509.Certificate, error) {
	roots, err := ca.Roots(ctx, now)
	if err != nil {
		return nil, err
	}
	return roots[0].Certificate, nil
}

// Roots returns the roots whose signatures count, the newest first. The first
// call of a process sees to it that there is one. Error: ErrOffline if they are
// kept elsewhere and none was brought in.
func (ca *CA) Roots(ctx context.Context, now time.Time) ([]Root, error) {
	roots, err := ca.known(ctx, now)
	if err == nil && len(roots) == 0 && !ca.config.Offline {
		if err = ca.Maintain(ctx, now); err == nil {
			roots, err = ca.known(ctx, now)
		}
	}
	if err == nil && len(roots) == 0 {
		err = ca.noRoot()
	}
	return roots, err
}

// known is Roots of what there is; none is no error.
func (ca *CA) known(ctx context.Context, now time.Time) ([]Root, error) {
	records, err := ca.roots(ctx, now)
	if err != nil {
		return nil, err
	}
	first, err := ca.firstRoot(ctx)
	if err != nil {
		return nil, err
	}
	roots := make([]Root, len(records))
	for i, r := range records {
		if roots[i].Certificate, err = r.Certificate(); err != nil {
			return nil, err
		}
		if r.ID != first.ID {
			roots[i].List = hex.EncodeToString(roots[i].Certificate.SubjectKeyId)
		}
	}
	return roots, nil
}

// roots returns the roots that may sign now or later, the newest first.
func (ca *CA) roots(ctx context.Context, now time.Time) ([]Record, error) {
	return ca.ring.active(ctx, ca.config.Tenant, ca.config.Root.Purpose, now)
}

// firstRoot returns the record of the oldest root, also if it has ended; the
// zero Record before there is one. Its list is where the configuration says;
// what it has signed says so for good.
func (ca *CA) firstRoot(ctx context.Context) (Record, error) {
	all, err := ca.ring.records(ctx, ca.config.Tenant, ca.config.Root.Purpose, func(r Record) bool { return len(r.Chain) > 0 })
	if err != nil || len(all) == 0 {
		return Record{}, err
	}
	return all[len(all)-1], nil
}

// after refuses a new root while the clock is behind the last one: roots are
// told apart by their order, the newest of which certifies.
func (ca *CA) after(ctx context.Context, now time.Time) error {
	records, err := ca.roots(ctx, now)
	if err != nil || len(records) == 0 || now.After(records[0].Created) {
		return err
	}
	return fmt.Errorf("the clock says %s, but the last root came in or was made at %s: set the clock right", now.UTC().Format(time.RFC3339), records[0].Created.Format(time.RFC3339))
}

// listURL is the address, for certificates of the configuration, of the list of
// a root; empty if the configuration has none.
func (ca *CA) listURL(ctx context.Context, c Certified, root *x509.Certificate) (string, error) {
	first, err := ca.firstRoot(ctx)
	if err != nil || c.Template.CRLURL == "" || len(first.Chain) > 0 && bytes.Equal(first.Chain[0], root.Raw) {
		return c.Template.CRLURL, err
	}
	return listBelow(c.Template.CRLURL, root.SubjectKeyId), nil
}

// listBelow is the address of the list of a root that is not the first.
func listBelow(first string, keyID []byte) string { return first + "/" + hex.EncodeToString(keyID) }

// rootDue reports whether the newest root needs a successor.
func (ca *CA) rootDue(roots []Record, now time.Time) bool {
	return len(roots) == 0 || ca.config.Root.Reserve > 0 && now.After(ca.config.Root.successor(roots[0]))
}

// follows returns the newest root if a link leads to it, else nil.
func (ca *CA) follows(ctx context.Context, roots []Record, now time.Time) (*x509.Certificate, error) {
	if len(roots) < 2 {
		return nil, nil
	}
	newest, err := roots[0].Certificate()
	if err != nil {
		return nil, err
	}
	links, err := ca.Links(ctx, now)
	if err != nil || !slices.ContainsFunc(links, func(l *x509.Certificate) bool { return pki.LinksTo(l, newest) }) {
		return nil, err
	}
	return newest, nil
}

// under reports whether the certificate of a key is by that root.
func (rec Record) under(root *x509.Certificate) bool {
	cert, err := rec.Certificate()
	return err == nil && pki.IssuedUnder(cert, root)
}

// certifier returns the root that certifies a signer: the newest, unless that
// is so new that many do not know it yet and the one before can still do it.
func (ca *CA) certifier(ctx context.Context, c Certified, now time.Time) (Key, error) {
	roots, err := ca.signingRoots(ctx, now)
	if err != nil {
		return Key{}, err
	}
	if !c.Linked && len(roots) > 1 && now.Sub(roots[0].Created) < ahead && roots[1].NotAfter.After(now.Add(c.Lifetime)) {
		return ca.ring.open(ctx, roots[1])
	}
	return ca.ring.open(ctx, roots[0])
}

// signingRoots returns the roots that can sign now, the newest first. Errors:
// ErrNoKey; ErrOffline if they are kept elsewhere.
func (ca *CA) signingRoots(ctx context.Context, now time.Time) ([]Record, error) {
	records, err := ca.ring.records(ctx, ca.config.Tenant, ca.config.Root.Purpose, func(r Record) bool {
		return r.State == Active && r.KeyID != "" && r.usable(now)
	})
	switch {
	case err != nil:
		return nil, err
	case len(records) == 0 && ca.config.Offline:
		return nil, fmt.Errorf("%w: nothing can be signed with it here", ErrOffline)
	case len(records) == 0:
		return nil, fmt.Errorf("%w: tenant %q, purpose %q", ErrNoKey, ca.config.Tenant, ca.config.Root.Purpose)
	}
	return records, nil
}

// rootKey returns the key of a root. Errors: ErrNoKey, ErrOffline.
func (ca *CA) rootKey(ctx context.Context, root *x509.Certificate, now time.Time) (Key, error) {
	roots, err := ca.signingRoots(ctx, now)
	if err != nil {
		return Key{}, err
	}
	i := slices.IndexFunc(roots, func(r Record) bool { return bytes.Equal(r.Chain[0], root.Raw) })
	if i < 0 {
		return Key{}, fmt.Errorf("%w: of the root %q", ErrNoKey, root.Subject.CommonName)
	}
	return ca.ring.open(ctx, roots[i])
}

// Rolled is what Roll has made.
type Rolled struct {
	Root *x509.Certificate
	// Link leads from the root before to the new one; nil if there was none, or
	// none was wanted.
	Link *x509.Certificate
	List string // as Root.List
}

// Roll makes a new root now and, if linked, the link certificate to it, which
// takes the key of the root before. What the roots before have certified counts
// until it ends, and their revocation lists go on; signers that are made from
// now on are certified by the new root. Where the root is kept elsewhere this
// is done there. Error: ErrOffline.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.2 and B.1.3.
func (ca *CA) Roll(ctx context.Context, linked bool, now time.Time) (Rolled, error) {
	if ca.config.Offline {
		return Rolled{}, fmt.Errorf("%w: make its successor there (eidos pki %s roll --keys) and bring in what that writes (eidos pki %[2]s import)", ErrOffline, ca.config.Root.Purpose)
	}
	var done Rolled
	err := ca.alone(ctx, func(ctx context.Context) (err error) {
		done, err = ca.newRoot(ctx, linked, now)
		return err
	})
	if err != nil {
		return Rolled{}, fmt.Errorf("keyring: new root of %s: %w", ca.config.Tenant, err)
	}
	return done, nil
}

// newRoot makes a root, the first or the next, and the link to it. The link is
// stored before the root counts: whatever ends the process in between leaves a
// link to nothing, which nobody is shown, and no root without its link.
func (ca *CA) newRoot(ctx context.Context, linked bool, now time.Time) (done Rolled, err error) {
	before, err := ca.signingRoots(ctx, now)
	if err != nil && !errors.Is(err, ErrNoKey) {
		return Rolled{}, err
	}
	if err := ca.after(ctx, now); err != nil {
		return Rolled{}, err
	}
	first, err := ca.firstRoot(ctx)
	if err != nil {
		return Rolled{}, err
	}
	c := ca.config.Root
	k, err := ca.ring.Rotate(ctx, Spec{Tenant: ca.config.Tenant, Purpose: c.Purpose}, now, func(ctx context.Context, k Key) ([][]byte, error) {
		t := c.Template
		t.PublicKey = k.Public()
		t.NotBefore, t.NotAfter = pki.Validity(now, c.Lifetime)
		if len(first.Chain) > 0 {
			id, err := pki.KeyIdentifier(k.Public())
			if err != nil {
				return nil, err
			}
			if done.List = hex.EncodeToString(id); t.CRLURL != "" {
				t.CRLURL = listBelow(t.CRLURL, id)
			}
		}
		der, err := pki.Issue(ctx, c.Profile, t, k)
		if err != nil {
			return nil, err
		}
		if done.Root, err = pki.ParseCertificate(der); err != nil {
			return nil, err
		}
		if linked && len(before) > 0 {
			done.Link, err = ca.linkFrom(ctx, before[0], done.Root)
		}
		return [][]byte{der}, err
	})
	if err != nil {
		return Rolled{}, err
	}
	if err := ca.changed(ctx, "signing key made", k.Record, now); err != nil || done.Link == nil {
		return done, err
	}
	return done, ca.tellLink(ctx, "link certificate made", done.Link, now)
}

// linkFrom makes the link certificate from a root to its successor and keeps it.
func (ca *CA) linkFrom(ctx context.Context, before Record, successor *x509.Certificate) (*x509.Certificate, error) {
	old, err := ca.ring.open(ctx, before)
	if err != nil {
		return nil, err
	}
	cert, err := old.Certificate()
	if err != nil {
		return nil, err
	}
	// A link is revoked on the old root's list. The template of signers knows
	// where that is, also if roots themselves name none.
	list := ca.config.Root
	if list.Template.CRLURL == "" && len(ca.config.Signers) > 0 {
		list = ca.config.Signers[0]
	}
	url, err := ca.listURL(ctx, list, cert)
	if err != nil {
		return nil, err
	}
	der, err := pki.IssueLink(ctx, ca.config.Root.Profile, cert, successor, url, old)
	if err != nil {
		return nil, fmt.Errorf("link certificate by the root of %s: %w", cert.NotBefore.UTC().Format(time.DateOnly), err)
	}
	made, err := pki.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	_, err = ca.keepLink(ctx, made)
	return made, err
}

// keepLink stores a link certificate and reports whether it is new.
func (ca *CA) keepLink(ctx context.Context, cert *x509.Certificate) (fresh bool, err error) {
	err = ca.records.Update(ctx, ca.config.Tenant, func(ctx context.Context, tx record.Tx) error {
		_, err := tx.Get(ctx, kindLink, listOf(cert))
		if fresh = errors.Is(err, record.ErrNotFound); !fresh {
			return err
		}
		return record.Put(ctx, tx, kindLink, listOf(cert), link{cert.Raw})
	})
	return fresh, err
}

func (ca *CA) tellLink(ctx context.Context, what string, cert *x509.Certificate, now time.Time) error {
	return ca.tell(ctx, what, serial(cert), map[string]string{
		"purpose": string(ca.config.Root.Purpose), "from": hex.EncodeToString(cert.AuthorityKeyId), "to": hex.EncodeToString(cert.SubjectKeyId),
		"until": cert.NotAfter.UTC().Format(time.DateOnly),
	}, now)
}

// Links returns the link certificates from root to root that hold now, the one
// that ends last first: those that are not revoked, between roots whose
// signatures count.
func (ca *CA) Links(ctx context.Context, now time.Time) ([]*x509.Certificate, error) {
	var stored []link
	err := ca.records.View(ctx, ca.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		stored, err = record.All[link](ctx, tx, kindLink)
		return err
	})
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	roots, err := ca.known(ctx, now)
	if err != nil {
		return nil, err
	}
	revoked, err := ca.allRevoked(ctx)
	if err != nil {
		return nil, err
	}
	var links []*x509.Certificate
	for _, s := range stored {
		cert, err := pki.ParseCertificate(s.DER)
		if err != nil {
			return nil, err
		}
		_, gone := revoked[serial(cert)]
		if gone || now.Before(cert.NotBefore) || now.After(cert.NotAfter) ||
			!slices.ContainsFunc(roots, func(r Root) bool { return pki.LinksTo(cert, r.Certificate) }) ||
			!slices.ContainsFunc(roots, func(r Root) bool { return pki.IssuedUnder(cert, r.Certificate) }) {
			continue
		}
		links = append(links, cert)
	}
	slices.SortFunc(links, func(a, b *x509.Certificate) int {
		return cmp.Or(b.NotAfter.Compare(a.NotAfter), bytes.Compare(a.SubjectKeyId, b.SubjectKeyId))
	})
	return links, nil
}

// Chain returns the chain of a signer with the link certificates behind it that
// lead from its root to older ones, DER, for what has to verify under any of
// them: a status list is about documents of several roots, and who checks an old
// one may know its root alone. No root is in it.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.1 and 12.3.6.
func (ca *CA) Chain(ctx context.Context, k Key, now time.Time) ([][]byte, error) {
	links, err := ca.Links(ctx, now)
	if err != nil {
		return nil, err
	}
	below, err := k.Certificate()
	if err != nil {
		return nil, err
	}
	chain := slices.Clone(k.Record.Chain)
	for len(links) > 0 && len(chain) < pki.MaxChainLength {
		i := slices.IndexFunc(links, func(l *x509.Certificate) bool { return pki.IssuedUnder(below, l) })
		if i < 0 {
			break
		}
		below = links[i]
		chain = append(chain, below.Raw)
		links = slices.Delete(links, i, i+1) // so that no circle goes on
	}
	return chain, nil
}
