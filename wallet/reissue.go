package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/statuslist"
)

// ErrNoGrant: the issuer gives no new copies without the person.
var ErrNoGrant = errors.New("the issuer gives new copies of this document only for a new offer")

// grantRow is what an issuer allowed for longer: with it the app gets new copies
// of documents, and documents that were not ready, without the person.
type grantRow struct {
	Issuer   string `json:"issuer"`   // credential issuer identifier
	Server   string `json:"server"`   // of the authorisation server
	Refresh  string `json:"refresh"`  // of use only with the keys below
	Key      string `json:"key"`      // id of the DPoP key
	Instance string `json:"instance"` // id of the instance key then
	Attested string `json:"attested"` // id of the key it was given to; of old grants the instance key
}

// checkEvery is how often the app looks up on its own whether documents are
// still valid.
const checkEvery = 24 * time.Hour

// ReissueDue gets new copies of the documents that are Due or whose copies the
// issuer has ended, as it does when they say something else than its register;
// and documents that were not ready when they were asked for. It goes on when
// one fails, and returns what came.
func (w *Wallet) ReissueDue(ctx context.Context) ([]Document, error) {
	docs, err := w.Documents(ctx)
	if err != nil {
		return nil, err
	}
	came, err := w.collect(ctx)
	problems := []error{err}
	for _, d := range docs {
		due := d.Due(w.now())
		if !due && d.Grant != "" && w.now().Sub(d.Checked) >= checkEvery {
			checked, err := w.CheckStatus(ctx, d.ID)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", d.Name, err))
				continue
			}
			due = checked.Status == statuslist.Invalid
		}
		if !due {
			continue
		}
		fresh, err := w.Reissue(ctx, d.ID)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", d.Name, err))
			continue
		}
		came = append(came, fresh)
	}
	return came, errors.Join(problems...)
}

// Reissue gets new copies of a document, which replace all that are there: what
// is in them is as it stands in the issuer's register now. Errors wrap
// ErrNotFound, ErrNoGrant, ErrNotInstalled, or say what else to do.
//
// OpenID4VCI 1.0, 13.5.
func (w *Wallet) Reissue(ctx context.Context, id string) (Document, error) {
	var doc Document
	err := w.deps.Storage.View(ctx, func(t Txn) (err error) {
		doc, _, err = document(ctx, t, id)
		return err
	})
	if err != nil {
		return Document{}, fmt.Errorf("get new copies of %.64q: %w", id, err)
	}
	fresh, err := w.reissue(ctx, doc)
	if err != nil {
		return doc, fmt.Errorf("get new copies of %q: %w", doc.Name, err)
	}
	return fresh, nil
}

func (w *Wallet) reissue(ctx context.Context, doc Document) (Document, error) {
	i, err := w.resume(ctx, doc.Grant)
	if err != nil {
		return doc, err
	}
	defer func() { w.forget(ctx, i.spare...) }()
	g, err := i.obtain(ctx, Offered{Configuration: doc.Configuration, Format: doc.Format, DocType: doc.DocType, Name: doc.Name})
	if err != nil {
		return doc, err
	}
	if g.pending != nil {
		return doc, advise(errors.New("the issuer is not ready"), "try again later")
	}
	fresh, err := i.replace(ctx, doc.ID, g)
	i.tell(ctx, g, err)
	return fresh, err
}

// resume takes up a grant again: with a fresh access token.
func (w *Wallet) resume(ctx context.Context, grant string) (*issuing, error) {
	var row grantRow
	if grant == "" {
		return nil, ErrNoGrant
	}
	err := w.deps.Storage.View(ctx, func(t Txn) error { return getJSON(ctx, t, kindGrant, grant, &row) })
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNoGrant
	}
	if err != nil {
		return nil, err
	}
	i := &issuing{w: w, grant: grant, opts: AcceptOptions{Progress: func(Step) {}}}
	if i.instance, err = w.instance(ctx); err != nil {
		return nil, err
	}
	if i.instance.Key != row.Instance {
		return nil, advise(ErrNoGrant, "the app was installed anew meanwhile: ask the issuer for a new offer")
	}
	if i.provider, err = w.provider(ctx, i.instance); err != nil {
		return nil, err
	}
	meta, issuer, err := w.discover(ctx, row.Issuer)
	if err != nil {
		return nil, err
	}
	i.offer = &Offer{Offer: oid4vci.Offer{Issuer: row.Issuer}, Metadata: meta, Issuer: issuer}
	if err := i.connect(ctx, row.Server, row.Key, cmp.Or(row.Attested, row.Instance)); err != nil {
		return nil, err
	}
	token, err := i.oauth.Refresh(ctx, row.Refresh, w.now())
	var refusal *oauth.Error
	if errors.As(err, &refusal) && refusal.Code == oauth.CodeInvalidGrant {
		return nil, advise(fmt.Errorf("%w: %w", ErrNoGrant, err), "ask the issuer for a new offer")
	}
	if err != nil {
		return nil, i.explain(err)
	}
	i.oid = oid4vci.Client{Metadata: meta, OAuth: i.oauth, Token: token}
	if token.RefreshToken == row.Refresh {
		return i, nil
	}
	row.Refresh = token.RefreshToken
	return i, w.deps.Storage.Tx(ctx, func(t Txn) error { return putJSON(ctx, t, kindGrant, grant, row) })
}

// replace puts new copies in the place of a document's old ones. Their keys stay
// for a while: one may be signing.
func (i *issuing) replace(ctx context.Context, id string, g obtained) (Document, error) {
	w := i.w
	entry := w.newEntry(EventIssuance)
	entry.Outcome = OutcomeDone
	var doc Document
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		old, list, err := document(ctx, t, id)
		if err != nil {
			return err
		}
		for _, c := range list {
			err := errors.Join(t.Delete(ctx, kindIssued, c.id), t.Delete(ctx, kindCredential, c.id),
				putJSON(ctx, t, kindOrphan, c.Key, orphanRow{Since: w.now().UTC()}))
			if err != nil {
				return err
			}
		}
		next := g
		next.document.ID, next.document.Added, next.document.Grant, next.document.Name = old.ID, old.Added, old.Grant, old.Name
		next.document.Updated = w.now().UTC()
		doc = next.document
		doc.Copies, doc.Unused = len(g.copies), len(g.copies)
		entry.Party, entry.Documents = doc.Issuer, []LoggedDocument{{ID: doc.ID, DocType: doc.DocType, Copies: len(g.copies)}}
		if err := next.put(ctx, t); err != nil {
			return err
		}
		return putJSON(ctx, t, kindLog, entry.ID, entry)
	})
	if err != nil {
		return doc, fmt.Errorf("store the new copies: %w", err)
	}
	i.keep(g)
	w.deps.Log.InfoContext(ctx, "new copies stored", "issuer", doc.Issuer.ID, "copies", len(g.copies))
	return doc, nil
}

// keep takes the keys of stored copies from those to be destroyed.
func (i *issuing) keep(g obtained) {
	i.spare = slices.DeleteFunc(i.spare, func(id string) bool {
		return slices.ContainsFunc(g.copies, func(c obtainedCopy) bool { return c.key == id })
	})
}

// tell lets the issuer know what became of copies. Nothing depends on it.
func (i *issuing) tell(ctx context.Context, g obtained, problem error) {
	n := oid4vci.Notification{ID: g.notification, Event: oid4vci.EventAccepted}
	if problem != nil {
		n.Event, n.Description = oid4vci.EventFailure, "the app could not store the documents"
	}
	if err := i.oid.Notify(ctx, n, i.w.now()); err != nil {
		i.w.deps.Log.InfoContext(ctx, "issuer not told", "err", err)
	}
}

// keepGrant writes down what the issuer allows for longer, in the transaction
// that stores the first documents.
func (i *issuing) keepGrant(ctx context.Context, t Txn) error {
	if i.grant == "" {
		return nil
	}
	row := grantRow{Issuer: i.offer.Issuer.ID, Server: i.oauth.Server.Issuer, Refresh: i.oid.Token.RefreshToken, Key: i.dpop, Instance: i.instance.Key, Attested: i.attested}
	return errors.Join(putJSON(ctx, t, kindGrant, i.grant, row), t.Delete(ctx, kindOrphan, i.dpop), t.Delete(ctx, kindOrphan, i.attested))
}

// dropGrant forgets a grant that no document or pending request needs any more,
// and returns its keys, which are orphans then.
func dropGrant(ctx context.Context, t Txn, grant string) (keys []string, err error) {
	if grant == "" {
		return nil, nil
	}
	docs, err := documents(ctx, t)
	if err != nil || slices.ContainsFunc(docs, func(d Document) bool { return d.Grant == grant }) {
		return nil, err
	}
	waiting, err := pendings(ctx, t)
	if err != nil || slices.ContainsFunc(waiting, func(p Pending) bool { return p.Grant == grant }) {
		return nil, err
	}
	var row grantRow
	err = getJSON(ctx, t, kindGrant, grant, &row)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys = []string{row.Key}
	if row.Attested != "" {
		keys = append(keys, row.Attested)
	}
	for _, id := range keys {
		err = errors.Join(err, putJSON(ctx, t, kindOrphan, id, orphanRow{}))
	}
	return keys, errors.Join(err, t.Delete(ctx, kindGrant, grant))
}
