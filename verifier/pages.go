package verifier

import (
	"context"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/format/sdjwt"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/qrcode"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/protocol/query"
	"github.com/eidos-id/eidos/verifier/core"
)

// preset finds one of the tenant's questions.
func (t *tenant) preset(name string) (core.Preset, bool) {
	for _, p := range t.allPresets() {
		if p.Name == name {
			return p, true
		}
	}
	return core.Preset{}, false
}

// allPresets are the tenant's own and those built in that they do not replace.
func (t *tenant) allPresets() []core.Preset {
	list := append([]core.Preset{}, t.presets...)
	taken := map[string]bool{}
	for _, p := range list {
		taken[p.Name] = true
	}
	for _, p := range core.Presets() {
		if !taken[p.Name] {
			list = append(list, p)
		}
	}
	return list
}

// choice is one question on the start page.
type choice struct {
	Name, Title, Purpose string
	Wants                []Wanted
	First                bool
}

// Wanted is what is asked of one document, in words.
type Wanted struct {
	Document string `json:"document" doc:"type of document"`
	Elements string `json:"elements" doc:"labels of its elements"`
}

// serveStart is the page on which a person begins.
func (t *tenant) serveStart(w http.ResponseWriter, r *http.Request) error {
	if !t.config.Page {
		return errNoPage
	}
	var choices []choice
	for i, p := range t.allPresets() {
		ask, err := t.ask(p.Name, "")
		if err != nil {
			return err
		}
		choices = append(choices, choice{Name: p.Name, Title: p.Title, Purpose: p.Purpose, Wants: t.wants(ask.Query), First: i == 0})
	}
	return t.render(w, "Prove your identity", "start.html", choices)
}

// wants says in words what a query asks.
func (t *tenant) wants(q query.Query) []Wanted {
	var list []Wanted
	for _, c := range q.Credentials {
		docType := strings.Join(c.Types, " or ")
		var labels []string
		for _, cl := range c.Claims {
			if c.Format == query.FormatSDJWT {
				labels = append(labels, t.v.types.ClaimLabel("en", docType, sdjwt.Path(cl.Path)))
				continue
			}
			ns, _ := cl.Path[0].(string)
			id, _ := cl.Path[1].(string)
			labels = append(labels, t.v.types.Label("en", docType, ns, id))
		}
		w := Wanted{t.v.types.TypeName("en", docType), strings.Join(labels, ", ")}
		if !slices.Contains(list, w) { // in another format it is the same to people
			list = append(list, w)
		}
	}
	return list
}

// waiting is the page of an open transaction.
type waiting struct {
	State      State
	Title      string
	Purpose    string
	Expires    time.Time
	Wants      []Wanted
	Choice     bool
	Link       template.URL
	Pages      string       // the same for a wallet that has pages; optional
	QR         template.URL // data: of the picture; empty if only this device may answer
	Watch      string
	Script     string
	SameDevice bool
}

// serveTransaction shows where a transaction stands: link and code while it is
// open, then what came of it.
func (t *tenant) serveTransaction(w http.ResponseWriter, r *http.Request) error {
	web.NoStore(w)
	o, err := t.outcome(r.Context(), r.PathValue("id"), r.URL.Query().Get("response_code"))
	if errors.Is(err, ErrResponseCode) {
		return t.render(w, "Answered", "done.html", nil)
	}
	if err != nil {
		return err
	}
	if o.State.open() {
		return t.renderWaiting(r.Context(), w, &o.Outcome, o.asked)
	}
	if err := o.read(o.result); err != nil {
		return err
	}
	return t.renderResult(w, &o.Outcome)
}

func (t *tenant) renderWaiting(ctx context.Context, w http.ResponseWriter, o *Outcome, req *request) error {
	asked, err := req.asked()
	if err != nil {
		return err
	}
	link, err := t.link(ctx, req)
	if err != nil {
		return err
	}
	page := waiting{
		State: o.State, Title: req.Title, Purpose: req.Purpose, Expires: o.Expires, Wants: t.wants(asked),
		Link:  template.URL(link), // ours: the scheme is not one that templates know
		Watch: t.base + "/watch/" + once.Hash(o.ID), Script: t.base + "/wait.js", SameDevice: req.SameDevice,
	}
	if _, params, ok := strings.Cut(req.reference(), "?"); ok && t.v.config.WalletLink != "" {
		page.Pages = t.v.config.WalletLink + "?" + params
	}
	for _, s := range asked.Sets {
		page.Choice = page.Choice || len(s.Options) > 1
	}
	if !req.SameDevice {
		code, err := qrcode.Screen(req.reference())
		if err != nil {
			return err
		}
		page.QR = template.URL(code.DataURL(qrcode.SVG))
	}
	return t.render(w, "Show a document from your wallet", "wait.html", page)
}

// Picture is the portrait of a document as part of a page, so that it is stored
// nowhere; empty if browsers cannot show it.
func Picture(d core.Document) template.URL {
	if d.PortraitType != "image/jpeg" {
		return ""
	}
	return template.URL("data:" + d.PortraitType + ";base64," + base64.StdEncoding.EncodeToString(d.Portrait))
}

// shown is the page of a finished transaction.
type shown struct {
	Outcome
	Documents []shownDocument
	Forget    string
	Again     string
	Checks    []check.Check
}

type shownDocument struct {
	core.Document
	Picture template.URL
	Checks  []check.Check
	Rows    []shownElement // without the portrait, which is a picture
}

type shownElement struct {
	core.Element
	Lines []string // of its text
}

func (t *tenant) renderResult(w http.ResponseWriter, o *Outcome) error {
	page := shown{Outcome: *o, Forget: t.base + "/t/" + o.ID + "/forget"}
	if t.config.Page {
		page.Again = t.base + "/"
	}
	title := "No answer"
	switch {
	case o.State == Refused:
		title = "Not shared"
	case o.Result != nil:
		title = titleOf(o.Result.Verdict)
		page.Checks = o.Result.Report.Checks
		for _, d := range o.Result.Documents {
			page.Documents = append(page.Documents, show(d))
		}
	}
	return t.render(w, title, "result.html", page)
}

func show(d core.Document) shownDocument {
	s := shownDocument{Document: d, Checks: d.Report.Checks}
	s.Picture = Picture(d)
	for _, e := range d.Elements {
		if s.Picture == "" || e.ID != "portrait" {
			s.Rows = append(s.Rows, shownElement{e, strings.Split(e.Text, "\n")})
		}
	}
	return s
}

func titleOf(v core.Verdict) string {
	switch v {
	case core.Valid:
		return "Verified"
	case core.Incomplete:
		return "Verified in part"
	case core.Empty:
		return "Nothing shared"
	}
	return "Not accepted"
}

// serveDone is where the holder's browser comes back to. The browser that
// began sees the result; any other is told to go back to that one.
//
// OpenID4VP 1.0, 8.2 and 13.3.
func (t *tenant) serveDone(w http.ResponseWriter, r *http.Request) error {
	web.NoStore(w)
	code := r.URL.Query().Get("response_code")
	row, err := t.row(r.Context(), byCode, once.Hash(code))
	if err != nil {
		return err
	}
	if c, err := r.Cookie("transaction"); err == nil && once.Hash(c.Value) == row.id {
		http.Redirect(w, r, t.base+"/t/"+url.PathEscape(c.Value)+"?response_code="+url.QueryEscape(code), http.StatusSeeOther)
		return nil
	}
	return t.render(w, "Answered", "done.html", nil)
}

// Presets are the questions with a name: the tenant's own and those built in.
// Error: ErrUnknownTenant.
func (v *Verifier) Presets(tenant string) ([]core.Preset, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return t.allPresets(), nil
}
