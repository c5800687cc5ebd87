package verifier

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/conf"
)

// maxPolicyAge is the longest age that a policy may name: beyond it none is meant.
const maxPolicyAge = 10 * 366 * day

func (c Policy) check() error {
	var p conf.Problems
	for name, d := range map[string]time.Duration{"maxAge": c.MaxAge, "maxStatusAge": c.MaxStatusAge} {
		if d != 0 {
			p.Within(name, d, time.Second, maxPolicyAge)
		}
	}
	_, err := assure.ParseLevel(c.MinLevel)
	p.AddError("minLevel", err)
	for _, country := range c.Countries {
		p.Country("countries", country)
	}
	_, err = c.pins()
	p.AddError("firstUse", err)
	return p.Err()
}

// policy is what documents are judged by.
func (c Policy) policy() assure.Policy {
	return assure.Policy{
		MaxAge: c.MaxAge, MaxStatusAge: c.MaxStatusAge, MinLevel: assure.Level(c.MinLevel), Countries: c.Countries, FirstUse: len(c.FirstUse) > 0,
	}
}

// pins are the anchors of signers that the operator accepted.
func (c Policy) pins() ([]assure.Anchor, error) {
	var list []assure.Anchor
	for _, name := range c.FirstUse {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		certs, err := pki.ParseBundle(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, cert := range certs {
			pin := assure.Pin{Purpose: trustlist.Issuer, Counterpart: cert.Subject.CommonName, Certificate: cert.Raw, At: info.ModTime(), By: "the operator"}
			if a, ok := pin.Anchor(); ok {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// anchorsFunc returns trust anchors.
type anchorsFunc func(ctx context.Context, now time.Time) (*assure.Anchors, error)

// withPins are anchors with more that do not change. The set is made anew when
// the others have changed only.
func withPins(anchors anchorsFunc, pins []assure.Anchor) anchorsFunc {
	if len(pins) == 0 {
		return anchors
	}
	var mu sync.Mutex // guards what is below
	var base, all *assure.Anchors
	return func(ctx context.Context, now time.Time) (*assure.Anchors, error) {
		a, err := anchors(ctx, now)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if a != base {
			with, err := a.With(pins...)
			if err != nil {
				return nil, fmt.Errorf("issuers accepted on first use: %w", err)
			}
			base, all = a, with
		}
		return all, nil
	}
}
