package wallet

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/format/transaction"
	"github.com/eidos-id/eidos/protocol/query"
)

// Event is what an entry of the log is about.
type Event string

// The events.
const (
	EventSharing  Event = "sharing"
	EventIssuance Event = "issuance"
	EventDeletion Event = "deletion"
)

// Outcome is what became of it.
type Outcome string

// The outcomes.
const (
	OutcomeDone    Outcome = "done"
	OutcomeRefused Outcome = "refused" // by the holder
	OutcomeNothing Outcome = "nothing" // no document answered the question
	OutcomeFailed  Outcome = "failed"
	// OutcomeOpen: it began and its end was not recorded, for example because
	// the app was stopped. What the entry lists may have been shared.
	OutcomeOpen Outcome = "open"
)

// Channel is the way a question came.
type Channel string

// The channels.
const (
	OnSite Channel = "on-site"
	Remote Channel = "remote"
)

// Party is somebody the app deals with, as far as is known.
type Party struct {
	// Standing is how well it is known: trusted, unknown (it proved a name
	// that nobody vouches for), anonymous or forged.
	Standing assure.Standing `json:"standing"`
	// Name is what its certificate says, else its address; control characters
	// replaced. Only a trusted party's name is to be believed.
	Name string `json:"name,omitempty"`
	// VouchedBy names the trusted CA, if there is one.
	VouchedBy string `json:"vouched_by,omitempty"`
	// ID is the issuer's or the verifier's identifier; empty on-site.
	ID string `json:"id,omitempty"`
	// Fingerprint is the SHA-256 of the certificate it showed, in hex.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Identity is the same as long as the same CA certifies the same names, and
	// another for everybody else; only of verifiers that are trusted.
	Identity string `json:"identity,omitempty"`
	// Key is the SubjectPublicKeyInfo, DER, of the key that a verifier proved to
	// have, and Certificate what it came in, DER, if it came in one: the holder
	// may have to show who it was.
	Key         []byte `json:"key,omitempty"`
	Certificate []byte `json:"certificate,omitempty"`
	// Met is when the holder first went on with a verifier of this key, though
	// nobody vouched for it; zero if it is not known.
	Met time.Time `json:"met,omitzero"`
	// Contact is how to reach a verifier, by what it said about itself.
	Contact *Contact `json:"contact,omitempty"`
	// Registration is what a trusted registrar says of a verifier, if it sent
	// that along.
	Registration *Registration `json:"registration,omitempty"`
}

// LogEntry is one line of what happened: who and what, but no values. It
// stays on the device.
type LogEntry struct {
	ID        string           `json:"id"` // in the order of time
	At        time.Time        `json:"at"`
	Event     Event            `json:"event"`
	Outcome   Outcome          `json:"outcome"`
	Reason    string           `json:"reason,omitempty"` // why nothing came of it
	Channel   Channel          `json:"channel,omitempty"`
	Party     Party            `json:"party"`
	Purposes  []string         `json:"purposes,omitempty"`
	Documents []LoggedDocument `json:"documents,omitempty"`
	// Requested is what was asked for, where something was shared.
	Requested []LoggedDocument `json:"requested,omitempty"`
	// ResponseURI is where the answer went, and Receipts are the hashes of what
	// was shown (rights.Receipt): the verifier knows the transaction by them.
	ResponseURI string   `json:"response_uri,omitempty"`
	Receipts    []string `json:"receipts,omitempty"`
	// Authorised is what the holder authorised, or was asked to.
	Authorised []Authorised `json:"authorised,omitempty"`
	// Deletion is set when the verifier was asked to delete, Reports when it
	// was reported to an authority.
	Deletion *Deletion  `json:"deletion,omitempty"`
	Reports  []Reported `json:"reports,omitempty"`
	Imported bool       `json:"imported,omitempty"` // from the log of another app
}

// Authorised is an entry of transaction data in the log.
//
// EUDI TS12 1.0.1, 5.3.
type Authorised struct {
	Type string `json:"type"`
	transaction.Record
}

// Text is what was authorised, in a few words.
func (a Authorised) Text() string {
	if a.Name == "" {
		return a.Type
	}
	parts := []string{a.Name}
	for _, p := range append([]string{a.Payee, a.Service, a.Provider}, a.Documents...) {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if a.ID != "" {
		parts = append(parts, "number "+a.ID)
	}
	return strings.Join(parts, ", ")
}

// LoggedDocument is a document that an entry is about.
type LoggedDocument struct {
	ID      string `json:"id,omitempty"` // Document.ID; empty if none answered
	DocType string `json:"doctype"`
	// Elements were shared or, if nothing was, asked for.
	Elements []LoggedElement `json:"elements,omitempty"`
	// Reused says that the copy had been shown before, to others as far as is
	// known, so two verifiers could find out that they met the same person: there
	// was no unused one left, or the issuer wants it so.
	Reused bool `json:"reused,omitempty"`
	Copies int  `json:"copies,omitempty"` // that were issued
}

// LoggedElement is an element of it: of an mdoc by name space and identifier, of
// an SD-JWT VC by the path of the claim.
type LoggedElement struct {
	NameSpace string     `json:"namespace,omitempty"`
	ID        string     `json:"id,omitempty"`
	Path      sdjwt.Path `json:"path,omitempty"`
	Retain    bool       `json:"retain,omitempty"` // the verifier means to keep it
}

// Name is the identifier, or the path with dots.
func (e LoggedElement) Name() string {
	if e.Path != nil {
		return query.Path(e.Path).String()
	}
	return e.ID
}

// Label is what people call the element in documents of the type.
func (e LoggedElement) Label(types *doctype.Catalogue, lang, docType string) string {
	if e.Path != nil {
		return types.ClaimLabel(lang, docType, e.Path)
	}
	return types.Label(lang, docType, e.NameSpace, e.ID)
}

// loggedElement names the claim at a path; false if the format has no such path.
func loggedElement(format string, p query.Path, retain bool) (LoggedElement, bool) {
	if format == query.FormatSDJWT {
		return LoggedElement{Path: sdjwt.Path(p), Retain: retain}, true
	}
	ref, ok := elementOf(p)
	return LoggedElement{NameSpace: ref.NameSpace, ID: ref.ID, Retain: retain}, ok
}

// logged are the names of what leaves.
func logged(format string, claims []query.Disclosure) []LoggedElement {
	var out []LoggedElement
	for _, d := range claims {
		if e, ok := loggedElement(format, d.Path, d.Retain); ok {
			out = append(out, e)
		}
	}
	return out
}

// maxAsked bounds the elements of a question in the log.
const maxAsked = 256

// askedOf are the names of what is asked for, bounded: they are the party's.
func askedOf(c query.Credential) LoggedDocument {
	var d LoggedDocument
	if len(c.Types) > 0 {
		d.DocType = oneLine(c.Types[0], 128)
	}
	for _, cl := range c.Claims {
		path := slices.Clone(cl.Path)
		for i, step := range path {
			if name, ok := step.(string); ok {
				path[i] = oneLine(name, 128)
			}
		}
		if e, ok := loggedElement(c.Format, path, cl.Retain); ok && len(d.Elements) < maxAsked {
			d.Elements = append(d.Elements, e)
		}
	}
	return d
}

// Log lists what happened, the newest first.
func (w *Wallet) Log(ctx context.Context) ([]LogEntry, error) {
	var out []LogEntry
	err := w.deps.Storage.View(ctx, func(t Txn) (err error) {
		out, err = listJSON[LogEntry](ctx, t, kindLog)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	slices.SortFunc(out, func(a, b LogEntry) int { return cmp.Compare(b.ID, a.ID) })
	return out, nil
}

// DeleteLog forgets entries by id, or all if none is named.
func (w *Wallet) DeleteLog(ctx context.Context, ids ...string) error {
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		gone := ids
		if len(gone) == 0 {
			items, err := t.List(ctx, kindLog, "")
			if err != nil {
				return err
			}
			for _, item := range items {
				gone = append(gone, item.ID)
			}
		}
		for _, id := range gone {
			if err := t.Delete(ctx, kindLog, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete from the log: %w", err)
	}
	return nil
}

// newEntry begins an entry. Its id sorts by time, and in the order of the calls
// where the clock stands still.
func (w *Wallet) newEntry(e Event) LogEntry {
	now := w.now().UTC()
	for {
		last := w.lastEntry.Load()
		next := max(now.UnixMicro(), last+1)
		if w.lastEntry.CompareAndSwap(last, next) {
			return LogEntry{ID: fmt.Sprintf("%016x-%s", next, rand.Text()[:8]), At: now, Event: e}
		}
	}
}

// record stores an entry in a transaction of its own.
func (w *Wallet) record(ctx context.Context, e LogEntry) error {
	// What happened is recorded also when the person has stopped waiting.
	err := w.deps.Storage.Tx(context.WithoutCancel(ctx), func(t Txn) error { return putJSON(ctx, t, kindLog, e.ID, e) })
	if err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}
