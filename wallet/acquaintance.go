package wallet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/once"
)

// acquaintance is what the app remembers of a verifier that nobody vouches for.
type acquaintance struct {
	state assure.PinState // empty where there is nothing to remember: it is trusted, or proved no key
	id    string          // under which it is pinned
	old   assure.Pin      // of PinMatches its own, of PinChanged the one that it differs from
}

// keyPrefix begins the pins of verifiers that have no identifier that outlives
// their certificate: on-site, and of the prefix x509_hash. They are known by
// their key.
const keyPrefix = "key:"

// recognise looks a verifier up among those met before. It is the same if it
// has the same key; it has changed if another key stands under its identifier
// or, since people go by names, under its name, and its own was never met under
// that.
func (w *Wallet) recognise(ctx context.Context, p *Party) (acquaintance, error) {
	if p.Standing != assure.ReaderUnknown || len(p.Key) == 0 {
		return acquaintance{}, nil
	}
	sum := sha256.Sum256(p.Key)
	a := acquaintance{state: assure.PinUnknown, id: p.ID}
	if p.ID == "" || strings.HasPrefix(p.ID, "x509_hash:") {
		a.id = keyPrefix + hex.EncodeToString(sum[:])
	}
	err := w.deps.Storage.View(ctx, func(t Txn) error {
		a.state = assure.PinUnknown
		list, err := pins(ctx, t, trustlist.Reader)
		if err != nil {
			return err
		}
		var other *pinRow // of the name, with another key
		byName := false   // a pin of the key has the name
		for i := range list {
			pin := &list[i]
			named := strings.EqualFold(pin.name(), p.Name) || len(pin.Certificate)+len(p.Certificate) == 0 // an address is no name
			switch {
			case pin.Counterpart == a.id && pin.Key != sum:
				a.state, a.old = assure.PinChanged, pin.Pin
				return nil
			case pin.Key == sum:
				byName = byName || named
				if a.state != assure.PinMatches || pin.At.Before(a.old.At) {
					a.state, a.old = assure.PinMatches, pin.Pin
				}
			case other == nil && p.Name != "" && strings.EqualFold(pin.name(), p.Name):
				other = pin
			}
		}
		if other != nil && !byName {
			a.state, a.old = assure.PinChanged, other.Pin
		}
		return nil
	})
	if err != nil {
		return a, fmt.Errorf("verifiers met before: %w", err)
	}
	if a.state == assure.PinMatches {
		p.Met = a.old.At
	}
	return a, nil
}

// admit says whether a verifier may ask at all. One that shows another key
// than the one met before needs a yes of its own.
func (m *matter) admit(ctx context.Context) (acquaintance, error) {
	if m.w.cfg.RefuseUnknown && m.entry.Party.Standing != assure.ReaderTrusted {
		return acquaintance{}, fmt.Errorf("%w: %w, and the app is set to refuse such verifiers (refuseUnknown)", ErrRefused, ErrUntrusted)
	}
	a, err := m.w.recognise(ctx, &m.entry.Party)
	if err != nil || a.state != assure.PinChanged {
		return a, err
	}
	answer, err := m.w.deps.Consent.Ask(ctx, Question{
		Topic: TopicTrust, Party: m.entry.Party, Channel: m.entry.Channel, Changed: true, Warnings: []string{a.warning()},
	})
	if err != nil {
		return a, fmt.Errorf("ask the holder: %w", err)
	}
	if !answer.Allow {
		return a, fmt.Errorf("%w: it shows another key than the one met before under its name", ErrRefused)
	}
	return a, nil
}

// inform adds to a question what is known of who asks.
func (a acquaintance) inform(q Question) Question {
	if a.state == assure.PinChanged {
		q.Changed, q.Warnings = true, append([]string{a.warning()}, q.Warnings...)
	}
	return q
}

// warning says that the key is another.
func (a acquaintance) warning() string {
	return fmt.Sprintf("It shows another key than the one that you met under this name on %s. Somebody else may be using the name.", day(a.old.At))
}

// day is a date in the texts for people.
func day(t time.Time) string { return t.Local().Format("2 January 2006") }

// remember pins the key of a verifier that the holder goes on with.
func (m *matter) remember(ctx context.Context, a acquaintance) error {
	if a.state == "" || a.state == assure.PinMatches && a.old.Counterpart == a.id {
		return nil
	}
	p := m.entry.Party
	pub, err := key.Parse(p.Key)
	if err != nil {
		return fmt.Errorf("key of the verifier: %w", err)
	}
	var cert *x509.Certificate
	if len(p.Certificate) > 0 {
		if cert, err = x509.ParseCertificate(p.Certificate); err != nil {
			return fmt.Errorf("certificate of the verifier: %w", err)
		}
	}
	err = OnceTx(m.w.deps.Storage)(ctx, func(st once.Store) error {
		tofu := assure.TOFU{Store: assure.PinsIn(st)}
		if a.state == assure.PinChanged && a.old.Counterpart == a.id {
			_, err := tofu.Replace(ctx, a.old, pub, cert, "holder", m.w.now())
			return err
		}
		// Under the same name several may go on side by side, as the readers
		// of a shop do: each is asked about once.
		_, err := tofu.Accept(ctx, trustlist.Reader, a.id, pub, cert, "holder", m.w.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("remember the verifier: %w", err)
	}
	return nil
}

// Acquaintance says in a sentence whether the party was met before, where
// nobody vouches for it; empty otherwise.
func (q Question) Acquaintance() string {
	switch p := q.Party; {
	case p.Standing != assure.ReaderUnknown || len(p.Key) == 0 || q.Changed:
		return ""
	case p.Met.IsZero():
		return "You have not met it before. If you go on, its key is remembered, and a change will be noticed."
	default:
		return fmt.Sprintf("You have met it before, on %s: it has the same key.", day(p.Met))
	}
}

// Pinned is somebody whose key the holder accepted at first use.
type Pinned struct {
	ID          string            `json:"id"` // for Forget
	Purpose     trustlist.Purpose `json:"purpose"`
	Counterpart string            `json:"counterpart"` // identifier, or its key
	Name        string            `json:"name,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"` // SHA-256 of the certificate, in hex
	At          time.Time         `json:"at"`
	Changed     bool              `json:"changed,omitempty"` // it followed another key
}

// pinRow is a pin with where it is stored.
type pinRow struct {
	assure.Pin
	item string
}

func (p pinRow) name() string {
	if cert, err := x509.ParseCertificate(p.Certificate); err == nil {
		return nameIn(cert)
	}
	return ""
}

// pins reads what is pinned for a purpose; for all if it is empty.
func pins(ctx context.Context, t Txn, purpose trustlist.Purpose) ([]pinRow, error) {
	prefix := ""
	if purpose != "" {
		prefix = string(purpose) + " "
	}
	items, err := t.List(ctx, kindOnce+assure.KindPin, prefix)
	if err != nil {
		return nil, err
	}
	out := make([]pinRow, len(items))
	for i, item := range items {
		var row onceRow
		err := json.Unmarshal(item.Value, &row)
		if err == nil {
			err = json.Unmarshal(row.Value, &out[i].Pin)
		}
		if err != nil {
			return nil, fmt.Errorf("stored pin is damaged: %w", err)
		}
		out[i].item = item.ID
	}
	return out, nil
}

// Pinned lists those whose keys were accepted at first use: verifiers, issuers,
// and the trust service if its certificate was not configured. The newest comes
// first.
func (w *Wallet) Pinned(ctx context.Context) ([]Pinned, error) {
	var list []pinRow
	err := w.deps.Storage.View(ctx, func(t Txn) error {
		var err error
		list, err = pins(ctx, t, "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pins: %w", err)
	}
	out := make([]Pinned, len(list))
	for i, pin := range list {
		out[i] = Pinned{ID: pin.handle(), Purpose: pin.Purpose, Counterpart: pin.Counterpart, Name: pin.name(), At: pin.At, Changed: pin.Replaces != nil}
		if cert, err := x509.ParseCertificate(pin.Certificate); err == nil {
			out[i].Fingerprint = fingerprint(cert)
		}
	}
	slices.SortStableFunc(out, func(a, b Pinned) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	return out, nil
}

// handle names a pin in few characters, all of which are easy to type.
func (p pinRow) handle() string {
	sum := sha256.Sum256([]byte(p.item))
	return hex.EncodeToString(sum[:6])
}

// Unpin forgets somebody: the next contact is the first. Error: ErrNotFound.
func (w *Wallet) Unpin(ctx context.Context, id string) error {
	err := w.deps.Storage.Tx(ctx, func(t Txn) error {
		list, err := pins(ctx, t, "")
		if err != nil {
			return err
		}
		n := slices.IndexFunc(list, func(p pinRow) bool { return p.handle() == id })
		if n < 0 {
			return fmt.Errorf("nobody is remembered under %.40q: %w", id, ErrNotFound)
		}
		return t.Delete(ctx, kindOnce+assure.KindPin, list[n].item)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("forget a pin: %w", err)
	}
	return err
}
