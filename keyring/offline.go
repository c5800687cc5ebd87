package keyring

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
)

// ErrOffline: the private key of the root is kept elsewhere, and what only it
// can sign was not brought in.
var ErrOffline = errors.New("keyring: the root is kept elsewhere")

// noRoot says that the root's certificate is missing.
func (ca *CA) noRoot() error {
	return fmt.Errorf("%w and its certificate was not brought in: eidos pki %s import", ErrOffline, ca.config.Root.Purpose)
}

// noSigner says that there is no signer.
func (ca *CA) noSigner(ctx context.Context, purpose Purpose, now time.Time) error {
	if purpose == ca.config.Root.Purpose {
		return fmt.Errorf("%w: nothing can be signed with it here", ErrOffline)
	}
	c, err := ca.signer(purpose)
	if err != nil {
		return err
	}
	notice, err := ca.notice(ctx, c, now)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrOffline, notice)
}

// notice says in plain words what has to be done for a signer that is due.
func (ca *CA) notice(ctx context.Context, c Certified, now time.Time) (string, error) {
	tenant := ca.config.Tenant
	have, err := ca.ring.active(ctx, tenant, c.Purpose, now)
	if err != nil {
		return "", err
	}
	waiting, err := ca.ring.records(ctx, tenant, c.Purpose, func(r Record) bool { return r.State == Pending })
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("tenant %s has no %s key that can sign", tenant, c.Purpose)
	var last time.Time
	for _, r := range have {
		if r.NotAfter.After(last) {
			last = r.NotAfter
			text = fmt.Sprintf("the %s key of tenant %s ends on %s", c.Purpose, tenant, last.UTC().Format(time.DateOnly))
		}
	}
	roots, err := ca.roots(ctx, now)
	if err != nil {
		return "", err
	}
	if follows, err := ca.follows(ctx, roots, now); err != nil {
		return "", err
	} else if c.Linked && follows != nil && len(have) > 0 && !slices.ContainsFunc(have, func(r Record) bool { return r.under(follows) }) {
		text = fmt.Sprintf("the %s key of tenant %s is not certified by the newest root yet", c.Purpose, tenant)
	}
	if len(waiting) > 0 {
		return fmt.Sprintf("%s; a request of %s waits: have the root sign it (eidos pki %[3]s issue) and bring the certificate in (eidos pki %[3]s import)",
			text, waiting[0].Created.UTC().Format(time.DateOnly), c.Purpose), nil
	}
	return fmt.Sprintf("%s; write a request (eidos pki %[2]s csr), have the root sign it (eidos pki %[2]s issue) and bring the certificate in (eidos pki %[2]s import)",
		text, c.Purpose), nil
}

// rootNotices says what has to be done for the roots: bring in the first, make
// a successor in time, renew their lists.
func (ca *CA) rootNotices(ctx context.Context, now time.Time) (notices []string, err error) {
	tenant, word := ca.config.Tenant, ca.config.Root.Purpose
	records, err := ca.roots(ctx, now)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return []string{fmt.Sprintf("tenant %s has no root certificate: bring it in with eidos pki %s import", tenant, word)}, nil
	}
	if ca.rootDue(records, now) {
		notices = append(notices, fmt.Sprintf("the root of tenant %s ends on %s and can soon certify no signer for its whole life: make its successor where it is (eidos pki %s roll --keys) and bring in what that writes (eidos pki %[3]s import)",
			tenant, records[0].NotAfter.UTC().Format(time.DateOnly), word))
	}
	roots, err := ca.known(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		crl, err := ca.revocations(ctx, root.Certificate)
		if err != nil {
			return nil, err
		}
		if crl.Next.Sub(now) >= crlLifetime/3 {
			continue
		}
		end, whose := "has none", ""
		if len(crl.DER) > 0 {
			end = "has one until " + crl.Next.UTC().Format(time.DateOnly)
		}
		if len(roots) > 1 {
			whose = fmt.Sprintf(" of the root of %s", root.Certificate.NotBefore.UTC().Format(time.DateOnly))
		}
		notices = append(notices, fmt.Sprintf("tenant %s needs a new revocation list%s, it %s: sign one where the root is (eidos pki crl issue) and bring it in (eidos pki crl import)",
			tenant, whose, end))
	}
	return notices, nil
}

// notify tells what is due, where the root is kept elsewhere.
func (ca *CA) notify(ctx context.Context, signers []Certified, now time.Time) error {
	if ca.config.Notify == nil {
		return nil
	}
	notices, err := ca.rootNotices(ctx, now)
	if err != nil {
		return err
	}
	for _, c := range signers {
		notice, err := ca.notice(ctx, c, now)
		if err != nil {
			return err
		}
		notices = append(notices, notice)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	for text, at := range ca.notified {
		if now.Sub(at) >= day {
			delete(ca.notified, text)
		}
	}
	for _, text := range notices {
		if _, told := ca.notified[text]; !told {
			ca.notified[text] = now
			ca.config.Notify(ctx, text)
		}
	}
	return nil
}

// Request is a certificate request for a key that waits.
type Request struct {
	Key     string    // Record.ID
	Purpose Purpose   //
	Created time.Time // when the key was made
	DER     []byte    // PKCS #10, RFC 2986
}

// Request returns the certificate request for a signer: of the key that waits
// for its certificate already, else of a new one. It returns nil if no
// certificate is due, unless evenSo.
func (ca *CA) Request(ctx context.Context, purpose Purpose, evenSo bool, now time.Time) (*Request, error) {
	c, err := ca.signer(purpose)
	if err != nil {
		return nil, err
	}
	if !ca.config.Offline {
		return nil, fmt.Errorf("keyring: the root of tenant %s is here and certifies its signers itself", ca.config.Tenant)
	}
	var out *Request
	err = ca.alone(ctx, func(ctx context.Context) error {
		signers, _, err := ca.due(ctx, now)
		if err != nil {
			return err
		}
		for _, s := range signers {
			evenSo = evenSo || s.Purpose == purpose
		}
		waiting, err := ca.ring.Waiting(ctx, ca.config.Tenant, purpose)
		if err != nil || len(waiting) == 0 && !evenSo {
			return err
		}
		var k Key
		if len(waiting) > 0 {
			k = waiting[0]
		} else {
			if k, err = ca.ring.Create(ctx, Spec{Tenant: ca.config.Tenant, Purpose: purpose}, now); err != nil {
				return err
			}
			if err := ca.changed(ctx, "signing key made, certificate requested", k.Record, now); err != nil {
				return err
			}
		}
		der, err := pki.CreateRequest(ctx, c.Template.Subject, c.Template.DNS, k)
		out = &Request{Key: k.Record.ID, Purpose: purpose, Created: k.Record.Created, DER: der}
		return err
	})
	return out, err
}

// ImportRoot brings in the certificate of the root that is kept elsewhere:
// self-signed, after its profile, current, of the country of the
// configuration. The one brought in last is current; the others count until
// their end. One that is there already is no error.
func (ca *CA) ImportRoot(ctx context.Context, cert *x509.Certificate, now time.Time) (KeyInfo, error) {
	c := ca.config.Root
	if !ca.config.Offline {
		return KeyInfo{}, fmt.Errorf("keyring: the root of tenant %s is here; a root from elsewhere needs a configuration that says so", ca.config.Tenant)
	}
	report := pki.CheckProfile(cert, c.Profile, pki.Default)
	if err := report.Err(); err != nil {
		return KeyInfo{}, fmt.Errorf("keyring: root certificate: %w", err)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return KeyInfo{}, fmt.Errorf("keyring: root certificate: not signed with its own key: %w", err)
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return KeyInfo{}, fmt.Errorf("keyring: root certificate: valid from %s to %s, not now", cert.NotBefore.UTC().Format(time.DateOnly), cert.NotAfter.UTC().Format(time.DateOnly))
	}
	if want := c.Template.Subject.Country; len(cert.Subject.Country) != 1 || cert.Subject.Country[0] != want {
		return KeyInfo{}, fmt.Errorf("keyring: root certificate: of country %q, the configuration says %q", cert.Subject.Country, want)
	}
	if err := ca.ownList(ctx, c, cert, cert, now); err != nil {
		return KeyInfo{}, fmt.Errorf("keyring: root certificate: %w", err)
	}
	var rec Record
	err := ca.alone(ctx, func(ctx context.Context) error {
		have, err := ca.ring.records(ctx, ca.config.Tenant, c.Purpose, func(r Record) bool {
			return r.KeyID == "" && len(r.Chain) == 1 && bytes.Equal(r.Chain[0], cert.Raw)
		})
		if err != nil {
			return err
		}
		if len(have) > 0 {
			rec = have[0]
			return nil
		}
		if err := ca.after(ctx, now); err != nil {
			return fmt.Errorf("keyring: root certificate: %w", err)
		}
		if rec, err = ca.ring.keep(ctx, ca.config.Tenant, c.Purpose, cert, now); err != nil {
			return err
		}
		return ca.changed(ctx, "root certificate brought in", rec, now)
	})
	if err != nil {
		return KeyInfo{}, err
	}
	return ca.info(ctx, rec, now)
}

// ownList refuses a certificate under a root, or of a root, that names the
// revocation list of another root: those who look there would not find it.
func (ca *CA) ownList(ctx context.Context, c Certified, cert, root *x509.Certificate, now time.Time) error {
	roots, err := ca.roots(ctx, now)
	if err != nil || c.Template.CRLURL == "" {
		return err
	}
	own := c.Template.CRLURL
	if len(roots) > 0 {
		if own, err = ca.listURL(ctx, c, root); err != nil {
			return err
		}
	}
	for _, r := range roots {
		other, err := r.Certificate()
		if err != nil {
			return err
		}
		address, err := ca.listURL(ctx, c, other)
		if err != nil {
			return err
		}
		if address != own && slices.Contains(cert.CRLDistributionPoints, address) {
			return fmt.Errorf("it names %s, the revocation list of another root; that of its own is %s", address, own)
		}
	}
	return nil
}

// ImportLink brings in the link certificate from one root that was brought in
// to the next, which the older one has signed. One that is there already is no
// error. It returns what the root that it leads to is now.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.3.
func (ca *CA) ImportLink(ctx context.Context, cert *x509.Certificate, now time.Time) (KeyInfo, error) {
	c := ca.config.Root
	if !ca.config.Offline {
		return KeyInfo{}, fmt.Errorf("keyring: the root of tenant %s is here and makes its links itself", ca.config.Tenant)
	}
	var to Record
	err := ca.alone(ctx, func(ctx context.Context) error {
		records, err := ca.roots(ctx, now)
		if err != nil {
			return err
		}
		if to, err = ca.checkLink(ctx, cert, records, now); err != nil {
			return fmt.Errorf("keyring: link certificate: %w", err)
		}
		fresh, err := ca.keepLink(ctx, cert)
		if err != nil || !fresh {
			return err
		}
		return ca.tellLink(ctx, "link certificate brought in", cert, now)
	})
	if err != nil {
		return KeyInfo{}, err
	}
	return ca.info(ctx, Record{ID: to.ID, Purpose: c.Purpose}, now)
}

// checkLink checks a link between two of the roots and returns the one that it
// leads to.
func (ca *CA) checkLink(ctx context.Context, cert *x509.Certificate, records []Record, now time.Time) (to Record, err error) {
	c := ca.config.Root
	var others []*x509.Certificate
	for _, r := range records {
		root, err := r.Certificate()
		if err != nil {
			return Record{}, err
		}
		if pki.LinksTo(cert, root) {
			to = r
		} else {
			others = append(others, root)
		}
	}
	if len(to.Chain) == 0 {
		return Record{}, fmt.Errorf("it leads to a root of %q that was not brought in: bring that in first", cert.Subject.CommonName)
	}
	profile := pki.CheckProfile(cert, c.Profile.Link(), pki.Default)
	if err := profile.Err(); err != nil {
		return Record{}, err
	}
	path, report := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(others...), pki.VerifyOptions{Now: now, Profile: c.Profile.Link()})
	if err := report.Err(); err != nil {
		return Record{}, err
	}
	return to, ca.ownList(ctx, c, cert, path.Anchor, now)
}

// Import brings in the certificate of a signer that the root, kept elsewhere,
// has signed. It has to be for a key that waits, or a newer certificate of an
// active one, after the profile of its purpose, and under a root that was
// brought in. The key may sign from then on.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.4, B.1.7 and 12.8.3.
func (ca *CA) Import(ctx context.Context, cert *x509.Certificate, now time.Time) (KeyInfo, error) {
	if !ca.config.Offline {
		return KeyInfo{}, fmt.Errorf("keyring: the root of tenant %s is here and certifies its signers itself", ca.config.Tenant)
	}
	var done Key
	err := ca.alone(ctx, func(ctx context.Context) error {
		k, c, err := ca.keyOf(ctx, cert)
		if err != nil {
			return err
		}
		if err := ca.checkSigner(ctx, c, cert, now); err != nil {
			return fmt.Errorf("keyring: certificate of the %s key: %w", c.Purpose, err)
		}
		if len(k.Record.Chain) > 0 && bytes.Equal(k.Record.Chain[0], cert.Raw) {
			done = k
			return nil
		}
		if done, err = ca.ring.Activate(ctx, k, [][]byte{cert.Raw}); err != nil {
			return err
		}
		return ca.changed(ctx, "certificate brought in", done.Record, now)
	})
	if err != nil {
		return KeyInfo{}, err
	}
	return ca.info(ctx, done.Record, now)
}

// keyOf returns the key that a certificate is for. Error: ErrUnknownKey.
func (ca *CA) keyOf(ctx context.Context, cert *x509.Certificate) (Key, Certified, error) {
	for _, c := range ca.config.Signers {
		keys, err := ca.ring.openAll(ctx, ca.config.Tenant, c.Purpose, func(r Record) bool { return r.State == Pending || r.State == Active })
		if err != nil {
			return Key{}, c, err
		}
		for _, k := range keys {
			if key.Equal(k.Public(), cert.PublicKey) {
				return k, c, nil
			}
		}
	}
	return Key{}, Certified{}, fmt.Errorf("%w: the certificate of %q is for no key of tenant %s that waits or signs", ErrUnknownKey, cert.Subject.CommonName, ca.config.Tenant)
}

// checkSigner checks a certificate against the profile and the roots, as of now
// or, if it is for later, of then.
func (ca *CA) checkSigner(ctx context.Context, c Certified, cert *x509.Certificate, now time.Time) error {
	profile := pki.CheckProfile(cert, c.Profile, pki.Default)
	if err := profile.Err(); err != nil {
		return err
	}
	records, err := ca.roots(ctx, now)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return ca.noRoot()
	}
	var roots []*x509.Certificate
	for _, r := range records {
		root, err := r.Certificate()
		if err != nil {
			return err
		}
		roots = append(roots, root)
	}
	if now.Before(cert.NotBefore) {
		now = cert.NotBefore
	}
	path, report := pki.VerifyChain([]*x509.Certificate{cert}, pki.NewPool(roots...), pki.VerifyOptions{Now: now, Profile: c.Profile})
	if err := report.Err(); err != nil {
		return err
	}
	return ca.ownList(ctx, c, cert, path.Anchor, now)
}
