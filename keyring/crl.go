package keyring

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/record"
)

// Reason is why a certificate was revoked, by the names of RFC 5280, 5.3.1. It
// stays with the authority: the lists of ISO/IEC 18013-5 have no entry
// extensions (second edition, draft v4, B.2), and those who verify make no
// difference between reasons (B.3).
type Reason string

// Reasons returns the reasons that fit a signer. Revocation is for good, so
// those of suspension are not among them.
func Reasons() []Reason {
	return []Reason{"unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn"}
}

// Revocation is a certificate that was revoked.
type Revocation struct {
	Serial string    `json:"serial"` // hex
	At     time.Time `json:"at"`
	Reason Reason    `json:"reason"`
}

// ErrRefusedList: a revocation list is not one that may be published.
var ErrRefusedList = errors.New("keyring: revocation list not accepted")

const (
	kindRevocations = "revocation list"
	leaseOfList     = "revocation list" // held while one is signed
	crlEvery        = 12 * time.Hour
	crlLifetime     = 30 * day

	revocationList Purpose = "crl" // in Published
)

// revocations is what is remembered of a root's revocation list.
type revocations struct {
	Revoked []Revocation
	Number  int64 // of the newest list, 0 if there is none
	Signed  int   // how many of Revoked are on it
	DER     []byte
	Update  time.Time // when it was made
	Next    time.Time // its next update
}

// stale reports whether a list has to be signed before it is published.
func (l revocations) stale(now time.Time) bool {
	return len(l.DER) == 0 || l.Signed < len(l.Revoked) || now.Sub(l.Update) >= crlEvery || now.Before(l.Update)
}

func listOf(root *x509.Certificate) string {
	sum := pki.Fingerprint(root)
	return hex.EncodeToString(sum[:])
}

func readRevocations(ctx context.Context, tx record.Tx, root *x509.Certificate) (revocations, error) {
	l, err := record.Get[revocations](ctx, tx, kindRevocations, listOf(root))
	if errors.Is(err, record.ErrNotFound) {
		err = nil
	}
	return l, err
}

func (ca *CA) revocations(ctx context.Context, root *x509.Certificate) (l revocations, err error) {
	err = ca.records.View(ctx, ca.config.Tenant, func(ctx context.Context, tx record.Tx) (err error) {
		l, err = readRevocations(ctx, tx, root)
		return err
	})
	return l, err
}

// change changes what is remembered, in a transaction.
func (ca *CA) change(ctx context.Context, root *x509.Certificate, f func(l *revocations) error) error {
	return ca.records.Update(ctx, ca.config.Tenant, func(ctx context.Context, tx record.Tx) error {
		l, err := readRevocations(ctx, tx, root)
		if err != nil {
			return err
		}
		if err := f(&l); err != nil {
			return err
		}
		return record.Put(ctx, tx, kindRevocations, listOf(root), l)
	})
}

// allRevoked are the revoked certificates under any root, by serial number.
func (ca *CA) allRevoked(ctx context.Context) (map[string]Revocation, error) {
	all := map[string]Revocation{}
	err := ca.records.View(ctx, ca.config.Tenant, func(ctx context.Context, tx record.Tx) error {
		lists, err := record.All[revocations](ctx, tx, kindRevocations)
		for _, l := range lists {
			for _, r := range l.Revoked {
				all[r.Serial] = r
			}
		}
		return err
	})
	return all, err
}

// Revoke puts a certificate that one of the roots has signed on the revocation
// list of that root for good and signs the list. If it is of a signer here, that
// one signs no more, in other processes within a minute; a successor is made. A
// certificate that is on the list already is no error. Error: ErrOffline.
//
// ISO/IEC 18013-5 second edition (draft v4), B.2: a list follows within 48
// hours; here it does at once.
func (ca *CA) Revoke(ctx context.Context, cert *x509.Certificate, reason Reason, now time.Time) (Revocation, error) {
	if !slices.Contains(Reasons(), reason) {
		return Revocation{}, fmt.Errorf("keyring: reason %.40q is none of %v", reason, Reasons())
	}
	if ca.config.Offline {
		return Revocation{}, fmt.Errorf("%w: revoke the certificate there (eidos pki revoke --keys) and bring the list in (eidos pki crl import)", ErrOffline)
	}
	root, err := ca.rootThat(ctx, now, func(root *x509.Certificate) bool {
		return !bytes.Equal(cert.Raw, root.Raw) && cert.CheckSignatureFrom(root) == nil
	})
	if errors.Is(err, ErrUnknownRoot) {
		err = fmt.Errorf("keyring: the certificate of %q was signed by no root whose signatures count", cert.Subject.CommonName)
	}
	if err != nil {
		return Revocation{}, err
	}
	done := Revocation{Serial: serial(cert), At: now.UTC().Truncate(time.Second), Reason: reason}
	err = ca.alone(ctx, func(ctx context.Context) error {
		if err := ca.retireRevoked(ctx, root.Certificate, []string{done.Serial}, now); err != nil {
			return err
		}
		fresh := true
		err := ca.change(ctx, root.Certificate, func(l *revocations) error {
			i := slices.IndexFunc(l.Revoked, func(r Revocation) bool { return r.Serial == done.Serial })
			if fresh = i < 0; fresh {
				l.Revoked = append(l.Revoked, done)
			} else {
				done = l.Revoked[i]
			}
			return nil
		})
		if err != nil || !fresh {
			return err
		}
		return ca.tell(ctx, "certificate revoked", done.Serial, map[string]string{"subject": cert.Subject.CommonName, "reason": string(reason)}, now)
	})
	if err != nil {
		return Revocation{}, err
	}
	_, err = ca.CRL(ctx, root.List, now)
	return done, err
}

// rootThat returns the first root that matches. Errors: ErrUnknownRoot, ErrOffline.
func (ca *CA) rootThat(ctx context.Context, now time.Time, match func(root *x509.Certificate) bool) (Root, error) {
	roots, err := ca.Roots(ctx, now)
	if err != nil {
		return Root{}, err
	}
	i := slices.IndexFunc(roots, func(r Root) bool { return match(r.Certificate) })
	if i < 0 {
		return Root{}, ErrUnknownRoot
	}
	return roots[i], nil
}

// retireRevoked retires those of our signers whose certificates by the root are
// revoked.
func (ca *CA) retireRevoked(ctx context.Context, root *x509.Certificate, serials []string, now time.Time) error {
	for _, s := range serials {
		r, err := ca.find(ctx, s)
		if errors.Is(err, ErrUnknownKey) {
			continue
		}
		if err != nil {
			return err
		}
		if cert, err := r.Certificate(); err != nil || !pki.IssuedUnder(cert, root) {
			continue // another root's, which has a list of its own
		}
		if err := ca.retire(ctx, &r, now, false); err != nil {
			return err
		}
	}
	return nil
}

// CRL returns the revocation list of a root, DER, signed anew twice a day and
// when a certificate was revoked. list is Root.List: empty for the first root.
// The signed list is kept in the store, so that all processes publish the same.
// Its number rises with the time, also when the store was restored from a
// backup. Errors: ErrUnknownRoot, also for a root that has ended; ErrOffline if
// the root is kept elsewhere and no list was brought in.
//
// ISO/IEC 18013-5 second edition (draft v4), B.2; RFC 5280, 5.
func (ca *CA) CRL(ctx context.Context, list string, now time.Time) ([]byte, error) {
	roots, err := ca.Roots(ctx, now)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(roots, func(r Root) bool { return r.List == list })
	if i < 0 {
		return nil, ErrUnknownRoot
	}
	root := roots[i].Certificate
	l, err := ca.revocations(ctx, root)
	if err != nil {
		return nil, err
	}
	if ca.config.Offline {
		if len(l.DER) == 0 {
			return nil, fmt.Errorf("%w and no revocation list was brought in: eidos pki crl import", ErrOffline)
		}
		return l.DER, nil
	}
	if !l.stale(now) {
		return l.DER, nil
	}
	err = ca.records.Alone(ctx, ca.config.Tenant, leaseOfList, func(ctx context.Context) error {
		if l, err = ca.revocations(ctx, root); err != nil || !l.stale(now) {
			return err
		}
		return ca.signList(ctx, root, &l, now)
	})
	if err != nil {
		return nil, fmt.Errorf("keyring: revocation list of %s: %w", ca.config.Tenant, err)
	}
	return l.DER, nil
}

// signList signs and stores a list, now that no other process does.
func (ca *CA) signList(ctx context.Context, root *x509.Certificate, l *revocations, now time.Time) error {
	signer, err := ca.rootKey(ctx, root, now)
	if err != nil {
		return err
	}
	l.Number, l.Signed = max(l.Number+1, now.Unix()), len(l.Revoked)
	l.Update, l.Next = now.UTC().Truncate(time.Second), now.UTC().Truncate(time.Second).Add(ca.config.ListLifetime)
	t := pki.CRLTemplate{Issuer: root, Number: big.NewInt(l.Number), ThisUpdate: l.Update, NextUpdate: l.Next}
	for _, r := range l.Revoked {
		n, ok := new(big.Int).SetString(r.Serial, 16)
		if !ok {
			return fmt.Errorf("serial number %q is not hexadecimal", r.Serial)
		}
		t.Revoked = append(t.Revoked, pki.RevokedCertificate{SerialNumber: n, At: r.At})
	}
	if l.DER, err = pki.IssueCRL(ctx, t, signer); err != nil {
		return err
	}
	return ca.change(ctx, root, func(stored *revocations) error {
		l.Revoked = stored.Revoked // what was revoked meanwhile makes the list stale
		*stored = *l
		return nil
	})
}

// ImportCRL brings in a revocation list of one of the roots. Where that is
// kept elsewhere the list is published as it is: its number has to be above
// that of the one before and its next update to come. Where the root is here,
// what is on the list is taken over, for a store that was restored from a
// backup which did not know it yet. Signers whose certificates are on it sign
// no more. It returns how many certificates the list names. Errors:
// ErrRefusedList, ErrOffline without a root.
func (ca *CA) ImportCRL(ctx context.Context, der []byte, now time.Time) (int, error) {
	list, err := parseList(der)
	if err != nil {
		return 0, err
	}
	signed, err := ca.rootThat(ctx, now, func(root *x509.Certificate) bool {
		return bytes.Equal(list.RawIssuer, root.RawSubject) && list.CheckSignatureFrom(root) == nil
	})
	if errors.Is(err, ErrUnknownRoot) {
		err = fmt.Errorf("%w: signed by no root whose signatures count", ErrRefusedList)
	}
	if err != nil {
		return 0, err
	}
	root := signed.Certificate
	entries, err := readList(list, now, ca.config.Offline)
	if err != nil {
		return 0, err
	}
	var serials []string
	for _, e := range entries {
		serials = append(serials, e.Serial)
	}
	err = ca.alone(ctx, func(ctx context.Context) error {
		if err := ca.retireRevoked(ctx, root, serials, now); err != nil {
			return err
		}
		known := false
		err := ca.change(ctx, root, func(l *revocations) error {
			if known = bytes.Equal(l.DER, der); known {
				return nil
			}
			if !ca.config.Offline {
				for _, e := range entries {
					if !slices.ContainsFunc(l.Revoked, func(r Revocation) bool { return r.Serial == e.Serial }) {
						l.Revoked = append(l.Revoked, e)
					}
				}
				l.Number = max(l.Number, list.Number.Int64())
				return nil
			}
			if list.Number.Int64() <= l.Number {
				return fmt.Errorf("%w: its number %d is not above %d, that of the one before", ErrRefusedList, list.Number, l.Number)
			}
			*l = revocations{Revoked: entries, Number: list.Number.Int64(), Signed: len(entries), DER: bytes.Clone(der), Update: list.ThisUpdate, Next: list.NextUpdate}
			return nil
		})
		if err != nil || known {
			return err
		}
		return ca.tell(ctx, "revocation list brought in", list.Number.String(), map[string]string{"certificates": fmt.Sprint(len(entries))}, now)
	})
	return len(entries), err
}

// parseList reads a list of the form that verifiers take.
func parseList(der []byte) (*x509.RevocationList, error) {
	_, err := pki.ParseCRL(der)
	var list *x509.RevocationList
	if err == nil {
		list, err = x509.ParseRevocationList(der)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefusedList, err)
	}
	return list, nil
}

// readList returns the entries of a list; of a current one only if so asked.
func readList(list *x509.RevocationList, now time.Time, current bool) ([]Revocation, error) {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrRefusedList}, args...)...)
	}
	switch {
	case list.Number == nil || !list.Number.IsInt64():
		return nil, refuse("no number, or one of more than 63 bits")
	case now.Before(list.ThisUpdate):
		return nil, refuse("made at %s, which is to come", list.ThisUpdate.UTC().Format(time.RFC3339))
	case current && !now.Before(list.NextUpdate):
		return nil, refuse("its next update was due %s", list.NextUpdate.UTC().Format(time.RFC3339))
	}
	var entries []Revocation
	for _, e := range list.RevokedCertificateEntries {
		reason := Reason("unspecified")
		for _, r := range Reasons() {
			if code(r) == e.ReasonCode {
				reason = r
			}
		}
		entries = append(entries, Revocation{Serial: hex.EncodeToString(e.SerialNumber.Bytes()), At: e.RevocationTime.UTC(), Reason: reason})
	}
	return entries, nil
}

// code is the CRLReason of a reason. RFC 5280, 5.3.1.
func code(r Reason) int {
	return map[Reason]int{"keyCompromise": 1, "affiliationChanged": 3, "superseded": 4, "cessationOfOperation": 5, "privilegeWithdrawn": 9}[r]
}
