package provider

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eidos-id/eidos/internal/fetch"
	"github.com/eidos-id/eidos/internal/nonce"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/protocol/attestation"
	"github.com/eidos-id/eidos/publish"
	"github.com/eidos-id/eidos/statuslist"
)

// tenant is one product at work.
type tenant struct {
	provider *Provider
	config   Tenant
	base     string // BASE of package attestation

	ca    *keyring.CA
	board *statuslist.Board

	mu     sync.Mutex
	engine *attestation.Provider // nil until first used
}

func (p *Provider) newTenant(c Tenant) *tenant {
	t := &tenant{provider: p, config: c, base: p.config.URL + "/" + c.ID}
	t.ca, t.board = t.newCA(), t.newBoard()
	return t
}

const challengeLifetime = 5 * time.Minute

// conversation returns the provider's end of the protocol; the first call
// needs the secure area.
func (t *tenant) conversation(ctx context.Context) (*attestation.Provider, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.engine == nil {
		key, err := t.nonceKey(ctx)
		if err != nil {
			return nil, err
		}
		t.engine = &attestation.Provider{Base: t.base, Challenges: nonce.New(key, "attestation challenge "+t.base, challengeLifetime)}
	}
	return t.engine, nil
}

// maxRequest is for a hundred keys in a JWT and for 64 KiB of evidence.
const maxRequest = 256 << 10

// routes are all public addresses.
func (p *Provider) routes() http.Handler {
	mux := http.NewServeMux()
	p.health.Register(mux)
	get := func(pattern string, f func(t *tenant, w http.ResponseWriter, r *http.Request) error) {
		mux.Handle(pattern, web.ErrFunc(func(w http.ResponseWriter, r *http.Request) error {
			t, err := p.tenant(r.PathValue("tenant"))
			if err != nil {
				return web.Errorf(http.StatusNotFound, "There is no such product here.")
			}
			return f(t, w, r)
		}))
	}
	post := func(pattern string, f step) {
		get(pattern, func(t *tenant, w http.ResponseWriter, r *http.Request) error { return p.answer(f, t, w, r) })
	}
	ca := func(f func(http.ResponseWriter, *http.Request, *keyring.CA, time.Time) error) func(*tenant, http.ResponseWriter, *http.Request) error {
		return func(t *tenant, w http.ResponseWriter, r *http.Request) error { return f(w, r, t.ca, p.now()) }
	}
	post("POST /{tenant}/challenge", (*tenant).challenge)
	get("POST /{tenant}/instances", func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		if err := p.guard.Admit(r, t.config.ID, installCost); err != nil {
			return err
		}
		return p.answer((*tenant).install, t, w, r)
	})
	post("POST /{tenant}/instances/{id}/attestation", (*tenant).renew)
	post("POST /{tenant}/instances/{id}/keys", (*tenant).attestKeys)
	get("GET /{tenant}/status", func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		return publish.StatusLists(w, r, t.board, p.now())
	})
	get("GET /{tenant}/status/{list}", func(t *tenant, w http.ResponseWriter, r *http.Request) error {
		return publish.StatusList(w, r, t.board, &p.files, p.now())
	})
	get("GET /{tenant}/ca.cer", ca(publish.Root))
	get("GET /{tenant}/ca.pem", ca(publish.Roots))
	get("GET /{tenant}/certificates", ca(publish.Certificates))
	get("GET /.well-known/eidos-provider/{tenant}", (*tenant).serveMetadata)
	pages := web.MustPages("eidos provider", nil, pageFiles, "pages/*.html")
	get("GET /{tenant}/{$}", func(t *tenant, w http.ResponseWriter, r *http.Request) error { return t.servePage(pages, w, r) })
	mux.Handle("GET /{$}", http.RedirectHandler("/"+p.config.Tenants[0].ID+"/", http.StatusFound))
	return web.Wrap(mux, web.WrapOptions{Log: p.log, Role: "provider", HTTPS: strings.HasPrefix(p.config.URL, "https:")})
}

// installCost is what an installation counts among the things that strangers
// begin: its rows stay.
const installCost = 10

// step answers a request of the conversation.
type step func(t *tenant, ctx context.Context, id string, r fetch.Request) (fetch.Response, error)

// answer gives a request to a step.
func (p *Provider) answer(f step, t *tenant, w http.ResponseWriter, r *http.Request) error {
	web.Engine(p.config.URL, maxRequest, func(ctx context.Context, q fetch.Request) (fetch.Response, error) {
		return f(t, ctx, r.PathValue("id"), q)
	}).ServeHTTP(w, r)
	return nil
}

// metadata is what /.well-known/eidos-provider/{tenant} says. No standard
// covers it.
type metadata struct {
	Provider      string `json:"provider"` // BASE of the conversation, the audience of requests
	Name          string `json:"name"`
	Organization  string `json:"organization"`
	ClientID      string `json:"client_id"`
	Link          string `json:"link,omitempty"`
	Support       string `json:"support,omitempty"`
	Challenge     string `json:"challenge_endpoint"`
	Instances     string `json:"instances_endpoint"`
	StatusLists   string `json:"status_list_aggregation_endpoint"`
	Certificate   string `json:"ca_certificate"`
	Certificates  string `json:"certificates_endpoint"`
	AttestationIn int    `json:"wallet_instance_attestation_lifetime"` // seconds
	KeysIn        int    `json:"key_attestation_lifetime"`             // seconds
	StatusIn      int    `json:"status_period"`                        // seconds
	StatusAtMost  int    `json:"max_status_period"`                    // seconds
	MaxKeys       int    `json:"max_keys"`

	Evidence []evidencePolicy `json:"evidence_formats_supported"`
}

// evidencePolicy is what one kind of evidence comes to.
type evidencePolicy struct {
	Format             string            `json:"format"`
	Level              attestation.Level `json:"assurance_level"`
	KeyStorage         []string          `json:"key_storage"`
	UserAuthentication []string          `json:"user_authentication"`
	Note               string            `json:"note"`
}

func (t *tenant) serveMetadata(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "public, max-age=300")
	web.JSON(w, http.StatusOK, t.metadata())
	return nil
}

func (t *tenant) metadata() metadata {
	c := t.provider.config
	m := metadata{
		Provider: t.base, Name: t.config.Name, Organization: t.config.Organization, ClientID: t.config.ClientID,
		Link: t.config.Link, Support: t.config.Support,
		Challenge: t.base + "/challenge", Instances: t.base + "/instances", StatusLists: t.base + "/status",
		Certificate: t.base + "/ca.cer", Certificates: t.base + "/certificates",
		AttestationIn: int(c.AttestationLifetime / time.Second), KeysIn: int(c.KeyAttestationLifetime / time.Second),
		StatusIn: int(c.StatusPeriod / time.Second), StatusAtMost: int(c.MaxStatusPeriod / time.Second), MaxKeys: attestation.MaxKeys, Evidence: []evidencePolicy{},
	}
	if !t.config.RefuseTOFU {
		m.Evidence = append(m.Evidence, evidencePolicy{
			Format: attestation.EvidenceSoftwareTOFU, Level: attestation.LevelLow, KeyStorage: resistance(), UserAuthentication: resistance(),
			Note: "accepted on first use, on no evidence but the key itself",
		})
	}
	return m
}
