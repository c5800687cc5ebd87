package wallet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/protocol/rights"
)

// ErrNothingShared: nothing left the app in what the entry of the log is about.
var ErrNothingShared = errors.New("nothing was shared, so there is nothing to delete")

// DeletionState is how far a request to delete has come.
type DeletionState string

// The states. Whether anything was deleted, the app never learns.
const (
	// DeletionOpen: the holder has to turn to the verifier: see DeletionRequest.
	DeletionOpen DeletionState = "open"
	// DeletionSent: the verifier's own service took the request.
	DeletionSent DeletionState = "sent"
)

// Deletion is what an entry of the log says about a request to delete.
//
// EUDI TS7, DATA_DLT_05 and _06.
type Deletion struct {
	ID     string        `json:"id"`
	At     time.Time     `json:"at"` // when it was first made
	State  DeletionState `json:"state"`
	To     string        `json:"to,omitempty"`     // address that took it
	Number string        `json:"number,omitempty"` // that the verifier gave it
}

// DeletionRequest is a request to delete with what the holder needs to make it
// without the app: where to turn to, and a text that is ready to be sent.
//
// EUDI TS7, DATA_DLT_02, _08, _09 and 3.3.
type DeletionRequest struct {
	Deletion
	Party Party `json:"party"`
	// Website, Email and Phone are ways to reach the verifier, the best first;
	// all are empty if none is known.
	Website string `json:"website,omitempty"`
	Email   string `json:"email,omitempty"`
	Phone   string `json:"phone,omitempty"`
	Letter
}

// Letter is an e-mail to be sent by the holder.
type Letter struct {
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

// Mailto is the letter as a link to an address. RFC 6068, 2.
func (l Letter) Mailto(to string) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return "mailto:" + to + "?subject=" + escape(l.Subject) + "&body=" + escape(strings.ReplaceAll(l.Body, "\n", "\r\n"))
}

// RequestDeletion asks the verifier of an entry of the log to erase what it was
// shown. Where the address that its certificate gives takes our message, it is
// sent there; otherwise the holder goes on with what is returned. The entry
// says from then on that it was asked. Asking again sends nothing that has
// arrived before. Errors: ErrNotFound, ErrNothingShared, or that the verifier
// refused; the request is returned with the last one too.
//
// EUDI TS7, 3.3; Regulation (EU) 2016/679, Article 17.
func (w *Wallet) RequestDeletion(ctx context.Context, entry string) (DeletionRequest, error) {
	var e LogEntry
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		e = LogEntry{}
		if err := getJSON(ctx, t, kindLog, entry, &e); err != nil {
			return err
		}
		if e.Event != EventSharing || !e.Shared() {
			return ErrNothingShared
		}
		if e.Deletion != nil {
			return nil
		}
		e.Deletion = &Deletion{ID: rand.Text(), At: w.now().UTC(), State: DeletionOpen}
		return putJSON(ctx, t, kindLog, e.ID, e)
	})
	if err != nil {
		return DeletionRequest{}, fmt.Errorf("ask to delete: %w", err)
	}
	out := w.deletionRequest(e)
	if out.State == DeletionSent || e.Party.Contact == nil || len(e.Party.Contact.Websites) == 0 {
		return out, nil
	}
	to := e.Party.Contact.Websites[0]
	number, err := w.sendDeletion(ctx, e, to)
	switch {
	case errors.Is(err, rights.ErrNoEndpoint):
		return out, nil // it is a page for people
	case err != nil:
		return out, fmt.Errorf("ask %s to delete: %w", hostOf(to), err)
	}
	// It has arrived, also if the person has stopped waiting.
	out.State, out.To, out.Number = DeletionSent, to, number
	err = w.amend(context.WithoutCancel(ctx), e.ID, func(e *LogEntry) { e.Deletion = &out.Deletion })
	return out, err
}

// Deletion is what RequestDeletion returned, without asking anybody. Error:
// ErrNotFound, also if nobody was asked yet.
func (w *Wallet) Deletion(ctx context.Context, entry string) (DeletionRequest, error) {
	e, err := w.Entry(ctx, entry)
	if err == nil && e.Deletion == nil {
		err = fmt.Errorf("request to delete: %w", ErrNotFound)
	}
	if err != nil {
		return DeletionRequest{}, err
	}
	return w.deletionRequest(e), nil
}

// Entry is one line of the log. Error: ErrNotFound.
func (w *Wallet) Entry(ctx context.Context, id string) (LogEntry, error) {
	var e LogEntry
	err := w.deps.Storage.View(ctx, func(t Txn) error { return getJSON(ctx, t, kindLog, id, &e) })
	if err != nil {
		return LogEntry{}, fmt.Errorf("read the log: %w", err)
	}
	return e, nil
}

// amend changes an entry, unless it was forgotten meanwhile.
func (w *Wallet) amend(ctx context.Context, id string, change func(*LogEntry)) error {
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		var e LogEntry
		if err := getJSON(ctx, t, kindLog, id, &e); err != nil {
			return err
		}
		change(&e)
		return putJSON(ctx, t, kindLog, id, e)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// Shared reports whether something may have left the app.
func (e LogEntry) Shared() bool {
	return e.Event == EventSharing && slices.ContainsFunc(e.Documents, func(d LoggedDocument) bool { return d.ID != "" })
}

// sendDeletion sends the message and returns the number that it got.
func (w *Wallet) sendDeletion(ctx context.Context, e LogEntry, to string) (string, error) {
	m := rights.Deletion{ID: e.Deletion.ID, ResponseURI: e.ResponseURI, ClientID: e.Party.ID, Shared: e.At, Receipts: e.Receipts}
	for _, d := range e.Documents {
		for _, el := range d.Elements {
			m.Elements = append(m.Elements, oneLine(d.DocType+" "+el.full(), 250))
		}
		if len(d.Elements) == 0 {
			m.Elements = append(m.Elements, oneLine(d.DocType, 250))
		}
	}
	r, err := m.Request(to)
	if err != nil {
		return "", err
	}
	resp, err := w.deps.Fetch(ctx, r)
	if err != nil {
		return "", err
	}
	a, err := rights.ParseAcknowledgement(resp)
	return oneLine(a.ID, 200), err
}

// receipts are those of a vp_token, in the order of its members.
func receipts(p map[string][]string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(p)) {
		for _, presentation := range p[id] {
			out = append(out, rights.Receipt([]byte(presentation)))
		}
	}
	return out
}

// deletionRequest is the request of an entry for the holder.
func (w *Wallet) deletionRequest(e LogEntry) DeletionRequest {
	out := DeletionRequest{Deletion: *e.Deletion, Party: e.Party, Letter: w.deletionLetter(e)}
	if c := e.Party.Contact; c != nil {
		out.Website, out.Email, out.Phone = first(c.Websites), first(c.Emails), first(c.Phones)
	}
	if u, err := url.Parse(e.ResponseURI); out.Website+out.Email+out.Phone == "" && err == nil && u.Host != "" {
		out.Website = u.Scheme + "://" + u.Host + "/" // who got it is to be found there
	}
	return out
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// deletionLetter is the e-mail of TS7, DATA_DLT_08 and _09.
func (w *Wallet) deletionLetter(e LogEntry) Letter {
	var b strings.Builder
	b.WriteString("Dear Sir or Madam,\n\n")
	fmt.Fprintf(&b, "on %s I showed you personal data with my identity wallet", e.At.UTC().Format("2 January 2006 at 15:04 UTC"))
	if len(e.Purposes) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(e.Purposes, "; "))
	}
	b.WriteString(":\n\n")
	w.listElements(&b, e)
	b.WriteString("\nPlease erase them, and whatever you derived from them, as Article 17 of Regulation (EU) 2016/679 (General Data Protection Regulation) has it, " +
		"and tell me when that is done, or what keeps you from it.\n\n")
	writeReference(&b, e)
	b.WriteString("\nYours faithfully\n")
	return Letter{
		Subject: "Request for the erasure of personal data (Article 17 GDPR) shown with an identity wallet",
		Body:    b.String(),
	}
}

// listElements names what an entry is about, without values.
func (w *Wallet) listElements(b *strings.Builder, e LogEntry) {
	for _, d := range e.Documents {
		name := d.DocType
		if t, ok := w.deps.Types.ByDocType(d.DocType); ok {
			name = t.Names.In("en")
		}
		if len(d.Elements) == 0 {
			fmt.Fprintf(b, "- from %q: that I have it\n", name)
			continue
		}
		var labels []string
		for _, el := range d.Elements {
			label := oneLine(el.Label(w.deps.Types, "en", d.DocType), 120)
			if el.Retain {
				label += " (to be kept, you said)"
			}
			labels = append(labels, label)
		}
		fmt.Fprintf(b, "- from %q: %s\n", name, strings.Join(labels, ", "))
	}
}

// writeReference says of which transaction the entry is, in terms that the
// verifier knows it by.
func writeReference(b *strings.Builder, e LogEntry) {
	for _, line := range []struct{ what, is string }{
		{"Asked by", e.Party.Name}, {"Client identifier", e.Party.ID}, {"Certificate (SHA-256)", e.Party.Fingerprint}, {"Sent to", e.ResponseURI},
		{"Receipts (SHA-256 of what was shown)", strings.Join(e.Receipts, ", ")},
	} {
		if line.is != "" {
			fmt.Fprintf(b, "%s: %s\n", line.what, line.is)
		}
	}
}

// full is the name of the element in its document.
func (e LoggedElement) full() string {
	if e.NameSpace == "" {
		return e.Name()
	}
	return e.NameSpace + "." + e.ID
}
