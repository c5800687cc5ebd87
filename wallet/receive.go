package wallet

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/mdoc"
	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/query"
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
	raw []byte // IssuerSigned
}

// byHolder stands in Party.VouchedBy of an issuer trusted on first use.
const byHolder = "the holder"

// verify finds for each copy its key, and verifies every copy. Copies have to
// be of one document: which of them is shown may make no difference.
func (i *issuing) verify(ctx context.Context, wanted Offered, keys []securearea.Key, credentials []string) (obtained, error) {
	g := obtained{document: Document{Format: query.FormatMdoc, DocType: wanted.DocType}}
	var anchors *assure.Anchors
	var first *mdoc.IssuerSigned
	left := slices.Clone(keys)
	for n, text := range credentials {
		raw, err := oid4vci.DecodeMdoc(text)
		if err != nil {
			return obtained{}, err
		}
		signed, err := mdoc.ParseIssuerSigned(raw)
		if err != nil {
			return obtained{}, fmt.Errorf("copy %d of %d: %w", n+1, len(credentials), err)
		}
		id, err := takeKey(&left, signed)
		if err != nil {
			return obtained{}, fmt.Errorf("copy %d of %d: %w", n+1, len(credentials), err)
		}
		if first == nil {
			first = signed
			if anchors, g.document.Issuer, err = i.trust(ctx, signed, wanted.DocType); err != nil {
				return obtained{}, err
			}
		}
		_, rep := assure.VerifyIssued(ctx, signed, assure.DocumentParams{Now: i.w.now(), Anchors: anchors, DocType: wanted.DocType})
		if err := rep.Err(); err != nil {
			return obtained{}, fmt.Errorf("copy %d of %d is not in order: %w", n+1, len(credentials), err)
		}
		if !sameElements(first, signed) {
			return obtained{}, fmt.Errorf("copy %d of %d holds other elements than the first", n+1, len(credentials))
		}
		g.document.span(signed.Auth.MSO.Validity, n == 0)
		g.copies = append(g.copies, obtainedCopy{id, raw})
	}
	return g, nil
}

// span keeps the time in which all copies are valid.
func (d *Document) span(v mdoc.Validity, first bool) {
	if first || v.ValidFrom.After(d.ValidFrom) {
		d.ValidFrom = v.ValidFrom.UTC()
	}
	if first || v.ValidUntil.Before(d.ValidUntil) {
		d.ValidUntil = v.ValidUntil.UTC()
	}
}

// takeKey takes the key that a copy is bound to out of those left: copies may
// come in any order.
func takeKey(left *[]securearea.Key, signed *mdoc.IssuerSigned) (string, error) {
	pub, err := signed.Auth.MSO.DevicePublicKey()
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

// sameElements reports whether two copies hold the same elements by name.
func sameElements(a, b *mdoc.IssuerSigned) bool {
	count := 0
	for _, ns := range a.NameSpaces {
		count += len(ns.Items)
	}
	for _, ns := range b.NameSpaces {
		for _, item := range ns.Items {
			if a.Item(mdoc.ElementRef{NameSpace: ns.Name, ID: item.ID}) == nil {
				return false
			}
			count--
		}
	}
	return count == 0
}

// trust decides whether the issuer of a document is trusted, by the anchors
// or, if nothing else is wrong with the document, by the holder.
func (i *issuing) trust(ctx context.Context, signed *mdoc.IssuerSigned, docType string) (*assure.Anchors, Party, error) {
	w := i.w
	check := func(a *assure.Anchors) (assure.Document, error) {
		doc, rep := assure.VerifyIssued(ctx, signed, assure.DocumentParams{Now: w.now(), Anchors: a, DocType: docType})
		return doc, rep.Err()
	}
	party := Party{Standing: assure.ReaderUnknown, ID: i.offer.Issuer.ID}
	leaf, err := leafOf(signed.Auth.Sign1.X5Chain)
	if err != nil {
		return nil, party, fmt.Errorf("signer of the document: %w", err)
	}
	party.Fingerprint, party.Name = fingerprint(leaf), nameIn(leaf)

	for try := 1; ; try++ {
		anchors := w.anchors(ctx)
		if doc, err := check(anchors); err == nil {
			party.Standing, party.VouchedBy = assure.ReaderTrusted, oneLine(doc.Signer.Organisation(), 120)
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
		used = append(used, i.dpop)
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

// nameIn is what a certificate calls its holder, safe to show.
func nameIn(c *x509.Certificate) string {
	if len(c.Subject.Organization) > 0 && c.Subject.Organization[0] != "" {
		return oneLine(c.Subject.Organization[0], 120)
	}
	return oneLine(c.Subject.CommonName, 120)
}
