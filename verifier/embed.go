package verifier

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

// What web pages of other origins find here: the script of the button, the state
// of a transaction for whoever knows its number, and, for the origins that the
// tenant names, requests for the browser and, where anybody may begin, a way to
// begin by themselves.

// anyOrigin lets scripts of all pages read an answer that says nothing about
// anybody. Fetch Standard, 3.2.
func anyOrigin(w http.ResponseWriter) { w.Header().Set("Access-Control-Allow-Origin", "*") }

// pageOrigin is the origin of the page that asks, if it is one of the tenant's
// own, whose scripts may then read the answer, or ours.
func (t *tenant) pageOrigin(w http.ResponseWriter, r *http.Request) (origin string, ok bool) {
	w.Header().Add("Vary", "Origin")
	origin = r.Header.Get("Origin")
	switch {
	case slices.Contains(t.config.Origins, origin):
		w.Header().Set("Access-Control-Allow-Origin", origin)
		return origin, true
	case origin == t.v.config.URL, origin == "" && r.Header.Get("Sec-Fetch-Site") == "same-origin": // browsers leave it out of GET then
		return t.v.config.URL, true
	}
	return "", false
}

var errOrigin = &web.Error{Status: http.StatusForbidden, Code: "origin_not_allowed", Message: "Pages of this origin may not do this: the relying party names its own in origins."}

// serveWatch says where a transaction stands, by its number.
func (t *tenant) serveWatch(w http.ResponseWriter, r *http.Request) error {
	anyOrigin(w)
	c, err := t.v.Change(r.Context(), t.config.ID, r.PathValue("number"))
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, c)
	return nil
}

// serveEvents is serveWatch as server-sent events, for so many pages of one
// address.
func (t *tenant) serveEvents(w http.ResponseWriter, r *http.Request) error {
	anyOrigin(w)
	leave, err := t.v.guard.Stay(r, "Too many pages at your address wait for answers.")
	if err != nil {
		return err
	}
	defer leave()
	return t.v.ServeChanges(w, r, t.config.ID, r.PathValue("number"))
}

// servePreflight answers the question of a browser whether a page may send JSON.
// Fetch Standard, 4.8.
func (t *tenant) servePreflight(w http.ResponseWriter, r *http.Request) error {
	if _, ok := t.pageOrigin(w, r); ok {
		h := w.Header()
		h.Set("Access-Control-Allow-Methods", "POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "7200")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxBegin is what a page sends to begin.
const maxBegin = 4 << 10

// begun is the answer to a page that begins by itself: with the id and the
// address of the result, since nobody else asked.
type begun struct {
	Button
	ID     string `json:"id"`
	Result string `json:"result"`
}

// serveDirect starts a transaction for a page of the tenant's own, with one of
// its questions.
func (t *tenant) serveDirect(w http.ResponseWriter, r *http.Request) error {
	if _, ok := t.pageOrigin(w, r); !ok {
		return errOrigin
	}
	if !t.config.Page {
		return errNoPage
	}
	var in struct {
		Ask string `json:"ask"`
	}
	if err := web.ReadJSON(w, r, maxBegin, &in); err != nil {
		return err
	}
	preset, ok := t.preset(in.Ask)
	if !ok {
		return web.Errorf(http.StatusBadRequest, "This is not one of the questions of the relying party.")
	}
	if err := t.v.guard.Admit(r, t.config.ID, 1); err != nil {
		return err
	}
	tr, err := t.v.Begin(r.Context(), t.config.ID, AskParams{Ask: preset.Name})
	if err != nil {
		return err
	}
	button, err := tr.Button()
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusCreated, begun{button, tr.ID, t.base + "/result/" + url.PathEscape(tr.ID)})
	return nil
}

// verifyScript is the script of the button.
var verifyScript = sync.OnceValues(func() (*web.File, error) {
	script, err := pageFiles.ReadFile("pages/eidos-verify.js")
	return web.NewFile("text/javascript; charset=utf-8", script), err
})

func (t *tenant) serveVerifyScript(w http.ResponseWriter, r *http.Request) error {
	script, err := verifyScript()
	if err != nil {
		return err
	}
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin") // it is made for other sites' pages
	script.Serve(w, r, time.Hour)
	return nil
}
