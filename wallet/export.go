package wallet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/migration"
	"github.com/eidos-id/eidos/format/sdjwt"
)

// minPassphrase is how many characters a passphrase has at least: whoever finds
// the file can try as many as the machine takes.
const minPassphrase = 12

// ErrPassphrase: the passphrase of an export is too short.
var ErrPassphrase = fmt.Errorf("the passphrase has fewer than %d characters: take four or five words", minPassphrase)

// Kinds of identifiers that no register gives: what stands in the type of a
// migration.Identifier.
const (
	identifierClient      = "urn:eidos:openid4vp:client_id"
	identifierCertificate = "urn:eidos:certificate:sha-256"
	identifierIssuer      = "urn:eidos:openid4vci:credential_issuer"
)

// Export is what the holder takes along to another app: the log, and the list
// of documents with where they came from, encrypted under a passphrase. Keys
// cannot be taken along, nor copies that are bound to them: documents are
// issued anew. There is no value of an attribute in it. Error: ErrPassphrase.
//
// EUDI TS10, 4.2 and 5.
func (w *Wallet) Export(ctx context.Context, passphrase string) (string, error) {
	if len([]rune(passphrase)) < minPassphrase {
		return "", ErrPassphrase
	}
	log, err := w.Log(ctx)
	if err != nil {
		return "", err
	}
	docs, err := w.Documents(ctx)
	if err != nil {
		return "", err
	}
	var d migration.Data
	slices.Reverse(log)
	for _, e := range log {
		d.TransactionLog = append(d.TransactionLog, transactions(e)...)
	}
	for _, doc := range docs {
		c := migration.Credential{ID: doc.DocType, Format: doc.Format, Issuer: migration.Text(doc.Issuer.label()), SupplyURL: doc.Issuer.ID}
		if doc.Issuer.ID != "" {
			c.Identifier = &migration.Identifier{Type: identifierIssuer, ID: doc.Issuer.ID}
		}
		d.ListOfCredentials = append(d.ListOfCredentials, c)
	}
	return d.Seal(passphrase)
}

// transactions are the lines that an entry becomes: its own, and those of what
// the holder did about it.
func transactions(e LogEntry) []migration.Transaction {
	out := []migration.Transaction{transactionOf(e)}
	name := migration.Text(e.Party.label())
	if e.Deletion != nil {
		out = append(out, migration.Transaction{
			ID: e.Deletion.ID, Time: migration.Time(e.Deletion.At), Type: migration.TypeDeletionRequest, Result: migration.Completed,
			DataDeletionRequest: &migration.DeletionRequest{Identifier: identifierOf(e), Name: name, Claims: claims(e, nil)},
		})
	}
	for n, r := range e.Reports {
		out = append(out, migration.Transaction{
			ID: fmt.Sprintf("%s-report-%d", e.ID, n+1), Time: migration.Time(r.At), Type: migration.TypeReport, Result: migration.Completed,
			DPAReport: &migration.Report{Name: migration.Text(r.To)},
		})
	}
	return out
}

// transactionOf is an entry as TS10 has it. EUDI TS10, 3.1.
func transactionOf(e LogEntry) migration.Transaction {
	t := migration.Transaction{ID: e.ID, Time: migration.Time(e.At), Result: migration.NotCompleted}
	if e.Outcome == OutcomeDone {
		t.Result = migration.Completed
	}
	var err error
	if t.Eidos, err = json.Marshal(e); err != nil {
		panic(fmt.Sprintf("wallet: log entry: %v", err)) // it was stored as JSON
	}
	name := migration.Text(e.Party.label())
	switch e.Event {
	case EventIssuance:
		t.Type = migration.TypeIssuance
		t.CredentialIssuance = &migration.Issuance{Identifier: identifierOf(e), Name: name, ByUser: true}
		for _, d := range e.Documents {
			t.CredentialIssuance.Credentials = append(t.CredentialIssuance.Credentials, d.DocType)
			t.CredentialIssuance.Issued += d.Copies
		}
		t.CredentialIssuance.Requested = t.CredentialIssuance.Issued
	case EventDeletion:
		t.Type = migration.TypeDeletion
		t.CredentialDeletion = &migration.Removal{Identifier: identifierOf(e), Name: name}
		for _, d := range e.Documents {
			t.CredentialDeletion.Credential = d.DocType
		}
	case EventSharing:
		t.Type = migration.TypePresentation
		p := &migration.Presentation{
			Identifier: identifierOf(e), PartyType: "ServiceProvider", Name: name, Contact: contacts(e.Party.Contact), Reason: e.Reason,
			Requested: claims(e, nil), Presented: []migration.ClaimInfo{},
		}
		if e.Shared() {
			asked := e
			asked.Documents = e.Requested
			p.Requested, p.Presented = claims(asked, nil), claims(e, nil)
		}
		for _, s := range e.Purposes {
			p.Purpose = append(p.Purpose, migration.LangString{Lang: "und", Content: s})
		}
		if e.Party.Contact != nil {
			p.DPAContact = e.Party.Contact.Authorities
		}
		t.Presentation = p
	}
	return t
}

// identifierOf is what the party of an entry is known by.
func identifierOf(e LogEntry) *migration.Identifier {
	switch p := e.Party; {
	case p.ID != "" && e.Event == EventSharing:
		return &migration.Identifier{Type: identifierClient, ID: p.ID}
	case p.ID != "":
		return &migration.Identifier{Type: identifierIssuer, ID: p.ID}
	case p.Fingerprint != "":
		return &migration.Identifier{Type: identifierCertificate, ID: p.Fingerprint}
	}
	return nil
}

func contacts(c *Contact) []string {
	if c == nil {
		return nil
	}
	return slices.Concat(c.Emails, c.Phones, c.Websites)
}

// claims are the names of what an entry is about, or of those that want them.
func claims(e LogEntry, want func(LoggedElement) bool) []migration.ClaimInfo {
	out := []migration.ClaimInfo{}
	for _, d := range e.Documents {
		c := migration.ClaimInfo{Credential: d.DocType, Claims: []migration.Claim{}}
		for _, el := range d.Elements {
			if want == nil || want(el) {
				c.Claims = append(c.Claims, el.claim())
			}
		}
		if want == nil || len(c.Claims) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// claim is the path of the element.
func (e LoggedElement) claim() migration.Claim {
	switch {
	case e.Path != nil:
		return migration.Claim(e.Path)
	case e.NameSpace == "":
		return migration.Claim{e.ID}
	}
	return migration.Claim{e.NameSpace, e.ID}
}

// Imported is what came of an import.
type Imported struct {
	Entries int `json:"entries"`         // of the log, that are new here
	Known   int `json:"known,omitempty"` // that were here already
	// Skipped are lines that this app has no place for.
	Skipped int `json:"skipped,omitempty"`
	// Documents are what the other app had, to be got again.
	Documents []Wanted `json:"documents"`
	// Unbound is how many whole documents came along, which are not taken over.
	Unbound int `json:"unbound,omitempty"`
}

// Wanted is a document that the holder had elsewhere.
type Wanted struct {
	DocType string `json:"doctype"` // or vct
	Format  string `json:"format"`
	Name    string `json:"name"`
	Issuer  string `json:"issuer"`
	URL     string `json:"url,omitempty"` // of the issuer, where a new one is to be had
	Held    bool   `json:"held"`          // one of the type and issuer is here
}

// Import takes over the log of an export, and says which documents the holder
// had. Entries that are here already stay as they are, so a file can be
// imported again. Errors: jose.ErrDecrypt if the passphrase is wrong,
// migration.ErrInvalid and others if the file is not in order; then nothing is
// taken over.
//
// EUDI TS10, 1.1.
func (w *Wallet) Import(ctx context.Context, file, passphrase string) (Imported, error) {
	d, err := migration.Open(file, passphrase)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Documents: []Wanted{}, Unbound: len(d.NonDeviceBound)}
	var entries []LogEntry
	for _, t := range d.TransactionLog {
		e, ok := entryOf(t)
		if !ok {
			if t.Type != migration.TypeDeletionRequest && t.Type != migration.TypeReport { // ours stand in their entries
				out.Skipped++
			}
			continue
		}
		e.Imported = true
		entries = append(entries, e)
	}
	err = w.deps.Storage.Tx(ctx, func(t Txn) error {
		out.Entries, out.Known = 0, 0
		for _, e := range entries {
			_, err := t.Get(ctx, kindLog, e.ID)
			if err == nil {
				out.Known++
				continue
			}
			if !errors.Is(err, ErrNotFound) {
				return err
			}
			if err := putJSON(ctx, t, kindLog, e.ID, e); err != nil {
				return err
			}
			out.Entries++
		}
		return nil
	})
	if err != nil {
		return Imported{}, fmt.Errorf("take over the log: %w", err)
	}
	held, err := w.Documents(ctx)
	if err != nil {
		return out, err
	}
	for _, c := range d.ListOfCredentials {
		want := Wanted{DocType: oneLine(c.ID, 200), Format: oneLine(c.Format, 40), Issuer: oneLine(string(c.Issuer), 120), URL: oneLine(c.SupplyURL, 500)}
		want.Name = want.DocType
		if t, ok := w.deps.Types.ByDocType(c.ID); ok {
			want.Name = t.Names.In(w.cfg.Language)
		}
		want.Held = slices.ContainsFunc(held, func(d Document) bool { return d.DocType == c.ID && d.Format == c.Format && d.Issuer.ID == c.SupplyURL })
		out.Documents = append(out.Documents, want)
	}
	return out, nil
}

// entryID is what newEntry makes.
var entryID = regexp.MustCompile(`^[0-9a-f]{16}-[A-Z2-7]{8}$`)

// entryOf is a line as an entry of the log: the one that this app wrote, or
// what another one's says.
func entryOf(t migration.Transaction) (LogEntry, bool) {
	if len(t.Eidos) > 0 {
		var e LogEntry
		if json.Unmarshal(t.Eidos, &e) != nil || !entryID.MatchString(e.ID) || e.At.IsZero() ||
			!slices.Contains([]Event{EventSharing, EventIssuance, EventDeletion}, e.Event) {
			return LogEntry{}, false
		}
		return e.clean(), true
	}
	at := time.Time(t.Time)
	sum := sha256.Sum256([]byte(t.ID))
	e := LogEntry{
		ID: fmt.Sprintf("%016x-%s", max(at.UnixMicro(), 0), hex.EncodeToString(sum[:4])), At: at, Outcome: OutcomeFailed,
		Party: Party{Standing: assure.ReaderUnknown},
	}
	if t.Result == migration.Completed {
		e.Outcome = OutcomeDone
	}
	switch {
	case t.Presentation != nil:
		p := t.Presentation
		e.Event, e.Party.Name, e.Reason = EventSharing, oneLine(string(p.Name), 120), oneLine(p.Reason, 300)
		e.Party.identify(p.Identifier)
		c := &Contact{}
		for _, s := range p.Contact {
			c.add(s)
		}
		for _, s := range p.DPAContact {
			c.addAuthority(s)
		}
		e.Party.Contact = c
		for _, s := range p.Purpose {
			if len(e.Purposes) < 16 {
				e.Purposes = append(e.Purposes, oneLine(s.Content, 200))
			}
		}
		e.Requested, e.Documents = documentsOf(p.Requested, ""), documentsOf(p.Presented, "elsewhere")
		if len(e.Documents) == 0 {
			e.Documents, e.Requested = e.Requested, nil
		}
	case t.CredentialIssuance != nil:
		e.Event, e.Party.Name = EventIssuance, oneLine(string(t.CredentialIssuance.Name), 120)
		e.Party.identify(t.CredentialIssuance.Identifier)
		for _, s := range t.CredentialIssuance.Credentials {
			e.Documents = append(e.Documents, LoggedDocument{DocType: oneLine(s, 200)})
		}
	case t.CredentialDeletion != nil:
		e.Event, e.Party.Name = EventDeletion, oneLine(string(t.CredentialDeletion.Name), 120)
		e.Party.identify(t.CredentialDeletion.Identifier)
		e.Documents = []LoggedDocument{{DocType: oneLine(t.CredentialDeletion.Credential, 200)}}
	default:
		return LogEntry{}, false
	}
	return e, true
}

func (p *Party) identify(id *migration.Identifier) {
	if id != nil {
		p.ID = oneLine(id.ID, 200)
	}
}

// documentsOf are claims as the log has them.
func documentsOf(list []migration.ClaimInfo, id string) []LoggedDocument {
	var out []LoggedDocument
	for _, c := range list {
		d := LoggedDocument{ID: id, DocType: oneLine(c.Credential, 200)}
		for _, path := range c.Claims {
			if len(d.Elements) < 256 {
				d.Elements = append(d.Elements, elementAt(path))
			}
		}
		out = append(out, d)
	}
	return out
}

// elementAt names the element at a path. Two names of which the first has dots
// are name space and identifier of an mdoc's.
func elementAt(path migration.Claim) LoggedElement {
	if len(path) == 2 {
		ns, ok1 := path[0].(string)
		id, ok2 := path[1].(string)
		if ok1 && ok2 && strings.Contains(ns, ".") {
			return LoggedElement{NameSpace: oneLine(ns, 128), ID: oneLine(id, 128)}
		}
	}
	return LoggedElement{Path: cleanPath(sdjwt.Path(path))}
}

func cleanPath(path sdjwt.Path) sdjwt.Path {
	var out sdjwt.Path
	for _, step := range path {
		if name, ok := step.(string); ok {
			step = oneLine(name, 128)
		}
		out = append(out, step)
	}
	return out
}

// clean makes an entry out of a file safe to show and to act on.
func (e LogEntry) clean() LogEntry {
	e.Party = e.Party.clean()
	if !slices.Contains([]Outcome{OutcomeDone, OutcomeRefused, OutcomeNothing, OutcomeFailed, OutcomeOpen}, e.Outcome) {
		e.Outcome = OutcomeFailed
	}
	if e.Channel != OnSite && e.Channel != Remote {
		e.Channel = ""
	}
	if a, err := addressOf(e.ResponseURI); err != nil || a.kind != website {
		e.ResponseURI = ""
	}
	e.Reason, e.Purposes, e.Receipts = oneLine(e.Reason, 300), cleanTexts(e.Purposes, 16), cleanTexts(e.Receipts, maxAsked)
	e.Documents, e.Requested = cleanDocuments(e.Documents), cleanDocuments(e.Requested)
	if d := e.Deletion; d != nil {
		e.Deletion = &Deletion{ID: oneLine(d.ID, 200), At: d.At, State: DeletionOpen, To: oneLine(d.To, 512), Number: oneLine(d.Number, 200)}
		if d.State == DeletionSent {
			e.Deletion.State = DeletionSent
		}
	}
	e.Reports = slices.Clone(e.Reports[:min(len(e.Reports), maxReports)])
	for i := range e.Reports {
		e.Reports[i].To = oneLine(e.Reports[i].To, 512)
	}
	return e
}

func cleanTexts(list []string, most int) []string {
	var out []string
	for _, s := range list[:min(len(list), most)] {
		out = append(out, oneLine(s, 200))
	}
	return out
}

func cleanDocuments(list []LoggedDocument) []LoggedDocument {
	var out []LoggedDocument
	for _, d := range list {
		clean := LoggedDocument{ID: oneLine(d.ID, 200), DocType: oneLine(d.DocType, 200), Reused: d.Reused, Copies: d.Copies}
		for _, el := range d.Elements[:min(len(d.Elements), maxAsked)] {
			el.NameSpace, el.ID, el.Path = oneLine(el.NameSpace, 128), oneLine(el.ID, 128), cleanPath(el.Path)
			clean.Elements = append(clean.Elements, el)
		}
		out = append(out, clean)
	}
	return out
}

// clean makes a party out of a file safe to show and to turn to. Standing and
// names are what the other app found out; nothing is trusted because of them.
func (p Party) clean() Party {
	p.Name, p.VouchedBy, p.ID, p.Identity = oneLine(p.Name, 120), oneLine(p.VouchedBy, 120), oneLine(p.ID, 200), ""
	p.Fingerprint = oneLine(p.Fingerprint, 64)
	if !slices.Contains([]assure.Standing{assure.ReaderTrusted, assure.ReaderUnknown, assure.ReaderAnonymous, assure.ReaderForged}, p.Standing) {
		p.Standing = assure.ReaderUnknown
	}
	if c := p.Contact; c != nil {
		p.Contact = &Contact{}
		for _, s := range contacts(c) {
			p.Contact.add(s)
		}
		for _, s := range c.Authorities {
			p.Contact.addAuthority(s)
		}
	}
	return p
}
