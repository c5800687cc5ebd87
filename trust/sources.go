package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
)

// Anchor is a source and what was found there.
type Anchor struct {
	Source      Source    `json:"source"`
	Fingerprint string    `json:"fingerprint,omitempty"` // SHA-256 of the listed certificate, of several the newest, hex; empty if none was found yet
	Subject     string    `json:"subject,omitempty"`     // of the listed certificate
	NotAfter    time.Time `json:"not_after,omitzero"`    // of the listed certificate
	Pinned      time.Time `json:"pinned,omitzero"`       // when its key was accepted
	By          string    `json:"by,omitempty"`          // who accepted it
	Fetched     time.Time `json:"fetched,omitzero"`      // when the source answered last
	Problem     string    `json:"problem,omitempty"`     // why the last attempt failed; empty if it did not

	// Pending is the fingerprint of a certificate with another key, which
	// waits to be accepted; empty if there is none.
	Pending      string    `json:"pending,omitempty"`
	PendingSince time.Time `json:"pending_since,omitzero"`
}

// Who accepts keys; a pin says so.
const (
	byFirstUse      = "first use"
	byConfiguration = "configuration"
	byOperator      = "operator"
	byLink          = "link certificate"
)

// Anchors lists a tenant's sources in the order of its configuration. Error:
// ErrUnknownTenant.
func (s *Service) Anchors(ctx context.Context, tenant string) ([]Anchor, error) {
	t, err := s.tenant(tenant)
	if err != nil {
		return nil, err
	}
	var list []Anchor
	err = s.db.View(ctx, func(ctx context.Context, tx *db.Tx) error {
		list = make([]Anchor, len(t.config.Sources))
		for i, source := range t.config.Sources {
			f, err := sourceRow(ctx, tx, tenant, source)
			if err != nil {
				return err
			}
			a := Anchor{Source: source, Fetched: f.fetched, Problem: f.problem}
			if len(f.certificate) > 0 {
				certs, err := f.listed()
				if err != nil {
					return err
				}
				cert := certs[0]
				pin, err := assure.PinsIn(tx.Once(tenant)).Pin(ctx, source.Purpose, source.Name)
				if err != nil {
					return err
				}
				a.Fingerprint, a.Subject, a.NotAfter, a.Pinned, a.By = hexSum(cert.Raw), cert.Subject.String(), cert.NotAfter, pin.At, pin.By
			}
			if len(f.pending) > 0 {
				a.Pending, a.PendingSince = hexSum(f.pending), f.pendingSince
			}
			list[i] = a
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("trust: list sources: %w", err)
	}
	return list, nil
}

func hexSum(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// fingerprint reads a SHA-256 fingerprint in hex, with or without colons; the
// empty one is nil.
func fingerprint(s string) ([]byte, error) {
	sum, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(sum) != 0 && len(sum) != sha256.Size {
		return nil, errors.New("wanted SHA-256 in hexadecimal")
	}
	if len(sum) == 0 {
		return nil, nil
	}
	return sum, nil
}

// maxCertificate is how much of a source is read.
const maxCertificate = 64 << 10

// look fetches all sources at once and records what is there.
func (t *tenant) look(ctx context.Context) error {
	problems := make([]error, len(t.config.Sources))
	certs := make([]shown, len(t.config.Sources))
	var wg sync.WaitGroup
	for i, source := range t.config.Sources {
		wg.Go(func() { certs[i], problems[i] = t.service.get(ctx, source) })
	}
	wg.Wait()
	for i, source := range t.config.Sources {
		if err := t.record(ctx, source, certs[i], problems[i]); err != nil {
			return fmt.Errorf("trust: record source %s: %w", source.Name, err)
		}
		if problems[i] != nil {
			problems[i] = fmt.Errorf("trust: source %s: %w", source.Name, problems[i])
		}
	}
	return errors.Join(problems...)
}

// get fetches the certificates of a source.
func (s *Service) get(ctx context.Context, source Source) (shown, error) {
	r := fetch.GetRequest(source.URL, "application/pkix-cert, application/x-pem-file")
	r.MaxBytes = maxCertificate
	resp, err := s.fetch(ctx, r)
	if err != nil {
		return shown{}, err
	}
	if resp.Status != 200 {
		return shown{}, fmt.Errorf("it answered %d", resp.Status)
	}
	found, err := readAnchors(resp.Body, source.Purpose, s.now())
	if err != nil {
		return shown{}, err
	}
	if want, _ := fingerprint(source.Fingerprint); want != nil {
		i := slices.IndexFunc(found.roots, func(c *x509.Certificate) bool { sum := sha256.Sum256(c.Raw); return bytes.Equal(sum[:], want) })
		if i < 0 {
			return shown{}, fmt.Errorf("its certificate has the fingerprint %s, not the configured one", hexSum(found.roots[0].Raw))
		}
		found.named = found.roots[i]
	}
	return found, nil
}

// rootProfile is the profile of the roots of a purpose.
func rootProfile(purpose trustlist.Purpose) pki.Profile {
	switch purpose {
	case trustlist.Issuer:
		return pki.IACARoot
	case trustlist.Reader, trustlist.Verifier:
		return pki.ReaderCA
	}
	return pki.ServiceCA
}

// checkAnchor checks a certificate that is to be trusted for a purpose: of a CA
// that signed itself, current, and fit for the purpose. Where its form alone
// departs from the profile it is accepted: others made it.
func checkAnchor(cert *x509.Certificate, purpose trustlist.Purpose, now time.Time) (*x509.Certificate, error) {
	profile := rootProfile(purpose)
	if r := pki.CheckProfile(cert, profile, pki.Tolerant); !r.OK() {
		return nil, r.Err()
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return nil, fmt.Errorf("its certificate is not signed with its own key: %w", err)
	}
	if now.Before(cert.NotBefore) || !now.Before(cert.NotAfter) {
		return nil, fmt.Errorf("its certificate is valid from %s to %s", cert.NotBefore.UTC().Format(time.DateOnly), cert.NotAfter.UTC().Format(time.DateOnly))
	}
	if len(cert.SubjectKeyId) == 0 {
		return nil, errors.New("its certificate has no key identifier")
	}
	return cert, nil
}

// record compares what was found with the pin. The first key is pinned, the
// same key may come in a renewed certificate, the key of a root that follows a
// listed one over its link certificate takes its place in the pin and a place
// beside it on the list. Any other key has to wait.
func (t *tenant) record(ctx context.Context, source Source, s shown, problem error) error {
	now := t.service.now()
	return t.service.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		f, err := sourceRow(ctx, tx, t.config.ID, source)
		if err != nil {
			return err
		}
		if problem != nil {
			f.problem = text(problem)
			return putSource(ctx, tx, t.config.ID, source, f)
		}
		f.fetched, f.problem = now, ""
		listed, err := f.listed()
		if err != nil {
			return err
		}
		newest := s.roots[0]
		tofu := assure.TOFU{Store: assure.PinsIn(tx.Once(t.config.ID))}
		state, _, err := tofu.Check(ctx, source.Purpose, source.Name, newest.PublicKey)
		if err != nil {
			return err
		}
		changed := func(what string) error {
			return t.service.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: what, Object: source.Name, Detail: map[string]string{"certificate": hexSum(newest.Raw)}})
		}
		first := []*x509.Certificate{newest}
		if s.named != nil {
			first = []*x509.Certificate{s.named} // the operator has named this very certificate
		}
		switch {
		case state == assure.PinUnknown:
			by := byFirstUse
			if listed = s.before(newest, source.Purpose, now); s.named != nil {
				by, listed = byConfiguration, s.follow(first, source.Purpose, now)
			}
			newest = listed[0]
			if _, err := tofu.Accept(ctx, source.Purpose, source.Name, newest.PublicKey, newest, by, now); err != nil {
				return err
			}
			f.list(listed)
			err = changed("anchor pinned")
		case state == assure.PinMatches:
			f.list(s.follow(append(first, listed...), source.Purpose, now))
		case slices.ContainsFunc(s.follow(listed, source.Purpose, now), newest.Equal):
			err = errors.Join(replace(ctx, tofu, source, newest, byLink, now), changed("changed anchor accepted by its link"))
			f.list(s.follow(listed, source.Purpose, now))
		case s.named != nil && newest.Equal(s.named):
			err = errors.Join(replace(ctx, tofu, source, newest, byConfiguration, now), changed("changed anchor accepted"))
			f.list(s.follow(first, source.Purpose, now))
		case !bytes.Equal(f.pending, newest.Raw):
			f.pending, f.pendingSince = newest.Raw, now
			err = changed("anchor changed, waits")
		}
		if err != nil {
			return err
		}
		return putSource(ctx, tx, t.config.ID, source, f)
	})
}

func replace(ctx context.Context, tofu assure.TOFU, source Source, cert *x509.Certificate, by string, now time.Time) error {
	old, err := tofu.Store.Pin(ctx, source.Purpose, source.Name)
	if err != nil {
		return err
	}
	_, err = tofu.Replace(ctx, old, cert.PublicKey, cert, by, now)
	return err
}

// text is a problem for people, of a length that fits a page.
func text(err error) string {
	s := strings.ToValidUTF8(err.Error(), "?")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:299]) + "…"
	}
	return s
}

// Accept lists the changed certificate of a source in place of the pinned one,
// and publishes. certificate is the fingerprint of the one that the operator
// means, SHA-256 in hex with or without colons; empty means whichever waits.
// Errors: ErrUnknownTenant, ErrUnknownSource, ErrNothing.
func (s *Service) Accept(ctx context.Context, tenant, source, certificate string) error {
	t, err := s.tenant(tenant)
	if err != nil {
		return err
	}
	want, err := fingerprint(certificate)
	if err != nil {
		return fmt.Errorf("trust: fingerprint: %w", err)
	}
	for _, src := range t.config.Sources {
		if src.Name != source {
			continue
		}
		err := s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
			f, err := sourceRow(ctx, tx, tenant, src)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(f.pending)
			if len(f.pending) == 0 || want != nil && !bytes.Equal(want, sum[:]) {
				return ErrNothing
			}
			cert, err := pki.ParseCertificate(f.pending)
			if err != nil {
				return err
			}
			if err := replace(ctx, assure.TOFU{Store: assure.PinsIn(tx.Once(tenant))}, src, cert, byOperator, s.now()); err != nil {
				return err
			}
			f.list([]*x509.Certificate{cert})
			event := audit.Event{Tenant: tenant, What: "changed anchor accepted", Object: source, Detail: map[string]string{"certificate": hexSum(cert.Raw)}}
			return errors.Join(s.audit.Append(ctx, tx, s.now(), event), putSource(ctx, tx, tenant, src, f))
		})
		if err != nil {
			return fmt.Errorf("trust: accept %s: %w", source, err)
		}
		return t.publishAll(ctx)
	}
	return ErrUnknownSource
}
