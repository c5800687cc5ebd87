package web

import (
	"context"
	"embed"
	"errors"
	"net/http"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/qrcode"
	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/session"
	"github.com/eidos-id/eidos/wallet"
)

//go:embed pages
var pageFiles embed.FS

func newPages() *site.Pages { return site.MustPages("eidos wallet", nil, pageFiles, "pages/*.html") }

// render answers with a page; here is the entry of the navigation it belongs to.
func (a *App) render(w http.ResponseWriter, here, title, name string, data any) {
	a.renderStatus(w, http.StatusOK, here, title, name, data)
}

func (a *App) renderStatus(w http.ResponseWriter, status int, here, title, name string, data any) {
	nav := []site.Link{
		{Text: "Documents", URL: "/"}, {Text: "Add", URL: "/add"}, {Text: "Show", URL: "/show"},
		{Text: "History", URL: "/history"}, {Text: "App", URL: "/app"},
	}
	for i := range nav {
		nav[i].Here = nav[i].URL == here
	}
	a.pages.Render(w, status, name, site.PageData{Title: title, Nav: nav, Data: data})
}

func serveStyle(w http.ResponseWriter, _ *http.Request) error {
	return serveAsset(w, "app.css", "text/css; charset=utf-8")
}

func serveScript(w http.ResponseWriter, _ *http.Request) error {
	return serveAsset(w, "app.js", "text/javascript; charset=utf-8")
}

func serveAsset(w http.ResponseWriter, name, mediaType string) error {
	data, err := pageFiles.ReadFile("pages/" + name)
	if err != nil {
		return err
	}
	site.Reply(w, http.StatusOK, mediaType, data)
	return nil
}

// qrPicture draws a QR code, with the margin that scanners need.
func qrPicture(text string) (picture, error) {
	code, err := qrcode.Screen(text)
	if err != nil {
		return "", err
	}
	return picture(code.DataURL(qrcode.SVG)), nil
}

// trouble is an error for people: what happened, what to do, and what the
// software says.
type trouble struct {
	Says, Advice   string
	Link, LinkText string
	Detail         string
	Calm           bool // nothing is wrong
}

// blame says what to look at when an answer left and nothing came of it.
func (t *trouble) blame(entries []wallet.LogEntry) {
	for _, e := range entries {
		if e.Outcome == wallet.OutcomeFailed && len(e.Documents) > 0 && e.Documents[0].ID != "" {
			t.Says = "The website did not accept the answer, or it did not arrive."
			t.Advice = "The issuer may have withdrawn the document: ask its list."
			t.Link, t.LinkText = "/documents/"+e.Documents[0].ID, "Look at the document"
		}
	}
}

// troubleOf puts an error in words; nil for none.
func troubleOf(k kind, err error) *trouble {
	if err == nil {
		return nil
	}
	t := &trouble{Detail: err.Error()}
	switch {
	case errors.Is(err, wallet.ErrNotInstalled):
		t.Says, t.Advice, t.Link, t.LinkText = "The app is not installed yet.", "A provider has to vouch for it first.", "/app", "Install it"
	case errors.Is(err, wallet.ErrRevoked):
		t.Says, t.Advice = "The provider has revoked this app.", "Ask the provider why. Your documents are still here."
	case errors.Is(err, wallet.ErrTxCode) && errors.Is(err, wallet.ErrOfferUsed):
		t.Says, t.Advice = "There were too many wrong PINs, and the offer has ended.", "Ask the issuer for a new one."
	case errors.Is(err, wallet.ErrOfferUsed):
		t.Says, t.Advice = "The offer was used already, or its time is over.", "Ask the issuer for a new one."
	case errors.Is(err, wallet.ErrTxCode):
		t.Says, t.Advice = "The PIN is not right.", "Look at it again, and try once more. After a few wrong tries the offer ends."
	case errors.Is(err, wallet.ErrRefused) && errors.Is(err, wallet.ErrUntrusted):
		t.Says, t.Advice, t.Calm = "The app refused: nobody that it trusts vouches for whoever asked.", "So it was set up. Nothing was shared.", true
	case errors.Is(err, wallet.ErrUntrusted):
		t.Says, t.Advice, t.Calm = "You did not accept the issuer.", "Nothing was stored.", true
	case errors.Is(err, wallet.ErrNothing):
		t.Says, t.Advice, t.Link, t.LinkText = "None of your documents answers what was asked.", "Nothing was shared.", "/add", "Add a document"
	case errors.Is(err, wallet.ErrRefused) && k == adding:
		t.Says, t.Advice, t.Calm = "You said no on the issuer's page.", "Nothing was stored.", true
	case errors.Is(err, wallet.ErrRefused):
		t.Says, t.Advice, t.Calm = "You refused.", "Nothing was shared. Whoever asked learns that you declined, and nothing else.", true
	case errors.Is(err, context.Canceled):
		t.Says, t.Calm = "You stopped it.", true
	case errors.Is(err, context.DeadlineExceeded):
		t.Says, t.Advice = "Its time is over, and nobody had answered.", "Begin again when you are ready."
	case errors.Is(err, session.ErrTimeout):
		t.Says, t.Advice = "No reader came in time.", "Show a new code when the reader is ready."
	case errors.Is(err, fetch.ErrForbidden):
		t.Says, t.Advice = "The link leads to an address that this app does not call.", "Only https, or plain http to this machine."
	case k == installing:
		t.Says, t.Advice = "This did not work.", "Is the address right, and does the provider run?"
	case k == adding:
		t.Says, t.Advice = "This did not work, and nothing was stored.", "Ask the issuer for a new offer, or try again later."
	default:
		t.Says, t.Advice = "This did not work.", "Ask for a new code or link. The history says what was shared, if anything."
	}
	return t
}
