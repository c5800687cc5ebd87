package issuer

import (
	_ "embed" // ConfigSource
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/eidos-id/eidos/format/doctype"
	"github.com/eidos-id/eidos/internal/conf"
	"github.com/eidos-id/eidos/issuer/offering"
	"github.com/eidos-id/eidos/protocol/oauth"
)

// ConfigSource is this file: the manual of the configuration is made of its
// comments.
//
//go:embed config.go
var ConfigSource string

// Config configures an issuing authority. The zero Config issues the
// demonstration documents of one authority, "default", on loopback.
type Config struct {
	// URL is the public origin, without a path and a trailing slash. URL and
	// tenant together are the credential issuer identifier. It is part of every
	// document and can never change. Optional, http://issuer.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Tenants are the authorities that issue here, kept apart in keys, rows and
	// addresses. Optional, the one of the demonstration.
	Tenants []Tenant `yaml:"tenants,omitempty"`

	// Types are files of document types, besides those that are built in.
	Types []string `yaml:"types,omitempty"`

	// OfferLifetime is how long a person has to accept an offer that does not
	// say otherwise. Optional, 24 hours.
	OfferLifetime time.Duration `yaml:"offerLifetime,omitempty"`

	// StatusLifetime is how long a signed status list is valid: the longest
	// that a verifier without network goes on with a copy. Optional, 24 hours.
	StatusLifetime time.Duration `yaml:"statusLifetime,omitempty"`

	// StatusTTL is how long verifiers with a network keep a copy before they
	// ask again, and so how fast a revocation is known. Optional, 5 minutes.
	StatusTTL time.Duration `yaml:"statusTTL,omitempty"`

	// RefreshLifetime is for how long an app that shows no sign of life can still
	// get new copies of a document without asking the person. Optional, 90 days.
	RefreshLifetime time.Duration `yaml:"refreshLifetime,omitempty"`

	// BatchesPerDay is how often an app may get copies of one document within
	// 24 hours, or ask for one that needs approval. Optional, 10.
	BatchesPerDay int `yaml:"batchesPerDay,omitempty"`

	// ReviewEvery is how often all documents are compared with the register.
	// Optional, 1 hour.
	ReviewEvery time.Duration `yaml:"reviewEvery,omitempty"`

	// UpdateWithin is how long copies that say something else than the register
	// stay valid, for the app to get new ones. Optional, 7 days.
	UpdateWithin time.Duration `yaml:"updateWithin,omitempty"`

	// Admin is the API for consoles and automation; see docs/admin-api.md.
	Admin Admin `yaml:"admin,omitempty"`

	// SameOrigin keeps out apps that are a web page of another origin: without it
	// browsers let pages of all origins talk to the endpoints for apps. These
	// know apps by keys and not by cookies, so that a page gets no more than any
	// program does; but an authority inside a closed network may be reached
	// through the browsers in it. Optional, false.
	SameOrigin bool `yaml:"sameOrigin,omitempty"`

	// RequireEncryption asks apps to encrypt their requests on top of TLS, and
	// encrypts what they are given. Apps that can do so anyway. Optional, false.
	RequireEncryption bool `yaml:"requireEncryption,omitempty"`
}

// Admin is the API for consoles and automation, on a listener of its own: it is
// not on the public origin.
type Admin struct {
	// Listen is its address, such as 127.0.0.1:8090; off while it is empty. On
	// any but a loopback address it is served with TLS only: then the
	// certificate of the roles is needed.
	Listen string `yaml:"listen,omitempty"`
	// PrivateWebhooks lets webhooks go to private addresses (RFC 1918, RFC 4193,
	// RFC 6598), for receivers in the authority's own network. Optional, false.
	PrivateWebhooks bool `yaml:"privateWebhooks,omitempty"`
}

// Tenant is one authority.
type Tenant struct {
	// ID is part of every address of the authority: lower-case letters, digits
	// and "-", at most 32.
	ID string `yaml:"id"`
	// Name is shown to people and stands in the certificates as organization.
	Name string `yaml:"name"`
	// Country of the certificates, ISO 3166-1 alpha-2. It has to be the issuing
	// country of the documents.
	Country string `yaml:"country"`
	// State of the certificates, where a part of a country issues. Optional.
	State string `yaml:"state,omitempty"`
	// Contact of the CA, an e-mail address or an https URL, stands in the
	// certificates. Optional, the URL of the authority.
	Contact string `yaml:"contact,omitempty"`
	// OfflineRoot says that the private key of the IACA is kept elsewhere. The
	// authority then holds no key of a root; an operator carries certificate
	// requests out and certificates and revocation lists in (eidos pki). Optional.
	OfflineRoot bool `yaml:"offlineRoot,omitempty"`
	// Source is the register of persons, a CSV file; see the manual of sources.
	Source string `yaml:"source"`
	// Offerings are what the authority issues. Optional, the demonstration's
	// mdl, pid and photoid.
	Offerings []offering.Offering `yaml:"offerings,omitempty"`
	// Clients are the apps that may get documents. Optional, the mdoc app of
	// the demonstration.
	Clients []Client `yaml:"clients,omitempty"`
}

// Client is an app that may ask for documents. Its instances prove themselves
// by the attestation of a trusted provider, or it does so with keys of its own.
type Client struct {
	// ID is the client_id: the sub of the app's wallet instance attestations or
	// of its client assertions.
	ID string `yaml:"id"`
	// Name is shown on the consent page.
	Name string `yaml:"name"`
	// RedirectURIs are where the browser may be sent back to, to the letter.
	RedirectURIs []string `yaml:"redirectURIs,omitempty"`
	// JWKS is a file with the public keys, a JWK Set, of an app that runs on a
	// server and authenticates by private_key_jwt (RFC 7523). It cannot do so by
	// attestation then. Keys are of type EC with P-256 or OKP with Ed25519;
	// with several, each needs a kid. Read at the start. Optional.
	JWKS string `yaml:"jwks,omitempty"`
}

const defaultURL = "http://issuer.localhost:8080"

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	conf.Default(&c.URL, defaultURL)
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{DemoTenant()}
	}
	conf.Default(&c.OfferLifetime, 24*time.Hour)
	conf.Default(&c.StatusLifetime, 24*time.Hour)
	conf.Default(&c.StatusTTL, 5*time.Minute)
	conf.Default(&c.RefreshLifetime, 90*24*time.Hour)
	conf.Default(&c.BatchesPerDay, 10)
	conf.Default(&c.ReviewEvery, time.Hour)
	conf.Default(&c.UpdateWithin, 7*24*time.Hour)
	tenants := make([]Tenant, len(c.Tenants))
	for i, t := range c.Tenants {
		if t.Contact == "" {
			t.Contact = c.URL + "/" + t.ID
		}
		if len(t.Offerings) == 0 {
			t.Offerings = offering.Demo(t.ID)
		}
		if len(t.Clients) == 0 {
			t.Clients = []Client{demoClient()}
		}
		tenants[i] = t
	}
	c.Tenants = tenants
	return c
}

// DemoTenant is the authority of the demonstration. Its register is the file
// that package demodata writes.
func DemoTenant() Tenant {
	return Tenant{ID: "default", Name: "Utopia Registry of Persons", Country: "UT", Source: "registry.csv", Clients: []Client{demoClient()}}
}

// demoClient is our own mdoc app as the demonstration's provider vouches for it.
func demoClient() Client {
	return Client{ID: "eidos-wallet", Name: "eidos wallet", RedirectURIs: []string{
		"http://127.0.0.1:8423/authorized", "eidos-wallet:/callback",
	}}
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var p conf.Problems
	given := c.Tenants
	c = c.complete()
	demo := ""
	if len(given) == 0 {
		demo = "say who issues"
	}
	p.Site(c.URL, demo)
	if !conf.Loopback(c.URL) {
		noDemo(&p, given)
	}
	p.Within("offerLifetime", c.OfferLifetime, time.Minute, 90*24*time.Hour)
	p.Within("statusLifetime", c.StatusLifetime, time.Minute, 30*24*time.Hour)
	p.Within("statusTTL", c.StatusTTL, time.Second, c.StatusLifetime)
	p.Within("refreshLifetime", c.RefreshLifetime, time.Hour, 5*365*24*time.Hour)
	p.Within("reviewEvery", c.ReviewEvery, time.Minute, 7*24*time.Hour)
	p.Within("updateWithin", c.UpdateWithin, 0, 90*24*time.Hour)
	if c.BatchesPerDay < 1 || c.BatchesPerDay > 1000 {
		p.Add("batchesPerDay: wanted 1 to 1000")
	}
	if l := c.Admin.Listen; l != "" {
		_, _, err := net.SplitHostPort(l)
		p.AddError("admin.listen", err)
	}
	types, err := c.types()
	if err != nil {
		p.AddError("types", err)
		types = doctype.Builtin()
	}
	conf.Tenants(&p, c.Tenants, func(t Tenant) string { return t.ID }, func(t Tenant) error { return t.check(types) })
	for i, t := range c.Tenants {
		for _, o := range t.Offerings {
			if o.VCT == offering.VCTHere && !strings.HasPrefix(c.URL, "https:") {
				p.Add("tenants[%d].offerings: vct of %.64q: an address with http proves no name; wanted an https url", i, o.ID)
			}
		}
	}
	return p.Err()
}

// noDemo names what would be taken from the demonstration, which is for
// loopback only.
func noDemo(p *conf.Problems, tenants []Tenant) {
	for i, t := range tenants {
		if len(t.Offerings) == 0 {
			p.Add("tenants[%d].offerings: those of the demonstration are for loopback only; say what is issued", i)
		}
		if len(t.Clients) == 0 {
			p.Add("tenants[%d].clients: that of the demonstration is for loopback only; say which apps get documents", i)
		}
	}
}

func (t Tenant) check(types *doctype.Catalogue) error {
	var p conf.Problems
	p.Length("name", t.Name, 48)
	p.Country("country", t.Country)
	if t.Source == "" {
		p.Add("source: wanted the path of a register")
	}
	_, err := t.offerings(types)
	p.AddError("offerings", err)
	seen := map[string]bool{}
	for _, c := range t.Clients {
		if seen[c.ID] {
			p.Add("clients: %.80q given twice", c.ID)
		}
		seen[c.ID] = true
		_, err := c.registration()
		p.AddError("clients", err)
	}
	return p.Err()
}

func (c Client) registration() (oauth.Registration, error) {
	r := oauth.Registration{ID: c.ID, Name: c.Name, RedirectURIs: c.RedirectURIs}
	if c.JWKS != "" {
		text, err := os.ReadFile(c.JWKS)
		if err != nil {
			return r, fmt.Errorf("jwks of %.80q: %w", c.ID, err)
		}
		if r.Keys, err = oauth.ParseKeys(text); err != nil {
			return r, fmt.Errorf("jwks of %.80q: %w", c.ID, err)
		}
	}
	return r, r.Check()
}

// registrations are the tenant's clients.
func (t Tenant) registrations() ([]oauth.Registration, error) {
	all := make([]oauth.Registration, len(t.Clients))
	for i, c := range t.Clients {
		var err error
		if all[i], err = c.registration(); err != nil {
			return nil, fmt.Errorf("clients: %w", err)
		}
	}
	return all, nil
}

// offerings are the tenant's, complete, by id.
func (t Tenant) offerings(types *doctype.Catalogue) (map[string]offering.Offering, error) {
	all := map[string]offering.Offering{}
	for _, o := range t.Offerings {
		if o.Tenant != "" && o.Tenant != t.ID {
			return nil, fmt.Errorf("%.64q is another tenant's", o.ID)
		}
		o.Tenant = t.ID
		o, err := o.Complete(types)
		if err != nil {
			return nil, err
		}
		if _, ok := all[o.ID]; ok {
			return nil, fmt.Errorf("%.64q given twice", o.ID)
		}
		all[o.ID] = o
	}
	return all, nil
}

// types are those built in and those in files.
func (c Config) types() (*doctype.Catalogue, error) {
	return doctype.Builtin().WithFiles(os.ReadFile, c.Types...)
}
