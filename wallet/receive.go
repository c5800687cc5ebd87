package wallet

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/securearea"
)

// obtained is a document on its way into the storage.
type obtained struct {
	document     Document
	copies       []obtainedCopy
	notification string // what the issuer calls it

	pending *Pending // nothing was given yet
	instead *Pending // it was waited for until now
}

type obtainedCopy struct {
	key string // id
	raw []byte // as it is stored
}

// byHolder stands in Party.VouchedBy of an issuer trusted on first use.
const byHolder = "the holder"

// verify finds for each copy its key, and verifies every copy. Copies have to
// be of one document: which of them is shown may make no difference.
func (i *issuing) verify(ctx context.Context, wanted Offered, keys []securearea.Key, credentials []string) (obtained, error) {
	g := obtained{document: Document{Format: wanted.Format, DocType: wanted.DocType}}
	var anchors *assure.Anchors
	var first []string // what is in the first copy
	left := slices.Clone(keys)
	for n, text := range credentials {
		fail := func(err error) (obtained, error) {
			return obtained{}, fmt.Errorf("copy %d of %d: %w", n+1, len(credentials), err)
		}
		raw, err := decode(wanted.Format, text)
		if err != nil {
			return fail(err)
		}
		c, err := read(wanted.Format, raw)
		if err != nil {
			return fail(err)
		}
		id, err := takeKey(&left, c)
		if err != nil {
			return fail(err)
		}
		if n == 0 {
			if anchors, g.document.Issuer, err = i.trust(ctx, c, wanted.DocType); err != nil {
				return obtained{}, err
			}
		}
		_, _, rep := c.verify(ctx, assure.DocumentParams{Now: i.w.now(), Anchors: anchors, DocType: wanted.DocType})
		if err := rep.Err(); err != nil {
			return fail(fmt.Errorf("not in order: %w", err))
		}
		contents, err := c.contents()
		if err != nil {
			return fail(err)
		}
		if n == 0 {
			first = contents
		} else if !slices.Equal(first, contents) {
			return fail(errors.New("it holds other elements than the first"))
		}
		g.document.narrow(c.span())
		g.copies = append(g.copies, obtainedCopy{id, raw})
	}
	return g, nil
}

// endless is how long a document without an end is taken to be valid.
const endless = 100 * 365 * 24 * time.Hour

// narrow keeps the time in which all copies are valid.
func (d *Document) narrow(from, until time.Time) {
	if until.IsZero() {
		until = from.Add(endless)
	}
	if d.ValidFrom.IsZero() || from.After(d.ValidFrom) {
		d.ValidFrom = from.UTC()
	}
	if d.ValidUntil.IsZero() || until.Before(d.ValidUntil) {
		d.ValidUntil = until.UTC()
	}
}

// takeKey takes the key that a copy is bound to out of those left: copies may
// come in any order.
func takeKey(left *[]securearea.Key, c received) (string, error) {
	pub, err := c.key()
	if err != nil {
		return "", err
	}
	n := slices.IndexFunc(*left, func(k securearea.Key) bool { return key.Equal(k.Info().Public, pub) })
	if n < 0 {
		return "", errors.New("the document is bound to a key that is not one of ours, or that another copy has (ISO/IEC 18013-5:2021, 9.1.2.4)")
	}
	id := (*left)[n].Info().ID
	*left = slices.Delete(*left, n, n+1)
	return id, nil
}

// trust decides whether the issuer of a document is trusted, by the anchors
// or, if nothing else is wrong with the document, by the holder.
func (i *issuing) trust(ctx context.Context, c received, docType string) (*assure.Anchors, Party, error) {
	w := i.w
	check := func(a *assure.Anchors) (assure.Signer, error) {
		signer, _, rep := c.verify(ctx, assure.DocumentParams{Now: w.now(), Anchors: a, DocType: docType})
		return signer, rep.Err()
	}
	party := Party{Standing: assure.ReaderUnknown, ID: i.offer.Issuer.ID}
	leaf, err := leafOf(c.chain())
	if err != nil {
		return nil, party, fmt.Errorf("signer of the document: %w", err)
	}
	party.Fingerprint, party.Name = fingerprint(leaf), nameIn(leaf)

	for try := 1; ; try++ {
		anchors := w.anchors(ctx)
		if signer, err := check(anchors); err == nil {
			party.Standing, party.VouchedBy = assure.ReaderTrusted, oneLine(signer.Organisation(), 120)
			return anchors, party, nil
		}
		alone, err := anchors.With(assure.Anchor{Purpose: trustlist.Issuer, Certificate: leaf, Exact: true, Name: party.Name, Origin: "accepted by the holder"})
		if err != nil {
			return nil, party, err
		}
		if _, err := check(alone); err != nil {
			return nil, party, fmt.Errorf("the document is not in order: %w", err) // trust would not help
		}
		if try == 1 && w.deps.Refresh != nil && w.deps.Refresh(ctx, w.now()) == nil {
			continue
		}
		party.VouchedBy = byHolder
		return alone, party, w.trustOnFirstUse(ctx, party, leaf)
	}
}

// trustOnFirstUse asks the holder about an issuer that nobody vouches for,
// unless its key was accepted before.
func (w *Wallet) trustOnFirstUse(ctx context.Context, party Party, leaf *x509.Certificate) error {
	state, old, err := w.pinned(ctx, party.ID, leaf.PublicKey)
	if err != nil {
		return fmt.Errorf("issuers accepted before: %w", err)
	}
	if state == assure.PinMatches {
		return nil
	}
	shown := party
	shown.VouchedBy = ""
	q := Question{Topic: TopicTrust, Party: shown, Changed: state == assure.PinChanged}
	q.Warnings = append(q.Warnings, "No list of issuers that this app follows has it.")
	if q.Changed {
		q.Warnings = append(q.Warnings, fmt.Sprintf("It signs with another key than the one accepted on %s. Ask the issuer whether that is right.", old.At.Format("2 January 2006")))
	}
	answer, err := w.deps.Consent.Ask(ctx, q)
	if err != nil {
		return fmt.Errorf("ask about the issuer: %w", err)
	}
	if !answer.Allow {
		return advise(ErrUntrusted, "the issuer was not accepted; nothing was stored")
	}
	err = OnceTx(w.deps.Storage)(ctx, func(st once.Store) error {
		tofu := assure.TOFU{Store: assure.PinsIn(st)}
		if q.Changed {
			_, err := tofu.Replace(ctx, old, leaf.PublicKey, leaf, "holder", w.now())
			return err
		}
		_, err := tofu.Accept(ctx, trustlist.Issuer, party.ID, leaf.PublicKey, leaf, "holder", w.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("remember the issuer: %w", err)
	}
	return nil
}

// pinned looks up whether an issuer's key was accepted before.
func (w *Wallet) pinned(ctx context.Context, issuer string, pub crypto.PublicKey) (state assure.PinState, old assure.Pin, err error) {
	err = OnceTx(w.deps.Storage)(ctx, func(st once.Store) error {
		pins := assure.PinsIn(st)
		if state, _, err = (assure.TOFU{Store: pins}).Check(ctx, trustlist.Issuer, issuer, pub); err != nil {
			return err
		}
		if old, err = pins.Pin(ctx, trustlist.Issuer, issuer); errors.Is(err, assure.ErrNoPin) {
			err = nil
		}
		return err
	})
	return state, old, err
}

// anchors are who is trusted now; nobody if that cannot be found out.
func (w *Wallet) anchors(ctx context.Context) *assure.Anchors {
	a, err := w.deps.Anchors(ctx, w.now())
	if err != nil {
		w.deps.Log.WarnContext(ctx, "no trust anchors", "err", err)
		return nil
	}
	return a
}

// store writes the documents, and the log, in one transaction.
func (i *issuing) store(ctx context.Context, got []obtained) ([]Document, error) {
	w := i.w
	entry := w.newEntry(EventIssuance)
	entry.Outcome = OutcomeDone
	var docs []Document
	var used []string
	for n := range got {
		g := &got[n]
		if p := g.pending; p != nil {
			used = append(used, p.Keys...)
			entry.Party = Party{Standing: assure.ReaderUnknown, ID: p.Issuer, Name: i.offer.Issuer.Name}
			entry.Documents = append(entry.Documents, LoggedDocument{DocType: p.DocType})
			continue
		}
		g.document.Copies, g.document.Unused = len(g.copies), len(g.copies)
		docs = append(docs, g.document)
		entry.Party = g.document.Issuer
		entry.Documents = append(entry.Documents, LoggedDocument{ID: g.document.ID, DocType: g.document.DocType, Copies: len(g.copies)})
		for _, c := range g.copies {
			used = append(used, c.key)
		}
	}
	if i.grant != "" {
		used = append(used, i.dpop, i.attested)
	}
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		for _, g := range got {
			if err := g.put(ctx, t); err != nil {
				return err
			}
		}
		if err := i.keepGrant(ctx, t); err != nil {
			return err
		}
		return putJSON(ctx, t, kindLog, entry.ID, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("store the documents: %w", err)
	}
	i.spare = slices.DeleteFunc(i.spare, func(id string) bool { return slices.Contains(used, id) })
	w.deps.Log.InfoContext(ctx, "documents stored", "issuer", entry.Party.ID, "documents", len(docs), "copies", len(used))
	return docs, nil
}

func (g *obtained) put(ctx context.Context, t Txn) error {
	if g.pending != nil {
		return g.pending.put(ctx, t)
	}
	if g.instead != nil {
		if err := t.Delete(ctx, kindPending, g.instead.ID); err != nil {
			return err
		}
	}
	if err := putJSON(ctx, t, kindDocument, g.document.ID, g.document); err != nil {
		return err
	}
	for n, c := range g.copies {
		id := fmt.Sprintf("%s/%04d", g.document.ID, n)
		if err := t.Put(ctx, kindIssued, id, c.raw); err != nil {
			return err
		}
		if err := putJSON(ctx, t, kindCredential, id, credentialRow{Key: c.key}); err != nil {
			return err
		}
		if err := t.Delete(ctx, kindOrphan, c.key); err != nil {
			return err
		}
	}
	return nil
}

func leafOf(chain [][]byte) (*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	return pki.ParseCertificate(chain[0])
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// identity tells the holder of a certificate of a trusted CA from all others,
// and is the same for the next certificate with the same names.
func identity(c *x509.Certificate) string {
	if bytes.Equal(c.RawIssuer, c.RawSubject) { // vouched for by itself
		return fingerprint(c)
	}
	h := sha256.New()
	for _, part := range [][]byte{c.AuthorityKeyId, c.RawIssuer, c.RawSubject, alternativeNames(c)} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// alternativeNames is the subjectAltName of a certificate as it stands there.
// RFC 5280, 4.2.1.6.
func alternativeNames(c *x509.Certificate) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			return e.Value
		}
	}
	return nil
}

// nameIn is what a certificate calls its holder, safe to show.
func nameIn(c *x509.Certificate) string {
	if len(c.Subject.Organization) > 0 && c.Subject.Organization[0] != "" {
		return oneLine(c.Subject.Organization[0], 120)
	}
	return oneLine(c.Subject.CommonName, 120)
}
