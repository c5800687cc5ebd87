package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/migration"
)

// Reported says that a verifier was reported.
//
// EUDI TS8, RPT_DPA_05.
type Reported struct {
	At time.Time `json:"at"`
	To string    `json:"to"` // of the authority: e-mail address, URL or telephone number
}

// maxReports bounds how many are remembered of one entry.
const maxReports = 16

// Report is what the holder hands over to a data protection authority about a
// request: a letter, and the facts for machines.
//
// EUDI TS8, 3.3 and RPT_DPA_04 to _09; Regulation (EU) 2024/2982, Article 7.
type Report struct {
	// Authorities are where to send it: those that supervise the verifier, as
	// its registration says, else the one that the app was set up with.
	Authorities []string `json:"authorities"`
	Letter
	Facts Facts `json:"facts"` // to be attached
}

// Facts are what the app knows about a request that is reported, without any
// value of an attribute.
type Facts struct {
	// Complaint is in the holder's own words.
	Complaint   string                `json:"complaint,omitempty"`
	Transaction migration.Transaction `json:"transaction"` // EUDI TS10, 3.1
	Standing    string                `json:"verifierStanding"`
	VouchedBy   string                `json:"vouchedForBy,omitempty"`
	Fingerprint string                `json:"certificateSHA256,omitempty"`
	Certificate []byte                `json:"certificate,omitempty"` // DER in base64
	ResponseURI string                `json:"responseURI,omitempty"`
	Retained    []migration.ClaimInfo `json:"listOfClaimsToBeRetained,omitempty"`
}

// maxComplaint bounds the holder's words, in characters.
const maxComplaint = 4000

// ErrLong: the complaint is too long; the rest can go into the letter.
var ErrLong = errors.New("the complaint is too long")

// Report makes the report about the verifier of an entry of the log, and notes
// there that it was made. complaint may be empty. Errors: ErrNotFound, also for
// entries that are not about a verifier;
// ErrLong.
func (w *Wallet) Report(ctx context.Context, entry, complaint string) (Report, error) {
	e, err := w.Entry(ctx, entry)
	if err == nil && e.Event != EventSharing {
		err = fmt.Errorf("entry of a request: %w", ErrNotFound)
	}
	if err != nil {
		return Report{}, err
	}
	if n := len([]rune(complaint)); n > maxComplaint {
		return Report{}, fmt.Errorf("%w: %d characters, at most %d", ErrLong, n, maxComplaint)
	}
	r := w.report(e, complaint)
	err = w.amend(ctx, e.ID, func(e *LogEntry) {
		note := Reported{At: w.now().UTC(), To: first(r.Authorities)}
		if len(e.Reports) < maxReports {
			e.Reports = append(e.Reports, note)
		}
	})
	return r, err
}

func (w *Wallet) report(e LogEntry, complaint string) Report {
	r := Report{Authorities: []string{w.cfg.Authority}}
	if c := e.Party.Contact; c != nil && len(c.Authorities) > 0 {
		r.Authorities = slices.Clone(c.Authorities)
	}
	e.Deletion, e.Reports = nil, nil // they are transactions of their own
	r.Facts = Facts{
		Complaint: complaint, Transaction: transactionOf(e), Standing: string(e.Party.Standing), VouchedBy: e.Party.VouchedBy,
		Fingerprint: e.Party.Fingerprint, Certificate: e.Party.Certificate, ResponseURI: e.ResponseURI, Retained: claims(e, func(el LoggedElement) bool { return el.Retain }),
	}
	r.Facts.Transaction.Eidos = nil
	who := e.Party.Name
	if who == "" {
		who = e.Party.ID
	}
	if who == "" {
		who = "a verifier that did not say who it is"
	}
	r.Subject = "Reporting an allegedly unlawful or suspicious request received from " + who
	var b strings.Builder
	b.WriteString("Dear Sir or Madam,\n\n")
	fmt.Fprintf(&b, "on %s my identity wallet received a request from %s that seems suspicious and possibly unlawful to me. "+
		"Please look at it and take the steps that you find right. The facts are attached for machines too (JSON, EUDI TS10).\n\n", e.At.UTC().Format("2 January 2006 at 15:04 UTC"), who)
	if complaint != "" {
		fmt.Fprintf(&b, "What I complain about:\n%s\n\n", complaint)
	}
	if asked := (LogEntry{Documents: e.Requested}); e.Shared() && len(e.Requested) > 0 {
		b.WriteString("It asked for:\n")
		w.listElements(&b, asked)
	}
	if e.Shared() {
		b.WriteString("It was shown:\n")
	} else {
		b.WriteString("It asked for, and got nothing of:\n")
	}
	w.listElements(&b, e)
	if len(e.Purposes) > 0 {
		fmt.Fprintf(&b, "The purpose that it gave: %s\n", strings.Join(e.Purposes, "; "))
	} else {
		b.WriteString("It gave no purpose.\n")
	}
	fmt.Fprintf(&b, "How well it is known: %s.\n\n", standingSays(e.Party))
	writeReference(&b, e)
	b.WriteString("\nYours faithfully\n")
	r.Body = b.String()
	return r
}
