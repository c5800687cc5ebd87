package web

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/eidos-id/eidos/format/trustlist"
	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/wallet"
)

// entryPage is a line of the history with what the holder can do about it.
type entryPage struct {
	Entry    entryView
	Asked    string // what was asked for and not shared
	Shared   bool
	Sharing  bool // it is about a verifier
	Deletion *wallet.DeletionRequest
	Ways     []wayView
	Reports  []wallet.Reported
	Problem  string // why a request to delete did not arrive
}

// wayView is an address to turn to.
type wayView struct {
	How, Text string
	Link      template.URL // checked by the app: https, http, mailto and tel only
}

// waysTo are the addresses of a website, an e-mail and a telephone, in the
// order of EUDI TS7, 3.3.
func waysTo(page, email, phone string, l wallet.Letter) []wayView {
	var out []wayView
	if page != "" {
		out = append(out, wayView{"Their page", page, template.URL(page)})
	}
	if email != "" {
		out = append(out, wayView{"E-mail", email, template.URL(l.Mailto(email))})
	}
	if phone != "" {
		out = append(out, wayView{"Telephone", phone, template.URL("tel:" + phone)})
	}
	return out
}

func (a *App) serveEntry(w http.ResponseWriter, r *http.Request) error {
	return a.showEntry(w, r, http.StatusOK, "")
}

func (a *App) showEntry(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	e, err := a.wallet.Entry(r.Context(), r.PathValue("id"))
	if err != nil {
		return publicEntry(err)
	}
	page := entryPage{Entry: a.viewEntry(e), Sharing: e.Event == wallet.EventSharing, Shared: e.Shared(), Reports: e.Reports, Problem: problem}
	page.Asked = a.notShared(e)
	if e.Deletion != nil {
		d, err := a.wallet.Deletion(r.Context(), e.ID)
		if err != nil {
			return publicEntry(err)
		}
		page.Deletion, page.Ways = &d, waysTo(d.Website, d.Email, d.Phone, d.Letter)
	}
	a.renderStatus(w, status, "/history", page.Entry.Title+" "+page.Entry.Party.Title, "entry.html", page)
	return nil
}

// notShared names what was asked for and left out.
func (a *App) notShared(e wallet.LogEntry) string {
	given := make(map[string]bool)
	for _, d := range e.Documents {
		for _, el := range d.Elements {
			given[d.DocType+" "+a.label(d, el)] = true
		}
	}
	var out []string
	for _, d := range e.Requested {
		for _, el := range d.Elements {
			if label := a.label(d, el); !given[d.DocType+" "+label] {
				out = append(out, label)
			}
		}
	}
	return strings.Join(out, ", ")
}

func (a *App) label(d wallet.LoggedDocument, el wallet.LoggedElement) string {
	return el.Label(a.types, "en", d.DocType)
}

// publicEntry gives errors about an entry a status and words.
func publicEntry(err error) error {
	switch {
	case errors.Is(err, wallet.ErrNotFound):
		return &site.Error{Status: http.StatusNotFound, Message: "There is no such entry, or it was forgotten.", Err: err}
	case errors.Is(err, wallet.ErrNothingShared):
		return &site.Error{Status: http.StatusConflict, Message: "Nothing was shared there, so there is nothing to delete.", Err: err}
	}
	return err
}

// serveAskDeletion asks the verifier of an entry to delete.
func (a *App) serveAskDeletion(w http.ResponseWriter, r *http.Request) error {
	d, err := a.wallet.RequestDeletion(r.Context(), r.PathValue("id"))
	if err != nil && d.ID == "" {
		return publicEntry(err)
	}
	if err != nil {
		return a.showEntry(w, r, http.StatusBadGateway, err.Error())
	}
	http.Redirect(w, r, "/history/"+r.PathValue("id"), http.StatusSeeOther)
	return nil
}

// reportPage is a report, ready to be handed over.
type reportPage struct {
	wallet.Report
	Entry string
	To    []wayView
	Facts template.URL // as a file
}

// serveReport makes a report.
func (a *App) serveReport(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	report, err := a.wallet.Report(r.Context(), r.PathValue("id"), strings.ReplaceAll(strings.TrimSpace(form.Get("complaint")), "\r\n", "\n"))
	if errors.Is(err, wallet.ErrLong) {
		return &site.Error{Status: http.StatusBadRequest, Message: "That is too long: put the rest into the letter.", Err: err}
	}
	if err != nil {
		return publicEntry(err)
	}
	facts, err := json.MarshalIndent(report.Facts, "", "  ")
	if err != nil {
		return err
	}
	page := reportPage{Report: report, Entry: r.PathValue("id"), Facts: template.URL("data:application/json;base64," + base64.StdEncoding.EncodeToString(facts))}
	for _, to := range report.Authorities {
		switch {
		case strings.Contains(to, "://"):
			page.To = append(page.To, waysTo(to, "", "", report.Letter)...)
		case strings.Contains(to, "@"):
			page.To = append(page.To, waysTo("", to, "", report.Letter)...)
		default:
			page.To = append(page.To, waysTo("", "", to, report.Letter)...)
		}
	}
	a.render(w, "/history", "Your report", "report.html", page)
	return nil
}

// trustedView is somebody whose key is remembered.
type trustedView struct {
	wallet.Pinned
	What string
}

// serveTrusted lists whom the holder went on with at first use.
func (a *App) serveTrusted(w http.ResponseWriter, r *http.Request) error {
	list, err := a.wallet.Pinned(r.Context())
	if err != nil {
		return err
	}
	var page []trustedView
	for _, p := range list {
		v := trustedView{p, "verifier"}
		switch p.Purpose {
		case trustlist.Issuer:
			v.What = "issuer"
		case trustlist.TrustList:
			v.What = "trust service"
		}
		page = append(page, v)
	}
	a.render(w, "/app", "Trusted on first use", "trusted.html", page)
	return nil
}

func (a *App) serveUnpin(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	if err := a.wallet.Unpin(r.Context(), form.Get("id")); errors.Is(err, wallet.ErrNotFound) {
		return &site.Error{Status: http.StatusNotFound, Message: "Nobody is remembered under this number any more.", Err: err}
	} else if err != nil {
		return err
	}
	http.Redirect(w, r, "/trusted", http.StatusSeeOther)
	return nil
}
