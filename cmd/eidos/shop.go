package main

import (
	"bytes"
	"context"
	"crypto/rand"
	embedded "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/rest"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/trust"
	"github.com/eidos-id/eidos/verifier"
	rpapi "github.com/eidos-id/eidos/verifier/api"
	"github.com/eidos-id/eidos/verifier/core"
)

// The shop of the demonstration at the verifier.
const (
	shopTenant = "shop"
	shopHost   = "shop.localhost"
	shopAsk    = "wine"
	shopName   = "Utopia Wine"
)

// shop is a relying party of the demonstration on an origin of its own: a page
// that sells wine, with the button of eidos-verify.js on it, and behind it a
// system that asks the verifier's API and reads the answer, as
// docs/relying-party.md tells a relying party to.
type shop struct {
	origin   string // of its pages
	script   string // the verifier's base URL
	wallet   string // the page of the demonstration's app that takes requests
	register []byte // certificate of who registered it, PEM
	key      string // of the verifier's API; with api known once that is up
	api      string
	fetch    fetch.Func
	now      func() time.Time
	log      *slog.Logger

	mu     sync.Mutex
	visits map[string]visit // by cookie; guarded by mu
}

// visit is what the shop knows of a browser: the transaction that it began, with
// the secret that alone opens the answer.
type visit struct {
	id, secret string
	begun      time.Time
}

const (
	shopCookie = "visit"
	maxVisits  = 256 // that are remembered; the oldest goes
)

// openShop puts the shop on this machine: as a relying party of the verifier,
// registered and known to the trust service, on the listener of the roles at a
// port. Its key of the API comes when that opens.
func (h *house) openShop(ctx context.Context, port string, do fetch.Func) error {
	s := &shop{
		origin: "http://" + shopHost + ":" + port, script: h.cfg.Verifier.URL + "/" + shopTenant, wallet: h.cfg.WalletPages.URL + "/request",
		fetch: do, now: h.now, log: h.log, visits: make(map[string]visit),
	}
	h.shop = s
	const ask, purpose = "photoid:age_over_18 | mdl:age_over_18", "Sell wine to adults only"
	info, err := h.registerShop(ctx, s, ask, purpose)
	if err != nil {
		return fmt.Errorf("register the shop: %w", err)
	}
	h.cfg.Verifier.Tenants = append(h.cfg.Verifier.Tenants, verifier.DemoTenant(), verifier.Tenant{
		ID: shopTenant, Name: shopName, Country: "UT", Identifier: shopIdentifier, Info: info, Origins: []string{s.origin}, RedirectURIs: []string{s.origin + "/verified"},
		AlsoNamed: []string{verifier.ClientDIDJWK}, // so that its pages ask by every protocol
		Presets: []core.Preset{{
			Name: shopAsk, Title: "Over 18", Ask: ask, Purpose: purpose,
		}},
	})
	h.cfg.Verifier.WalletLink = s.wallet
	h.cfg.Trust.Tenants[0].Sources = append(h.cfg.Trust.Tenants[0].Sources, trust.Source{
		Name: "wine shop", Purpose: trustlist.Verifier, URL: s.script + "/reader-ca.pem",
	}, trust.Source{Name: "register of relying parties", Purpose: trustlist.Registrar, URL: s.origin + "/register.pem"})
	return nil
}

// employ gives the shop its key of the verifier's API.
func (s *shop) employ(ctx context.Context, tokens *rest.Tokens, api string) error {
	now := s.now()
	_, key, err := tokens.Create(ctx, rest.Token{
		Tenant: shopTenant, Name: "the shop's system", Scopes: []rest.Scope{rpapi.Ask}, Expires: now.Add(30 * 24 * time.Hour),
	}, now)
	s.key, s.api = key, api+"/v1/"+shopTenant+"/transactions"
	return err
}

//go:embed shop
var shopFiles embedded.FS

var shopPages = template.Must(template.ParseFS(shopFiles, "shop/*.html"))

func (s *shop) handler() http.Handler {
	own := http.NewCrossOriginProtection() // its pages alone begin and end
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", web.ErrFunc(s.serveHome))
	mux.Handle("GET /shop.css", s.file("text/css; charset=utf-8", "shop.css"))
	mux.Handle("GET /shop.js", s.file("text/javascript; charset=utf-8", "shop.js"))
	mux.Handle("GET /register.pem", web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		web.NewFile("application/x-pem-file", s.register).Serve(w, r, time.Minute)
		return nil
	}))
	mux.Handle("POST /start-verification", own.Handler(web.ErrFunc(s.serveStart)))
	mux.Handle("GET /verified", web.ErrFunc(s.serveVerified))
	// The policy that docs/relying-party.md asks of a page with the button.
	verifier := originOf(s.script)
	policy := "default-src 'self'; script-src 'self' " + verifier + "; connect-src 'self' " + verifier + "; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
	return web.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	}), web.WrapOptions{Log: s.log, Role: "shop"})
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (s *shop) file(mediaType, name string) http.Handler {
	return web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		data, err := shopFiles.ReadFile("shop/" + name)
		if err != nil {
			return err
		}
		web.NewFile(mediaType, data).Serve(w, r, time.Minute)
		return nil
	})
}

func (s *shop) page(w http.ResponseWriter, name string, data any) error {
	var b bytes.Buffer
	if err := shopPages.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	web.NoStore(w)
	web.Reply(w, http.StatusOK, "text/html; charset=utf-8", b.Bytes())
	return nil
}

func (s *shop) serveHome(w http.ResponseWriter, _ *http.Request) error {
	return s.page(w, "home.html", s.script+"/eidos-verify.js")
}

// serveStart begins a transaction for the button, and keeps its secret with the
// visit.
func (s *shop) serveStart(w http.ResponseWriter, r *http.Request) error {
	var begun struct {
		ID, Secret string
		Button     json.RawMessage
	}
	err := s.call(r.Context(), "", map[string]any{"ask": shopAsk, "wallet": s.wallet, "redirect_uri": s.origin + "/verified"}, &begun)
	if err != nil {
		return err
	}
	cookie := rand.Text()
	s.remember(cookie, visit{begun.ID, begun.Secret, s.now()})
	http.SetCookie(w, &http.Cookie{Name: shopCookie, Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	web.JSON(w, http.StatusOK, begun.Button)
	return nil
}

func (s *shop) remember(cookie string, v visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.visits) >= maxVisits {
		oldest := ""
		for c, other := range s.visits {
			if oldest == "" || other.begun.Before(s.visits[oldest].begun) {
				oldest = c
			}
		}
		delete(s.visits, oldest)
	}
	s.visits[cookie] = v
}

// ageChecked is what the shop makes of an answer.
type ageChecked struct {
	State  verifier.State
	Answer string // "yes", "no", or empty if there is none to rely on
	Reason string // why there is none
	Issuer string
}

// serveVerified reads the answer: the script leads here when one has come, and a
// wallet on the same device, with a response code.
func (s *shop) serveVerified(w http.ResponseWriter, r *http.Request) error {
	cookie, err := r.Cookie(shopCookie)
	if err != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	s.mu.Lock()
	v, ok := s.visits[cookie.Value]
	s.mu.Unlock()
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	in := map[string]string{"secret": v.secret}
	if code := r.URL.Query().Get("response_code"); code != "" {
		in["response_code"] = code
	}
	var out struct {
		State  verifier.State
		Error  string
		Result *core.Result
	}
	if err := s.call(r.Context(), "/"+v.id+"/result", in, &out); err != nil {
		return err
	}
	a := ageChecked{State: out.State, Reason: out.Error}
	if out.Result != nil {
		a.read(*out.Result)
	}
	return s.page(w, "verified.html", a)
}

// read takes nothing from an answer that is not valid as a whole.
func (a *ageChecked) read(res core.Result) {
	a.Reason = res.Reason
	if !res.OK() {
		return
	}
	for _, d := range res.Documents {
		for _, e := range d.Elements {
			if e.ID != "age_over_18" && e.Asked != "age_over_18" { // another age, which says as much of this one
				continue
			}
			a.Issuer, a.Answer = d.Issuer.Name, "no"
			if over, ok := e.Value.(bool); ok && over {
				a.Answer = "yes"
			}
		}
	}
}

// errShop is what a visitor sees of trouble between the shop and its verifier.
var errShop = errors.New("the shop's verifier")

// call asks the API of the verifier.
func (s *shop) call(ctx context.Context, path string, in, out any) error {
	r, err := fetch.JSONRequest(s.api+path, in)
	if err != nil {
		return err
	}
	r.Header["authorization"] = "Bearer " + s.key
	resp, err := s.fetch(ctx, r)
	if err != nil {
		return fmt.Errorf("%w: %w", errShop, err)
	}
	if resp.Status == http.StatusNotFound || resp.Status == http.StatusGone {
		return web.Errorf(http.StatusNotFound, "The answer was deleted in the meantime. Please begin again.")
	}
	if resp.Status < 200 || resp.Status > 299 {
		return fmt.Errorf("%w answered %d", errShop, resp.Status)
	}
	return json.Unmarshal(resp.Body, out)
}
