package issuer

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/assure"
	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/nonce"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/issuer/source"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/protocol/oauth"
	"github.com/eidos-id/eidos/protocol/oid4vci"
	"github.com/eidos-id/eidos/publish"
	"github.com/eidos-id/eidos/statuslist"
)

// tenant is one authority at work.
type tenant struct {
	authority *Authority
	config    Tenant
	base      string // credential issuer identifier
	offerings map[string]offering.Offering
	clients   []oauth.Registration
	source    source.Source
	ca        *keyring.CA
	board     *statuslist.Board

	described sync.Map // *description by document type and vct
	denials   *web.Buckets[denial]

	mu     sync.Mutex
	engine *engines // nil until first used
	signed struct { // metadata
		token string
		until time.Time
	}
}

// engines are the ends of the protocols, and the MAC keys of the tenant.
type engines struct {
	oauth       *oauth.Server
	issuer      *oid4vci.Issuer
	fingerprint [32]byte // of attributes
	subject     [32]byte // of persons, in counters
}

const (
	nonceLifetime = 5 * time.Minute
	maxRequest    = 1 << 20 // a credential request with a batch of proofs and a key attestation
)

// engines returns the engines; the first call needs the secure area.
func (t *tenant) engines(ctx context.Context) (*engines, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.engine != nil {
		return t.engine, nil
	}
	secret, err := keyring.Secret(ctx, t.authority.area, t.authority.db.Records(), t.config.ID, "issuer")
	if err != nil {
		return nil, err
	}
	e := &engines{}
	var nonces [32]byte
	for use, key := range map[string]*[32]byte{"nonces": &nonces, "fingerprints": &e.fingerprint, "subjects": &e.subject} {
		if *key, err = subkey(secret, use); err != nil {
			return nil, err
		}
	}
	encryption, err := t.encryption(ctx)
	if err != nil {
		return nil, err
	}
	config := oauth.ServerConfig{
		Issuer: t.base, Clients: oauth.Fixed(t.clients...), Attesters: t.authority.attester,
		DPoPNonces: nonce.New(nonces, "dpop "+t.base, nonceLifetime),
		Challenges: nonce.New(nonces, "client attestation "+t.base, nonceLifetime),
		Wait:       t.wait,
	}
	config.PrivateKeyJWT = slices.ContainsFunc(t.clients, func(r oauth.Registration) bool { return len(r.Keys) > 0 })
	config.RefreshLifetime = t.authority.config.RefreshLifetime
	for _, o := range t.offerings {
		c := oauth.Configuration{ID: o.ID}
		if o.Authorization {
			c.Scope = o.Scope
		}
		config.Configurations = append(config.Configurations, c)
	}
	if e.oauth, err = oauth.NewServer(config); err != nil {
		return nil, err
	}
	e.issuer = &oid4vci.Issuer{
		Identifier: t.base, Nonces: nonce.New(nonces, "c_nonce "+t.base, nonceLifetime), Attesters: t.authority.attester, Policy: t.proofPolicy,
		Encryption: encryption,
	}
	t.engine = e
	return e, nil
}

// attester decides whose wallet and key attestations are believed, and how far.
func (a *Authority) attester(ctx context.Context, chain []*x509.Certificate, now time.Time) (attestation.Attester, error) {
	miss := func(err error) (attestation.Attester, error) {
		if missed, ok := ctx.Value(missedKey{}).(*bool); ok {
			*missed = true
		}
		return attestation.Attester{}, err
	}
	anchors, err := a.anchors(ctx, now)
	if err != nil {
		return miss(fmt.Errorf("trust anchors: %w", err))
	}
	der := make([][]byte, len(chain))
	for i, c := range chain {
		der[i] = c.Raw
	}
	signer, report := anchors.VerifyChain(der, trustlist.WalletProvider, now, assure.ChainOptions{})
	if err := report.Err(); err != nil {
		return miss(err)
	}
	return attestation.Attester{Name: signer.Anchor.Name, Level: attestation.Level(signer.Anchor.LoA)}, nil
}

// routes are all public addresses.
func (a *Authority) routes() http.Handler {
	mux := http.NewServeMux()
	a.health.Register(mux)
	page := func(pattern string, f func(t *tenant, w http.ResponseWriter, r *http.Request) error) {
		mux.Handle(pattern, a.forTenant(f))
	}
	ca := func(f func(http.ResponseWriter, *http.Request, *keyring.CA, time.Time) error) func(*tenant, http.ResponseWriter, *http.Request) error {
		return func(t *tenant, w http.ResponseWriter, r *http.Request) error { return f(w, r, t.ca, a.now()) }
	}
	a.open(mux, "GET", "/.well-known/openid-credential-issuer/{tenant}", a.forTenant((*tenant).serveMetadata))
	a.open(mux, "GET", "/.well-known/oauth-authorization-server/{tenant}", a.forTenant((*tenant).serveServerMetadata))
	a.open(mux, "GET", "/{tenant}/offers/{id}", a.forTenant((*tenant).serveOffer))
	page("GET /{tenant}/iaca.cer", ca(publish.Root))
	page("GET /{tenant}/iaca.pem", ca(publish.Roots))
	page("GET /{tenant}/iaca.crl", ca(publish.CRL))
	page("GET /{tenant}/iaca.crl/{root}", ca(publish.CRL))
	page("GET /{tenant}/certificates", ca(publish.Certificates))
	page("GET /{tenant}/types/{offering}", (*tenant).serveType)
	page("GET /{tenant}/status", func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		return publish.StatusLists(w, r, t.board, a.now())
	})
	page("GET /{tenant}/status/{list}", func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		return publish.StatusList(w, r, t.board, &a.files, a.now())
	})
	page("GET /{tenant}/authorize", (*tenant).serveAuthorize)
	page("GET /{tenant}/authorize/consent", (*tenant).serveConsent)
	page("GET /{tenant}", (*tenant).serveFront)
	page("GET /{tenant}/{$}", (*tenant).serveFront)
	mux.Handle("GET /{$}", web.ErrFunc(a.serveOrigin))

	guard := http.NewCrossOriginProtection()
	mux.Handle("POST /{tenant}/authorize/identify", guard.Handler(a.forTenant((*tenant).takeIdentification)))
	mux.Handle("POST /{tenant}/authorize/decision", guard.Handler(a.forTenant((*tenant).takeDecision)))

	engine := func(endpoint string, limit int, f engineFunc) {
		a.open(mux, "POST", "/{tenant}/"+endpoint, a.forEngine(limit, f))
	}
	engine("par", web.DefaultBodyLimit, a.again((*tenant).push))
	engine("token", web.DefaultBodyLimit, a.again((*tenant).token))
	engine("challenge", web.DefaultBodyLimit, (*tenant).challenge)
	engine("nonce", web.DefaultBodyLimit, (*tenant).nonce)
	engine("credential", maxRequest, (*tenant).credential)
	engine("deferred", maxRequest, (*tenant).deferred)
	engine("notification", web.DefaultBodyLimit, (*tenant).notification)
	return web.Wrap(a.Instrument("public", mux), web.WrapOptions{Log: a.log, Role: "issuer", HTTPS: strings.HasPrefix(a.config.URL, "https:")})
}

// open mounts an endpoint for apps, also those that are a page of another origin.
func (a *Authority) open(mux *http.ServeMux, method, path string, h http.Handler) {
	if !a.config.SameOrigin {
		h = web.CORS(h, method)
		mux.Handle("OPTIONS "+path, h)
	}
	mux.Handle(method+" "+path, h)
}

// forTenant gives a request to the tenant in its path.
func (a *Authority) forTenant(f func(t *tenant, w http.ResponseWriter, r *http.Request) error) http.Handler {
	return web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
		t, err := a.tenant(r.PathValue("tenant"))
		if err != nil {
			return web.Errorf(http.StatusNotFound, "There is no such authority here.")
		}
		return f(t, w, r)
	})
}

// engineFunc answers a request of a protocol.
type engineFunc func(t *tenant, ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error)

// forEngine mounts a protocol's engine.
func (a *Authority) forEngine(limit int, f engineFunc) http.Handler {
	return a.forTenant(func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		req, err := web.ToFetch(w, r, a.config.URL, limit)
		if err != nil {
			return err
		}
		e, err := t.engines(r.Context())
		if err != nil {
			return err
		}
		resp, err := f(t, r.Context(), e, req)
		if err != nil {
			return err
		}
		web.WriteFetch(w, resp)
		return nil
	})
}

// missedKey is of a *bool in a context, set when an attester was not trusted.
type missedKey struct{}

// again answers a request once more with fresh anchors if the app's provider
// was not among those at hand: it may have been listed a moment ago. What is
// refused for that reason has used nothing up.
func (a *Authority) again(f engineFunc) engineFunc {
	return func(t *tenant, ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
		missed := false
		resp, err := f(t, context.WithValue(ctx, missedKey{}, &missed), e, r)
		if err != nil || !missed || a.refresh == nil {
			return resp, err
		}
		if err := a.refresh(ctx, a.now()); err != nil {
			web.Log(ctx).Info("trust anchors not refreshed", "error", err.Error())
			return resp, nil
		}
		return f(t, ctx, e, r)
	}
}

// push answers the PAR endpoint. RFC 9126, 2.
func (t *tenant) push(ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
	var reply oauth.Reply
	err := t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		reply, err = e.oauth.Push(ctx, tx.Once(t.config.ID), r, t.authority.now())
		return err
	})
	return t.finish(ctx, reply, err)
}

// token answers the token endpoint. RFC 6749, 5; OpenID4VCI 1.0, 6.
func (t *tenant) token(ctx context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
	var reply oauth.Reply
	now := t.authority.now()
	err := t.authority.db.Tx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		st := tx.Once(t.config.ID)
		if reply, err = e.oauth.Token(ctx, st, r, now); err != nil || reply.Refusal != nil {
			return err
		}
		form, err := r.Form()
		if err != nil {
			return err
		}
		if code := form.Get("pre-authorized_code"); code != "" {
			return t.offerRedeemed(ctx, tx, code, now)
		}
		return nil
	})
	return t.finish(ctx, reply, err)
}

// finish logs why a request was refused and returns the answer.
func (t *tenant) finish(ctx context.Context, reply oauth.Reply, err error) (fetch.Response, error) {
	if err != nil {
		return fetch.Response{}, err
	}
	if reply.Refusal != nil {
		cause := ""
		if reply.Refusal.Err != nil {
			cause = reply.Refusal.Err.Error()
		}
		t.refused(reply.Refusal.Code)
		web.Log(ctx).Info("refused", "code", reply.Refusal.Code, "error", reply.Refusal.Description, "cause", cause)
	}
	return reply.Response, nil
}

// challenge answers the challenge endpoint.
// draft-ietf-oauth-attestation-based-client-auth-07, 8.
func (t *tenant) challenge(_ context.Context, e *engines, r fetch.Request) (fetch.Response, error) {
	return e.oauth.Challenge(r, t.authority.now()).Response, nil
}

// wait counts a request of an app, or of a service that has keys of its own.
func (t *tenant) wait(client, instance string) time.Duration {
	if instance == "" {
		return t.authority.guard.Server(t.config.ID + " " + client)
	}
	return t.authority.guard.Client(t.config.ID + " " + instance)
}

// nonce answers the nonce endpoint, with a nonce for the DPoP proof of the
// request that follows too. OpenID4VCI 1.0, 7.2.
func (t *tenant) nonce(_ context.Context, e *engines, _ fetch.Request) (fetch.Response, error) {
	now := t.authority.now()
	resp := e.issuer.Nonce(now)
	if n := e.oauth.DPoPNonce(now); n != "" {
		resp.Header["dpop-nonce"] = n
	}
	return resp, nil
}
