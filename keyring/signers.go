package keyring

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/pki"
)

// Errors of the work on signers that callers tell apart with errors.Is.
var (
	ErrUnknownKey = errors.New("keyring: no such key")
	// ErrLast: nothing else could sign, and no successor can be made here.
	ErrLast = errors.New("keyring: it is the only key that can sign now")
)

// KeyInfo is a key of a CA as operators see it.
type KeyInfo struct {
	ID        string    `json:"id"`
	Purpose   Purpose   `json:"purpose"`
	State     State     `json:"state"`
	Signs     bool      `json:"signs"` // it is the one that signs now
	Name      string    `json:"name,omitempty"`
	Serial    string    `json:"serial,omitempty"` // of the certificate, hex
	Created   time.Time `json:"created"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// Successor is when an active signer has to have a successor.
	Successor time.Time `json:"successor,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	Reason    Reason    `json:"reason,omitempty"` // of the revocation
	// Linked says of a root that a link certificate leads to it from another.
	Linked bool `json:"linked,omitempty"`
	// Elsewhere says that the private key is not in our secure area.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

func serial(cert *x509.Certificate) string { return hex.EncodeToString(cert.SerialNumber.Bytes()) }

// of returns the configuration of a purpose.
func (ca *CA) of(purpose Purpose) (Certified, bool) {
	all := append([]Certified{ca.config.Root}, ca.config.Signers...)
	i := slices.IndexFunc(all, func(c Certified) bool { return c.Purpose == purpose })
	if i < 0 {
		return Certified{}, false
	}
	return all[i], true
}

// signer is of for the purpose of a signer.
func (ca *CA) signer(purpose Purpose) (Certified, error) {
	c, ok := ca.of(purpose)
	if !ok || purpose == ca.config.Root.Purpose {
		return Certified{}, fmt.Errorf("keyring: %s is no signer of this authority", purpose)
	}
	return c, nil
}

// Keys lists all keys of a purpose, the newest first, those that are destroyed
// too.
func (ca *CA) Keys(ctx context.Context, purpose Purpose, now time.Time) ([]KeyInfo, error) {
	c, ok := ca.of(purpose)
	if !ok {
		return nil, fmt.Errorf("keyring: this authority has no %s", purpose)
	}
	records, err := ca.ring.records(ctx, ca.config.Tenant, purpose, func(Record) bool { return true })
	if err != nil {
		return nil, err
	}
	revoked, err := ca.allRevoked(ctx)
	if err != nil {
		return nil, err
	}
	var links []*x509.Certificate
	if purpose == ca.config.Root.Purpose {
		if links, err = ca.Links(ctx, now); err != nil {
			return nil, err
		}
	}
	list, signs := make([]KeyInfo, 0, len(records)), false
	for _, r := range records {
		k := KeyInfo{ID: r.ID, Purpose: purpose, State: r.State, Created: r.Created, NotBefore: r.NotBefore, NotAfter: r.NotAfter, Elsewhere: r.KeyID == ""}
		if !signs && r.State == Active && r.usable(now) && r.KeyID != "" {
			k.Signs, signs = true, true
		}
		if len(r.Chain) > 0 {
			cert, err := r.Certificate()
			if err != nil {
				return nil, err
			}
			k.Name, k.Serial = cert.Subject.CommonName, serial(cert)
			k.Linked = slices.ContainsFunc(links, func(l *x509.Certificate) bool { return pki.LinksTo(l, cert) })
			if e, ok := revoked[k.Serial]; ok {
				k.Revoked, k.Reason = e.At, e.Reason
			}
			if r.State == Active && c.Reserve > 0 {
				k.Successor = c.successor(r).UTC()
			}
		}
		list = append(list, k)
	}
	return list, nil
}

// find returns the record of a signer by its id or the serial number of its
// certificate in hex. Error: ErrUnknownKey.
func (ca *CA) find(ctx context.Context, which string) (Record, error) {
	for _, c := range ca.config.Signers {
		records, err := ca.ring.records(ctx, ca.config.Tenant, c.Purpose, func(r Record) bool {
			if r.ID == which {
				return true
			}
			cert, err := r.Certificate()
			return err == nil && serial(cert) == strings.ToLower(which)
		})
		if err != nil || len(records) > 0 {
			return append(records, Record{})[0], err
		}
	}
	return Record{}, fmt.Errorf("%w: %.80q is neither the id of a signer nor the serial number of its certificate", ErrUnknownKey, which)
}

// Certificate returns the certificate of a signer by its id or serial number in
// hex. Error: ErrUnknownKey.
func (ca *CA) Certificate(ctx context.Context, which string) (*x509.Certificate, error) {
	r, err := ca.find(ctx, which)
	if err != nil {
		return nil, err
	}
	return r.Certificate()
}

// Rotate makes a new signer now, under the newest root. The former one signs no more from then on,
// since the newest signs, but what it has signed counts until its end. Other
// processes sign with the new one within a minute. Error: ErrOffline.
func (ca *CA) Rotate(ctx context.Context, purpose Purpose, now time.Time) (Key, error) {
	c, err := ca.signer(purpose)
	if err != nil {
		return Key{}, err
	}
	if ca.config.Offline {
		return Key{}, fmt.Errorf("%w: a new %s key needs a request: eidos pki %s csr --now", ErrOffline, purpose, purpose)
	}
	if err := ca.Maintain(ctx, now); err != nil {
		return Key{}, err
	}
	var made Key
	err = ca.alone(ctx, func(ctx context.Context) error {
		roots, err := ca.signingRoots(ctx, now)
		if err != nil {
			return err
		}
		newest, err := ca.ring.open(ctx, roots[0])
		if err == nil {
			made, err = ca.under(ctx, c, newest, now)
		}
		return err
	})
	return made, err
}

// Retire takes a signer out of use, by its id or serial number: it signs no
// more, in other processes within a minute; what it has signed counts. A key
// that waits for its certificate is destroyed instead. If nothing else could
// sign, a successor is made first. Errors: ErrUnknownKey; ErrLast where the
// root is kept elsewhere.
func (ca *CA) Retire(ctx context.Context, which string, now time.Time) (KeyInfo, error) {
	var r Record
	err := ca.alone(ctx, func(ctx context.Context) (err error) {
		if r, err = ca.find(ctx, which); err != nil {
			return err
		}
		return ca.retire(ctx, &r, now, ca.config.Offline)
	})
	if err != nil {
		return KeyInfo{}, err
	}
	return ca.info(ctx, r, now)
}

// retire does so; keepLast refuses to leave nothing that signs.
func (ca *CA) retire(ctx context.Context, r *Record, now time.Time, keepLast bool) error {
	switch r.State {
	case Retired, Destroyed:
		return nil
	case Pending:
		if err := ca.ring.Destroy(ctx, Key{Record: *r}); err != nil {
			return err
		}
		r.State = Destroyed
		return ca.changed(ctx, "certificate request given up", *r, now)
	}
	others, err := ca.ring.records(ctx, ca.config.Tenant, r.Purpose, func(o Record) bool {
		return o.ID != r.ID && o.State == Active && o.usable(now)
	})
	if err != nil {
		return err
	}
	if len(others) == 0 && keepLast {
		return fmt.Errorf("%w: bring in a successor first (eidos pki %s csr --now)", ErrLast, r.Purpose)
	}
	if len(others) == 0 && !ca.config.Offline {
		c, err := ca.signer(r.Purpose)
		if err != nil {
			return err
		}
		root, err := ca.certifier(ctx, c, now)
		if err != nil {
			return err
		}
		if _, err := ca.under(ctx, c, root, now); err != nil {
			return err
		}
	}
	k, err := ca.ring.Retire(ctx, Key{Record: *r})
	if err != nil {
		return err
	}
	*r = k.Record
	return ca.changed(ctx, "signing key retired", *r, now)
}

// info is the entry of Keys for a record.
func (ca *CA) info(ctx context.Context, r Record, now time.Time) (KeyInfo, error) {
	list, err := ca.Keys(ctx, r.Purpose, now)
	if err != nil {
		return KeyInfo{}, err
	}
	i := slices.IndexFunc(list, func(k KeyInfo) bool { return k.ID == r.ID })
	if i < 0 {
		return KeyInfo{}, ErrUnknownKey
	}
	return list[i], nil
}
