package issuer

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oid4vci"
)

const (
	day = 24 * time.Hour

	iacaLifetime   = 10 * 365 * day
	iacaReserve    = 5 * 365 * day // a root certifies for five years: ISO/IEC 18013-5, Annex B recommends three to five
	signerLifetime = 456 * day     // a document signer may have 457: ISO/IEC 18013-5 second edition (draft v4), B.1.4
	signerReserve  = 30 * day      // a new signer comes this long before the old one is too old for new documents
)

// newCA is the tenant's root with its signers. Documents must not outlive the
// certificate of their signer.
func (t *tenant) newCA() *keyring.CA {
	a, reserve := t.authority, signerReserve
	for _, o := range t.offerings {
		reserve = max(reserve, o.Lifetime.Duration()+signerReserve)
	}
	template := func(role string) pki.Template {
		return pki.Template{
			Subject: pki.Name{Country: t.config.Country, State: t.config.State, Organization: t.config.Name, CommonName: t.config.Name + " " + role},
			CRLURL:  t.base + "/iaca.crl",
		}
	}
	root := template("IACA")
	root.Contact = t.config.Contact
	signers := []keyring.Certified{
		{Purpose: keyring.DocSigner, Profile: pki.DocumentSigner, Template: template("DS"), Lifetime: signerLifetime, Reserve: reserve},
		{Purpose: keyring.Metadata, Profile: pki.CredentialSigner, Template: template("metadata"), Lifetime: signerLifetime, Reserve: signerReserve},
		{Purpose: keyring.Status, Profile: pki.StatusSigner, Template: template("status"), Lifetime: signerLifetime, Reserve: signerReserve, Linked: true},
	}
	for _, o := range t.offerings {
		if o.Format == offering.FormatSDJWT {
			signers = append(signers, keyring.Certified{Purpose: keyring.Credential, Profile: pki.CredentialSigner,
				Template: template("SD-JWT VC"), Lifetime: signerLifetime, Reserve: reserve})
			break
		}
	}
	return keyring.NewCA(a.ring, a.db.Records(), keyring.CAConfig{
		Tenant:  t.config.ID,
		Root:    keyring.Certified{Purpose: keyring.IACA, Profile: pki.IACARoot, Template: root, Lifetime: iacaLifetime, Reserve: iacaReserve},
		Signers: signers,
		Offline: t.config.OfflineRoot,
		Notify: func(ctx context.Context, notice string) {
			a.log.Warn("certificates of the authority need an operator", "role", "issuer", "tenant", t.config.ID, "notice", notice)
			if err := t.tellNotice(ctx, notice, a.now()); err != nil {
				a.log.Error("nobody was told of it", "role", "issuer", "tenant", t.config.ID, "error", err.Error())
			}
		},
		Changed: func(ctx context.Context, c keyring.Change) error {
			return a.audit.Write(ctx, c.At, audit.Event{Tenant: c.Tenant, What: c.What, Object: c.Key, Detail: c.Detail})
		},
	})
}

// encryption is the key that apps may encrypt their requests to.
func (t *tenant) encryption(ctx context.Context) (*oid4vci.Encryption, error) {
	a := t.authority
	k, err := keyring.Agreement(ctx, a.area, a.db.Records(), t.config.ID, "credential requests")
	if err != nil {
		return nil, err
	}
	pub, err := key.FromECDH(k.Public())
	if err != nil {
		return nil, err
	}
	id, err := jose.ThumbprintString(pub)
	if err != nil {
		return nil, err
	}
	return &oid4vci.Encryption{Required: a.config.RequireEncryption, Keys: []oid4vci.EncryptionKey{{ID: id, Key: k}}}, nil
}

// CA returns the tenant's root with its signers, for its operator. Error:
// ErrUnknownTenant.
func (a *Authority) CA(tenant string) (*keyring.CA, error) {
	t, err := a.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.ca, nil
}

// withoutRoot is the error of work that waits for what a root that is kept
// elsewhere has to sign: Notify has told the operator, so it is none.
func withoutRoot(err error) error {
	if errors.Is(err, keyring.ErrOffline) {
		return nil
	}
	return err
}

func serial(cert *x509.Certificate) string { return hex.EncodeToString(cert.SerialNumber.Bytes()) }

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

// Close writes the last checkpoint of the audit. Nothing may be asked of the
// authority afterwards.
func (a *Authority) Close(ctx context.Context) error { return a.audit.Close(ctx, a.now()) }
