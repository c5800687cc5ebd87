package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/jose"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/keyring"
)

// listed is one anchor as it goes into a list.
type listed struct {
	Source      Source
	Certificate []byte
}

// publishAll publishes what has changed or is half over. As long as nothing
// was found at any source there is nothing to publish.
func (t *tenant) publishAll(ctx context.Context) error {
	return errors.Join(t.publish(ctx, kindVICAL), t.publish(ctx, kindAnchors))
}

// publish signs a list if its content has changed or half of its time is over.
// Its number is one more than that of the list before; if another process took
// that number meanwhile, it looks again.
func (t *tenant) publish(ctx context.Context, kind string) error {
	s := t.service
	for {
		now := s.now()
		var last publication
		var content []listed
		err := s.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			if last, err = newest(ctx, tx, t.config.ID, kind); err != nil {
				return err
			}
			content, err = t.content(ctx, tx, now)
			return err
		})
		if err != nil {
			return fmt.Errorf("trust: publish %s: %w", kind, err)
		}
		if last.sequence == 0 && len(content) == 0 && len(t.config.Sources) > 0 {
			return nil
		}
		signer, err := t.ca.Key(ctx, purposeOf(kind), now)
		if err != nil {
			return fmt.Errorf("trust: publish %s: %w", kind, err)
		}
		content, digest := part(content, kind, signer.Record.ID)
		if last.sequence != 0 && bytes.Equal(last.digest, digest) && now.Before(last.issued.Add(last.expires.Sub(last.issued)/2)) {
			return nil
		}
		// After a restore numbers may have been used that the backup does not know.
		number := max(last.sequence+1, s.db.Restored().Unix())
		next := publication{sequence: number, digest: digest, issued: now.UTC().Truncate(time.Second)}
		if next.body, next.expires, err = t.sign(ctx, kind, signer, content, next.sequence, next.issued); err != nil {
			return fmt.Errorf("trust: publish %s: %w", kind, err)
		}
		var done bool
		err = s.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			if done, err = putPublication(ctx, tx, t.config.ID, kind, last.sequence, next); err != nil || !done {
				return err
			}
			return s.audit.Append(ctx, tx, now, audit.Event{Tenant: t.config.ID, What: "list published", Object: kind, Detail: map[string]string{"sequence": fmt.Sprint(next.sequence)}})
		})
		if err != nil || done {
			return err
		}
	}
}

// content is all anchors that may be listed now.
func (t *tenant) content(ctx context.Context, tx *db.Tx, now time.Time) ([]listed, error) {
	var all []listed
	for _, source := range t.config.Sources {
		f, err := sourceRow(ctx, tx, t.config.ID, source)
		if err != nil {
			return nil, err
		}
		certs, err := f.listed()
		if err != nil {
			return nil, err
		}
		for _, cert := range certs {
			if now.Before(cert.NotAfter) {
				all = append(all, listed{source, cert.Raw})
			}
		}
	}
	return all, nil
}

// purposeOf is what the signer of a list is for.
func purposeOf(kind string) keyring.Purpose {
	if kind == kindVICAL {
		return keyring.VICAL
	}
	return keyring.TrustList
}

// part is the part of the content that belongs into a list, and a digest of it
// and of its signer: a list of a new signer is new, too, so that those who know
// the newest root alone can verify it.
func part(all []listed, kind, signer string) (chosen []listed, digest []byte) {
	for _, l := range all {
		if (l.Source.Purpose == trustlist.Issuer) == (kind == kindVICAL) {
			chosen = append(chosen, l)
		}
	}
	data, err := json.Marshal(struct {
		Signer string
		Listed []listed
	}{signer, chosen})
	if err != nil {
		panic(err) // texts and bytes
	}
	sum := sha256.Sum256(data)
	return chosen, sum[:]
}

// sign makes a list.
func (t *tenant) sign(ctx context.Context, kind string, signer keyring.Key, content []listed, sequence int64, issued time.Time) (body []byte, expires time.Time, err error) {
	chain, err := pki.ParseChain(signer.Record.Chain)
	if err != nil {
		return nil, time.Time{}, err
	}
	expires = issued.Add(t.service.config.Lifetime)
	if kind == kindVICAL {
		v := trustlist.VICAL{
			Provider: t.config.Name, Date: issued, IssueID: uint64(sequence), NextUpdate: expires, NotAfter: expires, URL: t.base + "/vical",
		}
		for _, l := range content {
			cert, err := pki.ParseCertificate(l.Certificate)
			if err != nil {
				return nil, time.Time{}, err
			}
			v.Entries = append(v.Entries, trustlist.CertificateInfo{Certificate: cert, DocTypes: l.Source.DocTypes, IssuingAuthority: l.Source.Name})
		}
		body, err = trustlist.BuildVICAL(ctx, v, chain, signer)
		return body, expires, err
	}
	list := trustlist.List{Issuer: t.base, IssuedAt: jose.NewDate(issued), Expires: jose.NewDate(expires), Sequence: uint64(sequence)}
	for _, l := range content {
		list.Entries = append(list.Entries, trustlist.Entry{
			Purpose: l.Source.Purpose, Certificate: l.Certificate, Name: l.Source.Name, LoA: l.Source.LoA,
		})
	}
	token, err := trustlist.BuildList(ctx, list, chain, signer)
	return []byte(token), expires, err
}
