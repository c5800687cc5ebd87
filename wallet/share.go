package wallet

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
)

// holding is a document with the copy that is to be shown next.
type holding struct {
	document Document
	next     chosen
	raw      []byte
	signed   received
	claims   query.Claims
}

// matter is one question of somebody, from asking to logging, whatever the
// channel.
type matter struct {
	w     *Wallet
	held  []holding
	plan  query.Plan
	entry LogEntry
	// authorises says what the holder authorises by sharing, a line each,
	// authorisations by which types; factors are those of the answer.
	authorises     []string
	authorisations []authorisation
	factors        []Factor
	noted          []string // warnings about the registration of who asks
}

// consider matches a question with what is held. The entry of the matter
// lists what was asked.
func (w *Wallet) consider(ctx context.Context, q query.Query, channel Channel, party Party) (*matter, error) {
	m := &matter{w: w, entry: w.newEntry(EventSharing)}
	m.entry.Channel, m.entry.Party, m.entry.Purposes = channel, party, purposes(q)
	for _, c := range q.Credentials {
		m.entry.Documents = append(m.entry.Documents, askedOf(c))
	}
	old, err := m.load(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read the documents: %w", err)
	}
	list := make([]query.Held, len(m.held))
	for i, h := range m.held {
		// Bound: nothing else was taken in.
		list[i] = query.Held{ID: h.document.ID, Format: h.document.Format, Type: h.document.DocType, Bound: true, Claims: h.claims}
		if slices.ContainsFunc(q.Credentials, func(c query.Credential) bool { return len(c.Authorities) > 0 }) {
			list[i].Authorities = authorities(h.signed.chain())
		}
	}
	m.plan = query.Make(q, list)
	for i, c := range q.Credentials {
		if len(m.plan.Credentials[i]) == 0 && slices.ContainsFunc(c.Types, func(t string) bool { return slices.Contains(old, t) }) {
			m.plan.Missing[i] = "the document is not valid at this time, or was revoked"
		}
	}
	return m, nil
}

// load reads the documents of the types asked for, each with its next copy.
// It also returns the types of those that are not valid at this time, or were
// revoked as far as this app was told.
func (m *matter) load(ctx context.Context, q query.Query) (old []string, err error) {
	now := m.w.now()
	err = m.w.deps.Storage.View(ctx, func(t Txn) error {
		m.held, old = nil, nil
		list, err := documents(ctx, t)
		if err != nil {
			return err
		}
		for _, d := range list {
			if !asksFor(q, d) {
				continue
			}
			// Nobody accepts what was revoked; new copies, if there are any, come
			// with a status of their own.
			if now.Before(d.ValidFrom) || now.After(d.ValidUntil) || d.Status == statuslist.Invalid {
				old = append(old, d.DocType)
				continue
			}
			rows, err := copies(ctx, t, d.ID)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				continue
			}
			next, err := m.choose(ctx, t, d, rows, "")
			if err != nil {
				return err
			}
			d.count(rows)
			raw, err := t.Get(ctx, kindIssued, next.id)
			if err != nil {
				return err
			}
			m.held = append(m.held, holding{document: d, next: next, raw: raw})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range m.held {
		h := &m.held[i]
		if h.signed, err = read(h.document.Format, h.raw); err == nil {
			h.claims, err = h.signed.claims()
		}
		if err != nil {
			return nil, fmt.Errorf("stored document is damaged: %w", err)
		}
	}
	return old, nil
}

// asksFor reports whether a document may answer.
func asksFor(q query.Query, d Document) bool {
	return slices.ContainsFunc(q.Credentials, func(c query.Credential) bool {
		return c.Format == d.Format && (len(c.Types) == 0 || slices.Contains(c.Types, d.DocType))
	})
}

// authorities are the key identifiers in a chain. OpenID4VP 1.0, 6.1.1.1.
func authorities(chain [][]byte) []query.Authority {
	var out []query.Authority
	for _, der := range chain {
		if cert, err := x509.ParseCertificate(der); err == nil && len(cert.AuthorityKeyId) > 0 {
			out = append(out, query.Authority{Type: "aki", Value: base64.RawURLEncoding.EncodeToString(cert.AuthorityKeyId)})
		}
	}
	return out
}

// ask has the holder decide. The errors are ErrNothing, ErrRefused, or that
// nobody could be asked or the answer was none to this question.
func (m *matter) ask(ctx context.Context) (query.Selection, error) {
	if !m.plan.Satisfied || !slices.ContainsFunc(m.plan.Credentials, func(c []query.Candidate) bool { return len(c) > 0 }) {
		for _, why := range m.plan.Missing {
			if why != "" {
				return nil, fmt.Errorf("%w: %s", ErrNothing, oneLine(why, 200))
			}
		}
		return nil, ErrNothing
	}
	known, err := m.admit(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := m.w.deps.Consent.Ask(ctx, known.inform(m.question()))
	if err != nil {
		return nil, fmt.Errorf("ask the holder: %w", err)
	}
	if !answer.Allow || len(answer.Selection) == 0 {
		return nil, ErrRefused
	}
	selection, err := m.agreed(answer.Selection)
	if err != nil {
		return nil, err
	}
	if m.factors, err = checkFactors(answer.Factors); err != nil {
		return nil, err
	}
	return selection, m.remember(ctx, known)
}

// agreed is the holder's selection in the plan's own words: nothing in it was
// not asked for, whatever the Consent answered.
func (m *matter) agreed(s query.Selection) (query.Selection, error) {
	out, err := m.plan.Check(s)
	if errors.Is(err, query.ErrIncomplete) {
		return nil, ErrRefused
	}
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	return out, nil
}

// taken is a copy that is about to be shown, and what of it.
type taken struct {
	credential int // index into the query's
	signed     received
	key        string
	claims     []query.Disclosure
}

// take picks a copy for each document of the selection and marks it as used,
// before anything of it leaves: after a crash it counts as shown. In the same
// transaction the log gets its entry, open for now.
func (m *matter) take(ctx context.Context, s query.Selection) ([]taken, error) {
	var picked []chosen
	entry := m.entry
	err := m.w.deps.Storage.Tx(ctx, func(t Txn) error {
		picked, entry = nil, m.entry
		entry.Outcome, entry.Requested, entry.Documents = OutcomeOpen, m.entry.Documents, nil
		for _, c := range s {
			h := m.held[c.Held]
			rows, err := copies(ctx, t, h.document.ID)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				return fmt.Errorf("document: %w: it was deleted meanwhile", ErrNotFound)
			}
			next, err := m.choose(ctx, t, h.document, rows, h.next.id)
			if err != nil {
				return err
			}
			picked = append(picked, next)
			entry.Documents = append(entry.Documents, LoggedDocument{
				ID: h.document.ID, DocType: h.document.DocType, Elements: logged(h.document.Format, c.Claims), Reused: next.seen,
			})
			if err := m.use(ctx, t, h.document, next); err != nil {
				return err
			}
		}
		return putJSON(ctx, t, kindLog, entry.ID, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("take copies to show: %w", err)
	}
	m.entry = entry
	var out []taken
	for i, c := range s {
		signed, err := m.bytesOf(ctx, &m.held[c.Held], picked[i].id)
		if err != nil {
			return nil, err
		}
		out = append(out, taken{credential: c.Credential, signed: signed, key: picked[i].Key, claims: c.Claims})
	}
	return out, nil
}

// bytesOf is the copy that was picked: usually the one planned with.
func (m *matter) bytesOf(ctx context.Context, h *holding, id string) (received, error) {
	if h.next.id == id {
		return h.signed, nil
	}
	var raw []byte
	err := m.w.deps.Storage.View(ctx, func(t Txn) error {
		var err error
		raw, err = t.Get(ctx, kindIssued, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the copy to show: %w", err)
	}
	return read(h.document.Format, raw)
}

// end records what became of the matter.
func (m *matter) end(ctx context.Context, cause error) error {
	switch {
	case cause == nil:
		m.entry.Outcome = OutcomeDone
	case errors.Is(cause, ErrRefused):
		m.entry.Outcome = OutcomeRefused
	case errors.Is(cause, ErrNothing):
		m.entry.Outcome = OutcomeNothing
	default:
		m.entry.Outcome = OutcomeFailed
	}
	if cause != nil {
		m.entry.Reason = oneLine(cause.Error(), 300)
	}
	return m.w.record(ctx, m.entry)
}
