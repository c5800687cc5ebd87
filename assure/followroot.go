package assure

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/once"
)

// maxServiceRoots is how many certificates a trust service may show as its own.
const maxServiceRoots = 16

// serviceRoots are the roots that a trust service shows, the newest first, and
// the link certificates from one to the next.
type serviceRoots struct{ roots, links []*x509.Certificate }

func readRoots(data []byte) (serviceRoots, error) {
	var s serviceRoots
	certs, err := pki.ParseBundle(data)
	if err != nil {
		return s, err
	}
	if len(certs) > maxServiceRoots {
		return s, fmt.Errorf("%d certificates, at most %d", len(certs), maxServiceRoots)
	}
	for _, c := range certs {
		if c.CheckSignatureFrom(c) == nil {
			s.roots = append(s.roots, c)
		} else {
			s.links = append(s.links, c) // which counts for nothing unless it is a link
		}
	}
	if len(s.roots) == 0 {
		return s, errors.New("it shows no root")
	}
	return s, nil
}

func (s serviceRoots) following(known []*x509.Certificate, now time.Time) []*x509.Certificate {
	return pki.Following(known, s.roots, s.links, pki.ServiceCA, now)
}

// accept finds the root under which the lists verify, and pins it. There the
// roots count that are pinned, or named by the configured fingerprint, or met
// at first use, and those that follow one of them over links. The pin goes to
// the newest under which, with those that follow it, the lists verify: a root
// that has signed nothing yet does not take the place of the one that has.
//
// ISO/IEC 18013-5 second edition (draft v4), B.1.3.
func (f *Follower) accept(ctx context.Context, shown serviceRoots, verify func(*pki.Pool) error, now time.Time) error {
	return f.c.Tx(ctx, func(st once.Store) error {
		tofu := TOFU{Store: oncePins{st}}
		pin, err := tofu.Store.Pin(ctx, trustlist.TrustList, f.pinned())
		if err != nil && !errors.Is(err, ErrNoPin) {
			return err
		}
		met := errors.Is(err, ErrNoPin)
		candidates, err := f.candidates(shown, pin, met, now)
		if err != nil {
			return fmt.Errorf("certificate of the trust service: %w", err)
		}
		for _, root := range candidates {
			if err = verify(pki.NewPool(shown.following([]*x509.Certificate{root}, now)...)); err != nil {
				continue
			}
			switch sum, hashErr := keyHash(root.PublicKey); {
			case hashErr != nil:
				return hashErr
			case met:
				by := "first use"
				if f.c.Fingerprint != "" {
					by = "configuration"
				}
				_, err = tofu.Accept(ctx, trustlist.TrustList, f.pinned(), root.PublicKey, root, by, now)
			case sum != pin.Key:
				_, err = tofu.Replace(ctx, pin, root.PublicKey, root, "link certificate", now)
			}
			return err
		}
		return err
	})
}

// candidates are the roots shown that may count, the newest first.
func (f *Follower) candidates(s serviceRoots, pin Pin, met bool, now time.Time) ([]*x509.Certificate, error) {
	if met && f.c.Fingerprint == "" {
		return s.roots, nil
	}
	var known []*x509.Certificate
	if met {
		known = slices.DeleteFunc(slices.Clone(s.roots), func(c *x509.Certificate) bool {
			sum := sha256.Sum256(c.Raw)
			return hex.EncodeToString(sum[:]) != plainFingerprint(f.c.Fingerprint)
		})
	} else {
		cert, err := x509.ParseCertificate(pin.Certificate)
		if err != nil {
			return nil, err
		}
		known = append(known, cert)
		for _, c := range s.roots { // a renewed certificate of the same key is no change
			if key.Equal(c.PublicKey, cert.PublicKey) {
				known = append(known, c)
			}
		}
	}
	list := s.following(known, now)
	if len(list) == 0 && met {
		return nil, fmt.Errorf("%w: fingerprint is not the configured one, and no link certificate leads from it", ErrChanged)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: it is not the one accepted %s by %s, and no link certificate leads from that one", ErrChanged, pin.At.UTC().Format(time.RFC3339), pin.By)
	}
	return list, nil
}

// pinned is what the pin is stored under. Another configured fingerprint begins
// anew.
func (f *Follower) pinned() string {
	if f.c.Fingerprint == "" {
		return f.c.URL
	}
	return f.c.URL + " " + plainFingerprint(f.c.Fingerprint)
}

// plainFingerprint is a fingerprint in lower case and without colons.
func plainFingerprint(s string) string { return strings.ToLower(strings.ReplaceAll(s, ":", "")) }
