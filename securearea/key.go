package securearea

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"fmt"
)

// Key is a handle on a key in an area: what the rest of the system holds
// instead of a private key. It is small, holds no secret but the unlock data
// it was given, and may be copied.
type Key struct {
	area   Area
	info   KeyInfo
	unlock func(ctx context.Context) (Unlock, error)
}

// NewKey returns a handle on the key that info describes, usually one that
// Area.Create just returned. It does not look whether the key exists.
func NewKey(area Area, info KeyInfo) Key { return Key{area: area, info: info} }

// Open looks the key up in the area and returns a handle on it. Errors are
// those of Area.Key.
func Open(ctx context.Context, area Area, id string) (Key, error) {
	info, err := area.Key(ctx, id)
	if err != nil {
		return Key{}, err
	}
	return Key{area: area, info: info}, nil
}

// WithUnlock returns the same key with a function that is asked for unlock
// data before each use of a protected key: it may show a prompt, or return
// what the person gave a moment ago. Its errors come back from Sign and Agree.
func (k Key) WithUnlock(ask func(ctx context.Context) (Unlock, error)) Key {
	k.unlock = ask
	return k
}

// Info is what is publicly known of the key.
func (k Key) Info() KeyInfo { return k.info }

// Signer returns the key as a format/key.Signer; ErrUnsupported if the key was
// made to agree.
func (k Key) Signer() (SigningKey, error) {
	if k.info.Purpose != Sign {
		return SigningKey{}, fmt.Errorf("%w: key was made to %s, not to sign", ErrUnsupported, k.info.Purpose)
	}
	return SigningKey{k}, nil
}

// Agreer returns the key as a format/key.Agreer; ErrUnsupported if the key was
// made to sign.
func (k Key) Agreer() (AgreementKey, error) {
	if _, ok := k.info.Public.(*ecdh.PublicKey); k.info.Purpose != Agree || !ok {
		return AgreementKey{}, fmt.Errorf("%w: key was made to %s, not to agree", ErrUnsupported, k.info.Purpose)
	}
	return AgreementKey{k}, nil
}

// Attest makes fresh evidence for the key. Errors are those of Area.Attest.
func (k Key) Attest(ctx context.Context, challenge []byte) (Attestation, error) {
	return k.area.Attest(ctx, k.info.ID, challenge)
}

// Delete destroys the key. Errors are those of Area.Delete.
func (k Key) Delete(ctx context.Context) error { return k.area.Delete(ctx, k.info.ID) }

func (k Key) ask(ctx context.Context) (Unlock, error) {
	if !k.info.Protected || k.unlock == nil {
		return Unlock{}, nil
	}
	return k.unlock(ctx)
}

// SigningKey is a Key that signs. It satisfies format/key.Signer.
type SigningKey struct{ key Key }

// Key is the handle behind the signer.
func (s SigningKey) Key() Key { return s.key }

// Public is an *ecdsa.PublicKey or an ed25519.PublicKey.
func (s SigningKey) Public() crypto.PublicKey { return s.key.info.Public }

// Sign signs the message, which the area hashes. The signature is raw r || s,
// or Ed25519's. Errors are those of Area.Sign and of the unlock function.
func (s SigningKey) Sign(ctx context.Context, message []byte) ([]byte, error) {
	unlock, err := s.key.ask(ctx)
	if err != nil {
		return nil, err
	}
	return s.key.area.Sign(ctx, s.key.info.ID, message, unlock)
}

// AgreementKey is a Key that agrees. It satisfies format/key.Agreer.
type AgreementKey struct{ key Key }

// Key is the handle behind the agreer.
func (a AgreementKey) Key() Key { return a.key }

// Public is the key to give to the other side.
func (a AgreementKey) Public() *ecdh.PublicKey {
	pub, _ := a.key.info.Public.(*ecdh.PublicKey) // Key.Agreer checked the type
	return pub
}

// Agree returns the shared secret Z. Errors are those of Area.Agree and of the
// unlock function.
func (a AgreementKey) Agree(ctx context.Context, peer *ecdh.PublicKey) ([]byte, error) {
	unlock, err := a.key.ask(ctx)
	if err != nil {
		return nil, err
	}
	return a.key.area.Agree(ctx, a.key.info.ID, peer, unlock)
}
