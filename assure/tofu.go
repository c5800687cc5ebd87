package assure

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/trustlist"
)

// Errors of trust on first use.
var (
	ErrNoPin   = errors.New("counterpart not pinned")                 // PinStore.Pin knows none; first use
	ErrChanged = errors.New("counterpart's key differs from its pin") // never accepted silently
)

// Pin records that somebody accepted an unknown counterpart's key once.
type Pin struct {
	Purpose     trustlist.Purpose
	Counterpart string             // who: an origin, a client identifier, an instance; never personal data
	Key         [sha256.Size]byte  // SHA-256 of the SubjectPublicKeyInfo, so that a renewed certificate is no change
	Certificate []byte             // DER, if the key came in one
	At          time.Time          // when it was accepted
	By          string             // who accepted: an operator's or a holder's pseudonym
	Replaces    *[sha256.Size]byte // the key before, if this acceptance followed a change
}

// PinStore keeps pins. Implementations make SavePin atomic per purpose and
// counterpart and durable when it returns.
type PinStore interface {
	// Pin returns the current pin, or ErrNoPin.
	Pin(ctx context.Context, p trustlist.Purpose, counterpart string) (Pin, error)

	// SavePin stores a pin in place of the one whose key is replaces, nil for
	// none. If another is there it changes nothing and returns ErrChanged.
	SavePin(ctx context.Context, pin Pin, replaces *[sha256.Size]byte) error
}

// TOFU is trust on first use over a store of pins. Only Accept and Replace,
// which a person or an explicit policy calls, ever write.
type TOFU struct{ Store PinStore }

// PinState is what Check found.
type PinState string

// The states.
const (
	PinUnknown PinState = "unknown" // first use: ask, then Accept
	PinMatches PinState = "matches"
	PinChanged PinState = "changed" // warn, and go on only after Replace
)

const clauseTOFU = "ISO/IEC 23220-1:2023, 5.2"

// Check compares a counterpart's key with its pin. Anything but PinMatches
// fails the report. The error is the store's.
func (t TOFU) Check(ctx context.Context, p trustlist.Purpose, counterpart string, pub crypto.PublicKey) (PinState, check.Report, error) {
	const name = "trust on first use"
	var r check.Report
	sum, err := keyHash(pub)
	if err != nil {
		return "", r, err
	}
	pin, err := t.Store.Pin(ctx, p, counterpart)
	switch {
	case errors.Is(err, ErrNoPin):
		r.Fail(name, clauseTOFU, "first contact with "+counterpart, "accept its key explicitly if you expect it")
		return PinUnknown, r, nil
	case err != nil:
		return "", r, fmt.Errorf("pin of %s: %w", counterpart, err)
	case subtle.ConstantTimeCompare(pin.Key[:], sum[:]) != 1:
		r.Fail(name, clauseTOFU, fmt.Sprintf("%s shows another key than the one accepted %s by %s", counterpart, pin.At.UTC().Format(time.RFC3339), pin.By),
			"somebody may be in between; ask the counterpart on another way before you replace the pin")
		return PinChanged, r, nil
	}
	r.Pass(name, clauseTOFU, fmt.Sprintf("accepted %s by %s", pin.At.UTC().Format(time.RFC3339), pin.By))
	return PinMatches, r, nil
}

// Accept pins a counterpart on first use. Accepting the same key again changes
// nothing; another key is ErrChanged. cert may be nil.
func (t TOFU) Accept(ctx context.Context, p trustlist.Purpose, counterpart string, pub crypto.PublicKey, cert *x509.Certificate, by string, now time.Time) (Pin, error) {
	pin, err := newPin(p, counterpart, pub, cert, by, now)
	if err != nil {
		return Pin{}, err
	}
	err = t.Store.SavePin(ctx, pin, nil)
	if errors.Is(err, ErrChanged) {
		old, getErr := t.Store.Pin(ctx, p, counterpart)
		if getErr == nil && old.Key == pin.Key {
			return old, nil
		}
	}
	if err != nil {
		return Pin{}, fmt.Errorf("pinning %s: %w", counterpart, err)
	}
	return pin, nil
}

// Replace accepts a changed key in place of the one that the person was shown
// as the old one. If the pin is another by now it is ErrChanged.
func (t TOFU) Replace(ctx context.Context, old Pin, pub crypto.PublicKey, cert *x509.Certificate, by string, now time.Time) (Pin, error) {
	pin, err := newPin(old.Purpose, old.Counterpart, pub, cert, by, now)
	if err != nil {
		return Pin{}, err
	}
	before := old.Key
	pin.Replaces = &before
	if err := t.Store.SavePin(ctx, pin, &before); err != nil {
		return Pin{}, fmt.Errorf("replacing the pin of %s: %w", old.Counterpart, err)
	}
	return pin, nil
}

func newPin(p trustlist.Purpose, counterpart string, pub crypto.PublicKey, cert *x509.Certificate, by string, now time.Time) (Pin, error) {
	if counterpart == "" || by == "" {
		return Pin{}, errors.New("a pin needs a counterpart and somebody who accepts it")
	}
	sum, err := keyHash(pub)
	if err != nil {
		return Pin{}, err
	}
	pin := Pin{Purpose: p, Counterpart: counterpart, Key: sum, At: now, By: by}
	if cert != nil {
		if !key.Equal(cert.PublicKey, pub) {
			return Pin{}, errors.New("the certificate to pin is not that of the key")
		}
		pin.Certificate = cert.Raw
	}
	return pin, nil
}

func keyHash(pub crypto.PublicKey) ([sha256.Size]byte, error) {
	der, err := key.Marshal(pub)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("key to pin: %w", err)
	}
	return sha256.Sum256(der), nil
}

// Anchor is the pinned certificate as an exact anchor; false if the pin is of
// a bare key.
func (p Pin) Anchor() (Anchor, bool) {
	cert, err := x509.ParseCertificate(p.Certificate)
	if err != nil {
		return Anchor{}, false
	}
	return Anchor{
		Purpose: p.Purpose, Certificate: cert, Exact: true, Pinned: true, Name: firstOf(cert.Subject.CommonName, p.Counterpart), LoA: Low,
		Origin: fmt.Sprintf("pinned %s by %s", p.At.UTC().Format(time.DateOnly), p.By),
	}, true
}
