package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/wallet"
)

// isRequest reports whether a link is a website's request and not an offer.
func isRequest(link string) bool {
	u, err := url.Parse(link)
	return err == nil && u.Query().Has("client_id") && !isOffer(link)
}

func isOffer(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Query().Has("credential_offer") || u.Query().Has("credential_offer_uri"))
}

func (a *App) serveShow(w http.ResponseWriter, _ *http.Request) error {
	a.render(w, "/show", "Show a document", "show.html", pasted{})
	return nil
}

// serveWebsite begins to answer a website's request.
func (a *App) serveWebsite(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	link := strings.TrimSpace(form.Get("link"))
	if !isRequest(link) {
		t := &trouble{Says: "This is no link of a website's request.", Advice: "Copy the whole link from the website's page."}
		if isOffer(link) {
			t.Says, t.Advice, t.Link, t.LinkText = "This link is an offer of documents.", "", "/add", "Add a document"
		}
		a.renderStatus(w, http.StatusBadRequest, "/show", "Show a document", "show.html", pasted{link, t})
		return nil
	}
	return a.answer(w, r, link)
}

// answer begins a flow that answers a website.
func (a *App) answer(w http.ResponseWriter, r *http.Request, link string) error {
	f, err := a.open(r, sharing)
	if err != nil {
		return err
	}
	a.start(f, func(ctx context.Context) {
		entry, redirect, err := a.wallet.Answer(ctx, link)
		a.change(f, func() {
			f.settle()
			f.state, f.err = ended, err
			if entry.ID != "" {
				f.entries = []wallet.LogEntry{entry}
			}
			if isPage(redirect) {
				f.redirect = redirect
			}
		})
	})
	return goTo(w, r, f)
}

// serveNearby begins to wait for a reader.
func (a *App) serveNearby(w http.ResponseWriter, r *http.Request) error {
	f, err := a.open(r, meeting)
	if err != nil {
		return err
	}
	a.start(f, func(ctx context.Context) {
		entries, err := a.meet(ctx, f)
		a.change(f, func() {
			f.settle()
			f.state, f.entries, f.err = ended, entries, err
		})
	})
	return goTo(w, r, f)
}

// meet shows the code, and answers the one question of the reader that comes.
func (a *App) meet(ctx context.Context, f *flow) ([]wallet.LogEntry, error) {
	ln, err := a.deps.Listen(ctx)
	if err != nil {
		return nil, err
	}
	return a.wallet.Present(ctx, wallet.PresentOptions{Listener: ln, Once: true, Show: func(_ context.Context, code string) error {
		a.change(f, func() { f.state, f.code = showing, code })
		return nil
	}})
}

// waitPage is a flow in which the holder has nothing to do here.
type waitPage struct {
	ID      string
	Version int
	Says    string
	Away    string // host of the authority's page, if the holder is wanted there
	Left    bool
	Code    picture
	Text    string // of the code
}

func (a *App) showWaiting(w http.ResponseWriter, f flow) {
	page := waitPage{ID: f.id, Version: f.version}
	title := "One moment"
	switch {
	case f.state == away:
		u, err := url.Parse(f.page)
		if err == nil {
			page.Away = u.Host
		}
		title, page.Left = "Identify with the issuer", f.left
	case f.kind == adding:
		title, page.Says = "Getting your documents", stepSays(f.step)
	case f.kind == sharing && f.question == nil:
		page.Says = "Finding out who asks, and for what."
	default:
		page.Says = "Your answer is on its way."
	}
	a.render(w, navOf(f.kind), title, "wait.html", page)
}

func stepSays(s wallet.Step) string {
	switch s {
	case wallet.StepKeys:
		return "Making a key for each copy, and having the provider vouch for them."
	case wallet.StepRequest:
		return "Receiving the signed copies."
	case wallet.StepVerify:
		return "Checking what was received."
	case wallet.StepStore:
		return "Putting it away."
	case wallet.StepAuthorise:
	}
	return "Talking to the issuer."
}

func navOf(k kind) string {
	if k == adding {
		return "/add"
	}
	return "/show"
}

func (a *App) showCode(w http.ResponseWriter, f flow) error {
	code, err := qrPicture(f.code)
	if err != nil {
		return err
	}
	a.render(w, "/show", "Show this to the reader", "code.html", waitPage{ID: f.id, Version: f.version, Code: code, Text: f.code})
	return nil
}

// endPage is what came of a flow.
type endPage struct {
	Kind      kind
	Good      string // what went well, empty if it did not
	Problem   *trouble
	Documents []card
	Entries   []entryView
	Redirect  string
	Host      string // of Redirect
}

func (a *App) showEnd(ctx context.Context, w http.ResponseWriter, f flow) {
	page := endPage{Kind: f.kind, Problem: troubleOf(f.kind, f.err), Entries: a.viewEntries(f.entries), Redirect: f.redirect}
	if f.redirect != "" {
		page.Host = hostIn(f.redirect)
	}
	for _, d := range f.documents {
		_, elements, err := a.wallet.Show(ctx, d.ID)
		if err == nil { // else it was deleted meanwhile
			page.Documents = append(page.Documents, a.viewCard(d, elements))
		}
	}
	title := "It did not work"
	if page.Problem != nil && f.kind == sharing {
		page.Problem.blame(f.entries)
	}
	switch {
	case page.Problem != nil && page.Problem.Calm:
		title = "Nothing happened"
	case page.Problem != nil:
	case f.kind == adding:
		title, page.Good = "Added", "The document is in your wallet."
		if n := len(f.documents); n != 1 {
			page.Good = "The documents are in your wallet."
		}
	case len(f.entries) == 0:
		title, page.Problem = "Nothing happened", &trouble{Says: "The reader left without a question.", Calm: true}
	default:
		title, page.Good, page.Problem = shared(f.entries)
	}
	if page.Problem != nil && page.Problem.Calm && len(f.entries) > 0 && title == "Nothing happened" {
		title = "Not shared"
	}
	a.render(w, navOf(f.kind), title, "end.html", page)
}

// shared says what came of the questions of a session that ended in order.
func shared(entries []wallet.LogEntry) (title, good string, t *trouble) {
	last := entries[len(entries)-1]
	for _, e := range entries {
		if e.Outcome == wallet.OutcomeDone {
			return "Shared", "Your answer has arrived.", nil
		}
	}
	switch last.Outcome {
	case wallet.OutcomeRefused:
		if strings.Contains(last.Reason, wallet.ErrUntrusted.Error()) { // it was not the holder
			return "Not shared", "", troubleOf(meeting, errors.Join(wallet.ErrRefused, wallet.ErrUntrusted))
		}
		return "Not shared", "", troubleOf(meeting, wallet.ErrRefused)
	case wallet.OutcomeNothing:
		return "Nothing to show", "", troubleOf(meeting, wallet.ErrNothing)
	}
	return "It did not work", "", &trouble{Says: "This did not work.", Detail: last.Reason}
}
