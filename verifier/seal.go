package verifier

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/eidos-id/eidos/keyring"
)

var errSealed = errors.New("verifier: what was sealed cannot be opened: wrong key or damaged")

// sealer encrypts what a transaction holds under a key that the database does
// not have: the agreement of a key in the secure area with itself.
type sealer struct{ aead cipher.AEAD }

// sealer returns the tenant's, and makes its key at first use.
func (t *tenant) sealer(ctx context.Context) (sealer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sealing.aead != nil {
		return t.sealing, nil
	}
	z, err := keyring.Secret(ctx, t.v.area, t.v.db.Records(), t.config.ID, "seal")
	if err != nil {
		return sealer{}, err
	}
	secret, err := hkdf.Key(sha256.New, z, nil, "eidos verifier seal "+t.config.ID, 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, err
	}
	t.sealing = sealer{aead}
	return t.sealing, nil
}

// seal encrypts v as JSON. what and id say what it is, so that one thing
// cannot be passed off as another.
func (s sealer) seal(what, id string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.sealText(what, id, plain), nil
}

func (s sealer) sealText(what, id string, plain []byte) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(what+" "+id))
}

// open is the reverse of seal.
func (s sealer) open(what, id string, sealed []byte, v any) error {
	plain, err := s.openText(what, id, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

func (s sealer) openText(what, id string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(what+" "+id))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// secret is 32 random bytes in base32: an id that only those know who were
// given it.
func secret() string { return rand.Text() + rand.Text() }

// An opener is derived from the secret id of a transaction, which is stored
// nowhere: the database has its public half only, to which the answer is sealed
// when it comes, and whoever holds the id can read it. RFC 9180, 5.1.1.
func opener(id string) (hpke.PrivateKey, error) {
	ikm, err := hkdf.Key(sha256.New, []byte(id), nil, "eidos verifier opener", 32)
	if err != nil {
		return nil, err
	}
	return hpke.DHKEM(ecdh.P256()).DeriveKeyPair(ikm)
}

// sealTo encrypts to the public half of an opener. what, tenant and row say what
// it is, as with seal.
func sealTo(public []byte, what, tenant, row string, plain []byte) ([]byte, error) {
	pub, err := hpke.DHKEM(ecdh.P256()).NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), sealInfo(what, tenant, row), plain)
}

// openWith is the reverse of sealTo.
func openWith(id, what, tenant, row string, sealed []byte) ([]byte, error) {
	private, err := opener(id)
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), sealInfo(what, tenant, row), sealed)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

func sealInfo(what, tenant, row string) []byte {
	return []byte("eidos verifier " + what + " " + tenant + " " + row)
}
