package verifier

import (
	"bytes"
	"embed"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/oid4vp"
	"github.com/eidos-id/eidos/publish"
)

//go:embed pages
var pageFiles embed.FS

// maxResponse bounds what a wallet posts: a response of several documents with
// portraits, in base64 twice.
const maxResponse = 12 << 20

func (v *Verifier) routes() http.Handler {
	mux := http.NewServeMux()
	v.health.Register(mux)
	of := func(f func(t *tenant, w http.ResponseWriter, r *http.Request) error) http.Handler {
		return web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
			t := v.tenants[r.PathValue("tenant")]
			if t == nil {
				return web.Errorf(http.StatusNotFound, "There is no such relying party here.")
			}
			return t.leadOn(public(f(t, w, r)))
		})
	}
	ca := func(f func(http.ResponseWriter, *http.Request, *keyring.CA, time.Time) error) func(*tenant, http.ResponseWriter, *http.Request) error {
		return func(t *tenant, w http.ResponseWriter, r *http.Request) error { return f(w, r, t.ca, v.now()) }
	}
	mux.Handle("GET /{tenant}/request/{handle}", of((*tenant).serveRequest))
	mux.Handle("POST /{tenant}/request/{handle}", of((*tenant).serveRequest))
	mux.Handle("POST /{tenant}/response/{handle}", of((*tenant).serveResponse))
	mux.Handle("POST /{tenant}/response", of((*tenant).serveResponse))
	mux.Handle("GET /{tenant}/response/{handle}", of((*tenant).serveFragment))
	mux.Handle("GET /{tenant}/response", of((*tenant).serveFragment))
	mux.Handle("GET /{tenant}/annex-b/{handle}", of((*tenant).serveAnnexB))
	mux.Handle("POST /{tenant}/annex-b/{handle}", of((*tenant).serveAnnexB))
	mux.Handle("POST /{tenant}/mdoc/{handle}", of((*tenant).serveReader))
	mux.Handle("GET /{tenant}/result/{id}", of((*tenant).serveResult))
	mux.Handle("GET /{tenant}/reader-ca.cer", of(ca(publish.Root)))
	mux.Handle("GET /{tenant}/reader-ca.pem", of(ca(publish.Roots)))
	mux.Handle("GET /{tenant}/reader-ca.crl", of(ca(publish.CRL)))
	mux.Handle("GET /{tenant}/reader-ca.crl/{root}", of(ca(publish.CRL)))
	mux.Handle("GET /{tenant}/certificates", of(ca(publish.Certificates)))
	mux.Handle("GET /{tenant}/did.json", of((*tenant).serveDID))

	mux.Handle("GET /{tenant}/watch/{number}", of((*tenant).serveWatch))
	mux.Handle("GET /{tenant}/watch/{number}/events", of((*tenant).serveEvents))
	mux.Handle("GET /{tenant}/watch/{number}/dc", of((*tenant).serveDigital))
	mux.Handle("POST /{tenant}/watch/{number}/dc", of((*tenant).serveDigitalAnswer))
	mux.Handle("OPTIONS /{tenant}/watch/{number}/dc", of((*tenant).servePreflight))
	mux.Handle("POST /{tenant}/transactions", of((*tenant).serveDirect))
	mux.Handle("OPTIONS /{tenant}/transactions", of((*tenant).servePreflight))
	mux.Handle("GET /{tenant}/eidos-verify.js", of((*tenant).serveVerifyScript))
	mux.Handle("GET /{tenant}/deletion", of((*tenant).serveDeletionPage))
	mux.Handle("POST /{tenant}/deletion", of((*tenant).serveDeletion))

	own := http.NewCrossOriginProtection() // forms are posted by our own pages only
	mux.Handle("GET /{$}", web.ErrFunc(v.serveRoot))
	mux.Handle("GET /{tenant}/{$}", of((*tenant).serveStart))
	mux.Handle("POST /{tenant}/{$}", own.Handler(of((*tenant).serveBegin)))
	mux.Handle("GET /{tenant}/t/{id}", of((*tenant).serveTransaction))
	mux.Handle("POST /{tenant}/t/{id}/forget", own.Handler(of((*tenant).serveForget)))
	mux.Handle("GET /{tenant}/done", of((*tenant).serveDone))
	mux.Handle("GET /{tenant}/wait.js", of(script("wait.js")))
	mux.Handle("GET /{tenant}/fragment.js", of(script("fragment.js")))
	return web.Wrap(mux, web.WrapOptions{Log: v.log, Role: "verifier", HTTPS: strings.HasPrefix(v.config.URL, "https:")})
}

// leadOn lets a page of an error lead to where anybody may begin, if there is such
// a place.
func (t *tenant) leadOn(err error) error {
	e, ok := errors.AsType[*web.Error](err)
	if !ok || !t.config.Page || e.Status >= 500 {
		return err
	}
	on := *e
	on.Next = web.Link{Text: "Begin again", URL: t.base + "/"}
	return &on
}

// public gives errors of this package a status and words.
func public(err error) error {
	switch {
	case errors.Is(err, ErrUnknownTransaction):
		return &web.Error{Status: http.StatusNotFound, Code: "unknown_transaction", Message: "There is no such request, or it is over and its answer was deleted.", Err: err}
	case errors.Is(err, ErrResponseCode):
		return &web.Error{Status: http.StatusForbidden, Code: "response_code_required", Message: "The answer is shown in the browser that comes back from the wallet only.", Err: err}
	case errors.Is(err, ErrInvalid):
		return &web.Error{Status: http.StatusBadRequest, Code: "invalid_request", Message: "This cannot be asked.", Err: err}
	}
	return err
}

// serveRequest answers GET and POST to a request_uri. OpenID4VP 1.0, 5.10.
func (t *tenant) serveRequest(w http.ResponseWriter, r *http.Request) error {
	var post oid4vp.WalletPost
	if r.Method == http.MethodPost {
		form, err := web.Form(w, r)
		if err != nil {
			return err
		}
		if post, err = oid4vp.ParseWalletPost(form); err != nil {
			return refuse(w, asRefusal(err))
		}
	}
	object, err := t.requestObject(r.Context(), r.PathValue("handle"), post)
	if err != nil {
		return refuse(w, err)
	}
	web.Reply(w, http.StatusOK, oid4vp.RequestObjectMediaType, []byte(object))
	return nil
}

// serveResponse answers POST to a response_uri. OpenID4VP 1.0, 8.2.
func (t *tenant) serveResponse(w http.ResponseWriter, r *http.Request) error {
	req, err := web.ToFetch(w, r, t.v.config.URL, maxResponse)
	if err != nil {
		return err
	}
	form, err := req.Form()
	if errors.Is(err, fetch.ErrForm) {
		return refuse(w, &refusal{oid4vp.InvalidRequest, err.Error()})
	}
	if err != nil {
		return err
	}
	handle := r.PathValue("handle")
	if handle == "" && t.config.answersAtOneAddress() {
		if handle, err = oid4vp.Addressee(form); err != nil {
			return refuse(w, asRefusal(err))
		}
	}
	redirect, err := t.answer(r.Context(), handle, form)
	if err != nil {
		return refuse(w, err)
	}
	body, err := reply(redirect)
	if err != nil {
		return err
	}
	web.Reply(w, http.StatusOK, "application/json", body)
	return nil
}

// refuse answers a wallet with a code and words of the protocol.
func refuse(w http.ResponseWriter, err error) error {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	web.JSON(w, http.StatusBadRequest, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{no.code, ascii(no.text)})
	return nil
}

// ascii is text as an error_description may have it. RFC 6749, 4.1.2.1.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s)
}

// serveResult answers the relying party's own systems and pages, and our page.
func (t *tenant) serveResult(w http.ResponseWriter, r *http.Request) error {
	t.pageOrigin(w, r)
	o, err := t.outcome(r.Context(), r.PathValue("id"), r.URL.Query().Get("response_code"))
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, web.Spliced{Object: o.Outcome, Name: "result", Value: o.result})
	return nil
}

const dayCache = 24 * time.Hour

// script serves a script of our pages.
func script(name string) func(*tenant, http.ResponseWriter, *http.Request) error {
	return func(_ *tenant, w http.ResponseWriter, r *http.Request) error {
		text, err := pageFiles.ReadFile("pages/" + name)
		if err != nil {
			return err
		}
		web.NewFile("text/javascript; charset=utf-8", bytes.Clone(text)).Serve(w, r, dayCache)
		return nil
	}
}

// serveFragment is the page that a wallet sends the browser to with the answer
// behind "#": servers are not sent that, so its script posts it here.
//
// OpenID4VP 1.0, 8.1.
func (t *tenant) serveFragment(w http.ResponseWriter, r *http.Request) error {
	if !slices.Contains(t.config.Compatibility.ResponseModes, oid4vp.Fragment) {
		return web.Errorf(http.StatusNotFound, "There is no such page here.")
	}
	web.NoStore(w)
	return t.render(w, "One moment", "fragment.html", t.base+"/fragment.js")
}

// render writes a page in the tenant's name.
func (t *tenant) render(w http.ResponseWriter, title, name string, data any) error {
	t.v.pages.Render(w, http.StatusOK, name, web.PageData{Title: title, Site: t.config.Name, Data: data})
	return nil
}

func (v *Verifier) serveRoot(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/"+v.config.Tenants[0].ID+"/", http.StatusSeeOther)
	return nil
}

// cookie remembers in the browser which transaction it began.
func (t *tenant) cookie(id string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: "transaction", Value: id, Path: "/" + t.config.ID + "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: !conf.Loopback(t.base), MaxAge: max(1, int(age/time.Second)),
	}
}

var errNoPage = web.Errorf(http.StatusNotFound, "This relying party has no public page. It sends its own links.")

// serveBegin starts a transaction from a form.
func (t *tenant) serveBegin(w http.ResponseWriter, r *http.Request) error {
	if !t.config.Page {
		return errNoPage
	}
	form, err := web.Form(w, r)
	if err != nil {
		return err
	}
	preset, ok := t.preset(form.Get("ask"))
	if !ok {
		return web.Errorf(http.StatusBadRequest, "This is not one of the questions of this page.")
	}
	if err := t.v.guard.Admit(r, t.config.ID, 1); err != nil {
		return err
	}
	tr, err := t.v.Begin(r.Context(), t.config.ID, AskParams{Ask: preset.Name})
	if err != nil {
		return err
	}
	http.SetCookie(w, t.cookie(tr.ID, t.v.config.RequestLifetime+t.v.config.ResultLifetime))
	http.Redirect(w, r, tr.Page, http.StatusSeeOther)
	return nil
}

// serveForget deletes the result that the page shows.
func (t *tenant) serveForget(w http.ResponseWriter, r *http.Request) error {
	if err := t.v.Forget(r.Context(), t.config.ID, r.PathValue("id")); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: "transaction", Path: "/" + t.config.ID + "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, t.base+"/", http.StatusSeeOther)
	return nil
}
