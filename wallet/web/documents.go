package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"encoding/base64"
	"encoding/json"

	"github.com/eidos-id/eidos/format/sdjwt"
	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/statuslist"
	"github.com/eidos-id/eidos/wallet"
)

// picture is an image as part of the page, so that it is stored nowhere.
type picture = template.URL

// pictureOf is the picture of image bytes, empty for formats that browsers do
// not show (JPEG 2000).
func pictureOf(data []byte) picture {
	if !bytes.HasPrefix(data, []byte{0xff, 0xd8, 0xff}) {
		return ""
	}
	return picture("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(data))
}

func lines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

// card is a document among others.
type card struct {
	wallet.Document
	Portrait picture
	Holder   string // name in the document
	Status   statusView
	Left     string // of the copies
	Form     string // the format, where a document of the same name comes in two
}

// statusView is whether a document can be used, in a word and a sentence.
type statusView struct{ Class, Word, Says string }

func (a *App) viewStatus(d wallet.Document) statusView {
	now := a.deps.Now()
	switch {
	case d.Status == statuslist.Invalid:
		return statusView{"bad", "revoked", "The issuer has revoked it, for good. Nobody accepts it any more; you can delete it."}
	case now.After(d.ValidUntil):
		return statusView{"bad", "expired", "Its time is over. Get a new one from the issuer."}
	case d.Status == statuslist.Suspended:
		return statusView{"warn", "suspended", "The issuer has suspended it. It may become valid again."}
	case now.Before(d.ValidFrom):
		return statusView{"warn", "not yet valid", "It becomes valid later."}
	case d.Status == statuslist.Other:
		return statusView{"warn", "unclear", "The issuer says something about it that this app does not understand."}
	case d.Status == statuslist.Valid:
		return statusView{"good", "valid", "The issuer said so when it was last asked."}
	}
	return statusView{"good", "valid", "So it says itself; the issuer was not asked since."}
}

func (a *App) viewCard(d wallet.Document, elements []wallet.Element) card {
	c := card{Document: d, Status: a.viewStatus(d), Left: d.CopiesLeft()}
	var given, family string
	for _, e := range elements {
		switch a.elementID(d, e) {
		case "portrait":
			if c.Portrait == "" {
				c.Portrait = pictureOf(e.Image)
			}
		case "given_name", "given_name_unicode":
			given = e.Text
		case "family_name", "family_name_unicode":
			family = e.Text
		}
	}
	c.Holder = strings.TrimSpace(given + " " + family)
	return c
}

// elementID is what an element is called in an mdoc of the same type.
func (a *App) elementID(d wallet.Document, e wallet.Element) string {
	if t, known := a.types.ByVCT(d.DocType); known && d.Format == query.FormatSDJWT {
		var p sdjwt.Path
		if json.Unmarshal([]byte(e.ID), &p) == nil {
			for _, same := range t.ClaimElements(p) {
				return same.ID
			}
		}
	}
	return e.ID
}

// copiesUse says how the copies are used, and what others could find out.
// ETSI TS 119 472-3, 4.2.4.2; EUDI ARF, Annex II, ISSU_46.
func (a *App) copiesUse(d wallet.Document) string {
	const compare = "Those who saw the same copy could find out that it is you: its issuer wants it so, and replaces "
	use := fmt.Sprintf("%d of %d were never shown.", d.Unused, d.Copies)
	switch d.Reuse.Method() {
	case oid4vci.ReuseLimited:
		return "The same copy is shown to all who ask. " + compare + "it before long."
	case oid4vci.ReuseRotating:
		return fmt.Sprintf("%d are shown in turn, and again when all were. ", d.Copies) + compare + "them before long."
	case oid4vci.ReusePerParty:
		use += " Whoever is vouched for gets a copy of its own and sees it again the next time; anybody else gets one that was never shown."
	}
	switch {
	case d.Unused == 0:
		use += " Whoever sees a copy again could find out that it is you: get new ones from the issuer."
	case d.Due(a.deps.Now()):
		use += " New ones are due and come when the app reaches the issuer: connect this machine to the internet."
	}
	return use
}

// serveDocuments is the front page: what is held.
func (a *App) serveDocuments(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.wallet.Status(r.Context()); errors.Is(err, wallet.ErrNotInstalled) {
		if docs, err := a.wallet.Documents(r.Context()); err == nil && len(docs) == 0 {
			http.Redirect(w, r, "/app", http.StatusSeeOther)
			return nil
		}
	}
	docs, err := a.wallet.Documents(r.Context())
	if err != nil {
		return err
	}
	cards := make([]card, len(docs))
	twice := inTwoFormats(slices.Values(docs))
	for i, d := range docs {
		_, elements, err := a.wallet.Show(r.Context(), d.ID)
		if err != nil {
			return err
		}
		cards[i] = a.viewCard(d, elements)
		if twice[d.Name] {
			cards[i].Form = formatName(d.Format)
		}
	}
	a.render(w, "/", "Your documents", "documents.html", cards)
	return nil
}

// documentPage is one document with what is in it.
type documentPage struct {
	card
	Use     string // of the copies
	Rows    []row
	Problem string // why the status could not be found out
}

type row struct {
	Label   string
	Lines   []string
	Picture picture
}

func (a *App) serveDocument(w http.ResponseWriter, r *http.Request) error {
	return a.showDocument(w, r, http.StatusOK, "")
}

func (a *App) showDocument(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	d, elements, err := a.wallet.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return public(err)
	}
	page := documentPage{card: a.viewCard(d, elements), Use: a.copiesUse(d), Problem: problem}
	for _, e := range elements {
		p := pictureOf(e.Image)
		if p != "" && e.ID == "portrait" {
			continue // it stands above
		}
		page.Rows = append(page.Rows, row{Label: e.Label, Lines: lines(e.Text), Picture: p})
	}
	a.renderStatus(w, status, "/", d.Name, "document.html", page)
	return nil
}

// public gives errors of the app a status and words.
func public(err error) error {
	if errors.Is(err, wallet.ErrNotFound) {
		return &site.Error{Status: http.StatusNotFound, Message: "There is no such document, or it was deleted.", Err: err}
	}
	return err
}

func (a *App) serveCheck(w http.ResponseWriter, r *http.Request) error {
	d, err := a.wallet.CheckStatus(r.Context(), r.PathValue("id"))
	if errors.Is(err, wallet.ErrNotFound) {
		return public(err)
	}
	if err != nil {
		return a.showDocument(w, r, http.StatusBadGateway, err.Error())
	}
	http.Redirect(w, r, "/documents/"+d.ID, http.StatusSeeOther)
	return nil
}

func (a *App) serveDelete(w http.ResponseWriter, r *http.Request) error {
	if err := a.wallet.Delete(r.Context(), r.PathValue("id")); err != nil {
		return public(err)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// installationPage says who vouches for the app.
type installationPage struct {
	Instance  *wallet.Instance // nil if not installed
	LevelSays string
	Suggested string // provider
	Problem   *trouble
}

func (a *App) serveInstallation(w http.ResponseWriter, r *http.Request) error {
	return a.showInstallation(r.Context(), w, http.StatusOK, a.cfg.Provider, nil)
}

func (a *App) showInstallation(ctx context.Context, w http.ResponseWriter, status int, provider string, problem *trouble) error {
	page := installationPage{Suggested: provider, Problem: problem}
	title := "Install the app"
	in, err := a.wallet.Status(ctx)
	switch {
	case err == nil:
		page.Instance, page.LevelSays, title = &in, levelSays(in.Level), "This app"
	case !errors.Is(err, wallet.ErrNotInstalled):
		return err
	}
	a.renderStatus(w, status, "/app", title, "app.html", page)
	return nil
}

func levelSays(l attestation.Level) string {
	switch l {
	case attestation.LevelLow:
		return "The provider trusts this installation on first use: it has no proof of the machine that the keys are in."
	case attestation.LevelSubstantial:
		return "The provider has proof of the app and of the machine that the keys are in."
	case attestation.LevelHigh:
		return "The provider has proof of certified hardware that the keys are in."
	}
	return ""
}

func (a *App) serveInstall(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	provider := strings.TrimSpace(form.Get("provider"))
	if _, err := a.wallet.Install(r.Context(), provider); err != nil {
		return a.showInstallation(r.Context(), w, http.StatusBadGateway, provider, troubleOf(installing, err))
	}
	http.Redirect(w, r, "/app", http.StatusSeeOther)
	return nil
}

func (a *App) serveUninstall(w http.ResponseWriter, r *http.Request) error {
	if err := a.wallet.Uninstall(r.Context()); err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	http.Redirect(w, r, "/app", http.StatusSeeOther)
	return nil
}

// entryView is a line of the history.
type entryView struct {
	wallet.LogEntry
	Party     partyView
	Title     string
	Class     string
	Word      string
	When      time.Time
	Documents []loggedView
}

type loggedView struct {
	Name     string
	Elements string
	Kept     string // those that the other side means to keep
	Copies   int
	Reused   bool
}

func (a *App) viewEntry(e wallet.LogEntry) entryView {
	v := entryView{LogEntry: e, Party: viewParty(e.Party), When: e.At, Title: "Shared with"}
	switch e.Event {
	case wallet.EventIssuance:
		v.Title = "Document from"
	case wallet.EventDeletion:
		v.Title = "Deleted, issued by"
	case wallet.EventSharing:
		if e.Outcome != wallet.OutcomeDone && e.Outcome != wallet.OutcomeOpen {
			v.Title = "Asked by"
		}
	}
	switch e.Outcome {
	case wallet.OutcomeDone:
		v.Class, v.Word = "good", "done"
	case wallet.OutcomeRefused:
		v.Class, v.Word = "quiet", "you refused"
	case wallet.OutcomeNothing:
		v.Class, v.Word = "quiet", "nothing to show"
	case wallet.OutcomeFailed:
		v.Class, v.Word = "bad", "failed"
	case wallet.OutcomeOpen:
		v.Class, v.Word = "warn", "end not known"
	}
	for _, d := range e.Documents {
		l := loggedView{Name: a.types.TypeName("en", d.DocType), Copies: d.Copies, Reused: d.Reused}
		var labels, kept []string
		for _, el := range d.Elements {
			label := el.Label(a.types, "en", d.DocType)
			labels = append(labels, label)
			if el.Retain {
				kept = append(kept, label)
			}
		}
		l.Elements, l.Kept = strings.Join(labels, ", "), strings.Join(kept, ", ")
		v.Documents = append(v.Documents, l)
	}
	return v
}

func (a *App) viewEntries(list []wallet.LogEntry) []entryView {
	out := make([]entryView, len(list))
	for i, e := range list {
		out[i] = a.viewEntry(e)
	}
	return out
}

func (a *App) serveHistory(w http.ResponseWriter, r *http.Request) error {
	list, err := a.wallet.Log(r.Context())
	if err != nil {
		return err
	}
	a.render(w, "/history", "History", "history.html", a.viewEntries(list))
	return nil
}

// serveForget forgets one entry of the history, or all of it.
func (a *App) serveForget(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	switch id := form.Get("id"); {
	case id != "":
		err = a.wallet.DeleteLog(r.Context(), id)
	case form.Get("all") == "yes":
		err = a.wallet.DeleteLog(r.Context())
	default:
		return site.Errorf(http.StatusBadRequest, "It does not say what to forget.")
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/history", http.StatusSeeOther)
	return nil
}
