package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/verifier/core"
)

// Past is a transaction as the relying party's operator sees it: how it went, and
// no attribute.
type Past struct {
	ID      string    `json:"id" doc:"its number, no secret"`
	State   State     `json:"state" enum:"waiting|fetched|done|refused|expired"`
	Verdict string    `json:"verdict,omitempty" enum:"valid|invalid|incomplete|empty" doc:"of an answer"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	Title   string    `json:"title,omitempty" doc:"of the question: that of a preset, or else the types of document that were asked for"`
	// The rest is there of one transaction that was answered.
	Asked     string         `json:"asked,omitempty" doc:"names of the elements that were asked for"`
	Wanted    []Wanted       `json:"wanted,omitempty" doc:"the same in words, by document"`
	Documents []PastDocument `json:"documents,omitempty"`
	Report    *check.Report  `json:"report,omitempty" doc:"about the answer as a whole"`
	Kept      time.Time      `json:"kept,omitzero" doc:"until when the answer itself is kept, where that was asked for"`
}

// PastDocument is how one document of an answer was judged.
type PastDocument struct {
	DocType string       `json:"doctype"`
	Name    string       `json:"name"`
	Verdict string       `json:"verdict" enum:"valid|invalid"`
	Issuer  string       `json:"issuer,omitempty"`
	Report  check.Report `json:"report"`
}

// pastReport is what is sealed of a Past: reports say no more of a person than
// that there was one, and are nobody else's business all the same.
type pastReport struct {
	Asked     string         `json:"asked,omitempty"`
	Wanted    []Wanted       `json:"wanted,omitempty"`
	Documents []PastDocument `json:"documents,omitempty"`
	Report    *check.Report  `json:"report,omitempty"`
	Kept      time.Time      `json:"kept,omitzero"`
}

// pastOf is what stays of a transaction that ends.
func (t *tenant) pastOf(ctx context.Context, r row, asked *request, result *core.Result, now time.Time) (past, error) {
	p := past{id: r.id, state: r.state, created: r.created, ended: now, label: r.label}
	q, err := asked.asked()
	if err != nil {
		return p, err
	}
	report := pastReport{Asked: elementNames(q), Wanted: t.wants(q)}
	if r.retain > 0 {
		report.Kept = r.forget
	}
	if result != nil {
		p.verdict, report.Report = string(result.Verdict), &result.Report
		for _, d := range result.Documents {
			report.Documents = append(report.Documents, PastDocument{d.DocType, d.Name, string(d.Verdict), d.Issuer.Name, d.Report})
		}
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return p, err
	}
	p.report, err = sealing.seal("report", r.id, report)
	return p, err
}

// past is what needs no key to be read.
func (p past) past() Past {
	return Past{ID: p.id, State: p.state, Verdict: p.verdict, Created: p.created, Ended: p.ended, Title: p.label}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Position is a place in a list by date; the zero Position is before all.
type Position struct {
	Created time.Time
	ID      string
}

// History lists the transactions behind a place, open ones too, the newest first,
// without their reports. Error: ErrUnknownTenant.
func (v *Verifier) History(ctx context.Context, tenant string, after Position, limit int) ([]Past, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if !isName(after.ID) {
		return nil, fmt.Errorf("%w: a place in the list that is none", ErrInvalid)
	}
	if after.Created.IsZero() {
		after.Created = v.now().Add(time.Hour) // clocks of other processes may be ahead
	}
	var rows []past
	err = v.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = readPast(ctx, tx, t.config.ID, after, limit, v.now())
		return err
	})
	list := make([]Past, len(rows))
	for i, p := range rows {
		list[i] = p.past()
	}
	return list, err
}

// Past returns a transaction by its number, with its report. Errors:
// ErrUnknownTenant, ErrUnknownTransaction.
func (v *Verifier) Past(ctx context.Context, tenant, number string) (Past, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Past{}, err
	}
	var p past
	err = v.db.View(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		p, err = readOnePast(ctx, tx, t.config.ID, number, v.now())
		return err
	})
	if err != nil {
		return Past{}, err
	}
	out := p.past()
	if len(p.report) == 0 {
		return out, nil
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return out, err
	}
	var r pastReport
	err = sealing.open("report", p.id, p.report, &r)
	out.Asked, out.Wanted, out.Documents, out.Report, out.Kept = r.Asked, r.Wanted, r.Documents, r.Report, r.Kept
	return out, err
}

// Evidence is what is kept of a transaction where that was asked for at its
// start: enough to judge the answer again.
type Evidence struct {
	Request       string       `json:"request" doc:"as it was last served: a request object (JWT), the link that held it, or the JSON of what a page asked its browser with"`
	Received      []Field      `json:"received" doc:"form that the wallet posted, or protocol and data that a page handed on"`
	Presentations []Presented  `json:"presentations" doc:"what was in it, decrypted"`
	Transcript    []byte       `json:"transcript,omitempty" doc:"SessionTranscript that mdocs are bound to, CBOR"`
	Result        *core.Result `json:"result,omitempty" doc:"as it was judged then"`
}

// Field is a field of a form.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Presented are the presentations for one credential of the query.
type Presented struct {
	Credential    string   `json:"credential"`
	Presentations []string `json:"presentations"`
}

// sealEvidence encrypts what is kept; it is empty if nothing is.
func (t *tenant) sealEvidence(ctx context.Context, r row, e Evidence) ([]byte, error) {
	if r.retain == 0 {
		return []byte{}, nil
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return nil, err
	}
	return sealing.seal("evidence", r.id, e)
}

// received is what is kept once the wallet has answered: what it was given, and
// what came.
func (t *tenant) received(ctx context.Context, r row, e Evidence) ([]byte, error) {
	if r.retain > 0 && len(r.evidence) > 0 {
		sealing, err := t.sealer(ctx)
		if err != nil {
			return nil, err
		}
		var served Evidence
		if err := sealing.open("evidence", r.id, r.evidence, &served); err != nil {
			return nil, err
		}
		e.Request = served.Request
	}
	e.Received, e.Presentations = append([]Field{}, e.Received...), append([]Presented{}, e.Presentations...)
	return t.sealEvidence(ctx, r, e)
}

// Evidence returns what is kept of a transaction, by its number; that it was read
// goes into the books. Errors: ErrUnknownTenant, ErrUnknownTransaction,
// ErrNothingKept.
func (v *Verifier) Evidence(ctx context.Context, tenant, number string) (Evidence, error) {
	var e Evidence
	t, err := v.tenant(tenant)
	if err != nil {
		return e, err
	}
	r, err := t.row(ctx, byID, number)
	if err != nil {
		return e, err
	}
	if r.retain == 0 || len(r.result) == 0 {
		return e, ErrNothingKept
	}
	sealing, err := t.sealer(ctx)
	if err != nil {
		return e, err
	}
	if err := sealing.open("evidence", r.id, r.evidence, &e); err != nil {
		return e, err
	}
	return e, v.audit.Write(ctx, v.now(), audit.Event{Tenant: t.config.ID, What: "kept answer read", Object: r.id})
}

// Delete deletes a transaction and everything that is known of it, by its number;
// one that is not there is no error. Error: ErrUnknownTenant.
func (v *Verifier) Delete(ctx context.Context, tenant, number string) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if !isName(number) {
		return nil
	}
	err = v.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := errors.Join(deleteRow(ctx, tx, t.config.ID, number), deletePast(ctx, tx, t.config.ID, number))
		if err != nil {
			return err
		}
		return v.audit.Append(ctx, tx, v.now(), audit.Event{Tenant: t.config.ID, What: "presentation deleted", Object: number})
	})
	if err == nil {
		v.hub.tell(watched{t.config.ID, number}, Change{State: Expired})
	}
	return err
}
