package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/check"
	"github.com/eidos-id/eidos/internal/audit"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/verifier"
	"github.com/eidos-id/eidos/verifier/core"
)

//go:embed pages
var pageFiles embed.FS

const (
	kindSession     = "verifier console session"
	sessionCookie   = "console"
	sessionLifetime = 8 * time.Hour
	consolePath     = "/console/"
)

// console is the pages of the relying party's operator. Who logs in presents an
// access token, and may do here what the token may; the session ends with it.
type console struct {
	verifier *verifier.Verifier
	db       *db.DB
	tokens   *rest.Tokens
	api      *rest.API
	https    bool
	now      func() time.Time
	pages    *web.Pages
}

func newConsole(v *verifier.Verifier, deps rest.Deps, api *rest.API) *console {
	return &console{
		verifier: v, db: deps.DB, tokens: deps.Tokens, api: api, https: deps.HTTPS, now: deps.Now,
		pages: web.MustPages("eidos verifier", nil, pageFiles, "pages/*.html"),
	}
}

// visit is a page that somebody who is logged in asks for.
type visit struct {
	w      http.ResponseWriter
	r      *http.Request
	token  rest.Token
	tenant string
	base   string // address of the tenant's pages
}

func (c *console) register(mux *http.ServeMux) {
	own := http.NewCrossOriginProtection() // forms are posted by our own pages only
	plain := func(pattern string, f web.ErrFunc) { mux.Handle(pattern, own.Handler(f)) }
	page := func(pattern string, scope rest.Scope, f func(c *console, v visit) error) {
		plain(pattern, func(w http.ResponseWriter, r *http.Request) error { return c.open(w, r, scope, f) })
	}
	plain("GET /console/{$}", c.serveHome)
	plain("POST /console/{$}", c.serveLogin)
	plain("POST /console/logout", c.serveLogout)
	page("GET /console/{tenant}/{$}", Read, (*console).serveTransactions)
	page("GET /console/{tenant}/transactions/{id}", Read, (*console).serveTransaction)
	page("GET /console/{tenant}/transactions/{id}/answer", Data, (*console).serveAnswer)
	page("POST /console/{tenant}/transactions/{id}/delete", Ask, (*console).serveDelete)
	page("GET /console/{tenant}/deletions", Data, (*console).serveDeletions)
	page("POST /console/{tenant}/deletions/{id}/close", Data, (*console).serveClose)
}

// session is what is stored of one; its id is in the cookie only.
type session struct {
	Tenant string `json:"tenant"` // of the token
	Token  string `json:"token"`  // its id
}

// begin logs somebody in who presented a token.
func (c *console) begin(ctx context.Context, t rest.Token) (*http.Cookie, error) {
	id, now := rand.Text(), c.now()
	value, err := json.Marshal(session{t.Tenant, t.ID})
	if err != nil {
		return nil, err
	}
	err = c.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.Once(keyring.House).Put(ctx, kindSession, once.Hash(id), value, now.Add(sessionLifetime))
	})
	return c.cookie(id, sessionLifetime), err
}

func (c *console) cookie(id string, age time.Duration) *http.Cookie {
	return &http.Cookie{Name: sessionCookie, Value: id, Path: consolePath, HttpOnly: true, Secure: c.https, SameSite: http.SameSiteStrictMode,
		MaxAge: int(age / time.Second)}
}

// token is that of who is logged in. Error: rest.ErrToken.
func (c *console) token(r *http.Request) (rest.Token, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return rest.Token{}, rest.ErrToken
	}
	var s session
	err = c.db.ViewOne(r.Context(), func(ctx context.Context, tx *db.Tx) error {
		value, err := tx.Once(keyring.House).Get(ctx, kindSession, once.Hash(cookie.Value), c.now())
		if err != nil {
			return err
		}
		return json.Unmarshal(value, &s)
	})
	if errors.Is(err, once.ErrNotFound) || errors.Is(err, once.ErrExpired) || errors.Is(err, once.ErrClaimed) {
		err = rest.ErrToken
	}
	if err != nil {
		return rest.Token{}, err
	}
	return c.tokens.Still(r.Context(), s.Tenant, s.Token, c.now())
}

// open lets somebody in who is logged in, and may.
func (c *console) open(w http.ResponseWriter, r *http.Request, scope rest.Scope, f func(c *console, v visit) error) error {
	web.NoStore(w)
	t, err := c.token(r)
	if errors.Is(err, rest.ErrToken) {
		http.Redirect(w, r, consolePath, http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	tenant := r.PathValue("tenant")
	switch {
	case !t.Opens(tenant):
		return &web.Error{Status: http.StatusForbidden, Message: "Your access token is of another relying party.", Next: home}
	case !slices.Contains(t.Scopes, scope):
		return &web.Error{Status: http.StatusForbidden, Message: fmt.Sprintf("Your access token lacks the scope %s.", scope), Next: home}
	}
	if err := c.verifier.CheckTenant(tenant); err != nil {
		return problem(err, home)
	}
	r = r.WithContext(audit.WithActor(r.Context(), "token "+t.ID))
	v := visit{w, r, t, tenant, consolePath + tenant + "/"}
	return problem(f(c, v), web.Link{Text: "All transactions", URL: v.base})
}

// home is where who may not go on may go.
var home = web.Link{Text: "What you may see", URL: consolePath + "?all"}

// problem gives errors of the verifier a status and words, and a way on.
func problem(err error, next web.Link) error {
	e, ok := told(err)
	if own, is := errors.AsType[*web.Error](err); !ok && is {
		e, ok = *own, true
	}
	if !ok {
		return err
	}
	e.Next = next
	return &e
}

// render writes a page of a tenant.
func (c *console) render(v visit, here, title, name string, data any) error {
	nav := []web.Link{{Text: "Transactions", URL: v.base, Here: here == "transactions"}}
	if slices.Contains(v.token.Scopes, Data) {
		nav = append(nav, web.Link{Text: "Requests to delete", URL: v.base + "deletions", Here: here == "deletions"})
	}
	nav = append(nav, web.Link{Text: "Session", URL: home.URL})
	c.pages.Render(v.w, http.StatusOK, name, web.PageData{Title: title, Site: "Console of " + c.verifier.Name(v.tenant), Nav: nav, Data: data})
	return nil
}

// serveHome asks for a token, or says where the one that was presented leads.
func (c *console) serveHome(w http.ResponseWriter, r *http.Request) error {
	web.NoStore(w)
	t, err := c.token(r)
	if errors.Is(err, rest.ErrToken) {
		c.pages.Page(w, "Log in", "login.html", "")
		return nil
	}
	if err != nil {
		return err
	}
	var parties []web.Link
	for _, id := range c.verifier.Tenants() {
		if t.Opens(id) {
			parties = append(parties, web.Link{Text: c.verifier.Name(id), URL: consolePath + id + "/"})
		}
	}
	if len(parties) == 1 && !r.URL.Query().Has("all") {
		http.Redirect(w, r, parties[0].URL, http.StatusSeeOther)
		return nil
	}
	c.pages.Page(w, "Relying parties", "home.html", struct {
		Parties []web.Link
		Token   rest.Token
	}{parties, t})
	return nil
}

// serveLogin takes a token.
func (c *console) serveLogin(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(w, r)
	if err != nil {
		return err
	}
	t, err := c.api.Present(w, r, strings.TrimSpace(form.Get("token")))
	if no, ok := errors.AsType[*web.Error](err); ok && no.Status < 500 {
		web.NoStore(w)
		c.pages.Render(w, no.Status, "login.html", web.PageData{Title: "Log in", Data: no.Message})
		return nil
	}
	if err != nil {
		return err
	}
	cookie, err := c.begin(r.Context(), t)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie)
	http.Redirect(w, r, consolePath, http.StatusSeeOther)
	return nil
}

// serveLogout ends the session.
func (c *console) serveLogout(w http.ResponseWriter, r *http.Request) error {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		err := c.db.Tx(r.Context(), func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Once(keyring.House).Claim(ctx, kindSession, once.Hash(cookie.Value), c.now())
			return err
		})
		if err != nil && !errors.Is(err, once.ErrNotFound) && !errors.Is(err, once.ErrExpired) && !errors.Is(err, once.ErrClaimed) {
			return err
		}
	}
	http.SetCookie(w, c.cookie("", -time.Second))
	http.Redirect(w, r, consolePath, http.StatusSeeOther)
	return nil
}

const consolePage = 50 // transactions of a page

func (c *console) serveTransactions(v visit) error {
	after, err := parseCursor(v.r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	list, err := c.verifier.History(v.r.Context(), v.tenant, after, consolePage+1)
	if err != nil {
		return err
	}
	data := struct {
		Base, Next   string
		Tenant       string
		Later        bool // not the first page
		Transactions []verifier.Past
	}{v.base, "", v.tenant, !after.Created.IsZero(), list}
	if len(list) > consolePage {
		data.Transactions, data.Next = list[:consolePage], cursor(list[consolePage-1])
	}
	return c.render(v, "transactions", "Transactions", "transactions.html", data)
}

func (c *console) serveTransaction(v visit) error {
	p, err := c.verifier.Past(v.r.Context(), v.tenant, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	type document struct {
		verifier.PastDocument
		Checks []check.Check
	}
	data := struct {
		verifier.Past
		Base      string
		Elements  []string
		Documents []document
		Checks    []check.Check
		MayRead   bool
		MayDelete bool
	}{Past: p, Base: v.base, Elements: strings.Fields(p.Asked), MayRead: slices.Contains(v.token.Scopes, Data) && !p.Kept.IsZero(), MayDelete: slices.Contains(v.token.Scopes, Ask)}
	for _, d := range p.Documents {
		data.Documents = append(data.Documents, document{d, d.Report.Checks})
	}
	if p.Report != nil {
		data.Checks = p.Report.Checks
	}
	return c.render(v, "", cmp.Or(p.Title, "Transaction"), "transaction.html", data)
}

// serveAnswer shows an answer that is kept; the books say that it was read.
func (c *console) serveAnswer(v visit) error {
	e, err := c.verifier.Evidence(v.r.Context(), v.tenant, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	type row struct {
		Label string
		Lines []string
	}
	type document struct {
		core.Document
		Picture template.URL
		Rows    []row // without the portrait, which is a picture
	}
	data := struct {
		Base, ID  string
		Documents []document
		Agreed    []core.Agreed
	}{Base: v.base, ID: v.r.PathValue("id")}
	if e.Result != nil {
		data.Agreed = e.Result.Agreed
		for _, d := range e.Result.Documents {
			shown := document{Document: d, Picture: verifier.Picture(d)}
			for _, e := range d.Elements {
				if shown.Picture == "" || e.ID != "portrait" {
					shown.Rows = append(shown.Rows, row{e.Label, strings.Split(e.Text, "\n")})
				}
			}
			data.Documents = append(data.Documents, shown)
		}
	}
	return c.render(v, "", "Kept answer", "answer.html", data)
}

func (c *console) serveDelete(v visit) error {
	if err := c.verifier.Delete(v.r.Context(), v.tenant, v.r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.base, http.StatusSeeOther)
	return nil
}

func (c *console) serveDeletions(v visit) error {
	list, err := c.verifier.Deletions(v.r.Context(), v.tenant, 500)
	if err != nil {
		return err
	}
	return c.render(v, "deletions", "Requests to delete", "deletions.html", struct {
		Base     string
		Requests []verifier.Deletion
	}{v.base, list})
}

func (c *console) serveClose(v visit) error {
	if err := c.verifier.CloseDeletion(v.r.Context(), v.tenant, v.r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.base+"deletions", http.StatusSeeOther)
	return nil
}
