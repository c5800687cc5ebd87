package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	site "github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/wallet"
)

// maxLink is more than any link has that can be answered.
const maxLink = 32 << 10

// arrival is what somebody else's page or a link brought the browser with.
type arrival struct {
	Action string // where the form posts it to
	Link   string
	From   string // host, as the link says
}

// serveArrival takes a browser in that another site sends here. Nothing is
// looked at or fetched before the holder says so, on this page: it shows nothing
// of the holder's, and its form is the first request that has the cookie.
//
// OpenID4VCI 1.0, 4.1; OpenID4VP 1.0, 5; RFC 6749, 4.1.2.
func (a *App) serveArrival(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.RawQuery
	if len(query) > maxLink {
		return site.Errorf(http.StatusRequestURITooLong, "This link is too long.")
	}
	switch r.URL.Path {
	case "/offer":
		a.render(w, "/add", "An offer of documents", "arrival.html", arrival{Action: "/add", Link: "openid-credential-offer://?" + query, From: offerHost(r.URL.Query())})
	case "/request":
		a.render(w, "/show", "A website asks for a document", "arrival.html",
			arrival{Action: "/show/website", Link: "openid4vp://?" + query, From: hostIn(r.URL.Query().Get("request_uri"))})
	default:
		a.render(w, "/add", "Back from the issuer", "return.html", query)
	}
	return nil
}

// offerHost is the host of whoever makes an offer, as the link says.
func offerHost(q url.Values) string {
	if uri := q.Get("credential_offer_uri"); uri != "" {
		return hostIn(uri)
	}
	var offer struct {
		Issuer string `json:"credential_issuer"`
	}
	if json.Unmarshal([]byte(q.Get("credential_offer")), &offer) != nil {
		return ""
	}
	return hostIn(offer.Issuer)
}

// hostIn is the host of a URL, if it looks like one: it is somebody else's text.
func hostIn(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || len(u.Host) > 120 || strings.Trim(strings.ToLower(u.Host), "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") != "" {
		return ""
	}
	return u.Host
}

// pasted is a page with a field for a link.
type pasted struct {
	Link    string
	Problem *trouble
}

func (a *App) serveAdd(w http.ResponseWriter, _ *http.Request) error {
	a.render(w, "/add", "Add a document", "add.html", pasted{})
	return nil
}

// serveOffer reads an offer and begins a flow for it.
func (a *App) serveOffer(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	link := strings.TrimSpace(form.Get("link"))
	if isRequest(link) {
		return a.answer(w, r, link)
	}
	offer, err := a.wallet.ReadOffer(r.Context(), link)
	if err != nil {
		a.renderStatus(w, http.StatusBadRequest, "/add", "Add a document", "add.html", pasted{link, &trouble{
			Says: "This offer cannot be read.", Advice: "Is it the whole link? It may also have been used already, or its time is over: ask the issuer for a new one.", Detail: err.Error(),
		}})
		return nil
	}
	f, err := a.open(r, adding)
	if err != nil {
		return err
	}
	a.change(f, func() { f.offer = offer })
	return goTo(w, r, f)
}

// offerPage is an offer that the holder looks at.
type offerPage struct {
	ID      string
	Offer   *wallet.Offer
	Host    string
	Several bool
	Numeric bool
	PIN     string // what it is, as the issuer describes it
	Problem *trouble
}

func (a *App) showOffer(w http.ResponseWriter, f flow) {
	page := offerPage{ID: f.id, Offer: f.offer, Host: hostIn(f.offer.Offer.Issuer), Several: len(f.offer.Documents) > 1, Problem: troubleOf(adding, f.err)}
	if c := f.offer.TxCode; c != nil {
		page.Numeric = c.InputMode != "text"
		page.PIN = printable(c.Description)
	}
	a.render(w, "/add", "An offer for you", "offer.html", page)
}

// printable shortens a text of somebody else's for a page.
func printable(s string) string {
	if r := []rune(strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")); len(r) > 200 {
		return string(r[:200]) + "…"
	} else {
		return string(r)
	}
}

// serveAccept takes an offer up.
func (a *App) serveAccept(w http.ResponseWriter, r *http.Request) error {
	f, now, err := a.flow(r)
	if err != nil {
		return err
	}
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	if now.offer == nil {
		return site.Errorf(http.StatusConflict, "There is nothing to accept here.")
	}
	opts := wallet.AcceptOptions{
		TxCode:   strings.TrimSpace(form.Get("pin")),
		Browser:  func(ctx context.Context, page string) (string, error) { return a.sendAway(ctx, f, page) },
		Progress: func(s wallet.Step) { a.change(f, func() { f.step = s }) },
	}
	if len(now.offer.Documents) > 1 {
		for i, d := range now.offer.Documents {
			if form.Get(fmt.Sprintf("document-%d", i)) != "" {
				opts.Configurations = append(opts.Configurations, d.Configuration)
			}
		}
		if len(opts.Configurations) == 0 {
			return site.Errorf(http.StatusBadRequest, "Choose at least one document, or cancel.")
		}
	}
	a.start(f, func(ctx context.Context) { // begun already: the page shows where it stands
		docs, err := a.wallet.Accept(ctx, now.offer, opts)
		a.change(f, func() {
			f.settle()
			f.state, f.documents, f.err = ended, docs, err
			if errors.Is(err, wallet.ErrTxCode) && !errors.Is(err, wallet.ErrOfferUsed) {
				f.state = reviewing // another try
			}
		})
	})
	return goTo(w, r, f)
}

// sendAway has the holder go to the authority's page, and waits for the URI
// that the browser comes back with.
func (a *App) sendAway(ctx context.Context, f *flow, page string) (string, error) {
	if !isPage(page) {
		return "", errors.New("the issuer's page has an address that this app does not open")
	}
	back := make(chan string, 1)
	a.change(f, func() { f.state, f.page, f.back = away, page, back })
	defer a.change(f, func() { f.back, f.left = nil, false })
	select {
	case uri := <-back:
		return uri, nil
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the browser: %w", ctx.Err())
	}
}

// isPage reports whether the browser may be sent to a URL: https, or plain
// http on this machine.
func isPage(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && site.IsLoopbackName(u.Hostname()))
}

// serveAuthority sends the browser to the authority's page.
func (a *App) serveAuthority(w http.ResponseWriter, r *http.Request) error {
	f, _, err := a.flow(r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.state != away || f.back == nil {
		return goTo(w, r, f)
	}
	for _, other := range a.flows { // who comes back belongs to who left last
		if other.session == f.session {
			other.left = false
		}
	}
	f.left = true
	http.Redirect(w, r, f.page, http.StatusSeeOther)
	return nil
}

// serveReturn takes what the browser came back with from the authority's page
// to the flow that sent it there. Whether it is an answer to that is for the
// app to find out.
func (a *App) serveReturn(w http.ResponseWriter, r *http.Request) error {
	form, err := site.Form(w, r)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.flows {
		if f.session != sessionOf(r) || !f.left || f.back == nil {
			continue
		}
		f.back <- a.cfg.URL + CallbackPath + "?" + form.Get("query") // has room: back is nil from here on
		a.note(f, func() { f.back, f.left, f.state = nil, false, working })
		return goTo(w, r, f)
	}
	return site.Errorf(http.StatusConflict, "Nobody waits for this any more. Open the offer again.")
}
