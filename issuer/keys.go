package issuer

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/securearea"
)

const (
	day = 24 * time.Hour

	iacaLifetime   = 10 * 365 * day
	signerLifetime = 456 * day // a document signer may have 457: ISO/IEC 18013-5 second edition (draft v4), B.1.4
	signerReserve  = 30 * day  // a new signer comes this long before the old one is too old for new documents
	crlLifetime    = 30 * day

	leaseKeys  = "keys"
	leaseTime  = 30 * time.Second
	leaseRetry = 50 * time.Millisecond
)

// key returns the tenant's current key of a purpose, and makes all of its keys
// if there is none.
func (t *tenant) key(ctx context.Context, purpose keyring.Purpose) (keyring.Key, error) {
	a := t.authority
	k, err := a.ring.Current(ctx, t.config.ID, purpose, a.now())
	if !errors.Is(err, keyring.ErrNoKey) {
		return k, err
	}
	if err := t.makeKeys(ctx); err != nil {
		return keyring.Key{}, err
	}
	return a.ring.Current(ctx, t.config.ID, purpose, a.now())
}

// makeKeys makes the keys that are missing and those that are about to be too
// old. One process does so at a time, so that there is one root.
func (t *tenant) makeKeys(ctx context.Context) error {
	return t.alone(ctx, leaseKeys, func(ctx context.Context) error {
		a, now := t.authority, t.authority.now()
		root, err := a.ring.Ensure(ctx, keyring.Spec{Tenant: t.config.ID, Purpose: keyring.IACA}, now, t.certifyRoot)
		if err != nil {
			return err
		}
		for purpose, profile := range map[keyring.Purpose]pki.Profile{keyring.DocSigner: pki.DocumentSigner, keyring.Status: pki.StatusSigner} {
			// Not Current, which may go on for a minute with what it saw
			// before another process made a new key.
			alive, err := a.ring.Alive(ctx, t.config.ID, purpose, now)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(alive, func(k keyring.Key) bool { return k.Record.State == keyring.Active && !t.tooOld(purpose, k, now) }) {
				continue
			}
			certify := func(ctx context.Context, k keyring.Key) ([][]byte, error) { return t.certify(ctx, root, k, profile) }
			k, err := a.ring.Rotate(ctx, keyring.Spec{Tenant: t.config.ID, Purpose: purpose}, now, certify)
			if err != nil {
				return err
			}
			if err := t.auditKey(ctx, k, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// tooOld reports whether a signer needs a successor: documents must not outlive
// the certificate of their signer.
func (t *tenant) tooOld(purpose keyring.Purpose, k keyring.Key, now time.Time) bool {
	need := signerReserve
	if purpose == keyring.DocSigner {
		for _, o := range t.offerings {
			need = max(need, o.Lifetime.Duration()+signerReserve)
		}
	}
	return k.Record.NotAfter.Sub(now) < need
}

func (t *tenant) auditKey(ctx context.Context, k keyring.Key, now time.Time) error {
	return t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return t.authority.audit(ctx, tx, now, audit.Event{
			Tenant: t.config.ID, What: "signing key made", Object: k.Record.ID, Detail: map[string]string{"purpose": string(k.Record.Purpose)},
		})
	})
}

// alone runs f while no other process runs the same for this tenant.
func (t *tenant) alone(ctx context.Context, name string, f func(ctx context.Context) error) error {
	a, holder := t.authority, randomID()
	for {
		var mine bool
		err := a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			mine, err = takeLease(ctx, tx, t.config.ID, name, holder, a.now(), a.now().Add(leaseTime))
			return err
		})
		if err != nil {
			return fmt.Errorf("issuer: lease of %s: %w", name, err)
		}
		if mine {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leaseRetry):
		}
	}
	err := f(ctx)
	return errors.Join(err, a.db.Tx(context.WithoutCancel(ctx), func(ctx context.Context, tx *db.Tx) error {
		return dropLease(ctx, tx, t.config.ID, name, holder)
	}))
}

// certifyRoot makes the self-signed IACA certificate of a new key.
func (t *tenant) certifyRoot(ctx context.Context, k keyring.Key) ([][]byte, error) {
	notBefore, notAfter := pki.Validity(t.authority.now(), iacaLifetime)
	der, err := pki.Issue(ctx, pki.IACARoot, pki.Template{
		Subject: t.subject(t.config.Name + " IACA"), PublicKey: k.Public(), NotBefore: notBefore, NotAfter: notAfter,
		Contact: t.config.Contact, CRLURL: t.crlURL(),
	}, k)
	return [][]byte{der}, err
}

// certify has the root make the certificate of a signer.
func (t *tenant) certify(ctx context.Context, root, k keyring.Key, profile pki.Profile) ([][]byte, error) {
	ca, err := leaf(root)
	if err != nil {
		return nil, err
	}
	notBefore, notAfter := pki.Validity(t.authority.now(), signerLifetime)
	if notAfter.After(ca.NotAfter) {
		notAfter = ca.NotAfter
	}
	name := t.config.Name + " DS"
	if profile == pki.StatusSigner {
		name = t.config.Name + " status"
	}
	der, err := pki.Issue(ctx, profile, pki.Template{
		Subject: t.subject(name), PublicKey: k.Public(), Issuer: ca, NotBefore: notBefore, NotAfter: notAfter, CRLURL: t.crlURL(),
	}, root)
	return [][]byte{der}, err
}

func (t *tenant) subject(commonName string) pki.Name {
	return pki.Name{Country: t.config.Country, State: t.config.State, Organization: t.config.Name, CommonName: commonName}
}

func (t *tenant) crlURL() string { return t.base + "/iaca.crl" }

// leaf is the certificate of a key.
func leaf(k keyring.Key) (*x509.Certificate, error) {
	if len(k.Record.Chain) == 0 {
		return nil, fmt.Errorf("issuer: %s key without certificate", k.Record.Purpose)
	}
	return pki.ParseCertificate(k.Record.Chain[0])
}

func serial(cert *x509.Certificate) string { return hex.EncodeToString(cert.SerialNumber.Bytes()) }

// maintainKeys makes what is missing and renews what is due.
func (t *tenant) maintainKeys(ctx context.Context) error {
	now := t.authority.now()
	for _, purpose := range []keyring.Purpose{keyring.IACA, keyring.DocSigner, keyring.Status} {
		k, err := t.key(ctx, purpose)
		if err == nil && purpose != keyring.IACA && t.tooOld(purpose, k, now) {
			err = t.makeKeys(ctx)
		}
		if err != nil {
			return fmt.Errorf("issuer: keys of %s: %w", t.config.ID, err)
		}
	}
	if _, err := t.engines(ctx); err != nil {
		return err
	}
	_, err := t.crl(ctx)
	return err
}

// crl returns the current revocation list of certificates, and makes a new one
// when half of the old one's time has passed. No certificate has been revoked
// so far: the list says so.
func (t *tenant) crl(ctx context.Context) ([]byte, error) {
	a, now := t.authority, t.authority.now()
	var der []byte
	var next time.Time
	read := func(ctx context.Context, tx *db.Tx) (err error) {
		_, next, der, err = newestCRL(ctx, tx, t.config.ID)
		return err
	}
	if err := a.db.View(ctx, read); err != nil {
		return nil, fmt.Errorf("issuer: read CRL: %w", err)
	}
	if next.Sub(now) > crlLifetime/2 {
		return der, nil
	}
	root, err := t.key(ctx, keyring.IACA)
	if err != nil {
		return nil, err
	}
	ca, err := leaf(root)
	if err != nil {
		return nil, err
	}
	err = t.alone(ctx, "crl", func(ctx context.Context) error {
		var number int64
		err := a.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			number, next, der, err = newestCRL(ctx, tx, t.config.ID)
			return err
		})
		if err != nil || next.Sub(now) > crlLifetime/2 {
			return err // another process was faster
		}
		number++
		next = now.Add(crlLifetime).Truncate(time.Second)
		der, err = pki.IssueCRL(ctx, pki.CRLTemplate{
			Issuer: ca, Number: big.NewInt(number), ThisUpdate: now.Truncate(time.Second), NextUpdate: next,
		}, root)
		if err != nil {
			return err
		}
		return a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
			return putCRL(ctx, tx, t.config.ID, number, next, der)
		})
	})
	return der, err
}

// serveCRL answers GET /{tenant}/iaca.crl. RFC 5280, 4.2.1.13: DER.
func (t *tenant) serveCRL(w http.ResponseWriter, r *http.Request) error {
	der, err := t.crl(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	web.Reply(w, http.StatusOK, "application/pkix-crl", der)
	return nil
}

// serveRoot answers GET /{tenant}/iaca.cer with the root in DER.
func (t *tenant) serveRoot(w http.ResponseWriter, r *http.Request) error {
	root, err := t.key(r.Context(), keyring.IACA)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	web.Reply(w, http.StatusOK, "application/pkix-cert", root.Record.Chain[0])
	return nil
}

// serveCertificates answers GET /{tenant}/certificates: what is alive, for
// those who watch.
func (t *tenant) serveCertificates(w http.ResponseWriter, r *http.Request) error {
	type entry struct {
		Name     string    `json:"name"`
		Purpose  string    `json:"purpose"`
		NotAfter time.Time `json:"notAfter"`
	}
	list := []entry{}
	for _, purpose := range []keyring.Purpose{keyring.IACA, keyring.DocSigner, keyring.Status} {
		if _, err := t.key(r.Context(), purpose); err != nil {
			return err
		}
		keys, err := t.authority.ring.Alive(r.Context(), t.config.ID, purpose, t.authority.now())
		if err != nil {
			return err
		}
		for _, k := range keys {
			cert, err := leaf(k)
			if err != nil {
				return err
			}
			list = append(list, entry{cert.Subject.CommonName, string(purpose), cert.NotAfter.UTC()})
		}
	}
	web.JSON(w, http.StatusOK, list)
	return nil
}

// secret returns the tenant's secret, of which MAC keys are derived. It is the
// agreement of a key in the secure area with itself: never stored, and the
// same in every process.
func (t *tenant) secret(ctx context.Context) ([]byte, error) {
	a := t.authority
	look := func(fresh string) (id string, err error) {
		err = a.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			id, err = macKey(ctx, tx, t.config.ID, fresh)
			return err
		})
		return id, err
	}
	id, err := look("")
	if err != nil {
		return nil, err
	}
	if id == "" {
		made, err := a.area.Create(ctx, securearea.Request{Curve: securearea.P256, Purpose: securearea.Agree})
		if err != nil {
			return nil, err
		}
		if id, err = look(made[0].ID); err != nil {
			return nil, err
		}
		if id != made[0].ID { // another process was faster
			if err := a.area.Delete(ctx, made[0].ID); err != nil {
				return nil, err
			}
		}
	}
	info, err := a.area.Key(ctx, id)
	if err != nil {
		return nil, err
	}
	pub, ok := info.Public.(*ecdh.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key %s does not agree", id)
	}
	return a.area.Agree(ctx, id, pub, securearea.Unlock{})
}

// subkey derives a key for one use.
func subkey(secret []byte, use string) (key [32]byte, err error) {
	b, err := hkdf.Key(sha256.New, secret, nil, "eidos issuer "+use, len(key))
	copy(key[:], b)
	return key, err
}

// seal encrypts under a secret of 32 random bytes that is used once.
func seal(secret, plain string) ([]byte, error) {
	gcm, err := sealer(secret)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, make([]byte, gcm.NonceSize()), []byte(plain), nil), nil // one message for each key
}

func unseal(secret string, sealed []byte) (string, error) {
	gcm, err := sealer(secret)
	if err != nil {
		return "", err
	}
	plain, err := gcm.Open(nil, make([]byte, gcm.NonceSize()), sealed, nil)
	if err != nil {
		return "", fmt.Errorf("issuer: sealed offer: %w", err)
	}
	return string(plain), nil
}

func sealer(secret string) (cipher.AEAD, error) {
	key, err := subkey([]byte(secret), "offer")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
