package trust

import (
	_ "embed" // ConfigSource
	"fmt"
	"time"

	"github.com/eidos-id/eidos/format/trustlist"
	"github.com/eidos-id/eidos/internal/conf"
)

// ConfigSource is this file: the manual of the configuration is made of its
// comments.
//
//go:embed config.go
var ConfigSource string

// Config configures a trust service. The zero Config lists the roles of the
// demonstration on loopback.
type Config struct {
	// URL is the public origin, without a path and a trailing slash. Optional,
	// http://trust.localhost:8080.
	URL string `yaml:"url,omitempty"`

	// Tenants are the lists that are kept here, apart in keys, rows and
	// addresses. Optional, the one of the demonstration.
	Tenants []Tenant `yaml:"tenants,omitempty"`

	// Every is how often the sources are fetched. Optional, 15 minutes.
	Every time.Duration `yaml:"every,omitempty"`

	// Lifetime is how long a signed list is valid: the longest that those who
	// follow it go on without network. Lists are signed anew after half of it,
	// and at once when their content changes. Optional, 7 days.
	Lifetime time.Duration `yaml:"lifetime,omitempty"`

	// MaxAge is how long caches may keep a list unasked. Optional, 5 minutes.
	MaxAge time.Duration `yaml:"maxAge,omitempty"`
}

// Tenant is one community with lists of its own.
type Tenant struct {
	// ID is part of every address: lower-case letters, digits and "-", at most
	// 32, beginning with a letter.
	ID string `yaml:"id"`
	// Name of the provider of the lists, for people: in the certificates as
	// organization and in the VICAL as its provider.
	Name string `yaml:"name"`
	// Country of the certificates, ISO 3166-1 alpha-2; the profile of VICAL
	// signers demands it.
	Country string `yaml:"country"`
	// Sources are where the anchors come from.
	Sources []Source `yaml:"sources,omitempty"`
}

// Source is where the certificate of one anchor is published. The first
// certificate found there is pinned and listed. A source may show several, the
// newest first, and link certificates between them: a root that follows a listed
// one over such a link is listed beside it. When any other key appears, the
// change is recorded and shown, and the pinned one stays listed until an
// operator accepts the new one in its place.
type Source struct {
	// Name identifies the source within its tenant, for people and commands:
	// at most 64 bytes.
	Name string `yaml:"name" json:"name"`
	// Purpose is what the anchor is trusted for: issuer, reader, verifier,
	// wallet-provider or status.
	Purpose trustlist.Purpose `yaml:"purpose" json:"purpose"`
	// URL of the certificate of a CA, in DER or PEM, or in PEM of all its roots
	// with their links (iaca.pem, reader-ca.pem and ca.pem of our roles).
	URL string `yaml:"url" json:"url"`
	// DocTypes are what an issuer's documents may be; of SD-JWT VCs, their vct.
	// Needed for issuers.
	DocTypes []string `yaml:"docTypes,omitempty" json:"docTypes,omitempty"`
	// Fingerprint is the SHA-256 of the certificate in hex, for a source whose
	// certificate is known in advance: nothing else is pinned. Optional.
	Fingerprint string `yaml:"fingerprint,omitempty" json:"fingerprint,omitempty"`
	// LoA is the level that anchors are believed about: low, substantial or
	// high. Optional.
	LoA string `yaml:"loa,omitempty" json:"loa,omitempty"`
}

const defaultURL = "http://trust.localhost:8080"

// DemoSources are the anchors of the demonstration's roles at their origins,
// URLs without trailing slash; an empty origin is left out.
func DemoSources(issuer, provider, verifier string) []Source {
	var list []Source
	if issuer != "" {
		list = append(list, Source{
			Name: "issuing authority", Purpose: trustlist.Issuer, URL: issuer + "/default/iaca.pem",
			DocTypes: []string{"org.iso.18013.5.1.mDL", "eu.europa.ec.eudi.pid.1", "urn:eudi:pid:1", "org.iso.23220.photoid.1"},
		})
	}
	if provider != "" {
		list = append(list, Source{Name: "mdoc app provider", Purpose: trustlist.WalletProvider, URL: provider + "/default/ca.pem"})
	}
	if verifier != "" {
		ca := verifier + "/default/reader-ca.pem"
		list = append(list,
			Source{Name: "verifier, on-site", Purpose: trustlist.Reader, URL: ca},
			Source{Name: "verifier, remote", Purpose: trustlist.Verifier, URL: ca})
	}
	return list
}

// complete returns the configuration with everything filled in that was left out.
func (c Config) complete() Config {
	conf.Default(&c.URL, defaultURL)
	if len(c.Tenants) == 0 {
		c.Tenants = []Tenant{{ID: "default", Name: "Utopia Trust Service", Country: "UT", Sources: DemoSources(
			"http://issuer.localhost:8080", "http://provider.localhost:8080", "http://verifier.localhost:8080")}}
	}
	conf.Default(&c.Every, 15*time.Minute)
	conf.Default(&c.Lifetime, 7*24*time.Hour)
	conf.Default(&c.MaxAge, 5*time.Minute)
	return c
}

// Check reports everything that is wrong with the configuration, at once.
func (c Config) Check() error {
	var p conf.Problems
	demo := ""
	if len(c.Tenants) == 0 {
		demo = "say whom to list"
	}
	c = c.complete()
	p.Site(c.URL, demo)
	p.Within("every", c.Every, time.Second, 24*time.Hour)
	p.Within("lifetime", c.Lifetime, time.Minute, 90*24*time.Hour)
	p.Within("maxAge", c.MaxAge, time.Second, c.Lifetime/4)
	conf.Tenants(&p, c.Tenants, func(t Tenant) string { return t.ID }, Tenant.check)
	return p.Err()
}

func (t Tenant) check() error {
	var p conf.Problems
	p.Length("name", t.Name, 48)
	p.Country("country", t.Country)
	seen := map[string]bool{}
	for i, s := range t.Sources {
		if seen[s.Name] {
			p.Add("sources[%d].name: %q given twice", i, s.Name)
		}
		seen[s.Name] = true
		p.AddError(fmt.Sprintf("sources[%d]", i), s.check())
	}
	return p.Err()
}

func (s Source) check() error {
	var p conf.Problems
	p.Length("name", s.Name, 64)
	if !s.Purpose.Known() || s.Purpose == trustlist.TrustList {
		p.Add("purpose: %q is not issuer, reader, verifier, wallet-provider, status or registrar", s.Purpose)
	}
	p.AddError("url", conf.Address(s.URL))
	if (s.Purpose == trustlist.Issuer) != (len(s.DocTypes) > 0) {
		p.Add("docTypes: issuers need some, others have none")
	}
	_, err := fingerprint(s.Fingerprint)
	p.AddError("fingerprint", err)
	switch s.LoA {
	case "", "low", "substantial", "high":
	default:
		p.Add("loa: wanted low, substantial or high")
	}
	return p.Err()
}
